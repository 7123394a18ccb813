//! Samples go together by minute until it is over.

use std::collections::BTreeMap;

use chrono::{DateTime, TimeDelta};

use super::packet::Packet;
use crate::domain::metric::{MetricName, Sample};
use crate::domain::names::ProbeName;
use crate::domain::time::Timestamp;

/// How long after its end a minute is closed: most runs that began in it have ended by then, and what comes later costs a
/// request of its own a minute afterwards.
const GRACE: TimeDelta = TimeDelta::seconds(5);

/// Packets that still grow.
#[derive(Debug, Default)]
pub struct Minutes {
    /// By minute first, so that the oldest is the first. Of each list only the last packet may have room for new values.
    open: BTreeMap<(Timestamp, MetricName, Option<ProbeName>), Vec<Packet>>,
    /// The minute that was the current one when last looked at.
    current: Option<Timestamp>,
}

impl Minutes {
    /// Adds a sample.
    pub fn add(&mut self, sample: &Sample) {
        let minute = minute(sample.at);
        let packets = self.open.entry((minute, sample.name, sample.labels.probe.clone())).or_default();
        if packets.last_mut().is_some_and(|packet| packet.add(sample.value)) {
            return;
        }
        let mut packet = Packet::new(sample.name, sample.labels.probe.clone(), minute);
        packet.add(sample.value);
        packets.push(packet);
    }

    /// What is complete: when the minute turns, everything but the current one. So what comes late waits for the next
    /// turn, and the number of requests does not grow with it.
    pub fn turn(&mut self, now: Timestamp) -> Vec<Packet> {
        let current = minute(now - GRACE);
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

fn flat(packets: BTreeMap<(Timestamp, MetricName, Option<ProbeName>), Vec<Packet>>) -> Vec<Packet> {
    packets.into_values().flatten().collect()
}

/// The beginning of the minute of an instant.
pub fn minute(at: Timestamp) -> Timestamp {
    let seconds = at.timestamp();
    DateTime::from_timestamp(seconds - seconds.rem_euclid(60), 0).unwrap_or(at)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::metric::SampleLabels;

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    fn add(minutes: &mut Minutes, time: &str, value: f64) {
        let sample = Sample {
            name: MetricName::ProbeDuration,
            at: at(&format!("2026-11-24T{time}Z")),
            value,
            labels: SampleLabels { probe: Some(ProbeName::parse("api").unwrap()), ..SampleLabels::default() },
        };
        minutes.add(&sample);
    }

    fn turn(minutes: &mut Minutes, time: &str) -> Vec<(String, u64)> {
        let packets = minutes.turn(at(&format!("2026-11-24T{time}Z")));
        packets.iter().map(|packet| (packet.minute.format("%H:%M:%S").to_string(), packet.samples)).collect()
    }

    #[test]
    fn a_minute_is_complete_when_it_is_over() {
        let mut minutes = Minutes::default();
        assert_eq!(turn(&mut minutes, "09:59:58"), []);
        add(&mut minutes, "10:00:01", 1.0);
        add(&mut minutes, "10:00:59.999", 2.0);
        add(&mut minutes, "10:01:00", 3.0);
        assert_eq!(turn(&mut minutes, "10:01:04.999"), [], "runs that began in it may still be going on");
        assert_eq!(turn(&mut minutes, "10:01:05"), [("10:00:00".to_owned(), 2)]);
        assert_eq!(turn(&mut minutes, "10:02:04"), []);
        assert_eq!(turn(&mut minutes, "10:02:05"), [("10:01:00".to_owned(), 1)]);
    }

    #[test]
    fn what_comes_late_waits_for_the_next_turn() {
        let mut minutes = Minutes::default();
        turn(&mut minutes, "10:01:05");
        add(&mut minutes, "10:00:58", 1.0);
        assert_eq!(turn(&mut minutes, "10:01:06"), []);
        assert_eq!(turn(&mut minutes, "10:02:05"), [("10:00:00".to_owned(), 1)]);
    }

    #[test]
    fn a_clock_that_steps_keeps_nothing_back() {
        let mut minutes = Minutes::default();
        turn(&mut minutes, "10:01:05");
        add(&mut minutes, "10:01:06", 1.0);
        assert_eq!(turn(&mut minutes, "09:01:06"), [("10:01:00".to_owned(), 1)]);
    }

    #[test]
    fn a_full_packet_is_followed_by_another() {
        let mut minutes = Minutes::default();
        (0..301).for_each(|n| add(&mut minutes, "10:00:00", f64::from(n)));
        add(&mut minutes, "10:00:00", 300.0);
        let samples: Vec<u64> = minutes.close().iter().map(|packet| packet.samples).collect();
        assert_eq!(samples, [150, 150, 2]);
        assert!(minutes.pop_oldest().is_none());
    }
}
