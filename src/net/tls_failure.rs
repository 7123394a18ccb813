//! What went wrong in TLS, in words.

use std::io;

use rustls::{AlertDescription, CertificateError, Error, PeerIncompatible};

use super::certificates::{Certificate, Chain};
use super::excerpt::excerpt;
use crate::domain::outcome::{Failure, FailureKind};
use crate::domain::time::{Timestamp, between, words};

/// What a handshake failed of.
pub(super) fn of_handshake(error: &io::Error) -> Failure {
    let tls = error.get_ref().and_then(|inner| inner.downcast_ref::<Error>());
    let message = match tls {
        Some(Error::InvalidCertificate(_)) => {
            let message = "the server does not prove that the certificate is its own";
            return Failure::new(FailureKind::TlsCertificate, message);
        }
        Some(Error::InvalidMessage(_) | Error::InappropriateMessage { .. }) => {
            "the other side does not speak TLS".to_owned()
        }
        Some(
            Error::AlertReceived(AlertDescription::ProtocolVersion)
            | Error::PeerIncompatible(
                PeerIncompatible::ServerTlsVersionIsDisabledByOurConfig
                | PeerIncompatible::ServerDoesNotSupportTls12Or13,
            ),
        ) => "the server speaks neither TLS 1.2 nor 1.3, and what is older is weak".to_owned(),
        Some(Error::PeerIncompatible(_)) => {
            "the server speaks no TLS that is accepted (1.2 or 1.3, with their safe ciphers)".to_owned()
        }
        Some(Error::AlertReceived(alert)) => format!("the server broke off the handshake: {}", spaced(*alert)),
        Some(other) => format!("the handshake broke the protocol: {other}"),
        None if error.kind() == io::ErrorKind::UnexpectedEof => "the connection was closed in the handshake".to_owned(),
        None if error.kind() == io::ErrorKind::ConnectionReset => {
            "the connection was reset in the handshake".to_owned()
        }
        None => format!("the handshake failed: {error}"),
    };
    Failure::new(FailureKind::TlsProtocol, message)
}

/// What a connection failed of after the handshake, if it was TLS: in TLS 1.3 the server judges the client only then.
pub fn of_stream(error: &io::Error) -> Option<Failure> {
    let tls = error.get_ref().and_then(|inner| inner.downcast_ref::<Error>())?;
    let message = match tls {
        Error::AlertReceived(alert) => format!("the server broke off the connection: {}", spaced(*alert)),
        other => format!("the connection broke the protocol: {other}"),
    };
    Some(Failure::new(FailureKind::TlsProtocol, message))
}

/// `HandshakeFailure` as words.
fn spaced(alert: AlertDescription) -> String {
    let name = format!("{alert:?}");
    name.chars().fold(String::new(), |mut text, c| {
        if c.is_uppercase() && !text.is_empty() {
            text.push(' ');
        }
        text.extend(c.to_lowercase());
        text
    })
}

/// What is wrong with a chain.
pub(super) fn of_chain(error: &Error, chain: &Chain, host: &str, now: Timestamp) -> Failure {
    use CertificateError as Is;
    let leaf = &chain.leaf;
    let (kind, message) = match error {
        Error::InvalidCertificate(Is::Expired | Is::ExpiredContext { .. }) => {
            let at_fault = chain.certificates().find(|one| one.not_after < now).unwrap_or(leaf);
            let ago = length(at_fault.not_after, now);
            (FailureKind::TlsExpired, format!("{}expired {ago} ago", which(at_fault, chain)))
        }
        Error::InvalidCertificate(Is::NotValidYet | Is::NotValidYetContext { .. }) => {
            let at_fault = chain.certificates().find(|one| one.not_before > now).unwrap_or(leaf);
            let ahead = length(now, at_fault.not_before);
            (FailureKind::TlsNotYetValid, format!("{}is not valid for another {ahead}", which(at_fault, chain)))
        }
        Error::InvalidCertificate(Is::NotValidForName | Is::NotValidForNameContext { .. }) => {
            (FailureKind::TlsWrongName, format!("is for {}, not {host}", names(leaf)))
        }
        Error::InvalidCertificate(_) if leaf.is_self_signed() => {
            (FailureKind::TlsSelfSigned, format!("is signed by itself (`{}`)", excerpt(&leaf.subject)))
        }
        Error::InvalidCertificate(Is::UnknownIssuer) => (
            FailureKind::TlsUnknownIssuer,
            format!("is signed by `{}`, whom nobody here trusts", excerpt(issuer(chain))),
        ),
        Error::InvalidCertificate(other) => (FailureKind::TlsCertificate, format!("cannot be used: {other}")),
        Error::General(ours) => (FailureKind::Internal, ours.clone()),
        other => (FailureKind::TlsCertificate, format!("cannot be used: {other}")),
    };
    let failure = Failure::new(kind, message);
    match kind {
        FailureKind::TlsWrongName => failure.with(host, names(leaf)),
        _ => failure,
    }
}

/// Nothing for the server's own certificate, which is what a reader thinks of; else which one.
fn which(at_fault: &Certificate, chain: &Chain) -> String {
    if *at_fault == chain.leaf {
        String::new()
    } else {
        format!("the certificate of `{}` in the chain ", excerpt(&at_fault.subject))
    }
}

/// The end of the chain as it was sent: whom one would have to trust.
fn issuer(chain: &Chain) -> &str {
    let mut issuer = &chain.leaf.issuer;
    for other in &chain.others {
        if other.subject == *issuer {
            issuer = &other.issuer;
        }
    }
    issuer
}

fn names(leaf: &Certificate) -> String {
    match leaf.names.as_slice() {
        [] => format!("no host name (`{}`)", excerpt(&leaf.subject)),
        [one] => excerpt(one).into_owned(),
        [one, two] => format!("{} and {}", excerpt(one), excerpt(two)),
        [one, two, rest @ ..] => format!("{}, {} and {} more", excerpt(one), excerpt(two), rest.len()),
    }
}

/// Days with one decimal, as people speak of certificates; less than a day in its own units.
fn length(from: Timestamp, to: Timestamp) -> String {
    let length = between(from, to);
    let days = length.as_secs_f64() / 86_400.0;
    if days < 1.0 { words(length) } else { format!("{days:.1} days") }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn certificate(subject: &str, issuer: &str, names: &[&str], not_after: &str) -> Certificate {
        Certificate {
            subject: subject.to_owned(),
            issuer: issuer.to_owned(),
            names: names.iter().map(|name| (*name).to_owned()).collect(),
            serial: "01".to_owned(),
            not_before: "2026-01-01T00:00:00Z".parse().unwrap(),
            not_after: not_after.parse().unwrap(),
        }
    }

    fn told(error: CertificateError, leaf: Certificate, others: Vec<Certificate>) -> String {
        let chain = Chain { length: 1 + others.len(), leaf, others };
        let now = "2026-03-01T00:00:00Z".parse().unwrap();
        of_chain(&Error::InvalidCertificate(error), &chain, "b.example", now).to_string()
    }

    #[test]
    fn what_is_wrong_with_a_certificate_is_named() {
        let good = || certificate("CN=a", "CN=i", &["a.example"], "2027-01-01T00:00:00Z");
        let old = certificate("CN=a", "CN=i", &["a.example"], "2026-02-25T19:12:00Z");
        assert_eq!(told(CertificateError::Expired, old, vec![]), "tls.expired: expired 3.2 days ago");
        let old = certificate("CN=i", "CN=r", &[], "2026-02-28T22:00:00Z");
        assert_eq!(
            told(CertificateError::Expired, good(), vec![old]),
            "tls.expired: the certificate of `CN=i` in the chain expired 2 h ago"
        );
        assert_eq!(
            told(CertificateError::NotValidForName, good(), vec![]),
            "tls.wrong_name: is for a.example, not b.example"
        );
        let many = certificate("CN=a", "CN=i", &["a", "b", "c", "d"], "2027-01-01T00:00:00Z");
        assert_eq!(
            told(CertificateError::NotValidForName, many, vec![]),
            "tls.wrong_name: is for a, b and 2 more, not b.example"
        );
        let intermediate = certificate("CN=i", "CN=r", &[], "2027-01-01T00:00:00Z");
        assert_eq!(
            told(CertificateError::UnknownIssuer, good(), vec![intermediate]),
            "tls.unknown_issuer: is signed by `CN=r`, whom nobody here trusts"
        );
        let own = certificate("CN=a", "CN=a", &["b.example"], "2027-01-01T00:00:00Z");
        assert_eq!(told(CertificateError::UnknownIssuer, own, vec![]), "tls.self_signed: is signed by itself (`CN=a`)");
    }

    #[test]
    fn alerts_are_words() {
        let alert = io::Error::other(Error::AlertReceived(AlertDescription::HandshakeFailure));
        assert_eq!(
            of_handshake(&alert).to_string(),
            "tls.protocol: the server broke off the handshake: handshake failure"
        );
        let closed = io::Error::from(io::ErrorKind::UnexpectedEof);
        assert_eq!(of_handshake(&closed).to_string(), "tls.protocol: the connection was closed in the handshake");
    }
}
