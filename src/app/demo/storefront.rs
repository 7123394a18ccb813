//! What of the shop anybody may see: its pages, its search, and what a browser and a registry are told about it. Here is
//! what the probes of `probes/security.yaml`, `weight.yaml` and `expiry.yaml` ask for.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use axum::Router;
use axum::extract::{Path, Query, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, Uri, header};
use axum::response::{IntoResponse as _, Response};
use axum::routing::get;
use serde_json::json;
use tokio::net::TcpListener;

use super::shop::{Shop, answer};
use crate::domain::time::{Monotonic, earlier, later, rfc3339};

/// What every page says to browsers.
const HEADERS: [(HeaderName, HeaderValue); 4] = [
    (header::STRICT_TRANSPORT_SECURITY, HeaderValue::from_static("max-age=31536000; includeSubDomains")),
    (
        header::CONTENT_SECURITY_POLICY,
        HeaderValue::from_static("default-src 'self'; base-uri 'none'; frame-ancestors 'none'"),
    ),
    (header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff")),
    (header::REFERRER_POLICY, HeaderValue::from_static("strict-origin-when-cross-origin")),
];

/// How many searches are answered …
const SEARCHES_MAX: u32 = 20;

/// … within this long; further ones are too many.
const SEARCHES_WITHIN: Duration = Duration::from_secs(10);

/// How long the shop's name is still registered.
const REGISTERED_FOR: Duration = Duration::from_secs(200 * 86_400);

/// How long ago it was registered.
const REGISTERED_SINCE: Duration = Duration::from_secs(900 * 86_400);

const STYLE: &str = "body { margin: 2rem auto; max-width: 40rem; font: 1rem/1.5 sans-serif }\n";

const SCRIPT: &str = "document.querySelector('h1')?.setAttribute('data-ready', '');\n";

/// Counts searches, for all customers together.
#[derive(Default)]
pub struct Searches(Mutex<(Monotonic, u32)>);

impl Searches {
    /// Whether one more may be answered.
    fn admit(&self, now: Monotonic) -> bool {
        let mut window = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if now.since(window.0) >= SEARCHES_WITHIN {
            *window = (now, 0);
        }
        window.1 += 1;
        window.1 <= SEARCHES_MAX
    }
}

/// The routes.
pub fn routes() -> Router<Arc<Shop>> {
    let text = |kind: &'static str, text: &'static str| get(move || async move { seen(kind, text.to_owned()) });
    Router::new()
        .route("/", get(|| async { page("Styling Adventures", "Add to cart") }))
        .route("/cart", get(|| async { page("Your cart", "Nothing here yet") }))
        .route("/style.css", text("text/css; charset=utf-8", STYLE))
        .route("/shop.js", text("text/javascript; charset=utf-8", SCRIPT))
        .route("/search", get(search))
        .route("/rdap/domain/{name}", get(registration))
}

/// Serves over HTTP until it is dropped, and sends everybody to `https`.
pub async fn serve_redirect(listener: TcpListener, https: String) {
    let elsewhere = move |uri: Uri| {
        let path = uri.path_and_query().map_or("/", |path| path.as_str());
        let location = format!("{https}{path}");
        async move { (StatusCode::PERMANENT_REDIRECT, [(header::LOCATION, location)]) }
    };
    if let Err(error) = axum::serve(listener, Router::new().fallback(elsewhere)).await {
        tracing::error!("the demo's plain port ended: {error}");
    }
}

/// The answer to a preflight: only pages of the shop itself may call it from a browser.
pub fn preflight(shop: &Shop, headers: &HeaderMap) -> Response {
    let origin = headers.get(header::ORIGIN).filter(|origin| shop.is_origin(origin));
    let Some(origin) = origin else { return StatusCode::FORBIDDEN.into_response() };
    let allowed = [
        (header::ACCESS_CONTROL_ALLOW_ORIGIN, origin.clone()),
        (header::ACCESS_CONTROL_ALLOW_METHODS, HeaderValue::from_static("GET, POST, DELETE")),
        (header::ACCESS_CONTROL_ALLOW_HEADERS, HeaderValue::from_static("authorization, content-type")),
        (header::VARY, HeaderValue::from_static("origin")),
    ];
    (StatusCode::NO_CONTENT, allowed).into_response()
}

fn seen(kind: &'static str, text: String) -> Response {
    (HEADERS, [(header::CONTENT_TYPE, kind)], text).into_response()
}

fn page(title: &str, text: &str) -> Response {
    let html = format!(
        "<!doctype html><html lang=\"en\"><title>{title}</title><link rel=\"stylesheet\" href=\"/style.css\">\
         <script src=\"/shop.js\" defer></script><h1>{title}</h1><p>{text}</p></html>\n"
    );
    seen("text/html; charset=utf-8", html)
}

/// Refuses what looks like an attack, as a web application firewall would, and what comes too often.
async fn search(State(shop): State<Arc<Shop>>, Query(query): Query<BTreeMap<String, String>>) -> Response {
    if !shop.searches.admit(shop.now()) {
        return answer(StatusCode::TOO_MANY_REQUESTS, &json!({ "error": "too many searches, try again later" }));
    }
    if query.values().any(|value| value.to_ascii_lowercase().contains("<script")) {
        return answer(StatusCode::FORBIDDEN, &json!({ "error": "refused" }));
    }
    page("Search", "Nothing was found")
}

/// What a registry says of a name (RFC 9083).
async fn registration(State(shop): State<Arc<Shop>>, Path(name): Path<String>) -> Response {
    let now = shop.time();
    let event = |action: &str, at| json!({ "eventAction": action, "eventDate": rfc3339(at) });
    let body = json!({
        "rdapConformance": ["rdap_level_0"],
        "objectClassName": "domain",
        "ldhName": name,
        "status": ["active"],
        "events": [event("registration", earlier(now, REGISTERED_SINCE)), event("expiration", later(now, REGISTERED_FOR))],
    });
    ([(header::CONTENT_TYPE, "application/rdap+json")], body.to_string()).into_response()
}
