//! A store that takes nothing, as on a full disk, with the real store and the real deliverer under simulated time: messages leave
//! from memory in the shape in which they leave from the store, and when it is back nothing is told twice.

use std::sync::atomic::Ordering::SeqCst;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures::future::BoxFuture;
use tokio::sync::{Notify, watch};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::testing::{Kept, Waited, channel, delivery, incident, kept, resolved, second};
use crate::domain::grouping::{Grouping, Keeping};
use crate::domain::incident::{Event, Incident, Severity};
use crate::domain::time::Monotonic;
use crate::engine::deliverer::Deliverer;
use crate::engine::fanout::Fanout;
use crate::engine::testing::{TestClock, plan_of};
use crate::engine::unrecorded::Unrecorded;
use crate::engine::vitals::Vitals;
use crate::ports::{
    Clock as _, Commit, Delivery, Notification, Notifier, NotifyError, Receipt, Store as _, StoreError,
};

/// A receiver that puts down what it takes, or takes nothing.
struct Line {
    keeping: Keeping,
    refuses: bool,
    taken: Mutex<Vec<Notification>>,
}

impl Notifier for Line {
    fn notify<'a>(&'a self, told: &'a Notification) -> BoxFuture<'a, Result<Receipt, NotifyError>> {
        let result = if self.refuses {
            Err(NotifyError::Rejected("400".to_owned()))
        } else {
            self.taken.lock().unwrap().push(told.clone());
            Ok(Receipt::default())
        };
        Box::pin(std::future::ready(result))
    }

    fn keeping(&self) -> Keeping {
        self.keeping
    }
}

impl Line {
    /// Of how many incidents each message told: `opened 3`.
    fn told(&self) -> Vec<String> {
        let size = |told: &Notification| told.several().map_or(1, |group| group.size);
        let taken = self.taken.lock().unwrap();
        taken.iter().map(|told| format!("{} {}", told.event.as_str(), size(told))).collect()
    }
}

/// The deliverer with its receivers: `ops` keeps alerts, `team` messages, and `boss` takes nothing.
struct World {
    kept: Kept,
    clock: Arc<TestClock>,
    store: Arc<Waited>,
    held: Arc<Unrecorded>,
    wake: Arc<Notify>,
    ops: Arc<Line>,
    team: Arc<Line>,
    stop: CancellationToken,
    task: JoinSet<()>,
    _plans: watch::Sender<Arc<crate::engine::plan::Plan>>,
}

impl World {
    /// Where more than so many are a storm.
    fn begin(limit: u32) -> Self {
        let (kept, clock) = (kept(), TestClock::starting("2026-11-24T10:00:00Z"));
        let line = |keeping, refuses| Arc::new(Line { keeping, refuses, taken: Mutex::default() });
        let (ops, team) = (line(Keeping::Alerts, false), line(Keeping::Messages, false));
        let boss = line(Keeping::Messages, true);
        let mut plan = plan_of(Vec::new());
        let lines = [("ops", &ops), ("team", &team), ("boss", &boss)];
        plan.channels = lines.map(|(name, line)| (channel(name), Arc::clone(line) as Arc<dyn Notifier>)).into();
        let grouping = Grouping { limit, ..Grouping::default() };
        plan.grouping = lines.map(|(name, _)| (channel(name), grouping.clone())).into();
        let (plans, plan) = watch::channel(Arc::new(plan));
        let store = Waited::of(&kept.store);
        let (held, wake, stop) = (Arc::<Unrecorded>::default(), Arc::<Notify>::default(), CancellationToken::new());
        let deliverer = Deliverer {
            clock: Arc::clone(&clock) as _,
            store: Arc::clone(&store) as _,
            plan,
            fanout: Fanout::default(),
            wake: Arc::clone(&wake),
            unrecorded: Arc::clone(&held),
            stop: stop.clone(),
            vitals: Arc::new(Vitals::new(Arc::clone(&clock) as _)),
        };
        let mut task = JoinSet::new();
        task.spawn(deliverer.run());
        Self { kept, clock, store, held, wake, ops, team, stop, task, _plans: plans }
    }

    async fn until(&self, second: u64) {
        self.clock.sleep_until(Monotonic(Duration::from_secs(second))).await;
    }

    /// The disk is full from now on, or no more.
    fn full(&self, full: bool) {
        self.store.full.store(full, SeqCst);
    }

    /// As the dispatcher does: the store has them, or they are held.
    async fn commit(&self, incidents: &[Incident], deliveries: &[Delivery]) {
        let commit =
            Commit { incidents: incidents.to_vec().into(), deliveries: deliveries.to_vec(), ..Commit::default() };
        match self.store.commit(commit.into()).await {
            Ok(()) => self.held.release(&[], deliveries.to_vec()),
            Err(error) => {
                self.held.blame(&StoreError::Failed(error.to_string()), self.clock.now());
                self.held.hold(deliveries);
            }
        }
        self.wake.notify_one();
    }

    /// It ends in order, and nothing is left.
    async fn end(mut self) -> Kept {
        self.stop.cancel();
        self.task.join_next().await.unwrap().unwrap();
        assert_eq!(self.kept.number("SELECT count(*) FROM outbox WHERE state = 'pending'"), 0, "all is settled");
        self.kept
    }
}

/// So many incidents of probes of their own.
fn many(count: usize, at: i64) -> Vec<Incident> {
    let one = |n| Incident {
        probe: format!("probe-{n}").parse().unwrap(),
        ..incident(&format!("I{at}-{n:03}"), Severity::P3, at)
    };
    (0..count).map(one).collect()
}

/// What is told of them, ripe ten seconds later.
fn told(of: &[Incident], event: Event, transition: u32, to: &str, at: i64) -> Vec<Delivery> {
    let together = (to != "ops").then(|| "service=".to_owned());
    let one = |incident: &Incident| Delivery {
        together: together.clone(),
        next_attempt_at: second(at + 10),
        ..delivery(incident, transition, event, to, at)
    };
    of.iter().map(one).collect()
}

#[tokio::test(start_paused = true)]
async fn what_waited_for_others_when_the_disk_filled_leaves_as_one_message_and_once() {
    let world = World::begin(5);
    let all = many(3, 0);
    let messages = told(&all, Event::Opened, 1, "team", 0);
    world.commit(&all, &messages).await;
    world.until(5).await;
    world.full(true);
    world.until(20).await;
    assert_eq!(world.team.told(), ["opened 3"], "from memory");
    assert!(world.team.taken.lock().unwrap()[0].unrecorded);
    world.until(60).await;
    world.full(false);
    world.until(70).await;
    let over: Vec<_> = all.iter().map(|incident| resolved(incident, 70)).collect();
    world.commit(&over, &told(&over, Event::Resolved, 2, "team", 70)).await;
    world.until(150).await;
    assert_eq!(world.team.told(), ["opened 3", "resolved 3"], "what follows goes by how it began");
    world.end().await;
}

#[tokio::test(start_paused = true)]
async fn a_storm_on_a_full_disk_is_a_message_for_each_channel_and_is_closed_as_it_was_opened() {
    let world = World::begin(5);
    world.full(true);
    world.until(1).await;
    let all = many(200, 1);
    let messages = [told(&all, Event::Opened, 1, "team", 1), told(&all, Event::Opened, 1, "ops", 1)].concat();
    world.commit(&all, &messages).await;
    world.until(40).await;
    for line in [&world.team, &world.ops] {
        assert_eq!(line.told(), ["opened 200"]);
    }
    world.full(false);
    world.commit(&all, &messages).await;
    world.until(60).await;
    let over: Vec<_> = all.iter().map(|incident| resolved(incident, 60)).collect();
    let ends = [told(&over, Event::Resolved, 2, "team", 60), told(&over, Event::Resolved, 2, "ops", 60)].concat();
    world.commit(&over, &ends).await;
    world.until(200).await;
    for line in [&world.team, &world.ops] {
        assert_eq!(line.told(), ["opened 200", "resolved 200"]);
        let taken = line.taken.lock().unwrap();
        assert_eq!(taken[0].alert(), taken[1].alert(), "under one key");
    }
    world.end().await;
}

#[tokio::test(start_paused = true)]
async fn on_a_full_disk_too_a_fallback_hears_what_its_channel_did_not_take_and_many_are_no_crowd() {
    let world = World::begin(1_000);
    world.full(true);
    // Each is told by itself, and there are more than there may be attempts at once.
    let all = many(30, 0);
    let messages: Vec<_> = told(&all, Event::Opened, 1, "boss", 0)
        .into_iter()
        .map(|one| Delivery { together: None, next_attempt_at: second(0), ..one })
        .collect();
    world.commit(&all, &messages).await;
    world.until(60).await;
    assert_eq!(world.team.told(), vec!["opened 1"; 30], "the fallback is told at once");
    world.full(false);
    world.commit(&all, &messages).await;
    world.until(180).await;
    assert_eq!(world.team.told().len(), 30, "and once");
    let kept = world.end().await;
    assert_eq!(kept.number("SELECT count(*) FROM outbox WHERE channel = 'boss' AND state = 'dead'"), 30);
    assert_eq!(kept.number("SELECT count(*) FROM outbox WHERE channel = 'team' AND state = 'delivered'"), 30);
}
