//! Pauses: probes that somebody wants not to be run for a while. A pause is no silence: nobody looks, so nothing is known and
//! nothing is judged, and what was known when it began stands until it is over.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::names::{NAME_LENGTH_MAX, ProbeName, ScheduleName, glob};
use super::quiet::TEXT_MAX;
use super::time::{Length, Timestamp, between, clock};

/// The longest pause that has an end: an end beyond it is a mistake in typing. One without lasts until somebody resumes, and
/// the pages and a metric say for all that time that it is there.
pub const PAUSE_MAX: Duration = Duration::from_secs(366 * 86_400);

/// What stands before the name of a schedule, as in a silence.
const OF_SCHEDULE: &str = "schedule:";

/// What is paused, as it is written: a probe, or `schedule:` and a schedule; `*` stands for any text.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(try_from = "String", into = "String")]
pub enum Scope {
    /// The probes of that name, on every schedule.
    Probes(String),
    /// All probes of the schedules of that name.
    Schedules(String),
}

impl Scope {
    /// Parses what is written.
    pub fn parse(text: &str) -> Result<Self, PauseError> {
        let (pattern, scope): (_, fn(String) -> Self) = match text.strip_prefix(OF_SCHEDULE) {
            Some(pattern) => (pattern, Self::Schedules),
            None => (text, Self::Probes),
        };
        let is_written = |letter: char| letter.is_ascii_alphanumeric() || "-_.@*".contains(letter);
        if pattern.is_empty() || pattern.len() > NAME_LENGTH_MAX || !pattern.chars().all(is_written) {
            return Err(PauseError::Scope);
        }
        Ok(scope(pattern.to_owned()))
    }

    /// Whether it takes everything, in whatever words.
    pub fn takes_all(&self) -> bool {
        let (Self::Probes(pattern) | Self::Schedules(pattern)) = self;
        pattern.chars().all(|letter| letter == '*')
    }

    /// Whether it takes a probe on a schedule, or one that is run off all schedules.
    pub fn takes(&self, schedule: Option<&ScheduleName>, probe: &ProbeName) -> bool {
        match self {
            Self::Probes(pattern) => glob(pattern, probe.as_str()),
            Self::Schedules(pattern) => schedule.is_some_and(|schedule| glob(pattern, schedule.as_str())),
        }
    }
}

impl TryFrom<String> for Scope {
    type Error = PauseError;
    fn try_from(text: String) -> Result<Self, PauseError> {
        Self::parse(&text)
    }
}

impl From<Scope> for String {
    fn from(scope: Scope) -> Self {
        scope.to_string()
    }
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Probes(pattern) => f.write_str(pattern),
            Self::Schedules(pattern) => write!(f, "{OF_SCHEDULE}{pattern}"),
        }
    }
}

/// The id of a pause, which is ours.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
pub struct PauseId(pub Arc<str>);

impl fmt::Display for PauseId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

/// A pause.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Pause {
    /// Its id.
    pub id: PauseId,
    /// What is paused.
    pub what: Scope,
    /// Who wants it.
    pub by: String,
    /// Why.
    pub reason: String,
    /// When it began.
    pub from: Timestamp,
    /// When it is over by itself; absent where somebody has to resume.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<Timestamp>,
    /// When and why it was over; absent as long as it is not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ended: Option<Ended>,
}

/// The end of a pause.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Ended {
    /// When.
    pub at: Timestamp,
    /// Why.
    pub because: Because,
}

/// Why a pause is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Because {
    /// Somebody resumed.
    Resumed,
    /// Its time was over.
    Over,
    /// Nothing that it takes is configured any more.
    Removed,
}

impl fmt::Display for Because {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Resumed => "somebody resumed",
            Self::Over => "its time is over",
            Self::Removed => "removed from the configuration",
        })
    }
}

/// Why there can be no such pause.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PauseError {
    /// What is to be paused is no name.
    #[error("what is paused is a probe, or `{OF_SCHEDULE}NAME`, with `*` for any text")]
    Scope,
    /// It would pause everything: then nobody would know of the next outage.
    #[error("a pause says what is paused, and not everything: to stop everything, stop the daemon")]
    Everything,
    /// Whoever wonders wants to know whom to ask.
    #[error("a pause has an author and a reason, each of 1 to {TEXT_MAX} characters")]
    Text,
    /// Over before it begins.
    #[error("a pause ends in the future, or not by itself")]
    Past,
    /// Beyond [`PAUSE_MAX`].
    #[error(
        "a pause that ends by itself lasts for at most {}: without an end it lasts until somebody resumes",
        Length(PAUSE_MAX)
    )]
    Long,
    /// More than anybody oversees.
    #[error("there are {0} pauses already: resume one first")]
    Many(usize),
    /// The same is paused.
    #[error("there is such a pause already, {}: {} is {}", .0.id, .0.what, .0)]
    Already(Box<Pause>),
    /// It would pause nothing; with what may be meant.
    #[error("{0}")]
    Nothing(String),
    /// There is none of that id that could be ended.
    #[error("there is no pause {0}, or it is over")]
    Unknown(PauseId),
}

/// `paused by ann until 2026-11-24 12:00:00 UTC: a new disk`.
impl fmt::Display for Pause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_paused(f, &self.by, self.until, &self.reason)
    }
}

/// A pause in words, wherever it is told.
pub fn write_paused(f: &mut fmt::Formatter<'_>, by: &str, until: Option<Timestamp>, reason: &str) -> fmt::Result {
    match until {
        Some(until) => write!(f, "paused by {by} until {}: {reason}", clock(until)),
        None => write!(f, "paused by {by}: {reason}"),
    }
}

impl Pause {
    /// Checks it at the moment in which somebody wants it.
    pub fn check(&self, now: Timestamp) -> Result<(), PauseError> {
        let is_text = |text: &str| !text.trim().is_empty() && text.chars().count() <= TEXT_MAX;
        if self.what.takes_all() {
            return Err(PauseError::Everything);
        }
        if !is_text(&self.by) || !is_text(&self.reason) {
            return Err(PauseError::Text);
        }
        match self.until {
            Some(until) if until <= now => Err(PauseError::Past),
            Some(until) if between(now, until) > PAUSE_MAX => Err(PauseError::Long),
            _ => Ok(()),
        }
    }

    /// Whether it is in force. A wall clock that is set back before its beginning ends none.
    pub fn is_active(&self, now: Timestamp) -> bool {
        self.ended.is_none() && self.until.is_none_or(|until| now < until)
    }
}

/// The pauses that are not over.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Pauses(Vec<Pause>);

impl Pauses {
    /// Those of them that are not over.
    pub fn of(pauses: impl IntoIterator<Item = Pause>) -> Self {
        Self(pauses.into_iter().filter(|pause| pause.ended.is_none()).collect())
    }

    /// All of them.
    pub fn all(&self) -> &[Pause] {
        &self.0
    }

    /// One more.
    pub fn add(&mut self, pause: Pause) {
        self.0.push(pause);
    }

    /// Ends one at an instant.
    pub fn end(&mut self, id: &PauseId, ended: Ended) -> Option<Pause> {
        let place = self.0.iter().position(|pause| pause.id == *id)?;
        Some(Pause { ended: Some(ended), ..self.0.swap_remove(place) })
    }

    /// Why a probe is not run on a schedule, or off all of them: of several pauses the one that lasts longest.
    pub fn find(&self, schedule: Option<&ScheduleName>, probe: &ProbeName, now: Timestamp) -> Option<&Pause> {
        let active = self.0.iter().filter(|pause| pause.is_active(now) && pause.what.takes(schedule, probe));
        active.max_by_key(|pause| pause.until.unwrap_or(Timestamp::MAX_UTC))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    const NOW: &str = "2026-11-24T10:00:00Z";

    fn pause(id: &str, what: &str, until: Option<&str>) -> Pause {
        Pause {
            id: PauseId(Arc::from(id)),
            what: Scope::parse(what).unwrap(),
            by: "ann".to_owned(),
            reason: "a new disk".to_owned(),
            from: at(NOW),
            until: until.map(at),
            ended: None,
        }
    }

    #[test]
    fn a_scope_is_a_probe_or_a_schedule_with_stars() {
        let (tier, home) = ("tier".parse().unwrap(), "pages@home".parse().unwrap());
        for (what, takes) in [
            ("pages@home", (true, true)),
            ("pages@*", (true, true)),
            ("pages", (false, false)),
            ("tier", (false, false)),
            ("schedule:tier", (true, false)),
            ("schedule:t*", (true, false)),
            ("schedule:pages@home", (false, false)),
        ] {
            let scope = Scope::parse(what).unwrap();
            assert_eq!((scope.takes(Some(&tier), &home), scope.takes(None, &home)), takes, "{what}");
            assert_eq!(scope.to_string(), what);
            assert_eq!(serde_json::from_value::<Scope>(what.into()).unwrap(), scope);
        }
        for wrong in ["", "schedule:", "a b", "label:x=y", "api\n", "<b>", "ä", &"x".repeat(129)] {
            assert_eq!(Scope::parse(wrong), Err(PauseError::Scope), "{wrong}");
        }
    }

    #[test]
    fn a_pause_says_what_who_and_why_and_need_not_end() {
        let well = pause("P1", "api*", None);
        assert_eq!(well.check(at(NOW)), Ok(()));
        let everything = "a pause says what is paused, and not everything: to stop everything, stop the daemon";
        let text = "a pause has an author and a reason, each of 1 to 500 characters";
        for (wrong, why) in [
            (pause("P1", "*", None), everything),
            (pause("P1", "schedule:**", Some("2026-11-24T11:00:00Z")), everything),
            (Pause { by: " ".to_owned(), ..well.clone() }, text),
            (Pause { reason: "x".repeat(501), ..well.clone() }, text),
            (pause("P1", "api", Some(NOW)), "a pause ends in the future, or not by itself"),
            (
                pause("P1", "api", Some("2028-11-24T10:00:00Z")),
                "a pause that ends by itself lasts for at most 366 d: without an end it lasts until somebody resumes",
            ),
        ] {
            assert_eq!(wrong.check(at(NOW)).unwrap_err().to_string(), why);
        }
        assert_eq!(well.to_string(), "paused by ann: a new disk");
        let short = pause("P2", "api", Some("2026-11-24T12:00:00Z"));
        assert_eq!(short.to_string(), "paused by ann until 2026-11-24 12:00:00 UTC: a new disk");
    }

    #[test]
    fn of_several_pauses_the_one_that_lasts_longest_is_told_and_a_clock_that_is_set_back_ends_none() {
        let (tier, api) = ("tier".parse().unwrap(), "api".parse().unwrap());
        let mut pauses = Pauses::of([
            pause("P1", "api", Some("2026-11-24T12:00:00Z")),
            pause("P2", "schedule:tier", Some("2026-11-24T11:00:00Z")),
            Pause { ended: Some(Ended { at: at(NOW), because: Because::Resumed }), ..pause("P3", "a*", None) },
        ]);
        assert_eq!(pauses.all().len(), 2, "what is over is none");
        let found = |pauses: &Pauses, schedule: Option<&ScheduleName>, now: &str| {
            pauses.find(schedule, &api, at(now)).map(|pause| pause.id.to_string())
        };
        assert_eq!(found(&pauses, Some(&tier), "2026-11-24T10:30:00Z").as_deref(), Some("P1"));
        assert_eq!(found(&pauses, None, "2026-11-23T10:30:00Z").as_deref(), Some("P1"));
        assert_eq!(found(&pauses, Some(&tier), "2026-11-24T12:00:00Z"), None);
        pauses.add(pause("P4", "api*", None));
        assert_eq!(found(&pauses, Some(&tier), "2026-11-24T10:30:00Z").as_deref(), Some("P4"));
        let ended = Ended { at: at(NOW), because: Because::Resumed };
        let over = pauses.end(&PauseId(Arc::from("P4")), ended.clone()).unwrap();
        assert_eq!(over.ended, Some(ended.clone()));
        assert_eq!(pauses.end(&over.id, ended), None);
        assert_eq!(found(&pauses, Some(&tier), "2026-11-24T12:00:00Z"), None);
    }
}
