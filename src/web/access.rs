//! Who may read, and who may change something. Reading on loopback is free where no token lets read, and only under a name that
//! is this machine's own, so that a foreign page cannot read through a rebound DNS name; else whoever reads has a token, or a proxy
//! of ours says who they are, under a name of ours too: the browser of a colleague may stand where the proxy does. Whoever changes something is known in any case. What a browser sends by itself wherever a foreign page
//! makes it ask — a password, or the cookie by which a proxy knows somebody — changes something only where the browser says that it
//! was asked from a page of ours; a bearer it never sends by itself. Liveness and readiness say nothing of the target and are open
//! to all. So is the door of jobs that ping, which asks for a token of its own, and the one of PagerDuty, which signs what it says.
//!
//! Of tokens only hashes are compared: it takes as long whatever was given, and what is kept may be a hash from the beginning.

use std::borrow::Cow;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use axum::http::uri::Authority;
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, Uri, header};
use axum::response::Response;
use base64::Engine as _;
use secrecy::ExposeSecret as _;
use subtle::ConstantTimeEq as _;

use super::api::answers::Trouble;
use super::table::{Entry, Scope};
use crate::domain::access::{Proxy, Role};
use crate::domain::audit::{Author, Who};
use crate::domain::pulse::TokenDigest;
use crate::engine::plan::{Plan, Tokens};
use crate::ports::{SecretError, Token};

/// Somebody who was let in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Caller {
    /// Whom a proxy names, whatever lets them in.
    pub user: Option<Arc<str>>,
    /// Whether a token lets them in: then that is by what they are known.
    pub by_token: bool,
    /// From where they ask, as far as that is known.
    pub address: Option<IpAddr>,
}

impl Caller {
    /// Who does it: whom the proxy names, else as they say.
    pub fn by(&self, said: String) -> String {
        self.user.as_deref().map_or(said, str::to_owned)
    }

    /// Who does it, as it is put down.
    pub fn author(&self, by: Option<String>) -> Author {
        let who = self.user.clone().filter(|_| !self.by_token).map_or(Who::Token, Who::User);
        Author { who, by: self.user.as_deref().map(str::to_owned).or(by), from: self.address }
    }
}

/// Why somebody may not read, or change something.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// It is asked in none of the ways in which it may be.
    Method(Vec<Method>),
    /// There is no token for it, so nobody may change anything.
    Tokenless,
    /// No token, or one that was not given as a bearer.
    Bearer,
    /// Another token, as a bearer.
    OtherBearer,
    /// The token lets read only.
    Reader,
    /// The same where a browser gave it as a password, which it asks for anew.
    ReaderPassword,
    /// The proxy names somebody who may read only.
    User,
    /// The proxy does not say who asks so that it can be known.
    Unnamed,
    /// A browser asks for a page that is not ours.
    Foreign,
    /// The name by which it was asked is not its own.
    Host,
    /// No token.
    Token,
    /// Another token.
    OtherToken,
    /// Whether the token is right cannot be known.
    Unknown,
}

impl Refusal {
    /// The status, and what is said.
    pub fn words(&self) -> (StatusCode, Cow<'static, str>) {
        const READER: &str =
            "the token that was given only reads: whoever changes something needs the one of `operate`";
        let (status, sentence) = match self {
            Self::Method(known) => {
                let sentence = format!("this is asked otherwise: {}", listed(known));
                return (StatusCode::METHOD_NOT_ALLOWED, sentence.into());
            }
            Self::Host => (
                StatusCode::MISDIRECTED_REQUEST,
                "this page answers to names of its own only: set `web.url` to the one by which you reach it",
            ),
            Self::Token => (
                StatusCode::UNAUTHORIZED,
                "a token is needed: `Authorization: Bearer TOKEN`, or the token as the password",
            ),
            Self::OtherToken | Self::OtherBearer => {
                (StatusCode::UNAUTHORIZED, "the token that was given is none of those that `web` names")
            }
            Self::Bearer => (StatusCode::UNAUTHORIZED, "whoever changes something needs `Authorization: Bearer TOKEN`"),
            Self::Reader => (StatusCode::FORBIDDEN, READER),
            Self::ReaderPassword => (StatusCode::UNAUTHORIZED, READER),
            Self::User => (StatusCode::FORBIDDEN, "you may read: `web.proxy.operate` names who may change something"),
            Self::Unnamed => (StatusCode::BAD_REQUEST, "the proxy has to say who asks: once, and by one name"),
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
            Self::Token | Self::OtherToken | Self::ReaderPassword => {
                (header::WWW_AUTHENTICATE, r#"Basic realm="Roundsman", charset="UTF-8""#)
            }
            Self::Bearer | Self::OtherBearer => (header::WWW_AUTHENTICATE, r#"Bearer realm="Roundsman""#),
            Self::Host
            | Self::Tokenless
            | Self::Foreign
            | Self::Unknown
            | Self::Reader
            | Self::User
            | Self::Unnamed => return None,
        };
        Some((name, HeaderValue::from_static(value)))
    }

    /// Whether it says that no token of ours was given; what was given in its place is a guess.
    pub fn is_of_no_token(&self) -> bool {
        match self {
            Self::Tokenless
            | Self::Bearer
            | Self::OtherBearer
            | Self::User
            | Self::Host
            | Self::Token
            | Self::OtherToken
            | Self::Unknown => true,
            Self::Method(_) | Self::Reader | Self::ReaderPassword | Self::Unnamed | Self::Foreign => false,
        }
    }

    /// Whether somebody was not let in, and not only mistaken.
    pub fn is_denial(&self) -> bool {
        !matches!(self, Self::Method(_) | Self::Unknown)
    }

    /// The answer, in the form in which that path answers.
    pub fn answer(&self, path: &str) -> Response {
        let (status, sentence) = self.words();
        let mut response = Trouble::new(status, sentence).answer(path);
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
    /// From where.
    pub peer: Option<IpAddr>,
}

impl Asked<'_> {
    /// Whether it changes something. What jobs and receivers say proves itself later.
    pub fn changes(&self) -> bool {
        self.entry.scope == Scope::Operate && self.method != Method::GET && self.method != Method::HEAD
    }

    /// Whether it comes from a proxy that is believed.
    fn is_from(&self, proxy: &Proxy) -> bool {
        self.peer.is_some_and(|peer| proxy.is_at(peer))
    }

    /// Who stands behind the proxy, else the peer itself.
    pub fn client(&self, proxy: Option<&Proxy>) -> Option<IpAddr> {
        let peer = self.peer?;
        let said: Vec<_> = self.headers.get_all("x-forwarded-for").iter().map(HeaderValue::as_bytes).collect();
        Some(proxy.map_or(peer, |proxy| proxy.client(peer, said.into_iter())))
    }

    /// Whom the proxy names; what others say in its header is not read.
    fn user(&self, proxy: Option<&Proxy>) -> Result<Option<Arc<str>>, Refusal> {
        let Some(proxy) = proxy.filter(|proxy| self.is_from(proxy)) else { return Ok(None) };
        let Some(header) = &proxy.user else { return Ok(None) };
        let said = self.headers.get_all(&**header).iter().map(HeaderValue::as_bytes);
        proxy.user(said).map(|user| user.map(Arc::from)).map_err(|_| Refusal::Unnamed)
    }
}

/// Whether a request may be answered, and to whom. `local` is where the listener really stands: a reload may change the plan's
/// address, never the listener's.
pub async fn admit(plan: &Plan, local: SocketAddr, asked: &Asked<'_>) -> Result<Caller, Refusal> {
    let (entry, headers, web) = (asked.entry, asked.headers, &plan.web);
    let address = asked.client(web.proxy.as_ref());
    let nobody = Caller { user: None, by_token: false, address };
    let needed = match entry.scope {
        Scope::Open | Scope::Ping | Scope::Signed => return Ok(nobody),
        Scope::Read => Role::Read,
        Scope::Operate => Role::Operate,
    };
    let (changes, is_ours) = (asked.changes(), is_of_our_page(plan, local, headers));
    if entry.is_form && !is_ours || changes && !entry.is_form && is_foreign(plan, local, headers) {
        return Err(Refusal::Foreign);
    }
    let user = asked.user(web.proxy.as_ref())?;
    let named = user.as_ref().zip(web.proxy.as_ref()).filter(|(user, proxy)| proxy.role(user) >= needed);
    // A page whose name points here may say whatever the proxy would, from a browser that stands where the proxy does.
    let is_asked_well = || is_asked_by(asked.uri, headers, |host| is_own(plan, local, host) || is_address(host));
    if let Some((user, _)) = named.filter(|_| is_asked_well()) {
        // The cookie by which the proxy knows them is sent wherever a foreign page makes a browser ask.
        if changes && !is_ours {
            return Err(Refusal::Foreign);
        }
        return Ok(Caller { user: Some(Arc::clone(user)), by_token: false, address });
    }
    let is_misdirected = named.is_some();
    // Where a proxy stands on loopback, what comes from there without a name is the whole world.
    let is_behind = web.proxy.as_ref().is_some_and(|proxy| asked.is_from(proxy));
    let is_free = needed == Role::Read && web.tokens.read.is_none() && local.ip().is_loopback() && !is_behind;
    if is_free && is_asked_by(asked.uri, headers, |host| is_own(plan, local, host)) {
        return Ok(nobody);
    }
    let given = Given::of(headers).filter(|given| !given.is_password || !changes || entry.is_form);
    let role = match &given {
        Some(given) => role(plan, &given.token).await?,
        None => None,
    };
    match role {
        Some(role) if role >= needed => Ok(Caller { user, by_token: true, address }),
        None if is_misdirected => Err(Refusal::Host),
        None if user.is_some() => Err(Refusal::User),
        // Whoever reads could bring no other.
        _ if needed == Role::Operate && !web.can_be_operated() => Err(Refusal::Tokenless),
        Some(_) if given.as_ref().is_some_and(|given| given.is_password) => Err(Refusal::ReaderPassword),
        Some(_) => Err(Refusal::Reader),
        None if is_free => Err(Refusal::Host),
        None if web.tokens == Tokens::default() && web.proxy.is_none() => {
            tracing::error!(%local, "the page can be reached from elsewhere and has no token: nothing is shown");
            Err(Refusal::Unknown)
        }
        None => Err(match (changes && !entry.is_form, given.is_some() && web.tokens != Tokens::default()) {
            (true, true) => Refusal::OtherBearer,
            (true, false) => Refusal::Bearer,
            (false, true) => Refusal::OtherToken,
            (false, false) => Refusal::Token,
        }),
    }
}

/// What a token lets do. Where one of ours cannot be read, another may still be known.
async fn role(plan: &Plan, given: &str) -> Result<Option<Role>, Refusal> {
    let (given, mut known, mut unknown) = (TokenDigest::of(given), None, false);
    for (token, role) in plan.web.tokens.all() {
        match digest(plan, token).await {
            Ok(wanted) if bool::from(wanted.0.ct_eq(&given.0)) => known = known.max(Some(role)),
            Ok(_) => {}
            Err(error) => {
                tracing::error!(%error, "a token of the page is not to be had: nobody is let in by it");
                unknown = true;
            }
        }
    }
    if known.is_none() && unknown { Err(Refusal::Unknown) } else { Ok(known) }
}

async fn digest(plan: &Plan, token: &Token) -> Result<TokenDigest, SecretError> {
    match token {
        Token::Known(digest) => Ok(*digest),
        Token::Secret(name) => plan.secrets.resolve(name).await.map(|secret| TokenDigest::of(secret.expose_secret())),
    }
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
    // What is said twice says nothing.
    let text = |name: HeaderName| {
        let mut said = headers.get_all(name).iter();
        said.next().map(|value| value.to_str().ok().filter(|_| said.next().is_none()).unwrap_or_default())
    };
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

/// Whether a host is an address: no name of somebody else points here by it. A proxy may ask by the address of ours.
fn is_address(host: &str) -> bool {
    host.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>().is_ok()
}

/// Whether the request is for a host that is meant; the port does not matter.
fn is_asked_by(uri: &Uri, headers: &HeaderMap, is_meant: impl Fn(&str) -> bool) -> bool {
    // A request may name its host twice, in the request line and in the header; both must be right.
    let mut hosts = headers.get_all(header::HOST).iter();
    let authority = match (hosts.next(), hosts.next()) {
        (Some(one), None) => one.to_str().ok().and_then(|host| host.parse::<Authority>().ok()),
        _ => None,
    };
    authority.is_some_and(|authority| is_meant(authority.host())) && uri.host().is_none_or(is_meant)
}

/// A token that somebody gave.
struct Given {
    token: String,
    /// As the password of HTTP Basic, whoever the user is.
    is_password: bool,
}

impl Given {
    /// The token of `Authorization`; nothing where that is said twice.
    fn of(headers: &HeaderMap) -> Option<Self> {
        let mut said = headers.get_all(header::AUTHORIZATION).iter();
        let (Some(said), None) = (said.next(), said.next()) else { return None };
        let (scheme, rest) = said.to_str().ok()?.split_once(' ')?;
        let rest = rest.trim();
        let (token, is_password) = if scheme.eq_ignore_ascii_case("bearer") {
            (rest.to_owned(), false)
        } else if scheme.eq_ignore_ascii_case("basic") {
            let decoded = base64::engine::general_purpose::STANDARD.decode(rest).ok()?;
            let decoded = String::from_utf8(decoded).ok()?;
            (decoded.split_once(':').map(|(_, password)| password.to_owned())?, true)
        } else {
            return None;
        };
        (!token.is_empty()).then_some(Self { token, is_password })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_comes_as_bearer_or_as_password() {
        let given = |texts: &[&str]| {
            let mut headers = HeaderMap::new();
            for text in texts {
                headers.append(header::AUTHORIZATION, text.parse().unwrap());
            }
            Given::of(&headers).map(|given| (given.token, given.is_password))
        };
        let token = |token: &str, is_password| Some((token.to_owned(), is_password));
        assert_eq!(given(&["Bearer abc"]), token("abc", false));
        assert_eq!(given(&["bearer  abc"]), token("abc", false));
        assert_eq!(given(&["Basic YW55Ym9keTphOmI="]), token("a:b", true), "a password may have colons");
        for none in [
            &["Basic YW55Ym9keQ=="][..],
            &["Basic YW55Ym9keTo="],
            &["Basic !"],
            &["Digest abc"],
            &["Bearer "],
            &["Bearer"],
        ] {
            assert_eq!(given(none), None, "{none:?}");
        }
        assert_eq!(given(&["Bearer abc", "Bearer abc"]), None, "which of them is meant is not known");
    }
}
