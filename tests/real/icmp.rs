//! Pings, in a network of the test's own: there the kernel lets us send them, a router says what it says, and nobody else
//! is disturbed. Each test runs itself again within such a network.

use std::process::Command;

use roundsman::domain::outcome::FailureKind;
use serde_json::json;

use crate::probing::{Run, probe};

/// Set within the network.
const INSIDE: &str = "ROUNDSMAN_TEST_NETWORK";

/// A network with a neighbour behind a wire: it is a router that knows no way to 198.51.100.0/24 and `2001:db8:1::/48`, and
/// 192.0.2.9 is nobody. `$PING` is who may send pings.
const NETWORK: &str = r#"
set -e
ip link set lo up
[ "$PING" = "1 0" ] || echo "$PING" > /proc/sys/net/ipv4/ping_group_range
unshare --net sleep 60 > /dev/null 2>&1 &
neighbour=$!
trap 'kill $neighbour' EXIT
for _ in $(seq 100); do
  [ "$(readlink /proc/$neighbour/ns/net)" != "$(readlink /proc/$$/ns/net)" ] && break
  sleep 0.02
done
ip link add near type veth peer name far netns $neighbour
ip addr add 192.0.2.1/24 dev near
ip -6 addr add 2001:db8::1/64 dev near nodad
ip link set near up
ip route add 198.51.100.0/24 via 192.0.2.2
ip -6 route add 2001:db8:1::/48 via 2001:db8::2
nsenter --net=/proc/$neighbour/ns/net sh -c '
  ip link set lo up
  ip addr add 192.0.2.2/24 dev far
  ip -6 addr add 2001:db8::2/64 dev far nodad
  ip link set far up
  echo 1 > /proc/sys/net/ipv4/ip_forward
  echo 1 > /proc/sys/net/ipv6/conf/all/forwarding
  ip route add unreachable 198.51.100.0/24
  ip -6 route add unreachable 2001:db8:1::/48
'
"$0" "$@"
"#;

/// Whether this is the run outside, which has then made the one within.
fn ran_within(test: &str, who_may_ping: &str) -> bool {
    if std::env::var_os(INSIDE).is_some() {
        return false;
    }
    let output = Command::new("unshare")
        .args(["--map-root-user", "--net", "bash", "-c", NETWORK])
        .arg(std::env::current_exe().unwrap())
        .args(["--exact", "--nocapture", test])
        .env(INSIDE, "1")
        .env("PING", who_may_ping)
        .output()
        .expect("unshare is not installed: apt-get install util-linux iproute2");
    let said = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success() && said.contains("1 passed"), "{said}");
    true
}

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
async fn what_does_not_answer_has_its_failure() {
    if ran_within("icmp::what_does_not_answer_has_its_failure", "0 0") {
        return;
    }
    for (host, kind, words) in [
        ("198.51.100.7", FailureKind::ConnectUnreachable, "192.0.2.2 says: "),
        ("\"2001:db8:1::7\"", FailureKind::ConnectUnreachable, "2001:db8::2 says: "),
        ("203.0.113.1", FailureKind::LocalNetwork, "no route to 203.0.113.1"),
        ("169.254.169.254", FailureKind::ConnectBlocked, "which may not be probed"),
        ("224.0.0.1", FailureKind::ConnectBlocked, "a multicast address"),
    ] {
        let failure = probe("icmp", &format!("{{ host: {host}, count: 2 }}")).await.unwrap_err();
        assert_eq!(failure.kind, kind, "{failure}");
        assert!(failure.message.contains(words), "{failure}");
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
