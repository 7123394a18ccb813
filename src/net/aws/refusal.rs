//! What an error of a service says of us and of the target, in a sentence of its own.

use super::answer::Refusal;
use super::call::{Call, Operation};
use super::services::COGNITO_IDP;
use super::trouble::{self, SIGNATURE, TroubleKind};
use crate::domain::outcome::{Failure, FailureKind};

/// The credentials have had their time.
const EXPIRED: [&str; 4] = ["ExpiredToken", "ExpiredTokenException", "RequestExpired", "TokenRefreshRequired"];

/// Nobody knows the credentials, or there are none where they are needed.
const UNKNOWN: [&str; 7] = [
    "AuthFailure",
    "InvalidAccessKeyId",
    "InvalidClientTokenId",
    "InvalidToken",
    "MissingAuthenticationToken",
    "MissingAuthenticationTokenException",
    "UnrecognizedClientException",
];

/// No policy allows what we ask.
const DENIED: [&str; 10] = [
    "AccessDenied",
    "AccessDeniedException",
    "AuthorizationError",
    "AuthorizationErrorException",
    "KMSAccessDenied",
    "KMSOptInRequired",
    "NotAuthorized",
    "OptInRequired",
    "SubscriptionRequiredException",
    "UnauthorizedOperation",
];

/// It was asked in the wrong region.
const REGION: [&str; 4] =
    ["AuthorizationHeaderMalformed", "IllegalLocationConstraintException", "PermanentRedirect", "TemporaryRedirect"];

/// The service has no such action.
const NO_ACTION: [&str; 5] =
    ["InvalidAction", "MissingAction", "NoSuchOperation", "UnknownOperation", "UnknownOperationException"];

/// The service does not understand the input.
const INPUT: [&str; 12] = [
    "InvalidParameterCombination",
    "InvalidParameterException",
    "InvalidParameterValue",
    "InvalidParameterValueException",
    "InvalidQueryParameter",
    "InvalidRequestException",
    "MalformedQueryString",
    "MissingParameter",
    "SerializationException",
    "UnknownParameter",
    "ValidationError",
    "ValidationException",
];

/// How Cognito refuses a login: the password, the code, or what became of the user.
const LOGIN: [&str; 8] = [
    "CodeMismatchException",
    "ExpiredCodeException",
    "MFAMethodNotFoundException",
    "NotAuthorizedException",
    "PasswordResetRequiredException",
    "SoftwareTokenMFANotFoundException",
    "UserNotConfirmedException",
    "UserNotFoundException",
];

/// The actions of Cognito that are a login.
const LOGINS: [&str; 4] =
    ["AdminInitiateAuth", "AdminRespondToAuthChallenge", "InitiateAuth", "RespondToAuthChallenge"];

/// The table itself has no capacity left, for its users as for us.
const EXHAUSTED: &str = "ProvisionedThroughputExceededException";

/// What an error is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum About {
    Expired,
    Unknown,
    Signature,
    Denied,
    Region,
    Throttled,
    Exhausted,
    NoAction,
    Input,
    Login,
    NotFound,
    Fault,
    Other,
}

impl Refusal {
    /// Whether we are asked to come again later.
    pub fn is_throttling(&self) -> bool {
        trouble::kind(self.code.as_deref(), Some(self.status)) == TroubleKind::Throttled
            || (self.status == 503 && self.code.is_none())
    }

    /// Whether the credentials are none, or none any more.
    pub fn is_of_credentials(&self) -> bool {
        matches!(self.code.as_deref(), Some(code) if EXPIRED.contains(&code) || UNKNOWN.contains(&code))
    }

    fn about(&self, call: &Call, region: &str) -> About {
        let code = self.code.as_deref().unwrap_or_default();
        let is = |codes: &[&str]| codes.contains(&code);
        // In a signature the region is a part of what is signed; the message says so and nothing else does.
        let scoped = self.message.contains("scoped to a valid region") || self.message.contains("region must be");
        let is_missing = code.contains("NotFound") || code.contains("NoSuch") || code.contains("NonExistent")
            || code.contains("DoesNotExist") || code.contains("NotExist")
            // CloudFormation and Auto Scaling have no code for it.
            || (is(&["ValidationError"]) && self.message.contains("does not exist"));
        let elsewhere =
            self.bucket_region.as_deref().is_some_and(|of| of != region) && matches!(self.status, 300..=308 | 400);
        if elsewhere || is(&REGION) || (is(&SIGNATURE) && scoped) {
            return About::Region;
        }
        if is(&EXPIRED) {
            return About::Expired;
        }
        if is(&UNKNOWN) {
            return About::Unknown;
        }
        if is(&SIGNATURE) || is(&["RequestTimeTooSkewed"]) {
            return About::Signature;
        }
        if is(&LOGIN) && is_login(call) {
            return About::Login;
        }
        if is(&DENIED) {
            return About::Denied;
        }
        if code == EXHAUSTED {
            return About::Exhausted;
        }
        if self.is_throttling() {
            return About::Throttled;
        }
        if is(&NO_ACTION) {
            return About::NoAction;
        }
        if is_missing {
            return About::NotFound;
        }
        if is(&INPUT) {
            return About::Input;
        }
        match (self.status, self.code.is_some()) {
            (404, _) => About::NotFound,
            (401 | 403, false) => About::Denied,
            (500.., _) => About::Fault,
            _ => About::Other,
        }
    }

    /// The failure that it is. `region` is where it was asked; `attempts` how often.
    pub fn failure(&self, call: &Call, region: &str, attempts: u64) -> Failure {
        let (service, told) = (call.service.name, call.told());
        let (kind, sentence) = match self.about(call, region) {
            About::Expired => (FailureKind::AwsCredentials, "our credentials for AWS have expired".to_owned()),
            About::Unknown => (FailureKind::AwsCredentials, "AWS does not know our credentials".to_owned()),
            // What it says repeats the signed request with its session token.
            About::Signature => {
                let message = format!(
                    "AWS does not take our signature: the secret key is wrong, or this machine's clock is ({})",
                    self.code.as_deref().unwrap_or_default()
                );
                return Failure::new(FailureKind::AwsCredentials, message);
            }
            About::Denied => (FailureKind::AwsDenied, format!("we may not ask for `{told}`")),
            About::Region => {
                let right = self.bucket_region.as_deref().map(|right| format!("and the bucket is in {right}"));
                let right = right.unwrap_or_else(|| "which is the wrong region".to_owned());
                (FailureKind::AwsRegion, format!("`{told}` was asked in {region}, {right}"))
            }
            About::Throttled => {
                (FailureKind::AwsThrottled, format!("`{service}` is asked too often, {attempts} times in vain"))
            }
            About::Exhausted => (FailureKind::AwsRefused, "the target has no capacity left".to_owned()),
            About::NoAction => (FailureKind::AwsInvalid, format!("`{service}` does not know what is asked, `{told}`")),
            About::Input => (FailureKind::AwsInvalid, format!("`{told}` does not take this input")),
            About::Login => (FailureKind::AwsLogin, "the login is refused".to_owned()),
            About::NotFound => (FailureKind::AwsNotFound, format!("`{told}` finds nothing in {region}")),
            About::Fault => (FailureKind::AwsFault, format!("`{service}` is at fault, status {}", self.status)),
            About::Other => (FailureKind::AwsRefused, format!("`{told}` is refused")),
        };
        Failure::new(kind, format!("{sentence}{}", self.said()))
    }

    /// Whether the refusal stands whatever was expected: it is not an answer to what was asked.
    pub fn is_no_answer(&self, call: &Call, region: &str) -> bool {
        matches!(
            self.about(call, region),
            About::Expired | About::Unknown | About::Signature | About::Region | About::Throttled
        )
    }

    /// `: Code: message`, as far as they are there.
    fn said(&self) -> String {
        let message = trouble::line(&self.message);
        match (self.code.as_deref(), message.as_str()) {
            (None, "") => format!(": status {}", self.status),
            (None, message) => format!(": {message}"),
            (Some(code), "") => format!(": {code}"),
            (Some(code), message) => format!(": {code}: {message}"),
        }
    }
}

fn is_login(call: &Call) -> bool {
    let name = match &call.operation {
        Operation::Action(name) => name,
        Operation::Path(..) => return false,
    };
    call.service == &COGNITO_IDP && LOGINS.contains(&name.as_ref())
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::super::services::{self, Service};
    use super::*;

    fn told(service: &'static Service, action: &'static str, status: u16, code: &str, message: &str) -> String {
        let code = (!code.is_empty()).then(|| code.to_owned());
        let refusal = Refusal { status, code, message: message.to_owned(), bucket_region: None };
        refusal.failure(&Call::action(service, action, Value::Null), "us-east-1", 3).to_string()
    }

    #[test]
    fn each_refusal_has_its_sentence() {
        for (service, action, status, code, message, sentence) in [
            (
                &services::DYNAMODB,
                "DescribeTable",
                400,
                "ResourceNotFoundException",
                "no table",
                "aws.not_found: `dynamodb:DescribeTable` finds nothing in us-east-1: ResourceNotFoundException: no table",
            ),
            (
                &services::DYNAMODB,
                "DescribeTabel",
                400,
                "UnknownOperationException",
                "",
                "aws.invalid: `dynamodb` does not know what is asked, `dynamodb:DescribeTabel`: UnknownOperationException",
            ),
            (
                &services::DYNAMODB,
                "GetItem",
                400,
                "ValidationException",
                "the key",
                "aws.invalid: `dynamodb:GetItem` does not take this input: ValidationException: the key",
            ),
            (
                &services::DYNAMODB,
                "GetItem",
                400,
                "ProvisionedThroughputExceededException",
                "",
                "aws.refused: the target has no capacity left: ProvisionedThroughputExceededException",
            ),
            (
                &services::IAM,
                "ListUsers",
                403,
                "AccessDenied",
                "not you",
                "aws.denied: we may not ask for `iam:ListUsers`: AccessDenied: not you",
            ),
            (
                &services::IAM,
                "ListUsers",
                403,
                "ExpiredToken",
                "",
                "aws.credentials: our credentials for AWS have expired: ExpiredToken",
            ),
            (
                &services::IAM,
                "ListUsers",
                403,
                "InvalidClientTokenId",
                "",
                "aws.credentials: AWS does not know our credentials: InvalidClientTokenId",
            ),
            (
                &services::IAM,
                "ListUsers",
                403,
                "SignatureDoesNotMatch",
                "hunter2",
                "aws.credentials: AWS does not take our signature: the secret key is wrong, or this machine's clock is (SignatureDoesNotMatch)",
            ),
            (
                &services::IAM,
                "ListUsers",
                403,
                "SignatureDoesNotMatch",
                "Credential should be scoped to a valid region.",
                "aws.region: `iam:ListUsers` was asked in us-east-1, which is the wrong region: SignatureDoesNotMatch: Credential should be scoped to a valid region.",
            ),
            (
                &services::IAM,
                "ListUsers",
                400,
                "Throttling",
                "Rate exceeded",
                "aws.throttled: `iam` is asked too often, 3 times in vain: Throttling: Rate exceeded",
            ),
            (
                &services::CLOUDFORMATION,
                "DescribeStacks",
                400,
                "ValidationError",
                "Stack with id x does not exist",
                "aws.not_found: `cloudformation:DescribeStacks` finds nothing in us-east-1: ValidationError: Stack with id x does not exist",
            ),
            (
                &services::S3,
                "HeadObject",
                404,
                "",
                "",
                "aws.not_found: `s3:HeadObject` finds nothing in us-east-1: status 404",
            ),
            (&services::S3, "HeadObject", 403, "", "", "aws.denied: we may not ask for `s3:HeadObject`: status 403"),
            (
                &services::SQS,
                "GetQueueUrl",
                500,
                "InternalFailure",
                "a\u{1b}b",
                "aws.fault: `sqs` is at fault, status 500: InternalFailure: a␛b",
            ),
            (
                &COGNITO_IDP,
                "InitiateAuth",
                400,
                "NotAuthorizedException",
                "Incorrect username or password.",
                "aws.login: the login is refused: NotAuthorizedException: Incorrect username or password.",
            ),
            (
                &COGNITO_IDP,
                "GetUser",
                400,
                "NotAuthorizedException",
                "Access Token has been revoked",
                "aws.refused: `cognito-idp:GetUser` is refused: NotAuthorizedException: Access Token has been revoked",
            ),
        ] {
            assert_eq!(told(service, action, status, code, message), sentence);
        }
    }

    #[test]
    fn a_bucket_elsewhere_says_where() {
        let refusal = Refusal {
            status: 301,
            code: Some("PermanentRedirect".to_owned()),
            message: String::new(),
            bucket_region: Some("eu-west-1".to_owned()),
        };
        let failure = refusal.failure(&Call::action(&services::S3, "HeadBucket", Value::Null), "us-east-1", 1);
        assert_eq!(
            failure.to_string(),
            "aws.region: `s3:HeadBucket` was asked in us-east-1, and the bucket is in eu-west-1: PermanentRedirect"
        );
    }
}
