//! The way of a request: over a connection that is still open or a fresh one, to an answer, with a record of what went and
//! what came.

use std::sync::Arc;

use super::connection::{Connection, Key, Version};
use super::exchange::{Answer, Seen, exchange};
use super::request::Request;
use super::shared::Shared;
use super::told::Told;
use crate::domain::outcome::{Failure, FailureKind, Phases};
use crate::net::resolver::Resolver;
use crate::net::stopwatch::Stopwatch;
use crate::net::tls::{Identity, Terms, Trust};
use crate::ports::{Clock, StepContext};
use crate::probers::peer::Peer;
use crate::probers::place::Place;

/// On what terms requests go out.
#[derive(Clone)]
pub struct Way {
    /// Whom to trust.
    pub trust: Trust,
    /// Who we are, to the origin that was written and no other.
    pub identity: Option<Identity>,
    /// What is spoken.
    pub version: Version,
    /// Makes addresses of hosts.
    pub resolver: Resolver,
    /// How much of a body is read.
    pub body_bytes_max: u64,
    /// Stamps the bytes.
    pub clock: Arc<dyn Clock>,
}

impl Way {
    /// Where a request goes and how.
    fn key(&self, request: &Request) -> Key {
        let Place { host, port } = Place::of(&request.url);
        let terms = || Terms {
            trust: self.trust.clone(),
            protocols: self.version.protocols(),
            identity: self.identity.clone().filter(|_| request.is_at_home),
        };
        Key {
            host,
            port,
            terms: (request.url.scheme() == "https").then(terms),
            version: self.version,
            resolver: self.resolver.clone(),
        }
    }

    /// One exchange. A connection of an earlier one may have been closed meanwhile, which says nothing about the target:
    /// if no byte of an answer came, a fresh one takes its place, unless the server may have done what must not be done
    /// twice (RFC 9110, section 9.2.2).
    pub async fn once(
        &self,
        cx: &StepContext<'_>,
        request: &Arc<Request>,
        shared: &Shared,
        watch: &mut Stopwatch<'_>,
    ) -> Result<(Connection, Answer), Failure> {
        let key = Arc::new(self.key(request));
        let cookies: Arc<str> = shared.cookies(&request.url).into();
        let mut kept = shared.take(&key);
        drop(kept.take_if(|connection| !connection.is_open()));
        loop {
            let before = watch.phases();
            let was_kept = kept.is_some();
            let mut connection = match kept.take() {
                Some(connection) => connection,
                // Making the connection is a part of this exchange.
                None => self.open(cx, request, &cookies, &key, before, watch).await?,
            };
            match self.exchange(cx, &mut connection, request, &cookies, before, watch).await {
                Err(failure)
                    if was_kept && failure.kind == FailureKind::ProtocolClosed && may_repeat(request, &connection) => {}
                result => return result.map(|answer| (connection, answer)),
            }
        }
    }

    async fn open(
        &self,
        cx: &StepContext<'_>,
        request: &Arc<Request>,
        cookies: &Arc<str>,
        key: &Arc<Key>,
        before: Phases,
        watch: &mut Stopwatch<'_>,
    ) -> Result<Connection, Failure> {
        let mut peer = Peer::default();
        Connection::open(key, &self.clock, watch, &mut peer).await.map_err(|failure| {
            let failure = peer.failed(failure);
            let phases = watch.phases().since(&before);
            let told = Told { peer, phases, ..Told::of(request, cookies, key, cx.clock.now()) };
            cx.recorder.add(move || told.exchange());
            failure
        })
    }

    async fn exchange(
        &self,
        cx: &StepContext<'_>,
        connection: &mut Connection,
        request: &Arc<Request>,
        cookies: &Arc<str>,
        before: Phases,
        watch: &mut Stopwatch<'_>,
    ) -> Result<Answer, Failure> {
        let now = cx.clock.now();
        let message = request.message(cookies, connection.is_http2(), now)?;
        let mut seen = Seen::default();
        let clock = self.clock.as_ref();
        let result = exchange(connection, message, self.body_bytes_max, clock, watch, &mut seen).await;
        let told = Told {
            peer: connection.peer.clone(),
            is_sent: connection.log.marks().is_sent(),
            is_http2: connection.is_http2(),
            head: seen.head,
            body: result.as_ref().map_or_else(|_| seen.body.bytes.freeze(), |answer| answer.body.clone()),
            phases: watch.phases().since(&before),
            ..Told::of(request, cookies, &connection.key, now)
        };
        cx.recorder.add(move || told.exchange());
        result.map_err(|failure| connection.peer.failed(failure))
    }
}

fn may_repeat(request: &Request, connection: &Connection) -> bool {
    let marks = connection.log.marks();
    !marks.has_begun() && (!marks.is_sent() || request.method.is_idempotent())
}
