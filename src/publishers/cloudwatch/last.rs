//! The last value of each probe, said again while nothing newer comes: CloudWatch takes silence for the absence of data, and an
//! hourly probe is silent in 59 minutes of 60. What is said again has names of its own and comes with its age, so that counts
//! and percentiles of what really was measured stay true.

use std::collections::BTreeMap;
use std::time::Duration;

use chrono::TimeDelta;

use super::growing::{GRACE, minute};
use crate::domain::metric::{MetricName, Sample, SampleLabels};
use crate::domain::names::ProbeName;
use crate::domain::time::Timestamp;
use crate::ports::Known;

/// What was seen of a probe last.
#[derive(Clone, Copy, Debug)]
struct Last {
    at: Timestamp,
    value: f64,
}

/// What was seen last of each probe.
#[derive(Debug)]
pub struct Lasts {
    /// After so long it is said again; never where absent.
    after: Option<TimeDelta>,
    of: BTreeMap<ProbeName, Last>,
    /// The minute that was over when last looked at.
    said: Option<Timestamp>,
}

impl Lasts {
    /// Nothing has been seen yet.
    pub fn new(after: Option<Duration>) -> Self {
        Self { after: after.and_then(|after| TimeDelta::from_std(after).ok()), of: BTreeMap::new(), said: None }
    }

    /// Takes what is new. What is of no probe, as a heartbeat, is never said again: it would say what is not so.
    pub fn see(&mut self, samples: &[Sample]) {
        if self.after.is_none() {
            return;
        }
        for sample in samples.iter().filter(|sample| sample.name == MetricName::ProbeSuccess) {
            let Some(probe) = &sample.labels.probe else { continue };
            let seen = Last { at: sample.at, value: sample.value };
            match self.of.get_mut(probe) {
                Some(last) if last.at > seen.at => {}
                Some(last) => *last = seen,
                None => drop(self.of.insert(probe.clone(), seen)),
            }
        }
    }

    /// Forgets what is not configured any more.
    pub fn keep(&mut self, known: &Known) {
        self.of.retain(|probe, _| known.probes.contains(probe));
    }

    /// What is to be said of the minute that is over, once: of minutes that nobody looked at nothing is said.
    pub fn turn(&mut self, now: Timestamp) -> Vec<Sample> {
        let Some(after) = self.after else { return Vec::new() };
        let end = minute(now - GRACE);
        if self.said.replace(end) == Some(end) {
            return Vec::new();
        }
        let at = end - TimeDelta::minutes(1);
        let old = self.of.iter().filter(|(_, last)| end - last.at >= after);
        old.flat_map(|(probe, last)| {
            let labels = SampleLabels { probe: Some(probe.clone()), ..SampleLabels::default() };
            let age = (end - last.at).as_seconds_f64();
            let said = [(MetricName::ProbeLastSuccess, last.value), (MetricName::ProbeAge, age)];
            said.map(|(name, value)| Sample { name, at, value, labels: labels.clone() })
        })
        .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Timestamp {
        format!("2026-11-24T{text}Z").parse().unwrap()
    }

    fn ran(lasts: &mut Lasts, probe: &str, time: &str, value: f64) {
        let labels = SampleLabels { probe: Some(ProbeName::parse(probe).unwrap()), ..SampleLabels::default() };
        let run = |name, labels| Sample { name, at: at(time), value, labels };
        let beat = run(MetricName::Heartbeats, SampleLabels::default());
        lasts.see(&[run(MetricName::ProbeSuccess, labels.clone()), run(MetricName::ProbeDuration, labels), beat]);
    }

    fn turn(lasts: &mut Lasts, time: &str) -> Vec<String> {
        let told = |sample: &Sample| {
            let probe = sample.labels.probe.as_ref().unwrap();
            format!("{} {probe} {} {}", sample.at.format("%H:%M"), sample.name.as_str(), sample.value)
        };
        lasts.turn(at(time)).iter().map(told).collect()
    }

    #[test]
    fn an_hourly_probe_is_said_again_each_minute_with_its_age() {
        let mut lasts = Lasts::new(Some(Duration::from_secs(600)));
        ran(&mut lasts, "backup", "10:00:01", 1.0);
        ran(&mut lasts, "often", "10:09:30", 1.0);
        assert_eq!(turn(&mut lasts, "10:10:05"), [""; 0], "it is not ten minutes old");
        let said = ["10:10 backup probe_last_success 1", "10:10 backup probe_age_seconds 659"];
        assert_eq!(turn(&mut lasts, "10:11:05"), said);
        assert_eq!(turn(&mut lasts, "10:11:59"), [""; 0], "once a minute");
        ran(&mut lasts, "backup", "11:00:01", 0.0);
        ran(&mut lasts, "backup", "10:00:01", 1.0);
        assert_eq!(
            turn(&mut lasts, "11:00:06"),
            ["10:59 often probe_last_success 1", "10:59 often probe_age_seconds 3030"]
        );
        lasts.keep(&Known { probes: [ProbeName::parse("backup").unwrap()].into(), ..Known::default() });
        let said = ["11:59 backup probe_last_success 0", "11:59 backup probe_age_seconds 3599"];
        assert_eq!(turn(&mut lasts, "12:00:05"), said, "and of what was slept through nothing");
    }

    #[test]
    fn whoever_does_not_want_it_does_not_get_it() {
        let mut lasts = Lasts::new(None);
        ran(&mut lasts, "backup", "10:00:01", 1.0);
        assert_eq!(turn(&mut lasts, "12:00:05"), [""; 0]);
    }

    #[test]
    fn a_run_of_the_future_is_not_negatively_old() {
        let mut lasts = Lasts::new(Some(Duration::from_secs(120)));
        ran(&mut lasts, "backup", "15:00:00", 1.0);
        assert_eq!(turn(&mut lasts, "10:00:05"), [""; 0]);
    }
}
