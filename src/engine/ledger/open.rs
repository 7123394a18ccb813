//! The open incidents, found by what they are looked for: their probe, their id, when something of them is due, and whom they
//! wait for. In a storm thousands are open, and no run may cost a look at each of them.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use crate::domain::incident::{Incident, IncidentId};
use crate::domain::judge::Aspect;
use crate::domain::names::ProbeName;
use crate::domain::quiet::Reason;
use crate::domain::time::Timestamp;

/// What an incident is of.
pub type Of = (ProbeName, Aspect);

/// The open incidents. What is changed is taken out and put back, so that it is always found by what it is.
#[derive(Default)]
pub struct Open {
    incidents: BTreeMap<Of, Incident>,
    ids: HashMap<IncidentId, Of>,
    due: BTreeSet<(Timestamp, Of)>,
    /// Of those the ones that are quiet because it may be our own network.
    doubted: BTreeSet<(Timestamp, Of)>,
    /// By the probe that is failing or is looked at first: those that are quiet for that reason.
    needing: BTreeMap<ProbeName, BTreeSet<Of>>,
    /// Quiet ones whose reason may be gone.
    stirred: BTreeSet<Of>,
}

impl Open {
    /// How many there are.
    pub fn len(&self) -> usize {
        self.incidents.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.incidents.is_empty()
    }

    /// All of them, in the order of their probes.
    pub fn iter(&self) -> impl Iterator<Item = (&Of, &Incident)> {
        self.incidents.iter()
    }

    /// The one of a probe and an aspect.
    pub fn get(&self, of: &Of) -> Option<&Incident> {
        self.incidents.get(of)
    }

    /// What the one of that id is of.
    pub fn of_id(&self, id: &IncidentId) -> Option<Of> {
        self.ids.get(id).cloned()
    }

    /// Takes one out.
    pub fn remove(&mut self, of: &Of) -> Option<Incident> {
        let incident = self.incidents.remove(of)?;
        self.ids.remove(&incident.id);
        if let Some(at) = incident.due_at() {
            let due = (at, of.clone());
            self.due.remove(&due);
            self.doubted.remove(&due);
        }
        if let Some(probe) = awaited(&incident)
            && let Some(waiting) = self.needing.get_mut(probe)
        {
            waiting.remove(of);
            if waiting.is_empty() {
                self.needing.remove(probe);
            }
        }
        self.stir(&of.0);
        Some(incident)
    }

    /// Puts one in, or back.
    pub fn insert(&mut self, of: Of, incident: Incident) {
        self.remove(&of);
        self.ids.insert(incident.id.clone(), of.clone());
        self.due.extend(incident.due_at().map(|at| (at, of.clone())));
        if let Some(Reason::Network { until }) = incident.quiet {
            self.doubted.insert((until, of.clone()));
        }
        if let Some(probe) = awaited(&incident) {
            self.needing.entry(probe.clone()).or_default().insert(of.clone());
        }
        self.incidents.insert(of, incident);
    }

    /// When something of one of them is due first.
    pub fn next_due(&self) -> Option<Timestamp> {
        self.due.first().map(|(at, _)| *at)
    }

    /// When the first one is due that is quiet because it may be our own network.
    pub fn next_doubt_over(&self) -> Option<Timestamp> {
        self.doubted.first().map(|(at, _)| *at)
    }

    /// Those of which something is due.
    pub fn due(&self, now: Timestamp) -> Vec<Of> {
        self.due.iter().take_while(|(at, _)| *at <= now).map(|(_, of)| of.clone()).collect()
    }

    /// Something has changed about a probe, for which others may be quiet.
    pub fn stir(&mut self, probe: &ProbeName) {
        if let Some(waiting) = self.needing.get(probe) {
            self.stirred.extend(waiting.iter().cloned());
        }
    }

    /// Something has changed for the quiet ones that fit.
    pub fn stir_quiet(&mut self, fits: impl Fn(&Reason) -> bool) {
        let quiet = self.incidents.iter().filter(|(_, incident)| incident.quiet.as_ref().is_some_and(&fits));
        self.stirred.extend(quiet.map(|(of, _)| of.clone()));
    }

    /// The reason of the quiet ones that are due and fit is over.
    pub fn stir_quiet_that_is_due(&mut self, now: Timestamp, fits: impl Fn(&Reason) -> bool) {
        let due = self.due(now).into_iter();
        let quiet = |of: &Of| self.incidents.get(of).and_then(|incident| incident.quiet.as_ref()).is_some_and(&fits);
        let due: Vec<_> = due.filter(quiet).collect();
        self.stirred.extend(due);
    }

    /// Those of which something is due and of which people may be told.
    pub fn due_and_told(&self, now: Timestamp) -> Vec<Of> {
        let is_told = |of: &Of| self.incidents.get(of).is_some_and(|incident| incident.quiet.is_none());
        self.due(now).into_iter().filter(is_told).collect()
    }

    /// The next quiet one whose reason may be gone; each is given once for each time that it was stirred.
    pub fn next_stirred(&mut self) -> Option<Of> {
        loop {
            let of = self.stirred.pop_first()?;
            if self.incidents.get(&of).is_some_and(|incident| incident.quiet.is_some()) {
                return Some(of);
            }
        }
    }
}

/// The probe for which an incident is quiet.
fn awaited(incident: &Incident) -> Option<&ProbeName> {
    match incident.quiet.as_ref()? {
        Reason::Needs(probe) | Reason::Looking { probe, .. } => Some(probe),
        Reason::Network { .. }
        | Reason::Paused { .. }
        | Reason::Silenced { .. }
        | Reason::Maintenance { .. }
        | Reason::Held { .. } => None,
    }
}

impl FromIterator<Incident> for Open {
    fn from_iter<I: IntoIterator<Item = Incident>>(incidents: I) -> Self {
        let mut open = Self::default();
        for incident in incidents {
            open.insert((incident.probe.clone(), incident.aspect), incident);
        }
        open
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::testing::{at, incident};

    #[test]
    fn each_is_found_by_what_it_is_and_not_by_what_it_was() {
        let now = at("2026-11-24T10:00:00Z");
        let gateway: ProbeName = "gateway".parse().unwrap();
        let waiting = Incident { quiet: Some(Reason::Needs(gateway.clone())), ..incident("I1", "api", now) };
        let due = Incident { remind_at: Some(now), ..incident("I2", "shop", now) };
        let mut open: Open = [waiting, due].into_iter().collect();
        let api: Of = ("api".parse().unwrap(), Aspect::Failing);
        assert_eq!((open.len(), open.of_id(&IncidentId("I1".into()))), (2, Some(api.clone())));
        assert_eq!((open.next_due(), open.due(now).len()), (Some(now), 1));
        assert_eq!(open.next_stirred(), None);
        open.stir(&gateway);
        assert_eq!((open.next_stirred(), open.next_stirred()), (Some(api.clone()), None));
        let told = Incident { quiet: None, remind_at: Some(now), ..open.remove(&api).unwrap() };
        open.insert(api.clone(), told);
        open.stir(&gateway);
        assert_eq!((open.next_stirred(), open.due(now).len()), (None, 2));
        let looking = Reason::Looking { probe: gateway.clone(), until: now };
        let quiet = Incident { quiet: Some(looking), ..open.remove(&api).unwrap() };
        open.insert(api.clone(), quiet);
        assert_eq!(open.due_and_told(now).len(), 1, "nobody is told of the other");
        while open.next_stirred().is_some() {}
        open.stir_quiet_that_is_due(now, |reason| matches!(reason, Reason::Needs(_)));
        assert_eq!(open.next_stirred(), None, "it is quiet for another reason");
        open.stir_quiet_that_is_due(now, |_| true);
        assert_eq!(open.next_stirred(), Some(api.clone()));
        open.remove(&api);
        assert_eq!((open.of_id(&IncidentId("I1".into())), open.due(now).len(), open.len()), (None, 1, 1));
    }
}
