//! What publishers, notifiers and probers share of AWS: where it is and who we are there (here), what is signed for
//! ([`signature`]), and what went wrong ([`mod@trouble`]).
//!
//! Probers ask any service with plain calls: a [`call`] of one of the [`services`] (of those with methods and paths the actions
//! are in [`mod@rest`], the others have a `form` or JSON) becomes a request, and what comes back an [`answer`], whose `xml` is made
//! into JSON, or a [`refusal`]. What a policy must allow for it says [`permission`]. Who is no
//! prober makes one as [`plain`] does.
//!
//! The configuration of the SDK is loaded at the first use, since building a plan does no I/O. Whoever holds an [`Aws`] has
//! a connection pool, time-outs and a retry budget of its own, so that metrics that hang never delay a page.

pub mod answer;
pub mod call;
mod form;
mod known;
pub mod permission;
pub mod plain;
pub mod refusal;
pub mod rest;
pub mod services;
mod shared;
pub mod signature;
pub mod trouble;
mod xml;

use std::sync::Arc;
use std::time::Duration;

use aws_config::retry::RetryConfig;
use aws_config::timeout::TimeoutConfig;
use aws_config::{BehaviorVersion, ConfigLoader, Region, SdkConfig};
use aws_credential_types::provider::SharedCredentialsProvider;
use aws_sdk_sns::config::http::HttpResponse;
use aws_sdk_sns::error::{ProvideErrorMetadata, SdkError};
use tokio::sync::OnceCell;

use crate::domain::recent::Recent;
use crate::settings::{Problems, Spanned};

pub use trouble::{Trouble, TroubleKind, trouble};

/// How long a TCP or TLS handshake may take.
const CONNECT_MAX: Duration = Duration::from_secs(2);

/// How long an answer may keep us waiting for its first byte. Without this a server that accepts and never answers would
/// hold a call for ever.
const READ_MAX: Duration = Duration::from_secs(5);

/// How long one attempt may take.
const ATTEMPT_MAX: Duration = Duration::from_secs(5);

/// How long a call may take with its repetitions.
const OPERATION_MAX: Duration = Duration::from_secs(12);

/// How long it may take to find the region: instance metadata that never answers must not hide behind its own retries.
const CONFIGURATION_MAX: Duration = Duration::from_secs(4);

/// How long looking for credentials may take, the region included.
const CHECK_MAX: Duration = Duration::from_secs(5);

/// Where AWS is and who we are there. What is absent comes from where the SDK always looks: the environment, the profile,
/// and what the machine or the container is.
#[derive(Clone, Debug, Default)]
pub struct Access {
    /// The region.
    pub region: Option<String>,
    /// Where requests go instead of the region's own address.
    pub endpoint: Option<String>,
    /// Who we are.
    pub credentials: Option<SharedCredentialsProvider>,
}

/// Where a call goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Site {
    /// The region.
    pub region: String,
    /// The address in place of AWS's own.
    pub endpoint: Option<String>,
}

/// AWS cannot be used as things are. The text never holds a secret.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AwsError {
    /// Without roots the SDK could trust nobody, and in some versions panics.
    #[error(
        "this machine has no CA certificates: install the package `ca-certificates`, or name a file in SSL_CERT_FILE"
    )]
    NoRoots,
    /// Nobody said where.
    #[error("no region is known: write `region:`, or set AWS_REGION")]
    NoRegion,
    /// Something that should answer at once did not.
    #[error("the AWS configuration of this machine could not be read within {} s", CONFIGURATION_MAX.as_secs())]
    ConfigurationTimeout,
    /// No provider of the chain gave credentials.
    #[error("no AWS credentials: {0}")]
    NoCredentials(String),
}

/// AWS as one publisher or notifier sees it.
#[derive(Debug)]
pub struct Aws {
    access: Access,
    config: OnceCell<SdkConfig>,
    /// What is signed with at present.
    kept: signature::Kept,
    /// The credentials that were used last, since a service, or whatever answers in its place, may repeat them.
    known: Arc<Recent>,
}

impl Aws {
    /// Nothing is read until it is needed.
    pub fn new(access: Access) -> Self {
        let known = Arc::new(Recent::new(known::KEPT));
        Self { access, config: OnceCell::new(), kept: signature::Kept::default(), known }
    }

    /// With the configuration of a test, which has a network of its own.
    #[cfg(test)]
    pub fn configured(config: SdkConfig) -> Self {
        Self { config: OnceCell::new_with(Some(config)), ..Self::new(Access::default()) }
    }

    /// The configuration from which clients are built; what failed is tried again at the next call.
    pub async fn config(&self) -> Result<&SdkConfig, AwsError> {
        let config = self.loaded().await?;
        config.region().map(|_| config).ok_or(AwsError::NoRegion)
    }

    /// The same where each call may name a region of its own.
    async fn loaded(&self) -> Result<&SdkConfig, AwsError> {
        self.config.get_or_try_init(|| self.load()).await
    }

    /// Where a call goes: to its region, or to that of the machine; and to an address that the environment or the profile has
    /// in place of AWS's own.
    pub async fn site(&self, region: Option<&str>) -> Result<Site, AwsError> {
        let config = self.loaded().await?;
        let region = region.or_else(|| config.region().map(AsRef::as_ref)).ok_or(AwsError::NoRegion)?;
        Ok(Site { region: region.to_owned(), endpoint: config.endpoint_url().map(str::to_owned) })
    }

    /// Looks whether credentials are to be had, within five seconds.
    pub async fn check(&self) -> Result<(), AwsError> {
        let silence = format!("their source did not answer in {} s", CHECK_MAX.as_secs());
        let search = async { signature::find(self.config().await?).await.map(drop) };
        tokio::time::timeout(CHECK_MAX, search).await.unwrap_or(Err(AwsError::NoCredentials(silence)))
    }

    async fn load(&self) -> Result<SdkConfig, AwsError> {
        // Reading the bundle takes milliseconds, once for each process and client.
        if !tokio::task::spawn_blocking(machine_has_roots).await.unwrap_or(false) {
            return Err(AwsError::NoRoots);
        }
        let config = tokio::time::timeout(CONFIGURATION_MAX, self.loader().load());
        let config = config.await.map_err(|_| AwsError::ConfigurationTimeout)?;
        Ok(match config.credentials_provider() {
            Some(source) => {
                let known = known::Known::new(source, Arc::clone(&self.known));
                config.into_builder().credentials_provider(SharedCredentialsProvider::new(known)).build()
            }
            None => config,
        })
    }

    /// What an error of the SDK means, without credentials.
    pub fn trouble<E>(&self, error: &SdkError<E, HttpResponse>) -> Trouble
    where
        E: ProvideErrorMetadata + std::error::Error + 'static,
    {
        let trouble = trouble(error);
        Trouble { message: self.redact(&trouble.message), ..trouble }
    }

    /// A text of the service, or of whatever answers in its place, without credentials.
    pub fn redact(&self, text: &str) -> String {
        self.known.redact(text)
    }

    fn loader(&self) -> ConfigLoader {
        let time_outs = TimeoutConfig::builder()
            .connect_timeout(CONNECT_MAX)
            .read_timeout(READ_MAX)
            .operation_attempt_timeout(ATTEMPT_MAX)
            .operation_timeout(OPERATION_MAX)
            .build();
        // Pinned: a newer version of the SDK must not change how we retry or time out.
        let mut loader = aws_config::defaults(BehaviorVersion::v2026_01_12())
            .retry_config(RetryConfig::standard())
            .timeout_config(time_outs);
        if let Some(region) = &self.access.region {
            loader = loader.region(Region::new(region.clone()));
        }
        if let Some(endpoint) = &self.access.endpoint {
            loader = loader.endpoint_url(endpoint);
        }
        if let Some(credentials) = &self.access.credentials {
            loader = loader.credentials_provider(credentials.clone());
        }
        loader
    }
}

/// Whether there is one certificate that the SDK could trust; it reads the same places.
fn machine_has_roots() -> bool {
    let mut roots = rustls::RootCertStore::empty();
    let (usable, _) = roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    usable > 0
}

/// Whether a text has the form of a region: `us-east-1`, `us-gov-west-1`, `eu-isoe-west-1`.
pub fn is_region(text: &str) -> bool {
    let parts: Vec<&str> = text.split('-').collect();
    let word = |part: &&str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_lowercase());
    let number = |part: &&str| (1..=2).contains(&part.len()) && part.bytes().all(|byte| byte.is_ascii_digit());
    (3..=4).contains(&parts.len())
        && parts.split_last().is_some_and(|(last, before)| number(last) && before.iter().all(word))
}

/// Looks whether a region that somebody wrote can be one.
pub fn check_region(region: &Spanned<String>, problems: &mut Problems) -> bool {
    let is_one = is_region(&region.value);
    if !is_one {
        problems.error(region.span.clone(), format!("`{}` is not a region", region.value)).help =
            Some("write it like `us-east-1`".to_owned());
    }
    is_one
}

#[cfg(test)]
mod tests {
    use super::*;
    use aws_credential_types::Credentials;
    use aws_credential_types::credential_fn::provide_credentials_fn;
    use aws_credential_types::provider::error::CredentialsError;

    #[test]
    fn regions_have_a_form() {
        for good in ["us-east-1", "eu-central-1", "ap-southeast-12", "us-gov-west-1", "us-isob-east-1"] {
            assert!(is_region(good), "{good}");
        }
        for bad in
            ["", "us-east", "us_east_1", "US-EAST-1", "us-east-1a", "us-east-", "-east-1", "useast1", "a-b-c-d-1"]
        {
            assert!(!is_region(bad), "{bad}");
        }
    }

    #[tokio::test]
    async fn what_was_given_is_what_is_used_and_no_secret_shows() {
        let credentials = Credentials::new("AKIDEXAMPLE", "hunter2", Some("hunter3".to_owned()), None, "test");
        let access = Access {
            region: Some("eu-west-1".to_owned()),
            endpoint: Some("http://127.0.0.1:1".to_owned()),
            credentials: Some(SharedCredentialsProvider::new(credentials)),
        };
        let aws = Aws::new(access);
        aws.check().await.unwrap();
        let config = aws.config().await.unwrap();
        assert_eq!(config.region().map(AsRef::as_ref), Some("eu-west-1"));
        assert_eq!(config.endpoint_url(), Some("http://127.0.0.1:1"));
        let time_outs = config.timeout_config().unwrap();
        assert_eq!(time_outs.connect_timeout(), Some(CONNECT_MAX));
        assert_eq!(time_outs.read_timeout(), Some(READ_MAX));
        assert_eq!(time_outs.operation_attempt_timeout(), Some(ATTEMPT_MAX));
        assert_eq!(time_outs.operation_timeout(), Some(OPERATION_MAX));
        let shown = format!("{aws:?}");
        assert!(!shown.contains("hunter"), "{shown}");
    }

    #[tokio::test(start_paused = true)]
    async fn credentials_that_never_come_are_told_in_time() {
        let silent = provide_credentials_fn(std::future::pending::<Result<Credentials, CredentialsError>>);
        let access = Access {
            region: Some("eu-west-1".to_owned()),
            credentials: Some(SharedCredentialsProvider::new(silent)),
            ..Access::default()
        };
        let error = Aws::new(access).check().await.unwrap_err();
        assert_eq!(error.to_string(), "no AWS credentials: their source did not answer in 5 s");
    }
}
