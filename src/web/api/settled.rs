//! The last word on every answer below `/api`: what went wrong has one form, whoever found it, and whoever has an answer
//! already is not told it again.

use axum::body::{Body, to_bytes};
use axum::http::{HeaderMap, Method, StatusCode, header};
use axum::response::{IntoResponse as _, Response};

use super::answers::{PROBLEM, Problem};
use crate::domain::text::harmless;

/// The longest problem, in bytes: the problems of many files are told in one.
const PROBLEM_BYTES_MAX: usize = 16 * 1024 * 1024;

/// What was asked, as far as it matters here.
pub struct Question {
    method: Method,
    path: String,
    known: Option<String>,
}

impl Question {
    /// Of a request.
    pub fn of(method: &Method, path: &str, headers: &HeaderMap) -> Self {
        let known = headers.get_all(header::IF_NONE_MATCH).iter().filter_map(|value| value.to_str().ok());
        let known = known.collect::<Vec<_>>().join(",");
        Self { method: method.clone(), path: path.to_owned(), known: Some(known).filter(|known| !known.is_empty()) }
    }

    /// What is answered to it.
    pub async fn settle(&self, response: Response) -> Response {
        if response.status().is_client_error() || response.status().is_server_error() {
            return self.told(response).await;
        }
        let reads = self.method == Method::GET || self.method == Method::HEAD;
        let mut response = response;
        let Some(tag) = response.headers().get(header::ETAG).cloned() else { return response };
        if !reads || response.status() != StatusCode::OK {
            response.headers_mut().remove(header::ETAG);
            return response;
        }
        let is_known = tag.to_str().is_ok_and(|tag| self.known.as_deref().is_some_and(|known| names(known, tag)));
        if is_known { (StatusCode::NOT_MODIFIED, [(header::ETAG, tag)]).into_response() } else { response }
    }

    /// A problem with the path that was asked for. What the router itself refuses is only text.
    async fn told(&self, response: Response) -> Response {
        let (mut parts, body) = response.into_parts();
        let is_problem = parts.headers.get(header::CONTENT_TYPE).is_some_and(|media| media == PROBLEM);
        let Ok(bytes) = to_bytes(body, PROBLEM_BYTES_MAX).await else {
            return (parts, Body::empty()).into_response();
        };
        if bytes.is_empty() && is_problem {
            return (parts, Body::empty()).into_response();
        }
        let problem = serde_json::from_slice::<serde_json::Value>(&bytes).ok().filter(|_| is_problem);
        let mut problem = problem.unwrap_or_else(|| {
            let text = String::from_utf8_lossy(&bytes);
            serde_json::to_value(Problem::new(parts.status, harmless(text.trim()))).unwrap_or_default()
        });
        problem["instance"] = self.path.as_str().into();
        parts.headers.remove(header::CONTENT_LENGTH);
        parts.headers.insert(header::CONTENT_TYPE, header::HeaderValue::from_static(PROBLEM));
        (parts, format!("{problem}\n")).into_response()
    }
}

/// Whether a list of tags, or `*`, names one; compared weakly, as RFC 9110 says for `If-None-Match`.
pub fn names(known: &str, tag: &str) -> bool {
    let strong = |tag: &str| tag.trim().trim_start_matches("W/").to_owned();
    known.split(',').any(|one| one.trim() == "*" || strong(one) == strong(tag))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tags_are_compared_weakly_and_one_of_a_list_is_enough() {
        let tag = "W/\"a1\"";
        for (known, is_known) in [
            ("W/\"a1\"", true),
            ("\"a1\"", true),
            ("\"b\", W/\"a1\"", true),
            ("*", true),
            ("\"a\"", false),
            ("", false),
        ] {
            assert_eq!(names(known, tag), is_known, "{known}");
        }
    }
}
