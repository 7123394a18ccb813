//! The shape of what a receiver wants: requests as templates. Those of well-known receivers are data, in `presets/`; any other
//! is written as `template`.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::Value;

use super::values::{NAMES, values};
use crate::domain::incident::Event;
use crate::domain::names::CaptureName;
use crate::domain::template::{Template, TemplateError};
use crate::notifiers::message::fit;
use crate::ports::Notification;

/// What is told of most at most, in characters, where a preset says nothing.
const VALUE_MAX: usize = 64 * 1024;

/// The receivers whose shape is known.
pub const PRESETS: [(&str, &str); 5] = [
    ("discord", include_str!("../presets/discord.json")),
    ("ntfy", include_str!("../presets/ntfy.json")),
    ("opsgenie", include_str!("../presets/opsgenie.json")),
    ("teams", include_str!("../presets/teams.json")),
    ("telegram", include_str!("../presets/telegram.json")),
];

/// A file of `presets/`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Preset {
    /// Its receiver keeps an alert by the value `alert`, which is closed.
    #[serde(default)]
    alerts: bool,
    /// What `with` must hold.
    #[serde(default)]
    with: Vec<CaptureName>,
    /// Further names, whose value follows from that of another.
    #[serde(default)]
    choices: BTreeMap<CaptureName, Choice>,
    /// The longest values, in characters once they are escaped.
    #[serde(default)]
    limits: BTreeMap<CaptureName, usize>,
    /// What in a value the receiver would read as more than text.
    #[serde(default)]
    escape: Escape,
    /// The `Content-Type`.
    #[serde(default, rename = "type")]
    content_type: ContentType,
    /// Headers, whose values are ASCII.
    #[serde(default)]
    headers: BTreeMap<String, String>,
    /// By event, `late` for the beginning of what is over, or `any` for all others: the requests in their order. Only a
    /// receiver that keeps alerts has `late`.
    messages: BTreeMap<String, Vec<Written>>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Choice {
    by: CaptureName,
    of: BTreeMap<String, String>,
    other: String,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    /// What follows the URL's own path.
    #[serde(default)]
    path: String,
    body: Value,
}

/// What in a value is read as more than text.
#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Escape {
    #[default]
    None,
    /// Marks of style and of links.
    Markdown,
    /// `@name`, which some find in a text that has no marks at all: an empty place behind the `@` hides it from them.
    Mentions,
}

impl Escape {
    fn of(self, c: char) -> Option<&'static str> {
        match (self, c) {
            (Self::Markdown, '\\') => Some("\\\\"),
            (Self::Markdown, '*') => Some("\\*"),
            (Self::Markdown, '_') => Some("\\_"),
            (Self::Markdown, '~') => Some("\\~"),
            (Self::Markdown, '`') => Some("\\`"),
            (Self::Markdown, '|') => Some("\\|"),
            (Self::Markdown, '<') => Some("\\<"),
            (Self::Markdown, '>') => Some("\\>"),
            (Self::Markdown, '[') => Some("\\["),
            (Self::Markdown, ']') => Some("\\]"),
            (Self::Markdown, '#') => Some("\\#"),
            (Self::Mentions, '@') => Some("@\u{200b}"),
            (Self::Markdown | Self::Mentions | Self::None, _) => None,
        }
    }
}

/// What the body is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
pub enum ContentType {
    /// JSON: values are put between quotes, and stay there.
    #[default]
    #[serde(rename = "application/json")]
    Json,
    /// Text, as it is.
    #[serde(rename = "text/plain; charset=utf-8")]
    Text,
}

impl ContentType {
    /// The header.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Json => "application/json",
            Self::Text => "text/plain; charset=utf-8",
        }
    }

    /// How a value is made fit for such a body.
    pub fn encode(self) -> fn(&str) -> String {
        match self {
            Self::Json => |value: &str| {
                let quoted = Value::from(value).to_string();
                quoted[1..quoted.len() - 1].to_owned()
            },
            Self::Text => str::to_owned,
        }
    }
}

/// One request.
#[derive(Clone, Debug)]
pub struct Request {
    /// What follows the URL's own path.
    pub path: Template,
    /// The body.
    pub body: Template,
}

/// The requests that tell a notification.
#[derive(Debug)]
pub struct Shape {
    /// What the bodies are.
    pub content_type: ContentType,
    /// Headers besides the configured ones.
    pub headers: Vec<(String, Template)>,
    /// Its receiver keeps an alert by the value `alert`, which is closed.
    pub alerts: bool,
    choices: BTreeMap<CaptureName, Choice>,
    limits: BTreeMap<CaptureName, usize>,
    escape: Escape,
    messages: BTreeMap<String, Vec<Request>>,
}

impl Shape {
    /// One request for every event.
    pub fn of_template(body: Template, content_type: ContentType) -> Self {
        let request = Request { path: Template::literal(""), body };
        Self {
            content_type,
            headers: Vec::new(),
            alerts: false,
            choices: BTreeMap::new(),
            limits: BTreeMap::new(),
            escape: Escape::None,
            messages: BTreeMap::from([("any".to_owned(), vec![request])]),
        }
    }

    /// A preset by its name, with what `with` must hold for it.
    pub fn of_preset(name: &str) -> Option<Result<(Self, Vec<CaptureName>), String>> {
        let (_, text) = PRESETS.iter().find(|(known, _)| *known == name)?;
        Some(Self::read(text))
    }

    fn read(text: &str) -> Result<(Self, Vec<CaptureName>), String> {
        let preset: Preset = serde_json::from_str(text).map_err(|error| error.to_string())?;
        let parse = |text: &str| Template::parse(text).map_err(|TemplateError { message, .. }| message);
        let body = |written: &Written| match (&preset.content_type, &written.body) {
            (ContentType::Text, Value::String(text)) => parse(text),
            (_, body) => parse(&body.to_string()),
        };
        let request = |written: &Written| -> Result<Request, String> {
            Ok(Request { path: parse(&written.path)?, body: body(written)? })
        };
        let mut messages = BTreeMap::new();
        for (event, requests) in &preset.messages {
            messages.insert(event.clone(), requests.iter().map(request).collect::<Result<Vec<_>, String>>()?);
        }
        let headers = preset.headers.iter().map(|(name, value)| parse(value).map(|value| (name.clone(), value)));
        let headers = headers.collect::<Result<Vec<_>, String>>()?;
        let Preset { with, choices, limits, escape, content_type, alerts, .. } = preset;
        Ok((Self { content_type, headers, alerts, choices, limits, escape, messages }, with))
    }

    /// The requests, in their order.
    pub fn requests(&self, notification: &Notification) -> &[Request] {
        let event = notification.event.as_str();
        // One alert stands for all that began together, so nobody has it and it is not over before that goes for all.
        if self.alerts
            && !notification.is_of_all()
            && matches!(notification.event, Event::Acknowledged | Event::Resolved)
        {
            return &[];
        }
        // Who keeps alerts hears of the end in turn.
        let is_late = notification.late && !(self.alerts && notification.event == Event::Resolved);
        let late = is_late.then(|| self.messages.get("late")).flatten();
        late.or_else(|| self.messages.get(event)).or_else(|| self.messages.get("any")).map_or(&[][..], Vec::as_slice)
    }

    /// What the templates may name, as this receiver takes it.
    pub fn values(&self, notification: &Notification) -> BTreeMap<CaptureName, String> {
        let mut values = values(notification);
        for (name, choice) in &self.choices {
            let by = values.get(&choice.by).map_or("", String::as_str);
            let chosen = choice.of.get(by).unwrap_or(&choice.other).clone();
            values.insert(name.clone(), chosen);
        }
        for (name, value) in &mut values {
            let max = self.limits.get(name).copied().unwrap_or(VALUE_MAX);
            *value = fit(value, max, |c| self.escape.of(c));
        }
        values
    }

    /// The names that its templates use and nobody knows.
    pub fn unknown(&self, with: &[&CaptureName]) -> Vec<CaptureName> {
        let requests = self.messages.values().flatten();
        let templates = requests.flat_map(|request| [&request.path, &request.body]);
        let templates = templates.chain(self.headers.iter().map(|(_, value)| value));
        let names = templates.flat_map(Template::captures);
        let is_known = |name: &CaptureName| {
            NAMES.contains(&name.as_str()) || self.choices.contains_key(name) || with.contains(&name)
        };
        names.filter(|name| !is_known(name)).cloned().collect()
    }
}
