//! The values of one metric of one probe in one minute: what is sent, refused or dropped together.

use std::collections::BTreeMap;

use aws_sdk_cloudwatch::primitives::DateTime;
use aws_sdk_cloudwatch::types::{Dimension, MetricDatum, StandardUnit};

use crate::domain::metric::{MetricName, Sample};
use crate::domain::names::ProbeName;
use crate::domain::time::Timestamp;

/// How many different values one datum may have.
pub const VALUES_MAX: usize = 150;

/// The longest value of a dimension, in characters.
pub const LOCATION_MAX: usize = 255;

/// The largest magnitude that CloudWatch takes: 2 to the power of 360.
const MAGNITUDE_MAX: f64 = 2.348_542_582_773_833_2e108;

/// What an encoded value with its count takes at most, in bytes: two doubles with their markers.
const VALUE_BYTES: usize = 18;

/// What an encoded datum takes beside its names and values: keys, unit, time, markers.
const DATUM_BYTES: usize = 160;

/// Values that go together. One sample may stand in several CloudWatch metrics (`SuccessPercent` and `Failed`): they stay
/// in one packet, so that each sample has one fate.
#[derive(Clone, Debug, PartialEq)]
pub struct Packet {
    /// The metric.
    pub name: MetricName,
    /// The probe, which is the only dimension; what is of no probe is of the place where Roundsman stands.
    pub probe: Option<ProbeName>,
    /// The beginning of the minute.
    pub minute: Timestamp,
    /// How many samples it holds.
    pub samples: u64,
    /// Our values by their bits, each with the number of samples that had it.
    values: BTreeMap<u64, u64>,
}

impl Packet {
    /// A packet without values.
    pub fn new(name: MetricName, probe: Option<ProbeName>, minute: Timestamp) -> Self {
        Self { name, probe, minute, samples: 0, values: BTreeMap::new() }
    }

    /// Adds a value; false when there is no room for one more that is different.
    pub fn add(&mut self, value: f64) -> bool {
        // Adding zero makes one zero of the two.
        let bits = (value + 0.0).to_bits();
        if self.values.len() >= VALUES_MAX && !self.values.contains_key(&bits) {
            return false;
        }
        *self.values.entry(bits).or_default() += 1;
        self.samples += 1;
        true
    }

    /// How many data it becomes.
    pub fn data_count(&self) -> usize {
        self.name.cloudwatch().len()
    }

    /// How many bytes of a request it takes at most.
    pub fn bytes(&self) -> usize {
        let names = self.probe.as_ref().map_or(LOCATION_MAX, |probe| probe.as_str().len());
        self.name
            .cloudwatch()
            .iter()
            .map(|metric| DATUM_BYTES + names + metric.name.len() + metric.unit.len() + VALUE_BYTES * self.values.len())
            .sum()
    }

    /// The data, in the service's own units.
    pub fn data(&self, location: &str) -> impl Iterator<Item = MetricDatum> {
        let (name, value) = self.probe.as_ref().map_or(("Location", location), |probe| ("Probe", probe.as_str()));
        let dimension = Dimension::builder().name(name).value(value).build();
        let at = DateTime::from_secs(self.minute.timestamp());
        self.name.cloudwatch().iter().map(move |metric| {
            MetricDatum::builder()
                .metric_name(metric.name)
                .dimensions(dimension.clone())
                .timestamp(at)
                .unit(StandardUnit::from(metric.unit))
                .set_values(Some(self.values.keys().map(|bits| (metric.value)(f64::from_bits(*bits))).collect()))
                .set_counts(Some(self.values.values().map(|count| *count as f64).collect()))
                .build()
        })
    }
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

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    fn packet(name: MetricName) -> Packet {
        Packet::new(name, Some(ProbeName::parse("api").unwrap()), at("2026-11-24T10:00:00Z"))
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
        }
        assert_eq!(packet.samples, 5);
    }

    #[test]
    fn what_is_of_no_probe_is_of_a_place() {
        let minute = at("2026-11-24T10:00:00Z");
        let mut beats = Packet::new(MetricName::Heartbeats, None, minute);
        assert!(beats.add(1.0));
        let datum = beats.data("eu-central-1").next().unwrap();
        let dimension = &datum.dimensions()[0];
        assert_eq!((dimension.name(), dimension.value()), (Some("Location"), Some("eu-central-1")));
        assert_eq!((datum.metric_name(), datum.values()), (Some("Heartbeat"), &[1.0][..]));
        assert!(beats.bytes() > "Location".len() + LOCATION_MAX);
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
