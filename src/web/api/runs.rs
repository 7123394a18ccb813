//! Runs of a probe, and all of one.

use std::sync::Arc;

use axum::extract::{Path, State};
use axum::http::{StatusCode, Uri};
use axum::response::Response;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::answers::{Trouble, answer};
use super::probes::unknown;
use super::queries::{Cursor, Flag, Limit, Place, Queried, linked};
use crate::domain::exchange::Bundle;
use crate::domain::history::RunsAsked;
use crate::domain::incident::IncidentId;
use crate::domain::names::{ProbeName, ScheduleName, StepName};
use crate::domain::outcome::{Case, Extra, Failure, Phases, Run, RunId, StepOutcome, Verdict};
use crate::domain::time::{Timestamp, milliseconds};
use crate::ports::RunStory;
use crate::web::incident::ID_LENGTH_MAX;
use crate::web::routes::Room;

/// Which runs.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct WhichRuns {
    /// Those of this schedule.
    schedule: Option<ScheduleName>,
    /// `1`: only those that did not pass.
    bad: Flag,
    /// Those that started then or later.
    from: Option<Timestamp>,
    /// Those that started before.
    until: Option<Timestamp>,
    /// How many come at once.
    limit: Limit,
    /// Where to go on: `next` of the part before.
    cursor: Option<Cursor>,
}

/// Runs.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Runs {
    /// The latest first.
    pub runs: Vec<RunBody>,
    /// The cursor by which the next part is asked for; absent where this was the last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<String>,
}

/// The word of a verdict.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum VerdictWord {
    /// Every expectation held, and every warning too.
    Passed,
    /// Every expectation held, a warning did not.
    Degraded,
    /// An expectation did not hold, or the target could not be spoken to.
    Failed,
    /// We could not look.
    Inconclusive,
}

impl From<&Verdict> for VerdictWord {
    fn from(verdict: &Verdict) -> Self {
        match verdict {
            Verdict::Passed => Self::Passed,
            Verdict::Degraded(_) => Self::Degraded,
            Verdict::Failed(_) => Self::Failed,
            Verdict::Inconclusive(_) => Self::Inconclusive,
        }
    }
}

/// One probe executed once.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct RunBody {
    /// Its id.
    pub id: RunId,
    /// The probe.
    pub probe: ProbeName,
    /// The schedule whose slot it served; absent when somebody asked for it.
    pub schedule: Option<ScheduleName>,
    /// Why it was made off the slots.
    pub extra: Option<Extra>,
    /// Where it ran.
    pub location: String,
    /// The nominal instant.
    pub slot: Timestamp,
    /// When it should have started.
    pub due_at: Timestamp,
    /// When it started.
    pub started_at: Timestamp,
    /// How long its steps took, without the cleanup.
    pub duration_ms: f64,
    /// Start minus due.
    pub lateness_ms: f64,
    /// What it says.
    pub verdict: VerdictWord,
    /// Why, where it did not pass.
    pub failures: Vec<Failure>,
    /// Why we could not look.
    pub because: Option<String>,
    /// Its steps, then its cleanup, in their order.
    pub steps: Vec<StepBody>,
}

/// What became of one step.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct StepBody {
    /// The step.
    pub name: StepName,
    /// What it speaks.
    pub kind: String,
    /// Whether it belongs to the cleanup.
    pub cleanup: bool,
    /// What it says; absent when it was skipped.
    pub verdict: Option<VerdictWord>,
    /// Why, where it did not pass.
    pub failures: Vec<Failure>,
    /// When it began after the run did.
    pub offset_ms: f64,
    /// How long its parts took.
    pub phases: Phases,
    /// When the certificate ends that the target showed.
    pub certificate_expires: Option<Timestamp>,
    /// The status, where the kind has one.
    pub status: Option<i64>,
    /// How long we ourselves stood still during the step, where that was enough to spoil its times.
    pub late_ms: Option<f64>,
    /// Which version the target said it is.
    pub version: Option<String>,
    /// The test cases of the runner that it ran.
    pub cases: Vec<CaseBody>,
}

/// A test case.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct CaseBody {
    /// Its name.
    pub name: String,
    /// What it says; absent when it was skipped.
    pub verdict: Option<VerdictWord>,
    /// How long it took.
    pub took_ms: f64,
}

impl From<Run> for RunBody {
    fn from(run: Run) -> Self {
        let because = match &run.verdict {
            Verdict::Inconclusive(cause) => Some(cause.to_string()),
            _ => None,
        };
        Self {
            id: run.id,
            probe: run.probe,
            schedule: run.schedule,
            extra: run.extra,
            location: run.location.to_string(),
            slot: run.slot,
            due_at: run.due_at,
            started_at: run.started_at,
            duration_ms: milliseconds(run.duration),
            lateness_ms: milliseconds(run.lateness),
            verdict: (&run.verdict).into(),
            failures: run.verdict.failures().to_vec(),
            because,
            steps: run.steps.into_iter().map(StepBody::from).collect(),
        }
    }
}

impl From<StepOutcome> for StepBody {
    fn from(step: StepOutcome) -> Self {
        let case = |Case { name, verdict, took_ms }: Case| CaseBody {
            name,
            verdict: verdict.as_ref().map(VerdictWord::from),
            took_ms,
        };
        Self {
            name: step.name,
            kind: step.kind,
            cleanup: step.cleanup,
            failures: step.verdict.as_ref().map(|verdict| verdict.failures().to_vec()).unwrap_or_default(),
            verdict: step.verdict.as_ref().map(VerdictWord::from),
            offset_ms: step.offset_ms,
            phases: step.phases,
            certificate_expires: step.certificate_expires,
            status: step.status,
            late_ms: step.late_ms,
            version: step.version,
            cases: step.cases.into_iter().map(case).collect(),
        }
    }
}

/// A run with what it left.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct WholeRun {
    /// The run.
    pub run: RunBody,
    /// What it exchanged with its target, without secrets; kept of runs that failed, for a while.
    pub bundle: Option<Bundle>,
    /// The incident that it speaks of.
    pub incident: Option<IncidentId>,
}

/// Those of a probe. One that is not configured any more has those that it had.
pub async fn all(
    State(room): State<Arc<Room>>,
    Path(name): Path<String>,
    uri: Uri,
    Queried(which): Queried<WhichRuns>,
) -> Result<Response, Trouble> {
    room.when_ready()?;
    let (plan, probe) = (room.plan(), ProbeName::parse(&name).map_err(|_| unknown())?);
    let WhichRuns { schedule, bad, from, until, limit, cursor } = which;
    let place = Place::of(cursor.as_ref(), until.unwrap_or(Timestamp::MAX_UTC))?;
    let asked = RunsAsked {
        probe: probe.clone(),
        schedule,
        bad: bad.0,
        from: from.unwrap_or(Timestamp::MIN_UTC),
        until: place.before,
        most: limit.0 + place.skip,
    };
    let found = room.patiently(room.web.history.runs(asked)).await?;
    if found.runs.is_empty() && !plan.probes.contains_key(&probe) {
        return Err(unknown());
    }
    let (runs, next) = place.part(found.runs, found.more, |run| run.started_at);
    let next = next.map(|next| next.opaque());
    let body = Runs { runs: runs.into_iter().map(RunBody::from).collect(), next: next.clone() };
    Ok(linked(answer(&*plan.secrets, StatusCode::OK, &body), &uri, next.as_deref()))
}

/// One, with what it left.
pub async fn one(State(room): State<Arc<Room>>, Path(id): Path<String>) -> Result<Response, Trouble> {
    room.when_ready()?;
    let unknown = || Trouble::unknown("there is no such run");
    if id.len() > ID_LENGTH_MAX {
        return Err(unknown());
    }
    let story = room.patiently(room.web.history.run(&RunId(Arc::from(id)))).await?;
    let RunStory { run, bundle } = story.ok_or_else(unknown)?;
    let incident = bundle.as_ref().and_then(|bundle| bundle.incident.clone());
    let whole = WholeRun { run: run.into(), bundle: bundle.map(|bundle| Bundle::clone(&bundle.bundle)), incident };
    Ok(answer(&*room.plan().secrets, StatusCode::OK, &whole))
}
