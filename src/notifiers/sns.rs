//! Amazon SNS, standard and FIFO topics. `echo` reads the queue behind one.

mod echo;

use std::sync::Arc;

use aws_sdk_sns::Client;
use aws_sdk_sns::types::MessageAttributeValue;
use futures::future::BoxFuture;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tokio::sync::OnceCell;

use self::echo::{Echo, Queue};
use super::message::{piece, subject, text};
use super::post::Post;
use crate::domain::aws_call::AwsCall;
use crate::domain::incident::{Event, IncidentId};
use crate::net::aws::{Access, Aws, AwsError, TroubleKind, is_region};
use crate::ports::{Building, ChannelKind, Notification, Notifier, NotifyError, Receipt};
use crate::settings::{Node, Problems, read};

/// The row of the table of channels.
pub const CHANNEL: ChannelKind = ChannelKind {
    name: "sns",
    about: "Amazon SNS: a standard or a FIFO topic",
    main: "topic",
    schema: SnsSettings::json_schema,
    build,
};

/// The longest name of a topic, in characters.
const TOPIC_NAME_MAX: usize = 256;

/// What people write.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SnsSettings {
    /// The topic's ARN, like `arn:aws:sns:us-east-1:123456789012:ops`; its region is where messages are sent. A name that
    /// ends in `.fifo` is a FIFO topic.
    pub topic: Topic,
    /// The URL of an SQS queue that is subscribed to the topic, in which `roundsman drill` sees that messages arrive. Default:
    /// none, and a drill ends where the topic has taken the message.
    #[serde(default)]
    pub echo: Option<Queue>,
}

/// The ARN of a topic.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(try_from = "String", into = "String")]
#[schemars(with = "String")]
pub struct Topic {
    arn: String,
    region: String,
    is_fifo: bool,
}

impl TryFrom<String> for Topic {
    type Error = String;
    fn try_from(arn: String) -> Result<Self, String> {
        let wrong = |why: &str| format!("{why}: write it like `arn:aws:sns:us-east-1:123456789012:ops`");
        let parts: Vec<&str> = arn.split(':').collect();
        let ["arn", partition, service, region, account, name] = parts.as_slice() else {
            return Err(wrong("this is not the ARN of a topic"));
        };
        if *partition != "aws" && !partition.starts_with("aws-") {
            return Err(wrong(&format!("`{partition}` is not a partition of AWS")));
        }
        if *service != "sns" {
            return Err(wrong(&format!("this is an ARN of `{service}`, not of SNS")));
        }
        if !is_region(region) {
            return Err(wrong(&format!("`{region}` is not a region")));
        }
        if account.len() != 12 || !account.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err(wrong(&format!("`{account}` is not an account of 12 digits")));
        }
        let fifo = name.strip_suffix(".fifo");
        let stem = fifo.unwrap_or(name);
        let is_safe = stem.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte));
        if stem.is_empty() || name.len() > TOPIC_NAME_MAX || !is_safe {
            return Err(wrong(&format!("`{name}` is not the name of a topic")));
        }
        Ok(Self { region: (*region).to_owned(), is_fifo: fifo.is_some(), arn })
    }
}

impl From<Topic> for String {
    fn from(topic: Topic) -> Self {
        topic.arn
    }
}

fn build(node: &Node, building: &Building, problems: &mut Problems) -> Option<Arc<dyn Notifier>> {
    let settings: SnsSettings = read(node, problems)?;
    let echo = settings.echo.map(|queue| Echo::new(queue, Post::new(building)));
    Some(Arc::new(Sns { echo, ..Sns::new(settings.topic, Access::default()) }))
}

/// One topic.
pub struct Sns {
    topic: Topic,
    /// Its own, so that metrics that hang do not delay a page.
    aws: Aws,
    /// Made at the first message.
    client: OnceCell<Client>,
    /// Where messages are seen to arrive.
    echo: Option<Echo>,
}

impl Sns {
    /// A notifier that has done nothing yet. The region is the topic's, whatever `access` says.
    pub fn new(topic: Topic, access: Access) -> Self {
        let aws = Aws::new(Access { region: Some(topic.region.clone()), ..access });
        Self { topic, aws, client: OnceCell::new(), echo: None }
    }

    async fn publish(&self, notification: &Notification) -> Result<Receipt, NotifyError> {
        let client = self.client.get_or_try_init(|| async { self.aws.config().await.map(Client::new) });
        let client = client.await.map_err(|error| of_machine(&error))?;
        let mut request = client.publish().topic_arn(&self.topic.arn);
        request = if notification.plain {
            request.message(piece(&notification.summary()))
        } else {
            request.message(text(notification)).subject(subject(notification))
        };
        for (name, value) in attributes(notification) {
            let value = MessageAttributeValue::builder().data_type("String").string_value(value).build();
            request =
                request.message_attributes(name, value.map_err(|error| NotifyError::Rejected(error.to_string()))?);
        }
        if self.topic.is_fifo {
            // One key for both would swallow the resolve: SNS forgets a repetition for five minutes.
            request = request.message_group_id(notification.alert()).message_deduplication_id(notification.key());
        }
        let answer = request.send().await.map_err(|error| {
            let trouble = self.aws.trouble(&error);
            match trouble.kind {
                TroubleKind::Transient | TroubleKind::Throttled => {
                    NotifyError::Transient { message: trouble.message, retry_after: trouble.retry_after }
                }
                TroubleKind::NotAllowed => NotifyError::Unauthorized(trouble.message),
                TroubleKind::Refused => NotifyError::Rejected(trouble.message),
            }
        })?;
        Ok(Receipt { id: answer.message_id })
    }
}

impl Notifier for Sns {
    fn notify<'a>(&'a self, notification: &'a Notification) -> BoxFuture<'a, Result<Receipt, NotifyError>> {
        Box::pin(self.publish(notification))
    }
    fn calls(&self) -> Vec<AwsCall> {
        let publish = AwsCall::once("sns:Publish", &self.topic.arn).of_region(Some(self.topic.region.clone()));
        std::iter::once(publish).chain(self.echo.iter().flat_map(|echo| echo.queue().calls())).collect()
    }
    fn read_back<'a>(
        &'a self,
        incident: &'a IncidentId,
        event: Event,
    ) -> Option<BoxFuture<'a, Result<String, NotifyError>>> {
        let echo = self.echo.as_ref()?;
        Some(Box::pin(echo.find(&self.aws, incident, event)))
    }
}

fn of_machine(error: &AwsError) -> NotifyError {
    let message = error.to_string();
    match error {
        AwsError::NoRoots | AwsError::NoRegion => NotifyError::Unauthorized(message),
        AwsError::ConfigurationTimeout | AwsError::NoCredentials(_) => {
            NotifyError::Transient { message, retry_after: None }
        }
    }
}

/// By what subscribers filter. In the least form only what cannot be the reason of a refusal.
fn attributes(notification: &Notification) -> Vec<(&'static str, String)> {
    let incident = &notification.incident;
    let mut all = vec![
        ("severity", incident.severity.to_string()),
        ("state", notification.event.as_str().to_owned()),
        ("probe", incident.probe.to_string()),
        ("incident", incident.id.to_string()),
    ];
    all.extend(notification.several().map(|group| ("incidents", group.size.to_string())));
    all.extend(incident.drill.then(|| ("drill", "true".to_owned())));
    all.extend(incident.schedules.first().map(|schedule| ("schedule", schedule.to_string())));
    if !notification.plain && !notification.site.is_empty() {
        all.push(("site", piece(&notification.site)));
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::notifiers::message::tests::{opened, resolved, several};

    fn topic(arn: &str) -> Result<Topic, String> {
        Topic::try_from(arn.to_owned())
    }

    #[test]
    fn an_arn_is_checked_at_load() {
        let standard = topic("arn:aws:sns:us-east-1:123456789012:ops").unwrap();
        assert_eq!((standard.region.as_str(), standard.is_fifo), ("us-east-1", false));
        let fifo = topic("arn:aws-us-gov:sns:us-gov-west-1:123456789012:ops.fifo").unwrap();
        assert_eq!((fifo.region.as_str(), fifo.is_fifo), ("us-gov-west-1", true));
        for (arn, why) in [
            ("ops", "this is not the ARN of a topic"),
            ("arn:aws:sns:us-east-1:123456789012:ops:1234", "this is not the ARN of a topic"),
            ("arn:aws:sqs:us-east-1:123456789012:ops", "this is an ARN of `sqs`, not of SNS"),
            ("arn:gcp:sns:us-east-1:123456789012:ops", "`gcp` is not a partition of AWS"),
            ("arn:aws:sns:mars:123456789012:ops", "`mars` is not a region"),
            ("arn:aws:sns:us-east-1:1234:ops", "`1234` is not an account of 12 digits"),
            ("arn:aws:sns:us-east-1:123456789012:a b", "`a b` is not the name of a topic"),
            ("arn:aws:sns:us-east-1:123456789012:.fifo", "`.fifo` is not the name of a topic"),
        ] {
            let form = "write it like `arn:aws:sns:us-east-1:123456789012:ops`";
            assert_eq!(topic(arn).unwrap_err(), format!("{why}: {form}"));
        }
    }

    #[test]
    fn a_message_is_allowed_on_its_topic_and_a_look_on_its_queue() {
        let said = |calls: Vec<AwsCall>| {
            calls.iter().map(|call| format!("{} {}", call.action, call.resource)).collect::<Vec<_>>()
        };
        let topic = topic("arn:aws:sns:us-east-1:123456789012:ops").unwrap();
        let sns = Sns::new(topic, Access::default());
        assert_eq!(said(sns.calls()), ["sns:Publish arn:aws:sns:us-east-1:123456789012:ops"]);
        let queue = |url: &str| said(Queue::try_from(url.to_owned()).unwrap().calls());
        let of_queue = "arn:aws:sqs:us-east-1:123456789012:ops-echo";
        assert_eq!(
            queue("https://sqs.us-east-1.amazonaws.com/123456789012/ops-echo"),
            [format!("sqs:ReceiveMessage {of_queue}"), format!("sqs:DeleteMessage {of_queue}")]
        );
    }

    #[test]
    fn subscribers_filter_by_attributes() {
        let names = |notification: &Notification| {
            attributes(notification).iter().map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>()
        };
        let all = "severity=P1 state=opened probe=api-health incident=01K0000000000000000000000A schedule=reachability";
        assert_eq!(names(&opened()).join(" "), format!("{all} site=shop"));
        assert_eq!(names(&Notification { plain: true, ..opened() }).join(" "), all);
        assert!(names(&resolved()).contains(&"state=resolved".to_owned()));
        assert!(names(&several(Event::Opened, 10_000)).contains(&"incidents=10000".to_owned()));
    }

    #[test]
    fn what_is_wrong_with_the_machine_is_told_apart() {
        assert!(matches!(of_machine(&AwsError::NoRoots), NotifyError::Unauthorized(_)));
        assert!(matches!(of_machine(&AwsError::ConfigurationTimeout), NotifyError::Transient { .. }));
    }
}
