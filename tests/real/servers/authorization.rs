//! An authorization server that gives tokens to one client, with the API that takes them.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::routing::{get, post};
use serde_json::{Value, json};
use tokio::task::JoinSet;

/// What the server knows.
#[derive(Default)]
pub struct Known {
    /// How often a token was asked for.
    pub asked: usize,
    /// The bodies of those questions.
    pub forms: Vec<String>,
    /// The only token that is good.
    pub good: Option<String>,
    /// What the server says of how long a token is good.
    pub expires_in: Value,
    /// The answers of the API, in their order.
    pub statuses: Vec<u16>,
}

/// The server; it is gone when this is dropped.
pub struct Authorization {
    /// Where it listens.
    pub address: SocketAddr,
    /// What it knows.
    pub known: Arc<Mutex<Known>>,
    _tasks: JoinSet<()>,
}

/// `client:hunter2`, encoded.
const CLIENT: &str = "Basic Y2xpZW50Omh1bnRlcjI=";

impl Authorization {
    /// Starts it; tokens are good for an hour.
    pub async fn start() -> Self {
        let known = Arc::new(Mutex::new(Known { expires_in: json!(3_600), ..Known::default() }));
        let router = Router::new().route("/token", post(token)).route("/api", get(api).post(api));
        let router = router.with_state(Arc::clone(&known));
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let mut tasks = JoinSet::new();
        tasks.spawn(async move { axum::serve(listener, router).await.unwrap() });
        Self { address, known, _tasks: tasks }
    }
}

async fn token(State(known): State<Arc<Mutex<Known>>>, headers: HeaderMap, body: String) -> (StatusCode, String) {
    let mut known = known.lock().unwrap();
    known.asked += 1;
    known.forms.push(body);
    if headers.get("authorization").is_none_or(|client| client != CLIENT) {
        let denied = json!({ "error": "invalid_client", "error_description": "no such client" });
        return (StatusCode::UNAUTHORIZED, denied.to_string());
    }
    let token = format!("token-{}", known.asked);
    known.good = Some(token.clone());
    let granted = json!({ "access_token": token, "token_type": "Bearer", "expires_in": known.expires_in });
    (StatusCode::OK, granted.to_string())
}

async fn api(State(known): State<Arc<Mutex<Known>>>, headers: HeaderMap) -> StatusCode {
    let mut known = known.lock().unwrap();
    let good = known.good.as_ref().map(|token| format!("Bearer {token}"));
    let is_good = good.is_some_and(|good| headers.get("authorization").is_some_and(|given| *given == good));
    let status = if is_good { StatusCode::OK } else { StatusCode::UNAUTHORIZED };
    known.statuses.push(status.as_u16());
    status
}
