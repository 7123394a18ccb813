//! How long things took in an incident: until it was noticed, until somebody took it on, until it was over.

use std::time::Duration;

use super::incident::Incident;
use super::judge::Aspect;
use super::metric::{MetricName, Sample, SampleLabels};
use super::time::{Timestamp, between, words};

/// The figures of an incident. What has not come yet is absent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Figures {
    /// From the first bad run to the one that opened it.
    pub detect: Duration,
    /// From there until somebody took it on, at the severity that it has now.
    pub acknowledge: Option<Duration>,
    /// From the first bad run until it was over.
    pub resolve: Option<Duration>,
}

impl Figures {
    /// The figures of an incident as it stands.
    pub fn of(incident: &Incident) -> Self {
        Self {
            detect: between(incident.since, incident.opened_at),
            acknowledge: incident.acknowledged.as_ref().map(|taken| between(incident.opened_at, taken.at)),
            resolve: incident.resolved_at.map(|over| between(incident.since, over)),
        }
    }

    /// Each by its name, in words.
    pub fn told(&self) -> [(&'static str, Option<String>); 3] {
        [
            ("time to detect", Some(words(self.detect))),
            ("time to acknowledge", self.acknowledge.map(words)),
            ("time to resolve", self.resolve.map(words)),
        ]
    }
}

/// The mean figures of several incidents.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Means {
    /// How many of them are over.
    pub resolved: u64,
    /// From the first bad run until it was over, of those.
    pub resolve: Option<Duration>,
    /// How many somebody took on.
    pub acknowledged: u64,
    /// From the opening until that, of those.
    pub acknowledge: Option<Duration>,
    /// From the first bad run to the opening, of all.
    pub detect: Option<Duration>,
}

impl Means {
    /// The means of those that have figures.
    pub fn of<'a>(incidents: impl IntoIterator<Item = &'a Incident>) -> Self {
        let figures: Vec<_> = incidents.into_iter().filter(|incident| has_figures(incident)).map(Figures::of).collect();
        let mean = |lengths: Vec<Duration>| {
            let count = u32::try_from(lengths.len()).ok()?;
            lengths.into_iter().sum::<Duration>().checked_div(count)
        };
        let resolve: Vec<_> = figures.iter().filter_map(|figures| figures.resolve).collect();
        let acknowledge: Vec<_> = figures.iter().filter_map(|figures| figures.acknowledge).collect();
        Self {
            resolved: resolve.len() as u64,
            resolve: mean(resolve),
            acknowledged: acknowledge.len() as u64,
            acknowledge: mean(acknowledge),
            detect: mean(figures.iter().map(|figures| figures.detect).collect()),
        }
    }
}

/// Whether its figures say something of the target and of who repairs it. An incident in which we could not look says nothing
/// of the target, one of a budget has incidents of its own behind it, and one that ended because its probe was removed was not
/// repaired: none of them has any. Nor has a drill.
fn has_figures(incident: &Incident) -> bool {
    let has_none = matches!(incident.aspect, Aspect::Blind | Aspect::Burning) || incident.aspect.is_own();
    !(incident.drill || has_none || incident.resolved_because.is_some())
}

/// What a figure is of: the moment at which it is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Milestone {
    /// It was opened.
    Detected,
    /// Somebody has taken it on.
    Acknowledged,
    /// It is over.
    Resolved,
}

/// The sample of a figure that has just become known, of an incident that has any.
pub fn sample(incident: &Incident, milestone: Milestone, at: Timestamp) -> Option<Sample> {
    if !has_figures(incident) {
        return None;
    }
    let figures = Figures::of(incident);
    let (name, value) = match milestone {
        Milestone::Detected => (MetricName::IncidentDetect, figures.detect),
        Milestone::Acknowledged => (MetricName::IncidentAcknowledge, figures.acknowledge?),
        Milestone::Resolved => (MetricName::IncidentResolve, figures.resolve?),
    };
    let labels = SampleLabels { also: Some(("severity", incident.severity.as_str())), ..SampleLabels::default() };
    Some(Sample { name, at, value: value.as_secs_f64(), labels })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::incident::{Acknowledgement, IncidentId, Severity};
    use crate::domain::names::ProbeName;
    use crate::domain::outcome::RunId;
    use std::sync::Arc;

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    fn incident() -> Incident {
        let (id, run) = (IncidentId(Arc::from("I1")), RunId(Arc::from("r")));
        let probe = ProbeName::parse("api").unwrap();
        Incident::opened(id, probe, Aspect::Failing, Severity::P1, run, at("2026-11-24T10:00:00Z"))
    }

    #[test]
    fn what_has_not_come_yet_has_no_figure() {
        let mut incident = incident();
        incident.opened_at = at("2026-11-24T10:01:00Z");
        let open = Figures::of(&incident);
        assert_eq!(open, Figures { detect: Duration::from_secs(60), acknowledge: None, resolve: None });
        assert_eq!(sample(&incident, Milestone::Resolved, incident.opened_at), None);

        let taken = Acknowledgement { at: at("2026-11-24T10:03:30Z"), by: "ann".to_owned(), note: None };
        incident.acknowledged = Some(taken);
        incident.resolved_at = Some(at("2026-11-24T10:20:00Z"));
        let over = Figures::of(&incident);
        let told: Vec<_> = over.told().map(|(name, told)| format!("{name}: {}", told.unwrap())).into();
        assert_eq!(told, ["time to detect: 1 min", "time to acknowledge: 2 min 30 s", "time to resolve: 20 min"]);
        let figure = |milestone| sample(&incident, milestone, incident.opened_at).map(|s| (s.name.as_str(), s.value));
        assert_eq!(figure(Milestone::Detected), Some(("roundsman_incident_detect_seconds", 60.0)));
        assert_eq!(figure(Milestone::Acknowledged), Some(("roundsman_incident_acknowledge_seconds", 150.0)));
        assert_eq!(figure(Milestone::Resolved), Some(("roundsman_incident_resolve_seconds", 1_200.0)));
    }

    #[test]
    fn what_was_not_repaired_and_what_was_not_seen_is_no_figure_of_the_target() {
        let mut removed = incident();
        removed.resolved_at = Some(at("2026-11-24T10:20:00Z"));
        let mut blind = removed.clone();
        assert!(sample(&removed, Milestone::Resolved, removed.since).is_some());
        removed.resolved_because = Some("removed from the configuration".to_owned());
        let drill = Incident { drill: true, ..blind.clone() };
        blind.aspect = Aspect::Blind;
        for of in [removed, blind, drill] {
            assert_eq!(sample(&of, Milestone::Resolved, of.since), None);
            assert_eq!(Means::of([&of]), Means::default());
        }
    }

    #[test]
    fn means_are_of_what_has_come() {
        let over = |minutes: i64, taken: bool| {
            let mut over = incident();
            over.opened_at = at("2026-11-24T10:01:00Z");
            over.resolved_at = Some(over.since + chrono::TimeDelta::minutes(minutes));
            let at = at("2026-11-24T10:04:00Z");
            over.acknowledged = taken.then(|| Acknowledgement { at, by: "ann".to_owned(), note: None });
            over
        };
        let means = Means::of(&[over(10, true), over(20, false), incident()]);
        assert_eq!((means.resolved, means.resolve), (2, Some(Duration::from_secs(900))));
        assert_eq!((means.acknowledged, means.acknowledge), (1, Some(Duration::from_secs(180))));
        assert_eq!(means.detect, Some(Duration::from_secs(40)));
    }
}
