//! DNSSEC against Unbound, and answers that are as large as a server can make them.

use roundsman::domain::fact_map::FactMap;
use roundsman::domain::outcome::FailureKind;
use serde_json::json;

use crate::probing::{Run, probe};
use crate::servers::dns::{Answering, Nsd, answered_with};
use crate::servers::unbound::{Signed, Unbound};

const ZONE: &str = "\
@ 300 SOA ns hostmaster 1 3600 600 86400 60
@ 300 NS ns
ns 300 A 127.0.0.1
www 300 A 192.0.2.1
alias 300 CNAME www
";
const DAY_S: i64 = 86_400;

fn now_s() -> i64 {
    use roundsman::ports::Clock as _;
    roundsman::clock::SystemClock::start().now().timestamp()
}

#[tokio::test]
async fn a_resolver_that_checked_the_signatures_says_so() {
    let now = now_s();
    let good = Signed::start("good.test", ZONE, now - DAY_S, now + 10 * DAY_S);
    let over = Signed::start("over.test", ZONE, now - 10 * DAY_S, now - DAY_S);
    let unbound = Unbound::start(&[&good, &over]);
    for dnssec in [false, true] {
        let ask = async |name: &str| {
            let settings = format!("{{ name: {name}, server: \"{}\", dnssec: {dnssec} }}", unbound.address);
            probe("dns", &settings).await.unwrap().facts
        };
        let seen = ask("www.good.test").await;
        assert_eq!(seen["answers"], json!(["192.0.2.1"]));
        assert_eq!((&seen["authenticated"], &seen["authoritative"]), (&json!(true), &json!(false)));
        assert_eq!(seen.contains_key("signature_days_left"), dnssec);
        let bogus = ask("www.over.test").await;
        assert_eq!((&bogus["rcode"], &bogus["authenticated"]), (&json!("SERVFAIL"), &json!(false)));
    }
}

#[tokio::test]
async fn the_end_of_the_signatures_is_told_by_the_server_of_the_zone() {
    let now = now_s();
    for (origin, ends, range) in [("good.test", now + 10 * DAY_S, 9.9..=10.0), ("over.test", now - DAY_S, -1.1..=-0.9)]
    {
        let zone = Signed::start(origin, ZONE, now - 20 * DAY_S, ends);
        let settings = format!("{{ name: alias.{origin}, server: \"{}\", dnssec: true }}", zone.nsd.address);
        let seen = probe("dns", &settings).await.unwrap().facts;
        let left = seen["signature_days_left"].as_f64().unwrap();
        assert!(range.contains(&left), "{left}");
        assert_eq!((&seen["authenticated"], &seen["authoritative"]), (&json!(false), &json!(true)));
        assert_eq!(seen["answers"], json!(["192.0.2.1"]));
        let records = seen["records"].as_array().unwrap();
        assert_eq!(records.len(), 2, "signatures are not listed: {records:?}");
        let alias = json!({
            "name": format!("alias.{origin}."), "type": "CNAME", "ttl": 300, "data": format!("www.{origin}.")
        });
        assert_eq!(records[0], alias);
    }
}

#[tokio::test]
async fn the_transport_can_be_chosen_and_is_told() {
    let nsd = Nsd::start();
    for (name, kind, transport, seen) in
        [("four", "A", "udp", "udp"), ("four", "A", "tcp", "tcp"), ("many", "TXT", "udp", "tcp")]
    {
        let server = nsd.address;
        let settings =
            format!("{{ name: {name}.shop.test, type: {kind}, server: \"{server}\", transport: {transport} }}");
        assert_eq!(probe("dns", &settings).await.unwrap().facts["transport"], seen, "{name}");
    }
}

#[tokio::test]
async fn what_was_asked_and_answered_is_put_down() {
    let nsd = Nsd::start();
    let settings = format!("{{ name: alias.shop.test, server: \"{}\", dnssec: true }}", nsd.address);
    let (_, exchanges) = Run::new().recorded("dns", &settings).await;
    let [exchange] = exchanges.as_slice() else { panic!("{exchanges:?}") };
    let port = nsd.address.port();
    assert_eq!(exchange.sent, "alias.shop.test. A");
    assert_eq!(exchange.command.as_deref(), Some(&*format!("dig @127.0.0.1 -p {port} alias.shop.test. A +dnssec")));
    assert_eq!(
        exchange.received,
        "NOERROR over udp, flags: aa\nalias.shop.test. 300 CNAME www.shop.test.\n\
         www.shop.test. 60 A 192.0.2.1\nwww.shop.test. 120 A 192.0.2.2\nshop.test. 300 NS ns.shop.test."
    );
    assert!(exchange.phases.dns_ms.is_some());

    let silent = tokio::net::UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let settings = format!("{{ name: a.test, transport: udp, server: \"{}\" }}", silent.local_addr().unwrap());
    let (result, exchanges) = Run::within(200).recorded("dns", &settings).await;
    assert_eq!(result.unwrap_err().kind, FailureKind::TimeoutDns);
    assert_eq!((exchanges.len(), exchanges[0].sent.as_str(), exchanges[0].received.as_str()), (1, "a.test. A", ""));
}

/// Over TCP, where there is room for it.
async fn large(records: Vec<(u16, u32, Vec<u8>)>, kind: &str) -> FactMap {
    let server = Answering::over_tcp(move |question| answered_with(question, &records)).await;
    let settings = format!("{{ name: www.shop.test, type: {kind}, server: \"{}\" }}", server.address);
    probe("dns", &settings).await.unwrap().facts
}

#[tokio::test]
async fn no_answer_is_too_large() {
    let thousands = (0..4_000_u16).map(|n| (1, 60, vec![10, 0, n.to_be_bytes()[0], n.to_be_bytes()[1]])).collect();
    let seen = large(thousands, "A").await;
    assert_eq!(seen["answers"].as_array().map(Vec::len), Some(1_000));
    assert_eq!(seen["records"].as_array().map(Vec::len), Some(1_000));

    // One record with as many strings as fit.
    let text: Vec<u8> = [&[255][..], &[b'a'; 255]].concat().repeat(250);
    let seen = large(vec![(16, 60, text)], "TXT").await;
    assert_eq!(seen["answers"][0].as_str().map(str::len), Some(4_096));

    // Twenty aliases of the same name, which lead in a circle and to an address all the same.
    let mut chain = vec![(5, 60, vec![0xc0, 12]); 20];
    chain.push((1, 5, vec![192, 0, 2, 9]));
    let seen = large(chain, "A").await;
    assert_eq!((&seen["answers"], &seen["ttl"]), (&json!(["192.0.2.9"]), &json!(5)));
    assert_eq!(seen["records"].as_array().map(Vec::len), Some(21));
}
