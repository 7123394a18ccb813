//! The account of slots: every slot of every probe ends in exactly one outcome, and the store learns of it in the order
//! of the slots. An outcome is held back while an earlier slot of the same probe is open, so that a crash turns what was
//! open into a gap and counts nothing twice.

use std::collections::{BTreeMap, HashMap};

use crate::domain::names::{ProbeName, ScheduleName};
use crate::domain::outcome::{SlotAccount, SlotOutcome};
use crate::domain::time::Timestamp;

/// Whose slots they are.
pub type SlotKey = (ScheduleName, ProbeName);

#[derive(Default)]
struct Open {
    /// In their order, each once. Nearly always a probe has one, for which a set would take several times the room.
    unresolved: Vec<Timestamp>,
    resolved: Vec<(Timestamp, SlotOutcome, u64)>,
}

/// The slots that have come and are not settled in the store.
#[derive(Default)]
pub struct SlotBook {
    open: HashMap<SlotKey, Open>,
}

impl SlotBook {
    /// A slot has come and its outcome is not known yet.
    pub fn enter(&mut self, key: &SlotKey, slot: Timestamp) {
        let unresolved = &mut self.open.entry(key.clone()).or_default().unresolved;
        if let Err(place) = unresolved.binary_search(&slot) {
            unresolved.insert(place, slot);
        }
    }

    /// A slot, or several that end at it, have their outcome. Gives what may be committed now.
    pub fn settle(&mut self, key: &SlotKey, slot: Timestamp, outcome: SlotOutcome, count: u64) -> Option<SlotAccount> {
        let account = |through, counts| SlotAccount { schedule: key.0.clone(), probe: key.1.clone(), through, counts };
        let open = self.open.entry(key.clone()).or_default();
        if let Ok(place) = open.unresolved.binary_search(&slot) {
            open.unresolved.remove(place);
        }
        if open.unresolved.is_empty() && open.resolved.is_empty() {
            self.open.remove(key);
            return Some(account(slot, vec![(outcome, count)]));
        }
        open.resolved.push((slot, outcome, count));
        let barrier = open.unresolved.first().copied();
        let (ready, held): (Vec<_>, Vec<_>) =
            open.resolved.drain(..).partition(|(slot, ..)| barrier.is_none_or(|barrier| *slot < barrier));
        open.resolved = held;
        if open.unresolved.is_empty() && open.resolved.is_empty() {
            self.open.remove(key);
        }
        let through = ready.iter().map(|(slot, ..)| *slot).max()?;
        let mut counts = BTreeMap::new();
        for (_, outcome, count) in ready {
            *counts.entry(outcome).or_insert(0) += count;
        }
        Some(account(through, counts.into_iter().collect()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::testing::at;
    use proptest::prelude::*;

    fn key() -> SlotKey {
        (ScheduleName::parse("s").unwrap(), ProbeName::parse("p").unwrap())
    }

    #[test]
    fn what_was_skipped_is_told_with_the_run_that_was_in_its_way() {
        let mut book = SlotBook::default();
        let (first, second) = (at("2026-11-24T10:00:00Z"), at("2026-11-24T10:00:30Z"));
        book.enter(&key(), first);
        book.enter(&key(), second);
        assert_eq!(book.settle(&key(), second, SlotOutcome::Skipped, 1), None);
        let account = book.settle(&key(), first, SlotOutcome::Ran, 1).unwrap();
        assert_eq!(account.through, second);
        assert_eq!(account.counts, [(SlotOutcome::Ran, 1), (SlotOutcome::Skipped, 1)]);
        assert!(book.open.is_empty());
    }

    proptest! {
        #[test]
        fn nothing_is_counted_twice_or_forgotten(order in Just((0_i64..40).collect::<Vec<_>>()).prop_shuffle()) {
            let mut book = SlotBook::default();
            let slot = |n: i64| at("2026-11-24T10:00:00Z") + chrono::TimeDelta::seconds(30 * n);
            for n in 0..40 { book.enter(&key(), slot(n)); }
            let mut told = 0;
            let mut through = Timestamp::MIN_UTC;
            for n in order {
                if let Some(account) = book.settle(&key(), slot(n), SlotOutcome::Ran, 1) {
                    prop_assert!(account.through > through);
                    through = account.through;
                    told += account.counts.iter().map(|(_, count)| count).sum::<u64>();
                }
            }
            prop_assert_eq!((told, through), (40, slot(39)));
        }
    }
}
