//! A request: as it was written, and as it is for one run.

use bytes::Bytes;
use http::header::{ACCEPT, ACCEPT_ENCODING, AUTHORIZATION, CONTENT_LENGTH, CONTENT_TYPE, COOKIE, HOST, USER_AGENT};
use http::{HeaderMap, HeaderValue, Method};
use http_body_util::Full;
use url::Url;

use super::body::ENCODINGS;
use super::content::Content;
use super::credentials::Credentials;
use super::headers::HeaderDraft;
use super::sigv4::sign;
use super::url::{UrlDraft, origin_form};
use crate::domain::outcome::{Failure, FailureKind};
use crate::domain::time::Timestamp;
use crate::net::aws::signature::Signer;
use crate::ports::StepContext;

/// How we name ourselves to targets.
const AGENT: &str = concat!("roundsman/", env!("CARGO_PKG_VERSION"));

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
    pub content: Option<Content>,
}

/// A request for one run, without what the jar and the connection add.
#[derive(Clone)]
pub struct Request {
    /// The method.
    pub method: Method,
    /// Where to.
    pub url: Url,
    /// Headers that every origin may see.
    pub headers: HeaderMap,
    /// Headers that only the first origin may see.
    pub private: HeaderMap,
    /// Who signs it, for the first origin only.
    pub signer: Option<Signer>,
    /// The body.
    pub body: Bytes,
    /// Whether the body holds a secret or what a target gave.
    pub body_is_private: bool,
    /// Whether it goes to the origin that was written, and was nowhere else before.
    pub is_at_home: bool,
    /// Whether the answer is nobody's to see: it gives a token.
    pub answer_is_secret: bool,
}

impl Draft {
    /// Fills all holes.
    pub async fn fill(&self, cx: &StepContext<'_>) -> Result<Request, Failure> {
        let url = self.url.fill(cx).await?;
        let mut headers = usual_headers();
        let mut private = HeaderMap::new();
        if let Some(media_type) = self.content.as_ref().and_then(Content::media_type) {
            headers.insert(CONTENT_TYPE, media_type);
        }
        let mut signer = None;
        match &self.credentials {
            Some(Credentials::SigV4(sigv4)) => signer = Some(sigv4.signer(cx).await?),
            Some(credentials) => {
                if let Some(value) = credentials.fill(cx).await? {
                    private.insert(AUTHORIZATION, value);
                }
            }
            None => {}
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
        let (body, body_is_private) = match &self.content {
            None => (Bytes::new(), false),
            Some(content) => (content.fill(cx).await?, content.is_private()),
        };
        Ok(Request {
            method: self.method.clone(),
            url,
            headers,
            private,
            signer,
            body,
            body_is_private,
            is_at_home: true,
            answer_is_secret: false,
        })
    }
}

/// The headers that every request has, whatever it asks.
pub fn usual_headers() -> HeaderMap {
    HeaderMap::from_iter([
        (USER_AGENT, HeaderValue::from_static(AGENT)),
        (ACCEPT, HeaderValue::from_static("*/*")),
        (ACCEPT_ENCODING, HeaderValue::from_static(ENCODINGS)),
    ])
}

impl Request {
    /// Whether it says who we are, in its headers or its body.
    pub fn carries_credentials(&self) -> bool {
        !self.private.is_empty() || self.signer.is_some() || (self.body_is_private && !self.body.is_empty())
    }

    /// Forgets what only the first origin may see.
    pub fn forget_credentials(&mut self) {
        self.private.clear();
        self.signer = None;
        self.is_at_home = false;
    }

    /// The message for the wire. Over HTTP/2 the host stands in the URI (RFC 9113, section 8.3.1).
    pub fn message(
        &self,
        cookies: &str,
        is_http2: bool,
        now: Timestamp,
    ) -> Result<http::Request<Full<Bytes>>, Failure> {
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
        if let Some(signer) = &self.signer {
            sign(signer, &self.method, &self.url, headers, &self.body, now)?;
        }
        if is_http2 {
            let host = headers.remove(HOST);
            let host = host.as_ref().and_then(|host| host.to_str().ok()).unwrap_or_default();
            let uri = format!("{}://{host}{}", self.url.scheme(), origin_form(&self.url));
            *message.uri_mut() = uri.parse().map_err(|error| unfit(&error))?;
            *message.version_mut() = http::Version::HTTP_2;
        }
        Ok(message)
    }
}
