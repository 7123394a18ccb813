//! The only file that reads a clock.

#![expect(clippy::disallowed_methods, reason = "this is the one place where clocks are read")]

use std::time::{Duration, Instant};

use chrono::DateTime;
use futures::future::BoxFuture;
use nix::time::{ClockId, clock_gettime};

use crate::domain::time::{Monotonic, Timestamp};
use crate::ports::Clock;

/// The machine's clocks.
#[derive(Debug)]
pub struct SystemClock {
    origin: Instant,
    /// For how long the machine had slept by then.
    asleep: Duration,
}

impl SystemClock {
    /// Clocks whose monotonic side begins here.
    pub fn start() -> Self {
        Self { origin: Instant::now(), asleep: asleep() }
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
        // A task that a target keeps busy uses up its turn by reading, and a sleep that must have a share of that turn is
        // then never asked: a deadline would wait for a flood to pause.
        Box::pin(tokio::task::unconstrained(tokio::time::sleep(left)))
    }

    fn slept(&self) -> Duration {
        asleep().saturating_sub(self.asleep)
    }
}

/// For how long the machine has slept since it was started.
fn asleep() -> Duration {
    let read = |clock| clock_gettime(clock).map_or(Duration::ZERO, Duration::from);
    // In this order, what passes between the two readings is not taken for sleep.
    let counted = read(ClockId::CLOCK_BOOTTIME);
    counted.saturating_sub(read(ClockId::CLOCK_MONOTONIC))
}

#[cfg(test)]
mod tests {
    use std::pin::pin;

    use futures::future::{Either, select};

    use super::*;

    #[tokio::test]
    async fn a_deadline_comes_while_a_flood_goes_on() {
        let clock = SystemClock::start();
        // It is polled first, as the work of a step is, and each time it uses up the whole turn.
        let mut flood = pin!(async {
            loop {
                tokio::task::coop::consume_budget().await;
            }
        });
        let deadline = clock.sleep_until(clock.monotonic() + Duration::from_millis(5));
        let ended = tokio::time::timeout(Duration::from_secs(5), select(flood.as_mut(), deadline)).await;
        assert!(matches!(ended, Ok(Either::Right(_))), "the deadline was not asked");
    }

    #[tokio::test]
    async fn sleeping_until_what_is_past_ends_at_once() {
        let clock = SystemClock::start();
        clock.sleep_until(Monotonic::default()).await;
        let before = clock.monotonic();
        clock.sleep_until(before + Duration::from_millis(5)).await;
        assert!(clock.monotonic().since(before) >= Duration::from_millis(5));
        assert!(clock.now().timestamp() > 1_700_000_000);
        assert!(clock.slept() < Duration::from_millis(1), "nobody sent this machine to sleep: {:?}", clock.slept());
    }
}
