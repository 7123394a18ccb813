//! The settings of kind `grpc`, and the prober that they become.

use std::collections::BTreeMap;
use std::sync::Arc;

use http::header;
use schemars::JsonSchema;
use serde::Deserialize;

use super::prober::GrpcProber;
use crate::domain::expression::{Name, Names, Shape};
use crate::domain::template::{Piece, Template, canonical, pieces};
use crate::net::resolver::Resolver;
use crate::net::tls::Terms;
use crate::ports::{Building, BuiltProber, Implied, Kind};
use crate::probers::http::headers::{self, HeaderDraft};
use crate::probers::names::{CONNECTING, TLS_MS};
use crate::probers::place::Target;
use crate::probers::tls::{TLS_NAMES, trust};
use crate::settings::{Node, Problems, Spanned, read};

/// The row of this kind.
pub const KIND: Kind = Kind {
    name: "grpc",
    about: "asks the standard health service of a gRPC server",
    main: "url",
    schema: GrpcSettings::json_schema,
    names: || Names::new().with_all(GRPC_NAMES).with_all(CONNECTING).with(TLS_MS).with_all(TLS_NAMES),
    build,
};

const GRPC_NAMES: &[Name] = &[
    Name::known("serving", Shape::Text, "`SERVING`, `NOT_SERVING`, …; absent when the call did not go well"),
    Name::known("grpc_status", Shape::Text, "the status of the call: `OK`, `NOT_FOUND`, `UNAVAILABLE`, …"),
    Name::known("grpc_message", Shape::Text, "what the server says about the status; mostly empty"),
    Name::known("first_byte_ms", Shape::Number, "from the call to the head of its answer, in milliseconds"),
    Name::known("transfer_ms", Shape::Number, "from then to the call's status, in milliseconds"),
];

const SECURED: &str = "grpcs://";
const PLAIN: &str = "grpc://";

/// A question to a health service.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct GrpcSettings {
    /// Where to: `grpcs://host:port`, or `grpc://host:port` without TLS.
    #[schemars(with = "Template")]
    url: Spanned<Template>,
    /// The service that is asked about, like `shop.v1.Orders`. Default: the server as a whole.
    service: Option<Template>,
    /// Metadata of the call by name. Default: none.
    #[serde(default)]
    #[schemars(with = "BTreeMap<String, Template>")]
    metadata: BTreeMap<Spanned<String>, Spanned<Template>>,
    /// A token for the metadata `authorization: Bearer`. Default: none.
    #[schemars(with = "Option<Template>")]
    bearer: Option<Spanned<Template>>,
    /// PEM text of certificates that are trusted in addition to the machine's: `"${file:ca.pem}"`. An empty text
    /// adds none, so that `SHOP_CA` may be unset in `"${env:SHOP_CA:-}"`. Default: none.
    #[schemars(with = "Option<String>")]
    ca: Option<Spanned<String>>,
}

fn build(node: &Node, _: &Building, problems: &mut Problems) -> Option<BuiltProber> {
    let settings: GrpcSettings = read(node, problems)?;
    let known = problems.len();
    let target = target(&settings.url, problems);
    let metadata = metadata(&settings, problems);
    let trust = trust(settings.ca.as_ref(), problems);
    if problems.len() > known {
        return None;
    }
    let (secured, target) = target?;
    let prober = GrpcProber {
        target,
        service: settings.service,
        metadata,
        bearer: settings.bearer.map(|bearer| bearer.value),
        terms: secured.then_some(Terms { trust: trust?, protocols: &[b"h2"], identity: None }),
        resolver: Resolver::system(),
    };
    let implied = vec![
        Implied { unless_mentioned: "grpc_status", expect: "grpc_status == \"OK\"" },
        Implied { unless_mentioned: "serving", expect: "grpc_status != \"OK\" || serving == \"SERVING\"" },
    ];
    Some(BuiltProber { prober: Arc::new(prober), implied })
}

/// Whether TLS is spoken, and the place behind the scheme.
fn target(written: &Spanned<Template>, problems: &mut Problems) -> Option<(bool, Target)> {
    let mut pieces = pieces(&written.value.to_string()).unwrap_or_default();
    let first = match pieces.first_mut() {
        Some(Piece::Literal(text)) => Some(text),
        _ => None,
    };
    let found = first.and_then(|text| {
        let secured = text.starts_with(SECURED);
        let rest = text.strip_prefix(SECURED).or_else(|| text.strip_prefix(PLAIN))?;
        *text = rest.trim_end_matches('/').to_owned();
        Some(secured)
    });
    let Some(secured) = found else {
        let message = format!("`{}` does not begin with `{SECURED}` or `{PLAIN}`", written.value);
        problems.error(written.span.clone(), message).help =
            Some(format!("write `{SECURED}shop.example.com:443`, or `{PLAIN}` for a server without TLS"));
        return None;
    };
    // What was cut from a template reads back.
    let value = Template::parse(&canonical(&pieces)).ok()?;
    Target::read(&Spanned { value, span: written.span.clone() }, problems).map(|target| (secured, target))
}

fn metadata(settings: &GrpcSettings, problems: &mut Problems) -> Vec<HeaderDraft> {
    let drafts = headers::read(&settings.metadata, problems);
    for name in settings.metadata.keys() {
        let lower = name.value.to_ascii_lowercase();
        if lower.starts_with("grpc-") || lower == header::CONTENT_TYPE.as_str() || lower == header::HOST.as_str() {
            let message = format!("`{}` is a part of the protocol and cannot be set", name.value);
            problems.error(name.span.clone(), message).help = Some("remove it".to_owned());
        }
    }
    if let Some(bearer) = &settings.bearer {
        headers::check(bearer, problems);
        if drafts.iter().any(|draft| draft.name == header::AUTHORIZATION) {
            problems.error(bearer.span.clone(), "`metadata` has an `authorization` already").help =
                Some("remove one of them".to_owned());
        }
    }
    drafts
}
