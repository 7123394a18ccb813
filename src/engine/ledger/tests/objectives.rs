//! What is promised of many runs: what counts, what burns, and what a process that starts knows of it.

use super::*;
use crate::domain::metric::MetricName;
use crate::domain::objective::{BurnAlert, FAILURES_MIN, Goal, Judgement, Objective, Percentile, Standing};
use crate::domain::past::{PastRun, PastRuns};
use crate::domain::schedule::Cadence;
use crate::domain::tally::Count;
use crate::domain::time::earlier;

fn alert() -> BurnAlert {
    BurnAlert { severity: Severity::P2, slow: Severity::P4, failures: FAILURES_MIN }
}

fn success(share: &str, expected: u64, alert: Option<BurnAlert>) -> Arc<Objective> {
    let (goal, month) = (Goal::Success(share.parse().unwrap()), Duration::from_secs(30 * 86_400));
    Arc::new(Objective::new(goal, month, None, expected, alert))
}

/// A tier whose runs nobody judges one by one.
fn tier(every: &str, objectives: Vec<Arc<Objective>>) -> Plan {
    plan_of(vec![Schedule { alert: None, objectives, ..schedule_of("tier", every, 1) }])
}

/// A month of five minutes is 8,640 runs, of which 4.3 may fail.
pub(super) fn promised() -> Story {
    let mut story = Story::of(tier("5m", vec![success("99.95%", 8_640, Some(alert()))]));
    story.remember(Vec::new());
    story
}

impl Story {
    /// Runs that are so many minutes apart, each looked at.
    pub(super) fn every(&mut self, minutes: i64, letters: &str) -> &mut Self {
        for letter in letters.chars() {
            self.minutes(minutes - 1);
            self.second += 60;
            let mut commit = Commit::default();
            self.ledger.take_run(run("tier", "probe-0", self.second, letter), self.now(), &mut commit);
            self.ledger.catch_up(self.now(), &mut commit);
            self.note(commit);
        }
        self
    }

    /// The store says all that was.
    fn remember(&mut self, runs: Vec<PastRun>) -> &mut Self {
        let number = self.ledger.question().borrow().as_ref().map_or(0, |question| question.number);
        self.ledger.take_past(number, &PastRuns { runs, next: None });
        self
    }

    fn standing(&mut self) -> Standing {
        self.minutes(1);
        self.ledger.standings().borrow().standings[0].clone()
    }

    fn count(&mut self) -> (u64, u64) {
        let Count { runs, bad } = self.standing().count;
        (runs, bad)
    }
}

/// Runs that were, a minute apart, the last one a minute before ten.
fn past(letters: &str) -> Vec<PastRun> {
    let count = i64::try_from(letters.len()).unwrap();
    let of = |(n, letter): (i64, char)| PastRun {
        schedule: "tier".parse().unwrap(),
        probe: name("probe-0"),
        started_at: at("2026-11-24T10:00:00Z") - chrono::TimeDelta::minutes(count - n),
        duration: Duration::from_millis(5),
        failed: letter == 'x',
        detail: (letter == 'x').then(|| (RunId(Arc::from("old")), Vec::new())),
    };
    (0..).zip(letters.chars()).map(of).collect()
}

#[test]
fn one_failure_of_a_probe_of_five_minutes_wakes_nobody_and_three_in_an_hour_do() {
    let mut story = promised();
    story.every(5, "........x....x....");
    assert_eq!(story.heard(), [] as [&str; 0]);
    story.every(5, "x");
    assert_eq!(
        story.heard(),
        [
            "ops opened P2 #1 probe-0 burns its error budget: budget.burning: success 99.95 % over 30 d at 461.5 times the rate \
          that it bears: 3 of 13 runs were bad within 1 h"
        ]
    );
    assert_eq!(story.ledger.incidents_open(), 1);
    story.every(5, "xx").minutes(4);
    assert_eq!(story.heard(), [] as [&str; 0], "it is told once");
    story.every(5, ".");
    assert_eq!(story.heard(), [] as [&str; 0], "the failure before is still within five minutes");
}

#[test]
fn it_is_over_when_the_short_stretch_is_well_and_what_burns_slowly_goes_on_milder() {
    let mut story = promised();
    story.every(5, "xxx");
    assert_eq!(story.heard().len(), 1);
    // Half an hour for the second rule, six hours for the third.
    story.every(5, &".".repeat(9));
    assert_eq!(story.ledger.incidents_open(), 1, "it is the slow rule that holds it open");
    let open = story.ledger.open.iter().next().unwrap().1.clone();
    assert_eq!(open.firing.values().copied().collect::<Vec<_>>(), [Severity::P4]);
    assert_eq!(open.severity, Severity::P2, "it keeps the highest that applied");
    story.every(5, &".".repeat(6 * 12 + 1));
    let told = story.heard();
    assert_eq!(told.len(), 1, "{told:?}");
    assert!(told[0].starts_with("ops resolved P2 #2 probe-0 burns its error budget no more after 6 h"), "{told:?}");
    assert!(story.ledger.states.is_empty());
}

#[test]
fn what_burned_slowly_rises_when_it_burns_quickly() {
    // Of a hundred runs one may fail: one in fifty is twice as many, and neither of the fast rules.
    let mut story = Story::of(tier("1m", vec![success("99%", 43_200, Some(alert()))]));
    story.remember(Vec::new());
    story.every(1, &format!("x{}x{}x", ".".repeat(80), ".".repeat(80)));
    let told = story.heard();
    assert!(told.len() == 1 && told[0].starts_with("ops opened P4 #1 probe-0 burns its error budget"), "{told:?}");
    story.every(1, &"x".repeat(12));
    let told = story.heard();
    assert!(
        told[0].starts_with("ops reminder P2 #2 raised to P2: probe-0 still burns its error budget after"),
        "{told:?}"
    );
    assert_eq!(told.len(), 1);
}

#[test]
fn two_objectives_that_burn_are_one_incident_that_names_both() {
    let errors = Arc::new(Objective::new(
        Goal::Errors("1%".parse().unwrap()),
        Duration::from_secs(7 * 86_400),
        None,
        2_016,
        Some(alert()),
    ));
    let mut story = Story::of(tier("5m", vec![success("99.95%", 8_640, Some(alert())), errors]));
    story.remember(Vec::new()).every(5, "xxx");
    assert_eq!(story.heard().len(), 1);
    let texts = |story: &Story| -> Vec<_> {
        let incident = story.ledger.open.iter().next().unwrap().1;
        incident.latest_failures.iter().map(|failure| failure.expected.clone().unwrap()).collect()
    };
    assert_eq!(texts(&story), ["success 99.95 % over 30 d", "errors 1 % over 7 d"]);
}

#[test]
fn what_is_planned_off_the_slots_or_not_seen_is_no_evidence() {
    let from = at("2026-11-24T10:30:00Z");
    for mode in [Mode::Mute, Mode::Mark] {
        let mut plan = tier("5m", vec![success("99%", 8_640, None)]);
        let window = |name: &str, when, probes: &str| MaintenanceWindow {
            name: WindowName::parse(name).unwrap(),
            when,
            matchers: Matchers { probes: vec![probes.to_owned()], ..Matchers::default() },
            mode,
        };
        let hour = Duration::from_secs(3_600);
        let cadence = Cadence::cron("0 12 * * *", chrono_tz::Tz::UTC, from).unwrap();
        plan.maintenance = vec![
            window("once", Occurrence::Once(from, later(from, hour)), "probe-*"),
            window("again", Occurrence::Each(cadence, hour), "probe-0"),
            window("other", Occurrence::Once(from, later(from, hour * 10)), "else"),
        ];
        let mut story = Story::of(plan);
        story.remember(Vec::new());
        // Five minutes past ten is the first; 10:30 to 11:25 and 12:00 to 12:55 are planned.
        story.every(5, "x....").every(5, &"x".repeat(12)).every(5, "......").every(5, &"x".repeat(12)).every(5, "x");
        assert_eq!(story.count(), (5 + 6 + 1, 2), "{mode:?}");
        let extra = Run { extra: Some(Extra::Recheck), ..run("tier", "probe-0", story.second, 'x') };
        let (mut commit, now) = (Commit::default(), story.now());
        story.ledger.take_run(extra, now, &mut commit);
        story.ledger.take_run(run("tier", "probe-0", story.second, '?'), now, &mut commit);
        story.ledger.take_run(run("other", "probe-0", story.second, 'x'), now, &mut commit);
        story.ledger.take_run(run("tier", "probe-0", story.second, 'd'), now, &mut commit);
        assert_eq!(story.count(), (13, 2), "degraded counts as passed");
    }
}

#[test]
fn the_store_is_asked_once_and_nothing_is_counted_twice() {
    let limit = Goal::Within(Percentile::P99, Duration::from_millis(500));
    let slow = Arc::new(Objective::new(limit, Duration::from_secs(7_200), None, 24, None));
    let mut story = Story::of(tier("5m", vec![success("99.95%", 8_640, Some(alert())), slow]));
    let question = story.ledger.question().borrow().clone().unwrap();
    assert_eq!((question.until, question.from), (story.now(), earlier(story.now(), Duration::from_secs(30 * 86_400))));
    let detail = question.rounds[&"tier".parse::<ScheduleName>().unwrap()][&name("probe-0")];
    assert!(!detail.of_all && detail.slower_than == Some(Duration::from_millis(500)));
    story.every(5, "x");
    assert!(!story.standing().is_whole);
    let mut before = past(".x.xx");
    let mut late = before[0].clone();
    late.started_at = story.now();
    before.push(late);
    story.ledger.take_past(question.number, &PastRuns { runs: before.clone(), next: Some(question.until) });
    assert_eq!(story.count(), (6, 4), "what started after it was asked has come by itself");
    assert_eq!(story.heard(), [] as [&str; 0], "nobody is told before all is known");
    story.ledger.take_past(question.number - 1, &PastRuns { runs: before.clone(), next: None });
    assert_eq!(story.count(), (6, 4), "it answers another question");
    story.ledger.take_past(question.number, &PastRuns::default());
    assert_eq!(story.count(), (6, 4));
    assert!(story.standing().is_whole);
    assert_eq!(story.standing().judgement(), Judgement::NotEnoughEvidence);
    assert_eq!(story.heard().len(), 1, "four of six within an hour");
    // A reload that changes nothing of it asks nothing and forgets nothing.
    let mut plan = (*story.ledger.plan).clone();
    plan.site = "elsewhere".to_owned();
    story.ledger.take(Arc::new(plan.clone()), story.now(), &mut Commit::default());
    assert_eq!(*story.ledger.question().borrow(), None);
    assert_eq!(story.count(), (6, 4));
    // One that plans what was is told by the store alone.
    let from = at("2026-11-24T09:00:00Z");
    plan.maintenance = vec![MaintenanceWindow {
        name: WindowName::parse("past").unwrap(),
        when: Occurrence::Once(from, at("2026-11-24T09:58:30Z")),
        matchers: Matchers::default(),
        mode: Mode::Mute,
    }];
    story.ledger.take(Arc::new(plan), story.now(), &mut Commit::default());
    assert_eq!(story.count(), (0, 0));
    story.remember(before);
    assert_eq!(story.count(), (2, 1), "what the store has, but for what is planned now");
}

#[test]
fn a_restart_neither_tells_again_nor_forgets_to_end_it() {
    let mut story = promised();
    story.every(5, "xxx");
    assert_eq!(story.heard().len(), 1);
    story.restart();
    assert_eq!(story.ledger.states.len(), 1, "it is kept");
    story.minutes(3);
    assert_eq!(story.heard(), [] as [&str; 0], "the store is still read");
    assert_eq!(story.ledger.incidents_open(), 1);
    let shift = story.now() - at("2026-11-24T10:00:00Z") - chrono::TimeDelta::minutes(4);
    let mut runs = past("xxx");
    for run in &mut runs {
        run.started_at += shift;
    }
    story.remember(runs).minutes(1);
    assert_eq!(story.lines(), [] as [&str; 0], "it is in the time line already");
    story.minutes(1);
    assert_eq!((story.heard().len(), story.ledger.incidents_open()), (0, 1));
    story.every(5, &".".repeat(6 * 12 + 3));
    let told = story.heard();
    assert!(told.len() == 1 && told[0].starts_with("ops resolved P2 #2"), "{told:?}");
    // Who starts after the failures have left every stretch ends it at once.
    story.every(5, "xxx").heard();
    story.second += 10 * 86_400;
    story.restart().remember(Vec::new()).minutes(2);
    let told = story.heard();
    // It had opened as a slow one, by the failures of the morning.
    assert!(told.len() == 1 && told[0].starts_with("ops resolved P2 #3"), "{told:?}");
}

#[test]
fn an_objective_that_is_removed_resolves_what_it_opened() {
    let mut story = promised();
    story.every(5, "xxx").heard();
    let mut commit = Commit::default();
    let now = story.now();
    story.ledger.take(Arc::new(tier("5m", vec![success("99.95%", 8_640, None)])), now, &mut commit);
    story.note(commit);
    let told = story.heard();
    assert!(told.len() == 1 && told[0].contains("removed from the configuration"), "{told:?}");
    assert_eq!(*story.ledger.question().borrow(), None, "the counts are those of before");
    story.ledger.take(Arc::new(tier("5m", Vec::new())), now, &mut Commit::default());
    assert!(story.ledger.standings().borrow().standings.is_empty());
}

#[test]
fn a_silence_keeps_it_quiet_as_any_incident() {
    let mut story = promised();
    story.silence("probe-0", 30);
    story.every(5, "xxxxx");
    assert_eq!((story.heard().len(), story.ledger.incidents_open()), (0, 1));
    story.every(5, "xxx");
    assert_eq!(story.heard().len(), 1);
}

#[test]
fn metrics_are_told_when_they_change() {
    let mut story = promised();
    let mut told = || {
        let samples = story.ledger.take_samples();
        samples.into_iter().map(|sample| (sample.name, sample.labels.also.map(|(_, of)| of), sample.value)).collect()
    };
    let none: Vec<(MetricName, Option<&str>, f64)> = told();
    assert_eq!(none, [], "nothing was seen");
    story.every(5, ".x");
    let told = |story: &mut Story| story.ledger.take_samples();
    let samples = told(&mut story);
    let last = |name, also: Option<&str>| {
        let fits = |sample: &&crate::domain::metric::Sample| {
            sample.name == name && sample.labels.also.map(|(_, of)| of) == also
        };
        samples.iter().rev().find(fits).unwrap().value
    };
    assert!((last(MetricName::ObjectiveMeasured, None) - 0.5).abs() < 1e-9);
    assert!((last(MetricName::ObjectiveBudget, None) - (1.0 - 1.0 / 4.32)).abs() < 1e-9);
    assert!((last(MetricName::ObjectiveBurnRate, Some("6h")) - 1_000.0).abs() < 1e-6);
    assert_eq!(samples[0].labels.objective.as_deref(), Some("success 99.95 % over 30 d"));
    story.minutes(3);
    assert!(told(&mut story).is_empty(), "nothing has changed");
    story.minutes(60);
    assert!(!told(&mut story).is_empty(), "a publisher may have lost it");
}

/// Many probes cost each run and each look little: ten thousand are looked at within a moment.
#[test]
fn ten_thousand_probes_are_looked_at_once_a_minute() {
    let objectives = vec![success("99.95%", 86_400, Some(alert()))];
    let tier = Schedule { alert: None, objectives, ..schedule_of("tier", "30s", 10_000) };
    let mut story = Story::of(plan_of(vec![tier]));
    story.remember(Vec::new());
    let mut commit = Commit::default();
    for n in 0..10_000 {
        story.ledger.take_run(run("tier", &format!("probe-{n}"), 0, '.'), story.now(), &mut commit);
    }
    assert_eq!(story.standing().count, Count { runs: 1, bad: 0 });
    assert_eq!(story.ledger.standings().borrow().standings.len(), 10_000);
}
