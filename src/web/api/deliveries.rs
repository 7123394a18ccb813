//! Messages that their channels have not taken: which there are, and that they are tried again.

use std::sync::Arc;

use axum::Extension;
use axum::extract::{Path, Request, State};
use axum::http::StatusCode;
use axum::response::Response;

use super::answers::{COMMIT_PATIENCE, Trouble, answer};
use super::bodies::{Deliveries, Nothing, RedriveDone};
use crate::domain::audit::Deed;
use crate::ports::{Redrive, Redriven, Untaken};
use crate::web::access::Caller;
use crate::web::routes::Room;

/// What waits, rests or was given up.
pub async fn all(State(room): State<Arc<Room>>) -> Result<Response, Trouble> {
    room.when_ready()?;
    let undelivered = room.done(room.web.desk.undelivered()).await?;
    let (Untaken { waiting, given_up, .. }, deliveries) = (undelivered.total(), undelivered.rows);
    Ok(answer(&*room.plan().secrets, StatusCode::OK, &Deliveries { deliveries, waiting, given_up }))
}

/// One is tried again, with what belongs to it.
pub async fn redrive(
    State(room): State<Arc<Room>>,
    Extension(caller): Extension<Caller>,
    Path(id): Path<String>,
    request: Request,
) -> Result<Response, Trouble> {
    again(&room, &caller, Redrive::One(id), request).await
}

/// All are tried again.
pub async fn redrive_all(
    State(room): State<Arc<Room>>,
    Extension(caller): Extension<Caller>,
    request: Request,
) -> Result<Response, Trouble> {
    again(&room, &caller, Redrive::All, request).await
}

async fn again(room: &Room, caller: &Caller, what: Redrive, request: Request) -> Result<Response, Trouble> {
    let Nothing {} = room.read(request).await?;
    let due = redriven(room, caller, what).await?;
    Ok(answer(&*room.plan().secrets, StatusCode::OK, &RedriveDone { due }))
}

/// Has it tried again, and says of how many messages.
pub async fn redriven(room: &Room, caller: &Caller, what: Redrive) -> Result<u64, Trouble> {
    room.when_ready()?;
    let (of, id) = match &what {
        Redrive::One(id) => (format!("the message {id}"), id.clone()),
        Redrive::All => ("it".to_owned(), "all messages".to_owned()),
    };
    let (desk, now) = (Arc::clone(&room.web.desk), room.web.clock.now());
    let redrive = async move { desk.redrive(what, now).await };
    let told = |redriven: &Redriven| match redriven {
        Redriven::Due(due) => Some((Deed::Redrive, id, ["not taken".to_owned(), format!("{due} due")])),
        _ => None,
    };
    match room.done_and_put_down(COMMIT_PATIENCE, caller.author(None), redrive, told).await? {
        Redriven::Due(due) => Ok(due),
        Redriven::Unknown => Err(Trouble::unknown("there is no such message")),
        Redriven::Settled => Err(Trouble::conflict(format!("{of} was delivered, or said by another"))),
        Redriven::Overtaken => {
            Err(Trouble::conflict(format!("{of} comes too late: its channel has heard what came after it")))
        }
        Redriven::HandedOver => Err(Trouble::conflict(format!(
            "{of} was told to the fallback in the place of its channel, and what follows is told there"
        ))),
    }
}
