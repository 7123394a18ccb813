//! The same request again and again, to see that a limit of the target is one. It must not become an attack: the requests are
//! made one after another, they are few, and the first that is refused is the last.

use std::sync::Arc;

use futures::future::BoxFuture;

use crate::domain::aws_call::AwsCall;
use crate::domain::outcome::{Failure, Observation, Phases};
use crate::ports::{Prober, StepContext};

/// How often a request is made at most.
pub const REPEAT_MAX: u64 = 100;

/// Makes the same request until an answer is not 2xx, at most so many times.
pub struct Repeated {
    /// Makes it once.
    pub prober: Arc<dyn Prober>,
    /// How often at most.
    pub times: u64,
}

impl Prober for Repeated {
    fn host(&self) -> Option<String> {
        self.prober.host()
    }

    fn calls(&self) -> Vec<AwsCall> {
        let times = u32::try_from(self.times).unwrap_or(u32::MAX);
        self.prober
            .calls()
            .into_iter()
            .map(|call| AwsCall { calls: call.calls.saturating_mul(times), ..call })
            .collect()
    }

    fn probe<'a>(&'a self, cx: &'a StepContext<'a>) -> BoxFuture<'a, Result<Observation, Failure>> {
        Box::pin(async move {
            let (mut phases, mut requests) = (Phases::default(), 0);
            loop {
                let result = self.prober.probe(cx).await;
                requests += 1;
                if let Some(last) =
                    result.as_ref().map_or_else(|failure| failure.phases.as_deref(), |seen| Some(&seen.phases))
                {
                    phases.add(last);
                }
                let mut seen = result.map_err(|failure| failure.after(phases))?;
                let status = seen.facts.get("status").and_then(serde_json::Value::as_u64).unwrap_or_default();
                if requests >= self.times || !(200..300).contains(&status) {
                    seen.facts.insert("requests", requests);
                    seen.phases = phases;
                    return Ok(seen);
                }
            }
        })
    }
}
