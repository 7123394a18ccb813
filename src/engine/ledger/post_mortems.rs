//! Whom somebody reminds of what is over: that what was learned of it is still to be written down.

use super::{Ledger, moment};
use crate::domain::incident::{Event, Incident};
use crate::domain::judge::Aspect;
use crate::domain::time::{Timestamp, between, later, words};
use crate::ports::Commit;

impl Ledger {
    /// When those who were told of an incident that is over now are reminded of its post-mortem: within the hours for which
    /// its messages wait, where they do. Nobody is where nobody was told, nor where there is nothing to learn of the target.
    pub(super) fn post_mortem_at(&self, incident: &Incident, now: Timestamp) -> Option<Timestamp> {
        let has_lesson = incident.aspect == Aspect::Failing && incident.resolved_because.is_none();
        if !has_lesson || incident.told.is_empty() {
            return None;
        }
        let severity = self.plan.severities.get(&incident.severity)?;
        let at = later(now, severity.post_mortem?);
        let opening = severity.hold.as_ref().and_then(|hours| hours.next_after(at));
        Some(opening.unwrap_or(at))
    }

    /// Reminds of what is due by now, once.
    pub(super) fn remind_of_post_mortems(&mut self, now: Timestamp, commit: &mut Commit) {
        let is_due = |incident: &Incident| incident.post_mortem_at.is_none_or(|at| at <= now);
        let due: Vec<_> = self.over.iter().filter(|(_, incident)| is_due(incident)).map(|(id, _)| id.clone()).collect();
        for id in due {
            let Some(mut incident) = self.over.remove(&id) else { continue };
            incident.post_mortem_at = None;
            let ago = words(between(incident.resolved_at.unwrap_or(now), now));
            commit.moments.push(moment(&incident, now, "post_mortem", format!("it is due, {ago} after the end")));
            let told = incident.told.clone();
            self.tell(&mut incident, Event::PostMortem, &told, now, commit);
            commit.put_incident(incident);
        }
    }
}
