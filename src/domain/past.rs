//! What objectives ask about the runs that were before they began to count: a process that starts, or another configuration,
//! looks back on a whole window.

use std::collections::BTreeMap;
use std::time::Duration;

use super::names::{ProbeName, ScheduleName};
use super::objective::{Goal, Objective};
use super::outcome::{RunId, StepOutcome};
use super::time::Timestamp;

/// What is asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Question {
    /// Its number: an answer to an earlier one comes too late.
    pub number: u64,
    /// Runs that started then or later …
    pub from: Timestamp,
    /// … and before.
    pub until: Timestamp,
    /// Of which schedules and probes, and how much of each run.
    pub rounds: BTreeMap<ScheduleName, BTreeMap<ProbeName, Detail>>,
}

/// Of which runs the steps are wanted, which cost more to read. Those that failed are wanted by their id.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Detail {
    /// Of all of them.
    pub of_all: bool,
    /// Of those that took longer.
    pub slower_than: Option<Duration>,
}

impl Detail {
    /// The same for another objective as well.
    #[must_use]
    pub fn with(self, objective: &Objective) -> Self {
        match (&objective.goal, &objective.step) {
            (Goal::Success(_) | Goal::Errors(_), _) => self,
            (Goal::Within(..), Some(_)) => Self { of_all: true, ..self },
            (Goal::Within(_, limit), None) => {
                Self { slower_than: Some(self.slower_than.map_or(*limit, |known| known.min(*limit))), ..self }
            }
        }
    }

    /// Whether it is wanted of a run.
    pub fn wants(self, failed: bool, duration: Duration) -> bool {
        failed || self.of_all || self.slower_than.is_some_and(|limit| duration > limit)
    }
}

/// A part of the answer.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct PastRuns {
    /// Runs in which we could look and that served a slot, oldest first.
    pub runs: Vec<PastRun>,
    /// Where the rest begins; nothing where this was all.
    pub next: Option<Timestamp>,
}

/// A run that was.
#[derive(Clone, Debug, PartialEq)]
pub struct PastRun {
    /// The schedule.
    pub schedule: ScheduleName,
    /// The probe.
    pub probe: ProbeName,
    /// When it started.
    pub started_at: Timestamp,
    /// How long its steps took.
    pub duration: Duration,
    /// Whether it failed.
    pub failed: bool,
    /// Its id and its steps, where they are wanted.
    pub detail: Option<(RunId, Vec<StepOutcome>)>,
}
