//! Who is in whose rounds, found at once: each run asks several times, and many names that begin alike are slow to search
//! for by comparing them.

use std::collections::HashMap;
use std::sync::Arc;

use super::plan::{Plan, PlannedProbe};
use crate::domain::names::{ProbeName, ScheduleName};
use crate::domain::schedule::Schedule;

/// The probes of each schedule of one plan. A clone shares them.
#[derive(Clone, Default)]
pub struct Rounds(Arc<HashMap<ScheduleName, (Arc<Schedule>, Members)>>);

type Members = HashMap<ProbeName, Arc<PlannedProbe>>;

impl Rounds {
    /// The rounds of a plan.
    pub fn of(plan: &Plan) -> Self {
        let members = |schedule: &Schedule| {
            let planned =
                schedule.probes.iter().filter_map(|name| Some((name.clone(), Arc::clone(plan.probes.get(name)?))));
            planned.collect()
        };
        let rounds = plan.schedules.iter();
        Self(Arc::new(rounds.map(|(name, of)| (name.clone(), (Arc::clone(of), members(of)))).collect()))
    }

    /// The schedule and the probe; none where that schedule has no such probe, as after a reload that came while a run was
    /// going on.
    pub fn get(&self, schedule: &ScheduleName, probe: &ProbeName) -> Option<(&Arc<Schedule>, &Arc<PlannedProbe>)> {
        let (schedule, members) = self.0.get(schedule)?;
        Some((schedule, members.get(probe)?))
    }
}
