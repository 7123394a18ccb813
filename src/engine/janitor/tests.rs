//! What is owed, under paused time.

use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};

use futures::future::BoxFuture;

use super::*;
use crate::domain::names::CaptureName;
use crate::domain::outcome::{Observation, RunId};
use crate::domain::time::Timestamp;
use crate::engine::plan::{PlannedProbe, PlannedStep};
use crate::engine::testing::{Debts, TestClock, at, here, plan_of, probe, schedule_of, step};
use crate::ports::{Prober, StepContext};

struct World {
    clock: Arc<TestClock>,
    store: Arc<Debts>,
    journal: Arc<Journal>,
    tasks: JoinSet<()>,
}

fn debt(run: &str, since: &str) -> Debt {
    Debt {
        run: RunId(Arc::from(run)),
        probe: ProbeName::parse("probe-0").unwrap(),
        captures: [(CaptureName::parse("token").unwrap(), "1e5".to_owned())].into(),
        since: at(since),
        attempts: 0,
        due_at: None,
    }
}

/// A janitor that begins with these debts, under a plan whose one probe cleans up by that step.
fn start(debts: Vec<Debt>, cleanup: Vec<PlannedStep>) -> World {
    start_on(debts, vec![("probe-0", cleanup)], |clock| clock)
}

/// The same under a plan of these probes, whose cleanups are performed by that clock.
fn start_on(
    debts: Vec<Debt>,
    cleanups: Vec<(&str, Vec<PlannedStep>)>,
    performing: impl FnOnce(Arc<TestClock>) -> Arc<dyn Clock>,
) -> World {
    let clock = TestClock::starting("2026-11-25T10:00:00Z");
    let store = Arc::new(Debts::default());
    store.kept.lock().unwrap().extend(debts.iter().map(|debt| (debt.run.clone(), debt.clone())));
    let (sender, owed) = mpsc::channel(4);
    let journal = Arc::new(Journal::new(clock.clone(), Arc::clone(&store) as _, sender));
    let mut plan = plan_of(vec![schedule_of("tier", "30s", 1)]);
    for (name, cleanup) in cleanups {
        let steps = vec![step("never", || panic!("the steps are not performed again"))];
        let cleaning = PlannedProbe { steps, cleanup, ..probe(name) };
        plan.probes.insert(cleaning.name.clone(), Arc::new(cleaning));
    }
    let stop = CancellationToken::new();
    let janitor = Janitor {
        clock: clock.clone(),
        journal: Arc::clone(&journal),
        debts,
        owed,
        plan: watch::Sender::new(Arc::new(plan)).subscribe(),
        threads: here(&Runner::new(performing(clock.clone()), stop.clone())),
        fanout: Fanout::default(),
        stop,
    };
    let mut tasks = JoinSet::new();
    tasks.spawn(janitor.run());
    World { clock, store, journal, tasks }
}

impl World {
    async fn advance(&self, length: Duration) {
        self.clock.sleep_until(self.clock.monotonic() + length).await;
    }

    fn owed(&self) -> (u64, usize) {
        let probe = ProbeName::parse("probe-0").unwrap();
        (self.journal.owes(&probe), self.store.kept.lock().unwrap().len())
    }
}

type Asked = (String, BTreeMap<CaptureName, String>);

struct Notes(Arc<Mutex<Vec<Asked>>>);

impl Prober for Notes {
    fn probe<'a>(&'a self, cx: &'a StepContext<'a>) -> BoxFuture<'a, Result<Observation, Failure>> {
        self.0.lock().unwrap().push((cx.run.to_string(), cx.captures.clone()));
        Box::pin(std::future::ready(Ok(Observation::default())))
    }
}

#[tokio::test(start_paused = true)]
async fn what_a_process_left_behind_is_cleaned_as_the_run_that_left_it() {
    let asked: Arc<Mutex<Vec<Asked>>> = Arc::default();
    let mut away = step("away", || unreachable!());
    away.action = Arc::new(Notes(Arc::clone(&asked)));
    let left = debt("r1", "2026-11-25T09:59:00Z");
    let captures = left.captures.clone();
    let world = start(vec![left], vec![away]);
    world.advance(Duration::from_secs(1)).await;
    assert_eq!(*asked.lock().unwrap(), [("r1".to_owned(), captures)], "its id, and its captures byte for byte");
    assert_eq!(world.owed(), (0, 0));
    drop(world.tasks);
}

#[tokio::test(start_paused = true)]
async fn what_fails_is_tried_again_until_it_is_paid() {
    let tries = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&tries);
    let away = step("away", move || {
        let well = counted.fetch_add(1, SeqCst) >= 2;
        let refused = || Failure::new(FailureKind::ConnectRefused, "nobody listens");
        (Duration::ZERO, if well { Ok(Observation::default()) } else { Err(refused()) })
    });
    let world = start(vec![debt("r1", "2026-11-25T09:59:00Z")], vec![away]);
    world.advance(Duration::from_secs(20)).await;
    assert_eq!((tries.load(SeqCst), world.owed()), (1, (1, 1)));
    world.advance(Duration::from_secs(20)).await;
    assert_eq!((tries.load(SeqCst), world.owed()), (2, (1, 1)), "after half a minute");
    world.advance(Duration::from_secs(70)).await;
    assert_eq!((tries.load(SeqCst), world.owed()), (3, (0, 0)), "and after another minute");
}

#[tokio::test(start_paused = true)]
async fn what_cannot_be_paid_is_given_up_after_a_day() {
    let tries = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&tries);
    let away = step("away", move || {
        counted.fetch_add(1, SeqCst);
        (Duration::ZERO, Err(Failure::new(FailureKind::ConnectRefused, "nobody listens")))
    });
    let world = start(vec![debt("r1", "2026-11-25T10:00:00Z")], vec![away]);
    world.advance(Duration::from_secs(86_000)).await;
    assert_eq!(world.owed(), (1, 1));
    let until_now = tries.load(SeqCst);
    assert!((24..48).contains(&until_now), "about once an hour, not {until_now} times");
    world.advance(Duration::from_secs(4_000)).await;
    assert_eq!(world.owed(), (0, 0), "its secrets are gone too");
}

#[tokio::test(start_paused = true)]
async fn what_is_very_old_is_tried_once_and_who_is_gone_owes_still() {
    let tries = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&tries);
    let away = step("away", move || {
        counted.fetch_add(1, SeqCst);
        (Duration::ZERO, Ok(Observation::default()))
    });
    let gone = Debt { probe: ProbeName::parse("gone").unwrap(), ..debt("r2", "2026-11-25T09:00:00Z") };
    let world = start(vec![debt("r1", "2026-11-20T10:00:00Z"), gone], vec![away]);
    world.advance(Duration::from_secs(5)).await;
    assert_eq!((tries.load(SeqCst), world.owed()), (1, (0, 1)));
    assert_eq!(world.journal.owes(&ProbeName::parse("gone").unwrap()), 1);
}

/// Takes a tenth of a second, and counts how many are at it.
struct Slow(Arc<AtomicUsize>, Arc<AtomicUsize>);

impl Prober for Slow {
    fn probe<'a>(&'a self, cx: &'a StepContext<'a>) -> BoxFuture<'a, Result<Observation, Failure>> {
        Box::pin(async move {
            self.1.fetch_max(self.0.fetch_add(1, SeqCst) + 1, SeqCst);
            cx.clock.sleep_until(cx.clock.monotonic() + Duration::from_millis(100)).await;
            self.0.fetch_sub(1, SeqCst);
            Ok(Observation::default())
        })
    }
}

#[tokio::test(start_paused = true)]
async fn many_debts_are_paid_a_few_at_once() {
    let (going, most) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let mut away = step("away", || unreachable!());
    away.action = Arc::new(Slow(Arc::clone(&going), Arc::clone(&most)));
    let debts = (0..100).map(|n| debt(&format!("r{n:03}"), "2026-11-25T09:59:00Z")).collect();
    let world = start(debts, vec![away]);
    world.advance(Duration::from_secs(10)).await;
    assert_eq!((world.owed(), most.load(SeqCst)), ((0, 0), AT_ONCE_OF_PROBE));
}

/// Cleanups of a target that takes a connection and says nothing, and how many at most went on at once.
fn hanging() -> (Vec<PlannedStep>, Arc<AtomicUsize>) {
    let (going, most) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let mut away = step("away", || unreachable!());
    away.action = Arc::new(Hangs(going, Arc::clone(&most)));
    (vec![away], most)
}

struct Hangs(Arc<AtomicUsize>, Arc<AtomicUsize>);

impl Prober for Hangs {
    fn probe<'a>(&'a self, cx: &'a StepContext<'a>) -> BoxFuture<'a, Result<Observation, Failure>> {
        Box::pin(async move {
            self.1.fetch_max(self.0.fetch_add(1, SeqCst) + 1, SeqCst);
            cx.clock.sleep_until(cx.deadline).await;
            self.0.fetch_sub(1, SeqCst);
            Err(Failure::new(FailureKind::TimeoutFirstByte, "no byte came"))
        })
    }
}

fn debts_of(probe: &str, count: usize, since: &str) -> impl Iterator<Item = Debt> {
    let (probe, since) = (ProbeName::parse(probe).unwrap(), since.to_owned());
    (0..count).map(move |n| Debt { probe: probe.clone(), ..debt(&format!("{probe}-{n:03}"), &since) })
}

#[tokio::test(start_paused = true)]
async fn a_dead_target_holds_few_places_and_the_others_are_cleaned() {
    let (dead, most) = hanging();
    let away = step("away", || (Duration::from_millis(10), Ok(Observation::default())));
    let old = debts_of("well", 20, "2026-11-25T09:00:00Z");
    let debts = debts_of("dead", 50, "2026-11-25T09:59:00Z").chain(old).collect();
    let world = start_on(debts, vec![("dead", dead), ("well", vec![away])], |clock| clock);
    world.advance(Duration::from_secs(2)).await;
    let owes = |probe: &str| world.journal.owes(&ProbeName::parse(probe).unwrap());
    assert_eq!((owes("dead"), owes("well"), most.load(SeqCst)), (50, 0, AT_ONCE_OF_PROBE));
    world.advance(Duration::from_secs(60)).await;
    assert_eq!(most.load(SeqCst), AT_ONCE_OF_PROBE);
}

#[tokio::test(start_paused = true)]
async fn many_dead_targets_take_turns_with_the_others() {
    let (dead, _) = hanging();
    let names: Vec<_> = (0..10).map(|n| format!("dead-{n}")).collect();
    let away = step("away", || (Duration::from_millis(10), Ok(Observation::default())));
    let old = debts_of("well", 1, "2026-11-25T09:00:00Z");
    let debts = names.iter().flat_map(|name| debts_of(name, 20, "2026-11-25T09:59:00Z")).chain(old).collect();
    let cleanups = names.iter().map(|name| (name.as_str(), dead.clone())).chain([("well", vec![away])]).collect();
    let world = start_on(debts, cleanups, |clock| clock);
    world.advance(Duration::from_secs(11)).await;
    assert_eq!(world.journal.owes(&ProbeName::parse("well").unwrap()), 0, "two rounds of hanging are enough");
}

/// Panics the second time that it is read, outside of any step; the first time it is the watch for stalls that reads it.
struct Slips(Arc<TestClock>, AtomicUsize);

impl Clock for Slips {
    fn now(&self) -> Timestamp {
        self.0.now()
    }
    fn monotonic(&self) -> Monotonic {
        assert!(self.1.fetch_add(1, SeqCst) != 1, "a bug of ours");
        self.0.monotonic()
    }
    fn sleep_until(&self, at: Monotonic) -> BoxFuture<'_, ()> {
        self.0.sleep_until(at)
    }
}

#[tokio::test(start_paused = true)]
async fn a_cleanup_that_a_bug_ended_is_tried_again() {
    let away = step("away", || (Duration::ZERO, Ok(Observation::default())));
    let slips = |clock| Arc::new(Slips(clock, AtomicUsize::new(0))) as Arc<dyn Clock>;
    let world = start_on(vec![debt("r1", "2026-11-25T09:59:00Z")], vec![("probe-0", vec![away])], slips);
    world.advance(Duration::from_secs(20)).await;
    assert_eq!(world.owed(), (1, 1));
    world.advance(Duration::from_secs(20)).await;
    assert_eq!(world.owed(), (0, 0), "it is not counted for ever");
}
