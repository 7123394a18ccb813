//! Runs, in the shape in which programs read them: times are RFC 3339 with milliseconds, lengths are milliseconds. Who asks a
//! daemon for one shows it as any other run.

use std::sync::Arc;
use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize, Serializer};

use crate::domain::names::{ProbeName, ScheduleName, StepName};
use crate::domain::outcome::{Case, Cause, Failure, FailureKind, Phases, Run, RunId, StepOutcome, Verdict};
use crate::domain::time::{Timestamp, milliseconds, rfc3339};

/// A run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct RunBody {
    /// Its id.
    pub id: RunId,
    /// Its probe.
    pub probe: ProbeName,
    /// The schedule for which it was made.
    pub schedule: Option<ScheduleName>,
    /// Where it ran.
    pub location: Arc<str>,
    /// When it started.
    #[serde(serialize_with = "in_milliseconds")]
    pub started_at: Timestamp,
    /// How long its steps took.
    pub duration_ms: f64,
    /// `passed`, `degraded`, `failed` or `inconclusive`.
    pub verdict: Word,
    /// Why it is not passed.
    pub failures: Vec<Failure>,
    /// Its steps, then its cleanup.
    pub steps: Vec<StepBody>,
    /// Why it is inconclusive without a failure of ours.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cause: Option<CauseWord>,
}

/// A step of a run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct StepBody {
    /// Its name.
    pub name: StepName,
    /// Its kind.
    pub kind: String,
    /// Whether it belongs to the cleanup.
    pub cleanup: bool,
    /// Absent where it was skipped.
    pub verdict: Option<Word>,
    /// Why it is not passed.
    pub failures: Vec<Failure>,
    /// When it began, after the run did.
    pub offset_ms: f64,
    /// How long its parts took.
    pub phases: Phases,
    /// The status, where the kind has one.
    pub status: Option<i64>,
    /// When the target's certificate ends.
    #[serde(serialize_with = "in_milliseconds_if")]
    pub certificate_expires: Option<Timestamp>,
    /// The test cases, where it ran a test runner.
    pub cases: Vec<CaseBody>,
}

/// A test case.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct CaseBody {
    /// Its name.
    pub name: String,
    /// Absent where it was skipped.
    pub verdict: Option<Word>,
    /// Why it is not passed.
    pub failures: Vec<Failure>,
    /// How long it took.
    pub took_ms: f64,
}

/// What a run says, as one word.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[schemars(rename = "VerdictWord")]
pub enum Word {
    /// [`Verdict::Passed`].
    Passed,
    /// [`Verdict::Degraded`].
    Degraded,
    /// [`Verdict::Failed`].
    Failed,
    /// [`Verdict::Inconclusive`].
    Inconclusive,
}

/// Why a run is inconclusive without a failure of ours.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum CauseWord {
    /// [`Cause::ShutDown`].
    ShutDown,
    /// [`Cause::Skipped`].
    Skipped,
}

fn in_milliseconds<S: Serializer>(at: &Timestamp, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&rfc3339(*at))
}

#[expect(clippy::ref_option, reason = "serde hands a field so")]
fn in_milliseconds_if<S: Serializer>(at: &Option<Timestamp>, serializer: S) -> Result<S::Ok, S::Error> {
    at.map(rfc3339).serialize(serializer)
}

impl Word {
    /// The word of a verdict.
    pub fn of(verdict: &Verdict) -> Self {
        match verdict {
            Verdict::Passed => Self::Passed,
            Verdict::Degraded(_) => Self::Degraded,
            Verdict::Failed(_) => Self::Failed,
            Verdict::Inconclusive(_) => Self::Inconclusive,
        }
    }

    /// What was said by this word.
    fn verdict(self, failures: Vec<Failure>, cause: Option<CauseWord>) -> Verdict {
        match (self, cause) {
            (Self::Passed, _) => Verdict::Passed,
            (Self::Degraded, _) => Verdict::Degraded(failures),
            (Self::Failed, _) => Verdict::Failed(failures),
            (Self::Inconclusive, Some(CauseWord::ShutDown)) => Verdict::Inconclusive(Cause::ShutDown),
            (Self::Inconclusive, Some(CauseWord::Skipped)) => Verdict::Inconclusive(Cause::Skipped),
            (Self::Inconclusive, None) => {
                let untold = || Failure::new(FailureKind::Internal, "it is not told why");
                Verdict::Inconclusive(Cause::Ours(failures.into_iter().next().unwrap_or_else(untold)))
            }
        }
    }
}

impl CauseWord {
    /// The word of the cause of a verdict, where it has one.
    pub fn of(verdict: &Verdict) -> Option<Self> {
        match verdict {
            Verdict::Inconclusive(Cause::ShutDown) => Some(Self::ShutDown),
            Verdict::Inconclusive(Cause::Skipped) => Some(Self::Skipped),
            _ => None,
        }
    }
}

impl From<&Run> for RunBody {
    fn from(run: &Run) -> Self {
        Self {
            id: run.id.clone(),
            probe: run.probe.clone(),
            schedule: run.schedule.clone(),
            location: Arc::clone(&run.location),
            started_at: run.started_at,
            duration_ms: milliseconds(run.duration),
            verdict: Word::of(&run.verdict),
            failures: run.verdict.failures().to_vec(),
            steps: run.steps.iter().map(StepBody::from).collect(),
            cause: CauseWord::of(&run.verdict),
        }
    }
}

impl From<&StepOutcome> for StepBody {
    fn from(step: &StepOutcome) -> Self {
        Self {
            name: step.name.clone(),
            kind: step.kind.clone(),
            cleanup: step.cleanup,
            verdict: step.verdict.as_ref().map(Word::of),
            failures: failures(step.verdict.as_ref()),
            offset_ms: step.offset_ms,
            phases: step.phases,
            status: step.status,
            certificate_expires: step.certificate_expires,
            cases: step.cases.iter().map(CaseBody::from).collect(),
        }
    }
}

impl From<&Case> for CaseBody {
    fn from(case: &Case) -> Self {
        Self {
            name: case.name.clone(),
            verdict: case.verdict.as_ref().map(Word::of),
            failures: failures(case.verdict.as_ref()),
            took_ms: case.took_ms,
        }
    }
}

fn failures(verdict: Option<&Verdict>) -> Vec<Failure> {
    verdict.map(Verdict::failures).unwrap_or_default().to_vec()
}

/// The run of which somebody was told; what programs do not read is as if it had been punctual.
impl From<RunBody> for Run {
    fn from(body: RunBody) -> Self {
        let RunBody { id, probe, schedule, location, started_at, duration_ms, verdict, failures, steps, cause } = body;
        Self {
            id,
            location,
            probe,
            schedule,
            extra: None,
            slot: started_at,
            due_at: started_at,
            started_at,
            duration: Duration::try_from_secs_f64(duration_ms / 1e3).unwrap_or_default(),
            lateness: Duration::ZERO,
            verdict: verdict.verdict(failures, cause),
            steps: steps.into_iter().map(StepOutcome::from).collect(),
            bundle: None,
        }
    }
}

impl From<StepBody> for StepOutcome {
    fn from(body: StepBody) -> Self {
        let StepBody { name, kind, cleanup, verdict, failures, offset_ms, phases, status, certificate_expires, cases } =
            body;
        let case = |case: CaseBody| Case {
            name: case.name,
            verdict: case.verdict.map(|word| word.verdict(case.failures, None)),
            took_ms: case.took_ms,
        };
        Self {
            name,
            kind,
            cleanup,
            verdict: verdict.map(|word| word.verdict(failures, None)),
            offset_ms,
            phases,
            certificate_expires,
            status,
            late_ms: None,
            version: None,
            cases: cases.into_iter().map(case).collect(),
        }
    }
}
