//! What is the same for everybody until another version of Roundsman runs, and what else is known by its content: who has it
//! already is told so.

use std::hash::{DefaultHasher, Hasher as _};

use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse as _, Response};

use super::api::settled::names;

/// Who keeps it asks each time whether it is still the same.
const ASK: HeaderValue = HeaderValue::from_static("no-cache");

/// The style sheet.
pub async fn style(headers: HeaderMap) -> Response {
    tagged(&headers, "text/css; charset=utf-8", ASK, include_str!("style.css"))
}

/// The one script.
pub async fn live(headers: HeaderMap) -> Response {
    tagged(&headers, "text/javascript; charset=utf-8", ASK, include_str!("live.js"))
}

/// The icon of what has no head that could name one: browsers ask for it beside every text.
pub async fn icon(headers: HeaderMap) -> Response {
    tagged(&headers, "image/svg+xml", ASK, include_str!("icon.svg"))
}

/// Something that is known by its content; of whoever has it already it says only that.
pub fn tagged(
    asked: &HeaderMap,
    media: &'static str,
    caching: HeaderValue,
    text: impl Into<String> + AsRef<str>,
) -> Response {
    let tag = tag(text.as_ref());
    let mut known = asked.get_all(header::IF_NONE_MATCH).iter().filter_map(|value| value.to_str().ok());
    let is_known = known.any(|known| names(known, &tag));
    let common: [(HeaderName, String); 1] = [(header::ETAG, tag)];
    let mut response = if is_known {
        (StatusCode::NOT_MODIFIED, common).into_response()
    } else {
        (common, [(header::CONTENT_TYPE, media)], text.into()).into_response()
    };
    response.headers_mut().insert(header::CACHE_CONTROL, caching);
    response
}

fn tag(text: &str) -> String {
    let mut hasher = DefaultHasher::new();
    hasher.write(text.as_bytes());
    format!("\"{:016x}\"", hasher.finish())
}
