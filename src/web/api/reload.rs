//! The files are read again. A mistake in them changes nothing, and is told with its place.

use std::sync::Arc;
use std::time::Duration;

use axum::Extension;
use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::response::Response;

use super::answers::{Trouble, answer, redact};
use super::bodies::{Nothing, ProblemBody, Reload};
use crate::domain::audit::Deed;
use crate::engine::reloads::Reloaded;
use crate::settings::Problems;
use crate::web::access::Caller;
use crate::web::routes::Room;

/// How long whoever asks waits: thousands of files take seconds, and so do secrets that are kept elsewhere.
const PATIENCE: Duration = Duration::from_secs(50);

/// Takes them, if they are whole.
pub async fn reload(
    State(room): State<Arc<Room>>,
    Extension(caller): Extension<Caller>,
    request: Request,
) -> Result<Response, Trouble> {
    let Nothing {} = room.read(request).await?;
    room.when_ready()?;
    let desk = Arc::clone(&room.web.desk);
    let reload = async move { desk.reload().await };
    let told = |reloaded: &Reloaded| {
        let came_to = match reloaded {
            Reloaded::Taken { changes, .. } if changes.is_empty() => "nothing changed".to_owned(),
            Reloaded::Taken { changes, .. } => changes.join(", "),
            Reloaded::Refused(_) => "refused whole".to_owned(),
        };
        Some((Deed::Reload, "the configuration".to_owned(), [String::new(), came_to]))
    };
    let reloaded = room.done_and_put_down(PATIENCE, caller.author(None), reload, told).await?;
    room.look_anew().await;
    let told_of = |problems: &Problems| -> Vec<ProblemBody> {
        let mut told = problems.to_json();
        redact(&*room.plan().secrets, &mut told);
        serde_json::from_value(told).unwrap_or_default()
    };
    match reloaded {
        Reloaded::Taken { changes, warnings } => {
            let problems = told_of(&warnings);
            Ok(answer(&*room.plan().secrets, StatusCode::OK, &Reload { changes, problems }))
        }
        Reloaded::Refused(problems) => {
            let sentence = "the configuration was refused whole: what ran goes on unchanged";
            Err(Trouble::new(StatusCode::UNPROCESSABLE_ENTITY, sentence).with(told_of(&problems)))
        }
    }
}
