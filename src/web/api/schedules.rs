//! Schedules: when they have their slots, and what became of those.

use std::sync::Arc;

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::answers::{Trouble, answer};
use super::status::TierBody;
use crate::domain::names::ProbeName;
use crate::domain::time::{Timestamp, milliseconds};
use crate::web::board::{Board, Tier};
use crate::web::routes::Room;
use crate::web::visit::Visit;

/// How many slots to come are told.
const SLOTS_TOLD: usize = 5;

/// Schedules.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Schedules {
    /// The most frequent first.
    pub schedules: Vec<ScheduleBody>,
}

/// A schedule.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ScheduleBody {
    /// How it stands.
    pub tier: TierBody,
    /// Its next slots.
    pub slots_ahead: Vec<Timestamp>,
    /// The budget of a run whose probe names none.
    pub timeout_ms: f64,
    /// Its probes, by their names.
    pub probes: Vec<ProbeName>,
    /// What it promises of each of them, in words.
    pub objectives: Vec<String>,
}

/// All of them.
pub async fn all(State(room): State<Arc<Room>>, visit: Visit) -> Result<Response, Trouble> {
    room.when_ready()?;
    let (plan, overview) = (room.plan(), room.overview().await?);
    let view = room.view(&plan, &visit);
    let body = |tier: &Tier<'_>| ScheduleBody {
        tier: TierBody::from(tier),
        slots_ahead: tier.schedule.cadence.slots(view.now, Timestamp::MAX_UTC).take(SLOTS_TOLD).collect(),
        timeout_ms: milliseconds(tier.schedule.timeout),
        probes: tier.schedule.probes.clone(),
        objectives: tier.schedule.objectives.iter().map(ToString::to_string).collect(),
    };
    let schedules = Board::new(&view, &overview).tiers.iter().map(body).collect();
    Ok(answer(&*plan.secrets, StatusCode::OK, &Schedules { schedules }))
}
