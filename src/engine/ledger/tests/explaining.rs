//! What an incident tells of itself: what changed before it, what was looked at because of it, what is due after it.

use super::*;
use crate::domain::exchange::{Assertion, Bundle, StepRecord};
use crate::domain::expression::{Explanation, Part};
use crate::domain::outcome::{Cause, Extra};
use crate::engine::plan::Plan;
use crate::engine::scheduler::extras::{ExtraRun, Refusal};
use crate::engine::testing::probe;

fn mut_of<'a>(plan: &'a mut Plan, of: &str) -> &'a mut crate::engine::plan::PlannedProbe {
    plan.probes.get_mut(of).and_then(Arc::get_mut).unwrap()
}

/// Two probes of a tier, each of which `table` explains, and the first also `quota`.
fn diagnosed() -> Story {
    let mut tier = schedule_of("tier", "30s", 2);
    tier.alert.as_mut().unwrap().diagnose = vec![name("table")];
    let mut plan = plan_of(vec![tier]);
    for of in ["table", "quota"] {
        plan.probes.insert(name(of), Arc::new(probe(of)));
    }
    mut_of(&mut plan, "probe-0").diagnose = vec![name("quota"), name("table")];
    Story::of(plan)
}

/// A run off the slots of a probe that passed, or not, and saw so many throttled requests.
fn look(of: &str, second: i64, letter: char, throttled: u32) -> Run {
    let part = Part { expression: "json.throttled".to_owned(), value: throttled.to_string() };
    let explanation = Explanation { expression: "json.throttled == 0".to_owned(), parts: vec![part], reason: None };
    let assertion = Assertion { held: letter == '.', warns: false, explanation };
    let step = StepRecord {
        name: StepName::parse("only").unwrap(),
        exchanges: Vec::new(),
        assertions: vec![assertion.clone(), assertion],
        captures: Vec::new(),
    };
    Run {
        schedule: None,
        extra: Some(Extra::Diagnosis),
        bundle: Some(Arc::new(Bundle { steps: vec![step], left_out: 0 })),
        ..run("tier", of, second, letter)
    }
}

impl Story {
    fn wanted(&mut self) -> Vec<String> {
        let wanted = self.ledger.take_wanted().into_iter();
        wanted.map(|ExtraRun { schedule, probe, why, .. }| format!("{probe} {} {schedule:?}", why.as_str())).collect()
    }

    fn take(&mut self, run: Run) {
        let (now, mut commit) = (self.now(), Commit::default());
        self.ledger.take_run(run, now, &mut commit);
        self.note(commit);
    }
}

#[test]
fn what_explains_an_incident_is_asked_for_once_and_attached_when_it_comes() {
    let mut story = diagnosed();
    story.runs("tier", "probe-0", "x");
    assert_eq!(story.wanted(), [] as [&str; 0], "it is only suspect");
    story.runs("tier", "probe-0", "x");
    assert_eq!(story.wanted(), ["quota diagnosis None", "table diagnosis None"]);
    assert_eq!(story.heard().len(), 1, "whoever is paged has been paged");
    story.runs("tier", "probe-1", "xx");
    assert_eq!(story.wanted(), [] as [&str; 0], "the run that is on its way explains both");
    story.heard();

    story.take(look("table", 5, 'x', 12));
    let failed = "diagnosed: table failed: connect.refused: nobody listens";
    assert_eq!(story.lines(), [failed, failed]);
    assert_eq!(story.last.diagnoses.len(), 2);
    assert_eq!(story.last.bundles, [], "it is kept with the incidents, and once");
    story.take(look("quota", 5, '.', 0));
    assert_eq!(story.lines(), ["diagnosed: quota passed: json.throttled was 0"]);
    assert_eq!(story.heard(), [] as [&str; 0], "no message of its own");
    assert!(story.ledger.open.iter().all(|(_, open)| open.probe != name("table")), "and no incident");

    story.runs("tier", "probe-0", ".");
    let findings: Vec<_> =
        story.last.deliveries[0].notification.incident.findings.iter().map(ToString::to_string).collect();
    assert_eq!(
        findings,
        ["table failed: connect.refused: nobody listens", "quota passed: json.throttled was 0"],
        "later messages have it in short"
    );
    story.take(look("table", 9, '.', 0));
    assert_eq!(story.last.diagnoses, [], "nobody waits for it any more");
}

#[test]
fn a_run_that_goes_on_already_serves_as_well_and_one_that_cannot_be_made_is_told() {
    let mut story = diagnosed();
    story.runs("tier", "probe-0", "xx");
    let mut refuse = |of: &str, refusal| {
        let (now, mut commit) = (story.now(), Commit::default());
        let extra = ExtraRun { schedule: None, probe: name(of), why: Extra::Diagnosis, id: None };
        story.ledger.refused(&extra, refusal, now, &mut commit);
        commit.moments.into_iter().map(|moment| format!("{}: {}", moment.what, moment.text)).collect::<Vec<_>>()
    };
    assert_eq!(refuse("table", Refusal::Busy), [] as [&str; 0]);
    assert_eq!(refuse("quota", Refusal::Saturated), ["undiagnosed: quota did not look: no permit came free in time"]);
    story.take(Run { extra: None, bundle: None, ..look("table", 6, '.', 0) });
    assert_eq!(story.lines(), ["diagnosed: table passed"]);
}

#[test]
fn what_was_not_seen_before_the_process_ended_is_asked_for_again_while_it_is_fresh() {
    let mut story = diagnosed();
    story.runs("tier", "probe-0", "xx").wanted();
    story.take(look("quota", 3, '.', 0));
    story.restart();
    assert_eq!(story.wanted(), ["table diagnosis None"]);
    story.minutes(11).restart();
    assert_eq!(story.wanted(), [] as [&str; 0]);
}

#[test]
fn a_finding_is_one_line_that_ends_and_that_we_cannot_look_is_not_looked_at() {
    let mut story = diagnosed();
    story.runs("tier", "probe-0", "???");
    assert_eq!((story.heard().len(), story.wanted().len()), (1, 0));
    story.runs("tier", "probe-0", "xx").wanted();
    let ours = Failure::new(FailureKind::LocalNetwork, "ü".repeat(1_000));
    story.take(Run { verdict: Verdict::Inconclusive(Cause::Ours(ours)), ..look("table", 9, '.', 0) });
    let text = &story.last.diagnoses[0].finding.text;
    assert_eq!((text.chars().count(), text.ends_with('…')), (301, true));
}

#[test]
fn a_reload_and_what_failed_just_before_are_told_with_an_incident() {
    let mut story = Story::of(plan_of(vec![schedule_of("tier", "30s", 3)]));
    story.runs("tier", "probe-0", "xx");
    let mut next = (*story.ledger.plan).clone();
    next.written = (0..7).map(|n| (format!("probe p{n}"), String::new())).collect();
    let (now, mut commit) = (story.now(), Commit::default());
    story.ledger.take(Arc::new(next.clone()), now, &mut commit);
    story.ledger.take(Arc::new(next), now, &mut commit);
    story.note(commit);
    let added = "probe p0 added, probe p1 added, probe p2 added, probe p3 added, probe p4 added and 2 more";
    assert_eq!(
        story.lines(),
        [format!("reload: the configuration was loaded again: {added}")],
        "once, where it is open"
    );
    story.runs("tier", "probe-1", "xx");
    let changes = &story.last.deliveries[0].notification.incident.changes;
    let expected = [
        format!("the configuration was loaded again: {added} at 2026-11-24 10:00:02 UTC"),
        "an incident of probe-0 was opened at 2026-11-24 10:00:02 UTC".to_owned(),
    ];
    assert_eq!(changes, &expected);
    story.minutes(61).runs("tier", "probe-2", "xx");
    assert_eq!(story.last.deliveries[0].notification.incident.changes, [] as [&str; 0], "it is long ago");
}

fn with_post_mortem() -> Story {
    let mut plan = plan_of(vec![schedule_of("tier", "30s", 1)]);
    let post_mortem = Some(Duration::from_secs(86_400));
    plan.severities = [(Severity::P2, SeverityPlan { post_mortem, ..SeverityPlan::default() })].into();
    Story::of(plan)
}

#[test]
fn who_was_told_is_reminded_of_the_post_mortem_once_whatever_happens_to_the_process() {
    let mut story = with_post_mortem();
    story.runs("tier", "probe-0", "xx.").heard();
    story.minutes(23 * 60).restart().minutes(59).runs("tier", "probe-0", "xx.").heard();
    story.minutes(1);
    let due = "ops post_mortem P2 #3 write the post-mortem: the P2 of probe-0 has been over for 1 d";
    assert_eq!(story.heard(), [due]);
    assert_eq!(story.lines(), ["post_mortem: it is due, 1 d after the end"]);
    story.restart().minutes(23 * 60);
    assert_eq!(story.heard(), [] as [&str; 0]);
    story.minutes(60);
    assert_eq!(story.heard(), [due], "of the second one");
    story.minutes(48 * 60);
    assert_eq!(story.heard(), [] as [&str; 0]);
    assert_eq!(story.ledger.next_due(), None);
}

#[test]
fn nobody_is_reminded_of_what_nobody_was_told_of_or_what_was_not_repaired() {
    let mut story = with_post_mortem();
    story.silence("probe-*", 60);
    story.runs("tier", "probe-0", "xx.").runs("tier", "probe-0", "???.");
    story.minutes(61).runs("tier", "probe-0", "xx");
    story.ledger.take(Arc::new(plan_of(Vec::new())), story.now(), &mut Commit::default());
    assert!(story.ledger.over.is_empty());
}
