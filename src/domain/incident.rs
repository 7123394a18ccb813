//! The stretch from opened to resolved. An incident belongs to a probe and an aspect: the first alert state that fires
//! opens it, others join it, and it closes when all are healthy.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::drill;
use super::judge::Aspect;
use super::names::{ChannelName, ProbeName, ScheduleName, StepName, WindowName};
use super::outcome::{Failure, FailureKind, RunId};
use super::probe::Labels;
use super::quiet::Reason;
use super::time::{Timestamp, between, later, words};

/// The longest time between two reminders.
pub const REMIND_MAX: Duration = Duration::from_secs(86_400);

/// How much an incident matters; P1 is the gravest and compares as the greatest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
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
    /// Every severity.
    pub const ALL: [Self; 4] = [Self::P1, Self::P2, Self::P3, Self::P4];

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
        Self::ALL
            .into_iter()
            .find(|severity| severity.as_str() == text)
            .ok_or_else(|| format!("`{text}` is not a severity: write P1, P2, P3 or P4"))
    }
}

/// The id of an incident: sorts by time, and is ours. It is the key under which receivers know it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
pub struct IncidentId(pub Arc<str>);

impl fmt::Display for IncidentId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

/// The name that stands in the place of a probe's where an incident is of Roundsman itself.
pub const OURSELVES: &str = "roundsman";

/// One incident as it stands.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Incident {
    /// Its id.
    pub id: IncidentId,
    /// It is one that somebody wanted, to see whether a channel works: nothing is wrong, and it counts nowhere.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub drill: bool,
    /// The probe.
    pub probe: ProbeName,
    /// Whether the target fails, is degraded, or cannot be seen.
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
    /// Those of them on which it comes and goes, so that it stays open until it has been quiet.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub flapping: BTreeSet<ScheduleName>,
    /// Every schedule that took part.
    pub schedules: Vec<ScheduleName>,
    /// The failures of the run that fired first. All copies of an incident share them and the latest: a storm makes several of
    /// each.
    pub first_failures: Arc<[Failure]>,
    /// The failures of the latest bad run.
    pub latest_failures: Arc<[Failure]>,
    /// The run that opened it.
    pub opening_run: RunId,
    /// The probe's labels, as they were.
    pub labels: Labels,
    /// The probe's runbook.
    pub runbook: Option<String>,
    /// Why nobody is told of it now; absent where nothing keeps a message back.
    pub quiet: Option<Reason>,
    /// The maintenance window in which it began, where that only marks.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub maintenance: Option<WindowName>,
    /// Who has taken it on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub acknowledged: Option<Acknowledgement>,
    /// When those who were told are reminded next; absent where they are not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub remind_at: Option<Timestamp>,
    /// How many reminders there have been.
    #[serde(default)]
    pub reminders: u32,
    /// When others are told, if nobody has acknowledged by then; absent where nobody else is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub escalate_at: Option<Timestamp>,
    /// When they were told.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub escalated_at: Option<Timestamp>,
    /// What changed in the hour before it was opened, in words.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub changes: Vec<String>,
    /// What was looked at because it opened, in short.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub findings: Vec<Finding>,
    /// When those who were told are reminded of its post-mortem; absent where they are not, or have been.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub post_mortem_at: Option<Timestamp>,
    /// The channels that were told it is open, each of which is told when it is over.
    pub told: Vec<ChannelName>,
    /// The severity that they were told; absent where nobody was, or nobody said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub told_as: Option<Severity>,
    /// How many times it was told; numbers of notifications have no holes.
    pub transitions: u32,
}

impl Incident {
    /// One of which nobody was told yet and nothing more is known; its first bad run is taken for the one that opens it.
    pub fn opened(
        id: IncidentId,
        probe: ProbeName,
        aspect: Aspect,
        severity: Severity,
        opening_run: RunId,
        opened_at: Timestamp,
    ) -> Self {
        Self {
            id,
            drill: false,
            probe,
            aspect,
            severity,
            since: opened_at,
            opened_at,
            resolved_at: None,
            resolved_because: None,
            firing: BTreeMap::new(),
            flapping: BTreeSet::new(),
            schedules: Vec::new(),
            first_failures: Arc::default(),
            latest_failures: Arc::default(),
            opening_run,
            labels: Labels::new(),
            runbook: None,
            quiet: None,
            maintenance: None,
            acknowledged: None,
            remind_at: None,
            reminders: 0,
            escalate_at: None,
            escalated_at: None,
            changes: Vec::new(),
            findings: Vec::new(),
            post_mortem_at: None,
            told: Vec::new(),
            told_as: None,
            transitions: 0,
        }
    }

    /// What is wrong, without why.
    pub fn what(&self) -> String {
        let probe = &self.probe;
        let what = match (self.aspect, self.is_flapping()) {
            (Aspect::Failing, false) => format!("{probe} is failing"),
            (Aspect::Failing, true) => format!("{probe} is flapping"),
            (Aspect::Degraded, false) => format!("{probe} is degraded"),
            (Aspect::Degraded, true) => format!("{probe} is degraded now and then"),
            (Aspect::Blind, false) => format!("Roundsman cannot see {probe}"),
            (Aspect::Blind, true) => format!("Roundsman sees {probe} only now and then"),
            (Aspect::Burning, _) => format!("{probe} burns its error budget"),
            (Aspect::NoNetwork, _) => "Roundsman has no network".to_owned(),
            (Aspect::Unrecorded, _) => "Roundsman cannot write its state".to_owned(),
            (Aspect::StateLost, _) => "Roundsman has lost its state".to_owned(),
        };
        format!("{}{what}", self.mark())
    }

    /// What everything begins with that is said of it: nothing, unless it is a drill.
    pub fn mark(&self) -> &'static str {
        if self.drill { drill::PREFIX } else { "" }
    }

    /// What was wrong.
    pub fn what_was(&self) -> String {
        let what = match self.aspect {
            Aspect::Failing => format!("{} was failing", self.probe),
            Aspect::Degraded => format!("{} was degraded", self.probe),
            Aspect::Blind => format!("Roundsman could not see {}", self.probe),
            Aspect::Burning => format!("{} burned its error budget", self.probe),
            Aspect::NoNetwork => "Roundsman had no network".to_owned(),
            Aspect::Unrecorded => "Roundsman could not write its state".to_owned(),
            Aspect::StateLost => "Roundsman had lost its state".to_owned(),
        };
        format!("{}{what}", self.mark())
    }

    /// One line for people: what is wrong.
    pub fn summary(&self) -> String {
        let what = self.what();
        let planned = self.maintenance.as_ref().map(|window| format!(", in maintenance {window}")).unwrap_or_default();
        format!("{what}{planned}{}", self.why())
    }

    /// The same for who has heard it before.
    pub fn still(&self, now: Timestamp) -> String {
        let probe = &self.probe;
        let what = match (self.aspect, self.is_flapping()) {
            (Aspect::Failing, false) => format!("{probe} is still failing"),
            (Aspect::Failing, true) => format!("{probe} is still flapping"),
            (Aspect::Degraded, false) => format!("{probe} is still degraded"),
            (Aspect::Degraded, true) => format!("{probe} is still degraded now and then"),
            (Aspect::Blind, false) => format!("Roundsman still cannot see {probe}"),
            (Aspect::Blind, true) => format!("Roundsman still sees {probe} only now and then"),
            (Aspect::NoNetwork, _) => "Roundsman still has no network".to_owned(),
            (Aspect::Unrecorded, _) => "Roundsman still cannot write its state".to_owned(),
            (Aspect::StateLost, _) => "Roundsman has lost its state".to_owned(),
            (Aspect::Burning, _) => format!("{probe} still burns its error budget"),
        };
        format!("{what} after {}{}", words(between(self.since, now)), self.why())
    }

    fn why(&self) -> String {
        let Some(failure) = self.latest_failures.first() else { return String::new() };
        // An assertion says what was; against what, its own text says.
        let is_assertion = self.aspect != Aspect::Blind && failure.kind == FailureKind::Expect;
        let expected = failure.expected.as_ref().filter(|_| is_assertion);
        format!(": {failure}{}", expected.map(|expected| format!(", expected `{expected}`")).unwrap_or_default())
    }

    /// When something of it is due by itself: the end of what keeps it quiet, else a reminder or an escalation.
    pub fn due_at(&self) -> Option<Timestamp> {
        match &self.quiet {
            Some(reason) => reason.until(),
            None => self.remind_at.into_iter().chain(self.escalate_at).min(),
        }
    }

    /// Sets when whoever was told is reminded, by the shortest `remind` that applies. What is due earlier already stays.
    pub fn set_reminder(&mut self, remind: Option<Duration>, now: Timestamp) {
        let next = remind.filter(|_| self.wants_word()).map(|remind| later(now, gap(remind, self.reminders)));
        self.remind_at = next.map(|next| self.remind_at.map_or(next, |known| known.min(next)));
    }

    /// Sets when others are told, once, if nobody acknowledges within that time.
    pub fn set_escalation(&mut self, within: Option<Duration>, now: Timestamp) {
        let is_owed = self.wants_word() && self.escalated_at.is_none();
        let next = within.filter(|_| is_owed).map(|within| later(now, within));
        self.escalate_at = next.map(|next| self.escalate_at.map_or(next, |known| known.min(next)));
    }

    /// Lets it rise: what was done about it was done about less, so reminders and the escalation begin anew. Whoever has taken
    /// it on has it still, unless that `reopens` it; says then who had.
    pub fn rise(&mut self, severity: Severity, reopens: bool) -> Option<Acknowledgement> {
        if !self.told.is_empty() {
            self.told_as.get_or_insert(self.severity);
        }
        self.severity = severity;
        (self.remind_at, self.reminders) = (None, 0);
        (self.escalate_at, self.escalated_at) = (None, None);
        self.acknowledged.take_if(|_| reopens)
    }

    /// Whether it is graver than whoever was told knows.
    pub fn has_risen(&self) -> bool {
        self.told_as.is_some_and(|known| known < self.severity)
    }

    /// Whether somebody was told, and nobody has answered.
    fn wants_word(&self) -> bool {
        self.is_open() && !self.told.is_empty() && self.acknowledged.is_none()
    }

    /// Whether it comes and goes.
    pub fn is_flapping(&self) -> bool {
        !self.flapping.is_empty()
    }

    /// Whether it is still open.
    pub fn is_open(&self) -> bool {
        self.resolved_at.is_none()
    }
}

/// How long it is to the next reminder after so many: twice as long each time, since whoever did not act on the last one
/// will not on ten more.
fn gap(remind: Duration, reminders: u32) -> Duration {
    remind.saturating_mul(1 << reminders.min(16)).min(REMIND_MAX)
}

/// Who has heard of an incident, and who is still to hear of it; nobody where it is quiet, or no route takes it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Hearers {
    /// Channels that took a message of it, or heard of it by another.
    pub heard: Vec<ChannelName>,
    /// Channels whose first message of it waits, or is tried again.
    pub waiting: Vec<ChannelName>,
    /// Channels that took none, and are not tried any more.
    pub given_up: Vec<ChannelName>,
}

impl Hearers {
    /// Whether it is for nobody.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

impl fmt::Display for Hearers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let parts = [("told", &self.heard), ("not yet taken by", &self.waiting), ("given up for", &self.given_up)];
        let said = parts.into_iter().filter(|(_, channels)| !channels.is_empty()).map(|(words, channels)| {
            format!("{words} {}", channels.iter().map(ChannelName::as_str).collect::<Vec<_>>().join(", "))
        });
        let said = said.collect::<Vec<_>>().join("; ");
        f.write_str(if said.is_empty() { "nobody was told" } else { &said })
    }
}

/// Who has taken an incident on: from then on nobody is reminded of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Acknowledgement {
    /// When.
    pub at: Timestamp,
    /// Who, as they said.
    pub by: String,
    /// What they said of it.
    pub note: Option<String>,
}

/// What a probe came to that was run because an incident opened.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Finding {
    /// The probe.
    pub probe: ProbeName,
    /// The word of its verdict.
    pub verdict: String,
    /// What it saw, in one line.
    pub text: String,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.probe, self.verdict)?;
        if self.text.is_empty() { Ok(()) } else { write!(f, ": {}", self.text) }
    }
}

impl fmt::Display for Acknowledgement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.by)?;
        self.note.as_ref().map_or(Ok(()), |note| write!(f, ": {note}"))
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
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Event {
    /// It began.
    Opened,
    /// It goes on, and nobody has taken it on.
    Reminder,
    /// Nobody has taken it on in time, so others are told.
    Escalated,
    /// Somebody has taken it on.
    Acknowledged,
    /// It is over.
    Resolved,
    /// It has been over for a while, and what was learned of it is to be written down.
    PostMortem,
}

impl Event {
    /// Whether a channel may hear of an incident first by such a message.
    pub fn begins(self) -> bool {
        matches!(self, Self::Opened | Self::Escalated)
    }

    /// Every event.
    pub const ALL: [Self; 6] =
        [Self::Opened, Self::Reminder, Self::Escalated, Self::Acknowledged, Self::Resolved, Self::PostMortem];

    /// The word in messages and in the store.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Opened => "opened",
            Self::Reminder => "reminder",
            Self::Escalated => "escalated",
            Self::Acknowledged => "acknowledged",
            Self::Resolved => "resolved",
            Self::PostMortem => "post_mortem",
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
    /// What: `version`, `reload`, `nearby`, `failed`, `opened`, `joined`, `flapping`, `steady`, `raised`, `maintenance`,
    /// `muted`, `unmuted`, `told`, `diagnosed`, `undiagnosed`, `reminded`, `escalated`, `acknowledged`, `unacknowledged`,
    /// `note`, `recovered`, `resolved`, `post_mortem`, and of a drill `drilled` or `broken`.
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

    #[test]
    fn each_reminder_waits_twice_as_long_as_the_one_before_up_to_a_day() {
        let minutes = |reminders| gap(Duration::from_secs(1_800), reminders).as_secs() / 60;
        assert_eq!([0, 1, 2, 5, 6, 900].map(minutes), [30, 60, 120, 960, 1_440, 1_440]);
    }
}
