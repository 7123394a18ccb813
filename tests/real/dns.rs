//! Names: the kind `dns` and the resolver, against NSD and against servers that answer wrongly.

use std::net::SocketAddr;

use roundsman::domain::outcome::{Failure, FailureKind, Observation};
use roundsman::net::resolver::Resolver;
use serde_json::json;

use crate::probing::{Run, probe};
use crate::servers::dns::{Nsd, answering};

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
        ("_sip._tcp.shop.test", "SRV", json!(["1 2 5060 www.shop.test."]), 300),
    ] {
        let seen = ask(nsd.address, name, kind).await;
        assert_eq!(seen.facts["rcode"], "NOERROR", "{name}");
        assert_eq!(seen.facts["answers"], answers, "{name}");
        assert_eq!(seen.facts["ttl"], ttl, "{name}");
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
    assert_eq!(seen.facts["answers"].as_array().map(Vec::len), Some(40));
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
async fn wrong_answers_have_their_failure() {
    let flip_id = |question: &[u8]| [&[question[0] ^ 1, question[1], 0x80], &question[3..]].concat();
    let garbage = |question: &[u8]| [&question[..2], b"garbage"].concat();
    let echo = |question: &[u8]| question.to_vec();
    let other_name = |question: &[u8]| {
        let mut answer = question.to_vec();
        answer[2] |= 0x80;
        answer[13] ^= 1;
        answer
    };
    let (address, _tasks) = answering(flip_id).await;
    assert_eq!(ask_in_vain(address).await.kind, FailureKind::TimeoutDns);
    let (address, _tasks) = answering(garbage).await;
    assert_eq!(ask_in_vain(address).await.kind, FailureKind::DnsInvalid);
    let (address, _tasks) = answering(echo).await;
    assert_eq!(ask_in_vain(address).await.kind, FailureKind::DnsInvalid);
    let (address, _tasks) = answering(other_name).await;
    assert_eq!(ask_in_vain(address).await.kind, FailureKind::DnsInvalid);
}

#[tokio::test]
async fn a_server_that_fails_is_an_observation() {
    let fail = |question: &[u8]| [&question[..2], &[0x81, 0x82], &question[4..]].concat();
    let (address, _tasks) = answering(fail).await;
    assert_eq!(ask(address, "www.shop.test", "A").await.facts["rcode"], "SERVFAIL");
}

#[tokio::test]
async fn nobody_there_and_silence_differ() {
    let silent = tokio::net::UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let address = silent.local_addr().unwrap();
    assert_eq!(ask_in_vain(address).await.kind, FailureKind::TimeoutDns);
    drop(silent);
    assert_eq!(ask_in_vain(address).await.kind, FailureKind::ConnectRefused);
}
