//! Which messages go where: a route takes an incident or says why it does not.

use std::collections::BTreeSet;
use std::fmt;

use super::hours::Hours;
use super::incident::{Incident, Severity};
use super::names::{ChannelName, ScheduleName};
use super::probe::Labels;
use super::time::Timestamp;

/// Which messages go where. What says nothing takes all.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Route {
    /// The severities that it takes.
    pub severities: BTreeSet<Severity>,
    /// The labels that the probe must have.
    pub labels: Labels,
    /// The schedules of which one must have taken part.
    pub schedules: BTreeSet<ScheduleName>,
    /// The hours in which it takes anything.
    pub when: Option<Hours>,
    /// The channels.
    pub to: Vec<ChannelName>,
    /// What takes a message that one of them gave up on.
    pub fallback: Option<ChannelName>,
}

/// What routes look at.
#[derive(Clone, Debug)]
pub struct Subject<'a> {
    /// How much it matters.
    pub severity: Severity,
    /// The labels of the probe.
    pub labels: &'a Labels,
    /// The schedules that have taken part.
    pub schedules: &'a [ScheduleName],
}

impl<'a> From<&'a Incident> for Subject<'a> {
    fn from(incident: &'a Incident) -> Self {
        Self { severity: incident.severity, labels: &incident.labels, schedules: &incident.schedules }
    }
}

/// Why a route does not take something.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Mismatch {
    /// It is for others.
    Severity(Severity),
    /// The probe has no such label, or another value.
    Label(String, String),
    /// None of its schedules has taken part.
    Schedules(BTreeSet<ScheduleName>),
    /// It is not the time.
    Hours(Hours),
}

impl fmt::Display for Mismatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Severity(severity) => write!(f, "the severity is {severity}"),
            Self::Label(key, value) => write!(f, "there is no label {key}={value}"),
            Self::Schedules(schedules) => {
                let names: Vec<_> = schedules.iter().map(ScheduleName::as_str).collect();
                write!(f, "it is not on {}", names.join(", "))
            }
            Self::Hours(hours) => write!(f, "it is not {hours}"),
        }
    }
}

impl Route {
    /// Why it does not take something now; nothing where it does.
    pub fn refuses(&self, subject: &Subject<'_>, now: Timestamp) -> Option<Mismatch> {
        if !self.severities.is_empty() && !self.severities.contains(&subject.severity) {
            return Some(Mismatch::Severity(subject.severity));
        }
        if let Some((key, value)) = self.labels.iter().find(|(key, value)| subject.labels.get(*key) != Some(*value)) {
            return Some(Mismatch::Label(key.clone(), value.clone()));
        }
        if !self.schedules.is_empty() && !subject.schedules.iter().any(|name| self.schedules.contains(name)) {
            return Some(Mismatch::Schedules(self.schedules.clone()));
        }
        self.when.clone().filter(|hours| !hours.contain(now)).map(Mismatch::Hours)
    }

    /// Whether it takes all that another one could take, whenever that is.
    pub fn shadows(&self, other: &Self) -> bool {
        let covers = |mine: bool, has_any: bool, within: bool| mine || (has_any && within);
        covers(self.severities.is_empty(), !other.severities.is_empty(), other.severities.is_subset(&self.severities))
            && covers(
                self.schedules.is_empty(),
                !other.schedules.is_empty(),
                other.schedules.is_subset(&self.schedules),
            )
            && self.labels.iter().all(|(key, value)| other.labels.get(key) == Some(value))
            && (self.when.is_none() || self.when == other.when)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    fn labels(value: &str) -> Labels {
        [("service".to_owned(), value.to_owned())].into()
    }

    fn schedules(names: &[&str]) -> BTreeSet<ScheduleName> {
        names.iter().map(|name| name.parse().unwrap()).collect()
    }

    fn office() -> Option<Hours> {
        Hours::parse("mon-fri 09:00-17:00", chrono_tz::Tz::UTC).ok()
    }

    #[test]
    fn a_route_takes_what_fits_all_that_it_says_or_says_why_not() {
        let labels_of_probe = labels("api");
        let on = ["tier".parse().unwrap(), "slow".parse().unwrap()];
        let subject = Subject { severity: Severity::P2, labels: &labels_of_probe, schedules: &on };
        let any = Route::default;
        let (day, night) = (at("2026-11-24T12:00:00Z"), at("2026-11-24T18:00:00Z"));
        for (route, now, why) in [
            (any(), day, None),
            (Route { severities: [Severity::P1, Severity::P2].into(), ..any() }, day, None),
            (Route { severities: [Severity::P1].into(), ..any() }, day, Some("the severity is P2")),
            (Route { labels: labels("api"), ..any() }, day, None),
            (Route { labels: labels("shop"), ..any() }, day, Some("there is no label service=shop")),
            (Route { schedules: schedules(&["slow", "hourly"]), ..any() }, day, None),
            (Route { schedules: schedules(&["hourly", "daily"]), ..any() }, day, Some("it is not on daily, hourly")),
            (Route { when: office(), ..any() }, day, None),
            (Route { when: office(), ..any() }, night, Some("it is not mon-fri 09:00-17:00")),
        ] {
            let said = route.refuses(&subject, now).map(|mismatch| mismatch.to_string());
            assert_eq!(said.as_deref(), why);
        }
    }

    #[test]
    fn a_route_is_out_of_reach_where_an_earlier_one_takes_all_that_it_could() {
        let any = Route::default;
        let grave = || Route { severities: [Severity::P1].into(), ..any() };
        let by_day = || Route { when: office(), ..any() };
        for (earlier, later, shadows) in [
            (any(), grave(), true),
            (grave(), any(), false),
            (grave(), Route { labels: labels("api"), ..grave() }, true),
            (Route { labels: labels("api"), ..any() }, any(), false),
            (Route { labels: labels("api"), ..any() }, Route { labels: labels("shop"), ..any() }, false),
            (
                Route { schedules: schedules(&["a", "b"]), ..any() },
                Route { schedules: schedules(&["a"]), ..any() },
                true,
            ),
            (Route { schedules: schedules(&["a"]), ..any() }, any(), false),
            (by_day(), any(), false),
            (by_day(), by_day(), true),
            (any(), by_day(), true),
        ] {
            assert_eq!(earlier.shadows(&later), shadows, "{earlier:?} {later:?}");
        }
    }
}
