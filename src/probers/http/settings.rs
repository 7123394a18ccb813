//! The settings of kind `http`, and the prober that they become.

use std::collections::BTreeMap;
use std::sync::Arc;

use http::Method;
use http::header::AUTHORIZATION;
use schemars::JsonSchema;
use serde::Deserialize;

use super::connection::Version;
use super::content::{Content, Form, Written};
use super::credentials::{Basic, Credentials};
use super::facts::NAMES;
use super::headers::{self, HeaderDraft};
use super::identity::{ClientCert, IdentityDraft};
use super::oauth2::{ANSWER_BYTES_MAX, OAuth2Settings};
use super::pins::pins;
use super::prober::HttpProber;
use super::redirect::REDIRECTS_MAX;
use super::repeat::{REPEAT_MAX, Repeated};
use super::request::Draft;
use super::sigv4::SigV4Settings;
use super::url::{self, UrlDraft};
use super::way::Way;
use crate::domain::expression::Names;
use crate::domain::template::{Piece, Template, pieces};
use crate::net::resolver::{Family, Resolver};
use crate::ports::{Building, BuiltProber, Implied, Kind, Prober};
use crate::probers::names::{CONNECTING, TLS_MS};
use crate::probers::tls::{TLS_NAMES, trust};
use crate::settings::{Node, Problem, Problems, Span, Spanned, nearest, read};

/// The row of this kind.
pub const KIND: Kind = Kind {
    name: "http",
    about: "makes an HTTP request and reads the answer",
    main: "url",
    schema: HttpSettings::json_schema,
    names: || Names::new().with_all(NAMES).with_all(CONNECTING).with(TLS_MS).with_all(TLS_NAMES),
    build,
};

/// The limit of a body that names none, in bytes.
const BODY_BYTES_DEFAULT: u64 = 1024 * 1024;
/// The largest limit of a body, in bytes.
pub const BODY_BYTES_MAX: u64 = 10 * 1024 * 1024;

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
    /// Where to: `https://` or `http://`, with host and path. What is filled in (`{{x}}`, `${secret:x}`) is
    /// percent-encoded, so a URL cannot begin with it.
    #[schemars(with = "Template")]
    url: Spanned<Template>,
    /// One of `GET`, `HEAD`, `POST`, `PUT`, `PATCH`, `DELETE`, `OPTIONS` and `TRACE`. Default: `GET`, also with a body.
    #[schemars(with = "Option<String>")]
    method: Option<Spanned<String>>,
    /// Headers by name. A value with a line break is refused. Default: `User-Agent` is `roundsman/VERSION`, `Accept` is
    /// `*/*`, `Accept-Encoding` is `gzip, br, zstd, deflate`.
    #[serde(default)]
    #[schemars(with = "BTreeMap<String, Template>")]
    headers: BTreeMap<Spanned<String>, Spanned<Template>>,
    /// The body as text, as it is, without a `Content-Type` of its own. Default: none.
    #[schemars(with = "Option<Template>")]
    body: Option<Spanned<Template>>,
    /// The body as a tree that becomes JSON, with `Content-Type: application/json`. `"{{x}}"` stays a string, whatever was
    /// captured. Default: none.
    #[schemars(with = "Option<serde_json::Value>")]
    json: Option<Node>,
    /// The body as a form: names to values, sent in that order with `Content-Type: application/x-www-form-urlencoded`.
    /// What is filled in is encoded. Default: none.
    #[schemars(with = "Option<BTreeMap<String, Template>>")]
    form: Option<Spanned<Form>>,
    /// The body from a file of at most 1 MiB, byte for byte, without a `Content-Type` of its own: its path, which begins
    /// at the directory of the configuration. It is read when the configuration is read or reloaded, so what passes
    /// `validate` is what is sent. Default: none.
    #[schemars(with = "Option<String>")]
    file: Option<Spanned<String>>,
    /// The token of `Authorization: Bearer`. Default: none.
    #[schemars(with = "Option<Template>")]
    bearer: Option<Spanned<Template>>,
    /// A user and a password for `Authorization: Basic`. Default: none.
    #[schemars(with = "Option<Basic>")]
    basic: Option<Spanned<Basic>>,
    /// A token of an authorization server, got with the id and the secret of a client and kept until shortly before it
    /// ends. Default: none.
    #[schemars(with = "Option<OAuth2Settings>")]
    oauth2: Option<Spanned<OAuth2Settings>>,
    /// A signature of the request (AWS Signature Version 4), with the credentials that the AWS SDK finds. Default: none.
    #[schemars(with = "Option<SigV4Settings>")]
    sigv4: Option<Spanned<SigV4Settings>>,
    /// The certificate that is shown when the server of `url` asks for one. Default: none.
    client_cert: Option<ClientCert>,
    /// Whether redirects are followed, to `http` and `https` only. Default: `true`.
    follow_redirects: Option<bool>,
    /// How many redirects are followed, 1 to 10; one more is a failure. Default: 10.
    #[schemars(with = "Option<u32>")]
    max_redirects: Option<Spanned<u32>>,
    /// The version that is spoken: `"1.1"`, or `"2"`, which without TLS means HTTP/2 from the first byte (h2c with prior
    /// knowledge). Default: what the server chooses in the TLS handshake; without TLS `"1.1"`.
    #[schemars(with = "Option<String>")]
    http_version: Option<Spanned<String>>,
    /// The only family of addresses that is connected to. Default: both in turn, a further one after 250 ms (RFC 8305).
    family: Option<Family>,
    /// An address, which the host of `url` then has without being looked up: to probe one server behind a balancer. Or a
    /// mapping from names to addresses: `{ shop.example.com: 192.0.2.7 }`. `Host`, SNI and the certificate stay those of
    /// the name. Other hosts, where a redirect may lead, are looked up. Default: all are looked up.
    #[schemars(with = "Option<Resolve>")]
    resolve: Option<Node>,
    /// Makes the request again, one after another, until an answer is not 2xx, at most so many times, 2 to 100: for limits
    /// that must be one. The last answer is what assertions see, and `requests` how many there were. Default: once.
    #[schemars(with = "Option<u64>")]
    repeat: Option<Spanned<u64>>,
    /// How many bytes of a body are read after it was unpacked, at most 10485760; a larger one is a failure. Default:
    /// 1048576 (1 MiB).
    #[schemars(with = "Option<u64>")]
    max_body: Option<Spanned<u64>>,
    /// PEM text of certificates that are trusted in addition to the machine's: `"${file:ca.pem}"`. An empty text
    /// adds none, so that `SHOP_CA` may be unset in `"${env:SHOP_CA:-}"`. Default: none.
    #[schemars(with = "Option<String>")]
    ca: Option<Spanned<String>>,
}

/// The two ways to write addresses that are not looked up, for the schema.
#[derive(JsonSchema)]
#[schemars(untagged)]
#[expect(dead_code, reason = "it is read from the tree, which knows the place of each entry")]
enum Resolve {
    /// That of the URL's host.
    Address(String),
    /// Those of these hosts.
    Addresses(BTreeMap<String, String>),
}

fn build(node: &Node, building: &Building, problems: &mut Problems) -> Option<BuiltProber> {
    let settings: HttpSettings = read(node, problems)?;
    let known = problems.len();
    let url = UrlDraft::read(&settings.url, &url::HTTP, problems);
    let method = method(settings.method.as_ref(), problems);
    let headers = headers::read(&settings.headers, problems);
    let HttpSettings { body, json, form, file, .. } = &settings;
    let written = Written { body: body.as_ref(), json: json.as_ref(), form: form.as_ref(), file: file.as_ref() };
    let content = Content::read(&written, &building.directory, problems);
    let body_bytes_max = body_limit(settings.max_body.as_ref(), problems);
    let repeat = repeat(settings.repeat.as_ref(), problems);
    let redirects_max = redirects_max(&settings, problems);
    let version = version(settings.http_version.as_ref(), problems);
    let identity = settings.client_cert.as_ref().map(|written| IdentityDraft::read(written, problems));
    let resolve = settings.resolve.as_ref();
    let pins = resolve.map(|resolve| pins(resolve, url.as_ref(), settings.family, problems)).unwrap_or_default();
    let way = Way {
        trust: trust(settings.ca.as_ref(), problems).unwrap_or_default(),
        identity: None,
        version,
        resolver: Resolver::system().only(settings.family).pinning(pins),
        body_bytes_max,
        clock: Arc::clone(&building.clock),
    };
    let credentials = credentials(&settings, &headers, &way, problems);
    if problems.len() > known {
        return None;
    }
    let method = method?;
    let expect = if building.cleanup && method == Method::DELETE {
        "(status >= 200 && status < 300) || status == 404"
    } else {
        "status >= 200 && status < 300"
    };
    let draft = Draft { method, url: url?, headers, credentials, content };
    let prober: Arc<dyn Prober> = Arc::new(HttpProber { draft, redirects_max, identity: identity.flatten(), way });
    let prober = match repeat {
        Some(times) => Arc::new(Repeated { prober, times }),
        None => prober,
    };
    Some(BuiltProber { prober, implied: vec![Implied { unless_mentioned: "status", expect }] })
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

/// Who the request is from: one at most.
fn credentials(
    settings: &HttpSettings,
    headers: &[HeaderDraft],
    way: &Way,
    problems: &mut Problems,
) -> Option<Credentials> {
    let spans: [(&str, Option<&Span>); 4] = [
        ("bearer", settings.bearer.as_ref().map(|bearer| &bearer.span)),
        ("basic", settings.basic.as_ref().map(|basic| &basic.span)),
        ("oauth2", settings.oauth2.as_ref().map(|oauth2| &oauth2.span)),
        ("sigv4", settings.sigv4.as_ref().map(|sigv4| &sigv4.span)),
    ];
    let mut given = spans.iter().filter_map(|(name, span)| span.map(|span| (name, span)));
    let (first, span) = given.next()?;
    if let Some((second, at)) = given.next() {
        let message = format!("a request is from one: `{first}` or `{second}`, not both");
        problems.push(Problem::error(at.clone(), message).with_also(span.clone(), "the other one"));
        return None;
    }
    if headers.iter().any(|header| header.name == AUTHORIZATION) {
        problems.error(span.clone(), "`headers` has an `Authorization` already").help =
            Some("remove one of them".to_owned());
    }
    if let Some(bearer) = &settings.bearer {
        headers::check(bearer, problems);
        return Some(Credentials::Bearer(bearer.value.clone()));
    }
    if let Some(basic) = &settings.basic {
        let user = pieces(&basic.value.user.to_string()).unwrap_or_default();
        if user.iter().any(|piece| matches!(piece, Piece::Literal(text) if text.contains(':'))) {
            problems.error(basic.span.clone(), "a user cannot hold a colon").help =
                Some("what stands behind the colon is the password: write it under `password`".to_owned());
        }
        return Some(Credentials::Basic(basic.value.clone()));
    }
    if let Some(oauth2) = &settings.oauth2 {
        let way = Way {
            version: Version::Either,
            resolver: Resolver::system(),
            body_bytes_max: ANSWER_BYTES_MAX,
            ..way.clone()
        };
        return oauth2.value.read(&oauth2.span, way, problems).map(|oauth2| Credentials::OAuth2(Box::new(oauth2)));
    }
    settings
        .sigv4
        .as_ref()
        .and_then(|sigv4| sigv4.value.read(problems))
        .map(|sigv4| Credentials::SigV4(Box::new(sigv4)))
}

fn redirects_max(settings: &HttpSettings, problems: &mut Problems) -> Option<u32> {
    let is_followed = settings.follow_redirects.unwrap_or(true);
    if let Some(most) = &settings.max_redirects {
        if !(1..=REDIRECTS_MAX).contains(&most.value) {
            let message = format!("`max_redirects` is from 1 to {REDIRECTS_MAX}, not {}", most.value);
            problems.error(most.span.clone(), message).help =
                Some("to leave redirects to the assertions, write `follow_redirects: false`".to_owned());
        } else if !is_followed {
            let message = "`max_redirects` has no meaning with `follow_redirects: false`";
            problems.error(most.span.clone(), message).help = Some("remove one of them".to_owned());
        }
    }
    let most = settings.max_redirects.as_ref().map_or(REDIRECTS_MAX, |most| most.value);
    is_followed.then_some(most)
}

fn version(written: Option<&Spanned<String>>, problems: &mut Problems) -> Version {
    let Some(written) = written else { return Version::default() };
    match written.value.as_str() {
        "1.1" => Version::Http1,
        "2" => Version::Http2,
        other => {
            problems.error(written.span.clone(), format!("`{other}` is not a version of HTTP that is spoken")).help =
                Some("write `\"1.1\"` or `\"2\"`, or leave the choice to the server".to_owned());
            Version::default()
        }
    }
}

fn repeat(written: Option<&Spanned<u64>>, problems: &mut Problems) -> Option<u64> {
    let written = written?;
    if !(2..=REPEAT_MAX).contains(&written.value) {
        let message = format!("a request is repeated from 2 to {REPEAT_MAX} times, not {}", written.value);
        problems.error(written.span.clone(), message);
    }
    Some(written.value)
}

fn body_limit(written: Option<&Spanned<u64>>, problems: &mut Problems) -> u64 {
    let Some(written) = written else { return BODY_BYTES_DEFAULT };
    if !(1..=BODY_BYTES_MAX).contains(&written.value) {
        let message = format!("`max_body` is from 1 to {BODY_BYTES_MAX} bytes (10 MiB), not {}", written.value);
        problems.error(written.span.clone(), message);
    }
    written.value
}
