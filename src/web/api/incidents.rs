//! Incidents: which there are, what happened to one, and what people do about it.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::Extension;
use axum::extract::{Path, Request, State};
use axum::http::{StatusCode, Uri};
use axum::response::Response;
use schemars::JsonSchema;
use serde::Deserialize;

use super::answers::{Trouble, answer, done};
use super::bodies::{Acknowledge, Done, IncidentBody, Incidents, Note, Story, Text};
use super::queries::{Cursor, Flag, Limit, Queried, linked};
use crate::domain::history::IncidentsAsked;
use crate::domain::incident::{Hearers, Incident, IncidentId};
use crate::domain::names::ProbeName;
use crate::domain::time::clock;
use crate::engine::desk::DeskError;
use crate::engine::dispatcher::Acted;
use crate::engine::ledger::acts::{Act, ActError};
use crate::ports::IncidentStory;
use crate::web::access::Caller;
use crate::web::incident::ID_LENGTH_MAX;
use crate::web::routes::Room;
use crate::web::view::View;
use crate::web::visit::Visit;
use crate::web::{post_mortem, war_room};

/// Which incidents.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct WhichIncidents {
    /// `1`: those that are over too, in parts.
    resolved: Flag,
    /// Those of this probe.
    probe: Option<ProbeName>,
    /// How many of those that are over are looked at for one part.
    limit: Limit,
    /// Where to go on with them: `next` of the part before.
    cursor: Option<Cursor>,
}

/// The open ones, and a part of those that are over where they are asked for.
pub async fn all(
    State(room): State<Arc<Room>>,
    uri: Uri,
    Queried(which): Queried<WhichIncidents>,
) -> Result<Response, Trouble> {
    room.when_ready()?;
    let (plan, overview) = (room.plan(), room.as_it_is().await?);
    let WhichIncidents { resolved, probe, limit, cursor } = which;
    let open = overview.open.iter().filter(|incident| probe.as_ref().is_none_or(|probe| incident.probe == *probe));
    let body = |incident: &Incident, hearers: &BTreeMap<IncidentId, Hearers>| {
        IncidentBody::of(incident, hearers.get(&incident.id), &plan.web)
    };
    let open = open.map(|incident| body(incident, &overview.hearers)).collect();
    let (mut over, mut next) = (None, None);
    if resolved.0 {
        let after = cursor.as_ref().map(Cursor::id).transpose()?.map(|id| IncidentId(Arc::from(id)));
        let asked = IncidentsAsked { probe, after, most: limit.0, ..IncidentsAsked::default() };
        let found = room.patiently(room.web.history.incidents(asked)).await?;
        next = found.incidents.last().filter(|_| found.more).map(|last| Cursor::after(&last.id.0).opaque());
        let part = found.incidents.iter().filter(|incident| !incident.is_open());
        over = Some(part.map(|incident| body(incident, &found.hearers)).collect());
    }
    let body = Incidents { open, resolved: over, next: next.clone() };
    Ok(linked(answer(&*plan.secrets, StatusCode::OK, &body), &uri, next.as_deref()))
}

/// What happened to one.
pub async fn one(State(room): State<Arc<Room>>, Path(id): Path<String>) -> Result<Response, Trouble> {
    room.when_ready()?;
    let (plan, id) = (room.plan(), known_id(id)?);
    let story = room.patiently(room.web.reader.incident(&id)).await?.ok_or_else(|| unknown(&id))?;
    Ok(answer(&*plan.secrets, StatusCode::OK, &Story::of(story, &plan.web)))
}

/// The text of its war room.
pub async fn war_room(room: State<Arc<Room>>, id: Path<String>, visit: Visit) -> Result<Response, Trouble> {
    answer_with_text(room, id, visit, war_room::war_room).await
}

/// The beginning of its post-mortem.
pub async fn post_mortem(room: State<Arc<Room>>, id: Path<String>, visit: Visit) -> Result<Response, Trouble> {
    answer_with_text(room, id, visit, post_mortem::post_mortem).await
}

async fn answer_with_text(
    State(room): State<Arc<Room>>,
    Path(id): Path<String>,
    visit: Visit,
    write: fn(&View<'_>, &IncidentStory) -> String,
) -> Result<Response, Trouble> {
    room.when_ready()?;
    let (plan, id) = (room.plan(), known_id(id)?);
    let text = room.text_of(&id, &room.view(&plan, &visit), write).await?.ok_or_else(|| unknown(&id))?;
    Ok(answer(&*plan.secrets, StatusCode::OK, &Text { text }))
}

/// Somebody takes it on.
pub async fn acknowledge(
    State(room): State<Arc<Room>>,
    Extension(caller): Extension<Caller>,
    Path(id): Path<String>,
    request: Request,
) -> Result<Response, Trouble> {
    let Acknowledge { by, note } = room.read(request).await?;
    Ok(told(&room, &act(&room, &caller, id, by, Act::Acknowledge { note }).await?))
}

/// Somebody says something of it.
pub async fn note(
    State(room): State<Arc<Room>>,
    Extension(caller): Extension<Caller>,
    Path(id): Path<String>,
    request: Request,
) -> Result<Response, Trouble> {
    let Note { by, text } = room.read(request).await?;
    Ok(told(&room, &act(&room, &caller, id, by, Act::Note(text)).await?))
}

/// Does it, and waits for the commit.
pub async fn act(room: &Room, caller: &Caller, id: String, by: String, act: Act) -> Result<Acted, Trouble> {
    room.when_ready()?;
    let (id, by) = (known_id(id)?, caller.by(by));
    let author = caller.author(Some(by.clone()));
    let acted = match room.done(room.web.desk.act(id.clone(), by, act, author)).await {
        // The ledger knows the open ones only: what is over is another answer than what never was.
        Err(error @ DeskError::Act(ActError::NotOpen(_))) => {
            let story = room.patiently(room.web.reader.incident(&id)).await?;
            let over = story.and_then(|story| story.incident.resolved_at);
            return Err(over.map_or_else(
                || error.into(),
                |at| Trouble::conflict(format!("the incident {id} is over: it was resolved at {}", clock(at))),
            ));
        }
        acted => acted?,
    };
    room.look_anew().await;
    Ok(acted)
}

fn told(room: &Room, acted: &Acted) -> Response {
    let (plan, recorded) = (room.plan(), acted.recorded);
    let incident = IncidentBody::of(&acted.incident, None, &plan.web);
    done(&*plan.secrets, recorded, &Done { incident, recorded })
}

/// An id that may be one.
pub fn known_id(id: String) -> Result<IncidentId, Trouble> {
    let id = IncidentId(Arc::from(id));
    if id.0.len() > ID_LENGTH_MAX { Err(unknown(&IncidentId(Arc::from("of that id")))) } else { Ok(id) }
}

/// There is none of that id.
pub fn unknown(id: &IncidentId) -> Trouble {
    Trouble::unknown(format!("there is no incident {id}"))
}
