//! Whether what happens is recorded. That it is not is an incident of Roundsman's own: it leaves from memory as all do then,
//! and whoever is on call hears of a full disk before a restart forgets what was known.

use std::time::Duration;

use super::Ledger;
use crate::domain::incident::Incident;
use crate::domain::judge::Aspect;
use crate::domain::outcome::{Failure, FailureKind};
use crate::domain::time::{Timestamp, between};
use crate::engine::unrecorded::Trouble;
use crate::ports::Commit;

/// How long the store must take nothing before anybody is told: a backup or another program may hold it for a moment.
const TROUBLE_MIN: Duration = Duration::from_secs(15);

/// For how long it is told that the state was lost. Nothing can be done about it but to know it.
const LOST_FOR: Duration = Duration::from_secs(600);

impl Ledger {
    /// Takes note of whether the store takes what happens.
    pub fn watch_store(&mut self, trouble: Option<&Trouble>, now: Timestamp, commit: &mut Commit) {
        let is_known = self.own(Aspect::Unrecorded).is_some();
        match trouble {
            None if is_known => self.resolve_own(Aspect::Unrecorded, None, now, commit),
            Some(Trouble { since, why }) if !is_known && self.is_to_be_told(*since, now) => {
                let failure = Failure::new(FailureKind::LocalResources, why.clone());
                self.open_own(Aspect::Unrecorded, failure, self.gravest(|_| true), *since, now, commit);
                self.unwatched = self.own(Aspect::Unrecorded).is_none().then_some(*since);
            }
            _ => {}
        }
        let is_old = |lost: &Incident| !(lost.opened_at..lost.opened_at + LOST_FOR).contains(&now);
        if self.own(Aspect::StateLost).is_some_and(is_old) {
            self.resolve_own(Aspect::StateLost, None, now, commit);
        }
    }

    /// Takes note that what was known is lost, because the store was damaged when this process started.
    pub fn take_loss(&mut self, what: &str, now: Timestamp, commit: &mut Commit) {
        let failure = Failure::new(FailureKind::LocalResources, what);
        self.open_own(Aspect::StateLost, failure, self.gravest(|_| true), now, now, commit);
    }

    /// Whether trouble has lasted, and it was not seen already that nobody is to be told of it.
    fn is_to_be_told(&self, since: Timestamp, now: Timestamp) -> bool {
        between(since, now) >= TROUBLE_MIN && self.unwatched != Some(since)
    }
}
