//! Kind `tls`: a TLS handshake, and what the certificate says.

use std::sync::Arc;

use futures::future::BoxFuture;
use schemars::JsonSchema;
use serde::Deserialize;
use url::Host;

use super::names::{CONNECTING, TLS_MS};
use super::place::Target;
use crate::domain::expression::{Name, Names, Shape};
use crate::domain::outcome::{Failure, Observation};
use crate::domain::template::Template;
use crate::net::certificates;
use crate::net::dial::dial;
use crate::net::resolver::Resolver;
use crate::net::stopwatch::Stopwatch;
use crate::net::tls::{Trust, handshake};
use crate::ports::{Building, BuiltProber, Kind, Prober, StepContext};
use crate::settings::{Node, Problems, Spanned, read};

/// The row of this kind.
pub const KIND: Kind = Kind {
    name: "tls",
    about: "makes a TLS connection and looks at the certificate",
    main: "address",
    schema: TlsSettings::json_schema,
    names: || Names::new().with_all(CONNECTING).with(TLS_MS).with_all(TLS_NAMES),
    build,
};

/// What TLS adds to a connection, for every kind that speaks it.
pub const TLS_NAMES: &[Name] = &[
    Name::known("tls_version", Shape::Text, "`1.2` or `1.3`"),
    Name::known("cert", Shape::table(certificates::NAMES), "the server's certificate"),
];

/// A TLS connection.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct TlsSettings {
    /// Where to: `host:port`, with an IPv6 address in brackets.
    #[schemars(with = "Template")]
    address: Spanned<Template>,
    /// The name that is asked for, and that the certificate must have. Default: the host.
    #[schemars(with = "Option<String>")]
    server_name: Option<Spanned<String>>,
    /// PEM text of certificates that are trusted in addition to the machine's: `"${file:ca.pem}"`. Default, and what an
    /// empty text means: none.
    #[schemars(with = "Option<String>")]
    ca: Option<Spanned<String>>,
}

fn build(node: &Node, _: &Building, problems: &mut Problems) -> Option<BuiltProber> {
    let settings: TlsSettings = read(node, problems)?;
    let target = Target::read(&settings.address, problems);
    let trust = trust(settings.ca.as_ref(), problems);
    let server_name = match &settings.server_name {
        Some(name) => Some(server_name(name, problems)?),
        None => None,
    };
    let prober = TlsProber { target: target?, server_name, trust: trust?, resolver: Resolver::system() };
    Some(BuiltProber { prober: Arc::new(prober), implied: Vec::new() })
}

/// Reads the setting `ca`.
pub fn trust(ca: Option<&Spanned<String>>, problems: &mut Problems) -> Option<Trust> {
    let Some(ca) = ca else { return Some(Trust::default()) };
    match Trust::with_pem(&ca.value) {
        Ok(trust) => Some(trust),
        Err(why) => {
            let help = "`ca` takes PEM text, from `-----BEGIN CERTIFICATE-----` on: write `\"${file:ca.pem}\"`";
            problems.error(ca.span.clone(), format!("`ca` cannot be used: {why}")).help = Some(help.to_owned());
            None
        }
    }
}

fn server_name(written: &Spanned<String>, problems: &mut Problems) -> Option<String> {
    if let Ok(Host::Domain(name)) = Host::parse(&written.value) {
        return Some(name);
    }
    let message = format!("`{}` is not a host name", written.value);
    problems.error(written.span.clone(), message).help = Some("write a name like `shop.example.com`".to_owned());
    None
}

struct TlsProber {
    target: Target,
    server_name: Option<String>,
    trust: Trust,
    resolver: Resolver,
}

impl Prober for TlsProber {
    fn probe<'a>(&'a self, cx: &'a StepContext<'a>) -> BoxFuture<'a, Result<Observation, Failure>> {
        Box::pin(async move {
            let place = self.target.place(cx).await?;
            let mut watch = Stopwatch::start(cx.clock, cx.deadline);
            let dialled = dial(&self.resolver, &place.host, place.port, &mut watch).await;
            let (tcp, remote) = dialled.map_err(|failure| failure.after(watch.phases()))?;
            let name = self.server_name.as_deref().unwrap_or(&place.host);
            let secured = handshake(tcp, name, &self.trust, &mut watch).await;
            let secured = secured.map_err(|failure| failure.after(watch.phases()))?;
            let mut observation = Observation {
                phases: watch.phases(),
                certificate_expires: Some(secured.chain.expires()),
                ..Observation::default()
            };
            let facts = &mut observation.facts;
            facts.insert("remote_ip".to_owned(), remote.ip().to_string().into());
            facts.insert("tls_version".to_owned(), secured.version.into());
            facts.insert("cert".to_owned(), secured.chain.facts(cx.clock.now()));
            Ok(observation)
        })
    }
}
