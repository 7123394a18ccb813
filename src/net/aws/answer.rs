//! What a service answered: a value, or an error with its code. Pure, for every protocol that AWS has.

use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::{HeaderMap, HeaderName};
use serde_json::Value;

use super::call::Call;
use super::services::Protocol;
use super::xml;

/// The header in which REST services name an error.
const ERROR_TYPE: HeaderName = HeaderName::from_static("x-amzn-errortype");

/// The region of a bucket, which S3 names where it was looked for in another one.
const BUCKET_REGION: HeaderName = HeaderName::from_static("x-amz-bucket-region");

/// Answers that are no document of S3's own.
const NO_DOCUMENTS: [&str; 4] = ["GetBucketPolicy", "GetObject", "HeadBucket", "HeadObject"];

/// A longer text is no code.
const CODE_LENGTH_MAX: usize = 128;

/// An answer without a value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NoValue {
    /// The service refuses.
    Refused(Refusal),
    /// Somebody on the way answered, or the service says what nobody understands: the end of a sentence.
    Foreign(String),
}

/// An error of a service. The message is as it came.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// The status code.
    pub status: u16,
    /// The code; of an answer without a body, as to HEAD, there is none.
    pub code: Option<String>,
    /// What it says.
    pub message: String,
    /// Where the bucket is that was asked for elsewhere.
    pub bucket_region: Option<String>,
}

/// What is in an answer. Of XML the result alone is the value, without what is around it in each protocol; an object of S3 that is
/// no XML, and an answer without a body, have none. What else has none is not from the service: half a page of a list is not the
/// end of it.
pub fn read(call: &Call, status: u16, headers: &HeaderMap, body: &Bytes) -> Result<Option<Value>, NoValue> {
    let document = match call.service.protocol {
        Protocol::Json { .. } | Protocol::RestJson => json(status, body)?,
        Protocol::Query { .. } | Protocol::Ec2 { .. } => Document::Xml(read_xml(status, body, false)?),
        Protocol::RestXml if is_document(call, status) && !body.is_empty() => {
            Document::Xml(read_xml(status, body, true)?)
        }
        // Objects are anything, and so are errors that something on the way makes.
        Protocol::RestXml if !is_xml(headers, body) => Document::None,
        Protocol::RestXml => match xml::read(body, true) {
            Ok(read) => Document::Xml(read),
            Err(_) => Document::None,
        },
    };
    if (200..300).contains(&status) && !document.is_error() {
        return Ok(document.value());
    }
    let named = headers.get(ERROR_TYPE).and_then(|name| name.to_str().ok());
    let (code, message) = document.error();
    let code = code.as_deref().or(named).and_then(code_of);
    if code.is_none() && !body.is_empty() {
        return Err(NoValue::Foreign(format!("an answer that is not from AWS, with status {status}")));
    }
    let region = headers.get(BUCKET_REGION).and_then(|region| region.to_str().ok());
    let bucket_region = region.filter(|region| super::is_region(region)).map(str::to_owned);
    Err(NoValue::Refused(Refusal { status, code, message, bucket_region }))
}

/// A body, read.
enum Document {
    None,
    Json(Value),
    /// The root's name and what is in it.
    Xml((String, Value)),
}

fn json(status: u16, body: &Bytes) -> Result<Document, NoValue> {
    if body.is_empty() {
        return Ok(Document::None);
    }
    match serde_json::from_slice(body) {
        Ok(value) => Ok(Document::Json(value)),
        Err(_) => Err(NoValue::Foreign(format!("an answer that is not from AWS, with status {status}"))),
    }
}

fn read_xml(status: u16, body: &Bytes, repeats: bool) -> Result<(String, Value), NoValue> {
    let read = xml::read(body, repeats);
    // A page of a proxy is often XML too.
    let read = read.ok().filter(|(root, _)| !root.eq_ignore_ascii_case("html"));
    read.ok_or_else(|| NoValue::Foreign(format!("an answer that is not from AWS, with status {status}")))
}

/// Whether the service gives a document of its own there. Of a path that stands for no action that is known, nobody knows.
fn is_document(call: &Call, status: u16) -> bool {
    (200..300).contains(&status) && call.name().is_some_and(|name| !NO_DOCUMENTS.contains(&name))
}

fn is_xml(headers: &HeaderMap, body: &Bytes) -> bool {
    let media_type = headers.get(CONTENT_TYPE).and_then(|media_type| media_type.to_str().ok()).unwrap_or_default();
    media_type.contains("xml") || body.starts_with(b"<?xml")
}

impl Document {
    /// Some errors of S3 have the status of what went well.
    fn is_error(&self) -> bool {
        matches!(self, Self::Xml((root, _)) if root == "Error" || root == "ErrorResponse")
    }

    fn value(self) -> Option<Value> {
        match self {
            Self::None => None,
            Self::Xml((root, Value::Object(mut fields))) => {
                // `DescribeXResponse` has a `DescribeXResult`, and beside it what says which answer it is.
                let action = root.strip_suffix("Response");
                let result = action.and_then(|action| fields.remove(&format!("{action}Result")));
                fields.remove("ResponseMetadata");
                Some(result.unwrap_or(Value::Object(fields)))
            }
            Self::Json(value) | Self::Xml((_, value)) => Some(value),
        }
    }

    /// The code and the message of an error.
    fn error(&self) -> (Option<String>, String) {
        let text =
            |value: &Value, names: &[&str]| names.iter().find_map(|name| value.get(*name)?.as_str()).map(str::to_owned);
        match self {
            Self::None => (None, String::new()),
            Self::Json(value) => {
                let message = text(value, &["message", "Message", "errorMessage"]);
                (text(value, &["__type", "code", "Code"]), message.unwrap_or_default())
            }
            Self::Xml((_, value)) => {
                let errors = value.get("Errors").map(|errors| errors.get(0).or(errors.get("Error")).unwrap_or(errors));
                let error = errors.or(value.get("Error")).unwrap_or(value);
                (text(error, &["Code"]), text(error, &["Message"]).unwrap_or_default())
            }
        }
    }
}

/// The code itself: `com.amazonaws.dynamodb.v20120810#ResourceNotFoundException`, `AccessDenied:http://…`.
fn code_of(text: &str) -> Option<String> {
    let behind = text.rsplit_once('#').map_or(text, |(_, code)| code);
    let code = behind.split(':').next().unwrap_or_default().trim();
    let is_code = (1..=CODE_LENGTH_MAX).contains(&code.len())
        && code.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._-".contains(&byte));
    is_code.then(|| code.to_owned())
}

#[cfg(test)]
mod tests {
    use http::{HeaderValue, Method};
    use serde_json::json;

    use super::super::call::Operation;
    use super::super::services::{self, Service};
    use super::*;

    fn answer(
        service: &'static Service,
        status: u16,
        headers: &[(&'static str, &str)],
        body: &str,
    ) -> Result<Option<Value>, NoValue> {
        answer_to(&Call::action(service, "GetObject", Value::Null), status, headers, body)
    }

    fn answer_to(
        call: &Call,
        status: u16,
        headers: &[(&'static str, &str)],
        body: &str,
    ) -> Result<Option<Value>, NoValue> {
        let headers =
            headers.iter().map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_str(value).unwrap()));
        read(call, status, &headers.collect(), &Bytes::copy_from_slice(body.as_bytes()))
    }

    fn refused(
        service: &'static Service,
        status: u16,
        headers: &[(&'static str, &str)],
        body: &str,
    ) -> (Option<String>, String) {
        match answer(service, status, headers, body) {
            Err(NoValue::Refused(refusal)) => (refusal.code, refusal.message),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn the_result_is_what_is_asked_for() {
        let xml = [("content-type", "text/xml")];
        for (service, body, value) in [
            (&services::DYNAMODB, r#"{"Table":{}}"#, Some(json!({ "Table": {} }))),
            (&services::SQS, "", None),
            (
                &services::IAM,
                "<GetUserResponse><GetUserResult><User><UserName>a</UserName></User></GetUserResult>\
                 <ResponseMetadata><RequestId>1</RequestId></ResponseMetadata></GetUserResponse>",
                Some(json!({ "User": { "UserName": "a" } })),
            ),
            (
                &services::EC2,
                "<DescribeVpcsResponse><requestId>1</requestId><vpcSet><item><vpcId>v</vpcId></item></vpcSet></DescribeVpcsResponse>",
                Some(json!({ "requestId": "1", "vpcSet": [{ "vpcId": "v" }] })),
            ),
            (&services::S3, "<LocationConstraint>eu-west-1</LocationConstraint>", Some(json!("eu-west-1"))),
        ] {
            assert_eq!(answer(service, 200, &xml, body), Ok(value), "{body}");
        }
        assert_eq!(answer(&services::S3, 200, &[("content-type", "image/png")], "\u{1}<"), Ok(None));
    }

    #[test]
    fn each_protocol_has_its_errors() {
        let xml = [("content-type", "application/xml")];
        for (service, headers, body, code, message) in [
            (
                &services::DYNAMODB,
                &[][..],
                r#"{"__type":"com.amazonaws.dynamodb.v20120810#ResourceNotFoundException","message":"no table"}"#,
                "ResourceNotFoundException",
                "no table",
            ),
            (
                &services::LAMBDA,
                &[("x-amzn-errortype", "ResourceNotFoundException:http://internal.amazon.com/")],
                r#"{"Message":"no function"}"#,
                "ResourceNotFoundException",
                "no function",
            ),
            (
                &services::IAM,
                &xml,
                "<ErrorResponse><Error><Type>Sender</Type><Code>NoSuchEntity</Code><Message>no user</Message></Error></ErrorResponse>",
                "NoSuchEntity",
                "no user",
            ),
            (
                &services::EC2,
                &xml,
                "<Response><Errors><Error><Code>UnauthorizedOperation</Code><Message>no</Message></Error></Errors></Response>",
                "UnauthorizedOperation",
                "no",
            ),
            (
                &services::S3,
                &xml,
                "<Error><Code>NoSuchKey</Code><Message>no key</Message></Error>",
                "NoSuchKey",
                "no key",
            ),
        ] {
            assert_eq!(refused(service, 400, headers, body), (Some(code.to_owned()), message.to_owned()));
        }
        assert_eq!(
            refused(&services::S3, 200, &xml, "<Error><Code>SlowDown</Code></Error>").0.as_deref(),
            Some("SlowDown")
        );
        assert_eq!(refused(&services::S3, 404, &[], ""), (None, String::new()));
    }

    #[test]
    fn half_a_page_of_a_list_is_no_end_of_it() {
        let whole = "<ListBucketResult><IsTruncated>false</IsTruncated></ListBucketResult>";
        let xml = [("content-type", "application/xml")];
        let list = Call::action(&services::S3, "ListObjectsV2", json!({ "Bucket": "shop" }));
        assert_eq!(answer_to(&list, 200, &xml, whole), Ok(Some(json!({ "IsTruncated": "false" }))));
        assert_eq!(answer_to(&list, 200, &[], whole), Ok(Some(json!({ "IsTruncated": "false" }))));
        assert_eq!(answer_to(&list, 200, &xml, ""), Ok(None));
        let foreign = Err(NoValue::Foreign("an answer that is not from AWS, with status 200".to_owned()));
        for body in [&whole[..40], "<html><body>log in to this network</body></html>", "log in to this network", "{}"] {
            assert_eq!(answer_to(&list, 200, &xml, body), foreign, "{body}");
            assert_eq!(answer_to(&list, 200, &[("content-type", "text/html")], body), foreign, "{body}");
        }
        let by_path = |path: &str| Call {
            operation: Operation::Path(Method::GET, path.to_owned()),
            ..Call::action(&services::S3, "", Value::Null)
        };
        assert_eq!(answer_to(&by_path("/shop?list-type=2"), 200, &xml, &whole[..40]), foreign);
        assert_eq!(answer_to(&by_path("/shop/a/b"), 200, &xml, &whole[..40]), Ok(None), "an object is as it is");
        let policy = Call::action(&services::S3, "GetBucketPolicy", json!({ "Bucket": "shop" }));
        assert_eq!(answer_to(&policy, 200, &[], "{}"), Ok(None));
    }

    #[test]
    fn what_is_not_from_aws_is_told() {
        for (service, status, body) in [
            (&services::DYNAMODB, 200, "<html>log in to this network</html>"),
            (&services::DYNAMODB, 502, "<html>bad gateway</html>"),
            (&services::IAM, 200, "<html>log in to this network</html>"),
            (&services::IAM, 502, "bad gateway"),
            (&services::S3, 502, "<html>bad gateway</html>"),
            (&services::LAMBDA, 400, r#"{"message":"a code is missing"}"#),
            (&services::SQS, 400, r#"{"__type":"a#\u001b[31m","message":"a code that is none"}"#),
        ] {
            let foreign = format!("an answer that is not from AWS, with status {status}");
            assert_eq!(answer(service, status, &[], body), Err(NoValue::Foreign(foreign)), "{body}");
        }
    }
}
