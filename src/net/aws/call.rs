//! A call of a service, and the request that it becomes: pure, for every protocol that AWS has.

use std::borrow::Cow;

use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::{HeaderMap, HeaderName, HeaderValue, Method};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::{Map, Value};
use url::Url;

use super::form;
use super::rest::{self, RestAction};
use super::services::{Protocol, Service};

/// The header that names the action for services that speak JSON.
const TARGET: HeaderName = HeaderName::from_static("x-amz-target");

/// What stands for itself in a path and in a query (RFC 3986, section 2.3): signatures allow nothing else.
const ENCODED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// The same in a path whose slashes are its own.
const ENCODED_BETWEEN_SLASHES: &AsciiSet = &ENCODED.remove(b'/');

/// What is asked of a service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Operation {
    /// An action, by the name that AWS has for it.
    Action(Cow<'static, str>),
    /// A method and a path with its query, percent-encoded; REST services only.
    Path(Method, String),
}

/// A call of a service.
#[derive(Clone, Debug, PartialEq)]
pub struct Call {
    /// The service.
    pub service: &'static Service,
    /// What is asked.
    pub operation: Operation,
    /// With what: an object, or null for nothing. Fields that are null are left out.
    pub input: Value,
    /// Where, if not where the caller always asks.
    pub region: Option<String>,
    /// Whether it says who we are. Cognito's login takes calls of everybody.
    pub is_signed: bool,
}

/// A request that is not signed yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wire {
    /// The method.
    pub method: Method,
    /// Where to.
    pub url: Url,
    /// The headers that say what it is.
    pub headers: HeaderMap,
    /// The body.
    pub body: Bytes,
}

/// Our own fault: there is no such call.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CallError {
    /// A REST service whose action nobody has written down.
    #[error("`{0}` has no action `{1}` that is known: say its method and its path")]
    UnknownAction(&'static str, String),
    /// The service has no methods and paths.
    #[error("`{0}` has actions, and no methods and paths")]
    NoPaths(&'static str),
    /// The path needs what the input has not.
    #[error("`{0}` needs `{1}`, a text, in its input")]
    Missing(&'static str, &'static str),
    /// The input has what the action does not know.
    #[error("`{0}` knows no `{1}`")]
    UnknownField(&'static str, String),
    /// The input has what no query can say.
    #[error("`{0}` stands in a query, where there are only texts, numbers and lists of them")]
    NoText(String),
    /// The input is no object.
    #[error("the input of a call is a mapping")]
    NoObject,
    /// The address of the service is none.
    #[error("`{0}` is not where a service can be")]
    Address(String),
    /// What was written cannot stand in a header.
    #[error("`{0}` cannot be the name of an action")]
    Name(String),
}

impl Call {
    /// A call of an action, signed, in the region of the caller.
    pub fn action(service: &'static Service, action: impl Into<Cow<'static, str>>, input: Value) -> Self {
        Self { service, operation: Operation::Action(action.into()), input, region: None, is_signed: true }
    }

    /// The same in a region.
    #[must_use]
    pub fn in_region(self, region: impl Into<String>) -> Self {
        Self { region: Some(region.into()), ..self }
    }

    /// The name of the action, where it has one: of a method and a path that which they ask for.
    pub fn name(&self) -> Option<&str> {
        match &self.operation {
            Operation::Action(name) => Some(name),
            Operation::Path(method, path) => rest::asked_by(self.service, method, path).map(|action| action.name),
        }
    }

    /// What is asked, as people read it: `dynamodb:DescribeTable`, `s3 GET /bucket`.
    pub fn told(&self) -> String {
        let service = self.service.name;
        match &self.operation {
            Operation::Action(name) => format!("{service}:{name}"),
            Operation::Path(method, path) => format!("{service} {method} {path}"),
        }
    }

    /// The request of it at an address, which is that of the service in its region or another one in its place.
    pub fn wire(&self, address: &str) -> Result<Wire, CallError> {
        let mut input = match &self.input {
            Value::Object(fields) => fields.clone(),
            Value::Null => Map::new(),
            _ => return Err(CallError::NoObject),
        };
        input.retain(|_, value| !value.is_null());
        let base = address.trim_end_matches('/');
        let at = |path: &str| Url::parse(&format!("{base}{path}")).map_err(|_| CallError::Address(address.to_owned()));
        let posted = |media_type: &'static str, body: String| -> Result<Wire, CallError> {
            let headers = HeaderMap::from_iter([(CONTENT_TYPE, HeaderValue::from_static(media_type))]);
            Ok(Wire { method: Method::POST, url: at("/")?, headers, body: body.into() })
        };
        let action = match &self.operation {
            Operation::Path(method, path) if self.service.protocol.is_rest() => {
                if has_body(method) {
                    return self.rest(method.clone(), at(path)?, Some(&input));
                }
                let query = input.iter().map(|(name, value)| pairs(name, value)).collect::<Result<Vec<_>, _>>()?;
                return self.rest(method.clone(), at(&with_query(path, &query.concat()))?, None);
            }
            Operation::Path(..) => return Err(CallError::NoPaths(self.service.name)),
            Operation::Action(action) => action,
        };
        match self.service.protocol {
            Protocol::Json { target, version } => {
                let media_type =
                    if version == "1.0" { "application/x-amz-json-1.0" } else { "application/x-amz-json-1.1" };
                let mut wire = posted(media_type, Value::Object(input).to_string())?;
                let target = HeaderValue::from_str(&format!("{target}.{action}"));
                wire.headers.insert(TARGET, target.map_err(|_| CallError::Name(action.to_string()))?);
                Ok(wire)
            }
            Protocol::Query { version } => posted(FORM, form::query(action, version, &input)),
            Protocol::Ec2 { version } => posted(FORM, form::ec2(action, version, &input)),
            Protocol::RestJson | Protocol::RestXml => {
                let known = rest::find(self.service, action);
                let known = known.ok_or_else(|| CallError::UnknownAction(self.service.name, action.to_string()))?;
                let (path, body) = place(known, &input)?;
                self.rest(known.method(), at(&path)?, Some(&body))
            }
        }
    }

    fn rest(&self, method: Method, url: Url, body: Option<&Map<String, Value>>) -> Result<Wire, CallError> {
        let mut wire = Wire { method, url, headers: HeaderMap::new(), body: Bytes::new() };
        if let Some(body) = body.filter(|_| has_body(&wire.method)) {
            // No action of a service that speaks XML that is called here has more than its path.
            if self.service.protocol == Protocol::RestJson {
                wire.headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
                wire.body = Value::Object(body.clone()).to_string().into();
            } else if let Some((field, _)) = body.iter().next() {
                return Err(CallError::UnknownField(self.service.name, field.clone()));
            }
        }
        Ok(wire)
    }
}

const FORM: &str = "application/x-www-form-urlencoded; charset=utf-8";

fn has_body(method: &Method) -> bool {
    ![Method::GET, Method::HEAD, Method::DELETE].contains(method)
}

/// The path of an action with its query, and what of its input is left for the body.
fn place(action: &'static RestAction, input: &Map<String, Value>) -> Result<(String, Map<String, Value>), CallError> {
    let mut path = action.path().to_owned();
    for field in action.in_path() {
        let value = input.get(field).and_then(text).filter(|text| !text.is_empty());
        let value = value.ok_or(CallError::Missing(action.name, field))?;
        path = path.replace(&format!("{{{field}}}"), &utf8_percent_encode(&value, ENCODED).to_string());
        path =
            path.replace(&format!("{{{field}+}}"), &utf8_percent_encode(&value, ENCODED_BETWEEN_SLASHES).to_string());
    }
    let (mut query, mut body) = (Vec::new(), Map::new());
    for (field, value) in input.iter().filter(|(field, _)| action.in_path().all(|known| known != *field)) {
        match action.in_query(field) {
            Some(name) => query.extend(pairs(name, value)?),
            None if has_body(&action.method()) => {
                body.insert(field.clone(), value.clone());
            }
            None => return Err(CallError::UnknownField(action.name, field.clone())),
        }
    }
    Ok((with_query(&path, &query), body))
}

/// A field of the query; a list is the same field several times. What is left out would be another question.
fn pairs(name: &str, value: &Value) -> Result<Vec<String>, CallError> {
    let one = |value: &Value| {
        let encode = |text: &str| utf8_percent_encode(text, ENCODED).to_string();
        let value = text(value).ok_or_else(|| CallError::NoText(name.to_owned()))?;
        Ok(format!("{}={}", encode(name), encode(&value)))
    };
    match value {
        Value::Array(values) => values.iter().map(one).collect(),
        value => Ok(vec![one(value)?]),
    }
}

fn with_query(path: &str, query: &[String]) -> String {
    if query.is_empty() {
        return path.to_owned();
    }
    let joint = if path.contains('?') { '&' } else { '?' };
    format!("{path}{joint}{}", query.join("&"))
}

/// A value as text, where it is one: in paths, queries and forms there is nothing else.
pub fn text(value: &Value) -> Option<Cow<'_, str>> {
    match value {
        Value::String(text) => Some(Cow::Borrowed(text)),
        Value::Number(number) => Some(Cow::Owned(number.to_string())),
        Value::Bool(is) => Some(Cow::Borrowed(if *is { "true" } else { "false" })),
        Value::Null | Value::Array(_) | Value::Object(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::services;
    use super::*;

    fn wire(call: &Call) -> (String, String, String, Option<String>) {
        let wire = call.wire("http://127.0.0.1:5000").unwrap();
        let target = wire.headers.get(TARGET).map(|target| target.to_str().unwrap().to_owned());
        let body = String::from_utf8(wire.body.to_vec()).unwrap();
        (wire.method.to_string(), wire.url[url::Position::BeforePath..].to_owned(), body, target)
    }

    fn path(service: &'static Service, method: Method, path: &str, input: Value) -> Call {
        Call { operation: Operation::Path(method, path.to_owned()), ..Call::action(service, "", input) }
    }

    #[test]
    fn each_protocol_has_its_form() {
        let call = Call::action(&services::DYNAMODB, "DescribeTable", json!({ "TableName": "shop" }));
        assert_eq!(
            wire(&call),
            (
                "POST".to_owned(),
                "/".to_owned(),
                r#"{"TableName":"shop"}"#.to_owned(),
                Some("DynamoDB_20120810.DescribeTable".to_owned())
            )
        );
        let call = Call::action(&services::IAM, "GetUser", json!({ "UserName": "a b" }));
        assert_eq!(wire(&call).2, "Action=GetUser&Version=2010-05-08&UserName=a+b");
        let call = Call::action(
            &services::BACKUP,
            "ListRecoveryPointsByBackupVault",
            json!({ "BackupVaultName": "a/b", "ByResourceType": "S3", "MaxResults": 5 }),
        );
        let (method, url, body, _) = wire(&call);
        assert_eq!(
            (method.as_str(), url.as_str(), body.as_str()),
            ("GET", "/backup-vaults/a%2Fb/recovery-points/?resourceType=S3&maxResults=5", "")
        );
        let call = Call::action(
            &services::S3,
            "ListObjectsV2",
            json!({ "Bucket": "shop", "Prefix": "a/ü", "StartAfter": null }),
        );
        assert_eq!(wire(&call).1, "/shop?list-type=2&prefix=a%2F%C3%BC");
        let call = Call::action(&services::S3, "HeadObject", json!({ "Bucket": "shop", "Key": "a/b c" }));
        assert_eq!((wire(&call).0.as_str(), wire(&call).1.as_str()), ("HEAD", "/shop/a/b%20c"));
        let call = Call::action(&services::INSPECTOR2, "ListFindings", json!({ "maxResults": 1 }));
        let (method, url, body, _) = wire(&call);
        assert_eq!((method.as_str(), url.as_str(), body.as_str()), ("POST", "/findings/list", r#"{"maxResults":1}"#));
    }

    #[test]
    fn a_method_and_a_path_take_the_input_as_query_or_body() {
        let call = path(
            &services::LAMBDA,
            Method::GET,
            "/2015-03-31/functions?a=b",
            json!({ "MaxItems": 3, "x": ["1", "2"] }),
        );
        assert_eq!(wire(&call).1, "/2015-03-31/functions?a=b&MaxItems=3&x=1&x=2");
        assert_eq!(call.name(), Some("ListFunctions"));
        let call = path(&services::EKS, Method::POST, "/x", json!({ "a": 1 }));
        assert_eq!(wire(&call).2, r#"{"a":1}"#);
    }

    #[test]
    fn what_is_null_is_left_out() {
        let call = Call::action(&services::DYNAMODB, "ListBackups", json!({ "TableName": "a", "Limit": null }));
        assert_eq!(wire(&call).2, r#"{"TableName":"a"}"#);
    }

    #[test]
    fn what_is_no_call_says_so() {
        for (call, message) in [
            (
                Call::action(&services::LAMBDA, "Invoke", Value::Null),
                "`lambda` has no action `Invoke` that is known: say its method and its path",
            ),
            (
                Call::action(&services::LAMBDA, "GetFunction", Value::Null),
                "`GetFunction` needs `FunctionName`, a text, in its input",
            ),
            (
                Call::action(&services::S3, "ListObjectsV2", json!({ "Bucket": "b", "Prefx": "a" })),
                "`ListObjectsV2` knows no `Prefx`",
            ),
            (
                path(&services::LAMBDA, Method::GET, "/2015-03-31/functions", json!({ "ByState": { "a": "b" } })),
                "`ByState` stands in a query, where there are only texts, numbers and lists of them",
            ),
            (path(&services::SQS, Method::GET, "/", Value::Null), "`sqs` has actions, and no methods and paths"),
            (Call::action(&services::SQS, "ListQueues", json!([])), "the input of a call is a mapping"),
            (Call::action(&services::SQS, "List\n", Value::Null), "`List\n` cannot be the name of an action"),
        ] {
            assert_eq!(call.wire("http://a.example").unwrap_err().to_string(), message);
        }
    }
}
