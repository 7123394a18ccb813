//! What can be known without a server; `tests/real/grpc.rs` has the servers.

use super::*;
use crate::probers::testing::build;

#[test]
fn mistakes_have_a_place_and_a_cure() {
    for (settings, told) in [
        ("{ url: \"https://a.example:1\" }", "does not begin with `grpcs://` or `grpc://`"),
        ("{ url: \"a.example:1\" }", "write `grpcs://shop.example.com:443`"),
        ("{ url: \"{{scheme}}://a.example:1\" }", "does not begin with"),
        ("{ url: \"grpcs://a.example\" }", "`a.example` has no port"),
        ("{ url: \"grpc://a.example:99999\" }", "`99999` is not a port"),
        ("{ url: \"grpc://a.example:1/x\" }", "is not a port"),
        ("{ url: \"grpc://a.example:1\", metadata: { grpc-timeout: 1S } }", "is a part of the protocol"),
        ("{ url: \"grpc://a.example:1\", metadata: { content-type: x } }", "is a part of the protocol"),
        (
            "{ url: \"grpc://a.example:1\", metadata: { Authorization: x }, bearer: y }",
            "has an `authorization` already",
        ),
        ("{ url: \"grpc://a.example:1\", ca: hello }", "`ca` cannot be used"),
    ] {
        let problems = build(&KIND, settings, false).err().unwrap_or_else(|| panic!("{settings} was accepted"));
        assert!(problems.contains(told), "{settings}: {told}: {problems}");
    }
}

#[test]
fn settings_may_be_filled_later() {
    for yaml in ["{ url: \"grpc://{{host}}:50051\", service: \"{{name}}\" }", "{ url: \"grpcs://[::1]:1/\" }"] {
        let built = build(&KIND, yaml, false).unwrap_or_else(|problems| panic!("{problems}"));
        assert_eq!(built.implied.len(), 2);
    }
}
