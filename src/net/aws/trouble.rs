//! What went wrong with a call to AWS, in the four sorts that need different answers, and in words without secrets.

use std::error::Error;
use std::time::Duration;

use aws_credential_types::provider::error::CredentialsError;
use aws_sdk_sns::config::http::HttpResponse;
use aws_sdk_sns::error::{ProvideErrorMetadata, SdkError};

use crate::domain::text::harmless;

/// The longest text, in characters: it stands in a line of the log and in a row of the outbox.
const TEXT_MAX: usize = 300;

/// The codes by which AWS says that we are too fast; the status may well be 400. From the SDK's own list
/// (`aws-runtime`, `retries/classifiers.rs`), and what SNS says.
const THROTTLING: [&str; 16] = [
    "Throttling",
    "ThrottlingException",
    "ThrottledException",
    "Throttled",
    "RequestThrottledException",
    "TooManyRequestsException",
    "ProvisionedThroughputExceededException",
    "TransactionInProgressException",
    "RequestLimitExceeded",
    "BandwidthLimitExceeded",
    "LimitExceededException",
    "RequestThrottled",
    "SlowDown",
    "PriorRequestNotComplete",
    "EC2ThrottledException",
    "KMSThrottling",
];

/// The codes by which AWS says that we may not, or that the place is not there.
const NOT_ALLOWED: [&str; 22] = [
    "AccessDenied",
    "AccessDeniedException",
    "AuthorizationError",
    "AuthorizationErrorException",
    "ExpiredToken",
    "ExpiredTokenException",
    "IncompleteSignature",
    "InvalidAccessKeyId",
    "InvalidClientTokenId",
    "InvalidSignatureException",
    "KMSAccessDenied",
    "KMSDisabled",
    "KMSInvalidState",
    "KMSNotFound",
    "KMSOptInRequired",
    "MissingAuthenticationToken",
    "MissingAuthenticationTokenException",
    "NotAuthorized",
    "NotFound",
    "OptInRequired",
    "SignatureDoesNotMatch",
    "UnrecognizedClientException",
];

/// The code of a signature that was not accepted. The text beside it repeats the signed request with its session token.
pub const SIGNATURE: [&str; 3] = ["SignatureDoesNotMatch", "InvalidSignatureException", "IncompleteSignature"];

/// What to do about it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TroubleKind {
    /// The network, a 5xx, an answer that nobody understands, no credentials for now: try again.
    Transient,
    /// We are too fast: try again, slower.
    Throttled,
    /// We may not, or the place is not there: a person must look.
    NotAllowed,
    /// It understood, and refuses this content.
    Refused,
}

/// A call that did not do what was asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trouble {
    /// What to do about it.
    pub kind: TroubleKind,
    /// What happened, on one line.
    pub message: String,
    /// Not again before this long, as the service asked.
    pub retry_after: Option<Duration>,
}

/// What an error of the SDK means.
pub fn trouble<E>(error: &SdkError<E, HttpResponse>) -> Trouble
where
    E: ProvideErrorMetadata + Error + 'static,
{
    let status = error.raw_response().map(|response| response.status().as_u16());
    let retry_after = error
        .raw_response()
        .and_then(|response| response.headers().get("retry-after"))
        .and_then(|seconds| seconds.trim().parse().ok())
        .map(Duration::from_secs);
    let code = error.as_service_error().and_then(ProvideErrorMetadata::code);
    let message = match (code, status) {
        (Some(code), _) if SIGNATURE.contains(&code) => {
            format!("{code}: the secret key is wrong, or this machine's clock is")
        }
        (Some(code), _) => {
            let text = error.as_service_error().and_then(ProvideErrorMetadata::message);
            text.map_or_else(|| code.to_owned(), |text| format!("{code}: {text}"))
        }
        (None, Some(status)) if error.as_service_error().is_some() => {
            format!("an answer that is not from AWS, with status {status}")
        }
        _ => credentials_in(error).map_or_else(|| chain(error), |why| format!("no AWS credentials: {why}")),
    };
    Trouble { kind: kind(code, status), message: line(&message), retry_after }
}

/// What to do about an error of AWS's by its code and its status, as far as they are known.
pub fn kind(code: Option<&str>, status: Option<u16>) -> TroubleKind {
    match (code, status) {
        (Some(code), _) if THROTTLING.contains(&code) => TroubleKind::Throttled,
        (_, Some(429)) => TroubleKind::Throttled,
        (Some(code), _) if NOT_ALLOWED.contains(&code) => TroubleKind::NotAllowed,
        (_, Some(401 | 403)) => TroubleKind::NotAllowed,
        (_, Some(408)) => TroubleKind::Transient,
        // Without a code it was something on the way that answered, except that only content is too large.
        (_, Some(413)) | (Some(_), Some(400..=499)) => TroubleKind::Refused,
        _ => TroubleKind::Transient,
    }
}

/// Why there are no credentials. The SDK lists every place that it looked into, which says less.
pub fn credentials(error: &CredentialsError) -> String {
    match error {
        CredentialsError::CredentialsNotLoaded(_) => {
            "none in the environment, the profile, the container or the machine".to_owned()
        }
        other => chain(other),
    }
}

/// The same, where that is why a call could not be made.
fn credentials_in(error: &dyn Error) -> Option<String> {
    let mut cause = error.source();
    while let Some(error) = cause {
        if let Some(error) = error.downcast_ref() {
            return Some(credentials(error));
        }
        cause = error.source();
    }
    None
}

/// An error with its causes on one line, each said once.
pub fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let words = error.to_string();
        if !text.contains(&words) {
            text.push_str(": ");
            text.push_str(&words);
        }
        cause = error.source();
    }
    line(&text)
}

/// What came from outside, as one short line that is safe to show.
pub fn line(text: &str) -> String {
    let text = text.lines().map(str::trim).filter(|line| !line.is_empty()).collect::<Vec<_>>().join(" ");
    let mut short: String = text.chars().take(TEXT_MAX).collect();
    if short.len() < text.len() {
        short.push('…');
    }
    harmless(&short).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use aws_sdk_sns::error::ErrorMetadata;
    use aws_sdk_sns::operation::publish::PublishError;

    fn answer(status: u16, code: Option<&str>, message: &str) -> SdkError<PublishError, HttpResponse> {
        let mut response = HttpResponse::new(status.try_into().unwrap(), "".into());
        response.headers_mut().insert("retry-after", "7");
        let mut metadata = ErrorMetadata::builder().message(message);
        if let Some(code) = code {
            metadata = metadata.code(code);
        }
        SdkError::service_error(PublishError::generic(metadata.build()), response)
    }

    #[test]
    fn the_code_decides_and_then_the_status() {
        for (status, code, kind) in [
            (400, Some("Throttling"), TroubleKind::Throttled),
            (400, Some("ThrottlingException"), TroubleKind::Throttled),
            (429, None, TroubleKind::Throttled),
            (400, Some("InvalidParameterValue"), TroubleKind::Refused),
            (400, Some("ValidationError"), TroubleKind::Refused),
            (413, None, TroubleKind::Refused),
            (400, None, TroubleKind::Transient),
            (404, None, TroubleKind::Transient),
            (403, Some("AuthorizationError"), TroubleKind::NotAllowed),
            (400, Some("ExpiredToken"), TroubleKind::NotAllowed),
            (404, Some("NotFound"), TroubleKind::NotAllowed),
            (403, None, TroubleKind::NotAllowed),
            (500, Some("InternalFailure"), TroubleKind::Transient),
            (503, Some("ServiceUnavailable"), TroubleKind::Transient),
            (408, Some("RequestTimeout"), TroubleKind::Transient),
        ] {
            assert_eq!(trouble(&answer(status, code, "why")).kind, kind, "{status} {code:?}");
        }
    }

    #[test]
    fn words_are_one_short_line_without_what_was_signed() {
        let seen = trouble(&answer(400, Some("InvalidParameter"), "a\u{1b}[31m\n  b"));
        assert_eq!(seen.message, "InvalidParameter: a␛[31m b");
        assert_eq!(seen.retry_after, Some(Duration::from_secs(7)));
        let seen = trouble(&answer(403, Some("SignatureDoesNotMatch"), "x-amz-security-token:hunter2"));
        assert_eq!(seen.message, "SignatureDoesNotMatch: the secret key is wrong, or this machine's clock is");
        let seen = trouble(&answer(400, Some("InvalidParameter"), &"x".repeat(10_000)));
        assert_eq!(seen.message.chars().count(), TEXT_MAX + 1);
        let seen = trouble(&answer(502, None, ""));
        assert_eq!(seen.message, "an answer that is not from AWS, with status 502");
    }
}
