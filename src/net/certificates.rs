//! What a chain of certificates says of itself. Nothing here decides whether it is to be trusted.

use std::fmt::Write as _;
use std::net::IpAddr;

use rustls::pki_types::CertificateDer;
use serde_json::{Value, json};
use x509_parser::certificate::X509Certificate;
use x509_parser::extensions::GeneralName;
use x509_parser::prelude::FromDer as _;

use crate::domain::expression::{Name, Shape};
use crate::domain::outcome::{Failure, FailureKind};
use crate::domain::time::{Timestamp, rfc3339};

/// Of a longer chain only the first so many are read; it is the target that chooses the length.
const CHAIN_MAX: usize = 16;
/// A serial number has at most this many bytes (RFC 5280, section 4.1.2.2).
const SERIAL_BYTES_MAX: usize = 20;
/// A line about a certificate that has this many names or more has the first so many.
const LINE_NAMES_MAX: usize = 10;
/// At most this many names of a certificate are kept.
const NAMES_MAX: usize = 200;

/// The names below `cert` in assertions.
pub const NAMES: &[Name] = &[
    Name::known(
        "days_left",
        Shape::Number,
        "days until the certificate ends, with their fraction; negative afterwards",
    ),
    Name::known("chain_days_left", Shape::Number, "days until the first certificate of the chain that was sent ends"),
    Name::known("subject", Shape::Text, "whom it is for, e.g. `CN=shop.example.com`"),
    Name::known("issuer", Shape::Text, "who signed it"),
    Name::known("names", Shape::List(&Shape::Text), "the host names and addresses it is for"),
    Name::known("not_before", Shape::Text, "when it begins, RFC 3339"),
    Name::known("not_after", Shape::Text, "when it ends, RFC 3339"),
    Name::known("serial", Shape::Text, "its serial number, in hexadecimal digits"),
    Name::known("self_signed", Shape::Bool, "whether it names itself as its issuer"),
    Name::known("chain_length", Shape::Number, "how many certificates were sent"),
    Name::known("chain", Shape::List(&LINK), "those that were sent, its own first; at most 16"),
];

static LINK: Shape = Shape::table(LINK_NAMES);

const LINK_NAMES: &[Name] = &[
    Name::known("subject", Shape::Text, "whom it is for"),
    Name::known("issuer", Shape::Text, "who signed it"),
    Name::known("not_before", Shape::Text, "when it begins, RFC 3339"),
    Name::known("not_after", Shape::Text, "when it ends, RFC 3339"),
    Name::known("days_left", Shape::Number, "days until it ends, with their fraction"),
];

/// One certificate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Certificate {
    /// Whom it is for.
    pub subject: String,
    /// Who signed it.
    pub issuer: String,
    /// The host names and addresses it is for.
    pub names: Vec<String>,
    /// Its serial number, in hexadecimal digits.
    pub serial: String,
    /// When it begins.
    pub not_before: Timestamp,
    /// When it ends.
    pub not_after: Timestamp,
}

impl Certificate {
    /// Whether it names itself as its issuer.
    pub fn is_self_signed(&self) -> bool {
        self.issuer == self.subject
    }

    /// One line for people.
    pub fn line(&self) -> String {
        let names = match self.names.get(..LINE_NAMES_MAX) {
            Some(first) => format!(" for {}, …", first.join(", ")),
            None if self.names.is_empty() => String::new(),
            None => format!(" for {}", self.names.join(", ")),
        };
        let (from, to) = (rfc3339(self.not_before), rfc3339(self.not_after));
        format!("`{}`{names}, signed by `{}`, from {from} to {to}", self.subject, self.issuer)
    }
}

/// What a server sent: its own certificate first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Chain {
    /// The server's own.
    pub leaf: Certificate,
    /// Those that it sent with it.
    pub others: Vec<Certificate>,
    /// How many were sent, of which [`Self::others`] may hold only the first.
    pub length: usize,
}

impl Chain {
    /// Reads what was sent.
    pub fn read(sent: &[CertificateDer<'_>]) -> Result<Self, Failure> {
        let Some((leaf, others)) = sent.split_first() else {
            return Err(Failure::new(FailureKind::TlsCertificate, "the server sent no certificate"));
        };
        let leaf =
            read(leaf).ok_or_else(|| Failure::new(FailureKind::TlsCertificate, "the certificate cannot be read"))?;
        let others = others.iter().take(CHAIN_MAX - 1).filter_map(read).collect();
        Ok(Self { leaf, others, length: sent.len() })
    }

    /// All of them, the server's own first.
    pub fn certificates(&self) -> impl Iterator<Item = &Certificate> {
        std::iter::once(&self.leaf).chain(&self.others)
    }

    /// When the first of them ends.
    pub fn expires(&self) -> Timestamp {
        self.others.iter().map(|other| other.not_after).fold(self.leaf.not_after, Timestamp::min)
    }

    /// What assertions name as `cert`; see [`NAMES`].
    pub fn facts(&self, now: Timestamp) -> Value {
        json!({
            "days_left": days_between(now, self.leaf.not_after),
            "chain_days_left": days_between(now, self.expires()),
            "subject": self.leaf.subject,
            "issuer": self.leaf.issuer,
            "names": self.leaf.names,
            "not_before": rfc3339(self.leaf.not_before),
            "not_after": rfc3339(self.leaf.not_after),
            "serial": self.leaf.serial,
            "self_signed": self.leaf.is_self_signed(),
            "chain_length": self.length,
            "chain": self.certificates().map(|one| json!({
                "subject": one.subject,
                "issuer": one.issuer,
                "not_before": rfc3339(one.not_before),
                "not_after": rfc3339(one.not_after),
                "days_left": days_between(now, one.not_after),
            })).collect::<Vec<_>>(),
        })
    }
}

/// Days with their fraction; negative when `to` is earlier.
fn days_between(from: Timestamp, to: Timestamp) -> f64 {
    let days = (to - from).num_seconds() as f64 / 86_400.0;
    // Nine seconds are near enough, and sixteen digits tell nobody more.
    (days * 1e4).round() / 1e4
}

fn read(der: &CertificateDer<'_>) -> Option<Certificate> {
    let (_, parsed) = X509Certificate::from_der(der).ok()?;
    let validity = parsed.validity();
    Some(Certificate {
        subject: parsed.subject().to_string(),
        issuer: parsed.issuer().to_string(),
        names: names(&parsed),
        serial: serial(&parsed),
        not_before: Timestamp::from_timestamp(validity.not_before.timestamp(), 0)?,
        not_after: Timestamp::from_timestamp(validity.not_after.timestamp(), 0)?,
    })
}

fn serial(parsed: &X509Certificate<'_>) -> String {
    parsed.raw_serial().iter().take(SERIAL_BYTES_MAX).fold(String::new(), |mut digits, byte| {
        // Writing to a String cannot fail.
        let _ = write!(digits, "{byte:02x}");
        digits
    })
}

fn names(parsed: &X509Certificate<'_>) -> Vec<String> {
    let Ok(Some(extension)) = parsed.subject_alternative_name() else { return Vec::new() };
    let name = |name: &GeneralName<'_>| match name {
        GeneralName::DNSName(name) => Some((*name).to_owned()),
        GeneralName::IPAddress(octets) => address(octets).map(|address| address.to_string()),
        _ => None,
    };
    extension.value.general_names.iter().filter_map(name).take(NAMES_MAX).collect()
}

fn address(octets: &[u8]) -> Option<IpAddr> {
    let four: Result<[u8; 4], _> = octets.try_into();
    let sixteen: Result<[u8; 16], _> = octets.try_into();
    four.map(IpAddr::from).or(sixteen.map(IpAddr::from)).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn certificate(names: &[&str], from: (i32, u8, u8), to: (i32, u8, u8)) -> CertificateDer<'static> {
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        let mut params = rcgen::CertificateParams::new(names).unwrap();
        params.distinguished_name = rcgen::DistinguishedName::new();
        params.distinguished_name.push(rcgen::DnType::CommonName, "a.example");
        params.not_before = rcgen::date_time_ymd(from.0, from.1, from.2);
        params.not_after = rcgen::date_time_ymd(to.0, to.1, to.2);
        let key = rcgen::KeyPair::generate().unwrap();
        params.self_signed(&key).unwrap().into()
    }

    #[test]
    fn a_chain_says_whom_it_is_for_and_when_its_first_certificate_ends() {
        let leaf = certificate(&["a.example", "*.a.example", "192.0.2.1"], (2026, 1, 1), (2026, 4, 1));
        let other = certificate(&[], (2020, 1, 1), (2026, 3, 11));
        let chain = Chain::read(&[leaf, other]).unwrap();
        assert_eq!(rfc3339(chain.expires()), "2026-03-11T00:00:00.000Z");
        let facts = chain.facts("2026-03-01T12:00:00Z".parse().unwrap());
        assert_eq!(facts["days_left"], 30.5);
        assert_eq!(facts["chain_days_left"], 9.5);
        assert_eq!(facts["names"], json!(["a.example", "*.a.example", "192.0.2.1"]));
        assert_eq!(facts["subject"], "CN=a.example");
        assert_eq!(facts["chain_length"], 2);
        assert_eq!(facts["self_signed"], true);
        assert_eq!(facts["chain"][1]["not_after"], "2026-03-11T00:00:00.000Z");
        assert_eq!(facts["chain"][1]["days_left"], 9.5);
        assert_eq!(
            chain.leaf.line(),
            "`CN=a.example` for a.example, *.a.example, 192.0.2.1, signed by `CN=a.example`, \
             from 2026-01-01T00:00:00.000Z to 2026-04-01T00:00:00.000Z"
        );
        let known: Vec<&str> = NAMES.iter().map(|name| name.name.as_ref()).collect();
        assert_eq!(facts.as_object().unwrap().keys().collect::<Vec<_>>(), known);
    }

    #[test]
    fn bytes_that_are_no_certificate_are_a_failure() {
        let garbage = CertificateDer::from(vec![0x30, 0x84, 0xff, 0xff, 0xff, 0xff]);
        assert_eq!(Chain::read(&[garbage]).unwrap_err().kind, FailureKind::TlsCertificate);
        assert_eq!(Chain::read(&[]).unwrap_err().kind, FailureKind::TlsCertificate);
    }
}
