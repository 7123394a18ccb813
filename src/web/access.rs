//! Who may read. Without a token only the machine itself, and only under a name that is its own, so that a foreign page
//! cannot read through a rebound DNS name; with a token whoever has it. Liveness and readiness say nothing of the
//! target and are open to all. So is the door of jobs that ping, which asks for a token of its own.

use std::net::{IpAddr, SocketAddr};

use axum::http::uri::Authority;
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use base64::Engine as _;
use secrecy::ExposeSecret as _;
use subtle::ConstantTimeEq as _;

use crate::engine::plan::Plan;

/// What is open to all.
const OPEN: [&str; 2] = ["/healthz", "/readyz"];

/// Below it jobs ping, whose token stands in the path.
const PINGS: &str = "/ping/";

/// Why somebody may not read.
#[derive(Debug, PartialEq, Eq)]
pub enum Refusal {
    /// Nothing here is changed from outside.
    Method,
    /// A ping is nothing else.
    PingMethod,
    /// The name by which it was asked is not its own.
    Host,
    /// No token, or another.
    Token,
    /// Whether the token is right cannot be known.
    Unknown,
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let (status, sentence) = match self {
            Self::Method => (StatusCode::METHOD_NOT_ALLOWED, "only GET and HEAD are answered here\n"),
            Self::PingMethod => (StatusCode::METHOD_NOT_ALLOWED, "a ping is a GET, a HEAD or a POST\n"),
            Self::Host => (
                StatusCode::MISDIRECTED_REQUEST,
                "this page answers to localhost only: set `web.url` to the name by which you reach it\n",
            ),
            Self::Token => (
                StatusCode::UNAUTHORIZED,
                "a token is needed: `Authorization: Bearer TOKEN`, or the token as the password\n",
            ),
            Self::Unknown => (StatusCode::SERVICE_UNAVAILABLE, "access cannot be checked: the log says why\n"),
        };
        let mut response = (status, sentence).into_response();
        match self {
            Self::Method => {
                response.headers_mut().insert(header::ALLOW, HeaderValue::from_static("GET, HEAD"));
            }
            Self::Token => {
                let realm = HeaderValue::from_static(r#"Basic realm="Roundsman", charset="UTF-8""#);
                response.headers_mut().insert(header::WWW_AUTHENTICATE, realm);
            }
            Self::PingMethod => {
                response.headers_mut().insert(header::ALLOW, HeaderValue::from_static("GET, HEAD, POST"));
            }
            Self::Host | Self::Unknown => {}
        }
        response
    }
}

/// Whether a request may be answered. `local` is where the listener really stands: a reload may change the plan's
/// address, never the listener's.
pub async fn admit(
    plan: &Plan,
    local: SocketAddr,
    method: &Method,
    uri: &Uri,
    headers: &HeaderMap,
) -> Result<(), Refusal> {
    let reads = method == Method::GET || method == Method::HEAD;
    if uri.path().starts_with(PINGS) {
        return if reads || method == Method::POST { Ok(()) } else { Err(Refusal::PingMethod) };
    }
    if !reads {
        return Err(Refusal::Method);
    }
    if OPEN.contains(&uri.path()) {
        return Ok(());
    }
    let Some(name) = &plan.web.token else {
        if !local.ip().is_loopback() {
            tracing::error!(%local, "the page can be reached from elsewhere and has no token: nothing is shown");
            return Err(Refusal::Unknown);
        }
        return if is_own_host(plan, local, uri, headers) { Ok(()) } else { Err(Refusal::Host) };
    };
    let token = plan.secrets.resolve(name).await.map_err(|error| {
        tracing::error!(%error, "the page's token is not to be had: nothing is shown");
        Refusal::Unknown
    })?;
    let given = given_token(headers).ok_or(Refusal::Token)?;
    if is_same(given.as_bytes(), token.expose_secret().as_bytes()) { Ok(()) } else { Err(Refusal::Token) }
}

/// Whether the request names this machine, or the host of `web.url`; the port does not matter.
fn is_own_host(plan: &Plan, local: SocketAddr, uri: &Uri, headers: &HeaderMap) -> bool {
    let own = plan.web.url.as_deref().and_then(|url| url::Url::parse(url).ok());
    let own = own.as_ref().and_then(url::Url::host_str);
    let is_own = |host: &str| {
        let bare = host.trim_start_matches('[').trim_end_matches(']');
        let address = bare.parse::<IpAddr>().ok();
        host.eq_ignore_ascii_case("localhost")
            || own.is_some_and(|own| host.eq_ignore_ascii_case(own))
            || address.is_some_and(|ip| ip == local.ip() || ["127.0.0.1", "::1"].contains(&bare))
    };
    // A request may name its host twice, in the request line and in the header; both must be right.
    let mut hosts = headers.get_all(header::HOST).iter();
    let authority = match (hosts.next(), hosts.next()) {
        (Some(one), None) => one.to_str().ok().and_then(|host| host.parse::<Authority>().ok()),
        _ => None,
    };
    authority.is_some_and(|authority| is_own(authority.host())) && uri.host().is_none_or(is_own)
}

/// The token of `Authorization: Bearer TOKEN`, or the password of `Basic`, whoever the user is.
fn given_token(headers: &HeaderMap) -> Option<String> {
    let (scheme, rest) = headers.get(header::AUTHORIZATION)?.to_str().ok()?.split_once(' ')?;
    let rest = rest.trim();
    if scheme.eq_ignore_ascii_case("bearer") {
        return Some(rest.to_owned());
    }
    if !scheme.eq_ignore_ascii_case("basic") {
        return None;
    }
    let decoded = base64::engine::general_purpose::STANDARD.decode(rest).ok()?;
    let decoded = String::from_utf8(decoded).ok()?;
    decoded.split_once(':').map(|(_, password)| password.to_owned())
}

/// Compares in a time that depends on the length of the wanted token only, never on what was given.
fn is_same(given: &[u8], wanted: &[u8]) -> bool {
    let padded: Vec<u8> = (0..wanted.len()).map(|index| given.get(index).copied().unwrap_or(0)).collect();
    (padded.ct_eq(wanted) & given.len().ct_eq(&wanted.len())).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_are_the_same_or_not() {
        assert!(is_same(b"right", b"right"));
        for wrong in [&b"wrong"[..], b"", b"righ", b"right\0", b"right and more"] {
            assert!(!is_same(wrong, b"right"));
        }
    }

    #[test]
    fn a_token_comes_as_bearer_or_as_password() {
        let given = |text: &str| {
            let headers = HeaderMap::from_iter([(header::AUTHORIZATION, text.parse().unwrap())]);
            given_token(&headers)
        };
        assert_eq!(given("Bearer abc").as_deref(), Some("abc"));
        assert_eq!(given("bearer  abc").as_deref(), Some("abc"));
        assert_eq!(given("Basic YW55Ym9keTphOmI=").as_deref(), Some("a:b"), "a password may have colons");
        assert_eq!(given("Basic YW55Ym9keQ=="), None, "no password");
        assert_eq!(given("Basic !"), None);
        assert_eq!(given("Digest abc"), None);
    }
}
