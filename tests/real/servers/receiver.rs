//! A receiver of messages, and a target that is well or not, as the test says. The receiver takes webhooks at `/`, and speaks
//! what PagerDuty and Slack speak, with the limits that they document; whatever it was asked stays on its record.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;

use axum::Router;
use axum::body::Bytes;
use axum::extract::{Path, Query, State};
use axum::http::{HeaderMap, StatusCode, Uri};
use axum::routing::any;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::runtime::Runtime;

/// How long what must come may take.
const COMING_MAX: Duration = Duration::from_secs(60);

/// A message that was taken.
#[derive(Clone, Debug)]
pub struct Taken {
    /// Its `Idempotency-Key`.
    pub key: String,
    /// Its `Authorization`.
    pub authorization: String,
    /// Its `X-Roundsman-Signature`.
    pub signature: String,
    /// Where it was sent.
    pub path: String,
    /// Its body as it came.
    pub raw: String,
    /// Its body; a text where it is no JSON.
    pub body: Value,
    /// With what it was answered.
    pub status: StatusCode,
}

impl Taken {
    /// A field that is text.
    pub fn text(&self, field: &str) -> &str {
        self.body[field].as_str().unwrap_or_default()
    }
}

#[derive(Default)]
struct Inbox {
    taken: Mutex<Vec<Taken>>,
    news: Condvar,
}

/// Takes webhooks, for as long as it is held. What it took stays known.
pub struct Receiver {
    /// Where it is.
    pub url: String,
    inbox: Arc<Inbox>,
    _runtime: Runtime,
}

impl Receiver {
    /// A receiver at a free port.
    pub fn start() -> Self {
        Self::at(SocketAddr::from(([127, 0, 0, 1], 0)))
    }

    /// A receiver at this address.
    pub fn at(address: SocketAddr) -> Self {
        let inbox = Arc::new(Inbox::default());
        let router = Router::new()
            .route("/", any(take))
            .route("/v2/enqueue", any(pagerduty))
            .route("/incidents", any(pagerduty_incidents))
            .route("/services/{*place}", any(slack_webhook))
            .route("/api/{method}", any(slack_method))
            .fallback(anything)
            .with_state(Arc::clone(&inbox));
        let (runtime, address) = serve(address, router);
        Self { url: format!("http://{address}/"), inbox, _runtime: runtime }
    }

    /// Everything that was taken, in its order.
    pub fn taken(&self) -> Vec<Taken> {
        self.inbox.taken.lock().expect("no reader panics").clone()
    }

    /// Waits until what was taken is enough.
    pub fn wait_until(&self, enough: impl Fn(&[Taken]) -> bool) -> Vec<Taken> {
        let taken = self.inbox.taken.lock().expect("no reader panics");
        let waited = self.inbox.news.wait_timeout_while(taken, COMING_MAX, |taken| !enough(taken));
        let (taken, result) = waited.expect("no reader panics");
        assert!(!result.timed_out(), "what was taken is not enough: {taken:#?}");
        taken.clone()
    }

    /// How often each key came.
    pub fn keys(&self) -> BTreeMap<String, usize> {
        self.taken().into_iter().fold(BTreeMap::new(), |mut keys, taken| {
            *keys.entry(taken.key).or_default() += 1;
            keys
        })
    }
}

impl Inbox {
    /// Puts down what was asked and how it is answered.
    fn record(&self, uri: &Uri, headers: &HeaderMap, body: &Bytes, status: StatusCode) {
        let header =
            |name: &str| headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default().to_owned();
        let raw = String::from_utf8_lossy(body).into_owned();
        let body = serde_json::from_str(&raw).unwrap_or_else(|_| raw.clone().into());
        self.taken.lock().expect("no reader panics").push(Taken {
            key: header("idempotency-key"),
            authorization: header("authorization"),
            signature: header("x-roundsman-signature"),
            path: uri.to_string(),
            raw,
            body,
            status,
        });
        self.news.notify_all();
    }

    /// The last answer to a method of Slack's that stood for a message: what `ts` it may be known by.
    fn messages(&self) -> Vec<String> {
        let taken = self.taken.lock().expect("no reader panics");
        let posts =
            taken.iter().filter(|taken| taken.path == "/api/chat.postMessage" && taken.status == StatusCode::OK);
        posts.enumerate().map(|(n, _)| ts(n)).collect()
    }
}

/// Slack's name of the n-th message.
fn ts(n: usize) -> String {
    format!("1700000000.{n:06}")
}

async fn take(State(inbox): State<Arc<Inbox>>, uri: Uri, headers: HeaderMap, body: Bytes) -> StatusCode {
    if serde_json::from_slice::<Value>(&body).is_err() {
        return StatusCode::BAD_REQUEST;
    }
    inbox.record(&uri, &headers, &body, StatusCode::NO_CONTENT);
    StatusCode::NO_CONTENT
}

/// Takes everything, as receivers of other forms do.
async fn anything(State(inbox): State<Arc<Inbox>>, uri: Uri, headers: HeaderMap, body: Bytes) -> StatusCode {
    inbox.record(&uri, &headers, &body, StatusCode::OK);
    StatusCode::OK
}

/// Events API v2: <https://developer.pagerduty.com/docs/send-alert-event>.
async fn pagerduty(State(inbox): State<Arc<Inbox>>, uri: Uri, headers: HeaderMap, body: Bytes) -> (StatusCode, String) {
    let event: Value = serde_json::from_slice(&body).unwrap_or_default();
    let text = |value: &Value, max: usize| value.as_str().is_some_and(|text| (1..=max).contains(&text.chars().count()));
    let payload = &event["payload"];
    let severities = ["critical", "error", "warning", "info"];
    let links = event["links"].as_array().into_iter().flatten();
    let is_event = body.len() <= 512 * 1024
        && event["routing_key"].as_str().is_some_and(|key| key.len() == 32)
        && text(&event["dedup_key"], 255)
        && match event["event_action"].as_str() {
            Some("trigger") => {
                text(&payload["summary"], 1_024)
                    && text(&payload["source"], 1_024)
                    && severities.iter().any(|severity| payload["severity"] == *severity)
                    && links.into_iter().all(|link| link["href"].as_str().is_some_and(|href| href.starts_with("http")))
            }
            Some("resolve" | "acknowledge") => true,
            _ => false,
        };
    let status = if is_event { StatusCode::ACCEPTED } else { StatusCode::BAD_REQUEST };
    inbox.record(&uri, &headers, &body, status);
    let answer = if is_event {
        json!({ "status": "success", "message": "Event processed", "dedup_key": event["dedup_key"] })
    } else {
        json!({ "status": "invalid event", "message": "Event object is invalid", "errors": [] })
    };
    (status, answer.to_string())
}

/// The incidents that events of one key became: <https://developer.pagerduty.com/api-reference/9d0b4b12e36f9-list-incidents>.
async fn pagerduty_incidents(
    State(inbox): State<Arc<Inbox>>,
    Query(asked): Query<BTreeMap<String, String>>,
    headers: HeaderMap,
) -> (StatusCode, String) {
    let is_known = headers.get("authorization").is_some_and(|value| value == "Token token=y_NbAkKc66ryYTWUXYEu");
    let Some(key) = asked.get("incident_key").filter(|_| is_known) else {
        return (StatusCode::UNAUTHORIZED, String::new());
    };
    let taken = inbox.taken.lock().expect("no reader panics");
    let mut events =
        taken.iter().filter(|taken| taken.status == StatusCode::ACCEPTED && taken.text("dedup_key") == key);
    let status = |taken: &Taken| if taken.text("event_action") == "resolve" { "resolved" } else { "triggered" };
    // "Incidents with child alerts do not have an incident key."
    let incident = |last: &Taken| json!({ "id": "Q1", "status": status(last) });
    let incidents: Vec<_> = events.next_back().map(incident).into_iter().collect();
    (StatusCode::OK, json!({ "incidents": incidents, "limit": 25, "offset": 0, "more": false }).to_string())
}

/// <https://docs.slack.dev/messaging/sending-messages-using-incoming-webhooks>
async fn slack_webhook(
    State(inbox): State<Arc<Inbox>>,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> (StatusCode, &'static str) {
    let message = serde_json::from_slice(&body).unwrap_or_default();
    let (status, said) = match slack_refuses(&message) {
        Some(why) => (StatusCode::BAD_REQUEST, why),
        None => (StatusCode::OK, "ok"),
    };
    inbox.record(&uri, &headers, &body, status);
    (status, said)
}

/// <https://docs.slack.dev/reference/methods/chat.postMessage>, and `chat.update` beside it. A refusal is a 200 as well; so
/// that the record tells them apart, it is put down as 400.
async fn slack_method(
    State(inbox): State<Arc<Inbox>>,
    Path(method): Path<String>,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> String {
    let message: Value = serde_json::from_slice(&body).unwrap_or_default();
    let known = inbox.messages();
    let is_known = |name: &str| message[name].as_str().is_some_and(|ts| known.iter().any(|known| known == ts));
    let token = headers.get("authorization").and_then(|value| value.to_str().ok()).unwrap_or_default();
    let refusal = if !token.starts_with("Bearer xoxb-") {
        Some("invalid_auth")
    } else if !["C024BE91L", "#ops"].iter().any(|channel| message["channel"] == *channel) {
        Some("channel_not_found")
    } else if method == "chat.update" && (message["channel"] != "C024BE91L" || !is_known("ts")) {
        Some("message_not_found")
    } else if message.get("thread_ts").is_some() && !is_known("thread_ts") {
        Some("thread_not_found")
    } else {
        slack_refuses(&message)
    };
    let ts = if method == "chat.update" { message["ts"].clone() } else { ts(known.len()).into() };
    inbox.record(&uri, &headers, &body, if refusal.is_some() { StatusCode::BAD_REQUEST } else { StatusCode::OK });
    match refusal {
        Some(error) => json!({ "ok": false, "error": error }),
        None => json!({ "ok": true, "channel": "C024BE91L", "ts": ts, "message": message }),
    }
    .to_string()
}

/// What Slack has against a message.
fn slack_refuses(message: &Value) -> Option<&'static str> {
    let fits = |text: &Value, max: usize| text.as_str().is_some_and(|text| (1..=max).contains(&text.chars().count()));
    let is_escaped = |text: &Value| text.as_str().is_some_and(|text| !text.contains("<!"));
    let blocks = message["blocks"].as_array().cloned().unwrap_or_default();
    let is_block = |block: &Value| match block["type"].as_str() {
        Some("header") => block["text"]["type"] == "plain_text" && fits(&block["text"]["text"], 150),
        Some("section") => {
            let fields = block["fields"].as_array().cloned().unwrap_or_default();
            let text = &block["text"];
            (text.is_object() || !fields.is_empty())
                && (text.is_null() || fits(&text["text"], 3_000) && is_escaped(&text["text"]))
                && fields.len() <= 10
                && fields.iter().all(|field| fits(&field["text"], 2_000) && is_escaped(&field["text"]))
        }
        _ => false,
    };
    if !fits(&message["text"], 40_000) || !is_escaped(&message["text"]) {
        return Some("no_text");
    }
    (blocks.len() > 50 || !blocks.iter().all(is_block)).then_some("invalid_blocks")
}

/// A target that answers 200 while it is well and 503 while it is not.
pub struct Target {
    /// Where it is.
    pub url: String,
    well: Arc<AtomicBool>,
    _runtime: Runtime,
}

impl Target {
    /// A target that is well.
    pub fn start() -> Self {
        let well = Arc::new(AtomicBool::new(true));
        let answers = Arc::clone(&well);
        let answer = move || {
            let well = answers.load(Ordering::SeqCst);
            async move { if well { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE } }
        };
        let router = Router::new().route("/", any(answer));
        let (runtime, address) = serve(SocketAddr::from(([127, 0, 0, 1], 0)), router);
        Self { url: format!("http://{address}/"), well, _runtime: runtime }
    }

    /// Makes it well or not.
    pub fn set(&self, well: bool) {
        self.well.store(well, Ordering::SeqCst);
    }
}

fn serve(address: SocketAddr, router: Router) -> (Runtime, SocketAddr) {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build();
    let runtime = runtime.expect("threads");
    let listener = runtime.block_on(TcpListener::bind(address)).expect("a port");
    let address = listener.local_addr().expect("an address");
    runtime.handle().spawn(async move { axum::serve(listener, router).await });
    (runtime, address)
}
