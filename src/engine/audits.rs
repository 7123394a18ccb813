//! What is put down of what people change.

use super::ledger::acts::Act;
use super::runner::new_id;
use crate::domain::audit::{AuditRecord, Author, Deed, Who};
use crate::domain::incident::IncidentId;
use crate::domain::names::ChannelName;
use crate::domain::pause::Pause;
use crate::domain::quiet::Silence;
use crate::domain::time::{Timestamp, clock};
use crate::ports::{Reply, Says};

/// Of something that is no commit of ours.
pub fn of_deed(author: Author, deed: Deed, of: String, before_and_after: [String; 2], now: Timestamp) -> AuditRecord {
    AuditRecord::new(&new_id(now), now, author, deed, of, before_and_after)
}

/// How an incident was that somebody takes on.
const NOBODYS: &str = "nobody had it";

/// Of what was done about an incident.
pub fn of_act(author: Author, incident: &IncidentId, act: &Act, now: Timestamp) -> AuditRecord {
    let (deed, before, after) = match act {
        Act::Acknowledge { note: None } => (Deed::Acknowledge, NOBODYS, "taken on".to_owned()),
        Act::Acknowledge { note: Some(note) } => (Deed::Acknowledge, NOBODYS, format!("taken on: {note}")),
        Act::Note(note) => (Deed::Note, "", note.clone()),
    };
    of_deed(author, deed, incident.to_string(), [before.to_owned(), after], now)
}

/// Of what a receiver said of incidents: those to which it made a difference, and nothing where there are none.
pub fn of_reply(channel: &ChannelName, reply: &Reply, taken: &[IncidentId], now: Timestamp) -> Option<AuditRecord> {
    let (deed, before, after) = match &reply.says {
        Says::Nothing => return None,
        _ if taken.is_empty() => return None,
        Says::Acknowledged => (Deed::Acknowledge, NOBODYS, "taken on".to_owned()),
        Says::Note(note) => (Deed::Note, "", note.clone()),
    };
    let author = Author { who: Who::Channel(channel.clone()), by: Some(reply.by.clone()), from: None };
    let of = taken.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
    Some(of_deed(author, deed, of, [before.to_owned(), after], now))
}

/// Of a silence that began, or that ended and was so before.
pub fn of_silence(author: Author, silence: &Silence, ended: Option<&Silence>, now: Timestamp) -> AuditRecord {
    let until = |silence: &Silence| format!("{} until {}: {}", silence.matchers, clock(silence.until), silence.reason);
    let (deed, before, after) = match ended {
        Some(before) => (Deed::EndSilence, until(before), "over".to_owned()),
        None => (Deed::Silence, String::new(), until(silence)),
    };
    of_deed(author, deed, silence.id.to_string(), [before, after], now)
}

/// Of a pause that began, or that is over.
pub fn of_pause(author: Author, pause: &Pause, now: Timestamp) -> AuditRecord {
    let until =
        pause.until.map_or_else(|| "until somebody resumes it".to_owned(), |until| format!("until {}", clock(until)));
    let paused = format!("{} {until}: {}", pause.what, pause.reason);
    let (deed, texts) = match pause.ended {
        Some(_) => (Deed::Resume, [paused, "this pause is over".to_owned()]),
        None => (Deed::Pause, [String::new(), paused]),
    };
    of_deed(author, deed, pause.id.to_string(), texts, now)
}
