//! Stories of incidents: what is told, to whom, and what outlives the process.

use super::acts::{Act, ActError};
use super::silences::Silencing;
use super::*;
use crate::domain::hours::Hours;
use crate::domain::names::{ChannelName, ScheduleName, WindowName};
use crate::domain::outcome::{Failure, FailureKind, Phases, RunId, StepOutcome};
use crate::domain::quiet::{MaintenanceWindow, Matchers, Mode, Occurrence, SilenceError, SilenceId};
use crate::domain::route::Route;
use crate::domain::schedule::Cadence;
use crate::engine::plan::SeverityPlan;
use crate::engine::scheduler::extras::Refusal;
use crate::engine::testing::{at, logged, plan_of, schedule_of};

mod drills;
mod explaining;
mod grading;
mod network;
mod objectives;
mod pauses;
mod recipients;
mod recording;

fn name(text: &str) -> ProbeName {
    ProbeName::parse(text).unwrap()
}

fn run(schedule: &str, probe: &str, second: i64, letter: char) -> Run {
    let started_at = at("2026-11-24T10:00:00Z") + chrono::TimeDelta::seconds(second);
    Run {
        id: RunId(Arc::from("r")),
        location: Arc::from("here"),
        probe: name(probe),
        schedule: Some(ScheduleName::parse(schedule).unwrap()),
        extra: None,
        slot: started_at,
        due_at: started_at,
        started_at,
        duration: Duration::from_millis(5),
        lateness: Duration::ZERO,
        verdict: match letter {
            'd' => Verdict::Degraded(vec![Failure::new(FailureKind::Expect, "`total_ms` was 900")]),
            'x' => Verdict::Failed(vec![Failure::new(FailureKind::ConnectRefused, "nobody listens")]),
            'e' => Verdict::Failed(vec![Failure::new(FailureKind::Expect, "`status` was 500")]),
            'n' => Verdict::Failed(vec![Failure::new(FailureKind::TimeoutDns, "no name server answered")]),
            'w' => Verdict::Failed(vec![Failure::new(FailureKind::TimeoutConnect, "no connection was made")]),
            't' => Verdict::Failed(vec![Failure::new(FailureKind::TlsExpired, "expired yesterday")]),
            '?' => Verdict::Inconclusive(Cause::Ours(Failure::new(FailureKind::LocalNetwork, "no route"))),
            _ => Verdict::Passed,
        },
        steps: Vec::new(),
        bundle: None,
    }
}

#[test]
fn a_version_that_changed_shortly_before_is_told_with_the_incident() {
    let plan = Arc::new(plan_of(vec![schedule_of("tier", "30s", 2)]));
    let start = at("2026-11-24T10:00:00Z");
    let mut ledger = Ledger::open(Arc::clone(&plan), Loaded::default(), start, &mut Commit::default());
    let take = |ledger: &mut Ledger, probe: &str, second: i64, letter: char, version: &str| {
        let mut run = run("tier", probe, second, letter);
        run.steps = vec![StepOutcome {
            cases: Vec::new(),
            name: StepName::parse("http").unwrap(),
            kind: "http".to_owned(),
            cleanup: false,
            verdict: Some(run.verdict.clone()),
            offset_ms: 0.0,
            phases: Phases::default(),
            certificate_expires: None,
            status: None,
            late_ms: None,
            version: Some(version.to_owned()),
        }];
        let mut commit = Commit::default();
        ledger.take_run(run, start + chrono::TimeDelta::seconds(second), &mut commit);
        commit
    };
    let first = take(&mut ledger, "probe-1", 0, '.', "1.0.0");
    assert_eq!((first.versions.len(), first.moments.len()), (1, 0));
    assert_eq!(take(&mut ledger, "probe-1", 30, '.', "1.0.0").versions, [], "nothing changed");
    take(&mut ledger, "probe-1", 600, '.', "1.1.0");
    assert_eq!(take(&mut ledger, "probe-1", 590, '.', "1.0.0").versions, [], "a slow run that began before");
    // What is known outlives the process.
    let versions = ledger.versions.values().cloned().collect();
    let loaded = Loaded { versions, ..Loaded::default() };
    let mut ledger = Ledger::open(Arc::clone(&plan), loaded, start, &mut Commit::default());
    take(&mut ledger, "probe-0", 630, 'x', "7");
    let opened = take(&mut ledger, "probe-0", 660, 'x', "7");
    let told: Vec<_> = opened.moments.iter().map(|moment| moment.what.as_str()).collect();
    assert_eq!(told, ["version", "failed", "opened"]);
    let changes = &opened.deliveries[0].notification.incident.changes;
    assert!(changes[0].starts_with("probe-1 saw version 1.0.0 become 1.1.0 at "), "{changes:?}");
    let while_open = take(&mut ledger, "probe-0", 1_200, 'x', "8").moments;
    assert_eq!(while_open[0].text, "probe-0 saw version 7 become 8");
    assert!(take(&mut ledger, "probe-0", 1_230, 'x', "7").moments.is_empty(), "two that answer in turn");
    take(&mut ledger, "probe-1", 9_000, 'x', "1.1.0");
    let much_later = take(&mut ledger, "probe-1", 9_030, 'x', "1.1.0");
    assert_eq!(much_later.incidents[0].changes, Vec::<String>::new());
}

/// Feeds runs (schedule, probe, letter), a second apart, and writes down what is told and to whom.
struct Story {
    ledger: Ledger,
    second: i64,
    told: Vec<String>,
    last: Commit,
}

impl Story {
    fn of(plan: Plan) -> Self {
        let ledger =
            Ledger::open(Arc::new(plan), Loaded::default(), at("2026-11-24T10:00:00Z"), &mut Commit::default());
        Self { ledger, second: 0, told: Vec::new(), last: Commit::default() }
    }

    fn note(&mut self, commit: Commit) {
        for delivery in &commit.deliveries {
            let n = &delivery.notification;
            self.told.push(format!(
                "{} {} {} #{} {}",
                delivery.channel,
                n.event.as_str(),
                n.incident.severity,
                n.transition,
                n.summary()
            ));
            assert!(!n.incident.schedules.is_empty());
        }
        self.last = commit;
    }

    fn runs(&mut self, schedule: &str, probe: &str, letters: &str) -> &mut Self {
        for letter in letters.chars() {
            self.second += 1;
            let mut commit = Commit::default();
            let now = at("2026-11-24T10:00:00Z") + chrono::TimeDelta::seconds(self.second);
            self.ledger.take_run(run(schedule, probe, self.second, letter), now, &mut commit);
            self.ledger.catch_up(now, &mut commit);
            self.note(commit);
        }
        self
    }
}

/// What happens without a run.
impl Story {
    fn now(&self) -> Timestamp {
        at("2026-11-24T10:00:00Z") + chrono::TimeDelta::seconds(self.second)
    }

    /// Minutes go by, each looked at.
    fn minutes(&mut self, minutes: i64) -> &mut Self {
        for _ in 0..minutes {
            self.second += 60;
            let (now, mut commit) = (self.now(), Commit::default());
            self.ledger.catch_up(now, &mut commit);
            self.note(commit);
        }
        self
    }

    /// The process ends, and another goes on with what was committed.
    fn restart(&mut self) -> &mut Self {
        let text = |incident: &Incident| serde_json::to_string(incident).unwrap();
        let loaded = Loaded {
            states: self.ledger.states.clone().into_iter().collect(),
            incidents: self
                .ledger
                .open
                .iter()
                .map(|(_, open)| open)
                .chain(self.ledger.over.values())
                .map(|incident| serde_json::from_str(&text(incident)).unwrap())
                .collect(),
            silences: self.ledger.silences.clone(),
            pauses: self.ledger.pauses().borrow().all().to_vec(),
            flaps: self.ledger.flaps.clone().into_iter().collect(),
            recents: self.ledger.recents.clone().into_iter().collect(),
            ..Loaded::default()
        };
        let (now, mut commit) = (self.now(), Commit::default());
        self.ledger = Ledger::open(Arc::clone(&self.ledger.plan), loaded, now, &mut commit);
        self.ledger.catch_up(now, &mut commit);
        self.note(commit);
        self
    }

    fn act(&mut self, by: &str, act: &Act) -> Result<Incident, ActError> {
        let id = self.ledger.open.iter().next().map(|(_, incident)| incident.id.clone());
        let (now, mut commit) = (self.now(), Commit::default());
        let id = id.unwrap_or(IncidentId(Arc::from("none")));
        let done = self.ledger.act(&id, by, act, now, &mut commit);
        self.note(commit);
        done
    }

    /// Somebody wants quiet about probes for so many minutes from now on.
    fn silence(&mut self, probes: &str, minutes: i64) -> SilenceId {
        let what = Silencing::Begin {
            matchers: Matchers { probes: vec![probes.to_owned()], ..Matchers::default() },
            by: "ann".to_owned(),
            reason: "a new disk".to_owned(),
            from: None,
            until: self.now() + chrono::TimeDelta::minutes(minutes),
        };
        self.silencing(what).unwrap().id
    }

    fn silencing(&mut self, what: Silencing) -> Result<Silence, SilenceError> {
        let (now, mut commit) = (self.now(), Commit::default());
        let done = self.ledger.silence(what, now, &mut commit);
        self.ledger.catch_up(now, &mut commit);
        self.note(commit);
        done
    }

    /// The lines of the time line that the last look brought.
    fn lines(&self) -> Vec<String> {
        self.last.moments.iter().map(|moment| format!("{}: {}", moment.what, moment.text)).collect()
    }

    /// What was told since the last look, without what is in every line.
    fn heard(&mut self) -> Vec<String> {
        let told = std::mem::take(&mut self.told);
        told.into_iter().map(|line| line.replace(": connect.refused: nobody listens", "")).collect()
    }
}

fn reminding() -> Story {
    let mut tier = schedule_of("tier", "30s", 1);
    tier.alert.as_mut().unwrap().failing.remind = Some(Duration::from_secs(1_800));
    Story::of(plan_of(vec![tier]))
}

#[test]
fn who_was_told_is_reminded_ever_more_seldom_until_it_is_over() {
    let mut story = reminding();
    story.runs("tier", "probe-0", "xx").minutes(29);
    assert_eq!(story.heard(), ["ops opened P2 #1 probe-0 is failing"]);
    story.minutes(60 * 4);
    assert_eq!(
        story.heard(),
        [
            "ops reminder P2 #2 probe-0 is still failing after 30 min 1 s",
            "ops reminder P2 #3 probe-0 is still failing after 1 h 30 min",
            "ops reminder P2 #4 probe-0 is still failing after 3 h 30 min",
        ]
    );
    story.runs("tier", "probe-0", ".").minutes(60 * 24);
    assert_eq!(story.heard().len(), 1, "the resolve, and then nothing");
}

#[test]
fn a_reminder_outlives_the_process_and_waits_for_the_first_look_of_the_next() {
    let mut story = reminding();
    story.runs("tier", "probe-0", "xx").minutes(31).heard();
    story.restart().minutes(58);
    assert_eq!(story.heard(), [] as [&str; 0], "it has not begun anew");
    story.minutes(1);
    assert_eq!(story.heard(), ["ops reminder P2 #3 probe-0 is still failing after 1 h 30 min"]);
    // The process was away when the next was due.
    story.second += 10 * 3_600;
    story.restart();
    assert!(story.heard().is_empty(), "nobody has looked yet");
    story.minutes(1);
    assert_eq!(
        story.heard(),
        ["ops reminder P2 #4 probe-0 is still failing after 11 h 31 min"],
        "one, and not those that were missed"
    );
}

#[test]
fn a_reload_brings_reminders_and_takes_them_away() {
    let mut story = Story::of(plan_of(vec![schedule_of("tier", "30s", 1)]));
    story.runs("tier", "probe-0", "xx").heard();
    assert_eq!(story.ledger.next_due(), None);
    let (with, without) = (Arc::clone(&reminding().ledger.plan), Arc::clone(&story.ledger.plan));
    let mut commit = Commit::default();
    story.ledger.take(with, story.now(), &mut commit);
    assert!(commit.incidents[0].remind_at.is_some(), "it is kept");
    story.minutes(31);
    assert_eq!(story.heard().len(), 1);
    story.ledger.take(without, story.now(), &mut Commit::default());
    assert_eq!(story.ledger.next_due(), None);
}

#[test]
fn what_is_quiet_is_not_reminded_of_until_it_is_quiet_no_more() {
    let mut plan = plan_with_need();
    let mut tier = (**plan.schedules.values().next().unwrap()).clone();
    tier.alert.as_mut().unwrap().failing.remind = Some(Duration::from_secs(600));
    plan.schedules.insert(tier.name.clone(), Arc::new(tier));
    let mut story = Story::of(plan);
    // The child was told before its parent failed.
    story.runs("tier", "probe-1", "xx").minutes(5).runs("tier", "probe-0", "xx").heard();
    story.minutes(9);
    assert_eq!(story.heard(), [] as [&str; 0]);
    story.runs("tier", "probe-0", ".");
    assert_eq!(story.heard()[1], "ops reminder P2 #2 probe-1 is still failing after 14 min 4 s");
}

#[test]
fn whoever_takes_it_on_is_named_to_all_who_were_told_and_nobody_is_reminded_any_more() {
    let mut story = reminding();
    let refused = story.act("ann", &Act::Note("x".to_owned())).unwrap_err();
    assert_eq!(refused.to_string(), "no incident none is open");
    story.runs("tier", "probe-0", "xx").minutes(5).heard();
    let note = Some("the database is full".to_owned());
    let taken = story.act("ann", &Act::Acknowledge { note: note.clone() }).unwrap().acknowledged.unwrap();
    assert_eq!((taken.by.as_str(), &taken.note, taken.at), ("ann", &note, story.now()));
    assert_eq!(story.last.incidents[0].acknowledged.as_ref(), Some(&taken), "it is kept");
    assert_eq!(story.heard(), ["ops acknowledged P2 #2 ann has taken it on: probe-0 is still failing after 5 min 1 s"]);
    assert_eq!(
        story.act("bob", &Act::Acknowledge { note: None }).unwrap_err().to_string(),
        "ann acknowledged it at 2026-11-24 10:05:02 UTC"
    );
    story.restart().minutes(60 * 30);
    assert_eq!(story.heard(), [] as [&str; 0]);
    story.act("bob", &Act::Note("a new disk is on its way".to_owned())).unwrap();
    assert_eq!(story.last.moments[0].text, "bob: a new disk is on its way");
    assert!(story.last.deliveries.is_empty(), "a note is for the time line");
    story.runs("tier", "probe-0", ".");
    assert_eq!(story.heard(), ["ops resolved P2 #3 probe-0 is well again after 1 d 6 h"]);
}

#[test]
fn what_a_receiver_says_of_many_is_done_to_each_and_remembered_by_the_same_commit() {
    let mut story = Story::of(plan_of(vec![schedule_of("tier", "30s", 2)]));
    story.runs("tier", "probe-0", "xx").runs("tier", "probe-1", "xx");
    let ids: Vec<_> = story.ledger.open.iter().map(|(_, incident)| incident.id.clone()).collect();
    let reply = crate::ports::Reply {
        id: "e1".to_owned(),
        theirs: "PX".to_owned(),
        incident: None,
        by: "ann".to_owned(),
        says: crate::ports::Says::Acknowledged,
    };
    let (pager, now) = ("pager".parse().unwrap(), story.now());
    let (first, both, none) = (&ids[..1], &ids[..], &ids[..0]);
    for (of, taken) in [(first, first), (both, &ids[1..]), (both, none)] {
        let mut commit = Commit::default();
        assert_eq!(story.ledger.heed(&pager, &reply, of, now, &mut commit), taken);
        assert_eq!((commit.incidents.len(), commit.replies.len()), (taken.len(), 1));
    }
}

#[test]
fn who_acts_says_who_and_no_more_than_people_read() {
    let mut story = reminding();
    story.runs("tier", "probe-0", "xx").heard();
    for (by, act, why) in [
        (" ", Act::Acknowledge { note: None }, ActError::By),
        (&*"a".repeat(101), Act::Acknowledge { note: None }, ActError::By),
        ("ann", Act::Note(String::new()), ActError::Note),
        ("ann", Act::Acknowledge { note: Some("ß".repeat(2_001)) }, ActError::Note),
    ] {
        assert_eq!(story.act(by, &act).unwrap_err(), why);
    }
    assert!(story.heard().is_empty() && story.last.incidents.is_empty(), "nothing has changed");
    assert!(story.act("ann", &Act::Note("ß".repeat(2_000))).is_ok());
}

#[test]
fn what_is_silenced_is_recorded_and_told_when_the_silence_ends_and_it_still_lasts() {
    let mut story = Story::of(plan_of(vec![schedule_of("tier", "30s", 2)]));
    story.silence("probe-*", 60);
    assert_eq!(story.last.silences.len(), 1, "it is kept");
    story.runs("tier", "probe-0", "xx");
    let why = "silenced by ann until 2026-11-24 11:00:00 UTC: a new disk";
    assert_eq!(story.lines()[2], format!("muted: {why}"));
    assert_eq!(story.last.incidents[0].quiet.as_ref().map(ToString::to_string).as_deref(), Some(why));
    // One that comes and goes meanwhile is never told.
    story.runs("tier", "probe-1", "xx.").restart().minutes(59);
    assert_eq!(story.heard(), [] as [&str; 0]);
    story.minutes(1);
    assert_eq!(story.heard(), ["ops opened P2 #1 probe-0 is failing"]);
    assert_eq!(story.lines(), [format!("unmuted: no more: {why}")]);
    story.minutes(60);
    assert_eq!(story.heard(), [] as [&str; 0], "once");
}

#[test]
fn what_was_kept_back_until_a_process_was_down_waits_for_the_first_look_of_the_next() {
    for is_over in [false, true] {
        let mut story = Story::of(plan_of(vec![schedule_of("tier", "30s", 2)]));
        story.silence("probe-*", 60);
        story.runs("tier", "probe-0", "xx");
        story.second += 2 * 3_600;
        story.restart();
        assert!(story.ledger.silences.is_empty(), "it is over");
        story.ledger.take(Arc::clone(&story.ledger.plan), story.now(), &mut story.last);
        assert!(story.heard().is_empty() && story.last.deliveries.is_empty(), "nobody has looked yet");
        assert_eq!(story.ledger.next_due(), Some(story.now() + chrono::TimeDelta::minutes(1)));
        story.runs("tier", "probe-1", "xx");
        assert_eq!(story.heard(), ["ops opened P2 #1 probe-1 is failing"], "what is seen to begin is told");
        story.runs("tier", "probe-0", if is_over { "." } else { "x" }).minutes(1);
        let told: &[&str] = if is_over { &[] } else { &["ops opened P2 #1 probe-0 is failing"] };
        assert_eq!(story.heard(), told);
    }
}

#[test]
fn what_no_route_took_at_night_waits_for_the_first_look_too_also_where_the_clock_is_set_back() {
    let mut plan = plan_of(vec![schedule_of("tier", "30s", 1)]);
    plan.routes[0].when = Hours::parse("mon-fri 09:00-17:00", chrono_tz::Tz::UTC).ok();
    let mut story = Story::of(plan);
    story.minutes(8 * 60).runs("tier", "probe-0", "xx");
    story.second += 18 * 3_600;
    story.restart();
    assert_eq!(story.heard(), [] as [&str; 0]);
    story.second -= 3_600;
    story.minutes(2);
    assert_eq!(story.heard(), ["ops opened P2 #1 probe-0 is failing"]);
    assert_eq!(story.ledger.next_due(), None);
}

#[test]
fn a_resolve_is_told_through_a_silence_if_its_opening_was() {
    let mut story = reminding();
    story.runs("tier", "probe-0", "xx").heard();
    story.silence("probe-0", 600);
    assert_eq!(story.lines()[0], "muted: silenced by ann until 2026-11-24 20:00:02 UTC: a new disk");
    story.minutes(120);
    assert_eq!(story.heard(), [] as [&str; 0], "no reminder");
    story.runs("tier", "probe-0", ".");
    assert_eq!(story.heard(), ["ops resolved P2 #2 probe-0 is well again after 2 h"]);
}

#[test]
fn a_silence_that_is_ended_sooner_lets_messages_go_at_once() {
    let mut story = reminding();
    let id = story.silence("probe-0", 600);
    story.runs("tier", "probe-0", "xx").minutes(5);
    assert_eq!(story.heard(), [] as [&str; 0]);
    let ended = story.silencing(Silencing::End(id.clone())).unwrap();
    assert_eq!(ended.until, story.now());
    assert_eq!(story.heard(), ["ops opened P2 #1 probe-0 is failing"]);
    assert_eq!(story.silencing(Silencing::End(id.clone())), Err(SilenceError::Unknown(id)));
    assert!(story.last.silences.is_empty());
}

#[test]
fn a_silence_of_another_severity_or_probe_or_time_keeps_nothing_back() {
    let mut story = reminding();
    story.silence("probe-1", 600);
    let until = story.now() + chrono::TimeDelta::hours(3);
    let severities = [Severity::P4].into();
    let matchers = Matchers { severities, ..Matchers::default() };
    let (by, reason) = ("ann".to_owned(), "x".to_owned());
    let minor = Silencing::Begin { matchers, by: by.clone(), reason: reason.clone(), from: None, until };
    story.silencing(minor).unwrap();
    let matchers = Matchers { probes: vec!["probe-*".to_owned()], ..Matchers::default() };
    let from = Some(story.now() + chrono::TimeDelta::minutes(40));
    story.silencing(Silencing::Begin { matchers, by, reason, from, until }).unwrap();
    story.runs("tier", "probe-0", "xx").minutes(31);
    assert_eq!(story.heard().len(), 2, "told and reminded");
    story.minutes(120);
    assert_eq!(story.heard(), [] as [&str; 0], "it has begun");
    story.minutes(30);
    assert_eq!(story.heard(), ["ops reminder P2 #3 probe-0 is still failing after 3 h"]);
}

#[test]
fn there_are_no_more_silences_than_people_oversee() {
    let mut story = reminding();
    let begin = |story: &mut Story| {
        let (now, mut commit) = (story.now(), Commit::default());
        let matchers = Matchers { probes: vec!["x".to_owned()], ..Matchers::default() };
        let (by, reason, until) = ("ann".to_owned(), "x".to_owned(), now + chrono::TimeDelta::minutes(1));
        story.ledger.silence(Silencing::Begin { matchers, by, reason, from: None, until }, now, &mut commit)
    };
    assert!((0..500).all(|_| begin(&mut story).is_ok()));
    assert_eq!(begin(&mut story).unwrap_err().to_string(), "there are 500 silences already: end one first");
    story.minutes(1);
    assert!(begin(&mut story).is_ok(), "they are over");
}

fn with_window(mode: Mode) -> Story {
    let mut plan = plan_of(vec![schedule_of("tier", "30s", 2)]);
    let when = Occurrence::Each(
        Cadence::cron("0 2 * * 2-4", chrono_tz::Tz::UTC, at("2026-11-01T00:00:00Z")).unwrap(),
        Duration::from_secs(7_200),
    );
    let matchers = Matchers { probes: vec!["probe-0".to_owned()], ..Matchers::default() };
    plan.maintenance.push(MaintenanceWindow { name: "deploy".parse().unwrap(), when, matchers, mode });
    Story::of(plan)
}

/// From ten in the morning of a Tuesday to a quarter to two in the next night, then in the window.
fn into_the_window(story: &mut Story) {
    story.minutes(15 * 60 + 45);
    assert_eq!(story.ledger.next_due(), None);
    story.minutes(20);
}

#[test]
fn maintenance_keeps_messages_back_until_it_is_over() {
    let mut story = with_window(Mode::Mute);
    into_the_window(&mut story);
    story.runs("tier", "probe-0", "xx").runs("tier", "probe-1", "xx").restart();
    assert_eq!(story.heard(), ["ops opened P2 #1 probe-1 is failing"], "the window is not about that one");
    assert_eq!(story.ledger.next_due(), Some(story.now() + chrono::TimeDelta::minutes(1)), "the first look");
    story.minutes(1);
    assert_eq!(story.ledger.next_due(), Some(at("2026-11-25T04:00:00Z")));
    story.minutes(113);
    assert_eq!(story.heard(), [] as [&str; 0]);
    story.minutes(1);
    assert_eq!(story.heard(), ["ops opened P2 #1 probe-0 is failing"]);
    assert_eq!(story.lines(), ["unmuted: no more: maintenance deploy until 2026-11-25 04:00:00 UTC"]);
}

#[test]
fn a_window_that_only_marks_says_so_and_keeps_nothing_back() {
    let mut story = with_window(Mode::Mark);
    into_the_window(&mut story);
    story.runs("tier", "probe-0", "xx");
    assert_eq!(story.lines()[2], "maintenance: it began in deploy");
    let told = &story.last.deliveries[0].notification.incident;
    assert_eq!(told.maintenance.as_ref().map(WindowName::as_str), Some("deploy"));
    story.runs("tier", "probe-1", "xx");
    assert_eq!(story.last.deliveries[0].notification.incident.maintenance, None);
}

#[test]
fn a_window_that_a_reload_removes_lets_messages_go() {
    let mut story = with_window(Mode::Mute);
    into_the_window(&mut story);
    story.runs("tier", "probe-0", "xx").heard();
    let mut plan = (*story.ledger.plan).clone();
    plan.maintenance.clear();
    let (now, mut commit) = (story.now(), Commit::default());
    story.ledger.take(Arc::new(plan), now, &mut commit);
    story.note(commit);
    assert_eq!(story.heard(), ["ops opened P2 #1 probe-0 is failing"]);
}

/// P2 is to be acknowledged within a quarter of an hour, and P3 can wait for office hours.
fn with_severities() -> Story {
    let minor = || {
        let mut minor = schedule_of("minor", "30s", 1);
        minor.alert.as_mut().unwrap().failing.severity = Severity::P3;
        minor
    };
    let mut plan = plan_of(vec![schedule_of("tier", "30s", 1), minor()]);
    let hold = Hours::parse("mon-fri 09:00-17:00", chrono_tz::Tz::UTC).unwrap();
    let escalate = vec![ChannelName::parse("boss").unwrap(), ChannelName::parse("ops").unwrap()];
    let acknowledge = Some(Duration::from_secs(900));
    plan.severities = [
        (Severity::P2, SeverityPlan { acknowledge, escalate, ..SeverityPlan::default() }),
        (Severity::P3, SeverityPlan { hold: Some(hold), ..SeverityPlan::default() }),
    ]
    .into();
    Story::of(plan)
}

#[test]
fn what_nobody_takes_on_in_time_is_told_to_others_once_and_so_is_its_end() {
    let mut story = with_severities();
    story.runs("tier", "probe-0", "xx").minutes(10).restart().minutes(4);
    assert_eq!(story.heard(), ["ops opened P2 #1 probe-0 is failing"]);
    story.minutes(1);
    let told = "escalated P2 #2 nobody has taken it on: probe-0 is still failing after 15 min 1 s";
    assert_eq!(story.heard(), [format!("boss {told}"), format!("ops {told}")]);
    assert_eq!(story.lines(), ["escalated: nobody has taken it on: to boss, ops"]);
    story.restart().minutes(600);
    assert_eq!(story.heard(), [] as [&str; 0], "once");
    story.runs("tier", "probe-0", ".");
    assert_eq!(
        story.heard(),
        [
            "ops resolved P2 #3 probe-0 is well again after 10 h 15 min",
            "boss resolved P2 #3 probe-0 is well again after 10 h 15 min"
        ]
    );
}

#[test]
fn what_somebody_has_taken_on_is_not_escalated() {
    let mut story = with_severities();
    story.runs("tier", "probe-0", "xx").minutes(10);
    story.act("ann", &Act::Acknowledge { note: None }).unwrap();
    story.heard();
    story.minutes(60);
    assert_eq!((story.heard().len(), story.ledger.next_due()), (0, None));
}

#[test]
fn what_can_wait_is_told_in_the_morning_and_never_if_it_is_over_by_then() {
    let mut story = with_severities();
    story.minutes(8 * 60);
    story.runs("minor", "probe-0", "xx");
    assert_eq!(story.lines()[2], "muted: it can wait until 2026-11-25 09:00:00 UTC");
    story.runs("minor", "probe-0", ".xx").restart().minutes(14 * 60 + 59);
    assert_eq!(story.heard(), [] as [&str; 0]);
    story.minutes(1);
    assert_eq!(story.heard(), ["ops opened P3 #1 probe-0 is failing"]);
}

#[test]
fn what_becomes_graver_waits_no_longer() {
    let mut story = with_severities();
    story.minutes(8 * 60);
    story.runs("minor", "probe-0", "xx").runs("tier", "probe-0", "xx");
    assert_eq!(story.heard(), ["ops opened P2 #1 probe-0 is failing"]);
}

/// Two tiers of one route, both of which somebody is to take on within a quarter of an hour.
fn rising() -> Story {
    let mut plan = (*with_severities().ledger.plan).clone();
    let high = plan.severities[&Severity::P2].clone();
    plan.severities.insert(Severity::P3, high);
    Story::of(plan)
}

#[test]
fn what_rises_is_told_again_and_escalated_again() {
    let mut story = rising();
    story.runs("minor", "probe-0", "xx").minutes(15);
    assert_eq!(story.heard().len(), 3, "opened, and escalated to two");
    story.runs("tier", "probe-0", "xx");
    assert_eq!(story.heard(), ["ops reminder P2 #3 raised to P2: probe-0 is still failing after 15 min 3 s"]);
    story.runs("minor", "probe-0", ".xx").minutes(14);
    assert_eq!(story.heard(), [] as [&str; 0], "once");
    story.minutes(1);
    let told = "escalated P2 #4 nobody has taken it on: probe-0 is still failing after 30 min 6 s";
    assert_eq!(story.heard(), [format!("boss {told}"), format!("ops {told}")]);
}

#[test]
fn who_took_it_on_has_it_also_when_it_rises_unless_that_is_to_be_taken_on_sooner() {
    let taken = |acknowledge: Option<u64>| {
        let mut plan = (*rising().ledger.plan).clone();
        plan.severities.get_mut(&Severity::P3).unwrap().acknowledge = acknowledge.map(Duration::from_secs);
        let mut story = Story::of(plan);
        story.runs("minor", "probe-0", "xx");
        story.act("ann", &Act::Acknowledge { note: None }).unwrap();
        story.heard();
        story.runs("tier", "probe-0", "xx");
        assert_eq!(
            story.heard(),
            ["ops reminder P2 #3 raised to P2: probe-0 is still failing after 3 s"],
            "the rise is told"
        );
        story
    };
    // What is P2 is to be taken on within 15 min.
    for before in [900, 600] {
        let mut story = taken(Some(before));
        assert_eq!(story.lines()[1..], ["raised: P3 becomes P2"]);
        assert!(matches!(story.act("bob", &Act::Acknowledge { note: None }), Err(ActError::Taken(_))));
        story.minutes(60);
        assert_eq!(story.heard(), [] as [&str; 0], "somebody is at it");
    }
    for before in [Some(1_800), None] {
        let mut story = taken(before);
        assert_eq!(story.lines()[1..], ["raised: P3 becomes P2", "unacknowledged: ann took it on as P3"]);
        story.minutes(16);
        assert_eq!(story.heard().len(), 2, "nobody has taken it on in time");
        story.act("bob", &Act::Acknowledge { note: None }).unwrap();
    }
}

#[test]
fn what_rises_while_it_is_quiet_is_told_so_when_it_is_quiet_no_more() {
    let mut story = rising();
    story.runs("minor", "probe-0", "xx").heard();
    story.silence("probe-0", 60);
    story.runs("tier", "probe-0", "xx").restart().minutes(59);
    assert_eq!(story.heard(), [] as [&str; 0]);
    story.minutes(1);
    assert_eq!(story.heard(), ["ops reminder P2 #2 raised to P2: probe-0 is still failing after 1 h"]);
}

#[test]
fn a_route_that_takes_nothing_at_night_tells_in_the_morning_what_still_lasts() {
    let mut plan = plan_of(vec![schedule_of("tier", "30s", 1)]);
    plan.routes[0].when = Hours::parse("mon-fri 09:00-17:00", chrono_tz::Tz::UTC).ok();
    let mut story = Story::of(plan);
    story.minutes(8 * 60);
    story.runs("tier", "probe-0", "xx");
    assert_eq!(story.lines()[2], "told: nobody: no route takes it now");
    story.restart().minutes(14 * 60 + 59);
    assert_eq!(story.heard(), [] as [&str; 0]);
    story.minutes(1);
    assert_eq!(story.heard(), ["ops opened P2 #1 probe-0 is failing"]);
}

#[test]
fn an_incident_is_told_once_and_resolved_once() {
    let mut story = Story::of(plan_of(vec![schedule_of("tier", "30s", 1)]));
    story.runs("tier", "probe-0", ".xxxx..");
    assert_eq!(
        story.told,
        [
            "ops opened P2 #1 probe-0 is failing: connect.refused: nobody listens",
            "ops resolved P2 #2 probe-0 is well again after 4 s",
        ]
    );
    assert_eq!(story.ledger.incidents_open(), 0);
}

#[test]
fn a_second_schedule_joins_and_the_incident_closes_when_both_are_healthy() {
    let mut grave = schedule_of("grave", "1m", 1);
    grave.alert.as_mut().unwrap().failing.severity = Severity::P1;
    let mut plan = plan_of(vec![schedule_of("tier", "30s", 1), grave]);
    let pager = ChannelName::parse("pager").unwrap();
    plan.routes.insert(0, Route { severities: [Severity::P1].into(), to: vec![pager], ..Route::default() });
    let mut story = Story::of(plan);
    story.runs("tier", "probe-0", "xx").runs("grave", "probe-0", "xx");
    story.runs("tier", "probe-0", ".");
    assert_eq!(story.ledger.incidents_open(), 1);
    story.runs("grave", "probe-0", ".");
    assert_eq!(
        story.told,
        [
            "ops opened P2 #1 probe-0 is failing: connect.refused: nobody listens",
            "pager opened P1 #2 probe-0 is failing: connect.refused: nobody listens",
            "ops resolved P1 #3 probe-0 is well again after 5 s",
            "pager resolved P1 #3 probe-0 is well again after 5 s",
        ]
    );
}

#[test]
fn lasting_blindness_is_an_incident_of_its_own() {
    let mut story = Story::of(plan_of(vec![schedule_of("tier", "30s", 1)]));
    story.runs("tier", "probe-0", "xx???x");
    assert_eq!(
        story.told,
        [
            "ops opened P2 #1 probe-0 is failing: connect.refused: nobody listens",
            "ops opened P2 #1 Roundsman cannot see probe-0: local.network: no route",
            "ops resolved P2 #2 Roundsman sees probe-0 again after 3 s",
        ]
    );
    assert_eq!(story.ledger.incidents_open(), 1, "the target's incident is still open");
}

fn plan_with_need() -> Plan {
    let mut plan = plan_of(vec![schedule_of("tier", "30s", 2)]);
    let mut child = crate::engine::testing::probe("probe-1");
    child.needs = vec![name("probe-0")];
    plan.probes.insert(name("probe-1"), Arc::new(child));
    plan
}

#[test]
fn what_needs_a_failing_probe_is_quiet_until_that_is_well() {
    let mut story = Story::of(plan_with_need());
    story.runs("tier", "probe-0", "xx").runs("tier", "probe-1", "xx");
    assert_eq!(story.told.len(), 1);
    assert!(
        story
            .last
            .moments
            .iter()
            .any(|moment| moment.what == "muted" && moment.text == "needs probe-0, which is failing")
    );
    story.runs("tier", "probe-0", ".");
    assert_eq!(
        story.told[1..],
        [
            "ops resolved P2 #2 probe-0 is well again after 4 s",
            "ops opened P2 #1 probe-1 is failing: connect.refused: nobody listens",
        ]
    );
}

#[test]
fn what_nobody_was_told_of_keeps_nothing_back_but_what_somebody_wants_quiet_does() {
    let needing = |severity: Severity| {
        let mut plan = (*with_severities().ledger.plan).clone();
        let grave = schedule_of("tier", "30s", 2);
        plan.schedules.insert(grave.name.clone(), Arc::new(grave));
        plan.probes.extend(plan_with_need().probes);
        plan.routes[0].severities = [severity, Severity::P2].into();
        let mut story = Story::of(plan);
        story.minutes(8 * 60);
        story
    };
    // It waits for the morning, or no route takes it.
    for severity in [Severity::P3, Severity::P1] {
        let mut story = needing(severity);
        if severity == Severity::P1 {
            story.second += 16 * 3_600;
        }
        story.runs("minor", "probe-0", "xx");
        assert_eq!(story.heard(), [] as [&str; 0]);
        story.runs("tier", "probe-1", "xx");
        assert_eq!(story.heard(), ["ops opened P2 #1 probe-1 is failing"], "{severity}");
    }
    let mut story = needing(Severity::P3);
    story.silence("probe-0", 60);
    story.runs("minor", "probe-0", "xx").runs("tier", "probe-1", "xx");
    assert_eq!(story.heard(), [] as [&str; 0]);
}

#[test]
fn what_was_quiet_from_end_to_end_resolves_without_a_word() {
    let mut story = Story::of(plan_with_need());
    story.runs("tier", "probe-0", "xx").runs("tier", "probe-1", "xx.");
    assert_eq!(story.told.len(), 1);
    assert_eq!(story.ledger.incidents_open(), 1);
}

#[test]
fn a_restart_goes_on_counting_and_resolves_what_it_missed() {
    let plan = Arc::new(plan_of(vec![schedule_of("tier", "30s", 1)]));
    let mut commits = Vec::new();
    let mut ledger =
        Ledger::open(Arc::clone(&plan), Loaded::default(), at("2026-11-24T10:00:00Z"), &mut Commit::default());
    // Each run is taken by another process, which knows only what was committed.
    for (second, letter) in (1..).zip("xx.".chars()) {
        let mut commit = Commit::default();
        let now = at("2026-11-24T10:00:00Z") + chrono::TimeDelta::seconds(second);
        ledger.take_run(run("tier", "probe-0", second, letter), now, &mut commit);
        let loaded = Loaded {
            states: ledger.states.clone().into_iter().collect(),
            incidents: ledger.open.iter().map(|(_, open)| open.clone()).collect(),
            versions: ledger.versions.values().cloned().collect(),
            ..Loaded::default()
        };
        let mut of_start = Commit::default();
        ledger = Ledger::open(Arc::clone(&plan), loaded, now, &mut of_start);
        assert!(of_start.deliveries.is_empty());
        commits.push(commit);
    }
    let events: Vec<_> = commits.iter().flat_map(|commit| &commit.deliveries).map(|d| d.notification.event).collect();
    assert_eq!(events, [Event::Opened, Event::Resolved]);
}

#[test]
fn what_is_removed_while_firing_resolves_with_that_reason() {
    let mut story = Story::of(plan_of(vec![schedule_of("tier", "30s", 1)]));
    story.runs("tier", "probe-0", "xx");
    let mut commit = Commit::default();
    story.ledger.take(Arc::new(plan_of(vec![schedule_of("tier", "30s", 0)])), at("2026-11-24T10:01:00Z"), &mut commit);
    assert_eq!(commit.states.values().collect::<Vec<_>>(), [&AlertState::Healthy]);
    story.note(commit);
    assert_eq!(
        story.told[1],
        "ops resolved P2 #2 the incident of probe-0 is closed after 59 s (removed from the configuration)"
    );
}

#[test]
fn a_first_failure_of_what_is_needed_mutes_on_its_own_schedule_only() {
    let mut plan = plan_with_need();
    let slow = schedule_of("slow", "1h", 1);
    plan.schedules.insert(slow.name.clone(), Arc::new(slow));
    let mut story = Story::of(plan);
    // The needed probe has failed once on a schedule that will not know more for an hour.
    story.runs("slow", "probe-0", "x").runs("tier", "probe-1", "xx");
    assert_eq!(story.told, ["ops opened P2 #1 probe-1 is failing: connect.refused: nobody listens"]);
    // Failing on any schedule mutes, and so does a first failure on the same one.
    let mut story = Story::of(plan_with_need());
    story.runs("tier", "probe-0", "x").runs("tier", "probe-1", "xx");
    assert!(story.told.is_empty());
}

#[test]
fn a_severity_that_is_raised_pages_nobody_while_it_is_quiet() {
    let mut plan = plan_with_need();
    let mut grave = schedule_of("grave", "1m", 2);
    grave.alert.as_mut().unwrap().failing.severity = Severity::P1;
    plan.schedules.insert(grave.name.clone(), Arc::new(grave));
    let mut story = Story::of(plan);
    story.runs("tier", "probe-0", "xx").runs("tier", "probe-1", "xx").runs("grave", "probe-1", "xx");
    assert_eq!(story.told, ["ops opened P2 #1 probe-0 is failing: connect.refused: nobody listens"]);
    assert_eq!(story.last.incidents.last().unwrap().severity, Severity::P1, "it is known all the same");
}

#[test]
fn a_run_that_ends_after_its_probe_has_left_the_schedule_is_kept_and_not_judged() {
    let mut story = Story::of(plan_of(vec![schedule_of("tier", "30s", 1)]));
    story.runs("tier", "probe-0", "x");
    let mut plan = plan_of(vec![schedule_of("tier", "30s", 0)]);
    plan.probes.insert(name("probe-0"), Arc::new(crate::engine::testing::probe("probe-0")));
    story.ledger.take(Arc::new(plan), at("2026-11-24T10:01:00Z"), &mut Commit::default());
    story.runs("tier", "probe-0", "x");
    assert!(story.told.is_empty() && story.ledger.states.is_empty());
    assert_eq!(story.last.runs.len(), 1);
}

#[test]
fn what_a_run_left_is_kept_with_the_incident_it_speaks_of() {
    let mut story = Story::of(plan_of(vec![schedule_of("tier", "30s", 1)]));
    let mut kept = Vec::new();
    for letter in ['x', 'x', 'x', '?', '.'] {
        story.second += 1;
        let mut run = run("tier", "probe-0", story.second, letter);
        run.bundle = (letter != '.').then(Arc::default);
        let mut commit = Commit::default();
        story.ledger.take_run(run, at("2026-11-24T10:01:00Z"), &mut commit);
        assert!(commit.runs.iter().all(|run| run.bundle.is_none()), "it is kept once");
        kept.extend(commit.bundles.into_iter().map(|bundle| bundle.incident.is_some()));
        story.note(Commit { incidents: commit.incidents, ..Commit::default() });
    }
    assert_eq!(kept, [false, true, true, false], "the first only made it suspect, and the last saw nothing of it");
}

#[test]
fn a_route_that_comes_later_tells_what_is_open() {
    let mut plan = plan_of(vec![schedule_of("tier", "30s", 1)]);
    plan.routes.clear();
    let mut story = Story::of(plan);
    story.runs("tier", "probe-0", "xx");
    let mut commit = Commit::default();
    let plan = Arc::new(plan_of(vec![schedule_of("tier", "30s", 1)]));
    story.ledger.take(Arc::clone(&plan), at("2026-11-24T10:01:00Z"), &mut commit);
    story.note(commit);
    assert_eq!(story.told, ["ops opened P2 #1 probe-0 is failing: connect.refused: nobody listens"]);
    let mut again = Commit::default();
    story.ledger.take(plan, at("2026-11-24T10:02:00Z"), &mut again);
    assert!(again.deliveries.is_empty());
}

#[test]
fn without_a_route_the_time_line_says_that_nobody_was_told() {
    let mut plan = plan_of(vec![schedule_of("tier", "30s", 1)]);
    plan.routes.clear();
    let mut story = Story::of(plan);
    story.runs("tier", "probe-0", "xx");
    assert!(story.told.is_empty());
    assert!(story.last.moments.iter().any(|moment| moment.text == "nobody: no route takes it now"));
}

fn rechecking() -> Story {
    let mut tier = schedule_of("tier", "5m", 1);
    let alert = tier.alert.as_mut().unwrap();
    (alert.failing.after, alert.failing.recover) = ("3".parse().unwrap(), 2);
    alert.recheck = Some(Duration::from_secs(10));
    Story::of(plan_of(vec![tier]))
}

impl Story {
    /// So many seconds go by, each looked at; says after how many which run was asked for off the slots.
    fn wishes(&mut self, seconds: i64) -> Vec<String> {
        let mut wishes = Vec::new();
        for second in 0..=seconds {
            self.second += i64::from(second > 0);
            let (now, mut commit) = (self.now(), Commit::default());
            self.ledger.catch_up(now, &mut commit);
            self.note(commit);
            let told = |ExtraRun { schedule, probe, why, .. }: ExtraRun| {
                format!(
                    "{second} {} {probe} {}",
                    schedule.map_or("-".to_owned(), |name| name.to_string()),
                    why.as_str()
                )
            };
            wishes.extend(self.ledger.take_wanted().into_iter().map(told));
        }
        wishes
    }

    /// The same where all of them are rechecks of one probe: after how many seconds.
    fn asked(&mut self, seconds: i64) -> Vec<i64> {
        let wishes = self.wishes(seconds);
        let second = |wish: &String| wish.strip_suffix(" tier probe-0 recheck").unwrap().parse::<i64>().unwrap();
        wishes.iter().map(second).collect()
    }
}

#[test]
fn nobody_is_told_of_what_needs_another_before_that_was_looked_at() {
    let mut story = Story::of(plan_with_need());
    story.runs("tier", "probe-0", ".").minutes(5);
    story.runs("tier", "probe-1", "xx");
    assert_eq!(story.lines()[2], "muted: first probe-0, which it needs, is looked at again");
    assert_eq!(story.wishes(3), ["0 tier probe-0 parent"], "once");
    assert_eq!(story.heard(), [] as [&str; 0]);
    story.runs("tier", "probe-0", ".");
    assert_eq!(story.heard(), ["ops opened P2 #1 probe-1 is failing"]);
    // What was seen just now is not looked at again, and an end waits for nothing.
    story.runs("tier", "probe-1", ".xx.").minutes(5);
    assert_eq!(story.heard().len(), 3);
    story.runs("tier", "probe-1", "xx").runs("tier", "probe-0", ".").minutes(5).heard();
    story.runs("tier", "probe-1", ".");
    assert_eq!(story.heard().len(), 1, "the end");
}

#[test]
fn a_failure_that_nobody_judges_is_no_look_at_what_is_needed() {
    let mut story = Story::of(plan_with_need());
    story.runs("tier", "probe-0", ".").minutes(5).runs("tier", "probe-1", "x");
    let unjudged = Run { schedule: None, ..run("tier", "probe-0", story.second, 'x') };
    let now = story.now();
    story.ledger.take_run(unjudged, now, &mut Commit::default());
    story.runs("tier", "probe-1", "x");
    assert_eq!(story.wishes(1), ["0 tier probe-0 parent"]);
    assert_eq!(story.heard(), [] as [&str; 0]);
}

#[test]
fn what_flaps_and_has_lost_its_incident_has_one_again() {
    let mut tier = schedule_of("tier", "30s", 1);
    tier.alert.as_mut().unwrap().failing.after = "1".parse().unwrap();
    let now = at("2026-11-24T10:00:00Z");
    let key = AlertKey { schedule: "tier".parse().unwrap(), probe: name("probe-0"), aspect: Aspect::Failing };
    let flap = Flap { openings: [now].into(), since: Some(now), changed_at: Some(now), failing: false };
    let loaded = Loaded { flaps: vec![(key, flap)], ..Loaded::default() };
    let mut story = Story::of(plan_of(vec![tier.clone()]));
    story.ledger = Ledger::open(Arc::new(plan_of(vec![tier])), loaded, now, &mut Commit::default());
    story.runs("tier", "probe-0", "x.x.x");
    assert_eq!(story.heard(), ["ops opened P2 #1 probe-0 is flapping"]);
}

#[test]
fn a_look_at_what_is_needed_goes_on_until_it_leaves_no_doubt_and_the_cause_is_told() {
    let mut plan = plan_with_need();
    let mut slow = schedule_of("slow", "1h", 1);
    slow.alert.as_mut().unwrap().failing.severity = Severity::P1;
    plan.schedules.insert(slow.name.clone(), Arc::new(slow));
    let mut alone = schedule_of("tier", "30s", 2);
    alone.probes.remove(0);
    plan.schedules.insert(alone.name.clone(), Arc::new(alone));
    let mut story = Story::of(plan);
    story.runs("tier", "probe-1", "xx");
    assert_eq!(story.wishes(2), ["0 slow probe-0 parent"], "the schedule that judges it");
    story.runs("slow", "probe-0", "x");
    assert_eq!(story.wishes(1), ["1 slow probe-0 parent"], "one failure leaves doubt");
    story.runs("slow", "probe-0", "x");
    assert_eq!(story.heard(), ["ops opened P1 #1 probe-0 is failing"]);
    assert_eq!(story.wishes(60), [] as [&str; 0]);
    story.runs("slow", "probe-0", ".");
    assert_eq!(story.heard()[1], "ops opened P2 #1 probe-1 is failing");
}

#[test]
fn a_look_that_does_not_come_is_not_waited_for_longer_than_it_may_take() {
    // The budget is 10 s.
    let mut story = Story::of(plan_with_need());
    story.runs("tier", "probe-1", "xx");
    assert_eq!(story.wishes(14), ["0 tier probe-0 parent"]);
    assert_eq!((story.heard(), story.ledger.next_due()), (vec![], Some(story.now() + chrono::TimeDelta::seconds(1))));
    story.wishes(1);
    assert_eq!(story.heard(), ["ops opened P2 #1 probe-1 is failing"]);
    assert_eq!(story.wishes(600), [] as [&str; 0]);
}

#[test]
fn what_waited_for_a_look_waits_for_the_first_look_of_the_next_process_and_is_not_told_when_it_is_over() {
    let mut story = Story::of(plan_with_need());
    story.runs("tier", "probe-1", "xx").restart();
    assert_eq!(story.wishes(59), [] as [&str; 0], "what the process before it asked for is lost");
    assert_eq!(story.wishes(3), ["1 tier probe-0 parent"], "once it is over");
    story.runs("tier", "probe-0", ".");
    assert_eq!(story.heard(), ["ops opened P2 #1 probe-1 is failing"]);
    let mut story = Story::of(plan_with_need());
    story.runs("tier", "probe-1", "xx").restart().runs("tier", "probe-1", ".");
    assert_eq!((story.wishes(600), story.heard()), (vec![], vec![]));
}

#[test]
fn a_look_that_takes_long_is_had_once() {
    let mut story = Story::of(plan_with_need());
    story.runs("tier", "probe-1", "xx");
    assert_eq!(story.wishes(9).len(), 1);
    // It began eight seconds ago, and has cleaned up since.
    let run = Run { duration: Duration::from_secs(1), ..run("tier", "probe-0", story.second - 8, '.') };
    let (now, mut commit) = (story.now(), Commit::default());
    story.ledger.take_run(run, now, &mut commit);
    story.note(commit);
    assert_eq!(story.wishes(60), [] as [&str; 0]);
    assert_eq!(story.heard(), ["ops opened P2 #1 probe-1 is failing"]);
}

#[test]
fn what_flaps_by_a_rule_that_is_taken_away_is_over() {
    let mut story = watching_warnings();
    story.runs("tier", "probe-0", &"ddd..".repeat(4)).heard();
    assert_eq!(story.ledger.incidents_open(), 1, "it flaps");
    let mut commit = Commit::default();
    story.ledger.take(Arc::new(plan_of(vec![schedule_of("tier", "30s", 1)])), story.now(), &mut commit);
    story.note(commit);
    assert_eq!((story.heard().len(), story.ledger.incidents_open()), (1, 0));
}

#[test]
fn what_flaps_is_not_over_because_nobody_can_look() {
    let mut tier = schedule_of("tier", "30s", 1);
    tier.alert.as_mut().unwrap().failing.after = "1".parse().unwrap();
    let mut story = Story::of(plan_of(vec![tier]));
    story.runs("tier", "probe-0", "x.x.x.x.").heard();
    story.minutes(20).runs("tier", "probe-0", "?");
    assert_eq!((story.heard(), story.ledger.incidents_open()), (vec![], 1));
    story.runs("tier", "probe-0", ".");
    assert_eq!((story.heard().len(), story.ledger.incidents_open()), (1, 0));
}

#[test]
fn a_look_that_is_refused_is_tried_again_or_not_waited_for() {
    for (refusal, wishes, told) in [(Refusal::Busy, 1, 0), (Refusal::Gone, 0, 1), (Refusal::Saturated, 0, 1)] {
        let mut story = Story::of(plan_with_need());
        story.runs("tier", "probe-1", "xx");
        let wish = story.ledger.take_wanted().remove(0);
        story.ledger.refused(&wish, refusal, story.now(), &mut Commit::default());
        assert_eq!((story.wishes(2).len(), story.heard().len()), (wishes, told), "{refusal:?}");
    }
}

#[test]
fn a_wall_clock_that_is_set_back_does_not_make_a_look_longer() {
    let mut story = Story::of(plan_with_need());
    story.runs("tier", "probe-1", "xx");
    story.second -= 3_600;
    story.wishes(16);
    assert_eq!(story.heard().len(), 1);
}

#[test]
fn what_is_in_doubt_is_looked_at_again_until_it_is_not() {
    let mut story = rechecking();
    assert_eq!(story.runs("tier", "probe-0", ".").asked(30), [] as [i64; 0]);
    assert_eq!(story.runs("tier", "probe-0", "x").asked(35), [10, 20, 30], "whether a run came of it or not");
    assert_eq!(story.runs("tier", "probe-0", "x").asked(10), [10], "each run begins the wait anew");
    assert_eq!(story.runs("tier", "probe-0", "x").asked(60), [] as [i64; 0], "it fires, which is no doubt");
    assert_eq!(story.heard(), ["ops opened P2 #1 probe-0 is failing"]);
    assert_eq!(story.runs("tier", "probe-0", ".").asked(10), [10], "well again, but for less than it takes");
    assert_eq!(story.runs("tier", "probe-0", ".").asked(60), [] as [i64; 0]);
    assert_eq!(story.ledger.next_due(), None);
}

#[test]
fn who_starts_goes_on_to_recheck_and_who_is_not_watched_any_more_is_left_alone() {
    let mut story = rechecking();
    story.runs("tier", "probe-0", "x").restart();
    assert_eq!(story.asked(25), [10, 20]);
    // The wall clock is set back by an hour.
    story.second -= 3_600;
    story.runs("tier", "probe-0", "?");
    assert_eq!(story.asked(10), [10]);
    // Another plan with more time between, and one without.
    let mut slower = (*story.ledger.plan).clone();
    let mut tier = (**slower.schedules.values().next().unwrap()).clone();
    tier.alert.as_mut().unwrap().recheck = Some(Duration::from_secs(20));
    slower.schedules.insert(tier.name.clone(), Arc::new(tier));
    story.ledger.take(Arc::new(slower), story.now(), &mut Commit::default());
    assert_eq!(story.asked(35), [10, 30], "what waits already goes on to wait");
    let without = Arc::new(plan_of(vec![schedule_of("tier", "5m", 0)]));
    story.ledger.take(without, story.now(), &mut Commit::default());
    assert_eq!((story.asked(60), story.ledger.next_due()), (vec![], None));
}

/// A plan in which so many probes need the first, on one schedule.
fn needing(count: usize) -> Plan {
    let mut plan = plan_of(vec![schedule_of("tier", "30s", count)]);
    for (name, probe) in &mut plan.probes {
        if name.as_str() != "probe-0" {
            let mut other = crate::engine::testing::probe(name.as_str());
            other.needs = vec!["probe-0".parse().unwrap()];
            *probe = Arc::new(other);
        }
    }
    plan
}

/// How often a reason to be quiet is looked for while so many fail because of the first, one run a look, and recover, the first
/// last.
fn looks_of_a_storm(count: usize) -> usize {
    let mut story = Story::of(needing(count));
    for (letter, n) in (0..2 * count).map(|n| ("x", n % count)).chain((0..count).rev().map(|n| (".", n))) {
        story.runs("tier", &format!("probe-{n}"), letter);
    }
    assert!(story.ledger.open.is_empty());
    let opened = story.told.iter().filter(|told| told.contains(" opened ")).count();
    assert_eq!(opened, 1, "the one that the others need");
    story.ledger.weighed.load(std::sync::atomic::Ordering::Relaxed)
}

#[test]
fn what_a_storm_costs_grows_with_it_and_not_with_its_square() {
    let (few, many) = (looks_of_a_storm(50), looks_of_a_storm(500));
    // Each incident is weighed when it opens and when what it needs changes, which it does a few times.
    assert!(many <= few * 11 && many <= 500 * 5, "{few} looks for 50, {many} for 500");
}

#[test]
fn what_comes_and_goes_is_one_incident_until_it_has_been_quiet() {
    let mut tier = schedule_of("tier", "30s", 1);
    tier.alert.as_mut().unwrap().failing.after = "1".parse().unwrap();
    let mut story = Story::of(plan_of(vec![tier]));
    story.runs("tier", "probe-0", &"x.".repeat(1_800));
    let told: Vec<_> = story.heard().iter().map(|line| line.replace("probe-0 ", "")).collect();
    assert_eq!(
        told,
        [
            "ops opened P2 #1 is failing",
            "ops resolved P2 #2 is well again after 1 s",
            "ops opened P2 #1 is failing",
            "ops resolved P2 #2 is well again after 1 s",
            "ops opened P2 #1 is failing",
            "ops resolved P2 #2 is well again after 1 s",
            "ops opened P2 #1 is flapping",
        ]
    );
    // The process that goes on knows that it flaps, although it was well when it was last seen.
    story.restart().minutes(2);
    assert_eq!((story.heard(), story.ledger.incidents_open()), (Vec::new(), 1));
    story.runs("tier", "probe-0", ".").minutes(14).runs("tier", "probe-0", ".");
    assert_eq!(story.heard().len(), 1, "the end, after fifteen quiet minutes");
    assert_eq!(story.ledger.incidents_open(), 0);
    story.runs("tier", "probe-0", "x");
    assert!(story.heard()[0].contains("is failing"), "it begins anew");
}

#[test]
fn what_flaps_and_then_stays_down_is_an_ordinary_incident() {
    let mut tier = schedule_of("tier", "30s", 1);
    tier.alert.as_mut().unwrap().failing.after = "1".parse().unwrap();
    let mut story = Story::of(plan_of(vec![tier]));
    story.runs("tier", "probe-0", "x.x.x.x").heard();
    story.minutes(15).runs("tier", "probe-0", "x");
    assert_eq!(story.lines(), ["steady: on tier: it does not recover any more"]);
    story.runs("tier", "probe-0", ".");
    assert_eq!(story.heard(), ["ops resolved P2 #2 probe-0 is well again after 15 min 2 s"]);
}

#[test]
fn a_page_for_p1_waits_for_nobody() {
    let mut tier = schedule_of("tier", "30s", 2);
    let alert = tier.alert.as_mut().unwrap();
    (alert.failing.after, alert.failing.severity) = ("1".parse().unwrap(), Severity::P1);
    let mut story = Story::of(plan_of(vec![tier]));
    let wait = |story: &mut Story, probe: &str, letters: &str| {
        story.runs("tier", probe, letters);
        let delivery = &story.last.deliveries[0];
        (between(delivery.created_at, delivery.next_attempt_at).as_secs(), delivery.together.clone())
    };
    assert_eq!(wait(&mut story, "probe-0", "x"), (0, Some("service=".to_owned())));
    assert_eq!(wait(&mut story, "probe-0", "."), (10, Some("service=".to_owned())));
    assert_eq!(wait(&mut story, "probe-0", "x").0, 0, "whether anybody was told a moment ago is known when it leaves");
    assert_eq!(wait(&mut story, "probe-1", "x").0, 0);
}

fn watching_warnings() -> Story {
    let mut tier = schedule_of("tier", "30s", 1);
    let alert = tier.alert.as_mut().unwrap();
    let remind = Some(Duration::from_secs(3_600));
    alert.degraded =
        Some(Rule { after: "3".parse().unwrap(), recover: 2, severity: Severity::P4, remind, to: Vec::new() });
    (alert.blind.after, alert.blind.severity) = ("1".parse().unwrap(), Severity::P1);
    alert.recheck = Some(Duration::from_secs(10));
    Story::of(plan_of(vec![tier]))
}

#[test]
fn what_is_degraded_is_an_incident_of_its_own_by_a_rule_of_its_own() {
    let mut story = watching_warnings();
    story.runs("tier", "probe-0", "dd");
    assert_eq!(story.asked(10), [10], "it is looked at again as well");
    story.runs("tier", "probe-0", "dx").minutes(61);
    let warning = "`total_ms` was 900";
    assert_eq!(
        story.heard(),
        [
            format!("ops opened P4 #1 probe-0 is degraded: {warning}"),
            format!("ops reminder P4 #2 probe-0 is still degraded after 1 h: {warning}"),
        ]
    );
    // A failure says nothing of it, and what is degraded does not fail.
    story.runs("tier", "probe-0", "xxd.");
    assert_eq!(
        story.heard(),
        ["ops opened P2 #1 probe-0 is failing", "ops resolved P2 #2 probe-0 is well again after 1 h 1 min"]
    );
    story.runs("tier", "probe-0", ".");
    assert_eq!(story.heard(), ["ops resolved P4 #3 probe-0 is degraded no more after 1 h 1 min"]);
}

#[test]
fn what_we_cannot_see_has_a_rule_of_its_own() {
    let mut story = watching_warnings();
    story.runs("tier", "probe-0", "?.");
    assert_eq!(
        story.heard(),
        [
            "ops opened P1 #1 Roundsman cannot see probe-0: local.network: no route",
            "ops resolved P1 #2 Roundsman sees probe-0 again after 1 s",
        ]
    );
}

#[test]
fn a_rule_that_is_taken_away_takes_its_incident_with_it_and_no_other() {
    let mut story = watching_warnings();
    story.runs("tier", "probe-0", "dddxx").heard();
    let mut commit = Commit::default();
    story.ledger.take(Arc::new(plan_of(vec![schedule_of("tier", "30s", 1)])), story.now(), &mut commit);
    story.note(commit);
    assert_eq!(
        story.heard(),
        ["ops resolved P4 #2 the incident of probe-0 is closed after 4 s (removed from the configuration)"]
    );
    assert_eq!(story.ledger.incidents_open(), 1);
    story.runs("tier", "probe-0", ".dddd");
    assert_eq!(story.heard().len(), 1, "the end of the other, and nobody hears of what is degraded");
}

#[test]
fn who_wants_quiet_about_all_there_is_is_logged_with_when_it_begins() {
    let mut story = Story::of(plan_of(vec![schedule_of("tier", "30s", 2)]));
    let mut quiet = |probes: &str, from: Option<i64>| {
        let what = Silencing::Begin {
            matchers: Matchers { probes: vec![probes.to_owned()], ..Matchers::default() },
            by: "ann".to_owned(),
            reason: "a new disk".to_owned(),
            from: from.map(|minutes| story.now() + chrono::TimeDelta::minutes(minutes)),
            until: story.now() + chrono::TimeDelta::hours(2),
        };
        logged(|| drop(story.silencing(what).unwrap()))
    };
    assert_eq!(quiet("probe-0", None), "");
    let now = quiet("*-*", None);
    assert!(now.contains("nobody is told of any probe now: ann wants quiet about *-*: a new disk"), "{now}");
    let later = quiet("probe*", Some(60));
    assert!(later.contains("nobody is told of any probe from 2026-11-24 11:00:00 UTC on: ann wants"), "{later}");
    // Where nothing is probed on a schedule nobody would be told of anything.
    let mut plan = plan_of(vec![schedule_of("tier", "30s", 2)]);
    plan.schedules.clear();
    let mut story = Story::of(plan);
    assert_eq!(logged(|| drop(story.silence("probe-0", 5))), "");
}
