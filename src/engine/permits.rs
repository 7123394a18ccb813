//! Permits: how many runs of a schedule go on at once, how many go on now, and how many wait for one of those to end. Each
//! schedule has its own, so hung hourly suites never delay a 30-second probe. The scheduler takes them; pages look.

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::domain::names::ScheduleName;

/// How many runs of one schedule go on at once.
pub const PERMITS: usize = 256;

/// How many runs of no schedule go on at once: each is wanted by somebody, and they must not hold up the rounds.
pub const PERMITS_OF_NO_SCHEDULE: usize = 16;

/// The permits of one schedule.
pub struct Pool {
    permits: Arc<Semaphore>,
    most: usize,
    waiting: AtomicUsize,
}

/// How the permits of a schedule stood when somebody looked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PermitsSeen {
    /// How many there are.
    pub most: usize,
    /// How many runs have one.
    pub used: usize,
    /// How many wait for one.
    pub waiting: usize,
}

impl Pool {
    fn of(most: usize) -> Self {
        Self { permits: Arc::new(Semaphore::new(most)), most, waiting: AtomicUsize::new(0) }
    }

    /// A permit, waited for if need be; it is given back when it is dropped.
    pub async fn acquire(&self) -> Option<OwnedSemaphorePermit> {
        if let Ok(permit) = Arc::clone(&self.permits).try_acquire_owned() {
            return Some(permit);
        }
        let _waits = Waits::begin(&self.waiting);
        Arc::clone(&self.permits).acquire_owned().await.ok()
    }

    fn seen(&self) -> PermitsSeen {
        PermitsSeen {
            most: self.most,
            used: self.most.saturating_sub(self.permits.available_permits()),
            waiting: self.waiting.load(Ordering::Relaxed),
        }
    }
}

/// Somebody waits; whoever gives up waits no more.
struct Waits<'a>(&'a AtomicUsize);

impl<'a> Waits<'a> {
    fn begin(waiting: &'a AtomicUsize) -> Self {
        waiting.fetch_add(1, Ordering::Relaxed);
        Self(waiting)
    }
}

impl Drop for Waits<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// The permits of every schedule that has started a run, and of the runs of none.
#[derive(Default)]
pub struct Permits(Mutex<HashMap<Option<ScheduleName>, Arc<Pool>>>);

impl Permits {
    /// Those of a schedule, or of the runs of none.
    pub fn of(&self, schedule: Option<ScheduleName>) -> Arc<Pool> {
        let most = if schedule.is_some() { PERMITS } else { PERMITS_OF_NO_SCHEDULE };
        let mut pools = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(pools.entry(schedule).or_insert_with(|| Arc::new(Pool::of(most))))
    }

    /// How those of a schedule stand.
    pub fn seen(&self, schedule: &ScheduleName) -> PermitsSeen {
        let pools = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let unused = PermitsSeen { most: PERMITS, used: 0, waiting: 0 };
        pools.get(&Some(schedule.clone())).map_or(unused, |pool| pool.seen())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures::FutureExt as _;

    #[test]
    fn who_has_one_and_who_waits_is_seen_until_it_is_over() {
        let permits = Permits::default();
        let name = ScheduleName::parse("tier").unwrap();
        assert_eq!(permits.seen(&name), PermitsSeen { most: 256, used: 0, waiting: 0 });
        let pool = permits.of(Some(name.clone()));
        let held: Vec<_> = (0..PERMITS).map(|_| pool.acquire().now_or_never().unwrap().unwrap()).collect();
        let mut third = Box::pin(pool.acquire());
        let fourth = Box::pin(pool.acquire());
        assert!(third.as_mut().now_or_never().is_none());
        assert_eq!(permits.seen(&name), PermitsSeen { most: 256, used: 256, waiting: 1 });
        drop((third, fourth));
        assert_eq!(permits.seen(&name).waiting, 0, "whoever gave up waits no more");
        drop(held);
        assert_eq!(permits.seen(&name), PermitsSeen { most: 256, used: 0, waiting: 0 });
        assert!(permits.of(None).acquire().now_or_never().unwrap().is_some(), "another has its own");
    }
}
