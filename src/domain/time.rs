//! Instants and lengths of time, and how people write them. Reading a clock is the business of `clock.rs`.

use std::fmt;
use std::time::Duration;

use chrono::{DateTime, SecondsFormat, TimeDelta, Utc};
use serde::{Deserialize, Serialize};

/// An instant of the wall clock, in UTC. It may step: never subtract two of them to learn how long something took.
pub type Timestamp = DateTime<Utc>;

/// An instant of the clock that never steps, counted from an origin that means nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Monotonic(pub Duration);

impl Monotonic {
    /// The length of time from `earlier` to here; zero when `earlier` is later.
    pub fn since(self, earlier: Self) -> Duration {
        self.0.saturating_sub(earlier.0)
    }
}

impl std::ops::Add<Duration> for Monotonic {
    type Output = Self;
    fn add(self, length: Duration) -> Self {
        Self(self.0.saturating_add(length))
    }
}

/// Milliseconds with their fraction, as every `_ms` value is given: whole microseconds, since nothing that crosses a network
/// is known more exactly.
pub fn milliseconds(length: Duration) -> f64 {
    (length.as_secs_f64() * 1e6).round() / 1e3
}

/// Moves an instant of the wall clock by a length that a [`Duration`] can hold; instants beyond chrono's range stay.
pub fn later(at: Timestamp, by: Duration) -> Timestamp {
    TimeDelta::from_std(by).ok().and_then(|delta| at.checked_add_signed(delta)).unwrap_or(at)
}

/// Moves an instant of the wall clock back.
pub fn earlier(at: Timestamp, by: Duration) -> Timestamp {
    TimeDelta::from_std(by).ok().and_then(|delta| at.checked_sub_signed(delta)).unwrap_or(at)
}

/// The length of time from one instant of the wall clock to a later one; zero when it is not later.
pub fn between(from: Timestamp, to: Timestamp) -> Duration {
    (to - from).to_std().unwrap_or(Duration::ZERO)
}

/// RFC 3339 with milliseconds and `Z`: how instants are written for programs.
pub fn rfc3339(at: Timestamp) -> String {
    at.to_rfc3339_opts(SecondsFormat::Millis, true)
}

/// `2026-11-24 10:00:31 UTC`: how instants are written for people.
pub fn clock(at: Timestamp) -> String {
    at.format("%Y-%m-%d %H:%M:%S UTC").to_string()
}

/// A length of time as people write it: `30s`, `5m`, `1h 30m`, `250ms`, `90d`; always with its unit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Length(pub Duration);

impl schemars::JsonSchema for Length {
    fn inline_schema() -> bool {
        true
    }
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Length".into()
    }
    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({ "type": "string", "format": "length of time" })
    }
}

/// Why a text is not a length of time.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LengthError {
    /// A bare number: seconds here, milliseconds there.
    #[error("`{0}` has no unit: write `{0}s` for seconds, or ms, m, h, d")]
    NoUnit(String),
    /// Anything else that humantime does not read.
    #[error("`{0}` is not a length of time: write it like `250ms`, `30s`, `5m`, `1h 30m` or `90d`")]
    Form(String),
    /// More than a hundred years.
    #[error("`{0}` is longer than 100 years")]
    TooLong(String),
}

impl std::str::FromStr for Length {
    type Err = LengthError;
    fn from_str(text: &str) -> Result<Self, LengthError> {
        let trimmed = text.trim();
        if !trimmed.is_empty() && trimmed.bytes().all(|b| b.is_ascii_digit()) {
            return Err(LengthError::NoUnit(trimmed.to_owned()));
        }
        let length = humantime::parse_duration(trimmed).map_err(|_| LengthError::Form(trimmed.to_owned()))?;
        if length > Duration::from_secs(100 * 365 * 86_400) {
            return Err(LengthError::TooLong(trimmed.to_owned()));
        }
        Ok(Self(length))
    }
}

impl TryFrom<String> for Length {
    type Error = LengthError;
    fn try_from(text: String) -> Result<Self, LengthError> {
        text.parse()
    }
}

impl From<Length> for String {
    fn from(length: Length) -> Self {
        length.to_string()
    }
}

impl fmt::Display for Length {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&words(self.0))
    }
}

/// A length of time in words: `30 s`, `5 min`, `3 min 30 s`, `2 h`, `4 d 3 h`, `250 ms`; at most two units.
pub fn words(length: Duration) -> String {
    if length < Duration::from_secs(1) {
        return format!("{} ms", length.as_millis());
    }
    let seconds = length.as_secs();
    let units = [(86_400, "d"), (3_600, "h"), (60, "min"), (1, "s")];
    let mut rest = seconds;
    let mut parts = Vec::new();
    for (size, unit) in units {
        let count = rest / size;
        rest %= size;
        if count > 0 {
            parts.push(format!("{count} {unit}"));
        } else if !parts.is_empty() {
            break;
        }
        if parts.len() == 2 {
            break;
        }
    }
    parts.join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_have_units() {
        for (text, seconds) in [("30s", 30), ("5m", 300), ("1h 30m", 5_400), ("90d", 7_776_000), (" 10s ", 10)] {
            assert_eq!(text.parse::<Length>().unwrap().0.as_secs(), seconds, "{text}");
        }
        for (text, why) in [
            ("30", "`30` has no unit: write `30s` for seconds, or ms, m, h, d"),
            ("", "`` is not a length of time: write it like `250ms`, `30s`, `5m`, `1h 30m` or `90d`"),
            ("-5s", "`-5s` is not a length of time: write it like `250ms`, `30s`, `5m`, `1h 30m` or `90d`"),
            ("99999999d", "`99999999d` is longer than 100 years"),
        ] {
            assert_eq!(text.parse::<Length>().unwrap_err().to_string(), why);
        }
    }

    #[test]
    fn words_stop_at_two_units() {
        for (seconds, expected) in [
            (1, "1 s"),
            (30, "30 s"),
            (60, "1 min"),
            (210, "3 min 30 s"),
            (3_600, "1 h"),
            (90_061, "1 d 1 h"),
            (86_460, "1 d"),
        ] {
            assert_eq!(words(Duration::from_secs(seconds)), expected);
        }
        assert_eq!(words(Duration::from_millis(250)), "250 ms");
    }
}
