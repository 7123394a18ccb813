//! What is known of alerts: the states, the open incidents, and whom each incident was told to. In memory and without
//! I/O; each change is put into the commit that makes it last.
//!
//! Here runs move states and states move incidents. [`rechecks`] says what is looked at again before its next slot,
//! [`telling`] when an incident is told and again, `recipients` to whom, [`quiet`] why nobody is told, [`looks`] which probes that are
//! needed are looked at first, [`network`] whether it is we who see nothing, [`ourselves`] and [`recording`] what is wrong with us, [`grading`] how grave it is, [`flapping`] what comes and goes too often to be told each time, [`unjudged`] which runs move no state, [`open`] how incidents are
//! found, [`silences`] what people want to be quiet and [`pauses`] what they want not to be run, [`versions`] and [`changes`] what changed before it, [`diagnosis`] what
//! is looked at because it opened, [`acts`] what people do about it, [`post_mortems`] what is still to be done when it is
//! over, [`objectives`] what is promised of many runs, and [`drills`] the incidents that are none.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;

use self::changes::Lately;
use self::diagnosis::Waiting;
use self::drills::Drilling;
use self::looks::Looks;
use self::network::Sights;
use self::objectives::Objectives;
use self::open::Open;
use self::pauses::Paused;
use self::rechecks::Rechecks;
use self::unjudged::Unjudged;
use super::plan::Plan;
use super::rounds::Rounds;
use super::runner::new_id;
use super::scheduler::extras::{ExtraRun, Refusal};
use crate::domain::flapping::{Edge, Flap};
use crate::domain::grading::Recent;
use crate::domain::incident::{Event, Incident, IncidentId, Moment, Severity, Version};
use crate::domain::judge::{AlertKey, AlertPolicy, AlertState, Aspect, Rule, Transition, judge};
use crate::domain::names::{ProbeName, ScheduleName, StepName};
use crate::domain::outcome::{Cause, Extra, Run, RunId, Verdict};
use crate::domain::quiet::{Reason, Silence};
use crate::domain::schedule::Schedule;
use crate::domain::time::{Timestamp, between, clock, later, words};
use crate::ports::{Commit, Loaded};

pub mod acts;
mod bundles;
pub mod changes;
pub mod diagnosis;
pub mod drills;
pub mod flapping;
pub mod grading;
pub mod looks;
pub mod network;
pub mod objectives;
pub mod open;
pub mod ourselves;
pub mod pauses;
pub mod post_mortems;
pub mod quiet;
pub mod rechecks;
mod recipients;
pub mod recording;
pub mod silences;
pub mod telling;
pub mod unjudged;
pub mod versions;

/// The states and the open incidents.
pub struct Ledger {
    plan: Arc<Plan>,
    rounds: Rounds,
    /// Healthy states are not held.
    states: HashMap<AlertKey, AlertState>,
    open: Open,
    /// What has come and gone lately, and what flaps.
    flaps: HashMap<AlertKey, Flap>,
    /// Which of the last runs failed, where that says how grave it is.
    recents: HashMap<(ScheduleName, ProbeName), Recent>,
    /// Those that are over, and of whose post-mortem somebody is still to be reminded.
    over: BTreeMap<IncidentId, Incident>,
    versions: BTreeMap<(ProbeName, StepName), Version>,
    lately: Lately,
    waiting: Waiting,
    /// Those that were not over when the process started, or when one last began or ended.
    silences: Vec<Silence>,
    paused: Paused,
    /// Until then nobody is told of what was open already when the process started; nothing once that is past.
    looked: Option<Timestamp>,
    /// Runs off the slots that are to be asked for.
    wanted: Vec<ExtraRun>,
    rechecks: Rechecks,
    /// Until then no route takes what none took; a route's hours begin with a minute.
    missed_at: Option<Timestamp>,
    /// How often a reason to be quiet was looked for, which is what a storm costs.
    #[cfg(test)]
    weighed: std::sync::atomic::AtomicUsize,
    looks: Looks,
    network: Sights,
    /// Since when the store has taken nothing while no alert watches anything, so that nobody is told of it.
    unwatched: Option<Timestamp>,
    /// The drill that goes on.
    drilling: Option<Drilling>,
    objectives: Objectives,
}

/// A process that starts has seen nothing yet, so nobody is told for this long of what was open before it,
/// and what is over by then is never told.
const FIRST_LOOK: Duration = Duration::from_secs(60);

impl Ledger {
    /// The ledger as the process before this one left it, under this plan: what is no longer configured is resolved.
    pub fn open(plan: Arc<Plan>, loaded: Loaded, now: Timestamp, commit: &mut Commit) -> Self {
        let looked = later(now, FIRST_LOOK);
        let (drills, incidents): (Vec<_>, Vec<_>) = loaded.incidents.into_iter().partition(|incident| incident.drill);
        let lately = Lately::of(incidents.iter());
        let (open, over): (Vec<_>, Vec<_>) = incidents.into_iter().partition(Incident::is_open);
        let open = open.into_iter().map(|incident| Incident {
            remind_at: incident.remind_at.map(|at| at.max(looked)),
            escalate_at: incident.escalate_at.map(|at| at.max(looked)),
            // It waits for the first look as all do; then what it needs is looked at anew.
            quiet: incident.quiet.map(|reason| match reason {
                Reason::Looking { probe, .. } => Reason::Needs(probe),
                Reason::Network { .. } => Reason::Network { until: looked },
                other => other,
            }),
            ..incident
        });
        let versions =
            loaded.versions.into_iter().map(|version| ((version.probe.clone(), version.step.clone()), version));
        let mut ledger = Self {
            plan: Arc::clone(&plan),
            rounds: Rounds::default(),
            states: loaded.states.into_iter().collect(),
            open: open.collect(),
            flaps: loaded.flaps.into_iter().collect(),
            recents: loaded.recents.into_iter().collect(),
            over: over.into_iter().map(|incident| (incident.id.clone(), incident)).collect(),
            versions: versions.collect(),
            lately,
            waiting: Waiting::default(),
            silences: loaded.silences.into_iter().filter(|silence| now < silence.until).collect(),
            paused: Paused::known(loaded.pauses),
            looked: None,
            wanted: Vec::new(),
            rechecks: Rechecks::default(),
            missed_at: None,
            #[cfg(test)]
            weighed: std::sync::atomic::AtomicUsize::new(0),
            looks: Looks::default(),
            network: Sights::default(),
            unwatched: None,
            drilling: None,
            objectives: Objectives::default(),
        };
        ledger.network = Sights::known(ledger.own(Aspect::NoNetwork).is_some());
        ledger.looked = Some(looked).filter(|_| !ledger.open.is_empty());
        ledger.take(plan, now, commit);
        ledger.diagnose_again(now);
        ledger.end_drills_of_before(drills, now, commit);
        ledger
    }

    /// How many incidents are open.
    pub fn incidents_open(&self) -> usize {
        self.open.len()
    }

    /// The plan that is in force.
    pub fn plan(&self) -> &Plan {
        &self.plan
    }

    /// The incidents of a probe that are open.
    pub fn open_of(&self, probe: &ProbeName) -> Vec<IncidentId> {
        let of_aspect = |aspect: Aspect| Some(self.open.get(&(probe.clone(), aspect))?.id.clone());
        Aspect::ALL.into_iter().filter_map(of_aspect).collect()
    }

    /// The runs off the slots that are wanted since this was last asked.
    pub fn take_wanted(&mut self) -> Vec<ExtraRun> {
        std::mem::take(&mut self.wanted)
    }

    /// Goes on under another plan: states that nothing feeds any more are forgotten, and an incident that none of them
    /// holds open is resolved with that reason. The rest keeps its counts.
    pub fn take(&mut self, plan: Arc<Plan>, now: Timestamp, commit: &mut Commit) {
        self.take_reload(&plan, now, commit);
        self.rounds = Rounds::of(&plan);
        self.plan = plan;
        self.looks.take(&self.plan);
        self.network.take(&self.plan);
        self.take_objectives(now);
        let gone: BTreeSet<AlertKey> = self.states.keys().filter(|key| !self.is_fed(key)).cloned().collect();
        for key in gone {
            self.states.remove(&key);
            commit.forget(key);
        }
        self.forget_flaps(commit);
        self.forget_recents(commit);
        let unheld: Vec<_> = self.open.iter().map(|(of, _)| of.clone()).collect();
        for of in unheld {
            if of.1.is_own() {
                continue;
            }
            let Some(mut incident) = self.open.remove(&of) else { continue };
            incident.firing.retain(|schedule, _| {
                let key = AlertKey { schedule: schedule.clone(), probe: of.0.clone(), aspect: of.1 };
                matches!(self.states.get(&key), Some(AlertState::Firing { .. })) || self.is_flapping(&key)
            });
            incident.flapping.retain(|schedule| incident.firing.contains_key(schedule));
            if incident.firing.is_empty() {
                self.resolve(incident, now, Some("removed from the configuration"), commit);
            } else {
                let due_at = (incident.remind_at, incident.escalate_at);
                self.set_due(&mut incident, now);
                if (incident.remind_at, incident.escalate_at) != due_at {
                    commit.put_incident(incident.clone());
                }
                self.open.insert(of, incident);
            }
        }
        self.take_pauses(now, commit);
        self.open.stir_quiet(|_| true);
        (self.missed_at, self.unwatched) = (None, None);
        self.reconsider_quiet(now, commit);
        self.tell_who_was_missed(now, commit);
        self.take_rechecks(now);
    }

    /// Takes in one run: its verdict moves the states, the states move the incidents, the incidents are told. Says why where it
    /// moves no state.
    pub fn take_run(&mut self, mut run: Run, now: Timestamp, commit: &mut Commit) -> Option<Unjudged> {
        let is_cut_off = self.look_at_network(&mut run, now, commit);
        self.take_versions(&run, commit);
        self.objectives.take_run(&run);
        let rounds = self.rounds.clone();
        let bundle = run.bundle.take();
        // Ended because we are told to stop, it saw nothing: what waits for it is asked for again by the next process.
        let says_nothing = matches!(run.verdict, Verdict::Inconclusive(Cause::ShutDown));
        if !says_nothing {
            self.take_diagnosis(&run, bundle.as_ref(), now, commit);
        }
        // What only explains an incident of another probe is kept with that.
        let bundle = bundle.filter(|_| run.extra != Some(Extra::Diagnosis));
        let (schedule, policy) = match self.judged_by(&rounds, &run, is_cut_off, now) {
            Ok(judged_by) => judged_by,
            Err(unjudged) => {
                // A failure that nobody judges tells nobody that it is down, so it is no look; nor is one at nothing at all.
                if !says_nothing && !is_cut_off && !matches!(run.verdict, Verdict::Failed(_)) {
                    self.saw(&run, now);
                }
                self.keep(bundle, &run, commit);
                commit.runs.push(run);
                return Some(unjudged);
            }
        };
        for aspect in Aspect::ALL {
            let Some(rule) = policy.rule(aspect) else { continue };
            let key = AlertKey { schedule: schedule.name.clone(), probe: run.probe.clone(), aspect };
            let before = self.states.get(&key).cloned().unwrap_or_default();
            let (after, transition) = judge(rule, aspect, &before, &run);
            let severity = self.severity(&key, policy, rule, &run, commit);
            let firing = matches!(after, AlertState::Firing { .. });
            if after != before {
                commit.remember(key.clone(), after.clone());
                if after == AlertState::Healthy {
                    self.states.remove(&key)
                } else {
                    self.states.insert(key.clone(), after)
                };
                self.open.stir(&run.probe);
            }
            match self.edge(&key, &policy.flapping, transition, aspect.bad(&run.verdict), now, commit) {
                Edge::Stands(Transition::Fired { since }) | Edge::Begins(Transition::Fired { since }) => {
                    let sight = Sight { run: &run.id, verdict: &run.verdict };
                    self.fired(&key, severity, since, sight, now, commit);
                }
                Edge::Stands(Transition::Recovered) | Edge::Begins(Transition::Recovered) | Edge::Over => {
                    self.recovered(&key, now, commit);
                }
                Edge::Steady => self.steady(&key, now, commit),
                // What flaps has an open incident, and where that was lost it has one again.
                Edge::Swallowed if self.is_unheld(&key, transition) => {
                    let sight = Sight { run: &run.id, verdict: &run.verdict };
                    self.fired(&key, severity, run.started_at, sight, now, commit);
                }
                Edge::Swallowed | Edge::None if firing && aspect.bad(&run.verdict) == Some(true) => {
                    self.still_bad(&key, severity, &run, now, commit);
                }
                Edge::Swallowed | Edge::None => {}
            }
        }
        self.set_recheck(&schedule.name, &run.probe, now);
        if !says_nothing {
            self.saw(&run, now);
        }
        self.keep(bundle, &run, commit);
        commit.runs.push(run);
        None
    }

    /// Takes note of a run off the slots that is not made.
    pub fn refused(&mut self, extra: &ExtraRun, refusal: Refusal, now: Timestamp, commit: &mut Commit) {
        match extra.why {
            Extra::Parent => self.look_is_refused(&extra.probe, refusal, now),
            Extra::Diagnosis => self.diagnosis_is_refused(&extra.probe, refusal, now, commit),
            // Who is in doubt asks again, and a drill and whoever triggers hear of it themselves.
            Extra::Recheck | Extra::Drill | Extra::Trigger => {}
        }
    }

    fn fired(
        &mut self,
        key: &AlertKey,
        severity: Severity,
        since: Timestamp,
        sight: Sight<'_>,
        now: Timestamp,
        commit: &mut Commit,
    ) {
        let Sight { run, verdict } = sight;
        let of = (key.probe.clone(), key.aspect);
        let failures: Arc<[_]> = verdict.failures().into();
        if let Some(mut incident) = self.open.remove(&of) {
            if !incident.schedules.contains(&key.schedule) {
                incident.schedules.push(key.schedule.clone());
            }
            incident.latest_failures = failures;
            commit.moments.push(moment(&incident, now, "joined", format!("{} is firing too", key.schedule)));
            self.mark_flapping(&mut incident, key, now, commit);
            self.grade(&mut incident, &key.schedule, severity, now, commit);
            self.set_due(&mut incident, now);
            commit.put_incident(incident.clone());
            self.open.insert(of, incident);
            return;
        }
        let probe = self.plan.probes.get(&key.probe);
        let mut incident = Incident {
            since,
            firing: BTreeMap::from([(key.schedule.clone(), severity)]),
            schedules: vec![key.schedule.clone()],
            first_failures: Arc::clone(&failures),
            latest_failures: failures,
            labels: probe.map(|probe| probe.labels.clone()).unwrap_or_default(),
            runbook: probe.and_then(|probe| probe.runbook.clone()),
            ..Incident::opened(
                IncidentId(Arc::from(new_id(now).as_str())),
                key.probe.clone(),
                key.aspect,
                severity,
                run.clone(),
                now,
            )
        };
        let changes = self.changes_before(since, now);
        incident.changes = changes.iter().map(|(at, _, change)| format!("{change} at {}", clock(*at))).collect();
        commit.moments.extend(changes.into_iter().map(|(at, what, change)| moment(&incident, at, what, change)));
        self.lately.take_opening(&incident.probe, now);
        commit.moments.push(moment(&incident, since, verdict.word(), first_words(verdict)));
        commit.moments.push(moment(&incident, now, "opened", format!("{severity}, by {}", key.schedule)));
        self.mark_flapping(&mut incident, key, now, commit);
        self.mark(&mut incident, now, commit);
        self.tell_opened(&mut incident, now, commit);
        self.diagnose(&incident, now);
        commit.put_incident(incident.clone());
        self.open.insert(of, incident);
    }

    /// Whether something feeds a state: the runs that are judged, or an objective that somebody wants to hear of.
    fn is_fed(&self, key: &AlertKey) -> bool {
        if key.aspect != Aspect::Burning {
            return judged(&self.rounds, key).is_some();
        }
        let round = self.rounds.get(&key.schedule, &key.probe);
        let mut objectives = round.into_iter().flat_map(|(schedule, _)| self.plan.objectives(schedule, &key.probe));
        objectives.any(|objective| objective.alert.is_some())
    }

    fn still_bad(&mut self, key: &AlertKey, severity: Severity, run: &Run, now: Timestamp, commit: &mut Commit) {
        let of = (key.probe.clone(), key.aspect);
        let failures = run.verdict.failures();
        let is_known = |incident: &Incident| {
            let held_at = incident.firing.get(&key.schedule);
            *incident.latest_failures == *failures && held_at.is_none_or(|held_at| severity <= *held_at)
        };
        if self.open.get(&of).is_none_or(is_known) {
            return;
        }
        let Some(mut incident) = self.open.remove(&of) else { return };
        incident.latest_failures = failures.into();
        if self.grade(&mut incident, &key.schedule, severity, now, commit) {
            self.set_due(&mut incident, now);
        }
        commit.put_incident(incident.clone());
        self.open.insert(of, incident);
    }

    fn recovered(&mut self, key: &AlertKey, now: Timestamp, commit: &mut Commit) {
        let of = (key.probe.clone(), key.aspect);
        let Some(mut incident) = self.open.remove(&of) else { return };
        incident.firing.remove(&key.schedule);
        incident.flapping.remove(&key.schedule);
        commit.moments.push(moment(&incident, now, "recovered", format!("{} is healthy", key.schedule)));
        if incident.firing.is_empty() {
            self.resolve(incident, now, None, commit);
        } else {
            self.set_due(&mut incident, now);
            // What still holds it open may be paused.
            if self.pause_of(&incident, now).is_some() {
                self.hush(&mut incident, now, commit);
            }
            commit.put_incident(incident.clone());
            self.open.insert(of, incident);
        }
    }

    fn resolve(&mut self, mut incident: Incident, now: Timestamp, because: Option<&str>, commit: &mut Commit) {
        incident.resolved_at = Some(now);
        self.waiting.forget(&incident.id);
        incident.resolved_because = because.map(str::to_owned);
        (incident.remind_at, incident.escalate_at) = (None, None);
        let length = words(between(incident.since, now));
        let text = because.map_or_else(|| format!("after {length}"), |why| format!("after {length}: {why}"));
        commit.moments.push(moment(&incident, now, "resolved", text));
        // Whoever was told that it began is told that it is over, and nobody else.
        let told = incident.told.clone();
        self.tell(&mut incident, Event::Resolved, &told, now, commit);
        incident.post_mortem_at = self.post_mortem_at(&incident, now);
        if incident.post_mortem_at.is_some() {
            self.over.insert(incident.id.clone(), incident.clone());
        }
        commit.put_incident(incident);
    }
}

/// The schedule and the policy by which runs of a probe on it are judged; none where nothing watches them, as after a
/// reload that came while a run was going on.
fn watched<'a>(
    rounds: &'a Rounds,
    schedule: &ScheduleName,
    probe: &ProbeName,
) -> Option<(&'a Schedule, &'a AlertPolicy)> {
    let (schedule, probe) = rounds.get(schedule, probe)?;
    Some((schedule, probe.alert_on(schedule)?))
}

/// The rule by which a state is judged; none where nothing feeds it any more.
fn judged<'a>(rounds: &'a Rounds, key: &AlertKey) -> Option<&'a Rule> {
    watched(rounds, &key.schedule, &key.probe)?.1.rule(key.aspect)
}

/// The run that made something fire, and what it says.
#[derive(Clone, Copy)]
struct Sight<'a> {
    run: &'a RunId,
    verdict: &'a Verdict,
}

fn moment(incident: &Incident, at: Timestamp, what: &str, text: String) -> Moment {
    Moment { incident: incident.id.clone(), at, what: what.to_owned(), text }
}

fn first_words(verdict: &Verdict) -> String {
    match verdict {
        Verdict::Inconclusive(cause) => cause.to_string(),
        verdict => verdict.failures().first().map(ToString::to_string).unwrap_or_default(),
    }
}

#[cfg(test)]
mod tests;
