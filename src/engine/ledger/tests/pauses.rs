//! What is paused keeps its state, tells nobody, and keeps nothing else quiet.

use super::*;
use crate::domain::pause::{Because, Pause, PauseError, PauseId, Scope};
use crate::engine::ledger::pauses::{PAUSES_MAX, Pausing};

impl Story {
    pub(super) fn pausing(&mut self, what: Pausing) -> Result<Pause, PauseError> {
        let (now, mut commit) = (self.now(), Commit::default());
        let done = self.ledger.pause(what, now, &mut commit);
        self.ledger.catch_up(now, &mut commit);
        self.note(commit);
        done
    }

    /// Somebody pauses something, for so many minutes or until somebody resumes.
    pub(super) fn pause(&mut self, what: &str, minutes: Option<i64>) -> Result<Pause, PauseError> {
        let until = minutes.map(|minutes| self.now() + chrono::TimeDelta::minutes(minutes));
        let (by, reason) = ("ann".to_owned(), "a new disk".to_owned());
        self.pausing(Pausing::Begin { what: Scope::parse(what).unwrap(), by, reason, until })
    }

    fn reload(&mut self, plan: Plan) -> &mut Self {
        let (now, mut commit) = (self.now(), Commit::default());
        self.ledger.take(Arc::new(plan), now, &mut commit);
        self.ledger.catch_up(now, &mut commit);
        self.note(commit);
        self
    }

    /// Why a run of the first probe moves nothing.
    pub(super) fn unjudged(&mut self, schedule: Option<&str>, letter: char) -> Option<String> {
        let schedule = schedule.map(|name| name.parse().unwrap());
        let (of, now) = (Run { schedule, ..run("tier", "probe-0", self.second, letter) }, self.now());
        self.ledger.take_run(of, now, &mut Commit::default()).map(|why| why.to_string())
    }

    fn refusal(&mut self, what: &str) -> String {
        self.pause(what, None).unwrap_err().to_string()
    }
}

#[test]
fn what_is_open_stays_open_says_who_paused_it_and_is_not_reminded_of_until_it_is_resumed() {
    let mut story = reminding();
    story.runs("tier", "probe-0", "xx").minutes(20).heard();
    let pause = story.pause("probe-*", None).unwrap();
    assert_eq!(story.lines(), ["muted: paused by ann: a new disk"]);
    assert_eq!(story.last.incidents[0].quiet.as_ref().unwrap().to_string(), "paused by ann: a new disk");
    assert_eq!(story.last.pauses, std::slice::from_ref(&pause));
    assert_eq!((story.ledger.incidents_open(), story.ledger.paused()), (1, 1));
    // Neither what was under way nor what somebody triggers moves anything.
    story.runs("tier", "probe-0", "..x").minutes(120);
    assert_eq!(story.heard(), [] as [&str; 0], "no reminder, no resolve");
    let over = story.pausing(Pausing::End(pause.id.clone())).unwrap();
    assert_eq!(over.ended.as_ref().unwrap().because, Because::Resumed);
    assert_eq!(story.last.pauses, [over]);
    assert_eq!(story.lines()[0], "unmuted: no more: paused by ann: a new disk");
    assert_eq!(story.ledger.paused(), 0);
    assert_eq!(story.heard(), [] as [&str; 0], "a reminder was due meanwhile, and nobody has looked yet");
    story.minutes(1);
    assert_eq!(story.heard(), ["ops reminder P2 #2 probe-0 is still failing after 2 h 21 min"]);
    story.runs("tier", "probe-0", ".");
    assert_eq!(story.heard(), ["ops resolved P2 #3 probe-0 is well again after 2 h 21 min"]);
    let again = story.pausing(Pausing::End(pause.id.clone())).unwrap_err();
    assert_eq!(again.to_string(), format!("there is no pause {}, or it is over", pause.id));
}

#[test]
fn what_fails_while_it_is_paused_pages_nobody_and_counts_as_it_did_before() {
    let mut story = Story::of(plan_of(vec![schedule_of("tier", "30s", 1)]));
    story.runs("tier", "probe-0", "x");
    story.pause("schedule:tier", Some(60)).unwrap();
    story.runs("tier", "probe-0", "xxx???????");
    assert_eq!(story.heard(), [] as [&str; 0]);
    story.minutes(60);
    assert_eq!(story.last.pauses[0].ended.as_ref().unwrap().because, Because::Over, "its time is over by itself");
    story.runs("tier", "probe-0", "x");
    assert_eq!(story.heard().len(), 1, "one failure from before, and one after");
}

#[test]
fn a_pause_outlives_the_process_and_ends_while_none_is_there() {
    let mut story = reminding();
    story.runs("tier", "probe-0", "xx").heard();
    let pause = story.pause("probe-0", Some(60)).unwrap();
    story.second += 600;
    story.restart();
    assert_eq!(story.ledger.pauses().borrow().all(), std::slice::from_ref(&pause));
    assert_eq!(story.ledger.paused(), 1);
    story.runs("tier", "probe-0", ".").minutes(35);
    assert_eq!(story.heard(), [] as [&str; 0], "the passing run is not judged, and nobody is reminded");
    story.second += 3_600;
    story.restart();
    let ended = story.last.pauses[0].ended.as_ref().unwrap();
    assert_eq!((ended.at, ended.because), (pause.until.unwrap(), Because::Over));
    story.minutes(2);
    assert_eq!(story.heard(), ["ops reminder P2 #2 probe-0 is still failing after 1 h 46 min"]);
}

#[test]
fn a_pause_of_what_a_reload_removed_is_over_with_that_reason() {
    let mut story = Story::of(plan_of(vec![schedule_of("tier", "30s", 2), schedule_of("slow", "5m", 1)]));
    for what in ["probe-1", "probe-*", "schedule:slow"] {
        story.pause(what, None).unwrap();
    }
    assert_eq!(story.ledger.paused(), 3);
    story.reload(plan_of(vec![schedule_of("tier", "30s", 1)]));
    let ended: Vec<_> =
        story.last.pauses.iter().map(|pause| (pause.what.to_string(), pause.ended.clone().unwrap().because)).collect();
    assert_eq!(ended, [("probe-1".to_owned(), Because::Removed), ("schedule:slow".to_owned(), Because::Removed)]);
    assert_eq!(story.ledger.paused(), 1, "the other goes on, and takes what is left");
}

#[test]
fn a_paused_parent_mutes_nobody() {
    // It was failing when it was paused.
    let mut story = Story::of(plan_with_need());
    story.runs("tier", "probe-0", "xx").runs("tier", "probe-1", "xx");
    assert_eq!(story.heard(), ["ops opened P2 #1 probe-0 is failing"]);
    story.pause("probe-0", None).unwrap();
    assert_eq!(story.heard(), ["ops opened P2 #1 probe-1 is failing"]);
    // It was in doubt, or well, and is not looked at first.
    for letters in ["x", "."] {
        let mut story = Story::of(plan_with_need());
        story.runs("tier", "probe-0", letters);
        story.pause("probe-0", None).unwrap();
        story.second += 60;
        story.runs("tier", "probe-1", "xx");
        assert_eq!(story.heard(), ["ops opened P2 #1 probe-1 is failing"], "{letters}");
        assert_eq!(story.ledger.take_wanted(), [], "{letters}");
    }
}

#[test]
fn what_fails_on_a_schedule_that_goes_on_is_told_as_ever() {
    let mut story = Story::of(plan_of(vec![schedule_of("tier", "30s", 1), schedule_of("slow", "5m", 1)]));
    story.runs("tier", "probe-0", "xx").runs("slow", "probe-0", "xx").heard();
    story.pause("schedule:tier", None).unwrap();
    assert_eq!(story.lines(), [] as [&str; 0], "the other one holds it open as well");
    let pause = story.pause("probe-0", Some(60)).unwrap();
    assert!(story.lines()[0].starts_with("muted: paused by ann until "), "{:?}", story.lines());
    story.pausing(Pausing::End(pause.id)).unwrap();
    story.runs("slow", "probe-0", ".");
    assert_eq!(story.lines(), ["recovered: slow is healthy", "muted: paused by ann: a new disk"]);
    assert_eq!(story.ledger.incidents_open(), 1);
}

#[test]
fn nothing_that_is_paused_is_looked_at_off_the_slots() {
    let mut story = rechecking();
    story.runs("tier", "probe-0", "x");
    assert_eq!(story.asked(15), [10]);
    let pause = story.pause("probe-0", None).unwrap();
    assert_eq!(story.asked(60), [] as [i64; 0]);
    story.pausing(Pausing::End(pause.id)).unwrap();
    assert_eq!(story.asked(15), [10], "it is still in doubt");
}

#[test]
fn a_budget_that_burns_pages_nobody_while_its_probe_is_paused() {
    let mut story = objectives::promised();
    story.every(5, &".".repeat(12)).heard();
    let pause = story.pause("probe-0", None).unwrap();
    // These were recorded meanwhile, as runs that were under way are.
    story.every(5, "xxxxx");
    assert_eq!(story.heard(), [] as [&str; 0]);
    story.pausing(Pausing::End(pause.id)).unwrap();
    story.minutes(1);
    assert_eq!(story.heard().len(), 1, "it burns, and now that is told");
}

#[test]
fn a_pause_that_is_none_is_refused_with_what_may_be_meant() {
    let mut story = Story::of(plan_of(vec![schedule_of("tier", "30s", 2)]));
    assert_eq!(story.refusal("prob-0"), "there is no probe `prob-0`: did you mean `probe-0`?");
    assert_eq!(story.refusal("tier"), "there is no probe `tier`: for the schedule write `schedule:tier`");
    assert_eq!(story.refusal("schedule:slow"), "there is no schedule `slow`: only `tier` is known here");
    assert_eq!(
        story.refusal("*"),
        "a pause says what is paused, and not everything: to stop everything, stop the daemon"
    );
    let pause = story.pause("probe-0", None).unwrap();
    let id = pause.id;
    assert_eq!(
        story.refusal("probe-0"),
        format!("there is such a pause already, {id}: probe-0 is paused by ann: a new disk")
    );
    assert_eq!(
        story.pausing(Pausing::End(PauseId(Arc::from("x")))).unwrap_err().to_string(),
        "there is no pause x, or it is over"
    );
}

#[test]
fn there_are_no_more_pauses_than_anybody_oversees() {
    let mut story = Story::of(plan_of(vec![schedule_of("tier", "30s", 1)]));
    // As many patterns for one name as there are ways to put stars into it.
    let pattern = |n: usize| format!("{}probe{}-0{}", "*".repeat(n % 8), "*".repeat(n / 8 % 8), "*".repeat(n / 64));
    for n in 0..PAUSES_MAX {
        story.pause(&pattern(n), None).unwrap();
    }
    assert_eq!(story.refusal(&pattern(PAUSES_MAX)), "there are 500 pauses already: resume one first");
}

#[test]
fn a_run_says_why_it_is_not_judged() {
    let mut plan = plan_of(vec![schedule_of("tier", "30s", 1)]);
    plan.schedules
        .insert("quiet".parse().unwrap(), Arc::new(Schedule { alert: None, ..schedule_of("quiet", "5m", 1) }));
    let mut story = Story::of(plan);
    assert_eq!(story.unjudged(Some("tier"), 'x'), None);
    assert_eq!(story.unjudged(Some("quiet"), 'x').as_deref(), Some("no alert is set for it on quiet"));
    assert_eq!(story.unjudged(None, 'x').as_deref(), Some("no schedule has it"));
    story.pause("schedule:tier", None).unwrap();
    assert_eq!(story.unjudged(Some("tier"), 'x').as_deref(), Some("it is paused by ann: a new disk"));
}

#[test]
fn what_is_well_when_it_is_resumed_is_neither_reminded_of_nor_told_to_others() {
    let mut story = reminding();
    let mut plan = (*story.ledger.plan).clone();
    let escalating = SeverityPlan {
        acknowledge: Some(Duration::from_secs(600)),
        escalate: vec!["boss".parse().unwrap()],
        ..SeverityPlan::default()
    };
    plan.severities.insert(Severity::P2, escalating);
    story.reload(plan);
    story.runs("tier", "probe-0", "xx").heard();
    for ends in [false, true] {
        let pause = story.pause("probe-0", Some(120)).unwrap();
        story.minutes(if ends { 120 } else { 60 });
        if !ends {
            story.pausing(Pausing::End(pause.id)).unwrap();
        }
        assert_eq!((story.ledger.paused(), story.heard()), (0, vec![]), "{ends}");
    }
    story.runs("tier", "probe-0", ".").minutes(2);
    assert_eq!(story.heard(), ["ops resolved P2 #2 probe-0 is well again after 3 h"]);
}

#[test]
fn who_pauses_all_there_is_in_other_words_is_logged() {
    let mut story = Story::of(plan_of(vec![schedule_of("tier", "30s", 2)]));
    let said = logged(|| {
        story.pause("probe-0", None).unwrap();
    });
    assert_eq!(said, "");
    let said = logged(|| {
        story.pause("pro*-*", None).unwrap();
    });
    assert!(
        said.contains("WARN") && said.contains("no probe is run on its schedule now: ann paused pro*-*: a new disk"),
        "{said}"
    );
    let mut story = Story::of(plan_of(vec![schedule_of("tier", "30s", 2)]));
    assert!(logged(|| drop(story.pause("schedule:ti*r", None).unwrap())).contains("no probe is run"));
    let mut story = Story::of(plan_of(vec![schedule_of("tier", "30s", 1)]));
    assert_eq!(logged(|| drop(story.pause("probe-0", None).unwrap())), "", "one is one");
}
