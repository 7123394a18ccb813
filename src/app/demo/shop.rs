//! A small shop to watch: `/health` as the shop of the seed answers it, `POST /login`, `/wardrobe`, `POST /logout`, with
//! sessions that really end. It can be broken in the ways in which shops break.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use axum::Router;
use axum::body::Bytes;
use axum::extract::{Query, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use axum::routing::{get, post};
use clap::ValueEnum;
use serde_json::{Value, json};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use super::storefront::{self, Searches};
use crate::domain::time::{Monotonic, Timestamp, rfc3339};
use crate::ports::Clock;

/// The password of the user `probe`. It opens nothing but this shop, which exists as long as the demo.
pub const SHOPPER_PASSWORD: &str = "demo-shopper-password";

/// How long a session lasts that nobody uses: a login whose answer nobody read leaves nothing for long.
const SESSION_IDLE_MAX: Duration = Duration::from_secs(15 * 60);

/// How many sessions are kept; the oldest ends first.
const SESSIONS_MAX: usize = 1_000;

/// How many things a wardrobe holds.
const ITEMS_MAX: usize = 100;

/// How slow a slow shop is.
const SLOW: Duration = Duration::from_secs(3);

/// How long a client may take for its TLS handshake.
const HANDSHAKE_MAX: Duration = Duration::from_secs(5);

/// How a shop breaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Breakage {
    /// It says that its database is degraded.
    Database,
    /// Every answer takes three seconds.
    Slow,
    /// Nobody can log in.
    Login,
    /// Two of three requests fail.
    Flaky,
    /// Nobody listens.
    Down,
}

impl Breakage {
    /// What is wrong, after "it is".
    pub fn words(self) -> &'static str {
        match self {
            Self::Database => "without its database",
            Self::Slow => "three seconds slow",
            Self::Login => "unable to log anybody in",
            Self::Flaky => "failing two of three requests",
            Self::Down => "down",
        }
    }
}

struct Session {
    items: BTreeMap<String, String>,
    used_at: Monotonic,
}

/// The shop.
pub struct Shop {
    clock: Arc<dyn Clock>,
    broken: watch::Sender<Option<Breakage>>,
    /// By token; tokens sort by time, so the first is the oldest.
    sessions: Mutex<BTreeMap<String, Session>>,
    requests: AtomicU64,
    /// What its own pages call themselves in the header `Origin`.
    origin: OnceLock<String>,
    pub(super) searches: Searches,
}

impl Shop {
    /// A shop that is well.
    pub fn open(clock: Arc<dyn Clock>) -> Self {
        let (broken, _) = watch::channel(None);
        Self {
            clock,
            broken,
            sessions: Mutex::default(),
            requests: AtomicU64::new(0),
            origin: OnceLock::new(),
            searches: Searches::default(),
        }
    }

    /// Says where its pages are, once that is known.
    pub fn stand_at(&self, origin: &str) {
        self.origin.get_or_init(|| origin.to_owned());
    }

    /// Whether a request comes from one of its own pages.
    pub fn is_origin(&self, origin: &HeaderValue) -> bool {
        self.origin.get().is_some_and(|own| origin == own.as_str())
    }

    /// The wall clock.
    pub fn time(&self) -> Timestamp {
        self.clock.now()
    }

    /// The clock that does not step.
    pub fn now(&self) -> Monotonic {
        self.clock.monotonic()
    }

    /// Breaks the shop, or mends it.
    pub fn break_with(&self, what: Option<Breakage>) {
        self.requests.store(0, Ordering::Relaxed);
        self.broken.send_replace(what);
    }

    /// Serves at a listener until it is dropped. While the shop is down nobody listens at its port.
    pub async fn keep_open<S: Future<Output = ()>>(&self, mut listener: TcpListener, serve: impl Fn(TcpListener) -> S) {
        let Ok(address) = listener.local_addr() else { return };
        let mut broken = self.broken.subscribe();
        loop {
            tokio::select! {
                () = serve(listener) => return,
                _ = broken.wait_for(|what| *what == Some(Breakage::Down)) => {}
            }
            // The listener went with the select above; its port is ours again once the shop is mended.
            let _ = broken.wait_for(|what| *what != Some(Breakage::Down)).await;
            listener = match TcpListener::bind(address).await {
                Ok(listener) => listener,
                Err(error) => return tracing::error!("a part of the demo's shop cannot open again: {error}"),
            };
        }
    }

    /// Whether it is broken in that way.
    pub fn is(&self, what: Breakage) -> bool {
        *self.broken.borrow() == Some(what)
    }

    /// Does `with` to the session of the request, if it is logged in.
    fn with_session<T>(&self, headers: &HeaderMap, with: impl FnOnce(&mut Session) -> T) -> Option<T> {
        let token = token(headers)?;
        let now = self.clock.monotonic();
        let mut sessions = self.open_sessions();
        let session = sessions.get_mut(token)?;
        session.used_at = now;
        Some(with(session))
    }

    fn open_sessions(&self) -> MutexGuard<'_, BTreeMap<String, Session>> {
        let now = self.clock.monotonic();
        let mut sessions = self.sessions.lock().unwrap_or_else(PoisonError::into_inner);
        sessions.retain(|_, session| now.since(session.used_at) < SESSION_IDLE_MAX);
        sessions
    }

    /// What is in each wardrobe of a session that is not over, by name.
    pub fn wardrobes(&self) -> Vec<Vec<String>> {
        self.open_sessions().values().map(|session| session.items.values().cloned().collect()).collect()
    }
}

fn token(headers: &HeaderMap) -> Option<&str> {
    headers.get(header::AUTHORIZATION)?.to_str().ok()?.strip_prefix("Bearer ")
}

fn router(shop: Arc<Shop>) -> Router {
    Router::new()
        .route("/health", get(health))
        .route("/login", post(login))
        .route("/logout", post(logout))
        .route("/wardrobe", get(list).post(add).delete(remove).options(asked_before))
        .merge(storefront::routes())
        .layer(axum::middleware::from_fn_with_state(Arc::clone(&shop), trouble))
        .with_state(shop)
}

/// Serves over HTTP until it is dropped.
pub async fn serve(listener: TcpListener, shop: Arc<Shop>) {
    let serve = |listener| async {
        if let Err(error) = axum::serve(listener, router(Arc::clone(&shop))).await {
            tracing::error!("the demo's shop ended: {error}");
        }
    };
    shop.keep_open(listener, serve).await;
}

/// Serves over HTTPS until it is dropped.
pub async fn serve_tls(listener: TcpListener, acceptor: TlsAcceptor, shop: Arc<Shop>) {
    if let Err(error) = axum::serve(TlsListener { listener, acceptor }, router(shop)).await {
        tracing::error!("the demo's shop ended: {error}");
    }
}

struct TlsListener {
    listener: TcpListener,
    acceptor: TlsAcceptor,
}

impl axum::serve::Listener for TlsListener {
    type Io = TlsStream<TcpStream>;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Self::Io, Self::Addr) {
        loop {
            let (stream, from) = axum::serve::Listener::accept(&mut self.listener).await;
            // One handshake at a time is enough for a shop with one customer.
            if let Ok(Ok(stream)) = tokio::time::timeout(HANDSHAKE_MAX, self.acceptor.accept(stream)).await {
                return (stream, from);
            }
        }
    }

    fn local_addr(&self) -> std::io::Result<SocketAddr> {
        self.listener.local_addr()
    }
}

/// What is wrong with the whole shop stands before every answer.
async fn trouble(
    State(shop): State<Arc<Shop>>,
    request: axum::extract::Request,
    next: axum::middleware::Next,
) -> Response {
    if shop.is(Breakage::Slow) {
        tokio::time::sleep(SLOW).await;
    }
    if shop.is(Breakage::Flaky) && shop.requests.fetch_add(1, Ordering::Relaxed) % 3 < 2 {
        return answer(StatusCode::SERVICE_UNAVAILABLE, &json!({ "error": "try again later" }));
    }
    next.run(request).await
}

/// An answer of the API.
pub fn answer(status: StatusCode, body: &Value) -> Response {
    (status, [(header::CONTENT_TYPE, "application/json")], body.to_string()).into_response()
}

/// What a browser asks before it lets a page call.
async fn asked_before(State(shop): State<Arc<Shop>>, headers: HeaderMap) -> Response {
    storefront::preflight(&shop, &headers)
}

/// As the seed writes it, field for field.
async fn health(State(shop): State<Arc<Shop>>) -> Response {
    let state = |broken| if broken { "degraded" } else { "ok" };
    let (database, auth) = (shop.is(Breakage::Database), shop.is(Breakage::Login));
    let status = if database || auth { "degraded" } else { "healthy" };
    answer(
        StatusCode::OK,
        &json!({
            "status": status,
            "timestamp": rfc3339(shop.clock.now()),
            "version": "1.0.0",
            "services": { "database": state(database), "cache": "ok", "auth": state(auth), "storage": "ok" },
            "latency_ms": 42,
        }),
    )
}

async fn login(State(shop): State<Arc<Shop>>, body: Bytes) -> Response {
    if shop.is(Breakage::Login) {
        return answer(StatusCode::INTERNAL_SERVER_ERROR, &json!({ "error": "the user pool does not answer" }));
    }
    let wanted: Value = serde_json::from_slice(&body).unwrap_or_default();
    if wanted["user"] != "probe" || wanted["password"] != SHOPPER_PASSWORD {
        return answer(StatusCode::UNAUTHORIZED, &json!({ "error": "unknown user or wrong password" }));
    }
    let token = crate::engine::runner::new_id(shop.clock.now());
    let mut sessions = shop.open_sessions();
    while sessions.len() >= SESSIONS_MAX {
        sessions.pop_first();
    }
    sessions.insert(token.clone(), Session { items: BTreeMap::new(), used_at: shop.clock.monotonic() });
    answer(StatusCode::OK, &json!({ "token": token, "user": { "name": "probe" } }))
}

async fn logout(State(shop): State<Arc<Shop>>, headers: HeaderMap) -> Response {
    let ended = token(&headers).and_then(|token| shop.open_sessions().remove(token));
    if ended.is_some() { StatusCode::NO_CONTENT.into_response() } else { unauthorized() }
}

fn unauthorized() -> Response {
    answer(StatusCode::UNAUTHORIZED, &json!({ "error": "log in first" }))
}

async fn list(State(shop): State<Arc<Shop>>, headers: HeaderMap) -> Response {
    let items = shop.with_session(&headers, |session| {
        let items = session.items.iter().map(|(id, name)| json!({ "id": id, "name": name }));
        items.collect::<Vec<_>>()
    });
    items.map_or_else(unauthorized, |items| answer(StatusCode::OK, &json!({ "items": items })))
}

async fn add(State(shop): State<Arc<Shop>>, headers: HeaderMap, body: Bytes) -> Response {
    let wanted: Value = serde_json::from_slice(&body).unwrap_or_default();
    let name = wanted["name"].as_str().unwrap_or_default();
    if name.is_empty() || name.len() > 200 {
        return answer(StatusCode::BAD_REQUEST, &json!({ "error": "a thing has a name of at most 200 bytes" }));
    }
    let id = crate::engine::runner::new_id(shop.clock.now());
    let added = shop.with_session(&headers, |session| {
        let room = session.items.len() < ITEMS_MAX;
        if room {
            session.items.insert(id.clone(), name.to_owned());
        }
        room
    });
    match added {
        None => unauthorized(),
        Some(false) => answer(StatusCode::CONFLICT, &json!({ "error": "the wardrobe is full" })),
        Some(true) => answer(StatusCode::CREATED, &json!({ "id": id, "name": name })),
    }
}

async fn remove(
    State(shop): State<Arc<Shop>>,
    headers: HeaderMap,
    Query(query): Query<BTreeMap<String, String>>,
) -> Response {
    let name = query.get("name").cloned().unwrap_or_default();
    let removed = shop.with_session(&headers, |session| {
        let before = session.items.len();
        session.items.retain(|_, item| *item != name);
        session.items.len() < before
    });
    match removed {
        None => unauthorized(),
        Some(true) => StatusCode::NO_CONTENT.into_response(),
        Some(false) => answer(StatusCode::NOT_FOUND, &json!({ "error": "there is no such thing" })),
    }
}
