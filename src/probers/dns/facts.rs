//! What an answer says. The target chooses how much that is, so everything is bounded here.

use hickory_resolver::proto::op::ResponseCode;
use hickory_resolver::proto::rr::{RData, Record, RecordType};
use serde_json::{Value, json};

use super::exchange::Answer;
use crate::domain::expression::{Name, Shape};
use crate::domain::fact_map::FactMap;
use crate::domain::time::Timestamp;

/// At most this many records are kept.
const RECORDS_MAX: usize = 1_000;
/// At most this many characters of a record are kept.
const DATA_CHARS_MAX: usize = 4_096;
/// Where a signature says when it ends, within its data (RFC 4034, section 3.1).
const SIGNATURE_END: std::ops::Range<usize> = 8..12;

/// The names in assertions.
pub const NAMES: &[Name] = &[
    Name::known("rcode", Shape::Text, "how the server answered: `NOERROR`, `NXDOMAIN`, `SERVFAIL`, …"),
    Name::known("answers", Shape::List(&Shape::Text), "the data of the records of that type, as in a zone file"),
    Name::known("records", Shape::List(RECORDS), "every record of the answer, aliases included"),
    Name::known("ttl", Shape::Number, "the smallest time to live among the answers, in seconds; absent without any"),
    Name::known("authenticated", Shape::Bool, "whether the server says that it has checked DNSSEC"),
    Name::known("authoritative", Shape::Bool, "whether the server says that the zone is its own"),
    Name::known(
        "signature_days_left",
        Shape::Number,
        "days until the first signature of the answer ends, with their fraction; absent without `dnssec` or signatures",
    ),
    Name::known("transport", Shape::Text, "what the answer came over: `udp` or `tcp`"),
    Name::known("dns_ms", Shape::Number, "from the question to its answer, in milliseconds"),
    Name::known("total_ms", Shape::Number, "the whole step, in milliseconds"),
];

const RECORDS: &Shape = &Shape::table(RECORD);

/// The names below each of `records`.
const RECORD: &[Name] = &[
    Name::known("name", Shape::Text, "whose it is"),
    Name::known("type", Shape::Text, "`A`, `CNAME`, …"),
    Name::known("ttl", Shape::Number, "how long it may be kept, in seconds"),
    Name::known("data", Shape::Text, "its data, as in a zone file"),
];

/// The facts of an answer to a question for records of that type.
pub fn facts(answer: &Answer, asked: RecordType, now: Timestamp) -> FactMap {
    let message = &answer.message;
    let records = || message.answers.iter().take(RECORDS_MAX);
    let of_type = || records().filter(|record| record.record_type() == asked);
    let plain = records().filter(|record| record.record_type() != RecordType::RRSIG);
    let mut facts = FactMap::default();
    let mut add = |name: &'static str, value: Value| facts.insert(name, value);
    add("rcode", word(message.metadata.response_code).into());
    add("answers", of_type().map(data).collect::<Vec<_>>().into());
    add("records", plain.map(listed).collect::<Vec<_>>().into());
    add("authenticated", message.metadata.authentic_data.into());
    add("authoritative", message.metadata.authoritative.into());
    add("transport", answer.transport.as_str().into());
    if let Some(ttl) = of_type().map(|record| record.ttl).min() {
        add("ttl", ttl.into());
    }
    if let Some(seconds) = records().filter_map(|record| seconds_left(record, now)).min() {
        let days = f64::from(seconds) / 86_400.0;
        // Nine seconds are near enough, and sixteen digits tell nobody more.
        add("signature_days_left", ((days * 1e4).round() / 1e4).into());
    }
    facts
}

fn listed(record: &Record) -> Value {
    json!({
        "name": record.name.to_string(),
        "type": record.record_type().to_string(),
        "ttl": record.ttl,
        "data": data(record),
    })
}

/// The data of a record as in a zone file.
pub fn data(record: &Record) -> String {
    record.data.to_string().chars().take(DATA_CHARS_MAX).collect()
}

/// The seconds until a signature ends, negative afterwards. Its clock has 32 bits and goes round (RFC 4034, section 3.1.5).
fn seconds_left(record: &Record, now: Timestamp) -> Option<i32> {
    let RData::Unknown { code: RecordType::RRSIG, rdata } = &record.data else { return None };
    let end: [u8; 4] = rdata.anything.get(SIGNATURE_END)?.try_into().ok()?;
    let now = u32::try_from(now.timestamp() & i64::from(u32::MAX)).ok()?;
    Some(u32::from_be_bytes(end).wrapping_sub(now).cast_signed())
}

/// The mnemonic of IANA's registry, or the number where we know none.
pub fn word(code: ResponseCode) -> String {
    let word = match code {
        ResponseCode::NoError => "NOERROR",
        ResponseCode::FormErr => "FORMERR",
        ResponseCode::ServFail => "SERVFAIL",
        ResponseCode::NXDomain => "NXDOMAIN",
        ResponseCode::NotImp => "NOTIMP",
        ResponseCode::Refused => "REFUSED",
        ResponseCode::NotAuth => "NOTAUTH",
        ResponseCode::NotZone => "NOTZONE",
        ResponseCode::BADVERS => "BADVERS",
        ResponseCode::BADCOOKIE => "BADCOOKIE",
        other => return format!("RCODE{}", u16::from(other)),
    };
    word.to_owned()
}

#[cfg(test)]
mod tests {
    use hickory_resolver::proto::rr::Name as DnsName;
    use hickory_resolver::proto::rr::rdata::NULL;

    use super::*;

    #[test]
    fn codes_have_their_words() {
        assert_eq!(word(ResponseCode::NXDomain), "NXDOMAIN");
        assert_eq!(word(ResponseCode::from(0, 11)), "RCODE11");
    }

    #[test]
    fn the_end_of_a_signature_is_read_round_the_end_of_its_clock() {
        let signature = |end: u32| {
            let rdata = NULL::with([&[0; 8][..], &end.to_be_bytes()].concat());
            Record::from_rdata(DnsName::root(), 60, RData::Unknown { code: RecordType::RRSIG, rdata })
        };
        let now = |seconds: i64| Timestamp::from_timestamp(seconds, 0).unwrap();
        assert_eq!(seconds_left(&signature(1_000), now(900)), Some(100));
        assert_eq!(seconds_left(&signature(900), now(1_000)), Some(-100));
        assert_eq!(seconds_left(&signature(50), now(i64::from(u32::MAX) - 49)), Some(100));
        let short = RData::Unknown { code: RecordType::RRSIG, rdata: NULL::with(vec![0; 11]) };
        assert_eq!(seconds_left(&Record::from_rdata(DnsName::root(), 60, short), now(0)), None);
    }
}
