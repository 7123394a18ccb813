//! A request: as it was written, and as it is for one run.

use bytes::Bytes;
use http::header::{ACCEPT, ACCEPT_ENCODING, AUTHORIZATION, CONTENT_LENGTH, CONTENT_TYPE, COOKIE, HOST, USER_AGENT};
use http::{HeaderMap, HeaderValue, Method};
use http_body_util::Full;
use url::Url;

use super::credentials::Credentials;
use super::headers::HeaderDraft;
use super::json;
use super::url::{UrlDraft, origin_form};
use crate::domain::outcome::{Failure, FailureKind};
use crate::domain::template::Template;
use crate::ports::StepContext;

/// How we name ourselves to targets.
const AGENT: &str = concat!("roundsman/", env!("CARGO_PKG_VERSION"));

/// A body as it was written.
#[derive(Debug)]
pub enum BodyDraft {
    /// Text, as it is.
    Text(Template),
    /// JSON text, in whose strings values are put escaped.
    Json(Template),
}

/// A request as it was written.
#[derive(Debug)]
pub struct Draft {
    /// The method.
    pub method: Method,
    /// The URL.
    pub url: UrlDraft,
    /// The headers.
    pub headers: Vec<HeaderDraft>,
    /// Who it is from.
    pub credentials: Option<Credentials>,
    /// The body.
    pub body: Option<BodyDraft>,
}

/// A request for one run, without what the jar and the connection add.
pub struct Request {
    /// The method.
    pub method: Method,
    /// Where to.
    pub url: Url,
    /// Headers that every origin may see.
    pub headers: HeaderMap,
    /// Headers that only the first origin may see.
    pub private: HeaderMap,
    /// The body.
    pub body: Bytes,
    /// Whether the body holds a secret or what a target gave.
    pub body_is_private: bool,
}

impl Draft {
    /// Fills all holes.
    pub async fn fill(&self, cx: &StepContext<'_>) -> Result<Request, Failure> {
        let url = self.url.fill(cx).await?;
        let mut headers = HeaderMap::new();
        let mut private = HeaderMap::new();
        headers.insert(USER_AGENT, HeaderValue::from_static(AGENT));
        headers.insert(ACCEPT, HeaderValue::from_static("*/*"));
        // Nothing is decompressed, so nothing compressed is asked for.
        headers.insert(ACCEPT_ENCODING, HeaderValue::from_static("identity"));
        if matches!(self.body, Some(BodyDraft::Json(_))) {
            headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        }
        if let Some(credentials) = &self.credentials {
            private.insert(AUTHORIZATION, credentials.fill(cx).await?);
        }
        for draft in &self.headers {
            let value = draft.fill(cx).await?;
            if draft.is_private() {
                headers.remove(&draft.name);
                private.insert(draft.name.clone(), value);
            } else {
                headers.insert(draft.name.clone(), value);
            }
        }
        let (body, template) = match &self.body {
            None => (Bytes::new(), None),
            Some(BodyDraft::Text(text)) => (cx.fill(text, |value| Some(value.to_owned())).await?.into(), Some(text)),
            Some(BodyDraft::Json(text)) => (cx.fill(text, |value| Some(json::escape(value))).await?.into(), Some(text)),
        };
        let body_is_private =
            template.is_some_and(|text| text.secrets().next().is_some() || text.captures().next().is_some());
        Ok(Request { method: self.method.clone(), url, headers, private, body, body_is_private })
    }
}

impl Request {
    /// Whether it says who we are, in its headers or its body.
    pub fn carries_credentials(&self) -> bool {
        !self.private.is_empty() || (self.body_is_private && !self.body.is_empty())
    }

    /// Forgets what only the first origin may see.
    pub fn forget_credentials(&mut self) {
        self.private.clear();
    }

    /// The message for the wire.
    pub fn message(&self, cookies: &str) -> Result<http::Request<Full<Bytes>>, Failure> {
        let unfit = |error: &dyn std::fmt::Display| {
            Failure::new(FailureKind::Capture, format!("the request cannot be written: {error}"))
        };
        let mut message = http::Request::new(Full::new(self.body.clone()));
        *message.method_mut() = self.method.clone();
        *message.uri_mut() = origin_form(&self.url).parse().map_err(|error| unfit(&error))?;
        let host = self.url.host_str().unwrap_or_default();
        let host = self.url.port().map_or_else(|| host.to_owned(), |port| format!("{host}:{port}"));
        let headers = message.headers_mut();
        headers.insert(HOST, HeaderValue::from_str(&host).map_err(|error| unfit(&error))?);
        // RFC 9110, section 8.6: where a body has a meaning its absence is told.
        if self.body.is_empty() && [Method::POST, Method::PUT, Method::PATCH].contains(&self.method) {
            headers.insert(CONTENT_LENGTH, HeaderValue::from_static("0"));
        }
        headers.extend(self.headers.clone());
        headers.extend(self.private.clone());
        if !cookies.is_empty() {
            let own = headers.get(COOKIE).and_then(|own| own.to_str().ok());
            let all = own.map_or_else(|| cookies.to_owned(), |own| format!("{own}; {cookies}"));
            headers.insert(COOKIE, HeaderValue::from_str(&all).map_err(|error| unfit(&error))?);
        }
        Ok(message)
    }
}
