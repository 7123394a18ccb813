//! Incidents: which there are, what happened to one, and what people do about it.

use std::sync::Arc;

use axum::Extension;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Path, Query, Request, State};
use axum::http::StatusCode;
use axum::response::Response;
use serde::Deserialize;

use super::answers::{Trouble, answer, done};
use super::bodies::{Acknowledge, Done, IncidentBody, Incidents, Note, Story, Text};
use crate::domain::incident::{Incident, IncidentId};
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
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Which {
    /// `1`: the last that were resolved too.
    resolved: u8,
}

/// The open ones, and those that were resolved last where they are asked for.
pub async fn all(
    State(room): State<Arc<Room>>,
    which: Result<Query<Which>, QueryRejection>,
) -> Result<Response, Trouble> {
    room.when_ready()?;
    let Ok(Query(which)) = which else {
        return Err(Trouble::new(StatusCode::BAD_REQUEST, "nothing may be asked but `?resolved=1`"));
    };
    let (plan, overview) = (room.plan(), room.as_it_is().await?);
    let bodies = |incidents: &[Incident]| -> Vec<_> {
        incidents.iter().map(|incident| IncidentBody::of(incident, &plan.web)).collect()
    };
    let resolved = (which.resolved == 1).then(|| bodies(&overview.resolved));
    Ok(answer(&*plan.secrets, StatusCode::OK, &Incidents { open: bodies(&overview.open), resolved }))
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
    let incident = IncidentBody::of(&acted.incident, &plan.web);
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
