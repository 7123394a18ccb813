//! What was read from the disk to be sent. Its files stay until each of its samples has its fate: a process that is killed
//! between the answer and the removal sends them again, and nothing is counted that is not so.

use super::backlog::halves;
use super::packet::{Packet, Room, samples};
use super::spool::Place;
use crate::domain::time::Timestamp;

/// One request from the disk, or what is left of it.
#[derive(Debug, Default)]
pub struct Load {
    places: Vec<Place>,
    room: Room,
    /// Each is a request; the last is tried next. More than one where the service refused the whole.
    parts: Vec<Vec<Packet>>,
    /// How many samples the service has.
    pub delivered: u64,
    /// How many nobody will have: too old, or refused.
    pub dropped: u64,
}

impl Load {
    /// Takes in what a file holds, if there is room for all of it; what is too old is dropped.
    pub fn take(&mut self, place: Place, packets: Vec<Packet>, now: Timestamp) -> bool {
        let (fresh, old): (Vec<_>, Vec<_>) = packets.into_iter().partition(|packet| packet.is_in_time(now));
        let mut room = self.room.clone();
        if !fresh.iter().all(|packet| room.take(packet)) && !self.places.is_empty() {
            return false;
        }
        self.room = room;
        self.places.push(place);
        self.dropped += samples(&old);
        match self.parts.first_mut() {
            Some(part) => part.extend(fresh),
            None if fresh.is_empty() => {}
            None => self.parts.push(fresh),
        }
        true
    }

    /// The files that it is of.
    pub fn places(&self) -> &[Place] {
        &self.places
    }

    /// The packets of the next request; none when all have their fate.
    pub fn next_request(&self) -> Option<&[Packet]> {
        self.parts.last().map(Vec::as_slice)
    }

    /// Whether nothing of it has reached the service.
    pub fn is_untouched(&self) -> bool {
        self.delivered == 0 && self.parts.len() == 1
    }

    /// The service has them.
    pub fn delivered(&mut self) {
        self.delivered += self.parts.pop().map_or(0, |part| samples(&part));
    }

    /// The service refuses them; the one that is to blame is dropped and returned, once it stands alone.
    pub fn refused(&mut self) -> Option<Packet> {
        match halves(self.parts.pop()?) {
            Ok(parts) => {
                self.parts.extend(parts);
                None
            }
            Err(blamed) => {
                self.dropped += blamed.as_ref().map_or(0, |packet| packet.samples);
                blamed
            }
        }
    }
}
