//! What objectives have counted, and what comes of it once a minute: how each stands, its metrics, and an incident where an
//! error budget is used up too quickly.
//!
//! Counting is the runs' own: each adds to its tallies as it ends, and a process that starts asks [`crate::engine::recall`] for
//! those that were before. So an objective costs a run a few additions, and needs no store that works.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;

use super::{Ledger, Sight, moment};
use crate::domain::incident::Severity;
use crate::domain::judge::{AlertKey, AlertState, Aspect};
use crate::domain::metric::Sample;
use crate::domain::names::{ProbeName, ScheduleName};
use crate::domain::objective::{BurnRule, Objective, Standing, Standings, Weighed};
use crate::domain::outcome::{Failure, FailureKind, Run, RunId, Verdict};
use crate::domain::past::{Detail, PastRun, PastRuns, Question};
use crate::domain::quiet::MaintenanceWindow;
use crate::domain::tally::{Count, Counts, Tally};
use crate::domain::time::{Length, Timestamp, earlier, later};
use crate::engine::plan::Plan;
use crate::engine::runner::new_id;
use crate::ports::Commit;

/// How often it is looked how they stand.
const LOOK: Duration = Duration::from_secs(60);

/// After so many looks a metric is told again though it is the same: a publisher may have had no room for it.
const TOLD_AGAIN: u64 = 60;

/// More metrics than this are not told at once: publishers have little room, and the rest goes with the next look.
const TOLD_MAX: usize = 20_000;

/// The objectives of the plan.
pub struct Objectives {
    rounds: HashMap<ScheduleName, HashMap<ProbeName, Round>>,
    windows: Vec<Opening>,
    /// The number of the last question.
    number: u64,
    question: watch::Sender<Option<Arc<Question>>>,
    standings: watch::Sender<Arc<Standings>>,
    look_at: Option<Timestamp>,
    looks: u64,
    /// Metrics that were not handed on yet.
    samples: Vec<Sample>,
}

impl Default for Objectives {
    fn default() -> Self {
        Self {
            rounds: HashMap::new(),
            windows: Vec::new(),
            number: 0,
            question: watch::Sender::new(None),
            standings: watch::Sender::default(),
            look_at: None,
            looks: 0,
            samples: Vec::new(),
        }
    }
}

/// A probe on a schedule that has objectives.
#[derive(Default)]
struct Round {
    /// The windows that are about it, by their place.
    windows: Vec<usize>,
    kept: Vec<Kept>,
    last_bad: Option<RunId>,
    /// A process before this one, or a configuration before this one, knew which rules held.
    is_restored: bool,
    /// What was last said of what burns.
    said: Said,
}

/// The objectives that burn, each with how much that matters.
type Said = Vec<(Arc<str>, Severity)>;

/// An objective with what it has counted.
struct Kept {
    objective: Arc<Objective>,
    tally: Tally,
    /// Runs that started before are those of the store.
    since: Timestamp,
    /// The question whose answer is not here yet.
    awaited: Option<u64>,
    /// Which rules hold.
    burning: [bool; 3],
    /// What its metrics are made of, as they were last told.
    told: Option<(Count, [Option<f64>; 3])>,
}

/// A maintenance window, and whether it is open in the stretch of time that was looked at last. Runs come in the order of
/// time, nearly, so that its cadence is asked when it opens and when it closes and not for each run.
struct Opening {
    window: MaintenanceWindow,
    known: Option<(Timestamp, Timestamp, bool)>,
}

impl Opening {
    fn is_open(&mut self, at: Timestamp) -> bool {
        if let Some((_, _, is_open)) = self.known.filter(|(from, until, _)| (*from..*until).contains(&at)) {
            return is_open;
        }
        let (until, is_open) = match self.window.until(at) {
            Some(until) => (until, true),
            None => (self.window.opens_after(at).unwrap_or(Timestamp::MAX_UTC), false),
        };
        self.known = Some((at, until, is_open));
        is_open
    }
}

/// What a run says, whether it has just ended or is read from the store.
struct Heard<'a> {
    started_at: Timestamp,
    id: Option<&'a RunId>,
    weighed: Weighed<'a>,
}

impl Objectives {
    /// Goes on under another plan. What goes on unchanged keeps its counts; the rest is asked of the store.
    fn take(&mut self, plan: &Plan, now: Timestamp, is_firing: impl Fn(&AlertKey) -> bool) {
        let windows_stay = self.windows.iter().map(|opening| &opening.window).eq(&plan.maintenance);
        let mut before = std::mem::take(&mut self.rounds);
        self.windows = plan.maintenance.iter().map(|window| Opening { window: window.clone(), known: None }).collect();
        self.number += 1;
        let mut asked: BTreeMap<ScheduleName, BTreeMap<ProbeName, Detail>> = BTreeMap::new();
        let mut over = Duration::ZERO;
        for schedule in plan.schedules.values().filter(|schedule| !schedule.objectives.is_empty()) {
            for name in &schedule.probes {
                let Some(probe) = plan.probes.get(name) else { continue };
                let windows = plan.maintenance.iter().enumerate();
                let windows = windows.filter(|(_, of)| of.matchers.take_round(&schedule.name, name, &probe.labels));
                let windows: Vec<_> = windows.map(|(place, _)| place).collect();
                let mut known = before.get_mut(&schedule.name).and_then(|of| of.remove(name)).unwrap_or_default();
                if !windows_stay || known.windows != windows {
                    known.kept.clear();
                }
                let mut round = Round { windows, last_bad: known.last_bad, said: known.said, ..Round::default() };
                for objective in plan.objectives(schedule, name) {
                    let is_same = |kept: &Kept| {
                        let of = |one: &Objective| (one.goal, one.over, one.step.clone());
                        kept.awaited.is_none() && of(&kept.objective) == of(objective)
                    };
                    let kept = known.kept.iter().position(is_same).map(|place| known.kept.swap_remove(place));
                    let kept = kept.map(|kept| Kept { objective: Arc::clone(objective), told: None, ..kept });
                    round.kept.push(kept.unwrap_or_else(|| {
                        over = over.max(objective.over);
                        let detail = asked.entry(schedule.name.clone()).or_default().entry(name.clone()).or_default();
                        *detail = detail.with(objective);
                        Kept {
                            objective: Arc::clone(objective),
                            tally: Tally::over(objective.over),
                            since: now,
                            awaited: Some(self.number),
                            burning: [false; 3],
                            told: None,
                        }
                    }));
                }
                let key = AlertKey { schedule: schedule.name.clone(), probe: name.clone(), aspect: Aspect::Burning };
                round.is_restored = round.kept.iter().any(|kept| kept.awaited.is_some()) && is_firing(&key);
                self.rounds.entry(schedule.name.clone()).or_default().insert(name.clone(), round);
            }
        }
        let question = Question { number: self.number, from: earlier(now, over), until: now, rounds: asked };
        self.question.send_replace((!question.rounds.is_empty()).then(|| Arc::new(question)));
        self.look_at = None;
        if self.rounds.is_empty() {
            self.standings.send_replace(Arc::new(Standings { at: Some(now), standings: Vec::new() }));
        }
    }

    /// Counts a run that has ended. One off the slots is made where something is in doubt, and would weigh it more than what is
    /// well; one in which we could not look says nothing.
    pub fn take_run(&mut self, run: &Run) {
        if self.rounds.is_empty() || run.extra.is_some() || matches!(run.verdict, Verdict::Inconclusive(_)) {
            return;
        }
        let Some(round) = run.schedule.as_ref().and_then(|name| self.rounds.get_mut(name)?.get_mut(&run.probe)) else {
            return;
        };
        let failed = matches!(run.verdict, Verdict::Failed(_));
        let weighed = Weighed { failed, duration: run.duration, steps: &run.steps };
        let heard = Heard { started_at: run.started_at, id: Some(&run.id), weighed };
        count(round, &mut self.windows, &heard, |kept| run.started_at >= kept.since);
    }

    /// Counts runs that were before.
    pub fn take_past(&mut self, number: u64, past: &PastRuns) {
        if number != self.number {
            return;
        }
        for run in &past.runs {
            let PastRun { schedule, probe, started_at, duration, failed, detail } = run;
            let Some(round) = self.rounds.get_mut(schedule).and_then(|of| of.get_mut(probe)) else { continue };
            let (id, steps) = detail.as_ref().map(|(id, steps)| (id, steps.as_slice())).unzip();
            let weighed = Weighed { failed: *failed, duration: *duration, steps: steps.unwrap_or_default() };
            let heard = Heard { started_at: *started_at, id, weighed };
            count(round, &mut self.windows, &heard, |kept| kept.awaited == Some(number) && *started_at < kept.since);
        }
        if past.next.is_none() {
            let all = self.rounds.values_mut().flat_map(HashMap::values_mut).flat_map(|round| &mut round.kept);
            all.for_each(|kept| kept.awaited = None);
            self.look_at = None;
        }
    }
}

/// Counts what a run says to those of its objectives that want to hear it, unless it was in maintenance of either mode: what
/// was planned is nobody's failure, and no success either.
fn count(round: &mut Round, windows: &mut [Opening], heard: &Heard<'_>, wants: impl Fn(&Kept) -> bool) {
    let mut of_round = round.windows.iter();
    if of_round.any(|place| windows.get_mut(*place).is_some_and(|window| window.is_open(heard.started_at))) {
        return;
    }
    for kept in round.kept.iter_mut().filter(|kept| wants(kept)) {
        let Some(bad) = kept.objective.weigh(&heard.weighed) else { continue };
        kept.tally.add(heard.started_at, bad);
        if bad {
            round.last_bad = heard.id.cloned().or_else(|| round.last_bad.take());
        }
    }
}

/// What burns of a round.
struct Burning {
    severity: Severity,
    failures: Vec<Failure>,
    which: Said,
    last_bad: Option<RunId>,
}

impl Round {
    /// Whether all that was before is counted.
    fn is_whole(&self) -> bool {
        self.kept.iter().all(|kept| kept.awaited.is_none())
    }

    /// What burns.
    fn burning(&mut self, counts: &[Counts]) -> Option<Burning> {
        let is_restored = std::mem::take(&mut self.is_restored);
        let mut found: Option<Burning> = None;
        for (kept, counts) in self.kept.iter_mut().zip(counts) {
            let objective = Arc::clone(&kept.objective);
            let Some(alert) = &objective.alert else { continue };
            let before = std::mem::take(&mut kept.burning);
            for (place, rule) in objective.rules() {
                // Which rules held is forgotten with the process, but not that one did: those are taken for it that could.
                let could = || objective.burn_rate(counts.of(rule.long)).is_some_and(|rate| rate >= rule.factor);
                let held = before[place] || (is_restored && could());
                kept.burning[place] = objective.burns(rule, counts, alert.failures, held);
            }
            let Some((_, rule)) = objective.rules().find(|(place, _)| kept.burning[*place]) else { continue };
            let severity = alert.severity(rule);
            let burning = found.get_or_insert_with(|| Burning {
                severity,
                failures: Vec::new(),
                which: Vec::new(),
                last_bad: self.last_bad.clone(),
            });
            burning.severity = burning.severity.max(severity);
            burning.failures.push(failure(&objective, rule, counts));
            burning.which.push((Arc::clone(&objective.text), severity));
        }
        found
    }
}

/// What an incident says of an objective that burns.
fn failure(objective: &Objective, rule: &BurnRule, counts: &Counts) -> Failure {
    let (long, count) = (Length(rule.long.length()), counts.of(rule.long));
    let rate = objective.burn_rate(count).unwrap_or_default();
    let came = format!("{} of {} runs were bad within {long}", count.bad, count.runs);
    let message = format!("{objective} at {rate:.1} times the rate that it bears: {came}");
    let failure = Failure::new(FailureKind::BudgetBurning, message).with(objective.to_string(), came);
    Failure { step: objective.step.clone(), ..failure }
}

impl Ledger {
    /// What objectives ask about the runs that were before.
    pub fn question(&self) -> watch::Receiver<Option<Arc<Question>>> {
        self.objectives.question.subscribe()
    }

    /// How they stand, anew each minute.
    pub fn standings(&self) -> watch::Receiver<Arc<Standings>> {
        self.objectives.standings.subscribe()
    }

    /// Takes a part of the answer to their question.
    pub fn take_past(&mut self, number: u64, past: &PastRuns) {
        self.objectives.take_past(number, past);
    }

    /// The metrics that came of the last look.
    pub fn take_samples(&mut self) -> Vec<Sample> {
        std::mem::take(&mut self.objectives.samples)
    }

    /// Goes on with the objectives of another plan.
    pub(super) fn take_objectives(&mut self, now: Timestamp) {
        let (states, plan) = (&self.states, &self.plan);
        let is_firing = |key: &AlertKey| matches!(states.get(key), Some(AlertState::Firing { .. }));
        self.objectives.take(plan, now, is_firing);
    }

    /// Looks how each objective stands, once a minute.
    pub(super) fn look_at_objectives(&mut self, now: Timestamp, commit: &mut Commit) {
        // A clock that is set back does not make it wait for longer.
        let is_early = |at: Timestamp| at > now && at <= later(now, LOOK);
        if self.objectives.rounds.is_empty() || self.objectives.look_at.is_some_and(is_early) {
            return;
        }
        let mut objectives = std::mem::take(&mut self.objectives);
        (objectives.look_at, objectives.looks) = (Some(later(now, LOOK)), objectives.looks + 1);
        let mut standings = Vec::new();
        for (schedule, rounds) in &mut objectives.rounds {
            for (probe, round) in rounds {
                let counts: Vec<_> = round.kept.iter().map(|kept| kept.tally.counts(now)).collect();
                for (kept, counts) in round.kept.iter_mut().zip(&counts) {
                    let is_whole = kept.awaited.is_none();
                    let standing = Standing::of((schedule, probe), &kept.objective, counts, is_whole);
                    // Each in its turn, so that not all are told again at once.
                    let is_again = (objectives.looks + standings.len() as u64).is_multiple_of(TOLD_AGAIN);
                    let telling = Some((standing.count, standing.burn));
                    if is_whole && objectives.samples.len() < TOLD_MAX && (is_again || kept.told != telling) {
                        objectives.samples.extend(standing.samples(now));
                        kept.told = telling;
                    }
                    standings.push(standing);
                }
                let key = AlertKey { schedule: schedule.clone(), probe: probe.clone(), aspect: Aspect::Burning };
                // Nobody is told of what may look otherwise in a moment, and what is paused keeps its state.
                if round.is_whole() && !self.paused.has(Some(schedule), probe, now) {
                    let burning = round.burning(&counts);
                    self.take_burning(&key, burning, &mut round.said, now, commit);
                }
            }
        }
        standings.sort_by(|one, other| (&one.schedule, &one.probe).cmp(&(&other.schedule, &other.probe)));
        objectives.standings.send_replace(Arc::new(Standings { at: Some(now), standings }));
        self.objectives = objectives;
    }

    /// What burns of a probe on a schedule opens an incident, or ends one.
    fn take_burning(
        &mut self,
        key: &AlertKey,
        burning: Option<Burning>,
        said: &mut Said,
        now: Timestamp,
        commit: &mut Commit,
    ) {
        let was_firing = matches!(self.states.get(key), Some(AlertState::Firing { .. }));
        let incident = self.open.get(&(key.probe.clone(), key.aspect));
        let known = incident.and_then(|incident| incident.firing.get(&key.schedule)).copied();
        let Some(Burning { severity, failures, which, last_bad }) = burning else {
            if was_firing {
                said.clear();
                self.states.remove(key);
                commit.remember(key.clone(), AlertState::Healthy);
                self.recovered(key, now, commit);
            }
            return;
        };
        if !was_firing {
            let state = AlertState::Firing { since: now, passes: 0 };
            self.states.insert(key.clone(), state.clone());
            commit.remember(key.clone(), state);
            // What burns has had a bad run, and a store that lost it has lost its id with it.
            let run = last_bad.unwrap_or_else(|| RunId(Arc::from(new_id(now).as_str())));
            let verdict = Verdict::Failed(failures);
            self.fired(key, severity, now, Sight { run: &run, verdict: &verdict }, now, commit);
        } else if *said != which && !(said.is_empty() && known == Some(severity)) {
            // What a process before this one said is in the incident.
            self.burns_otherwise(key, severity, failures, now, commit);
        }
        *said = which;
    }

    /// Another objective burns than before, or one burns more or less gravely.
    fn burns_otherwise(
        &mut self,
        key: &AlertKey,
        severity: Severity,
        failures: Vec<Failure>,
        now: Timestamp,
        commit: &mut Commit,
    ) {
        let of = (key.probe.clone(), key.aspect);
        let Some(mut incident) = self.open.remove(&of) else { return };
        if let Some(failure) = failures.first().filter(|_| *failures != *incident.latest_failures) {
            commit.moments.push(moment(&incident, now, "burning", failure.message.clone()));
        }
        incident.latest_failures = failures.into();
        self.grade(&mut incident, &key.schedule, severity, now, commit);
        // A budget is used up more slowly without being well.
        incident.firing.insert(key.schedule.clone(), severity);
        self.set_due(&mut incident, now);
        commit.put_incident(incident.clone());
        self.open.insert(of, incident);
    }
}
