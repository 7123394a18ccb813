//! What was made a moment ago, for many who want the same: whoever comes first makes it, the others wait and share it. So a page
//! costs the same whether one looks or fifty.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use crate::domain::time::Monotonic;
use crate::ports::Clock;

/// What is kept under a name.
type Slot<T> = Arc<tokio::sync::Mutex<Option<Made<T>>>>;

/// What was made.
struct Made<T> {
    begun: Monotonic,
    ended: Monotonic,
    value: T,
}

/// What is kept, by name.
pub struct Kept<T> {
    most: usize,
    fresh: Duration,
    is_good: fn(&T) -> bool,
    slots: Mutex<BTreeMap<String, (Monotonic, Slot<T>)>>,
}

impl<T: Clone> Kept<T> {
    /// Keeps so many, each for so long. What is not good serves those only who waited for it.
    pub fn new(most: usize, fresh: Duration, is_good: fn(&T) -> bool) -> Self {
        Self { most, fresh, is_good, slots: Mutex::default() }
    }

    /// What goes by a name, made unless it is fresh.
    pub async fn get(&self, clock: &dyn Clock, name: String, make: impl Future<Output = T>) -> T {
        let asked_at = clock.monotonic();
        let slot = self.slot(asked_at, name);
        let mut held = slot.lock().await;
        // It is as old as what it was made of.
        let serves = |made: &&Made<T>| {
            let is_fresh = clock.monotonic().since(made.begun) < self.fresh;
            if (self.is_good)(&made.value) { is_fresh } else { asked_at < made.ended }
        };
        if let Some(made) = held.as_ref().filter(serves) {
            return made.value.clone();
        }
        let begun = clock.monotonic();
        let value = make.await;
        *held = Some(Made { begun, ended: clock.monotonic(), value: value.clone() });
        value
    }

    /// Nothing of what is kept is right any more.
    pub fn forget(&self) {
        self.slots.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }

    fn slot(&self, now: Monotonic, name: String) -> Slot<T> {
        let mut slots = self.slots.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((asked_at, slot)) = slots.get_mut(&name) {
            *asked_at = now;
            return Arc::clone(slot);
        }
        if slots.len() >= self.most
            && let Some(oldest) = slots.iter().min_by_key(|(_, (asked_at, _))| *asked_at).map(|(name, _)| name.clone())
        {
            slots.remove(&oldest);
        }
        let slot = Slot::default();
        slots.insert(name, (now, Arc::clone(&slot)));
        slot
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::testing::TestClock;
    use std::sync::atomic::{AtomicU32, Ordering};

    #[tokio::test(start_paused = true)]
    async fn many_who_want_the_same_share_it_for_a_while() {
        let (clock, made) = (TestClock::starting("2026-11-24T10:00:00Z"), AtomicU32::new(0));
        let kept = Kept::new(2, Duration::from_secs(1), |_| true);
        let get = |name: &str| {
            kept.get(&*clock, name.to_owned(), async {
                tokio::task::yield_now().await;
                made.fetch_add(1, Ordering::Relaxed) + 1
            })
        };
        assert_eq!(futures::future::join_all((0..50).map(|_| get("a"))).await, [1; 50]);
        assert_eq!((get("b").await, get("a").await), (2, 1));
        tokio::time::advance(Duration::from_secs(1)).await;
        assert_eq!(get("a").await, 3);
        assert_eq!(get("c").await, 4);
        assert_eq!(get("b").await, 5, "there was no room for three");
        kept.forget();
        assert_eq!(get("b").await, 6);
    }

    #[tokio::test(start_paused = true)]
    async fn what_came_to_nothing_serves_those_only_who_waited_for_it() {
        let (clock, made) = (TestClock::starting("2026-11-24T10:00:00Z"), AtomicU32::new(0));
        let kept = Kept::new(2, Duration::from_secs(10), Option::is_some);
        let (clock, made) = (&*clock, &made);
        let get = |came: Option<u32>| {
            kept.get(clock, "page".to_owned(), async move {
                clock.sleep_until(clock.monotonic() + Duration::from_millis(100)).await;
                made.fetch_add(1, Ordering::Relaxed);
                came
            })
        };
        assert_eq!(futures::future::join_all((0..50).map(|_| get(None))).await, [None; 50]);
        assert_eq!(made.load(Ordering::Relaxed), 1, "each of them would have waited for the store in turn");
        assert_eq!((get(Some(7)).await, get(Some(8)).await), (Some(7), Some(7)));
    }
}
