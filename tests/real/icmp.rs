//! Pings, in a network of the test's own. What does not answer, or answers otherwise, is in the table of hostile targets.

use roundsman::domain::outcome::FailureKind;
use serde_json::json;

use crate::probing::{Run, probe};
use crate::servers::network::ran_within;

#[tokio::test]
async fn replies_are_counted_and_timed() {
    if ran_within("icmp::replies_are_counted_and_timed", "0 0") {
        return;
    }
    for host in ["127.0.0.1", "\"::1\"", "192.0.2.2", "\"[2001:db8::2]\""] {
        let (seen, exchanges) = Run::new().recorded("icmp", &format!("{{ host: {host}, count: 3, size: 1000 }}")).await;
        let facts = seen.unwrap().facts;
        assert_eq!((&facts["sent"], &facts["received"], &facts["loss"]), (&json!(3), &json!(3), &json!(0.0)));
        let ms = |name: &str| facts[name].as_f64().unwrap();
        assert!(0.0 < ms("rtt_min_ms") && ms("rtt_min_ms") <= ms("rtt_avg_ms"), "{facts:?}");
        assert!(ms("rtt_avg_ms") <= ms("rtt_max_ms") && ms("rtt_max_ms") < 1_000.0, "{facts:?}");
        assert_eq!(exchanges[0].received.lines().count(), 3);
    }
    let seen = probe("icmp", "host: localhost").await.unwrap();
    assert_eq!(seen.facts["sent"], 1);
    assert!(seen.phases.first_byte_ms.is_some());
}

#[tokio::test]
async fn nobody_at_an_address_of_this_network_is_silence() {
    if ran_within("icmp::nobody_at_an_address_of_this_network_is_silence", "0 0") {
        return;
    }
    // The kernel asks three times, a second apart, who has that address; then it says so. We do not wait so long.
    let failure = Run::within(700).step("icmp", "{ host: 192.0.2.9, count: 2 }").await.unwrap_err();
    assert_eq!(failure.to_string(), "timeout.first_byte: 192.0.2.9 did not reply to any of the pings");
}

#[tokio::test]
async fn a_machine_that_does_not_let_us_says_how_it_could() {
    if ran_within("icmp::a_machine_that_does_not_let_us_says_how_it_could", "1 0") {
        return;
    }
    let failure = probe("icmp", "host: 127.0.0.1").await.unwrap_err();
    assert_eq!(failure.kind, FailureKind::LocalPermission, "{failure}");
    assert!(failure.kind.is_ours() && failure.message.contains("net.ipv4.ping_group_range"), "{failure}");
}
