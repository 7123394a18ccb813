//! What leaves from memory, while the store takes nothing.

use super::Deliverer;
use super::work::Work;
use crate::domain::incident::Event;
use crate::domain::time::Timestamp;
use crate::engine::unrecorded::patiently;
use crate::engine::vitals::Part;

impl Deliverer {
    /// What the store does not take leaves from memory, unless the store has something that is to be told before it. Where it
    /// cannot even be read, what began there waits for it.
    pub(super) async fn tell_unrecorded(&self, work: &mut Work, now: Timestamp) {
        let mut is_readable = true;
        for (mut delivery, mut resolve) in self.unrecorded.due(now, |id| work.is_settled(id)) {
            if !work.has_room(&delivery) {
                continue;
            }
            let before = if is_readable {
                let before = patiently(&self.clock, self.store.stands_before(&delivery));
                self.vitals.waiting(Part::Deliverer, before).await.ok()
            } else {
                None
            };
            is_readable = before.is_some();
            let goes = before.map_or_else(
                || delivery.notification.event == Event::Opened || self.unrecorded.holds_beginning_of(&delivery),
                |before| before.iter().all(|id| work.is_settled(id)),
            );
            if goes {
                delivery.notification.unrecorded = true;
                if let Some(resolve) = &mut resolve {
                    resolve.notification.unrecorded = true;
                }
                work.busy.insert(delivery.id.clone(), delivery.channel.clone());
                let notifier = self.plan.borrow().channels.get(&delivery.channel).cloned();
                self.attempt(&mut work.attempts, notifier, delivery, resolve, None);
            }
        }
    }
}
