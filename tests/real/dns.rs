//! Names: the kind `dns` and the resolver, against NSD. Servers that answer wrongly are in the table of hostile targets.

use std::net::SocketAddr;

use roundsman::domain::outcome::{Failure, FailureKind, Observation};
use roundsman::net::resolver::Resolver;
use serde_json::json;

use crate::probing::{Run, probe};
use crate::servers::dns::{Answering, Nsd, answered, failed};

async fn ask(server: SocketAddr, name: &str, kind: &str) -> Observation {
    probe("dns", &format!("{{ name: {name}, type: {kind}, server: \"{server}\" }}")).await.unwrap()
}

async fn ask_in_vain(server: SocketAddr) -> Failure {
    let settings = format!("{{ name: www.shop.test, server: \"{server}\" }}");
    Run::within(400).step("dns", &settings).await.unwrap_err()
}

#[tokio::test]
async fn records_are_as_in_the_zone() {
    let nsd = Nsd::start();
    for (name, kind, answers, ttl) in [
        ("four.shop.test", "A", json!(["192.0.2.4"]), 300),
        ("www.shop.test", "AAAA", json!(["2001:db8::1"]), 300),
        ("alias.shop.test", "CNAME", json!(["www.shop.test."]), 300),
        ("shop.test", "MX", json!(["10 mail.shop.test."]), 300),
        ("shop.test", "NS", json!(["ns.shop.test."]), 300),
        ("shop.test", "CAA", json!(["0 issue \"ca.example\""]), 300),
        ("text.shop.test", "TXT", json!(["one two"]), 300),
        ("back.shop.test", "PTR", json!(["www.shop.test."]), 300),
        ("shop.test", "SOA", json!(["ns.shop.test. hostmaster.shop.test. 1 3600 600 86400 60"]), 300),
        ("_sip._tcp.shop.test", "SRV", json!(["1 2 5060 www.shop.test."]), 300),
    ] {
        let seen = ask(nsd.address, name, kind).await;
        assert_eq!(seen.facts["rcode"], "NOERROR", "{name}");
        assert_eq!(seen.facts["answers"], answers, "{name}");
        assert_eq!(seen.facts["ttl"], ttl, "{name}");
        assert_eq!(seen.facts["authenticated"], false, "{name}");
        assert!(seen.phases.dns_ms.is_some(), "{name}");
    }
}

#[tokio::test]
async fn what_does_not_exist_is_an_observation() {
    let nsd = Nsd::start();
    let gone = ask(nsd.address, "gone.shop.test", "A").await;
    assert_eq!((&gone.facts["rcode"], &gone.facts["answers"]), (&json!("NXDOMAIN"), &json!([])));
    assert_eq!(gone.facts.get("ttl"), None);
    assert_eq!(ask(nsd.address, "a.example", "A").await.facts["rcode"], "REFUSED");
}

#[tokio::test]
async fn what_does_not_fit_comes_over_tcp() {
    let nsd = Nsd::start();
    let seen = ask(nsd.address, "many.shop.test", "TXT").await;
    assert_eq!(seen.facts["answers"].as_array().map(Vec::len), Some(100));
    assert_eq!(Resolver::of(&[nsd.address]).addresses("many.shop.test").await.unwrap().len(), 100);
}

#[tokio::test]
async fn the_resolver_finds_both_families_and_says_what_is_missing() {
    let nsd = Nsd::start();
    let resolver = Resolver::of(&[nsd.address]);
    let mut found = resolver.addresses("alias.shop.test").await.unwrap();
    found.sort();
    assert_eq!(found, ["192.0.2.1", "192.0.2.2", "2001:db8::1"].map(|text| text.parse::<std::net::IpAddr>().unwrap()));
    assert_eq!(resolver.addresses("four.shop.test").await.unwrap().len(), 1);
    for (name, kind) in [
        ("gone.shop.test", FailureKind::DnsNxdomain),
        ("text.shop.test", FailureKind::DnsNoRecords),
        ("a.example", FailureKind::DnsServer),
    ] {
        assert_eq!(resolver.addresses(name).await.unwrap_err().kind, kind, "{name}");
    }
}

#[tokio::test]
async fn a_forged_answer_does_not_hide_the_true_one() {
    let forged = |question: &[u8]| [&[question[0] ^ 1], &answered(question, 0x0003)[1..]].concat();
    let server = Answering::over_udp(move |question| vec![forged(question), failed(question)]).await;
    assert_eq!(ask(server.address, "www.shop.test", "A").await.facts["rcode"], "SERVFAIL");
}

#[tokio::test]
async fn a_server_that_fails_is_an_observation_and_a_failure_of_the_resolver() {
    let server = Answering::over_udp(|question| vec![failed(question)]).await;
    let seen = ask(server.address, "www.shop.test", "A").await;
    assert_eq!((&seen.facts["rcode"], &seen.facts["authenticated"]), (&json!("SERVFAIL"), &json!(false)));
    let failure = Resolver::of(&[server.address]).addresses("www.shop.test").await.unwrap_err();
    assert_eq!(failure.kind, FailureKind::DnsServer, "{failure}");
}

#[tokio::test]
async fn a_lost_question_is_asked_again() {
    let deaf_at_first = |questions_lost: usize| {
        let mut lost = 0..questions_lost;
        Answering::over_udp(move |question| if lost.next().is_some() { Vec::new() } else { vec![failed(question)] })
    };
    let (asked, resolved) = (deaf_at_first(1).await, deaf_at_first(2).await);
    let resolver = Resolver::of(&[resolved.address]);
    let (seen, failure) = tokio::join!(ask(asked.address, "www.shop.test", "A"), resolver.addresses("www.shop.test"));
    assert_eq!(seen.facts["rcode"], "SERVFAIL");
    assert_eq!(failure.unwrap_err().kind, FailureKind::DnsServer);
}

#[tokio::test]
async fn flags_are_read_and_the_case_of_names_is_free() {
    let server = Answering::over_udp(|question| {
        let mut answer = answered(question, 0x0020);
        answer[13] = answer[13].to_ascii_uppercase();
        vec![answer]
    })
    .await;
    let seen = ask(server.address, "www.shop.test", "A").await;
    assert_eq!((&seen.facts["rcode"], &seen.facts["authenticated"]), (&json!("NOERROR"), &json!(true)));
}

#[tokio::test]
async fn names_may_come_from_earlier_steps() {
    let nsd = Nsd::start();
    let settings = format!("{{ name: \"{{{{host}}}}.shop.test\", server: \"{}\" }}", nsd.address);
    let seen = Run::new().captured("host", "four").step("dns", &settings).await.unwrap();
    assert_eq!(seen.facts["answers"], json!(["192.0.2.4"]));
    let failure = Run::new().captured("host", "four.").step("dns", &settings).await.unwrap_err();
    assert_eq!(failure.kind, FailureKind::Capture, "{failure}");
}

#[tokio::test]
async fn nobody_there_and_silence_differ() {
    let silent = tokio::net::UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let address = silent.local_addr().unwrap();
    assert_eq!(ask_in_vain(address).await.kind, FailureKind::TimeoutDns);
    drop(silent);
    assert_eq!(ask_in_vain(address).await.kind, FailureKind::ConnectRefused);
}
