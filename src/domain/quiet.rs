//! Why a message is not sent: a reason, not a bool. Quiet suppresses the message, never the probing and never the state.

use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::hours::Hours;
use super::incident::{Incident, Severity};
use super::names::{ProbeName, ScheduleName, WindowName, glob};
use super::pause::{Pause, PauseId, write_paused};
use super::probe::Labels;
use super::schedule::Cadence;
use super::time::{Length, Timestamp, between, clock, earlier, later};

/// The longest silence: one that nobody remembers would hide the next outage.
pub const SILENCE_MAX: Duration = Duration::from_secs(30 * 86_400);

/// The longest text of a silence, in characters.
pub const TEXT_MAX: usize = 500;

/// Why nobody is told.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reason {
    /// A probe that this one needs is failing.
    Needs(ProbeName),
    /// A probe that this one needs is looked at first.
    Looking {
        /// That one.
        probe: ProbeName,
        /// It is waited for no longer than that.
        until: Timestamp,
    },
    /// It may be Roundsman that has no network, which other runs will say.
    Network {
        /// They are waited for no longer than that.
        until: Timestamp,
    },
    /// Nobody looks, since somebody has paused it.
    Paused {
        /// The pause.
        id: PauseId,
        /// Who.
        by: String,
        /// Why, in their words.
        reason: String,
        /// Until then, where it is over by itself.
        until: Option<Timestamp>,
    },
    /// Somebody wants quiet.
    Silenced {
        /// The silence.
        id: SilenceId,
        /// Who.
        by: String,
        /// Why, in their words.
        reason: String,
        /// Until then.
        until: Timestamp,
    },
    /// It can wait until people are at work.
    Held {
        /// Until then.
        until: Timestamp,
    },
    /// It was planned.
    Maintenance {
        /// The window.
        name: WindowName,
        /// Its end.
        until: Timestamp,
    },
}

impl Reason {
    /// When it ends by itself, where a clock ends it.
    pub fn until(&self) -> Option<Timestamp> {
        match self {
            Self::Needs(_) => None,
            Self::Paused { until, .. } => *until,
            Self::Looking { until, .. }
            | Self::Network { until }
            | Self::Silenced { until, .. }
            | Self::Maintenance { until, .. }
            | Self::Held { until } => Some(*until),
        }
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Needs(probe) => write!(f, "needs {probe}, which is failing"),
            Self::Looking { probe, .. } => write!(f, "first {probe}, which it needs, is looked at again"),
            Self::Network { .. } => f.write_str("first it is seen whether it is Roundsman that has no network"),
            Self::Paused { by, reason, until, .. } => write_paused(f, by, *until, reason),
            Self::Silenced { by, reason, until, .. } => write!(f, "silenced by {by} until {}: {reason}", clock(*until)),
            Self::Held { until } => write!(f, "it can wait until {}", clock(*until)),
            Self::Maintenance { name, until } => write!(f, "maintenance {name} until {}", clock(*until)),
        }
    }
}

/// Which incidents something is about. What says nothing takes all.
#[derive(Clone, Debug, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Matchers {
    /// Names of probes, or globs with `*`; one must fit.
    pub probes: Vec<String>,
    /// Schedules. All that hold the incident open must be among them: what fails on another one as well is that one's to tell.
    pub schedules: BTreeSet<ScheduleName>,
    /// Labels, all of which the probe must have.
    pub labels: Labels,
    /// Severities.
    pub severities: BTreeSet<Severity>,
}

impl Matchers {
    /// Whether they say anything.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// Whether they take everything, in whatever words.
    pub fn take_all(&self) -> bool {
        let all_probes =
            self.probes.is_empty() || self.probes.iter().any(|pattern| pattern.chars().all(|letter| letter == '*'));
        all_probes && self.takes_every_severity() && self.schedules.is_empty() && self.labels.is_empty()
    }

    /// Whether they take incidents however much they matter.
    pub fn takes_every_severity(&self) -> bool {
        self.severities.is_empty() || self.severities.len() == Severity::ALL.len()
    }

    /// Whether they take an incident as it stands.
    pub fn take(&self, incident: &Incident) -> bool {
        self.take_probe(&incident.probe, &incident.labels)
            && (self.schedules.is_empty() || incident.firing.keys().all(|schedule| self.schedules.contains(schedule)))
            && (self.severities.is_empty() || self.severities.contains(&incident.severity))
    }

    /// Whether they take what a probe does on a schedule. That has no severity.
    pub fn take_round(&self, schedule: &ScheduleName, probe: &ProbeName, labels: &Labels) -> bool {
        self.take_probe(probe, labels) && (self.schedules.is_empty() || self.schedules.contains(schedule))
    }

    fn take_probe(&self, probe: &ProbeName, labels: &Labels) -> bool {
        (self.probes.is_empty() || self.probes.iter().any(|pattern| glob(pattern, probe.as_str())))
            && self.labels.iter().all(|(key, value)| labels.get(key) == Some(value))
    }
}

impl fmt::Display for Matchers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let labels = self.labels.iter().map(|(key, value)| format!("{key}={value}"));
        let schedules = self.schedules.iter().map(ToString::to_string);
        let severities = self.severities.iter().map(ToString::to_string);
        let all: Vec<String> = self.probes.iter().cloned().chain(schedules).chain(labels).chain(severities).collect();
        f.write_str(&all.join(", "))
    }
}

/// The id of a silence, which is ours.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
pub struct SilenceId(pub Arc<str>);

impl fmt::Display for SilenceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

/// An ad-hoc mute.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Silence {
    /// Its id.
    pub id: SilenceId,
    /// What it is about.
    pub matchers: Matchers,
    /// Who wants it.
    pub by: String,
    /// Why.
    pub reason: String,
    /// It begins then …
    pub from: Timestamp,
    /// … and is over then, if nobody ends it sooner.
    pub until: Timestamp,
}

/// Why there can be no such silence.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SilenceError {
    /// It would mute everything: then nobody would know of the next outage.
    #[error("a silence says what it is about, and not everything: probes, schedules, labels or severities")]
    Everything,
    /// Whoever is woken wants to know whom to ask.
    #[error("a silence has an author and a reason, each of 1 to {TEXT_MAX} characters")]
    Text,
    /// Over before it begins, or in the past.
    #[error("a silence ends after it begins, and not in the past")]
    Over,
    /// Beyond [`SILENCE_MAX`].
    #[error("a silence lasts for at most {}", Length(SILENCE_MAX))]
    Long,
    /// More than anybody oversees.
    #[error("there are {0} silences already: end one first")]
    Many(usize),
    /// There is none of that id that could be ended.
    #[error("there is no silence {0}, or it is over")]
    Unknown(SilenceId),
}

impl Silence {
    /// Checks it at the moment in which somebody wants it.
    pub fn check(&self, now: Timestamp) -> Result<(), SilenceError> {
        let is_text = |text: &str| !text.trim().is_empty() && text.chars().count() <= TEXT_MAX;
        if self.matchers.take_all() {
            return Err(SilenceError::Everything);
        }
        if !is_text(&self.by) || !is_text(&self.reason) {
            return Err(SilenceError::Text);
        }
        if self.until <= self.from || self.until <= now {
            return Err(SilenceError::Over);
        }
        if between(self.from, self.until) > SILENCE_MAX {
            return Err(SilenceError::Long);
        }
        Ok(())
    }

    /// Whether it is in force.
    pub fn is_active(&self, now: Timestamp) -> bool {
        (self.from..self.until).contains(&now)
    }
}

/// Planned quiet time.
#[derive(Clone, Debug, PartialEq)]
pub struct MaintenanceWindow {
    /// Its name.
    pub name: WindowName,
    /// When it is.
    pub when: Occurrence,
    /// What it is about.
    pub matchers: Matchers,
    /// Whether it mutes, or only marks.
    pub mode: Mode,
}

/// When a window is open.
#[derive(Clone, Debug, PartialEq)]
pub enum Occurrence {
    /// Again and again, each time for so long from the slot on.
    Each(Cadence, Duration),
    /// Once, from the first instant on and before the second.
    Once(Timestamp, Timestamp),
}

/// What a window does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Mode {
    /// Nobody is told of what happens in it until it is over.
    #[default]
    Mute,
    /// What happens in it is told, and said to be in it.
    Mark,
}

impl MaintenanceWindow {
    /// When it will be over, where it is open now. The length is counted in hours that pass and not in those that a clock on
    /// the wall shows: a window of two hours lasts for two also in the night in which that clock is set.
    pub fn until(&self, now: Timestamp) -> Option<Timestamp> {
        match &self.when {
            Occurrence::Each(cadence, length) => {
                cadence.slots(earlier(now, *length), now).last().map(|slot| later(slot, *length))
            }
            Occurrence::Once(from, until) => (*from..*until).contains(&now).then_some(*until),
        }
    }

    /// When it opens next.
    pub fn opens_after(&self, now: Timestamp) -> Option<Timestamp> {
        match &self.when {
            Occurrence::Each(cadence, _) => cadence.next_after(now),
            Occurrence::Once(from, _) => Some(*from).filter(|from| *from > now),
        }
    }

    /// When it will be over, where it is open now for an incident and does that.
    pub fn covers(&self, mode: Mode, incident: &Incident, now: Timestamp) -> Option<Timestamp> {
        (self.mode == mode && self.matchers.take(incident)).then(|| self.until(now)).flatten()
    }
}

/// What may be a reason.
pub struct Grounds<'a> {
    /// The pause, where nobody looks at any of it.
    pub pause: Option<&'a Pause>,
    /// The silences.
    pub silences: &'a [Silence],
    /// The windows.
    pub windows: &'a [MaintenanceWindow],
    /// The probes that this one needs.
    pub needs: &'a [ProbeName],
    /// The hours for which messages of its severity wait.
    pub hold: Option<&'a Hours>,
}

/// Why there is to be quiet about an incident now: that nobody looks, then what a person asked for, else what was planned, else the first probe that
/// it needs and that is not well, else that it can wait.
pub fn why_quiet(
    grounds: &Grounds<'_>,
    incident: &Incident,
    now: Timestamp,
    is_failing: impl Fn(&ProbeName) -> bool,
) -> Option<Reason> {
    let Grounds { pause, silences, windows, needs, hold } = grounds;
    let paused = pause.map(|pause| Reason::Paused {
        id: pause.id.clone(),
        by: pause.by.clone(),
        reason: pause.reason.clone(),
        until: pause.until,
    });
    let silence = silences.iter().filter(|silence| silence.is_active(now) && silence.matchers.take(incident));
    let silenced = silence.max_by_key(|silence| silence.until).map(|silence| Reason::Silenced {
        id: silence.id.clone(),
        by: silence.by.clone(),
        reason: silence.reason.clone(),
        until: silence.until,
    });
    let window = windows.iter().filter_map(|window| Some((window, window.covers(Mode::Mute, incident, now)?)));
    let planned = window.max_by_key(|(_, until)| *until);
    let planned = planned.map(|(window, until)| Reason::Maintenance { name: window.name.clone(), until });
    let needed = needs.iter().find(|probe| is_failing(probe)).cloned().map(Reason::Needs);
    let held = hold.and_then(|hours| hours.next_after(now)).map(|until| Reason::Held { until });
    paused.or(silenced).or(planned).or(needed).or(held)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::incident::IncidentId;
    use crate::domain::judge::Aspect;
    use crate::domain::outcome::RunId;

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    fn open() -> Incident {
        Incident {
            firing: [("tier".parse().unwrap(), Severity::P2)].into(),
            schedules: vec!["tier".parse().unwrap()],
            labels: [("service".to_owned(), "shop".to_owned())].into(),
            ..Incident::opened(
                IncidentId(Arc::from("I1")),
                "pages@home".parse().unwrap(),
                Aspect::Failing,
                Severity::P2,
                RunId(Arc::from("r")),
                at("2026-11-24T10:00:00Z"),
            )
        }
    }

    fn silence(matchers: Matchers) -> Silence {
        Silence {
            id: SilenceId(Arc::from("S1")),
            matchers,
            by: "ann".to_owned(),
            reason: "a new disk".to_owned(),
            from: at("2026-11-24T10:00:00Z"),
            until: at("2026-11-24T12:00:00Z"),
        }
    }

    fn probes(patterns: &[&str]) -> Matchers {
        Matchers { probes: patterns.iter().map(|&pattern| pattern.to_owned()).collect(), ..Matchers::default() }
    }

    #[test]
    fn matchers_take_what_fits_all_that_they_say() {
        let of_schedule = |names: &[&str]| Matchers {
            schedules: names.iter().map(|name| name.parse().unwrap()).collect(),
            ..Matchers::default()
        };
        let label =
            |value: &str| Matchers { labels: [("service".to_owned(), value.to_owned())].into(), ..Matchers::default() };
        for (matchers, takes) in [
            (Matchers::default(), true),
            (probes(&["pages@*"]), true),
            (probes(&["other", "pages@home"]), true),
            (probes(&["pages"]), false),
            (of_schedule(&["tier", "slow"]), true),
            (of_schedule(&["slow"]), false),
            (label("shop"), true),
            (label("api"), false),
            (Matchers { severities: [Severity::P1].into(), ..Matchers::default() }, false),
            (Matchers { severities: [Severity::P1].into(), ..probes(&["*"]) }, false),
        ] {
            assert_eq!(matchers.take(&open()), takes, "{matchers}");
        }
        let mut on_both = open();
        on_both.firing.insert("slow".parse().unwrap(), Severity::P2);
        assert!(!of_schedule(&["tier"]).take(&on_both), "the other schedule is not silenced");
    }

    #[test]
    fn a_silence_has_an_end_an_author_and_something_to_be_about() {
        let now = at("2026-11-24T10:00:00Z");
        let well = silence(probes(&["pages@*"]));
        assert_eq!(well.check(now), Ok(()));
        let everything = "a silence says what it is about, and not everything: probes, schedules, labels or severities";
        let all = [Severity::P1, Severity::P2, Severity::P3, Severity::P4].into();
        for (wrong, why) in [
            (silence(Matchers::default()), everything),
            (silence(probes(&["api", "**"])), everything),
            (silence(Matchers { severities: all, ..probes(&["*"]) }), everything),
            (
                Silence { by: " ".to_owned(), ..well.clone() },
                "a silence has an author and a reason, each of 1 to 500 characters",
            ),
            (
                Silence { reason: "x".repeat(501), ..well.clone() },
                "a silence has an author and a reason, each of 1 to 500 characters",
            ),
            (Silence { until: well.from, ..well.clone() }, "a silence ends after it begins, and not in the past"),
            (
                Silence { from: at("2026-11-23T10:00:00Z"), until: now, ..well.clone() },
                "a silence ends after it begins, and not in the past",
            ),
            (Silence { until: at("2026-12-24T10:00:01Z"), ..well.clone() }, "a silence lasts for at most 30 d"),
        ] {
            assert_eq!(wrong.check(now).unwrap_err().to_string(), why);
        }
    }

    fn window(when: Occurrence) -> MaintenanceWindow {
        let name = "deploy".parse().unwrap();
        MaintenanceWindow { name, when, matchers: Matchers::default(), mode: Mode::Mute }
    }

    /// A window by cron line.
    fn each(line: &str, zone: &str, hours: u64) -> MaintenanceWindow {
        let cadence = Cadence::cron(line, zone.parse().unwrap(), at("2026-01-01T00:00:00Z")).unwrap();
        window(Occurrence::Each(cadence, Duration::from_secs(hours * 3_600)))
    }

    #[test]
    fn a_window_is_open_from_its_slot_for_its_length() {
        let nights = each("0 2 * * 2-4", "UTC", 2);
        for (now, until) in [
            ("2026-11-24T01:59:59Z", None),
            ("2026-11-24T02:00:00Z", Some("2026-11-24T04:00:00Z")),
            ("2026-11-24T03:59:59Z", Some("2026-11-24T04:00:00Z")),
            ("2026-11-24T04:00:00Z", None),
            ("2026-11-23T03:00:00Z", None),
        ] {
            assert_eq!(nights.until(at(now)), until.map(at), "{now}");
        }
        let once = window(Occurrence::Once(at("2026-11-24T02:00:00Z"), at("2026-11-24T03:00:00Z")));
        assert_eq!(once.until(at("2026-11-24T02:00:00Z")), Some(at("2026-11-24T03:00:00Z")));
        assert_eq!(once.until(at("2026-11-24T03:00:00Z")), None);
    }

    #[test]
    fn a_window_is_right_in_both_nights_in_which_clocks_are_set() {
        // In Berlin 29 March 2026 has no 2:30, and 25 October has two.
        let nights = each("30 2 * * *", "Europe/Berlin", 2);
        let open = |from: &str, minutes: i64| {
            let all = (0..minutes).map(|minute| at(from) + chrono::TimeDelta::minutes(minute));
            let open: Vec<_> = all.filter(|now| nights.until(*now).is_some()).collect();
            (open.len(), open.first().unwrap().to_string(), open.last().unwrap().to_string())
        };
        // An ordinary night: 2:30 to 4:30 in summer.
        assert_eq!(
            open("2026-07-01T22:00:00Z", 600),
            (120, "2026-07-02 00:30:00 UTC".to_owned(), "2026-07-02 02:29:00 UTC".to_owned())
        );
        // Spring: it begins when 2:30 would have been, and lasts for two hours.
        assert_eq!(
            open("2026-03-28T22:00:00Z", 600),
            (120, "2026-03-29 01:00:00 UTC".to_owned(), "2026-03-29 02:59:00 UTC".to_owned())
        );
        // Autumn: it is open once, and covers the hour that comes twice.
        assert_eq!(
            open("2026-10-24T22:00:00Z", 600),
            (120, "2026-10-25 00:30:00 UTC".to_owned(), "2026-10-25 02:29:00 UTC".to_owned())
        );
    }

    #[test]
    fn the_reason_is_what_a_person_asked_for_then_what_was_planned_then_what_is_needed() {
        let needs = ["a".parse().unwrap(), "b".parse().unwrap()];
        let windows = [each("0 10 * * *", "UTC", 1)];
        let office = Hours::parse("mon-fri 09:00-17:00", chrono_tz::Tz::UTC).unwrap();
        let longer = Silence { until: at("2026-11-24T13:00:00Z"), ..silence(probes(&["*"])) };
        let silences = [silence(probes(&["pages@*"])), longer, silence(probes(&["other"]))];
        let why = |now: &str| {
            let grounds =
                Grounds { pause: None, silences: &silences, windows: &windows, needs: &needs, hold: Some(&office) };
            let reason = why_quiet(&grounds, &open(), at(now), |probe| probe.as_str() == "b");
            reason.map(|reason| reason.to_string())
        };
        let silenced = "silenced by ann until 2026-11-24 13:00:00 UTC: a new disk";
        assert_eq!(why("2026-11-24T10:30:00Z").as_deref(), Some(silenced), "the one that lasts longest");
        assert_eq!(why("2026-11-25T10:30:00Z").as_deref(), Some("maintenance deploy until 2026-11-25 11:00:00 UTC"));
        assert_eq!(why("2026-11-24T13:00:00Z").as_deref(), Some("needs b, which is failing"));
        let held = |now: &str| {
            let only = Grounds { pause: None, silences: &[], windows: &[], needs: &[], hold: Some(&office) };
            why_quiet(&only, &open(), at(now), |_| true).map(|reason| reason.to_string())
        };
        assert_eq!(held("2026-11-24T13:00:00Z"), None);
        assert_eq!(held("2026-11-24T18:00:00Z").as_deref(), Some("it can wait until 2026-11-25 09:00:00 UTC"));
    }
}
