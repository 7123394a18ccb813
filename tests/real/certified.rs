//! What a certificate has shown is known whatever the step fails of: when it ends, and the lines of the record.

use roundsman::domain::outcome::FailureKind;

use super::probing::{Run, quoted};
use super::servers::certificates::Authority;
use super::servers::nginx::{Nginx, Site};
use super::servers::secured::Secured;

const ENDS: &str = "2099-01-01T00:00:00+00:00";

#[tokio::test]
async fn a_failure_behind_a_good_handshake_tells_when_the_certificate_ends() {
    let authority = Authority::new("Test CA");
    let identity = authority.issue(&["127.0.0.1"], |_| {});
    let ca = quoted(&authority.pem);
    let loading: &[u8] = b"-LOADING Redis is loading the dataset in memory\r\n";
    let starting = b"E\0\0\0\x20SFATAL\0C57P03\0Mstarting up\0\0";
    let cut = b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nabc";
    let away = b"HTTP/1.1 302 Found\r\nLocation: gopher://a.example/\r\nContent-Length: 0\r\n\r\n";
    let around = b"HTTP/1.1 302 Found\r\nLocation: /\r\nContent-Length: 0\r\n\r\n";
    let mut cases = vec![
        ("redis", 0, loading, "address: \"{at}\", tls: { ca: {ca} }", FailureKind::AnswerRefused),
        ("redis", 0, b"-NOAUTH\r\n", "address: \"{at}\", tls: { ca: {ca} }", FailureKind::AuthRefused),
        (
            "tcp",
            0,
            b"220",
            "address: \"{at}\", tls: { ca: {ca} }, send: a, receive: line",
            FailureKind::TimeoutTransfer,
        ),
        ("http", 0, cut, "url: \"https://{at}/\", ca: {ca}", FailureKind::TimeoutTransfer),
        ("http", 0, away, "url: \"https://{at}/\", ca: {ca}", FailureKind::RedirectBlocked),
        ("http", 0, around, "url: \"https://{at}/\", ca: {ca}, max_redirects: 1", FailureKind::RedirectLimit),
        ("http", 0, b"", "url: \"https://{at}/\", ca: {ca}, http_version: \"2\"", FailureKind::ProtocolInvalid),
    ];
    if cfg!(feature = "postgres") {
        let settings = "address: \"{at}\", user: u, tls: { ca: {ca} }";
        cases.push(("postgres", 8, starting, settings, FailureKind::AnswerRefused));
    }
    if cfg!(feature = "websocket") {
        let no = b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n";
        cases.push(("websocket", 0, no, "url: \"wss://{at}/\", ca: {ca}", FailureKind::WebSocketRefused));
    }
    if cfg!(feature = "grpc") {
        let settings = "url: \"grpcs://{at}\", ca: {ca}";
        cases.push(("grpc", 0, b"HTTP/1.1 400 Bad Request\r\n\r\n", settings, FailureKind::ProtocolInvalid));
    }
    for (kind, asked, answer, settings, failed) in cases {
        let server = Secured::answering(&identity, asked, answer).await;
        let yaml = settings.replace("{at}", &server.address.to_string()).replace("{ca}", &ca);
        let (seen, exchanges) = Run::within(700).recorded(kind, &format!("{{ {yaml} }}")).await;
        let failure = seen.unwrap_err();
        assert_eq!(failure.kind, failed, "{kind}: {failure}");
        assert_eq!(
            failure.certificate_expires.map(|ends| ends.to_rfc3339()).as_deref(),
            Some(ENDS),
            "{kind}: {failure}"
        );
        assert!(exchanges[0].certificates[0].contains("CN=Test CA"), "{kind}: {exchanges:?}");
    }
}

#[tokio::test]
async fn who_is_not_trusted_is_in_the_record_and_was_sent_nothing() {
    let authority = Authority::new("Test CA");
    let old = authority.issue(&["127.0.0.1"], |params| params.not_after = rcgen::date_time_ymd(2021, 1, 1));
    let mut cases = vec![
        ("tcp", 0, "address: \"{at}\", tls: { ca: {ca} }, send: hello"),
        ("redis", 0, "address: \"{at}\", tls: { ca: {ca} }"),
        ("http", 0, "url: \"https://{at}/\", ca: {ca}"),
    ];
    if cfg!(feature = "postgres") {
        cases.push(("postgres", 8, "address: \"{at}\", user: u, tls: { ca: {ca} }"));
    }
    if cfg!(feature = "websocket") {
        cases.push(("websocket", 0, "url: \"wss://{at}/\", ca: {ca}, send: hello"));
    }
    if cfg!(feature = "grpc") {
        cases.push(("grpc", 0, "url: \"grpcs://{at}\", ca: {ca}"));
    }
    for (kind, asked, settings) in cases {
        let server = Secured::answering(&old, asked, b"").await;
        let yaml = settings.replace("{at}", &server.address.to_string()).replace("{ca}", &quoted(&authority.pem));
        let (seen, exchanges) = Run::within(2_000).recorded(kind, &format!("{{ {yaml} }}")).await;
        let failure = seen.unwrap_err();
        assert_eq!(failure.kind, FailureKind::TlsExpired, "{kind}: {failure}");
        assert_eq!(failure.certificate_expires.unwrap().to_rfc3339(), "2021-01-01T00:00:00+00:00", "{kind}");
        let [exchange] = &exchanges[..] else { panic!("{kind}: {exchanges:?}") };
        assert!(exchange.certificates[0].contains("to 2021-01-01T00:00:00.000Z"), "{kind}: {exchange:?}");
        assert_eq!((exchange.sent.as_str(), exchange.received.as_str()), ("", ""), "{kind}");
        assert_eq!(exchange.remote, Some(server.address.to_string()), "{kind}");
    }
}

#[tokio::test]
async fn a_page_that_is_too_large_tells_when_its_certificate_ends() {
    let authority = Authority::new("Test CA");
    let identity = authority.issue(&["127.0.0.1"], |_| {});
    let many = (0..51).map(|number| format!("<script src={number}.js></script>")).collect::<Vec<_>>().concat();
    let nginx = Nginx::start(&[Site { identity: Some(&identity), directives: "" }], &[("a.html", many.as_bytes())]);
    let yaml = format!("{{ url: \"https://127.0.0.1:{}/a.html\", ca: {} }}", nginx.port(0), quoted(&authority.pem));
    let failure = Run::new().step("page", &yaml).await.unwrap_err();
    assert_eq!(failure.kind, FailureKind::BodyTooLarge);
    assert_eq!(failure.certificate_expires.unwrap().to_rfc3339(), ENDS);
}
