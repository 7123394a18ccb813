//! What a job elsewhere says of itself by pinging, and what its silence means. The rules read no clock: who asks says when.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use super::outcome::{Failure, FailureKind};
use super::time::{Timestamp, between, milliseconds, words};

/// The shortest token: sixteen characters of a good source cannot be guessed.
pub const TOKEN_LENGTH_MIN: usize = 16;

/// The longest token.
pub const TOKEN_LENGTH_MAX: usize = 256;

/// Why a text is no token. Never holds the text.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TokenError {
    /// It can be guessed.
    #[error("a token of {0} characters can be guessed: it has at least {TOKEN_LENGTH_MIN}")]
    Short(usize),
    /// It is longer than a URL should be.
    #[error("a token has at most {TOKEN_LENGTH_MAX} characters, not {0}")]
    Long(usize),
    /// It cannot stand in a URL as it is.
    #[error("a token has letters, digits, `-`, `_`, `.` and `~` only, since it stands in a URL")]
    Characters,
}

/// What is kept of a token: its hash, by which it is recognised and cannot be found out.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct TokenDigest(pub [u8; 32]);

impl TokenDigest {
    /// The hash of a token, or why that is none.
    pub fn of_token(token: &str) -> Result<Self, TokenError> {
        let is_unreserved = |c: char| c.is_ascii_alphanumeric() || "-_.~".contains(c);
        match token.chars().count() {
            length @ 0..TOKEN_LENGTH_MIN => Err(TokenError::Short(length)),
            length if length > TOKEN_LENGTH_MAX => Err(TokenError::Long(length)),
            _ if !token.chars().all(is_unreserved) => Err(TokenError::Characters),
            _ => Ok(Self::of(token)),
        }
    }

    /// The hash of what somebody gives for a token.
    pub fn of(given: &str) -> Self {
        Self(Sha256::digest(given.as_bytes()).into())
    }
}

impl fmt::Display for TokenDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for TokenDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "TokenDigest({self})")
    }
}

impl FromStr for TokenDigest {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let wrong = "not 64 hexadecimal digits";
        let digits = text.as_bytes();
        if digits.len() != 64 || !digits.iter().all(u8::is_ascii_hexdigit) {
            return Err(wrong);
        }
        let mut bytes = [0; 32];
        for (byte, place) in bytes.iter_mut().zip((0..64).step_by(2)) {
            *byte = text.get(place..place + 2).and_then(|pair| u8::from_str_radix(pair, 16).ok()).ok_or(wrong)?;
        }
        Ok(Self(bytes))
    }
}

/// What a ping says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Beat {
    /// The job has begun.
    Started,
    /// The job is done.
    Done,
    /// The job has failed.
    Failed,
}

impl Beat {
    /// The word for it.
    pub fn word(self) -> &'static str {
        match self {
            Self::Started => "started",
            Self::Done => "done",
            Self::Failed => "failed",
        }
    }
}

/// One ping.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ping {
    /// When it came.
    pub at: Timestamp,
    /// What it says.
    pub beat: Beat,
    /// What the job wrote beside it, made harmless.
    pub text: Option<String>,
}

/// When pings are due.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rhythm {
    /// The longest time from one ping to the next.
    pub every: Duration,
    /// How much later a ping may come, and how long a job may take that says when it starts.
    pub grace: Duration,
}

/// What is known of a job by its pings.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Pulse {
    /// Since when somebody listens: until the first ping, silence is counted from here.
    pub since: Timestamp,
    /// The last ping: when it came and what it said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last: Option<(Timestamp, Beat)>,
    /// When it said that it failed, and why, until it says that it is done. That it started again mends nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failed: Option<(Timestamp, Option<String>)>,
    /// How long it took the last time, in milliseconds, where it says when it starts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub took_ms: Option<f64>,
    /// What it wrote when it last ended, or since.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub text: Option<String>,
    /// How many pings came in all.
    pub pings: u64,
    /// How much of the time since the last ping nobody listened: a ping that came then was lost, so it is no silence.
    #[serde(default)]
    pub away: Duration,
    /// Until when it is known whether somebody listened, so that no time is missed twice, and none in which somebody did.
    #[serde(default)]
    pub heard_until: Timestamp,
}

impl Pulse {
    /// Nothing is known yet.
    pub fn since(now: Timestamp) -> Self {
        Self {
            since: now,
            last: None,
            failed: None,
            took_ms: None,
            text: None,
            pings: 0,
            away: Duration::ZERO,
            heard_until: now,
        }
    }

    /// Takes a ping.
    pub fn take(&mut self, ping: Ping) {
        if let (Some((started_at, Beat::Started)), Beat::Done | Beat::Failed) = (self.last, ping.beat) {
            self.took_ms = Some(milliseconds(between(started_at, ping.at)));
        }
        match ping.beat {
            Beat::Started => {}
            Beat::Done => self.failed = None,
            Beat::Failed => self.failed = Some((ping.at, ping.text.clone())),
        }
        if ping.text.is_some() || ping.beat != Beat::Started {
            self.text = ping.text;
        }
        self.last = Some((ping.at, ping.beat));
        self.pings = self.pings.saturating_add(1);
        self.away = Duration::ZERO;
        self.heard_until = ping.at;
    }

    /// Somebody listens at this instant.
    pub fn listen(&mut self, now: Timestamp) {
        self.heard_until = now;
    }

    /// Nobody listened from one instant to another, as far as that is not known already.
    pub fn miss(&mut self, from: Timestamp, to: Timestamp) {
        let last = self.last.map_or(self.since, |(at, _)| at);
        self.away += between(from.max(last).max(self.heard_until), to);
        self.heard_until = to;
    }

    /// How long nothing was heard, without the time in which nobody listened.
    pub fn silence(&self, now: Timestamp) -> Duration {
        let last = self.last.map_or(self.since, |(at, _)| at);
        between(last, now).saturating_sub(self.away)
    }

    /// Whether the job is well, or what is wrong with it.
    pub fn judge(&self, rhythm: Rhythm, now: Timestamp) -> Result<(), Failure> {
        let Rhythm { every, grace } = rhythm;
        if let Some((at, why)) = &self.failed {
            let why = why.as_ref().map(|why| format!(": {why}")).unwrap_or_default();
            let message = format!("the job said {} ago that it failed{why}", words(between(*at, now)));
            return Err(Failure::new(FailureKind::HeartbeatFailed, message));
        }
        let silence = self.silence(now);
        let told = words(silence);
        let due = format!("every {} with {} of grace", words(every), words(grace));
        let (limit, kind, message) = match self.last {
            Some((_, Beat::Started)) => {
                let message = format!("started {told} ago, not finished; it has {} of grace", words(grace));
                (grace, FailureKind::HeartbeatUnfinished, message)
            }
            Some(_) => {
                let message = format!("no ping for {told}; one was due {due}");
                (every.saturating_add(grace), FailureKind::HeartbeatSilent, message)
            }
            None => {
                let message = format!("no ping in the {told} since somebody listens; one was due {due}");
                (every.saturating_add(grace), FailureKind::HeartbeatSilent, message)
            }
        };
        if silence <= limit {
            return Ok(());
        }
        let away = match self.away.as_secs() {
            0 => String::new(),
            _ => format!("; before that Roundsman itself was away for {}, which does not count", words(self.away)),
        };
        Err(Failure::new(kind, format!("{message}{away}")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// So many minutes after ten o'clock.
    fn minute(minute: i64) -> Timestamp {
        "2026-11-24T10:00:00Z".parse::<Timestamp>().unwrap() + chrono::TimeDelta::minutes(minute)
    }

    fn ping(at: i64, beat: Beat, text: Option<&str>) -> Ping {
        Ping { at: minute(at), beat, text: text.map(str::to_owned) }
    }

    const RHYTHM: Rhythm = Rhythm { every: Duration::from_mins(60), grace: Duration::from_mins(10) };

    fn told(pulse: &Pulse, at: i64) -> String {
        pulse.judge(RHYTHM, minute(at)).map_or_else(|failure| failure.to_string(), |()| "well".to_owned())
    }

    #[test]
    fn silence_fails_when_its_grace_is_over() {
        let mut pulse = Pulse::since(minute(0));
        assert_eq!(told(&pulse, 70), "well", "a fresh deployment has its time");
        assert_eq!(
            told(&pulse, 71),
            "heartbeat.silent: no ping in the 1 h 11 min since somebody listens; one was due every 1 h with 10 min of grace"
        );
        pulse.take(ping(80, Beat::Done, None));
        assert_eq!(told(&pulse, 150), "well");
        assert_eq!(
            told(&pulse, 151),
            "heartbeat.silent: no ping for 1 h 11 min; one was due every 1 h with 10 min of grace"
        );
        assert_eq!(told(&pulse, 0), "well", "a clock that was set back is no silence");
    }

    #[test]
    fn a_job_that_started_has_its_grace_to_finish() {
        let mut pulse = Pulse::since(minute(0));
        pulse.take(ping(60, Beat::Started, Some("begins")));
        assert_eq!((told(&pulse, 70), pulse.text.as_deref()), ("well".to_owned(), Some("begins")));
        assert_eq!(told(&pulse, 71), "heartbeat.unfinished: started 11 min ago, not finished; it has 10 min of grace");
        pulse.take(ping(75, Beat::Done, None));
        assert_eq!(
            (told(&pulse, 76), pulse.took_ms, pulse.text.as_deref()),
            ("well".to_owned(), Some(900_000.0), None)
        );
        pulse.take(ping(80, Beat::Done, Some("again")));
        assert_eq!((pulse.took_ms, pulse.pings), (Some(900_000.0), 3));
    }

    #[test]
    fn a_job_that_failed_has_failed_until_it_is_done() {
        let mut pulse = Pulse::since(minute(0));
        pulse.take(ping(1, Beat::Failed, Some("disk full")));
        assert_eq!(told(&pulse, 2), "heartbeat.failed: the job said 1 min ago that it failed: disk full");
        pulse.take(ping(3, Beat::Started, None));
        assert_eq!(told(&pulse, 4), "heartbeat.failed: the job said 3 min ago that it failed: disk full");
        pulse.take(ping(5, Beat::Done, None));
        assert_eq!(told(&pulse, 6), "well");
    }

    #[test]
    fn the_time_in_which_nobody_listened_is_no_silence() {
        let mut pulse = Pulse::since(minute(0));
        pulse.take(ping(10, Beat::Done, None));
        pulse.miss(minute(0), minute(20));
        pulse.miss(minute(50), minute(70));
        assert_eq!(told(&pulse, 110), "well");
        assert_eq!(
            told(&pulse, 111),
            "heartbeat.silent: no ping for 1 h 11 min; one was due every 1 h with 10 min of grace; before that Roundsman \
             itself was away for 30 min, which does not count"
        );
        pulse.take(ping(120, Beat::Done, None));
        assert_eq!(pulse.away, Duration::ZERO);
    }

    #[test]
    fn no_time_is_missed_twice_and_none_in_which_somebody_listened() {
        let mut pulse = Pulse::since(minute(0));
        pulse.take(ping(0, Beat::Done, None));
        // A schedule that last had a slot at the beginning, and a process that starts again and again.
        for restart in [20, 30, 40] {
            pulse.miss(minute(0), minute(restart));
        }
        assert_eq!(pulse.away, Duration::from_mins(40));
        pulse.listen(minute(60));
        pulse.miss(minute(0), minute(65));
        assert_eq!(pulse.away, Duration::from_mins(45));
        assert_eq!((told(&pulse, 115).as_str(), pulse.judge(RHYTHM, minute(116)).is_err()), ("well", true));
    }

    #[test]
    fn tokens_are_kept_as_hashes() {
        let digest = TokenDigest::of_token("0123456789abcdef").unwrap();
        assert_eq!(digest.to_string(), "9f9f5111f7b27a781f1f1ddde5ebc2dd2b796bfc7365c9c28b548e564176929f");
        assert_eq!(digest.to_string().parse(), Ok(digest));
        assert!("9f".parse::<TokenDigest>().is_err() && "ü".repeat(32).parse::<TokenDigest>().is_err());
        for (token, error) in [
            ("short", TokenError::Short(5)),
            ("", TokenError::Short(0)),
            ("0123456789abcdef/", TokenError::Characters),
            (&"x".repeat(257), TokenError::Long(257)),
        ] {
            assert_eq!(TokenDigest::of_token(token), Err(error));
        }
    }

    #[test]
    fn a_pulse_survives_the_store() {
        let mut pulse = Pulse::since(minute(0));
        pulse.take(ping(1, Beat::Started, None));
        pulse.take(ping(2, Beat::Failed, Some("no room")));
        let kept = serde_json::to_string(&pulse).unwrap();
        assert_eq!(serde_json::from_str::<Pulse>(&kept).unwrap(), pulse);
    }
}
