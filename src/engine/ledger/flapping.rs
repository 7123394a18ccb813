//! What comes and goes again and again: one incident, which stays open until it has been quiet.

use super::{Ledger, judged, moment};
use crate::domain::flapping::{Edge, Flap, FlappingPolicy};
use crate::domain::incident::Incident;
use crate::domain::judge::{AlertKey, Transition};
use crate::domain::time::{Timestamp, words};
use crate::ports::Commit;

impl Ledger {
    /// What becomes of what the judge made of a run.
    pub(super) fn edge(
        &mut self,
        key: &AlertKey,
        policy: &FlappingPolicy,
        transition: Option<Transition>,
        bad: Option<bool>,
        now: Timestamp,
        commit: &mut Commit,
    ) -> Edge {
        let known = self.flaps.get(key);
        // Nearly every run is of what never comes and goes.
        if known.is_none() && transition.is_none() {
            return Edge::None;
        }
        // A run that says nothing, or the contrary, does not end what flaps by the time that has passed.
        if transition.is_none() && known.is_some_and(|flap| flap.is_flapping() && bad != Some(flap.failing)) {
            return Edge::None;
        }
        let before = known.cloned().unwrap_or_default();
        let mut flap = before.clone();
        let edge = flap.step(policy, transition, now);
        if flap != before {
            self.put_flap(key.clone(), flap, commit);
        }
        edge
    }

    pub(super) fn put_flap(&mut self, key: AlertKey, flap: Flap, commit: &mut Commit) {
        commit.put_flap(key.clone(), flap.clone());
        if flap.is_forgotten() {
            self.flaps.remove(&key);
        } else {
            self.flaps.insert(key, flap);
        }
    }

    /// Whether it flaps, so that its incident is open whatever the last run was.
    pub(super) fn is_flapping(&self, key: &AlertKey) -> bool {
        self.flaps.get(key).is_some_and(Flap::is_flapping)
    }

    /// Whether something fires that no incident is open for.
    pub(super) fn is_unheld(&self, key: &AlertKey, transition: Option<Transition>) -> bool {
        matches!(transition, Some(Transition::Fired { .. }))
            && self.open.get(&(key.probe.clone(), key.aspect)).is_none()
    }

    /// Forgets what is no longer configured.
    pub(super) fn forget_flaps(&mut self, commit: &mut Commit) {
        let is_gone = |key: &&AlertKey| judged(&self.rounds, key).is_none();
        let gone: Vec<_> = self.flaps.keys().filter(is_gone).cloned().collect();
        for key in gone {
            self.put_flap(key, Flap::default(), commit);
        }
    }

    /// Notes on an incident that it flaps on a schedule, where it does.
    pub(super) fn mark_flapping(&self, incident: &mut Incident, key: &AlertKey, now: Timestamp, commit: &mut Commit) {
        let Some(flap) = self.flaps.get(key).filter(|flap| flap.is_flapping()) else { return };
        if incident.flapping.insert(key.schedule.clone()) {
            let (openings, within) = flap.lately(now);
            let text = format!("on {}: it began {openings} times within {}", key.schedule, words(within));
            commit.moments.push(moment(incident, now, "flapping", text));
        }
    }

    /// It has been failing without a pause, so that it is an ordinary incident again.
    pub(super) fn steady(&mut self, key: &AlertKey, now: Timestamp, commit: &mut Commit) {
        let of = (key.probe.clone(), key.aspect);
        let Some(mut incident) = self.open.remove(&of) else { return };
        incident.flapping.remove(&key.schedule);
        commit.moments.push(moment(
            &incident,
            now,
            "steady",
            format!("on {}: it does not recover any more", key.schedule),
        ));
        commit.put_incident(incident.clone());
        self.open.insert(of, incident);
    }
}
