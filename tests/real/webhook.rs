//! The webhook against receivers that answer in every way.

use std::sync::Arc;
use std::time::Duration;

use futures::future::BoxFuture;
use roundsman::clock::SystemClock;
use roundsman::domain::names::SecretName;
use roundsman::domain::redaction::Redactor;
use roundsman::net::client;
use roundsman::notifiers::CHANNELS;
use roundsman::ports::{Building, Notification, Notifier, NotifyError, SecretError, Secrets};
use roundsman::settings::{Problems, Source, parse};
use secrecy::SecretString;

use crate::notification::opened;
use crate::servers::hostile::{Hostile, Move};
use crate::servers::receiver::Receiver;

/// One secret, which is a path.
struct OneSecret {
    value: String,
    redactor: Redactor,
}

impl Secrets for OneSecret {
    fn resolve<'a>(&'a self, _: &'a SecretName) -> BoxFuture<'a, Result<SecretString, SecretError>> {
        self.redactor.learn(&self.value);
        Box::pin(std::future::ready(Ok(SecretString::from(self.value.clone()))))
    }
    fn redact(&self, text: &str) -> String {
        self.redactor.redact(text)
    }
}

const SECRET: &str = "T0PSECRET/hook";

/// A webhook with these settings.
pub fn webhook(yaml: &str) -> Arc<dyn Notifier> {
    let mut problems = Problems::new();
    let node = parse(Source::new("test.yaml", yaml), &mut problems).expect("YAML");
    let kind = CHANNELS.iter().find(|kind| kind.name == "webhook").expect("a row");
    let building = Building {
        secrets: Arc::new(OneSecret { value: SECRET.to_owned(), redactor: Redactor::default() }),
        http: client::shared().expect("a client"),
        clock: Arc::new(SystemClock::start()),
        cleanup: false,
        site: "test".to_owned(),
        location: Arc::from("here"),
        directory: Arc::from(std::env::temp_dir()),
        pings: Arc::new(roundsman::engine::pulses::Pulses::default()),
    };
    let built = (kind.build)(&node, &building, &mut problems);
    built.unwrap_or_else(|| panic!("{}", problems.render(false)))
}

fn notification() -> Notification {
    opened("I1", "2026-11-24T10:00:00Z".parse().expect("an instant"))
}

async fn answered(head: &str) -> Result<(), NotifyError> {
    let receiver =
        Hostile::answering(format!("HTTP/1.1 {head}\r\nconnection: close\r\n\r\nno \u{1b}[2J{SECRET}")).await;
    let notifier = webhook(&format!("url: \"{}${{secret:path}}\"\n", receiver.url()));
    notifier.notify(&notification()).await.map(drop)
}

#[tokio::test]
async fn each_answer_has_its_meaning() {
    answered("204 No Content").await.expect("2xx is taken");
    for status in ["400 Bad Request", "413 Content Too Large", "422 Unprocessable Content"] {
        assert!(matches!(answered(status).await, Err(NotifyError::Rejected(_))), "{status}");
    }
    for status in ["401 Unauthorized", "403 Forbidden", "404 Not Found", "410 Gone", "302 Found\r\nlocation: /"] {
        assert!(matches!(answered(status).await, Err(NotifyError::Unauthorized(_))), "{status}");
    }
    for (status, expected) in [
        ("500 Internal Server Error", None),
        ("429 Too Many Requests\r\nretry-after: 30", Some(Duration::from_secs(30))),
        ("503 Service Unavailable\r\nretry-after: 99999999", Some(Duration::from_secs(3_600))),
        ("503 Service Unavailable\r\nretry-after: soon", None),
        ("503 Service Unavailable\r\nretry-after: Fri, 01 Jan 2100 00:00:00 GMT", Some(Duration::from_secs(3_600))),
    ] {
        let Err(NotifyError::Transient { retry_after, message }) = answered(status).await else { panic!("{status}") };
        assert_eq!(retry_after, expected, "{status}");
        assert!(message.contains("no ␛[2J•••"), "{message}");
    }
}

#[tokio::test]
async fn a_secret_in_the_url_is_in_no_error() {
    let refused = webhook("url: \"http://127.0.0.1:9/${secret:path}\"\n");
    let dropped = Hostile::playing(vec![Move::ReadHead, Move::Reset]).await;
    let dropped = webhook(&format!("url: \"{}${{secret:path}}\"\n", dropped.url()));
    for notifier in [refused, dropped] {
        let Err(NotifyError::Transient { message, .. }) = notifier.notify(&notification()).await else { panic!() };
        assert!(!message.contains("T0PSECRET"), "{message}");
        assert!(message.starts_with("the receiver could not be reached: "), "{message}");
    }
}

#[test]
fn what_is_sent_has_its_key_and_its_headers() {
    let receiver = Receiver::start();
    let notifier =
        webhook(&format!("url: \"{}\"\nheaders: {{ authorization: \"Bearer ${{secret:path}}\" }}\n", receiver.url));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let receipt = runtime.block_on(notifier.notify(&notification())).expect("it is taken");
    assert_eq!(receipt.id.as_deref(), Some("204"));
    let taken = receiver.taken();
    assert_eq!((taken.len(), taken[0].key.as_str(), taken[0].text("event")), (1, "I1-1", "opened"));
    assert_eq!(taken[0].authorization, format!("Bearer {SECRET}"));
}
