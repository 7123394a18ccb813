//! Drills: which channels there are, and whether one works.

use std::sync::Arc;

use axum::Extension;
use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::response::Response;

use super::answers::{Trouble, answer};
use super::bodies::{Channels, Drill};
use crate::domain::audit::Deed;
use crate::domain::names::ChannelName;
use crate::web::access::Caller;
use crate::web::routes::Room;

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
    let report = room.web.desk.drill(channel.clone()).await?;
    let came_to = if report.broken().is_some() { "broken" } else { "passed" };
    room.audit(caller.author(None), Deed::Drill, channel.as_str(), [String::new(), came_to.to_owned()]).await?;
    Ok(answer(&*plan.secrets, StatusCode::OK, &report))
}
