//! PagerDuty, by its Events API v2: <https://developer.pagerduty.com/docs/send-alert-event>.
//!
//! The key under which PagerDuty knows an alert is the incident, or the message by which a storm of them was told; so however
//! often an opening is sent there is one alert, and the resolve finds it. What people do there comes back by its webhooks,
//! which `replies` reads; whether a drill's message arrived there, `look_up` finds out.

mod look_up;
mod replies;

use std::sync::Arc;
use std::time::Duration;

use futures::future::BoxFuture;
use reqwest::StatusCode;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use self::look_up::{LookUp, LookUpSettings};
use super::message::{Story, Told, fit, links, piece};
use super::post::{Answer, Post, check_secret, check_url};
use crate::domain::grouping::Keeping;
use crate::domain::incident::{Event, IncidentId, Severity};
use crate::domain::template::Template;
use crate::domain::time::rfc3339;
use crate::ports::{Building, ChannelKind, Heard, Notification, Notifier, NotifyError, Receipt};
use crate::settings::{Node, Problems, Spanned, read};

/// The row of the table of channels.
pub const CHANNEL: ChannelKind = ChannelKind {
    name: "pagerduty",
    about: "PagerDuty: an alert that opens and is resolved with the incident",
    main: "routing_key",
    schema: PagerDutySettings::json_schema,
    build,
};

/// Where events are sent; accounts of the European region have another address.
const URL: &str = "https://events.pagerduty.com/v2/enqueue";

/// The longest summary, in characters.
const SUMMARY_MAX: usize = 1_024;

/// How long we rest when we are throttled and not told how long: the limit counts minutes.
const THROTTLED_REST: Duration = Duration::from_secs(120);

/// What people write.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PagerDutySettings {
    /// The integration key of a service ("Events API v2"), a secret: write `"${secret:name}"`.
    #[schemars(with = "String")]
    pub routing_key: Spanned<Template>,
    /// Where events are sent. Accounts of the European service region write `https://events.eu.pagerduty.com/v2/enqueue`.
    /// Default: `https://events.pagerduty.com/v2/enqueue`.
    #[serde(default)]
    #[schemars(with = "Option<String>")]
    pub url: Option<Spanned<Template>>,
    /// The secret of a webhook subscription (v3) of PagerDuty's to `/api/v1/pagerduty`, by which an acknowledgement or a note
    /// there is one here. Write `"${secret:name}"`. Default: none, and nothing comes back.
    #[serde(default)]
    #[schemars(with = "Option<String>")]
    pub webhook_secret: Option<Spanned<Template>>,
    /// How `roundsman drill` sees in PagerDuty that a message arrived. Default: not, and a drill ends where PagerDuty has taken
    /// the event.
    #[serde(default)]
    pub look_up: Option<LookUpSettings>,
}

fn build(node: &Node, building: &Building, problems: &mut Problems) -> Option<Arc<dyn Notifier>> {
    let settings: PagerDutySettings = read(node, problems)?;
    let before = problems.len();
    check_secret(&settings.routing_key, "a routing key", "routing_key", problems);
    if let Some(url) = &settings.url {
        check_url(url, "PagerDuty's events", URL, problems);
    }
    if let Some(secret) = &settings.webhook_secret {
        check_secret(secret, "what signs a webhook", "webhook_secret", problems);
    }
    if let Some(look_up) = &settings.look_up {
        look_up.check(problems);
    }
    (problems.len() == before).then(|| {
        Arc::new(PagerDuty {
            routing_key: settings.routing_key.value,
            url: settings.url.map_or_else(|| Template::literal(URL), |url| url.value),
            webhook_secret: settings.webhook_secret.map(|secret| secret.value),
            look_up: settings.look_up.map(LookUp::from),
            post: Post::new(building),
        }) as Arc<dyn Notifier>
    })
}

/// One service.
struct PagerDuty {
    routing_key: Template,
    url: Template,
    webhook_secret: Option<Template>,
    look_up: Option<LookUp>,
    post: Post,
}

impl PagerDuty {
    async fn tell(&self, notification: &Notification) -> Result<Receipt, NotifyError> {
        let Some(mut event) = event(notification) else { return Ok(Receipt::default()) };
        event.insert("routing_key".to_owned(), self.post.fill(&self.routing_key).await?.into());
        let request = self.post.to(self.post.url(&self.url).await?);
        let request = request.header("content-type", "application/json").body(Value::Object(event).to_string());
        receipt(self.post.send(request).await?, notification)
    }
}

impl Notifier for PagerDuty {
    fn keeping(&self) -> Keeping {
        Keeping::Alerts
    }

    fn notify<'a>(&'a self, notification: &'a Notification) -> BoxFuture<'a, Result<Receipt, NotifyError>> {
        Box::pin(self.tell(notification))
    }
    fn read_back<'a>(
        &'a self,
        incident: &'a IncidentId,
        event: Event,
    ) -> Option<BoxFuture<'a, Result<String, NotifyError>>> {
        let look_up = self.look_up.as_ref()?;
        Some(Box::pin(look_up.find(&self.post, incident, event)))
    }
    fn hear<'a>(&'a self, signature: &'a str, body: &'a [u8]) -> BoxFuture<'a, Heard> {
        Box::pin(async move {
            let Some(secret) = &self.webhook_secret else { return Heard::Deaf };
            match self.post.fill(secret).await {
                Ok(secret) => replies::heard(&secret, signature, body),
                Err(error) => Heard::Away(error.to_string()),
            }
        })
    }
}

/// Events are accepted with 202 and with their key.
fn receipt(answer: Answer, of: &Notification) -> Result<Receipt, NotifyError> {
    if answer.status == StatusCode::TOO_MANY_REQUESTS {
        let retry_after = Some(answer.retry_after.unwrap_or_default().max(THROTTLED_REST));
        return Err(NotifyError::Transient { message: answer.said(), retry_after });
    }
    let answer = answer.taken()?;
    let said: Option<Value> = serde_json::from_str(&answer.text).ok();
    match said.as_ref().and_then(|said| said["dedup_key"].as_str()) {
        Some(key) if answer.status == StatusCode::ACCEPTED && key == of.alert() => {
            Ok(Receipt { id: Some(key.to_owned()) })
        }
        _ => Err(answer.strange("PagerDuty")),
    }
}

/// The event that tells a notification.
fn event(notification: &Notification) -> Option<Map<String, Value>> {
    match notification.event {
        // One alert stands for all that began together, so nobody has it and it is not over before that goes for all.
        Event::Acknowledged | Event::Resolved if !notification.is_of_all() => None,
        // One key is one alert of theirs, so a reminder tells it again and opens no other.
        Event::Opened | Event::Reminder | Event::Escalated => Some(trigger(notification)),
        Event::Acknowledged => Some(action("acknowledge", notification)),
        Event::Resolved => Some(action("resolve", notification)),
        // Theirs is closed: a trigger would open another and wake somebody for a text.
        Event::PostMortem => None,
    }
}

fn action(action: &str, notification: &Notification) -> Map<String, Value> {
    let head = [("event_action", json!(action)), ("dedup_key", json!(notification.alert()))];
    head.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
}

fn trigger(notification: &Notification) -> Map<String, Value> {
    let incident = &notification.incident;
    let mut payload = json!({
        "summary": fit(&piece(&notification.summary()), SUMMARY_MAX, |_| None),
        "source": source(notification),
        "severity": severity(notification),
        "timestamp": rfc3339(incident.since),
    });
    let mut event = action("trigger", notification);
    if let (false, Value::Object(fields)) = (notification.plain, &mut payload) {
        let one = notification.several().is_none().then_some(incident);
        let class = one.and_then(|one| one.latest_failures.first()).map(|failure| failure.kind.as_str());
        let more = [
            ("component", json!(one.map(|one| &one.probe))),
            ("class", json!(class)),
            ("custom_details", details(&Story::of(notification))),
        ];
        fields.extend(
            more.into_iter().filter(|(_, value)| !value.is_null()).map(|(name, value)| (name.to_owned(), value)),
        );
        let links: Vec<_> =
            links(notification).iter().map(|(text, href)| json!({ "href": href, "text": text })).collect();
        event.insert("client".to_owned(), "Roundsman".into());
        event.extend(notification.url.as_ref().map(|url| ("client_url".to_owned(), url.as_str().into())));
        event.insert("links".to_owned(), links.into());
    }
    event.insert("payload".to_owned(), payload);
    event
}

/// What is affected, which PagerDuty wants to be told and never empty.
fn source(notification: &Notification) -> String {
    let site = piece(&notification.site);
    if site.is_empty() { notification.incident.probe.to_string() } else { site }
}

/// What is over already wakes nobody, nor does a drill.
fn severity(notification: &Notification) -> &'static str {
    match notification.incident.severity {
        _ if notification.late || notification.incident.drill => "info",
        Severity::P1 => "critical",
        Severity::P2 => "error",
        Severity::P3 => "warning",
        Severity::P4 => "info",
    }
}

fn details(story: &Story) -> Value {
    let told = |Told { what, expected, came }: &Told| {
        let fields = [("what", Some(what)), ("expected", expected.as_ref()), ("came", came.as_ref())];
        fields.into_iter().filter_map(|(name, value)| Some((name.to_owned(), json!(value?)))).collect::<Map<_, _>>()
    };
    let mut details: Map<String, Value> =
        story.facts.iter().map(|(name, value)| ((*name).to_owned(), json!(value))).collect();
    details.insert("failures".to_owned(), story.failures.iter().map(told).collect());
    if story.more > 0 {
        details.insert("more failures".to_owned(), story.more.into());
    }
    if !story.changes.is_empty() {
        details.insert("changed shortly before".to_owned(), json!(story.changes));
    }
    details.into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::notifiers::message::tests::{flooding, hostile, of_each_event, of_several, opened, resolved, several};

    fn shown(notification: &Notification) -> String {
        event(notification).map_or_else(String::new, |event| format!("{:#}", Value::Object(event)))
    }

    #[test]
    fn an_alert_says_what_since_when_and_where_to_look() {
        for (event, notification) in of_each_event() {
            insta::assert_snapshot!(event, shown(&notification));
        }
        for (what, notification) in of_several() {
            insta::assert_snapshot!(what, shown(&notification));
        }
        insta::assert_snapshot!("plain", shown(&Notification { plain: true, ..opened() }));
        let begun = Notification { late: true, ..several(Event::Opened, 3) };
        insta::assert_snapshot!("several_late_begun", shown(&begun));
        for (name, notification) in crate::notifiers::message::tests::degraded() {
            insta::assert_snapshot!(name, shown(&notification));
        }
        insta::assert_snapshot!("late", shown(&Notification { event: Event::Opened, late: true, ..resolved() }));
        insta::assert_snapshot!("hostile", shown(&hostile()));
    }

    #[test]
    fn no_target_makes_it_longer_than_pagerduty_takes() {
        let event = trigger(&flooding());
        assert!(Value::Object(event.clone()).to_string().len() < 512 * 1024);
        let summary = event["payload"]["summary"].as_str().unwrap();
        assert!(summary.chars().count() <= SUMMARY_MAX, "{summary}");
    }
}
