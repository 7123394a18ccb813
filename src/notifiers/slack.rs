//! Slack, in two forms: an incoming webhook, where each transition is a message of its own, and a bot's token, where each
//! incident is one message that is kept up to date, with its history as a thread.

pub mod blocks;

use std::sync::Arc;

use futures::future::BoxFuture;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Value, json};

use self::blocks::message;
use super::post::{Answer, Post, check_secret, check_url, quote};
use crate::domain::grouping::Keeping;
use crate::domain::template::Template;
use crate::ports::{Building, ChannelKind, Notification, Notifier, NotifyError, Receipt};
use crate::settings::{Node, Problems, Spanned, read};

/// The row of the table of channels.
pub const CHANNEL: ChannelKind = ChannelKind {
    name: "slack",
    about: "Slack: by an incoming webhook, or one message for each incident by a bot's token",
    main: "webhook",
    schema: SlackSettings::json_schema,
    build,
};

/// Where the methods of the Web API are.
const API: &str = "https://slack.com/api";

/// What people write: `webhook`, or `token` and `channel`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SlackSettings {
    /// The URL of an incoming webhook, a secret: write `"${secret:name}"`.
    #[serde(default)]
    #[schemars(with = "Option<String>")]
    pub webhook: Option<Spanned<Template>>,
    /// A bot's token (`xoxb-…`, with the scope `chat:write`), a secret: write `"${secret:name}"`.
    #[serde(default)]
    #[schemars(with = "Option<String>")]
    pub token: Option<Spanned<Template>>,
    /// With `token`: where the bot writes, the id of a channel that it is in, like `C024BE91L`, or its name.
    #[serde(default)]
    #[schemars(with = "Option<String>")]
    pub channel: Option<Spanned<String>>,
    /// With `token`: where the methods of the Web API are. Default: `https://slack.com/api`.
    #[serde(default)]
    #[schemars(with = "Option<String>")]
    pub api: Option<Spanned<Template>>,
}

fn build(node: &Node, building: &Building, problems: &mut Problems) -> Option<Arc<dyn Notifier>> {
    let settings: SlackSettings = read(node, problems)?;
    let before = problems.len();
    let form = match settings {
        SlackSettings { webhook: Some(webhook), token: None, channel: None, api: None } => {
            check_url(&webhook, "a webhook of Slack", "${secret:name}", problems);
            if problems.len() == before {
                check_secret(&webhook, "the URL of a webhook of Slack", "webhook", problems);
            }
            Form::Webhook(webhook.value)
        }
        SlackSettings { webhook: None, token: Some(token), channel: Some(channel), api } => {
            check_secret(&token, "a bot's token", "token", problems);
            if let Some(api) = &api {
                check_url(api, "Slack's Web API", API, problems);
            }
            if channel.value.trim().is_empty() {
                problems.error(channel.span, "the channel of Slack has no name").help =
                    Some("write its id, like `C024BE91L`".to_owned());
            }
            let api = api.map_or_else(|| Template::literal(API), |api| api.value);
            Form::Bot { token: token.value, channel: channel.value, api }
        }
        _ => {
            problems.error(node.span.clone(), "Slack is reached by one of two forms").help = Some(
                "write `webhook: \"${secret:name}\"`, or `token: \"${secret:name}\"` and `channel: C024BE91L`"
                    .to_owned(),
            );
            return None;
        }
    };
    (problems.len() == before).then(|| Arc::new(Slack { form, post: Post::new(building) }) as Arc<dyn Notifier>)
}

/// How Slack is reached.
enum Form {
    Webhook(Template),
    Bot { token: Template, channel: String, api: Template },
}

/// One channel of Slack.
struct Slack {
    form: Form,
    post: Post,
}

impl Slack {
    async fn tell(&self, notification: &Notification, first: Option<&Receipt>) -> Result<Receipt, NotifyError> {
        let (token, channel, api) = match &self.form {
            Form::Webhook(url) => return self.by_webhook(url, notification).await,
            Form::Bot { token, channel, api } => (token, channel, api),
        };
        let bot = Bot { post: &self.post, token, api };
        let whole = message(notification);
        if let Some(place) = first.and_then(Place::of) {
            // The message stands for all that began together, and says how they are once that goes for all.
            let added = if notification.is_of_all() {
                bot.add(whole.clone(), &place).await
            } else {
                bot.call("chat.postMessage", whole.clone(), &place).await
            };
            match added {
                // Somebody has removed the message, or it can no longer be changed: this one takes its place. Where the
                // fault is this one's own, Slack says so again.
                Err(NotifyError::Rejected(_)) => {}
                settled => return settled,
            }
        }
        bot.call("chat.postMessage", whole, &Place::channel(channel)).await
    }

    async fn by_webhook(&self, url: &Template, notification: &Notification) -> Result<Receipt, NotifyError> {
        let request = self.post.to(self.post.url(url).await?);
        let request = request.header("content-type", "application/json").body(message(notification).to_string());
        let answer = self.post.send(request).await?.taken()?;
        // Slack says so in a word, and a page of somebody else's does not.
        if answer.text.trim() == "ok" { Ok(Receipt { id: None }) } else { Err(answer.strange("Slack")) }
    }
}

impl Notifier for Slack {
    fn keeping(&self) -> Keeping {
        match self.form {
            Form::Webhook(_) => Keeping::Messages,
            Form::Bot { .. } => Keeping::Threads,
        }
    }

    fn notify<'a>(&'a self, notification: &'a Notification) -> BoxFuture<'a, Result<Receipt, NotifyError>> {
        Box::pin(self.tell(notification, None))
    }

    fn follow<'a>(
        &'a self,
        notification: &'a Notification,
        first: &'a Receipt,
    ) -> BoxFuture<'a, Result<Receipt, NotifyError>> {
        Box::pin(self.tell(notification, Some(first)))
    }
}

/// Where a message goes or stands.
struct Place {
    channel: String,
    /// The message (`ts`), and whether it is meant itself or its thread.
    ts: Option<(&'static str, String)>,
}

impl Place {
    fn channel(name: &str) -> Self {
        Self { channel: name.to_owned(), ts: None }
    }

    /// The thread of the message that a receipt of ours speaks of; none where the channel was of another form then.
    fn of(receipt: &Receipt) -> Option<Self> {
        let (channel, ts) = receipt.id.as_ref()?.split_once('/')?;
        Some(Self { channel: channel.to_owned(), ts: Some(("thread_ts", ts.to_owned())) })
    }

    fn itself(&self) -> Self {
        Self { channel: self.channel.clone(), ts: self.ts.as_ref().map(|(_, ts)| ("ts", ts.clone())) }
    }
}

/// The Web API, which says with 200 that it refuses.
struct Bot<'a> {
    post: &'a Post,
    token: &'a Template,
    api: &'a Template,
}

/// What a refusal means by its code: <https://docs.slack.dev/reference/methods/chat.postMessage#errors>.
fn refusal(code: &str, text: &str) -> NotifyError {
    let message = format!("Slack refused{}", quote(text));
    match code {
        "ratelimited"
        | "rate_limited"
        | "internal_error"
        | "fatal_error"
        | "service_unavailable"
        | "request_timeout"
        | "team_added_to_org" => NotifyError::Transient { message, retry_after: None },
        "access_denied"
        | "account_inactive"
        | "channel_not_found"
        | "enterprise_is_restricted"
        | "invalid_auth"
        | "is_archived"
        | "missing_scope"
        | "no_permission"
        | "not_allowed_token_type"
        | "not_authed"
        | "not_in_channel"
        | "org_login_required"
        | "restricted_action"
        | "team_access_not_granted"
        | "token_expired"
        | "token_revoked" => NotifyError::Unauthorized(message),
        // What is left speaks of this message, and what nobody knows must not wait for ever.
        _ => NotifyError::Rejected(message),
    }
}

impl Bot<'_> {
    /// The message stands for the incident, so it says how things are now, and its thread what happened. If that is told
    /// twice it says the same.
    async fn add(&self, whole: Value, thread: &Place) -> Result<Receipt, NotifyError> {
        let mut now = whole.clone();
        // Unlike a new message, one that is changed would have its text searched for names and addresses.
        now["parse"] = json!("none");
        self.call("chat.update", now, &thread.itself()).await?;
        self.call("chat.postMessage", whole, thread).await
    }

    async fn call(&self, method: &str, mut body: Value, place: &Place) -> Result<Receipt, NotifyError> {
        let mut url = self.post.url(self.api).await?;
        url.set_path(&format!("{}/{method}", url.path().trim_end_matches('/')));
        body["channel"] = json!(place.channel);
        if let Some((name, ts)) = &place.ts {
            body[*name] = json!(ts);
        }
        let bearer = Template::parse(&format!("Bearer {}", self.token));
        let bearer = bearer.map_err(|error| NotifyError::Unauthorized(error.to_string()))?;
        let request = self
            .post
            .to(url)
            .header("content-type", "application/json; charset=utf-8")
            .header("authorization", self.post.header("authorization", &bearer).await?)
            .body(body.to_string());
        let answer = self.post.send(request).await?.taken()?;
        said(&answer)
    }
}

fn said(answer: &Answer) -> Result<Receipt, NotifyError> {
    let said: Value = serde_json::from_str(&answer.text).unwrap_or_default();
    let text = |name: &str| said[name].as_str().map(str::to_owned);
    match (said["ok"].as_bool(), text("channel"), text("ts"), text("error")) {
        (Some(true), Some(channel), Some(ts), _) => Ok(Receipt { id: Some(format!("{channel}/{ts}")) }),
        (Some(false), .., Some(code)) => Err(refusal(&code, &answer.text)),
        _ => Err(answer.strange("Slack")),
    }
}
