//! A question and its answer as `dig` would write them, for people who look for a cause.

use std::net::SocketAddr;

use hickory_resolver::proto::op::Message;
use hickory_resolver::proto::rr::Record;

use super::exchange::{Answer, Question, Transport};
use super::facts::{data, word};
use crate::domain::exchange::{Exchange, beginning};
use crate::domain::outcome::Phases;
use crate::domain::text::shell_word;

/// At most this many records are written down.
const RECORDS_MAX: usize = 50;

/// What was asked and what came.
pub fn exchange(server: SocketAddr, question: &Question, answer: Option<&Answer>, phases: Phases) -> Exchange {
    let query = question.query();
    let (name, kind) = query.map(|query| (query.name().to_string(), query.query_type())).unzip();
    let (name, kind) = (name.unwrap_or_default(), kind.map(|kind| kind.to_string()).unwrap_or_default());
    let mut command = format!("dig @{} -p {} {} {kind}", server.ip(), server.port(), shell_word(&name));
    if question.transport == Transport::Tcp {
        command.push_str(" +tcp");
    }
    if question.dnssec() {
        command.push_str(" +dnssec");
    }
    Exchange {
        remote: Some(server.to_string()),
        sent: format!("{name} {kind}"),
        received: answer.map(|answer| beginning(text(answer).as_bytes())).unwrap_or_default(),
        command: Some(command),
        phases,
        ..Exchange::default()
    }
}

fn text(answer: &Answer) -> String {
    let Message { metadata, answers, authorities, .. } = &answer.message;
    let flags = [("aa", metadata.authoritative), ("ra", metadata.recursion_available), ("ad", metadata.authentic_data)];
    let flags: Vec<_> = flags.into_iter().filter(|(_, is_set)| *is_set).map(|(flag, _)| flag).collect();
    let head =
        format!("{} over {}, flags: {}", word(metadata.response_code), answer.transport.as_str(), flags.join(" "));
    let records = answers.iter().chain(authorities).take(RECORDS_MAX).map(line);
    std::iter::once(head).chain(records).collect::<Vec<_>>().join("\n")
}

fn line(record: &Record) -> String {
    format!("{} {} {} {}", record.name, record.ttl, record.record_type(), data(record))
}
