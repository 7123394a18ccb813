//! HTTP/2: with nginx by the choice of the handshake, and with peers that break its rules.

use std::time::Duration;

use roundsman::domain::outcome::FailureKind;

use super::probing::{Run, probe, quoted};
use super::servers::certificates::Authority;
use super::servers::frames::{
    CONTINUATION, DATA, END_HEADERS, END_STREAM, Frames, GOAWAY, HEADERS, OK, PING, RST_STREAM, SETTINGS, frame,
};
use super::servers::hostile::Hostile;
use super::servers::nginx::{Nginx, Site};

#[tokio::test]
async fn the_server_chooses_the_version_unless_the_probe_does() {
    let authority = Authority::new("Test CA");
    let identity = authority.issue(&["localhost"], |_| {});
    let directives = "location / { return 200 \"$server_protocol $http_host $request_method $http_x_a\"; }";
    let nginx = Nginx::start(&[Site { identity: Some(&identity), directives }], &[]);
    let (port, ca) = (nginx.port(0), quoted(&authority.pem));
    for (version, fact, words) in [
        ("", "2", format!("HTTP/2.0 localhost:{port} POST b")),
        (", http_version: \"2\"", "2", format!("HTTP/2.0 localhost:{port} POST b")),
        (", http_version: \"1.1\"", "1.1", format!("HTTP/1.1 localhost:{port} POST b")),
    ] {
        let yaml = format!(
            "{{ url: \"https://localhost:{port}/\", ca: {ca}, method: POST, body: text, headers: {{ X-A: b }}{version} }}"
        );
        let seen = probe("http", &yaml).await.unwrap();
        assert_eq!(seen.facts["http_version"], fact);
        assert_eq!(seen.body.unwrap(), words);
        assert!(seen.phases.first_byte_ms.is_some() && seen.phases.transfer_ms.is_some(), "{:?}", seen.phases);
    }
}

#[tokio::test]
async fn steps_share_a_connection_and_large_bodies_flow() {
    let authority = Authority::new("Test CA");
    let identity = authority.issue(&["localhost"], |_| {});
    let big = vec![b'x'; 3 * 1024 * 1024];
    let nginx = Nginx::start(&[Site { identity: Some(&identity), directives: "" }], &[("big.bin", &big)]);
    let ca = quoted(&authority.pem);
    let yaml = format!("{{ url: \"https://localhost:{}/big.bin\", ca: {ca}, max_body: 4194304 }}", nginx.port(0));
    let run = Run::new();
    let first = run.step("http", &yaml).await.unwrap();
    let second = run.step("http", &yaml).await.unwrap();
    assert_eq!((first.body.unwrap().len(), second.body.unwrap().len()), (big.len(), big.len()));
    assert!(first.phases.tls_ms.is_some() && second.phases.tls_ms.is_none(), "{:?}", second.phases);
    assert_eq!(second.facts["http_version"], "2");
    let cut = run.step("http", &yaml.replace("4194304", "1024")).await.unwrap_err();
    assert_eq!(cut.kind, FailureKind::BodyTooLarge);
}

#[tokio::test]
async fn a_server_that_does_not_choose_it_is_named() {
    let authority = Authority::new("Test CA");
    let server = super::servers::clients_only::ClientsOnly::start(&authority).await;
    let yaml =
        format!("{{ url: \"https://{}/\", ca: {}, http_version: \"2\" }}", server.address, quoted(&authority.pem));
    let failure = probe("http", &yaml).await.unwrap_err();
    assert_eq!(failure.to_string(), "protocol.invalid: the server does not choose HTTP/2 in the TLS handshake");
    let old = Hostile::answering("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n").await;
    let failure = probe("http", &format!("{{ url: \"{}\", http_version: \"2\" }}", old.url())).await.unwrap_err();
    assert_eq!(failure.kind, FailureKind::ProtocolInvalid, "{failure}");
}

#[tokio::test]
async fn the_first_byte_came_with_the_head_and_not_with_settings() {
    let pause = Duration::from_millis(60);
    let answer = [frame(HEADERS, END_HEADERS, 1, &[OK]), frame(DATA, END_STREAM, 1, b"ok")].concat();
    let server = Frames::start(frame(SETTINGS, 0, 0, &[]), pause, answer, Vec::new()).await;
    let seen = probe("http", &server.probe()).await.unwrap();
    assert_eq!((seen.facts["status"].as_i64(), seen.body.as_deref()), (Some(200), Some(&b"ok"[..])));
    assert!(seen.phases.first_byte_ms.unwrap() >= 59.0, "{:?}", seen.phases);
}

#[tokio::test]
async fn what_breaks_the_rules_is_named() {
    let head = frame(HEADERS, END_HEADERS, 1, &[OK]);
    let announced = frame(HEADERS, END_HEADERS, 1, &[OK, 0x0f, 0x0d, 1, b'9']);
    for (what, answer, kind, words) in [
        (
            "a reset",
            frame(RST_STREAM, 0, 1, &7_u32.to_be_bytes()),
            FailureKind::ProtocolClosed,
            "the server ended the request",
        ),
        (
            "a farewell",
            frame(GOAWAY, 0, 0, &[0, 0, 0, 0, 0, 0, 0, 11]),
            FailureKind::ProtocolClosed,
            "the server ended the connection",
        ),
        ("an end without an answer", frame(SETTINGS, 1, 0, &[]), FailureKind::ProtocolClosed, "without an answer"),
        (
            "an end in the body",
            [head.clone(), frame(DATA, 0, 1, b"abc")].concat(),
            FailureKind::ProtocolClosed,
            "before the answer was whole",
        ),
        (
            "a body shorter than announced",
            [announced, frame(DATA, END_STREAM, 1, b"abc")].concat(),
            FailureKind::ProtocolInvalid,
            "not valid HTTP/2",
        ),
        (
            "a frame that is too large",
            frame(DATA, 0, 1, &b"x".repeat(20_000)),
            FailureKind::ProtocolInvalid,
            "not valid HTTP/2",
        ),
        (
            "a head that is none",
            frame(HEADERS, END_HEADERS, 1, &[0xff; 9]),
            FailureKind::ProtocolInvalid,
            "not valid HTTP/2",
        ),
    ] {
        let server = Frames::answering(answer).await;
        let failure = probe("http", &server.probe()).await.unwrap_err();
        assert_eq!(failure.kind, kind, "{what}: {failure}");
        assert!(failure.message.contains(words), "{what}: {failure}");
    }
}

#[tokio::test]
async fn floods_end_by_their_size_or_the_deadline() {
    let junk = [&[0x00, 0x01, b'x', 0x7f, 0x81, 0x7e][..], &[b'y'; 8_000]].concat();
    let silent = [FailureKind::ProtocolInvalid, FailureKind::TimeoutFirstByte];
    for (what, answer, endless, kinds) in [
        ("settings", Vec::new(), frame(SETTINGS, 0, 0, &[]), &silent[..]),
        ("pings", Vec::new(), frame(PING, 0, 0, &[0; 8]), &silent),
        (
            "resets",
            Vec::new(),
            frame(RST_STREAM, 0, 1, &[0, 0, 0, 8]),
            &[FailureKind::ProtocolClosed, FailureKind::ProtocolInvalid],
        ),
        (
            "continuations",
            frame(HEADERS, 0, 1, &[OK]),
            frame(CONTINUATION, 0, 1, &junk),
            &[FailureKind::ProtocolHeaderTooLarge, FailureKind::ProtocolInvalid],
        ),
        (
            "empty data",
            frame(HEADERS, END_HEADERS, 1, &[OK]),
            frame(DATA, 0, 1, &[]),
            &[FailureKind::ProtocolInvalid, FailureKind::TimeoutTransfer],
        ),
        (
            "data without end",
            frame(HEADERS, END_HEADERS, 1, &[OK]),
            frame(DATA, 0, 1, &[b'x'; 16_000]),
            &[FailureKind::BodyTooLarge, FailureKind::ProtocolInvalid],
        ),
    ] {
        let server = Frames::start(frame(SETTINGS, 0, 0, &[]), Duration::ZERO, answer, endless).await;
        let failure = Run::within(3_000).step("http", &server.probe()).await.unwrap_err();
        assert!(kinds.contains(&failure.kind), "{what}: {failure}");
    }
    let shut = frame(SETTINGS, 0, 0, &[0, 4, 0, 0, 0, 0]);
    let server = Frames::start(shut, Duration::ZERO, Vec::new(), Vec::new()).await;
    let yaml = server.probe().replace(" }", ", method: POST, body: text }");
    let failure = Run::within(500).step("http", &yaml).await.unwrap_err();
    assert_eq!(failure.kind, FailureKind::TimeoutFirstByte, "a window that never opens: {failure}");
}

/// Takes what the window at its beginning lets through, then nothing for so long, then the rest; and answers.
async fn slow_to_take(pause: Duration) -> (std::net::SocketAddr, tokio::task::JoinSet<()>) {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let mut tasks = tokio::task::JoinSet::new();
    tasks.spawn(async move {
        let (stream, _) = listener.accept().await.unwrap();
        stream.set_nodelay(true).unwrap();
        let mut connection = h2::server::handshake(stream).await.unwrap();
        let mut calls = tokio::task::JoinSet::new();
        while let Some(Ok((request, mut respond))) = connection.accept().await {
            calls.spawn(async move {
                let mut body = request.into_body();
                let (mut bytes, mut held) = (0, 0);
                while let Some(Ok(data)) = body.data().await {
                    bytes += data.len();
                    held += data.len();
                    if bytes == 65_535 {
                        tokio::time::sleep(pause).await;
                    }
                    if bytes >= 65_535 {
                        body.flow_control().release_capacity(std::mem::take(&mut held)).unwrap();
                    }
                }
                assert_eq!(bytes, 150_000);
                respond.send_response(http::Response::new(()), true).unwrap();
            });
        }
    });
    (address, tasks)
}

#[tokio::test]
async fn the_upload_of_a_large_body_is_no_wait_for_its_answer() {
    let (address, _tasks) = slow_to_take(Duration::from_millis(800)).await;
    let body = "x".repeat(150_000);
    let yaml = format!("{{ url: \"http://{address}/\", http_version: \"2\", method: POST, body: {body} }}");
    let seen = probe("http", &yaml).await.unwrap();
    assert!(seen.phases.total_ms >= 800.0 && seen.phases.first_byte_ms.unwrap() < 400.0, "{:?}", seen.phases);
}

#[tokio::test]
async fn settings_are_no_first_byte_of_an_answer() {
    let server = Frames::start(frame(SETTINGS, 0, 0, &[]), Duration::ZERO, Vec::new(), Vec::new()).await;
    let failure = Run::within(300).step("http", &server.probe()).await.unwrap_err();
    assert_eq!(failure.kind, FailureKind::TimeoutFirstByte);
    let phases = failure.phases.unwrap();
    assert_eq!((phases.first_byte_ms, phases.transfer_ms), (None, None), "{phases:?}");
}
