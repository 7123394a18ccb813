//! Silences: which there are, one more, one less.

use std::sync::Arc;

use axum::Extension;
use axum::extract::{Path, Request, State};
use axum::http::StatusCode;
use axum::response::Response;

use super::answers::{Trouble, answer, done};
use super::bodies::{Begin, SilenceDone, Silences};
use crate::domain::audit::Author;
use crate::domain::quiet::SilenceId;
use crate::domain::time::later;
use crate::engine::dispatcher::Silenced;
use crate::engine::ledger::silences::Silencing;
use crate::web::access::Caller;
use crate::web::routes::Room;

/// Those that are not over.
pub async fn all(State(room): State<Arc<Room>>) -> Result<Response, Trouble> {
    room.when_ready()?;
    let (plan, overview, now) = (room.plan(), room.as_it_is().await?, room.web.clock.now());
    let silences = overview.silences.iter().filter(|silence| now < silence.until).cloned().collect();
    Ok(answer(&*plan.secrets, StatusCode::OK, &Silences { silences }))
}

/// One more.
pub async fn begin(
    State(room): State<Arc<Room>>,
    Extension(caller): Extension<Caller>,
    request: Request,
) -> Result<Response, Trouble> {
    let Begin { matchers, by, reason, from, until, length } = room.read(request).await?;
    let until = match (until, length) {
        (Some(until), None) => until,
        (None, Some(length)) => later(from.unwrap_or_else(|| room.web.clock.now()), length.0),
        _ => {
            let sentence = "a silence ends: say either `until` when, or `for` how long";
            return Err(Trouble::new(StatusCode::UNPROCESSABLE_ENTITY, sentence));
        }
    };
    let by = caller.by(by);
    let author = caller.author(Some(by.clone()));
    silence(&room, Silencing::Begin { matchers: matchers.into(), by, reason, from, until }, author).await
}

/// One less: it is over now.
pub async fn end(
    State(room): State<Arc<Room>>,
    Extension(caller): Extension<Caller>,
    Path(id): Path<String>,
) -> Result<Response, Trouble> {
    silence(&room, Silencing::End(SilenceId(Arc::from(id))), caller.author(None)).await
}

/// Begins one or ends one, and answers after the commit.
pub async fn silence(room: &Room, what: Silencing, author: Author) -> Result<Response, Trouble> {
    room.when_ready()?;
    let Silenced { silence, recorded } = room.done(room.web.desk.silence(what, author)).await?;
    room.look_anew().await;
    Ok(done(&*room.plan().secrets, recorded, &SilenceDone { silence, recorded }))
}
