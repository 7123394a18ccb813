//! Incidents of Roundsman itself. No run moves them, so they have no state but themselves: whoever sees what is wrong opens
//! them, and ends them.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::{Ledger, moment, watched};
use crate::domain::incident::{Incident, IncidentId, OURSELVES, Severity};
use crate::domain::judge::Aspect;
use crate::domain::names::{ProbeName, ScheduleName};
use crate::domain::outcome::{Failure, RunId};
use crate::domain::schedule::Schedule;
use crate::domain::time::Timestamp;
use crate::engine::runner::new_id;
use crate::ports::Commit;

impl Ledger {
    /// The open incident of that sort.
    pub(super) fn own(&self, aspect: Aspect) -> Option<&Incident> {
        self.open.get(&(ourselves()?, aspect))
    }

    /// Opens one, on the schedules of what Roundsman cannot see and as grave as the [`gravest`](Self::gravest) of it, so that it
    /// takes the way of those messages. Where no alert watches any of it nobody is told.
    pub(super) fn open_own(
        &mut self,
        aspect: Aspect,
        failure: Failure,
        firing: BTreeMap<ScheduleName, Severity>,
        since: Timestamp,
        now: Timestamp,
        commit: &mut Commit,
    ) {
        let (Some(severity), Some(probe)) = (firing.values().max().copied(), ourselves()) else { return };
        let id = IncidentId(Arc::from(new_id(now).as_str()));
        // There is no run that could be shown.
        let no_run = RunId(Arc::from(""));
        let failures: Arc<[_]> = [failure].into();
        let mut incident = Incident {
            since,
            schedules: firing.keys().cloned().collect(),
            firing,
            first_failures: Arc::clone(&failures),
            latest_failures: failures,
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

    /// For each schedule how grave it is that the gravest of its probes that are unseen cannot be seen.
    pub(super) fn gravest(&self, is_unseen: impl Fn(&ProbeName) -> bool) -> BTreeMap<ScheduleName, Severity> {
        let of_schedule = |schedule: &Arc<Schedule>| {
            let unseen = schedule.probes.iter().filter(|probe| is_unseen(probe));
            let watched = unseen.filter_map(|probe| watched(&self.rounds, &schedule.name, probe));
            Some((schedule.name.clone(), watched.map(|(_, policy)| policy.blind.severity).max()?))
        };
        self.plan.schedules.values().filter_map(of_schedule).collect()
    }
}

fn ourselves() -> Option<ProbeName> {
    ProbeName::parse(OURSELVES).ok()
}
