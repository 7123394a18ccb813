//! What is kept quiet, and told once its reason is gone and it still lasts.

use std::sync::Arc;

use super::{Ledger, moment};
use crate::domain::incident::Incident;
use crate::domain::judge::{AlertKey, AlertState, Aspect};
use crate::domain::names::{ProbeName, ScheduleName};
use crate::domain::quiet::{Grounds, Mode, Reason, why_quiet};
use crate::domain::time::Timestamp;
use crate::ports::Commit;

impl Ledger {
    /// Whether nobody is to be told of an incident now; why is noted on it and in its time line. It is asked before each
    /// message but the resolve, which whoever was told of the beginning gets whatever the reason.
    pub(super) fn hush(&mut self, incident: &mut Incident, now: Timestamp, commit: &mut Commit) -> bool {
        #[cfg(test)]
        self.weighed.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        let plan = Arc::clone(&self.plan);
        let needs = plan.probes.get(&incident.probe).map(|probe| probe.needs.as_slice()).unwrap_or_default();
        let hold = plan.severities.get(&incident.severity).and_then(|severity| severity.hold.as_ref());
        let pause = self.pause_of(incident, now);
        let grounds =
            Grounds { pause: pause.as_ref(), silences: &self.silences, windows: &plan.maintenance, needs, hold };
        let reason = why_quiet(&grounds, incident, now, |needed| self.is_unwell(needed, incident, now));
        let reason = reason.or_else(|| self.look_first(needs, incident, now));
        let reason = reason.or_else(|| self.doubt_network(incident, now));
        match (&incident.quiet, &reason) {
            (before, Some(reason)) if before.as_ref() != Some(reason) => {
                commit.moments.push(moment(incident, now, "muted", reason.to_string()));
            }
            (Some(before), None) => commit.moments.push(moment(incident, now, "unmuted", format!("no more: {before}"))),
            _ => {}
        }
        incident.quiet = reason;
        incident.quiet.is_some()
    }

    /// Notes on an incident that begins the window that only marks what is in it.
    pub(super) fn mark(&self, incident: &mut Incident, now: Timestamp, commit: &mut Commit) {
        let mut windows = self.plan.maintenance.iter();
        let window = windows.find(|window| window.covers(Mode::Mark, incident, now).is_some());
        incident.maintenance = window.map(|window| window.name.clone());
        if let Some(name) = &incident.maintenance {
            commit.moments.push(moment(incident, now, "maintenance", format!("it began in {name}")));
        }
    }

    /// What was kept quiet is told once its reason is gone and it still lasts.
    pub(super) fn reconsider_quiet(&mut self, now: Timestamp, commit: &mut Commit) {
        // What becomes of one may be the reason of another, which is then stirred as well; needs go in no circle.
        while let Some(of) = self.open.next_stirred() {
            let quiet = self.open.get(&of).and_then(|incident| incident.quiet.as_ref());
            if !quiet.is_some_and(|reason| may_end(reason, self.looked)) {
                continue;
            }
            let Some(mut incident) = self.open.remove(&of) else { continue };
            let before = incident.quiet.clone();
            self.tell_opened(&mut incident, now, commit);
            if incident.quiet.is_none() {
                self.escalate(&mut incident, now, commit);
                self.remind(&mut incident, now, commit);
            }
            if incident.quiet != before {
                commit.put_incident(incident.clone());
            }
            self.open.insert(of, incident);
        }
    }

    /// Whether a probe is failing, so that what needs it may be quiet. Where both are on one schedule a first failure
    /// counts too, since both are seen to fail in one round and the one that is needed may be judged later; elsewhere it
    /// would keep a page back until a slower schedule has made up its mind. What nobody was told of, and what only waits for
    /// office hours, is no reason: it would keep a graver page back, and nobody would know. Nor is what is paused, since nobody
    /// looks whether it is still so.
    fn is_unwell(&self, probe: &ProbeName, dependant: &Incident, now: Timestamp) -> bool {
        let is_looked_at = |schedule: &&ScheduleName| !self.paused.has(Some(schedule), probe, now);
        let is_known =
            |needed: &Incident| !needed.told.is_empty() || needed.quiet.as_ref().is_some_and(speaks_for_others);
        let is_suspect = |schedule: &ScheduleName| {
            let key = AlertKey { schedule: schedule.clone(), probe: probe.clone(), aspect: Aspect::Failing };
            matches!(self.states.get(&key), Some(AlertState::Suspect { .. }))
        };
        // What flaps has an open incident while it is well, too.
        let is_down = |needed: &Incident| {
            needed.firing.keys().filter(is_looked_at).any(|schedule| {
                let key = AlertKey { schedule: schedule.clone(), probe: probe.clone(), aspect: Aspect::Failing };
                matches!(self.states.get(&key), Some(AlertState::Firing { .. }))
            })
        };
        self.open.get(&(probe.clone(), Aspect::Failing)).is_some_and(|needed| is_known(needed) && is_down(needed))
            || dependant.firing.keys().filter(is_looked_at).any(is_suspect)
    }
}

/// Whether somebody may be told once that reason is gone, also before the first look is over. What waits for a look, or for
/// runs to say whether it is our own network, is new, or was about to be told: it does not wait for the first look as well,
/// whose end stirs all the others. What an earlier process was in doubt of waits until that end.
pub(super) fn may_end(reason: &Reason, looked: Option<Timestamp>) -> bool {
    looked.is_none_or(|looked| match reason {
        Reason::Looking { .. } => true,
        Reason::Network { until } => *until < looked,
        Reason::Needs(_)
        | Reason::Paused { .. }
        | Reason::Silenced { .. }
        | Reason::Held { .. }
        | Reason::Maintenance { .. } => false,
    })
}

/// Whether what keeps an incident quiet goes for what needs its probe as well: somebody wants it, planned it, or has heard why.
fn speaks_for_others(reason: &Reason) -> bool {
    match reason {
        // What is looked at first is told in a moment, or what it needs was.
        Reason::Silenced { .. }
        | Reason::Maintenance { .. }
        | Reason::Needs(_)
        | Reason::Looking { .. }
        | Reason::Network { .. } => true,
        Reason::Paused { .. } | Reason::Held { .. } => false,
    }
}
