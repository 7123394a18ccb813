//! What was made a moment ago, for many who want the same: whoever comes first makes it, the others wait and share it. So a page
//! costs the same whether one looks or fifty.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use crate::domain::time::Monotonic;
use crate::ports::Clock;

/// What is kept under a name: when it was made, and what.
type Slot<T> = Arc<tokio::sync::Mutex<Option<(Monotonic, T)>>>;

/// What is kept, by name.
pub struct Kept<T> {
    most: usize,
    fresh: Duration,
    slots: Mutex<BTreeMap<String, (Monotonic, Slot<T>)>>,
}

impl<T: Clone> Kept<T> {
    /// Keeps so many, each for so long.
    pub fn new(most: usize, fresh: Duration) -> Self {
        Self { most, fresh, slots: Mutex::default() }
    }

    /// What goes by a name, made unless it is fresh.
    pub async fn get(&self, clock: &dyn Clock, name: String, make: impl Future<Output = T>) -> T {
        let slot = self.slot(clock.monotonic(), name);
        let mut held = slot.lock().await;
        if let Some((made_at, value)) = held.as_ref()
            && clock.monotonic().since(*made_at) < self.fresh
        {
            return value.clone();
        }
        // As old as what it was made of.
        let made_at = clock.monotonic();
        let value = make.await;
        *held = Some((made_at, value.clone()));
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
        let kept = Kept::new(2, Duration::from_secs(1));
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
}
