//! How bodies are read, and how everything is answered: JSON, without secrets, and what went wrong as RFC 9457 has it.

use std::sync::Arc;
use std::time::Duration;

use axum::body::{Body, to_bytes};
use axum::extract::Request;
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use schemars::JsonSchema;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use sha2::{Digest as _, Sha256};

use super::bodies::ProblemBody;
use crate::domain::audit::{Author, Deed};
use crate::domain::pause::PauseError;
use crate::domain::quiet::SilenceError;
use crate::domain::text::{harmless, hex};
use crate::domain::time::words;
use crate::engine::audits;
use crate::engine::desk::DeskError;
use crate::engine::driller::DrillError;
use crate::engine::ledger::acts::ActError;
use crate::engine::triggers::{TRIGGER_EVERY, TriggerError};
use crate::ports::{Secrets, StoreError};
use crate::web::routes::Room;
use crate::web::table::API;

/// The largest body, in bytes.
const BODY_MAX: usize = 64 * 1024;

/// How long a body may take.
const BODY_PATIENCE: Duration = Duration::from_secs(10);

/// How long whoever asks waits for the commit: longer than the store waits for another process.
pub const COMMIT_PATIENCE: Duration = Duration::from_secs(8);

/// The media type of what went wrong.
pub const PROBLEM: &str = "application/problem+json";

/// Why something was not done, in the form of RFC 9457.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Problem {
    /// `about:blank`: the status says what sort it is.
    #[serde(rename = "type")]
    pub kind: String,
    /// The name of the status.
    pub title: String,
    /// The status.
    pub status: u16,
    /// What went wrong here, in one sentence.
    pub detail: String,
    /// The path that was asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub instance: Option<String>,
    /// The mistakes in the files, where it is about them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub problems: Vec<ProblemBody>,
}

impl Problem {
    /// A status and the sentence with it.
    pub fn new(status: StatusCode, detail: impl Into<String>) -> Self {
        Self {
            kind: "about:blank".to_owned(),
            title: status.canonical_reason().unwrap_or_default().to_owned(),
            status: status.as_u16(),
            detail: detail.into(),
            instance: None,
            problems: Vec::new(),
        }
    }
}

/// Why something is not answered.
#[derive(Debug)]
pub struct Trouble {
    status: StatusCode,
    error: String,
    /// When to come again.
    wait: Option<Duration>,
    /// The mistakes in the files.
    problems: Vec<ProblemBody>,
}

impl Trouble {
    /// A status and the sentence with it.
    pub fn new(status: StatusCode, error: impl Into<String>) -> Self {
        Self { status, error: error.into(), wait: None, problems: Vec::new() }
    }

    /// It may be asked again after a while.
    #[must_use]
    pub fn again_after(mut self, wait: Duration) -> Self {
        self.wait = Some(wait);
        self
    }

    /// With the mistakes in the files, which are without secrets.
    #[must_use]
    pub fn with(mut self, problems: Vec<ProblemBody>) -> Self {
        self.problems = problems;
        self
    }

    /// The status.
    pub fn status(&self) -> StatusCode {
        self.status
    }

    /// What went wrong.
    pub fn sentence(&self) -> &str {
        &self.error
    }

    /// What is asked for is not there.
    pub fn unknown(error: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_FOUND, error)
    }

    /// The answer, in the form in which that path answers: below the API for programs, elsewhere for people.
    pub fn answer(self, path: &str) -> Response {
        if path.starts_with(API) {
            return self.into_response();
        }
        let mut response = (self.status, format!("{}\n", self.error)).into_response();
        response.headers_mut().extend(self.retry());
        response
    }

    /// When to come again.
    fn retry(&self) -> Option<(HeaderName, HeaderValue)> {
        // The second that has begun counts as one.
        self.wait.map(|wait| (header::RETRY_AFTER, HeaderValue::from(wait.as_secs() + 1)))
    }

    /// It cannot be done as things stand.
    pub fn conflict(error: impl Into<String>) -> Self {
        Self::new(StatusCode::CONFLICT, error)
    }
}

impl IntoResponse for Trouble {
    fn into_response(self) -> Response {
        let retry = self.retry();
        let problem = Problem { problems: self.problems, ..Problem::new(self.status, self.error) };
        let problem = serde_json::to_string(&problem).unwrap_or_default();
        let mut response = (self.status, [(header::CONTENT_TYPE, PROBLEM)], problem + "\n").into_response();
        response.headers_mut().extend(retry);
        response
    }
}

impl From<StoreError> for Trouble {
    fn from(error: StoreError) -> Self {
        tracing::warn!(%error, "a program was not answered");
        Self::new(StatusCode::SERVICE_UNAVAILABLE, error.to_string())
    }
}

impl From<DeskError> for Trouble {
    fn from(error: DeskError) -> Self {
        let status = match &error {
            DeskError::Closed | DeskError::Drill(DrillError::Closed) => StatusCode::SERVICE_UNAVAILABLE,
            DeskError::Act(ActError::NotOpen(_))
            | DeskError::Silence(SilenceError::Unknown(_))
            | DeskError::Pause(PauseError::Unknown(_))
            | DeskError::Trigger(TriggerError::Unknown(_)) => StatusCode::NOT_FOUND,
            DeskError::Act(ActError::Taken(_))
            | DeskError::Silence(SilenceError::Many(_))
            | DeskError::Pause(PauseError::Many(_) | PauseError::Already(_))
            | DeskError::Drill(DrillError::Busy) => StatusCode::CONFLICT,
            DeskError::Trigger(TriggerError::Soon { .. } | TriggerError::Many(_)) => StatusCode::TOO_MANY_REQUESTS,
            DeskError::Act(ActError::By | ActError::Note)
            | DeskError::Silence(_)
            | DeskError::Pause(_)
            | DeskError::Trigger(TriggerError::NotOn { .. }) => StatusCode::UNPROCESSABLE_ENTITY,
            DeskError::Store(_) => {
                tracing::warn!(%error, "what somebody did was not done");
                StatusCode::SERVICE_UNAVAILABLE
            }
        };
        let wait = match &error {
            DeskError::Trigger(TriggerError::Soon { wait, .. }) => Some(*wait),
            DeskError::Trigger(TriggerError::Many(_)) => Some(TRIGGER_EVERY),
            _ => None,
        };
        Self { wait, ..Self::new(status, error.to_string()) }
    }
}

/// An answer without secrets.
pub fn answer(secrets: &dyn Secrets, status: StatusCode, body: &impl Serialize) -> Response {
    match serde_json::to_value(body) {
        Ok(mut body) => {
            redact(secrets, &mut body);
            json_answer(status, &body)
        }
        Err(error) => {
            tracing::error!(%error, "our own fault: an answer cannot be written");
            Trouble::new(StatusCode::INTERNAL_SERVER_ERROR, "the answer cannot be written").into_response()
        }
    }
}

/// The tag is weak: whoever asks again learns whether there is anything new, and not whether each byte is the same.
fn json_answer(status: StatusCode, body: &Value) -> Response {
    let text = format!("{body}\n");
    let tag = format!("W/\"{}\"", hex(&Sha256::digest(&text)[..16]));
    (status, [(header::CONTENT_TYPE, "application/json".to_owned()), (header::ETAG, tag)], text).into_response()
}

/// What was done: 200 when it is recorded, 202 when it holds and is recorded as soon as the store takes it.
pub fn done(secrets: &dyn Secrets, recorded: bool, body: &impl Serialize) -> Response {
    answer(secrets, if recorded { StatusCode::OK } else { StatusCode::ACCEPTED }, body)
}

/// The same without secrets.
pub fn redact(secrets: &dyn Secrets, value: &mut Value) {
    match value {
        Value::String(text) => *text = secrets.redact(text),
        Value::Array(values) => values.iter_mut().for_each(|value| redact(secrets, value)),
        Value::Object(fields) => fields.values_mut().for_each(|value| redact(secrets, value)),
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

impl Room {
    /// Nothing is done before the state is loaded.
    pub fn when_ready(&self) -> Result<(), Trouble> {
        if self.is_ready() { Ok(()) } else { Err(DeskError::Closed.into()) }
    }

    /// A body of JSON. A field that is not known is a mistake: whoever writes it means something by it.
    pub async fn read<T: DeserializeOwned>(&self, request: Request) -> Result<T, Trouble> {
        if !is_json(request.headers()) {
            let sentence = "the body is JSON: say so with `content-type: application/json`";
            return Err(Trouble::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, sentence));
        }
        let bytes = self.bytes(request.into_body()).await?;
        serde_json::from_slice(&bytes)
            .map_err(|error| Trouble::new(StatusCode::BAD_REQUEST, harmless(&error.to_string())))
    }

    /// A body as it came.
    pub async fn bytes(&self, body: Body) -> Result<Vec<u8>, Trouble> {
        let clock = &self.web.clock;
        tokio::select! {
            bytes = to_bytes(body, BODY_MAX) => match bytes {
                Ok(bytes) => Ok(bytes.to_vec()),
                Err(_) => Err(Trouble::new(
                    StatusCode::PAYLOAD_TOO_LARGE,
                    format!("the body is longer than {} KiB, or broke off", BODY_MAX / 1024),
                )),
            },
            () = clock.sleep_until(clock.monotonic() + BODY_PATIENCE) => {
                Err(Trouble::new(StatusCode::REQUEST_TIMEOUT, "the body did not come in time"))
            }
        }
    }

    /// Waits for what was brought to the desk, though not for ever.
    pub async fn done<T>(&self, doing: impl Future<Output = Result<T, DeskError>>) -> Result<T, DeskError> {
        self.done_within(COMMIT_PATIENCE, doing).await
    }

    /// Does something that is no commit by itself, and puts it down: what `told` says of what came of it, which is what was done, to
    /// what, and how it was before and after. Both are done to the end also where whoever asks has gone, which drops the answer that
    /// is made for them, or waits no more.
    pub async fn done_and_put_down<T: Send + 'static>(
        &self,
        most: Duration,
        author: Author,
        doing: impl Future<Output = Result<T, DeskError>> + Send + 'static,
        told: impl FnOnce(&T) -> Option<(Deed, String, [String; 2])> + Send + 'static,
    ) -> Result<T, DeskError> {
        let (desk, clock) = (Arc::clone(&self.web.desk), Arc::clone(&self.web.clock));
        let deed = self.deeds.spawn(async move {
            let done = doing.await?;
            if let Some((deed, of, texts)) = told(&done) {
                desk.audit(audits::of_deed(author, deed, of, texts, clock.now())).await?;
            }
            Ok(done)
        });
        let ended = async {
            deed.await.unwrap_or_else(|error| {
                tracing::error!(%error, "our own fault: what somebody does ended early");
                Err(DeskError::Closed)
            })
        };
        self.done_within(most, ended).await
    }

    /// The same for what takes longer than a commit.
    pub async fn done_within<T>(
        &self,
        most: Duration,
        doing: impl Future<Output = Result<T, DeskError>>,
    ) -> Result<T, DeskError> {
        let clock = &self.web.clock;
        tokio::select! {
            done = doing => done,
            () = clock.sleep_until(clock.monotonic() + most) => {
                let long = words(most);
                Err(StoreError::Failed(format!("no answer within {long}: look whether it was done")).into())
            }
        }
    }
}

fn is_json(headers: &HeaderMap) -> bool {
    let media = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    media.split(';').next().is_some_and(|media| media.trim().eq_ignore_ascii_case("application/json"))
}
