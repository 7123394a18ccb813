//! `/ping/TOKEN`, `/ping/TOKEN/start`, `/ping/TOKEN/fail`: what jobs elsewhere say of themselves.
//!
//! The token in the path is all that a job needs, whatever guards the rest, and all that it gives: it opens nothing else and
//! nothing is told by it. A token that nobody has is answered as every other such, and says so little that there is nothing
//! to guess by.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::body::Body;
use axum::extract::{Path, Request, State};
use axum::http::{HeaderName, HeaderValue, Method, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use futures::StreamExt as _;
use subtle::{Choice, ConstantTimeEq as _};

use super::limits::{Allowance, Bucket};
use super::routes::Room;
use crate::domain::pulse::{Beat, Ping, TokenDigest};
use crate::domain::redaction::of_cut;
use crate::domain::text::harmless;
use crate::domain::time::Monotonic;
use crate::engine::plan::Plan;
use crate::ports::Secrets;

/// How much of a body is kept, in bytes; the rest is not read.
const TEXT_BYTES_MAX: usize = 1_024;

/// How long a body may take.
const TEXT_PATIENCE: Duration = Duration::from_secs(5);

/// How long tokens that were read serve: a secret that was rotated is in force after this.
const TOKENS_FRESH: Duration = Duration::from_secs(5);

/// The pings of one job: so many at once, and one more each second.
const OF_ONE: Allowance = Allowance { most: 20.0, refill: Duration::from_secs(1) };

/// What nobody's token is, from everybody together.
const OF_NOBODY: Allowance = Allowance { most: 50.0, refill: Duration::from_millis(200) };

/// What the answers to pings share.
#[derive(Default)]
pub struct Door {
    /// The tokens of a plan, and when they were read.
    tokens: tokio::sync::Mutex<Option<(Monotonic, Arc<Plan>, Tokens)>>,
    buckets: Mutex<Buckets>,
}

/// The tokens that jobs may give.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Tokens {
    known: Arc<[TokenDigest]>,
    /// Whether all of them could be read. Else one that is not known may be right.
    is_whole: bool,
}

#[derive(Default)]
struct Buckets {
    of_jobs: BTreeMap<TokenDigest, Bucket>,
    of_nobody: Option<Bucket>,
}

impl Buckets {
    fn admits(&mut self, job: Option<TokenDigest>, now: Monotonic) -> bool {
        let (of, bucket) = match job {
            Some(job) => (OF_ONE, self.of_jobs.entry(job).or_insert_with(|| Bucket::full(OF_ONE, now))),
            None => (OF_NOBODY, self.of_nobody.get_or_insert_with(|| Bucket::full(OF_NOBODY, now))),
        };
        bucket.take(of, now).is_ok()
    }
}

/// The job is done.
pub async fn done(room: State<Arc<Room>>, token: Path<String>, request: Request) -> Response {
    ping(&room, &token, Beat::Done, request).await
}

/// The job has begun.
pub async fn started(room: State<Arc<Room>>, token: Path<String>, request: Request) -> Response {
    ping(&room, &token, Beat::Started, request).await
}

/// The job has failed.
pub async fn failed(room: State<Arc<Room>>, token: Path<String>, request: Request) -> Response {
    ping(&room, &token, Beat::Failed, request).await
}

async fn ping(room: &Room, token: &str, beat: Beat, request: Request) -> Response {
    let again = [(header::RETRY_AFTER, HeaderValue::from_static("5"))];
    let later = |sentence: &'static str| (StatusCode::SERVICE_UNAVAILABLE, again.clone(), sentence).into_response();
    if !room.is_ready() {
        return later("starting\n");
    }
    let given = TokenDigest::of(token);
    let tokens = room.door.tokens(room).await;
    let is_known = tokens.known.iter().fold(Choice::from(0), |found, known| found | known.0.ct_eq(&given.0));
    let job = bool::from(is_known).then_some(given);
    let now = room.web.clock.monotonic();
    if !room.door.buckets.lock().unwrap_or_else(PoisonError::into_inner).admits(job, now) {
        return too_many(again);
    }
    let Some(job) = job else {
        if !tokens.is_whole {
            return later("not all tokens can be read now: ping again\n");
        }
        return (StatusCode::NOT_FOUND, "no heartbeat has this token\n").into_response();
    };
    let text = match request.method() {
        &Method::POST => match room.text(request.into_body()).await {
            Some(text) => text,
            None => return (StatusCode::REQUEST_TIMEOUT, "the text did not come in time\n").into_response(),
        },
        _ => None,
    };
    let text = text.map(|text| without_secrets(&*room.plan().secrets, &text));
    let ping = Ping { at: room.web.clock.now(), beat, text };
    match room.patiently(room.web.pings.take(job, ping)).await {
        Ok(()) => (StatusCode::OK, "ok\n").into_response(),
        Err(error) => {
            tracing::warn!(%error, "a ping was not recorded");
            later("heard and not recorded: ping again\n")
        }
    }
}

/// What a job says is kept for long, and jobs write their environment into it. The text may have been cut within a secret.
fn without_secrets(secrets: &dyn Secrets, text: &str) -> String {
    of_cut(text, |text| secrets.redact(text))
}

fn too_many(again: [(HeaderName, HeaderValue); 1]) -> Response {
    (StatusCode::TOO_MANY_REQUESTS, again, "too many pings: this one does not count\n").into_response()
}

impl Door {
    async fn tokens(&self, room: &Room) -> Tokens {
        let plan = room.plan();
        let mut kept = self.tokens.lock().await;
        let now = room.web.clock.monotonic();
        if let Some((read_at, of, tokens)) = kept.as_ref()
            && Arc::ptr_eq(of, &plan)
            && now.since(*read_at) < TOKENS_FRESH
        {
            return tokens.clone();
        }
        let (mut known, mut is_whole) = (Vec::new(), true);
        for token in plan.tokens() {
            match token.digest(&*plan.secrets).await {
                Ok(digest) => known.push(digest),
                Err(error) => {
                    tracing::error!("the token of a heartbeat cannot be used: {error}");
                    is_whole = false;
                }
            }
        }
        self.buckets.lock().unwrap_or_else(PoisonError::into_inner).of_jobs.retain(|job, _| known.contains(job));
        let tokens = Tokens { known: known.into(), is_whole };
        *kept = Some((now, plan, tokens.clone()));
        tokens
    }
}

impl Room {
    /// The beginning of a text, harmless; outside, nothing when it did not come in time, and inside, when it is empty.
    async fn text(&self, body: Body) -> Option<Option<String>> {
        let mut bytes = Vec::new();
        let reading = async {
            let mut pieces = body.into_data_stream();
            while bytes.len() < TEXT_BYTES_MAX {
                match pieces.next().await {
                    Some(Ok(piece)) => bytes.extend_from_slice(&piece),
                    // What breaks off says what came until then.
                    Some(Err(_)) | None => break,
                }
            }
        };
        tokio::select! {
            () = reading => {}
            () = self.web.clock.sleep_until(self.web.clock.monotonic() + TEXT_PATIENCE) => return None,
        }
        bytes.truncate(TEXT_BYTES_MAX);
        let text = String::from_utf8_lossy(&bytes);
        let text = harmless(text.trim());
        Some((!text.is_empty()).then(|| text.into_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_job_has_an_allowance_of_its_own_and_nobody_has_one_together() {
        let mut buckets = Buckets::default();
        let second = |seconds: u64| Monotonic(Duration::from_secs(seconds));
        let mut admitted = |job: Option<u8>, at| {
            (0..100).filter(|_| buckets.admits(job.map(|job| TokenDigest([job; 32])), second(at))).count()
        };
        assert_eq!((admitted(Some(1), 0), admitted(Some(2), 0), admitted(None, 0)), (20, 20, 50));
        assert_eq!((admitted(Some(1), 3), admitted(None, 3)), (3, 15));
        assert_eq!(admitted(Some(1), 1_000), 20);
    }
}
