//! What the deliverer has under way.

use std::collections::{HashMap, HashSet, VecDeque};

use tokio::task::JoinSet;

use super::ATTEMPTS_MAX;
use super::attempts::Attempt;
use super::memory::Memory;
use super::settlements::is_final;
use crate::domain::names::ChannelName;
use crate::domain::time::Monotonic;
use crate::ports::{Delivery, Settlement};

/// What came of a message and is to be recorded.
pub(super) struct Outcome {
    pub(super) delivery: Delivery,
    pub(super) settlement: Settlement,
    /// Where it left from memory, and the store does not know by itself with which others: those.
    pub(super) with: Option<Vec<String>>,
}

/// What is under way.
#[derive(Default)]
pub(super) struct Work {
    pub(super) attempts: JoinSet<Attempt>,
    /// Deliveries that are not to be tried now: they are being tried, or what came of it is not recorded.
    pub(super) busy: HashSet<String>,
    /// How many are being tried, by their channel.
    trying: HashMap<ChannelName, usize>,
    /// What came of attempts and could not be recorded: it is kept, since to try again would be to send again.
    unrecorded: VecDeque<Outcome>,
    /// The ids of those of them that only have to be recorded.
    settled: HashSet<String>,
    /// What left from memory.
    pub(super) memory: Memory,
    /// The store is left alone until then.
    pub(super) rest_until: Option<Monotonic>,
    /// Nothing is gathered until then.
    pub(super) gather_at: Option<Monotonic>,
    /// The store could not gather when it was last asked.
    pub(super) gather_fails: bool,
}

impl Work {
    /// Whether there is room for an attempt at a delivery.
    pub(super) fn has_room(&self, delivery: &Delivery) -> bool {
        !self.busy.contains(&delivery.id) && self.has_room_for(&delivery.channel)
    }

    /// Whether there is room for an attempt at a channel.
    pub(super) fn has_room_for(&self, channel: &ChannelName) -> bool {
        self.trying.get(channel).copied().unwrap_or_default() < ATTEMPTS_MAX
    }

    /// An attempt begins.
    pub(super) fn begin(&mut self, delivery: &Delivery) {
        self.busy.insert(delivery.id.clone());
        *self.trying.entry(delivery.channel.clone()).or_default() += 1;
    }

    /// It has ended.
    pub(super) fn end(&mut self, channel: &ChannelName) {
        if let Some(trying) = self.trying.get_mut(channel) {
            *trying = trying.saturating_sub(1);
        }
    }

    /// Something came of a message.
    pub(super) fn put(&mut self, outcome: Outcome) {
        self.busy.insert(outcome.delivery.id.clone());
        if is_final(&outcome.settlement) {
            self.settled.insert(outcome.delivery.id.clone());
            self.settled.extend(outcome.with.iter().flatten().cloned());
        }
        self.unrecorded.push_back(outcome);
    }

    /// The first of what came of messages that may be recorded, by its place.
    pub(super) fn next(&self, is_held: impl Fn(&str) -> bool) -> Option<(usize, &Outcome)> {
        let may = |outcome: &Outcome| {
            !is_held(&outcome.delivery.id) && !outcome.with.iter().flatten().any(|other| is_held(other))
        };
        self.unrecorded.iter().enumerate().find(|(_, outcome)| may(outcome))
    }

    /// It is recorded.
    pub(super) fn take(&mut self, place: usize) -> Option<Outcome> {
        let outcome = self.unrecorded.remove(place)?;
        for id in outcome.with.iter().flatten().chain([&outcome.delivery.id]) {
            self.busy.remove(id);
            self.settled.remove(id);
        }
        Some(outcome)
    }

    /// How much is to be recorded.
    pub(super) fn unrecorded(&self) -> usize {
        self.unrecorded.len()
    }

    /// Whether something came of a message that only has to be recorded.
    pub(super) fn is_settled(&self, id: &str) -> bool {
        self.settled.contains(id)
    }
}
