//! Requests that AWS signs for: Signature Version 4, with the credentials that publishers use too.

use std::future::Future;
use std::sync::Arc;

use futures::future::{Either, select};
use http::{HeaderMap, Method};
use schemars::JsonSchema;
use serde::Deserialize;
use url::Url;

use crate::domain::outcome::{Failure, FailureKind};
use crate::domain::time::Timestamp;
use crate::net::aws::signature::Signer;
use crate::net::aws::{Aws, AwsError, check_region};
use crate::ports::StepContext;
use crate::settings::{Problems, Spanned};

/// Whose signature a request bears.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SigV4Settings {
    /// The service as signatures name it: `execute-api`, `s3`, `lambda`, …
    #[schemars(with = "String")]
    service: Spanned<String>,
    /// The region. Default: that of the environment or the profile.
    #[schemars(with = "Option<String>")]
    region: Option<Spanned<String>>,
}

impl SigV4Settings {
    /// Reads the settings; every mistake is a problem.
    pub fn read(&self, problems: &mut Problems) -> Option<SigV4> {
        let service = &self.service.value;
        let known = problems.len();
        if service.is_empty()
            || !service.bytes().all(|byte| byte.is_ascii_lowercase() || b"0123456789-".contains(&byte))
        {
            let message = format!("`{service}` is not the name of a service in signatures");
            problems.error(self.service.span.clone(), message).help =
                Some("write it as AWS does there, like `execute-api`, `s3` or `lambda`".to_owned());
        }
        if let Some(region) = &self.region {
            check_region(region, problems);
        }
        let region = self.region.as_ref().map(|region| region.value.clone());
        let aws = Aws::shared(region.as_deref());
        (problems.len() == known).then(|| SigV4 { service: service.clone(), region, aws })
    }
}

/// Finds out who signs.
#[derive(Debug)]
pub struct SigV4 {
    service: String,
    region: Option<String>,
    aws: Arc<Aws>,
}

impl SigV4 {
    /// The service as signatures name it.
    pub fn service(&self) -> &str {
        &self.service
    }

    /// The region, where one is named.
    pub fn region(&self) -> Option<&str> {
        self.region.as_deref()
    }

    /// Who signs at present.
    pub async fn signer(&self, cx: &StepContext<'_>) -> Result<Signer, Failure> {
        let signer = self.aws.signer(&self.service, None, cx.clock.now());
        in_time(cx, signer).await
    }
}

/// What is looked for on our side takes none of the target's time beyond the step's, and is our fault when it does.
pub async fn in_time<T>(cx: &StepContext<'_>, search: impl Future<Output = Result<T, AwsError>>) -> Result<T, Failure> {
    let ours = |message: String| Failure::new(FailureKind::LocalSecret, message);
    match select(Box::pin(search), cx.clock.sleep_until(cx.deadline)).await {
        Either::Left((found, _)) => found.map_err(|error| ours(error.to_string())),
        Either::Right(_) => Err(ours("no credentials for AWS were found before the time ended".to_owned())),
    }
}

/// Puts the signature into the headers. That it cannot be made is a bug of ours.
pub fn sign(
    signer: &Signer,
    method: &Method,
    url: &Url,
    headers: &mut HeaderMap,
    body: &[u8],
    now: Timestamp,
) -> Result<(), Failure> {
    let signed = signer.sign(method, url, headers, body, now);
    signed.map_err(|error| Failure::new(FailureKind::Internal, error.to_string()))
}
