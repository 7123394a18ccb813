//! Drills: which channels there are, and whether one works.

use std::sync::Arc;
use std::time::Duration;

use axum::Extension;
use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::response::Response;

use super::answers::{Trouble, answer};
use super::bodies::{Channels, Drill};
use crate::domain::audit::Deed;
use crate::domain::drill::Report;
use crate::domain::names::ChannelName;
use crate::web::access::Caller;
use crate::web::routes::Room;

/// How long whoever asks waits: longer than a drill takes, with what is committed at its end.
const PATIENCE: Duration = Duration::from_secs(60);

/// The channels that can be drilled.
pub async fn channels(State(room): State<Arc<Room>>) -> Response {
    let plan = room.plan();
    let channels = plan.channels.keys().cloned().collect();
    answer(&*plan.secrets, StatusCode::OK, &Channels { channels })
}

/// Drills one. What came of it is the answer, also where it broke.
pub async fn drill(
    State(room): State<Arc<Room>>,
    Extension(caller): Extension<Caller>,
    request: Request,
) -> Result<Response, Trouble> {
    let Drill { channel } = room.read(request).await?;
    room.when_ready()?;
    let plan = room.plan();
    let known = ChannelName::parse(&channel).ok().filter(|channel| plan.channels.contains_key(channel));
    let channel = known.ok_or_else(|| Trouble::unknown("there is no such channel"))?;
    let (desk, of) = (Arc::clone(&room.web.desk), channel.to_string());
    let drill = async move { desk.drill(channel).await };
    let told = |report: &Report| {
        let came_to = if report.broken().is_some() { "broken" } else { "passed" };
        Some((Deed::Drill, of, [String::new(), came_to.to_owned()]))
    };
    let report = room.done_and_put_down(PATIENCE, caller.author(None), drill, told).await?;
    Ok(answer(&*plan.secrets, StatusCode::OK, &report))
}
