//! From a host and a port to a TCP connection.
//!
//! How long the handshake took is what the kernel says, where it knows: a program that is let to run late would count the
//! wait as the target's.
//!
//! The addresses of a name are tried in order, families in turn, a further one each 250 ms while none has answered
//! (RFC 8305, "Happy Eyeballs", without its history): a dead IPv6 costs a quarter of a second and not the step.

use std::collections::VecDeque;
use std::io;
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::pin::pin;
use std::time::Duration;

use futures::future::{Either, select};
use futures::stream::{FuturesUnordered, StreamExt as _};
use tokio::net::TcpStream;

use super::addresses;
use super::resolver::Resolver;
use super::stopwatch::{Part, Stopwatch};
use super::stream::Stream;
use crate::domain::outcome::{Failure, FailureKind};
use crate::domain::time::Monotonic;
use crate::ports::Clock;

/// A further address is tried when the last one has not answered for this long (RFC 8305, section 5).
const STAGGER: Duration = Duration::from_millis(250);
/// At most this many addresses of a name are tried, however many its answer holds.
const ADDRESSES_MAX: usize = 8;

/// Connects, within the deadline of the stopwatch. Addresses that may not be probed are passed over, and the one that is
/// connected to is the one that was looked at: there is no second look-up between.
pub async fn dial(
    resolver: &Resolver,
    host: &str,
    port: u16,
    watch: &mut Stopwatch<'_>,
) -> Result<(Stream, SocketAddr), Failure> {
    let found = match resolver.known(host) {
        // Nothing was looked up, so there is no such part.
        Some(known) => known?,
        // A look-up has room of its own, which whoever needs none then need not have.
        None => watch.time(Part::Dns, Box::pin(resolver.addresses(host))).await?,
    };
    let allowed = allowed(host, &found)?;
    let clock = watch.clock();
    let began = clock.monotonic();
    let result = watch.bound(|| Part::Connect, pin!(connect_any(clock, allowed, port))).await;
    let ended = clock.monotonic();
    let Connected { stream: tcp, remote, began: began_last } = result.inspect_err(|_| {
        watch.add(Part::Connect, ended.since(began));
    })?;
    let (stream, handshake) = Stream::new(tcp);
    let ours = ended.since(began_last);
    let (took, error) = match handshake.filter(|handshake| *handshake <= ours) {
        Some(handshake) => (handshake, KERNEL_UNIT),
        None => (ours, ours),
    };
    // What addresses before the one that answered have cost is part of connecting.
    watch.measured(Part::Connect, began_last.since(began) + took, error);
    Ok((stream, remote))
}

/// The kernel counts a round trip in these.
const KERNEL_UNIT: Duration = Duration::from_micros(1);

/// A connection that was made.
struct Connected {
    stream: TcpStream,
    remote: SocketAddr,
    /// When this one was begun, of several addresses.
    began: Monotonic,
}

/// The addresses to try, in order: families in turn, beginning with that of the resolver's first.
pub fn allowed(host: &str, found: &[IpAddr]) -> Result<VecDeque<IpAddr>, Failure> {
    let mut why = None;
    let mut seen = Vec::new();
    for address in found {
        match addresses::refused(*address) {
            Some(reason) => why = why.or(Some((*address, reason))),
            None if seen.contains(address) => {}
            None => seen.push(*address),
        }
    }
    let Some(first) = seen.first().map(IpAddr::is_ipv4) else {
        return Err(match why {
            Some((address, reason)) => Failure::new(
                FailureKind::ConnectBlocked,
                format!("{host} is {address}, {reason}, which may not be probed"),
            ),
            None => Failure::new(FailureKind::DnsNoRecords, format!("{host} has no address")),
        });
    };
    let (same, other): (Vec<IpAddr>, Vec<IpAddr>) = seen.into_iter().partition(|address| address.is_ipv4() == first);
    let mut order = VecDeque::new();
    let (mut same, mut other) = (same.into_iter(), other.into_iter());
    loop {
        let pair = [same.next(), other.next()];
        if pair == [None, None] || order.len() >= ADDRESSES_MAX {
            order.truncate(ADDRESSES_MAX);
            return Ok(order);
        }
        order.extend(pair.into_iter().flatten());
    }
}

async fn connect_any(clock: &dyn Clock, mut waiting: VecDeque<IpAddr>, port: u16) -> Result<Connected, Failure> {
    // Who runs alone needs no room to run beside others, which is taken and given back for each probe.
    if let (1, Some(only)) = (waiting.len(), waiting.front()) {
        return connect(clock, SocketAddr::new(*only, port)).await;
    }
    let mut attempts = FuturesUnordered::new();
    let mut failures = Vec::new();
    loop {
        if let Some(address) = waiting.pop_front() {
            attempts.push(connect(clock, SocketAddr::new(address, port)));
        }
        let ended = if waiting.is_empty() {
            attempts.next().await
        } else {
            match select(attempts.next(), clock.sleep_until(clock.monotonic() + STAGGER)).await {
                Either::Left((ended, _)) => ended,
                Either::Right(((), _)) => continue,
            }
        };
        match ended {
            Some(Ok(connected)) => return Ok(connected),
            Some(Err(failure)) => failures.push(failure),
            None => return Err(most_telling(failures)),
        }
    }
}

async fn connect(clock: &dyn Clock, remote: SocketAddr) -> Result<Connected, Failure> {
    let began = clock.monotonic();
    let stream = TcpStream::connect(remote).await.map_err(|error| failure_of(&error, remote))?;
    Ok(Connected { stream, remote, began })
}

/// Of the failures of all addresses the one to tell: our own limits first, since they say that we did not look; then what
/// the target said; a missing route only when there is none to any address.
fn most_telling(failures: Vec<Failure>) -> Failure {
    let rank = |failure: &Failure| match failure.kind {
        FailureKind::LocalResources => 0,
        FailureKind::LocalNetwork => 2,
        _ => 1,
    };
    let nothing = || Failure::new(FailureKind::Internal, "no address was tried");
    failures.into_iter().min_by_key(rank).unwrap_or_else(nothing)
}

/// What a failed connection attempt means.
pub fn failure_of(error: &io::Error, remote: SocketAddr) -> Failure {
    use io::ErrorKind as Is;
    let (kind, message) = match error.kind() {
        Is::ConnectionRefused => (FailureKind::ConnectRefused, format!("{remote} refused the connection")),
        Is::ConnectionReset | Is::ConnectionAborted => {
            (FailureKind::ConnectReset, format!("{remote} reset the connection"))
        }
        Is::TimedOut => (FailureKind::TimeoutConnect, format!("{remote} did not answer")),
        Is::PermissionDenied => (FailureKind::LocalNetwork, format!("this machine forbids connecting to {remote}")),
        // Without IPv6 on this machine there is no address to come from; that is no want of ports.
        Is::NetworkUnreachable | Is::HostUnreachable | Is::NetworkDown | Is::AddrNotAvailable if !has_route(remote) => {
            (FailureKind::LocalNetwork, format!("this machine has no route to {remote}"))
        }
        Is::AddrNotAvailable => (FailureKind::LocalResources, "no local port is free".to_owned()),
        _ if is_out_of_resources(error) => {
            (FailureKind::LocalResources, format!("no socket could be opened: {}", plain(error)))
        }
        _ => (FailureKind::ConnectUnreachable, format!("{remote} cannot be reached: {}", plain(error))),
    };
    Failure::new(kind, message)
}

/// Whether the machine would know where to send a packet. A datagram socket that is connected sends nothing.
pub fn has_route(remote: SocketAddr) -> bool {
    let any: IpAddr = if remote.is_ipv4() { [0, 0, 0, 0].into() } else { [0_u16; 8].into() };
    UdpSocket::bind((any, 0)).and_then(|socket| socket.connect(remote)).is_ok()
}

/// Descriptors, memory or buffers: `ENFILE`, `EMFILE`, `ENOMEM`, and `ENOBUFS` of Linux and of the BSDs.
fn is_out_of_resources(error: &io::Error) -> bool {
    matches!(error.raw_os_error(), Some(23 | 24 | 12))
        || error.raw_os_error() == Some(if cfg!(target_os = "linux") { 105 } else { 55 })
}

/// The system's words without their number.
fn plain(error: &io::Error) -> String {
    let text = error.to_string().to_lowercase();
    text.split(" (os error").next().unwrap_or_default().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::SystemClock;

    fn addresses(texts: &[&str]) -> Vec<IpAddr> {
        texts.iter().map(|text| text.parse().unwrap()).collect()
    }

    #[test]
    fn families_take_turns_and_what_is_refused_is_passed_over() {
        let found = addresses(&["2001:db8::1", "2001:db8::2", "169.254.169.254", "192.0.2.1", "192.0.2.1"]);
        let order = Vec::from(allowed("a.example", &found).unwrap());
        assert_eq!(order, addresses(&["2001:db8::1", "192.0.2.1", "2001:db8::2"]));
        let many: Vec<IpAddr> = (1..=100).map(|last| [192, 0, 2, last].into()).collect();
        assert_eq!(allowed("a.example", &many).unwrap().len(), ADDRESSES_MAX);
    }

    #[test]
    fn a_name_with_nothing_but_refused_addresses_is_blocked() {
        let failure = allowed("meta.example", &addresses(&["::ffff:169.254.169.254"])).unwrap_err();
        assert_eq!(failure.kind, FailureKind::ConnectBlocked);
        assert!(failure.message.contains("link-local"), "{failure}");
    }

    #[test]
    fn our_own_limits_are_told_before_the_targets_refusal_and_a_missing_route_last() {
        let kinds = [FailureKind::LocalNetwork, FailureKind::ConnectRefused, FailureKind::LocalResources];
        let failures = |count: usize| kinds[..count].iter().map(|kind| Failure::new(*kind, "")).collect();
        assert_eq!(most_telling(failures(1)).kind, FailureKind::LocalNetwork);
        assert_eq!(most_telling(failures(2)).kind, FailureKind::ConnectRefused);
        assert_eq!(most_telling(failures(3)).kind, FailureKind::LocalResources);
    }

    #[test]
    fn errors_of_the_system_have_names() {
        let remote: SocketAddr = "192.0.2.1:80".parse().unwrap();
        for (errno, kind) in [(24, FailureKind::LocalResources), (105, FailureKind::LocalResources)] {
            assert_eq!(failure_of(&io::Error::from_raw_os_error(errno), remote).kind, kind, "{errno}");
        }
        for (error, kind) in [
            (io::ErrorKind::AddrNotAvailable, FailureKind::LocalResources),
            (io::ErrorKind::ConnectionRefused, FailureKind::ConnectRefused),
            (io::ErrorKind::ConnectionReset, FailureKind::ConnectReset),
            (io::ErrorKind::PermissionDenied, FailureKind::LocalNetwork),
        ] {
            assert_eq!(failure_of(&error.into(), remote).kind, kind, "{error}");
        }
    }

    #[tokio::test]
    async fn an_address_that_refuses_does_not_hide_the_one_that_answers() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let clock = SystemClock::start();
        let order = VecDeque::from(addresses(&["::1", "127.0.0.1"]));
        let connected = connect_any(&clock, order, port).await.unwrap();
        assert_eq!(connected.remote, listener.local_addr().unwrap());
    }

    /// A place on loopback that drops every attempt: its queue holds one connection, and that is taken.
    async fn black_hole() -> (tokio::net::TcpListener, TcpStream) {
        let socket = tokio::net::TcpSocket::new_v4().unwrap();
        socket.bind("127.0.0.2:0".parse().unwrap()).unwrap();
        let listener = socket.listen(0).unwrap();
        let filler = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        (listener, filler)
    }

    #[tokio::test]
    async fn a_dead_address_costs_a_moment_and_not_the_step() {
        let (dead, _filler) = black_hole().await;
        let port = dead.local_addr().unwrap().port();
        let alive = tokio::net::TcpListener::bind(("127.0.0.1", port)).await.unwrap();
        let clock = SystemClock::start();
        let order = VecDeque::from(addresses(&["127.0.0.2", "127.0.0.1"]));
        let connected = connect_any(&clock, order, port).await.unwrap();
        assert_eq!(connected.remote, alive.local_addr().unwrap());
    }

    #[tokio::test]
    async fn a_handshake_that_was_begun_twice_is_told_by_our_own_clock() {
        let (full, _filler) = black_hole().await;
        let port = full.local_addr().unwrap().port();
        let clock = SystemClock::start();
        let mut watch = Stopwatch::start(&clock, clock.monotonic() + Duration::from_secs(9));
        let resolver = Resolver::system();
        let room = async {
            // The first SYN has found no room by now; the second, a second later, does.
            clock.sleep_until(clock.monotonic() + Duration::from_millis(300)).await;
            full.accept().await.unwrap()
        };
        let (dialled, _) = tokio::join!(dial(&resolver, "127.0.0.2", port, &mut watch), room);
        dialled.unwrap();
        let phases = watch.phases();
        assert!(phases.connect_ms.unwrap() >= 900.0, "{phases:?}");
        assert!(phases.connect_error_ms.unwrap() >= 900.0, "{phases:?}");
    }

    #[tokio::test]
    async fn a_handshake_takes_what_the_kernel_says() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let clock = SystemClock::start();
        let mut watch = Stopwatch::start(&clock, clock.monotonic() + Duration::from_secs(9));
        dial(&Resolver::system(), "127.0.0.1", port, &mut watch).await.unwrap();
        let phases = watch.phases();
        assert_eq!(phases.connect_error_ms, Some(0.001), "{phases:?}");
        assert!(phases.connect_ms.unwrap() > 0.0, "{phases:?}");
    }

    #[tokio::test]
    async fn connecting_ends_at_the_deadline() {
        let (dead, _filler) = black_hole().await;
        let port = dead.local_addr().unwrap().port();
        let clock = SystemClock::start();
        let mut watch = Stopwatch::start(&clock, clock.monotonic() + Duration::from_millis(300));
        let failure = dial(&Resolver::system(), "127.0.0.2", port, &mut watch).await.unwrap_err();
        assert_eq!(failure.to_string(), "timeout.connect: no connection was made within 300 ms");
    }
}
