//! Kind `dns`: what does a name server say?
//!
//! The question is asked by hand ([`exchange`]) and not by a resolver, which would hide the response code and the flags.
//! An answer such as NXDOMAIN is an observation; a failure is when no answer came that could be understood.

mod exchange;
mod facts;
mod told;

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use futures::future::BoxFuture;
use hickory_resolver::proto::op::Query;
use hickory_resolver::proto::rr::{Name as DnsName, RecordType};
use hickory_resolver::system_conf;
use schemars::JsonSchema;
use serde::Deserialize;

use self::exchange::{Question, Transport};
use super::place::with_holes_filled;
use crate::domain::expression::Names;
use crate::domain::outcome::{Failure, FailureKind, Observation};
use crate::domain::template::Template;
use crate::net::stopwatch::{Part, Stopwatch};
use crate::ports::{Building, BuiltProber, Implied, Kind, Prober, StepContext};
use crate::settings::{Node, Problems, Spanned, read};

/// The port of name servers.
const PORT: u16 = 53;

/// The row of this kind.
pub const KIND: Kind = Kind {
    name: "dns",
    about: "asks a name server for the records of a name",
    main: "name",
    schema: DnsSettings::json_schema,
    names: || Names::new().with_all(facts::NAMES),
    build,
};

/// A question to a name server.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct DnsSettings {
    /// The name to ask for, always as a whole: search domains are never added. May have holes: `"{{host}}.example.com"`.
    /// For `PTR` an address will do.
    #[schemars(with = "Template")]
    name: Spanned<Template>,
    /// The type of the records. Default: `A`.
    #[serde(default, rename = "type")]
    asked: Asked,
    /// The address of the name server, with a port if it is not 53: `192.0.2.53`, `192.0.2.53:5353`,
    /// `"[2001:db8::53]:5353"`. Default: the first in `/etc/resolv.conf`.
    #[serde(default)]
    #[schemars(with = "Option<String>")]
    server: Option<Spanned<String>>,
    /// What the question goes over: `udp`, and TCP when the answer does not fit; or `tcp` only. Default: `udp`.
    #[serde(default)]
    transport: Transport,
    /// Whether the signatures of DNSSEC are asked for (the flag DO), so that `signature_days_left` is there. Default: false.
    #[serde(default)]
    dnssec: bool,
}

/// A type of records.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "UPPERCASE")]
enum Asked {
    /// IPv4 addresses.
    #[default]
    A,
    /// IPv6 addresses.
    Aaaa,
    /// The name that this one stands for.
    Cname,
    /// Mail servers.
    Mx,
    /// Name servers.
    Ns,
    /// Texts.
    Txt,
    /// The start of the zone.
    Soa,
    /// Services.
    Srv,
    /// Who may issue certificates.
    Caa,
    /// The name of an address.
    Ptr,
}

impl From<Asked> for RecordType {
    fn from(asked: Asked) -> Self {
        match asked {
            Asked::A => Self::A,
            Asked::Aaaa => Self::AAAA,
            Asked::Cname => Self::CNAME,
            Asked::Mx => Self::MX,
            Asked::Ns => Self::NS,
            Asked::Txt => Self::TXT,
            Asked::Soa => Self::SOA,
            Asked::Srv => Self::SRV,
            Asked::Caa => Self::CAA,
            Asked::Ptr => Self::PTR,
        }
    }
}

fn build(node: &Node, _: &Building, problems: &mut Problems) -> Option<BuiltProber> {
    let settings: DnsSettings = read(node, problems)?;
    let mut is_sound = true;
    if let Err(why) = asked_name(&with_holes_filled(&settings.name.value), settings.asked) {
        problems.error(settings.name.span.clone(), why);
        is_sound = false;
    }
    let server = settings.server.as_ref().and_then(|written| {
        let server = server_of(&written.value);
        if server.is_none() {
            let message = format!("`{}` is not the address of a name server", written.value);
            let help =
                "write an address, with a port if it is not 53: `192.0.2.53`, `192.0.2.53:5353`, `[2001:db8::53]:53`";
            problems.error(written.span.clone(), message).help = Some(help.to_owned());
            is_sound = false;
        }
        server
    });
    let DnsSettings { name, asked, transport, dnssec, .. } = settings;
    let prober = Arc::new(DnsProber { name: name.value, asked, server, transport, dnssec });
    let answered = Implied { unless_mentioned: "rcode", expect: "rcode == \"NOERROR\" && size(answers) > 0" };
    is_sound.then(|| BuiltProber { prober, implied: vec![answered] })
}

/// The name as it is asked for, or what is wrong with it.
fn asked_name(text: &str, asked: Asked) -> Result<DnsName, String> {
    let address = text.parse::<IpAddr>().ok();
    let mut name = match address {
        Some(address) if asked == Asked::Ptr => DnsName::from(address),
        Some(_) => return Err(format!("`{text}` is an address and no name: only PTR can be asked for it")),
        None if text.is_empty() => return Err("the name is empty: write `.` for the root".to_owned()),
        None => DnsName::from_utf8(text).map_err(|_| {
            format!(
                "`{text}` is not a DNS name: write it like `shop.example.com`, with at most 63 bytes between the dots"
            )
        })?,
    };
    name.set_fqdn(true);
    Ok(name)
}

fn server_of(text: &str) -> Option<SocketAddr> {
    let bare = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(text);
    let address = bare.parse().map(|address: IpAddr| SocketAddr::new(address, PORT));
    address.or_else(|_| text.parse()).ok().filter(|server| server.port() > 0)
}

struct DnsProber {
    name: Template,
    asked: Asked,
    server: Option<SocketAddr>,
    transport: Transport,
    dnssec: bool,
}

impl Prober for DnsProber {
    fn probe<'a>(&'a self, cx: &'a StepContext<'a>) -> BoxFuture<'a, Result<Observation, Failure>> {
        Box::pin(async move {
            let text = cx.fill(&self.name, |value| Some(value.to_owned())).await?;
            let name = asked_name(&text, self.asked).map_err(|message| Failure::new(FailureKind::Capture, message))?;
            let mut watch = Stopwatch::start(cx.clock, cx.deadline);
            let server = self.server.map_or_else(first_of_machine, Ok)?;
            let asked = RecordType::from(self.asked);
            let question = Question::new(Query::query(name, asked), self.dnssec, self.transport);
            let answer = watch.time(Part::Dns, exchange::ask(server, &question)).await;
            let phases = watch.phases();
            let answer = answer.map(Arc::new);
            let seen = answer.as_ref().ok().cloned();
            cx.recorder.add(move || told::exchange(server, &question, seen.as_deref(), phases));
            let answer = answer.map_err(|failure| failure.after(phases))?;
            let facts = facts::facts(&answer, asked, cx.clock.now());
            Ok(Observation { facts, phases, ..Observation::default() })
        })
    }
}

/// The first name server of this machine, as it is configured now.
fn first_of_machine() -> Result<SocketAddr, Failure> {
    let config = system_conf::read_system_conf().map(|(config, _)| config);
    let first = config.ok().and_then(|config| config.name_servers.first().map(|server| server.ip));
    let first = first.ok_or_else(|| {
        Failure::new(FailureKind::LocalNetwork, "this machine has no name server in /etc/resolv.conf")
    })?;
    Ok(SocketAddr::new(first, PORT))
}

#[cfg(test)]
mod tests;
