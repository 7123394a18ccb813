//! Kind `redis` against Debian's Redis, and against peers that break its protocol.

use std::time::Duration;

use roundsman::domain::outcome::FailureKind;
use serde_json::json;

use crate::probing::{Run, probe, quoted};
use crate::servers::certificates::Authority;
use crate::servers::hostile::{Hostile, Move};
use crate::servers::redis::Redis;

fn command(port: u16, words: &str) -> String {
    format!("{{ address: \"127.0.0.1:{port}\", command: {words} }}")
}

#[tokio::test]
async fn a_ping_is_answered_and_measured() {
    let redis = Redis::start(None, &[]);
    let (seen, exchanges) = Run::new().recorded("redis", &format!("address: \"127.0.0.1:{}\"", redis.port)).await;
    let seen = seen.unwrap();
    assert_eq!(seen.facts["reply"], "PONG");
    assert_eq!(seen.facts["remote_ip"], "127.0.0.1");
    assert!(seen.phases.first_byte_ms.unwrap() > 0.0 && seen.phases.transfer_ms.is_some());
    assert_eq!(seen.facts.get("cert"), None);
    let [exchange] = &exchanges[..] else { panic!("one exchange: {exchanges:?}") };
    assert_eq!((exchange.sent.as_str(), exchange.received.as_str()), ("PING", "+PONG\r\n"));
    assert_eq!(exchange.command, Some(format!("redis-cli -h 127.0.0.1 -p {} PING", redis.port)));
}

#[tokio::test]
async fn every_reply_is_json() {
    let redis = Redis::start(None, &[]);
    for (words, reply) in [
        ("[SET, \"{{key}}\", \"a\\r\\nDEL {{key}}\"]", json!("OK")),
        ("[GET, \"{{key}}\"]", json!("a\r\nDEL the key")),
        ("[STRLEN, \"{{key}}\"]", json!(14)),
        ("[GET, nothing]", json!(null)),
        ("[RPUSH, list, \"1\", \"two\"]", json!(2)),
        ("[LRANGE, list, \"0\", \"-1\"]", json!(["1", "two"])),
        ("[EVAL, \"return {1, {'a'}, redis.error_reply('ERR x')}\", \"0\"]", json!([1, ["a"], { "error": "ERR x" }])),
    ] {
        let run = Run::new().captured("key", "the key");
        let seen = run.step("redis", &command(redis.port, words)).await;
        let seen = seen.unwrap_or_else(|failure| panic!("{words}: {failure}"));
        assert_eq!(seen.facts["reply"], reply, "{words}");
    }
    let hello = probe("redis", &command(redis.port, "[HELLO, \"3\"]")).await.unwrap();
    assert_eq!((&hello.facts["reply"]["proto"], &hello.facts["reply"]["role"]), (&json!(3), &json!("master")));
    let binary = probe("redis", &command(redis.port, "[DUMP, list]")).await.unwrap();
    assert!(binary.facts["reply"]["hex"].is_string(), "what is no text compares with none: {:?}", binary.facts);
}

#[tokio::test]
async fn databases_are_apart() {
    let redis = Redis::start(None, &["databases 4"]);
    let at = |database: u32, words: &str| {
        format!("{{ address: \"127.0.0.1:{}\", database: {database}, command: {words} }}", redis.port)
    };
    probe("redis", &at(2, "[SET, a, b]")).await.unwrap();
    assert_eq!(probe("redis", &at(2, "[GET, a]")).await.unwrap().facts["reply"], "b");
    assert_eq!(probe("redis", &at(0, "[GET, a]")).await.unwrap().facts["reply"], json!(null));
    let failure = probe("redis", &at(9, "[GET, a]")).await.unwrap_err();
    assert_eq!(failure.to_string(), "answer.refused: the server replied `ERR DB index is out of range`");
}

#[tokio::test]
async fn who_asks_is_proved_or_refused() {
    let redis = Redis::start(None, &["requirepass hunter2", "user reader on >hunter2 ~* +ping +get"]);
    let as_whom =
        |who: &str, words: &str| format!("{{ address: \"127.0.0.1:{}\", {who} command: {words} }}", redis.port);
    for (who, words) in
        [("password: \"${secret:cache}\",", "PING"), ("user: reader, password: \"${secret:cache}\",", "PING")]
    {
        let (seen, exchanges) = Run::new().recorded("redis", &as_whom(who, words)).await;
        assert_eq!(seen.unwrap().facts["reply"], "PONG", "{who}");
        assert!(!format!("{exchanges:?}").contains("hunter2"), "{exchanges:?}");
    }
    for (who, words, told) in [
        ("", "PING", "auth.refused: the server replied `NOAUTH Authentication required.`"),
        ("password: wrong,", "PING", "auth.refused: the server replied `WRONGPASS invalid username-password pair"),
        ("user: nobody, password: x,", "PING", "auth.refused: the server replied `WRONGPASS "),
        ("user: reader, password: hunter2,", "[DEL, a]", "auth.refused: the server replied `NOPERM "),
    ] {
        let failure = probe("redis", &as_whom(who, words)).await.unwrap_err();
        assert!(failure.to_string().starts_with(told), "{failure}");
        assert!(failure.phases.is_some());
    }
}

#[tokio::test]
async fn tls_is_spoken_and_its_certificate_named() {
    let authority = Authority::new("Test CA");
    let redis = Redis::start(Some(&authority.issue(&["localhost"], |_| {})), &[]);
    let (port, ca) = (redis.tls_port, quoted(&authority.pem));
    let seen = probe("redis", &format!("{{ address: \"localhost:{port}\", tls: {{ ca: {ca} }} }}")).await.unwrap();
    assert_eq!((&seen.facts["reply"], &seen.facts["tls_version"]), (&json!("PONG"), &json!("1.3")));
    assert!(seen.certificate_expires.is_some() && seen.phases.tls_ms.is_some());
    for (yaml, kind) in [
        (format!("{{ address: \"localhost:{port}\", tls: true }}"), FailureKind::TlsUnknownIssuer),
        (format!("{{ address: \"127.0.0.1:{port}\", tls: {{ ca: {ca} }} }}"), FailureKind::TlsWrongName),
        // It waits for the end of what it takes for a line.
        (format!("{{ address: \"localhost:{}\", tls: true }}", redis.port), FailureKind::TimeoutTls),
    ] {
        let failure = Run::within(2_000).step("redis", &yaml).await.unwrap_err();
        assert_eq!(failure.kind, kind, "{failure}");
    }
    let plain = probe("redis", &format!("address: \"localhost:{port}\"")).await.unwrap_err();
    assert!(matches!(plain.kind, FailureKind::ProtocolInvalid | FailureKind::ProtocolClosed), "{plain}");
}

#[tokio::test]
async fn an_error_reply_is_told_in_the_servers_words() {
    let redis = Redis::start(None, &["replicaof 127.0.0.1 1", "replica-serve-stale-data no"]);
    let failure = probe("redis", &command(redis.port, "[GET, a]")).await.unwrap_err();
    assert!(failure.to_string().starts_with("answer.refused: the server replied `MASTERDOWN Link"), "{failure}");
    for said in ["-LOADING Redis is loading the dataset in memory", "-MOVED 3999 127.0.0.1:6381", "-ERR \u{1b}[2J"] {
        let server = Hostile::playing(vec![Move::Send(format!("{said}\r\n").into_bytes())]).await;
        let failure = probe("redis", &format!("address: \"{}\"", server.address)).await.unwrap_err();
        assert_eq!(failure.to_string(), format!("answer.refused: the server replied `{}`", &said[1..]));
    }
}

#[tokio::test]
async fn what_is_no_redis_has_its_failure_and_costs_its_own_time_only() {
    let send = |bytes: &[u8]| vec![Move::Send(bytes.to_vec())];
    for (script, kind) in [
        (send(b"$1073741824\r\nabc"), FailureKind::BodyTooLarge),
        (send(b"*1073741824\r\n"), FailureKind::BodyTooLarge),
        (vec![Move::Send(b"*9000\r\n".to_vec()), Move::Endless(b"$900\r\n".repeat(200))], FailureKind::ProtocolInvalid),
        (vec![Move::Endless(b"+aaaaaaaa".repeat(1_000))], FailureKind::BodyTooLarge),
        (vec![Move::Endless(b"*1\r\n".repeat(1_000))], FailureKind::ProtocolInvalid),
        (vec![Move::Endless(b">1\r\n+invalidate\r\n".repeat(100))], FailureKind::BodyTooLarge),
        (send(b"HTTP/1.1 400 Bad Request\r\n\r\n"), FailureKind::ProtocolInvalid),
        (send(b"\x15\x03\x01\x00\x02\x02\x46\n"), FailureKind::ProtocolInvalid),
        (send(b""), FailureKind::ProtocolClosed),
        (send(b"$10\r\nabc"), FailureKind::ProtocolClosed),
        (vec![Move::Send(b"$10\r\nabc".to_vec()), Move::Reset], FailureKind::ProtocolClosed),
        (vec![Move::Hang], FailureKind::TimeoutFirstByte),
        (vec![Move::Send(b"$10\r\n".to_vec()), Move::Hang], FailureKind::TimeoutTransfer),
        (vec![Move::Drip(b"+".repeat(1_000), Duration::from_millis(20))], FailureKind::TimeoutTransfer),
    ] {
        let told = format!("{script:.80?}");
        let server = Hostile::playing(script).await;
        let (seen, exchanges) = Run::within(500).recorded("redis", &format!("address: \"{}\"", server.address)).await;
        let failure = seen.unwrap_err();
        assert_eq!(failure.kind, kind, "{failure}: {told}");
        let [exchange] = &exchanges[..] else { panic!("one exchange: {exchanges:?}") };
        assert!(exchange.received.len() <= 8 * 1024, "what is kept for people is short");
    }
}
