//! How grave an incident is: by the alert, by what fails and how much of it, and by the schedules that hold it open. It rises
//! while it is open, and never falls.

use super::{Ledger, moment, watched};
use crate::domain::grading::{Grading, Recent};
use crate::domain::incident::{Incident, Severity};
use crate::domain::judge::{AlertKey, AlertPolicy, Aspect, Rule};
use crate::domain::names::{ProbeName, ScheduleName};
use crate::domain::outcome::Run;
use crate::domain::time::Timestamp;
use crate::ports::Commit;

impl Ledger {
    /// How grave it is that a run is bad; it is counted among the last ones where the alert asks how many of them failed.
    /// What was looked at again off the slots is no part of that: it is looked at because it fails.
    pub(super) fn severity(
        &mut self,
        key: &AlertKey,
        policy: &AlertPolicy,
        rule: &Rule,
        run: &Run,
        commit: &mut Commit,
    ) -> Severity {
        let Some(grading) = policy.grading.as_ref().filter(|_| key.aspect == Aspect::Failing) else {
            return rule.severity;
        };
        let Some(bad) = key.aspect.bad(&run.verdict) else { return rule.severity };
        if run.extra.is_none() {
            self.take_recent(key, grading, bad, commit);
        }
        if !bad {
            return rule.severity;
        }
        let recent = self.recents.get(&(key.schedule.clone(), key.probe.clone()));
        grading.severity(run.verdict.failures(), recent.unwrap_or(&Recent::default()))
    }

    fn take_recent(&mut self, key: &AlertKey, grading: &Grading, bad: bool, commit: &mut Commit) {
        let Some(rate) = &grading.error_rate else { return };
        let of = (key.schedule.clone(), key.probe.clone());
        // Nearly every run is of what has not failed for long.
        if !bad && !self.recents.contains_key(&of) {
            return;
        }
        let mut recent = self.recents.remove(&of).unwrap_or_default();
        recent.take(bad, rate.runs);
        self.put_recent(of, recent, commit);
    }

    fn put_recent(&mut self, of: (ScheduleName, ProbeName), recent: Recent, commit: &mut Commit) {
        commit.recents.insert(of.clone(), recent.clone());
        if recent.is_forgotten() {
            self.recents.remove(&of);
        } else {
            self.recents.insert(of, recent);
        }
    }

    /// Forgets what nobody asks for any more.
    pub(super) fn forget_recents(&mut self, commit: &mut Commit) {
        let asks = |(schedule, probe): &(ScheduleName, ProbeName)| {
            let grading = watched(&self.rounds, schedule, probe)?.1.grading.as_ref()?;
            grading.error_rate.as_ref()
        };
        let gone: Vec<_> = self.recents.keys().filter(|of| asks(of).is_none()).cloned().collect();
        for of in gone {
            self.put_recent(of, Recent::default(), commit);
        }
    }

    /// Notes how grave an incident is on a schedule. Where that is graver than it was, it rises, and whoever the graver one is
    /// for is told, whoever has taken it on. Says whether it did.
    pub(super) fn grade(
        &mut self,
        incident: &mut Incident,
        schedule: &ScheduleName,
        severity: Severity,
        now: Timestamp,
        commit: &mut Commit,
    ) -> bool {
        let held_at = incident.firing.entry(schedule.clone()).or_insert(severity);
        *held_at = severity.max(*held_at);
        if severity <= incident.severity {
            return false;
        }
        let before = incident.severity;
        commit.moments.push(moment(incident, now, "raised", format!("{before} becomes {severity}")));
        if let Some(taken) = incident.rise(severity, self.is_stricter(severity, before)) {
            let text = format!("{} took it on as {before}", taken.by);
            commit.moments.push(moment(incident, now, "unacknowledged", text));
        }
        self.tell_opened(incident, now, commit);
        true
    }

    /// Whether somebody is to take on what has the one severity sooner than what has the other: only then whoever has it asks
    /// again, since they heard of the rise and are at it.
    fn is_stricter(&self, severity: Severity, than: Severity) -> bool {
        let within = |severity| self.plan.severities.get(&severity).and_then(|of_severity| of_severity.acknowledge);
        within(severity).is_some_and(|within_now| within(than).is_none_or(|before| within_now < before))
    }
}
