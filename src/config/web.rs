//! Where the page is, and who may see it.

use std::net::SocketAddr;

use futures::future::join_all;
use http::HeaderName;
use secrecy::ExposeSecret as _;

use super::raw::{RawProxy, RawTokens, RawWeb};
use crate::domain::access::{Network, NetworkError, Proxy, is_guessable};
use crate::domain::pulse::TokenDigest;
use crate::domain::template::Template;
use crate::engine::plan::{Plan, Tokens, WebPlan};
use crate::ports::Token;
use crate::settings::{Problems, Spanned};

/// Where the page listens.
const LISTEN: &str = "127.0.0.1:8080";

/// How the hash of a token begins.
pub const HASH: &str = "sha256:";

/// The header in which many proxies say who asks.
const USER: &str = "X-Forwarded-User";

/// Headers that say something else, whoever sends them.
const TAKEN: [&str; 6] = ["authorization", "cookie", "host", "origin", "sec-fetch-site", "x-forwarded-for"];

/// Reads all of it.
pub fn web(raw: &RawWeb, problems: &mut Problems) -> Option<WebPlan> {
    let text = raw.listen.as_ref().map_or(LISTEN, |listen| listen.value.0.as_str());
    let listen = text.parse::<SocketAddr>().ok();
    if let (None, Some(written)) = (listen, &raw.listen) {
        problems.error(written.span.clone(), format!("`{text}` is not an address to listen at")).help =
            Some("write it like `127.0.0.1:8080`, `0.0.0.0:8080` or `[::]:8080`".to_owned());
    }
    let url = raw.url.as_ref().map(|url| (url, url.value.trim_end_matches('/').to_owned()));
    let bad_url = url.as_ref().filter(|(_, url)| !is_url(url));
    if let Some((written, _)) = bad_url {
        problems.error(written.span.clone(), format!("`{}` is not a URL", written.value)).help =
            Some("write it like `https://rounds.example.com`".to_owned());
    }
    let is_url_well = bad_url.is_none();
    let tokens = tokens(raw, problems);
    let has_token = raw.token.is_some() || raw.tokens.is_some();
    let proxy = raw.proxy.as_ref().map(|of| {
        let before = problems.len();
        let proxy = proxy(of, problems);
        match &of.user {
            _ if problems.len() > before => {}
            Some(user) if url.is_none() => {
                problems
                    .error(
                        user.span.clone(),
                        "who is known by a proxy asks by the name in `web.url`, and there is none",
                    )
                    .help = Some(
                    "write `url:` as people reach the page: by another name, somebody else's page could ask".to_owned(),
                );
            }
            None if !has_token => {
                let sentence = "nobody could read: this proxy does not say who asks, and there is no token";
                problems.error(of.from.span.clone(), sentence).help =
                    Some(format!("write `user: {USER}` if it says so there, or a token beside it"));
            }
            _ => {}
        }
        proxy.filter(|_| problems.len() == before)
    });
    let listen = listen?;
    let is_guarded = has_token || raw.proxy.is_some();
    if let (false, false, Some(written)) = (listen.ip().is_loopback(), is_guarded, &raw.listen) {
        problems
            .error(written.span.clone(), format!("{listen} can be reached from elsewhere, and there is no `web.token`"))
            .help = Some("listen at 127.0.0.1, or declare a secret and write `token: \"${secret:name}\"`".to_owned());
        return None;
    }
    let proxy = match proxy {
        Some(proxy) => Some(proxy?),
        None => None,
    };
    let tokens = tokens?;
    is_url_well.then(|| WebPlan { listen, url: url.map(|(_, url)| url), tokens, proxy, public: None })
}

/// What a browser opens.
fn is_url(text: &str) -> bool {
    let well = |url: url::Url| ["http", "https"].contains(&url.scheme()) && url.username().is_empty();
    text.contains("://") && !text.contains(char::is_whitespace) && text.parse().is_ok_and(well)
}

/// The tokens; nothing where one of them is wrong.
fn tokens(raw: &RawWeb, problems: &mut Problems) -> Option<Tokens> {
    let (one, Some(both)) = (&raw.token, &raw.tokens) else {
        return match &raw.token {
            Some(written) => token(written, problems).map(Tokens::one),
            None => Some(Tokens::default()),
        };
    };
    if one.is_some() {
        problems.error(both.span.clone(), "`tokens` stands in the place of `token`, and not beside it").help =
            Some("`token: X` is short for `tokens: { read: X, operate: X }`: write one of them".to_owned());
        return None;
    }
    let RawTokens { read, operate } = &both.value;
    let read = read.as_ref().map(|written| token(written, problems));
    let operate = operate.as_ref().map(|written| (written, token(written, problems)));
    match (read, operate) {
        // What is wrong with those that are written was said.
        (None, None) if both.span.text().contains(char::is_alphanumeric) => None,
        (None, None) => {
            problems.error(both.span.clone(), "no token is named here").help =
                Some("write `read:`, `operate:` or both".to_owned());
            None
        }
        (Some(read), None) => Some(Tokens { read: Some(read?), operate: None }),
        (None, Some((_, operate))) => Some(Tokens { read: None, operate: Some(operate?) }),
        (Some(read), Some((written, operate))) => {
            let (read, operate) = (read?, operate?);
            if read == operate {
                problems
                    .error(written.span.clone(), "the two tokens are one: whoever reads could change everything")
                    .help =
                    Some("make another with `roundsman token`, or write `token:` where that is meant".to_owned());
                return None;
            }
            Some(Tokens { read: Some(read), operate: Some(operate) })
        }
    }
}

/// A secret alone, or the hash of a token.
fn token(written: &Spanned<Template>, problems: &mut Problems) -> Option<Token> {
    let hash = written.value.as_literal().and_then(|text| text.strip_prefix(HASH));
    if let Some(hash) = hash {
        let (wrong, help) = match hash.parse::<TokenDigest>() {
            Err(why) => (format!("what follows `{HASH}` is {why}"), "`roundsman token` makes a token and its hash"),
            Ok(hash) if [TokenDigest::of(""), TokenDigest::of("\n")].contains(&hash) => {
                ("this is the hash of an empty text".to_owned(), "`roundsman token` makes a token and its hash")
            }
            Ok(hash) => return Some(Token::Known(hash)),
        };
        let problem = problems.error(written.span.clone(), wrong);
        problem.help = Some(help.to_owned());
        // It may be the token itself.
        problem.hidden = true;
        return None;
    }
    let secret = written.value.secrets().next().cloned();
    let secret = secret.filter(|name| written.value.to_string() == format!("${{secret:{name}}}"));
    if secret.is_none() {
        let problem = problems.error(written.span.clone(), "a token is a secret or a hash, and nothing else");
        problem.help = Some(format!(
            "declare it under `secrets:` and write `\"${{secret:name}}\"`, or `\"{HASH}…\"` as `roundsman token` prints it"
        ));
        problem.hidden = true;
    }
    secret.map(Token::Secret)
}

/// The proxy; nothing where something of it is wrong.
fn proxy(raw: &RawProxy, problems: &mut Problems) -> Option<Proxy> {
    let before = problems.len();
    if raw.from.value.is_empty() {
        problems.error(raw.from.span.clone(), "a proxy that comes from nowhere is never believed").help =
            Some("write its address, like `10.0.0.7` or `10.0.0.0/24`".to_owned());
    }
    let mut from = Vec::new();
    for written in raw.from.value.iter() {
        match written.value.parse::<Network>() {
            Ok(network) => from.push(network),
            Err(error) => {
                let help = match &error {
                    NetworkError::Strange(_) => "write it like `10.0.0.7` or `10.0.0.0/24`".to_owned(),
                    NetworkError::Within(_, network) => {
                        format!("write `{network}` for all of it, or the address alone")
                    }
                    NetworkError::Everybody(_) => "then anybody could say who they are: name the proxy".to_owned(),
                };
                problems.error(written.span.clone(), error.to_string()).help = Some(help);
            }
        }
    }
    let user = raw.user.as_ref().map(|written| (written, written.value.to_ascii_lowercase()));
    if let Some((written, _)) = user.as_ref().filter(|(_, user)| TAKEN.contains(&&**user)) {
        problems.error(written.span.clone(), format!("the header `{}` says something else", written.value)).help =
            Some(format!("name the one in which the proxy says who asks, like `{USER}`"));
    } else if let Some((written, _)) = user.as_ref().filter(|(_, user)| user.parse::<HeaderName>().is_err()) {
        problems.error(written.span.clone(), format!("`{}` is not the name of a header", written.value)).help =
            Some(format!("write it like `{USER}`"));
    }
    for written in raw.operate.iter() {
        if written.value.trim() != written.value || written.value.is_empty() || written.value.contains(',') {
            problems.error(written.span.clone(), format!("`{}` is nobody's name", written.value)).help =
                Some("write each name by itself, as the proxy says it; `*` stands for any letters".to_owned());
        }
    }
    if let Some(written) = raw.operate.iter().next().filter(|_| user.is_none()) {
        problems.error(written.span.clone(), "the proxy does not say who asks, so it names nobody here").help =
            Some(format!("write `user: {USER}`, if it says so there and takes that away from what others send"));
    }
    let operate = raw.operate.iter().map(|written| written.value.clone()).collect();
    (problems.len() == before).then(|| Proxy { from, user: user.map(|(_, user)| user), operate })
}

/// The tokens that can be guessed, by their secrets, which are seen only now.
pub async fn guessable_tokens(plan: &Plan) -> Vec<String> {
    let names: std::collections::BTreeSet<_> = plan.web.tokens.secrets().collect();
    let looked = join_all(names.into_iter().map(async |name| {
        let token = plan.secrets.resolve(name).await.ok()?;
        is_guessable(token.expose_secret()).then(|| {
            format!("the secret `{name}` is a token that can be guessed: `roundsman token` makes one that cannot")
        })
    }));
    looked.await.into_iter().flatten().collect()
}
