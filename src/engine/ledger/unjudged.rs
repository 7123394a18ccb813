//! Runs that move no state, and why.

use std::fmt;

use super::{Ledger, watched};
use crate::domain::judge::AlertPolicy;
use crate::domain::names::ScheduleName;
use crate::domain::outcome::Run;
use crate::domain::pause::Pause;
use crate::domain::schedule::Schedule;
use crate::domain::time::Timestamp;
use crate::engine::rounds::Rounds;

/// Why a run moves no state.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Unjudged {
    /// It was made off all schedules, and the alert is that of a schedule.
    Off,
    /// That nothing is seen from here is told once, and not of each probe.
    CutOff,
    /// What is paused keeps its state.
    Paused(Box<Pause>),
    /// No alert watches the probe on that schedule, as after a reload that came while the run was going on.
    Unwatched(ScheduleName),
}

impl fmt::Display for Unjudged {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Off => f.write_str("no schedule has it"),
            Self::CutOff => f.write_str("Roundsman has no network"),
            Self::Paused(pause) => write!(f, "it is {pause}"),
            Self::Unwatched(schedule) => write!(f, "no alert is set for it on {schedule}"),
        }
    }
}

impl Ledger {
    /// By what a run is judged.
    pub(super) fn judged_by<'a>(
        &self,
        rounds: &'a Rounds,
        run: &Run,
        is_cut_off: bool,
        now: Timestamp,
    ) -> Result<(&'a Schedule, &'a AlertPolicy), Unjudged> {
        let schedule = run.schedule.as_ref().ok_or(Unjudged::Off)?;
        if is_cut_off {
            return Err(Unjudged::CutOff);
        }
        if let Some(pause) = self.paused.find(Some(schedule), &run.probe, now) {
            return Err(Unjudged::Paused(Box::new(pause)));
        }
        watched(rounds, schedule, &run.probe).ok_or_else(|| Unjudged::Unwatched(schedule.clone()))
    }
}
