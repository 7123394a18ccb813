//! What has become of a run so far: what its steps captured, what each of them concluded, and what the run says when it
//! is over.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use super::cases::{failures_of, tell_aside};
use super::facts::{Facts, Whole, capture};
use super::plan::{PlannedProbe, PlannedStep};
use super::records::{Discretion, Records};
use super::stalls::{LATE_MIN, STOPPED_MIN};
use crate::domain::exchange::{Assertion, Bundle};
use crate::domain::expression::{Expression, Scope};
use crate::domain::names::{CaptureName, StepName};
use crate::domain::outcome::{
    Cause, Failure, FailureKind, Observation, Phases, StepOutcome, VERSION_LENGTH_MAX, Verdict,
};
use crate::domain::probe::Probe;
use crate::domain::time::{Monotonic, Timestamp, milliseconds, words};
use crate::ports::{Recorder, Secrets};

/// A run that is going on.
pub struct Progress<'a> {
    probe: &'a PlannedProbe,
    secrets: &'a dyn Secrets,
    /// What the steps captured, as text.
    pub captures: BTreeMap<CaptureName, String>,
    /// When it began. While the store is waited for, the run's clock stands still: this moves on instead, and with it the
    /// deadline and all that is counted from here.
    pub begun: Monotonic,
    /// Why the cleanup did not do its work.
    uncleaned: Option<Failure>,
    /// What this run leaves for whoever looks for a cause.
    records: Records,
    /// The assertions of the step that is going on, with their values, where they will be read.
    asserted: Vec<Assertion>,
    /// What the steps saw, where the probe has expectations of them together.
    seen: Vec<(StepName, Observation)>,
    outcomes: Vec<StepOutcome>,
    failures: Vec<Failure>,
    warnings: Vec<Failure>,
    ours: Option<Cause>,
    /// How long we ourselves stood still during steps that kept what they saw: their times are too long.
    stood_still: Duration,
}

/// Where a step stands in its probe.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// Among the steps, which decide.
    Step,
    /// In the cleanup, which always runs.
    Cleanup,
}

/// What came of a step.
#[derive(Default)]
pub struct Outcome {
    failures: Vec<Failure>,
    warnings: Vec<Failure>,
    ours: Option<Cause>,
}

impl Outcome {
    /// The step failed, or it was we who could not look.
    pub fn failed(failure: Failure) -> Self {
        if failure.kind.is_ours() {
            Self { ours: Some(Cause::Ours(failure)), ..Self::default() }
        } else {
            Self { failures: vec![failure], ..Self::default() }
        }
    }

    /// Whoever stood still for so long has let time-outs and connections run out by itself, so that what failed is not the
    /// target's doing for all we know, and neither is what was slow. What held all the same did hold.
    fn distrust(&mut self, late: Duration, during: &str) {
        self.warnings.clear();
        let Some(first) = self.failures.first() else { return };
        let text = format!("Roundsman stood still for {} during this {during}; what it saw then: {first}", words(late));
        let failure = Failure { phases: first.phases.clone(), ..Failure::new(FailureKind::LocalStopped, text) };
        *self = Self { ours: Some(Cause::Ours(failure)), ..Self::default() };
    }

    /// Whether somebody refused who we say we are: by the sort of what failed, or by the status of an answer that nobody
    /// expected.
    pub fn is_of_identity(&self, observation: Option<&Observation>) -> bool {
        let ours = if let Some(Cause::Ours(failure)) = &self.ours { Some(failure) } else { None };
        let kinds = [FailureKind::AuthRefused, FailureKind::AuthToken, FailureKind::AwsLogin];
        let status = observation.and_then(|seen| seen.facts.get("status")).and_then(serde_json::Value::as_u64);
        self.failures.iter().chain(ours).any(|failure| kinds.contains(&failure.kind))
            || (!self.failures.is_empty() && matches!(status, Some(401 | 403)))
    }

    /// Everything that it tells, what failed first.
    fn told(&mut self) -> impl Iterator<Item = &mut Failure> {
        let ours = if let Some(Cause::Ours(failure)) = &mut self.ours { Some(failure) } else { None };
        self.failures.iter_mut().chain(ours).chain(&mut self.warnings)
    }

    /// The process was told to stop before there was anything to say.
    pub fn shut_down() -> Self {
        Self { ours: Some(Cause::ShutDown), ..Self::default() }
    }
}

/// What does not hold, without the values of an expression that reads what nobody may.
fn untrue(expressions: &[Expression], facts: &dyn Scope, hides: impl Fn(&Expression) -> bool) -> Vec<Failure> {
    let explanations = expressions.iter().filter_map(|expression| {
        let explanation = expression.assert(facts).err()?;
        Some(if hides(expression) { explanation.without_values() } else { explanation })
    });
    explanations.map(Failure::of_assertion).collect()
}

impl<'a> Progress<'a> {
    /// Nothing has been done yet.
    pub fn begin(probe: &'a PlannedProbe, secrets: &'a dyn Secrets, begun: Monotonic, records: Records) -> Self {
        Self {
            probe,
            secrets,
            captures: BTreeMap::new(),
            begun,
            uncleaned: None,
            records,
            asserted: Vec::new(),
            seen: Vec::new(),
            outcomes: Vec::with_capacity(probe.steps.len() + probe.cleanup.len()),
            failures: Vec::new(),
            warnings: Vec::new(),
            ours: None,
            stood_still: Duration::ZERO,
        }
    }

    /// Whether the next step is to be performed: nothing has failed, and nothing of ours stands in the way.
    pub fn goes_on(&self) -> bool {
        self.failures.is_empty() && self.ours.is_none()
    }

    /// The assertions decide, then the captures are taken: also of a step that failed, because the cleanup may need them.
    pub fn weigh(&mut self, step: &PlannedStep, observation: &Observation, now: Timestamp) -> Outcome {
        let refused = observation.refused.as_ref();
        if let Some(refused) =
            refused.filter(|refused| !step.expect.iter().any(|expect| expect.mentions(refused.unless_mentioned)))
        {
            return Outcome::failed(refused.failure.clone());
        }
        let mut outcome = Outcome::default();
        {
            let facts = Facts::of(observation, &self.captures, &self.probe.each).at(now);
            let hides = |expression: &Expression| observation.hides(expression);
            outcome.failures = untrue(&step.expect, &facts, hides);
            outcome.warnings = untrue(&step.warn, &facts, hides);
            self.asserted = self.records.examine(step, &facts, observation, !outcome.failures.is_empty());
        }
        // Whoever expects a certain refusal has not said what our own being kept out would mean.
        if let Some(ours) = refused.map(|refused| &refused.failure).filter(|failure| failure.kind.is_ours())
            && !outcome.failures.is_empty()
        {
            return Outcome::failed(ours.clone());
        }
        if let Some(first) = outcome.failures.first_mut() {
            tell_aside(first, &observation.aside);
        }
        // A test case says what broke; that the runner then ended with 1 only follows from it.
        outcome.failures.splice(0..0, failures_of(&observation.cases));
        let well = outcome.failures.is_empty();
        for wanted in &step.capture {
            match capture(observation, &wanted.path) {
                Ok(text) => {
                    self.captures.insert(wanted.name.clone(), text);
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

    /// Puts down what a step exchanged, asserted and captured.
    pub fn record(&mut self, step: &PlannedStep, recorder: Recorder) {
        self.records.add(step, recorder, std::mem::take(&mut self.asserted), &self.captures);
    }

    /// Weighs what the steps say together, once all of them are well.
    pub fn weigh_whole(&mut self, took: Duration, cleanup_debt: u64, now: Timestamp) {
        let Probe { expect, warn, each, .. } = self.probe;
        if (expect.is_empty() && warn.is_empty()) || !self.goes_on() {
            return;
        }
        let whole = Whole {
            steps: &self.seen,
            total_ms: milliseconds(took),
            cleanup_debt,
            now,
            captures: &self.captures,
            each,
            bodies: Whole::reads_bodies(expect.iter().chain(warn)),
        };
        let is_secret = self.seen.iter().any(|(_, seen)| seen.is_secret);
        let hides = |expression: &Expression| is_secret && Whole::reads_bodies([expression]);
        let (failures, warnings) = (untrue(expect, &whole, hides), untrue(warn, &whole, hides));
        let mut outcome = Outcome { failures, warnings, ours: None };
        if self.stood_still >= STOPPED_MIN {
            outcome.distrust(self.stood_still, "run");
        }
        let ours = if let Some(Cause::Ours(failure)) = &mut outcome.ours { Some(failure) } else { None };
        let told = outcome.failures.iter_mut().chain(&mut outcome.warnings).chain(ours);
        discreet(told, &self.captures, self.secrets);
        gather(&mut self.failures, outcome.failures);
        gather(&mut self.warnings, outcome.warnings);
        self.ours = outcome.ours;
    }

    /// Why the cleanup did not do its work, if it did not.
    pub fn uncleaned(&self) -> Option<&Failure> {
        self.uncleaned.as_ref()
    }

    /// What the run says, what became of its steps, and what it leaves.
    pub fn end(mut self) -> (Verdict, Vec<StepOutcome>, Option<Arc<Bundle>>) {
        if !self.outcomes.iter().any(|outcome| !outcome.cleanup && outcome.verdict.is_some()) {
            self.ours.get_or_insert(Cause::Skipped);
        }
        let mut verdict = match (self.failures, self.ours, self.warnings) {
            (failures, _, _) if !failures.is_empty() => Verdict::Failed(failures),
            (_, Some(cause), _) => Verdict::Inconclusive(cause),
            (_, None, warnings) if !warnings.is_empty() => Verdict::Degraded(warnings),
            _ => Verdict::Passed,
        };
        let bundle = self.records.close(&mut verdict, &mut self.outcomes, &self.captures, self.secrets);
        (verdict, self.outcomes, bundle)
    }

    /// It is we who could not look, which says nothing of the target.
    pub fn blame(&mut self, why: Failure) {
        self.ours.get_or_insert(Cause::Ours(why));
    }

    /// Puts down a step that was not performed: it has no verdict.
    pub fn skip(&mut self, step: &PlannedStep, part: Part, now: Monotonic) {
        self.put_down(step, part, now, None, Phases::default());
    }

    /// Puts down a step of which a bug of ours left nothing but that.
    pub fn give_up(&mut self, step: &PlannedStep, part: Part, time: Range<Monotonic>, mut why: Failure) {
        why.step = self.probe.journey.then(|| step.name.clone());
        let verdict = Verdict::Inconclusive(Cause::Ours(why.clone()));
        self.put_down(step, part, time.start, Some(verdict), unseen(time.end.since(time.start)));
        match part {
            Part::Step => self.blame(why),
            Part::Cleanup => {
                self.uncleaned.get_or_insert_with(|| why.clone());
                self.warnings.push(why);
            }
        }
    }

    /// Puts down a step that saw nothing.
    fn put_down(&mut self, step: &PlannedStep, part: Part, start: Monotonic, verdict: Option<Verdict>, phases: Phases) {
        self.outcomes.push(StepOutcome {
            name: step.name.clone(),
            kind: step.kind.to_owned(),
            cleanup: part == Part::Cleanup,
            verdict,
            offset_ms: milliseconds(start.since(self.begun)),
            phases,
            certificate_expires: None,
            status: None,
            late_ms: None,
            version: None,
            cases: Vec::new(),
        });
    }

    /// Puts down what came of a step, during which we ourselves stood still for as long as `late` says.
    pub fn conclude(
        &mut self,
        step: &PlannedStep,
        part: Part,
        time: Range<Monotonic>,
        late: Duration,
        observation: Option<&Observation>,
        mut outcome: Outcome,
    ) {
        if late >= STOPPED_MIN {
            outcome.distrust(late, "step");
            self.stood_still += late;
        }
        if let (Part::Step, Some(seen)) = (part, observation)
            && !(self.probe.expect.is_empty() && self.probe.warn.is_empty())
        {
            self.seen.push((step.name.clone(), seen.clone()));
        }
        let (mut until_failure, mut refused) = (None, None);
        for failure in outcome.told() {
            until_failure = until_failure.or(failure.phases.take());
            refused = refused.or(failure.certificate_expires.take());
        }
        if self.probe.journey {
            outcome.told().for_each(|failure| failure.step = Some(step.name.clone()));
        }
        discreet(outcome.told(), &self.captures, self.secrets);
        let verdict = match (&outcome.failures[..], &outcome.ours, &outcome.warnings[..]) {
            ([_, ..], _, _) => Verdict::Failed(outcome.failures.clone()),
            ([], Some(cause), _) => Verdict::Inconclusive(cause.clone()),
            ([], None, [_, ..]) => Verdict::Degraded(outcome.warnings.clone()),
            ([], None, []) => Verdict::Passed,
        };
        // A target that does not say it, as when it is unwell, has not changed for all we know.
        let version = observation.zip(step.version.as_ref()).and_then(|(seen, path)| capture(seen, path).ok());
        let mut version = version.map(|text| text.chars().take(VERSION_LENGTH_MAX).collect::<String>());
        let mut cases = observation.map(|seen| seen.cases.clone()).unwrap_or_default();
        if version.is_some() || !cases.is_empty() {
            let privately = Discretion::of(&self.captures, self.secrets);
            version = version.map(|text| privately.text(&text));
            for case in &mut cases {
                case.name = privately.text(&case.name);
                case.verdict.iter_mut().flat_map(Verdict::failures_mut).for_each(|failure| privately.failure(failure));
            }
        }
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
            certificate_expires: observation.and_then(|seen| seen.certificate_expires).or(refused),
            status: observation.and_then(|seen| seen.facts.get("status")).and_then(serde_json::Value::as_i64),
            late_ms: (late >= LATE_MIN).then(|| milliseconds(late)),
            cases,
            version,
        });
        match part {
            Part::Step => {
                gather(&mut self.failures, outcome.failures);
                gather(&mut self.warnings, outcome.warnings);
                self.ours = self.ours.take().or(outcome.ours);
            }
            // What could not be put away is no failure of what was probed, and not nothing either.
            Part::Cleanup => {
                if let Some(Cause::Ours(failure)) = outcome.ours {
                    outcome.failures.push(failure);
                }
                if self.uncleaned.is_none() {
                    self.uncleaned = outcome.failures.first().cloned();
                }
                gather(&mut self.warnings, outcome.failures);
                gather(&mut self.warnings, outcome.warnings);
            }
        }
    }
}

/// The time of a step that saw nothing: how long it took is known, what took it is what its failure says.
fn unseen(took: Duration) -> Phases {
    Phases { total_ms: milliseconds(took), ..Phases::default() }
}

/// Adds what was told, and keeps no room for more: most runs have one failure, thousands of them may wait for the store at
/// once, and a list grows to room for four.
fn gather(told: &mut Vec<Failure>, more: Vec<Failure>) {
    told.reserve_exact(more.len());
    told.extend(more);
}

/// Takes out of failures what they must not hold, where there is any.
fn discreet<'f>(
    failures: impl Iterator<Item = &'f mut Failure>,
    captures: &BTreeMap<CaptureName, String>,
    secrets: &dyn Secrets,
) {
    let mut failures = failures.peekable();
    if failures.peek().is_some() {
        let privately = Discretion::of(captures, secrets);
        failures.for_each(|failure| privately.failure(failure));
    }
}
