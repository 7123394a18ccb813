//! The settings of kind `http`, and the prober that they become.

use std::collections::BTreeMap;
use std::sync::Arc;

use http::Method;
use http::header::AUTHORIZATION;
use schemars::JsonSchema;
use serde::Deserialize;

use super::credentials::{Basic, Credentials};
use super::headers::{self, HeaderDraft};
use super::json;
use super::prober::HttpProber;
use super::request::{BodyDraft, Draft};
use super::url::{self, UrlDraft};
use crate::domain::expression::{Name, Names, Shape};
use crate::domain::template::{Piece, Template, pieces};
use crate::net::resolver::Resolver;
use crate::ports::{Building, BuiltProber, Implied, Kind};
use crate::probers::names::{CONNECTING, TLS_MS};
use crate::probers::tls::{TLS_NAMES, trust};
use crate::settings::{Node, Problem, Problems, Spanned, nearest, read};

/// The row of this kind.
pub const KIND: Kind = Kind {
    name: "http",
    about: "makes an HTTP request and reads the answer",
    main: "url",
    schema: HttpSettings::json_schema,
    names: || Names::new().with_all(HTTP_NAMES).with_all(CONNECTING).with(TLS_MS).with_all(TLS_NAMES),
    build,
};

const HTTP_NAMES: &[Name] = &[
    Name::known("status", Shape::Number, "the status code of the last answer"),
    Name::known("headers", Shape::Map(&Shape::Text), "its headers, with lower-case names; repeats are joined by `, `"),
    Name::known("body", Shape::Text, "its body, where it is UTF-8"),
    Name::known("json", Shape::Any, "its body, where it is JSON"),
    Name::known("http_version", Shape::Text, "`1.0` or `1.1`"),
    Name::known("redirects", Shape::Number, "how many redirects were followed"),
    Name::known("url", Shape::Text, "the URL of the last request"),
    Name::known("first_byte_ms", Shape::Number, "from the request's last byte to the answer's first, in milliseconds"),
    Name::known("first_byte_error_ms", Shape::Number, "by how much `first_byte_ms` may be wrong"),
    Name::known("transfer_ms", Shape::Number, "from the answer's first byte to its last, in milliseconds"),
];

/// The limit of a body that names none, in bytes.
const BODY_BYTES_DEFAULT: u64 = 1024 * 1024;
/// The largest limit of a body, in bytes.
const BODY_BYTES_MAX: u64 = 10 * 1024 * 1024;

const METHODS: [Method; 8] = [
    Method::GET,
    Method::HEAD,
    Method::POST,
    Method::PUT,
    Method::PATCH,
    Method::DELETE,
    Method::OPTIONS,
    Method::TRACE,
];

/// An HTTP request.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct HttpSettings {
    /// Where to: `https://` or `http://`, host and path. What is filled in is percent-encoded.
    #[schemars(with = "Template")]
    url: Spanned<Template>,
    /// The method. Default: `GET`, also with a body.
    #[schemars(with = "Option<String>")]
    method: Option<Spanned<String>>,
    /// Headers by name.
    #[serde(default)]
    #[schemars(with = "BTreeMap<String, Template>")]
    headers: BTreeMap<Spanned<String>, Spanned<Template>>,
    /// The body as text, without a Content-Type of its own.
    #[schemars(with = "Option<Template>")]
    body: Option<Spanned<Template>>,
    /// The body as a tree that becomes JSON. What is filled in stays within its string.
    #[schemars(with = "Option<serde_json::Value>")]
    json: Option<Node>,
    /// A token for `Authorization: Bearer`.
    #[schemars(with = "Option<Template>")]
    bearer: Option<Spanned<Template>>,
    /// A user and a password for `Authorization: Basic`.
    #[schemars(with = "Option<Basic>")]
    basic: Option<Spanned<Basic>>,
    /// Whether redirects are followed, at most 10. Default: true.
    follow_redirects: Option<bool>,
    /// How many bytes of a body are read; a larger one is a failure. Default: 1048576 (1 MiB), at most 10485760.
    #[schemars(with = "Option<u64>")]
    max_body: Option<Spanned<u64>>,
    /// PEM text of certificates that are trusted in addition to the machine's: `"${file:ca.pem}"`. Default, and what an
    /// empty text means: none.
    #[schemars(with = "Option<String>")]
    ca: Option<Spanned<String>>,
}

fn build(node: &Node, building: &Building, problems: &mut Problems) -> Option<BuiltProber> {
    let settings: HttpSettings = read(node, problems)?;
    let known = problems.len();
    let url = UrlDraft::read(&settings.url, &url::HTTP, problems);
    let method = method(settings.method.as_ref(), problems);
    let headers = headers::read(&settings.headers, problems);
    let body = body(&settings, problems);
    let credentials = credentials(&settings, &headers, problems);
    let body_bytes_max = body_limit(settings.max_body.as_ref(), problems);
    let trust = trust(settings.ca.as_ref(), problems);
    if problems.len() > known {
        return None;
    }
    let method = method?;
    let expect = if building.cleanup && method == Method::DELETE {
        "(status >= 200 && status < 300) || status == 404"
    } else {
        "status >= 200 && status < 300"
    };
    let prober = HttpProber {
        draft: Draft { method, url: url?, headers, credentials, body },
        follow_redirects: settings.follow_redirects.unwrap_or(true),
        body_bytes_max,
        trust: trust?,
        resolver: Resolver::system(),
        clock: Arc::clone(&building.clock),
    };
    Some(BuiltProber { prober: Arc::new(prober), implied: vec![Implied { unless_mentioned: "status", expect }] })
}

fn method(written: Option<&Spanned<String>>, problems: &mut Problems) -> Option<Method> {
    let Some(written) = written else { return Some(Method::GET) };
    let found = METHODS.iter().find(|method| method.as_str() == written.value);
    if found.is_none() {
        let names = METHODS.iter().map(Method::as_str);
        let meant = nearest(&written.value.to_uppercase(), names.clone());
        let all = || names.map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ");
        let help = meant.map_or_else(|| format!("it is one of {}", all()), |meant| format!("write `{meant}`"));
        problems.error(written.span.clone(), format!("`{}` is not a method", written.value)).help = Some(help);
    }
    found.cloned()
}

fn body(settings: &HttpSettings, problems: &mut Problems) -> Option<BodyDraft> {
    match (&settings.body, &settings.json) {
        (Some(body), Some(json)) => {
            problems.push(
                Problem::error(json.span.clone(), "a request has one body: `body` or `json`, not both")
                    .with_also(body.span.clone(), "the other one"),
            );
            None
        }
        (Some(body), None) => Some(BodyDraft::Text(body.value.clone())),
        (None, Some(json)) => json::template(json, problems).map(BodyDraft::Json),
        (None, None) => None,
    }
}

fn credentials(settings: &HttpSettings, headers: &[HeaderDraft], problems: &mut Problems) -> Option<Credentials> {
    let (found, span) = match (&settings.bearer, &settings.basic) {
        (Some(bearer), Some(basic)) => {
            problems.push(
                Problem::error(basic.span.clone(), "a request is from one: `bearer` or `basic`, not both")
                    .with_also(bearer.span.clone(), "the other one"),
            );
            return None;
        }
        (Some(bearer), None) => {
            headers::check(bearer, problems);
            (Credentials::Bearer(bearer.value.clone()), &bearer.span)
        }
        (None, Some(basic)) => {
            let user = pieces(&basic.value.user.to_string()).unwrap_or_default();
            if user.iter().any(|piece| matches!(piece, Piece::Literal(text) if text.contains(':'))) {
                problems.error(basic.span.clone(), "a user cannot hold a colon").help =
                    Some("what stands behind the colon is the password: write it under `password`".to_owned());
            }
            (Credentials::Basic(basic.value.clone()), &basic.span)
        }
        (None, None) => return None,
    };
    if headers.iter().any(|header| header.name == AUTHORIZATION) {
        problems.error(span.clone(), "`headers` has an `Authorization` already").help =
            Some("remove one of them".to_owned());
    }
    Some(found)
}

fn body_limit(written: Option<&Spanned<u64>>, problems: &mut Problems) -> u64 {
    let Some(written) = written else { return BODY_BYTES_DEFAULT };
    if !(1..=BODY_BYTES_MAX).contains(&written.value) {
        let message = format!("`max_body` is from 1 to {BODY_BYTES_MAX} bytes (10 MiB), not {}", written.value);
        problems.error(written.span.clone(), message);
    }
    written.value
}
