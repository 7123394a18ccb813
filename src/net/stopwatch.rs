//! How long each part of a step takes, and its end in time.

use std::future::Future;
use std::pin::pin;
use std::time::Duration;

use futures::future::{Either, select};

use crate::domain::outcome::{Failure, FailureKind, Phases};
use crate::domain::time::{Monotonic, milliseconds, words};
use crate::ports::Clock;

/// A part of a step that is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// Name to addresses.
    Dns,
    /// TCP handshake.
    Connect,
    /// TLS handshake.
    Tls,
    /// From the request's last byte to the answer's first.
    FirstByte,
    /// From the answer's first byte to its last.
    Transfer,
}

impl Part {
    fn timeout(self) -> (FailureKind, &'static str) {
        match self {
            Self::Dns => (FailureKind::TimeoutDns, "the name was not resolved"),
            Self::Connect => (FailureKind::TimeoutConnect, "no connection was made"),
            Self::Tls => (FailureKind::TimeoutTls, "the TLS handshake was not done"),
            Self::FirstByte => (FailureKind::TimeoutFirstByte, "no byte of an answer came"),
            Self::Transfer => (FailureKind::TimeoutTransfer, "the answer was not whole"),
        }
    }
}

/// Measures the parts of one step and ends each at the step's deadline. The deadline is one for all parts: a target that
/// sends a byte now and then gains nothing.
pub struct Stopwatch<'a> {
    clock: &'a dyn Clock,
    began: Monotonic,
    deadline: Monotonic,
    parts: Phases,
}

impl<'a> Stopwatch<'a> {
    /// Starts it.
    pub fn start(clock: &'a dyn Clock, deadline: Monotonic) -> Self {
        Self { clock, began: clock.monotonic(), deadline, parts: Phases::default() }
    }

    /// The clocks.
    pub fn clock(&self) -> &'a dyn Clock {
        self.clock
    }

    /// When everything must have ended.
    pub fn deadline(&self) -> Monotonic {
        self.deadline
    }

    /// Does a part, measures it, and ends it at the deadline.
    pub async fn time<T>(&mut self, part: Part, work: impl Future<Output = Result<T, Failure>>) -> Result<T, Failure> {
        let began = self.clock.monotonic();
        let result = self.bound(|| part, work).await;
        self.add(part, self.clock.monotonic().since(began));
        result
    }

    /// Ends what is measured elsewhere at the deadline; `part` is asked then, because an answer may have begun meanwhile.
    /// What is handed over by value has its room in the caller and here: whoever is often called pins it first.
    pub async fn bound<T>(
        &self,
        part: impl FnOnce() -> Part,
        work: impl Future<Output = Result<T, Failure>>,
    ) -> Result<T, Failure> {
        match select(pin!(work), self.clock.sleep_until(self.deadline)).await {
            Either::Left((result, _)) => result,
            Either::Right(((), _)) => {
                let (kind, what) = part().timeout();
                Err(Failure::new(kind, format!("{what} within {}", self.budget())))
            }
        }
    }

    /// The time that the step has, in words, for failures that say of it what the parts here do not.
    pub fn budget(&self) -> String {
        told(self.deadline.since(self.began))
    }

    /// Adds to a part.
    pub fn add(&mut self, part: Part, length: Duration) {
        let place = match part {
            Part::Dns => &mut self.parts.dns_ms,
            Part::Connect => &mut self.parts.connect_ms,
            Part::Tls => &mut self.parts.tls_ms,
            Part::FirstByte => &mut self.parts.first_byte_ms,
            Part::Transfer => &mut self.parts.transfer_ms,
        };
        *place = Some(place.unwrap_or(0.0) + milliseconds(length));
    }

    /// Adds to a part of which is known by how much it may be wrong; only [`Part::Connect`] and [`Part::FirstByte`] keep
    /// that.
    pub fn measured(&mut self, part: Part, length: Duration, error: Duration) {
        self.add(part, length);
        let place = match part {
            Part::Connect => &mut self.parts.connect_error_ms,
            Part::FirstByte => &mut self.parts.first_byte_error_ms,
            Part::Dns | Part::Tls | Part::Transfer => return,
        };
        *place = Some(place.unwrap_or(0.0) + milliseconds(error));
    }

    /// What was measured until now.
    pub fn phases(&self) -> Phases {
        Phases { total_ms: milliseconds(self.clock.monotonic().since(self.began)), ..self.parts }
    }
}

/// The budget as it was written: the little that has passed before the step began would make 9 s of 10 s.
fn told(budget: Duration) -> String {
    let (unit_ms, seconds) = match budget.as_secs_f64() {
        seconds if seconds < 0.995 => (10.0, seconds),
        seconds if seconds < 9.95 => (100.0, seconds),
        seconds => (1_000.0, seconds),
    };
    let whole_ms = ((seconds * 1e3 / unit_ms).round() * unit_ms).max(unit_ms);
    let whole = Duration::from_secs_f64(whole_ms / 1e3);
    if whole.as_millis() > 1_000 && whole.subsec_millis() > 0 {
        format!("{:.1} s", whole.as_secs_f64())
    } else {
        words(whole)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::SystemClock;

    #[tokio::test(start_paused = true)]
    async fn a_part_ends_at_the_deadline_and_says_what_was_missing() {
        let clock = SystemClock::start();
        let mut watch = Stopwatch::start(&clock, clock.monotonic() + Duration::from_millis(9_996));
        let failure = watch.time(Part::Tls, std::future::pending::<Result<(), Failure>>()).await.unwrap_err();
        assert_eq!(failure.to_string(), "timeout.tls: the TLS handshake was not done within 10 s");
    }

    #[tokio::test]
    async fn parts_that_come_again_are_summed_and_others_are_absent() {
        let clock = SystemClock::start();
        let mut watch = Stopwatch::start(&clock, clock.monotonic() + Duration::from_secs(1));
        watch.add(Part::Connect, Duration::from_millis(2));
        watch.add(Part::Connect, Duration::from_millis(3));
        let phases = watch.phases();
        assert_eq!(phases.connect_ms, Some(5.0));
        assert_eq!(phases.tls_ms, None);
    }

    #[test]
    fn budgets_are_told_as_they_were_written() {
        for (budget, text) in [
            (9_999, "10 s"),
            (10_000, "10 s"),
            (1_599, "1.6 s"),
            (1_900, "1.9 s"),
            (1_999, "2 s"),
            (999, "1 s"),
            (249, "250 ms"),
            (1, "10 ms"),
            (65_000, "1 min 5 s"),
        ] {
            assert_eq!(told(Duration::from_millis(budget)), text, "{budget}");
        }
    }
}
