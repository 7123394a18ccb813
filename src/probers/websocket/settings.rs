//! The settings of kind `websocket`, and the prober that they become.

use std::collections::BTreeMap;
use std::sync::Arc;

use http::header::{self, HeaderName};
use schemars::JsonSchema;
use serde::Deserialize;

use super::prober::WebSocketProber;
use crate::domain::expression::{Name, Names, Shape};
use crate::domain::template::Template;
use crate::net::resolver::Resolver;
use crate::net::tls::Terms;
use crate::ports::{Building, BuiltProber, Kind};
use crate::probers::http::headers::{self, HeaderDraft};
use crate::probers::http::url::{Schemes, UrlDraft};
use crate::probers::names::{CONNECTING, TLS_MS};
use crate::probers::number::number;
use crate::probers::tls::{TLS_NAMES, trust};
use crate::settings::{Node, Problem, Problems, Spanned, read};

/// The row of this kind.
pub const KIND: Kind = Kind {
    name: "websocket",
    about: "opens a WebSocket and exchanges messages over it",
    main: "url",
    schema: WebSocketSettings::json_schema,
    names: || Names::new().with_all(WEBSOCKET_NAMES).with_all(CONNECTING).with(TLS_MS).with_all(TLS_NAMES),
    build,
};

const WEBSOCKET_NAMES: &[Name] = &[
    Name::known("message", Shape::Text, "the last message that was waited for, where it is UTF-8"),
    Name::known("json", Shape::Any, "the same, where it is JSON"),
    Name::known("subprotocol", Shape::Text, "the subprotocol that the server chose; absent without one"),
    Name::known("close_code", Shape::Number, "the code with which the server closed; absent when it did not in time"),
    Name::known("close_reason", Shape::Text, "its reason; absent when it did not close"),
    Name::known("first_byte_ms", Shape::Number, "the WebSocket's handshake, in milliseconds"),
    Name::known("transfer_ms", Shape::Number, "from then until the last message that was waited for, in milliseconds"),
];

static SCHEMES: Schemes = Schemes { names: ["wss", "ws"], credentials: "bearer: \"${secret:…}\"" };

/// The most messages that are waited for.
const RECEIVE_MAX: u64 = 10;
/// The limit of a message that names none, in bytes.
const MESSAGE_BYTES_DEFAULT: u64 = 1024 * 1024;
/// The largest limit of a message, in bytes.
const MESSAGE_BYTES_MAX: u64 = 10 * 1024 * 1024;
/// The most subprotocols that are offered.
const SUBPROTOCOLS_MAX: usize = 16;

/// What the handshake itself says (RFC 6455, section 4.1).
const OURS: [HeaderName; 5] = [
    header::SEC_WEBSOCKET_KEY,
    header::SEC_WEBSOCKET_VERSION,
    header::SEC_WEBSOCKET_PROTOCOL,
    header::SEC_WEBSOCKET_EXTENSIONS,
    header::SEC_WEBSOCKET_ACCEPT,
];

/// A WebSocket.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct WebSocketSettings {
    /// Where to: `wss://` or `ws://`, host and path. What is filled in is percent-encoded.
    #[schemars(with = "Template")]
    url: Spanned<Template>,
    /// Headers of the handshake by name. Default: none.
    #[serde(default)]
    #[schemars(with = "BTreeMap<String, Template>")]
    headers: BTreeMap<Spanned<String>, Spanned<Template>>,
    /// A token for `Authorization: Bearer`. Default: none.
    #[schemars(with = "Option<Template>")]
    bearer: Option<Spanned<Template>>,
    /// The subprotocols that are offered, the preferred one first; at most 16. Default: none.
    #[serde(default)]
    #[schemars(with = "Vec<String>")]
    subprotocols: Vec<Spanned<String>>,
    /// A text that is sent when the WebSocket is open. May have holes. Default: nothing.
    #[schemars(with = "Option<Template>")]
    send: Option<Spanned<Template>>,
    /// How many messages are waited for, at most 10; the last one is `message`. A server that greets first wants 2.
    /// Default: 1 with `send`, else 0.
    #[schemars(with = "Option<u64>")]
    receive: Option<Spanned<u64>>,
    /// Whether the server is expected to close, and is waited for. Default: `false`.
    #[serde(default)]
    until_closed: bool,
    /// How many bytes a message may have, at most 10485760; a larger one is a failure. Default: 1048576 (1 MiB).
    #[schemars(with = "Option<u64>")]
    max_message: Option<Spanned<u64>>,
    /// PEM text of certificates that are trusted in addition to the machine's: `"${file:ca.pem}"`. An empty text
    /// adds none, so that `SHOP_CA` may be unset in `"${env:SHOP_CA:-}"`. Default: none.
    #[schemars(with = "Option<String>")]
    ca: Option<Spanned<String>>,
}

fn build(node: &Node, _: &Building, problems: &mut Problems) -> Option<BuiltProber> {
    let settings: WebSocketSettings = read(node, problems)?;
    let known = problems.len();
    let url = UrlDraft::read(&settings.url, &SCHEMES, problems);
    let drafts = headers(&settings, problems);
    let subprotocols = subprotocols(&settings.subprotocols, problems);
    let default = u64::from(settings.send.is_some());
    let receive = number("receive", settings.receive.as_ref(), 0..=RECEIVE_MAX, default, problems);
    let message_bytes_max =
        number("max_message", settings.max_message.as_ref(), 1..=MESSAGE_BYTES_MAX, MESSAGE_BYTES_DEFAULT, problems);
    let trust = trust(settings.ca.as_ref(), problems);
    if problems.len() > known {
        return None;
    }
    let prober = WebSocketProber {
        url: url?,
        headers: drafts,
        bearer: settings.bearer.map(|bearer| bearer.value),
        subprotocols,
        send: settings.send.map(|text| text.value),
        receive,
        until_closed: settings.until_closed,
        message_bytes_max: usize::try_from(message_bytes_max).ok()?,
        terms: Terms { trust: trust?, ..Terms::default() },
        resolver: Resolver::system(),
    };
    Some(BuiltProber { prober: Arc::new(prober), implied: Vec::new() })
}

fn headers(settings: &WebSocketSettings, problems: &mut Problems) -> Vec<HeaderDraft> {
    let drafts = headers::read(&settings.headers, problems);
    for name in settings.headers.keys() {
        if OURS.iter().any(|ours| name.value.eq_ignore_ascii_case(ours.as_str())) {
            let cure = if name.value.eq_ignore_ascii_case(header::SEC_WEBSOCKET_PROTOCOL.as_str()) {
                "remove it and write `subprotocols: […]`"
            } else {
                "remove it"
            };
            let message = format!("`{}` is a part of the handshake and cannot be set", name.value);
            problems.error(name.span.clone(), message).help = Some(cure.to_owned());
        }
    }
    if let Some(bearer) = &settings.bearer {
        headers::check(bearer, problems);
        if drafts.iter().any(|draft| draft.name == header::AUTHORIZATION) {
            problems.error(bearer.span.clone(), "`headers` has an `Authorization` already").help =
                Some("remove one of them".to_owned());
        }
    }
    drafts
}

/// Subprotocols are tokens of HTTP, each once (RFC 6455, section 4.1).
fn subprotocols(written: &[Spanned<String>], problems: &mut Problems) -> Vec<String> {
    let is_token = |text: &str| {
        !text.is_empty() && text.chars().all(|c| c.is_ascii_graphic() && !"()<>@,;:\\\"/[]?={}".contains(c))
    };
    let mut read: Vec<String> = Vec::new();
    for one in written {
        if !is_token(&one.value) {
            let message = format!("`{}` is not the name of a subprotocol", one.value);
            problems.error(one.span.clone(), message).help =
                Some("a name has letters, digits, `-`, `.` and `_`, like `graphql-transport-ws`".to_owned());
        } else if read.contains(&one.value) {
            problems.error(one.span.clone(), format!("the subprotocol `{}` is given twice", one.value));
        }
        read.push(one.value.clone());
    }
    if let Some(beyond) = written.get(SUBPROTOCOLS_MAX) {
        let message = format!("a WebSocket offers at most {SUBPROTOCOLS_MAX} subprotocols");
        problems.push(Problem::error(beyond.span.clone(), message));
    }
    read
}
