//! Fresh looks at probes that others need. Who is about to be told of a probe is not told before those that it needs were
//! looked at again, so that the one message is about the cause. It waits for as long as such a look may take, and no longer.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;

use super::{Ledger, watched};
use crate::domain::incident::Incident;
use crate::domain::judge::{AlertKey, AlertState, Aspect};
use crate::domain::names::{ProbeName, ScheduleName};
use crate::domain::outcome::{Extra, Run};
use crate::domain::quiet::Reason;
use crate::domain::schedule::Schedule;
use crate::domain::time::{Timestamp, between, later};
use crate::engine::calendar::timeout;
use crate::engine::plan::Plan;
use crate::engine::scheduler::extras::{ExtraRun, Refusal};

/// What was seen this shortly before is not looked at again.
const FRESH: Duration = Duration::from_secs(5);

/// How long is waited for a look besides what its run may take.
const WAIT: Duration = Duration::from_secs(5);

/// How long after a look that leaves doubt, or could not be had, there is another one.
const AGAIN: Duration = Duration::from_secs(1);

/// What is being looked at.
#[derive(Default)]
pub(super) struct Looks {
    /// The probes that others need.
    needed: BTreeSet<ProbeName>,
    /// When the last run of each of them ended.
    seen: HashMap<ProbeName, Timestamp>,
    going: BTreeMap<ProbeName, Look>,
}

/// A look at a probe.
struct Look {
    /// The schedule for which it counts.
    schedule: ScheduleName,
    /// Nobody waits for it any longer …
    until: Timestamp,
    /// … which is at most so long from any instant on: a wall clock may be set back.
    wait: Duration,
    /// When it is asked for; absent while a run is awaited.
    ask_at: Option<Timestamp>,
    /// When it was seen that nobody waits any longer. It is known for a moment more, so that whoever waited does not begin anew.
    given_up_at: Option<Timestamp>,
}

impl Looks {
    /// Goes on under another plan.
    pub(super) fn take(&mut self, plan: &Plan) {
        self.needed = plan.probes.values().flat_map(|probe| probe.needs.iter().cloned()).collect();
        self.seen.retain(|probe, _| self.needed.contains(probe));
        self.going.retain(|probe, _| self.needed.contains(probe));
    }

    /// When something of them is due by the clock alone.
    pub(super) fn next_at(&self) -> Option<Timestamp> {
        let awaited = self.going.values().filter(|look| look.given_up_at.is_none());
        awaited.flat_map(|look| [Some(look.until), look.ask_at]).flatten().min()
    }
}

impl Ledger {
    /// Why nobody is told of an incident yet: what its probe needs is being looked at, or is to be.
    pub(super) fn look_first(&mut self, needs: &[ProbeName], incident: &Incident, now: Timestamp) -> Option<Reason> {
        let waited = matches!(incident.quiet, Some(Reason::Looking { .. }));
        let looks = needs.iter().filter_map(|needed| Some((self.look_at(needed, incident, waited, now)?, needed)));
        let looks: Vec<_> = looks.collect();
        looks.into_iter().max().map(|(until, needed)| Reason::Looking { probe: needed.clone(), until })
    }

    /// Until when a look at a probe is waited for; nothing where it was seen just now, or nobody judges it. Who has waited for
    /// looks begins no other: one that takes long would be too old again by the time that the next is done.
    fn look_at(&mut self, needed: &ProbeName, dependant: &Incident, waited: bool, now: Timestamp) -> Option<Timestamp> {
        if let Some(look) = self.looks.going.get(needed) {
            return Some(look.until).filter(|until| now < *until);
        }
        if waited {
            return None;
        }
        let (schedule, longest) = self.judged_on(needed, dependant, now)?;
        let seen = self.looks.seen.get(needed).filter(|at| between(**at, now).max(between(now, **at)) < FRESH);
        if seen.is_some() && !self.is_suspect(&schedule, needed) {
            return None;
        }
        let wait = longest + WAIT;
        let until = later(now, wait);
        self.looks.going.insert(needed.clone(), Look { schedule, until, wait, ask_at: Some(now), given_up_at: None });
        self.ask_looks(now);
        Some(until)
    }

    /// The schedule on which a probe is judged, at best one that holds the dependant's incident open: there a first failure
    /// counts. And how long a run of it may take. Where it is paused it is not judged.
    fn judged_on(&self, probe: &ProbeName, dependant: &Incident, now: Timestamp) -> Option<(ScheduleName, Duration)> {
        let planned = self.plan.probes.get(probe)?;
        let is_judged = |schedule: &&Arc<Schedule>| {
            watched(&self.rounds, &schedule.name, probe).is_some() && !self.paused.has(Some(&schedule.name), probe, now)
        };
        let judged = self.plan.schedules.values().filter(is_judged);
        let schedule = judged.max_by_key(|schedule| dependant.firing.contains_key(&schedule.name))?;
        Some((schedule.name.clone(), planned.longest(timeout(schedule, planned))))
    }

    fn is_suspect(&self, schedule: &ScheduleName, probe: &ProbeName) -> bool {
        let key = AlertKey { schedule: schedule.clone(), probe: probe.clone(), aspect: Aspect::Failing };
        matches!(self.states.get(&key), Some(AlertState::Suspect { .. }))
    }

    /// Takes note of a run: the look is over with it unless it leaves doubt.
    pub(super) fn saw(&mut self, run: &Run, now: Timestamp) {
        if !self.looks.needed.contains(&run.probe) {
            return;
        }
        self.looks.seen.insert(run.probe.clone(), now);
        let Some(look) = self.looks.going.get(&run.probe).filter(|look| run.schedule.as_ref() == Some(&look.schedule))
        else {
            return;
        };
        if self.is_suspect(&look.schedule, &run.probe) {
            self.ask_again(&run.probe, now);
        } else {
            self.looks.going.remove(&run.probe);
            self.open.stir(&run.probe);
        }
    }

    /// Takes note of a look at a probe that is not made.
    pub(super) fn look_is_refused(&mut self, probe: &ProbeName, refusal: Refusal, now: Timestamp) {
        match refusal {
            Refusal::Busy => self.ask_again(probe, now),
            Refusal::Gone | Refusal::Slot | Refusal::Paused | Refusal::Saturated => {
                if let Some(look) = self.looks.going.get_mut(probe) {
                    (look.until, look.ask_at) = (now, None);
                    self.open.stir(probe);
                }
            }
        }
    }

    fn ask_again(&mut self, probe: &ProbeName, now: Timestamp) {
        if let Some(look) = self.looks.going.get_mut(probe) {
            look.ask_at = Some(later(now, AGAIN));
        }
    }

    /// Asks for the looks that are due, and forgets those for which nobody has waited for a while.
    pub(super) fn ask_looks(&mut self, now: Timestamp) {
        let is_known = |at: Timestamp| at <= now && between(at, now) < FRESH;
        self.looks.going.retain(|_, look| look.given_up_at.is_none_or(is_known));
        for (probe, look) in &mut self.looks.going {
            look.until = look.until.min(later(now, look.wait));
            if look.until <= now && look.given_up_at.is_none() {
                look.given_up_at = Some(now);
                self.open.stir(probe);
            }
            look.ask_at = look.ask_at.map(|at| at.min(later(now, AGAIN)));
            if now < look.until && look.ask_at.take_if(|at| *at <= now).is_some() {
                let (schedule, probe) = (Some(look.schedule.clone()), probe.clone());
                self.wanted.push(ExtraRun { schedule, probe, why: Extra::Parent, id: None });
            }
        }
    }
}
