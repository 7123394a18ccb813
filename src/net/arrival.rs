//! When the first byte of an answer came. What the kernel stamped by the wall clock is taken to the clock that does not
//! step, what cannot be true is refused, and it is said by how much the rest may be wrong.

use std::time::Duration;

use crate::domain::time::{Monotonic, Timestamp};
use crate::ports::Clock;

/// Both clocks, read together.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Instants {
    /// The wall clock.
    pub wall: Timestamp,
    /// The clock that does not step.
    pub monotonic: Monotonic,
    /// How far the two may lie apart: this far before or after.
    pub error: Duration,
}

impl Instants {
    /// How close together two readings are to be. On a busy core something may come between; it rarely does so thrice.
    const APART_MAX: Duration = Duration::from_micros(10);

    /// Reads both.
    pub fn read(clock: &dyn Clock) -> Self {
        let once = || {
            let before = clock.monotonic();
            let wall = clock.now();
            let apart = clock.monotonic().since(before);
            Self { wall, monotonic: before + apart / 2, error: apart / 2 }
        };
        let mut best = once();
        for _ in 0..2 {
            if best.error * 2 <= Self::APART_MAX {
                break;
            }
            let again = once();
            if again.error < best.error {
                best = again;
            }
        }
        best
    }

    /// From the wall clock's zero to the other's, in nanoseconds.
    fn offset_ns(&self) -> i128 {
        let wall = i128::from(self.wall.timestamp()) * 1_000_000_000 + i128::from(self.wall.timestamp_subsec_nanos());
        wall - i128::try_from(self.monotonic.0.as_nanos()).unwrap_or_default()
    }
}

/// By how much the distance of the two clocks may seem to change between two readings. A step is larger; both clocks run at
/// one pace, since what disciplines one disciplines the other (`clock_adjtime(2)`).
const STEP_MIN: Duration = Duration::from_micros(50);

/// When something came in, by the clock that does not step, from the kernel's stamp of it. Absent when there is no stamp,
/// when the wall clock was set between the two readings, and when the stamp lies outside of them.
fn arrival(sent: &Instants, stamp: Option<Timestamp>, read: &Instants) -> Option<Monotonic> {
    let stamp = stamp?;
    let apart = (read.offset_ns() - sent.offset_ns()).unsigned_abs();
    if apart > (STEP_MIN + sent.error + read.error).as_nanos() {
        return None;
    }
    let since_sent = (stamp - sent.wall).to_std().ok()?;
    let at = sent.monotonic + since_sent;
    (at <= read.monotonic).then_some(at)
}

/// When the last byte before an answer was given to the kernel.
#[derive(Clone, Copy, Debug)]
pub struct Sent {
    before: Instants,
    after: Monotonic,
}

impl Sent {
    /// What was begun at `before` has been given to the kernel now. The earlier instant counts: on loopback the answer may
    /// be there before we are let to look at a clock again.
    pub fn now(before: Instants, clock: &dyn Clock) -> Self {
        Self { before, after: clock.monotonic() }
    }

    /// From this very instant: nothing is said, since the other side speaks first, or is said in no time, as a datagram is.
    pub fn nothing(clock: &dyn Clock) -> Self {
        let before = Instants::read(clock);
        Self { before, after: before.monotonic }
    }

    /// When that was.
    pub fn at(&self) -> Monotonic {
        self.before.monotonic
    }

    /// When the first byte of the answer came that was read just now: by its stamp, or else by our own clock. Of the wait
    /// it is then known only that it was not over when we last looked and found nothing.
    pub fn first_byte(&self, stamp: Option<Timestamp>, nothing_at: Option<Monotonic>, clock: &dyn Clock) -> FirstByte {
        let read = Instants::read(clock);
        let sent = self.before.monotonic;
        match arrival(&self.before, stamp, &read) {
            Some(at) => FirstByte { at, took: at.since(sent), error: self.after.since(sent) + self.before.error },
            None => {
                let at = read.monotonic;
                FirstByte { at, took: at.since(sent), error: at.since(nothing_at.unwrap_or_default().max(sent)) }
            }
        }
    }
}

/// When the first byte of an answer came.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct FirstByte {
    /// When it came.
    pub at: Monotonic,
    /// How long it took after the request had been given to the kernel.
    pub took: Duration,
    /// By how much that may be wrong.
    pub error: Duration,
}

#[cfg(test)]
mod tests {
    use chrono::DateTime;

    use super::*;
    use crate::clock::SystemClock;

    const START: i64 = 1_790_000_000;

    fn instants(wall_us: i64, monotonic_us: u64) -> Instants {
        let wall = DateTime::from_timestamp_micros(START * 1_000_000 + wall_us).unwrap();
        Instants { wall, monotonic: Monotonic(Duration::from_micros(monotonic_us)), error: Duration::ZERO }
    }

    fn stamp(wall_us: i64) -> Option<Timestamp> {
        DateTime::from_timestamp_micros(START * 1_000_000 + wall_us)
    }

    #[test]
    fn a_stamp_tells_when_it_came_and_not_when_it_was_read() {
        let (sent, read) = (instants(0, 500), instants(50_000, 50_500));
        assert_eq!(arrival(&sent, stamp(1_200), &read), Some(Monotonic(Duration::from_micros(1_700))));
        assert_eq!(arrival(&sent, None, &read), None);
    }

    #[test]
    fn a_stamp_outside_the_exchange_is_not_used() {
        let (sent, read) = (instants(0, 500), instants(1_000, 1_500));
        assert_eq!(arrival(&sent, stamp(-1), &read), None);
        assert_eq!(arrival(&sent, stamp(1_001), &read), None);
        assert_eq!(arrival(&sent, stamp(1_000), &read), Some(Monotonic(Duration::from_micros(1_500))));
    }

    #[test]
    fn a_step_of_the_wall_clock_is_not_latency() {
        let sent = instants(0, 500);
        for stepped_us in [-3_600_000_000, -200, 200, 3_600_000_000] {
            let read = instants(1_000 + stepped_us, 1_500);
            assert_eq!(arrival(&sent, stamp(900), &read), None, "{stepped_us}");
        }
        let within_the_reading_error = instants(1_000 + 40, 1_500);
        assert!(arrival(&sent, stamp(900), &within_the_reading_error).is_some());
    }

    #[test]
    fn without_a_stamp_the_error_reaches_back_to_when_we_last_looked() {
        let clock = SystemClock::start();
        let sent = Sent::now(Instants::read(&clock), &clock);
        let looked = clock.monotonic();
        let first = sent.first_byte(None, Some(looked), &clock);
        assert_eq!(first.at.since(looked), first.error);
        let of_another_day = sent.first_byte(DateTime::from_timestamp(0, 0), None, &clock);
        assert_eq!(of_another_day.error, of_another_day.took);
    }
}
