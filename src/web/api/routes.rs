//! What may be asked below `/api/v1`, and what programs are told of it.

use std::sync::Arc;

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use schemars::JsonSchema;
use serde_json::json;

use super::answers::answer;
use super::bodies::{
    Acknowledge, Begin, Channels, Deliveries, Done, Drill, Incidents, Note, Nothing, PauseBegin, PauseDone, PausesBody,
    RedriveDone, Reload, SilenceDone, Silences, Story, Text, TriggerAnswer, TriggerAsk,
};
use super::document::DOCUMENT;
use super::objectives::Objectives;
use super::operation::Operation;
use super::pagerduty::HeardBody;
use super::{
    audit, deliveries, drill, incidents, objectives, pagerduty, pauses, probes, recorded, reload, schedules, series,
    silences, status, trigger,
};
use crate::domain::drill::Report;
use crate::web::routes::Room;
use crate::web::table::{Row, Scope};

/// Below it everything of this version is.
pub const BASE: &str = "/api/v1";

/// What is said of a change that is not in the store yet.
const UNRECORDED: &str = "It holds, and is recorded as soon as the store takes it.";

/// The rows.
pub fn rows() -> Vec<Row> {
    [of_reading(), of_incidents(), of_silences(), of_probing(), of_messages(), of_people()]
        .into_iter()
        .flatten()
        .collect()
}

fn of_reading() -> Vec<Row> {
    use Scope::Read;
    vec![
        Row::get(Read, "/api/v1/openapi.json", openapi).told(Operation::of::<Openapi>("getOpenapi", "This document.")),
        Row::get(Read, "/api/v1/status", status::status).told(Operation::of::<status::Status>(
            "getStatus",
            "How things stand: one sentence, the tiers, what is open.",
        )),
        Row::get(Read, "/api/v1/probes", probes::all).told(
            Operation::of::<probes::Probes>("listProbes", "The probes, and how each stands.")
                .asks::<probes::WhichProbes>(),
        ),
        Row::get(Read, "/api/v1/probes/{name}", probes::one).told(Operation::of::<probes::ProbeStory>(
            "getProbe",
            "A probe: how it stands, what it is, its objectives.",
        )),
        Row::get(Read, "/api/v1/probes/{name}/runs", recorded::all).told(
            Operation::of::<recorded::Runs>("listRuns", "The runs of a probe, the latest first.")
                .asks::<recorded::WhichRuns>(),
        ),
        Row::get(Read, "/api/v1/probes/{name}/series", series::series).told(
            Operation::of::<series::Series>("getSeries", "How a probe did, by the hour or the day.")
                .asks::<series::WhichSeries>(),
        ),
        Row::get(Read, "/api/v1/runs/{id}", recorded::one)
            .told(Operation::of::<recorded::WholeRun>("getRun", "A run, with what it exchanged where that is kept.")),
        Row::get(Read, "/api/v1/schedules", schedules::all).told(Operation::of::<schedules::Schedules>(
            "listSchedules",
            "The schedules, their next slots, and what became of the others.",
        )),
        Row::get(Read, "/api/v1/objectives", objectives::all)
            .told(Operation::of::<Objectives>("listObjectives", "How objectives stand.")),
    ]
}

fn of_people() -> Vec<Row> {
    vec![
        Row::get(Scope::Operate, "/api/v1/audit", audit::all).told(
            Operation::of::<audit::Audit>(
                "listAudit",
                "What somebody changed, the latest first: for those who may change something.",
            )
            .asks::<audit::WhichAudit>(),
        ),
    ]
}

fn of_incidents() -> Vec<Row> {
    use Scope::{Operate, Read};
    vec![
        Row::get(Read, "/api/v1/incidents", incidents::all).told(
            Operation::of::<Incidents>("listIncidents", "The open incidents, and in parts those that are over.")
                .asks::<incidents::WhichIncidents>(),
        ),
        Row::get(Read, "/api/v1/incidents/{id}", incidents::one)
            .told(Operation::of::<Story>("getIncident", "An incident, what happened to it, and who was told.")),
        Row::get(Read, "/api/v1/incidents/{id}/war-room", incidents::war_room)
            .told(Operation::of::<Text>("getWarRoom", "The text of its war room, as Markdown.")),
        Row::get(Read, "/api/v1/incidents/{id}/post-mortem", incidents::post_mortem)
            .told(Operation::of::<Text>("getPostMortem", "The beginning of its post-mortem, as Markdown.")),
        Row::post(Operate, "/api/v1/incidents/{id}/acknowledge", incidents::acknowledge).told(
            Operation::of::<Done>("acknowledgeIncident", "Take an incident on: nobody is reminded of it from then on.")
                .takes::<Acknowledge>(json!({ "by": "ann", "note": "looking at the database" }))
                .or_accepted::<Done>(UNRECORDED)
                .or(&[409, 422]),
        ),
        Row::post(Operate, "/api/v1/incidents/{id}/notes", incidents::note).told(
            Operation::of::<Done>("noteIncident", "Write something into the time line of an incident.")
                .takes::<Note>(json!({ "by": "ann", "text": "rolled back to 1.4" }))
                .or_accepted::<Done>(UNRECORDED)
                .or(&[409, 422]),
        ),
    ]
}

fn of_silences() -> Vec<Row> {
    use Scope::{Operate, Read};
    let silence = json!({ "matchers": { "probes": ["api-*"] }, "by": "ann", "reason": "a new disk", "for": "2h" });
    vec![
        Row::get(Read, "/api/v1/silences", silences::all)
            .told(Operation::of::<Silences>("listSilences", "The silences that are not over.")),
        Row::post(Operate, "/api/v1/silences", silences::begin).told(
            Operation::of::<SilenceDone>(
                "beginSilence",
                "Let nobody be told of what matches, `until` an instant or `for` a while.",
            )
            .takes::<Begin>(silence)
            .or_accepted::<SilenceDone>(UNRECORDED)
            .or(&[409, 422]),
        ),
        Row::delete(Operate, "/api/v1/silences/{id}", silences::end).told(
            Operation::of::<SilenceDone>("endSilence", "End a silence now.")
                .or_accepted::<SilenceDone>(UNRECORDED)
                .or(&[409, 422]),
        ),
    ]
}

fn of_probing() -> Vec<Row> {
    use Scope::{Operate, Read};
    let pause = json!({ "what": "schedule:journeys", "by": "ann", "reason": "the shop moves", "for": "2h" });
    vec![
        Row::get(Read, "/api/v1/pauses", pauses::all)
            .told(Operation::of::<PausesBody>("listPauses", "The pauses that are not over.")),
        Row::post(Operate, "/api/v1/pauses", pauses::begin).told(
            Operation::of::<PauseDone>(
                "beginPause",
                "Let something not be run, `until` an instant, `for` a while, or until it is resumed.",
            )
            .takes::<PauseBegin>(pause)
            .or_accepted::<PauseDone>(UNRECORDED)
            .or(&[404, 409, 422]),
        ),
        Row::delete(Operate, "/api/v1/pauses/{id}", pauses::end).told(
            Operation::of::<PauseDone>("endPause", "Resume what a pause holds.")
                .or_accepted::<PauseDone>(UNRECORDED)
                .or(&[409, 422]),
        ),
        Row::post(Operate, "/api/v1/probes/{name}/trigger", trigger::trigger).told(
            Operation::of::<TriggerAnswer>("triggerProbe", "Run a probe now, and say what came of it.")
                .takes::<TriggerAsk>(json!({ "schedule": "reachability" }))
                .or_accepted::<TriggerAnswer>("It goes on: its runs are on record when they have ended.")
                .or(&[409, 422]),
        ),
        Row::post(Operate, "/api/v1/reload", reload::reload).told(
            Operation::of::<Reload>("reload", "Read the files again, whole or not at all; 422 names their `problems`.")
                .takes::<Nothing>(json!({}))
                .or(&[409, 422]),
        ),
    ]
}

fn of_messages() -> Vec<Row> {
    use Scope::{Operate, Read, Signed};
    vec![
        Row::get(Read, "/api/v1/deliveries", deliveries::all)
            .told(Operation::of::<Deliveries>("listDeliveries", "The messages that their channels have not taken.")),
        Row::post(Operate, "/api/v1/deliveries/redrive", deliveries::redrive_all).told(
            Operation::of::<RedriveDone>("redriveAll", "Have all of them tried again now.").takes::<Nothing>(json!({})),
        ),
        Row::post(Operate, "/api/v1/deliveries/{id}/redrive", deliveries::redrive).told(
            Operation::of::<RedriveDone>("redriveDelivery", "Have one tried again now, with what belongs to it.")
                .takes::<Nothing>(json!({}))
                .or(&[409]),
        ),
        Row::get(Read, "/api/v1/drill", drill::channels)
            .told(Operation::of::<Channels>("listChannels", "The channels that can be drilled.")),
        Row::post(Operate, "/api/v1/drill", drill::drill).told(
            Operation::of::<Report>("drillChannel", "Send a message the way of every alert, and say how far it came.")
                .takes::<Drill>(json!({ "channel": "oncall" }))
                .or(&[404, 409]),
        ),
        Row::post(Signed, "/api/v1/pagerduty", pagerduty::hear)
            .told(Operation::of::<HeardBody>("hearPagerduty", "What PagerDuty says of its own accord, signed.")),
    ]
}

/// A document of `OpenAPI`, which has a schema of its own.
#[derive(JsonSchema)]
struct Openapi {
    #[expect(dead_code, reason = "only its schema is used: the document is no type of ours")]
    openapi: String,
}

async fn openapi(State(room): State<Arc<Room>>) -> Response {
    answer(&*room.plan().secrets, StatusCode::OK, &*DOCUMENT)
}
