//! What can be known without a server; `tests/real/dns.rs` has the servers.

use super::*;
use crate::probers::testing;

fn build(yaml: &str) -> Result<BuiltProber, String> {
    testing::build(&KIND, yaml, false)
}

#[test]
fn mistakes_have_a_place_and_a_cure() {
    let long = "a".repeat(64);
    for (settings, told) in [
        ("{ name: a.example, type: AAA }", vec!["a.yaml:1:26: error: ", "did you mean `AAAA`?"]),
        ("{ name: a.example, type: a }", vec!["a.yaml:1:26: error: ", "did you mean `A`?"]),
        (
            "{ name: a.example, server: ns.example }",
            vec![
                "a.yaml:1:28: error: `ns.example` is not the address of a name server",
                "write an address, with a port if it is not 53: `192.0.2.53`",
            ],
        ),
        ("{ name: \"\" }", vec!["a.yaml:1:9: error: the name is empty"]),
        (&format!("{{ name: {long}.example }}"), vec!["a.yaml:1:9: error: ", "is not a DNS name"]),
        ("{ name: \"a..{{b}}\" }", vec!["a.yaml:1:9: error: ", "is not a DNS name"]),
        ("{ name: 192.0.2.7 }", vec!["only PTR can be asked for it"]),
        ("{ type: A }", vec!["name"]),
        ("{ name: a.example, transport: https }", vec!["a.yaml:1:31: error: "]),
        ("{ name: a.example, dnssec: very }", vec!["a.yaml:1:28: error: "]),
    ] {
        let problems = build(settings).err().unwrap_or_else(|| panic!("{settings} was accepted"));
        for words in told {
            assert!(problems.contains(words), "{settings}: {words}: {problems}");
        }
    }
}

#[test]
fn both_mistakes_are_told_in_one_pass() {
    let problems = build("{ name: a..b, server: c }").err().unwrap();
    assert!(problems.contains("`a..b`") && problems.contains("`c`"), "{problems}");
}

#[test]
fn settings_may_be_filled_later() {
    for yaml in
        ["{ name: \"{{host}}.example\" }", "{ name: 192.0.2.7, type: PTR, server: \"[::1]:5353\" }", "{ name: . }"]
    {
        let built = build(yaml).unwrap_or_else(|problems| panic!("{problems}"));
        assert_eq!(built.implied[0].unless_mentioned, "rcode");
    }
}

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
    let longest = [label[1..].as_ref(), &label[1..], &label[1..], &label[..61]].join(".");
    assert_eq!(longest.len(), 253);
    assert!(asked_name(&longest, Asked::A).is_ok());
    assert!(asked_name(&format!("{longest}a"), Asked::A).is_err());
}
