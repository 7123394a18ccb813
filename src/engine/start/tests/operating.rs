//! Pauses and triggers with the whole engine: every slot has exactly one outcome, across restarts, reloads, crashes and whatever
//! people do; and who triggers hears what came of it.

use super::*;
use crate::domain::audit::{Author, Deed, Who};
use crate::domain::incident::Incident;
use crate::domain::judge::AlertState;
use crate::domain::names::ScheduleName;
use crate::domain::outcome::{Observation, SlotOutcome};
use crate::domain::pause::{Pause, PauseError, PauseId, Scope};
use crate::domain::schedule::{LEAD, spread};
use crate::domain::time::{Timestamp, between};
use crate::engine::dispatcher::Paused;
use crate::engine::ledger::pauses::Pausing;
use crate::engine::scheduler::extras::Refusal;
use crate::engine::triggers::{Begun, TriggerError, Triggered};
use crate::ports::Loaded;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use tokio::sync::oneshot;

/// Who does it, as it is put down.
fn nobody() -> Author {
    Author { who: Who::Token, by: Some("ann".to_owned()), from: None }
}

/// An engine that can be ended and begun anew on what was committed.
struct World {
    clock: Arc<TestClock>,
    store: Arc<Debts>,
    plan: Arc<Plan>,
    engine: Option<Engine>,
}

impl World {
    async fn of(plan: Plan) -> Self {
        let (clock, store) = (TestClock::starting("2026-11-24T09:59:30Z"), Arc::new(Debts::default()));
        let mut world = Self { clock, store, plan: Arc::new(plan), engine: None };
        world.begin().await;
        world
    }

    async fn begin(&mut self) {
        let mut loaded = Loaded::default();
        let (mut through, mut pauses) = (BTreeMap::new(), BTreeMap::<PauseId, Pause>::new());
        let (mut states, mut incidents) = (BTreeMap::new(), BTreeMap::new());
        for commit in self.store.commits.lock().unwrap().iter() {
            through.extend(commit.accounts.iter().map(|(of, account)| (of.clone(), account.through)));
            pauses.extend(commit.pauses.iter().map(|pause| (pause.id.clone(), pause.clone())));
            states.extend(commit.states.clone());
            incidents.extend(commit.incidents.iter().map(|incident| (incident.id.clone(), incident.clone())));
        }
        loaded.accounted = through.into_iter().map(|((schedule, probe), through)| (schedule, probe, through)).collect();
        loaded.pauses = pauses.into_values().filter(|pause| pause.ended.is_none()).collect();
        loaded.states = states.into_iter().filter(|(_, state)| *state != AlertState::Healthy).collect();
        loaded.incidents = incidents.into_values().filter(Incident::is_open).collect();
        *self.store.loaded.lock().unwrap() = loaded;
        let rooms = Rooms {
            clock: Arc::clone(&self.clock) as _,
            ticks: Box::new(NoTicks),
            store: Arc::clone(&self.store) as _,
            reader: Arc::clone(&self.store) as _,
            plan: watch::Sender::new(Arc::clone(&self.plan)),
            fanout: Fanout::default(),
            threads: vec![Handle::current()],
            pulses: Arc::default(),
            unrecorded: Arc::default(),
        };
        self.engine = Some(Engine::start(rooms).await.unwrap());
    }

    async fn stop(&mut self) {
        if let Some(engine) = self.engine.take() {
            engine.stop().await;
        }
    }

    async fn reload(&mut self, plan: Plan) {
        self.plan = Arc::new(plan);
        self.engine.as_mut().unwrap().reload(Arc::clone(&self.plan)).await;
    }

    async fn pass(&self, seconds: u64) {
        self.clock.sleep_until(self.clock.monotonic() + Duration::from_secs(seconds)).await;
    }

    async fn notify<T>(&self, notice: impl FnOnce(oneshot::Sender<T>) -> Notice) -> T {
        let (answer, answered) = oneshot::channel();
        self.engine.as_ref().unwrap().notices().send(notice(answer)).await.ok().unwrap();
        answered.await.unwrap()
    }

    async fn pause(&self, what: &str, length: Option<u64>) -> Result<Pause, PauseError> {
        let until = length.map(|seconds| self.clock.now() + Duration::from_secs(seconds));
        let (by, reason) = ("ann".to_owned(), "a new disk".to_owned());
        let what = Pausing::Begin { what: Scope::parse(what).unwrap(), by, reason, until };
        let done: Result<Paused, _> = self.notify(|answer| Notice::Pause { what, author: nobody(), answer }).await;
        done.map(|Paused { pause, recorded }| {
            assert!(recorded);
            pause
        })
    }

    async fn resume(&self, id: &PauseId) -> Option<Pause> {
        let what = Pausing::End(id.clone());
        self.notify(|answer| Notice::Pause { what, author: nobody(), answer }).await.ok().map(|done: Paused| done.pause)
    }

    async fn begin_trigger(&self, probe: &str, schedule: Option<&str>) -> Result<Begun, TriggerError> {
        let (probe, schedule) = (probe.to_owned(), schedule.map(str::to_owned));
        self.notify(|answer| Notice::Trigger { probe, schedule, answer }).await
    }

    async fn trigger(&self, probe: &str, schedule: Option<&str>) -> Result<Vec<Triggered>, TriggerError> {
        Ok(self.begin_trigger(probe, schedule).await?.ended.await.unwrap())
    }

    /// How the slots of each probe on each schedule ended, and through which one that is known.
    fn slots(&self) -> BTreeMap<(ScheduleName, ProbeName), (BTreeMap<SlotOutcome, u64>, Timestamp)> {
        let mut slots = BTreeMap::new();
        for commit in self.store.commits.lock().unwrap().iter() {
            for (of, account) in &commit.accounts {
                let (counts, through) = slots.entry(of.clone()).or_insert((BTreeMap::new(), account.through));
                *through = account.through;
                for (outcome, count) in &account.counts {
                    *counts.entry(*outcome).or_insert(0) += count;
                }
            }
        }
        slots
    }

    fn commits(&self) -> Vec<Arc<Commit>> {
        self.store.commits.lock().unwrap().clone()
    }
}

/// The numbers of Marsaglia's xorshift from a seed.
fn numbers(seed: u64) -> impl FnMut(u64) -> u64 {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    move |below| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state % below
    }
}

/// A plan in which `probe-0` and `probe-1` are always on `fast`; the rest comes and goes.
fn with(third: bool, slow: bool) -> Plan {
    let mut schedules = vec![schedule_of("fast", "30s", if third { 3 } else { 2 })];
    schedules.extend(slow.then(|| schedule_of("slow", "5m", 2)));
    plan_of(schedules)
}

#[tokio::test(start_paused = true)]
async fn slots_add_up_whatever_people_do() {
    for seed in 1..=12 {
        let mut number = numbers(seed);
        let mut world = World::of(with(true, true)).await;
        let begun = world.clock.now();
        // What dies before it has accounted for anything leaves nobody to count from.
        world.pass(60).await;
        let mut pauses: Vec<Pause> = Vec::new();
        for _ in 0..40 {
            world.pass(1 + number(90)).await;
            match number(9) {
                0..3 => {
                    let scopes = ["probe-0", "probe-*1", "schedule:fast", "probe-2", "schedule:s*"];
                    let scope = scopes[usize::try_from(number(5)).unwrap()];
                    let length = (number(2) == 0).then(|| 1 + number(300));
                    pauses.extend(world.pause(scope, length).await);
                }
                3..5 if !pauses.is_empty() => {
                    let place = usize::try_from(number(pauses.len() as u64)).unwrap();
                    if let Some(ended) = world.resume(&pauses[place].id.clone()).await {
                        pauses[place] = ended;
                    }
                }
                5 => world.reload(with(number(2) == 0, number(2) == 0)).await,
                6 => {
                    world.stop().await;
                    world.pass(number(120)).await;
                    world.begin().await;
                }
                // As by `kill -9`: whatever was not committed is lost.
                7 => {
                    drop(world.engine.take());
                    world.pass(number(120)).await;
                    world.begin().await;
                }
                _ => drop(world.begin_trigger(&format!("probe-{}", number(3)), None).await),
            }
        }
        world.pass(60).await;
        world.stop().await;
        let slots = world.slots();
        for probe in ["probe-0", "probe-1"] {
            let of = ("fast".parse().unwrap(), name(probe));
            let (counts, through) = &slots[&of];
            let came = world.plan.schedules["fast"].cadence.count(begun, *through, 1_000_000);
            assert_eq!(counts.values().sum::<u64>(), came, "seed {seed}, {probe}: {counts:?}");
        }
        let count = |outcome| slots.values().filter_map(|(counts, _)| counts.get(&outcome)).sum::<u64>();
        assert!(count(SlotOutcome::Ran) > 0, "seed {seed}: {slots:?}");
        // No slot was run within a pause; what begins and ends at that very second may be either.
        for run in world.commits().iter().flat_map(|commit| &commit.runs).filter(|run| run.extra.is_none()) {
            let over = |pause: &Pause| {
                let ended = pause.ended.as_ref().map(|ended| ended.at);
                ended.into_iter().chain(pause.until).min().unwrap_or(Timestamp::MAX_UTC)
            };
            let wrong = pauses.iter().find(|pause| {
                let takes = pause.what.takes(run.schedule.as_ref(), &run.probe);
                // A reload may have ended it, which only the store knows.
                let last = world
                    .commits()
                    .iter()
                    .flat_map(|commit| commit.pauses.clone())
                    .filter(|of| of.id == pause.id)
                    .last();
                takes && pause.from < run.started_at && run.started_at < last.as_ref().map_or(over(pause), over)
            });
            assert_eq!(wrong, None, "seed {seed}: {run:?}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_paused_slot_is_counted_as_that_and_none_is_made_up_for() {
    let mut world = World::of(plan_of(vec![schedule_of("tier", "30s", 2)])).await;
    world.pass(45).await;
    world.pause("probe-0", Some(600)).await.unwrap();
    world.pass(300).await;
    world.stop().await;
    // The pause outlives the process; what comes while there is none is a gap all the same.
    world.pass(60).await;
    world.begin().await;
    world.pass(600).await;
    world.stop().await;
    let slots = world.slots();
    let of = |probe: &str| slots[&("tier".parse().unwrap(), name(probe))].0.clone();
    let (paused, other) = (of("probe-0"), of("probe-1"));
    assert_eq!(paused.values().sum::<u64>(), other.values().sum::<u64>());
    assert!((17..=19).contains(&paused[&SlotOutcome::Paused]), "{paused:?}");
    let runs = world.commits();
    let starts: Vec<_> =
        runs.iter().flat_map(|commit| &commit.runs).filter(|run| run.probe == name("probe-0")).collect();
    assert!(starts.windows(2).all(|pair| (pair[1].started_at - pair[0].started_at).num_seconds() >= 29), "no burst");
    let told: Vec<_> = world.commits().iter().flat_map(|commit| commit.pauses.clone()).collect();
    assert_eq!(told.len(), 2, "it began and was over: {told:?}");
    let audits: Vec<_> = world.commits().iter().flat_map(|commit| commit.audits.clone()).collect();
    assert_eq!(
        audits.iter().map(|record| record.deed).collect::<Vec<_>>(),
        [Deed::Pause],
        "what ends by itself was nobody's act"
    );
}

/// A probe that refuses until somebody has mended it.
fn breakable(plan: &mut Plan) -> Arc<AtomicBool> {
    let mended = Arc::new(AtomicBool::new(false));
    let mut of = probe("probe-0");
    let look = Arc::clone(&mended);
    of.steps = vec![step("only", move || {
        let refused = Err(Failure::new(FailureKind::ConnectRefused, "nobody listens"));
        (Duration::from_secs(1), if look.load(SeqCst) { Ok(Observation::default()) } else { refused })
    })];
    plan.probes.insert(name("probe-0"), Arc::new(of));
    mended
}

#[tokio::test(start_paused = true)]
async fn who_has_mended_something_triggers_the_run_that_resolves() {
    let mut tier = schedule_of("tier", "1h", 1);
    tier.alert.as_mut().unwrap().recheck = Some(Duration::from_secs(10));
    let mut plan = plan_of(vec![tier, schedule_of("other", "1h", 1)]);
    let mended = breakable(&mut plan);
    let mut world = World::of(plan).await;
    world.pass(3_600).await;
    let told = world.trigger("probe-0", Some("tier")).await.unwrap();
    let [Triggered { id, schedule, outcome: Ok(judged) }] = &told[..] else { panic!("{told:?}") };
    assert_eq!(
        (&judged.run.id, schedule.as_ref(), judged.run.extra),
        (id, judged.run.schedule.as_ref(), Some(Extra::Trigger))
    );
    assert!(judged.recorded && judged.open.len() == 1 && judged.resolved.is_empty(), "{judged:?}");
    let soon = world.trigger("probe-0", None).await.unwrap_err();
    assert_eq!(soon.to_string(), "probe-0 was triggered less than 10 s ago: once in 10 s is enough");
    assert!(matches!(soon, TriggerError::Soon { wait, .. } if wait <= Duration::from_secs(10)));
    mended.store(true, SeqCst);
    world.pass(10).await;
    // Without a schedule it is run for each, one after the other.
    let told = world.trigger("probe-0", None).await.unwrap();
    let ran: Vec<_> = told.iter().map(|run| run.outcome.as_ref().unwrap()).collect();
    assert_eq!(
        ran.iter().map(|judged| judged.run.schedule.as_ref().unwrap().as_str()).collect::<Vec<_>>(),
        ["other", "tier"]
    );
    assert!(ran[1].run.started_at >= ran[0].run.started_at + Duration::from_secs(1));
    assert_eq!(ran.iter().flat_map(|judged| &judged.resolved).count(), 1, "{ran:?}");
    assert!(ran[1].open.is_empty() && ran.iter().all(|judged| judged.unjudged.is_none()));
    world.stop().await;
    let commits = world.commits();
    let last = commits.iter().flat_map(|commit| &commit.deliveries).last().unwrap();
    assert_eq!(last.notification.event, Event::Resolved);
    let runs: u64 = world.slots().values().flat_map(|(counts, _)| counts.values()).sum();
    assert_eq!(runs, 2, "one slot of each, and no run off the slots is counted among them");
}

#[tokio::test(start_paused = true)]
async fn what_is_paused_is_triggered_and_shown_and_not_judged() {
    let mut plan = plan_of(vec![schedule_of("tier", "1h", 1)]);
    breakable(&mut plan);
    plan.probes.insert(name("asked-for"), Arc::new(probe("asked-for")));
    let mut world = World::of(plan).await;
    world.pause("probe-*", None).await.unwrap();
    for _ in 0..3 {
        let told = world.trigger("probe-0", None).await.unwrap();
        let judged = told[0].outcome.as_ref().unwrap();
        assert_eq!((judged.run.verdict.word(), judged.open.len()), ("failed", 0));
        assert_eq!(judged.unjudged.as_deref(), Some("it is paused by ann: a new disk"));
        world.pass(10).await;
    }
    let told = world.trigger("asked-for", None).await.unwrap();
    let judged = told[0].outcome.as_ref().unwrap();
    assert_eq!((&told[0].schedule, judged.unjudged.as_deref()), (&None, Some("no schedule has it")));
    for (probe, schedule, why) in [
        ("nothing", None, "there is no probe `nothing`"),
        ("probe-0", Some("slow"), "probe-0 is not on a schedule `slow`: it is on tier"),
        ("asked-for", Some("tier"), "asked-for is not on a schedule `tier`: it is on none"),
    ] {
        assert_eq!(world.trigger(probe, schedule).await.unwrap_err().to_string(), why);
    }
    world.stop().await;
    assert!(world.commits().iter().all(|commit| commit.states.is_empty() && commit.deliveries.is_empty()));
}

#[tokio::test(start_paused = true)]
async fn who_is_in_the_way_of_a_run_is_told_and_may_try_again_at_once() {
    let mut plan = plan_of(vec![schedule_of("tier", "1h", 1)]);
    let mut slow = probe("probe-0");
    slow.steps = vec![step("only", || (Duration::from_secs(5), Ok(Observation::default())))];
    plan.probes.insert(name("probe-0"), Arc::new(slow));
    let mut world = World::of(plan).await;
    // Into the run of its slot.
    let (now, tier) = (world.clock.now(), &world.plan.schedules["tier"]);
    let spread = spread(&tier.name, &name("probe-0"), Duration::from_secs(3_600), tier.timeout);
    let due_at = tier.cadence.next_after(now).unwrap() + LEAD + spread;
    world.pass(between(now, due_at).as_secs() + 2).await;
    let refused = world.trigger("probe-0", None).await.unwrap();
    assert_eq!(refused[0].outcome, Err(Refusal::Busy));
    world.pass(5).await;
    let begun = world.begin_trigger("probe-0", None).await.unwrap();
    assert_eq!(begun.runs.len(), 1);
    let id = begun.runs[0].0.clone();
    // Who does not wait is no reason not to make it.
    drop(begun);
    world.pass(10).await;
    world.stop().await;
    let commits = world.commits();
    assert!(runs(&commits).iter().any(|run| run.id == id && run.extra == Some(Extra::Trigger)));
}

#[tokio::test(start_paused = true)]
async fn a_diagnosis_by_a_paused_probe_is_not_made_and_the_time_line_says_so() {
    let mut plan = plan_of(vec![schedule_of("tier", "30s", 1)]);
    let mut dead = probe("probe-0");
    dead.steps =
        vec![step("only", || (Duration::ZERO, Err(Failure::new(FailureKind::ConnectRefused, "nobody listens"))))];
    dead.diagnose = vec![name("asked-for")];
    plan.probes.insert(name("probe-0"), Arc::new(dead));
    plan.probes.insert(name("asked-for"), Arc::new(probe("asked-for")));
    let mut world = World::of(plan).await;
    world.pause("asked-for", None).await.unwrap();
    world.pass(90).await;
    world.stop().await;
    let commits = world.commits();
    let lines: Vec<_> = commits.iter().flat_map(|commit| &commit.moments).map(|moment| moment.text.as_str()).collect();
    assert!(lines.contains(&"asked-for did not look: it is paused"), "{lines:?}");
    assert!(runs(&commits).iter().all(|run| run.probe != name("asked-for")));
}

#[tokio::test(start_paused = true)]
async fn who_triggers_what_is_being_triggered_is_told_and_nobody_else_is() {
    let mut plan = plan_of(vec![schedule_of("tier", "1h", 1)]);
    let mut slow = probe("probe-0");
    slow.steps = vec![step("only", || (Duration::from_secs(15), Ok(Observation::default())))];
    slow.timeout = Some(Duration::from_secs(20));
    plan.probes.insert(name("probe-0"), Arc::new(slow));
    let mut world = World::of(plan).await;
    let first = world.begin_trigger("probe-0", None).await.unwrap();
    world.pass(11).await;
    let second = world.trigger("probe-0", None).await.unwrap();
    assert_eq!(second[0].outcome, Err(Refusal::Busy));
    assert_ne!(second[0].id, first.runs[0].0);
    let ended = first.ended.await.unwrap();
    let judged = ended[0].outcome.as_ref().unwrap();
    assert_eq!((&ended[0].id, judged.run.verdict.word()), (&first.runs[0].0, "passed"));
    world.stop().await;
}
