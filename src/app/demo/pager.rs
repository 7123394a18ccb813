//! The demo's pager: takes the webhook's messages and shows on standard output what on-call would read. Who is on call it says as
//! PagerDuty does.

use axum::Router;
use axum::body::Bytes;
use axum::http::header::AUTHORIZATION;
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use axum::routing::{get, post};
use serde_json::{Value, json};
use tokio::net::TcpListener;

use super::shop::answer;
use crate::app::answer::Output;
use crate::domain::text::harmless;

/// The token of whoever asks who is on call.
pub const TOKEN: &str = "the-demo-asks-who-is-on-call";

/// Takes messages until it is dropped.
pub async fn serve(listener: TcpListener) {
    let router = Router::new().route("/", post(take)).route("/oncalls", get(on_call));
    if let Err(error) = axum::serve(listener, router).await {
        tracing::error!("the demo's pager ended: {error}");
    }
}

async fn take(body: Bytes) -> StatusCode {
    let Ok(message) = serde_json::from_slice::<Value>(&body) else { return StatusCode::BAD_REQUEST };
    // Whether anybody can read the pager changes nothing for who sends.
    let _ = Output::default().line(line(&message));
    StatusCode::NO_CONTENT
}

async fn on_call(headers: HeaderMap) -> Response {
    if headers.get(AUTHORIZATION).is_none_or(|given| given != &format!("Token token={TOKEN}")) {
        return answer(StatusCode::UNAUTHORIZED, &json!({ "error": { "code": 2006, "message": "unauthorized" } }));
    }
    let one =
        |level: u8, id: &str| json!({ "escalation_level": level, "user": { "id": id, "type": "user_reference" } });
    answer(StatusCode::OK, &json!({ "oncalls": [one(1, "PANN001"), one(2, "PBEN002")] }))
}

/// `pager: P1 opened: api-health is failing: …`
fn line(message: &Value) -> String {
    let text = |key: &str| harmless(message[key].as_str().unwrap_or("?")).into_owned();
    format!("pager: {} {}: {}", text("severity"), text("event"), text("summary"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_came_is_one_harmless_line() {
        let message = serde_json::json!({"severity": "P1", "event": "opened", "summary": "a\u{1b}[2Jb\nc"});
        assert_eq!(line(&message), "pager: P1 opened: a␛[2Jb␊c");
    }
}
