//! What the deliverer has under way.

use std::collections::{HashMap, VecDeque};

use tokio::task::JoinSet;

use super::ATTEMPTS_MAX;
use super::attempts::Attempt;
use super::settlements::is_final;
use crate::domain::names::ChannelName;
use crate::domain::time::Monotonic;
use crate::ports::{Delivery, Settlement};

/// What is under way.
#[derive(Default)]
pub(super) struct Work {
    pub(super) attempts: JoinSet<Attempt>,
    /// Deliveries that are not to be tried now, with their channel.
    pub(super) busy: HashMap<String, ChannelName>,
    /// What came of attempts and could not be recorded: it is kept, since to try again would be to send again.
    pub(super) unrecorded: VecDeque<(Delivery, Settlement)>,
    /// The store is left alone until then.
    pub(super) rest_until: Option<Monotonic>,
    /// Nothing is gathered until then.
    pub(super) gather_at: Option<Monotonic>,
}

impl Work {
    pub(super) fn has_room(&self, delivery: &Delivery) -> bool {
        let of_channel = self.busy.values().filter(|channel| **channel == delivery.channel).count();
        !self.busy.contains_key(&delivery.id) && of_channel < ATTEMPTS_MAX
    }

    /// Whether something came of a message that only has to be recorded.
    pub(super) fn is_settled(&self, id: &str) -> bool {
        self.unrecorded.iter().any(|(delivery, settlement)| delivery.id == id && is_final(settlement))
    }
}
