//! What people want nobody to be told of.

use std::sync::Arc;

use super::Ledger;
use crate::domain::quiet::{Matchers, Reason, Silence, SilenceError, SilenceId};
use crate::domain::time::Timestamp;
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
