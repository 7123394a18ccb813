//! A webhook: the incident as JSON, to whoever takes it.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use futures::future::BoxFuture;
use reqwest::header::{HeaderName, HeaderValue, RETRY_AFTER};
use reqwest::{Response, StatusCode};
use schemars::JsonSchema;
use secrecy::ExposeSecret as _;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::domain::names::{CaptureName, SecretName};
use crate::domain::template::{Fill, Piece, Template, pieces};
use crate::domain::time::rfc3339;
use crate::ports::{Building, ChannelKind, Clock, Notification, Notifier, NotifyError, Receipt, Secrets};
use crate::settings::problem::harmless;
use crate::settings::{Node, Problems, Spanned, read};

/// The row of the table of channels.
pub const CHANNEL: ChannelKind = ChannelKind {
    name: "webhook",
    about: "A webhook: the incident as JSON, by POST",
    main: "url",
    schema: WebhookSettings::json_schema,
    build,
};

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
    if let Some(url) = settings.url.value.as_literal()
        && let Err(why) = usable(url)
    {
        let problem =
            problems.error(settings.url.span.clone(), format!("this is not the URL of a webhook: {why}"));
        problem.help = Some("write it like `https://hooks.example.com/roundsman`".to_owned());
        // Whoever knows the URL of a webhook can write to it; a reference says nothing.
        problem.hidden = !settings.url.span.text().contains("${");
    }
    for field in [&settings.url].into_iter().chain(settings.headers.values()) {
        let literal = pieces(&field.value.to_string()).unwrap_or_default();
        let hole = literal.iter().find_map(|piece| match piece {
            Piece::Capture(name) => Some(name.as_str()),
            Piece::RunId => Some("run.id"),
            _ => None,
        });
        if let Some(name) = hole {
            problems.error(field.span.clone(), format!("`{{{{{name}}}}}` belongs to a run, and a channel has none"));
        }
    }
    let mut headers = Vec::new();
    for (name, value) in settings.headers {
        match HeaderName::from_bytes(name.value.as_bytes()) {
            Ok(header) => {
                if value.value.as_literal().is_some_and(|text| HeaderValue::from_str(text).is_err()) {
                    problems
                        .error(value.span.clone(), "a header cannot hold a line break or another control character");
                }
                headers.push((header, value.value));
            }
            Err(_) => {
                problems.error(name.span.clone(), format!("`{}` is not the name of a header", name.value)).help =
                    Some("a name has letters, digits and `-`, like `X-Request-Id`".to_owned());
            }
        }
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
        let message = format!("{status}{}", quote(&self.secrets.redact(&beginning(answer).await)));
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
                self.0.get(name).map(|secret| secret.expose_secret())
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
        "summary": notification.summary(),
    });
    if let (false, Value::Object(fields)) = (notification.plain, &mut body) {
        let more = [
            ("failures", json!(incident.latest_failures)),
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

/// The reason in the words of whoever knew it: the outermost says that something failed, the innermost what.
fn reason(error: &reqwest::Error) -> String {
    let what = if error.is_timeout() { "no answer in time" } else { "the receiver could not be reached" };
    let mut deepest: &dyn std::error::Error = error;
    while let Some(source) = deepest.source() {
        deepest = source;
    }
    let why = deepest.to_string();
    if error.is_timeout() { what.to_owned() } else { format!("{what}: {why}") }
}

/// The beginning of an answer, as text.
async fn beginning(mut answer: Response) -> String {
    let mut bytes = Vec::new();
    while let Ok(Some(chunk)) = answer.chunk().await {
        let room = ANSWER_BYTES_MAX - bytes.len();
        bytes.extend_from_slice(chunk.get(..room).unwrap_or(&chunk));
        if bytes.len() >= ANSWER_BYTES_MAX {
            break;
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
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
    use crate::domain::incident::{Event, Incident, IncidentId, Severity};
    use crate::domain::judge::Aspect;
    use crate::domain::names::{ProbeName, ScheduleName};
    use crate::domain::outcome::{Failure, FailureKind, RunId};
    use crate::engine::testing::at;

    fn notification(plain: bool) -> Notification {
        let since = at("2026-11-24T10:00:00Z");
        let schedule = ScheduleName::parse("reachability").unwrap();
        let failure = Failure::new(FailureKind::ConnectRefused, "127.0.0.1:9 refused the connection");
        Notification {
            event: Event::Opened,
            incident: Incident {
                id: IncidentId(Arc::from("01JDEXAMPLE")),
                probe: ProbeName::parse("api-health").unwrap(),
                aspect: Aspect::Failing,
                severity: Severity::P1,
                since,
                opened_at: since,
                resolved_at: None,
                resolved_because: None,
                firing: BTreeMap::from([(schedule.clone(), Severity::P1)]),
                schedules: vec![schedule],
                first_failures: vec![failure.clone()],
                latest_failures: vec![failure.with("a connection", "\u{1b}[2J")],
                opening_run: RunId(Arc::from("r")),
                labels: BTreeMap::from([("service".to_owned(), "api".to_owned())]),
                runbook: Some("runbooks/api.md".to_owned()),
                quiet: None,
                told: Vec::new(),
                transitions: 1,
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
    fn answers_are_quoted_briefly_and_harmlessly() {
        assert_eq!(quote(" \n"), "");
        assert_eq!(quote("no\u{1b}[2J"), ": no␛[2J");
        assert_eq!(quote(&"é".repeat(300)), format!(": {}…", "é".repeat(200)));
    }
}
