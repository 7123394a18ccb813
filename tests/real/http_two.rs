//! HTTP/2, with nginx by the choice of the handshake. Peers that break its rules are in the table of hostile targets.

use std::time::Duration;

use roundsman::domain::outcome::FailureKind;

use super::probing::{Run, probe, quoted};
use super::servers::certificates::Authority;
use super::servers::frames::{DATA, END_HEADERS, END_STREAM, HEADERS, OK, SETTINGS, frame};
use super::servers::hostile::{Hostile, Move};
use super::servers::nginx::{Nginx, Site};
use super::servers::secured::Secured;

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
    let server = Secured::for_clients_only(&authority).await;
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
    let settings = Move::Send(frame(SETTINGS, 0, 0, &[]));
    let server = Hostile::playing(vec![settings, Move::ReadCall, Move::Pause(pause), Move::Send(answer)]).await;
    let yaml = format!("{{ url: \"{}\", http_version: \"2\" }}", server.url());
    let seen = probe("http", &yaml).await.unwrap();
    assert_eq!((seen.facts["status"].as_i64(), seen.body.as_deref()), (Some(200), Some(&b"ok"[..])));
    assert!(seen.phases.first_byte_ms.unwrap() >= 59.0, "{:?}", seen.phases);
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
    let settings = Move::Send(frame(SETTINGS, 0, 0, &[]));
    let server = Hostile::playing(vec![settings, Move::ReadCall, Move::Pause(Duration::from_secs(9))]).await;
    let yaml = format!("{{ url: \"{}\", http_version: \"2\" }}", server.url());
    let failure = Run::within(300).step("http", &yaml).await.unwrap_err();
    assert_eq!(failure.kind, FailureKind::TimeoutFirstByte);
    let phases = failure.phases.unwrap();
    assert_eq!((phases.first_byte_ms, phases.transfer_ms), (None, None), "{phases:?}");
}
