//! Puts the tasks together, hands them a new plan, and ends them in their order.

use std::sync::Arc;
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::sync::{Notify, mpsc, watch};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::deliverer::Deliverer;
use super::dispatcher::{Dispatcher, Notice};
use super::driller::{Driller, Drills};
use super::fanout::{FLUSH_MAX, Fanout};
use super::heart::Heart;
use super::janitor::Janitor;
use super::journal::Journal;
use super::ledger::Ledger;
use super::permits::Permits;
use super::plan::Plan;
use super::pulses::Pulses;
use super::recall::Recall;
use super::runner::Runner;
use super::scheduler::{Command, Ended, Scheduler, Wiring};
use super::threads::Threads;
use super::triggers::Triggers;
use super::unrecorded::Unrecorded;
use super::vitals::Vitals;
use crate::domain::objective::Standings;
use crate::ports::{Clock, Commit, StatusReader, Store, StoreError, TickSource};

/// How many ended runs wait for the dispatcher; beyond it the scheduler waits, which the lateness of runs then shows.
const ENDED_WAITING_MAX: usize = 16_384;

/// How many commands wait for the scheduler; who wants a run off the slots never waits, and may want it again.
const COMMANDS_WAITING_MAX: usize = 16_384;

/// How many cleanups that failed wait for the janitor.
const OWED_WAITING_MAX: usize = 1_024;

/// How long runs have to end with their cleanup once the process is told to stop.
const RUNS_END_MAX: Duration = Duration::from_millis(5_200);

/// How long the last commit and the last attempts at deliveries have.
const TELL_END_MAX: Duration = Duration::from_millis(700);

/// How long a drill has to be put away.
const DRILL_END_MAX: Duration = Duration::from_millis(300);

/// What the engine needs of the rooms.
pub struct Rooms {
    /// The clocks.
    pub clock: Arc<dyn Clock>,
    /// Hints for the scheduler.
    pub ticks: Box<dyn TickSource>,
    /// What outlives the process.
    pub store: Arc<dyn Store>,
    /// Knows what became of messages.
    pub reader: Arc<dyn StatusReader>,
    /// The plan that is in force; a reload sends the next.
    pub plan: watch::Sender<Arc<Plan>>,
    /// Where samples go.
    pub fanout: Fanout,
    /// The threads on which probes run, which are not those of everything else.
    pub threads: Vec<Handle>,
    /// What jobs elsewhere say of themselves.
    pub pulses: Arc<Pulses>,
    /// Where what the store does not take stands meanwhile.
    pub unrecorded: Arc<Unrecorded>,
}

/// The running engine.
pub struct Engine {
    clock: Arc<dyn Clock>,
    fanout: Fanout,
    plan: watch::Sender<Arc<Plan>>,
    commands: mpsc::Sender<Command>,
    notices: mpsc::Sender<Notice>,
    wake: Arc<Notify>,
    stop_runs: CancellationToken,
    stop_deliverer: CancellationToken,
    stop_janitor: CancellationToken,
    stop_driller: CancellationToken,
    drills: Drills,
    driller: JoinSet<()>,
    janitor: JoinSet<()>,
    scheduler: JoinSet<()>,
    dispatcher: JoinSet<()>,
    deliverer: JoinSet<()>,
    publishers: JoinSet<()>,
    heart: JoinSet<()>,
    recall: JoinSet<()>,
    standings: watch::Receiver<Arc<Standings>>,
    vitals: Arc<Vitals>,
    permits: Arc<Permits>,
}

impl Engine {
    /// Loads the state and starts every task.
    pub async fn start(rooms: Rooms) -> Result<Self, StoreError> {
        let Rooms { clock, ticks, store, reader, plan: plans, fanout, threads, pulses, unrecorded: held } = rooms;
        let plan = Arc::clone(&plans.borrow());
        let mut loaded = store.load().await?;
        let accounted = loaded.accounted.clone();
        let debts = loaded.debts.clone();
        let drilled = std::mem::take(&mut loaded.drilled);
        // The last slot that was accounted for is the last sign of life of the process before this one.
        let last_alive = accounted.iter().map(|(.., through)| *through).max();
        pulses.open(Arc::clone(&store), std::mem::take(&mut loaded.pulses), last_alive, clock.now());
        let mut unrecorded = Commit::default();
        let mut ledger = Ledger::open(Arc::clone(&plan), loaded, clock.now(), &mut unrecorded);
        if let Some(lost) = held.lost() {
            ledger.take_loss(&lost, clock.now(), &mut unrecorded);
        }

        let vitals = Arc::new(Vitals::new(Arc::clone(&clock)));
        let mut publishers = JoinSet::new();
        fanout.take(&plan, &clock, &mut publishers);
        let (ended_sender, ended) = mpsc::channel::<Ended>(ENDED_WAITING_MAX);
        let (commands, commands_receiver) = mpsc::channel(COMMANDS_WAITING_MAX);
        let (notices, notices_receiver) = mpsc::channel(64);
        let wake = Arc::new(Notify::new());
        let (stop_runs, stop_deliverer) = (CancellationToken::new(), CancellationToken::new());
        let stop_janitor = CancellationToken::new();

        let (owed_sender, owed) = mpsc::channel(OWED_WAITING_MAX);
        let journal = Arc::new(Journal::new(Arc::clone(&clock), Arc::clone(&store), owed_sender));
        let runner = Runner::new(Arc::clone(&clock), stop_runs.clone()).journaling(Arc::clone(&journal));
        let threads = Arc::new(Threads::new(&threads, &runner));
        let permits = Arc::<Permits>::default();
        let wiring = Wiring {
            clock: Arc::clone(&clock),
            ticks,
            ended: ended_sender,
            commands: commands_receiver,
            pauses: ledger.pauses(),
            fanout: fanout.clone(),
            stop: stop_runs.clone(),
            threads: Arc::clone(&threads),
            vitals: Arc::clone(&vitals),
            permits: Arc::clone(&permits),
        };
        let (mut scheduler, mut dispatcher, mut deliverer) = (JoinSet::new(), JoinSet::new(), JoinSet::new());
        let cleaning = Janitor {
            clock: Arc::clone(&clock),
            journal,
            debts,
            owed,
            plan: plans.subscribe(),
            threads: Arc::clone(&threads),
            fanout: fanout.clone(),
            stop: stop_janitor.clone(),
        };
        let mut janitor = JoinSet::new();
        janitor.spawn(cleaning.run());
        scheduler.spawn(Scheduler::new(&plan, accounted, wiring).run());
        let recalling = Recall {
            clock: Arc::clone(&clock),
            store: Arc::clone(&store),
            question: ledger.question(),
            notices: notices.clone(),
        };
        let mut recall = JoinSet::new();
        recall.spawn(recalling.run());
        let standings = ledger.standings();
        let dispatching = Dispatcher {
            clock: Arc::clone(&clock),
            store: Arc::clone(&store),
            ledger,
            ended,
            notices: notices_receiver,
            commands: commands.clone(),
            triggers: Triggers::default(),
            fanout: fanout.clone(),
            wake: Arc::clone(&wake),
            held: Arc::clone(&held),
            committing: None,
            unrecorded,
            vitals: Arc::clone(&vitals),
        };
        dispatcher.spawn(dispatching.run());
        let delivering = Deliverer {
            clock: Arc::clone(&clock),
            store,
            plan: plans.subscribe(),
            fanout: fanout.clone(),
            wake: Arc::clone(&wake),
            unrecorded: Arc::clone(&held),
            stop: stop_deliverer.clone(),
            vitals: Arc::clone(&vitals),
        };
        deliverer.spawn(delivering.run());
        let ((drills, asked), stop_driller) = (Drills::new(), CancellationToken::new());
        let drilling = Driller {
            clock: Arc::clone(&clock),
            plan: plans.subscribe(),
            threads,
            notices: notices.clone(),
            reader,
            unrecorded: Arc::clone(&held),
            fanout: fanout.clone(),
            drills: drills.clone(),
            asked,
            drilled,
            stop: stop_driller.clone(),
        };
        let mut driller = JoinSet::new();
        driller.spawn(drilling.run());
        let beating = Heart {
            clock: Arc::clone(&clock),
            vitals: Arc::clone(&vitals),
            fanout: fanout.clone(),
            plan: plans.subscribe(),
        };
        let mut heart = JoinSet::new();
        heart.spawn(beating.run());

        Ok(Self {
            clock,
            fanout,
            plan: plans,
            commands,
            notices,
            wake,
            stop_runs,
            stop_deliverer,
            stop_janitor,
            stop_driller,
            drills,
            driller,
            janitor,
            scheduler,
            dispatcher,
            deliverer,
            publishers,
            heart,
            recall,
            standings,
            vitals,
            permits,
        })
    }

    /// The plan that is in force, and every one after it.
    pub fn plan(&self) -> watch::Receiver<Arc<Plan>> {
        self.plan.subscribe()
    }

    /// Where those who serve people bring what they do about incidents.
    pub fn notices(&self) -> mpsc::Sender<Notice> {
        self.notices.clone()
    }

    /// Where those who serve people ask for drills.
    pub fn drills(&self) -> Drills {
        self.drills.clone()
    }

    /// How objectives stand, anew each minute.
    pub fn standings(&self) -> watch::Receiver<Arc<Standings>> {
        self.standings.clone()
    }

    /// Looks for what is due to be delivered at once.
    pub fn wake(&self) -> Arc<Notify> {
        Arc::clone(&self.wake)
    }

    /// How its loops stand, for who watches them.
    pub fn vitals(&self) -> Arc<Vitals> {
        Arc::clone(&self.vitals)
    }

    /// How many runs go on at once, for who watches them.
    pub fn permits(&self) -> Arc<Permits> {
        Arc::clone(&self.permits)
    }

    /// Where metrics of the process itself go.
    pub fn fanout(&self) -> &Fanout {
        &self.fanout
    }

    /// Puts another plan in force, whole. What did not change keeps its phase, its counts and its incidents.
    pub async fn reload(&mut self, plan: Arc<Plan>) {
        self.fanout.take(&plan, &self.clock, &mut self.publishers);
        self.plan.send_replace(Arc::clone(&plan));
        // The dispatcher first: a run of a new probe must find its policy.
        let told = self.notices.send(Notice::Reload(Arc::clone(&plan))).await.is_ok();
        if !told || self.commands.send(Command::Reload(plan)).await.is_err() {
            tracing::error!("the engine has ended and takes no plan");
        }
    }

    /// Completes when a task has ended that should not: a bug, after which nobody may believe that all is well.
    pub async fn failed(&mut self) -> &'static str {
        let publishers = &mut self.publishers;
        // A publisher ends well when a reload has no use for it; that it panicked is another thing.
        let publisher_failed = async {
            while let Some(ended) = publishers.join_next().await {
                if ended.is_err() {
                    return;
                }
            }
            std::future::pending::<()>().await;
        };
        tokio::select! {
            _ = self.scheduler.join_next() => "the scheduler",
            _ = self.dispatcher.join_next() => "the dispatcher",
            _ = self.deliverer.join_next() => "the deliverer",
            _ = self.janitor.join_next() => "the janitor",
            _ = self.driller.join_next() => "the driller",
            _ = self.heart.join_next() => "the heart",
            _ = self.recall.join_next() => "the reading of the past",
            () = publisher_failed => "a publisher",
        }
    }

    /// Ends everything in its order: no new rounds, runs end with their cleanup, their results are committed, metrics
    /// are sent. Takes nine seconds at most together with the store's end, because containers kill at ten.
    pub async fn stop(mut self) {
        // Who stops goes on no more, and does not say so.
        self.heart.abort_all();
        // First, so that whoever hears of a drill hears its end as well.
        self.stop_driller.cancel();
        end(&*self.clock, "the drill", DRILL_END_MAX, &mut self.driller).await;
        self.recall.abort_all();
        self.stop_runs.cancel();
        end(&*self.clock, "the runs", RUNS_END_MAX, &mut self.scheduler).await;
        // After the runs, since it takes in what they could not clean up.
        self.stop_janitor.cancel();
        tokio::join!(
            end(&*self.clock, "the janitor", TELL_END_MAX, &mut self.janitor),
            end(&*self.clock, "the last commit", TELL_END_MAX, &mut self.dispatcher),
        );
        self.stop_deliverer.cancel();
        self.fanout.close();
        tokio::join!(
            end(&*self.clock, "the last attempts", FLUSH_MAX, &mut self.deliverer),
            end(&*self.clock, "the last metrics", FLUSH_MAX, &mut self.publishers),
        );
    }
}

async fn end(clock: &dyn Clock, what: &str, most: Duration, tasks: &mut JoinSet<()>) {
    let until = clock.monotonic() + most;
    tokio::select! {
        () = async { while tasks.join_next().await.is_some() {} } => {}
        () = clock.sleep_until(until) => {
            tracing::warn!("{what} did not end in time");
            tasks.abort_all();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::incident::Event;
    use crate::domain::names::ProbeName;
    use crate::domain::outcome::{Extra, Failure, FailureKind, Run};
    use crate::domain::schedule::Cadence;
    use crate::engine::testing::{Debts, NoTicks, TestClock, at, plan_of, probe, schedule_of, step};

    mod operating;

    fn name(text: &str) -> ProbeName {
        ProbeName::parse(text).unwrap()
    }

    /// These probes refuse whoever knocks, and take a second for it.
    fn dead(plan: &mut Plan, names: &[&str], needs: &[&str]) {
        for of in names {
            let mut dead = probe(of);
            let refused = || Err(Failure::new(FailureKind::ConnectRefused, "nobody listens"));
            dead.steps = vec![step("only", move || (Duration::from_secs(1), refused()))];
            dead.needs = needs.iter().map(|needed| name(needed)).collect();
            plan.probes.insert(name(of), Arc::new(dead));
        }
    }

    /// What is committed in so many seconds from half a minute before ten on.
    async fn commits(plan: Plan, seconds: u64) -> Vec<Arc<Commit>> {
        let (clock, store) = (TestClock::starting("2026-11-24T09:59:30Z"), Arc::new(Debts::default()));
        let rooms = Rooms {
            clock: Arc::clone(&clock) as _,
            ticks: Box::new(NoTicks),
            store: Arc::clone(&store) as _,
            reader: Arc::clone(&store) as _,
            plan: watch::Sender::new(Arc::new(plan)),
            fanout: Fanout::default(),
            threads: vec![Handle::current()],
            pulses: Arc::default(),
            unrecorded: Arc::default(),
        };
        let engine = Engine::start(rooms).await.unwrap();
        clock.sleep_until(clock.monotonic() + Duration::from_secs(seconds)).await;
        engine.stop().await;
        let commits = store.commits.lock().unwrap();
        commits.clone()
    }

    fn runs(commits: &[Arc<Commit>]) -> Vec<&Run> {
        commits.iter().flat_map(|commit| &commit.runs).collect()
    }

    #[tokio::test(start_paused = true)]
    async fn a_page_does_not_wait_for_the_next_five_minutes() {
        let mut tier = schedule_of("tier", "5m", 1);
        tier.alert.as_mut().unwrap().recheck = Some(Duration::from_secs(10));
        let mut plan = plan_of(vec![tier]);
        dead(&mut plan, &["probe-0"], &[]);
        let commits = commits(plan, 240).await;
        let runs = runs(&commits);
        assert_eq!(runs.iter().map(|run| run.extra).collect::<Vec<_>>(), [None, Some(Extra::Recheck)]);
        let apart = runs[1].started_at - runs[0].started_at;
        assert!((11..=13).contains(&apart.num_seconds()), "a second of the run, and ten more: {apart}");
        let told: Vec<_> = commits.iter().flat_map(|commit| &commit.deliveries).collect();
        assert_eq!(told.len(), 1);
        assert_eq!(told[0].notification.event, Event::Opened);
        assert!(told[0].created_at < at("2026-11-24T10:01:20Z"), "{}", told[0].created_at);
        let accounts = commits.iter().flat_map(|commit| commit.accounts.values());
        let slots: u64 = accounts.flat_map(|account| &account.counts).map(|(_, count)| count).sum();
        assert_eq!(slots, 1, "one slot came, and no run off the slots is counted among them");
    }

    #[tokio::test(start_paused = true)]
    async fn the_page_is_about_what_is_needed_also_where_that_would_be_looked_at_an_hour_later() {
        let mut hourly = schedule_of("hourly", "1h", 1);
        hourly.timeout = Duration::from_secs(10);
        // Its slot of this hour is over.
        hourly.cadence = Cadence::cron("59 * * * *", chrono_tz::Tz::UTC, at("2026-11-24T09:00:00Z")).unwrap();
        let mut often = schedule_of("often", "30s", 2);
        often.probes = vec![name("probe-1")];
        let mut plan = plan_of(vec![hourly, often]);
        dead(&mut plan, &["probe-1"], &["probe-0"]);
        dead(&mut plan, &["probe-0"], &[]);
        let commits = commits(plan, 180).await;
        let told: Vec<_> = commits.iter().flat_map(|commit| &commit.deliveries).collect();
        let about: Vec<_> = told.iter().map(|delivery| delivery.notification.incident.probe.as_str()).collect();
        assert_eq!(about, ["probe-0"]);
        let looks = runs(&commits).into_iter().filter(|run| run.extra == Some(Extra::Parent)).count();
        assert_eq!(looks, 2, "the first leaves doubt");
    }
}
