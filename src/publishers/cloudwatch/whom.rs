//! Of whom values are: what they stand under in CloudWatch. Each combination of dimensions is billed as a metric of its own.

use aws_sdk_cloudwatch::types::Dimension;
use serde::{Deserialize, Serialize};

use crate::domain::metric::{MetricName, Sample};
use crate::domain::names::{NAME_LENGTH_MAX, ProbeName, ScheduleName, StepName};

/// The longest name of a place that CloudWatch takes as the value of a dimension, in characters.
pub const LOCATION_MAX: usize = 255;

/// By what else than their probe values are published.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sets {
    /// By their schedule, over all of its probes.
    pub schedule: bool,
    /// By the step of their probe, where it has several.
    pub step: bool,
}

/// What values stand under.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Whom {
    /// The place where Roundsman stands: what is of no probe.
    Place,
    /// A probe, on whatever schedule.
    Probe(ProbeName),
    /// A schedule with all of its probes.
    Schedule(ScheduleName),
    /// A step of a probe.
    Step(ProbeName, StepName),
}

impl Whom {
    /// Of whom a sample is, once for each set of dimensions in which it stands; nobody where CloudWatch does not get it.
    pub fn of(sample: &Sample, sets: Sets) -> impl Iterator<Item = Self> + use<> {
        let labels = &sample.labels;
        let (mut first, mut second) = (None, None);
        match sample.name {
            MetricName::StepSuccess | MetricName::StepDuration if sets.step => {
                first = labels.probe.clone().zip(labels.step.clone()).map(|(probe, step)| Self::Step(probe, step));
            }
            MetricName::StepSuccess | MetricName::StepDuration => {}
            name if name.cloudwatch().is_empty() => {}
            name => {
                first = Some(labels.probe.clone().map_or(Self::Place, Self::Probe));
                let is_of_runs = matches!(name, MetricName::ProbeSuccess | MetricName::ProbeDuration);
                second = labels.schedule.clone().filter(|_| sets.schedule && is_of_runs).map(Self::Schedule);
            }
        }
        first.into_iter().chain(second)
    }

    /// The dimensions, by name and value.
    pub fn dimensions<'a>(&'a self, location: &'a str) -> Vec<(&'static str, &'a str)> {
        match self {
            Self::Place => vec![("Location", location)],
            Self::Probe(probe) => vec![("Probe", probe.as_str())],
            Self::Schedule(schedule) => vec![("Schedule", schedule.as_str())],
            Self::Step(probe, step) => vec![("Probe", probe.as_str()), ("Step", step.as_str())],
        }
    }

    /// The same for the service.
    pub fn to_dimensions(&self, location: &str) -> Vec<Dimension> {
        let dimensions = self.dimensions(location).into_iter();
        dimensions.map(|(name, value)| Dimension::builder().name(name).value(value).build()).collect()
    }

    /// How many bytes the values of the dimensions take at most.
    pub fn bytes(&self) -> usize {
        match self {
            Self::Place => LOCATION_MAX,
            Self::Probe(_) | Self::Schedule(_) => NAME_LENGTH_MAX,
            Self::Step(..) => 2 * (NAME_LENGTH_MAX + DIMENSION_BYTES),
        }
    }

    /// In words, for the log.
    pub fn words(&self, location: &str) -> String {
        match self {
            Self::Place => location.to_owned(),
            Self::Probe(probe) => probe.to_string(),
            Self::Schedule(schedule) => schedule.to_string(),
            Self::Step(probe, step) => format!("{probe}, {step}"),
        }
    }
}

/// What one more dimension takes beside its value, in bytes: two keys, a name, markers.
const DIMENSION_BYTES: usize = 32;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::metric::SampleLabels;

    fn told(name: MetricName, sets: Sets) -> Vec<String> {
        let labels = SampleLabels {
            probe: Some(ProbeName::parse("api").unwrap()),
            schedule: Some(ScheduleName::parse("often").unwrap()),
            step: Some(StepName::parse("login").unwrap()),
            ..SampleLabels::default()
        };
        let sample = Sample { name, at: "2026-11-24T10:00:00Z".parse().unwrap(), value: 1.0, labels };
        let told = |whom: Whom| whom.dimensions("here").iter().map(|(name, value)| format!("{name}={value}")).collect();
        Whom::of(&sample, sets).map(told).map(|dimensions: Vec<_>| dimensions.join(" ")).collect()
    }

    #[test]
    fn what_is_billed_again_is_published_only_by_choice() {
        let (none, all) = (Sets::default(), Sets { schedule: true, step: true });
        for (name, by_default, by_choice) in [
            (MetricName::ProbeSuccess, &["Probe=api"][..], &["Probe=api", "Schedule=often"][..]),
            (MetricName::ProbeDuration, &["Probe=api"], &["Probe=api", "Schedule=often"]),
            (MetricName::StepSuccess, &[], &["Probe=api Step=login"]),
            (MetricName::StepDuration, &[], &["Probe=api Step=login"]),
            (MetricName::ProbeAge, &["Probe=api"], &["Probe=api"]),
            (MetricName::Lateness, &[], &[]),
        ] {
            assert_eq!(told(name, none), by_default, "{name:?}");
            assert_eq!(told(name, all), by_choice, "{name:?}");
        }
    }
}
