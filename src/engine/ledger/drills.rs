//! Drills: incidents that somebody wants, to see whether a channel works. A run opens one and the next ends it, by the judge
//! and the store as any other; but it is held apart from what is open, so that nothing counts it, keeps it quiet, routes it,
//! reminds of it or takes it for a cause. It is told to the one channel that is drilled, at once and with no other.

use std::sync::Arc;

use super::{Ledger, first_words, moment};
use crate::domain::incident::{Event, Incident, IncidentId, Moment, Severity};
use crate::domain::judge::{After, AlertState, Aspect, Rule, Transition, judge};
use crate::domain::names::ChannelName;
use crate::domain::outcome::Run;
use crate::domain::time::{Timestamp, between, words};
use crate::engine::runner::new_id;
use crate::ports::{Commit, Delivery, KeptBundle};

/// One run opens it, and one ends it.
const RULE: Rule =
    Rule { after: After { failures: 1, among: 1 }, recover: 1, severity: Severity::P4, remind: None, to: Vec::new() };

/// Why a drill that an earlier process began is over.
const BROKEN_OFF: &str = "the process ended during the drill";

/// The drill that goes on.
pub struct Drilling {
    incident: Incident,
    state: AlertState,
}

/// A run of a drill changed nothing.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Undrilled {
    /// There is nobody to tell.
    #[error("the channel {0} is not configured any more")]
    NoChannel(ChannelName),
    /// The judge saw neither the beginning nor the end that it was to see.
    #[error("the judge saw no change in a run that is {0}")]
    NoChange(&'static str),
}

/// How a drill came out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ending {
    /// Its incident, where one was opened.
    pub incident: Option<IncidentId>,
    /// At what it broke, in words; nothing where every hop was well.
    pub broken: Option<String>,
    /// In words, for the time line.
    pub text: String,
}

impl Ledger {
    /// Takes in a run of a drill: the one that fails opens its incident, the one that passes ends it, and the channel hears of
    /// both.
    pub fn drill(
        &mut self,
        mut run: Run,
        channel: &ChannelName,
        now: Timestamp,
        commit: &mut Commit,
    ) -> Result<Incident, Undrilled> {
        let bundle = run.bundle.take();
        let judged = self.judge_drill(&run, channel, now, commit);
        if let Some(bundle) = bundle {
            let incident = judged.as_ref().ok().map(|incident| incident.id.clone());
            let (probe, started_at) = (run.probe.clone(), run.started_at);
            commit.bundles.push(KeptBundle { run: run.id.clone(), probe, started_at, incident, bundle });
        }
        commit.runs.push(run);
        judged
    }

    fn judge_drill(
        &mut self,
        run: &Run,
        channel: &ChannelName,
        now: Timestamp,
        commit: &mut Commit,
    ) -> Result<Incident, Undrilled> {
        if !self.plan.channels.contains_key(channel) {
            return Err(Undrilled::NoChannel(channel.clone()));
        }
        let before = self.drilling.as_ref().map(|drilling| drilling.state.clone()).unwrap_or_default();
        let (state, transition) = judge(&RULE, Aspect::Failing, &before, run);
        match (transition, self.drilling.take()) {
            (Some(Transition::Fired { since }), None) => {
                let incident = self.open_drill(run, channel, since, now, commit);
                self.drilling = Some(Drilling { incident: incident.clone(), state });
                Ok(incident)
            }
            (Some(Transition::Recovered), Some(Drilling { incident, .. })) => {
                Ok(self.resolve_drill(incident, None, now, commit))
            }
            (_, drilling) => {
                self.drilling = drilling;
                Err(Undrilled::NoChange(run.verdict.word()))
            }
        }
    }

    fn open_drill(
        &self,
        run: &Run,
        channel: &ChannelName,
        since: Timestamp,
        now: Timestamp,
        commit: &mut Commit,
    ) -> Incident {
        let failures: Arc<[_]> = run.verdict.failures().into();
        let id = IncidentId(Arc::from(new_id(now).as_str()));
        let mut incident = Incident {
            drill: true,
            since,
            first_failures: Arc::clone(&failures),
            latest_failures: failures,
            told: vec![channel.clone()],
            told_as: Some(RULE.severity),
            ..Incident::opened(id, run.probe.clone(), Aspect::Failing, RULE.severity, run.id.clone(), now)
        };
        commit.moments.push(moment(&incident, since, run.verdict.word(), first_words(&run.verdict)));
        commit.moments.push(moment(&incident, now, "opened", format!("a drill of the channel {channel}")));
        self.tell_drill(&mut incident, Event::Opened, now, commit);
        commit.put_incident(incident.clone());
        incident
    }

    fn resolve_drill(
        &self,
        mut incident: Incident,
        because: Option<String>,
        now: Timestamp,
        commit: &mut Commit,
    ) -> Incident {
        let after = format!("after {}", words(between(incident.since, now)));
        let text = because.as_ref().map_or_else(|| after.clone(), |why| format!("{after}: {why}"));
        (incident.resolved_at, incident.resolved_because) = (Some(now), because);
        commit.moments.push(moment(&incident, now, "resolved", text));
        self.tell_drill(&mut incident, Event::Resolved, now, commit);
        commit.put_incident(incident.clone());
        incident
    }

    fn tell_drill(&self, incident: &mut Incident, event: Event, now: Timestamp, commit: &mut Commit) {
        let Some(channel) = incident.told.first().cloned() else { return };
        let notification = Arc::new(self.notification(incident, event, now));
        commit.deliveries.push(Delivery {
            id: new_id(now),
            channel,
            // That another took it would say nothing of the channel that is drilled.
            fallback: None,
            notification,
            together: None,
            created_at: now,
            attempts: 0,
            next_attempt_at: now,
        });
    }

    /// Puts down how a drill came out. What it opened and did not end is ended, and whoever was told hears it.
    pub fn end_drill(&mut self, ending: Ending, now: Timestamp, commit: &mut Commit) {
        let Ending { incident, broken, text } = ending;
        let what = if broken.is_some() { "broken" } else { "drilled" };
        let left_open = self.drilling.take().map(|drilling| self.resolve_drill(drilling.incident, broken, now, commit));
        if let Some(incident) = incident.or(left_open.map(|incident| incident.id)) {
            commit.moments.push(Moment { incident, at: now, what: what.to_owned(), text });
        }
    }

    /// Ends what an earlier process began and did not end.
    pub(super) fn end_drills_of_before(&self, drills: Vec<Incident>, now: Timestamp, commit: &mut Commit) {
        for incident in drills.into_iter().filter(Incident::is_open) {
            self.resolve_drill(incident, Some(BROKEN_OFF.to_owned()), now, commit);
        }
    }
}
