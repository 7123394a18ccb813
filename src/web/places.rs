//! Who holds a connection. There are so many places, and nobody keeps others out of them: where all are taken, whoever comes next
//! takes that of a connection on which nothing is being answered — of the address that has most of them, the one that has asked
//! nothing for longest. So a peer that sends its head slowly, or none, loses to one that asks, from the same address too. An
//! address has at most half of the places, unless many people may stand behind it.
//!
//! What lasts — a stream of events — asks for a place of its own by [`Connection::stay`]. It then takes none of the others, and
//! what ends a connection after a minute does not end it.

use std::cmp::Reverse;
use std::collections::{BTreeMap, HashMap};
use std::net::IpAddr;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::{Body, HttpBody};
use hyper::body::{Bytes, Frame, SizeHint};
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use super::limits::network;
use crate::domain::time::Monotonic;
use crate::ports::Clock;

/// Connections at a time; more wait in the kernel's queue.
const PLACES_MAX: usize = 100;

/// How many of them one address may have.
const OF_ONE_MAX: usize = PLACES_MAX / 2;

/// Connections on which something is told for long, beside those.
const STREAMS_MAX: usize = 64;

/// How many of them one address may have.
const STREAMS_OF_ONE_MAX: usize = STREAMS_MAX / 2;

/// How long a connection may live, so that a peer that never stops asking leaves too. What is being answered then is answered.
const LIFE: Duration = Duration::from_mins(1);

/// How long an answer may take on a connection that has lived so long: longer than a body, a commit and the runs that somebody
/// triggers. A peer that does not read its answer leaves after it.
const ANSWER_MAX: Duration = Duration::from_secs(70);

/// The same of a stream. Whoever listens comes again by itself.
const STREAM_LIFE: Duration = Duration::from_mins(15);

/// How much longer than its stream a connection lives.
const STREAM_GRACE: Duration = Duration::from_secs(5);

/// All places.
pub struct Places {
    held: Mutex<Held>,
    clock: Arc<dyn Clock>,
    stop: CancellationToken,
    /// There may be room where there was none.
    pub changed: Notify,
}

#[derive(Default)]
struct Held {
    next: u64,
    connections: BTreeMap<u64, Occupied>,
}

/// A connection.
struct Occupied {
    network: IpAddr,
    /// Many people may stand behind its address.
    is_of_many: bool,
    doing: Doing,
    /// Is told to make room.
    cut: CancellationToken,
    begun: Monotonic,
}

/// What goes on on it.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Doing {
    /// Nothing, since then.
    Waiting(Monotonic),
    /// An answer, since then.
    Answering(Monotonic),
    /// An answer that lasts, until then at most.
    Streaming(Monotonic),
    /// It makes room.
    Leaving,
}

impl Occupied {
    fn counts(&self) -> bool {
        matches!(self.doing, Doing::Waiting(_) | Doing::Answering(_))
    }

    fn waits(&self) -> Option<Monotonic> {
        match self.doing {
            Doing::Waiting(since) => Some(since),
            Doing::Answering(_) | Doing::Streaming(_) | Doing::Leaving => None,
        }
    }
}

impl Held {
    fn of(&self, network: IpAddr) -> usize {
        self.connections.values().filter(|one| one.counts() && one.network == network).count()
    }

    fn taken(&self) -> usize {
        self.connections.values().filter(|one| one.counts()).count()
    }

    /// Has one of those leave on which nothing is answered: of the network that has most, the one that has waited for longest.
    fn make_room(&mut self, among: Option<IpAddr>) -> bool {
        let mut counts = HashMap::<IpAddr, usize>::new();
        for one in self.connections.values().filter(|one| one.counts()) {
            *counts.entry(one.network).or_default() += 1;
        }
        let waiting = self.connections.values_mut().filter(|one| among.is_none_or(|network| one.network == network));
        let waiting = waiting.filter_map(|one| Some((Reverse(*counts.get(&one.network)?), one.waits()?, one)));
        let Some((.., one)) = waiting.min_by_key(|(count, since, _)| (*count, *since)) else { return false };
        one.doing = Doing::Leaving;
        one.cut.cancel();
        true
    }
}

impl Places {
    /// Nobody has a place yet. What lasts ends when it is told to stop.
    pub fn new(clock: Arc<dyn Clock>, stop: CancellationToken) -> Arc<Self> {
        Arc::new(Self { held: Mutex::default(), clock, stop, changed: Notify::new() })
    }

    fn held(&self) -> MutexGuard<'_, Held> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether the next one has a place, or gets that of another.
    pub fn has_room(&self) -> bool {
        let held = self.held();
        held.taken() < PLACES_MAX || held.connections.values().any(|one| one.waits().is_some())
    }

    /// A place, if need be that of another; nothing where the address has its share and answers are under way on all of it.
    pub fn take(self: &Arc<Self>, peer: IpAddr, is_of_many: bool) -> Option<Place> {
        let (network, now) = (network(peer), self.clock.monotonic());
        let is_of_many = is_of_many || peer.to_canonical().is_loopback();
        let mut held = self.held();
        if !is_of_many && held.of(network) >= OF_ONE_MAX && !held.make_room(Some(network)) {
            return None;
        }
        if held.taken() >= PLACES_MAX && !held.make_room(None) {
            return None;
        }
        let (id, cut) = (held.next, CancellationToken::new());
        held.next += 1;
        let doing = Doing::Waiting(now);
        held.connections.insert(id, Occupied { network, is_of_many, doing, cut: cut.clone(), begun: now });
        Some(Place { connection: Connection { places: Arc::clone(self), id }, cut })
    }
}

/// A place, until it is dropped.
pub struct Place {
    /// What those who answer on it see of it.
    pub connection: Connection,
    /// Is told to make room.
    pub cut: CancellationToken,
}

impl Place {
    /// Until when what is being answered on it may take; nothing where nothing is.
    pub fn answered_by(&self) -> Option<Monotonic> {
        let held = self.connection.places.held();
        held.connections.get(&self.connection.id).and_then(|one| match one.doing {
            Doing::Answering(since) => Some(since + ANSWER_MAX),
            Doing::Waiting(_) | Doing::Streaming(_) | Doing::Leaving => None,
        })
    }

    /// Until when something may be asked on the connection.
    pub fn until(&self) -> Monotonic {
        let held = self.connection.places.held();
        held.connections.get(&self.connection.id).map_or_else(Monotonic::default, |one| match one.doing {
            Doing::Streaming(until) => until + STREAM_GRACE,
            Doing::Waiting(_) | Doing::Answering(_) | Doing::Leaving => one.begun + LIFE,
        })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.connection.places.held().connections.remove(&self.connection.id);
        self.connection.places.changed.notify_one();
    }
}

/// The connection on which something is asked; with each request among its extensions.
#[derive(Clone)]
pub struct Connection {
    places: Arc<Places>,
    id: u64,
}

impl Connection {
    /// Something is being answered on it.
    pub fn answering(&self) -> Answering {
        self.now(Doing::Answering(self.places.clock.monotonic()));
        Answering(self.clone())
    }

    /// A place among what lasts, until it is dropped: hold it as long as the answer is written, and end that when
    /// [`Stay::over`] completes. Nothing where all are taken, or the address has its share: then the answer is 503.
    pub fn stay(&self) -> Option<Stay> {
        let until = self.places.clock.monotonic() + STREAM_LIFE;
        let mut held = self.places.held();
        let one = held.connections.get(&self.id)?;
        let streams = held.connections.values().filter(|other| matches!(other.doing, Doing::Streaming(_)));
        let (all, of_one) =
            streams.fold((0, 0), |(all, of_one), other| (all + 1, of_one + usize::from(other.network == one.network)));
        if all >= STREAMS_MAX || of_one >= STREAMS_OF_ONE_MAX && !one.is_of_many {
            return None;
        }
        held.connections.get_mut(&self.id)?.doing = Doing::Streaming(until);
        drop(held);
        self.places.changed.notify_one();
        Some(Stay { connection: self.clone(), until })
    }

    /// Who makes room does nothing else any more.
    fn now(&self, doing: Doing) {
        if let Some(one) = self.places.held().connections.get_mut(&self.id).filter(|one| one.doing != Doing::Leaving) {
            one.doing = doing;
        }
        self.places.changed.notify_one();
    }
}

/// An answer is under way, until it is dropped.
pub struct Answering(Connection);

impl Drop for Answering {
    fn drop(&mut self) {
        self.0.now(Doing::Waiting(self.0.places.clock.monotonic()));
    }
}

/// A place among what lasts, until it is dropped.
pub struct Stay {
    connection: Connection,
    until: Monotonic,
}

impl Stay {
    /// Completes when it is to end: after a quarter of an hour, or when the process stops.
    pub async fn over(&self) {
        let Places { clock, stop, .. } = &*self.connection.places;
        tokio::select! {
            () = stop.cancelled() => {}
            () = clock.sleep_until(self.until) => {}
        }
    }
}

impl Drop for Stay {
    fn drop(&mut self) {
        self.connection.now(Doing::Answering(self.connection.places.clock.monotonic()));
    }
}

/// A body that is an answer under way until it is written.
pub struct Written {
    /// The body.
    pub body: Body,
    /// The answer that it is of.
    pub answering: Answering,
}

impl HttpBody for Written {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        Pin::new(&mut self.body).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::testing::TestClock;

    fn places() -> Arc<Places> {
        Places::new(TestClock::starting("2026-11-24T10:00:00Z") as _, CancellationToken::new())
    }

    fn address(last: usize) -> IpAddr {
        IpAddr::from([192, 0, 2, u8::try_from(last).unwrap()])
    }

    #[tokio::test(start_paused = true)]
    async fn an_address_has_half_of_the_places_and_whoever_waits_makes_room() {
        let places = places();
        let held: Vec<_> = (0..OF_ONE_MAX).map(|_| places.take(address(1), false).unwrap()).collect();
        let answers: Vec<_> = held.iter().skip(2).map(|place| place.connection.answering()).collect();
        tokio::time::advance(Duration::from_secs(1)).await;
        let third = places.take(address(1), false).unwrap();
        assert!(held[0].cut.is_cancelled() && !held[1].cut.is_cancelled(), "the one that has waited for longest");
        let busy = third.connection.answering();
        let fourth = places.take(address(1), false).unwrap();
        assert!(held[1].cut.is_cancelled());
        let also_busy = fourth.connection.answering();
        assert!(places.take(address(1), false).is_none(), "all of it is being answered");
        let others: Vec<_> = (0..OF_ONE_MAX).map(|n| places.take(address(2 + n), false).unwrap()).collect();
        assert!(places.has_room() && others.iter().all(|place| !place.cut.is_cancelled()));
        let all: Vec<_> = others.iter().map(|place| place.connection.answering()).collect();
        assert!(!places.has_room());
        drop((answers, busy, also_busy));
        assert!(places.take(address(99), false).is_some(), "an answer was written");
        assert!(held.iter().skip(2).any(|place| place.cut.is_cancelled()), "of the address that has most");
        drop(all);
    }

    #[tokio::test(start_paused = true)]
    async fn a_stream_takes_a_place_of_its_own_and_lives_longer() {
        let places = places();
        let held: Vec<_> = (0..OF_ONE_MAX).map(|_| places.take(address(1), false).unwrap()).collect();
        let stays: Vec<_> = held.iter().map_while(|place| place.connection.stay()).collect();
        assert_eq!((stays.len(), places.held().taken()), (STREAMS_OF_ONE_MAX, OF_ONE_MAX - STREAMS_OF_ONE_MAX));
        let proxy: Vec<_> = (0..STREAMS_MAX).map(|_| places.take(address(2), true).unwrap()).collect();
        let more: Vec<_> = proxy.iter().map_while(|place| place.connection.stay()).collect();
        assert_eq!(more.len(), STREAMS_MAX - STREAMS_OF_ONE_MAX);
        let begun = places.clock.monotonic();
        assert_eq!(held[0].until(), begun + STREAM_LIFE + STREAM_GRACE);
        stays[0].over().await;
        assert_eq!(places.clock.monotonic(), begun + STREAM_LIFE);
        drop(stays);
        assert_eq!(held[0].until(), begun + LIFE);
        places.stop.cancel();
        more[0].over().await;
        assert_eq!(places.clock.monotonic(), begun + STREAM_LIFE, "the process stops");
    }
}
