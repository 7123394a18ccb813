//! The running daemon, as commands speak to it: where it is, the token that it wants, and what its answers mean for whoever
//! asked.

use std::path::Path;
use std::time::Duration;

use clap::Args;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use reqwest::{Method, RequestBuilder, Response, StatusCode};
use secrecy::{ExposeSecret as _, SecretString};
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::answer::Stop;
use super::cli::Format;
use super::health::reachable;
use crate::config::load::{Surroundings, load};
use crate::domain::incident::IncidentId;
use crate::domain::text::harmless;
use crate::net::client::innermost;
use crate::web::api::answers::Problem;
use crate::web::api::bodies::{IncidentBody, Incidents};

/// Where the daemon is, in the environment.
const URL: &str = "ROUNDSMAN_URL";

/// How that is written.
const EXAMPLE: &str = "http://127.0.0.1:8080";

/// Its token, in the environment: on a command line everybody on the machine would read it.
const TOKEN: &str = "ROUNDSMAN_TOKEN";

/// The longest answer, in bytes.
const ANSWER_MAX: usize = 16 * 1024 * 1024;

/// How many parts of one thing are asked for: more than the store keeps.
const PARTS_MAX: usize = 1_000;

/// How many ids a sentence names.
const NAMED_MAX: usize = 5;

/// Which daemon.
#[derive(Clone, Debug, Default, Args)]
pub struct DaemonArguments {
    /// Where the daemon is; by default `ROUNDSMAN_URL`, else where the configuration lets it listen. Its token is
    /// `ROUNDSMAN_TOKEN`, else the secret of `web.token` or `web.tokens` in the configuration, unless only its hash is there.
    #[arg(long, value_name = "URL")]
    pub url: Option<String>,
}

/// How the answer is shown, and which daemon.
#[derive(Clone, Debug, Args)]
pub struct Asking {
    /// How it is shown.
    #[arg(long, value_enum, default_value_t)]
    pub format: Format,
    /// Which daemon.
    #[command(flatten)]
    pub daemon: DaemonArguments,
}

/// A daemon that can be asked.
pub struct DaemonClient {
    http: reqwest::Client,
    base: String,
    token: Option<SecretString>,
}

impl DaemonClient {
    /// Finds it. What it runs on may be older and whole when the files have a mistake, so only what it needs of them counts.
    pub async fn find(
        directory: &Path,
        surroundings: &Surroundings,
        arguments: &DaemonArguments,
    ) -> Result<Self, Stop> {
        let environment = |name: &str| (surroundings.environment)(name).filter(|value| !value.is_empty());
        let (url, token) = (arguments.url.clone().or_else(|| environment(URL)), environment(TOKEN));
        let loaded = directory.is_dir().then(|| load(directory, surroundings));
        let plan = loaded.as_ref().and_then(|loaded| loaded.plan.as_ref());
        let base = match url {
            Some(url) => well(url)?,
            None => {
                let listen = loaded.as_ref().and_then(|loaded| loaded.listen).filter(|listen| listen.port() != 0);
                let known = listen.map(|listen| format!("http://{}", reachable(listen)));
                known.or_else(|| plan.and_then(|plan| plan.web.url.clone())).ok_or_else(|| {
                    let at = directory.display();
                    Stop::Usage(format!("nothing in {at} says where the daemon is: name it with `--url`, or in {URL}"))
                })?
            }
        };
        let token = match (token, loaded.as_ref().and_then(|loaded| loaded.token.as_ref())) {
            (Some(token), _) => Some(SecretString::from(token)),
            (None, Some((secrets, name))) => {
                let secret = secrets.resolve(name).await;
                Some(secret.map_err(|error| Stop::Usage(format!("{error}; {TOKEN} gives the token as well")))?)
            }
            (None, None) => None,
        };
        Ok(Self { http: surroundings.http.clone(), base: base.trim_end_matches('/').to_owned(), token })
    }

    /// Asks for something below `/api/v1/`.
    pub async fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T, Stop> {
        self.ask(self.request(Method::GET, path)).await
    }

    /// Asks for something that comes in parts, until the last of them.
    pub async fn parts<T: DeserializeOwned>(
        &self,
        path: &str,
        next: impl Fn(&T) -> Option<String>,
    ) -> Result<Vec<T>, Stop> {
        let mut parts: Vec<T> = vec![self.get(path).await?];
        while let Some(cursor) = parts.last().and_then(&next) {
            if parts.len() >= PARTS_MAX {
                return Err(Stop::Fault(format!("{} gives more than {PARTS_MAX} parts", self.base)));
            }
            let between = if path.contains('?') { '&' } else { '?' };
            parts.push(self.get(&format!("{path}{between}cursor={}", segment(&cursor))).await?);
        }
        Ok(parts)
    }

    /// Brings something below `/api/v1/`.
    pub async fn post<T: DeserializeOwned>(&self, path: &str, body: &impl Serialize) -> Result<T, Stop> {
        self.ask(self.request(Method::POST, path).json(body)).await
    }

    /// The same where the answer takes its time.
    pub async fn post_within<T: DeserializeOwned>(
        &self,
        path: &str,
        body: &impl Serialize,
        most: Duration,
    ) -> Result<T, Stop> {
        self.ask(self.request(Method::POST, path).json(body).timeout(most)).await
    }

    /// The same where a mistake is told by more than a sentence.
    pub async fn post_explained<T: DeserializeOwned>(
        &self,
        path: &str,
        body: &impl Serialize,
        most: Duration,
    ) -> Result<Result<T, Problem>, Stop> {
        let (status, text) = self.answer(self.request(Method::POST, path).json(body).timeout(most)).await?;
        match serde_json::from_str(&text) {
            Ok(problem) if status == StatusCode::UNPROCESSABLE_ENTITY => Ok(Err(problem)),
            _ => self.read(status, &text).map(Ok),
        }
    }

    /// Ends something below `/api/v1/`.
    pub async fn delete<T: DeserializeOwned>(&self, path: &str) -> Result<T, Stop> {
        self.ask(self.request(Method::DELETE, path)).await
    }

    /// The incident that somebody means: by its id, by a beginning of it that no other has, or by its probe. An open one is
    /// meant rather than one that is over; an id that is complete need not be among the last.
    pub async fn incident(&self, what: &str) -> Result<IncidentId, Stop> {
        let known: Incidents = self.get("incidents?resolved=1").await?;
        for incidents in [&known.open, known.resolved.as_deref().unwrap_or_default()] {
            let is_meant = |incident: &&IncidentBody| incident.probe.as_str() == what || begins(&incident.id.0, what);
            let meant: Vec<_> = incidents.iter().filter(is_meant).map(|incident| &*incident.id.0).collect();
            if !meant.is_empty() {
                return only("incident", what, &meant).map(|id| IncidentId(id.into()));
            }
        }
        if what.len() == 26 && what.bytes().all(|letter| letter.is_ascii_alphanumeric()) {
            return Ok(IncidentId(what.to_ascii_uppercase().into()));
        }
        let shown = harmless(what);
        Err(Stop::Usage(format!("there is no incident `{shown}` among the open ones and the last that were resolved")))
    }

    fn request(&self, method: Method, path: &str) -> RequestBuilder {
        let request = self.http.request(method, format!("{}/api/v1/{path}", self.base));
        match &self.token {
            Some(token) => request.bearer_auth(token.expose_secret()),
            None => request,
        }
    }

    async fn ask<T: DeserializeOwned>(&self, request: RequestBuilder) -> Result<T, Stop> {
        let (status, text) = self.answer(request).await?;
        self.read(status, &text)
    }

    async fn answer(&self, request: RequestBuilder) -> Result<(StatusCode, String), Stop> {
        let answer = request.send().await.map_err(|error| {
            let why = innermost(&error);
            Stop::Fault(format!("no daemon answers at {}: {why}", self.base))
        })?;
        let status = answer.status();
        let text = text_of(answer).await.map_err(|why| Stop::Fault(format!("{} broke off: {why}", self.base)))?;
        Ok((status, text))
    }

    fn read<T: DeserializeOwned>(&self, status: StatusCode, text: &str) -> Result<T, Stop> {
        if status.is_success() {
            return serde_json::from_str(text).map_err(|_| self.strange(status));
        }
        let Ok(Problem { detail, .. }) = serde_json::from_str(text) else {
            return Err(self.strange(status));
        };
        let error = harmless(&detail);
        Err(match status {
            StatusCode::UNAUTHORIZED if self.token.is_none() => Stop::Usage(format!(
                "{error}; neither {TOKEN} nor a secret of `web.token` in the configuration gives one"
            )),
            StatusCode::CONFLICT | StatusCode::TOO_MANY_REQUESTS => Stop::Unwell(error.into_owned()),
            _ if status.is_server_error() => Stop::Fault(error.into_owned()),
            _ => Stop::Usage(error.into_owned()),
        })
    }

    fn strange(&self, status: StatusCode) -> Stop {
        Stop::Fault(format!("what answers at {} with {status} is not a daemon of this version", self.base))
    }
}

async fn text_of(mut answer: Response) -> Result<String, String> {
    let mut bytes = Vec::new();
    while let Some(chunk) = answer.chunk().await.map_err(|error| innermost(&error))? {
        bytes.extend_from_slice(&chunk);
        if bytes.len() > ANSWER_MAX {
            return Err(format!("an answer of more than {} MiB", ANSWER_MAX / 1024 / 1024));
        }
    }
    String::from_utf8(bytes).map_err(|error| error.to_string())
}

/// A URL as it may be shown. A password in it would stand in every error.
fn well(url: String) -> Result<String, Stop> {
    let parsed = url::Url::parse(&url).ok().filter(|parsed| ["http", "https"].contains(&parsed.scheme()));
    match parsed {
        Some(parsed) if parsed.username().is_empty() && parsed.password().is_none() => Ok(url),
        Some(_) => {
            Err(Stop::Usage(format!("the URL of the daemon names nobody and has no password: {TOKEN} gives its token")))
        }
        None if url.contains('@') => {
            Err(Stop::Usage(format!("{URL} or `--url` is not a URL: write it like `{EXAMPLE}`")))
        }
        None => Err(Stop::Usage(format!("`{}` is not a URL: write it like `{EXAMPLE}`", harmless(&url)))),
    }
}

/// A part of a path, whatever is in it.
pub fn segment(text: &str) -> String {
    utf8_percent_encode(text, NON_ALPHANUMERIC).to_string()
}

/// Whether an id begins so; ids are written in capitals, and typed as it comes.
fn begins(id: &str, with: &str) -> bool {
    !with.is_empty() && id.get(..with.len()).is_some_and(|begin| begin.eq_ignore_ascii_case(with))
}

/// The one id that begins so.
pub fn meant<'a>(what: &str, begin: &str, ids: impl Iterator<Item = &'a str>) -> Result<&'a str, Stop> {
    let meant: Vec<_> = ids.filter(|id| begins(id, begin)).collect();
    if meant.is_empty() {
        return Err(Stop::Usage(format!("there is no {what} `{}`", harmless(begin))));
    }
    only(what, begin, &meant)
}

fn only<'a>(what: &str, begin: &str, ids: &[&'a str]) -> Result<&'a str, Stop> {
    match ids {
        [id] => Ok(id),
        ids => {
            let more = if ids.len() > NAMED_MAX { ", …" } else { "" };
            let named = ids[..ids.len().min(NAMED_MAX)].join(", ");
            let (count, begin) = (ids.len(), harmless(begin));
            Err(Stop::Usage(format!("`{begin}` may be each of {count} {what}s: {named}{more}")))
        }
    }
}

/// Who acts: as they say, else as the system calls them.
pub fn by(said: Option<String>, surroundings: &Surroundings) -> Result<String, Stop> {
    let known = said.or_else(|| (surroundings.environment)("USER")).filter(|name| !name.trim().is_empty());
    known.ok_or_else(|| Stop::Usage("nobody knows who you are: say it with `--by NAME`".to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_may_be_begun_when_no_other_begins_so() {
        let ids = ["01KAAA", "01KAAB", "01KB00"];
        let of = |begin: &str| meant("silence", begin, ids.into_iter()).map_err(|stop| stop.to_string());
        assert_eq!(of("01kb"), Ok("01KB00"));
        assert_eq!(of("01KAAB"), Ok("01KAAB"));
        assert_eq!(of("01KA"), Err("`01KA` may be each of 2 silences: 01KAAA, 01KAAB".to_owned()));
        assert_eq!(of(""), Err("there is no silence ``".to_owned()));
        assert_eq!(of("01KAABX"), Err("there is no silence `01KAABX`".to_owned()));
        assert_eq!(of("é\u{1b}"), Err("there is no silence `é␛`".to_owned()));
    }

    #[test]
    fn no_error_says_a_password_that_stands_in_a_url() {
        let said = |url: &str| well(url.to_owned()).map_err(|stop| stop.to_string());
        for url in ["http://127.0.0.1:8080", "https://rounds.example.com/shop/"] {
            assert_eq!(said(url), Ok(url.to_owned()));
        }
        for url in ["http://ann:hunter2@shop", "https://hunter2@shop", "ann:hunter2@shop", "http://ann:hunter2@"] {
            let error = said(url).unwrap_err();
            assert!(!error.contains("hunter2"), "{error}");
        }
        assert_eq!(said("shop"), Err("`shop` is not a URL: write it like `http://127.0.0.1:8080`".to_owned()));
    }

    #[test]
    fn a_part_of_a_path_stays_one() {
        assert_eq!(segment("../a?b#c"), "%2E%2E%2Fa%3Fb%23c");
    }
}
