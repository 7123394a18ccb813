//! Ticks become slots, slots become rounds, rounds become runs. One task owns the calendar, the queue of entries and
//! the account of slots; runs are its children, and their results leave through one bounded channel.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use self::extras::{ExtraRun, InFlight, PERMIT_WAIT_MAX, Refusal};
use super::calendar::{Calendar, Come, Entry, GRACE};
use super::fanout::Fanout;
use super::permits::Permits;
use super::plan::Plan;
use super::rounds::Rounds;
use super::runner::Order;
use super::slots::{SlotBook, SlotKey};
use super::threads::{Thread, Threads};
use super::vitals::{Part, Vitals};
use crate::domain::metric::{MetricName, Sample, SampleLabels};
use crate::domain::names::{ProbeName, ScheduleName};
use crate::domain::outcome::{Failure, FailureKind, Run, RunId, SlotAccount, SlotOutcome};
use crate::domain::pause::Pauses;
use crate::domain::schedule::LEAD;
use crate::domain::time::{Monotonic, Timestamp, between, earlier, later};
use crate::ports::{Clock, TickSource};

pub mod extras;

/// If a tick is this late the round is started without it.
const TICK_LATE: Duration = Duration::from_secs(2);

/// How long results are left to gather once some were taken. What ends after a quiet moment is taken at once; under load
/// nobody is woken for each.
const GATHER: Duration = Duration::from_millis(10);

/// The clock is looked at least this often, so that a step or a stop is noticed soon.
const LOOK: Duration = Duration::from_secs(5);

/// The wall clock has stepped when it and the other clock disagree by more than this over one look.
const STEP_MIN: Duration = Duration::from_secs(1);

/// A run that ended, or slots that will have none, on the way to the dispatcher.
#[derive(Debug, Default)]
pub struct Ended {
    /// The run; on the heap, since it goes through several hands.
    pub run: Option<Box<Run>>,
    /// The slots that are settled with it.
    pub account: Option<SlotAccount>,
    /// A run that somebody wanted off the slots and that is not made.
    pub refused: Option<(ExtraRun, Refusal)>,
}

/// What the scheduler is told.
pub enum Command {
    /// Go on with another plan.
    Reload(Arc<Plan>),
    /// Somebody wants a run off the slots.
    Extra(ExtraRun),
}

/// What the scheduler needs of others.
pub struct Wiring {
    /// The clocks.
    pub clock: Arc<dyn Clock>,
    /// Hints.
    pub ticks: Box<dyn TickSource>,
    /// Where ended runs go.
    pub ended: mpsc::Sender<Ended>,
    /// What it is told.
    pub commands: mpsc::Receiver<Command>,
    /// What is paused.
    pub pauses: watch::Receiver<Arc<Pauses>>,
    /// Metrics of its own.
    pub fanout: Fanout,
    /// Told to stop: no new rounds, runs end with their cleanup.
    pub stop: CancellationToken,
    /// Where runs are made, so that no work of the engine delays them.
    pub threads: Arc<Threads>,
    /// Is told of every turn.
    pub vitals: Arc<Vitals>,
    /// How many runs go on at once.
    pub permits: Arc<Permits>,
}

/// What a run serves.
enum Served {
    Slot(SlotKey, Timestamp),
    Extra(ExtraRun),
}

impl Served {
    fn probe(&self) -> &ProbeName {
        match self {
            Self::Slot((_, probe), _) => probe,
            Self::Extra(extra) => &extra.probe,
        }
    }

    fn schedule(&self) -> Option<&ScheduleName> {
        match self {
            Self::Slot((schedule, _), _) => Some(schedule),
            Self::Extra(extra) => extra.schedule.as_ref(),
        }
    }

    /// What the run is called, where somebody waits for that one.
    fn id(&self) -> Option<RunId> {
        match self {
            Self::Slot(..) => None,
            Self::Extra(extra) => extra.id.clone(),
        }
    }
}

struct Finished {
    served: Served,
    /// Absent when the process stopped before there was one; a slot is then a gap of the next process.
    result: Option<(SlotOutcome, Box<Run>)>,
}

/// The order of the queue is by start only.
struct Queued {
    due: Monotonic,
    entry: Entry,
}

impl PartialEq for Queued {
    fn eq(&self, other: &Self) -> bool {
        self.due == other.due
    }
}
impl Eq for Queued {}
impl PartialOrd for Queued {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}
impl Ord for Queued {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.due.cmp(&other.due)
    }
}

/// The scheduler.
pub struct Scheduler {
    clock: Arc<dyn Clock>,
    ticks: Box<dyn TickSource>,
    ended: mpsc::Sender<Ended>,
    commands: mpsc::Receiver<Command>,
    pauses: watch::Receiver<Arc<Pauses>>,
    fanout: Fanout,
    stop: CancellationToken,
    plan: Arc<Plan>,
    rounds: Rounds,
    calendar: Calendar,
    queue: BinaryHeap<Reverse<Queued>>,
    /// Which probes are being run.
    in_flight: InFlight,
    book: SlotBook,
    permits: Arc<Permits>,
    /// Where the runs are made; they are children of this task all the same.
    threads: Arc<Threads>,
    vitals: Arc<Vitals>,
    runs: JoinSet<Finished>,
    seen: (Timestamp, Monotonic),
    /// What the process before this one missed, until the loop can send it.
    missed: Vec<SlotAccount>,
}

impl Scheduler {
    /// A scheduler that stands where `accounted` says the process before it was.
    pub fn new(plan: &Arc<Plan>, accounted: Vec<(ScheduleName, ProbeName, Timestamp)>, wiring: Wiring) -> Self {
        let Wiring { clock, ticks, ended, commands, pauses, fanout, stop, threads, vitals, permits } = wiring;
        let accounted: HashMap<SlotKey, Timestamp> =
            accounted.into_iter().map(|(schedule, probe, through)| ((schedule, probe), through)).collect();
        let seen = (clock.now(), clock.monotonic());
        let mut scheduler = Self {
            clock,
            ticks,
            ended,
            commands,
            pauses,
            fanout,
            stop,
            plan: Arc::clone(plan),
            rounds: Rounds::of(plan),
            calendar: Calendar::default(),
            queue: BinaryHeap::new(),
            in_flight: InFlight::default(),
            book: SlotBook::default(),
            permits,
            threads,
            vitals,
            runs: JoinSet::new(),
            seen,
            missed: Vec::new(),
        };
        let come = scheduler
            .calendar
            .take(plan, seen.0, |schedule, probe| accounted.get(&(schedule.clone(), probe.clone())).copied());
        scheduler.missed = scheduler.take_in(come);
        scheduler
    }

    /// Queues the entries, and gives what the gaps settle.
    fn take_in(&mut self, come: Come) -> Vec<SlotAccount> {
        for entry in come.entries {
            self.enter(entry);
        }
        let mut accounts = Vec::new();
        for gap in come.gaps {
            let key = (gap.schedule, gap.probe);
            accounts.extend(self.book.settle(&key, gap.through, SlotOutcome::Gap, gap.count));
        }
        accounts
    }

    fn enter(&mut self, entry: Entry) {
        self.book.enter(&(entry.schedule.clone(), entry.probe.clone()), entry.slot);
        let (now, monotonic) = (self.clock.now(), self.clock.monotonic());
        let due = if entry.due_at >= now {
            monotonic + between(now, entry.due_at)
        } else {
            Monotonic(monotonic.0.saturating_sub(between(entry.due_at, now)))
        };
        self.queue.push(Reverse(Queued { due, entry }));
    }

    /// Goes on until it is told to stop, then waits for what still runs.
    pub async fn run(mut self) {
        self.watch().await;
        for account in std::mem::take(&mut self.missed) {
            self.settled(Some(account)).await;
        }
        let mut gathered_at = Monotonic::default();
        loop {
            self.vitals.turned(Part::Scheduler);
            while let Some(finished) = self.runs.try_join_next() {
                self.finish(finished).await;
            }
            let gathers = self.clock.monotonic() < gathered_at && !self.runs.is_empty();
            let wake = if gathers { self.next_wake().min(gathered_at) } else { self.next_wake() };
            let come = tokio::select! {
                biased;
                () = self.stop.cancelled() => break,
                Some(finished) = self.runs.join_next(), if !gathers && !self.runs.is_empty() => {
                    self.finish(finished).await;
                    gathered_at = self.clock.monotonic() + GATHER;
                    continue;
                }
                Some(command) = self.commands.recv() => self.obey(command).await,
                name = self.ticks.next() => self.look(Some(&name)),
                () = self.clock.sleep_until(wake) => self.look(None),
            };
            for account in self.take_in(come) {
                self.settled(Some(account)).await;
            }
            self.start_due().await;
        }
        while let Some(finished) = self.runs.join_next().await {
            self.finish(finished).await;
        }
    }

    async fn watch(&mut self) {
        let schedules: Vec<_> = self.plan.schedules.values().cloned().collect();
        if let Err(error) = self.ticks.watch(&schedules).await {
            tracing::warn!("{error}: rounds start by the engine's own timer");
        }
    }

    fn next_wake(&self) -> Monotonic {
        let (now, monotonic) = (self.clock.now(), self.clock.monotonic());
        let without_tick = self.calendar.next_slot().map(|slot| monotonic + between(now, later(slot, TICK_LATE)));
        let next_entry = self.queue.peek().map(|Reverse(queued)| queued.due);
        [without_tick, next_entry].into_iter().flatten().fold(monotonic + LOOK, Monotonic::min)
    }

    /// Looks at the clock: all that has come of the schedule that ticked, and of the others what should have ticked.
    fn look(&mut self, ticked: Option<&ScheduleName>) -> Come {
        let (now, monotonic) = (self.clock.now(), self.clock.monotonic());
        let walked = (now - self.seen.0).as_seconds_f64();
        let step = walked - monotonic.since(self.seen.1).as_secs_f64();
        self.seen = (now, monotonic);
        if step.abs() > STEP_MIN.as_secs_f64() {
            tracing::warn!(seconds = step, "the wall clock stepped, or the machine slept");
            self.count(MetricName::ClockSteps, 1.0, SampleLabels::default());
        }
        if let Some(name) = ticked {
            return self.calendar.advance(name, now, now);
        }
        let come = self.calendar.advance_all(earlier(now, TICK_LATE), now);
        if come.rounds > 0 {
            tracing::debug!(rounds = come.rounds, "rounds began without their tick");
            self.count(MetricName::LateTicks, come.rounds as f64, SampleLabels::default());
        }
        come
    }

    fn count(&self, name: MetricName, value: f64, labels: SampleLabels) {
        self.fanout.send([Sample { name, at: self.clock.now(), value, labels }]);
    }

    async fn obey(&mut self, command: Command) -> Come {
        match command {
            Command::Reload(plan) => {
                self.rounds = Rounds::of(&plan);
                self.plan = plan;
                self.watch().await;
                // Nothing is accounted for what is new in this process: its first slot is the next one.
                self.calendar.take(&self.plan, self.clock.now(), |_, _| None)
            }
            Command::Extra(extra) => {
                if let Err(refusal) = self.start_extra(&extra) {
                    self.tell(Ended { refused: Some((extra, refusal)), ..Ended::default() }).await;
                }
                Come::default()
            }
        }
    }

    /// Whether somebody has paused a probe on a schedule, or off all of them.
    fn is_paused(&self, schedule: Option<&ScheduleName>, probe: &ProbeName, now: Timestamp) -> bool {
        self.pauses.borrow().find(schedule, probe, now).is_some()
    }

    /// Starts every entry whose time has come.
    async fn start_due(&mut self) {
        while let Some(Reverse(Queued { due, entry })) = self.pop_due() {
            let key = (entry.schedule.clone(), entry.probe.clone());
            let planned = self.rounds.get(&key.0, &key.1);
            let overdue = self.clock.monotonic().since(due) > GRACE;
            let is_paused = self.is_paused(Some(&key.0), &key.1, self.clock.now());
            let outcome = match planned {
                // What a reload removed has no slots any more; for what the process could not get to in time it is too late.
                None => Some(SlotOutcome::Gap),
                Some(_) if overdue => Some(SlotOutcome::Gap),
                Some(_) if is_paused => Some(SlotOutcome::Paused),
                Some(_) if self.in_flight.has(&key.1, &key.0) => Some(SlotOutcome::Skipped),
                Some(_) => None,
            };
            match (outcome, planned) {
                (None, Some((schedule, probe))) => {
                    let order = Order {
                        plan: Arc::clone(&self.plan),
                        probe: Arc::clone(probe),
                        schedule: Some(Arc::clone(schedule)),
                        extra: None,
                        slot: entry.slot,
                        due_at: entry.due_at,
                        due,
                    };
                    self.start(Served::Slot(key, entry.slot), order);
                }
                (outcome, _) => {
                    let account = self.book.settle(&key, entry.slot, outcome.unwrap_or(SlotOutcome::Gap), 1);
                    self.settled(account).await;
                }
            }
        }
    }

    fn pop_due(&mut self) -> Option<Reverse<Queued>> {
        let now = self.clock.monotonic();
        if self.queue.peek()?.0.due <= now { self.queue.pop() } else { None }
    }

    fn start(&mut self, served: Served, order: Order) {
        let schedule = served.schedule().cloned();
        self.in_flight.begin(served.probe(), schedule.clone());
        let permits = self.permits.of(schedule);
        let Thread { handle, runner } = self.threads.next();
        let (runner, clock, stop) = (runner.clone(), Arc::clone(&self.clock), self.stop.clone());
        let wait = match (&served, &order.schedule) {
            // A permit that comes after the next slot serves nobody.
            (Served::Slot(..), Some(schedule)) => schedule.cadence.period_at(order.slot).saturating_sub(LEAD).max(LEAD),
            _ => PERMIT_WAIT_MAX,
        };
        let give_up = order.due + wait;
        let run = async move {
            let result = tokio::select! {
                biased;
                () = stop.cancelled() => None,
                permit = permits.acquire() => {
                    let run = runner.run_as(order, served.id()).await;
                    drop(permit);
                    Some((SlotOutcome::Ran, Box::new(run)))
                }
                // We did not look, which is a verdict too: when it lasts, it is an incident of its own.
                () = clock.sleep_until(give_up) => {
                    let why = Failure::new(FailureKind::LocalResources, "no permit came free before the next slot");
                    Some((SlotOutcome::Saturated, Box::new(runner.blind(&order, why))))
                }
            };
            Finished { served, result }
        };
        self.runs.spawn_on(run, handle);
    }

    async fn finish(&mut self, finished: Result<Finished, tokio::task::JoinError>) {
        let finished = match finished {
            Ok(finished) => finished,
            // The runner catches what a prober does, so this is a bug of the engine's own; the slot stays open and is a
            // gap of the next process.
            Err(error) => return tracing::error!("a run ended without a result: {error}"),
        };
        let Finished { served, result } = finished;
        self.in_flight.end(served.probe(), served.schedule());
        let Some((outcome, run)) = result else { return };
        let ended = match served {
            Served::Slot(key, slot) => {
                Ended { run: Some(run), account: self.book.settle(&key, slot, outcome, 1), refused: None }
            }
            Served::Extra(extra) if outcome == SlotOutcome::Saturated => {
                Ended { refused: Some((extra, Refusal::Saturated)), ..Ended::default() }
            }
            Served::Extra(_) => Ended { run: Some(run), ..Ended::default() },
        };
        self.tell(ended).await;
    }

    async fn settled(&mut self, account: Option<SlotAccount>) {
        if account.is_some() {
            self.tell(Ended { account, ..Ended::default() }).await;
        }
    }

    async fn tell(&mut self, ended: Ended) {
        if self.vitals.waiting(Part::Scheduler, self.ended.send(ended)).await.is_err() {
            tracing::error!("nobody takes results any more");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::outcome::{Cause, Extra, Observation, Verdict};
    use crate::domain::pause::{Pause, PauseId, Scope};
    use crate::engine::permits::PERMITS;
    use crate::engine::runner::Runner;
    use crate::engine::testing::{NoTicks, TestClock, at, here, plan_of, probe, schedule_of, step};
    use std::collections::BTreeMap;

    struct World {
        clock: Arc<TestClock>,
        ended: mpsc::Receiver<Ended>,
        commands: mpsc::Sender<Command>,
        paused: watch::Sender<Arc<Pauses>>,
        stop: CancellationToken,
        task: JoinSet<()>,
    }

    fn start(plan: Plan, wall: &str, accounted: Vec<(ScheduleName, ProbeName, Timestamp)>) -> World {
        let clock = TestClock::starting(wall);
        let (ended_sender, ended) = mpsc::channel(1_000_000);
        let (commands, commands_receiver) = mpsc::channel(4);
        let paused = watch::Sender::default();
        let stop = CancellationToken::new();
        let wiring = Wiring {
            clock: clock.clone(),
            ticks: Box::new(NoTicks),
            ended: ended_sender,
            commands: commands_receiver,
            pauses: paused.subscribe(),
            fanout: Fanout::default(),
            stop: stop.clone(),
            threads: here(&Runner::new(clock.clone(), stop.clone())),
            vitals: Arc::new(Vitals::new(clock.clone())),
            permits: Arc::default(),
        };
        let mut task = JoinSet::new();
        task.spawn(Scheduler::new(&Arc::new(plan), accounted, wiring).run());
        World { clock, ended, commands, paused, stop, task }
    }

    impl World {
        async fn advance(&self, seconds: u64) {
            self.clock.sleep_until(self.clock.monotonic() + Duration::from_secs(seconds)).await;
        }

        /// Stops, and gives for each probe how its slots ended, and all runs.
        async fn finish(mut self) -> (BTreeMap<ProbeName, BTreeMap<SlotOutcome, u64>>, Vec<Run>) {
            self.stop.cancel();
            self.task.join_next().await;
            let (mut slots, mut runs) = (BTreeMap::<_, BTreeMap<_, u64>>::new(), Vec::new());
            while let Ok(ended) = self.ended.try_recv() {
                if let Some(account) = ended.account {
                    for (outcome, count) in account.counts {
                        *slots.entry(account.probe.clone()).or_default().entry(outcome).or_default() += count;
                    }
                }
                runs.extend(ended.run.map(|run| *run));
            }
            (slots, runs)
        }
    }

    fn name(text: &str) -> ProbeName {
        ProbeName::parse(text).unwrap()
    }

    #[tokio::test(start_paused = true)]
    async fn an_hour_of_rounds_without_a_single_tick() {
        let world = start(plan_of(vec![schedule_of("tier", "30s", 20)]), "2026-11-24T10:00:00Z", vec![]);
        world.advance(3_600).await;
        let (slots, runs) = world.finish().await;
        assert_eq!(slots.len(), 20);
        for (probe, outcomes) in slots {
            let ran = outcomes[&SlotOutcome::Ran];
            // The slot of 11:00:00 has come and not been entered: without its tick it would be at 11:00:02.
            assert_eq!((ran, outcomes.len()), (119, 1), "{probe}: {outcomes:?}");
        }
        assert!(
            runs.iter().all(|run| run.lateness <= Duration::from_secs(1)),
            "started at most a second late without a tick"
        );
        assert!(runs.iter().all(|run| run.verdict == Verdict::Passed));
    }

    #[tokio::test(start_paused = true)]
    async fn what_overruns_is_skipped_and_never_runs_twice_at_once() {
        let mut plan = plan_of(vec![schedule_of("tier", "30s", 1)]);
        let mut slow = probe("probe-0");
        slow.timeout = Some(Duration::from_secs(100));
        slow.steps = vec![step("only", || (Duration::from_secs(70), Ok(Observation::default())))];
        plan.probes.insert(name("probe-0"), Arc::new(slow));
        let world = start(plan, "2026-11-24T10:00:00Z", vec![]);
        world.advance(620).await;
        let (slots, mut runs) = world.finish().await;
        runs.sort_by_key(|run| run.started_at);
        assert!(runs.windows(2).all(|pair| pair[0].started_at + pair[0].duration <= pair[1].started_at));
        let outcomes = &slots[&name("probe-0")];
        // Twenty slots came; a run of 70 s is in the way of the two after its own.
        assert_eq!(*outcomes, BTreeMap::from([(SlotOutcome::Ran, 7), (SlotOutcome::Skipped, 13)]));
    }

    #[tokio::test(start_paused = true)]
    async fn hung_suites_never_delay_another_tier() {
        let mut hung = schedule_of("hung", "30s", 600);
        hung.timeout = Duration::from_secs(25);
        let mut plan = plan_of(vec![hung]);
        for probe in plan.probes.values_mut() {
            let mut slow = crate::engine::testing::probe(probe.name.as_str());
            slow.steps = vec![step("only", || (Duration::from_secs(3_600), Ok(Observation::default())))];
            *probe = Arc::new(slow);
        }
        let mut quick = schedule_of("quick", "30s", 0);
        quick.probes = vec![name("quick")];
        plan.schedules.insert(quick.name.clone(), Arc::new(quick));
        plan.probes.insert(name("quick"), Arc::new(probe("quick")));
        let world = start(plan, "2026-11-24T10:00:00Z", vec![]);
        world.advance(600).await;
        let (slots, runs) = world.finish().await;
        let quick: Vec<_> = runs.iter().filter(|run| run.probe == name("quick")).collect();
        assert_eq!(quick.len(), 19);
        assert!(quick.iter().all(|run| run.lateness <= Duration::from_secs(1)));
        let total = |outcome| slots.values().filter_map(|outcomes| outcomes.get(&outcome)).sum::<u64>();
        assert!(total(SlotOutcome::Saturated) > 0 && total(SlotOutcome::Ran) > 0);
        let blind =
            runs.iter().filter(|run| matches!(run.verdict, Verdict::Inconclusive(Cause::Ours(_)))).count() as u64;
        assert_eq!(blind, total(SlotOutcome::Saturated), "who did not look says so");
        // A hung target is told as a timeout of its own, never as waiting for a permit.
        assert!(
            runs.iter()
                .filter(|run| run.probe != name("quick"))
                .all(|run| run.duration <= Duration::from_millis(25_250))
        );
    }

    #[tokio::test(start_paused = true)]
    async fn steps_of_the_clock_neither_burst_nor_silence() {
        for (seconds, gaps) in [(3_600_i64, 119..=120), (-3_600, 0..=0)] {
            let world = start(plan_of(vec![schedule_of("tier", "30s", 10)]), "2026-11-24T10:00:00Z", vec![]);
            world.advance(300).await;
            world.clock.step(seconds);
            world.advance(300).await;
            let (slots, runs) = world.finish().await;
            for (probe, outcomes) in &slots {
                let ran = outcomes[&SlotOutcome::Ran];
                assert!((18..=20).contains(&ran), "{seconds}, {probe}: {outcomes:?}");
                assert!(
                    gaps.contains(&outcomes.get(&SlotOutcome::Gap).copied().unwrap_or(0)),
                    "{seconds}, {probe}: {outcomes:?}"
                );
            }
            let mut starts: Vec<_> =
                runs.iter().filter(|run| run.probe == name("probe-3")).map(|run| run.due_at).collect();
            starts.sort();
            starts.dedup();
            assert!(starts.len() >= 18, "{seconds}: {starts:?}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_restart_counts_what_was_missed() {
        let schedule = schedule_of("tier", "5m", 1);
        let accounted = vec![(schedule.name.clone(), name("probe-0"), at("2026-11-24T09:00:00Z"))];
        let world = start(plan_of(vec![schedule]), "2026-11-24T10:02:30Z", accounted);
        world.advance(300).await;
        let (slots, _) = world.finish().await;
        assert_eq!(slots[&name("probe-0")], BTreeMap::from([(SlotOutcome::Ran, 1), (SlotOutcome::Gap, 12)]));
    }

    #[tokio::test(start_paused = true)]
    async fn a_reload_keeps_the_phase_and_drops_what_is_gone() {
        let world = start(plan_of(vec![schedule_of("tier", "30s", 2)]), "2026-11-24T10:00:00Z", vec![]);
        world.advance(300).await;
        world
            .commands
            .send(Command::Reload(Arc::new(plan_of(vec![schedule_of("tier", "30s", 1)]))))
            .await
            .ok()
            .unwrap();
        world.advance(300).await;
        let (slots, runs) = world.finish().await;
        assert_eq!(slots[&name("probe-0")][&SlotOutcome::Ran], 19);
        assert!(slots[&name("probe-1")][&SlotOutcome::Ran] <= 10);
        let slots: Vec<_> = runs
            .iter()
            .filter(|run| run.schedule.is_some() && run.probe == name("probe-0"))
            .map(|run| run.slot)
            .collect();
        assert!(slots.windows(2).all(|pair| pair[1] - pair[0] == chrono::TimeDelta::seconds(30)), "{slots:?}");
    }

    fn extra(schedule: Option<&str>, probe: &str, why: Extra) -> ExtraRun {
        ExtraRun { schedule: schedule.map(|name| name.parse().unwrap()), probe: name(probe), why, id: None }
    }

    #[tokio::test(start_paused = true)]
    async fn a_run_off_the_slots_is_marked_and_no_slot_knows_of_it() {
        let mut plan = plan_of(vec![schedule_of("tier", "5m", 1)]);
        plan.probes.insert(name("asked-for"), Arc::new(probe("asked-for")));
        let world = start(plan, "2026-11-24T10:02:00Z", vec![]);
        let wishes = [extra(Some("tier"), "probe-0", Extra::Recheck), extra(None, "asked-for", Extra::Diagnosis)];
        for wish in wishes.clone() {
            world.commands.send(Command::Extra(wish)).await.ok().unwrap();
        }
        world.advance(600).await;
        let (slots, runs) = world.finish().await;
        let made = runs.iter().filter_map(|run| Some((run.schedule.clone(), run.probe.clone(), run.extra?)));
        let wished = wishes.map(|wish| (wish.schedule, wish.probe, wish.why));
        assert_eq!(made.collect::<Vec<_>>(), wished);
        assert!(runs.iter().filter(|run| run.extra.is_some()).all(|run| run.slot == at("2026-11-24T10:02:00Z")));
        assert_eq!(slots, [(name("probe-0"), [(SlotOutcome::Ran, 2)].into())].into(), "every slot has one run");
    }

    #[tokio::test(start_paused = true)]
    async fn a_run_off_the_slots_is_refused_where_it_would_be_in_the_way_or_is_nobodys() {
        let slow = |plan: &mut Plan, seconds: u64| {
            let mut slow = probe("probe-0");
            slow.steps = vec![step("only", move || (Duration::from_secs(seconds), Ok(Observation::default())))];
            plan.probes.insert(name("probe-0"), Arc::new(slow));
        };
        // It is 20 s before the next slot, and a run may take 10 s.
        for (second, wish, refusal) in [
            (5, extra(Some("tier"), "probe-0", Extra::Recheck), None),
            (16, extra(Some("tier"), "probe-0", Extra::Recheck), Some(Refusal::Slot)),
            (16, extra(Some("tier"), "probe-0", Extra::Parent), None),
            (5, extra(Some("tier"), "probe-1", Extra::Parent), Some(Refusal::Gone)),
            (5, extra(Some("other"), "probe-0", Extra::Parent), Some(Refusal::Gone)),
            (5, extra(None, "gone", Extra::Diagnosis), Some(Refusal::Gone)),
            (26, extra(None, "probe-0", Extra::Diagnosis), Some(Refusal::Busy)),
        ] {
            let mut plan = plan_of(vec![schedule_of("tier", "30s", 1)]);
            slow(&mut plan, 5);
            let spread = crate::domain::schedule::spread(
                &"tier".parse().unwrap(),
                &name("probe-0"),
                Duration::from_secs(30),
                Duration::from_secs(10),
            );
            let mut world = start(plan, "2026-11-24T10:00:09Z", vec![]);
            world.clock.sleep_until(world.clock.monotonic() + Duration::from_secs(second - 2) + spread).await;
            world.commands.send(Command::Extra(wish.clone())).await.ok().unwrap();
            world.advance(1).await;
            let refused = std::iter::from_fn(|| world.ended.try_recv().ok()).find_map(|ended| ended.refused);
            assert_eq!(refused, refusal.map(|why| (wish.clone(), why)), "{second}: {wish:?}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_slot_that_a_run_off_the_slots_is_in_the_way_of_is_skipped_and_a_full_tier_refuses_one() {
        let mut hung = schedule_of("hung", "30s", PERMITS + 1);
        hung.timeout = Duration::from_secs(24);
        let mut plan = plan_of(vec![hung]);
        for probe in plan.probes.values_mut() {
            let mut slow = crate::engine::testing::probe(probe.name.as_str());
            slow.steps = vec![step("only", || (Duration::from_secs(3_600), Ok(Observation::default())))];
            *probe = Arc::new(slow);
        }
        let mut world = start(plan, "2026-11-24T10:00:02Z", vec![]);
        world.advance(20).await;
        for probe in 0..=PERMITS {
            let wish = extra(Some("hung"), &format!("probe-{probe}"), Extra::Parent);
            world.commands.send(Command::Extra(wish)).await.ok().unwrap();
        }
        world.advance(9).await;
        let refused: Vec<_> = std::iter::from_fn(|| world.ended.try_recv().ok()).filter_map(|e| e.refused).collect();
        assert_eq!(refused.into_iter().map(|(_, why)| why).collect::<Vec<_>>(), [Refusal::Saturated]);
        world.advance(10).await;
        let (slots, runs) = world.finish().await;
        let skipped = slots.values().filter_map(|outcomes| outcomes.get(&SlotOutcome::Skipped)).sum::<u64>();
        assert!(skipped > 0, "{slots:?}");
        assert!(slots.values().all(|outcomes| outcomes.values().sum::<u64>() == 1), "{slots:?}");
        assert!(runs.iter().filter(|run| run.extra.is_some()).count() == PERMITS);
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_paused_is_run_for_nobody_but_who_triggers_it() {
        let mut plan = plan_of(vec![schedule_of("tier", "30s", 2)]);
        plan.probes.insert(name("asked-for"), Arc::new(probe("asked-for")));
        let mut world = start(plan, "2026-11-24T10:00:00Z", vec![]);
        let pause = |what: &str, until: Option<&str>| Pause {
            id: PauseId(Arc::from(what)),
            what: Scope::parse(what).unwrap(),
            by: "ann".to_owned(),
            reason: "a new disk".to_owned(),
            from: at("2026-11-24T10:00:00Z"),
            until: until.map(at),
            ended: None,
        };
        let pauses = [pause("probe-0", Some("2026-11-24T10:05:00Z")), pause("asked-*", None)];
        world.paused.send_replace(Arc::new(Pauses::of(pauses)));
        let wishes = [
            (extra(Some("tier"), "probe-0", Extra::Recheck), Some(Refusal::Paused)),
            (extra(Some("tier"), "probe-0", Extra::Parent), Some(Refusal::Paused)),
            (extra(None, "asked-for", Extra::Diagnosis), Some(Refusal::Paused)),
            (extra(Some("tier"), "probe-1", Extra::Parent), None),
        ];
        for (wish, refusal) in wishes {
            world.commands.send(Command::Extra(wish.clone())).await.ok().unwrap();
            world.advance(1).await;
            let refused = std::iter::from_fn(|| world.ended.try_recv().ok()).find_map(|ended| ended.refused);
            assert_eq!(refused, refusal.map(|why| (wish, why)));
        }
        let id = RunId(Arc::from("01KB2H8Q4V000000000000RUN0"));
        let trigger = ExtraRun { id: Some(id.clone()), ..extra(Some("tier"), "probe-0", Extra::Trigger) };
        world.commands.send(Command::Extra(trigger)).await.ok().unwrap();
        world.advance(596).await;
        let (slots, runs) = world.finish().await;
        let triggered: Vec<_> = runs.iter().filter(|run| run.extra == Some(Extra::Trigger)).collect();
        assert_eq!(triggered.iter().map(|run| &run.id).collect::<Vec<_>>(), [&id]);
        let paused = &slots[&name("probe-0")];
        assert_eq!(paused.values().sum::<u64>(), slots[&name("probe-1")][&SlotOutcome::Ran], "{slots:?}");
        assert!((9..=10).contains(&paused[&SlotOutcome::Paused]), "half of the time: {paused:?}");
        let first = runs.iter().find(|run| run.probe == name("probe-0") && run.extra.is_none()).unwrap();
        assert!(first.due_at >= at("2026-11-24T10:05:00Z"), "{first:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn a_stop_ends_runs_as_inconclusive_after_their_cleanup() {
        let cleaned = Arc::new(std::sync::atomic::AtomicBool::new(false));
        let mut plan = plan_of(vec![schedule_of("tier", "30s", 1)]);
        let mut hung = probe("probe-0");
        hung.steps = vec![step("hangs", || (Duration::from_secs(3_600), Ok(Observation::default())))];
        let mark = Arc::clone(&cleaned);
        hung.cleanup = vec![step("away", move || {
            mark.store(true, std::sync::atomic::Ordering::SeqCst);
            (Duration::from_millis(300), Ok(Observation::default()))
        })];
        hung.timeout = Some(Duration::from_secs(25));
        plan.probes.insert(name("probe-0"), Arc::new(hung));
        let world = start(plan, "2026-11-24T10:00:00Z", vec![]);
        world.advance(36).await;
        let (_, runs) = world.finish().await;
        assert_eq!(runs.len(), 1);
        assert_eq!(runs[0].verdict, Verdict::Inconclusive(Cause::ShutDown));
        assert!(cleaned.load(std::sync::atomic::Ordering::SeqCst));
    }
}
