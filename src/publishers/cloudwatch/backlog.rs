//! What waits to be sent, in requests within the service's limits; and what became of every sample.

use std::collections::VecDeque;

use chrono::TimeDelta;

use super::minutes::{Minutes, minute};
use super::packet::{Packet, is_publishable};
use crate::domain::metric::Sample;
use crate::domain::time::Timestamp;
use crate::ports::PublisherAccount;

/// How many samples wait at most; then the oldest go. Two metrics for each of 800 runs a minute fill it in an hour.
pub const SAMPLES_MAX: u64 = 100_000;

/// How many data one request may have.
pub const DATA_MAX: usize = 1_000;

/// How many bytes one request may have, by our estimate, which is too high rather than too low; the service takes 1 MB.
pub const REQUEST_BYTES_MAX: usize = 950_000;

/// How old a datum may be: the service takes two weeks, and the request needs its time.
const AGE_MAX: TimeDelta = TimeDelta::minutes(14 * 24 * 60 - 5);

/// How far ahead a datum may be.
const AHEAD_MAX: TimeDelta = TimeDelta::minutes(2 * 60 - 5);

/// Samples on their way out.
#[derive(Debug, Default)]
pub struct Backlog {
    minutes: Minutes,
    /// Complete packets, the oldest first. They are sent from the back, so that live values are not late.
    waiting: VecDeque<Packet>,
    /// Parts of requests that were refused: each is sent by itself.
    suspects: Vec<Vec<Packet>>,
    /// What the current request holds. It stays here until its fate is known, whatever becomes of the caller.
    sending: Vec<Packet>,
    /// What the current request was made from was a part of a refused one.
    suspicious: bool,
    taken: u64,
    delivered: u64,
    dropped: u64,
}

impl Backlog {
    /// Takes samples; those that CloudWatch does not get are not counted. Says how many were dropped on the way.
    pub fn take(&mut self, samples: &[Sample], now: Timestamp) -> u64 {
        let before = self.dropped;
        for sample in samples {
            if sample.name.cloudwatch().is_empty() {
                continue;
            }
            self.taken += 1;
            if is_publishable(sample) && is_in_time(minute(sample.at), now) {
                self.minutes.add(sample);
            } else {
                self.dropped += 1;
            }
        }
        while self.account().waiting > SAMPLES_MAX {
            let Some(oldest) = self.pop_oldest() else { break };
            self.dropped += oldest.samples;
        }
        self.dropped - before
    }

    /// Looks whether a minute is over.
    pub fn turn(&mut self, now: Timestamp) {
        self.waiting.extend(self.minutes.turn(now));
    }

    /// Takes no further values into what is open: everything is to be sent.
    pub fn close(&mut self) {
        self.waiting.extend(self.minutes.close());
    }

    /// The packets of the next request; its fate is told by [`Self::delivered`], [`Self::refused`] or [`Self::kept`].
    pub fn next_request(&mut self, now: Timestamp) -> Option<&[Packet]> {
        self.kept();
        if let Some(part) = self.suspects.pop() {
            self.sending = part;
            self.suspicious = true;
            return Some(&self.sending);
        }
        let (mut data, mut bytes) = (0, 0);
        while let Some(packet) = self.waiting.pop_back() {
            if !is_in_time(packet.minute, now) {
                self.dropped += packet.samples;
                continue;
            }
            data += packet.data_count();
            bytes += packet.bytes();
            let is_full = data > DATA_MAX || bytes > REQUEST_BYTES_MAX;
            if is_full && !self.sending.is_empty() {
                self.waiting.push_back(packet);
                break;
            }
            self.sending.push(packet);
        }
        (!self.sending.is_empty()).then_some(&self.sending)
    }

    /// The service has the request.
    pub fn delivered(&mut self) {
        self.delivered += samples(&self.sending);
        self.sending.clear();
        self.suspicious = false;
    }

    /// The service may take the same request later.
    pub fn kept(&mut self) {
        if self.sending.is_empty() {
            return;
        }
        let request = std::mem::take(&mut self.sending);
        if std::mem::take(&mut self.suspicious) {
            self.suspects.push(request);
        } else {
            self.waiting.extend(request.into_iter().rev());
        }
    }

    /// The service refuses the content. Its halves are tried, down to the packet that is to blame, which is dropped: that
    /// one is returned.
    pub fn refused(&mut self) -> Option<Packet> {
        let mut first = std::mem::take(&mut self.sending);
        self.suspicious = false;
        let second = first.split_off(first.len() / 2);
        if first.is_empty() {
            self.dropped += samples(&second);
            return second.into_iter().next();
        }
        self.suspects.extend([second, first]);
        None
    }

    /// What became of every sample.
    pub fn account(&self) -> PublisherAccount {
        PublisherAccount {
            delivered: self.delivered,
            waiting: self.taken - self.delivered - self.dropped,
            dropped: self.dropped,
        }
    }

    /// What waits is the oldest where the order of time is kept, then the rest.
    fn pop_oldest(&mut self) -> Option<Packet> {
        if let Some(oldest) = self.waiting.pop_front() {
            return Some(oldest);
        }
        if let Some(part) = self.suspects.first_mut() {
            let packet = part.pop();
            self.suspects.retain(|part| !part.is_empty());
            return packet;
        }
        self.minutes.pop_oldest()
    }
}

fn samples(packets: &[Packet]) -> u64 {
    packets.iter().map(|packet| packet.samples).sum()
}

/// Whether the service takes a datum of that minute now.
fn is_in_time(minute: Timestamp, now: Timestamp) -> bool {
    (now - AGE_MAX..=now + AHEAD_MAX).contains(&minute)
}

#[cfg(test)]
mod tests;
