//! The only file that reads a clock.

#![expect(clippy::disallowed_methods, reason = "this is the one place where clocks are read")]

use std::time::{Duration, Instant};

use chrono::DateTime;
use futures::future::BoxFuture;

use crate::domain::time::{Monotonic, Timestamp};
use crate::ports::Clock;

/// The machine's clocks.
#[derive(Debug)]
pub struct SystemClock {
    origin: Instant,
}

impl SystemClock {
    /// Clocks whose monotonic side begins here.
    pub fn start() -> Self {
        Self { origin: Instant::now() }
    }
}

impl Clock for SystemClock {
    fn now(&self) -> Timestamp {
        DateTime::from(std::time::SystemTime::now())
    }

    fn monotonic(&self) -> Monotonic {
        Monotonic(self.origin.elapsed())
    }

    fn sleep_until(&self, at: Monotonic) -> BoxFuture<'_, ()> {
        // tokio rounds a sleep up to its next millisecond, so what is due in less is due now.
        let left: Duration = at.since(self.monotonic());
        Box::pin(tokio::time::sleep(left))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn sleeping_until_what_is_past_ends_at_once() {
        let clock = SystemClock::start();
        clock.sleep_until(Monotonic::default()).await;
        let before = clock.monotonic();
        clock.sleep_until(before + Duration::from_millis(5)).await;
        assert!(clock.monotonic().since(before) >= Duration::from_millis(5));
        assert!(clock.now().timestamp() > 1_700_000_000);
    }
}
