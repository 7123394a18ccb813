//! Requests that another kind has made itself, each sent as it is and answered once: no redirects, no cookies that are kept.

use std::sync::Arc;

use bytes::Bytes;
use http::response::Parts;
use http::{HeaderMap, Method};
use url::Url;

use super::connection::Version;
use super::facts::{Hop, observe};
use super::request::{Request, usual_headers};
use super::settings::BODY_BYTES_MAX;
use super::shared::Shared;
use super::way::Way;
use crate::domain::outcome::{Failure, Observation};
use crate::net::aws::signature::Signer;
use crate::net::resolver::Resolver;
use crate::net::stopwatch::Stopwatch;
use crate::net::tls::Trust;
use crate::ports::{Building, StepContext};

/// Sends requests, with the connections of the run.
pub struct Sender(Way);

/// A request.
pub struct Outgoing {
    /// The method.
    pub method: Method,
    /// Where to.
    pub url: Url,
    /// The headers that say what it is.
    pub headers: HeaderMap,
    /// The body.
    pub body: Bytes,
    /// Who signs it.
    pub signer: Option<Signer>,
    /// Whether the answer is nobody's to see.
    pub answer_is_secret: bool,
}

impl Sender {
    /// Trusts whom the machine trusts.
    pub fn new(building: &Building) -> Self {
        Self(Way {
            trust: Trust::default(),
            identity: None,
            version: Version::default(),
            resolver: Resolver::system(),
            body_bytes_max: BODY_BYTES_MAX,
            clock: Arc::clone(&building.clock),
        })
    }

    /// The head of the answer, and what was seen of it; whatever its status, it is no failure.
    pub async fn send(
        &self,
        cx: &StepContext<'_>,
        outgoing: Outgoing,
        watch: &mut Stopwatch<'_>,
    ) -> Result<(Arc<Parts>, Observation), Failure> {
        let mut headers = usual_headers();
        headers.extend(outgoing.headers);
        let request = Arc::new(Request {
            method: outgoing.method,
            url: outgoing.url,
            headers,
            private: HeaderMap::new(),
            signer: outgoing.signer,
            body: outgoing.body,
            body_is_private: true,
            is_at_home: true,
            answer_is_secret: outgoing.answer_is_secret,
        });
        let shared = cx.session.get::<Shared>();
        let before = watch.phases();
        let (connection, answer) = self.0.once(cx, &request, &shared, watch).await?;
        let head = Arc::clone(&answer.head);
        let remote = connection.peer.remote;
        let hop = Hop { request, head: Arc::clone(&head), remote, phases: watch.phases().since(&before) };
        let observation = observe(&connection, answer, vec![hop], cx.clock.now());
        shared.keep(connection);
        Ok((head, Observation { phases: watch.phases(), ..observation }))
    }
}
