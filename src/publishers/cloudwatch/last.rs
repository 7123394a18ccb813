//! The last value of each probe, said again while nothing newer comes: CloudWatch takes silence for the absence of data, and an
//! hourly probe is silent in 59 minutes of 60. What is said again has names of its own and comes with its age, so that counts
//! and percentiles of what really was measured stay true.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use chrono::TimeDelta;
use serde::{Deserialize, Serialize};

use super::growing::{GRACE, minute};
use super::record::{sealed, unsealed};
use crate::domain::metric::{MetricName, Sample, SampleLabels};
use crate::domain::names::ProbeName;
use crate::domain::time::Timestamp;
use crate::ports::Known;

/// How often what was seen is put on disk while nobody ends the process.
const KEPT_EVERY: TimeDelta = TimeDelta::minutes(10);

/// What was seen of a probe last.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
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
    /// What is configured; until somebody has said so, everything.
    known: Option<Arc<Known>>,
    /// The minute that was over when last looked at.
    said: Option<Timestamp>,
    /// What that was when this was last put on disk.
    kept: Option<Timestamp>,
}

impl Lasts {
    /// Nothing has been seen yet.
    pub fn new(after: Option<Duration>) -> Self {
        let after = after.and_then(|after| TimeDelta::from_std(after).ok());
        Self { after, of: BTreeMap::new(), known: None, said: None, kept: None }
    }

    /// Takes what is new. What is of no probe, as a heartbeat, is never said again: it would say what is not so.
    pub fn see(&mut self, samples: &[Sample]) {
        if self.after.is_none() {
            return;
        }
        for sample in samples.iter().filter(|sample| sample.name == MetricName::ProbeSuccess) {
            if let Some(probe) = &sample.labels.probe {
                self.put(probe, Last { at: sample.at, value: sample.value });
            }
        }
    }

    fn put(&mut self, probe: &ProbeName, seen: Last) {
        match self.of.get_mut(probe) {
            Some(last) if last.at > seen.at => {}
            Some(last) => *last = seen,
            None => drop(self.of.insert(probe.clone(), seen)),
        }
    }

    /// What there is to be put on disk, for the process after this one.
    pub fn written(&self) -> Option<String> {
        if self.of.is_empty() {
            return None;
        }
        serde_json::to_string(&self.of).ok().map(|of| sealed(&of))
    }

    /// The same every ten minutes, since a process may be killed: until [`Self::is_kept`] says that the disk has it.
    pub fn due(&self) -> Option<String> {
        let now = self.said?;
        let is_kept = self.kept.is_some_and(|kept| (kept..kept + KEPT_EVERY).contains(&now));
        if is_kept { None } else { self.written() }
    }

    /// What was due is on disk.
    pub fn is_kept(&mut self) {
        self.kept = self.said;
    }

    /// Takes in what the process before this one has put down, as far as it is still configured and nothing newer was seen.
    pub fn recall(&mut self, text: &str) -> Result<(), String> {
        let of: BTreeMap<ProbeName, Last> = serde_json::from_str(unsealed(text)?).map_err(|error| error.to_string())?;
        let known = self.known.clone();
        let is_known = |probe: &ProbeName| known.as_ref().is_none_or(|known| known.probes.contains(probe));
        if self.after.is_some() {
            of.iter().filter(|(probe, _)| is_known(probe)).for_each(|(probe, last)| self.put(probe, *last));
        }
        Ok(())
    }

    /// Forgets what is not configured any more.
    pub fn keep(&mut self, known: &Arc<Known>) {
        self.of.retain(|probe, _| known.probes.contains(probe));
        self.known = Some(Arc::clone(known));
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
            let age = (end - last.at).as_seconds_f64().round();
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

    fn known(probe: &str) -> Arc<Known> {
        Arc::new(Known { probes: [ProbeName::parse(probe).unwrap()].into(), ..Known::default() })
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
        lasts.keep(&known("backup"));
        let said = ["11:59 backup probe_last_success 0", "11:59 backup probe_age_seconds 3599"];
        assert_eq!(turn(&mut lasts, "12:00:05"), said, "and of what was slept through nothing");
    }

    #[test]
    fn a_restart_forgets_nothing_that_is_still_configured() {
        let mut before = Lasts::new(Some(Duration::from_secs(600)));
        assert_eq!(before.due(), None);
        for probe in ["backup", "often", "gone"] {
            ran(&mut before, probe, "10:00:01", 0.0);
        }
        turn(&mut before, "10:05:05");
        let written = before.due().unwrap();
        assert_eq!(before.due(), Some(written.clone()), "until the disk has it");
        before.is_kept();
        turn(&mut before, "10:06:05");
        assert_eq!(before.due(), None, "it was, just now");
        turn(&mut before, "10:15:05");
        assert_eq!(before.due(), Some(written.clone()));

        let mut after = Lasts::new(Some(Duration::from_secs(600)));
        let both = Known {
            probes: ["backup", "often"].map(|name| ProbeName::parse(name).unwrap()).into(),
            ..Known::default()
        };
        after.keep(&Arc::new(both));
        ran(&mut after, "often", "10:20:00", 1.0);
        after.recall(&written).unwrap();
        assert_eq!(
            turn(&mut after, "10:21:05"),
            ["10:20 backup probe_last_success 0", "10:20 backup probe_age_seconds 1259"]
        );
        assert!(after.recall(&written.replace("backup", "backed")).is_err());
        let mut never = Lasts::new(None);
        never.recall(&written).unwrap();
        assert_eq!(never.written(), None);
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
