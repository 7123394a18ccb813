//! Kind `http` against peers that break the rules: each costs its own deadline and has a name.

use std::time::Duration;

use roundsman::domain::outcome::{Failure, FailureKind};

use super::probing::Run;
use super::servers::hostile::{Hostile, Move};

async fn failure(script: Vec<Move>, milliseconds: u64) -> Failure {
    let server = Hostile::playing(script).await;
    let run = Run::within(milliseconds);
    let result = run.step("http", &format!("url: {}", server.url())).await;
    result.map(|seen| panic!("this was taken for an answer: {seen:?}")).unwrap_err()
}

/// What a peer sends before it closes, and what that is called.
async fn named(bytes: &[u8], kind: FailureKind) {
    let script = vec![Move::ReadHead, Move::Send(bytes.to_vec())];
    let failure = failure(script, 10_000).await;
    let shown = String::from_utf8_lossy(&bytes[..bytes.len().min(120)]).into_owned();
    assert_eq!(failure.kind, kind, "{failure} after {shown:?}");
}

#[tokio::test]
async fn silence_ends_at_the_deadline_in_the_part_it_is_in() {
    let silent = failure(vec![Move::Hang], 300).await;
    assert_eq!(silent.to_string(), "timeout.first_byte: no byte of an answer came within 300 ms");
    let in_head = failure(vec![Move::ReadHead, Move::Send(b"HTTP/1.1 200".to_vec()), Move::Hang], 300).await;
    assert_eq!(in_head.to_string(), "timeout.transfer: the answer was not whole within 300 ms");
    let in_body = b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nabc".to_vec();
    let in_body = failure(vec![Move::ReadHead, Move::Send(in_body), Move::Hang], 300).await;
    assert_eq!(in_body.kind, FailureKind::TimeoutTransfer);
}

#[tokio::test]
async fn a_drip_gains_no_time() {
    let pause = Duration::from_millis(40);
    let head = format!("HTTP/1.1 200 OK\r\nX: {}\r\n\r\n", "x".repeat(2_000));
    let dripped = failure(vec![Move::ReadHead, Move::Drip(head.into_bytes(), pause)], 400).await;
    assert_eq!(dripped.kind, FailureKind::TimeoutTransfer);
    let head = b"HTTP/1.1 200 OK\r\nContent-Length: 2000\r\n\r\n".to_vec();
    let body = Move::Drip(vec![b'x'; 2_000], pause);
    let dripped = failure(vec![Move::ReadHead, Move::Send(head), body], 400).await;
    assert_eq!(dripped.kind, FailureKind::TimeoutTransfer);
}

#[tokio::test]
async fn an_endless_body_is_cut_at_the_limit() {
    let head = b"HTTP/1.1 200 OK\r\n\r\n".to_vec();
    let endless = Move::Endless(vec![b'x'; 65_536]);
    let cut = failure(vec![Move::ReadHead, Move::Send(head), endless], 10_000).await;
    assert_eq!(cut.kind, FailureKind::BodyTooLarge);
    named(b"HTTP/1.1 200 OK\r\nContent-Length: 1073741824\r\n\r\nx", FailureKind::BodyTooLarge).await;
}

#[tokio::test]
async fn a_head_has_limits() {
    let long = format!("HTTP/1.1 200 OK\r\nX: {}\r\n\r\n", "x".repeat(1_048_576));
    named(long.as_bytes(), FailureKind::ProtocolHeaderTooLarge).await;
    let many = format!("HTTP/1.1 200 OK\r\n{}\r\n", "X: y\r\n".repeat(10_000));
    named(many.as_bytes(), FailureKind::ProtocolHeaderTooLarge).await;
    let flood = vec![Move::ReadHead, Move::Send(b"HTTP/1.1 200 OK\r\n".to_vec()), Move::Endless(b"X: y\r\n".to_vec())];
    assert_eq!(failure(flood, 10_000).await.kind, FailureKind::ProtocolHeaderTooLarge);
}

#[tokio::test]
async fn what_is_not_http_is_named() {
    for bytes in [
        &b"HTTP/1.1 200 OK\r\nNoColon\r\n\r\n"[..],
        b"HTTP/1.1 200 OK\r\nX: a\0b\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nX: a\r\n folded\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 200 OK\nContent-Length: 2\n\nok",
        b"HTTP/1.1 200 OK\r\nX: a\nContent-Length: 2\r\n\r\nok",
        b"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\nabc",
        b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nFFFFFFFFFFFFFFFF1\r\nab\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n-2\r\nab\r\n0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nabXX0\r\n\r\n",
        b"HTTP/1.1 9999 OK\r\n\r\n",
        b"SSH-2.0-OpenSSH_9.2\r\n",
        b"\x16\x03\x01\x00\x05hello\r\n\r\n",
    ] {
        named(bytes, FailureKind::ProtocolInvalid).await;
    }
}

#[tokio::test]
async fn a_short_answer_is_never_a_success() {
    for bytes in [
        &b""[..],
        b"HTTP/1.1 200 OK\r\nContent-Le",
        b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nabc",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nab",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n",
    ] {
        named(bytes, FailureKind::ProtocolClosed).await;
    }
    let head = b"HTTP/1.1 200 OK\r\n\r\nabc".to_vec();
    let reset = failure(vec![Move::ReadHead, Move::Send(head), Move::Reset], 10_000).await;
    assert_eq!(reset.to_string(), "protocol.closed: the connection was reset before the answer was whole");
}

#[tokio::test]
async fn redirects_lead_nowhere_else() {
    for location in [
        "file:///etc/passwd",
        "gopher://127.0.0.1/",
        "http://169.254.169.254/latest/meta-data/",
        "http://[::ffff:169.254.169.254]/",
        "http://2852039166/",
        "http://0xa9.0xfe.0xa9.0xfe/",
        "http://[64:ff9b::a9fe:a9fe]/",
        "http://:99999/",
    ] {
        let answer = format!("HTTP/1.1 302 Found\r\nLocation: {location}\r\nContent-Length: 0\r\n\r\n");
        let script = vec![Move::ReadHead, Move::Send(answer.into_bytes())];
        assert_eq!(failure(script, 10_000).await.kind, FailureKind::RedirectBlocked, "{location}");
    }
}
