//! The values of one metric, of one probe or what else they stand under, in one minute or second: what is sent, refused or
//! dropped together.

use std::collections::BTreeMap;

use aws_sdk_cloudwatch::primitives::DateTime;
use aws_sdk_cloudwatch::types::{MetricDatum, StandardUnit};
use chrono::TimeDelta;

use super::whom::Whom;
use crate::domain::metric::{MetricName, Sample};
use crate::domain::time::Timestamp;

/// How many different values one datum may have.
pub const VALUES_MAX: usize = 150;

/// How many data one request may have.
pub const DATA_MAX: usize = 1_000;

/// How many bytes one request may have, by our estimate, which is too high rather than too low; the service takes 1 MB.
pub const REQUEST_BYTES_MAX: usize = 950_000;

/// The largest magnitude that CloudWatch takes: 2 to the power of 360.
const MAGNITUDE_MAX: f64 = 2.348_542_582_773_833_2e108;

/// What an encoded value with its count takes at most, in bytes: two doubles with their markers.
const VALUE_BYTES: usize = 18;

/// What an encoded datum takes beside its names and values: keys, unit, time, resolution, markers.
const DATUM_BYTES: usize = 180;

/// How old a datum may be: the service takes two weeks, and the request needs its time.
const AGE_MAX: TimeDelta = TimeDelta::minutes(14 * 24 * 60 - 5);

/// How far ahead a datum may be.
const AHEAD_MAX: TimeDelta = TimeDelta::minutes(2 * 60 - 5);

/// How long the stretch of time is whose values go together.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Resolution {
    /// A minute: what CloudWatch keeps by default.
    #[default]
    Minute,
    /// A second, which CloudWatch calls high resolution and keeps for three hours.
    Second,
}

impl Resolution {
    /// The length in seconds, as the service has it.
    pub fn seconds(self) -> i32 {
        match self {
            Self::Minute => 60,
            Self::Second => 1,
        }
    }
}

/// Values that go together. One sample may stand in several CloudWatch metrics (`SuccessPercent` and `Failed`): they stay
/// in one packet, so that each sample has one fate for each set of dimensions.
#[derive(Clone, Debug, PartialEq)]
pub struct Packet {
    /// The metric.
    pub name: MetricName,
    /// Of whom.
    pub whom: Whom,
    /// The beginning of the minute or second.
    pub at: Timestamp,
    /// Whether it is a minute or a second.
    pub resolution: Resolution,
    /// How many samples it holds.
    pub samples: u64,
    /// Our values by their bits, each with the number of samples that had it.
    values: BTreeMap<u64, u64>,
}

impl Packet {
    /// A packet without values.
    pub fn new(name: MetricName, whom: Whom, at: Timestamp, resolution: Resolution) -> Self {
        Self { name, whom, at, resolution, samples: 0, values: BTreeMap::new() }
    }

    /// Adds a value; false when there is no room for one more that is different.
    pub fn add(&mut self, value: f64) -> bool {
        // Adding zero makes one zero of the two.
        self.add_counted((value + 0.0).to_bits(), 1)
    }

    /// Adds a value by its bits, so many times.
    pub fn add_counted(&mut self, bits: u64, count: u64) -> bool {
        if self.values.len() >= VALUES_MAX && !self.values.contains_key(&bits) {
            return false;
        }
        *self.values.entry(bits).or_default() += count;
        self.samples += count;
        true
    }

    /// The values by their bits, each with the number of samples that had it.
    pub fn counted(&self) -> impl Iterator<Item = (u64, u64)> {
        self.values.iter().map(|(bits, count)| (*bits, *count))
    }

    /// How many data it becomes.
    pub fn data_count(&self) -> usize {
        self.name.cloudwatch().len()
    }

    /// How many bytes of a request it takes at most.
    pub fn bytes(&self) -> usize {
        let names = self.whom.bytes();
        self.name
            .cloudwatch()
            .iter()
            .map(|metric| DATUM_BYTES + names + metric.name.len() + metric.unit.len() + VALUE_BYTES * self.values.len())
            .sum()
    }

    /// The data, in the service's own units.
    pub fn data(&self, location: &str) -> impl Iterator<Item = MetricDatum> {
        let dimensions = self.whom.to_dimensions(location);
        let at = DateTime::from_secs(self.at.timestamp());
        self.name.cloudwatch().iter().map(move |metric| {
            MetricDatum::builder()
                .metric_name(metric.name)
                .set_dimensions(Some(dimensions.clone()))
                .timestamp(at)
                .unit(StandardUnit::from(metric.unit))
                // Left out it is 60, and shorter.
                .set_storage_resolution((self.resolution == Resolution::Second).then_some(1))
                .set_values(Some(self.values.keys().map(|bits| (metric.value)(f64::from_bits(*bits))).collect()))
                .set_counts(Some(self.values.values().map(|count| *count as f64).collect()))
                .build()
        })
    }

    /// Whether the service takes it now.
    pub fn is_in_time(&self, now: Timestamp) -> bool {
        is_in_time(self.at, now)
    }
}

/// What has room in one request.
#[derive(Clone, Debug, Default)]
pub struct Room {
    data: usize,
    bytes: usize,
}

impl Room {
    /// Whether there is room for one more, which is taken then. What is more than all of the room has it alone.
    pub fn take(&mut self, packet: &Packet) -> bool {
        let (data, bytes) = (self.data + packet.data_count(), self.bytes + packet.bytes());
        let fits = self.data == 0 || (data <= DATA_MAX && bytes <= REQUEST_BYTES_MAX);
        if fits {
            (self.data, self.bytes) = (data, bytes);
        }
        fits
    }
}

/// How many samples packets hold.
pub fn samples(packets: &[Packet]) -> u64 {
    packets.iter().map(|packet| packet.samples).sum()
}

/// Whether the service takes a datum of that time now.
pub fn is_in_time(at: Timestamp, now: Timestamp) -> bool {
    (now - AGE_MAX..=now + AHEAD_MAX).contains(&at)
}

/// Whether CloudWatch takes the value of a sample, in every metric that it becomes.
pub fn is_publishable(sample: &Sample) -> bool {
    let fits = |value: f64| value.is_finite() && value.abs() <= MAGNITUDE_MAX;
    sample.name.cloudwatch().iter().all(|metric| fits((metric.value)(sample.value)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::metric::SampleLabels;
    use crate::domain::names::{ProbeName, StepName};
    use crate::publishers::cloudwatch::whom::LOCATION_MAX;

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    fn packet(name: MetricName) -> Packet {
        let whom = Whom::Probe(ProbeName::parse("api").unwrap());
        Packet::new(name, whom, at("2026-11-24T10:00:00Z"), Resolution::Minute)
    }

    #[test]
    fn success_becomes_two_data_with_values_and_counts() {
        let mut packet = packet(MetricName::ProbeSuccess);
        for value in [1.0, 0.0, 1.0, -0.0, 1.0] {
            assert!(packet.add(value));
        }
        let data: Vec<_> = packet.data("here").collect();
        let told: Vec<_> = data
            .iter()
            .map(|d| (d.metric_name().unwrap(), d.unit().unwrap().as_str(), d.values(), d.counts()))
            .collect();
        assert_eq!(
            told,
            [
                ("SuccessPercent", "Percent", &[0.0, 100.0][..], &[2.0, 3.0][..]),
                ("Failed", "Count", &[1.0, 0.0], &[2.0, 3.0]),
            ]
        );
        for datum in &data {
            assert_eq!(datum.timestamp().unwrap().secs(), 1_795_514_400);
            assert_eq!(datum.dimensions().len(), 1);
            assert!(datum.statistic_values().is_none(), "statistic sets lose percentiles");
            assert_eq!(datum.storage_resolution(), None);
        }
        assert_eq!(packet.samples, 5);
    }

    #[test]
    fn what_is_of_no_probe_is_of_a_place() {
        let minute = at("2026-11-24T10:00:00Z");
        let mut beats = Packet::new(MetricName::Heartbeats, Whom::Place, minute, Resolution::Minute);
        assert!(beats.add(1.0));
        let datum = beats.data("eu-central-1").next().unwrap();
        let dimension = &datum.dimensions()[0];
        assert_eq!((dimension.name(), dimension.value()), (Some("Location"), Some("eu-central-1")));
        assert_eq!((datum.metric_name(), datum.values()), (Some("Heartbeat"), &[1.0][..]));
        assert!(beats.bytes() > "Location".len() + LOCATION_MAX);
    }

    #[test]
    fn a_step_has_two_dimensions_and_a_second_its_resolution() {
        let step = Whom::Step(ProbeName::parse("shopper").unwrap(), StepName::parse("login").unwrap());
        let second = at("2026-11-24T10:00:07Z");
        let mut packet = Packet::new(MetricName::StepDuration, step, second, Resolution::Second);
        assert!(packet.add(0.25));
        let datum = packet.data("here").next().unwrap();
        let dimensions: Vec<_> = datum.dimensions().iter().map(|d| (d.name().unwrap(), d.value().unwrap())).collect();
        assert_eq!(dimensions, [("Probe", "shopper"), ("Step", "login")]);
        assert_eq!((datum.metric_name(), datum.values()), (Some("Duration"), &[250.0][..]));
        assert_eq!((datum.storage_resolution(), datum.timestamp().unwrap().secs() % 60), (Some(1), 7));
    }

    #[test]
    fn a_datum_has_at_most_150_values_and_equal_ones_are_counted() {
        let mut packet = packet(MetricName::ProbeDuration);
        assert!((0..150).all(|n| packet.add(f64::from(n))));
        assert!(!packet.add(150.0));
        assert!(packet.add(7.0));
        assert_eq!(packet.samples, 151);
        assert_eq!(packet.data("here").next().unwrap().values().len(), 150);
        assert!(packet.bytes() > 150 * VALUE_BYTES);
    }

    #[test]
    fn values_that_cloudwatch_refuses_are_known() {
        let sample =
            |name, value| Sample { name, at: at("2026-11-24T10:00:00Z"), value, labels: SampleLabels::default() };
        assert!((MAGNITUDE_MAX / 2.0_f64.powi(360) - 1.0).abs() < 1e-12);
        assert!(is_publishable(&sample(MetricName::ProbeDuration, 0.25)));
        for value in [f64::NAN, f64::INFINITY, 1e106] {
            assert!(!is_publishable(&sample(MetricName::ProbeDuration, value)), "{value}");
        }
    }
}
