//! The settings of kind `aws`, and the prober that they become.

use std::sync::Arc;

use http::Method;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::Value as Json;

use super::caller::Caller;
use super::prober::{Asked, AwsProber};
use super::reading::{is_reading, reads};
use crate::domain::expression::{Name, Names, Shape};
use crate::domain::template::{Piece, Template, pieces};
use crate::net::aws::call::{Call, CallError, Operation};
use crate::net::aws::permission::is_public;
use crate::net::aws::rest;
use crate::net::aws::services::{self, SERVICES, Service};
use crate::ports::{Building, BuiltProber, Kind};
use crate::probers::http::json;
use crate::probers::names::{CONNECTING, FIRST_BYTE_MS, TLS_MS, TRANSFER_MS};
use crate::probers::tls::TLS_NAMES;
use crate::settings::{Node, Problem, Problems, Spanned, Value, nearest, read, suggest};

/// The row of this kind.
pub const KIND: Kind = Kind {
    name: "aws",
    about: "asks a service of AWS, signed, and reads the answer as JSON",
    main: "service",
    schema: AwsSettings::json_schema,
    names: || {
        let timed = Names::new().with_all(NAMES).with_all(CONNECTING).with(TLS_MS);
        timed.with(FIRST_BYTE_MS).with(TRANSFER_MS).with_all(TLS_NAMES)
    },
    build,
};

const NAMES: &[Name] = &[
    Name::known("json", Shape::Any, "the answer; of a service that answers in XML that as JSON"),
    Name::known("error", Shape::table(ERROR_NAMES), "what the service refused with; absent when it did not"),
    Name::known("status", Shape::Number, "the status code of the answer"),
    Name::known("headers", Shape::Map(&Shape::Text), "its headers, with lower-case names; repeats are joined by `, `"),
    Name::known("body", Shape::Text, "its body as it came, where it is UTF-8"),
    Name::known("region", Shape::Text, "the region that was asked"),
    Name::known("throttled", Shape::Number, "how often the service asked to come again later, before this answer"),
];

const ERROR_NAMES: &[Name] = &[
    Name::known("code", Shape::Text, "its code; the status where it has none, as the answer to HEAD"),
    Name::known("message", Shape::Text, "what it says, for people"),
];

/// What stands in a hole where what can be known before a run is looked at: what policies have for anything.
const HOLE: &str = "*";

/// A question to a service of AWS.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct AwsSettings {
    /// The service, by its name in the AWS CLI: `dynamodb`, `s3`, `cognito-idp`, …
    #[schemars(with = "String")]
    service: Spanned<String>,
    /// The action, as AWS's API reference calls it: `DescribeTable`.
    #[schemars(with = "Option<String>")]
    action: Option<Spanned<String>>,
    /// For a service with methods and paths, in place of `action`: `GET`, `HEAD`, `POST`, `PUT`, `PATCH` or `DELETE`.
    /// Default: `GET`.
    #[schemars(with = "Option<String>")]
    method: Option<Spanned<String>>,
    /// Beside `method`: the path and its query, percent-encoded. May have holes; what is filled in is encoded, its slashes
    /// too.
    #[schemars(with = "Option<Template>")]
    path: Option<Spanned<Template>>,
    /// What the action takes, as in AWS's API reference. May have holes within its texts. With `method: GET` and a `path`
    /// it is the query. Default: nothing.
    #[schemars(with = "Option<serde_json::Map<String, serde_json::Value>>")]
    input: Option<Node>,
    /// The region. Default: that of the environment or the profile.
    #[schemars(with = "Option<String>")]
    region: Option<Spanned<String>>,
    /// Where the service is, if not where AWS has it, e.g. a VPC endpoint; an empty text is none. Default: `AWS_ENDPOINT_URL`, and
    /// without it the region's own address.
    #[schemars(with = "Option<String>")]
    endpoint: Option<Spanned<String>>,
    /// Actions, or methods, that may be asked for although they may change something. Default: none.
    #[serde(default)]
    #[schemars(with = "Vec<String>")]
    allow: Vec<Spanned<String>>,
}

fn build(node: &Node, building: &Building, problems: &mut Problems) -> Option<BuiltProber> {
    let settings: AwsSettings = read(node, problems)?;
    let known = problems.len();
    let caller = Caller::read(settings.region.as_ref(), settings.endpoint.as_ref(), building, problems);
    let input = settings.input.as_ref().and_then(|input| template_of(input, problems));
    let service = service(&settings.service, problems);
    let asked = service.and_then(|service| asked(&settings, service, problems));
    if problems.len() > known {
        return None;
    }
    let (service, asked) = (service?, asked?);
    let operation = match &asked {
        Asked::Action(name) => Operation::Action(name.clone().into()),
        Asked::Path(method, path) => Operation::Path(method.clone(), sample(path, HOLE)),
    };
    let public = matches!(&asked, Asked::Action(name) if is_public(service, name));
    let fields = input.as_ref().map_or(Ok(Json::Null), |input| serde_json::from_str(&sample(input, HOLE)));
    // The text was made from a tree, so it reads back.
    let call = Call { service, operation, input: fields.ok()?, region: None, is_signed: !public };
    if let Err(error) = call.wire("https://service.example") {
        problems.push(unfit(error, &settings, service));
        return None;
    }
    let prober = AwsProber { caller: caller?, call, asked, input };
    Some(BuiltProber { prober: Arc::new(prober), implied: Vec::new() })
}

fn service(written: &Spanned<String>, problems: &mut Problems) -> Option<&'static Service> {
    let found = services::find(&written.value);
    if found.is_none() {
        let help = suggest(&written.value, SERVICES.iter().map(|service| service.name));
        problems.error(written.span.clone(), format!("`{}` is not a service that is known", written.value)).help =
            Some(help.unwrap_or_else(|| "write its name in the AWS CLI, like `dynamodb`".to_owned()));
    }
    found
}

/// What is asked, if that only reads or is allowed.
fn asked(settings: &AwsSettings, service: &'static Service, problems: &mut Problems) -> Option<Asked> {
    let at = &settings.service.span;
    let word = match (&settings.action, &settings.path, &settings.method) {
        (Some(action), Some(path), _) => {
            let message = "a call has an `action`, or a `path`, not both";
            problems.push(Problem::error(path.span.clone(), message).with_also(action.span.clone(), "the other one"));
            return None;
        }
        (Some(action), None, Some(method)) => {
            let message = "an `action` knows its method";
            problems.push(
                Problem::error(method.span.clone(), message)
                    .with_also(action.span.clone(), "this one")
                    .with_help("remove one of them; a method goes with a `path`"),
            );
            return None;
        }
        (Some(action), None, None) => action,
        (None, None, _) => {
            let help = if service.protocol.is_rest() {
                "write `action: GetFunction`, or `method: GET` and `path: /…`"
            } else {
                "write `action: …`, as AWS's API reference calls it"
            };
            problems.error(at.clone(), format!("nothing is asked of `{}`", service.name)).help = Some(help.to_owned());
            return None;
        }
        (None, Some(path), method) => {
            let method = self::method(method.as_ref(), problems)?;
            if !service.protocol.is_rest() {
                let message = CallError::NoPaths(service.name).to_string();
                problems.error(path.span.clone(), message).help = Some("write `action: …`".to_owned());
                return None;
            }
            path_is_well(path, problems)?;
            let written = settings
                .method
                .clone()
                .unwrap_or_else(|| Spanned { value: method.to_string(), span: path.span.clone() });
            allowed(settings, &written, reads(&method), problems)?;
            return Some(Asked::Path(method, path.value.clone()));
        }
    };
    if word.value.is_empty() || !word.value.bytes().all(|byte| byte.is_ascii_alphanumeric()) {
        let message = format!("`{}` is not the name of an action", word.value);
        problems.error(word.span.clone(), message).help = Some("write it like `DescribeTable`".to_owned());
        return None;
    }
    allowed(settings, word, is_reading(&word.value), problems)?;
    Some(Asked::Action(word.value.clone()))
}

/// Whether it is said of what may change something that it may be asked for, and of nothing else.
fn allowed(settings: &AwsSettings, asked: &Spanned<String>, reads: bool, problems: &mut Problems) -> Option<()> {
    let mut well = true;
    for other in settings.allow.iter().filter(|allowed| allowed.value != asked.value) {
        let message = format!("`allow` has `{}`, and what is asked is `{}`", other.value, asked.value);
        problems.error(other.span.clone(), message).help = Some("remove it".to_owned());
        well = false;
    }
    if !reads && well && settings.allow.is_empty() {
        let message = format!("`{}` may change something", asked.value);
        problems.error(asked.span.clone(), message).help = Some(format!("if it may, write `allow: [{}]`", asked.value));
        well = false;
    }
    well.then_some(())
}

fn method(written: Option<&Spanned<String>>, problems: &mut Problems) -> Option<Method> {
    const METHODS: [Method; 6] = [Method::GET, Method::HEAD, Method::POST, Method::PUT, Method::PATCH, Method::DELETE];
    let Some(written) = written else { return Some(Method::GET) };
    let found = METHODS.into_iter().find(|method| method.as_str() == written.value);
    if found.is_none() {
        let message = format!("`{}` is not a method of AWS", written.value);
        let names = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"];
        let meant = nearest(&written.value.to_uppercase(), names);
        problems.error(written.span.clone(), message).help = Some(format!("write `{}`", meant.unwrap_or("GET")));
    }
    found
}

fn path_is_well(path: &Spanned<Template>, problems: &mut Problems) -> Option<()> {
    let text = sample(&path.value, HOLE);
    let (message, help) = if !text.starts_with('/') {
        (format!("the path `{text}` does not begin with `/`"), "write it like `/bucket/key`")
    } else if let Some(bad) = text.chars().find(|c| c.is_whitespace() || c.is_control() || *c == '#') {
        (format!("{bad:?} cannot stand in a path"), "write it percent-encoded, like `/bucket/a%20key`")
    } else {
        return Some(());
    };
    problems.error(path.span.clone(), message).help = Some(help.to_owned());
    None
}

/// The input as JSON text with holes; it is a mapping.
fn template_of(input: &Node, problems: &mut Problems) -> Option<Template> {
    if !matches!(input.value, Value::Map(_) | Value::Broken) {
        let message = CallError::NoObject.to_string();
        problems.error(input.span.clone(), message).help = Some("write `input: { TableName: shop }`".to_owned());
        return None;
    }
    json::template(input, problems)
}

/// A template with the same text in each of its holes.
fn sample(template: &Template, hole: &str) -> String {
    let fill = |piece: &Piece| if let Piece::Literal(text) = piece { text.clone() } else { hole.to_owned() };
    pieces(&template.to_string()).unwrap_or_default().iter().map(fill).collect()
}

/// A call that cannot be made, at its place.
fn unfit(error: CallError, settings: &AwsSettings, service: &'static Service) -> Problem {
    let action = settings.action.as_ref().map_or(&settings.service.span, |action| &action.span);
    let input = settings.input.as_ref().map_or(action, |input| &input.span);
    let message = error.to_string();
    match error {
        CallError::UnknownAction(_, name) => {
            let known = rest::of(service).map(|action| action.name);
            let help = nearest(&name, known).map(|meant| format!("did you mean `{meant}`?"));
            let problem =
                Problem::error(action.clone(), format!("`{}` has no action `{name}` that is known", service.name));
            problem.with_help(help.unwrap_or_else(|| {
                "write its method and its path in place of it, as AWS's API reference has them: `method: GET`, `path: /…`"
                    .to_owned()
            }))
        }
        CallError::UnknownField(name, field) => {
            let known = rest::find(service, name);
            let fields =
                known.into_iter().flat_map(|known| known.in_path().chain(known.in_queries().map(|(field, _)| field)));
            let fields: Vec<&str> = fields.collect();
            let at = settings.input.as_ref().and_then(|input| match &input.value {
                Value::Map(entries) => entries.iter().find(|entry| entry.key.text == field),
                _ => None,
            });
            let at = at.map_or(input, |entry| &entry.value.span).clone();
            let problem = Problem::error(at, message);
            match suggest(&field, fields.iter().copied()) {
                Some(help) => problem.with_help(help),
                None if fields.is_empty() => problem.with_help("remove it"),
                None => problem.with_help(format!("it takes {}", fields.join(", "))),
            }
        }
        _ => Problem::error(input.clone(), message),
    }
}
