//! A network of a test's own, in which the kernel lets us send pings, a router says what it says, the name server of the
//! machine is ours, and nobody else is disturbed. A test runs itself again within it, in a process of its own.

use super::apart;

/// A network with a neighbour behind a wire: it is a router that knows no way to 198.51.100.0/24 and `2001:db8:1::/48`, and
/// drops what is for 198.18.0.0/15 and `2001:db8:2::/48` without a word; 192.0.2.9 is nobody. The machine's name server is
/// 127.0.0.1. `$PING` is who may send pings.
const NETWORK: &str = r#"
set -e
ip link set lo up
mount -t tmpfs tmpfs /mnt
echo "nameserver 127.0.0.1" > /mnt/resolv.conf
mount --bind /mnt/resolv.conf /etc/resolv.conf
[ "$PING" = "1 0" ] || echo "$PING" > /proc/sys/net/ipv4/ping_group_range
unshare --net sleep 3600 > /dev/null 2>&1 &
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
for net in 198.51.100.0/24 198.18.0.0/15; do ip route add $net via 192.0.2.2; done
for net in 2001:db8:1::/48 2001:db8:2::/48; do ip -6 route add $net via 2001:db8::2; done
nsenter --net=/proc/$neighbour/ns/net sh -c '
  ip link set lo up
  ip addr add 192.0.2.2/24 dev far
  ip -6 addr add 2001:db8::2/64 dev far nodad
  ip link set far up
  echo 1 > /proc/sys/net/ipv4/ip_forward
  echo 1 > /proc/sys/net/ipv6/conf/all/forwarding
  # As often as somebody asks.
  echo 0 > /proc/sys/net/ipv4/icmp_ratemask
  echo 0 > /proc/sys/net/ipv6/icmp/ratelimit
  echo 255 > /proc/sys/net/ipv6/icmp/ratemask
  # A route that is unreachable speaks a few times only; one over somebody who is not there, each time.
  ip route add 198.51.100.0/24 via 192.0.2.77
  echo 1 > /proc/sys/net/ipv4/neigh/far/mcast_solicit
  echo 10 > /proc/sys/net/ipv4/neigh/far/retrans_time_ms
  for at in all far; do echo 0 > /proc/sys/net/ipv4/conf/$at/send_redirects; done
  ip route add blackhole 198.18.0.0/15
  ip -6 route add unreachable 2001:db8:1::/48
  ip -6 route add blackhole 2001:db8:2::/48
'
"$0" "$@"
"#;

/// Whether this is the run outside, which has then made the one within; the test is named with its modules.
pub fn ran_within(test: &str, who_may_ping: &str) -> bool {
    apart::ran_within(test, &["--map-root-user", "--net", "--mount"], NETWORK, &[("PING", who_may_ping)])
}
