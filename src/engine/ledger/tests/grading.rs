//! Stories of incidents that become graver while they are open, by what fails and by how much of it.

use std::collections::BTreeMap;

use super::*;
use crate::domain::grading::{ErrorRate, Grading};

/// One tier of P3, whose assertions are P4 and whose certificates P2; a fifth of ten runs is P2 and half of them P1. The grave
/// ones go to `oncall` as well.
fn graded() -> Story {
    let share = |severity, text: &str| (severity, text.parse().unwrap());
    let mut tier = schedule_of("tier", "30s", 1);
    let alert = tier.alert.as_mut().unwrap();
    alert.failing.after = "1".parse().unwrap();
    alert.failing.severity = Severity::P3;
    alert.grading = Some(Grading {
        default: Severity::P3,
        failures: [(FailureKind::Expect, Severity::P4), (FailureKind::TlsExpired, Severity::P2)].into(),
        error_rate: Some(ErrorRate { runs: 10, from: [share(Severity::P1, "50%"), share(Severity::P2, "20%")].into() }),
    });
    let mut plan = plan_of(vec![tier]);
    let [ops, oncall] = ["ops", "oncall"].map(|channel| ChannelName::parse(channel).unwrap());
    let grave =
        Route { severities: [Severity::P1, Severity::P2].into(), to: vec![ops.clone(), oncall], ..Route::default() };
    plan.routes = vec![grave, Route { to: vec![ops], ..Route::default() }];
    Story::of(plan)
}

/// What was heard, with its severity and number, without why.
fn heard(story: &mut Story) -> Vec<String> {
    story.heard().into_iter().map(|line| line.split(": expect").next().unwrap_or_default().to_owned()).collect()
}

#[test]
fn what_fails_says_how_grave_it_is_and_what_rises_does_not_fall() {
    let mut story = graded();
    story.runs("tier", "probe-0", "e");
    assert_eq!(story.heard(), ["ops opened P4 #1 probe-0 is failing: `status` was 500"]);
    story.runs("tier", "probe-0", "t");
    assert_eq!(story.lines(), ["raised: P4 becomes P2"]);
    assert_eq!(
        story.heard(),
        [
            "oncall opened P2 #2 probe-0 is failing: tls.expired: expired yesterday",
            "ops reminder P2 #3 raised to P2: probe-0 is still failing after 1 s: tls.expired: expired yesterday",
        ]
    );
    story.runs("tier", "probe-0", "e").minutes(60);
    assert_eq!(story.heard(), [] as [&str; 0], "it is as grave as it was");
    story.runs("tier", "probe-0", ".");
    assert_eq!(
        story.heard(),
        ["ops resolved P2 #4 probe-0 is well again after 1 h", "oncall resolved P2 #4 probe-0 is well again after 1 h"]
    );
}

#[test]
fn how_much_fails_says_how_grave_it_is_also_after_a_restart_and_after_it_was_over() {
    let mut story = graded();
    story.runs("tier", "probe-0", "e");
    assert_eq!(heard(&mut story), ["ops opened P4 #1 probe-0 is failing: `status` was 500"]);
    story.runs("tier", "probe-0", "e");
    assert_eq!(story.lines(), ["raised: P4 becomes P2"], "two of the last ten");
    story.runs("tier", "probe-0", "ee").restart().heard();
    story.runs("tier", "probe-0", "e");
    assert_eq!(story.lines(), ["raised: P2 becomes P1"], "five of the last ten");
    story.heard();
    // It is over, and not forgotten.
    story.runs("tier", "probe-0", "....").restart().heard();
    story.runs("tier", "probe-0", "e");
    assert_eq!(story.lines()[1], "opened: P1, by tier");
    story.runs("tier", "probe-0", "..........");
    assert!(story.ledger.recents.is_empty(), "ten runs passed, and nothing of it is kept");
    assert_eq!(story.last.recents.values().map(Recent::failures).collect::<Vec<_>>(), [0]);
    story.runs("tier", "probe-0", ".");
    assert_eq!(story.last.recents, BTreeMap::new(), "and what has not failed for long costs nothing");
}

#[test]
fn an_acknowledgement_of_less_does_not_keep_the_page_back() {
    let mut story = graded();
    story.runs("tier", "probe-0", "x");
    story.act("ann", &Act::Acknowledge { note: None }).unwrap();
    story.heard();
    story.runs("tier", "probe-0", "x");
    let told = [
        "oncall opened P2 #3 probe-0 is failing",
        "ops reminder P2 #4 raised to P2: probe-0 is still failing after 1 s",
    ];
    assert_eq!(story.heard(), told);
}

#[test]
fn what_is_looked_at_again_and_what_says_nothing_is_no_part_of_the_share() {
    let mut story = graded();
    story.runs("tier", "probe-0", "x???");
    for second in 10..20 {
        let again = Run { extra: Some(Extra::Recheck), ..run("tier", "probe-0", second, 'x') };
        story.ledger.take_run(again, story.now(), &mut Commit::default());
    }
    assert_eq!(story.ledger.open.iter().next().unwrap().1.severity, Severity::P3);
    let recent = story.ledger.recents.values().next().unwrap();
    assert_eq!(recent.failures(), 1);
}

#[test]
fn what_nobody_asks_for_any_more_is_forgotten() {
    let mut story = graded();
    story.runs("tier", "probe-0", "xx");
    let mut plan = (*story.ledger.plan).clone();
    let tier = plan.schedules.values_mut().next().unwrap();
    Arc::make_mut(tier).alert.as_mut().unwrap().grading = None;
    let mut commit = Commit::default();
    story.ledger.take(Arc::new(plan), story.now(), &mut commit);
    assert!(commit.recents.values().all(Recent::is_forgotten) && commit.recents.len() == 1);
    assert_eq!(story.ledger.open.iter().next().unwrap().1.severity, Severity::P2, "what is open stays as it is");
}
