//! What a queue behind an SNS topic has after we notified.

use std::sync::Arc;

use aws_credential_types::credential_fn::provide_credentials_fn;
use aws_credential_types::provider::SharedCredentialsProvider;
use aws_credential_types::provider::error::CredentialsError;
use chrono::DateTime;
use roundsman::domain::incident::{Event, Severity};
use roundsman::domain::names::ScheduleName;
use roundsman::domain::outcome::{Failure, FailureKind};
use roundsman::net::aws::Access;
use roundsman::notifiers::sns::Sns;
use roundsman::ports::{Notification, Notifier as _, NotifyError};
use serde_json::{Value, json};

use crate::notification;
use crate::servers::moto::Moto;

fn opened(incident: &str) -> Notification {
    let at = DateTime::from_timestamp(1_795_514_461, 0).unwrap();
    let schedule = ScheduleName::parse("reachability").unwrap();
    let failures = Arc::from([Failure::new(FailureKind::ConnectRefused, "nobody listens there\u{1b}[2J")]);
    let mut notification = notification::opened(incident, at);
    let incident = &mut notification.incident;
    incident.firing = [(schedule.clone(), Severity::P1)].into();
    incident.schedules = vec![schedule];
    incident.first_failures = Arc::clone(&failures);
    incident.latest_failures = failures;
    incident.labels = [("team".to_owned(), "shop".to_owned())].into();
    incident.runbook = Some("https://wiki.example/api".to_owned());
    notification
}

fn resolved(incident: &str) -> Notification {
    let mut notification = opened(incident);
    notification.event = Event::Resolved;
    notification.transition = 2;
    notification.incident.resolved_at = Some(notification.at + chrono::TimeDelta::seconds(90));
    notification
}

fn notifier(moto: &Moto, topic: &str) -> Sns {
    Sns::new(topic.to_owned().try_into().unwrap(), moto.access())
}

/// What SNS put into the message of a queue.
fn envelope(message: &Value) -> Value {
    serde_json::from_str(message["Body"].as_str().unwrap()).unwrap()
}

#[tokio::test]
async fn a_standard_topic_carries_text_subject_and_attributes() {
    let moto = Moto::start();
    let (topic, queue) = moto.topic_and_queue("ops").await;
    let receipt = notifier(&moto, &topic).notify(&opened("inc-1")).await.unwrap();
    let messages = moto.messages(&queue).await;
    assert_eq!(messages.len(), 1);
    let told = envelope(&messages[0]);
    assert_eq!(told["MessageId"].as_str(), receipt.id.as_deref());
    assert_eq!(told["Subject"], "P1 opened: api-health is failing: connect.refused: nobody listens there?[2J");
    let text = told["Message"].as_str().unwrap();
    assert!(text.starts_with("api-health is failing: connect.refused: nobody listens there␛[2J\n"), "{text}");
    assert!(text.contains("\nrunbook    https://wiki.example/api\n"), "{text}");
    let string = |value: &str| json!({ "Type": "String", "Value": value });
    assert_eq!(
        told["MessageAttributes"],
        json!({
            "severity": string("P1"), "state": string("opened"), "probe": string("api-health"),
            "incident": string("inc-1"), "schedule": string("reachability"), "site": string("shop"),
        })
    );
}

#[tokio::test]
async fn a_fifo_topic_drops_repetitions_and_keeps_the_resolve() {
    let moto = Moto::start();
    let (topic, queue) = moto.topic_and_queue("ops.fifo").await;
    let sns = notifier(&moto, &topic);
    sns.notify(&opened("inc-1")).await.unwrap();
    sns.notify(&opened("inc-1")).await.unwrap();
    sns.notify(&resolved("inc-1")).await.unwrap();
    let messages = moto.messages(&queue).await;
    let seen: Vec<_> = messages
        .iter()
        .map(|message| {
            let attributes = &message["Attributes"];
            let text = |name: &str| attributes[name].as_str().unwrap().to_owned();
            let state = envelope(message)["MessageAttributes"]["state"]["Value"].as_str().unwrap().to_owned();
            (text("MessageGroupId"), text("MessageDeduplicationId"), state)
        })
        .collect();
    let expected = [("inc-1", "inc-1-1", "opened"), ("inc-1", "inc-1-2", "resolved")];
    assert_eq!(seen, expected.map(|(group, key, state)| (group.to_owned(), key.to_owned(), state.to_owned())));
}

#[tokio::test]
async fn the_least_form_has_neither_subject_nor_story() {
    let moto = Moto::start();
    let (topic, queue) = moto.topic_and_queue("ops").await;
    let plain = Notification { plain: true, ..opened("inc-1") };
    notifier(&moto, &topic).notify(&plain).await.unwrap();
    let told = envelope(&moto.messages(&queue).await[0]);
    assert_eq!(told["Message"], "api-health is failing: connect.refused: nobody listens there␛[2J");
    assert_eq!(told.get("Subject"), None);
    assert_eq!(told["MessageAttributes"]["severity"]["Value"], "P1");
}

#[tokio::test]
async fn a_topic_that_does_not_exist_needs_a_person() {
    let moto = Moto::start();
    let topic = "arn:aws:sns:us-east-1:123456789012:nobody";
    let error = notifier(&moto, topic).notify(&opened("inc-1")).await.unwrap_err();
    assert!(matches!(&error, NotifyError::Unauthorized(text) if text.starts_with("NotFound: ")), "{error:?}");
}

#[tokio::test]
async fn each_fault_has_its_own_answer() {
    let moto = Moto::start();
    let (topic, queue) = moto.topic_and_queue("ops").await;
    let sns = notifier(&moto, &topic);
    for (fault, sort) in [
        ("throttle", "again"),
        ("error", "again"),
        ("drop", "again"),
        ("garbage", "again"),
        ("lie", "again"),
        ("too_large", "rejected"),
        ("reject", "rejected"),
        ("forbidden", "unauthorized"),
    ] {
        moto.faults(json!([{ "operation": "Publish", "fault": fault }])).await;
        let error = sns.notify(&opened("inc-1")).await.unwrap_err();
        let seen = match &error {
            NotifyError::Transient { .. } => "again",
            NotifyError::Rejected(_) => "rejected",
            NotifyError::Unauthorized(_) => "unauthorized",
        };
        assert_eq!(seen, sort, "{fault}: {error}");
        assert!(!error.to_string().contains("hunter2"), "{error}");
    }
    // The same notifier delivers once the fault is gone.
    moto.faults(json!([])).await;
    sns.notify(&opened("inc-1")).await.unwrap();
    assert_eq!(moto.messages(&queue).await.len(), 1);
}

#[tokio::test]
async fn missing_credentials_are_named_and_looked_for_again() {
    let moto = Moto::start();
    let nobody = provide_credentials_fn(|| async { Err(CredentialsError::not_loaded_no_source()) });
    let access = Access { credentials: Some(SharedCredentialsProvider::new(nobody)), ..moto.access() };
    let sns = Sns::new("arn:aws:sns:us-east-1:123456789012:ops".to_owned().try_into().unwrap(), access);
    let error = sns.notify(&opened("inc-1")).await.unwrap_err();
    let message = "no AWS credentials: none in the environment, the profile, the container or the machine".to_owned();
    assert_eq!(error, NotifyError::Transient { message, retry_after: None });
    assert!(moto.log("Publish").await.is_empty());
}
