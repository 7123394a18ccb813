//! The status page as it is asked for. It is drawn once for all who ask for the same within a second, and the past of its rows is
//! read once a minute.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::body::Bytes;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use maud::Markup;

use super::days::{self, BACK, Day};
use super::filter::Filter;
use super::frame::Place;
use super::routes::{Room, html};
use super::status::{self, Chosen, Past};
use super::visit::Visit;
use crate::domain::history::Grain;
use crate::domain::time::{Monotonic, earlier};
use crate::ports::{Pair, StoreError};

/// How many different status pages are kept for a second.
pub const KEPT_MAX: usize = 32;

/// How long the days of a row serve. Only the last of them changes.
const DAYS_FRESH: Duration = Duration::from_secs(60);

/// Of how many rows the days are kept.
const DAYS_MAX: usize = 1_024;

/// A page that was drawn.
pub type Drawn = (StatusCode, Bytes);

/// Days, with when they were read.
type Read = (Monotonic, Arc<[Day]>);

/// The days of rows.
#[derive(Default)]
pub struct Days(Mutex<BTreeMap<Pair, Read>>);

/// The page.
pub async fn status_page(State(room): State<Arc<Room>>, visit: Visit) -> Response {
    if !room.is_ready() {
        let plan = room.plan();
        return html(StatusCode::SERVICE_UNAVAILABLE, status::starting(&room.view(&plan, &visit), Place::Status));
    }
    let name = format!("{}\n{}", visit.query(visit.is_still()), visit.user.as_deref().unwrap_or_default());
    let (status, page) = room.fronts.get(&*room.web.clock, name, draw(&room, &visit)).await;
    (status, [(header::CONTENT_TYPE, "text/html; charset=utf-8")], page).into_response()
}

async fn draw(room: &Room, visit: &Visit) -> Drawn {
    let drawn = |status: StatusCode, page: Markup| (status, Bytes::from(page.into_string()));
    let plan = room.plan();
    match room.known().await {
        Ok((seen, overview)) => {
            let mut view = room.view(&plan, visit);
            view.seen = seen;
            let chosen = Chosen::new(&view, &overview, Filter::of(visit));
            let past = room.past(chosen.pairs()).await.unwrap_or_else(|error| {
                tracing::warn!(%error, "the status page could not read what was");
                Past::new()
            });
            drawn(StatusCode::OK, status::status(&view, &overview, &chosen, &past))
        }
        Err(error) => {
            tracing::warn!(%error, "a page could not read the store");
            let page = status::unreadable(&room.view(&plan, visit), Place::Status, &error.to_string());
            drawn(StatusCode::SERVICE_UNAVAILABLE, page)
        }
    }
}

impl Room {
    /// The days of these rows, as they were a minute ago at most.
    pub async fn past(&self, of: BTreeSet<Pair>) -> Result<Past, StoreError> {
        let now = self.web.clock.monotonic();
        let mut past = Past::new();
        let mut wanted = BTreeSet::new();
        {
            let kept = self.days.0.lock().unwrap_or_else(PoisonError::into_inner);
            for pair in of {
                match kept.get(&pair) {
                    Some((read_at, days)) if now.since(*read_at) < DAYS_FRESH => {
                        past.insert(pair, Arc::clone(days));
                    }
                    _ => {
                        wanted.insert(pair);
                    }
                }
            }
        }
        if wanted.is_empty() {
            return Ok(past);
        }
        let until = self.web.clock.now();
        let from = earlier(until, BACK);
        let mut found = self.patiently(self.web.history.history(wanted.clone(), from, until, Grain::Day)).await?;
        let mut kept = self.days.0.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.len() + wanted.len() > DAYS_MAX {
            kept.clear();
        }
        for pair in wanted {
            let days: Arc<[Day]> = days::days(&found.remove(&pair).unwrap_or_default()).into();
            // Of what has not run yet the first run is to be seen at once.
            if !days.is_empty() {
                kept.insert(pair.clone(), (now, Arc::clone(&days)));
            }
            past.insert(pair, days);
        }
        Ok(past)
    }
}
