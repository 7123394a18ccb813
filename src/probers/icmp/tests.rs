//! What can be known without a network; `tests/real/icmp.rs` has one.

use chrono::TimeDelta;

use super::*;
use crate::clock::SystemClock;
use crate::probers::testing::build;

#[test]
fn mistakes_have_a_place_and_a_cure() {
    for (settings, told) in [
        ("{ host: \"a.example:80\" }", "write `a.example`"),
        ("{ host: \"https://a.example/x\" }", "write `a.example`"),
        ("{ host: \"a b\" }", "`a b` is not a host"),
        ("{ host: \"\" }", "`` is not a host"),
        ("{ host: a.example, count: 0 }", "`count` is from 1 to 10, not 0"),
        ("{ host: a.example, count: 11 }", "`count` is from 1 to 10, not 11"),
        ("{ host: a.example, size: 15 }", "`size` is from 16 to 1452, not 15"),
        ("{ host: a.example, size: 65507 }", "`size` is from 16 to 1452, not 65507"),
    ] {
        let problems = build(&KIND, settings, false).err().unwrap_or_else(|| panic!("{settings} was accepted"));
        assert!(problems.contains(told), "{settings}: {told}: {problems}");
    }
    for settings in ["{ host: \"{{x}}.example\" }", "{ host: \"::1\" }", "{ host: \"[::1]\" }", "{ host: 192.0.2.1 }"] {
        assert!(build(&KIND, settings, false).is_ok(), "{settings}");
    }
}

#[test]
fn a_stamp_that_cannot_be_true_is_not_used() {
    let clock = SystemClock::start();
    let one = |after_us: Option<i64>| {
        let wall = clock.now();
        let stamp = after_us.map(|after_us| wall + TimeDelta::microseconds(after_us));
        let request = Request { sent: Sent::nothing(&clock), end: None };
        let mut tally = Tally { sent: vec![request], complaint: None };
        while clock.monotonic().since(tally.sent[0].sent.at()) < Duration::from_millis(2) {}
        tally.reply(0, stamp, &clock);
        tally.round_trips()[0]
    };
    assert!(one(Some(700)) < Duration::from_micros(800));
    for wrong in [None, Some(-3_600_000_000), Some(3_600_000_000)] {
        assert!(one(wrong) >= Duration::from_millis(2), "{wrong:?}");
    }
}

#[test]
fn a_reply_counts_once_and_loss_is_a_share() {
    let clock = SystemClock::start();
    let request = || Request { sent: Sent::nothing(&clock), end: None };
    let mut tally = Tally { sent: vec![request(), request(), request(), request()], complaint: None };
    for sequence in [1, 1, 9] {
        tally.reply(sequence, None, &clock);
    }
    tally.complain("a router says: no route there".to_owned());
    let facts = tally.observation([127, 0, 0, 1].into(), &tally.round_trips()).facts;
    assert_eq!(
        ["sent", "received", "loss"].map(|name| facts.get(name)),
        [Some(&4.into()), Some(&1.into()), Some(&0.75.into())]
    );
    assert!(tally.told().starts_with("0: a router says: no route there\n1: 0"), "{}", tally.told());
    assert!(tally.told().ends_with("2: no reply\n3: no reply"), "{}", tally.told());
}
