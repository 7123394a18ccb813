//! Drills on a stage of their own: a real dispatcher, a store in memory, and a channel that does as it is told.

use super::*;
use crate::domain::incident::{Hearers, Incident};
use crate::domain::schedule::Cadence;
use crate::engine::dispatcher::Dispatcher;
use crate::engine::ledger::Ledger;
use crate::engine::plan::DrillPlan;
use crate::engine::runner::Runner;
use crate::engine::testing::{Debts, TestClock, at, here, plan_of};
use crate::engine::triggers::Triggers;
use crate::engine::vitals::Vitals;
use crate::ports::{
    Commit, IncidentStory, Loaded, Notification, Notifier, NotifyError, Overview, Receipt, StoreError, Told,
};
use std::sync::Mutex;
use std::sync::atomic::Ordering::SeqCst;
use tokio::task::JoinSet;

/// What a channel does with what it is asked to read back.
#[derive(Clone, Copy, PartialEq)]
enum Seen {
    Cannot,
    There,
    Never,
    Denied,
    Panics,
}

struct Channel(Seen);

impl Notifier for Channel {
    fn notify<'a>(&'a self, _: &'a Notification) -> BoxFuture<'a, Result<Receipt, NotifyError>> {
        Box::pin(std::future::ready(Ok(Receipt::default())))
    }
    fn read_back<'a>(&'a self, _: &'a IncidentId, _: Event) -> Option<BoxFuture<'a, Result<String, NotifyError>>> {
        let seen = self.0;
        (seen != Seen::Cannot).then(|| -> BoxFuture<'a, _> {
            Box::pin(async move {
                match seen {
                    Seen::There => Ok("in the queue".to_owned()),
                    Seen::Denied => Err(NotifyError::Unauthorized("AccessDenied".to_owned())),
                    Seen::Panics => panic!("a bug"),
                    Seen::Cannot | Seen::Never => std::future::pending().await,
                }
            })
        })
    }
}

/// What became of messages: as the test says, of each that was committed.
struct Outbox {
    store: Arc<Debts>,
    fate: Mutex<Fate>,
}

impl StatusReader for Outbox {
    fn overview(&self, _: Timestamp) -> BoxFuture<'_, Result<Overview, StoreError>> {
        Box::pin(std::future::ready(Ok(Overview::default())))
    }
    fn incident(&self, id: &IncidentId) -> BoxFuture<'_, Result<Option<IncidentStory>, StoreError>> {
        let (fate, commits) = (*self.fate.lock().unwrap(), self.store.commits.lock().unwrap());
        let deliveries = commits.iter().flat_map(|commit| &commit.deliveries);
        let told: Vec<_> = deliveries
            .filter(|delivery| delivery.notification.incident.id == *id)
            .map(|delivery| Told {
                channel: delivery.channel.clone(),
                event: delivery.notification.event,
                committed_at: delivery.created_at,
                settled_at: None,
                fate,
                became: format!("{fate:?}"),
                attempts: 1,
                said: None,
            })
            .collect();
        let incident = commits.iter().flat_map(|commit| &commit.incidents).find(|incident| incident.id == *id).cloned();
        let story = incident.map(|incident| IncidentStory {
            hearers: Hearers::default(),
            incident,
            moments: Vec::new(),
            told,
            bundles: Vec::new(),
            diagnoses: Vec::new(),
            nearby: Vec::new(),
        });
        Box::pin(std::future::ready(Ok(story)))
    }
}

/// A driller with a dispatcher, a store in memory, and the channel `ops`.
struct Stage {
    clock: Arc<TestClock>,
    store: Arc<Debts>,
    outbox: Arc<Outbox>,
    drills: Drills,
    stop: CancellationToken,
    plans: watch::Sender<Arc<Plan>>,
    tasks: JoinSet<()>,
    _runs: mpsc::Sender<crate::engine::scheduler::Ended>,
}

fn ops() -> ChannelName {
    ChannelName::parse("ops").unwrap()
}

impl Stage {
    fn set(seen: Seen, is_judged: bool, drill: Option<DrillPlan>) -> Self {
        let (clock, store) = (TestClock::starting("2026-11-23T09:59:00Z"), Arc::new(Debts::default()));
        let mut plan = plan_of(Vec::new());
        plan.channels = [(ops(), Arc::new(Channel(seen)) as Arc<dyn Notifier>)].into();
        plan.drill = drill;
        let (plans, plan) = watch::channel(Arc::new(plan));
        let (notices, heard) = mpsc::channel(8);
        let (runs, ended) = mpsc::channel(8);
        let (held, fanout) = (Arc::<Unrecorded>::default(), Fanout::default());
        let mut unrecorded = Commit::default();
        let ledger = Ledger::open(Arc::clone(&plan.borrow()), Loaded::default(), clock.now(), &mut unrecorded);
        let dispatcher = Dispatcher {
            clock: Arc::clone(&clock) as _,
            store: Arc::clone(&store) as _,
            ledger,
            ended,
            notices: heard,
            commands: mpsc::channel(8).0,
            triggers: Triggers::default(),
            fanout: fanout.clone(),
            wake: Arc::default(),
            held: Arc::clone(&held),
            committing: None,
            unrecorded,
            vitals: Arc::new(Vitals::new(Arc::clone(&clock) as _)),
        };
        let mut tasks = JoinSet::new();
        if is_judged {
            tasks.spawn(dispatcher.run());
        }
        let outbox = Arc::new(Outbox { store: Arc::clone(&store), fate: Mutex::new(Fate::Delivered) });
        let ((drills, asked), stop) = (Drills::new(), CancellationToken::new());
        let driller = Driller {
            clock: Arc::clone(&clock) as _,
            plan,
            threads: here(&Runner::new(Arc::clone(&clock) as _, CancellationToken::new())),
            notices,
            reader: Arc::clone(&outbox) as _,
            unrecorded: held,
            fanout,
            drills: drills.clone(),
            asked,
            drilled: BTreeMap::new(),
            stop: stop.clone(),
        };
        tasks.spawn(driller.run());
        Self { clock, store, outbox, drills, stop, plans, tasks, _runs: runs }
    }

    /// Where the drill of `ops` breaks and what is said there.
    async fn breaks(&self) -> (Event, Part, String) {
        let report = self.drills.drill(ops()).await.unwrap();
        let hop = report.broken().expect("it breaks").clone();
        assert_eq!(report.hops.last(), Some(&hop), "nothing is done after it");
        (hop.event, hop.part, hop.said)
    }

    fn told(&self) -> Vec<Notification> {
        let commits = self.store.commits.lock().unwrap();
        commits
            .iter()
            .flat_map(|commit| &commit.deliveries)
            .map(|delivery| Notification::clone(&delivery.notification))
            .collect()
    }

    /// What the last word on each incident is.
    fn incidents(&self) -> Vec<Incident> {
        let commits = self.store.commits.lock().unwrap();
        let mut known: BTreeMap<IncidentId, Incident> = BTreeMap::new();
        for incident in commits.iter().flat_map(|commit| &commit.incidents) {
            known.insert(incident.id.clone(), incident.clone());
        }
        known.into_values().collect()
    }

    fn moments(&self) -> Vec<String> {
        let commits = self.store.commits.lock().unwrap();
        let moments = commits.iter().flat_map(|commit| &commit.moments);
        moments.map(|moment| format!("{}: {}", moment.what, moment.text)).collect()
    }
}

#[tokio::test(start_paused = true)]
async fn a_drill_goes_the_whole_way_and_is_over() {
    let stage = Stage::set(Seen::There, true, None);
    let report = stage.drills.drill(ops()).await.unwrap();
    let all = [Part::Ran, Part::Judged, Part::Committed, Part::Delivered, Part::ReadBack];
    let way = [Event::Opened, Event::Resolved].into_iter().flat_map(|event| all.map(|part| (event, part)));
    assert!(report.hops.iter().map(|hop| (hop.event, hop.part)).eq(way), "{report:#?}");
    assert!(report.hops.iter().all(|hop| hop.outcome == Outcome::Well), "{report:#?}");
    let told = stage.told();
    assert_eq!(
        told.iter().map(Notification::summary).collect::<Vec<_>>(),
        [
            "[DRILL] drill is failing: this is a drill of the channel ops: nothing is wrong",
            "[DRILL] drill is well again after 0 ms",
        ]
    );
    assert_eq!(
        told.iter().map(Notification::key).collect::<Vec<_>>(),
        [1, 2].map(|n| { format!("{}-{n}", report.incident.as_ref().unwrap()) })
    );
    assert_eq!(
        stage.moments(),
        [
            "failed: this is a drill of the channel ops: nothing is wrong",
            "opened: a drill of the channel ops",
            "resolved: after 0 ms",
            "drilled: every hop was well",
        ]
    );
    let commits = stage.store.commits.lock().unwrap();
    assert!(commits[0].runs.len() == 1 && commits[0].deliveries.len() == 1, "one transaction");
    assert_eq!(commits[0].runs[0].extra, Some(Extra::Drill));
}

#[tokio::test(start_paused = true)]
async fn each_hop_that_is_broken_names_itself() {
    let unjudged = Stage::set(Seen::There, false, None);
    let gone = "the dispatcher has ended".to_owned();
    assert_eq!(unjudged.breaks().await, (Event::Opened, Part::Judged, gone));

    let unrecorded = Stage::set(Seen::There, true, None);
    unrecorded.store.full.store(true, SeqCst);
    let full = "the store failed: database or disk is full".to_owned();
    assert_eq!(unrecorded.breaks().await, (Event::Opened, Part::Committed, full));

    let unanswered = Stage::set(Seen::There, true, None);
    unanswered.store.hangs.store(true, SeqCst);
    let silent = "the store failed: no answer within 5 s".to_owned();
    assert_eq!(unanswered.breaks().await, (Event::Opened, Part::Committed, silent));

    for (fate, said) in [
        (Fate::Rests(at("2030-01-01T00:00:00Z")), "Rests(2030-01-01T00:00:00Z)"),
        (Fate::GivenUp, "GivenUp"),
        (Fate::Waits, "no answer within 20 s"),
    ] {
        let undelivered = Stage::set(Seen::There, true, None);
        *undelivered.outbox.fate.lock().unwrap() = fate;
        assert_eq!(undelivered.breaks().await, (Event::Opened, Part::Delivered, said.to_owned()));
        // What was begun is ended, and says why.
        let [incident] = &undelivered.incidents()[..] else { panic!() };
        assert_eq!(incident.resolved_because.as_deref(), Some("the drill broke at opened: delivered"));
        assert!(undelivered.moments().contains(&format!("broken: opened, delivered: {said}")));
    }

    for (seen, said) in [
        (Seen::Never, "it has not arrived within 15 s"),
        (Seen::Denied, "AccessDenied"),
        (Seen::Panics, "a bug of Roundsman ended it"),
    ] {
        let stage = Stage::set(seen, true, None);
        assert_eq!(stage.breaks().await, (Event::Opened, Part::ReadBack, said.to_owned()));
        assert_eq!(stage.told().last().map(|told| told.event), Some(Event::Resolved));
        // The next one begins anew.
        assert_eq!(stage.breaks().await.1, Part::ReadBack);
    }
}

#[tokio::test(start_paused = true)]
async fn a_run_that_cannot_be_made_names_itself() {
    let elsewhere = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let handle = elsewhere.handle().clone();
    elsewhere.shutdown_background();
    let clock = TestClock::starting("2026-11-23T09:59:00Z");
    let runner = Runner::new(Arc::clone(&clock) as _, CancellationToken::new());
    let (notices, _heard) = mpsc::channel(8);
    let ((drills, asked), store) = (Drills::new(), Arc::new(Debts::default()));
    let mut plan = plan_of(Vec::new());
    plan.channels = [(ops(), Arc::new(Channel(Seen::There)) as Arc<dyn Notifier>)].into();
    let driller = Driller {
        clock,
        plan: watch::channel(Arc::new(plan)).1,
        threads: Arc::new(Threads::new(&[handle], &runner)),
        notices,
        reader: store,
        unrecorded: Arc::default(),
        fanout: Fanout::default(),
        drills: drills.clone(),
        asked,
        drilled: BTreeMap::new(),
        stop: CancellationToken::new(),
    };
    let mut task = JoinSet::new();
    task.spawn(driller.run());
    let report = drills.drill(ops()).await.unwrap();
    let broken = report.broken().unwrap();
    assert_eq!((broken.part, report.hops.len(), &report.incident), (Part::Ran, 1, &None));
    assert!(broken.said.starts_with("the run ended without a result"), "{}", broken.said);
}

#[tokio::test(start_paused = true)]
async fn what_cannot_be_read_back_is_not_said_to_be_well() {
    let stage = Stage::set(Seen::Cannot, true, None);
    let report = stage.drills.drill(ops()).await.unwrap();
    assert_eq!(report.broken(), None);
    let unknown = report.hops.iter().filter(|hop| hop.outcome == Outcome::Unknown);
    assert!(unknown.map(|hop| hop.part).eq([Part::ReadBack; 2]));
}

#[tokio::test(start_paused = true)]
async fn one_drill_goes_on_at_a_time_and_a_stop_ends_it() {
    let mut stage = Stage::set(Seen::Never, true, None);
    let drills = stage.drills.clone();
    let mut first = JoinSet::new();
    first.spawn(async move { drills.drill(ops()).await });
    while stage.told().is_empty() {
        stage.clock.sleep_until(stage.clock.monotonic() + POLL).await;
    }
    assert_eq!(stage.drills.drill(ops()).await, Err(DrillError::Busy));
    assert!(stage.incidents()[0].is_open());
    stage.stop.cancel();
    assert_eq!(first.join_next().await.unwrap().unwrap(), Err(DrillError::Closed));
    stage.tasks.join_next().await.unwrap().unwrap();
    let [incident] = &stage.incidents()[..] else { panic!() };
    assert_eq!(incident.resolved_because.as_deref(), Some("Roundsman stops"));
    assert_eq!(stage.told().last().map(|told| told.event), Some(Event::Resolved));
}

#[tokio::test(start_paused = true)]
async fn a_channel_is_drilled_when_it_is_time_and_not_made_up_for() {
    let cadence = Cadence::cron("0 10 * * 1", chrono_tz::Tz::UTC, at("2026-11-23T09:00:00Z")).unwrap();
    let stage = Stage::set(Seen::There, true, Some(DrillPlan { cadence, channels: vec![ops()] }));
    let wait = async |seconds| stage.clock.sleep_until(stage.clock.monotonic() + Duration::from_secs(seconds)).await;
    wait(50).await;
    assert_eq!(stage.told().len(), 0);
    wait(20).await;
    assert_eq!(stage.told().len(), 2, "on Monday at ten");
    // Two weeks in which the machine slept are one drill.
    stage.clock.sleep(Duration::from_secs(14 * 86_400));
    wait(60).await;
    assert_eq!(stage.told().len(), 4);
    stage.plans.send_modify(|plan| Arc::make_mut(plan).drill = None);
    stage.clock.sleep(Duration::from_secs(7 * 86_400));
    wait(60).await;
    assert_eq!(stage.told().len(), 4);
}

#[tokio::test(start_paused = true)]
async fn what_is_due_while_somebody_asks_waits_for_its_turn_and_a_stop_is_heard() {
    let cadence = Cadence::cron("0 10 * * 1", chrono_tz::Tz::UTC, at("2026-11-23T09:00:00Z")).unwrap();
    let mut stage = Stage::set(Seen::There, true, Some(DrillPlan { cadence, channels: vec![ops()] }));
    let turn = Arc::clone(&stage.drills.turn).try_acquire_owned().unwrap();
    let wait = async |seconds| stage.clock.sleep_until(stage.clock.monotonic() + Duration::from_secs(seconds)).await;
    wait(70).await;
    assert_eq!(stage.told().len(), 0, "somebody has the turn");
    // Only now is it asked for, as by a thread that was held up.
    let (answer, answered) = oneshot::channel();
    let asked = Asked { channel: ops(), answer, _turn: turn };
    stage.drills.asked.send(asked).await.unwrap();
    assert_eq!(answered.await.unwrap().broken(), None);
    wait(10).await;
    assert_eq!(stage.told().len(), 4, "what was asked for, and what was due");

    stage.clock.sleep(Duration::from_secs(7 * 86_400));
    let _turn = Arc::clone(&stage.drills.turn).try_acquire_owned().unwrap();
    wait(10).await;
    stage.stop.cancel();
    stage.tasks.join_next().await.unwrap().unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_wall_clock_that_is_set_back_neither_repeats_a_drill_nor_ends_them() {
    let cadence = Cadence::cron("0 * * * *", chrono_tz::Tz::UTC, at("2026-11-23T09:00:00Z")).unwrap();
    let stage = Stage::set(Seen::There, true, Some(DrillPlan { cadence, channels: vec![ops()] }));
    let wait = async |seconds| stage.clock.sleep_until(stage.clock.monotonic() + Duration::from_secs(seconds)).await;
    wait(70).await;
    assert_eq!(stage.told().len(), 2, "at ten");
    stage.clock.step(-5 * 3_600);
    wait(60).await;
    assert_eq!(stage.told().len(), 2);
    wait(3_600).await;
    assert_eq!(stage.told().len(), 4, "at six");
}
