//! What people want not to be run for a while. While a probe on a schedule is paused nobody looks, so no run of it moves a
//! state: not the one that somebody triggers, and not the one that was under way. What was open stays open, is not reminded of,
//! and keeps nothing else quiet.

use std::sync::Arc;

use tokio::sync::watch;

use super::{FIRST_LOOK, Ledger};
use crate::domain::incident::Incident;
use crate::domain::names::{ProbeName, ScheduleName};
use crate::domain::pause::{Because, Ended, Pause, PauseError, PauseId, Pauses, Scope};
use crate::domain::quiet::Reason;
use crate::domain::schedule::Schedule;
use crate::domain::text::harmless;
use crate::domain::time::{Timestamp, later};
use crate::engine::plan::Plan;
use crate::engine::runner::new_id;
use crate::ports::Commit;
use crate::settings::suggest;

/// How many pauses there may be that are not over.
pub const PAUSES_MAX: usize = 500;

/// What somebody wants of pauses.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Pausing {
    /// One more.
    Begin {
        /// What is paused.
        what: Scope,
        /// Who wants it.
        by: String,
        /// Why.
        reason: String,
        /// When it is over by itself; absent where somebody has to resume.
        until: Option<Timestamp>,
    },
    /// One less: it is over now.
    End(PauseId),
}

/// The pauses, for whoever heeds them.
pub(super) struct Paused {
    pauses: watch::Sender<Arc<Pauses>>,
    /// How many probes on schedules are paused.
    count: usize,
}

impl Paused {
    /// As an earlier process left them.
    pub(super) fn known(pauses: Vec<Pause>) -> Self {
        Self { pauses: watch::Sender::new(Arc::new(Pauses::of(pauses))), count: 0 }
    }

    /// Why a probe is not run on a schedule, or off all of them.
    pub(super) fn find(&self, schedule: Option<&ScheduleName>, probe: &ProbeName, now: Timestamp) -> Option<Pause> {
        self.pauses.borrow().find(schedule, probe, now).cloned()
    }

    /// Whether it is not run.
    pub(super) fn has(&self, schedule: Option<&ScheduleName>, probe: &ProbeName, now: Timestamp) -> bool {
        self.pauses.borrow().find(schedule, probe, now).is_some()
    }

    /// When the first of them is over by itself.
    pub(super) fn next_at(&self) -> Option<Timestamp> {
        self.pauses.borrow().all().iter().filter_map(|pause| pause.until).min()
    }

    /// Ends one; nothing where there is none of that id.
    fn end(&self, id: &PauseId, ended: Ended) -> Option<Pause> {
        let mut pauses = Pauses::clone(&self.pauses.borrow());
        let pause = pauses.end(id, ended)?;
        self.pauses.send_replace(Arc::new(pauses));
        Some(pause)
    }
}

impl Ledger {
    /// The pauses that are in force, and all that come: whoever starts runs heeds them at once.
    pub fn pauses(&self) -> watch::Receiver<Arc<Pauses>> {
        self.paused.pauses.subscribe()
    }

    /// How many probes on schedules are paused.
    pub fn paused(&self) -> usize {
        self.paused.count
    }

    /// Begins a pause or ends one, and says how it is then.
    pub fn pause(&mut self, what: Pausing, now: Timestamp, commit: &mut Commit) -> Result<Pause, PauseError> {
        self.end_pauses(now, commit);
        let pause = match what {
            Pausing::Begin { what, by, reason, until } => {
                let id = PauseId(Arc::from(new_id(now).as_str()));
                let pause = Pause { id, what, by, reason, from: now, until, ended: None };
                pause.check(now)?;
                fits(&pause.what, &self.plan).map_err(PauseError::Nothing)?;
                let mut pauses = Pauses::clone(&self.paused.pauses.borrow());
                if let Some(known) = pauses.all().iter().find(|known| known.what == pause.what) {
                    return Err(PauseError::Already(Box::new(known.clone())));
                }
                if pauses.all().len() >= PAUSES_MAX {
                    return Err(PauseError::Many(pauses.all().len()));
                }
                pauses.add(pause.clone());
                self.paused.pauses.send_replace(Arc::new(pauses));
                pause
            }
            Pausing::End(id) => {
                let ended = Ended { at: now, because: Because::Resumed };
                self.paused.end(&id, ended).ok_or(PauseError::Unknown(id))?
            }
        };
        commit.put_pause(pause.clone());
        self.heed_pauses(now, commit);
        let takes_all = self.paused.count > 0 && self.paused.count == self.rounds().count();
        if pause.ended.is_none() && takes_all && self.plan.probes.len() > 1 {
            let (by, reason) = (harmless(&pause.by), harmless(&pause.reason));
            tracing::warn!(pause = %pause.id, "no probe is run on its schedule now: {by} paused {}: {reason}", pause.what);
        }
        Ok(pause)
    }

    /// Goes on under another plan, or begins: what takes nothing any more is over.
    pub(super) fn take_pauses(&mut self, now: Timestamp, commit: &mut Commit) {
        let known = Arc::clone(&self.paused.pauses.borrow());
        for pause in known.all().iter().filter(|pause| fits(&pause.what, &self.plan).is_err()) {
            let ended = Ended { at: now, because: Because::Removed };
            commit.pauses.extend(self.paused.end(&pause.id, ended));
        }
        self.end_pauses(now, commit);
        self.heed_pauses(now, commit);
    }

    /// Ends those whose time is over.
    pub(super) fn end_pauses(&mut self, now: Timestamp, commit: &mut Commit) {
        if self.paused.next_at().is_none_or(|at| now < at) {
            return;
        }
        let known = Arc::clone(&self.paused.pauses.borrow());
        for pause in known.all().iter().filter(|pause| !pause.is_active(now)) {
            let ended = Ended { at: pause.until.unwrap_or(now), because: Because::Over };
            commit.pauses.extend(self.paused.end(&pause.id, ended));
        }
        self.heed_pauses(now, commit);
    }

    /// Each probe on each schedule.
    pub(super) fn rounds(&self) -> impl Iterator<Item = (&Schedule, &ProbeName)> {
        self.plan.schedules.values().flat_map(|schedule| schedule.probes.iter().map(|probe| (&**schedule, probe)))
    }

    /// What was paused may be well since: what was due meanwhile waits for as long as after a start, until it is seen.
    fn look_before_words(&mut self, now: Timestamp, commit: &mut Commit) {
        let looked = later(now, FIRST_LOOK);
        let is_over = |incident: &Incident| {
            matches!(incident.quiet, Some(Reason::Paused { .. })) && self.pause_of(incident, now).is_none()
        };
        let over: Vec<_> = self.open.iter().filter(|(_, open)| is_over(open)).map(|(of, _)| of.clone()).collect();
        for of in over {
            let Some(mut incident) = self.open.remove(&of) else { continue };
            incident.remind_at = incident.remind_at.map(|at| at.max(looked));
            incident.escalate_at = incident.escalate_at.map(|at| at.max(looked));
            commit.put_incident(incident.clone());
            self.open.insert(of, incident);
        }
    }

    /// What is paused otherwise than before is told, counted and looked at again otherwise than before.
    fn heed_pauses(&mut self, now: Timestamp, commit: &mut Commit) {
        let is_paused = |(schedule, probe): &(&Schedule, &ProbeName)| self.paused.has(Some(&schedule.name), probe, now);
        self.paused.count = self.rounds().filter(is_paused).count();
        self.weigh_network(now, commit);
        self.take_rechecks(now);
        self.look_before_words(now, commit);
        self.open.stir_quiet(|_| true);
        let taken = self.open.iter().filter(|(_, incident)| self.pause_of(incident, now).is_some());
        let taken: Vec<_> = taken.map(|(of, _)| of.clone()).collect();
        for of in taken {
            let Some(mut incident) = self.open.remove(&of) else { continue };
            let before = incident.quiet.clone();
            self.hush(&mut incident, now, commit);
            if incident.quiet != before {
                commit.put_incident(incident.clone());
            }
            self.open.insert(of, incident);
        }
    }

    /// Why nobody looks at an incident: all that holds it open is paused. Of several pauses the one that is over first.
    pub(super) fn pause_of(&self, incident: &Incident, now: Timestamp) -> Option<Pause> {
        if incident.aspect.is_own() {
            return None;
        }
        let pauses = incident.firing.keys().map(|schedule| self.paused.find(Some(schedule), &incident.probe, now));
        let pauses: Vec<_> = pauses.collect::<Option<_>>()?;
        pauses.into_iter().min_by_key(|pause| pause.until.unwrap_or(Timestamp::MAX_UTC))
    }
}

/// Whether a scope takes anything of a plan; else a sentence with what may be meant.
fn fits(what: &Scope, plan: &Plan) -> Result<(), String> {
    let unknown = |sort: &str, pattern: &str, known: Vec<&str>| {
        let help = suggest(pattern, known).map(|help| format!(": {help}")).unwrap_or_default();
        Err(format!("there is no {sort} `{pattern}`{help}"))
    };
    match what {
        Scope::Probes(pattern) => {
            if plan.probes.keys().any(|probe| what.takes(None, probe)) {
                return Ok(());
            }
            let is_schedule = plan.schedules.keys().any(|schedule| schedule.as_str() == pattern);
            if is_schedule {
                return Err(format!("there is no probe `{pattern}`: for the schedule write `schedule:{pattern}`"));
            }
            unknown("probe", pattern, plan.probes.keys().map(ProbeName::as_str).collect())
        }
        Scope::Schedules(pattern) => {
            if plan.schedules.keys().any(|schedule| crate::domain::names::glob(pattern, schedule.as_str())) {
                return Ok(());
            }
            unknown("schedule", pattern, plan.schedules.keys().map(ScheduleName::as_str).collect())
        }
    }
}
