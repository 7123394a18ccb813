//! Messages to send to real receivers, and channels that send them.

use std::sync::Arc;

use futures::future::BoxFuture;
use roundsman::clock::SystemClock;
use roundsman::domain::incident::{Event, Incident, IncidentId, Severity};
use roundsman::domain::judge::Aspect;
use roundsman::domain::names::{ProbeName, SecretName};
use roundsman::domain::outcome::{Failure, FailureKind, RunId};
use roundsman::domain::redaction::Redactor;
use roundsman::domain::time::Timestamp;
use roundsman::net::client;
use roundsman::notifiers::CHANNELS;
use roundsman::ports::{Building, Notification, Notifier, SecretError, Secrets};
use roundsman::settings::{Problems, Source, parse};
use secrecy::SecretString;

/// Secrets by name.
struct Known {
    secrets: &'static [(&'static str, &'static str)],
    redactor: Redactor,
}

impl Secrets for Known {
    fn resolve<'a>(&'a self, name: &'a SecretName) -> BoxFuture<'a, Result<SecretString, SecretError>> {
        let (_, value) = self.secrets.iter().find(|(known, _)| *known == name.as_str()).expect("a secret of the test");
        self.redactor.learn(value);
        Box::pin(std::future::ready(Ok(SecretString::from((*value).to_owned()))))
    }
    fn redact(&self, text: &str) -> String {
        self.redactor.redact(text)
    }
}

/// A channel as it is written, with the secrets that it names.
pub fn channel(kind: &str, yaml: &str, secrets: &'static [(&'static str, &'static str)]) -> Arc<dyn Notifier> {
    channel_with(kind, yaml, secrets, client::shared().expect("a client"))
}

/// A channel with a client of its own.
pub fn channel_with(
    kind: &str,
    yaml: &str,
    secrets: &'static [(&'static str, &'static str)],
    http: reqwest::Client,
) -> Arc<dyn Notifier> {
    let mut problems = Problems::new();
    let node = parse(Source::new("test.yaml", yaml), &mut problems).expect("YAML");
    let kind = CHANNELS.iter().find(|row| row.name == kind).expect("a row");
    let building = Building {
        secrets: Arc::new(Known { secrets, redactor: Redactor::default() }),
        http,
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

/// That it is over.
pub fn resolved(opened: &Notification) -> Notification {
    let at = opened.at + std::time::Duration::from_secs(210);
    let incident = Incident { resolved_at: Some(at), ..opened.incident.clone() };
    Notification { event: Event::Resolved, transition: 2, at, incident, ..opened.clone() }
}

/// The same with all that a target can write, and far too much of it.
pub fn flooding(of: &Notification) -> Notification {
    let hostile =
        "a\r\nSubject: b\u{1b}[2J\u{202e}\n.\n\u{0}<!channel> @everyone {{x}} \"f\" \\ ``` ünï 💥 & ".repeat(1_000);
    let failure = Failure::new(FailureKind::Expect, hostile.clone()).with(hostile.clone(), hostile.clone());
    let incident = Incident {
        first_failures: vec![failure.clone(); 50].into(),
        latest_failures: vec![failure; 50].into(),
        changes: vec![hostile.clone(); 50],
        labels: (0..50).map(|n| (format!("l{n}"), hostile.clone())).collect(),
        ..of.incident.clone()
    };
    Notification { incident, ..of.clone() }
}

/// That a bare incident of `api-health`, P1, has opened.
pub fn opened(incident: &str, at: Timestamp) -> Notification {
    Notification {
        event: Event::Opened,
        incident: Incident {
            transitions: 1,
            ..Incident::opened(
                IncidentId(Arc::from(incident)),
                ProbeName::parse("api-health").unwrap(),
                Aspect::Failing,
                Severity::P1,
                RunId(Arc::from("run")),
                at,
            )
        },
        transition: 1,
        at,
        site: "shop".to_owned(),
        url: None,
        late: false,
        plain: false,
        group: None,
        unrecorded: false,
    }
}
