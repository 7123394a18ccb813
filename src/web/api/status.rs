//! How things stand, as the status page has it: one sentence, how many stand how, the tiers, what is open.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::answers::{Trouble, answer};
use crate::domain::incident::{Incident, IncidentId, Severity};
use crate::domain::judge::Aspect;
use crate::domain::names::{ProbeName, ScheduleName};
use crate::domain::outcome::SlotOutcome;
use crate::domain::time::{Timestamp, milliseconds};
use crate::engine::plan::WebPlan;
pub use crate::web::board::Standing;
use crate::web::board::{Board, Tier};
use crate::web::headline::Headline;
use crate::web::routes::Room;
use crate::web::visit::Visit;

/// How things stand.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Status {
    /// What is watched.
    pub site: String,
    /// Where from.
    pub location: String,
    /// How things are, in one sentence.
    pub sentence: String,
    /// How many probes are scheduled.
    pub probes: u64,
    /// How many of them stand how; one of several tiers counts once, as it stands worst.
    pub tally: BTreeMap<Standing, u64>,
    /// The tiers, the most frequent first.
    pub tiers: Vec<TierBody>,
    /// The open incidents, the gravest first.
    pub open: Vec<OpenBody>,
    /// Since when nothing is recorded, while that is so.
    pub unrecorded_since: Option<Timestamp>,
}

/// A schedule as people speak of it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct TierBody {
    /// The schedule.
    pub schedule: ScheduleName,
    /// Its cadence, in words.
    pub cadence: String,
    /// The length between two slots now.
    pub period_ms: f64,
    /// Its next slot.
    pub next_slot: Option<Timestamp>,
    /// How many probes it has.
    pub probes: u64,
    /// How many of them stand how.
    pub tally: BTreeMap<Standing, u64>,
    /// What became of its slots, since the store began.
    pub slots: BTreeMap<SlotOutcome, u64>,
    /// The greatest lateness among the last runs.
    pub lateness_ms: Option<f64>,
}

/// An open incident, in short.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct OpenBody {
    /// Its id.
    pub id: IncidentId,
    /// The probe.
    pub probe: ProbeName,
    /// What of it.
    pub aspect: Aspect,
    /// How much it matters.
    pub severity: Severity,
    /// What is wrong, in one line.
    pub summary: String,
    /// The first bad run.
    pub since: Timestamp,
    /// Who has taken it on.
    pub acknowledged_by: Option<String>,
    /// Why nobody is told of it now.
    pub quiet: Option<String>,
    /// Its page, where people can reach one.
    pub url: Option<String>,
}

impl OpenBody {
    /// An incident in short.
    pub fn of(incident: &Incident, web: &WebPlan) -> Self {
        Self {
            id: incident.id.clone(),
            probe: incident.probe.clone(),
            aspect: incident.aspect,
            severity: incident.severity,
            summary: incident.summary(),
            since: incident.since,
            acknowledged_by: incident.acknowledged.as_ref().map(|taken| taken.by.clone()),
            quiet: incident.quiet.as_ref().map(ToString::to_string),
            url: web.page_of(&incident.id),
        }
    }
}

impl From<&Tier<'_>> for TierBody {
    fn from(tier: &Tier<'_>) -> Self {
        let mut tally = BTreeMap::new();
        for row in &tier.rows {
            *tally.entry(row.standing).or_insert(0) += 1;
        }
        Self {
            schedule: tier.schedule.name.clone(),
            cadence: tier.schedule.cadence.to_string(),
            period_ms: milliseconds(tier.period),
            next_slot: tier.next,
            probes: tier.rows.len() as u64,
            tally,
            slots: tier.slots.clone(),
            lateness_ms: tier.lateness.map(milliseconds),
        }
    }
}

/// How they stand now.
pub async fn status(State(room): State<Arc<Room>>, visit: Visit) -> Result<Response, Trouble> {
    room.when_ready()?;
    let (plan, overview) = (room.plan(), room.overview().await?);
    let view = room.view(&plan, &visit);
    let board = Board::new(&view, &overview);
    let headline = Headline::new(&view, &overview, &board);
    let status = Status {
        site: plan.site.clone(),
        location: plan.location.to_string(),
        sentence: headline.accent + &headline.rest,
        probes: board.total(),
        tiers: board.tiers.iter().map(TierBody::from).collect(),
        open: overview.open.iter().map(|incident| OpenBody::of(incident, &plan.web)).collect(),
        unrecorded_since: view.trouble.as_ref().map(|trouble| trouble.since),
        tally: board.tally,
    };
    Ok(answer(&*plan.secrets, StatusCode::OK, &status))
}
