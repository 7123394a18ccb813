//! The judge remembers: a pure step from (rule, state, run) to (state, transition). Three things are watched apart for
//! each schedule and probe: whether the target fails, whether it is degraded, and whether we cannot look.

use std::collections::{BTreeSet, VecDeque};
use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::flapping::FlappingPolicy;
use super::grading::Grading;
use super::incident::Severity;
use super::names::{ChannelName, ProbeName, ScheduleName};
use super::outcome::{Cause, Run, Verdict};
use super::time::Timestamp;

/// The largest number of runs that a policy may look back on.
pub const WINDOW_MAX: u32 = 100;

/// When runs become a page, and when it is over: a rule for each aspect.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AlertPolicy {
    /// Of a target that fails.
    pub failing: Rule,
    /// How much that matters where it depends on what fails; without it as much as the rule says.
    pub grading: Option<Grading>,
    /// Of one that is degraded; without it nobody hears of that.
    pub degraded: Option<Rule>,
    /// Of one that we cannot see.
    pub blind: Rule,
    /// How long after a run that leaves the target in doubt the probe is run again, off its slots.
    pub recheck: Option<Duration>,
    /// When coming and going is one incident.
    pub flapping: FlappingPolicy,
    /// What is run once, off the slots, when it fires.
    pub diagnose: Vec<ProbeName>,
}

impl AlertPolicy {
    /// The rule for an aspect; none where nobody wants to hear of it, nor for a budget, which objectives judge, nor for what is of
    /// Roundsman itself.
    pub fn rule(&self, aspect: Aspect) -> Option<&Rule> {
        match aspect {
            Aspect::Failing => Some(&self.failing),
            Aspect::Degraded => self.degraded.as_ref(),
            Aspect::Blind => Some(&self.blind),
            Aspect::Burning | Aspect::NoNetwork | Aspect::Unrecorded | Aspect::StateLost => None,
        }
    }

    /// Its rules, each with what it is of.
    pub fn rules(&self) -> impl Iterator<Item = (Aspect, &Rule)> {
        Aspect::ALL.into_iter().filter_map(|aspect| Some((aspect, self.rule(aspect)?)))
    }

    /// Every severity that an incident may open with or rise to which routes are asked about: a rule that names channels
    /// asks none.
    pub fn routed_severities(&self) -> BTreeSet<Severity> {
        let rules = self.rules().filter(|(_, rule)| rule.to.is_empty()).map(|(_, rule)| rule.severity);
        let graded = self.grading.iter().filter(|_| self.failing.to.is_empty()).flat_map(Grading::severities);
        rules.chain(graded).collect()
    }
}

/// When runs that are bad in one aspect become a page, and when it is over.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rule {
    /// How many bad runs fire.
    pub after: After,
    /// How many good ones in a row end it.
    pub recover: u32,
    /// How much it matters.
    pub severity: Severity,
    /// How long after whoever was told is told again, as long as nobody acknowledges; twice as long each time, up to a day.
    pub remind: Option<Duration>,
    /// The channels that are told, whatever routes say; those of a route where there are none.
    pub to: Vec<ChannelName>,
}

/// How many runs that say nothing open an incident of their own where nothing is said of them.
pub const BLIND_AFTER: After = After { failures: 3, among: 3 };

/// `N` failures in a row, or `N of M` among the last M runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct After {
    /// How many failures.
    pub failures: u32,
    /// Among how many runs; the same number means in a row.
    pub among: u32,
}

impl Default for After {
    fn default() -> Self {
        Self { failures: 1, among: 1 }
    }
}

impl fmt::Display for After {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.failures == self.among {
            write!(f, "{}", self.failures)
        } else {
            write!(f, "{} of {}", self.failures, self.among)
        }
    }
}

/// Why a text is not an `after`.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AfterError {
    /// Not `2` and not `2 of 3`.
    #[error("`{0}` is neither a number of failures like `2` nor one among many like `2 of 3`")]
    Form(String),
    /// Zero failures would always fire.
    #[error("`after` needs at least one failure")]
    Zero,
    /// More failures than runs.
    #[error("{0} failures cannot come among {1} runs")]
    Impossible(u32, u32),
    /// A window beyond what is kept.
    #[error("`after` looks back on at most {WINDOW_MAX} runs, not {0}")]
    TooMany(u32),
}

impl After {
    /// Checks the numbers.
    pub fn new(failures: u32, among: u32) -> Result<Self, AfterError> {
        if failures == 0 {
            return Err(AfterError::Zero);
        }
        if failures > among {
            return Err(AfterError::Impossible(failures, among));
        }
        if among > WINDOW_MAX {
            return Err(AfterError::TooMany(among));
        }
        Ok(Self { failures, among })
    }
}

impl FromStr for After {
    type Err = AfterError;
    fn from_str(text: &str) -> Result<Self, AfterError> {
        let number = |part: &str| part.trim().parse::<u32>().map_err(|_| AfterError::Form(text.to_owned()));
        match text.split_once(" of ") {
            Some((failures, among)) => Self::new(number(failures)?, number(among)?),
            None => number(text).and_then(|failures| Self::new(failures, failures)),
        }
    }
}

/// What is watched.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Aspect {
    /// The target does not do what is expected.
    Failing,
    /// It does what is expected, and not all that should be: a warning does not hold.
    Degraded,
    /// We cannot look: "Roundsman cannot see X".
    Blind,
    /// The error budget of an objective is used up too quickly. No single run says so.
    Burning,
    /// Roundsman itself has no network. No single run says so.
    NoNetwork,
    /// Roundsman cannot write down what happens.
    Unrecorded,
    /// Roundsman has lost what it knew.
    StateLost,
}

impl Aspect {
    /// Every aspect.
    pub const ALL: [Self; 7] =
        [Self::Failing, Self::Degraded, Self::Blind, Self::Burning, Self::NoNetwork, Self::Unrecorded, Self::StateLost];

    /// Whether it is of Roundsman itself, and of no probe.
    pub fn is_own(self) -> bool {
        matches!(self, Self::NoNetwork | Self::Unrecorded | Self::StateLost)
    }

    /// Whether a verdict is bad in this aspect; `None` when it says nothing about it. For failing, degraded counts as passed;
    /// for degraded, a failure says nothing, since warnings are not asked then. A run that we could not finish says nothing
    /// about the target, and a shutdown, or a run that was skipped, nothing at all.
    pub fn bad(self, verdict: &Verdict) -> Option<bool> {
        match (self, verdict) {
            (Self::Failing | Self::Degraded, Verdict::Inconclusive(_))
            | (Self::Degraded, Verdict::Failed(_))
            | (Self::Blind, Verdict::Inconclusive(Cause::ShutDown | Cause::Skipped))
            | (Self::Burning | Self::NoNetwork | Self::Unrecorded | Self::StateLost, _) => None,
            (Self::Failing, verdict) => Some(matches!(verdict, Verdict::Failed(_))),
            (Self::Degraded, verdict) => Some(matches!(verdict, Verdict::Degraded(_))),
            (Self::Blind, verdict) => Some(matches!(verdict, Verdict::Inconclusive(_))),
        }
    }

    /// The word in the store and in messages.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Failing => "failing",
            Self::Degraded => "degraded",
            Self::Blind => "blind",
            Self::Burning => "burning",
            Self::NoNetwork => "no_network",
            Self::Unrecorded => "unrecorded",
            Self::StateLost => "state_lost",
        }
    }
}

/// Whose state it is.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct AlertKey {
    /// The schedule whose runs are judged.
    pub schedule: ScheduleName,
    /// The probe.
    pub probe: ProbeName,
    /// What is watched.
    pub aspect: Aspect,
}

/// What the judge remembers between two runs.
#[derive(Clone, Debug, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "state")]
pub enum AlertState {
    /// Nothing bad among the runs that count.
    #[default]
    Healthy,
    /// Something bad, not enough to fire.
    Suspect {
        /// The first bad run of the window.
        since: Timestamp,
        /// The last runs that counted, oldest first; true is bad.
        recent: VecDeque<bool>,
    },
    /// It fired and has not recovered.
    Firing {
        /// The first bad run.
        since: Timestamp,
        /// Good runs in a row so far.
        passes: u32,
    },
}

impl AlertState {
    /// Whether one more run may change it: bad and not firing yet, or firing and well again for less than it takes.
    pub fn is_in_doubt(&self) -> bool {
        match self {
            Self::Healthy => false,
            Self::Suspect { .. } => true,
            Self::Firing { passes, .. } => *passes > 0,
        }
    }
}

/// A change of alert state that others are told of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Transition {
    /// Enough bad runs.
    Fired {
        /// The first of them.
        since: Timestamp,
    },
    /// Enough good runs.
    Recovered,
}

/// One step of the judge. `run` is read for its verdict and its start only.
pub fn judge(rule: &Rule, aspect: Aspect, state: &AlertState, run: &Run) -> (AlertState, Option<Transition>) {
    let after = rule.after;
    let Some(bad) = aspect.bad(&run.verdict) else { return (state.clone(), None) };
    match state {
        AlertState::Firing { since, passes } => {
            let passes = if bad { 0 } else { passes + 1 };
            if passes >= rule.recover {
                (AlertState::Healthy, Some(Transition::Recovered))
            } else {
                (AlertState::Firing { since: *since, passes }, None)
            }
        }
        AlertState::Healthy => weigh(after, VecDeque::new(), run.started_at, bad, run),
        AlertState::Suspect { since, recent } => weigh(after, recent.clone(), *since, bad, run),
    }
}

fn weigh(
    after: After,
    mut recent: VecDeque<bool>,
    since: Timestamp,
    bad: bool,
    run: &Run,
) -> (AlertState, Option<Transition>) {
    recent.push_back(bad);
    while recent.len() > after.among as usize {
        recent.pop_front();
    }
    // Runs before the first bad one of the window no longer say anything.
    let dropped_all_bad = !recent.contains(&true);
    if dropped_all_bad {
        return (AlertState::Healthy, None);
    }
    let since = if bad && recent.iter().filter(|bad| **bad).count() == 1 { run.started_at } else { since };
    let failures = recent.iter().filter(|bad| **bad).count();
    if failures >= after.failures as usize {
        (AlertState::Firing { since, passes: 0 }, Some(Transition::Fired { since }))
    } else if after.failures == after.among && !bad {
        // In a row means that one good run begins the count anew.
        (AlertState::Healthy, None)
    } else {
        (AlertState::Suspect { since, recent }, None)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::outcome::{Cause, Failure, FailureKind, RunId};
    use std::sync::Arc;

    fn run(second: i64, letter: char) -> Run {
        let failure = Failure::new(FailureKind::Expect, "x");
        let at = chrono::DateTime::from_timestamp(second, 0).unwrap();
        Run {
            id: RunId(Arc::from("r")),
            location: Arc::from("here"),
            probe: ProbeName::parse("p").unwrap(),
            schedule: Some(ScheduleName::parse("s").unwrap()),
            extra: None,
            slot: at,
            due_at: at,
            started_at: at,
            duration: Duration::ZERO,
            lateness: Duration::ZERO,
            verdict: match letter {
                '.' => Verdict::Passed,
                'd' => Verdict::Degraded(vec![failure]),
                'x' => Verdict::Failed(vec![failure]),
                '?' => Verdict::Inconclusive(Cause::Ours(Failure::new(FailureKind::Internal, "x"))),
                _ => Verdict::Inconclusive(Cause::ShutDown),
            },
            steps: Vec::new(),
            bundle: None,
        }
    }

    fn rule(after: &str, recover: u32) -> Rule {
        Rule { after: after.parse().unwrap(), recover, severity: Severity::P3, remind: None, to: Vec::new() }
    }

    #[test]
    fn what_one_more_run_may_change_is_in_doubt() {
        let rule = rule("2 of 3", 2);
        let mut state = AlertState::default();
        let doubts = ".x.x.x..".chars().zip(0..).map(|(letter, second)| {
            state = judge(&rule, Aspect::Failing, &state, &run(second, letter)).0;
            if state.is_in_doubt() { '?' } else { '-' }
        });
        assert_eq!(doubts.collect::<String>(), "-??-?-?-");
    }

    /// A trace: each letter is a run (`.` passed, `d` degraded, `x` failed, `?` ours, `!` shut down); the answer shows
    /// after each run `h`, `s` or `f`, in capitals where a transition was made.
    fn trace(after: &str, recover: u32, aspect: Aspect, runs: &str) -> String {
        let rule = rule(after, recover);
        let mut state = AlertState::default();
        runs.chars()
            .enumerate()
            .map(|(second, letter)| {
                let (next, transition) = judge(&rule, aspect, &state, &run(i64::try_from(second).unwrap(), letter));
                state = next;
                let word = match state {
                    AlertState::Healthy => 'h',
                    AlertState::Suspect { .. } => 's',
                    AlertState::Firing { .. } => 'f',
                };
                if transition.is_some() { word.to_ascii_uppercase() } else { word }
            })
            .collect()
    }

    #[test]
    fn traces() {
        let failing = Aspect::Failing;
        for (after, recover, runs, expected) in [
            ("1", 1, ".x.x", "hFHF"),
            ("2", 1, "x.xx.", "shsFH"),
            ("3", 1, "xx.xxxx", "sshssFf"),
            ("2 of 3", 1, "x.x.", "ssFH"),
            ("2 of 3", 1, "x...x..", "ssshsss"),
            ("2 of 3", 2, "xx.x..", "sFfffH"),
            // Degraded counts as passed; inconclusive counts as neither and keeps the count.
            ("2", 1, "xdx", "shs"),
            ("2", 1, "x??x", "sssF"),
            ("1", 2, "x.?.", "FffH"),
            ("2", 1, "x!x", "ssF"),
        ] {
            assert_eq!(trace(after, recover, failing, runs), expected, "after {after}, recover {recover}: {runs}");
        }
    }

    #[test]
    fn lasting_blindness_is_judged_apart() {
        assert_eq!(trace("3", 1, Aspect::Blind, "xx??.???x"), "hhsshssFH");
        assert_eq!(trace("3", 1, Aspect::Blind, "??!!?"), "ssssF");
    }

    #[test]
    fn what_is_degraded_is_judged_apart_and_by_runs_that_asked() {
        for (after, recover, runs, expected) in [
            ("2", 1, "d.dd.", "shsFH"),
            ("2", 1, "dxd", "ssF"),
            ("2", 1, "d?!d", "sssF"),
            ("1", 2, "d.xx.", "FfffH"),
            ("1", 1, ".x?x", "hhhh"),
        ] {
            let trace = trace(after, recover, Aspect::Degraded, runs);
            assert_eq!(trace, expected, "after {after}, recover {recover}: {runs}");
        }
    }

    #[test]
    fn since_is_the_first_bad_run_of_those_that_fired() {
        let rule = rule("2 of 3", 1);
        let mut state = AlertState::default();
        let mut fired = None;
        for (second, letter) in "x..x.x".chars().enumerate() {
            let (next, transition) =
                judge(&rule, Aspect::Failing, &state, &run(i64::try_from(second).unwrap(), letter));
            state = next;
            fired = fired.or(transition);
        }
        assert_eq!(fired, Some(Transition::Fired { since: chrono::DateTime::from_timestamp(3, 0).unwrap() }));
    }

    #[test]
    fn after_takes_a_number_or_one_among_many() {
        assert_eq!("2".parse::<After>().unwrap(), After { failures: 2, among: 2 });
        assert_eq!("2 of 3".parse::<After>().unwrap().to_string(), "2 of 3");
        for (text, why) in [
            ("0", "`after` needs at least one failure"),
            ("3 of 2", "3 failures cannot come among 2 runs"),
            ("often", "`often` is neither a number of failures like `2` nor one among many like `2 of 3`"),
            ("1 of 1000", "`after` looks back on at most 100 runs, not 1000"),
        ] {
            assert_eq!(text.parse::<After>().unwrap_err().to_string(), why);
        }
    }

    #[test]
    fn state_survives_the_store() {
        let state = AlertState::Suspect {
            since: chrono::DateTime::from_timestamp(7, 0).unwrap(),
            recent: [true, false].into(),
        };
        let text = serde_json::to_string(&state).unwrap();
        assert_eq!(serde_json::from_str::<AlertState>(&text).unwrap(), state);
    }
}
