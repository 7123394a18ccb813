//! What the channels over HTTP have in common: a URL and headers that hold secrets, one POST, and what an answer means.

use std::collections::BTreeMap;
use std::fmt::Display;
use std::sync::Arc;
use std::time::Duration;

use reqwest::header::{HeaderValue, RETRY_AFTER};
use reqwest::{RequestBuilder, Response, StatusCode, Url};
use secrecy::{ExposeSecret as _, SecretString};

use crate::domain::names::{CaptureName, SecretName};
use crate::domain::template::{Fill, Piece, Template, canonical, pieces};
use crate::domain::text::harmless;
use crate::domain::time::{Timestamp, between};
use crate::net::client::innermost;
use crate::ports::{Building, Clock, NotifyError, REST_MAX, Secrets};
use crate::settings::{Problems, Spanned};

/// How much of an answer is read: some repeat all that they were told.
const ANSWER_BYTES_MAX: usize = 64 * 1024;

/// How long it is looked past what passes: less than a drill waits.
const LOOK_MAX: Duration = Duration::from_secs(12);

/// How long it is from a look that failed to the next, at the least.
const AGAIN_MIN: Duration = Duration::from_secs(1);

/// How much of it is repeated.
const QUOTE_CHARS_MAX: usize = 200;

/// Sends for a channel.
pub struct Post {
    http: reqwest::Client,
    secrets: Arc<dyn Secrets>,
    clock: Arc<dyn Clock>,
}

/// What a receiver said.
pub struct Answer {
    /// The status.
    pub status: StatusCode,
    /// How long we are asked to wait.
    pub retry_after: Option<Duration>,
    /// The body, without secrets; a sentence in brackets where it cannot be had.
    pub text: String,
}

impl Post {
    /// What sends with the shared client.
    pub fn new(building: &Building) -> Self {
        Self { http: building.http.clone(), secrets: Arc::clone(&building.secrets), clock: Arc::clone(&building.clock) }
    }

    /// A POST to this URL.
    pub fn to(&self, url: Url) -> RequestBuilder {
        self.http.post(url)
    }

    /// A GET of this URL.
    pub fn get(&self, url: Url) -> RequestBuilder {
        self.http.get(url)
    }

    /// The wall clock.
    pub fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// A URL with its secrets, as they are now.
    pub async fn url(&self, url: &Template) -> Result<Url, NotifyError> {
        let url = self.fill(url).await?;
        usable(&url).map_err(|why| NotifyError::Unauthorized(format!("the URL cannot be used: {why}")))
    }

    /// The value of a header with its secrets, which nothing prints.
    pub async fn header(&self, name: &str, value: &Template) -> Result<HeaderValue, NotifyError> {
        sensitive(name, &self.fill(value).await?)
    }

    /// Looks, with a rest between looks, until something is seen. A look that fails in a way that passes is made again, for as
    /// long as whoever waits is still there to hear why.
    pub async fn until_seen<Look>(&self, rest: Duration, look: impl Fn() -> Look) -> Result<String, NotifyError>
    where
        Look: Future<Output = Result<Option<String>, NotifyError>>,
    {
        let until = self.clock.monotonic() + LOOK_MAX;
        loop {
            let rest = match look().await {
                Ok(Some(seen)) => return Ok(seen),
                Ok(None) => rest,
                Err(NotifyError::Transient { message, retry_after }) => {
                    let rest = retry_after.unwrap_or_default().max(AGAIN_MIN);
                    if self.clock.monotonic() + rest > until {
                        return Err(NotifyError::Transient { message, retry_after });
                    }
                    rest
                }
                Err(error) => return Err(error),
            };
            self.clock.sleep_until(self.clock.monotonic() + rest).await;
        }
    }

    /// A text with its secrets, as they are now.
    pub async fn fill(&self, template: &Template) -> Result<String, NotifyError> {
        self.fill_with(template, &BTreeMap::new(), str::to_owned).await
    }

    /// A text with its secrets and with values by name; `encode` makes each of them fit for its place.
    pub async fn fill_with(
        &self,
        template: &Template,
        values: &BTreeMap<CaptureName, String>,
        encode: fn(&str) -> String,
    ) -> Result<String, NotifyError> {
        fill_with(&*self.secrets, template, values, encode).await
    }

    /// Sends it. The error is that of the way; what was answered is for the caller to read.
    pub async fn send(&self, request: RequestBuilder) -> Result<Answer, NotifyError> {
        self.send_up_to(request, ANSWER_BYTES_MAX).await
    }

    /// The same where the answer may have so many bytes.
    pub async fn send_up_to(&self, request: RequestBuilder, most: usize) -> Result<Answer, NotifyError> {
        let answer = request.send().await.map_err(|error| NotifyError::Transient {
            message: self.secrets.redact(&reason(&error.without_url())),
            retry_after: None,
        })?;
        let (status, retry_after) = (answer.status(), self.retry_after(&answer));
        let text = self.secrets.redact(&text_of(answer, most).await);
        Ok(Answer { status, retry_after, text })
    }

    /// RFC 9110, section 10.2.3: seconds, or a date.
    fn retry_after(&self, answer: &Response) -> Option<Duration> {
        let text = answer.headers().get(RETRY_AFTER)?.to_str().ok()?.trim();
        let length = match text.parse() {
            Ok(seconds) => Duration::from_secs(seconds),
            Err(_) => {
                let date = chrono::DateTime::parse_from_rfc2822(text).ok()?;
                between(self.clock.now(), date.to_utc())
            }
        };
        Some(length.min(REST_MAX))
    }
}

/// The value of a header, which nothing prints.
pub fn sensitive(name: &str, value: &str) -> Result<HeaderValue, NotifyError> {
    let mut value = HeaderValue::try_from(value)
        .map_err(|_| NotifyError::Unauthorized(format!("the header `{name}` holds what no header can hold")))?;
    value.set_sensitive(true);
    Ok(value)
}

/// A text with its secrets, as they are now, and with values by name; `encode` makes each of them fit for its place.
pub async fn fill_with(
    secrets: &dyn Secrets,
    template: &Template,
    values: &BTreeMap<CaptureName, String>,
    encode: fn(&str) -> String,
) -> Result<String, NotifyError> {
    struct Values<'a> {
        named: &'a BTreeMap<CaptureName, String>,
        secrets: BTreeMap<SecretName, SecretString>,
    }
    impl Fill for Values<'_> {
        fn capture(&self, name: &CaptureName) -> Option<&str> {
            self.named.get(name).map(String::as_str)
        }
        fn run_id(&self) -> &'static str {
            ""
        }
        fn secret(&self, name: &SecretName) -> Option<&str> {
            self.secrets.get(name).map(SecretString::expose_secret)
        }
    }
    // A secret may be away for the moment in which it is rotated, so a page does not wait long for it.
    let away = |error: &dyn Display| NotifyError::Transient { message: error.to_string(), retry_after: None };
    let mut values = Values { named: values, secrets: BTreeMap::new() };
    for name in template.secrets() {
        let secret = secrets.resolve(name).await.map_err(|error| away(&error))?;
        values.secrets.insert(name.clone(), secret);
    }
    template.fill(&values, |value| Some(encode(value))).map_err(|error| away(&error))
}

impl Answer {
    /// What an answer means by its status alone: taken, to be tried again, refused, or in need of a person.
    pub fn taken(self) -> Result<Self, NotifyError> {
        if self.status.is_success() { Ok(self) } else { Err(self.refusal()) }
    }

    /// Why it was not taken.
    pub fn refusal(&self) -> NotifyError {
        let message = self.said();
        match self.status {
            StatusCode::BAD_REQUEST | StatusCode::PAYLOAD_TOO_LARGE | StatusCode::UNPROCESSABLE_ENTITY => {
                NotifyError::Rejected(message)
            }
            // A receiver that has moved needs a person as much as one that knows us no more.
            status if status.is_redirection() => NotifyError::Unauthorized(message),
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN | StatusCode::NOT_FOUND | StatusCode::GONE => {
                NotifyError::Unauthorized(message)
            }
            _ => NotifyError::Transient { message, retry_after: self.retry_after },
        }
    }

    /// Status and body, briefly.
    pub fn said(&self) -> String {
        format!("{}{}", self.status, quote(&self.text))
    }

    /// A success that is not one of this receiver: a proxy, a portal, a wrong URL. It passes, or somebody has to look.
    pub fn strange(&self, receiver: &str) -> NotifyError {
        let message = format!("what answered is not {receiver}: {}", self.said());
        NotifyError::Transient { message, retry_after: self.retry_after }
    }
}

/// Finds mistakes in a URL before anybody must be told. `of` says what it is the URL of.
pub fn check_url(url: &Spanned<Template>, of: &str, example: &str, problems: &mut Problems) {
    if let Some(Err(why)) = known(&url.value).map(|url| usable(&url)) {
        let problem = problems.error(url.span.clone(), format!("this is not the URL of {of}: {why}"));
        problem.help = Some(format!("write it like `{example}`"));
        // Whoever knows the URL of a webhook can write to it; a reference says nothing.
        problem.hidden = !url.span.text().contains("${");
    }
    check_no_run(url, problems);
}

/// Refuses what is known in a run only.
pub fn check_no_run(field: &Spanned<Template>, problems: &mut Problems) {
    if let Some(name) = of_run(&field.value) {
        problems.error(field.span.clone(), format!("`{name}` is of a run, and a channel belongs to none"));
    }
}

/// Wants a secret: what stands in a file is read by whoever reads the file, and is taken out of no log.
pub fn check_secret(field: &Spanned<Template>, what: &str, key: &str, problems: &mut Problems) {
    check_no_run(field, problems);
    if field.value.secrets().next().is_none() {
        let problem = problems.error(field.span.clone(), format!("{what} is a secret, and is not written here"));
        problem.help = Some(format!("declare it under `secrets:`, and write `{key}: \"${{secret:name}}\"`"));
        problem.hidden = true;
    }
}

/// What is known of a text before secrets are; nothing where it begins with one. A digit stands for a secret, since it can
/// stand in a host, a port, a path and a header.
pub fn known(template: &Template) -> Option<String> {
    let parts = pieces(&template.to_string()).ok()?;
    let begins_with_secret = matches!(parts.first(), Some(Piece::Secret(_)));
    let text = |part| if let Piece::Literal(text) = part { text } else { "1".to_owned() };
    (!begins_with_secret).then(|| parts.into_iter().map(text).collect())
}

/// What of a text is known in a run only.
fn of_run(template: &Template) -> Option<String> {
    pieces(&template.to_string()).ok()?.into_iter().find_map(|part| match part {
        Piece::Capture(_) | Piece::RunId | Piece::Totp(_) => Some(canonical(&[part])),
        _ => None,
    })
}

fn usable(text: &str) -> Result<Url, String> {
    let url: Url = text.parse().map_err(|error: url::ParseError| match error {
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

/// The reason in the words of whoever knew it.
fn reason(error: &reqwest::Error) -> String {
    if error.is_timeout() {
        return "no answer in time".to_owned();
    }
    format!("the receiver could not be reached: {}", innermost(error))
}

/// An answer as text. One that is too long is not repeated at all: its cut end could be a part of a secret, which nobody
/// would recognise.
async fn text_of(mut answer: Response, most: usize) -> String {
    let mut bytes = Vec::new();
    loop {
        match answer.chunk().await {
            Ok(Some(chunk)) if bytes.len() + chunk.len() <= most => bytes.extend_from_slice(&chunk),
            Ok(Some(_)) => return format!("(an answer of more than {} KiB)", most / 1024),
            Ok(None) => return String::from_utf8_lossy(&bytes).into_owned(),
            Err(_) => return "(an answer without an end)".to_owned(),
        }
    }
}

/// What a receiver said, behind a colon: briefly, and so that it can only be read.
pub fn quote(text: &str) -> String {
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

    #[test]
    fn answers_are_quoted_briefly_and_harmlessly() {
        assert_eq!(quote(" \n"), "");
        assert_eq!(quote("no\u{1b}[2J"), ": no␛[2J");
        assert_eq!(quote(&"é".repeat(300)), format!(": {}…", "é".repeat(200)));
    }
}
