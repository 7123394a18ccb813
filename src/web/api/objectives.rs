//! Objectives: how each of them stands for each of its probes.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::answers::{Trouble, answer};
use crate::domain::names::{ProbeName, ScheduleName, StepName};
use crate::domain::objective::{Goal, Judgement, Standing, upper_bound};
use crate::domain::time::{Timestamp, milliseconds};
use crate::web::routes::Room;

/// All of them.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Objectives {
    /// When they were looked at, which is done once a minute; nothing where that has not been done yet.
    pub at: Option<Timestamp>,
    /// By schedule and probe, and as they are written.
    pub objectives: Vec<ObjectiveBody>,
}

/// An objective for one probe. Shares are parts of one.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ObjectiveBody {
    /// The schedule.
    pub schedule: ScheduleName,
    /// The probe.
    pub probe: ProbeName,
    /// The step whose time counts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub step: Option<StepName>,
    /// All of it in words, as metrics name it.
    pub objective: String,
    /// What is promised, in words.
    pub goal: String,
    /// The window.
    pub over_seconds: u64,
    /// The share of runs that may be bad.
    pub allowed: f64,
    /// Longer than this is bad, where it is about time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit_ms: Option<f64>,
    /// How many runs say something of it.
    pub runs: u64,
    /// How many of them are bad.
    pub bad: u64,
    /// The share that is told: of failures where those are what is promised, else of what was well.
    pub measured: Option<f64>,
    /// The largest share of bad ones that these runs leave possible, at 95 % confidence.
    pub bound: f64,
    /// How many runs without a bad one it takes until they can tell.
    pub runs_needed: u64,
    /// How many the window has.
    pub runs_expected: u64,
    /// How many of them may be bad.
    pub budget_runs: f64,
    /// The share of that which is left; negative where more was spent.
    pub budget_left: f64,
    /// How many times too quickly it goes, over `1h`, `6h` and `3d`; absent where nothing was seen.
    pub burn: BTreeMap<String, f64>,
    /// Whether it is met.
    pub verdict: Judgement,
    /// Whether all that the store has of the window is counted.
    pub is_whole: bool,
}

impl From<&Standing> for ObjectiveBody {
    fn from(standing: &Standing) -> Self {
        let Standing { schedule, probe, objective, count, burn, is_whole } = standing;
        let budget = objective.budget(*count);
        let rates = Standing::STRETCHES.into_iter().zip(burn);
        Self {
            schedule: schedule.clone(),
            probe: probe.clone(),
            step: objective.step.clone(),
            objective: objective.to_string(),
            goal: objective.goal.to_string(),
            over_seconds: objective.over.as_secs(),
            allowed: objective.goal.allowed().fraction(),
            limit_ms: match objective.goal {
                Goal::Within(_, limit) => Some(milliseconds(limit)),
                Goal::Success(_) | Goal::Errors(_) => None,
            },
            runs: count.runs,
            bad: count.bad,
            measured: objective.goal.told(*count),
            bound: upper_bound(*count),
            runs_needed: objective.needed(),
            runs_expected: objective.expected,
            budget_runs: budget.total,
            budget_left: budget.left(),
            burn: rates.filter_map(|(stretch, rate)| Some((stretch.as_str().to_owned(), (*rate)?))).collect(),
            verdict: standing.judgement(),
            is_whole: *is_whole,
        }
    }
}

/// All of them, as they stood at the last look.
pub async fn all(State(room): State<Arc<Room>>) -> Result<Response, Trouble> {
    room.when_ready()?;
    let standings = room.web.desk.standings()?;
    let objectives = standings.standings.iter().map(ObjectiveBody::from).collect();
    Ok(answer(&*room.plan().secrets, StatusCode::OK, &Objectives { at: standings.at, objectives }))
}
