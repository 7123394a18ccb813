//! Which addresses are never connected to: a probe must not be talked into asking a cloud's metadata service for
//! credentials, by whatever name, redirect or notation.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Why an address is refused, or none when it may be connected to. Loopback and private networks are allowed: to look at
/// them is the job.
pub fn refused(address: IpAddr) -> Option<&'static str> {
    match address {
        IpAddr::V4(v4) => refused_v4(v4),
        IpAddr::V6(v6) => refused_v6(v6),
    }
}

fn refused_v4(v4: Ipv4Addr) -> Option<&'static str> {
    if v4.octets()[0] == 0 {
        Some("an address of no host (0.0.0.0/8)")
    } else if v4.is_link_local() {
        // IMDS is 169.254.169.254, ECS 169.254.170.2, EKS 169.254.170.23.
        Some("a link-local address (169.254.0.0/16), where cloud metadata services are")
    } else if v4.is_multicast() {
        Some("a multicast address")
    } else if v4.is_broadcast() {
        Some("the broadcast address")
    } else {
        None
    }
}

fn refused_v6(v6: Ipv6Addr) -> Option<&'static str> {
    let segments = v6.segments();
    if v6.is_unspecified() {
        Some("an address of no host (::)")
    } else if v6.is_loopback() {
        None
    } else if v6.is_unicast_link_local() {
        Some("a link-local address (fe80::/10)")
    } else if segments[..2] == [0xfd00, 0x0ec2] {
        Some("an address of the AWS metadata services (fd00:ec2::/32)")
    } else if v6.is_multicast() {
        Some("a multicast address")
    } else {
        embedded(v6).and_then(refused_v4)
    }
}

/// The IPv4 address that an IPv6 address leads to: mapped (`::ffff:0:0/96`), compatible (`::/96`), translated by NAT64
/// (`64:ff9b::/96`, RFC 6052) or by 6to4 (`2002::/16`, RFC 3056).
fn embedded(v6: Ipv6Addr) -> Option<Ipv4Addr> {
    let octets = v6.octets();
    let at = match v6.segments() {
        [0, 0, 0, 0, 0, 0 | 0xffff, _, _] | [0x0064, 0xff9b, 0, 0, 0, 0, _, _] => 12,
        [0x2002, ..] => 2,
        _ => return None,
    };
    let four: [u8; 4] = octets.get(at..at + 4)?.try_into().ok()?;
    Some(Ipv4Addr::from(four))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn metadata_and_addresses_of_no_host_are_refused() {
        for address in [
            "169.254.169.254",
            "169.254.170.2",
            "169.254.170.23",
            "0.0.0.0",
            "0.1.2.3",
            "224.0.0.1",
            "255.255.255.255",
            "::",
            "fe80::1",
            "febf::1",
            "ff02::1",
            "fd00:ec2::254",
            "fd00:ec2::23",
            "::ffff:169.254.169.254",
            "::169.254.169.254",
            "64:ff9b::a9fe:a9fe",
            "2002:a9fe:a9fe::1",
            "::ffff:0.0.0.0",
        ] {
            assert!(refused(address.parse().unwrap()).is_some(), "{address}");
        }
    }

    #[test]
    fn loopback_and_private_networks_are_allowed() {
        for address in
            ["127.0.0.1", "10.0.0.1", "172.16.0.1", "192.168.1.1", "::1", "fd12::1", "::ffff:127.0.0.1", "2001:db8::1"]
        {
            assert_eq!(refused(address.parse().unwrap()), None, "{address}");
        }
    }

    #[test]
    fn every_notation_of_a_url_is_the_same_address() {
        for host in ["2852039166", "0xa9fea9fe", "0251.0376.0251.0376", "169.254.43518", "[::ffff:a9fe:a9fe]"] {
            let url = url::Url::parse(&format!("http://{host}/")).unwrap();
            let address = match url.host().unwrap() {
                url::Host::Ipv4(v4) => IpAddr::V4(v4),
                url::Host::Ipv6(v6) => IpAddr::V6(v6),
                url::Host::Domain(name) => panic!("{name} was read as a name"),
            };
            assert!(refused(address).is_some(), "{host}");
        }
    }
}
