//! What is looked at again before its next slot, because its state is in doubt: bad and not firing yet, or firing and well
//! again for less than it takes. Nothing of it is kept: whoever starts asks for whatever the states leave in doubt.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::{Ledger, watched};
use crate::domain::judge::{AlertKey, AlertState, Aspect};
use crate::domain::names::{ProbeName, ScheduleName};
use crate::domain::outcome::Extra;
use crate::domain::time::{Timestamp, later};
use crate::engine::scheduler::extras::ExtraRun;

type Pair = (ScheduleName, ProbeName);

/// When each probe on a schedule is looked at again.
#[derive(Default)]
pub(super) struct Rechecks {
    at: BTreeMap<Pair, Timestamp>,
    /// The same by time: in a storm thousands wait at once, and each run asks who is next.
    queue: BTreeSet<(Timestamp, Pair)>,
}

impl Rechecks {
    fn set(&mut self, of: &Pair, at: Option<Timestamp>) {
        if let Some(known) = self.at.remove(of) {
            self.queue.remove(&(known, of.clone()));
        }
        if let Some(at) = at {
            self.at.insert(of.clone(), at);
            self.queue.insert((at, of.clone()));
        }
    }

    /// When the next one is due.
    pub(super) fn next_at(&self) -> Option<Timestamp> {
        self.queue.first().map(|(at, _)| *at)
    }
}

impl Ledger {
    /// Sets when a probe is looked at again after a run on a schedule; never where nothing is in doubt.
    pub(super) fn set_recheck(&mut self, schedule: &ScheduleName, probe: &ProbeName, now: Timestamp) {
        let recheck = self.recheck_of(schedule, probe, now);
        self.rechecks.set(&(schedule.clone(), probe.clone()), recheck.map(|recheck| later(now, recheck)));
    }

    /// Goes on under another plan, or begins: what waits already goes on to wait, as far as anything is in doubt.
    pub(super) fn take_rechecks(&mut self, now: Timestamp) {
        let mut waits = std::mem::take(&mut self.rechecks).at;
        let pairs: BTreeSet<Pair> = self.states.keys().map(|key| (key.schedule.clone(), key.probe.clone())).collect();
        for of in pairs {
            let Some(recheck) = self.recheck_of(&of.0, &of.1, now) else { continue };
            let next = later(now, recheck);
            let at = waits.remove(&of).map_or(next, |at| at.min(next));
            self.rechecks.set(&of, Some(at));
        }
    }

    /// Asks for the runs that are due. One that is refused or lost is asked for again as soon as the next would be.
    pub(super) fn ask_rechecks(&mut self, now: Timestamp) {
        while let Some((_, of)) = self.rechecks.queue.first().filter(|(at, _)| *at <= now).cloned() {
            self.set_recheck(&of.0, &of.1, now);
            if self.rechecks.at.contains_key(&of) {
                let (schedule, probe) = of;
                self.wanted.push(ExtraRun { schedule: Some(schedule), probe, why: Extra::Recheck, id: None });
            }
        }
    }

    /// How soon a probe is looked at again; nothing where the alert asks for none, nothing is in doubt, or it is paused.
    fn recheck_of(&self, schedule: &ScheduleName, probe: &ProbeName, now: Timestamp) -> Option<Duration> {
        let recheck = watched(&self.rounds, schedule, probe)?.1.recheck?;
        if self.paused.has(Some(schedule), probe, now) {
            return None;
        }
        let is_in_doubt = |aspect| {
            let key = AlertKey { schedule: schedule.clone(), probe: probe.clone(), aspect };
            self.states.get(&key).is_some_and(AlertState::is_in_doubt)
        };
        // Who cannot look does not see more by looking more often.
        [Aspect::Failing, Aspect::Degraded].into_iter().any(is_in_doubt).then_some(recheck)
    }
}
