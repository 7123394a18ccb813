//! What people want nobody to be told of.

use std::sync::Arc;

use super::Ledger;
use crate::domain::names::ScheduleName;
use crate::domain::quiet::{Matchers, Reason, Silence, SilenceError, SilenceId};
use crate::domain::text::harmless;
use crate::domain::time::{Timestamp, clock};
use crate::engine::plan::PlannedProbe;
use crate::engine::runner::new_id;
use crate::ports::Commit;

/// How many silences there may be that are not over.
pub const SILENCES_MAX: usize = 500;

/// What somebody wants of silences.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Silencing {
    /// One more.
    Begin {
        /// What it is about.
        matchers: Matchers,
        /// Who wants it.
        by: String,
        /// Why.
        reason: String,
        /// When it begins; at once where nothing is said.
        from: Option<Timestamp>,
        /// When it is over.
        until: Timestamp,
    },
    /// One less: it is over now.
    End(SilenceId),
}

impl Ledger {
    /// The silence that would end.
    pub fn silence_ended_by(&self, what: &Silencing) -> Option<&Silence> {
        let Silencing::End(id) = what else { return None };
        self.silences.iter().find(|silence| silence.id == *id)
    }

    /// Whether it says what it is about, and that is all that is probed: nobody would know of the next outage.
    fn takes_every_probe(&self, matchers: &Matchers) -> bool {
        let mut rounds =
            self.rounds().filter_map(|(of, probe)| Some((&of.name, self.plan.probes.get(probe)?))).peekable();
        let takes_all = |(schedule, probe): (&ScheduleName, &Arc<PlannedProbe>)| {
            matchers.take_round(schedule, &probe.name, &probe.labels)
        };
        let are_many = self.plan.probes.len() > 1 && rounds.peek().is_some();
        are_many && matchers.takes_every_severity() && rounds.all(takes_all)
    }

    /// Begins a silence or ends one, and says how it is then. Open incidents that it takes are quiet from now on; those that
    /// it leaves are told if they still last.
    pub fn silence(&mut self, what: Silencing, now: Timestamp, commit: &mut Commit) -> Result<Silence, SilenceError> {
        self.silences.retain(|silence| now < silence.until);
        let silence = match what {
            Silencing::Begin { matchers, by, reason, from, until } => {
                let id = SilenceId(Arc::from(new_id(now).as_str()));
                let silence = Silence { id, matchers, by, reason, from: from.unwrap_or(now), until };
                silence.check(now)?;
                if self.silences.len() >= SILENCES_MAX {
                    return Err(SilenceError::Many(self.silences.len()));
                }
                if self.takes_every_probe(&silence.matchers) {
                    let (by, about, reason) = (&silence.by, silence.matchers.to_string(), &silence.reason);
                    let (by, about, reason) = (harmless(by), harmless(&about), harmless(reason));
                    let from = if silence.is_active(now) {
                        "now".to_owned()
                    } else {
                        format!("from {} on", clock(silence.from))
                    };
                    tracing::warn!(silence = %silence.id, "nobody is told of any probe {from}: {by} wants quiet about {about}: {reason}");
                }
                self.silences.push(silence.clone());
                silence
            }
            Silencing::End(id) => {
                let at = self.silences.iter().position(|silence| silence.id == id);
                let ended = at.map(|at| self.silences.swap_remove(at)).ok_or(SilenceError::Unknown(id))?;
                self.open.stir_quiet(|reason| matches!(reason, Reason::Silenced { id, .. } if *id == ended.id));
                // One that had not begun never was.
                Silence { from: ended.from.min(now), until: now, ..ended }
            }
        };
        commit.put_silence(silence.clone());
        let taken: Vec<_> = self.open.iter().filter(|(_, incident)| silence.matchers.take(incident)).collect();
        let taken: Vec<_> = taken.into_iter().map(|(of, _)| of.clone()).collect();
        for of in taken.into_iter().filter(|_| silence.is_active(now)) {
            let Some(mut incident) = self.open.remove(&of) else { continue };
            self.hush(&mut incident, now, commit);
            commit.put_incident(incident.clone());
            self.open.insert(of, incident);
        }
        Ok(silence)
    }
}
