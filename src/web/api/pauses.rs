//! Pauses: which there are, one more, one less.

use std::sync::Arc;

use axum::extract::{Path, Request, State};
use axum::http::StatusCode;
use axum::response::Response;

use super::answers::{Trouble, answer, done};
use super::bodies::{PauseBegin, PauseDone, PausesBody};
use crate::domain::pause::{PauseId, Scope};
use crate::domain::time::later;
use crate::engine::desk::DeskError;
use crate::engine::dispatcher::Paused;
use crate::engine::ledger::pauses::Pausing;
use crate::web::routes::Room;

/// Those that are not over.
pub async fn all(State(room): State<Arc<Room>>) -> Result<Response, Trouble> {
    room.when_ready()?;
    let (plan, overview, now) = (room.plan(), room.as_it_is().await?, room.web.clock.now());
    let pauses = overview.pauses.into_iter().filter(|pause| pause.is_active(now)).collect();
    Ok(answer(&*plan.secrets, StatusCode::OK, &PausesBody { pauses }))
}

/// One more.
pub async fn begin(State(room): State<Arc<Room>>, request: Request) -> Result<Response, Trouble> {
    let PauseBegin { what, by, reason, until, length } = room.read(request).await?;
    let until = match (until, length) {
        (until, None) => until,
        (None, Some(length)) => Some(later(room.web.clock.now(), length.0)),
        (Some(_), Some(_)) => {
            let sentence = "say either `until` when, or `for` how long, or neither";
            return Err(Trouble::new(StatusCode::UNPROCESSABLE_ENTITY, sentence));
        }
    };
    let what = Scope::parse(&what).map_err(DeskError::from)?;
    pause(&room, Pausing::Begin { what, by, reason, until }).await
}

/// One less: it is over now.
pub async fn end(State(room): State<Arc<Room>>, Path(id): Path<String>) -> Result<Response, Trouble> {
    pause(&room, Pausing::End(PauseId(Arc::from(id)))).await
}

async fn pause(room: &Room, what: Pausing) -> Result<Response, Trouble> {
    room.when_ready()?;
    let Paused { pause, recorded } = room.done(room.web.desk.pause(what)).await?;
    room.look_anew().await;
    Ok(done(&*room.plan().secrets, recorded, &PauseDone { pause, recorded }))
}
