//! Kind `tls`: a TLS handshake, and what the certificate says.

use std::sync::Arc;

use futures::future::BoxFuture;
use schemars::JsonSchema;
use serde::Deserialize;

use super::connection::{Connection, Said};
use super::names::{CONNECTING, TLS_MS};
use super::place::{Place, Target};
use super::securing::Securing;
use super::starttls::StartTls;
use crate::domain::expression::{Name, Names, Shape};
use crate::domain::outcome::{Failure, Observation};
use crate::domain::template::Template;
use crate::net::certificates;
use crate::net::resolver::Resolver;
use crate::net::stopwatch::Stopwatch;
use crate::net::tls::Trust;
use crate::ports::{Building, BuiltProber, Kind, Prober, StepContext};
use crate::settings::{Node, Problems, Spanned, read};

/// Before the handshake this many bytes are heard at most.
const CLEAR_BYTES_MAX: usize = 64 * 1024;

/// The row of this kind.
pub const KIND: Kind = Kind {
    name: "tls",
    about: "makes a TLS connection and looks at the certificate",
    main: "address",
    schema: TlsSettings::json_schema,
    names: || Names::new().with_all(CONNECTING).with(TLS_MS).with_all(TLS_NAMES).with(BANNER),
    build,
};

/// What TLS adds to a connection, for every kind that speaks it.
pub const TLS_NAMES: &[Name] = &[
    Name::known("tls_version", Shape::Text, "`1.2` or `1.3`"),
    Name::known("cert", Shape::table(certificates::NAMES), "the server's certificate"),
];

/// What a server says by itself before it goes over to TLS.
pub const BANNER: Name =
    Name::known("banner", Shape::Text, "what the server said first; with `starttls: smtp` and `imap` only");

/// A TLS connection.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct TlsSettings {
    /// Where to: `host:port`, with an IPv6 address in brackets.
    #[schemars(with = "Template")]
    address: Spanned<Template>,
    /// `smtp`, `imap` or `postgres`: the connection begins in the clear and asks for TLS in the words of that protocol.
    /// Default: none, TLS from the first byte.
    starttls: Option<StartTls>,
    /// The name that is asked for, and that the certificate must have. Default: the host.
    #[schemars(with = "Option<String>")]
    server_name: Option<Spanned<String>>,
    /// PEM text of certificates that are trusted in addition to the machine's: `"${file:ca.pem}"`. An empty text
    /// adds none, so that `SHOP_CA` may be unset in `"${env:SHOP_CA:-}"`. Default: none.
    #[schemars(with = "Option<String>")]
    ca: Option<Spanned<String>>,
}

fn build(node: &Node, _: &Building, problems: &mut Problems) -> Option<BuiltProber> {
    let settings: TlsSettings = read(node, problems)?;
    let target = Target::read(&settings.address, problems);
    let securing = Securing::of(settings.server_name.as_ref(), settings.ca.as_ref(), problems);
    let prober =
        TlsProber { target: target?, starttls: settings.starttls, securing: securing?, resolver: Resolver::system() };
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

struct TlsProber {
    target: Target,
    starttls: Option<StartTls>,
    securing: Securing,
    resolver: Resolver,
}

impl Prober for TlsProber {
    fn host(&self) -> Option<String> {
        self.target.host()
    }

    fn probe<'a>(&'a self, cx: &'a StepContext<'a>) -> BoxFuture<'a, Result<Observation, Failure>> {
        Box::pin(async move {
            let place = self.target.place(cx).await?;
            let mut watch = Stopwatch::start(cx.clock, cx.deadline);
            let opened = Connection::open(&place, &self.resolver, CLEAR_BYTES_MAX, &mut watch).await;
            let mut connection = opened.map_err(|failure| failure.after(watch.phases()))?;
            let secured = self.secure(&mut connection, &place, &mut watch).await;
            connection.record(Said::default(), &watch, cx);
            let banner = secured.map_err(|failure| connection.failed(failure, &watch))?;
            let mut observation = connection.observation(cx.clock.now());
            observation.phases = watch.phases();
            if let Some(banner) = banner {
                observation.facts.insert(BANNER.name, banner);
            }
            Ok(observation)
        })
    }
}

impl TlsProber {
    async fn secure(
        &self,
        connection: &mut Connection,
        place: &Place,
        watch: &mut Stopwatch<'_>,
    ) -> Result<Option<String>, Failure> {
        let banner = match self.starttls {
            Some(protocol) => protocol.ask(connection, watch).await?,
            None => None,
        };
        connection.secure(&self.securing, &place.host, watch).await?;
        Ok(banner)
    }
}
