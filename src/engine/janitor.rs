//! Cleans up after runs that could not: those of a process that is gone, and those whose cleanup failed. It owns the
//! debts; the store has each of them too, so that they outlive this process as well.
//!
//! A debt is tried again with growing pauses for a day. By then whoever is asked to has seen the count of debts, and the
//! secrets of a run have been kept for long enough: it is given up, which is counted, with a line in the logs that names
//! the run by which its remains can be found.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, watch};
use tokio::task::{Id, JoinSet};
use tokio_util::sync::CancellationToken;

use super::fanout::Fanout;
use super::journal::Journal;
use super::plan::Plan;
use super::runner::Runner;
use super::threads::Threads;
use crate::domain::debt::Debt;
use crate::domain::metric::{MetricName, Sample, SampleLabels};
use crate::domain::names::ProbeName;
use crate::domain::outcome::{Failure, FailureKind};
use crate::domain::text::harmless;
use crate::domain::time::{Length, Monotonic, between, later};
use crate::ports::Clock;

/// How many cleanups go on at once: they must not hold up the rounds.
const AT_ONCE: usize = 8;

/// How many of them are of one probe: a target that is dead must not hold up the others.
const AT_ONCE_OF_PROBE: usize = 2;

/// How long a debt rests after its first attempt; doubles …
const REST_MIN: Duration = Duration::from_secs(30);

/// … to here.
const REST_MAX: Duration = Duration::from_secs(3_600);

/// How long a debt is tried again.
const TRIED_FOR: Duration = Duration::from_secs(86_400);

/// How many debts of one probe are kept; beyond it the oldest are given up.
const DEBTS_MAX: usize = 1_000;

/// How long the janitor sleeps when nothing is due.
const LOOK: Duration = Duration::from_secs(60);

/// The janitor.
pub struct Janitor {
    /// The clocks.
    pub clock: Arc<dyn Clock>,
    /// Where debts are kept.
    pub journal: Arc<Journal>,
    /// What is owed: at first what the process before this one left behind.
    pub debts: Vec<Debt>,
    /// What runs could not clean up.
    pub owed: mpsc::Receiver<Debt>,
    /// How each probe cleans up now.
    pub plan: watch::Receiver<Arc<Plan>>,
    /// Where the steps are performed.
    pub threads: Arc<Threads>,
    /// Where the counts go.
    pub fanout: Fanout,
    /// Told to stop: what is owed is in the store.
    pub stop: CancellationToken,
}

/// What is being tried, and who came last to be.
#[derive(Default)]
struct Hands {
    /// What is being tried is owed as well, whatever becomes of the attempt.
    going: BTreeMap<Id, Debt>,
    /// The number of the last attempt for each probe that still owes something.
    turns: BTreeMap<ProbeName, u64>,
    attempts: u64,
}

impl Hands {
    fn are_full(&self) -> bool {
        self.going.len() >= AT_ONCE
    }

    /// How many attempts for this probe go on.
    fn busy_with(&self, probe: &ProbeName) -> usize {
        self.going.values().filter(|debt| debt.probe == *probe).count()
    }

    fn have_room_for(&self, probe: &ProbeName) -> bool {
        !self.are_full() && self.busy_with(probe) < AT_ONCE_OF_PROBE
    }

    /// Whoever has the fewest attempts comes first, then who has waited longest for one.
    fn turn_of(&self, probe: &ProbeName) -> (usize, u64) {
        (self.busy_with(probe), self.turns.get(probe).copied().unwrap_or(0))
    }

    fn take(&mut self, attempt: Id, debt: Debt) {
        self.attempts += 1;
        self.turns.insert(debt.probe.clone(), self.attempts);
        self.going.insert(attempt, debt);
    }
}

impl Janitor {
    /// Goes on until it is told to stop.
    pub async fn run(mut self) {
        let mut trying: JoinSet<Result<(), Failure>> = JoinSet::new();
        let mut hands = Hands::default();
        let mut told = BTreeMap::new();
        if !self.debts.is_empty() {
            tracing::warn!(runs = self.debts.len(), "cleaning up after runs that did not come to it themselves");
        }
        loop {
            self.give_up().await;
            while let Some(debt) = self.next_due(&hands) {
                let thread = self.threads.next();
                let attempt = trying.spawn_on(self.attempt(debt.clone(), &thread.runner), &thread.handle);
                hands.take(attempt.id(), debt);
            }
            self.tell(&hands, &mut told);
            hands.turns.retain(|probe, _| told.contains_key(probe));
            let wake = self.next_wake(&hands);
            tokio::select! {
                biased;
                () = self.stop.cancelled() => break,
                Some(tried) = trying.join_next_with_id(), if !trying.is_empty() => {
                    // The runner catches what a step does, so who panics here has a bug of the engine's own.
                    let bug = || Failure::new(FailureKind::Internal, "a bug of Roundsman ended this cleanup");
                    let (attempt, result) = tried.unwrap_or_else(|error| (error.id(), Err(bug())));
                    if let Some(debt) = hands.going.remove(&attempt) {
                        self.settle(debt, result).await;
                    }
                }
                Some(debt) = self.owed.recv() => self.take(debt).await,
                () = self.clock.sleep_until(wake) => {}
            }
        }
        // What is broken off is in the store, and so is what the last runs owe: the next start begins with it.
        trying.abort_all();
    }

    /// Takes in what a run could not clean up.
    async fn take(&mut self, debt: Debt) {
        let debt = Debt { attempts: 1, due_at: Some(later(self.clock.now(), REST_MIN)), ..debt };
        self.journal.put(&debt).await;
        self.debts.push(debt);
    }

    fn next_due(&mut self, hands: &Hands) -> Option<Debt> {
        if hands.are_full() {
            return None;
        }
        let now = self.clock.now();
        // What would rest for longer than anything does was put down by a clock that has been set back since.
        let is_due = |debt: &Debt| debt.due_at.is_none_or(|at| at <= now || at > later(now, REST_MAX * 2));
        let is_next = |(_, debt): &(usize, &Debt)| is_due(debt) && hands.have_room_for(&debt.probe);
        let due = self.debts.iter().enumerate().filter(is_next);
        let (place, _) = due.min_by_key(|(_, debt)| hands.turn_of(&debt.probe))?;
        Some(self.debts.remove(place))
    }

    /// When something is due for which there is room; where there is none, an attempt that ends makes it.
    fn next_wake(&self, hands: &Hands) -> Monotonic {
        let (now, monotonic) = (self.clock.now(), self.clock.monotonic());
        let next =
            self.debts.iter().filter(|debt| hands.have_room_for(&debt.probe)).filter_map(|debt| debt.due_at).min();
        monotonic + next.map_or(LOOK, |at| between(now, at).min(LOOK))
    }

    fn attempt(&self, debt: Debt, runner: &Runner) -> impl Future<Output = Result<(), Failure>> + Send + 'static {
        let (plan, runner) = (Arc::clone(&self.plan.borrow()), runner.clone());
        async move {
            let probe = plan.probes.get(&debt.probe).filter(|probe| !probe.cleanup.is_empty());
            match probe {
                Some(probe) => runner.clean(&plan, probe, &debt).await,
                None => Err(Failure::new(FailureKind::Internal, "no probe of that name has a cleanup any more")),
            }
        }
    }

    async fn settle(&mut self, debt: Debt, result: Result<(), Failure>) {
        let (probe, run) = (&debt.probe, &debt.run);
        match result {
            Ok(()) => {
                tracing::info!(%probe, %run, "cleaned up after an earlier run");
                self.journal.acquit(run).await;
            }
            Err(failure) => {
                let rest = REST_MIN.saturating_mul(1 << debt.attempts.min(10)).min(REST_MAX);
                let text = harmless(&failure.to_string()).into_owned();
                tracing::warn!(%probe, %run, "an earlier run is not cleaned up, to be tried again in {}: {text}", Length(rest));
                let due_at = Some(later(self.clock.now(), rest));
                let debt = Debt { attempts: debt.attempts.saturating_add(1), due_at, ..debt };
                self.journal.put(&debt).await;
                self.debts.push(debt);
            }
        }
    }

    /// Gives up what is too old, or too much.
    async fn give_up(&mut self) {
        let now = self.clock.now();
        let mut kept: BTreeMap<ProbeName, usize> = BTreeMap::new();
        // The youngest first, so that of too many it is the oldest that go.
        self.debts.sort_by_key(|debt| Reverse(debt.since));
        let (kept, given_up): (Vec<_>, Vec<_>) = std::mem::take(&mut self.debts).into_iter().partition(|debt| {
            let count = kept.entry(debt.probe.clone()).or_default();
            *count += 1;
            // What was never tried is tried once, however old it is.
            *count <= DEBTS_MAX && (debt.attempts == 0 || between(debt.since, now) < TRIED_FOR)
        });
        self.debts = kept;
        for debt in given_up {
            let (probe, run) = (&debt.probe, &debt.run);
            tracing::error!(%probe, %run, "what this run made is given up: look for its id where the probe makes things");
            self.journal.acquit(run).await;
            let labels = SampleLabels { probe: Some(probe.clone()), ..SampleLabels::default() };
            self.fanout.send([Sample { name: MetricName::CleanupsGivenUp, at: now, value: 1.0, labels }]);
        }
    }

    /// Tells what each probe owes, where that has changed.
    fn tell(&self, hands: &Hands, told: &mut BTreeMap<ProbeName, u64>) {
        let mut counts: BTreeMap<ProbeName, u64> = BTreeMap::new();
        for debt in self.debts.iter().chain(hands.going.values()) {
            *counts.entry(debt.probe.clone()).or_default() += 1;
        }
        if counts == *told {
            return;
        }
        let probes: BTreeSet<_> = counts.keys().chain(told.keys()).cloned().collect();
        let samples = probes.into_iter().map(|probe| Sample {
            name: MetricName::CleanupDebt,
            at: self.clock.now(),
            value: counts.get(&probe).copied().unwrap_or(0) as f64,
            labels: SampleLabels { probe: Some(probe), ..SampleLabels::default() },
        });
        self.fanout.send(samples.collect::<Vec<_>>());
        told.clone_from(&counts);
        self.journal.count(counts);
    }
}

#[cfg(test)]
mod tests;
