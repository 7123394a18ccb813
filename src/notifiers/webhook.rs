//! A webhook: the incident as JSON, to whoever takes it.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use futures::future::BoxFuture;
use reqwest::header::{self, HeaderName, HeaderValue, RETRY_AFTER};
use reqwest::{Response, StatusCode};
use schemars::JsonSchema;
use secrecy::ExposeSecret as _;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::domain::names::{CaptureName, SecretName};
use crate::domain::outcome::Failure;
use crate::domain::template::{Fill, Piece, Template, pieces};
use crate::domain::text::harmless;
use crate::domain::time::rfc3339;
use crate::net::client::innermost;
use crate::notifiers::message::piece;
use crate::ports::{Building, ChannelKind, Clock, Notification, Notifier, NotifyError, Receipt, Secrets};
use crate::settings::{Node, Problems, Spanned, read};

/// The row of the table of channels.
pub const CHANNEL: ChannelKind = ChannelKind {
    name: "webhook",
    about: "A webhook: the incident as JSON, by POST",
    main: "url",
    schema: WebhookSettings::json_schema,
    build,
};

/// How many failures are told.
const FAILURES_MAX: usize = 10;

/// What is ours to say; another of the same name would stand beside it.
const OURS: [HeaderName; 6] = [
    header::CONNECTION,
    header::CONTENT_LENGTH,
    header::CONTENT_TYPE,
    header::HOST,
    header::TRANSFER_ENCODING,
    HeaderName::from_static("idempotency-key"),
];

/// How much of a refusal is read.
const ANSWER_BYTES_MAX: usize = 4 * 1024;

/// How much of it is repeated.
const QUOTE_CHARS_MAX: usize = 200;

/// No receiver makes us wait longer than this.
const RETRY_AFTER_MAX: Duration = Duration::from_secs(3_600);

/// What people write.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct WebhookSettings {
    /// Where to: an `http://` or `https://` URL. It often is a secret by itself: write `"${secret:name}"`.
    #[schemars(with = "String")]
    pub url: Spanned<Template>,
    /// Headers to send, e.g. `authorization: "Bearer ${secret:name}"`.
    #[serde(default)]
    #[schemars(with = "BTreeMap<String, String>")]
    pub headers: BTreeMap<Spanned<String>, Spanned<Template>>,
}

fn build(node: &Node, building: &Building, problems: &mut Problems) -> Option<Arc<dyn Notifier>> {
    let settings: WebhookSettings = read(node, problems)?;
    let before = problems.len();
    if let Some(Err(why)) = known(&settings.url.value).map(|url| usable(&url)) {
        let problem = problems.error(settings.url.span.clone(), format!("this is not the URL of a webhook: {why}"));
        problem.help = Some("write it like `https://hooks.example.com/roundsman`".to_owned());
        // Whoever knows the URL of a webhook can write to it; a reference says nothing.
        problem.hidden = !settings.url.span.text().contains("${");
    }
    let fields = [&settings.url].into_iter().chain(settings.headers.values());
    for (field, name) in fields.filter_map(|field| Some((field, of_run(&field.value)?))) {
        problems.error(field.span.clone(), format!("`{{{{{name}}}}}` is of a run, and a channel belongs to none"));
    }
    let mut headers: Vec<(HeaderName, Template)> = Vec::new();
    for (name, value) in settings.headers {
        let why = match HeaderName::from_bytes(name.value.as_bytes()) {
            Err(_) => format!("`{}` is not the name of a header: write it like `X-Request-Id`", name.value),
            Ok(header) if OURS.contains(&header) => format!("the header `{header}` is set by Roundsman"),
            Ok(header) if headers.iter().any(|(other, _)| *other == header) => {
                format!("the header `{header}` is given twice")
            }
            Ok(header) => {
                if known(&value.value).is_some_and(|text| HeaderValue::try_from(text).is_err()) {
                    problems
                        .error(value.span.clone(), "a header cannot hold a line break or another control character");
                }
                headers.push((header, value.value));
                continue;
            }
        };
        problems.error(name.span.clone(), why);
    }
    (problems.len() == before).then(|| {
        Arc::new(Webhook {
            url: settings.url.value,
            headers,
            http: building.http.clone(),
            secrets: Arc::clone(&building.secrets),
            clock: Arc::clone(&building.clock),
        }) as Arc<dyn Notifier>
    })
}

/// What is known of a text before secrets are; nothing where it begins with one. A digit stands for a secret, since it can
/// stand in a host, a port, a path and a header.
fn known(template: &Template) -> Option<String> {
    let parts = pieces(&template.to_string()).ok()?;
    let begins_with_secret = matches!(parts.first(), Some(Piece::Secret(_)));
    let text = |part| if let Piece::Literal(text) = part { text } else { "1".to_owned() };
    (!begins_with_secret).then(|| parts.into_iter().map(text).collect())
}

/// What of a text is known in a run only.
fn of_run(template: &Template) -> Option<String> {
    pieces(&template.to_string()).ok()?.into_iter().find_map(|part| match part {
        Piece::Capture(name) => Some(name.to_string()),
        Piece::RunId => Some("run.id".to_owned()),
        _ => None,
    })
}

fn usable(text: &str) -> Result<reqwest::Url, String> {
    let url: reqwest::Url = text.parse().map_err(|error: url::ParseError| match error {
        url::ParseError::RelativeUrlWithoutBase => "it begins with neither `https://` nor `http://`".to_owned(),
        error => error.to_string(),
    })?;
    if !matches!(url.scheme(), "http" | "https") {
        return Err(format!("it begins with `{}:`", url.scheme()));
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err("it holds a user and a password, which belong in the header `authorization`".to_owned());
    }
    Ok(url)
}

/// One receiver.
struct Webhook {
    url: Template,
    headers: Vec<(HeaderName, Template)>,
    http: reqwest::Client,
    secrets: Arc<dyn Secrets>,
    clock: Arc<dyn Clock>,
}

impl Webhook {
    async fn post(&self, notification: &Notification) -> Result<Receipt, NotifyError> {
        let url = self.fill(&self.url).await?;
        let url = usable(&url).map_err(|why| NotifyError::Unauthorized(format!("the URL cannot be used: {why}")))?;
        let mut request = self
            .http
            .post(url)
            .header("content-type", "application/json")
            .header("idempotency-key", notification.key())
            .body(body(notification).to_string());
        for (name, value) in &self.headers {
            let mut value = HeaderValue::try_from(self.fill(value).await?)
                .map_err(|_| NotifyError::Unauthorized(format!("the header `{name}` holds what no header can hold")))?;
            value.set_sensitive(true);
            request = request.header(name, value);
        }
        let answer = request.send().await.map_err(|error| NotifyError::Transient {
            message: self.secrets.redact(&reason(&error.without_url())),
            retry_after: None,
        })?;
        let status = answer.status();
        if status.is_success() {
            return Ok(Receipt { id: Some(status.as_str().to_owned()) });
        }
        let retry_after = self.retry_after(&answer);
        let message = format!("{status}{}", quote(&self.secrets.redact(&text_of(answer).await)));
        Err(match status {
            StatusCode::BAD_REQUEST | StatusCode::PAYLOAD_TOO_LARGE | StatusCode::UNPROCESSABLE_ENTITY => {
                NotifyError::Rejected(message)
            }
            // A receiver that has moved needs a person as much as one that knows us no more.
            status if status.is_redirection() => NotifyError::Unauthorized(message),
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN | StatusCode::NOT_FOUND | StatusCode::GONE => {
                NotifyError::Unauthorized(message)
            }
            _ => NotifyError::Transient { message, retry_after },
        })
    }

    /// The text with its secrets, as they are now.
    async fn fill(&self, template: &Template) -> Result<String, NotifyError> {
        struct Values(BTreeMap<SecretName, secrecy::SecretString>);
        impl Fill for Values {
            fn capture(&self, _: &CaptureName) -> Option<&str> {
                None
            }
            fn run_id(&self) -> &'static str {
                ""
            }
            fn secret(&self, name: &SecretName) -> Option<&str> {
                self.0.get(name).map(secrecy::SecretString::expose_secret)
            }
        }
        // A secret may be away for the moment in which it is rotated, so a page does not wait long for it.
        let away =
            |error: &dyn std::fmt::Display| NotifyError::Transient { message: error.to_string(), retry_after: None };
        let mut values = Values(BTreeMap::new());
        for name in template.secrets() {
            let secret = self.secrets.resolve(name).await.map_err(|error| away(&error))?;
            values.0.insert(name.clone(), secret);
        }
        template.fill(&values, |value| Some(value.to_owned())).map_err(|error| away(&error))
    }

    /// RFC 9110, section 10.2.3: seconds, or a date.
    fn retry_after(&self, answer: &Response) -> Option<Duration> {
        let text = answer.headers().get(RETRY_AFTER)?.to_str().ok()?.trim();
        let length = match text.parse() {
            Ok(seconds) => Duration::from_secs(seconds),
            Err(_) => {
                let date = chrono::DateTime::parse_from_rfc2822(text).ok()?;
                crate::domain::time::between(self.clock.now(), date.to_utc())
            }
        };
        Some(length.min(RETRY_AFTER_MAX))
    }
}

impl Notifier for Webhook {
    fn notify<'a>(&'a self, notification: &'a Notification) -> BoxFuture<'a, Result<Receipt, NotifyError>> {
        Box::pin(self.post(notification))
    }
}

/// The body: whole, or the least that a receiver can take.
fn body(notification: &Notification) -> Value {
    let incident = &notification.incident;
    let mut body = json!({
        "version": 1,
        "event": notification.event,
        "incident": incident.id,
        "probe": incident.probe,
        "schedules": incident.schedules,
        "severity": incident.severity,
        "since": rfc3339(incident.since),
        "summary": piece(&notification.summary()),
    });
    if let (false, Value::Object(fields)) = (notification.plain, &mut body) {
        let more = [
            ("failures", incident.latest_failures.iter().take(FAILURES_MAX).map(told).collect()),
            ("labels", json!(incident.labels)),
            ("url", json!(notification.url)),
            ("runbook", json!(incident.runbook)),
            ("site", json!(notification.site)),
            ("at", json!(rfc3339(notification.at))),
            ("resolved_at", json!(incident.resolved_at.map(rfc3339))),
            ("late", json!(notification.late)),
        ];
        fields.extend(more.map(|(name, value)| (name.to_owned(), value)));
    }
    body
}

/// A target wrote much of it, so nothing of it may be long or do more than be read.
fn told(failure: &Failure) -> Value {
    json!(Failure {
        message: piece(&failure.message),
        expected: failure.expected.as_deref().map(piece),
        actual: failure.actual.as_deref().map(piece),
        ..failure.clone()
    })
}

/// The reason in the words of whoever knew it.
fn reason(error: &reqwest::Error) -> String {
    if error.is_timeout() {
        return "no answer in time".to_owned();
    }
    format!("the receiver could not be reached: {}", innermost(error))
}

/// An answer as text. One that is too long is not repeated at all: its cut end could be a part of a secret, which nobody
/// would recognise.
async fn text_of(mut answer: Response) -> String {
    let mut bytes = Vec::new();
    loop {
        match answer.chunk().await {
            Ok(Some(chunk)) if bytes.len() + chunk.len() <= ANSWER_BYTES_MAX => bytes.extend_from_slice(&chunk),
            Ok(Some(_)) => return "(an answer of more than 4 KiB)".to_owned(),
            Ok(None) => return String::from_utf8_lossy(&bytes).into_owned(),
            Err(_) => return "(an answer without an end)".to_owned(),
        }
    }
}

fn quote(text: &str) -> String {
    let text = harmless(text.trim());
    match text.chars().count() {
        0 => String::new(),
        count if count <= QUOTE_CHARS_MAX => format!(": {text}"),
        _ => format!(": {}…", text.chars().take(QUOTE_CHARS_MAX).collect::<String>()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::incident::{Event, Incident, Severity};
    use crate::domain::names::ScheduleName;
    use crate::domain::outcome::{Failure, FailureKind};
    use crate::engine::testing::{NoSecrets, at, incident};
    use crate::settings::{Source, parse};

    fn notification(plain: bool) -> Notification {
        let since = at("2026-11-24T10:00:00Z");
        let schedule = ScheduleName::parse("reachability").unwrap();
        let failure = Failure::new(FailureKind::ConnectRefused, "127.0.0.1:9 refused the connection");
        Notification {
            event: Event::Opened,
            incident: Incident {
                firing: BTreeMap::from([(schedule.clone(), Severity::P1)]),
                schedules: vec![schedule],
                first_failures: vec![failure.clone()],
                latest_failures: vec![failure.with("a connection", "\u{1b}[2J")],
                labels: BTreeMap::from([("service".to_owned(), "api".to_owned())]),
                runbook: Some("runbooks/api.md".to_owned()),
                ..incident("01JDEXAMPLE", "api-health", since)
            },
            transition: 1,
            at: at("2026-11-24T10:00:31.482Z"),
            site: "shop".to_owned(),
            url: Some("https://rounds.example.com/incidents/01JDEXAMPLE".to_owned()),
            late: false,
            plain,
        }
    }

    #[test]
    fn the_body_is_the_contract() {
        insta::assert_snapshot!(format!("{:#}\n{:#}", body(&notification(false)), body(&notification(true))));
    }

    #[test]
    fn a_target_cannot_make_the_body_long() {
        let mut notification = notification(false);
        let hostile = "\u{1b}[2J\u{202e}".to_owned() + &"x".repeat(100_000);
        let failure = Failure::new(FailureKind::Expect, hostile.clone()).with(hostile.clone(), hostile);
        notification.incident.latest_failures = vec![failure; 500];
        let text = body(&notification).to_string();
        assert!(text.len() < 40_000, "{}", text.len());
        assert!(!text.contains("\\u001b") && !text.contains('\u{202e}'));
    }

    #[test]
    fn mistakes_are_found_before_anybody_must_be_told() {
        let messages = |yaml: &str| {
            let mut problems = Problems::new();
            let node = parse(Source::new("roundsman.yaml", yaml), &mut problems).unwrap();
            let building = Building {
                secrets: Arc::new(NoSecrets),
                http: crate::net::client::shared().unwrap(),
                clock: Arc::new(crate::clock::SystemClock::start()),
                cleanup: false,
                site: String::new(),
                location: Arc::from("here"),
                directory: Arc::from(std::env::temp_dir()),
                pings: Arc::new(crate::engine::pulses::Pulses::default()),
            };
            assert_eq!(build(&node, &building, &mut problems).is_some(), problems.is_empty(), "{yaml}");
            problems.sorted().iter().map(|problem| problem.message.clone()).collect::<Vec<_>>()
        };
        for (yaml, why) in [
            (
                "{ url: hooks.example }",
                "this is not the URL of a webhook: it begins with neither `https://` nor `http://`",
            ),
            ("{ url: 'ftp://h.example/${secret:a}' }", "this is not the URL of a webhook: it begins with `ftp:`"),
            ("{ url: 'https://h.example/{{token}}' }", "`{{token}}` is of a run, and a channel belongs to none"),
            ("{ url: 'https://h.example/{{run.id}}' }", "`{{run.id}}` is of a run, and a channel belongs to none"),
            (
                "{ url: 'https://h.example', headers: { 'a b': c } }",
                "`a b` is not the name of a header: write it like `X-Request-Id`",
            ),
            ("{ url: 'https://h.example', headers: { Host: c } }", "the header `host` is set by Roundsman"),
            ("{ url: 'https://h.example', headers: { X-A: a, x-a: b } }", "the header `x-a` is given twice"),
            (
                "{ url: 'https://h.example', headers: { X-A: \"a\\nb${secret:c}\" } }",
                "a header cannot hold a line break or another control character",
            ),
        ] {
            assert_eq!(messages(yaml), [why], "{yaml}");
        }
        for yaml in [
            "{ url: '${secret:hook}' }",
            "{ url: 'https://${secret:host}:${secret:port}/x?key=${secret:key}' }",
            "{ url: 'https://h.example', headers: { Authorization: 'Bearer ${secret:key}', X-A: '${secret:a}' } }",
        ] {
            assert_eq!(messages(yaml), [""; 0], "{yaml}");
        }
    }

    #[test]
    fn answers_are_quoted_briefly_and_harmlessly() {
        assert_eq!(quote(" \n"), "");
        assert_eq!(quote("no\u{1b}[2J"), ": no␛[2J");
        assert_eq!(quote(&"é".repeat(300)), format!(": {}…", "é".repeat(200)));
    }
}
