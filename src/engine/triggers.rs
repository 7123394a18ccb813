//! Runs that somebody wants now. Who triggers a probe hears at once which runs there will be, and of each how it came out
//! after the commit that records it. A probe on several schedules is run for one after the other, since two runs at once would
//! see each other. The dispatcher owns this, because every run comes back to it.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::oneshot;

use super::plan::Plan;
use super::runner::new_id;
use super::scheduler::extras::{ExtraRun, Refusal};
use crate::domain::incident::IncidentId;
use crate::domain::names::{ProbeName, ScheduleName};
use crate::domain::outcome::{Extra, Run, RunId};
use crate::domain::time::{Length, Monotonic, Timestamp};

/// A probe is triggered at most so often: whoever presses again and again must not be a load on the target.
pub const TRIGGER_EVERY: Duration = Duration::from_secs(10);

/// How many probes are triggered at once at most.
const GOING_MAX: usize = 256;

/// A run that has not come back after so long was lost on the way.
const LOST_AFTER: Duration = Duration::from_secs(2 * 3_600);

/// Why a probe is not triggered.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TriggerError {
    /// The plan has none of that name.
    #[error("there is no probe `{0}`")]
    Unknown(String),
    /// It is not on that schedule.
    #[error("{probe} is not on a schedule `{schedule}`{on}")]
    NotOn {
        /// The probe.
        probe: ProbeName,
        /// The schedule.
        schedule: String,
        /// The schedules on which it is, in words.
        on: String,
    },
    /// It was triggered a moment ago.
    #[error(
        "{probe} was triggered less than {} ago: once in {} is enough",
        Length(TRIGGER_EVERY),
        Length(TRIGGER_EVERY)
    )]
    Soon {
        /// The probe.
        probe: ProbeName,
        /// For how long to wait.
        wait: Duration,
    },
    /// More than anybody looks at.
    #[error("{0} probes are being triggered: wait for one of them")]
    Many(usize),
}

/// The runs that somebody will hear of.
#[derive(Debug)]
pub struct Begun {
    /// Each with its schedule, in the order in which they are made.
    pub runs: Vec<(RunId, Option<ScheduleName>)>,
    /// How they came out, once all have.
    pub ended: oneshot::Receiver<Vec<Triggered>>,
}

/// How a run that somebody wanted came out.
#[derive(Clone, Debug, PartialEq)]
pub struct Triggered {
    /// Its id.
    pub id: RunId,
    /// Its schedule.
    pub schedule: Option<ScheduleName>,
    /// What came of it.
    pub outcome: Result<Box<Judged>, Refusal>,
}

/// A run with what it moved.
#[derive(Clone, Debug, PartialEq)]
pub struct Judged {
    /// The run.
    pub run: Run,
    /// Why it moves no state, in words; absent where it is judged as any run of its schedule.
    pub unjudged: Option<String>,
    /// The incidents of the probe that are open after it.
    pub open: Vec<IncidentId>,
    /// Those that it ended.
    pub resolved: Vec<IncidentId>,
    /// Whether it is in the store; where that rests it is written when the store returns.
    pub recorded: bool,
}

/// The runs that somebody waits for.
#[derive(Default)]
pub struct Triggers {
    going: Vec<Going>,
    /// When each probe was last triggered.
    last: HashMap<ProbeName, Monotonic>,
}

struct Going {
    begun: Monotonic,
    probe: ProbeName,
    /// The first is being made, the others are to come.
    runs: VecDeque<(RunId, Option<ScheduleName>)>,
    ended: Vec<Triggered>,
    answer: oneshot::Sender<Vec<Triggered>>,
}

impl Going {
    fn wish(&self) -> Option<ExtraRun> {
        let (id, schedule) = self.runs.front()?.clone();
        Some(ExtraRun { schedule, probe: self.probe.clone(), why: Extra::Trigger, id: Some(id) })
    }
}

impl Triggers {
    /// Begins: gives what there will be, and the first run to ask for.
    pub fn begin(
        &mut self,
        plan: &Plan,
        probe: &str,
        schedule: Option<&str>,
        (now, monotonic): (Timestamp, Monotonic),
    ) -> Result<(Begun, Option<ExtraRun>), TriggerError> {
        let (probe, schedules) = chosen(plan, probe, schedule)?;
        self.last.retain(|_, at| monotonic.since(*at) < TRIGGER_EVERY);
        if let Some(at) = self.last.get(&probe) {
            return Err(TriggerError::Soon { probe, wait: TRIGGER_EVERY.saturating_sub(monotonic.since(*at)) });
        }
        if self.going.len() >= GOING_MAX {
            self.going.retain(|going| monotonic.since(going.begun) < LOST_AFTER);
        }
        if self.going.len() >= GOING_MAX {
            return Err(TriggerError::Many(self.going.len()));
        }
        self.last.insert(probe.clone(), monotonic);
        let named = |schedule| (RunId(Arc::from(new_id(now).as_str())), schedule);
        let runs: VecDeque<_> = schedules.into_iter().map(named).collect();
        let (answer, ended) = oneshot::channel();
        let begun = Begun { runs: runs.iter().cloned().collect(), ended };
        let going = Going { begun: monotonic, probe, runs, ended: Vec::new(), answer };
        let wish = going.wish();
        self.going.push(going);
        Ok((begun, wish))
    }

    /// Whether somebody waits for a run.
    pub fn awaits(&self, run: &Run) -> bool {
        run.extra == Some(Extra::Trigger) && self.place_of(&run.id).is_some()
    }

    /// A run is not made. Who was in nobody's way may try again at once.
    pub fn refused(&mut self, extra: &ExtraRun, refusal: Refusal) -> Option<Next> {
        let place = self.place_of(extra.id.as_ref()?)?;
        if self.going.get(place).is_some_and(|going| going.ended.iter().all(|ended| ended.outcome.is_err())) {
            self.last.remove(&extra.probe);
        }
        self.go_on(place, Err(refusal))
    }

    /// A run has ended and is recorded, as far as the store takes anything.
    pub fn ended(&mut self, judged: Judged) -> Option<Next> {
        let place = self.place_of(&judged.run.id)?;
        self.go_on(place, Ok(Box::new(judged)))
    }

    fn place_of(&self, run: &RunId) -> Option<usize> {
        self.going.iter().position(|going| going.runs.front().is_some_and(|(id, _)| id == run))
    }

    fn go_on(&mut self, place: usize, outcome: Result<Box<Judged>, Refusal>) -> Option<Next> {
        let going = self.going.get_mut(place)?;
        let (id, schedule) = going.runs.pop_front()?;
        going.ended.push(Triggered { id, schedule, outcome });
        if let Some(wish) = going.wish() {
            return Some(Next::Ask(wish));
        }
        let Going { ended, answer, .. } = self.going.swap_remove(place);
        Some(Next::Answer(answer, ended))
    }
}

/// What is to be done after a run that somebody wanted.
pub enum Next {
    /// Ask for the next.
    Ask(ExtraRun),
    /// Tell whoever waits, who may have gone since.
    Answer(oneshot::Sender<Vec<Triggered>>, Vec<Triggered>),
}

/// The probe that is meant, and for which schedules it is run: for the one that is named, else for all on which it is, else for
/// none.
fn chosen(
    plan: &Plan,
    probe: &str,
    schedule: Option<&str>,
) -> Result<(ProbeName, Vec<Option<ScheduleName>>), TriggerError> {
    let known = plan.probes.get_key_value(probe).map(|(name, _)| name.clone());
    let name = known.ok_or_else(|| TriggerError::Unknown(probe.to_owned()))?;
    let on = plan.schedules.values().filter(|schedule| schedule.has(&name)).map(|schedule| schedule.name.clone());
    let on: Vec<_> = on.collect();
    let Some(schedule) = schedule else {
        let all: Vec<_> = on.into_iter().map(Some).collect();
        return Ok((name, if all.is_empty() { vec![None] } else { all }));
    };
    match on.iter().find(|of| of.as_str() == schedule) {
        Some(of) => Ok((name, vec![Some(of.clone())])),
        None => {
            let names: Vec<_> = on.iter().map(ToString::to_string).collect();
            let on = if names.is_empty() {
                ": it is on none".to_owned()
            } else {
                format!(": it is on {}", names.join(", "))
            };
            Err(TriggerError::NotOn { probe: name, schedule: schedule.to_owned(), on })
        }
    }
}
