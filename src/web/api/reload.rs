//! The files are read again. A mistake in them changes nothing, and is told with its place.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::response::Response;
use serde_json::json;

use super::answers::{Trouble, answer};
use super::bodies::Nothing;
use crate::engine::reloads::Reloaded;
use crate::web::routes::Room;

/// How long whoever asks waits: thousands of files take seconds, and so do secrets that are kept elsewhere.
const PATIENCE: Duration = Duration::from_secs(50);

/// Takes them, if they are whole.
pub async fn reload(State(room): State<Arc<Room>>, request: Request) -> Result<Response, Trouble> {
    let Nothing {} = room.read(request).await?;
    room.when_ready()?;
    let reloaded = room.done_within(PATIENCE, room.web.desk.reload()).await?;
    room.look_anew().await;
    let secrets = &room.plan().secrets;
    Ok(match reloaded {
        Reloaded::Taken { changes, warnings } => {
            let body = json!({ "changes": changes, "problems": warnings.to_json() });
            answer(&**secrets, StatusCode::OK, &body)
        }
        Reloaded::Refused(problems) => {
            let error = "the configuration was refused whole: what ran goes on unchanged";
            let body = json!({ "error": error, "problems": problems.to_json() });
            answer(&**secrets, StatusCode::UNPROCESSABLE_ENTITY, &body)
        }
    })
}
