//! Performs one run: its steps, each within its deadline, then its cleanup, whatever happened. A prober observes; here
//! the assertions decide.

use std::any::Any;
use std::collections::BTreeMap;
use std::ops::Range;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt as _;
use tokio_util::sync::CancellationToken;

use super::calendar::timeout;
use super::facts::{Facts, capture};
use super::plan::{Plan, PlannedProbe};
use crate::domain::expression::{Explanation, Expression};
use crate::domain::names::CaptureName;
use crate::domain::outcome::{Cause, Failure, FailureKind, Observation, Phases, Run, RunId, StepOutcome, Verdict};
use crate::domain::probe::Step;
use crate::domain::schedule::Schedule;
use crate::domain::time::{Monotonic, Timestamp, milliseconds};
use crate::ports::{Clock, Prober, Recorder, Secrets, Session, StepContext};

/// How long after its deadline a step is ended from outside: a prober that keeps its deadline names the phase, so it is
/// given the chance.
const OVERTIME: Duration = Duration::from_millis(250);

/// One run to be made.
#[derive(Clone)]
pub struct Order {
    /// The plan, for its location and secrets.
    pub plan: Arc<Plan>,
    /// The probe.
    pub probe: Arc<PlannedProbe>,
    /// The schedule whose slot it is; absent when somebody asked.
    pub schedule: Option<Arc<Schedule>>,
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
}

struct Progress<'a> {
    order: &'a Order,
    id: &'a RunId,
    session: Session,
    captures: BTreeMap<CaptureName, String>,
    begun: Monotonic,
    outcomes: Vec<StepOutcome>,
    failures: Vec<Failure>,
    warnings: Vec<Failure>,
    ours: Option<Cause>,
}

impl Runner {
    /// A runner on these clocks that heeds that token.
    pub fn new(clock: Arc<dyn Clock>, stop: CancellationToken) -> Self {
        Self { clock, stop }
    }

    /// Makes one run. Never fails: what goes wrong is its verdict, and a bug of ours too.
    pub async fn run(&self, order: Order) -> Run {
        let spare = order.clone();
        match AssertUnwindSafe(self.make(order)).catch_unwind().await {
            Ok(run) => run,
            Err(panic) => {
                tracing::error!(probe = %spare.probe.name, "a run panicked: {}", said(&*panic));
                self.blind(&spare, Failure::new(FailureKind::Internal, "a bug of Roundsman ended this run"))
            }
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
            slot: order.slot,
            due_at: order.due_at,
            started_at,
            duration: Duration::ZERO,
            lateness: now.since(order.due),
            verdict: Verdict::Inconclusive(Cause::Ours(why)),
            steps: Vec::new(),
        }
    }

    async fn make(&self, order: Order) -> Run {
        let begun = self.clock.monotonic();
        let started_at = self.clock.now();
        let id = RunId(Arc::from(new_id(started_at).as_str()));
        let probe = &order.probe;
        let budget = match &order.schedule {
            Some(schedule) => timeout(schedule, probe),
            None => probe.timeout.unwrap_or(order.plan.timeout),
        };
        let mut progress = Progress {
            order: &order,
            id: &id,
            session: Session::default(),
            captures: BTreeMap::new(),
            begun,
            outcomes: Vec::new(),
            failures: Vec::new(),
            warnings: Vec::new(),
            ours: None,
        };

        for step in &probe.steps {
            if progress.failures.is_empty() && progress.ours.is_none() {
                self.step(&mut progress, step, begun + budget, Part::Step).await;
            } else {
                progress.skip(step, Part::Step, self.clock.monotonic());
            }
        }
        let duration = self.clock.monotonic().since(begun);
        let cleanup_deadline = self.clock.monotonic() + probe.cleanup_timeout;
        for step in &probe.cleanup {
            self.step(&mut progress, step, cleanup_deadline, Part::Cleanup).await;
        }

        let verdict = match progress {
            Progress { failures, .. } if !failures.is_empty() => Verdict::Failed(failures),
            Progress { ours: Some(cause), .. } => Verdict::Inconclusive(cause),
            Progress { warnings, .. } if !warnings.is_empty() => Verdict::Degraded(warnings),
            Progress { .. } => Verdict::Passed,
        };
        Run {
            id: id.clone(),
            location: Arc::clone(&order.plan.location),
            probe: probe.name.clone(),
            schedule: order.schedule.as_ref().map(|schedule| schedule.name.clone()),
            slot: order.slot,
            due_at: order.due_at,
            started_at,
            duration,
            lateness: begun.since(order.due),
            verdict,
            steps: progress.outcomes,
        }
    }

    async fn step(&self, progress: &mut Progress<'_>, step: &Step<Arc<dyn Prober>>, deadline: Monotonic, part: Part) {
        let begun = self.clock.monotonic();
        let each = &progress.order.probe.each;
        if let Some(when) = &step.when {
            match when.test(&Facts::before(&progress.captures, each).at(self.clock.now())) {
                Ok(true) => {}
                Ok(false) => return progress.skip(step, part, begun),
                Err(explanation) => {
                    let failure = Failure::of_assertion(explanation);
                    return progress.conclude(step, part, begun..begun, None, Outcome::failed(failure));
                }
            }
        }
        let deadline = step.timeout.map_or(deadline, |limit| deadline.min(begun + limit));
        let result = self.probe(progress, step, deadline, part).await;
        let (observation, outcome) = match result {
            Err(cause_or_failure) => (None, cause_or_failure),
            Ok(observation) => {
                let now = self.clock.now();
                let outcome = weigh(step, &observation, &mut progress.captures, &progress.order.probe.each, now);
                (Some(observation), outcome)
            }
        };
        progress.conclude(step, part, begun..self.clock.monotonic(), observation.as_ref(), outcome);
    }

    async fn probe(
        &self,
        progress: &Progress<'_>,
        step: &Step<Arc<dyn Prober>>,
        deadline: Monotonic,
        part: Part,
    ) -> Result<Observation, Outcome> {
        let recorder = Recorder::default();
        let cx = StepContext {
            clock: &*self.clock,
            deadline,
            run: progress.id,
            captures: &progress.captures,
            secrets: &*progress.order.plan.secrets,
            session: &progress.session,
            recorder: &recorder,
        };
        let probing = AssertUnwindSafe(step.action.probe(&cx)).catch_unwind();
        let told_to_stop = async {
            match part {
                Part::Step => self.stop.cancelled().await,
                // What was begun in the target is put away before we go.
                Part::Cleanup => std::future::pending().await,
            }
        };
        let result = tokio::select! {
            biased;
            result = probing => result,
            () = self.clock.sleep_until(deadline + OVERTIME) => {
                return Err(Outcome::failed(Failure::new(FailureKind::TimeoutTotal, "the time ended")));
            }
            () = told_to_stop => return Err(Outcome { ours: Some(Cause::ShutDown), ..Outcome::default() }),
        };
        match result {
            Ok(Ok(observation)) => Ok(observation),
            Ok(Err(failure)) => Err(Outcome::failed(failure)),
            Err(panic) => {
                let text = said(&*panic);
                tracing::error!(probe = %progress.order.probe.name, kind = step.kind, "a prober panicked: {text}");
                Err(Outcome::failed(Failure::new(FailureKind::Internal, "a bug of Roundsman ended this step")))
            }
        }
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Part {
    Step,
    Cleanup,
}

/// What came of a step.
#[derive(Default)]
struct Outcome {
    failures: Vec<Failure>,
    warnings: Vec<Failure>,
    ours: Option<Cause>,
}

impl Outcome {
    fn failed(failure: Failure) -> Self {
        if failure.kind.is_ours() {
            Self { ours: Some(Cause::Ours(failure)), ..Self::default() }
        } else {
            Self { failures: vec![failure], ..Self::default() }
        }
    }
}

/// The assertions decide, then the captures are taken: also of a step that failed, because the cleanup may need them.
fn weigh(
    step: &Step<Arc<dyn Prober>>,
    observation: &Observation,
    captures: &mut BTreeMap<CaptureName, String>,
    each: &serde_json::Value,
    now: Timestamp,
) -> Outcome {
    let mut outcome = Outcome::default();
    {
        let facts = Facts::of(observation, captures, each).at(now);
        let untrue = |expressions: &[Expression]| -> Vec<Failure> {
            let explanations = expressions.iter().filter_map(|expression| expression.assert(&facts).err());
            explanations.map(|explanation: Explanation| Failure::of_assertion(explanation)).collect()
        };
        outcome.failures = untrue(&step.expect);
        outcome.warnings = untrue(&step.warn);
    }
    let well = outcome.failures.is_empty();
    for wanted in &step.capture {
        match capture(observation, &wanted.path) {
            Ok(text) => {
                captures.insert(wanted.name.clone(), text);
            }
            Err(why) if well => {
                let message = format!("`{}` cannot be taken as `{}`: {why}", wanted.path.text, wanted.name);
                outcome.failures.push(Failure::new(FailureKind::Capture, message));
            }
            Err(_) => {}
        }
    }
    outcome
}

impl Progress<'_> {
    fn skip(&mut self, step: &Step<Arc<dyn Prober>>, part: Part, now: Monotonic) {
        let offset_ms = milliseconds(now.since(self.begun));
        self.outcomes.push(StepOutcome {
            name: step.name.clone(),
            kind: step.kind.to_owned(),
            cleanup: part == Part::Cleanup,
            verdict: None,
            offset_ms,
            phases: Phases::default(),
            certificate_expires: None,
            status: None,
        });
    }

    fn conclude(
        &mut self,
        step: &Step<Arc<dyn Prober>>,
        part: Part,
        time: Range<Monotonic>,
        observation: Option<&Observation>,
        mut outcome: Outcome,
    ) {
        let secrets = &*self.order.plan.secrets;
        let several = self.order.probe.journey;
        let ours = match &mut outcome.ours {
            Some(Cause::Ours(failure)) => Some(failure),
            _ => None,
        };
        let until_failure = outcome.failures.iter_mut().chain(ours).find_map(|failure| failure.phases.take());
        for failure in outcome.failures.iter_mut().chain(&mut outcome.warnings) {
            redact(failure, secrets);
            failure.step = several.then(|| step.name.clone());
        }
        if let Some(Cause::Ours(failure)) = &mut outcome.ours {
            redact(failure, secrets);
            failure.step = several.then(|| step.name.clone());
        }
        let verdict = match (&outcome.failures[..], &outcome.ours, &outcome.warnings[..]) {
            ([_, ..], _, _) => Verdict::Failed(outcome.failures.clone()),
            ([], Some(cause), _) => Verdict::Inconclusive(cause.clone()),
            ([], None, [_, ..]) => Verdict::Degraded(outcome.warnings.clone()),
            ([], None, []) => Verdict::Passed,
        };
        self.outcomes.push(StepOutcome {
            name: step.name.clone(),
            kind: step.kind.to_owned(),
            cleanup: part == Part::Cleanup,
            verdict: Some(verdict),
            offset_ms: milliseconds(time.start.since(self.begun)),
            phases: match (observation, until_failure) {
                (Some(seen), _) => seen.phases,
                (None, Some(phases)) => *phases,
                (None, None) => unseen(time.end.since(time.start)),
            },
            certificate_expires: observation.and_then(|seen| seen.certificate_expires),
            status: observation.and_then(|seen| seen.facts.get("status")).and_then(serde_json::Value::as_i64),
        });
        match part {
            Part::Step => {
                self.failures.append(&mut outcome.failures);
                self.warnings.append(&mut outcome.warnings);
                self.ours = self.ours.take().or(outcome.ours);
            }
            // What could not be put away is no failure of what was probed, and not nothing either.
            Part::Cleanup => {
                self.warnings.append(&mut outcome.failures);
                self.warnings.append(&mut outcome.warnings);
                if let Some(Cause::Ours(failure)) = outcome.ours {
                    self.warnings.push(failure);
                }
            }
        }
    }
}

/// What a panic said.
pub fn said(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<&str>().copied();
    text.or_else(|| panic.downcast_ref::<String>().map(String::as_str)).unwrap_or("nothing")
}

/// The time of a step that saw nothing: how long it took is known, what took it is what its failure says.
fn unseen(took: Duration) -> Phases {
    Phases { total_ms: milliseconds(took), ..Phases::default() }
}

fn redact(failure: &mut Failure, secrets: &dyn Secrets) {
    let clean = |text: &mut String| *text = secrets.redact(text);
    clean(&mut failure.message);
    failure.expected.as_mut().map(clean);
    failure.actual.as_mut().map(clean);
    if let Some(explanation) = &mut failure.explanation {
        explanation.parts.iter_mut().for_each(|part| clean(&mut part.value));
        explanation.reason.as_mut().map(clean);
    }
}

/// A new id: 48 bits of the wall clock and 80 of chance, 26 characters that sort by time.
pub fn new_id(now: Timestamp) -> String {
    let milliseconds = u64::try_from(now.timestamp_millis()).unwrap_or(0);
    ulid::Ulid::from_parts(milliseconds, rand::random()).to_string()
}
