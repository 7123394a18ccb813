//! Names to addresses, asked freshly each time.
//!
//! Nothing is kept between two look-ups: no answer, no connection, no opinion about a name server, and `/etc/hosts` and
//! `/etc/resolv.conf` are read again, so that a change is seen at once. A probe whose look-ups were remembered would go on
//! praising a name that has gone.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use futures::future::{Either, select};
use hickory_resolver::config::{NameServerConfig, ResolveHosts, ResolverConfig, ResolverOpts};
use hickory_resolver::net::runtime::TokioRuntimeProvider;
use hickory_resolver::net::{DnsError, NetError, NoRecords};
use hickory_resolver::proto::op::{Query, ResponseCode};
use hickory_resolver::proto::rr::{Name, RecordType};
use hickory_resolver::{Hosts, TokioResolver, system_conf};
use schemars::JsonSchema;
use serde::Deserialize;

use crate::domain::outcome::{Failure, FailureKind};

/// A packet that is lost is sent again after this long.
const ATTEMPT: Duration = Duration::from_secs(3);
/// How often it is sent again. Together with [`ATTEMPT`] longer than any sensible step: it is the caller who ends a look-up.
const RETRIES: usize = 99;
/// How long a machine on which no name server listens may take to say so.
const REFUSAL_MAX: Duration = Duration::from_millis(200);
/// What hickory says when a name server ended the connection over TCP before it had answered this question.
const CUT_OFF: &str = "receiver was canceled";
/// How often is asked anew then: one that answers a single question on each connection (RFC 7766, section 6.2.1.1) does
/// so when two were asked together.
const CUT_OFF_RETRIES: usize = 3;
/// How long the other family is waited for when one has answered: RFC 8305, section 3, has 50 ms; a step can wait longer
/// than a person, and a name server that drops questions for AAAA must not cost the step.
const OTHER_FAMILY: Duration = Duration::from_millis(500);

/// A family of addresses.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Family {
    /// Addresses like `192.0.2.1`.
    Ipv4,
    /// Addresses like `2001:db8::1`.
    Ipv6,
}

impl Family {
    /// That of an address.
    pub fn of(address: IpAddr) -> Self {
        if address.is_ipv4() { Self::Ipv4 } else { Self::Ipv6 }
    }

    /// As it is written in settings and facts.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Ipv4 => "ipv4",
            Self::Ipv6 => "ipv6",
        }
    }

    /// As people write it.
    pub fn words(self) -> &'static str {
        match self {
            Self::Ipv4 => "IPv4",
            Self::Ipv6 => "IPv6",
        }
    }
}

/// Looks names up. A clone is as good as the original; two that are equal find the same.
#[derive(Clone, Debug, PartialEq)]
pub struct Resolver {
    /// The servers to ask; none for those of the machine.
    servers: Option<Arc<[SocketAddr]>>,
    /// The only family that is used; none for both.
    family: Option<Family>,
    /// Names in lower case whose address is not looked up.
    pins: Arc<[(String, IpAddr)]>,
}

impl Resolver {
    /// The resolver of this machine: `/etc/hosts`, then what `/etc/resolv.conf` says, its search domains included; a name
    /// that ends in a dot is never searched.
    pub fn system() -> Self {
        Self { servers: None, family: None, pins: Arc::default() }
    }

    /// A resolver that asks these servers and knows nothing of the machine's files.
    pub fn of(servers: &[SocketAddr]) -> Self {
        Self { servers: Some(servers.into()), ..Self::system() }
    }

    /// The same, which uses one family only, or both for none.
    #[must_use]
    pub fn only(self, family: Option<Family>) -> Self {
        Self { family, ..self }
    }

    /// The same, which knows the addresses of these names: of one server behind a balancer, say.
    #[must_use]
    pub fn pinning(self, pins: impl IntoIterator<Item = (String, IpAddr)>) -> Self {
        Self { pins: pins.into_iter().map(|(name, address)| (name.to_ascii_lowercase(), address)).collect(), ..self }
    }

    /// The address of a host for which nobody needs to be asked, because it is one or is pinned to one; none where there is
    /// something to look up.
    pub fn known(&self, host: &str) -> Option<Result<Vec<IpAddr>, Failure>> {
        let bare = host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(host);
        let name = host.strip_suffix('.').unwrap_or(host);
        let pinned = || self.pins.iter().find(|(pin, _)| pin.eq_ignore_ascii_case(name)).map(|(_, address)| *address);
        let address = bare.parse().ok().or_else(pinned)?;
        Some(self.of_family(vec![address], host))
    }

    fn of_family(&self, mut found: Vec<IpAddr>, host: &str) -> Result<Vec<IpAddr>, Failure> {
        let Some(family) = self.family else { return Ok(found) };
        found.retain(|address| Family::of(*address) == family);
        if found.is_empty() {
            let message = format!("{host} has no {} address", family.words());
            return Err(Failure::new(FailureKind::DnsNoRecords, message));
        }
        Ok(found)
    }

    /// The addresses of a host, of both families unless one was chosen, as they were found; an address, also one in
    /// brackets, is itself. There is no deadline here: the caller has one.
    pub async fn addresses(&self, host: &str) -> Result<Vec<IpAddr>, Failure> {
        if let Some(known) = self.known(host) {
            return known;
        }
        let name = Name::from_utf8(host).ok().filter(|name| name.num_labels() > 0);
        let name = name.ok_or_else(|| Failure::new(FailureKind::DnsInvalid, format!("`{host}` is not a DNS name")))?;
        let local = if self.servers.is_none() { of_hosts_file(&name) } else { Vec::new() };
        if !local.is_empty() {
            return self.of_family(local, host);
        }
        if is_localhost(&name) {
            return self.of_family(vec![Ipv6Addr::LOCALHOST.into(), Ipv4Addr::LOCALHOST.into()], host);
        }
        let (config, options) = self.config().map_err(|error| self.failure_of(&error, host, &[]))?;
        let servers: Vec<IpAddr> = config.name_servers().iter().map(|server| server.ip).collect();
        let places: Vec<SocketAddr> = config.name_servers().iter().filter_map(place).collect();
        let asker = TokioResolver::builder_with_config(config, TokioRuntimeProvider::default()).with_options(options);
        let asker = asker.build().map_err(|error| self.failure_of(&error, host, &servers))?;
        let (a, aaaa) = (ask(&asker, &name, RecordType::A, &places), ask(&asker, &name, RecordType::AAAA, &places));
        let answers = match self.family {
            Some(Family::Ipv4) => a.await,
            Some(Family::Ipv6) => aaaa.await,
            None => {
                let (a, aaaa) = (pin!(a), pin!(aaaa));
                let (Either::Left((first, other)) | Either::Right((first, other))) = select(a, aaaa).await;
                both(first, other).await
            }
        };
        match answers {
            Err(error) if lacks_records(&error) => {
                self.of_family(Vec::new(), host).and(Err(self.failure_of(&error, host, &servers)))
            }
            answers => answers.map_err(|error| self.failure_of(&error, host, &servers)),
        }
    }

    /// What went wrong. That a name server of this machine is not there, or wants to hear nothing from us, is ours, and the
    /// target has no part in it; a server that is named is somebody's.
    fn failure_of(&self, error: &NetError, host: &str, servers: &[IpAddr]) -> Failure {
        let failure = failure_of(error, host, servers);
        let is_of_server = matches!(response_code(error), None | Some(ResponseCode::Refused));
        if self.servers.is_none() && failure.kind == FailureKind::DnsServer && is_of_server {
            return Failure { kind: FailureKind::LocalNetwork, ..failure };
        }
        failure
    }

    fn config(&self) -> Result<(ResolverConfig, ResolverOpts), NetError> {
        let (config, mut options) = match &self.servers {
            Some(servers) => {
                let servers = servers.iter().map(|server| {
                    let mut config = NameServerConfig::udp_and_tcp(server.ip());
                    config.connections.iter_mut().for_each(|connection| connection.port = server.port());
                    config
                });
                (ResolverConfig::from_parts(None, Vec::new(), servers.collect()), ResolverOpts::default())
            }
            None => system_conf::read_system_conf()?,
        };
        options.timeout = ATTEMPT;
        // What hickory would try again includes a refusal, at once; see `ask` for what is.
        options.attempts = 0;
        options.cache_size = 0;
        options.use_hosts_file = ResolveHosts::Never;
        Ok((config, options))
    }
}

/// What the first answer and the other family's give together.
async fn both(
    first: Result<Vec<IpAddr>, NetError>,
    other: impl Future<Output = Result<Vec<IpAddr>, NetError>>,
) -> Result<Vec<IpAddr>, NetError> {
    match first {
        Ok(mut found) => {
            if let Ok(Ok(more)) = tokio::time::timeout(OTHER_FAMILY, other).await {
                found.extend(more);
            }
            Ok(found)
        }
        // The name is gone for every family.
        Err(error) if response_code(&error) == Some(ResponseCode::NXDomain) => Err(error),
        // That there is none of one family says less than what went wrong with the other.
        Err(error) => other.await.map_err(|later| if lacks_records(&error) { later } else { error }),
    }
}

/// Where a name server listens for datagrams.
fn place(server: &NameServerConfig) -> Option<SocketAddr> {
    server.connections.first().map(|connection| SocketAddr::new(server.ip, connection.port))
}

/// That nobody listens at any of these places, where the machines there say so. Who asks over a socket that hears from
/// everybody, as hickory does, is not told.
async fn refusal(places: &[SocketAddr]) -> Option<io::Error> {
    let mut refused = None;
    for place in places {
        let any: IpAddr = if place.is_ipv4() { Ipv4Addr::UNSPECIFIED.into() } else { Ipv6Addr::UNSPECIFIED.into() };
        let socket = tokio::net::UdpSocket::bind((any, 0)).await.ok()?;
        socket.connect(place).await.ok()?;
        // No question, and too short to be taken for one.
        socket.send(&[0]).await.ok()?;
        let heard = tokio::time::timeout(REFUSAL_MAX, socket.recv(&mut [0; 1])).await.ok()?;
        refused = Some(heard.err().filter(|error| error.kind() == io::ErrorKind::ConnectionRefused)?);
    }
    refused
}

async fn ask(
    asker: &TokioResolver,
    name: &Name,
    family: RecordType,
    places: &[SocketAddr],
) -> Result<Vec<IpAddr>, NetError> {
    let mut answer = asker.lookup(name.clone(), family).await;
    let mut cut_off = 0;
    for _ in 0..RETRIES {
        match &answer {
            Err(NetError::Timeout) => {
                if let Some(refused) = refusal(places).await {
                    return Err(refused.into());
                }
            }
            Err(error) if is_cut_off(error) && cut_off < CUT_OFF_RETRIES => cut_off += 1,
            _ => break,
        }
        answer = asker.lookup(name.clone(), family).await;
    }
    let answer = answer?;
    let found: Vec<_> = answer.answers().iter().filter_map(|record| record.data.ip_addr()).collect();
    if found.is_empty() {
        return Err(NoRecords::new(Query::query(name.clone(), family), ResponseCode::NoError).into());
    }
    Ok(found)
}

fn of_hosts_file(name: &Name) -> Vec<IpAddr> {
    // A machine without the file has no entries.
    let hosts = Hosts::from_system().unwrap_or_default();
    let of = |family| hosts.lookup_static_host(&Query::query(name.clone(), family));
    let lookups = [RecordType::AAAA, RecordType::A].into_iter().filter_map(of);
    lookups.flat_map(|found| found.answers().iter().filter_map(|r| r.data.ip_addr()).collect::<Vec<_>>()).collect()
}

/// `localhost` and all below it never leave the machine (RFC 6761, section 6.3).
fn is_localhost(name: &Name) -> bool {
    name.iter().next_back().is_some_and(|label| label.eq_ignore_ascii_case(b"localhost"))
}

fn response_code(error: &NetError) -> Option<ResponseCode> {
    match error {
        NetError::Dns(DnsError::NoRecordsFound(none)) => Some(none.response_code),
        NetError::Dns(DnsError::ResponseCode(code)) => Some(*code),
        _ => None,
    }
}

fn is_cut_off(error: &NetError) -> bool {
    matches!(error, NetError::Message(CUT_OFF))
}

fn lacks_records(error: &NetError) -> bool {
    response_code(error) == Some(ResponseCode::NoError)
}

fn failure_of(error: &NetError, host: &str, servers: &[IpAddr]) -> Failure {
    let (kind, message) = match (response_code(error), error) {
        (Some(ResponseCode::NXDomain), _) => (FailureKind::DnsNxdomain, format!("{host} does not exist")),
        (Some(ResponseCode::NoError), _) => (FailureKind::DnsNoRecords, format!("{host} has no address")),
        (Some(code), _) => (FailureKind::DnsServer, format!("the name server could not answer for {host}: {code}")),
        (None, NetError::Timeout) => (FailureKind::TimeoutDns, format!("no name server answered for {host}")),
        (None, NetError::Io(error)) => of_io(error, host),
        (None, NetError::NoConnections) => unsent(servers, host),
        (None, error) if is_cut_off(error) => {
            (FailureKind::DnsServer, format!("the name server ended the connection before it had answered for {host}"))
        }
        (None, NetError::Busy) => (FailureKind::LocalResources, "too many names are looked up at once".to_owned()),
        (None, other) => (FailureKind::DnsInvalid, format!("the answer for {host} cannot be understood: {other}")),
    };
    Failure::new(kind, message)
}

/// Why nothing could be sent to any server, which is all that hickory says. A datagram socket that is connected sends
/// nothing, and meets the same errors.
fn unsent(servers: &[IpAddr], host: &str) -> (FailureKind, String) {
    let try_one = |server: &IpAddr| {
        let any: IpAddr = if server.is_ipv4() { Ipv4Addr::UNSPECIFIED.into() } else { Ipv6Addr::UNSPECIFIED.into() };
        UdpSocket::bind((any, 0)).and_then(|socket| socket.connect((*server, 53)))
    };
    match servers.iter().find_map(|server| try_one(server).err()) {
        Some(error) => of_io(&error, host),
        None => (FailureKind::LocalNetwork, format!("this machine could send no question for {host}")),
    }
}

fn of_io(error: &io::Error, host: &str) -> (FailureKind, String) {
    use io::ErrorKind as Is;
    match error.kind() {
        Is::NetworkUnreachable | Is::NetworkDown | Is::HostUnreachable | Is::PermissionDenied => {
            (FailureKind::LocalNetwork, format!("this machine reaches no name server to ask for {host}"))
        }
        Is::ConnectionRefused | Is::ConnectionReset | Is::ConnectionAborted | Is::UnexpectedEof | Is::BrokenPipe => {
            (FailureKind::DnsServer, format!("the name server was not there to be asked for {host}: {error}"))
        }
        // What is left is about sockets and files of our own: no descriptors, no ports, no resolv.conf.
        _ => (FailureKind::LocalResources, format!("{host} could not be looked up: {error}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn an_address_is_itself() {
        // Nothing listens there: whoever asked would fail.
        let resolver = Resolver::of(&[SocketAddr::from(([127, 0, 0, 1], 1))]);
        for (host, address) in [("127.0.0.1", "127.0.0.1"), ("::1", "::1"), ("[2001:db8::1]", "2001:db8::1")] {
            assert_eq!(resolver.addresses(host).await, Ok(vec![address.parse().unwrap()]), "{host}");
        }
    }

    #[tokio::test]
    async fn a_pinned_name_is_not_asked_for_and_its_family_is_heeded() {
        let pins = [("Shop.example".to_owned(), [192, 0, 2, 7].into())];
        let resolver = Resolver::of(&[SocketAddr::from(([127, 0, 0, 1], 1))]).pinning(pins);
        for host in ["shop.example", "SHOP.EXAMPLE."] {
            assert_eq!(resolver.addresses(host).await, Ok(vec![[192, 0, 2, 7].into()]), "{host}");
        }
        assert!(resolver.known("other.example").is_none());
        let resolver = resolver.only(Some(Family::Ipv6));
        let failure = resolver.addresses("shop.example").await.unwrap_err();
        assert_eq!(failure.to_string(), "dns.no_records: shop.example has no IPv6 address");
        assert_eq!(resolver.addresses("localhost").await, Ok(vec![Ipv6Addr::LOCALHOST.into()]));
        assert_eq!(resolver.addresses("::1").await, Ok(vec![Ipv6Addr::LOCALHOST.into()]));
        assert_eq!(resolver.addresses("127.0.0.1").await.unwrap_err().kind, FailureKind::DnsNoRecords);
    }

    #[tokio::test]
    async fn localhost_needs_no_server() {
        for host in ["localhost", "LOCALHOST.", "shop.localhost"] {
            let found = Resolver::system().addresses(host).await.unwrap();
            assert!(!found.is_empty() && found.iter().all(IpAddr::is_loopback), "{host}: {found:?}");
        }
    }

    #[tokio::test]
    async fn what_is_no_name_is_not_asked() {
        let long = "a".repeat(64);
        for host in ["", ".", "a..b", long.as_str()] {
            let failure = Resolver::system().addresses(host).await.unwrap_err();
            assert_eq!(failure.kind, FailureKind::DnsInvalid, "{host}");
        }
    }

    #[tokio::test]
    async fn what_cannot_be_sent_is_our_own_network() {
        // The system refuses to send to the broadcast address.
        let resolver = Resolver::of(&[SocketAddr::from(([255, 255, 255, 255], 53))]);
        let failure = resolver.addresses("a.example").await.unwrap_err();
        assert_eq!(failure.kind, FailureKind::LocalNetwork, "{failure}");
    }

    #[tokio::test]
    async fn that_nobody_listens_is_known_where_the_machine_says_so_and_of_all_servers() {
        let listening = tokio::net::UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let silent = listening.local_addr().unwrap();
        let gone = tokio::net::UdpSocket::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
        assert_eq!(refusal(&[gone]).await.unwrap().kind(), io::ErrorKind::ConnectionRefused);
        for places in [&[silent][..], &[gone, silent], &[]] {
            assert!(refusal(places).await.is_none(), "{places:?}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn one_family_does_not_hold_up_the_other() {
        let address = IpAddr::from([192, 0, 2, 1]);
        let none = |code| Err(NoRecords::new(Query::new(), code).into());
        let silent = std::future::pending;
        assert_eq!(both(Ok(vec![address]), silent()).await.unwrap(), [address]);
        assert!(both(none(ResponseCode::NXDomain), silent()).await.unwrap_err().is_nx_domain());
        let later = async { Ok(vec![address]) };
        assert_eq!(both(none(ResponseCode::NoError), later).await.unwrap(), [address]);
        let told = both(none(ResponseCode::NoError), async { none(ResponseCode::ServFail) }).await.unwrap_err();
        assert_eq!(response_code(&told), Some(ResponseCode::ServFail));
        let told = both(none(ResponseCode::ServFail), async { none(ResponseCode::NoError) }).await.unwrap_err();
        assert_eq!(response_code(&told), Some(ResponseCode::ServFail));
    }

    #[test]
    fn a_name_server_of_this_machine_that_refuses_us_is_ours_and_one_that_is_named_is_not() {
        let (own, named) = (Resolver::system(), Resolver::of(&[SocketAddr::from(([192, 0, 2, 53], 53))]));
        let code = |code| NetError::Dns(DnsError::ResponseCode(code));
        let not_there = || NetError::from(io::Error::from(io::ErrorKind::ConnectionRefused));
        for (error, kind) in [
            (not_there(), FailureKind::LocalNetwork),
            (code(ResponseCode::Refused), FailureKind::LocalNetwork),
            (NetError::Message(CUT_OFF), FailureKind::LocalNetwork),
            // Here it may be the name servers of the target that do not answer.
            (code(ResponseCode::ServFail), FailureKind::DnsServer),
            (code(ResponseCode::NXDomain), FailureKind::DnsNxdomain),
        ] {
            assert_eq!(own.failure_of(&error, "a.example", &[]).kind, kind, "{error}");
        }
        for error in [not_there(), code(ResponseCode::Refused), NetError::Message(CUT_OFF)] {
            assert_eq!(named.failure_of(&error, "a.example", &[]).kind, FailureKind::DnsServer, "{error}");
        }
    }

    #[test]
    fn errors_have_their_kind() {
        let io = |kind: io::ErrorKind| NetError::from(io::Error::from(kind));
        let code = |code| NetError::from(NoRecords::new(Query::new(), code));
        for (error, kind) in [
            (code(ResponseCode::NXDomain), FailureKind::DnsNxdomain),
            (code(ResponseCode::NoError), FailureKind::DnsNoRecords),
            (code(ResponseCode::ServFail), FailureKind::DnsServer),
            (NetError::Dns(DnsError::ResponseCode(ResponseCode::Refused)), FailureKind::DnsServer),
            (NetError::Timeout, FailureKind::TimeoutDns),
            (NetError::NoConnections, FailureKind::LocalNetwork),
            (NetError::Message(CUT_OFF), FailureKind::DnsServer),
            (NetError::QueryCaseMismatch, FailureKind::DnsInvalid),
            (io(io::ErrorKind::NetworkUnreachable), FailureKind::LocalNetwork),
            (io(io::ErrorKind::ConnectionRefused), FailureKind::DnsServer),
            (io(io::ErrorKind::NotFound), FailureKind::LocalResources),
        ] {
            assert_eq!(failure_of(&error, "a.example", &[]).kind, kind, "{error}");
        }
    }
}
