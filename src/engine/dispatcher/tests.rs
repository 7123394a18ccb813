//! What is committed, said and answered, and when.

use super::commits::{Shed, shed};
use super::news::log;
use super::*;
use crate::domain::audit::Who;
use crate::domain::incident::{Event, Moment, Version};
use crate::domain::names::{ProbeName, StepName};
use crate::domain::outcome::{Failure, FailureKind, Run, RunId, Verdict};
use crate::domain::pause::{self, Because, Pause, PauseId, Scope};
use crate::domain::quiet::{Matchers, SilenceId};
use crate::engine::testing::{Debts, TestClock, at, logged, plan_of, schedule_of};
use crate::ports::{KeptBundle, Loaded};
use std::sync::atomic::Ordering::SeqCst;

fn failed(clock: &TestClock) -> Ended {
    let now = clock.now();
    let run = Run {
        id: RunId(Arc::from(now.to_string())),
        location: Arc::from("here"),
        probe: ProbeName::parse("probe-0").unwrap(),
        schedule: Some("tier".parse().unwrap()),
        extra: None,
        slot: now,
        due_at: now,
        started_at: now,
        duration: Duration::ZERO,
        lateness: Duration::ZERO,
        verdict: Verdict::Failed(vec![Failure::new(FailureKind::ConnectRefused, "nobody listens")]),
        steps: Vec::new(),
        bundle: None,
    };
    Ended { run: Some(Box::new(run)), ..Ended::default() }
}

#[tokio::test(start_paused = true)]
async fn what_is_due_comes_without_a_run_and_who_acts_is_answered_after_the_commit() {
    let (clock, store) = (TestClock::starting("2026-11-24T10:00:00Z"), Arc::new(Debts::default()));
    let mut tier = schedule_of("tier", "30s", 1);
    tier.alert.as_mut().unwrap().failing.remind = Some(Duration::from_secs(1_800));
    let (runs, ended) = mpsc::channel(8);
    let (tell, notices) = mpsc::channel(8);
    let mut unrecorded = Commit::default();
    let dispatcher = Dispatcher {
        clock: Arc::clone(&clock) as _,
        store: Arc::clone(&store) as _,
        ledger: Ledger::open(Arc::new(plan_of(vec![tier])), Loaded::default(), clock.now(), &mut unrecorded),
        ended,
        notices,
        commands: mpsc::channel(8).0,
        triggers: Triggers::default(),
        fanout: Fanout::default(),
        wake: Arc::default(),
        held: Arc::default(),
        committing: None,
        unrecorded,
        vitals: Arc::new(Vitals::new(Arc::clone(&clock) as _)),
    };
    let mut task = tokio::task::JoinSet::new();
    task.spawn(dispatcher.run());
    let told = || -> Vec<_> {
        let commits = store.commits.lock().unwrap();
        let all = commits.iter().flat_map(|commit| &commit.deliveries);
        all.map(|delivery| (delivery.notification.event, delivery.notification.incident.id.clone())).collect()
    };
    for _ in 0..2 {
        runs.send(failed(&clock)).await.unwrap();
    }
    // No run ends in these hours: 30 min, and an hour after that.
    clock.sleep_until(clock.monotonic() + Duration::from_secs(2 * 3_600)).await;
    let events: Vec<_> = told().into_iter().map(|(event, _)| event).collect();
    assert_eq!(events, [Event::Opened, Event::Reminder, Event::Reminder]);
    // A wall clock that was set shows within a minute.
    clock.step(3 * 3_600);
    clock.sleep_until(clock.monotonic() + Duration::from_secs(61)).await;
    assert_eq!(told().len(), 4);
    let id = told()[0].1.clone();
    let author = Author { who: Who::Token, by: Some("ann".to_owned()), from: None };
    let act = async |act: Act| {
        let (answer, answered) = oneshot::channel();
        tell.send(Notice::Act { incident: id.clone(), by: "ann".to_owned(), act, author: author.clone(), answer })
            .await
            .ok()
            .unwrap();
        answered.await.unwrap()
    };
    let done = act(Act::Acknowledge { note: None }).await.unwrap();
    assert_eq!((done.recorded, done.incident.acknowledged.unwrap().by.as_str()), (true, "ann"));
    assert_eq!(told()[4].0, Event::Acknowledged, "it was committed before the answer");
    assert!(matches!(act(Act::Acknowledge { note: None }).await, Err(ActError::Taken(_))));
    store.full.store(true, SeqCst);
    assert!(!act(Act::Note("the disk is full".to_owned())).await.unwrap().recorded);
    drop(runs);
    task.join_next().await.unwrap().unwrap();
    assert_eq!(told().len(), 5, "nobody is reminded of what somebody has taken on");
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_comes_late_is_heard_when_it_comes() {
    let (clock, store) = (TestClock::starting("2026-11-24T10:00:00Z"), Arc::new(Debts::default()));
    let (runs, ended) = mpsc::channel(8);
    let (_tell, notices) = mpsc::channel(8);
    let (mut unrecorded, held) = (Commit::default(), Arc::<Unrecorded>::default());
    let plan = Arc::new(plan_of(vec![schedule_of("tier", "30s", 1)]));
    let dispatcher = Dispatcher {
        clock: Arc::clone(&clock) as _,
        store: Arc::clone(&store) as _,
        ledger: Ledger::open(plan, Loaded::default(), clock.now(), &mut unrecorded),
        ended,
        notices,
        commands: mpsc::channel(8).0,
        triggers: Triggers::default(),
        fanout: Fanout::default(),
        wake: Arc::default(),
        held: Arc::clone(&held),
        committing: None,
        unrecorded,
        vitals: Arc::new(Vitals::new(Arc::clone(&clock) as _)),
    };
    let mut task = tokio::task::JoinSet::new();
    task.spawn(dispatcher.run());
    // Patience ends after 5 s; it looks after 1 s, 2 s, 4 s more.
    *store.late.lock().unwrap() = Duration::from_millis(13_100);
    runs.send(failed(&clock)).await.unwrap();
    let after = async |millis| clock.sleep_until(Monotonic(Duration::from_millis(millis))).await;
    after(13_000).await;
    assert!(held.trouble().is_some());
    after(13_200).await;
    assert_eq!((held.trouble(), store.commits.lock().unwrap().len()), (None, 1));
    drop(runs);
    task.join_next().await.unwrap().unwrap();
}

#[test]
fn what_people_wrote_is_logged_without_harm_and_an_ended_silence_as_that() {
    let now = at("2026-11-24T10:00:00Z");
    let incident = crate::engine::testing::incident("I1", "api", now);
    let silence = |until: &str| Silence {
        id: SilenceId(Arc::from("S1")),
        matchers: Matchers { probes: vec!["api\n*".to_owned()], ..Matchers::default() },
        by: "ann".to_owned(),
        reason: "a new\ndisk".to_owned(),
        from: at("2026-11-24T09:00:00Z"),
        until: at(until),
    };
    let muted = Moment {
        incident: incident.id.clone(),
        at: now,
        what: "muted".to_owned(),
        text: "silenced by ann\nopened".to_owned(),
    };
    let silences = vec![silence("2026-11-24T11:00:00Z"), silence("2026-11-24T10:00:00Z")];
    let pause = |ended: Option<Because>| Pause {
        id: PauseId(Arc::from("P1")),
        what: Scope::parse("api*").unwrap(),
        by: "ann\n".to_owned(),
        reason: "a new\ndisk".to_owned(),
        from: at("2026-11-24T09:00:00Z"),
        until: None,
        ended: ended.map(|because| pause::Ended { at: now, because }),
    };
    let pauses = vec![pause(None), pause(Some(Because::Resumed))];
    let commit =
        Commit { silences, pauses, moments: vec![muted], incidents: vec![incident].into(), ..Commit::default() };
    let logged = logged(|| log(&commit, now));
    let lines: Vec<_> = logged.lines().collect();
    assert_eq!(lines.len(), 5, "{logged}");
    assert!(
        lines[0].contains("ann wants quiet about api") && lines[0].contains("until 2026-11-24 11:00:00 UTC: a new")
    );
    assert!(lines[1].contains("quiet about api") && lines[1].contains("is over: a new"), "{logged}");
    assert!(lines[2].contains("api* is paused by ann␊: a new␊disk") && lines[2].contains("pause=P1"), "{logged}");
    assert!(lines[3].contains("the pause of api* is over: somebody resumed"), "{logged}");
    assert!(lines[4].contains("is told of") && lines[4].contains("opened"), "{logged}");
}

#[test]
fn while_the_store_rests_the_latest_bundles_wait_and_no_more() {
    let bundle = |n: usize| KeptBundle {
        run: RunId(Arc::from(n.to_string())),
        probe: ProbeName::parse("api").unwrap(),
        started_at: at("2026-11-24T10:00:00Z"),
        incident: None,
        bundle: Arc::default(),
    };
    let mut waiting = Commit { bundles: (0..1_200).map(bundle).collect(), ..Commit::default() };
    assert!(!is_empty(&waiting));
    assert_eq!(shed(&mut waiting), Shed { runs: 0, bundles: 200 });
    assert_eq!((waiting.bundles.len(), &*waiting.bundles[0].run.0), (1_000, "200"));
}

#[test]
fn while_the_store_rests_the_latest_changes_of_version_wait_and_the_last_of_each_step() {
    let version = |step: &str, n: i64| Version {
        probe: ProbeName::parse("api").unwrap(),
        step: StepName::parse(step).unwrap(),
        version: n.to_string(),
        since: at("2026-11-24T10:00:00Z") + chrono::TimeDelta::seconds(n),
        before: None,
    };
    let seldom = version("seldom", 0);
    let versions = std::iter::once(seldom.clone()).chain((1..12_000).map(|n| version("often", n))).collect();
    let mut waiting = Commit { versions, ..Commit::default() };
    for _ in 0..2 {
        shed(&mut waiting);
        let [first, second, .., last] = &waiting.versions[..] else { panic!("they are gone") };
        assert_eq!((waiting.versions.len(), first), (10_000, &seldom));
        assert_eq!((&*second.version, &*last.version), ("2001", "11999"));
    }
}
