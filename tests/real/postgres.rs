//! Kind `postgres` against Debian's PostgreSQL, and against peers that break its protocol.

use std::time::Duration;

use roundsman::domain::outcome::FailureKind;
use serde_json::json;

use crate::probing::{Run, probe, quoted};
use crate::servers::certificates::Authority;
use crate::servers::hostile::{Hostile, Move};
use crate::servers::postgres::Postgres;

const READER: &str = "user: reader, database: postgres, password: \"${secret:database}\"";

fn ask(port: u16, who: &str, rest: &str) -> String {
    format!("{{ address: \"localhost:{port}\", {who}, {rest} }}")
}

#[tokio::test]
async fn a_question_is_answered_by_rows_and_nothing_is_written() {
    let server = Postgres::start(None);
    let ask = |rest: &str| ask(server.port, READER, rest);

    let (seen, exchanges) = Run::new().recorded("postgres", &ask("tls: prefer")).await;
    let seen = seen.unwrap();
    assert_eq!((&seen.facts["rows"], &seen.facts["row_count"]), (&json!([{ "?column?": 1 }]), &json!(1)));
    assert!(seen.facts["server_version"].is_string() && !seen.facts.contains_key("tls_version"));
    assert!(seen.phases.first_byte_ms.unwrap() > 0.0 && seen.phases.transfer_ms.is_some());
    let [exchange] = &exchanges[..] else { panic!("one exchange: {exchanges:?}") };
    assert_eq!((exchange.sent.as_str(), exchange.received.as_str()), ("select 1", "{\"?column?\":1}"));
    assert!(exchange.command.as_ref().unwrap().ends_with("-U reader -d postgres -c 'select 1'"), "{exchange:?}");
    assert!(!format!("{exchanges:?}").contains("hunter2"));

    let query =
        "query: \"select *, id > 1 as late, null as gone, array[1,2] as list, '{\\\"a\\\": 1.5}'::jsonb as more,
                 interval '90 min' as age from orders order by id\"";
    let seen = probe("postgres", &ask(query)).await.unwrap();
    assert_eq!(
        seen.facts["rows"],
        json!([
            { "id": 1, "name": "hat", "total": 19.9, "placed": "2026-01-02 03:04:05+00", "late": false, "gone": null,
              "list": "{1,2}", "more": { "a": 1.5 }, "age": "01:30:00" },
            { "id": 2, "name": "scarf", "total": 7.0, "placed": null, "late": true, "gone": null,
              "list": "{1,2}", "more": { "a": 1.5 }, "age": "01:30:00" },
        ])
    );

    let hostile = "scarf' or true; drop table orders; --";
    let query = "query: \"select id from orders where name = $1 and id = $2\", parameters: [\"{{name}}\", \"{{id}}\"]";
    for (name, rows) in [("scarf", json!([{ "id": 2 }])), (hostile, json!([]))] {
        let run = Run::new().captured("name", name).captured("id", "2");
        assert_eq!(run.step("postgres", &ask(query)).await.unwrap().facts["rows"], rows, "{name}");
    }

    for (query, told) in [
        (
            "insert into orders values (3) returning id",
            "answer.refused: the server refused the query: cannot execute INSERT in a read-only transaction (SQLSTATE 25006)",
        ),
        (
            "select 1; drop table orders",
            "answer.refused: the server refused the query: cannot insert multiple commands into a prepared statement (SQLSTATE 42601)",
        ),
        (
            "select * from nothing",
            "answer.refused: the server refused the query: relation \\\"nothing\\\" does not exist (SQLSTATE 42P01)",
        ),
        (
            "select * from secrets",
            "auth.refused: the server refused the query: permission denied for table secrets (SQLSTATE 42501)",
        ),
        ("select 1/0", "answer.refused: the server refused the query: division by zero (SQLSTATE 22012)"),
        ("copy orders to stdout", "answer.refused: the query copies, and only rows are read"),
        ("select generate_series(1, 101)", "body.too_large: the query gives more than 100 rows"),
        ("select repeat('a', 70000)", "body.too_large: the answer is larger than 64 KiB"),
        ("select repeat('a', 700000)", "body.too_large: the answer is larger than 256 KiB"),
    ] {
        let failure = probe("postgres", &ask(&format!("query: \"{query}\""))).await.unwrap_err();
        assert_eq!(failure.to_string(), told.replace("\\\"", "\""), "{query}");
    }
    let seen = probe("postgres", &ask("query: \"select generate_series(1, 100)\"")).await.unwrap();
    assert_eq!(seen.facts["row_count"], 100);
    assert_eq!(server.run("select count(*) from orders"), "2");

    let twins = probe("postgres", &ask("query: \"select 1 as a, 2 as b, 3 as a\"")).await.unwrap();
    assert_eq!(twins.facts["rows"], json!([{ "a": 3, "b": 2 }]), "of two columns with one name the last one stands");

    let slow = ask("query: select pg_sleep(60)");
    let failure = Run::within(700).step("postgres", &slow).await.unwrap_err();
    assert_eq!(failure.to_string(), "timeout.first_byte: no byte of an answer came within 700 ms");
    let still_there = "select count(*) from pg_stat_activity where query like '%pg_sleep%' and usename = 'reader'";
    for attempt in 0.. {
        if server.run(still_there) == "0" {
            break;
        }
        assert!(attempt < 50, "the server works on after we have left");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

#[tokio::test]
async fn who_asks_is_proved_or_refused() {
    let server = Postgres::start(None);
    let ask = |who: &str| format!("{{ address: \"127.0.0.1:{}\", database: postgres, {who} }}", server.port);
    for who in [
        "user: reader, password: \"${secret:x}\"",
        "user: old, password: \"${secret:x}\"",
        "user: plain, password: \"${secret:x}\", tls: false",
        "user: guest",
    ] {
        let seen = probe("postgres", &ask(who)).await.unwrap_or_else(|failure| panic!("{who}: {failure}"));
        assert_eq!(seen.facts["row_count"], 1, "{who}");
    }
    for (who, told) in [
        (
            "user: reader, password: wrong",
            "auth.refused: the server refused the connection: password authentication failed for user \"reader\" (SQLSTATE 28P01)",
        ),
        (
            "user: old, password: wrong",
            "auth.refused: the server refused the connection: password authentication failed for user \"old\" (SQLSTATE 28P01)",
        ),
        ("user: reader", "auth.refused: the server asks for a password, and none is configured"),
        (
            "user: plain, password: \"${secret:x}\"",
            "tls.not_offered: the server asks for the password in the clear, and speaks no TLS",
        ),
        ("user: reader, password: x, tls: true", "tls.not_offered: the server speaks no TLS"),
    ] {
        let failure = probe("postgres", &ask(who)).await.unwrap_err();
        assert_eq!(failure.to_string(), told, "{who}");
    }
    let shut = probe("postgres", &ask("user: shut, password: x")).await.unwrap_err();
    assert_eq!(shut.kind, FailureKind::AuthRefused, "{shut}");
    let nowhere = format!("{{ address: \"127.0.0.1:{}\", user: guest, database: nowhere }}", server.port);
    let failure = probe("postgres", &nowhere).await.unwrap_err();
    assert!(failure.to_string().ends_with("database \"nowhere\" does not exist (SQLSTATE 3D000)"), "{failure}");
}

#[tokio::test]
async fn tls_is_spoken_and_its_certificate_named() {
    let authority = Authority::new("Test CA");
    let server = Postgres::start(Some(&authority.issue(&["localhost"], |_| {})));
    let ca = quoted(&authority.pem);
    let tls = format!("tls: {{ ca: {ca} }}");
    for who in [READER, "user: plain, database: postgres, password: hunter2"] {
        let seen = probe("postgres", &ask(server.port, who, &tls)).await.unwrap();
        assert_eq!((&seen.facts["tls_version"], &seen.facts["row_count"]), (&json!("1.3"), &json!(1)));
        assert!(seen.facts["cert"]["issuer"].as_str().unwrap().contains("Test CA"));
    }
    for tls in ["tls: true", "tls: prefer"] {
        let failure = probe("postgres", &ask(server.port, READER, tls)).await.unwrap_err();
        assert_eq!(failure.kind, FailureKind::TlsUnknownIssuer, "{failure}");
    }
    assert!(probe("postgres", &ask(server.port, READER, "tls: false")).await.is_ok());
    let address = format!("address: \"localhost:{}\", starttls: postgres, ca: {ca}", server.port);
    let seen = probe("tls", &format!("{{ {address} }}")).await.unwrap();
    assert_eq!(seen.facts["cert"]["names"], json!(["localhost"]));
}

#[tokio::test]
async fn what_is_no_postgres_has_its_failure_and_costs_its_own_time_only() {
    let send = |bytes: &[u8]| vec![Move::Send(bytes.to_vec())];
    let ready = [b"R\0\0\0\x08\0\0\0\0Z\0\0\0\x05IC\0\0\0\x0aBEGIN\0Z\0\0\0\x05T".as_slice()].concat();
    let ssh = Hostile::playing(send(b"SSH-2.0-OpenSSH_9.2\r\n")).await;
    let failure = probe("postgres", &format!("{{ address: \"{}\", user: u }}", ssh.address)).await.unwrap_err();
    assert!(failure.to_string().starts_with("protocol.invalid: the server answered `SSH-2.0-OpenSSH_9.2"), "{failure}");
    for (script, kind) in [
        (send(b"HTTP/1.1 400 Bad Request\r\n\r\n"), FailureKind::ProtocolInvalid),
        (send(b"E\0\0\0\x20SFATAL\0C57P03\0Mstarting up\0\0"), FailureKind::AnswerRefused),
        (send(b"R\0\0\0\x08\0\0\0\x07"), FailureKind::AuthRefused),
        (send(b"R\0\0\0\x08\0\0\0\x0b"), FailureKind::ProtocolInvalid),
        (send(b"R\0\0\0\x04"), FailureKind::ProtocolInvalid),
        (send(b"R\0\0\0\x17\0\0\0\x0aSCRAM-SHA-256\0\0R\0\0\0\x08\0\0\0\0"), FailureKind::ProtocolInvalid),
        (send(b"R\0\0\0\x08\0\0\0\0D\0\0\0\x04"), FailureKind::ProtocolInvalid),
        (send(b"T\x7f\xff\xff\xff"), FailureKind::BodyTooLarge),
        (send(&ready), FailureKind::ProtocolClosed),
        (send(b""), FailureKind::ProtocolClosed),
        (vec![Move::Endless(b"N\0\0\0\x06a\0".repeat(100))], FailureKind::BodyTooLarge),
        (vec![Move::Endless(b"S\0\0\0\x08a\0b\0".repeat(100))], FailureKind::BodyTooLarge),
        (vec![Move::Send(b"R\0\0".to_vec()), Move::Reset], FailureKind::ProtocolClosed),
        (vec![Move::Hang], FailureKind::TimeoutFirstByte),
        (vec![Move::Drip(ready.clone(), Duration::from_millis(40))], FailureKind::TimeoutFirstByte),
    ] {
        let told = format!("{script:.80?}");
        let server = Hostile::playing(script).await;
        let yaml = format!("{{ address: \"{}\", user: u, password: p, tls: false }}", server.address);
        let failure = Run::within(500).step("postgres", &yaml).await.unwrap_err();
        assert_eq!(failure.kind, kind, "{failure}: {told}");
    }
}
