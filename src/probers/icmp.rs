//! Kind `icmp`: does a machine answer pings?
//!
//! The requests go through a socket of the kernel's own for pings (`socket` below), which needs no privilege where the
//! machine allows it. A reply that was lost is a fact (`loss`); that none came is a failure.

mod echo;
mod socket;

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use futures::future::{BoxFuture, Either, select};
use schemars::JsonSchema;
use serde::Deserialize;
use url::Host;

use self::echo::Echo;
use self::socket::{Heard, PingSocket};
use super::names::CONNECTING;
use super::number::number;
use super::place::with_holes_filled;
use crate::domain::exchange::Exchange;
use crate::domain::expression::{Name, Names, Shape};
use crate::domain::fact_map::FactMap;
use crate::domain::outcome::{Failure, FailureKind, Observation};
use crate::domain::template::Template;
use crate::domain::text::shell_word;
use crate::domain::time::{Timestamp, milliseconds};
use crate::net::arrival::Sent;
use crate::net::dial::{allowed, failure_of, has_route};
use crate::net::resolver::Resolver;
use crate::net::stopwatch::{Part, Stopwatch};
use crate::ports::{Building, BuiltProber, Clock, Kind, Prober, StepContext};
use crate::settings::{Node, Problems, Spanned, read};

/// The row of this kind.
pub const KIND: Kind = Kind {
    name: "icmp",
    about: "sends pings and counts the replies",
    main: "host",
    schema: IcmpSettings::json_schema,
    names: || {
        let connecting = CONNECTING.iter().filter(|name| !name.name.starts_with("connect_")).cloned();
        connecting.chain(ICMP_NAMES.iter().cloned()).collect::<Names>()
    },
    build,
};

const ICMP_NAMES: &[Name] = &[
    Name::known("sent", Shape::Number, "how many requests were sent"),
    Name::known("received", Shape::Number, "how many replies came in time"),
    Name::known("loss", Shape::Number, "the share of requests without a reply, from 0 to 1"),
    Name::known("rtt_min_ms", Shape::Number, "the shortest round trip, in milliseconds"),
    Name::known("rtt_avg_ms", Shape::Number, "the mean round trip, in milliseconds"),
    Name::known("rtt_max_ms", Shape::Number, "the longest round trip, in milliseconds"),
];

/// The most requests of one step.
const COUNT_MAX: u64 = 10;
/// The sizes of a request's data, in bytes: there must be room for what tells replies apart, and a packet of Ethernet has
/// no more room.
const SIZE: std::ops::RangeInclusive<u64> = 16..=1_452;
/// The size of `ping`, in bytes.
const SIZE_DEFAULT: u64 = 56;
/// The time between two requests: what `ping` allows everybody.
const SPACING: Duration = Duration::from_millis(200);
/// A reply that takes longer counts as lost.
const REPLY_MAX: Duration = Duration::from_secs(2);

/// Pings.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct IcmpSettings {
    /// Where to: a name or an address, without a port.
    #[schemars(with = "Template")]
    host: Spanned<Template>,
    /// How many requests are sent, 200 ms apart, at most 10. Default: 1.
    #[schemars(with = "Option<u64>")]
    count: Option<Spanned<u64>>,
    /// How many bytes of data each has, from 16 to 1452. Default: 56.
    #[schemars(with = "Option<u64>")]
    size: Option<Spanned<u64>>,
}

fn build(node: &Node, _: &Building, problems: &mut Problems) -> Option<BuiltProber> {
    let settings: IcmpSettings = read(node, problems)?;
    let known = problems.len();
    if let Err((message, help)) = host(&with_holes_filled(&settings.host.value)) {
        problems.error(settings.host.span.clone(), message).help = Some(help);
    }
    let count = number("count", settings.count.as_ref(), 1..=COUNT_MAX, 1, problems);
    let size = number("size", settings.size.as_ref(), SIZE, SIZE_DEFAULT, problems);
    if problems.len() > known {
        return None;
    }
    let (count, size) = (u16::try_from(count).ok()?, usize::try_from(size).ok()?);
    let prober = IcmpProber { host: settings.host.value, count, size, resolver: Resolver::system() };
    Some(BuiltProber { prober: Arc::new(prober), implied: Vec::new() })
}

/// The host as it is looked up, or what is wrong with it and what to write.
fn host(text: &str) -> Result<String, (String, String)> {
    let bare = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(text);
    if let Ok(address) = bare.parse::<IpAddr>() {
        return Ok(address.to_string());
    }
    if let Some((scheme, rest)) = text.split_once("://") {
        let host = rest.split(['/', ':']).next().unwrap_or_default();
        return Err((format!("`{scheme}://` has no place in a host"), format!("write `{host}`")));
    }
    if let Some((host, port)) = text.rsplit_once(':') {
        return Err((format!("pings go to a machine and not to a port: `{port}`"), format!("write `{host}`")));
    }
    match Host::parse(text) {
        Ok(Host::Domain(name)) => Ok(name),
        Ok(other) => Ok(other.to_string()),
        Err(error) => {
            Err((format!("`{text}` is not a host: {error}"), "write a name or an address, without a port".to_owned()))
        }
    }
}

struct IcmpProber {
    host: Template,
    count: u16,
    size: usize,
    resolver: Resolver,
}

impl Prober for IcmpProber {
    fn host(&self) -> Option<String> {
        self.host.as_literal().map(str::to_owned)
    }

    fn probe<'a>(&'a self, cx: &'a StepContext<'a>) -> BoxFuture<'a, Result<Observation, Failure>> {
        Box::pin(async move {
            let text = cx.fill(&self.host, |value| Some(value.to_owned())).await?;
            let host = host(&text).map_err(|(message, _)| Failure::new(FailureKind::Capture, message))?;
            let mut watch = Stopwatch::start(cx.clock, cx.deadline);
            let address = self.address(&host, &mut watch).await.map_err(|failure| failure.after(watch.phases()))?;
            let mut tally = Tally::default();
            let pinged = self.ping(address, cx, &mut tally).await;
            let round_trips = tally.round_trips();
            if let Some(mean) = mean(&round_trips) {
                watch.add(Part::FirstByte, mean);
            }
            let phases = watch.phases();
            let (sent, received) =
                (format!("{} echo requests, {} bytes each", tally.sent.len(), self.size), tally.told());
            let command = format!("ping -n -c {} -i 0.2 -s {} {}", self.count, self.size, shell_word(&host));
            cx.recorder.add(move || Exchange {
                remote: Some(address.to_string()),
                sent,
                received,
                command: Some(command),
                phases,
                ..Exchange::default()
            });
            pinged.map_err(|failure| failure.after(phases))?;
            if round_trips.is_empty() {
                return Err(tally.silence(address).after(phases));
            }
            Ok(Observation { phases, ..tally.observation(address, &round_trips) })
        })
    }
}

impl IcmpProber {
    /// The first address that may be probed and that this machine has a way to.
    async fn address(&self, host: &str, watch: &mut Stopwatch<'_>) -> Result<IpAddr, Failure> {
        let found = match host.parse::<IpAddr>() {
            // Nothing was looked up, so there is no such part.
            Ok(address) => vec![address],
            Err(_) => watch.time(Part::Dns, self.resolver.addresses(host)).await?,
        };
        let may = allowed(host, &found)?;
        let with_route = may.iter().find(|address| has_route(SocketAddr::new(**address, 1)));
        with_route
            .copied()
            .ok_or_else(|| Failure::new(FailureKind::LocalNetwork, format!("this machine has no route to {host}")))
    }

    /// Sends the requests and gathers what comes, until all is there or the time is over.
    async fn ping(&self, address: IpAddr, cx: &StepContext<'_>, tally: &mut Tally) -> Result<(), Failure> {
        let clock = cx.clock;
        let socket = PingSocket::open(address)?;
        let echo = Echo::new(address, self.size);
        let began = clock.monotonic();
        loop {
            let next = u16::try_from(tally.sent.len()).unwrap_or(u16::MAX);
            let due = began + SPACING * u32::from(next);
            if next < self.count && clock.monotonic() >= due {
                tally.sent.push(Request { sent: Sent::nothing(clock), end: None });
                if let Err(error) = socket.send(&echo.request(next)) {
                    // What a router said of an earlier request is told at the next occasion, which may be this.
                    match socket.complaint() {
                        Some(told) => tally.complain(told),
                        None => return Err(failure_of(&error, SocketAddr::new(address, 0))),
                    }
                }
                continue;
            }
            if next >= self.count && tally.is_settled() {
                return Ok(());
            }
            let last = tally.sent.last().map_or(began, |request| request.sent.at());
            let until = if next < self.count { due } else { last + REPLY_MAX };
            let until = until.min(cx.deadline);
            let heard = match select(Box::pin(socket.hear()), clock.sleep_until(until)).await {
                Either::Left((heard, _)) => heard.map_err(|error| failure_of(&error, SocketAddr::new(address, 0)))?,
                Either::Right(_) if next < self.count && until < cx.deadline => continue,
                Either::Right(_) => return Ok(()),
            };
            match heard {
                Heard::Packet(bytes, stamp) => {
                    if let Some(sequence) = echo.reply(&bytes) {
                        tally.reply(sequence, stamp, clock);
                    }
                }
                Heard::Complaint(told) => tally.complain(told),
            }
        }
    }
}

/// One request, and what became of it.
struct Request {
    sent: Sent,
    /// The round trip, or that somebody on the way said that there is none.
    end: Option<Result<Duration, ()>>,
}

/// What was sent and what came.
#[derive(Default)]
struct Tally {
    sent: Vec<Request>,
    complaint: Option<String>,
}

impl Tally {
    /// A reply has come.
    fn reply(&mut self, sequence: u16, stamp: Option<Timestamp>, clock: &dyn Clock) {
        let request = self.sent.get_mut(usize::from(sequence)).filter(|request| request.end.is_none());
        if let Some(request) = request {
            request.end = Some(Ok(request.sent.first_byte(stamp, None, clock).took));
        }
    }

    /// Somebody on the way said that the oldest request without an end has not arrived.
    fn complain(&mut self, told: String) {
        if let Some(request) = self.sent.iter_mut().find(|request| request.end.is_none()) {
            request.end = Some(Err(()));
        }
        self.complaint.get_or_insert(told);
    }

    fn is_settled(&self) -> bool {
        self.sent.iter().all(|request| request.end.is_some())
    }

    fn round_trips(&self) -> Vec<Duration> {
        self.sent.iter().filter_map(|request| request.end?.ok()).collect()
    }

    fn told(&self) -> String {
        let line = |(sequence, request): (usize, &Request)| match &request.end {
            Some(Ok(length)) => format!("{sequence}: {} ms", milliseconds(*length)),
            Some(Err(())) => format!("{sequence}: {}", self.complaint.as_deref().unwrap_or_default()),
            None => format!("{sequence}: no reply"),
        };
        self.sent.iter().enumerate().map(line).collect::<Vec<_>>().join("\n")
    }

    /// No reply has come at all.
    fn silence(&self, address: IpAddr) -> Failure {
        match &self.complaint {
            Some(told) => Failure::new(FailureKind::ConnectUnreachable, format!("{address} cannot be reached: {told}")),
            None => {
                let requests = if self.sent.len() == 1 { "the ping" } else { "any of the pings" };
                Failure::new(FailureKind::TimeoutFirstByte, format!("{address} did not reply to {requests}"))
            }
        }
    }

    fn observation(&self, address: IpAddr, round_trips: &[Duration]) -> Observation {
        let (sent, received) = (self.sent.len(), round_trips.len());
        let loss = 1.0 - received as f64 / sent.max(1) as f64;
        let mut facts = FactMap::default();
        facts.insert("remote_ip", address.to_string());
        facts.insert("sent", sent);
        facts.insert("received", received);
        facts.insert("loss", (loss * 1e4).round() / 1e4);
        let lengths = [
            ("rtt_min_ms", round_trips.iter().min().copied()),
            ("rtt_avg_ms", mean(round_trips)),
            ("rtt_max_ms", round_trips.iter().max().copied()),
        ];
        for (name, length) in lengths {
            facts.insert(name, length.map(milliseconds));
        }
        Observation { facts, ..Observation::default() }
    }
}

fn mean(lengths: &[Duration]) -> Option<Duration> {
    let count = u32::try_from(lengths.len()).ok().filter(|count| *count > 0)?;
    Some(lengths.iter().sum::<Duration>() / count)
}

#[cfg(test)]
mod tests;
