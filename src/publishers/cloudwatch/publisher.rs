//! Sends what the backlog has, and is patient when it cannot.

use std::sync::Arc;
use std::time::Duration;

use aws_sdk_cloudwatch::Client;
use aws_sdk_cloudwatch::operation::RequestId as _;
use aws_sdk_cloudwatch::types::MetricDatum;
use futures::future::BoxFuture;
use tokio::sync::OnceCell;

use super::backlog::Backlog;
use super::packet::Packet;
use super::settings::Namespace;
use crate::domain::metric::Sample;
use crate::domain::names::ProbeName;
use crate::domain::time::Monotonic;
use crate::net::aws::{Aws, Trouble, TroubleKind};
use crate::ports::{Clock, PublishError, Publisher, PublisherAccount};

/// How many requests one tick sends; between ticks new samples are taken in.
const REQUESTS_PER_TICK: usize = 4;

/// Patience grows from here, doubling, with full jitter …
const REST_MIN: Duration = Duration::from_secs(1);

/// … to here.
const REST_MAX: Duration = Duration::from_mins(1);

/// CloudWatch of one region, under one namespace.
pub struct CloudWatch {
    namespace: Namespace,
    location: Arc<str>,
    aws: Arc<Aws>,
    /// Made at the first request.
    client: OnceCell<Client>,
    clock: Arc<dyn Clock>,
    backlog: Backlog,
    /// Present while requests fail.
    rest: Option<Rest>,
}

/// What is known of requests that fail.
struct Rest {
    failures: u32,
    until: Monotonic,
    error: String,
}

impl CloudWatch {
    /// A publisher that has done nothing yet.
    pub fn new(namespace: Namespace, location: Arc<str>, aws: Arc<Aws>, clock: Arc<dyn Clock>) -> Self {
        Self { namespace, location, aws, client: OnceCell::new(), clock, backlog: Backlog::default(), rest: None }
    }

    /// Sends at most so many requests. It ends at the first that fails; what is refused is taken apart.
    async fn send(&mut self, requests_max: usize) -> Result<(), PublishError> {
        let mut refusal = None;
        for _ in 0..requests_max {
            let Some(packets) = self.backlog.next_request(self.clock.now()) else { break };
            let data = packets.iter().flat_map(|packet| packet.data(&self.location)).collect();
            match self.put(data).await {
                Ok(()) => {
                    self.backlog.delivered();
                    self.rest = None;
                }
                Err(trouble) if trouble.kind == TroubleKind::Refused => {
                    // It answered, and was able to read: there is nothing to wait for.
                    self.rest = None;
                    if let Some(packet) = self.backlog.refused() {
                        let Packet { name, probe, samples, .. } = packet;
                        let of = probe.as_ref().map_or(&*self.location, ProbeName::as_str);
                        let what = format!("CloudWatch refuses {samples} samples `{}` of {of}", name.as_str());
                        refusal = Some(format!("{what}: {}", trouble.message));
                    }
                }
                Err(trouble) => {
                    self.backlog.kept();
                    self.fail(trouble);
                    break;
                }
            }
        }
        self.state(refusal)
    }

    async fn put(&self, data: Vec<MetricDatum>) -> Result<(), Trouble> {
        let client = self.client.get_or_try_init(|| async { self.aws.config().await.map(Client::new) });
        let client = client.await.map_err(|error| Trouble {
            kind: TroubleKind::Transient,
            message: error.to_string(),
            retry_after: None,
        })?;
        let request = client.put_metric_data().namespace(self.namespace.as_str()).set_metric_data(Some(data));
        let answer = request.send().await.map_err(|error| self.aws.trouble(&error))?;
        // The SDK takes any 200 for a success. Every answer of the service has an id; a login page on the way has none.
        if answer.request_id().is_none() {
            let message = "an answer that is not from AWS, with status 200".to_owned();
            return Err(Trouble { kind: TroubleKind::Transient, message, retry_after: None });
        }
        Ok(())
    }

    fn fail(&mut self, trouble: Trouble) {
        let failures = self.rest.as_ref().map_or(0, |rest| rest.failures);
        let length = rest_length(failures, trouble.retry_after, rand::random());
        let until = self.clock.monotonic() + length;
        self.rest = Some(Rest { failures: failures + 1, until, error: trouble.message });
    }

    /// Whether things are well. What went wrong stands until it is over, so that it is told once.
    fn state(&self, news: Option<String>) -> Result<(), PublishError> {
        match (news, &self.rest) {
            (Some(news), _) => Err(PublishError(news)),
            (None, Some(rest)) => Err(PublishError(rest.error.clone())),
            (None, None) => Ok(()),
        }
    }
}

/// How long to wait after so many failures before this one; `jitter` is between 0 and 1.
fn rest_length(failures: u32, retry_after: Option<Duration>, jitter: f64) -> Duration {
    let longest = REST_MIN.saturating_mul(1_u32.checked_shl(failures).unwrap_or(u32::MAX)).min(REST_MAX);
    longest.mul_f64(jitter.clamp(0.0, 1.0)).max(retry_after.unwrap_or_default().min(REST_MAX))
}

impl Publisher for CloudWatch {
    fn publish<'a>(&'a mut self, samples: &'a [Sample]) -> BoxFuture<'a, Result<(), PublishError>> {
        let dropped = self.backlog.take(samples, self.clock.now());
        let news = (dropped > 0).then(|| format!("{dropped} samples were dropped: no room, or not of this time"));
        Box::pin(std::future::ready(self.state(news)))
    }

    fn flush(&mut self) -> BoxFuture<'_, Result<(), PublishError>> {
        self.backlog.close();
        Box::pin(self.send(usize::MAX))
    }

    fn tick(&mut self) -> BoxFuture<'_, Result<(), PublishError>> {
        self.backlog.turn(self.clock.now());
        let is_resting = self.rest.as_ref().is_some_and(|rest| self.clock.monotonic() < rest.until);
        Box::pin(self.send(if is_resting { 0 } else { REQUESTS_PER_TICK }))
    }

    fn account(&self) -> PublisherAccount {
        self.backlog.account()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patience_doubles_to_a_minute_and_heeds_the_service() {
        for (failures, retry_after, seconds) in
            [(0, None, 1), (3, None, 8), (9, None, 60), (90, None, 60), (0, Some(30), 30), (0, Some(9_999), 60)]
        {
            let retry_after = retry_after.map(Duration::from_secs);
            assert_eq!(rest_length(failures, retry_after, 1.0), Duration::from_secs(seconds), "{failures}");
        }
        assert_eq!(rest_length(9, None, 0.25), Duration::from_secs(15));
    }
}
