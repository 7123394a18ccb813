//! What can be known without a server; `tests/real/websocket.rs` has the servers.

use super::*;
use crate::probers::testing::build;

#[test]
fn mistakes_have_a_place_and_a_cure() {
    for (settings, told) in [
        ("{ url: \"https://a.example/\" }", "write `wss://` or `ws://`"),
        ("{ url: a.example }", "write `wss://a.example`"),
        ("{ url: \"wss://u:p@a.example/\" }", "remove them and write `bearer: \"${secret:…}\"`"),
        ("{ url: \"ws://a.example\", headers: { Sec-WebSocket-Key: x } }", "is a part of the handshake"),
        ("{ url: \"ws://a.example\", headers: { sec-websocket-protocol: x } }", "write `subprotocols: […]`"),
        ("{ url: \"ws://a.example\", headers: { Authorization: x }, bearer: y }", "has an `Authorization` already"),
        ("{ url: \"ws://a.example\", subprotocols: [\"a b\"] }", "`a b` is not the name of a subprotocol"),
        ("{ url: \"ws://a.example\", subprotocols: [a, a] }", "the subprotocol `a` is given twice"),
        ("{ url: \"ws://a.example\", receive: 11 }", "`receive` is from 0 to 10, not 11"),
        ("{ url: \"ws://a.example\", max_message: 0 }", "`max_message` is from 1 to 10485760, not 0"),
    ] {
        let problems = build(&KIND, settings, false).err().unwrap_or_else(|| panic!("{settings} was accepted"));
        assert!(problems.contains(told), "{settings}: {told}: {problems}");
    }
}

#[test]
fn settings_may_be_filled_later() {
    let yaml =
        "{ url: \"wss://a.example/{{room}}\", bearer: \"{{token}}\", send: \"{{hello}}\", subprotocols: [a, b] }";
    assert!(build(&KIND, yaml, false).is_ok());
}
