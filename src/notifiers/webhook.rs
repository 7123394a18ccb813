//! A webhook: the incident as JSON, or in the shape that a receiver wants, by POST, signed where that is asked for.

pub mod shape;
pub mod signature;
mod values;

use std::collections::BTreeMap;
use std::sync::Arc;

use futures::future::BoxFuture;
use reqwest::header::{self, HeaderName, HeaderValue};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Value, json};

use self::shape::{ContentType, PRESETS, Request, Shape};
use self::signature::signature;
use super::message::piece;
use super::post::{Post, check_no_run, check_secret, check_url, known};
use crate::domain::grouping::{Keeping, Member};
use crate::domain::names::CaptureName;
use crate::domain::outcome::Failure;
use crate::domain::template::{Piece, Template, pieces};
use crate::domain::time::rfc3339;
use crate::ports::{Building, ChannelKind, Notification, Notifier, NotifyError, Receipt};
use crate::settings::{Node, Problems, Spanned, read, suggest};

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
const OURS: [HeaderName; 7] = [
    header::CONNECTION,
    header::CONTENT_LENGTH,
    header::CONTENT_TYPE,
    header::HOST,
    header::TRANSFER_ENCODING,
    HeaderName::from_static("idempotency-key"),
    SIGNATURE,
];

/// Where the signature stands.
const SIGNATURE: HeaderName = HeaderName::from_static("x-roundsman-signature");

/// What people write.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct WebhookSettings {
    /// Where to: an `http://` or `https://` URL. It often is a secret by itself: write `"${secret:name}"`.
    #[schemars(with = "String")]
    pub url: Spanned<Template>,
    /// Headers to send, e.g. `authorization: "Bearer ${secret:name}"`; one that a preset sets too goes before it.
    #[serde(default)]
    #[schemars(with = "BTreeMap<String, String>")]
    pub headers: BTreeMap<Spanned<String>, Spanned<Template>>,
    /// A secret under which each message is signed, in the header `X-Roundsman-Signature`: write `"${secret:name}"`.
    #[serde(default)]
    #[schemars(with = "Option<String>")]
    pub sign: Option<Spanned<Template>>,
    /// The shape of a well-known receiver: `discord`, `ntfy`, `opsgenie`, `teams` or `telegram`.
    #[serde(default)]
    #[schemars(with = "Option<String>")]
    pub preset: Option<Spanned<String>>,
    /// The body of any other shape, with `{{summary}}`, `{{text}}`, `{{severity}}` and others in it.
    #[serde(default)]
    #[schemars(with = "Option<String>")]
    pub template: Option<Spanned<Template>>,
    /// What `template` is: `application/json`, or `text/plain; charset=utf-8`. Default: `application/json`.
    #[serde(default)]
    #[schemars(with = "Option<String>")]
    pub content_type: Option<Spanned<ContentType>>,
    /// Further names for `preset` and `template`, e.g. `chat` for `preset: telegram`.
    #[serde(default)]
    #[schemars(with = "BTreeMap<String, String>")]
    pub with: BTreeMap<Spanned<CaptureName>, Spanned<Template>>,
}

fn build(node: &Node, building: &Building, problems: &mut Problems) -> Option<Arc<dyn Notifier>> {
    let settings: WebhookSettings = read(node, problems)?;
    let before = problems.len();
    check_url(&settings.url, "a webhook", "https://hooks.example.com/roundsman", problems);
    settings.headers.values().chain(settings.with.values()).for_each(|value| check_no_run(value, problems));
    if let Some(sign) = &settings.sign {
        check_secret(sign, "what signs messages", "sign", problems);
    }
    let mut shape = shape(&settings, node, problems);
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
    if let Some(shape) = &mut shape {
        // What somebody wrote goes before what a preset says; both would be sent side by side.
        shape.headers.retain(|(name, _)| !headers.iter().any(|(given, _)| given.as_str().eq_ignore_ascii_case(name)));
    }
    (problems.len() == before).then(|| {
        let with = settings.with.into_iter().map(|(name, value)| (name.value, value.value)).collect();
        Arc::new(Webhook {
            url: settings.url.value,
            headers,
            sign: settings.sign.map(|sign| sign.value),
            shape,
            with,
            post: Post::new(building),
        }) as Arc<dyn Notifier>
    })
}

/// The shape that a preset or a template has; none for our own.
fn shape(settings: &WebhookSettings, node: &Node, problems: &mut Problems) -> Option<Shape> {
    let with: Vec<&CaptureName> = settings.with.keys().map(|name| &name.value).collect();
    if let (Some(content_type), None) = (&settings.content_type, &settings.template) {
        problems.error(content_type.span.clone(), "`content_type` says what a `template` is, and there is none");
    }
    if let (Some(name), None, None) = (settings.with.keys().next(), &settings.preset, &settings.template) {
        problems.error(name.span.clone(), "`with` is for a `preset` or a `template`, and there is neither");
    }
    match (&settings.preset, &settings.template) {
        (None, None) => None,
        (Some(preset), Some(_)) => {
            problems.error(preset.span.clone(), "a webhook has a `preset` or a `template`, not both");
            None
        }
        (Some(preset), None) => {
            let Some(known) = Shape::of_preset(&preset.value) else {
                let message = format!("there is no preset `{}`", preset.value);
                problems.error(preset.span.clone(), message).help =
                    suggest(&preset.value, PRESETS.map(|(name, _)| name));
                return None;
            };
            match known {
                Ok((shape, needs)) => {
                    for name in needs.iter().filter(|name| !with.contains(name)) {
                        let message = format!("the preset `{}` needs `{name}`", preset.value);
                        problems.error(node.span.clone(), message).help =
                            Some(format!("write `with: {{ {name}: … }}`"));
                    }
                    Some(shape)
                }
                Err(why) => {
                    problems.error(preset.span.clone(), format!("the preset `{}` is broken: {why}", preset.value));
                    None
                }
            }
        }
        (None, Some(template)) => {
            let content_type = settings.content_type.as_ref().map(|given| given.value).unwrap_or_default();
            let shape = Shape::of_template(template.value.clone(), content_type);
            let unknown = shape.unknown(&with);
            if pieces(&template.value.to_string()).unwrap_or_default().contains(&Piece::RunId) {
                problems.error(template.span.clone(), "`{{run.id}}` is of a run, and a channel belongs to none");
            }
            for name in &unknown {
                problems
                    .error(template.span.clone(), format!("`{{{{{name}}}}}` is nothing that a message tells"))
                    .help = suggest(name.as_str(), values::NAMES)
                    .or_else(|| Some(format!("declare it: `with: {{ {name}: … }}`")));
            }
            if let (true, ContentType::Json) = (unknown.is_empty(), content_type)
                && let Err(error) = serde_json::from_str::<serde::de::IgnoredAny>(&sample(
                    &template.value,
                    &settings.with,
                    content_type.encode(),
                ))
            {
                let message = format!("this is not JSON, whatever is filled in: {error}");
                problems.error(template.span.clone(), message).help = Some(
                    "put names between quotes, `\"{{summary}}\"`, or write `content_type: text/plain; charset=utf-8`"
                        .to_owned(),
                );
            }
            Some(shape)
        }
    }
}

/// The template as it may be once it is filled: a word stands for what is not known yet, so that it must stand in quotes.
fn sample(
    template: &Template,
    with: &BTreeMap<Spanned<CaptureName>, Spanned<Template>>,
    encode: fn(&str) -> String,
) -> String {
    let given = |name: &CaptureName| {
        let value = with.iter().find(|(known, _)| known.value == *name).and_then(|(_, value)| value.value.as_literal());
        encode(value.unwrap_or("word"))
    };
    let text = |part| match part {
        Piece::Literal(text) => text,
        Piece::Capture(name) => given(&name),
        _ => "word".to_owned(),
    };
    pieces(&template.to_string()).unwrap_or_default().into_iter().map(text).collect()
}

/// One receiver.
struct Webhook {
    url: Template,
    headers: Vec<(HeaderName, Template)>,
    sign: Option<Template>,
    shape: Option<Shape>,
    with: BTreeMap<CaptureName, Template>,
    post: Post,
}

impl Webhook {
    async fn tell(&self, notification: &Notification) -> Result<Receipt, NotifyError> {
        let Some(shape) = &self.shape else {
            return self.send(notification, "", ContentType::Json, Vec::new(), body(notification).to_string()).await;
        };
        let mut values = shape.values(notification);
        for (name, value) in &self.with {
            values.insert(name.clone(), self.post.fill(value).await?);
        }
        let mut receipt = Receipt::default();
        for Request { path, body } in shape.requests(notification) {
            let path = self.post.fill_with(path, &values, str::to_owned).await?;
            let body = self.post.fill_with(body, &values, shape.content_type.encode()).await?;
            let mut headers = Vec::new();
            for (name, value) in &shape.headers {
                let value = self.post.fill_with(value, &values, str::to_owned).await?;
                headers.extend((!value.is_empty()).then_some((name.as_str(), value)));
            }
            receipt = self.send(notification, &path, shape.content_type, headers, body).await?;
        }
        Ok(receipt)
    }

    async fn send(
        &self,
        notification: &Notification,
        path: &str,
        content_type: ContentType,
        headers: Vec<(&str, String)>,
        body: String,
    ) -> Result<Receipt, NotifyError> {
        let mut url = self.post.url(&self.url).await?;
        if !path.is_empty() {
            let (path, query) = path.split_once('?').map_or((path, None), |(path, query)| (path, Some(query)));
            url.set_path(&format!("{}{path}", url.path().trim_end_matches('/')));
            url.set_query(query);
        }
        let mut request = self
            .post
            .to(url)
            .header("content-type", content_type.as_str())
            .header("idempotency-key", notification.key());
        for (name, value) in headers {
            request = request.header(name, value);
        }
        for (name, value) in &self.headers {
            request = request.header(name, self.post.header(name.as_str(), value).await?);
        }
        if let Some(secret) = &self.sign {
            let secret = self.post.fill(secret).await?;
            request = request.header(SIGNATURE, signature(&secret, self.post.now(), &body));
        }
        let answer = self.post.send(request.body(body)).await?.taken()?;
        Ok(Receipt { id: Some(answer.status.as_str().to_owned()) })
    }
}

impl Notifier for Webhook {
    fn keeping(&self) -> Keeping {
        match &self.shape {
            Some(shape) if shape.alerts => Keeping::Alerts,
            _ => Keeping::Messages,
        }
    }

    fn notify<'a>(&'a self, notification: &'a Notification) -> BoxFuture<'a, Result<Receipt, NotifyError>> {
        Box::pin(self.tell(notification))
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
            ("flapping", json!(incident.is_flapping())),
        ];
        fields.extend(more.map(|(name, value)| (name.to_owned(), value)));
        if let Some(group) = &notification.group {
            fields.insert("alert".to_owned(), notification.alert().into());
            fields.insert("group_size".to_owned(), group.size.into());
            fields.insert("group_left".to_owned(), group.left.into());
            fields.insert("group".to_owned(), group.members.iter().map(listed).collect());
        }
    }
    for (name, is_so) in [("unrecorded", notification.unrecorded), ("drill", incident.drill)] {
        if is_so {
            body[name] = true.into();
        }
    }
    body
}

fn listed(member: &Member) -> Value {
    json!({
        "incident": member.incident,
        "probe": member.probe,
        "severity": member.severity,
        "since": rfc3339(member.since),
        "resolved_at": member.resolved_at.map(rfc3339),
        "over": member.over,
        "summary": piece(&member.summary),
    })
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
                first_failures: [failure.clone()].into(),
                latest_failures: [failure.with("a connection", "\u{1b}[2J")].into(),
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
            group: None,
            unrecorded: false,
        }
    }

    #[test]
    fn the_body_is_the_contract() {
        insta::assert_snapshot!(format!("{:#}\n{:#}", body(&notification(false)), body(&notification(true))));
    }

    #[test]
    fn the_body_of_several_lists_them() {
        use crate::notifiers::message::tests::of_several;
        for (what, notification) in of_several().into_iter().filter(|(what, _)| matches!(*what, "some_over" | "part")) {
            insta::assert_snapshot!(what, format!("{:#}", body(&notification)));
        }
    }

    #[test]
    fn a_target_cannot_make_the_body_long() {
        let mut notification = notification(false);
        let hostile = "\u{1b}[2J\u{202e}".to_owned() + &"x".repeat(100_000);
        let failure = Failure::new(FailureKind::Expect, hostile.clone()).with(hostile.clone(), hostile);
        notification.incident.latest_failures = vec![failure; 500].into();
        let text = body(&notification).to_string();
        assert!(text.len() < 40_000, "{}", text.len());
        assert!(!text.contains("\\u001b") && !text.contains('\u{202e}'));
    }

    /// The requests of a preset, as they would be sent.
    async fn sent(preset: &str, notification: &Notification) -> String {
        let (shape, _) = Shape::of_preset(preset).unwrap().unwrap();
        let mut values = shape.values(notification);
        values.insert(CaptureName::parse("chat").unwrap(), "-100123".to_owned());
        let filled = async |template: &Template, encode: fn(&str) -> String| {
            crate::notifiers::post::fill_with(&NoSecrets, template, &values, encode).await.unwrap()
        };
        let mut lines = Vec::new();
        for Request { path, body } in shape.requests(notification) {
            lines.push(format!("POST {}", filled(path, str::to_owned).await));
            for (name, value) in &shape.headers {
                lines.push(format!("{name}: {}", filled(value, str::to_owned).await));
            }
            let body = filled(body, shape.content_type.encode()).await;
            lines.push(match shape.content_type {
                ContentType::Json => format!("{:#}", body.parse::<Value>().unwrap()),
                ContentType::Text => body,
            });
        }
        lines.join("\n")
    }

    #[tokio::test]
    async fn each_preset_has_its_shape() {
        use crate::notifiers::message::tests::{flooding, hostile, of_each_event, of_several, opened, resolved};
        for (preset, _) in PRESETS {
            let (shape, needs) = Shape::of_preset(preset).unwrap().unwrap();
            assert_eq!(shape.unknown(&needs.iter().collect::<Vec<_>>()), [], "{preset}");
            let event = if shape.alerts { Event::Opened } else { Event::Resolved };
            let late = Notification { event, late: true, ..resolved() };
            let plain = Notification { plain: true, ..opened() };
            let mut all = Vec::new();
            let more = [("late", late), ("plain", plain), ("hostile", hostile())];
            for (name, notification) in of_each_event().into_iter().chain(more).chain(of_several()) {
                all.push(format!("# {name}\n{}", sent(preset, &notification).await));
            }
            insta::assert_snapshot!(format!("preset_{preset}"), all.join("\n"));
            let flood = sent(preset, &flooding()).await;
            assert!(flood.len() < 28 * 1024, "{preset}: {}", flood.len());
        }
    }

    /// A reminder and an escalation are pages: whoever hears of an incident by one of them first must be woken by it.
    #[tokio::test]
    async fn whoever_hears_of_it_late_is_told_as_by_an_opening() {
        use crate::notifiers::message::tests::of_each_event;
        for (preset, _) in PRESETS {
            let (shape, _) = Shape::of_preset(preset).unwrap().unwrap();
            let places = |notification: &Notification| {
                let requests = shape.requests(notification).iter();
                requests.map(|request| (request.path.clone(), request.body.clone())).collect::<Vec<_>>()
            };
            let chosen = |notification: &Notification| {
                let values = shape.values(notification);
                let names = ["priority", "tag", "colour"].map(|name| CaptureName::parse(name).unwrap());
                names.map(|name| values.get(&name).cloned())
            };
            let all = of_each_event();
            let (_, opened) = &all[0];
            for (event, notification) in &all {
                // A post-mortem is no alert, and must not open one.
                let is_none = preset == "opsgenie" && notification.event == Event::PostMortem;
                assert_eq!(places(notification).is_empty(), is_none, "{preset}: {event}");
                if matches!(notification.event, Event::Reminder | Event::Escalated) {
                    assert_eq!(places(notification), places(opened), "{preset}: {event}");
                    assert_eq!(chosen(notification), chosen(opened), "{preset}: {event}");
                }
            }
        }
    }

    /// What chat programs find in a text by themselves.
    #[tokio::test]
    async fn a_target_mentions_nobody() {
        use crate::notifiers::message::tests::hostile;
        let body = async |preset: &str| {
            let sent = sent(preset, &hostile()).await;
            sent.split_once('\n').unwrap().1.parse::<Value>().unwrap()
        };
        let telegram = body("telegram").await;
        let text = telegram["text"].as_str().unwrap();
        assert!(text.contains("@\u{200b}everyone") && !text.contains("@everyone"), "{text}");
        assert!(telegram.get("parse_mode").is_none(), "{telegram}");
        assert_eq!(telegram["chat_id"], "-100123");
        let discord = body("discord").await;
        assert_eq!(discord["allowed_mentions"], json!({ "parse": [] }));
        assert!(discord.get("content").is_none(), "{discord}");
        // A card mentions by what `entities` name, and a text run reads no marks.
        let teams = body("teams").await;
        let card = &teams["attachments"][0]["content"];
        assert!(card.get("msteams").is_none(), "{card}");
        let blocks = card["body"].as_array().unwrap();
        assert!(blocks.iter().all(|block| block["type"] == "RichTextBlock"), "{card}");
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
            (
                r#"{ url: 'https://h.example', template: '{"x": {{a}}}', with: { a: '{"b":1}' } }"#,
                "this is not JSON, whatever is filled in: key must be a string at line 1 column 8",
            ),
        ] {
            assert_eq!(messages(yaml), [why], "{yaml}");
        }
        for yaml in [
            "{ url: '${secret:hook}' }",
            "{ url: 'https://${secret:host}:${secret:port}/x?key=${secret:key}' }",
            "{ url: 'https://h.example', headers: { Authorization: 'Bearer ${secret:key}', X-A: '${secret:a}' } }",
            r#"{ url: 'https://h.example', template: '{"x": "{{a}}"}', with: { a: 'say "hi"' } }"#,
            "{ url: 'https://h.example', template: '{\"x\": {{a}}}', with: { a: '5' } }",
        ] {
            assert_eq!(messages(yaml), [""; 0], "{yaml}");
        }
    }
}
