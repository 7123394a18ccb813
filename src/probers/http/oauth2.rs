//! Tokens of an authorization server, for clients that have a secret with it (RFC 6749, section 4.4). A token is kept from
//! run to run until shortly before it ends; when several runs want one at the same time, one of them asks.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use http::{HeaderValue, Method};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::Value;
use tokio::sync::Mutex;

use super::content::{Content, Form, Written};
use super::credentials::{Basic, Credentials};
use super::headers;
use super::request::Draft;
use super::shared::Shared;
use super::url::{self, UrlDraft};
use super::way::Way;
use crate::domain::outcome::{Failure, FailureKind};
use crate::domain::template::Template;
use crate::domain::time::Monotonic;
use crate::net::excerpt::excerpt;
use crate::net::stopwatch::{Part, Stopwatch};
use crate::ports::StepContext;
use crate::settings::{Problems, Span, Spanned};

/// How much of an answer of an authorization server is read.
pub const ANSWER_BYTES_MAX: u64 = 64 * 1024;

/// How long a token is kept whose server does not say how long it is good (RFC 6749, section 5.1, only recommends that it
/// does).
const KEPT_BY_DEFAULT: Duration = Duration::from_secs(60);

/// How long before its end a token is not used any more, so that it does not end on its way; of a short one half its time.
const MARGIN: Duration = Duration::from_secs(30);

/// A token is not kept for longer than this, whatever its server says.
const KEPT_MAX: Duration = Duration::from_secs(24 * 3_600);

/// A token by OAuth 2 client credentials.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct OAuth2Settings {
    /// The token endpoint of the authorization server.
    #[schemars(with = "Template")]
    token_url: Spanned<Template>,
    /// The id of the client.
    #[schemars(with = "Template")]
    client_id: Spanned<Template>,
    /// The secret of the client; write `"${secret:name}"`.
    #[schemars(with = "Template")]
    client_secret: Spanned<Template>,
    /// What the token is to allow. Default: what the server gives by itself.
    #[schemars(with = "Option<Template>")]
    scope: Option<Spanned<Template>>,
    /// Whom the token is for, where the server wants to know (Auth0 does).
    #[schemars(with = "Option<Template>")]
    audience: Option<Spanned<Template>>,
    /// Where the id and the secret stand. Default: `header`.
    #[serde(default)]
    credentials_in: CredentialsIn,
}

/// Where the id and the secret of a client stand (RFC 6749, section 2.3.1).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
enum CredentialsIn {
    /// In the header `Authorization: Basic`, as every server must understand it.
    #[default]
    Header,
    /// In the form.
    Body,
}

impl OAuth2Settings {
    /// What asks for tokens; every mistake is a problem. `span` is that of the settings.
    pub fn read(&self, span: &Span, way: Way, problems: &mut Problems) -> Option<OAuth2> {
        let known = problems.len();
        let all = [
            Some(&self.token_url),
            Some(&self.client_id),
            Some(&self.client_secret),
            self.scope.as_ref(),
            self.audience.as_ref(),
        ];
        for field in all.into_iter().flatten() {
            if field.value.captures().next().is_some() {
                problems
                    .error(field.span.clone(), "a token is kept from run to run, so nothing of a run can be in it")
                    .help = Some("capture a token in a step of its own, and send it with `bearer`".to_owned());
            }
        }
        let url = UrlDraft::read(&self.token_url, &url::HTTP, problems);
        let field = |name: &str, value: &Spanned<Template>| {
            (Spanned { value: name.to_owned(), span: value.span.clone() }, value.clone())
        };
        let grant =
            Spanned { value: Template::literal("client_credentials"), span: Span { bytes: 0..0, ..span.clone() } };
        let mut form: Form = BTreeMap::from([field("grant_type", &grant)]);
        form.extend(self.scope.as_ref().map(|scope| field("scope", scope)));
        form.extend(self.audience.as_ref().map(|audience| field("audience", audience)));
        let credentials = match self.credentials_in {
            CredentialsIn::Header => {
                let (user, password) = (self.client_id.value.clone(), self.client_secret.value.clone());
                Some(Credentials::Client(Basic { user, password }))
            }
            CredentialsIn::Body => {
                form.extend([field("client_id", &self.client_id), field("client_secret", &self.client_secret)]);
                None
            }
        };
        let form = Spanned { value: form, span: span.clone() };
        let written = Written { body: None, json: None, form: Some(&form), file: None };
        let content = Content::read(&written, std::path::Path::new(""), problems);
        let url = url.filter(|_| problems.len() == known)?;
        let draft = Draft { method: Method::POST, url, headers: Vec::new(), credentials, content };
        Some(OAuth2 { draft, way, kept: Mutex::default() })
    }
}

/// Asks for tokens, and keeps the last one.
pub struct OAuth2 {
    draft: Draft,
    way: Way,
    /// Whoever holds the lock asks; the others wait for what comes of it.
    kept: Mutex<Option<Kept>>,
}

struct Kept {
    token: Arc<str>,
    until: Monotonic,
}

/// A token for a request.
pub struct Token {
    text: Arc<str>,
    /// Whether an earlier run got it: the server may have taken it back since.
    pub was_kept: bool,
}

impl Token {
    /// The value of `Authorization`.
    pub fn header(&self) -> Result<HeaderValue, Failure> {
        let mut value = headers::value(&format!("Bearer {}", self.text))?;
        value.set_sensitive(true);
        Ok(value)
    }
}

#[derive(Deserialize)]
struct Granted {
    access_token: String,
    /// A number; some servers write it as text.
    expires_in: Option<Value>,
}

#[derive(Default, Deserialize)]
struct Denied {
    error: Option<String>,
    error_description: Option<String>,
}

impl OAuth2 {
    /// A token that is good, but not `stale`, of which the target said that it is not. What goes wrong is told as the
    /// authorization server's.
    pub async fn token(&self, cx: &StepContext<'_>, shared: &Shared, stale: Option<&Token>) -> Result<Token, Failure> {
        let mut watch = Stopwatch::start(cx.clock, cx.deadline);
        let result = self.kept_or_new(cx, shared, stale, &mut watch).await;
        result.map_err(|failure| {
            let message = format!("of the authorization server: {}", failure.message);
            Failure { message, ..failure }.after(watch.phases())
        })
    }

    async fn kept_or_new(
        &self,
        cx: &StepContext<'_>,
        shared: &Shared,
        stale: Option<&Token>,
        watch: &mut Stopwatch<'_>,
    ) -> Result<Token, Failure> {
        let mut kept = watch.bound(|| Part::FirstByte, async { Ok(self.kept.lock().await) }).await?;
        let is_stale = |token: &str| stale.is_some_and(|stale| *stale.text == *token);
        if let Some(known) = kept.as_ref().filter(|known| known.until > cx.clock.monotonic() && !is_stale(&known.token))
        {
            return Ok(Token { text: Arc::clone(&known.token), was_kept: true });
        }
        *kept = None;
        let mut request = self.draft.fill(cx).await?;
        request.answer_is_secret = true;
        let (connection, answer) = self.way.once(cx, &Arc::new(request), shared, watch).await?;
        shared.keep(connection);
        let status = answer.head.status;
        if !status.is_success() {
            return Err(Failure::new(FailureKind::AuthToken, denied(status.as_u16(), &answer.body)));
        }
        let granted: Result<Granted, _> = serde_json::from_slice(&answer.body);
        // The reason of the parser would quote what may be a token.
        let granted = granted
            .map_err(|_| Failure::new(FailureKind::AuthToken, "its answer has no `access_token`, or is not JSON"))?;
        let token: Arc<str> = granted.access_token.into();
        *kept = Some(Kept {
            token: Arc::clone(&token),
            until: cx.clock.monotonic() + kept_for(granted.expires_in.as_ref()),
        });
        Ok(Token { text: token, was_kept: false })
    }
}

/// What a server says of a refusal (RFC 6749, section 5.2).
fn denied(status: u16, body: &[u8]) -> String {
    let said: Denied = serde_json::from_slice(body).unwrap_or_default();
    let error = said.error.map(|error| format!(", `{}`", excerpt(&error))).unwrap_or_default();
    let why = said.error_description.map(|why| format!(": {}", excerpt(&why))).unwrap_or_default();
    format!("it refuses a token with status {status}{error}{why}")
}

fn kept_for(expires_in: Option<&Value>) -> Duration {
    let seconds = expires_in.and_then(|said| said.as_f64().or_else(|| said.as_str()?.parse().ok()));
    let said = seconds.and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
    let length = said.unwrap_or(KEPT_BY_DEFAULT).min(KEPT_MAX);
    length.saturating_sub(MARGIN.min(length / 2))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_token_is_not_kept_to_its_last_second() {
        for (said, kept) in
            [(json!(3_600), 3_570), (json!("3600"), 3_570), (json!(20), 10), (json!(-1), 30), (json!(1e300), 30)]
        {
            assert_eq!(kept_for(Some(&said)), Duration::from_secs(kept), "{said:?}");
        }
        assert_eq!(kept_for(None), Duration::from_secs(30));
        assert_eq!(kept_for(Some(&json!(1e9))), Duration::from_secs(24 * 3_600 - 30));
    }

    #[test]
    fn a_refusal_is_told_in_the_servers_words() {
        let body = br#"{"error":"invalid_client","error_description":"no such client"}"#;
        assert_eq!(denied(401, body), "it refuses a token with status 401, `invalid_client`: no such client");
        assert_eq!(denied(503, b"<html>"), "it refuses a token with status 503");
    }
}
