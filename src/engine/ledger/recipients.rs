//! Whom an incident is told to: whom its alert names, else whom a route does.

use super::{Ledger, watched};
use crate::domain::incident::Incident;
use crate::domain::names::ChannelName;
use crate::domain::route::Subject;
use crate::domain::time::Timestamp;

impl Ledger {
    /// The channels that take an incident now, each once; none where nothing takes it. Where one of several schedules that hold
    /// it open names no channel, its route is told beside those that the others name.
    pub(super) fn recipients(&self, incident: &Incident, now: Timestamp) -> Option<Vec<ChannelName>> {
        let named = |schedule| {
            let rule = watched(&self.rounds, schedule, &incident.probe)?.1.rule(incident.aspect)?;
            (!rule.to.is_empty()).then_some(&rule.to)
        };
        let named: Vec<_> = incident.firing.keys().map(named).collect();
        let is_routed = named.is_empty() || named.iter().any(Option::is_none);
        let route = self.plan.route(&Subject::from(incident), now).filter(|_| is_routed);
        let mut all: Vec<ChannelName> = Vec::new();
        for channel in named.into_iter().flatten().chain(route.map(|route| &route.to)).flatten() {
            if !all.contains(channel) {
                all.push(channel.clone());
            }
        }
        (!all.is_empty()).then_some(all)
    }
}
