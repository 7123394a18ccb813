//! A call outside of any probe: over the shared client, within a few seconds, and repeated only with credentials that were
//! renewed meanwhile.

use std::time::Duration;

use reqwest::Client;
use serde_json::Value;

use super::answer::{self, NoValue, Refusal};
use super::call::{Call, CallError};
use super::signature::Unsigned;
use super::{Aws, AwsError, trouble};
use crate::domain::time::Timestamp;

/// How long a call may take in all.
const CALL_MAX: Duration = Duration::from_secs(4);

/// How many bytes an answer may have: the largest secret is 64 KiB.
const ANSWER_BYTES_MAX: usize = 256 * 1_024;

/// There is no answer. The text never holds a secret.
#[derive(Debug, thiserror::Error)]
pub enum Unanswered {
    /// AWS cannot be used as things are.
    #[error("{0}")]
    Aws(#[from] AwsError),
    /// There is no such call.
    #[error("{0}")]
    Call(#[from] CallError),
    /// It cannot be signed.
    #[error("{0}")]
    Unsigned(#[from] Unsigned),
    /// Nobody answered, or something on the way.
    #[error("{0}")]
    Way(String),
    /// The service refuses.
    #[error("it is refused in {region}")]
    Refused {
        /// What it says, without credentials.
        refusal: Refusal,
        /// Where it was asked.
        region: String,
    },
}

impl Aws {
    /// Makes a call, and gives the value of its answer.
    pub async fn ask(&self, http: &Client, call: &Call, now: Timestamp) -> Result<Value, Unanswered> {
        let silence = || Unanswered::Way(format!("there was no answer within {} s", CALL_MAX.as_secs()));
        let asking = async {
            match self.ask_once(http, call, now).await {
                Err(Unanswered::Refused { refusal, .. }) if refusal.is_of_credentials() => {
                    self.forget().await;
                    self.ask_once(http, call, now).await
                }
                answer => answer,
            }
        };
        tokio::time::timeout(CALL_MAX, asking).await.unwrap_or_else(|_| Err(silence()))
    }

    async fn ask_once(&self, http: &Client, call: &Call, now: Timestamp) -> Result<Value, Unanswered> {
        let site = self.site(call.region.as_deref()).await?;
        let own = call.service.url(&site.region);
        let wire = call.wire(site.endpoint.as_ref().unwrap_or(&own))?;
        let mut headers = wire.headers;
        let region = call.service.signing_region(&site.region);
        let signer = self.signer(call.service.signing, Some(region), now).await?;
        signer.sign(&wire.method, &wire.url, &mut headers, &wire.body, now)?;
        let way = |error: reqwest::Error| Unanswered::Way(trouble::chain(&error.without_url()));
        let request = http.request(wire.method, wire.url).headers(headers).body(wire.body);
        let mut answer = request.send().await.map_err(way)?;
        let (status, headers) = (answer.status().as_u16(), answer.headers().clone());
        let mut body = Vec::new();
        while let Some(chunk) = answer.chunk().await.map_err(way)? {
            body.extend_from_slice(&chunk);
            if body.len() > ANSWER_BYTES_MAX {
                return Err(Unanswered::Way("the answer is larger than any that AWS gives".to_owned()));
            }
        }
        match answer::read(call, status, &headers, &body.into()) {
            Ok(value) => Ok(value.unwrap_or_default()),
            Err(NoValue::Foreign(why)) => Err(Unanswered::Way(why)),
            Err(NoValue::Refused(refusal)) => {
                let refusal = Refusal { message: self.redact(&refusal.message), ..refusal };
                Err(Unanswered::Refused { refusal, region: site.region })
            }
        }
    }
}
