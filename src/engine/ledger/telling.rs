//! Whom incidents are told to, and what is due by the clock alone.

use std::sync::Arc;
use std::time::Duration;

use super::quiet::may_end;
use super::{FIRST_LOOK, Ledger, moment, watched};
use crate::domain::incident::{Event, Incident};
use crate::domain::names::ChannelName;
use crate::domain::route::Subject;
use crate::domain::time::{Timestamp, between, later, words};
use crate::engine::runner::new_id;
use crate::ports::{Commit, Delivery, Notification};

/// The longest time for which nobody looks whether a route has come to take what none took.
const LOOK: Duration = Duration::from_secs(60);

/// The beginning of the next minute, in which the hours of a route may begin.
fn next_minute(now: Timestamp) -> Timestamp {
    let into = now.timestamp().rem_euclid(60).unsigned_abs();
    let rest = Duration::from_secs(60 - into);
    later(now, rest.saturating_sub(Duration::from_nanos(u64::from(now.timestamp_subsec_nanos()))))
}

impl Ledger {
    /// When something is due by the clock alone.
    pub fn next_due(&self) -> Option<Timestamp> {
        // Nobody is told before the first look is over but of what is new; what is in doubt is looked at.
        let of_post_mortems = || self.over.values().filter_map(|incident| incident.post_mortem_at).min();
        let told_at = match self.looked {
            Some(looked) => Some(self.open.next_doubt_over().map_or(looked, |at| at.min(looked))),
            None => self.open.next_due().into_iter().chain(of_post_mortems()).min(),
        };
        let looked_at = self.rechecks.next_at().into_iter().chain(self.looks.next_at());
        told_at.into_iter().chain(looked_at).chain(self.paused.next_at()).min()
    }

    /// Does what is due by now: what was kept quiet without a reason any more is told, and who waits for a word gets it.
    pub fn catch_up(&mut self, now: Timestamp, commit: &mut Commit) {
        // A wall clock that is set back does not make the first look longer.
        let was_looking = self.looked.is_some();
        self.looked = self.looked.map(|at| at.min(later(now, FIRST_LOOK))).filter(|at| *at > now);
        self.end_pauses(now, commit);
        self.ask_rechecks(now);
        if was_looking && self.looked.is_none() {
            self.open.stir_quiet(|_| true);
            self.missed_at = None;
        }
        let looked = self.looked;
        self.open.stir_quiet_that_is_due(now, |reason| may_end(reason, looked));
        self.ask_looks(now);
        self.look_at_objectives(now, commit);
        self.reconsider_quiet(now, commit);
        self.tell_who_was_missed(now, commit);
        self.remind_of_post_mortems(now, commit);
        for of in self.open.due_and_told(now) {
            let Some(mut incident) = self.open.remove(&of) else { continue };
            if !self.hush(&mut incident, now, commit) {
                self.escalate(&mut incident, now, commit);
                self.remind(&mut incident, now, commit);
            }
            commit.put_incident(incident.clone());
            self.open.insert(of, incident);
        }
    }

    /// Tells others of what nobody has taken on in time. They are told its end as well.
    pub(super) fn escalate(&self, incident: &mut Incident, now: Timestamp, commit: &mut Commit) {
        if incident.escalate_at.take_if(|at| *at <= now).is_none() {
            return;
        }
        let Some(severity) = self.plan.severities.get(&incident.severity) else { return };
        incident.escalated_at = Some(now);
        let names: Vec<_> = severity.escalate.iter().map(ToString::to_string).collect();
        commit.moments.push(moment(
            incident,
            now,
            "escalated",
            format!("nobody has taken it on: to {}", names.join(", ")),
        ));
        let new = severity.escalate.iter().filter(|channel| !incident.told.contains(channel)).cloned();
        let new: Vec<_> = new.collect();
        incident.told.extend(new);
        self.tell(incident, Event::Escalated, &severity.escalate, now, commit);
    }

    pub(super) fn remind(&self, incident: &mut Incident, now: Timestamp, commit: &mut Commit) {
        if incident.remind_at.take_if(|at| *at <= now).is_none() {
            return;
        }
        incident.reminders += 1;
        self.set_due(incident, now);
        commit.moments.push(moment(
            incident,
            now,
            "reminded",
            format!("after {}", words(between(incident.since, now))),
        ));
        let told = incident.told.clone();
        self.tell(incident, Event::Reminder, &told, now, commit);
    }

    /// Sets when it is told again: the shortest `remind` of the schedules that hold it open, and what goes for its severity.
    pub(super) fn set_due(&self, incident: &mut Incident, now: Timestamp) {
        let Incident { probe, aspect, .. } = &*incident;
        let of_schedule = |schedule| watched(&self.rounds, schedule, probe)?.1.rule(*aspect)?.remind;
        let remind: Option<Duration> = incident.firing.keys().filter_map(of_schedule).min();
        incident.set_reminder(remind, now);
        let severity = self.plan.severities.get(&incident.severity);
        incident.set_escalation(severity.and_then(|severity| severity.acknowledge), now);
    }

    /// Where no route took an incident when it opened or rose, one that has come since does, or whose hours have begun.
    pub(super) fn tell_who_was_missed(&mut self, now: Timestamp, commit: &mut Commit) {
        if self.looked.is_some() {
            return;
        }
        // A clock that is set back does not make it wait for longer.
        if self.missed_at.is_some_and(|at| (now..=later(now, LOOK)).contains(&at) && at > now) {
            return;
        }
        self.missed_at = Some(next_minute(now));
        let is_owed = |incident: &Incident| incident.told.is_empty() || incident.has_risen();
        let untold = |incident: &Incident| is_owed(incident) && incident.quiet.is_none();
        let missed: Vec<_> =
            self.open.iter().filter(|(_, incident)| untold(incident)).map(|(of, _)| of.clone()).collect();
        for of in missed {
            let Some(mut incident) = self.open.remove(&of) else { continue };
            if self.recipients(&incident, now).is_some() {
                self.tell_opened(&mut incident, now, commit);
                commit.put_incident(incident.clone());
            }
            self.open.insert(of, incident);
        }
    }

    /// Tells the channels that take it and were not told yet, and where it has risen those that were as well, unless there is a reason to be quiet.
    pub(super) fn tell_opened(&mut self, incident: &mut Incident, now: Timestamp, commit: &mut Commit) {
        if self.hush(incident, now, commit) {
            return;
        }
        let Some(recipients) = self.recipients(incident, now) else {
            commit.moments.push(moment(incident, now, "told", "nobody: no route takes it now".to_owned()));
            return;
        };
        let (known, new): (Vec<_>, Vec<_>) =
            recipients.into_iter().partition(|channel| incident.told.contains(channel));
        let has_risen = incident.has_risen();
        incident.told.extend(new.iter().cloned());
        if has_risen {
            // The time to take it on begins when it is told, also where it rose while it was quiet.
            (incident.remind_at, incident.escalate_at) = (None, None);
        }
        self.set_due(incident, now);
        self.tell(incident, Event::Opened, &new, now, commit);
        if has_risen {
            self.tell(incident, Event::Reminder, &known, now, commit);
        }
        // Last, so that these messages can say that it rose.
        incident.told_as = Some(incident.severity);
    }

    pub(super) fn tell(
        &self,
        incident: &mut Incident,
        event: Event,
        channels: &[ChannelName],
        now: Timestamp,
        commit: &mut Commit,
    ) {
        if channels.is_empty() {
            return;
        }
        let fallback = self.plan.route(&Subject::from(&*incident), now).and_then(|route| route.fallback.clone());
        let notification = Arc::new(self.notification(incident, event, now));
        commit.deliveries.extend(channels.iter().map(|channel| {
            let rules = self.plan.rules(channel);
            Delivery {
                id: new_id(now),
                channel: channel.clone(),
                fallback: fallback.clone().filter(|fallback| fallback != channel),
                notification: Arc::clone(&notification),
                together: rules.key(&incident.labels),
                created_at: now,
                attempts: 0,
                next_attempt_at: later(now, rules.wait(event, incident.severity)),
            }
        }));
    }

    /// The next message of an incident.
    pub(super) fn notification(&self, incident: &mut Incident, event: Event, now: Timestamp) -> Notification {
        incident.transitions += 1;
        Notification {
            event,
            incident: incident.clone(),
            transition: incident.transitions,
            at: now,
            site: self.plan.site.clone(),
            url: self.plan.web.page_of(&incident.id),
            late: false,
            plain: false,
            group: None,
            unrecorded: false,
        }
    }
}
