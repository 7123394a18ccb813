//! What is around the daemon: twenty endpoints that are well or not, and receivers of four kinds that put down whatever they
//! take, in its order. Both know the instants at which a plug is best pulled, and say so when one has come.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, mpsc};
use std::time::Duration;

use axum::Router;
use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse as _, Response};
use axum::routing::{any, post};
use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::runtime::Runtime;
use tokio_util::task::TaskTracker;

/// How many endpoints there are.
pub const ENDPOINTS: usize = 20;

/// The channels, one of each kind.
pub const CHANNELS: [&str; 4] = ["hook", "duty", "team", "topic"];

/// An instant at which a plug is pulled.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Point {
    /// At no instant in particular.
    Random,
    /// While the process loads what the one before it left.
    Loading,
    /// An endpoint has answered otherwise than before; nothing is committed yet.
    Judging,
    /// The log of the store is being written.
    Writing,
    /// A message is committed, and perhaps on its way.
    Committed,
    /// A receiver has a message, and has not answered.
    Sent,
    /// A receiver has answered, which perhaps nobody has put down.
    Answered,
}

impl Point {
    /// The crash points.
    pub const CRASHES: [Self; 6] =
        [Self::Loading, Self::Judging, Self::Writing, Self::Committed, Self::Sent, Self::Answered];
}

/// What a receiver took.
#[derive(Clone, Debug)]
pub struct Taken {
    /// The channel, the incident, and `opened` or `resolved`.
    pub key: Key,
    /// It tells the beginning and the end.
    pub late: bool,
    /// It was taken and the answer said that it was not, as when a proxy gives up.
    pub denied: bool,
}

/// The channel, the incident, and what of it is told.
pub type Key = (String, String, String);

struct Inner {
    well: [AtomicBool; ENDPOINTS],
    answered: [AtomicBool; ENDPOINTS],
    record: Mutex<Vec<Taken>>,
    /// The index of the channel that takes nothing; beyond them none.
    down: AtomicUsize,
    /// Receivers do nothing wrong.
    calm: AtomicBool,
    armed: Mutex<Option<Point>>,
    tripped: mpsc::Sender<()>,
    random: Mutex<StdRng>,
    soon: TaskTracker,
}

/// All of it; it is there for as long as it is held.
pub struct World {
    inner: Arc<Inner>,
    tripped: Mutex<mpsc::Receiver<()>>,
    /// Where it listens.
    pub address: SocketAddr,
    _runtime: Runtime,
}

impl World {
    /// Everything is well.
    pub fn start(seed: u64) -> Self {
        let (sender, tripped) = mpsc::channel();
        let inner = Arc::new(Inner {
            well: std::array::from_fn(|_| AtomicBool::new(true)),
            answered: std::array::from_fn(|_| AtomicBool::new(true)),
            record: Mutex::default(),
            down: AtomicUsize::new(usize::MAX),
            calm: AtomicBool::new(false),
            armed: Mutex::new(None),
            tripped: sender,
            random: Mutex::new(StdRng::seed_from_u64(seed)),
            soon: TaskTracker::new(),
        });
        let router = Router::new()
            .route("/endpoints/{n}", any(endpoint))
            .route("/hook", post(hook))
            .route("/duty", post(duty))
            .route("/team", post(team))
            .route("/", post(topic))
            .with_state(Arc::clone(&inner));
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build();
        let runtime = runtime.expect("threads");
        let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0")).expect("a port");
        let address = listener.local_addr().expect("an address");
        runtime.handle().spawn(async move { axum::serve(listener, router).await });
        Self { inner, tripped: Mutex::new(tripped), address, _runtime: runtime }
    }

    /// The configuration that watches the endpoints and tells the receivers.
    pub fn configuration(&self) -> tempfile::TempDir {
        let at = self.address;
        let each: Vec<_> = (0..ENDPOINTS).map(|n| format!("n{n}: \"{n}\"")).collect();
        let each = each.join(", ");
        crate::commands::configuration(&[
            (
                "roundsman.yaml",
                &format!(
                    "web: {{ listen: \"${{env:ROUNDSMAN_LISTEN}}\" }}
secrets: {{ key: {{ env: KEY }}, team: {{ env: TEAM }} }}
channels:
  hook: {{ webhook: \"http://{at}/hook\" }}
  duty: {{ pagerduty: {{ routing_key: \"${{secret:key}}\", url: \"http://{at}/duty\" }} }}
  team: {{ slack: {{ webhook: \"${{secret:team}}\" }} }}
  topic: {{ sns: \"arn:aws:sns:us-east-1:123456789012:ops\" }}
routes: [{{ to: [hook, duty, team, topic] }}]
group: {{ wait: 0s, limit: 1000 }}
"
                ),
            ),
            (
                "probes/p.yaml",
                &format!("api: {{ each: {{ {each} }}, http: \"http://{at}/endpoints/${{each:value}}\" }}\n"),
            ),
            (
                "schedules/s.yaml",
                "often: { every: 1s, probes: [\"*\"], alert: { after: 1, severity: P1, flapping: { openings: 100, within: 10s } } }\n",
            ),
        ])
    }

    /// What the configuration reads of its environment.
    pub fn environment(&self) -> Vec<(&'static str, String)> {
        vec![
            ("KEY", "0123456789abcdef0123456789abcdef".to_owned()),
            ("TEAM", format!("http://{}/team", self.address)),
            ("AWS_ENDPOINT_URL_SNS", format!("http://{}", self.address)),
            ("AWS_ACCESS_KEY_ID", "AKIDTEST".to_owned()),
            ("AWS_SECRET_ACCESS_KEY", "hunter2".to_owned()),
        ]
    }

    /// Changes an endpoint.
    pub fn flip(&self, n: usize) {
        self.inner.well[n].fetch_xor(true, Ordering::SeqCst);
    }

    /// From now on this channel takes nothing, or none is down.
    pub fn set_down(&self, channel: Option<usize>) {
        self.inner.down.store(channel.unwrap_or(usize::MAX), Ordering::SeqCst);
    }

    /// From now on everything is well.
    pub fn heal(&self) {
        self.set_down(None);
        self.inner.calm.store(true, Ordering::SeqCst);
        self.inner.well.iter().for_each(|well| well.store(true, Ordering::SeqCst));
    }

    /// Waits for an instant, and says whether it has come.
    pub fn wait_for(&self, point: Point, most: Duration) -> bool {
        let tripped = self.tripped.lock().expect("no panic");
        while tripped.try_recv().is_ok() {}
        *self.inner.armed.lock().expect("no panic") = Some(point);
        let has_come = tripped.recv_timeout(most).is_ok();
        *self.inner.armed.lock().expect("no panic") = None;
        has_come
    }

    /// All that was taken, in its order.
    pub fn taken(&self) -> Vec<Taken> {
        self.inner.record.lock().expect("no panic").clone()
    }
}

impl Inner {
    fn trip(&self, point: Point) {
        if self.armed.lock().expect("no panic").take_if(|armed| *armed == point).is_some() {
            let _ = self.tripped.send(());
        }
    }

    fn below(&self, limit: u32) -> u32 {
        self.random.lock().expect("no panic").random_range(0..limit)
    }

    /// Takes a message, or fails as receivers do; `well` is the answer that says so.
    async fn take(&self, channel: &str, incident: &str, event: &str, late: bool, well: Response) -> Response {
        let is_calm = self.calm.load(Ordering::SeqCst);
        let is_down = CHANNELS.get(self.down.load(Ordering::SeqCst)) == Some(&channel);
        if is_down || !is_calm && self.below(20) == 0 {
            return StatusCode::SERVICE_UNAVAILABLE.into_response();
        }
        let denied = !is_calm && self.below(30) == 0;
        let key = (channel.to_owned(), incident.to_owned(), event.to_owned());
        self.record.lock().expect("no panic").push(Taken { key, late, denied });
        self.trip(Point::Sent);
        tokio::time::sleep(Duration::from_millis(self.below(60).into())).await;
        if denied { StatusCode::BAD_GATEWAY.into_response() } else { well }
    }
}

/// Trips once the answer is on its way.
fn soon(inner: &Arc<Inner>, point: Point) {
    let tracker = inner.soon.clone();
    let inner = Arc::clone(inner);
    tracker.spawn(async move {
        tokio::time::sleep(Duration::from_micros(u64::from(inner.below(3_000)))).await;
        inner.trip(point);
    });
}

async fn endpoint(State(inner): State<Arc<Inner>>, Path(n): Path<usize>) -> StatusCode {
    let well = inner.well[n].load(Ordering::SeqCst);
    if inner.answered[n].swap(well, Ordering::SeqCst) != well {
        soon(&inner, Point::Judging);
    }
    if well { StatusCode::OK } else { StatusCode::INTERNAL_SERVER_ERROR }
}

async fn answered(inner: &Arc<Inner>, channel: &str, told: (&str, &str, bool), well: Response) -> Response {
    let (incident, event, late) = told;
    let response = inner.take(channel, incident, event, late, well).await;
    soon(inner, Point::Answered);
    response
}

async fn hook(State(inner): State<Arc<Inner>>, headers: HeaderMap, body: Bytes) -> Response {
    let body: Value = serde_json::from_slice(&body).expect("JSON");
    let text = |name: &str| body[name].as_str().expect("a text");
    let key = headers["idempotency-key"].to_str().expect("text");
    assert!(key.starts_with(text("incident")), "{key}");
    let told = (text("incident"), text("event"), body["late"] == true);
    answered(&inner, "hook", told, StatusCode::NO_CONTENT.into_response()).await
}

async fn duty(State(inner): State<Arc<Inner>>, body: Bytes) -> Response {
    let body: Value = serde_json::from_slice(&body).expect("JSON");
    let key = body["dedup_key"].as_str().expect("a key");
    let event = match body["event_action"].as_str() {
        Some("trigger") => "opened",
        Some("resolve") => "resolved",
        other => panic!("{other:?}"),
    };
    let well = json!({ "status": "success", "message": "Event processed", "dedup_key": key }).to_string();
    answered(&inner, "duty", (key, event, false), (StatusCode::ACCEPTED, well).into_response()).await
}

async fn team(State(inner): State<Arc<Inner>>, body: Bytes) -> Response {
    let body: Value = serde_json::from_slice(&body).expect("JSON");
    let fields = body["blocks"].as_array().expect("blocks").iter().filter_map(|block| block["fields"].as_array());
    let fields: Vec<_> = fields.flatten().filter_map(|field| field["text"].as_str()?.split_once(": ")).collect();
    let field = |name: &str| fields.iter().find(|(known, _)| *known == name).map(|(_, value)| *value);
    let event = body["text"].as_str().and_then(|text| text.split([' ', ':']).nth(1)).expect("an event");
    let told = (field("incident").expect("its id"), event, field("late").is_some());
    answered(&inner, "team", told, "ok".into_response()).await
}

async fn topic(State(inner): State<Arc<Inner>>, body: Bytes) -> Response {
    let form: std::collections::BTreeMap<_, _> = url::form_urlencoded::parse(&body).into_owned().collect();
    let attribute = |name: &str| {
        let place = form.iter().find(|(key, value)| key.ends_with(".Name") && *value == name).expect("an attribute").0;
        form[&place.replace(".Name", ".Value.StringValue")].as_str()
    };
    let late = form["Message"].lines().any(|line| line.starts_with("late "));
    let well = "<PublishResponse xmlns=\"http://sns.amazonaws.com/doc/2010-03-31/\"><PublishResult><MessageId>m-1\
        </MessageId></PublishResult><ResponseMetadata><RequestId>r-1</RequestId></ResponseMetadata></PublishResponse>";
    let told = (attribute("incident"), attribute("state"), late);
    answered(&inner, "topic", told, ([("content-type", "text/xml")], well).into_response()).await
}
