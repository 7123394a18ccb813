//! The runs of a probe that are on record, and all of one.

use std::sync::Arc;

use axum::extract::{Path, State};
use axum::http::{StatusCode, Uri};
use axum::response::Response;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::answers::{Trouble, answer};
use super::probes::unknown;
use super::queries::{Cursor, Flag, Limit, Queried, linked};
use super::runs::{CauseWord, StepBody, Word};
use crate::domain::exchange::Bundle;
use crate::domain::history::RunsAsked;
use crate::domain::incident::IncidentId;
use crate::domain::names::{ProbeName, ScheduleName};
use crate::domain::outcome::{Extra, Failure, Run, RunId};
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
    pub runs: Vec<RecordedRun>,
    /// The cursor by which the next part is asked for; absent where this was the last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<String>,
}

/// One probe executed once.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct RecordedRun {
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
    pub verdict: Word,
    /// Why, where it did not pass.
    pub failures: Vec<Failure>,
    /// Why it is inconclusive without a failure of ours.
    pub cause: Option<CauseWord>,
    /// Its steps, then its cleanup, in their order.
    pub steps: Vec<StepBody>,
}

impl From<Run> for RecordedRun {
    fn from(run: Run) -> Self {
        let cause = CauseWord::of(&run.verdict);
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
            verdict: Word::of(&run.verdict),
            failures: run.verdict.failures().to_vec(),
            cause,
            steps: run.steps.iter().map(StepBody::from).collect(),
        }
    }
}

/// A run with what it left.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct WholeRun {
    /// The run.
    pub run: RecordedRun,
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
    let after = cursor.as_ref().map(Cursor::id).transpose()?;
    let asked = RunsAsked {
        probe: probe.clone(),
        schedule,
        bad: bad.0,
        from: from.unwrap_or(Timestamp::MIN_UTC),
        until: until.unwrap_or(Timestamp::MAX_UTC),
        after: after.map(|id| RunId(Arc::from(id))),
        most: limit.0,
    };
    let found = room.patiently(room.web.history.runs(asked)).await?;
    if found.runs.is_empty() && !plan.probes.contains_key(&probe) {
        return Err(unknown());
    }
    let next = found.runs.last().filter(|_| found.more).map(|last| Cursor::after(&last.id.0).opaque());
    let body = Runs { runs: found.runs.into_iter().map(RecordedRun::from).collect(), next: next.clone() };
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
