//! Whether what alerts say reaches somebody: a page that reaches nobody is what an alert must never be.

use std::collections::{BTreeMap, BTreeSet};

use super::probes::WrittenProbe;
use crate::domain::incident::Severity;
use crate::domain::judge::AlertPolicy;
use crate::domain::names::{ChannelName, ProbeName, ScheduleName};
use crate::domain::route::{Route, Subject};
use crate::domain::schedule::Schedule;
use crate::domain::time::Timestamp;
use crate::settings::{Problems, Span};

/// Who speaks, and the ways to those who listen.
pub struct Reach<'a> {
    /// All probes.
    pub probes: &'a BTreeMap<ProbeName, WrittenProbe>,
    /// The schedules, each with where its name is written and its resolved text.
    pub schedules: &'a [(Schedule, Span, String)],
    /// The routes.
    pub routes: &'a [Route],
}

impl Reach<'_> {
    /// Whether a route or an alert names a channel.
    pub fn names(&self, channel: &ChannelName) -> bool {
        let of_schedules = self.schedules.iter().filter_map(|(schedule, ..)| schedule.alert.as_ref());
        let mut alerts = of_schedules.chain(self.probes.values().filter_map(|probe| probe.probe.alert.as_deref()));
        self.routes.iter().any(|route| route.to.contains(channel) || route.fallback.as_ref() == Some(channel))
            || alerts.any(|alert| alert.rules().any(|(_, rule)| rule.to.contains(channel)))
    }

    /// Warns of each severity of an alert that no route takes and that names no channel itself.
    pub fn check(&self, problems: &mut Problems) {
        // What waits for hours is told in them, so they are left out.
        let routes: Vec<_> = self.routes.iter().map(|route| Route { when: None, ..route.clone() }).collect();
        let is_taken = |probe: &WrittenProbe, schedule: &ScheduleName, severity| {
            let subject = Subject { severity, labels: &probe.probe.labels, schedules: std::slice::from_ref(schedule) };
            routes.iter().any(|route| route.refuses(&subject, Timestamp::default()).is_none())
        };
        for (schedule, key, _) in self.schedules {
            let Some(alert) = &schedule.alert else { continue };
            // A probe with an alert of its own speaks for itself.
            let speaks = self.members(schedule).filter(|(_, probe)| probe.probe.alert.is_none()).collect::<Vec<_>>();
            for severity in alert.routed_severities() {
                let lost = speaks.iter().filter(|(_, probe)| !is_taken(probe, &schedule.name, severity));
                let lost: Vec<_> = lost.map(|(name, _)| name.as_str()).collect();
                warn(key, schedule.name.as_str(), &lost, speaks.len(), severity, problems);
            }
        }
        for (schedule, key, _) in self.schedules {
            let known = schedule.alert.as_ref().map(AlertPolicy::routed_severities).unwrap_or_default();
            let alerts = schedule.objectives.iter().filter_map(|objective| objective.alert.as_ref());
            let severities: BTreeSet<_> = alerts.flat_map(|alert| [alert.severity, alert.slow]).collect();
            let on: Vec<_> = self.members(schedule).collect();
            for severity in severities.difference(&known) {
                let lost = on.iter().filter(|(_, probe)| !is_taken(probe, &schedule.name, *severity));
                let lost: Vec<_> = lost.map(|(name, _)| name.as_str()).collect();
                warn(key, schedule.name.as_str(), &lost, on.len(), *severity, problems);
            }
        }
        for (name, probe) in self.probes {
            let Some(alert) = &probe.probe.alert else { continue };
            let on: Vec<_> =
                self.schedules.iter().map(|(schedule, ..)| schedule).filter(|schedule| schedule.has(name)).collect();
            for severity in alert.routed_severities() {
                let lost = on.iter().filter(|schedule| !is_taken(probe, &schedule.name, severity));
                let lost: Vec<_> = lost.map(|schedule| schedule.name.as_str()).collect();
                warn(&probe.key.span, name.as_str(), &lost, on.len(), severity, problems);
            }
        }
    }

    fn members<'b>(&'b self, schedule: &'b Schedule) -> impl Iterator<Item = (&'b ProbeName, &'b WrittenProbe)> {
        schedule.probes.iter().filter_map(|name| Some((name, self.probes.get(name)?)))
    }
}

fn warn(at: &Span, whose: &str, lost: &[&str], all: usize, severity: Severity, problems: &mut Problems) {
    let Some((first, others)) = lost.split_first() else { return };
    let more = if others.is_empty() { String::new() } else { format!(" and {} more", others.len()) };
    let part = if lost.len() == all { String::new() } else { format!(" with `{first}`{more}") };
    let message = format!("no route takes the alerts of `{whose}`{part}, whose severity is {severity}");
    problems.warning(at.clone(), message).help =
        Some("add a route to roundsman.yaml: `routes: [{ to: [channel] }]`".to_owned());
}
