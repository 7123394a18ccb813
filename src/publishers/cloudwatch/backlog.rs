//! What waits in memory to be sent, in requests within the service's limits; and what became of every sample.

use std::collections::VecDeque;

use super::growing::Growing;
use super::packet::{Packet, Resolution, Room, is_in_time, is_publishable, samples};
use super::whom::Sets;
use crate::domain::metric::Sample;
use crate::domain::time::Timestamp;
use crate::ports::PublisherAccount;

/// How many samples wait in memory at most; then the oldest go. Two metrics for each of 800 runs a minute fill it in an hour.
pub const SAMPLES_MAX: u64 = 100_000;

/// From so many on that wait although the service answers, they are better off on disk.
pub const CROWD: u64 = SAMPLES_MAX / 2;

/// Samples on their way out. A sample is counted once for each set of dimensions in which it stands.
#[derive(Debug, Default)]
pub struct Backlog {
    growing: Growing,
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
    spooled: u64,
    dropped: u64,
}

impl Backlog {
    /// Nothing has come yet.
    pub fn new(resolution: Resolution, sets: Sets) -> Self {
        Self { growing: Growing::new(resolution, sets), ..Self::default() }
    }

    /// Takes samples; those that CloudWatch does not get are not counted. Says how many were dropped on the way.
    pub fn take(&mut self, samples: &[Sample], now: Timestamp) -> u64 {
        let before = self.dropped;
        for sample in samples {
            for whom in self.growing.whom(sample) {
                self.taken += 1;
                if is_publishable(sample) && is_in_time(self.growing.time(sample), now) {
                    self.growing.add(sample, whom);
                } else {
                    self.dropped += 1;
                }
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
        self.waiting.extend(self.growing.turn(now));
    }

    /// Takes no further values into what is open: everything is to be sent.
    pub fn close(&mut self) {
        self.waiting.extend(self.growing.close());
    }

    /// Whether something is complete, and could be sent.
    pub fn has_complete(&self) -> bool {
        !(self.waiting.is_empty() && self.suspects.is_empty() && self.sending.is_empty())
    }

    /// The packets of the next request; its fate is told by [`Self::delivered`], [`Self::refused`] or [`Self::kept`].
    pub fn next_request(&mut self, now: Timestamp) -> Option<&[Packet]> {
        self.kept();
        if let Some(part) = self.suspects.pop() {
            self.sending = part;
            self.suspicious = true;
            return Some(&self.sending);
        }
        let mut room = Room::default();
        while let Some(packet) = self.waiting.pop_back() {
            if !packet.is_in_time(now) {
                self.dropped += packet.samples;
                continue;
            }
            if !room.take(&packet) {
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
        let first = std::mem::take(&mut self.sending);
        self.suspicious = false;
        match halves(first) {
            Ok(parts) => {
                self.suspects.extend(parts);
                None
            }
            Err(blamed) => {
                self.dropped += blamed.as_ref().map_or(0, |packet| packet.samples);
                blamed
            }
        }
    }

    /// Takes out all that is complete, for the disk: in parts of the size of a request, the oldest first. It counts as waiting
    /// until its fate is told by [`Self::spooled`], [`Self::returned`] or [`Self::lost`].
    pub fn take_complete(&mut self) -> Vec<Vec<Packet>> {
        self.kept();
        let mut all: Vec<Packet> = self.suspects.drain(..).flatten().chain(self.waiting.drain(..)).collect();
        all.sort_by_key(|packet| packet.at);
        let (mut parts, mut room): (Vec<Vec<Packet>>, _) = (Vec::new(), Room::default());
        for packet in all {
            match parts.last_mut() {
                Some(part) if room.take(&packet) => part.push(packet),
                _ => {
                    room = Room::default();
                    room.take(&packet);
                    parts.push(vec![packet]);
                }
            }
        }
        parts
    }

    /// So many samples are on disk.
    pub fn spooled(&mut self, samples: u64) {
        self.spooled += samples;
    }

    /// The disk did not take these parts.
    pub fn returned(&mut self, parts: Vec<Vec<Packet>>) {
        for packet in parts.into_iter().flatten().rev() {
            self.waiting.push_front(packet);
        }
    }

    /// So many samples are gone, by a bug of ours.
    pub fn lost(&mut self, samples: u64) {
        self.dropped += samples;
    }

    /// What became of every sample that was taken; what was given to the disk is none of its business any more.
    pub fn account(&self) -> PublisherAccount {
        PublisherAccount {
            delivered: self.delivered,
            waiting: self.taken - self.delivered - self.spooled - self.dropped,
            spooled: 0,
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
        self.growing.pop_oldest()
    }
}

/// The halves of a refused request, the first last, since parts are tried from the back; or the one packet that it held.
pub fn halves(mut request: Vec<Packet>) -> Result<[Vec<Packet>; 2], Option<Packet>> {
    let second = request.split_off(request.len() / 2);
    if request.is_empty() { Err(second.into_iter().next()) } else { Ok([second, request]) }
}

#[cfg(test)]
mod tests;
