//! The stretch from opened to resolved. An incident belongs to a probe and an aspect: the first alert state that fires
//! opens it, others join it, and it closes when all are healthy.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::judge::Aspect;
use super::names::{ChannelName, ProbeName, ScheduleName, StepName};
use super::outcome::{Failure, FailureKind, RunId};
use super::probe::Labels;
use super::quiet::Reason;
use super::time::Timestamp;

/// How much an incident matters; P1 is the gravest and compares as the greatest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, schemars::JsonSchema)]
pub enum Severity {
    /// Critical: at once.
    P1,
    /// High.
    P2,
    /// Medium; what an alert has that names none.
    P3,
    /// Low: the next business day.
    P4,
}

impl Severity {
    /// The word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::P1 => "P1",
            Self::P2 => "P2",
            Self::P3 => "P3",
            Self::P4 => "P4",
        }
    }
}

impl PartialOrd for Severity {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Severity {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        (*other as u8).cmp(&(*self as u8))
    }
}

impl fmt::Display for Severity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl FromStr for Severity {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        [Self::P1, Self::P2, Self::P3, Self::P4]
            .into_iter()
            .find(|severity| severity.as_str() == text)
            .ok_or_else(|| format!("`{text}` is not a severity: write P1, P2, P3 or P4"))
    }
}

/// The id of an incident: sorts by time, and is ours. It is the key under which receivers know it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct IncidentId(pub Arc<str>);

impl fmt::Display for IncidentId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

/// One incident as it stands.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Incident {
    /// Its id.
    pub id: IncidentId,
    /// The probe.
    pub probe: ProbeName,
    /// Whether the target fails or we cannot look.
    pub aspect: Aspect,
    /// The highest that applied while it was open.
    pub severity: Severity,
    /// The first bad run.
    pub since: Timestamp,
    /// When it was opened.
    pub opened_at: Timestamp,
    /// When it was resolved.
    pub resolved_at: Option<Timestamp>,
    /// Why it ended otherwise than by recovery.
    pub resolved_because: Option<String>,
    /// The schedules whose state is firing, with their severity.
    pub firing: BTreeMap<ScheduleName, Severity>,
    /// Every schedule that took part.
    pub schedules: Vec<ScheduleName>,
    /// The failures of the run that fired first.
    pub first_failures: Vec<Failure>,
    /// The failures of the latest bad run.
    pub latest_failures: Vec<Failure>,
    /// The run that opened it.
    pub opening_run: RunId,
    /// The probe's labels, as they were.
    pub labels: Labels,
    /// The probe's runbook.
    pub runbook: Option<String>,
    /// Why nobody was told yet; absent once somebody was, or where there is nobody to tell.
    pub quiet: Option<Reason>,
    /// What changed in the hour before it was opened, in words.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub changes: Vec<String>,
    /// The channels that were told it is open, each of which is told when it is over.
    pub told: Vec<ChannelName>,
    /// How many transitions it has had; numbers of notifications have no holes.
    pub transitions: u32,
}

impl Incident {
    /// One line for people: what is wrong.
    pub fn summary(&self) -> String {
        match (self.aspect, self.latest_failures.first()) {
            (Aspect::Failing, Some(failure)) => {
                // An assertion says what was; against what, its own text says.
                let expected = failure.expected.as_ref().filter(|_| failure.kind == FailureKind::Expect);
                let expected = expected.map(|expected| format!(", expected `{expected}`")).unwrap_or_default();
                format!("{} is failing: {failure}{expected}", self.probe)
            }
            (Aspect::Failing, None) => format!("{} is failing", self.probe),
            (Aspect::Blind, Some(failure)) => format!("Roundsman cannot see {}: {failure}", self.probe),
            (Aspect::Blind, None) => format!("Roundsman cannot see {}", self.probe),
        }
    }

    /// Whether it is still open.
    pub fn is_open(&self) -> bool {
        self.resolved_at.is_none()
    }
}

/// Which version a step last saw of its target.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Version {
    /// The probe.
    pub probe: ProbeName,
    /// Its step.
    pub step: StepName,
    /// As the target said it.
    pub version: String,
    /// The first run that saw it.
    pub since: Timestamp,
    /// What it was before that; absent for the first that was ever seen.
    pub before: Option<String>,
}

impl Version {
    /// The change in words, where there was one.
    pub fn change(&self) -> Option<String> {
        let before = self.before.as_ref()?;
        Some(format!("{} saw version {before} become {}", self.probe, self.version))
    }
}

/// What happened to an incident.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Event {
    /// It began.
    Opened,
    /// It is over.
    Resolved,
}

impl Event {
    /// The word in messages and in the store.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Opened => "opened",
            Self::Resolved => "resolved",
        }
    }
}

/// A line of an incident's time line.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Moment {
    /// The incident.
    pub incident: IncidentId,
    /// When.
    pub at: Timestamp,
    /// What: `version`, `failed`, `opened`, `joined`, `muted`, `told`, `recovered`, `resolved`.
    pub what: String,
    /// In words.
    pub text: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_gravest_severity_is_the_greatest() {
        assert!(Severity::P1 > Severity::P2 && Severity::P3 > Severity::P4);
        assert_eq!("P2".parse(), Ok(Severity::P2));
        assert_eq!("p2".parse::<Severity>().unwrap_err(), "`p2` is not a severity: write P1, P2, P3 or P4");
    }
}
