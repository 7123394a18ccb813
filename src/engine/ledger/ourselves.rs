//! Incidents of Roundsman itself. No run moves them, so they have no state but themselves: whoever sees what is wrong opens
//! them, and ends them.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::{Ledger, moment, watched};
use crate::domain::incident::{Incident, IncidentId, OURSELVES, Severity};
use crate::domain::judge::Aspect;
use crate::domain::names::{ProbeName, ScheduleName};
use crate::domain::outcome::{Failure, RunId};
use crate::domain::time::Timestamp;
use crate::engine::runner::new_id;
use crate::ports::Commit;

impl Ledger {
    /// The open incident of that sort.
    pub(super) fn own(&self, aspect: Aspect) -> Option<&Incident> {
        self.open.get(&(ourselves()?, aspect))
    }

    /// Opens one, which is as grave as the gravest that Roundsman cannot see: on the schedules of these probes, so that it takes
    /// the way of their messages. Where no alert watches any of them nobody is told.
    pub(super) fn open_own(
        &mut self,
        aspect: Aspect,
        failure: Failure,
        probes: impl Iterator<Item = ProbeName>,
        since: Timestamp,
        now: Timestamp,
        commit: &mut Commit,
    ) {
        let firing = self.gravest(probes);
        let (Some(severity), Some(probe)) = (firing.values().max().copied(), ourselves()) else { return };
        let id = IncidentId(Arc::from(new_id(now).as_str()));
        // There is no run that could be shown.
        let no_run = RunId(Arc::from(""));
        let mut incident = Incident {
            since,
            schedules: firing.keys().cloned().collect(),
            firing,
            first_failures: vec![failure.clone()],
            latest_failures: vec![failure],
            ..Incident::opened(id, probe.clone(), aspect, severity, no_run, now)
        };
        commit.moments.push(moment(&incident, now, "opened", format!("{severity}: {}", incident.summary())));
        self.mark(&mut incident, now, commit);
        self.tell_opened(&mut incident, now, commit);
        commit.put_incident(incident.clone());
        self.open.insert((probe, aspect), incident);
    }

    /// Ends it.
    pub(super) fn resolve_own(&mut self, aspect: Aspect, because: Option<&str>, now: Timestamp, commit: &mut Commit) {
        let incident = ourselves().and_then(|probe| self.open.remove(&(probe, aspect)));
        if let Some(incident) = incident {
            self.resolve(incident, now, because, commit);
        }
    }

    /// For each schedule how grave it is that the gravest of these probes cannot be seen.
    fn gravest(&self, probes: impl Iterator<Item = ProbeName>) -> BTreeMap<ScheduleName, Severity> {
        let mut gravest = BTreeMap::new();
        for probe in probes {
            for schedule in self.plan.schedules.keys() {
                let Some((_, policy)) = watched(&self.rounds, schedule, &probe) else { continue };
                let severity = gravest.entry(schedule.clone()).or_insert(policy.blind.severity);
                *severity = policy.blind.severity.max(*severity);
            }
        }
        gravest
    }
}

fn ourselves() -> Option<ProbeName> {
    ProbeName::parse(OURSELVES).ok()
}
