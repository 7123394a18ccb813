//! Samples go together by minute, or by second, until it is over.

use std::collections::BTreeMap;

use chrono::{DateTime, TimeDelta};

use super::packet::{Packet, Resolution};
use super::whom::{Sets, Whom};
use crate::domain::metric::{MetricName, MetricType, Sample};
use crate::domain::time::Timestamp;

/// How long after its end a stretch of time is closed: most runs that began in it have ended by then, and what comes later
/// costs a request of its own at the next turn.
pub const GRACE: TimeDelta = TimeDelta::seconds(5);

/// How often seconds are sent, in seconds: each by itself would cost ten times the requests, and no alarm looks more often.
const SECONDS_TURN: i64 = 10;

/// Packets that still grow.
#[derive(Debug, Default)]
pub struct Growing {
    resolution: Resolution,
    sets: Sets,
    /// By time first, so that the oldest is the first. Of each list only the last packet may have room for new values.
    open: BTreeMap<(Timestamp, MetricName, Whom), Vec<Packet>>,
    /// The turn that was the current one when last looked at.
    current: Option<Timestamp>,
}

impl Growing {
    /// Nothing has come yet.
    pub fn new(resolution: Resolution, sets: Sets) -> Self {
        Self { resolution, sets, ..Self::default() }
    }

    /// Of whom a sample is published.
    pub fn whom(&self, sample: &Sample) -> impl Iterator<Item = Whom> + use<> {
        Whom::of(sample, self.sets)
    }

    /// The resolution of a metric. What is said once a minute is known by the minute.
    fn resolution(&self, name: MetricName) -> Resolution {
        let is_of_runs = name.metric_type() != MetricType::Held && name != MetricName::Heartbeats;
        if is_of_runs { self.resolution } else { Resolution::Minute }
    }

    /// When a sample is put down as having been.
    pub fn time(&self, sample: &Sample) -> Timestamp {
        floor(sample.at, self.resolution(sample.name).seconds().into())
    }

    /// Adds a sample.
    pub fn add(&mut self, sample: &Sample, whom: Whom) {
        let (at, resolution) = (self.time(sample), self.resolution(sample.name));
        let packets = self.open.entry((at, sample.name, whom.clone())).or_default();
        if packets.last_mut().is_some_and(|packet| packet.add(sample.value)) {
            return;
        }
        let mut packet = Packet::new(sample.name, whom, at, resolution);
        packet.add(sample.value);
        packets.push(packet);
    }

    /// What is complete: when the minute turns, or ten seconds do, everything but the current ones. So what comes late waits
    /// for the next turn, and the number of requests does not grow with it.
    pub fn turn(&mut self, now: Timestamp) -> Vec<Packet> {
        let current = match self.resolution {
            Resolution::Minute => minute(now - GRACE),
            Resolution::Second => floor(now - GRACE, SECONDS_TURN),
        };
        if self.current.replace(current) == Some(current) {
            return Vec::new();
        }
        let (open, over) =
            std::mem::take(&mut self.open).into_iter().partition(|((at, ..), _)| (current..=now).contains(at));
        self.open = open;
        flat(over)
    }

    /// Everything.
    pub fn close(&mut self) -> Vec<Packet> {
        flat(std::mem::take(&mut self.open))
    }

    /// The oldest packet.
    pub fn pop_oldest(&mut self) -> Option<Packet> {
        let mut first = self.open.first_entry()?;
        let packet = first.get_mut().pop();
        if first.get().is_empty() {
            first.remove();
        }
        packet
    }
}

fn flat(packets: BTreeMap<(Timestamp, MetricName, Whom), Vec<Packet>>) -> Vec<Packet> {
    packets.into_values().flatten().collect()
}

/// The beginning of the minute of an instant.
pub fn minute(at: Timestamp) -> Timestamp {
    floor(at, 60)
}

/// The last instant that so many seconds divide.
fn floor(at: Timestamp, length: i64) -> Timestamp {
    let seconds = at.timestamp();
    DateTime::from_timestamp(seconds - seconds.rem_euclid(length), 0).unwrap_or(at)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::metric::SampleLabels;
    use crate::domain::names::ProbeName;

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    fn add(growing: &mut Growing, time: &str, value: f64) {
        let sample = Sample {
            name: MetricName::ProbeDuration,
            at: at(&format!("2026-11-24T{time}Z")),
            value,
            labels: SampleLabels { probe: Some(ProbeName::parse("api").unwrap()), ..SampleLabels::default() },
        };
        let whom = growing.whom(&sample).next().unwrap();
        growing.add(&sample, whom);
    }

    fn turn(growing: &mut Growing, time: &str) -> Vec<(String, u64)> {
        let packets = growing.turn(at(&format!("2026-11-24T{time}Z")));
        packets.iter().map(|packet| (packet.at.format("%H:%M:%S").to_string(), packet.samples)).collect()
    }

    #[test]
    fn a_minute_is_complete_when_it_is_over() {
        let mut growing = Growing::default();
        assert_eq!(turn(&mut growing, "09:59:58"), []);
        add(&mut growing, "10:00:01", 1.0);
        add(&mut growing, "10:00:59.999", 2.0);
        add(&mut growing, "10:01:00", 3.0);
        assert_eq!(turn(&mut growing, "10:01:04.999"), [], "runs that began in it may still be going on");
        assert_eq!(turn(&mut growing, "10:01:05"), [("10:00:00".to_owned(), 2)]);
        assert_eq!(turn(&mut growing, "10:02:04"), []);
        assert_eq!(turn(&mut growing, "10:02:05"), [("10:01:00".to_owned(), 1)]);
    }

    #[test]
    fn what_comes_late_waits_for_the_next_turn() {
        let mut growing = Growing::default();
        turn(&mut growing, "10:01:05");
        add(&mut growing, "10:00:58", 1.0);
        assert_eq!(turn(&mut growing, "10:01:06"), []);
        assert_eq!(turn(&mut growing, "10:02:05"), [("10:00:00".to_owned(), 1)]);
    }

    #[test]
    fn a_clock_that_steps_keeps_nothing_back() {
        let mut growing = Growing::default();
        turn(&mut growing, "10:01:05");
        add(&mut growing, "10:01:06", 1.0);
        assert_eq!(turn(&mut growing, "09:01:06"), [("10:01:00".to_owned(), 1)]);
    }

    #[test]
    fn a_full_packet_is_followed_by_another() {
        let mut growing = Growing::default();
        (0..301).for_each(|n| add(&mut growing, "10:00:00", f64::from(n)));
        add(&mut growing, "10:00:00", 300.0);
        let samples: Vec<u64> = growing.close().iter().map(|packet| packet.samples).collect();
        assert_eq!(samples, [150, 150, 2]);
        assert!(growing.pop_oldest().is_none());
    }

    #[test]
    fn seconds_are_sent_ten_by_ten() {
        let mut growing = Growing::new(Resolution::Second, Sets::default());
        assert_eq!(turn(&mut growing, "10:00:06"), []);
        for time in ["10:00:07.9", "10:00:08", "10:00:08.5", "10:00:11"] {
            add(&mut growing, time, 1.0);
        }
        assert_eq!(turn(&mut growing, "10:00:14.9"), []);
        assert_eq!(turn(&mut growing, "10:00:15"), [("10:00:07".to_owned(), 1), ("10:00:08".to_owned(), 2)]);
        assert_eq!(turn(&mut growing, "10:00:25"), [("10:00:11".to_owned(), 1)]);
    }
}
