//! The prober: connects, calls, and puts down what was said.

use bytes::Bytes;
use futures::future::BoxFuture;
use http::header;

use super::call::{Answer, call};
use super::messages::{HealthCheckRequest, framed};
use crate::domain::exchange::{Exchange, beginning};
use crate::domain::fact_map::FactMap;
use crate::domain::outcome::{Failure, FailureKind, Observation};
use crate::domain::template::Template;
use crate::domain::text::shell_word;
use crate::net::resolver::Resolver;
use crate::net::stopwatch::Stopwatch;
use crate::net::tls::Terms;
use crate::ports::{Prober, StepContext};
use crate::probers::http::headers::{self, HeaderDraft};
use crate::probers::peer::Peer;
use crate::probers::place::{Place, Target};
use crate::probers::socket::open;

/// The method of the health service.
const PATH: &str = "/grpc.health.v1.Health/Check";

/// Asks a health service.
pub struct GrpcProber {
    /// Where it is.
    pub target: Target,
    /// What it is asked about; the server as a whole when there is none.
    pub service: Option<Template>,
    /// Metadata of the call.
    pub metadata: Vec<HeaderDraft>,
    /// A token for the call.
    pub bearer: Option<Template>,
    /// How TLS is spoken; none for plain HTTP/2.
    pub terms: Option<Terms>,
    /// Looks names up.
    pub resolver: Resolver,
}

impl Prober for GrpcProber {
    fn host(&self) -> Option<String> {
        self.target.host()
    }

    fn probe<'a>(&'a self, cx: &'a StepContext<'a>) -> BoxFuture<'a, Result<Observation, Failure>> {
        Box::pin(async move {
            let place = self.target.place(cx).await?;
            let service = match &self.service {
                Some(template) => cx.fill(template, |value| Some(value.to_owned())).await?,
                None => String::new(),
            };
            let request = self.request(&place, cx).await?;
            let mut watch = Stopwatch::start(cx.clock, cx.deadline);
            let mut peer = Peer::default();
            let opened = open(&self.resolver, &place, self.terms.as_ref(), &mut watch, &mut peer).await;
            let was_opened = opened.is_ok();
            let result = match opened {
                Ok(socket) => {
                    let body = framed(&HealthCheckRequest { service: service.clone() });
                    call(socket, request, body, &mut watch).await
                }
                Err(failure) => Err(failure),
            };
            let phases = watch.phases();

            let told = result.as_ref().map(told).unwrap_or_default();
            let flags = if self.terms.is_some() { "" } else { " -plaintext" };
            let (host, other) = (authority(&place), peer.clone());
            cx.recorder.add(move || Exchange {
                remote: other.address(),
                // Who is not trusted is sent nothing.
                sent: if was_opened { format!("POST {PATH}\nservice: \"{service}\"") } else { String::new() },
                received: told,
                certificates: other.certificates(),
                command: Some(command(flags, &service, &host)),
                phases,
            });
            let Answer { status, serving } = result.map_err(|failure| peer.failed(failure).after(phases))?;
            let mut facts = FactMap::default();
            if let Some(serving) = serving {
                facts.insert("serving", serving);
            }
            facts.insert("grpc_status", status.word);
            facts.insert("grpc_message", status.message);
            let mut observation = Observation { facts, phases, ..Observation::default() };
            peer.tell(&mut observation, cx.clock.now());
            Ok(observation)
        })
    }
}

impl GrpcProber {
    /// The head of the call ("gRPC over HTTP2").
    async fn request(&self, place: &Place, cx: &StepContext<'_>) -> Result<http::Request<()>, Failure> {
        let scheme = if self.terms.is_some() { "https" } else { "http" };
        let uri = format!("{scheme}://{}{PATH}", authority(place));
        let mut request = http::Request::new(());
        *request.method_mut() = http::Method::POST;
        *request.version_mut() = http::Version::HTTP_2;
        *request.uri_mut() = uri
            .parse()
            .map_err(|error| Failure::new(FailureKind::Capture, format!("`{uri}` cannot be called: {error}")))?;
        let map = request.headers_mut();
        map.insert(header::TE, headers::value("trailers")?);
        map.insert(header::CONTENT_TYPE, headers::value("application/grpc")?);
        map.insert(header::USER_AGENT, headers::value(concat!("roundsman/", env!("CARGO_PKG_VERSION")))?);
        // At most eight digits may stand there.
        let left = cx.deadline.since(cx.clock.monotonic()).as_millis().min(99_999_999);
        map.insert("grpc-timeout", headers::value(&format!("{left}m"))?);
        if let Some(bearer) = &self.bearer {
            let token = cx.fill(bearer, headers::fit).await?;
            let mut value = headers::value(&format!("Bearer {token}"))?;
            value.set_sensitive(true);
            map.insert(header::AUTHORIZATION, value);
        }
        for draft in &self.metadata {
            map.insert(draft.name.clone(), draft.fill(cx).await?);
        }
        Ok(request)
    }
}

fn authority(place: &Place) -> String {
    let host = if place.host.contains(':') { format!("[{}]", place.host) } else { place.host.clone() };
    format!("{host}:{}", place.port)
}

/// The call with the tool that people have for it.
fn command(flags: &str, service: &str, host: &str) -> String {
    let question = serde_json::json!({ "service": service }).to_string();
    let (question, host) = (shell_word(&question).into_owned(), shell_word(host).into_owned());
    format!("grpcurl{flags} -d {question} {host} grpc.health.v1.Health/Check")
}

fn told(answer: &Answer) -> String {
    let status = format!("grpc-status: {} {}", answer.status.word, answer.status.message);
    let serving = answer.serving.as_ref().map(|word| format!("\nserving: {word}")).unwrap_or_default();
    beginning(&Bytes::from(status.trim_end().to_owned() + &serving))
}
