//! The prober: exchanges until one is no redirect.

use std::collections::BTreeMap;
use std::sync::Arc;

use futures::future::BoxFuture;
use serde_json::{Map, Value};
use url::Host;

use super::connection::{Connection, Key};
use super::exchange::{Answer, exchange};
use super::redirect::{self, REDIRECTS_MAX};
use super::request::{Draft, Request};
use super::shared::Shared;
use crate::domain::outcome::{Failure, FailureKind, Observation};
use crate::net::excerpt::excerpt;
use crate::net::resolver::Resolver;
use crate::net::stopwatch::Stopwatch;
use crate::net::tls::Trust;
use crate::ports::{Clock, Prober, StepContext};

/// Makes the requests of one step.
pub struct HttpProber {
    /// What to ask.
    pub draft: Draft,
    /// Whether redirects are followed.
    pub follow_redirects: bool,
    /// How much of a body is read.
    pub body_bytes_max: u64,
    /// Whom to trust.
    pub trust: Trust,
    /// Looks names up.
    pub resolver: Resolver,
    /// Stamps the bytes.
    pub clock: Arc<dyn Clock>,
}

impl Prober for HttpProber {
    fn probe<'a>(&'a self, cx: &'a StepContext<'a>) -> BoxFuture<'a, Result<Observation, Failure>> {
        Box::pin(self.follow(cx))
    }
}

impl HttpProber {
    async fn follow(&self, cx: &StepContext<'_>) -> Result<Observation, Failure> {
        let request = self.draft.fill(cx).await?;
        let mut watch = Stopwatch::start(cx.clock, cx.deadline);
        let seen = self.exchanges(cx, request, &mut watch).await;
        seen.map_err(|failure| failure.after(watch.phases()))
    }

    /// The request and what it is redirected to.
    async fn exchanges(
        &self,
        cx: &StepContext<'_>,
        mut request: Request,
        watch: &mut Stopwatch<'_>,
    ) -> Result<Observation, Failure> {
        let shared = cx.session.get::<Shared>();
        let mut redirects = 0;
        loop {
            let key = self.key(&request);
            let (connection, answer) = match self.once(&key, &request, &shared, watch).await {
                Err(failure) if redirects > 0 && failure.kind == FailureKind::ConnectBlocked => {
                    return Err(Failure { kind: FailureKind::RedirectBlocked, ..failure });
                }
                result => result?,
            };
            shared.remember(&request.url, &answer.head.headers);
            let url = request.url.clone();
            if !(self.follow_redirects && redirect::follow(&mut request, answer.head.status, &answer.head.headers)?) {
                let mut observation = observe(&connection, answer, cx);
                observation.facts.insert("redirects".to_owned(), redirects.into());
                observation.facts.insert("url".to_owned(), url.as_str().into());
                observation.phases = watch.phases();
                shared.keep(key, connection);
                return Ok(observation);
            }
            shared.keep(key, connection);
            redirects += 1;
            if redirects > REDIRECTS_MAX {
                let message =
                    format!("more than {REDIRECTS_MAX} redirects, the last to {}", excerpt(request.url.as_str()));
                return Err(Failure::new(FailureKind::RedirectLimit, message));
            }
        }
    }

    fn key(&self, request: &Request) -> Key {
        let host = match request.url.host() {
            Some(Host::Domain(name)) => name.to_owned(),
            Some(Host::Ipv4(address)) => address.to_string(),
            Some(Host::Ipv6(address)) => address.to_string(),
            None => String::new(),
        };
        let trust = (request.url.scheme() == "https").then(|| self.trust.clone());
        Key { host, port: request.url.port_or_known_default().unwrap_or_default(), trust }
    }

    /// One exchange. A connection of an earlier one may have been closed meanwhile, which says nothing about the target:
    /// if no byte of an answer came, a fresh one takes its place, unless the server may have done what must not be done
    /// twice (RFC 9110, section 9.2.2).
    async fn once(
        &self,
        key: &Key,
        request: &Request,
        shared: &Shared,
        watch: &mut Stopwatch<'_>,
    ) -> Result<(Connection, Answer), Failure> {
        let cookies = shared.cookies(&request.url);
        if let Some(mut connection) = shared.take(key) {
            match self.exchange(&mut connection, request, &cookies, watch).await {
                Err(failure) if failure.kind == FailureKind::ProtocolClosed && may_repeat(request, &connection) => {}
                result => return result.map(|answer| (connection, answer)),
            }
        }
        let mut connection = Connection::open(key, &self.resolver, &self.clock, watch).await?;
        let answer = self.exchange(&mut connection, request, &cookies, watch).await?;
        Ok((connection, answer))
    }

    async fn exchange(
        &self,
        connection: &mut Connection,
        request: &Request,
        cookies: &str,
        watch: &mut Stopwatch<'_>,
    ) -> Result<Answer, Failure> {
        let message = request.message(cookies)?;
        exchange(connection, message, self.body_bytes_max, self.clock.as_ref(), watch).await
    }
}

fn may_repeat(request: &Request, connection: &Connection) -> bool {
    let marks = connection.log.marks();
    marks.first.is_none() && (!marks.is_sent() || request.method.is_idempotent())
}

fn observe(connection: &Connection, answer: Answer, cx: &StepContext<'_>) -> Observation {
    let mut facts = Map::new();
    facts.insert("status".to_owned(), answer.head.status.as_u16().into());
    let version = if answer.head.version == http::Version::HTTP_10 { "1.0" } else { "1.1" };
    facts.insert("http_version".to_owned(), version.into());
    facts.insert("headers".to_owned(), headers(&answer.head.headers));
    facts.insert("remote_ip".to_owned(), connection.remote.to_string().into());
    let mut certificate_expires = None;
    if let Some(shown) = &connection.shown {
        facts.insert("tls_version".to_owned(), shown.version.into());
        facts.insert("cert".to_owned(), shown.chain.facts(cx.clock.now()));
        certificate_expires = Some(shown.chain.expires());
    }
    Observation { facts, body: Some(answer.body), certificate_expires, ..Observation::default() }
}

/// Lower-case names; what came several times is joined by `, `.
fn headers(headers: &http::HeaderMap) -> Value {
    let mut joined: BTreeMap<&str, String> = BTreeMap::new();
    for (name, value) in headers {
        let value = String::from_utf8_lossy(value.as_bytes());
        joined
            .entry(name.as_str())
            .and_modify(|all| {
                all.push_str(", ");
                all.push_str(&value);
            })
            .or_insert_with(|| value.clone().into_owned());
    }
    joined.into_iter().map(|(name, value)| (name.to_owned(), Value::String(value))).collect::<Map<_, _>>().into()
}
