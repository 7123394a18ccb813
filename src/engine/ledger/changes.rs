//! What changed shortly before an incident: which versions targets say they are, what was loaded, what else broke.

use std::collections::VecDeque;
use std::time::Duration;

use super::{Ledger, moment};
use crate::domain::incident::Incident;
use crate::domain::names::ProbeName;
use crate::domain::time::{Timestamp, between, earlier};
use crate::engine::plan::Plan;
use crate::ports::Commit;

/// How long before an incident a change may have been its cause.
const SHORTLY: Duration = Duration::from_secs(3_600);

/// How many changes are told of one incident, besides the incidents near it.
const CHANGES_MAX: usize = 10;

/// How close in time two incidents open that may have one cause.
const NEARBY: Duration = Duration::from_secs(600);

/// How many of the incidents near it are named; the rest is counted.
const NEARBY_NAMED: usize = 3;

/// How many incidents are remembered as near: of a storm nobody wants to know it more exactly.
const OPENED_MAX: usize = 1_000;

/// How many reloads are remembered.
const RELOADS_MAX: usize = 32;

/// How many changes of a reload are named; the rest is counted.
const RELOAD_NAMED: usize = 5;

/// What happened lately besides versions, which the store keeps. A process that starts knows of the incidents that were open.
#[derive(Default)]
pub struct Lately {
    reloads: VecDeque<(Timestamp, String)>,
    opened: VecDeque<(Timestamp, ProbeName)>,
}

impl Lately {
    /// What is known where these incidents are open.
    pub fn of<'a>(open: impl Iterator<Item = &'a Incident>) -> Self {
        let mut opened: Vec<_> = open.map(|incident| (incident.opened_at, incident.probe.clone())).collect();
        opened.sort();
        let opened = opened.split_off(opened.len().saturating_sub(OPENED_MAX)).into();
        Self { reloads: VecDeque::new(), opened }
    }

    /// An incident has opened.
    pub fn take_opening(&mut self, probe: &ProbeName, now: Timestamp) {
        self.opened.retain(|(at, _)| between(*at, now) < NEARBY);
        self.opened.truncate(OPENED_MAX - 1);
        self.opened.push_back((now, probe.clone()));
    }

    /// The incidents that opened shortly before an instant, as one change.
    fn nearby(&self, since: Timestamp) -> Option<(Timestamp, String)> {
        let from = earlier(since, NEARBY);
        let near: Vec<_> = self.opened.iter().filter(|(at, _)| *at >= from).collect();
        let named: Vec<_> = near.iter().take(NEARBY_NAMED).map(|(_, probe)| probe.as_str()).collect();
        let more = match near.len() - named.len() {
            0 => String::new(),
            more => format!(" and {more} more"),
        };
        let (at, _) = near.first()?;
        let change = match near.len() {
            1 => format!("an incident of {} was opened", named.join(", ")),
            _ => format!("incidents of {}{more} were opened", named.join(", ")),
        };
        Some((*at, change))
    }
}

impl Ledger {
    /// Notes what a plan changes that comes after another. It is told with the incidents after it, and stands in the time
    /// line of those that are open.
    pub(super) fn take_reload(&mut self, next: &Plan, now: Timestamp, commit: &mut Commit) {
        let changes = self.plan.changes(next);
        if changes.is_empty() {
            return;
        }
        let named = changes.iter().take(RELOAD_NAMED).map(String::as_str).collect::<Vec<_>>().join(", ");
        let more = match changes.len().saturating_sub(RELOAD_NAMED) {
            0 => String::new(),
            more => format!(" and {more} more"),
        };
        let change = format!("the configuration was loaded again: {named}{more}");
        let moments = self.open.iter().map(|(_, incident)| moment(incident, now, "reload", change.clone()));
        commit.moments.extend(moments);
        self.lately.reloads.truncate(RELOADS_MAX - 1);
        self.lately.reloads.push_front((now, change));
    }

    /// The changes of the hour before, each with what it is, the latest last: whichever probe saw them, since one part of a
    /// system breaks another.
    pub(super) fn changes_before(&self, since: Timestamp, now: Timestamp) -> Vec<(Timestamp, &'static str, String)> {
        let recent = |at: Timestamp| at <= now && between(at, since) < SHORTLY;
        let versions = self.versions.values().filter(|version| recent(version.since));
        let versions = versions.filter_map(|version| Some((version.since, "version", version.change()?)));
        let reloads = self.lately.reloads.iter().filter(|(at, _)| recent(*at));
        let reloads = reloads.map(|(at, change)| (*at, "reload", change.clone()));
        let mut changes: Vec<_> = versions.chain(reloads).collect();
        changes.sort();
        let mut changes = changes.split_off(changes.len().saturating_sub(CHANGES_MAX));
        changes.extend(self.lately.nearby(since).map(|(at, change)| (at, "nearby", change)));
        changes
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::testing::at;

    #[test]
    fn of_a_storm_the_first_are_named_and_the_rest_is_counted() {
        let (start, mut lately) = (at("2026-11-24T10:00:00Z"), Lately::default());
        assert_eq!(lately.nearby(start), None);
        for n in 0..5_000 {
            lately.take_opening(&ProbeName::parse(&format!("p{n}")).unwrap(), start);
        }
        let told = lately.nearby(start).unwrap().1;
        assert_eq!(told, "incidents of p0, p1, p2 and 997 more were opened");
        let later = at("2026-11-24T10:30:00Z");
        assert_eq!(lately.nearby(later), None, "they are not near any more");
        lately.take_opening(&ProbeName::parse("late").unwrap(), later);
        assert_eq!(lately.nearby(later).unwrap(), (later, "an incident of late was opened".to_owned()));
    }
}
