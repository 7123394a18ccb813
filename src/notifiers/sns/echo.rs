//! The queue behind a topic, in which a drill sees that its messages arrive. It is asked by plain signed calls of JSON 1.0:
//! <https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/sqs-making-api-requests-json.html>.

use std::time::Duration;

use http::header::{CONTENT_TYPE, HOST};
use http::{HeaderMap, HeaderValue, Method};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use url::Url;

use crate::domain::aws_call::AwsCall;
use crate::domain::incident::{Event, IncidentId};
use crate::domain::text::harmless;
use crate::net::aws::services::partition;
use crate::net::aws::trouble::kind;
use crate::net::aws::{Aws, TroubleKind, is_region};
use crate::notifiers::post::{Answer, Post};
use crate::ports::NotifyError;

/// The type of what is sent and comes.
const JSON: &str = "application/x-amz-json-1.0";

/// The longest name of a queue, in characters.
const QUEUE_NAME_MAX: usize = 80;

/// How long SQS waits for a message before it says that there is none, in seconds.
const WAIT_SECONDS: u32 = 2;

/// How long others do not see a message that we have seen, in seconds: what is not ours is back after that, and until then we
/// see what stands behind it.
const HIDDEN_SECONDS: u32 = 5;

/// How long it is from one look to the next: what does not wait for a message, or has many that are not ours, is not asked
/// without a pause.
const REST: Duration = Duration::from_millis(100);

/// How much of an answer is read, in bytes: one message, of which SNS sends 256 KiB at most, as JSON within JSON.
const ANSWER_BYTES_MAX: usize = 1024 * 1024;

/// The URL of a queue.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(try_from = "String", into = "String")]
#[schemars(with = "String")]
pub struct Queue {
    url: Url,
    /// The region that its host names.
    region: Option<String>,
}

impl TryFrom<String> for Queue {
    type Error = String;
    fn try_from(text: String) -> Result<Self, String> {
        let wrong =
            |why: &str| format!("{why}: write it like `https://sqs.us-east-1.amazonaws.com/123456789012/ops-echo`");
        let url: Url = text.parse().map_err(|_| wrong("this is not the URL of a queue"))?;
        if !matches!(url.scheme(), "http" | "https") {
            return Err(wrong(&format!("the URL of a queue does not begin with `{}:`", url.scheme())));
        }
        if !url.username().is_empty() || url.password().is_some() || url.query().is_some() || url.fragment().is_some() {
            return Err(wrong("the URL of a queue is its host, the account and its name, and no more"));
        }
        let parts: Vec<&str> = url.path_segments().map(Iterator::collect).unwrap_or_default();
        let [.., account, name] = parts.as_slice() else {
            return Err(wrong("this is not the URL of a queue"));
        };
        if account.len() != 12 || !account.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err(wrong(&format!("`{account}` is not an account of 12 digits")));
        }
        let stem = name.strip_suffix(".fifo").unwrap_or(name);
        let is_safe = stem.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte));
        if stem.is_empty() || name.len() > QUEUE_NAME_MAX || !is_safe {
            return Err(wrong(&format!("`{name}` is not the name of a queue")));
        }
        let region = url.host_str().unwrap_or_default().split('.').find(|label| is_region(label)).map(str::to_owned);
        Ok(Self { url, region })
    }
}

impl From<Queue> for String {
    fn from(queue: Queue) -> Self {
        queue.url.into()
    }
}

impl Queue {
    /// What a look that finds something asks of AWS.
    pub fn calls(&self) -> Vec<AwsCall> {
        let mut segments = self.url.path_segments().into_iter().flatten().rev();
        let (name, account) = (segments.next().unwrap_or("*"), segments.next().unwrap_or("*"));
        let region = self.region.as_deref().unwrap_or("*");
        let arn = format!("arn:{}:sqs:{region}:{account}:{name}", partition(region));
        let call = |action: &str| AwsCall::once(action, &arn).of_region(self.region.clone());
        vec![call("sqs:ReceiveMessage"), call("sqs:DeleteMessage")]
    }
}

/// What reads the queue.
pub struct Echo {
    queue: Queue,
    post: Post,
}

impl Echo {
    /// Nothing is read until it is asked.
    pub fn new(queue: Queue, post: Post) -> Self {
        Self { queue, post }
    }

    /// The queue.
    pub fn queue(&self) -> &Queue {
        &self.queue
    }

    /// Looks until the message of an event is there, and takes it away. Others stay where they are.
    pub async fn find(&self, aws: &Aws, incident: &IncidentId, event: Event) -> Result<String, NotifyError> {
        self.post.until_seen(REST, || self.look(aws, incident, event)).await
    }

    async fn look(&self, aws: &Aws, incident: &IncidentId, event: Event) -> Result<Option<String>, NotifyError> {
        let ask = json!({
            "QueueUrl": self.queue.url.as_str(),
            "MaxNumberOfMessages": 1,
            "MessageAttributeNames": ["incident", "state"],
            "VisibilityTimeout": HIDDEN_SECONDS,
            "WaitTimeSeconds": WAIT_SECONDS,
        });
        let answer = self.call(aws, "ReceiveMessage", &ask).await?;
        let messages = answer["Messages"].as_array().map(Vec::as_slice).unwrap_or_default();
        let Some(message) = messages.iter().find(|message| is_about(message, incident, event)) else { return Ok(None) };
        let done = json!({ "QueueUrl": self.queue.url.as_str(), "ReceiptHandle": message["ReceiptHandle"] });
        let seen = format!("in the queue {}", self.queue.url);
        Ok(Some(match self.call(aws, "DeleteMessage", &done).await {
            Ok(_) => seen,
            Err(error) => format!("{seen}, where it stays: {error}"),
        }))
    }

    async fn call(&self, aws: &Aws, action: &str, body: &Value) -> Result<Value, NotifyError> {
        let signer = aws
            .signer("sqs", self.queue.region.as_deref(), self.post.now())
            .await
            .map_err(|error| super::of_machine(&error))?;
        let ours = |error: &dyn std::fmt::Display| NotifyError::Unauthorized(error.to_string());
        let (mut endpoint, body) = (self.queue.url.clone(), body.to_string());
        endpoint.set_path("/");
        let port = endpoint.port().map(|port| format!(":{port}")).unwrap_or_default();
        let host = format!("{}{port}", endpoint.host_str().unwrap_or_default());
        let target = format!("AmazonSQS.{action}");
        let mut headers = HeaderMap::new();
        headers.insert(HOST, HeaderValue::from_str(&host).map_err(|error| ours(&error))?);
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(JSON));
        headers.insert("x-amz-target", HeaderValue::from_str(&target).map_err(|error| ours(&error))?);
        let signed = signer.sign(&Method::POST, &endpoint, &mut headers, body.as_bytes(), self.post.now());
        signed.map_err(|error| ours(&error))?;
        let request = self.post.to(endpoint).headers(headers).body(body);
        let answer = self.post.send_up_to(request, ANSWER_BYTES_MAX).await?;
        read(&Answer { text: aws.redact(&answer.text), ..answer })
    }
}

/// What SQS says, or why it does not.
fn read(answer: &Answer) -> Result<Value, NotifyError> {
    let said: Option<Value> = serde_json::from_str(&answer.text).ok();
    if answer.status.is_success() {
        // To a deletion it says nothing at all.
        return if answer.text.is_empty() { Ok(Value::Null) } else { said.ok_or_else(|| answer.strange("SQS")) };
    }
    let text = |name: &str| said.as_ref().and_then(|said| said[name].as_str());
    match (text("__type"), text("message").or_else(|| text("Message"))) {
        (Some(sort), message) => {
            let sort = sort.rsplit(['#', '.']).next().unwrap_or(sort);
            let message = format!("{sort}: {}", message.unwrap_or_default());
            let message = harmless(&message).into_owned();
            Err(match kind(Some(sort), Some(answer.status.as_u16())) {
                TroubleKind::Transient | TroubleKind::Throttled => {
                    NotifyError::Transient { message, retry_after: answer.retry_after }
                }
                TroubleKind::NotAllowed | TroubleKind::Refused => NotifyError::Unauthorized(message),
            })
        }
        _ => Err(answer.refusal()),
    }
}

/// Whether a message is the one. SNS puts its attributes into the body, or, with raw delivery, beside it.
fn is_about(message: &Value, incident: &IncidentId, event: Event) -> bool {
    let body: Value = message["Body"].as_str().and_then(|body| serde_json::from_str(body).ok()).unwrap_or_default();
    let attribute = |name: &str| {
        let beside = message["MessageAttributes"][name]["StringValue"].as_str();
        beside.or_else(|| body["MessageAttributes"][name]["Value"].as_str())
    };
    attribute("incident") == Some(&*incident.0) && attribute("state") == Some(event.as_str())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::testing::NoSecrets;
    use crate::net::aws::Access;
    use crate::ports::Building;
    use aws_credential_types::Credentials;
    use aws_credential_types::provider::SharedCredentialsProvider;
    use reqwest::StatusCode;
    use std::sync::Arc;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::TcpListener;

    /// What comes of a search that is answered so, one after another.
    async fn find<const N: usize>(answers: [(u16, &'static str); N]) -> Result<String, NotifyError> {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let serve = async move {
            for (status, text) in answers {
                let (mut stream, _) = listener.accept().await.unwrap();
                let _ = stream.read(&mut vec![0; 16 * 1024]).await.unwrap();
                let length = text.len();
                let head =
                    format!("HTTP/1.1 {status} -\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n{text}");
                stream.write_all(head.as_bytes()).await.unwrap();
            }
            std::future::pending().await
        };
        let post = Post::new(&Building {
            secrets: Arc::new(NoSecrets),
            http: crate::net::client::shared().unwrap(),
            clock: Arc::new(crate::clock::SystemClock::start()),
            cleanup: false,
            site: String::new(),
            location: Arc::from("here"),
            directory: Arc::from(std::env::temp_dir()),
            pings: Arc::new(crate::engine::pulses::Pulses::default()),
        });
        let queue = Queue::try_from(format!("http://127.0.0.1:{port}/123456789012/ops")).unwrap();
        let credentials =
            Credentials::new("AKIDTEST", "hunter2hunter2", Some("the-session-token".to_owned()), None, "test");
        let aws = Aws::new(Access {
            region: Some("us-east-1".to_owned()),
            credentials: Some(SharedCredentialsProvider::new(credentials)),
            ..Access::default()
        });
        let (echo, id) = (Echo::new(queue, post), IncidentId(Arc::from("I1")));
        tokio::select! {
            found = echo.find(&aws, &id, Event::Opened) => found,
            never = serve => never,
        }
    }

    #[tokio::test]
    async fn what_passes_is_looked_past_and_what_is_not_ours_too() {
        let ours = r#"{"Messages":[{"ReceiptHandle":"r","MessageAttributes":{"incident":{"StringValue":"I1"},"state":{"StringValue":"opened"}}}]}"#;
        let throttled = r#"{"__type":"com.amazonaws.sqs#RequestThrottled","message":"slower"}"#;
        let found =
            find([(400, throttled), (503, ""), (200, r#"{"Messages":[{}]}"#), (200, "{}"), (200, ours), (200, "")]);
        let found = found.await.unwrap();
        assert!(found.starts_with("in the queue http://127.0.0.1:") && found.ends_with("/123456789012/ops"), "{found}");
    }

    #[tokio::test]
    async fn what_sqs_repeats_of_our_credentials_is_not_said() {
        let repeats = r#"{"__type":"SignatureDoesNotMatch","message":"x-amz-security-token:the-session-token"}"#;
        let error = find([(403, repeats)]).await.unwrap_err();
        assert_eq!(error, NotifyError::Unauthorized("SignatureDoesNotMatch: x-amz-security-token:•••".to_owned()));
    }

    #[test]
    fn the_url_of_a_queue_is_checked_at_load() {
        let queue = |url: &str| Queue::try_from(url.to_owned());
        for (url, region) in [
            ("https://sqs.eu-west-1.amazonaws.com/123456789012/ops-echo", Some("eu-west-1")),
            ("https://vpce-0a.sqs.us-gov-west-1.vpce.amazonaws.com/123456789012/ops.fifo", Some("us-gov-west-1")),
            ("http://127.0.0.1:5000/123456789012/ops", None),
        ] {
            assert_eq!(queue(url).unwrap().region.as_deref(), region, "{url}");
        }
        for (url, why) in [
            ("ops", "this is not the URL of a queue"),
            ("arn:aws:sqs:us-east-1:123456789012:ops", "the URL of a queue does not begin with `arn:`"),
            ("https://sqs.us-east-1.amazonaws.com/ops", "this is not the URL of a queue"),
            ("https://sqs.us-east-1.amazonaws.com/1234/ops", "`1234` is not an account of 12 digits"),
            ("https://sqs.us-east-1.amazonaws.com/123456789012/", "`` is not the name of a queue"),
            ("https://sqs.us-east-1.amazonaws.com/123456789012/a+b", "`a+b` is not the name of a queue"),
            (
                "https://sqs.us-east-1.amazonaws.com/123456789012/ops?Action=x",
                "the URL of a queue is its host, the account and its name, and no more",
            ),
        ] {
            let form = "write it like `https://sqs.us-east-1.amazonaws.com/123456789012/ops-echo`";
            assert_eq!(queue(url).unwrap_err(), format!("{why}: {form}"));
        }
    }

    #[test]
    fn a_message_is_known_in_both_forms_of_delivery() {
        let id = IncidentId(Arc::from("I1"));
        let of = |name: &str, incident: &str| json!({ "incident": { name: incident }, "state": { name: "opened" } });
        let enveloped = json!({ "Body": json!({ "MessageAttributes": of("Value", "I1") }).to_string() });
        let raw = json!({ "Body": "text", "MessageAttributes": of("StringValue", "I1") });
        for message in [&enveloped, &raw] {
            assert!(is_about(message, &id, Event::Opened) && !is_about(message, &id, Event::Resolved));
        }
        let other = json!({ "Body": "text", "MessageAttributes": of("StringValue", "I2") });
        for message in [&other, &json!({ "Body": "[]" }), &json!({})] {
            assert!(!is_about(message, &id, Event::Opened), "{message}");
        }
    }

    #[test]
    fn what_sqs_refuses_is_named_as_it_names_it() {
        let answer = |status, text: &str| Answer { status, retry_after: None, text: text.to_owned() };
        let gone = r#"{"__type":"com.amazonaws.sqs#QueueDoesNotExist","message":"no such\nqueue"}"#;
        let error = read(&answer(StatusCode::BAD_REQUEST, gone)).unwrap_err();
        assert_eq!(error, NotifyError::Unauthorized("QueueDoesNotExist: no such␊queue".to_owned()));
        let theirs = r#"{"__type":"com.amazonaws.sqs#InternalError"}"#;
        let theirs = read(&answer(StatusCode::INTERNAL_SERVER_ERROR, theirs)).unwrap_err();
        assert!(matches!(theirs, NotifyError::Transient { .. }), "{theirs:?}");
        let proxy = read(&answer(StatusCode::BAD_GATEWAY, "<html>")).unwrap_err();
        assert!(matches!(proxy, NotifyError::Transient { .. }), "{proxy:?}");
        assert!(matches!(read(&answer(StatusCode::OK, "<html>")), Err(NotifyError::Transient { .. })));
        assert_eq!(read(&answer(StatusCode::OK, "")), Ok(Value::Null));
    }
}
