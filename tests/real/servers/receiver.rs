//! A receiver of webhooks, and a target that is well or not, as the test says.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::routing::any;
use serde_json::Value;
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
    /// Its body.
    pub body: Value,
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
    /// How long the answer comes after the message was taken.
    pause: Mutex<Duration>,
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
        let router = Router::new().route("/", any(take)).with_state(Arc::clone(&inbox));
        let (runtime, address) = serve(address, router);
        Self { url: format!("http://{address}/"), inbox, _runtime: runtime }
    }

    /// From now on answers come this long after their message was taken, which is when a plug is best pulled.
    pub fn answer_after(&self, pause: Duration) {
        *self.inbox.pause.lock().expect("no reader panics") = pause;
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

async fn take(State(inbox): State<Arc<Inbox>>, headers: HeaderMap, body: Bytes) -> StatusCode {
    let header = |name: &str| headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default().to_owned();
    let (key, authorization) = (header("idempotency-key"), header("authorization"));
    let Ok(body) = serde_json::from_slice(&body) else { return StatusCode::BAD_REQUEST };
    inbox.taken.lock().expect("no reader panics").push(Taken { key, authorization, body });
    inbox.news.notify_all();
    let pause = *inbox.pause.lock().expect("no reader panics");
    tokio::time::sleep(pause).await;
    StatusCode::NO_CONTENT
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
