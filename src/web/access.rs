//! Who may read, and who may change something. Without a token only the machine itself reads, and only under a name that is its
//! own, so that a foreign page cannot read through a rebound DNS name; with a token whoever has it. Whoever changes something
//! needs the token in any case, programs as a bearer: a browser sends a password by itself wherever a foreign page makes it ask, a
//! bearer never. A form of our own pages takes the password too, where the browser says that it was sent from one of them. Liveness and readiness say nothing of the target and are open to all. So is the door of jobs that ping, which
//! asks for a token of its own, and the one of PagerDuty, which signs what it says.

use std::borrow::Cow;
use std::net::{IpAddr, SocketAddr};

use axum::http::uri::Authority;
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, Uri, header};
use axum::response::{IntoResponse as _, Response};
use base64::Engine as _;
use secrecy::ExposeSecret as _;
use subtle::ConstantTimeEq as _;

use super::api::answers::Trouble;
use super::table::{API, Entry, Scope};
use crate::engine::plan::Plan;

/// Why somebody may not read, or change something.
#[derive(Debug, PartialEq, Eq)]
pub enum Refusal {
    /// It is asked in none of the ways in which it may be.
    Method(Vec<Method>),
    /// There is no token, so nobody may change anything.
    Tokenless,
    /// A token that was not given as a bearer, or another.
    Bearer,
    /// A browser asks for a page that is not ours.
    Foreign,
    /// The name by which it was asked is not its own.
    Host,
    /// No token, or another.
    Token,
    /// Whether the token is right cannot be known.
    Unknown,
}

impl Refusal {
    /// The status, and what is said.
    pub fn words(&self) -> (StatusCode, Cow<'static, str>) {
        let (status, sentence) = match self {
            Self::Method(known) => {
                let sentence = format!("this is asked otherwise: {}", listed(known));
                return (StatusCode::METHOD_NOT_ALLOWED, sentence.into());
            }
            Self::Host => (
                StatusCode::MISDIRECTED_REQUEST,
                "this page answers to localhost only: set `web.url` to the name by which you reach it",
            ),
            Self::Token => (
                StatusCode::UNAUTHORIZED,
                "a token is needed: `Authorization: Bearer TOKEN`, or the token as the password",
            ),
            Self::Bearer => (StatusCode::UNAUTHORIZED, "whoever changes something needs `Authorization: Bearer TOKEN`"),
            Self::Tokenless => (
                StatusCode::FORBIDDEN,
                "whoever changes something needs a token, and none is set: write `web: { token: \"${secret:name}\" }`",
            ),
            Self::Foreign => (StatusCode::FORBIDDEN, "a page of another site may not change anything here"),
            Self::Unknown => (StatusCode::SERVICE_UNAVAILABLE, "access cannot be checked: the log says why"),
        };
        (status, sentence.into())
    }

    /// The header that says what would be right.
    fn header(&self) -> Option<(HeaderName, HeaderValue)> {
        let (name, value) = match self {
            Self::Method(known) => return Some((header::ALLOW, HeaderValue::try_from(listed(known)).ok()?)),
            Self::Token => (header::WWW_AUTHENTICATE, r#"Basic realm="Roundsman", charset="UTF-8""#),
            Self::Bearer => (header::WWW_AUTHENTICATE, r#"Bearer realm="Roundsman""#),
            Self::Host | Self::Tokenless | Self::Foreign | Self::Unknown => return None,
        };
        Some((name, HeaderValue::from_static(value)))
    }

    /// The answer, in the form in which that path answers.
    pub fn answer(&self, path: &str) -> Response {
        let (status, sentence) = self.words();
        let mut response = if path.starts_with(API) {
            Trouble::new(status, sentence).into_response()
        } else {
            (status, format!("{sentence}\n")).into_response()
        };
        response.headers_mut().extend(self.header());
        response
    }
}

fn listed(methods: &[Method]) -> String {
    methods.iter().map(Method::as_str).collect::<Vec<_>>().join(", ")
}

/// What somebody asks.
pub struct Asked<'a> {
    /// What the table says of it.
    pub entry: Entry,
    /// How.
    pub method: &'a Method,
    /// For what.
    pub uri: &'a Uri,
    /// And what else they say.
    pub headers: &'a HeaderMap,
}

impl Asked<'_> {
    /// Whether it changes something. What jobs and receivers say proves itself later.
    pub fn changes(&self) -> bool {
        self.entry.scope == Scope::Operate && self.method != Method::GET && self.method != Method::HEAD
    }
}

/// Whether a request may be answered. `local` is where the listener really stands: a reload may change the plan's
/// address, never the listener's.
pub async fn admit(plan: &Plan, local: SocketAddr, asked: &Asked<'_>) -> Result<(), Refusal> {
    let Asked { entry, uri, headers, .. } = *asked;
    if matches!(entry.scope, Scope::Open | Scope::Ping | Scope::Signed) {
        return Ok(());
    }
    let (changes, is_form) = (asked.changes(), entry.is_form);
    if is_form && !is_of_our_page(plan, local, headers) || changes && !is_form && is_foreign(plan, local, headers) {
        return Err(Refusal::Foreign);
    }
    let Some(name) = &plan.web.token else {
        if changes {
            return Err(Refusal::Tokenless);
        }
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
    let (given, refusal) = if changes && !is_form {
        (bearer_token(headers), Refusal::Bearer)
    } else {
        (given_token(headers), Refusal::Token)
    };
    let is_given = given.is_some_and(|given| is_same(given.as_bytes(), token.expose_secret().as_bytes()));
    if is_given { Ok(()) } else { Err(refusal) }
}

/// Whether a host is this machine, or that of `web.url`.
fn is_own(plan: &Plan, local: SocketAddr, host: &str) -> bool {
    let own = plan.web.url.as_deref().and_then(|url| url::Url::parse(url).ok());
    let own = own.as_ref().and_then(url::Url::host_str);
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    let address = bare.parse::<IpAddr>().ok();
    host.eq_ignore_ascii_case("localhost")
        || own.is_some_and(|own| host.eq_ignore_ascii_case(own))
        || address.is_some_and(|ip| ip == local.ip() || ["127.0.0.1", "::1"].contains(&bare))
}

/// Whether a browser says that a page of somebody else asks.
fn is_foreign(plan: &Plan, local: SocketAddr, headers: &HeaderMap) -> bool {
    let site = headers.get("sec-fetch-site").map(HeaderValue::as_bytes);
    let is_of_another = |origin: &HeaderValue| {
        let origin = origin.to_str().ok().and_then(|origin| url::Url::parse(origin).ok());
        !origin.as_ref().and_then(url::Url::host_str).is_some_and(|host| is_own(plan, local, host))
    };
    site.is_some_and(|site| site != b"same-origin" && site != b"none")
        || headers.get_all(header::ORIGIN).iter().any(is_of_another)
}

/// Whether a browser says that a page of ours sent a form, which it does of every form. A proxy may have given the request another
/// name of the host; then it is that of `web.url` which was asked.
fn is_of_our_page(plan: &Plan, local: SocketAddr, headers: &HeaderMap) -> bool {
    let text = |name: HeaderName| headers.get(name).and_then(|value| value.to_str().ok());
    let site = text(HeaderName::from_static("sec-fetch-site"));
    let origin = text(header::ORIGIN).map(|origin| url::Url::parse(origin).ok());
    match (site, origin) {
        (Some(site), _) if site != "same-origin" => false,
        (site, None) => site.is_some(),
        (_, Some(None)) => false,
        (_, Some(Some(origin))) => {
            let authority = origin.authority();
            let is_asked = text(header::HOST).is_some_and(|host| host.eq_ignore_ascii_case(authority));
            is_asked || origin.host_str().is_some_and(|host| is_own(plan, local, host))
        }
    }
}

/// Whether the request names this machine, or the host of `web.url`; the port does not matter.
fn is_own_host(plan: &Plan, local: SocketAddr, uri: &Uri, headers: &HeaderMap) -> bool {
    let is_own = |host: &str| is_own(plan, local, host);
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
    if let Some(token) = bearer_token(headers) {
        return Some(token);
    }
    let (scheme, rest) = authorization(headers)?;
    if !scheme.eq_ignore_ascii_case("basic") {
        return None;
    }
    let decoded = base64::engine::general_purpose::STANDARD.decode(rest).ok()?;
    let decoded = String::from_utf8(decoded).ok()?;
    decoded.split_once(':').map(|(_, password)| password.to_owned())
}

/// The token of `Authorization: Bearer TOKEN`.
fn bearer_token(headers: &HeaderMap) -> Option<String> {
    authorization(headers).filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer")).map(|(_, rest)| rest.to_owned())
}

/// The scheme and the rest of `Authorization`.
fn authorization(headers: &HeaderMap) -> Option<(&str, &str)> {
    let (scheme, rest) = headers.get(header::AUTHORIZATION)?.to_str().ok()?.split_once(' ')?;
    Some((scheme, rest.trim()))
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
