//! Kind `tcp`: does something accept connections there, and does it say what it should?

use std::sync::Arc;

use bytes::Bytes;
use futures::future::BoxFuture;
use schemars::JsonSchema;
use serde::Deserialize;

use super::connection::{Connection, Said};
use super::names::{CONNECTING, FIRST_BYTE_MS, TLS_MS, TRANSFER_MS};
use super::place::{Place, Target};
use super::securing::{Asked, Securing, YesNoOrTrust};
use super::starttls::StartTls;
use super::tls::{BANNER, TLS_NAMES};
use crate::domain::expression::{Name, Names, Shape};
use crate::domain::outcome::{Failure, Observation};
use crate::domain::template::Template;
use crate::domain::text::hex;
use crate::net::resolver::Resolver;
use crate::net::stopwatch::{Part, Stopwatch};
use crate::ports::{Building, BuiltProber, Kind, Prober, StepContext};
use crate::settings::{Node, Problem, Problems, Spanned, Value, read};

/// At most so many bytes are heard.
const BYTES_MAX: usize = 64 * 1024;
/// The text that ends what is received may be this long, in bytes.
const END_BYTES_MAX: usize = 1_024;

/// The row of this kind.
pub const KIND: Kind = Kind {
    name: "tcp",
    about: "makes a TCP connection, and may speak a few words over it",
    main: "address",
    schema: TcpSettings::json_schema,
    names: || {
        let names = Names::new().with_all(CONNECTING).with(TLS_MS).with(FIRST_BYTE_MS).with(TRANSFER_MS);
        names.with_all(TLS_NAMES).with(BANNER).with_all(NAMES)
    },
    build,
};

const NAMES: &[Name] = &[
    Name::known("received", Shape::Text, "what came, where `receive` is set and it is UTF-8"),
    Name::known("received_hex", Shape::Text, "what came, as pairs of hexadecimal digits"),
];

/// A TCP connection.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct TcpSettings {
    /// Where to: `host:port`; an IPv6 address stands in brackets: `[::1]:5432`.
    #[schemars(with = "Template")]
    address: Spanned<Template>,
    /// Whether TLS is spoken from the first byte: `true`, or whom to trust: `{ ca: "${file:ca.pem}", server_name:
    /// mail.example.com }`. Default: `false`.
    #[schemars(with = "Option<YesNoOrTrust>")]
    tls: Option<Node>,
    /// `smtp`, `imap` or `postgres`: the connection begins in the clear, asks for TLS in the words of that protocol, and
    /// goes over to it. `tls` may then say whom to trust. Default: none.
    #[schemars(with = "Option<StartTls>")]
    starttls: Option<Spanned<StartTls>>,
    /// What is said, as it is; double quotes know `\r\n` and `\t`. May have holes. Default: nothing.
    send: Option<Template>,
    /// What is waited for: `line`; `end` (until the other side closes); `{ until: "text" }`, which belongs to it; or `{
    /// bytes: 4 }`. At most 64 KiB. Default: nothing.
    #[schemars(with = "Option<ReceiveShape>")]
    receive: Option<Node>,
}

/// Where what is received ends.
#[derive(Debug)]
enum Receive {
    /// With the line.
    Line,
    /// Where the other side closes.
    End,
    /// With this text.
    Until(String),
    /// After so many bytes.
    Bytes(usize),
}

/// Where what is received ends, other than with the line or the connection.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct ReceiveSettings {
    /// The text that ends it, and belongs to it.
    #[schemars(with = "Option<String>")]
    until: Option<Spanned<String>>,
    /// How many bytes: 1 to 65536.
    #[schemars(with = "Option<u64>")]
    bytes: Option<Spanned<u64>>,
}

struct ReceiveShape;

impl JsonSchema for ReceiveShape {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Receive".into()
    }
    fn json_schema(generator: &mut schemars::SchemaGenerator) -> schemars::Schema {
        let settings = generator.subschema_for::<ReceiveSettings>();
        schemars::json_schema!({ "anyOf": [{ "enum": ["line", "end"] }, settings] })
    }
}

impl Receive {
    fn read(node: &Node, problems: &mut Problems) -> Option<Self> {
        match &node.value {
            Value::Text(word) if word.text == "line" => return Some(Self::Line),
            Value::Text(word) if word.text == "end" => return Some(Self::End),
            Value::Broken => return None,
            Value::Map(_) => {}
            _ => {
                let problem = Problem::error(node.span.clone(), "`receive` does not say where what comes ends");
                let help =
                    "write `line`, `end`, `{ until: \"text\" }` or `{ bytes: 4 }`; what came is `received` in `expect`";
                problems.push(problem.with_help(help));
                return None;
            }
        }
        let settings: ReceiveSettings = read(node, problems)?;
        match (settings.until, settings.bytes) {
            (Some(until), None) if (1..=END_BYTES_MAX).contains(&until.value.len()) => Some(Self::Until(until.value)),
            (Some(until), None) => {
                problems.error(until.span, format!("`until` takes 1 to {END_BYTES_MAX} bytes"));
                None
            }
            (None, Some(bytes)) => {
                let count = usize::try_from(bytes.value).ok().filter(|count| (1..=BYTES_MAX).contains(count));
                if count.is_none() {
                    problems.error(bytes.span, format!("`bytes` is from 1 to {BYTES_MAX}, not {}", bytes.value));
                }
                count.map(Self::Bytes)
            }
            (Some(until), Some(bytes)) => {
                let problem = Problem::error(bytes.span, "what is received ends once: `until` or `bytes`, not both");
                problems.push(problem.with_also(until.span, "the other one"));
                None
            }
            (None, None) => {
                let problem = Problem::error(node.span.clone(), "`receive` does not say where what comes ends");
                problems.push(problem.with_help("write `until` or `bytes`"));
                None
            }
        }
    }
}

fn build(node: &Node, _: &Building, problems: &mut Problems) -> Option<BuiltProber> {
    let settings: TcpSettings = read(node, problems)?;
    let target = Target::read(&settings.address, problems);
    let known = problems.len();
    let asked = settings.tls.as_ref().and_then(|node| Asked::read(node, false, problems));
    let receive = settings.receive.as_ref().and_then(|node| Receive::read(node, problems));
    let securing = match (asked, &settings.starttls) {
        (Some(Asked::Require(securing) | Asked::Prefer(securing)), _) => Some(securing),
        (Some(Asked::Off), Some(starttls)) => {
            let problem = Problem::error(starttls.span.clone(), "`starttls` asks for TLS, and `tls: false` forbids it");
            problems.push(problem.with_help("remove one of them"));
            None
        }
        (Some(Asked::Off), None) => None,
        (None, starttls) => starttls.as_ref().map(|_| Securing::default()),
    };
    if problems.len() > known {
        return None;
    }
    let prober = TcpProber {
        target: target?,
        securing,
        starttls: settings.starttls.map(|starttls| starttls.value),
        send: settings.send,
        receive,
        resolver: Resolver::system(),
    };
    Some(BuiltProber { prober: Arc::new(prober), implied: Vec::new() })
}

struct TcpProber {
    target: Target,
    securing: Option<Securing>,
    starttls: Option<StartTls>,
    send: Option<Template>,
    receive: Option<Receive>,
    resolver: Resolver,
}

/// What came of a connection beyond that it was made.
#[derive(Default)]
struct Heard {
    banner: Option<String>,
    received: Option<Bytes>,
}

impl Prober for TcpProber {
    fn host(&self) -> Option<String> {
        self.target.host()
    }

    fn probe<'a>(&'a self, cx: &'a StepContext<'a>) -> BoxFuture<'a, Result<Observation, Failure>> {
        Box::pin(async move {
            let place = self.target.place(cx).await?;
            let words = match &self.send {
                Some(send) => cx.fill(send, |value| Some(value.to_owned())).await?,
                None => String::new(),
            };
            let mut watch = Stopwatch::start(cx.clock, cx.deadline);
            let opened = Connection::open(&place, &self.resolver, BYTES_MAX, &mut watch).await;
            let mut connection = opened.map_err(|failure| failure.after(watch.phases()))?;
            let heard = self.talk(&mut connection, &place, &words, &mut watch).await;
            connection.record(Said { words, ..Said::default() }, &watch, cx);
            let heard = heard.map_err(|failure| connection.failed(failure, &watch))?;
            let mut observation = connection.observation(cx.clock.now());
            observation.phases = watch.phases();
            let facts = &mut observation.facts;
            if let Some(banner) = heard.banner {
                facts.insert(BANNER.name, banner);
            }
            if let Some(received) = heard.received {
                facts.insert("received_hex", hex(&received));
                if let Ok(text) = std::str::from_utf8(&received) {
                    facts.insert("received", text);
                }
            }
            Ok(observation)
        })
    }
}

impl TcpProber {
    async fn talk(
        &self,
        connection: &mut Connection,
        place: &Place,
        words: &str,
        watch: &mut Stopwatch<'_>,
    ) -> Result<Heard, Failure> {
        let mut heard = Heard::default();
        if let Some(protocol) = self.starttls {
            heard.banner = protocol.ask(connection, watch).await?;
        }
        if let Some(securing) = &self.securing {
            connection.secure(securing, &place.host, watch).await?;
        }
        connection.begin();
        match &self.receive {
            Some(receive) => heard.received = Some(hear(receive, words, connection, watch).await?),
            None => watch.bound(|| Part::FirstByte, connection.say(words.as_bytes())).await?,
        }
        Ok(heard)
    }
}

async fn hear(
    receive: &Receive,
    words: &str,
    connection: &mut Connection,
    watch: &mut Stopwatch<'_>,
) -> Result<Bytes, Failure> {
    if words.is_empty() {
        connection.first(watch).await?;
    } else {
        connection.ask(words.as_bytes(), watch).await?;
    }
    let rest = async {
        match receive {
            Receive::Line => connection.line().await,
            Receive::End => connection.rest().await,
            Receive::Until(end) => connection.until(end.as_bytes()).await,
            Receive::Bytes(count) => connection.exactly(*count).await,
        }
    };
    watch.time(Part::Transfer, rest).await
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::probers::testing;

    #[test]
    fn where_what_comes_ends_is_read() {
        for (yaml, ends) in [
            ("line", "Line"),
            ("end", "End"),
            ("{ until: \"\\r\\n.\" }", "Until(\"\\r\\n.\")"),
            ("{ bytes: 4 }", "Bytes(4)"),
        ] {
            let mut problems = Problems::new();
            let node = crate::settings::parse(crate::settings::Source::new("a.yaml", yaml), &mut problems).unwrap();
            assert_eq!(format!("{:?}", Receive::read(&node, &mut problems).unwrap()), ends);
        }
    }

    #[test]
    fn mistakes_are_told_in_one_pass() {
        let told =
            testing::build(&KIND, "{ address: a, receive: all, starttls: smtp, tls: false }", false).err().unwrap();
        for words in ["`a` has no port", "`receive` does not say", "`tls: false` forbids it"] {
            assert!(told.contains(words), "{words}: {told}");
        }
    }
}
