//! Runs off the slots: somebody wants to know of a probe before its next slot. Such a run is made, judged and recorded as
//! any other, marked with why; it has no slot, so the account of slots does not know it. What is paused is not run for that,
//! unless somebody triggers it: that is what one does before resuming.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use super::{Scheduler, Served};
use crate::domain::names::{ProbeName, ScheduleName};
use crate::domain::outcome::{Extra, RunId};
use crate::domain::time::later;
use crate::engine::calendar::timeout;
use crate::engine::runner::{OVERTIME, Order};

/// How long a run off the slots waits for a permit: later it answers nobody.
pub(super) const PERMIT_WAIT_MAX: Duration = Duration::from_secs(5);

/// A run that somebody wants off the slots. It comes back to the dispatcher as any run does, marked with why, or is
/// refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExtraRun {
    /// The schedule for whose alert state it counts, and whose permits and budget it takes; without one it is not judged.
    pub schedule: Option<ScheduleName>,
    /// The probe.
    pub probe: ProbeName,
    /// Why it is wanted.
    pub why: Extra,
    /// What its run is called, where somebody waits for that one.
    pub id: Option<RunId>,
}

/// Why there is no such run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// The plan has no such probe, or not on that schedule.
    Gone,
    /// A run of the probe goes on, on whichever schedule: its result comes soon, and two at once would see each other.
    Busy,
    /// The next slot is so near that its own run would be skipped for this one.
    Slot,
    /// Somebody has paused it; only who wants to know now runs it all the same.
    Paused,
    /// No permit came free in time.
    Saturated,
}

impl Scheduler {
    /// Starts a run off the slots, or says why not.
    pub(super) fn start_extra(&mut self, extra: &ExtraRun) -> Result<(), Refusal> {
        let probe = self.plan.probes.get(&extra.probe).ok_or(Refusal::Gone)?;
        let of_name = |name| self.rounds.get(name, &extra.probe).map(|(schedule, _)| schedule).ok_or(Refusal::Gone);
        let schedule = extra.schedule.as_ref().map(of_name).transpose()?;
        let (now, due) = (self.clock.now(), self.clock.monotonic());
        if extra.why != Extra::Trigger && self.is_paused(extra.schedule.as_ref(), &extra.probe, now) {
            return Err(Refusal::Paused);
        }
        if self.in_flight.is_busy(&extra.probe) {
            return Err(Refusal::Busy);
        }
        // What is only in doubt is judged by the next slot as well; who asks for another reason cannot wait for that.
        if extra.why == Extra::Recheck
            && let Some(schedule) = schedule
        {
            let ends_at = later(now, probe.longest(timeout(schedule, probe)) + OVERTIME);
            if self.calendar.next_due(&schedule.name, &probe.name, now).is_some_and(|next| next < ends_at) {
                return Err(Refusal::Slot);
            }
        }
        let order = Order {
            plan: Arc::clone(&self.plan),
            probe: Arc::clone(probe),
            schedule: schedule.cloned(),
            extra: Some(extra.why),
            slot: now,
            due_at: now,
            due,
        };
        self.start(Served::Extra(extra.clone()), order);
        Ok(())
    }
}

/// Which probes are being run, and for which schedules.
#[derive(Default)]
pub(super) struct InFlight(HashMap<ProbeName, Vec<Option<ScheduleName>>>);

impl InFlight {
    /// A run begins.
    pub(super) fn begin(&mut self, probe: &ProbeName, schedule: Option<ScheduleName>) {
        self.0.entry(probe.clone()).or_default().push(schedule);
    }

    /// It has ended.
    pub(super) fn end(&mut self, probe: &ProbeName, schedule: Option<&ScheduleName>) {
        let Some(running) = self.0.get_mut(probe) else { return };
        if let Some(at) = running.iter().position(|of| of.as_ref() == schedule) {
            running.swap_remove(at);
        }
        if running.is_empty() {
            self.0.remove(probe);
        }
    }

    /// Whether a run of the probe on that schedule goes on.
    pub(super) fn has(&self, probe: &ProbeName, schedule: &ScheduleName) -> bool {
        self.0.get(probe).is_some_and(|running| running.iter().flatten().any(|of| of == schedule))
    }

    /// Whether any run of the probe goes on.
    fn is_busy(&self, probe: &ProbeName) -> bool {
        self.0.contains_key(probe)
    }
}
