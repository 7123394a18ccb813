//! Performs one run: its steps, each within its deadline, then its cleanup, whatever happened. A prober observes; here
//! the assertions decide.

use std::any::Any;
use std::panic::AssertUnwindSafe;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt as _;
use tokio_util::sync::CancellationToken;

use super::calendar::timeout;
use super::facts::Facts;
use super::journal::{Entry, Journal};
use super::plan::{Plan, PlannedProbe, PlannedStep};
use super::progress::{Outcome, Part, Progress};
use super::records::{Records, Telling};
use super::stalls::{STOPPED_MIN, Stalls};
use super::witness::Witness;
use crate::domain::debt::Debt;
use crate::domain::names::StepName;
use crate::domain::outcome::{Cause, Extra, Failure, FailureKind, Observation, Run, RunId, Verdict};
use crate::domain::schedule::Schedule;
use crate::domain::time::{Monotonic, Timestamp};
use crate::ports::{Clock, Recorder, Session, StepContext};

/// How long after its deadline a step is ended from outside: a prober that keeps its deadline names the phase, so it is
/// given the chance.
pub const OVERTIME: Duration = Duration::from_millis(250);

/// One run to be made.
#[derive(Clone)]
pub struct Order {
    /// The plan, for its location and secrets.
    pub plan: Arc<Plan>,
    /// The probe.
    pub probe: Arc<PlannedProbe>,
    /// The schedule whose slot it is; absent when somebody asked.
    pub schedule: Option<Arc<Schedule>>,
    /// Why it is made off the slots; absent for the one of a slot.
    pub extra: Option<Extra>,
    /// The nominal instant.
    pub slot: Timestamp,
    /// When it should start, by the wall clock.
    pub due_at: Timestamp,
    /// The same by the clock that does not step.
    pub due: Monotonic,
}

/// Makes runs.
#[derive(Clone)]
pub struct Runner {
    clock: Arc<dyn Clock>,
    /// Cancelled when the process is told to stop: steps end at once, the cleanup goes on.
    stop: CancellationToken,
    /// Of the thread on which the runs are made.
    stalls: Arc<Stalls>,
    /// Absent where nothing is stored.
    journal: Option<Arc<Journal>>,
    /// Whether every run has a bundle, and that whole; otherwise one that failed, cut to a size that can be kept.
    tells_all: bool,
}

impl Runner {
    /// A runner on these clocks that heeds that token. It journals nothing.
    pub fn new(clock: Arc<dyn Clock>, stop: CancellationToken) -> Self {
        Self { stalls: Arc::new(Stalls::new(Arc::clone(&clock))), clock, stop, journal: None, tells_all: false }
    }

    /// The same runner, which puts down in a journal what its runs may leave behind.
    #[must_use]
    pub fn journaling(self, journal: Arc<Journal>) -> Self {
        Self { journal: Some(journal), ..self }
    }

    /// The same, for somebody who wants to see everything that every run did.
    #[must_use]
    pub fn telling_all(self) -> Self {
        Self { tells_all: true, ..self }
    }

    /// The same for another thread, by whose stalls its runs are judged.
    #[must_use]
    pub fn elsewhere(&self) -> Self {
        Self { stalls: Arc::new(Stalls::new(Arc::clone(&self.clock))), ..self.clone() }
    }

    /// Watches for stalls of the thread on which it is spawned, for ever: to be spawned where the runs are made.
    pub async fn watch(self) {
        self.stalls.beat().await;
    }

    /// Makes one run. Never fails: what goes wrong is its verdict, and a bug of ours too.
    pub async fn run(&self, order: Order) -> Run {
        self.run_as(order, None).await
    }

    /// The same with an id that somebody knows already.
    pub async fn run_as(&self, order: Order, id: Option<RunId>) -> Run {
        let spare = order.clone();
        match AssertUnwindSafe(self.make(order, id)).catch_unwind().await {
            Ok(run) => run,
            Err(panic) => self.blind(&spare, bug(&spare.probe, None, &*panic)),
        }
    }

    /// The run that could not be made: we were blind, which says nothing of the target.
    pub fn blind(&self, order: &Order, why: Failure) -> Run {
        let (now, started_at) = (self.clock.monotonic(), self.clock.now());
        Run {
            id: RunId(Arc::from(new_id(started_at).as_str())),
            location: Arc::clone(&order.plan.location),
            probe: order.probe.name.clone(),
            schedule: order.schedule.as_ref().map(|schedule| schedule.name.clone()),
            extra: order.extra,
            slot: order.slot,
            due_at: order.due_at,
            started_at,
            duration: Duration::ZERO,
            lateness: now.since(order.due),
            verdict: Verdict::Inconclusive(Cause::Ours(why)),
            steps: Vec::new(),
            bundle: None,
        }
    }

    async fn make(&self, order: Order, id: Option<RunId>) -> Run {
        let started_at = self.clock.now();
        let id = id.unwrap_or_else(|| RunId(Arc::from(new_id(started_at).as_str())));
        let probe = &order.probe;
        let mut entry = match &self.journal {
            Some(journal) if !probe.cleanup.is_empty() => Some(journal.begin(&probe.name, &id).await),
            _ => None,
        };
        let begun = self.clock.monotonic();
        let budget = match &order.schedule {
            Some(schedule) => timeout(schedule, probe),
            None => probe.timeout.unwrap_or(order.plan.timeout),
        };
        let session = Session::default();
        let making = Making { plan: &order.plan, probe, id: &id, session: &session };
        let telling = match order.extra {
            _ if self.tells_all => Telling::Whole,
            Some(Extra::Diagnosis | Extra::Trigger) => Telling::All,
            _ => Telling::Failed,
        };
        let mut progress = Progress::begin(probe, &*order.plan.secrets, begun, Records::new(telling));

        for step in &probe.steps {
            if progress.goes_on() {
                let deadline = progress.begun + budget;
                offering(&mut entry, pin!(self.perform(&making, &mut progress, step, deadline, Part::Step))).await;
                if let Some(entry) = &mut entry {
                    let before = self.clock.monotonic();
                    entry.keep(&progress.captures, &probe.owing).await;
                    progress.begun = progress.begun + self.clock.monotonic().since(before);
                }
            } else {
                progress.skip(step, Part::Step, self.clock.monotonic());
            }
        }
        let duration = self.clock.monotonic().since(progress.begun);
        let debt = self.journal.as_ref().map_or(0, |journal| journal.owes(&probe.name));
        if let Err(why) = guarded(probe, None, || progress.weigh_whole(duration, debt, self.clock.now())) {
            progress.blame(why);
        }
        let cleanup_deadline = self.clock.monotonic() + probe.cleanup_timeout;
        for step in &probe.cleanup {
            offering(&mut entry, pin!(self.perform(&making, &mut progress, step, cleanup_deadline, Part::Cleanup)))
                .await;
        }
        match entry {
            Some(entry) if progress.uncleaned().is_none() => entry.clean().await,
            // Dropped before it is clean, it is owed.
            unclean => drop(unclean),
        }

        // What could not be told may hold what nobody may read, so nothing of it is.
        let (verdict, steps, bundle) = guarded(probe, None, || progress.end())
            .unwrap_or_else(|why| (Verdict::Inconclusive(Cause::Ours(why)), Vec::new(), None));
        Run {
            id: id.clone(),
            location: Arc::clone(&order.plan.location),
            probe: probe.name.clone(),
            schedule: order.schedule.as_ref().map(|schedule| schedule.name.clone()),
            extra: order.extra,
            slot: order.slot,
            due_at: order.due_at,
            started_at,
            duration,
            lateness: begun.since(order.due),
            verdict,
            steps,
            bundle,
        }
    }

    /// Performs the cleanup that an earlier run of a probe owes, as that run: with its id and its captures.
    pub async fn clean(&self, plan: &Plan, probe: &PlannedProbe, debt: &Debt) -> Result<(), Failure> {
        let begun = self.clock.monotonic();
        let session = Session::resumed();
        let making = Making { plan, probe, id: &debt.run, session: &session };
        let mut progress = Progress::begin(probe, &*plan.secrets, begun, Records::new(Telling::Failed));
        progress.captures.clone_from(&debt.captures);
        for step in &probe.cleanup {
            self.perform(&making, &mut progress, step, begun + probe.cleanup_timeout, Part::Cleanup).await;
        }
        progress.uncleaned().cloned().map_or(Ok(()), Err)
    }

    /// Performs a step. A panic of its prober, of what judges it, or of what puts it down, ends this step and nothing else:
    /// the cleanup goes on.
    async fn perform(
        &self,
        making: &Making<'_>,
        progress: &mut Progress<'_>,
        step: &PlannedStep,
        deadline: Monotonic,
        part: Part,
    ) {
        let (begun, lost) = (self.clock.monotonic(), self.stalls.lost());
        // Outside of what may panic: what was exchanged until then is what shows why.
        let recorder = Recorder::default();
        let performed = self.step(making, progress, step, deadline, part, &recorder);
        let performed = AssertUnwindSafe(performed).catch_unwind().await;
        let (observation, outcome) = match performed {
            Ok(None) => return progress.skip(step, part, begun),
            Ok(Some(seen)) => seen,
            Err(panic) => {
                let failure = bug(making.probe, Some(&step.name), &*panic);
                (None, Outcome::failed(failure))
            }
        };
        let (time, lost) = (begun..self.clock.monotonic(), self.stalls.lost().since(lost));
        let concluded = guarded(making.probe, Some(&step.name), || {
            progress.record(step, recorder);
            progress.conclude(step, part, time.clone(), lost.all(), observation.as_ref(), outcome);
        });
        if let Err(why) = concluded {
            progress.give_up(step, part, time, why);
        }
        if lost.all() >= STOPPED_MIN {
            // The steps after this one have their time all the same.
            progress.begun = progress.begun + lost.stalled;
        }
    }

    /// What the step saw and what came of it; nothing when it is to be skipped.
    async fn step(
        &self,
        making: &Making<'_>,
        progress: &mut Progress<'_>,
        step: &PlannedStep,
        deadline: Monotonic,
        part: Part,
        recorder: &Recorder,
    ) -> Option<(Option<Observation>, Outcome)> {
        let begun = self.clock.monotonic();
        let each = &making.probe.each;
        if let Some(when) = &step.when {
            match when.test(&Facts::before(&progress.captures, each).at(self.clock.now())) {
                Ok(true) => {}
                Ok(false) => return None,
                Err(explanation) => return Some((None, Outcome::failed(Failure::of_assertion(explanation)))),
            }
        }
        let deadline = step.timeout.map_or(deadline, |limit| deadline.min(begun + limit));
        let secrets = Witness::of(&*making.plan.secrets);
        let attempt = Attempt { step, deadline, part, recorder, secrets: &secrets };
        let (observation, outcome) = self.attempt(making, progress, &attempt).await;
        // That a secret was another one meanwhile is our own doing, and says nothing of the target. Where it is what it was, it
        // was the target that refused it, and there is no second attempt.
        if outcome.is_of_identity(observation.as_ref()) && self.is_outdated(&attempt).await {
            tracing::info!(probe = %making.probe.name, step = %step.name, "a secret was changed meanwhile: the step is tried once more");
            return Some(self.attempt(making, progress, &attempt).await);
        }
        Some((observation, outcome))
    }

    /// Whether a secret that the attempt used is another one now, as far as that can be known within the step's time.
    async fn is_outdated(&self, attempt: &Attempt<'_>) -> bool {
        tokio::select! {
            biased;
            () = self.stop.cancelled() => false,
            () = self.clock.sleep_until(attempt.deadline) => false,
            is_outdated = attempt.secrets.is_outdated() => is_outdated,
        }
    }

    async fn attempt(
        &self,
        making: &Making<'_>,
        progress: &mut Progress<'_>,
        attempt: &Attempt<'_>,
    ) -> (Option<Observation>, Outcome) {
        match self.probe(making, progress, attempt).await {
            Err(outcome) => (None, outcome),
            Ok(observation) => {
                let outcome = progress.weigh(attempt.step, &observation, self.clock.now());
                (Some(observation), outcome)
            }
        }
    }

    async fn probe(
        &self,
        making: &Making<'_>,
        progress: &Progress<'_>,
        attempt: &Attempt<'_>,
    ) -> Result<Observation, Outcome> {
        let Attempt { step, deadline, part, recorder, secrets } = *attempt;
        let cx = StepContext {
            clock: &*self.clock,
            deadline,
            run: making.id,
            captures: &progress.captures,
            secrets,
            session: making.session,
            recorder,
        };
        let told_to_stop = async {
            match part {
                Part::Step => self.stop.cancelled().await,
                // What was begun in the target is put away before we go.
                Part::Cleanup => std::future::pending().await,
            }
        };
        tokio::select! {
            biased;
            result = step.action.probe(&cx) => result.map_err(Outcome::failed),
            () = self.clock.sleep_until(deadline + OVERTIME) => {
                Err(Outcome::failed(Failure::new(FailureKind::TimeoutTotal, "the time ended")))
            }
            () = told_to_stop => Err(Outcome::shut_down()),
        }
    }
}

/// What the steps of a run have in common.
struct Making<'a> {
    plan: &'a Plan,
    probe: &'a PlannedProbe,
    id: &'a RunId,
    session: &'a Session,
}

/// One performance of a step.
struct Attempt<'a> {
    step: &'a PlannedStep,
    deadline: Monotonic,
    part: Part,
    recorder: &'a Recorder,
    secrets: &'a Witness<'a>,
}

/// Does the work of a step, and meanwhile what is to be done for the journal, where there is one. It is pinned first, since
/// what is handed over by value has its room twice.
async fn offering(entry: &mut Option<Entry<'_>>, work: impl Future<Output = ()>) {
    match entry {
        Some(entry) => entry.offering(work).await,
        None => work.await,
    }
}

/// Does what panics only where we have a bug, which is then what came of it.
fn guarded<T>(probe: &PlannedProbe, step: Option<&StepName>, work: impl FnOnce() -> T) -> Result<T, Failure> {
    std::panic::catch_unwind(AssertUnwindSafe(work)).map_err(|panic| bug(probe, step, &*panic))
}

/// A bug that ended a step, or the run where it was none. What the panic said is for the logs alone.
fn bug(probe: &PlannedProbe, step: Option<&StepName>, panic: &(dyn Any + Send)) -> Failure {
    let (what, step) = (if step.is_some() { "step" } else { "run" }, step.map(tracing::field::display));
    tracing::error!(probe = %probe.name, step, "a {what} panicked: {}", said(panic));
    Failure::new(FailureKind::Internal, format!("a bug of Roundsman ended this {what}"))
}

/// What a panic said.
pub fn said(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<&str>().copied();
    text.or_else(|| panic.downcast_ref::<String>().map(String::as_str)).unwrap_or("nothing")
}

/// A new id: 48 bits of the wall clock and 80 of chance, 26 characters that sort by time.
pub fn new_id(now: Timestamp) -> String {
    let milliseconds = u64::try_from(now.timestamp_millis()).unwrap_or(0);
    ulid::Ulid::from_parts(milliseconds, rand::random()).to_string()
}

#[cfg(test)]
mod tests;
