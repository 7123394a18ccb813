//! Probes: how each stands, and what it is.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::Response;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::answers::{Trouble, answer};
use super::objectives::ObjectiveBody;
use super::queries::{Cursor, Limit, Queried, linked};
use super::runs::Word;
use super::status::{OpenBody, Standing};
use crate::domain::expression::Expression;
use crate::domain::names::{ProbeName, ScheduleName, StepName};
use crate::domain::outcome::{Failure, Run, RunId};
use crate::domain::probe::Labels;
use crate::domain::time::{Timestamp, milliseconds};
use crate::engine::plan::{Plan, PlannedProbe, PlannedStep};
use crate::ports::Overview;
use crate::web::board::{Board, Row};
use crate::web::routes::Room;
use crate::web::visit::Visit;

/// Which probes.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct WhichProbes {
    /// Those with this label, as in `service=api`.
    label: Option<String>,
    /// Those that stand so on one of their schedules.
    standing: Option<Standing>,
    /// Those in whose name or labels this is found, in small letters or capitals.
    text: Option<String>,
    /// How many come at once.
    limit: Limit,
    /// Where to go on: `next` of the part before.
    cursor: Option<Cursor>,
}

/// Probes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Probes {
    /// By their names.
    pub probes: Vec<ProbeBody>,
    /// The cursor by which the next part is asked for; absent where this was the last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<String>,
}

/// How a probe stands.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ProbeBody {
    /// Its name.
    pub name: ProbeName,
    /// What people say of it.
    pub labels: Labels,
    /// What its steps speak, each once.
    pub kinds: Vec<String>,
    /// How it stands on its schedules, the worst first; none of one that runs on request.
    pub schedules: Vec<Stands>,
    /// Its open incident.
    pub incident: Option<OpenBody>,
}

/// How a probe stands on a schedule.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Stands {
    /// The schedule.
    pub schedule: ScheduleName,
    /// How it stands.
    pub standing: Standing,
    /// Its last run, however old.
    pub last: Option<LastRun>,
    /// The next slot.
    pub next_slot: Option<Timestamp>,
}

/// A run in short.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct LastRun {
    /// Its id.
    pub id: RunId,
    /// When it started.
    pub started_at: Timestamp,
    /// How long its steps took.
    pub duration_ms: f64,
    /// What it says.
    pub verdict: Word,
    /// Why, where it did not pass.
    pub failures: Vec<Failure>,
}

impl From<&Run> for LastRun {
    fn from(run: &Run) -> Self {
        Self {
            id: run.id.clone(),
            started_at: run.started_at,
            duration_ms: milliseconds(run.duration),
            verdict: Word::of(&run.verdict),
            failures: run.verdict.failures().to_vec(),
        }
    }
}

/// A probe: how it stands, and what it is.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ProbeStory {
    /// How it stands.
    pub probe: ProbeBody,
    /// What it is.
    pub definition: Definition,
    /// How its objectives stand, as they did at the last look.
    pub objectives: Vec<ObjectiveBody>,
}

/// What a probe is, in short.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Definition {
    /// Its actions, in their order.
    pub steps: Vec<StepShape>,
    /// What always runs after them.
    pub cleanup: Vec<StepShape>,
    /// What must be true of the steps together.
    pub expect: Vec<String>,
    /// What should be.
    pub warn: Vec<String>,
    /// While one of these is failing it pages nobody.
    pub needs: Vec<ProbeName>,
    /// What is run once when an incident of it opens.
    pub diagnose: Vec<ProbeName>,
    /// Whether it runs only when somebody asks for it.
    pub on_request: bool,
    /// The budget of its steps; absent, its schedule's.
    pub timeout_ms: Option<f64>,
    /// Where the runbook is.
    pub runbook: Option<String>,
}

/// A step, in short.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct StepShape {
    /// Its name.
    pub name: StepName,
    /// What it speaks.
    pub kind: String,
    /// What must be true.
    pub expect: Vec<String>,
    /// What should be.
    pub warn: Vec<String>,
}

impl From<&PlannedStep> for StepShape {
    fn from(step: &PlannedStep) -> Self {
        Self {
            name: step.name.clone(),
            kind: step.kind.to_owned(),
            expect: texts(&step.expect),
            warn: texts(&step.warn),
        }
    }
}

fn texts(expressions: &[Expression]) -> Vec<String> {
    expressions.iter().map(|expression| expression.source().to_owned()).collect()
}

impl From<&PlannedProbe> for Definition {
    fn from(probe: &PlannedProbe) -> Self {
        Self {
            steps: probe.steps.iter().map(StepShape::from).collect(),
            cleanup: probe.cleanup.iter().map(StepShape::from).collect(),
            expect: texts(&probe.expect),
            warn: texts(&probe.warn),
            needs: probe.needs.clone(),
            diagnose: probe.diagnose.clone(),
            on_request: probe.on_request,
            timeout_ms: probe.timeout.map(milliseconds),
            runbook: probe.runbook.clone(),
        }
    }
}

/// Every probe of a plan, by its name.
fn bodies(plan: &Plan, overview: &Overview, board: &Board<'_>) -> BTreeMap<ProbeName, ProbeBody> {
    let body = |probe: &PlannedProbe| {
        let mut kinds: Vec<_> = probe.steps.iter().map(|step| step.kind.to_owned()).collect();
        kinds.sort_unstable();
        kinds.dedup();
        let incident = overview.open.iter().find(|incident| incident.probe == probe.name);
        ProbeBody {
            name: probe.name.clone(),
            labels: probe.labels.clone(),
            kinds,
            schedules: Vec::new(),
            incident: incident.map(|incident| OpenBody::of(incident, &plan.web)),
        }
    };
    let mut bodies: BTreeMap<_, _> = plan.probes.iter().map(|(name, probe)| (name.clone(), body(probe))).collect();
    for tier in &board.tiers {
        for Row { probe, standing, last, .. } in &tier.rows {
            let stands = Stands {
                schedule: tier.schedule.name.clone(),
                standing: *standing,
                last: last.map(LastRun::from),
                next_slot: tier.next,
            };
            if let Some(body) = bodies.get_mut(&probe.name) {
                body.schedules.push(stands);
            }
        }
    }
    for body in bodies.values_mut() {
        body.schedules.sort_by_key(|stands| stands.standing);
    }
    bodies
}

impl WhichProbes {
    fn takes(&self, body: &ProbeBody) -> bool {
        let has_label = |label: &String| match label.split_once('=') {
            Some((key, value)) => body.labels.get(key).is_some_and(|own| own == value),
            None => body.labels.contains_key(label),
        };
        let has_text = |text: &String| {
            let (text, own) = (text.to_lowercase(), body.labels.values().map(String::as_str));
            own.chain([body.name.as_str()]).any(|own| own.to_lowercase().contains(&text))
        };
        let stands = |standing: Standing| body.schedules.iter().any(|stands| stands.standing == standing);
        self.label.as_ref().is_none_or(has_label)
            && self.text.as_ref().is_none_or(has_text)
            && self.standing.is_none_or(stands)
            && self.cursor.as_ref().is_none_or(|cursor| body.name.as_str() > cursor.name())
    }
}

/// Those that are asked for.
pub async fn all(
    State(room): State<Arc<Room>>,
    visit: Visit,
    Queried(which): Queried<WhichProbes>,
) -> Result<Response, Trouble> {
    room.when_ready()?;
    let (plan, overview) = (room.plan(), room.overview().await?);
    let board = Board::new(&room.view(&plan, &visit), &overview);
    let mut left = bodies(&plan, &overview, &board).into_values().filter(|body| which.takes(body));
    let probes: Vec<_> = left.by_ref().take(which.limit.0).collect();
    let next = probes.last().filter(|_| left.next().is_some()).map(|last| Cursor::after(last.name.as_str()).opaque());
    let body = Probes { probes, next: next.clone() };
    Ok(linked(answer(&*plan.secrets, StatusCode::OK, &body), &visit.uri, next.as_deref()))
}

/// One.
pub async fn one(State(room): State<Arc<Room>>, Path(name): Path<String>, visit: Visit) -> Result<Response, Trouble> {
    room.when_ready()?;
    let plan = room.plan();
    let planned = plan.probes.get(name.as_str()).ok_or_else(unknown)?;
    let overview = room.overview().await?;
    let board = Board::new(&room.view(&plan, &visit), &overview);
    let probe = bodies(&plan, &overview, &board).remove(name.as_str()).ok_or_else(unknown)?;
    let standings = room.web.desk.standings()?;
    let own = standings.standings.iter().filter(|standing| standing.probe == probe.name);
    let objectives = own.map(ObjectiveBody::from).collect();
    let story = ProbeStory { probe, definition: Definition::from(&**planned), objectives };
    Ok(answer(&*plan.secrets, StatusCode::OK, &story))
}

/// There is none of that name.
pub fn unknown() -> Trouble {
    Trouble::unknown("there is no such probe")
}
