//! What has changed since the process began, in numbers that only grow. Whoever shows something knows by them whether it is to be
//! shown anew, and asks the store for nothing until then.

use tokio::sync::watch;

use crate::ports::Commit;

/// How often what somebody may look at has changed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub struct Generations {
    /// Runs and slots, and whether they are recorded.
    pub runs: u64,
    /// Incidents, what was done about them, silences and pauses.
    pub incidents: u64,
    /// Messages, and what became of them.
    pub deliveries: u64,
}

/// Where changes are told. A watcher that is slow misses numbers, never the last ones.
#[derive(Debug, Default)]
pub struct Changes(watch::Sender<Generations>);

impl Changes {
    /// The store has taken a commit.
    pub fn committed(&self, commit: &Commit) {
        let is_about_runs = !(commit.runs.is_empty() && commit.accounts.is_empty());
        let is_about_deliveries = !commit.deliveries.is_empty();
        let is_about_incidents = !(commit.moments.is_empty()
            && commit.silences.is_empty()
            && commit.pauses.is_empty()
            && commit.diagnoses.is_empty()
            && commit.incidents.is_empty());
        if is_about_runs || is_about_deliveries || is_about_incidents {
            self.0.send_modify(|now| {
                now.runs += u64::from(is_about_runs);
                now.incidents += u64::from(is_about_incidents);
                now.deliveries += u64::from(is_about_deliveries);
            });
        }
    }

    /// Something became of a message.
    pub fn delivered(&self) {
        self.0.send_modify(|now| now.deliveries += 1);
    }

    /// Nothing may be as it was: another plan is in force, or the store takes nothing.
    pub fn everything(&self) {
        self.0.send_modify(|now| {
            now.runs += 1;
            now.incidents += 1;
            now.deliveries += 1;
        });
    }

    /// The numbers, now and whenever they change.
    pub fn watch(&self) -> watch::Receiver<Generations> {
        self.0.subscribe()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::incident::{IncidentId, Moment};
    use crate::engine::testing::at;
    use std::sync::Arc;

    #[test]
    fn a_commit_counts_for_what_it_is_about() {
        let changes = Changes::default();
        let mut watch = changes.watch();
        changes.committed(&Commit::default());
        assert!(!watch.has_changed().unwrap(), "nothing has changed");
        let incident = IncidentId(Arc::from("i"));
        let moment = Moment { incident, at: at("2026-11-24T10:00:00Z"), what: String::new(), text: String::new() };
        changes.committed(&Commit { moments: vec![moment], ..Commit::default() });
        changes.delivered();
        assert_eq!(*watch.borrow_and_update(), Generations { runs: 0, incidents: 1, deliveries: 1 });
        changes.everything();
        assert_eq!(*watch.borrow_and_update(), Generations { runs: 1, incidents: 2, deliveries: 2 });
    }
}
