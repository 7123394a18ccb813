//! Requests that AWS signs for: Signature Version 4, with the credentials that publishers use too.

use std::time::{Duration, SystemTime};

use aws_config::SdkConfig;
use aws_credential_types::Credentials;
use aws_credential_types::provider::ProvideCredentials as _;
use aws_sigv4::http_request::{
    PayloadChecksumKind, PercentEncodingMode, SignableBody, SignableRequest, SigningSettings, UriPathNormalizationMode,
    sign,
};
use aws_sigv4::sign::v4;
use http::header::{CONTENT_TYPE, HOST};
use http::{HeaderMap, HeaderName, HeaderValue, Method};
use tokio::sync::Mutex;
use url::Url;

use super::{Aws, AwsError, trouble};
use crate::domain::time::Timestamp;

/// Our own fault: there is no signature for what is to be sent.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the request cannot be signed: {0}")]
pub struct Unsigned(String);

/// How long credentials are kept that do not say when they end; then their source is asked again. It is what the SDK does.
const KEPT_BY_DEFAULT: Duration = Duration::from_secs(15 * 60);

/// How long before their end credentials are not used any more, so that they do not end on their way.
const MARGIN: Duration = Duration::from_secs(60);

/// For how long nobody looks again where there were none: where no machine answers, looking takes seconds.
const MISSED_FOR: Duration = Duration::from_secs(10);

/// Credentials that are used until shortly before their end. Whoever holds the lock looks for them; the others wait for what
/// comes of it, so that the machine is asked once and not by every step.
#[derive(Debug, Default)]
pub struct Kept(Mutex<Option<(Result<Credentials, AwsError>, Timestamp)>>);

impl Aws {
    /// Who signs for a service at present. The region is that of the configuration, unless another is named.
    pub async fn signer(&self, service: &str, region: Option<&str>, now: Timestamp) -> Result<Signer, AwsError> {
        let config = self.loaded().await?;
        let known = region.or_else(|| config.region().map(AsRef::as_ref));
        let region = known.ok_or(AwsError::NoRegion)?.to_owned();
        let mut kept = self.kept.0.lock().await;
        let found = match kept.take().filter(|(_, until)| *until > now) {
            Some(found) => found,
            None => {
                let found = find(config).await;
                let end = match &found {
                    Ok(credentials) => {
                        credentials.expiry().map_or(now + KEPT_BY_DEFAULT, |end| Timestamp::from(end) - MARGIN)
                    }
                    Err(_) => now + MISSED_FOR,
                };
                (found, end)
            }
        };
        let (credentials, _) = kept.insert(found);
        Ok(Signer { service: service.to_owned(), region, credentials: credentials.clone()? })
    }

    /// AWS did not take the credentials: the next signer has new ones, if its source does. A machine, a container and a role
    /// do. A profile does where it names one of these or a process; keys that stand in its file are read once in the life of a
    /// process, as those of the environment are, so whoever changes them starts it anew.
    pub async fn forget(&self) {
        *self.kept.0.lock().await = None;
    }
}

/// Credentials from where the configuration of the SDK has them.
pub async fn find(config: &SdkConfig) -> Result<Credentials, AwsError> {
    let none = || AwsError::NoCredentials("no source of them is configured".to_owned());
    let provider = config.credentials_provider().ok_or_else(none)?;
    let found = provider.provide_credentials().await;
    found.map_err(|error| AwsError::NoCredentials(trouble::credentials(&error)))
}

/// Signs requests.
#[derive(Clone)]
pub struct Signer {
    service: String,
    region: String,
    credentials: Credentials,
}

impl Signer {
    /// Puts the signature into the headers. It is over the host, the type of the content and what is AWS's own, so that
    /// nothing that a proxy changes breaks it.
    pub fn sign(
        &self,
        method: &Method,
        url: &Url,
        headers: &mut HeaderMap,
        body: &[u8],
        now: Timestamp,
    ) -> Result<(), Unsigned> {
        let ours = |error: &dyn std::fmt::Display| Unsigned(error.to_string());
        let mut settings = SigningSettings::default();
        // S3 wants the digest of the body named, and takes its paths as they are.
        if self.service == "s3" {
            settings.payload_checksum_kind = PayloadChecksumKind::XAmzSha256;
            settings.percent_encoding_mode = PercentEncodingMode::Single;
            settings.uri_path_normalization_mode = UriPathNormalizationMode::Disabled;
        }
        let identity = self.credentials.clone().into();
        let params = v4::SigningParams::builder()
            .identity(&identity)
            .region(&self.region)
            .name(&self.service)
            .time(SystemTime::from(now))
            .settings(settings)
            .build()
            .map_err(|error| ours(&error))?
            .into();
        let signed = |name: &HeaderName| *name == HOST || *name == CONTENT_TYPE || name.as_str().starts_with("x-amz-");
        let own: Vec<(&str, &str)> = headers
            .iter()
            .filter(|(name, _)| signed(name))
            .filter_map(|(name, value)| Some((name.as_str(), value.to_str().ok()?)))
            .collect();
        let request = SignableRequest::new(method.as_str(), url.as_str(), own.into_iter(), SignableBody::Bytes(body));
        let output = sign(request.map_err(|error| ours(&error))?, &params).map_err(|error| ours(&error))?;
        let (instructions, _) = output.into_parts();
        for (name, value) in instructions.headers() {
            let name = HeaderName::from_bytes(name.as_bytes()).map_err(|error| ours(&error))?;
            let mut value = HeaderValue::from_str(value).map_err(|error| ours(&error))?;
            value.set_sensitive(matches!(name.as_str(), "authorization" | "x-amz-security-token"));
            headers.insert(name, value);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU64, Ordering};

    use aws_credential_types::credential_fn::provide_credentials_fn;
    use aws_credential_types::provider::SharedCredentialsProvider;
    use aws_credential_types::provider::error::CredentialsError;

    use super::super::Access;
    use super::*;

    #[tokio::test]
    async fn credentials_are_looked_for_once_until_shortly_before_their_end() {
        let looked = Arc::new(AtomicU64::new(0));
        let count = Arc::clone(&looked);
        let now: Timestamp = "2026-11-24T10:00:00Z".parse().unwrap();
        let source = provide_credentials_fn(move || {
            let number = count.fetch_add(1, Ordering::Relaxed);
            let end = SystemTime::from(now) + Duration::from_secs(3_600);
            async move {
                if number == 0 {
                    Err(CredentialsError::not_loaded_no_source())
                } else {
                    Ok(Credentials::new("A", "hunter2", None, Some(end), "test"))
                }
            }
        });
        let access = Access {
            region: Some("eu-west-1".to_owned()),
            credentials: Some(SharedCredentialsProvider::new(source)),
            ..Access::default()
        };
        let aws = Aws::new(access);
        for (second, well, times) in [(0, false, 1), (9, false, 1), (11, true, 2), (3_539, true, 2), (3_540, true, 3)] {
            let signer = aws.signer("s3", None, now + chrono::TimeDelta::seconds(second)).await;
            assert_eq!((signer.is_ok(), looked.load(Ordering::Relaxed)), (well, times), "at second {second}");
        }
        aws.forget().await;
        assert!(aws.signer("s3", None, now).await.is_ok());
        assert_eq!(looked.load(Ordering::Relaxed), 4);
    }

    #[test]
    fn a_request_is_signed_as_in_aws_own_example() {
        // "get-vanilla-query-order-key-case" of AWS's test suite for Signature Version 4.
        let credentials =
            Credentials::new("AKIDEXAMPLE", "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY", None, None, "test");
        let signer = Signer { service: "service".to_owned(), region: "us-east-1".to_owned(), credentials };
        let url = "https://example.amazonaws.com/?Param2=value2&Param1=value1".parse().unwrap();
        let mut headers = HeaderMap::new();
        headers.insert(HOST, HeaderValue::from_static("example.amazonaws.com"));
        headers.insert("x-trace", HeaderValue::from_static("not signed"));
        signer.sign(&Method::GET, &url, &mut headers, b"", "2015-08-30T12:36:00Z".parse().unwrap()).unwrap();
        assert_eq!(
            headers["authorization"],
            "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20150830/us-east-1/service/aws4_request, \
             SignedHeaders=host;x-amz-date, \
             Signature=b97d918cfa904a5beff61c982a1b6f458b799221646efd99d3219ec94cdf2500"
        );
        assert!(headers["authorization"].is_sensitive());
        assert_eq!(headers["x-amz-date"], "20150830T123600Z");
    }
}
