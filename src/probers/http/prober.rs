//! The prober: exchanges until one is no redirect.

use std::sync::Arc;

use futures::future::BoxFuture;
use http::header::AUTHORIZATION;

use super::calls;
use super::credentials::Credentials;
use super::facts::{Hop, observe};
use super::identity::IdentityDraft;
use super::oauth2::Token;
use super::redirect;
use super::request::{Draft, Request};
use super::shared::Shared;
use super::way::Way;
use crate::domain::aws_call::AwsCall;
use crate::domain::outcome::{Failure, FailureKind, Observation};
use crate::net::excerpt::excerpt;
use crate::net::stopwatch::Stopwatch;
use crate::ports::{Prober, StepContext};

/// What an OAuth 2 token that is good no longer is answered with.
const UNAUTHORIZED: u16 = 401;

/// Makes the requests of one step.
pub struct HttpProber {
    /// What to ask.
    pub draft: Draft,
    /// How many redirects are followed; none for those that are left to the assertions.
    pub redirects_max: Option<u32>,
    /// Who we are to a server that asks.
    pub identity: Option<IdentityDraft>,
    /// How requests go out.
    pub way: Way,
}

impl Prober for HttpProber {
    fn host(&self) -> Option<String> {
        self.draft.url.host().map(|host| host.to_string())
    }

    fn calls(&self) -> Vec<AwsCall> {
        calls::calls(&self.draft)
    }

    fn probe<'a>(&'a self, cx: &'a StepContext<'a>) -> BoxFuture<'a, Result<Observation, Failure>> {
        Box::pin(self.step(cx))
    }
}

impl HttpProber {
    /// A token that was kept may have been taken back since: then a new one, and the request once more. What was refused
    /// first says nothing about the target, and is in the record.
    async fn step(&self, cx: &StepContext<'_>) -> Result<Observation, Failure> {
        let shared = cx.session.get::<Shared>();
        let way = match &self.identity {
            Some(identity) => &Way { identity: Some(identity.fill(cx).await?), ..self.way.clone() },
            None => &self.way,
        };
        let mut refused = None;
        loop {
            let token = match &self.draft.credentials {
                Some(Credentials::OAuth2(oauth2)) => Some(Box::pin(oauth2.token(cx, &shared, refused.as_ref())).await?),
                _ => None,
            };
            let seen = self.follow(cx, way, &shared, token.as_ref()).await;
            let is_refused = matches!(&seen, Ok(seen) if seen.facts.get("status") == Some(&UNAUTHORIZED.into()));
            match token {
                Some(token) if is_refused && token.was_kept && refused.is_none() => refused = Some(token),
                _ => return seen,
            }
        }
    }

    async fn follow(
        &self,
        cx: &StepContext<'_>,
        way: &Way,
        shared: &Shared,
        token: Option<&Token>,
    ) -> Result<Observation, Failure> {
        let mut request = self.draft.fill(cx).await?;
        if let Some(token) = token {
            request.private.insert(AUTHORIZATION, token.header()?);
        }
        let mut watch = Stopwatch::start(cx.clock, cx.deadline);
        let seen = self.exchanges(cx, way, shared, Arc::new(request), &mut watch).await;
        seen.map_err(|failure| failure.after(watch.phases()))
    }

    /// The request and what it is redirected to.
    async fn exchanges(
        &self,
        cx: &StepContext<'_>,
        way: &Way,
        shared: &Shared,
        mut request: Arc<Request>,
        watch: &mut Stopwatch<'_>,
    ) -> Result<Observation, Failure> {
        let mut hops = Vec::new();
        loop {
            let before = watch.phases();
            let (connection, answer) = match way.once(cx, &request, shared, watch).await {
                Err(failure) if !hops.is_empty() && failure.kind == FailureKind::ConnectBlocked => {
                    return Err(Failure { kind: FailureKind::RedirectBlocked, ..failure });
                }
                result => result?,
            };
            shared.remember(&request.url, &answer.head.headers);
            hops.push(Hop {
                request: Arc::clone(&request),
                head: Arc::clone(&answer.head),
                remote: connection.peer.remote,
                phases: watch.phases().since(&before),
            });
            let is_followed = self.redirects_max.is_some()
                && redirect::follow(Arc::make_mut(&mut request), answer.head.status, &answer.head.headers)
                    .map_err(|failure| connection.peer.failed(failure))?;
            if !is_followed {
                let mut observation = observe(&connection, answer, hops, cx.clock.now());
                observation.phases = watch.phases();
                shared.keep(connection);
                return Ok(observation);
            }
            let most = self.redirects_max.unwrap_or_default();
            if hops.len() > most as usize {
                let several = if most == 1 { "redirect" } else { "redirects" };
                let message = format!("more than {most} {several}, the last to {}", excerpt(request.url.as_str()));
                return Err(connection.peer.failed(Failure::new(FailureKind::RedirectLimit, message)));
            }
            shared.keep(connection);
        }
    }
}
