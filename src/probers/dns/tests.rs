//! What can be known without a server; `tests/real/dns.rs` has the servers.

use super::*;

#[test]
fn servers_are_read() {
    for (text, server) in [
        ("192.0.2.53", Some("192.0.2.53:53")),
        ("192.0.2.53:5353", Some("192.0.2.53:5353")),
        ("2001:db8::53", Some("[2001:db8::53]:53")),
        ("[2001:db8::53]", Some("[2001:db8::53]:53")),
        ("[2001:db8::53]:5353", Some("[2001:db8::53]:5353")),
        ("192.0.2.53:0", None),
        ("192.0.2.53:99999", None),
        ("ns.example", None),
        ("", None),
    ] {
        assert_eq!(server_of(text), server.map(|server| server.parse().unwrap()), "{text}");
    }
}

#[test]
fn names_are_absolute_and_addresses_turn_round() {
    for (text, asked, name) in [
        ("a.example", Asked::A, "a.example."),
        ("_sip._tcp.a.example.", Asked::Srv, "_sip._tcp.a.example."),
        ("Bücher.example", Asked::A, "xn--bcher-kva.example."),
        (".", Asked::Ns, "."),
        ("192.0.2.7", Asked::Ptr, "7.2.0.192.in-addr.arpa."),
    ] {
        assert_eq!(asked_name(text, asked).unwrap().to_ascii(), name, "{text}");
    }
}

#[test]
fn what_is_no_name_is_refused() {
    let (label, whole) = ("a".repeat(64), "abcdefgh.".repeat(29));
    for text in ["", "a..b", label.as_str(), whole.as_str(), "192.0.2.7"] {
        assert!(asked_name(text, Asked::A).is_err(), "{text}");
    }
}

#[test]
fn codes_have_their_words() {
    assert_eq!(word(ResponseCode::NXDomain), "NXDOMAIN");
    assert_eq!(word(ResponseCode::from(0, 11)), "RCODE11");
}
