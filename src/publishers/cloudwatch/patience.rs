//! How long to rest after what failed, and what is said of it meanwhile.

use std::time::Duration;

use crate::domain::time::Monotonic;
use crate::ports::Clock;

/// Patience grows from here, doubling, with full jitter …
const REST_MIN: Duration = Duration::from_secs(1);

/// … to here.
const REST_MAX: Duration = Duration::from_mins(1);

/// What is known of something that fails; nothing while it does not.
#[derive(Debug, Default)]
pub struct Patience(Option<Rest>);

#[derive(Debug)]
struct Rest {
    failures: u32,
    until: Monotonic,
    error: String,
}

impl Patience {
    /// It failed, and is not to be tried again before so long.
    pub fn fail(&mut self, error: String, retry_after: Option<Duration>, clock: &dyn Clock) {
        let failures = self.0.as_ref().map_or(0, |rest| rest.failures);
        let length = rest_length(failures, retry_after, rand::random());
        self.0 = Some(Rest { failures: failures.saturating_add(1), until: clock.monotonic() + length, error });
    }

    /// It did not fail.
    pub fn end(&mut self) {
        self.0 = None;
    }

    /// Whether it is too early to try again.
    pub fn is_resting(&self, clock: &dyn Clock) -> bool {
        self.0.as_ref().is_some_and(|rest| clock.monotonic() < rest.until)
    }

    /// What went wrong, until it is over.
    pub fn error(&self) -> Option<&str> {
        self.0.as_ref().map(|rest| rest.error.as_str())
    }
}

/// How long to wait after so many failures before this one; `jitter` is between 0 and 1.
fn rest_length(failures: u32, retry_after: Option<Duration>, jitter: f64) -> Duration {
    let longest = REST_MIN.saturating_mul(1_u32.checked_shl(failures).unwrap_or(u32::MAX)).min(REST_MAX);
    longest.mul_f64(jitter.clamp(0.0, 1.0)).max(retry_after.unwrap_or_default().min(REST_MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patience_doubles_to_a_minute_and_heeds_the_service() {
        for (failures, retry_after, seconds) in
            [(0, None, 1), (3, None, 8), (9, None, 60), (90, None, 60), (0, Some(30), 30), (0, Some(9_999), 60)]
        {
            let retry_after = retry_after.map(Duration::from_secs);
            assert_eq!(rest_length(failures, retry_after, 1.0), Duration::from_secs(seconds), "{failures}");
        }
        assert_eq!(rest_length(9, None, 0.25), Duration::from_secs(15));
    }
}
