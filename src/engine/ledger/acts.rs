//! What people do about an incident: take it on, and say something of it.

use super::{Ledger, moment};
use crate::domain::incident::{Acknowledgement, Event, Incident, IncidentId};
use crate::domain::names::ChannelName;
use crate::domain::time::{Timestamp, clock};
use crate::ports::{Commit, Heeded, Reply, Says};

/// The longest note, in characters.
pub const NOTE_MAX: usize = 2_000;

/// The longest name of who acts, in characters.
pub const BY_MAX: usize = 100;

/// What somebody does about an open incident.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Act {
    /// Takes it on: nobody is reminded of it from now on, and whoever was told of it hears who has it.
    Acknowledge {
        /// What they say of it.
        note: Option<String>,
    },
    /// Says something, for the time line.
    Note(String),
}

/// Why an act was refused; nothing has changed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ActError {
    /// There is none of that id, or it is over.
    #[error("no incident {0} is open")]
    NotOpen(IncidentId),
    /// Somebody was first.
    #[error("{} acknowledged it at {}", .0.by, clock(.0.at))]
    Taken(Acknowledgement),
    /// Nobody is named.
    #[error("who does it must be said, in at most {BY_MAX} characters")]
    By,
    /// Nothing is said, or too much.
    #[error("a note has 1 to {NOTE_MAX} characters")]
    Note,
}

impl Ledger {
    /// Does what somebody does about an incident, and says how it stands then.
    pub fn act(
        &mut self,
        id: &IncidentId,
        by: &str,
        act: &Act,
        now: Timestamp,
        commit: &mut Commit,
    ) -> Result<Incident, ActError> {
        let fits = |text: &str, most: usize| !text.trim().is_empty() && text.chars().count() <= most;
        if !fits(by, BY_MAX) {
            return Err(ActError::By);
        }
        let note = match act {
            Act::Acknowledge { note } => note.as_deref(),
            Act::Note(note) => Some(note.as_str()),
        };
        if note.is_some_and(|note| !fits(note, NOTE_MAX)) {
            return Err(ActError::Note);
        }
        let open = self.open.of_id(id).and_then(|of| Some((self.open.remove(&of)?, of)));
        let (mut incident, of) = open.ok_or_else(|| ActError::NotOpen(id.clone()))?;
        let done = match act {
            Act::Acknowledge { note } => self.acknowledge(&mut incident, by, note.clone(), now, commit),
            Act::Note(note) => {
                commit.moments.push(moment(&incident, now, "note", format!("{by}: {note}")));
                Ok(())
            }
        };
        if done.is_ok() {
            commit.put_incident(incident.clone());
        }
        self.open.insert(of, incident.clone());
        done.map(|()| incident)
    }

    /// Does what a receiver says of incidents, and remembers that it was said; says to which it made a difference.
    pub fn heed(
        &mut self,
        channel: &ChannelName,
        reply: &Reply,
        incidents: &[IncidentId],
        now: Timestamp,
        commit: &mut Commit,
    ) -> Vec<IncidentId> {
        let act = match &reply.says {
            Says::Acknowledged => Some(Act::Acknowledge { note: None }),
            Says::Note(text) => Some(Act::Note(text.clone())),
            Says::Nothing => None,
        };
        let mut takes = |act: &Act, id: &IncidentId| self.act(id, &reply.by, act, now, commit).is_ok();
        let taken = act.map_or_else(Vec::new, |act| incidents.iter().filter(|id| takes(&act, id)).cloned().collect());
        let Reply { id, theirs, .. } = reply.clone();
        let heeded =
            |incident: &IncidentId| Heeded { channel: channel.clone(), id, theirs, incident: incident.clone() };
        commit.replies.extend(incidents.first().map(heeded));
        taken
    }

    fn acknowledge(
        &self,
        incident: &mut Incident,
        by: &str,
        note: Option<String>,
        now: Timestamp,
        commit: &mut Commit,
    ) -> Result<(), ActError> {
        if let Some(taken) = &incident.acknowledged {
            return Err(ActError::Taken(taken.clone()));
        }
        let taken = Acknowledgement { at: now, by: by.to_owned(), note };
        commit.moments.push(moment(incident, now, "acknowledged", format!("by {taken}")));
        incident.acknowledged = Some(taken);
        (incident.remind_at, incident.escalate_at) = (None, None);
        // It speaks to those who were paged, so it is said also where a silence has begun since.
        let told = incident.told.clone();
        self.tell(incident, Event::Acknowledged, &told, now, commit);
        Ok(())
    }
}
