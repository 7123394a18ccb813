//! What an exchange over HTTP gives to assertions.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;

use http::response::Parts;
use serde_json::{Map, Value, json};

use super::connection::Connection;
use super::exchange::Answer;
use super::request::Request;
use crate::domain::expression::{Name, Shape};
use crate::domain::fact_map::FactMap;
use crate::domain::outcome::{Observation, Phases};
use crate::domain::time::Timestamp;
use crate::net::resolver::Family;

/// The names that this kind has beside those of every connection.
pub const NAMES: &[Name] = &[
    Name::known("status", Shape::Number, "the status code of the last answer"),
    Name::known("headers", Shape::Map(&Shape::Text), "its headers, with lower-case names; repeats are joined by `, `"),
    Name::known("body", Shape::Text, "its body, unpacked, where it is UTF-8"),
    Name::known("json", Shape::Any, "its body, where it is JSON"),
    Name::known("wire_bytes", Shape::Number, "how many bytes its body had on the wire, before it was unpacked"),
    Name::known("http_version", Shape::Text, "`1.0`, `1.1` or `2`"),
    Name::known("ip_family", Shape::Text, "`ipv4` or `ipv6`: that of `remote_ip`"),
    Name::known("requests", Shape::Number, "how often the request was made; only there with `repeat`"),
    Name::known("redirects", Shape::Number, "how many redirects were followed"),
    Name::known("url", Shape::Text, "the URL of the last request"),
    Name::known("hops", Shape::List(&HOP), "the exchanges in their order: the redirects, then the last one"),
    Name::known("first_byte_ms", Shape::Number, "from the request's last byte to the answer's first, in milliseconds"),
    Name::known("transfer_ms", Shape::Number, "from the answer's first byte to its last, in milliseconds"),
];

static HOP: Shape = Shape::table(HOP_NAMES);

const HOP_NAMES: &[Name] = &[
    Name::known("url", Shape::Text, "the URL of the request"),
    Name::known("status", Shape::Number, "the status code of the answer"),
    Name::known("remote_ip", Shape::Text, "the address that answered"),
    Name::known("http_version", Shape::Text, "`1.0`, `1.1` or `2`"),
    Name::known("dns_ms", Shape::Number, "looking the name up, in milliseconds; absent where nothing was"),
    Name::known(
        "connect_ms",
        Shape::Number,
        "the TCP handshake, in milliseconds; absent on a connection that was there",
    ),
    Name::known("tls_ms", Shape::Number, "the TLS handshake, in milliseconds; absent likewise"),
    Name::known("first_byte_ms", Shape::Number, "from the request's last byte to the answer's first, in milliseconds"),
    Name::known("transfer_ms", Shape::Number, "from the answer's first byte to its last, in milliseconds"),
    Name::known("total_ms", Shape::Number, "all of this exchange, in milliseconds"),
];

/// One exchange of several.
pub struct Hop {
    /// The request.
    pub request: Arc<Request>,
    /// Status and headers of the answer.
    pub head: Arc<Parts>,
    /// What answered.
    pub remote: Option<SocketAddr>,
    /// How long it took.
    pub phases: Phases,
}

impl Hop {
    fn told(&self) -> Value {
        let mut hop = json!({
            "url": self.request.url.as_str(),
            "status": self.head.status.as_u16(),
            "http_version": version(self.head.version),
            "total_ms": self.phases.total_ms,
        });
        if let Some(remote) = self.remote {
            hop["remote_ip"] = remote.ip().to_string().into();
        }
        for (name, ms) in self.phases.parts() {
            if let Some(ms) = ms {
                hop[name] = ms.into();
            }
        }
        hop
    }
}

/// What was seen of the last exchange. The hops are those before and this one.
pub fn observe(connection: &Connection, answer: Answer, hops: Vec<Hop>, now: Timestamp) -> Observation {
    let mut facts = FactMap::default();
    facts.insert("status", answer.head.status.as_u16());
    facts.insert("http_version", version(answer.head.version));
    facts.insert_late("headers", move || headers(&answer.head.headers));
    facts.insert("wire_bytes", answer.wire_bytes);
    if let Some(remote) = connection.peer.remote {
        facts.insert("ip_family", Family::of(remote.ip()).as_str());
    }
    facts.insert("redirects", hops.len().saturating_sub(1));
    let hops: Arc<[Hop]> = hops.into();
    let last = Arc::clone(&hops);
    facts.insert_late("url", move || last.last().map(|hop| hop.request.url.as_str()).into());
    facts.insert_late("hops", move || hops.iter().map(Hop::told).collect());
    let mut observation = Observation { facts, body: Some(answer.body), ..Observation::default() };
    connection.peer.tell(&mut observation, now);
    observation
}

fn version(version: http::Version) -> &'static str {
    match version {
        http::Version::HTTP_10 => "1.0",
        http::Version::HTTP_2 => "2",
        _ => "1.1",
    }
}

/// Lower-case names; what came several times is joined by `, `.
fn headers(headers: &http::HeaderMap) -> Value {
    let mut joined: BTreeMap<&str, String> = BTreeMap::new();
    for (name, value) in headers {
        let value = String::from_utf8_lossy(value.as_bytes());
        joined
            .entry(name.as_str())
            .and_modify(|all| {
                all.push_str(", ");
                all.push_str(&value);
            })
            .or_insert_with(|| value.clone().into_owned());
    }
    joined.into_iter().map(|(name, value)| (name.to_owned(), Value::String(value))).collect::<Map<_, _>>().into()
}
