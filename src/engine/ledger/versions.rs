//! Which versions the targets say they are.

use std::time::Duration;

use super::{Ledger, moment};
use crate::domain::incident::Version;
use crate::domain::judge::Aspect;
use crate::domain::outcome::Run;
use crate::domain::time::between;
use crate::ports::Commit;

/// Where several versions answer in turn, a change is told this often at most.
const CHANGE_TOLD_EVERY: Duration = Duration::from_secs(300);

impl Ledger {
    /// Notes which versions a run saw; of two that overlap, the one that began later saw the newer one. What changed goes into the time line of the probe's open incidents.
    pub(super) fn take_versions(&mut self, run: &Run, commit: &mut Commit) {
        for step in &run.steps {
            let Some(version) = &step.version else { continue };
            let known = self.versions.get(&(run.probe.clone(), step.name.clone()));
            if known.is_some_and(|known| known.version == *version || run.started_at < known.since) {
                continue;
            }
            let quick = known.is_some_and(|known| between(known.since, run.started_at) < CHANGE_TOLD_EVERY);
            let seen = Version {
                probe: run.probe.clone(),
                step: step.name.clone(),
                version: version.clone(),
                since: run.started_at,
                before: known.map(|known| known.version.clone()),
            };
            if let Some(change) = seen.change().filter(|_| !quick) {
                let of_aspect = |aspect| self.open.get(&(run.probe.clone(), aspect));
                let of_probe = Aspect::ALL.into_iter().filter_map(of_aspect);
                let moments = of_probe.map(|incident| moment(incident, run.started_at, "version", change.clone()));
                commit.moments.extend(moments);
            }
            commit.versions.push(seen.clone());
            self.versions.insert((run.probe.clone(), step.name.clone()), seen);
        }
    }
}
