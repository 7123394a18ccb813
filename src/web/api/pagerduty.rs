//! What PagerDuty says of its own accord. It is told 200 whatever comes of what it has signed, since it gives up on a place
//! that refuses; and what it says again does nothing.
//!
//! An acknowledgement from there is told to every channel that was told of the incident, PagerDuty among them: there it
//! acknowledges what is acknowledged, which changes nothing. Should PagerDuty tell us even that, somebody has taken the incident
//! on by then, and nobody is told anything: there is no circle.

use std::collections::VecDeque;
use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::response::Response;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tokio::sync::Mutex;

use super::answers::{Trouble, answer};
use crate::domain::names::ChannelName;
use crate::ports::{Heard, Reply, Says};
use crate::web::routes::Room;

/// The header that holds the signatures.
const SIGNATURE: &str = "x-pagerduty-signature";

/// How many replies are known while the store does not keep them.
const LATELY_MAX: usize = 1_000;

/// What was said lately, by channel and id. Held while something is taken, so that nothing is taken twice at once.
#[derive(Default)]
pub struct Lately(Mutex<VecDeque<(ChannelName, String)>>);

/// Hears PagerDuty.
pub async fn hear(State(room): State<Arc<Room>>, request: Request) -> Result<Response, Trouble> {
    room.when_ready()?;
    let signature = request.headers().get(SIGNATURE).and_then(|value| value.to_str().ok()).map(str::to_owned);
    let body = room.bytes(request.into_body()).await?;
    let (channel, Some(reply)) = listen(&room, &signature.unwrap_or_default(), &body).await? else {
        return Ok(said(&room, "ignored: it says nothing that is understood here"));
    };
    let mut lately = room.heard.0.lock().await;
    let key = (channel, reply.id.clone());
    let known = room.done(room.web.desk.look_up(&key.0, &reply)).await?;
    if known.is_repeated || lately.contains(&key) {
        return Ok(said(&room, "ignored: it was said before"));
    }
    if known.incidents.is_empty() {
        return Ok(said(&room, "ignored: which incident it is about is not known here"));
    }
    let taken = room.done(room.web.desk.heed(&key.0, &reply, known.incidents)).await?;
    if taken > 0 {
        room.look_anew().await;
    }
    let became = match (&reply.says, taken) {
        (Says::Nothing, _) => "ignored: it changes nothing here",
        (_, 0) => "ignored: the incident is not open here, or somebody has taken it on",
        _ => "taken",
    };
    lately.push_back(key);
    if lately.len() > LATELY_MAX {
        lately.pop_front();
    }
    Ok(said(&room, became))
}

/// The channel whose receiver it is, and what it says.
async fn listen(room: &Room, signature: &str, body: &[u8]) -> Result<(ChannelName, Option<Reply>), Trouble> {
    let (plan, mut listens, mut away) = (room.plan(), false, false);
    for (name, channel) in &plan.channels {
        match channel.hear(signature, body).await {
            Heard::Deaf => continue,
            Heard::Unsigned => {}
            Heard::Away(error) => {
                tracing::error!(channel = %name, "what PagerDuty says cannot be checked: {error}");
                away = true;
            }
            Heard::Strange => return Ok((name.clone(), None)),
            Heard::Reply(reply) => return Ok((name.clone(), Some(reply))),
        }
        listens = true;
    }
    Err(if away {
        Trouble::new(StatusCode::SERVICE_UNAVAILABLE, "the signature cannot be checked now: the log says why")
    } else if listens {
        Trouble::new(StatusCode::UNAUTHORIZED, "it is not signed with the `webhook_secret` of a channel")
    } else {
        Trouble::new(StatusCode::UNAUTHORIZED, "no channel has a `webhook_secret`, so nobody is heard here")
    })
}

/// What came of what was heard.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct HeardBody {
    /// In words.
    pub outcome: String,
}

fn said(room: &Room, became: &str) -> Response {
    answer(&*room.plan().secrets, StatusCode::OK, &HeardBody { outcome: became.to_owned() })
}
