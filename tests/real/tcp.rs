//! Kind `tcp` in full, and `starttls`: aiosmtpd, nginx, and peers that speak a few words by hand.

use std::time::Duration;

use roundsman::domain::outcome::FailureKind;
use serde_json::json;

use crate::probing::{Run, probe, quoted};
use crate::servers::certificates::Authority;
use crate::servers::hostile::{Hostile, Move};
use crate::servers::nginx::{Nginx, Site};
use crate::servers::smtp::Smtp;

#[tokio::test]
async fn a_connection_alone_says_and_hears_nothing() {
    let server = Hostile::playing(vec![Move::Send(b"hello\n".to_vec())]).await;
    let seen = probe("tcp", &format!("address: \"{}\"", server.address)).await.unwrap();
    assert_eq!(seen.facts.iter().map(|(name, _)| name).collect::<Vec<_>>(), ["remote_ip"]);
    assert_eq!(seen.phases.first_byte_ms, None);
}

#[tokio::test]
async fn what_comes_ends_where_it_is_said_to() {
    let server = Hostile::playing(vec![Move::Send(b"220 ready\r\nmore\xff.".to_vec())]).await;
    for (receive, hex, text) in [
        ("line", "3232302072656164 79", Some("220 ready")),
        ("{ bytes: 3 }", "323230", Some("220")),
        ("{ until: \"\\nm\" }", "3232302072656164790d0a6d", Some("220 ready\r\nm")),
        ("end", "3232302072656164790d0a6d6f7265ff2e", None),
    ] {
        let yaml = format!("{{ address: \"{}\", receive: {receive} }}", server.address);
        let seen = probe("tcp", &yaml).await.unwrap();
        assert_eq!(seen.facts["received_hex"], hex.replace(' ', ""), "{receive}");
        assert_eq!(seen.facts.get("received"), text.map(|text| json!(text)).as_ref(), "{receive}");
        assert!(seen.phases.first_byte_ms.is_some());
    }
}

#[tokio::test]
async fn words_are_said_in_the_clear_and_under_tls() {
    let authority = Authority::new("Test CA");
    let identity = authority.issue(&["127.0.0.1"], |_| {});
    let directives = "location / { return 200 shop; }";
    let nginx =
        Nginx::start(&[Site { identity: None, directives }, Site { identity: Some(&identity), directives }], &[]);
    let ca = quoted(&authority.pem);
    let words = "send: \"GET /{{page}} HTTP/1.0\\r\\n\\r\\n\", receive: end";
    for (site, tls) in [(0, String::new()), (1, format!("tls: {{ ca: {ca} }},"))] {
        let yaml = format!("{{ address: \"127.0.0.1:{}\", {tls} {words} }}", nginx.port(site));
        let (seen, exchanges) = Run::new().captured("page", "cart").recorded("tcp", &yaml).await;
        let seen = seen.unwrap();
        assert!(seen.facts["received"].as_str().unwrap().ends_with("\r\n\r\nshop"), "{:?}", seen.facts);
        assert_eq!(seen.facts.contains_key("cert"), site == 1);
        assert_eq!(exchanges[0].sent, "GET /cart HTTP/1.0\r\n\r\n");
        assert!(exchanges[0].received.starts_with("HTTP/1.1 200 OK\r\n"), "{exchanges:?}");
        assert_eq!(exchanges[0].certificates.len(), site);
    }
    assert!(nginx.requests().contains("GET /cart HTTP/1.0"));
}

#[tokio::test]
async fn mail_goes_over_to_tls() {
    let authority = Authority::new("Test CA");
    let smtp = Smtp::start(&authority.issue(&["localhost"], |_| {}));
    let ca = quoted(&authority.pem);
    let address = format!("address: \"localhost:{}\", starttls: smtp", smtp.port);
    let seen = probe("tls", &format!("{{ {address}, ca: {ca} }}")).await.unwrap();
    assert_eq!(seen.facts["cert"]["names"], json!(["localhost"]));
    assert!(seen.facts["banner"].as_str().unwrap().starts_with("220 "), "{:?}", seen.facts);

    let words = "send: \"EHLO probe\\r\\n\", receive: { until: \"\\r\\n250 \" }";
    let seen = probe("tcp", &format!("{{ {address}, tls: {{ ca: {ca} }}, {words} }}")).await.unwrap();
    let received = seen.facts["received"].as_str().unwrap();
    assert!(received.starts_with("250-") && !received.contains("STARTTLS"), "under TLS it is not offered: {received}");
    assert!(seen.facts["tls_version"].is_string() && seen.phases.tls_ms.is_some());

    let failure = probe("tls", &format!("{{ {address} }}")).await.unwrap_err();
    assert_eq!(failure.kind, FailureKind::TlsUnknownIssuer, "{failure}");
}

#[tokio::test]
async fn what_is_said_before_the_handshake_is_not_trusted() {
    // Whoever sits between could add a word behind the agreement, to be read as if it had come under TLS.
    let injected = b"* OK ready\r\na OK begin\r\n* OK [ALERT] injected\r\n".to_vec();
    let server = Hostile::playing(vec![Move::Send(injected), Move::Hang]).await;
    let failure = probe("tls", &format!("{{ address: \"{}\", starttls: imap }}", server.address)).await.unwrap_err();
    assert_eq!(
        failure.to_string(),
        "protocol.invalid: the server goes on talking in the clear after it has agreed to TLS"
    );
}

#[tokio::test]
async fn hostile_peers_end_in_time_and_within_the_limit() {
    for (script, settings, kind) in [
        (vec![Move::Hang], "receive: line", FailureKind::TimeoutFirstByte),
        (vec![Move::Hang], "starttls: smtp", FailureKind::TimeoutTls),
        (
            vec![Move::Drip(b"a".repeat(1_000), Duration::from_millis(20))],
            "receive: line",
            FailureKind::TimeoutTransfer,
        ),
        (vec![Move::Endless(b"220-a\r\n".repeat(100))], "starttls: smtp", FailureKind::BodyTooLarge),
        (vec![Move::Endless(b"* a\r\n".repeat(100))], "starttls: imap", FailureKind::ProtocolInvalid),
        (vec![Move::Endless(vec![b'a'; 1_000])], "receive: end", FailureKind::BodyTooLarge),
        (vec![Move::Endless(vec![b'a'; 1_000])], "receive: line", FailureKind::BodyTooLarge),
        (vec![Move::Endless(vec![b'a'; 1_000])], "receive: { until: \"ab\" }", FailureKind::BodyTooLarge),
        (vec![Move::Send(b"ab".to_vec())], "receive: { bytes: 3 }", FailureKind::ProtocolClosed),
        (vec![Move::Send(Vec::new())], "receive: line", FailureKind::ProtocolClosed),
        (vec![Move::Send(b"a".to_vec()), Move::Reset], "receive: line", FailureKind::ProtocolClosed),
    ] {
        let server = Hostile::playing(script).await;
        let yaml = format!("{{ address: \"{}\", {settings} }}", server.address);
        let failure = Run::within(500).step("tcp", &yaml).await.unwrap_err();
        assert_eq!(failure.kind, kind, "{settings}: {failure}");
    }
}
