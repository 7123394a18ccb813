//! How often a peer may change something, and how often it may be wrong about the token. Each has a bucket that fills again: a
//! person never empties one, and a program that does is told when to come again. That keeps what a flood costs low; what keeps a
//! token from being guessed is its length.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use axum::http::StatusCode;
use axum::response::Response;

use super::api::answers::Trouble;
use crate::domain::time::Monotonic;

/// Who asks, where that is known.
#[derive(Clone, Copy)]
pub struct Peer(pub IpAddr);

/// What is counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Counted {
    /// Something is changed.
    Change,
    /// Something is read that is open to all.
    Public,
    /// A token was given that is not the right one.
    WrongToken,
    /// The log says that a change was refused.
    Told,
}

impl Counted {
    fn allowance(self) -> Allowance {
        match self {
            Self::Change => Allowance { most: 120.0, refill: Duration::from_millis(500) },
            Self::Public => Allowance { most: 300.0, refill: Duration::from_millis(100) },
            Self::WrongToken => Allowance { most: 60.0, refill: Duration::from_secs(3) },
            Self::Told => Allowance { most: 10.0, refill: Duration::from_secs(60) },
        }
    }

    fn words(self) -> &'static str {
        match self {
            Self::Change => "too much is changed from this address",
            Self::Public => "too much is asked from this address",
            Self::WrongToken => "too many wrong tokens came from this address",
            Self::Told => "too much is refused to this address",
        }
    }
}

/// How often something may come.
#[derive(Clone, Copy, Debug)]
pub struct Allowance {
    /// How many at once.
    pub most: f64,
    /// How long it takes until there is room for one more.
    pub refill: Duration,
}

/// How many buckets there are at most; then those that are full again go, and the oldest if none is.
const BUCKETS_MAX: usize = 4_096;

/// What is left of an allowance.
#[derive(Clone, Copy, Debug)]
pub struct Bucket {
    left: f64,
    at: Monotonic,
}

impl Bucket {
    /// All of it.
    pub fn full(of: Allowance, now: Monotonic) -> Self {
        Self { left: of.most, at: now }
    }

    fn left(&self, of: Allowance, now: Monotonic) -> f64 {
        let more = now.since(self.at).as_secs_f64() / of.refill.as_secs_f64();
        (self.left + more).min(of.most)
    }

    /// Takes one out of it; where it is empty, says after how long there is one again.
    pub fn take(&mut self, of: Allowance, now: Monotonic) -> Result<(), Duration> {
        let left = self.left(of, now);
        if left < 1.0 {
            return Err(of.refill.mul_f64(1.0 - left));
        }
        *self = Self { left: left - 1.0, at: now };
        Ok(())
    }
}

/// The buckets of all peers.
#[derive(Default)]
pub struct Limits(Mutex<HashMap<(IpAddr, Counted), Bucket>>);

impl Limits {
    /// Takes one out of a peer's bucket; nothing where it is empty.
    pub fn take(&self, peer: IpAddr, counted: Counted, now: Monotonic) -> Result<(), TooMany> {
        let mut buckets = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let of = (network(peer), counted);
        if !buckets.contains_key(&of) {
            make_room(&mut buckets, now);
        }
        let allowance = counted.allowance();
        let bucket = buckets.entry(of).or_insert_with(|| Bucket::full(allowance, now));
        bucket.take(allowance, now).map_err(|wait| TooMany { counted, wait })
    }
}

fn make_room(buckets: &mut HashMap<(IpAddr, Counted), Bucket>, now: Monotonic) {
    if buckets.len() < BUCKETS_MAX {
        return;
    }
    buckets.retain(|(_, counted), bucket| bucket.left(counted.allowance(), now) < counted.allowance().most);
    if buckets.len() >= BUCKETS_MAX
        && let Some(oldest) = buckets.iter().min_by_key(|(_, bucket)| bucket.at).map(|(of, _)| *of)
    {
        buckets.remove(&oldest);
    }
}

/// One household has one address of the old sort and a whole network of the new one.
pub fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => IpAddr::V6(Ipv6Addr::from_bits(address.to_bits() & (u128::MAX << 64))),
        address @ IpAddr::V4(_) => address,
    }
}

/// A bucket is empty.
#[derive(Debug, PartialEq, Eq)]
pub struct TooMany {
    counted: Counted,
    wait: Duration,
}

impl TooMany {
    /// The answer, which says when to come again, in the form in which that path answers.
    pub fn answer(&self, path: &str) -> Response {
        Trouble::new(StatusCode::TOO_MANY_REQUESTS, self.counted.words()).again_after(self.wait).answer(path)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::web::api::answers::PROBLEM;
    use axum::http::header;
    use std::net::Ipv4Addr;

    fn peer(address: &str) -> IpAddr {
        address.parse().unwrap()
    }

    fn second(second: u64) -> Monotonic {
        Monotonic(Duration::from_secs(second))
    }

    #[test]
    fn a_peer_that_has_had_its_share_is_told_when_to_come_again_and_no_other_is() {
        let limits = Limits::default();
        let wrong = |address: &str, at: u64| limits.take(peer(address), Counted::WrongToken, second(at));
        for _ in 0..60 {
            assert_eq!(wrong("2001:db8::1", 0), Ok(()));
        }
        let refused = wrong("2001:db8::2", 0).unwrap_err();
        let told = |path: &str| {
            let answer = refused.answer(path);
            let header = |name| answer.headers()[name].to_str().unwrap().to_owned();
            (header(header::CONTENT_TYPE), header(header::RETRY_AFTER))
        };
        let wait = "4".to_owned();
        assert_eq!(told("/api/v1/pauses"), (PROBLEM.to_owned(), wait.clone()), "it is of the same network");
        assert_eq!(told("/public"), ("text/plain; charset=utf-8".to_owned(), wait), "people read no JSON");
        assert!(wrong("2001:db8::1", 2).is_err());
        assert_eq!(limits.take(peer("2001:db8::1"), Counted::Change, second(2)), Ok(()), "that is counted apart");
        assert_eq!((wrong("192.0.2.1", 0), wrong("2001:db8::1", 3)), (Ok(()), Ok(())));
        assert!(wrong("2001:db8::1", 3).is_err());
    }

    #[test]
    fn there_are_no_more_buckets_than_are_needed() {
        let limits = Limits::default();
        for n in 0..10_000_u32 {
            let peer = Ipv4Addr::from_bits(n).into();
            limits.take(peer, Counted::WrongToken, second(u64::from(n / 5_000))).unwrap();
        }
        let buckets = limits.0.lock().unwrap();
        assert_eq!(buckets.len(), BUCKETS_MAX);
        let last = (Ipv4Addr::from_bits(9_999).into(), Counted::WrongToken);
        assert!(
            buckets.contains_key(&last) && buckets.values().all(|bucket| bucket.at == second(1)),
            "the oldest went"
        );
    }
}
