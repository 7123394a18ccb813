//! Kind `tcp`: does something accept connections there?

use std::sync::Arc;

use futures::future::BoxFuture;
use schemars::JsonSchema;
use serde::Deserialize;

use super::names::CONNECTING;
use super::place::Target;
use crate::domain::expression::Names;
use crate::domain::outcome::{Failure, Observation};
use crate::domain::template::Template;
use crate::net::dial::dial;
use crate::net::resolver::Resolver;
use crate::net::stopwatch::Stopwatch;
use crate::ports::{Building, BuiltProber, Kind, Prober, StepContext};
use crate::settings::{Node, Problems, Spanned, read};

/// The row of this kind.
pub const KIND: Kind = Kind {
    name: "tcp",
    about: "makes a TCP connection and closes it again",
    main: "address",
    schema: TcpSettings::json_schema,
    names: || Names::new().with_all(CONNECTING),
    build,
};

/// A TCP connection.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct TcpSettings {
    /// Where to: `host:port`, with an IPv6 address in brackets.
    #[schemars(with = "Template")]
    address: Spanned<Template>,
}

fn build(node: &Node, _: &Building, problems: &mut Problems) -> Option<BuiltProber> {
    let settings: TcpSettings = read(node, problems)?;
    let target = Target::read(&settings.address, problems)?;
    let prober = Arc::new(TcpProber { target, resolver: Resolver::system() });
    Some(BuiltProber { prober, implied: Vec::new() })
}

struct TcpProber {
    target: Target,
    resolver: Resolver,
}

impl Prober for TcpProber {
    fn probe<'a>(&'a self, cx: &'a StepContext<'a>) -> BoxFuture<'a, Result<Observation, Failure>> {
        Box::pin(async move {
            let place = self.target.place(cx).await?;
            let mut watch = Stopwatch::start(cx.clock, cx.deadline);
            let dialled = dial(&self.resolver, &place.host, place.port, &mut watch).await;
            let (_, remote) = dialled.map_err(|failure| failure.after(watch.phases()))?;
            let mut observation = Observation { phases: watch.phases(), ..Observation::default() };
            observation.facts.insert("remote_ip".to_owned(), remote.ip().to_string().into());
            Ok(observation)
        })
    }
}
