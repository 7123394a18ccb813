//! The setting `tls` of the kinds that may speak it: `true`, `false`, or whom to trust.

use std::borrow::Cow;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::Deserialize;
use tokio_rustls::client::TlsStream;
use url::Host;

use super::tls::trust;
use crate::domain::outcome::Failure;
use crate::net::stopwatch::Stopwatch;
use crate::net::stream::Stream;
use crate::net::tls::{Shown, Terms, handshake};
use crate::settings::{Node, Problem, Problems, Spanned, Value, read};

/// How a connection is secured.
#[derive(Debug, Default)]
pub struct Securing {
    server_name: Option<String>,
    terms: Terms,
}

/// What is asked about TLS.
#[derive(Debug)]
pub enum Asked {
    /// It is not spoken.
    Off,
    /// It is spoken where the server offers it.
    Prefer(Securing),
    /// Nothing is said without it.
    Require(Securing),
}

/// Whom the certificate must be for, and who may have signed it.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct TlsSettings {
    /// The name that is asked for, and that the certificate must have. Default: the host.
    #[schemars(with = "Option<String>")]
    server_name: Option<Spanned<String>>,
    /// PEM text of certificates that are trusted in addition to the machine's: `"${file:ca.pem}"`. An empty text
    /// adds none, so that `SHOP_CA` may be unset in `"${env:SHOP_CA:-}"`. Default: none.
    #[schemars(with = "Option<String>")]
    ca: Option<Spanned<String>>,
}

/// The shape of the setting where it is yes, no, or a mapping.
pub struct YesNoOrTrust;

impl JsonSchema for YesNoOrTrust {
    fn schema_name() -> Cow<'static, str> {
        "Tls".into()
    }
    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let settings = generator.subschema_for::<TlsSettings>();
        json_schema!({ "anyOf": [{ "type": "boolean" }, settings] })
    }
}

/// The shape of the setting where it may be left to the server as well.
#[cfg(feature = "postgres")]
pub struct PreferOrTrust;

#[cfg(feature = "postgres")]
impl JsonSchema for PreferOrTrust {
    fn schema_name() -> Cow<'static, str> {
        "TlsOrPrefer".into()
    }
    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let settings = generator.subschema_for::<TlsSettings>();
        json_schema!({ "anyOf": [{ "type": "boolean" }, { "const": "prefer" }, settings] })
    }
}

impl Asked {
    /// Reads the setting; `may_prefer` where the protocol lets a server say whether it speaks TLS.
    pub fn read(node: &Node, may_prefer: bool, problems: &mut Problems) -> Option<Self> {
        match &node.value {
            Value::Bool(true) => Some(Self::Require(Securing::default())),
            Value::Bool(false) => Some(Self::Off),
            Value::Text(word) if may_prefer && word.text == "prefer" => Some(Self::Prefer(Securing::default())),
            Value::Map(_) => {
                let settings: TlsSettings = read(node, problems)?;
                let securing = Securing::of(settings.server_name.as_ref(), settings.ca.as_ref(), problems)?;
                Some(Self::Require(securing))
            }
            Value::Broken => None,
            _ => {
                let words = if may_prefer { "`true`, `false`, `prefer`" } else { "`true`, `false`" };
                let problem = Problem::error(node.span.clone(), format!("`tls` is {words} or a mapping"));
                problems
                    .push(problem.with_help("write `tls: true`, or whom to trust: `tls: { ca: \"${file:ca.pem}\" }`"));
                None
            }
        }
    }
}

impl Securing {
    /// Reads the two settings.
    pub fn of(
        server_name: Option<&Spanned<String>>,
        ca: Option<&Spanned<String>>,
        problems: &mut Problems,
    ) -> Option<Self> {
        let known = problems.len();
        let trust = trust(ca, problems);
        let server_name = server_name.and_then(|name| host_name(name, problems));
        (problems.len() == known).then_some(Self { server_name, terms: Terms { trust: trust?, ..Terms::default() } })
    }

    /// Makes the handshake; `host` is whom the certificate must be for where nothing else is asked.
    /// What the server showed is in `shown`, also when it was refused.
    pub async fn handshake(
        &self,
        tcp: Stream,
        host: &str,
        watch: &mut Stopwatch<'_>,
        shown: &mut Option<Shown>,
    ) -> Result<TlsStream<Stream>, Failure> {
        handshake(&self.terms, tcp, self.server_name.as_deref().unwrap_or(host), watch, shown).await
    }
}

fn host_name(written: &Spanned<String>, problems: &mut Problems) -> Option<String> {
    if let Ok(Host::Domain(name)) = Host::parse(&written.value) {
        return Some(name);
    }
    let message = format!("`{}` is not a host name", written.value);
    problems.error(written.span.clone(), message).help = Some("write a name like `shop.example.com`".to_owned());
    None
}
