//! Incidents as they last stood, each once and found by its id: one event may change thousands of them.

use std::collections::HashMap;
use std::ops::Deref;

use super::incident::{Incident, IncidentId};

/// The last word on each, in the order in which they were first put down.
#[derive(Clone, Debug, Default)]
pub struct Incidents {
    all: Vec<Incident>,
    places: HashMap<IncidentId, usize>,
}

impl Incidents {
    /// The one with that id.
    pub fn of(&self, id: &IncidentId) -> Option<&Incident> {
        self.places.get(id).and_then(|place| self.all.get(*place))
    }
}

impl Deref for Incidents {
    type Target = [Incident];

    fn deref(&self) -> &[Incident] {
        &self.all
    }
}

impl Extend<Incident> for Incidents {
    fn extend<I: IntoIterator<Item = Incident>>(&mut self, incidents: I) {
        for incident in incidents {
            let place = self.places.get(&incident.id).copied();
            match place.and_then(|place| self.all.get_mut(place)) {
                Some(known) => *known = incident,
                None => {
                    self.places.insert(incident.id.clone(), self.all.len());
                    self.all.push(incident);
                }
            }
        }
    }
}

impl From<Vec<Incident>> for Incidents {
    fn from(incidents: Vec<Incident>) -> Self {
        let mut all = Self::default();
        all.extend(incidents);
        all
    }
}

impl IntoIterator for Incidents {
    type Item = Incident;
    type IntoIter = std::vec::IntoIter<Incident>;

    fn into_iter(self) -> Self::IntoIter {
        self.all.into_iter()
    }
}

impl<'a> IntoIterator for &'a Incidents {
    type Item = &'a Incident;
    type IntoIter = std::slice::Iter<'a, Incident>;

    fn into_iter(self) -> Self::IntoIter {
        self.all.iter()
    }
}
