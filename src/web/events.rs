//! What tells an open page that something has changed, as server-sent events: the numbers of [`crate::engine::changes`], never
//! what has changed. All who listen watch the same numbers. One that does not read misses some, holds nobody up, and is sent on
//! its way when its time is over.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use axum::{Extension, http};
use futures::stream::unfold;
use tokio::sync::watch;

use super::places::{Connection, Stay};
use super::routes::Room;
use crate::engine::changes::Generations;
use crate::ports::Clock;

/// The least time between two events; what comes meanwhile is one.
const TELL_MIN: Duration = Duration::from_secs(1);

/// How often something is sent at least, so that neither a proxy nor the browser takes the stream for dead.
const PING_EVERY: Duration = Duration::from_secs(15);

/// After how many seconds whoever finds no place may come again.
const COME_AGAIN: HeaderValue = HeaderValue::from_static("10");

/// What is sent when nothing is told.
const PING: &[u8] = b": still here\n\n";

/// Tells until the place is to be left.
pub async fn events(State(room): State<Arc<Room>>, connection: Option<Extension<Connection>>) -> Response {
    let refused = |sentence: &'static str| {
        (StatusCode::SERVICE_UNAVAILABLE, [(header::RETRY_AFTER, COME_AGAIN)], sentence).into_response()
    };
    let Some(changes) = room.web.desk.changes() else { return refused("starting\n") };
    let Some(stay) = connection.and_then(|Extension(connection)| connection.stay()) else {
        return refused("too many listen: the page reads itself anew all the same\n");
    };
    let listener = Listener { changes, stay, clock: Arc::clone(&room.web.clock), greeted: false };
    let told = unfold(listener, |mut listener| async move {
        let text = listener.next().await?;
        Some((Ok::<_, Infallible>(text), listener))
    });
    let headers = [
        (header::CONTENT_TYPE, HeaderValue::from_static("text/event-stream")),
        // nginx would keep events until it has a pageful.
        (http::HeaderName::from_static("x-accel-buffering"), HeaderValue::from_static("no")),
    ];
    (headers, Body::from_stream(told)).into_response()
}

/// Somebody who listens.
struct Listener {
    changes: watch::Receiver<Generations>,
    stay: Stay,
    clock: Arc<dyn Clock>,
    greeted: bool,
}

impl Listener {
    /// What is sent next; nothing when it is over. The first event comes at once: it says how things stand.
    async fn next(&mut self) -> Option<Bytes> {
        if !std::mem::replace(&mut self.greeted, true) {
            return Some(self.event());
        }
        let now = self.clock.monotonic();
        tokio::select! {
            () = self.stay.over() => return None,
            () = self.clock.sleep_until(now + TELL_MIN) => {}
        }
        tokio::select! {
            () = self.stay.over() => None,
            changed = self.changes.changed() => changed.ok().map(|()| self.event()),
            () = self.clock.sleep_until(now + PING_EVERY) => Some(Bytes::from_static(PING)),
        }
    }

    fn event(&mut self) -> Bytes {
        let numbers = *self.changes.borrow_and_update();
        // Numbers cannot fail to be written.
        let numbers = serde_json::to_string(&numbers).unwrap_or_default();
        Bytes::from(format!("data: {numbers}\n\n"))
    }
}
