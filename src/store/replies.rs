//! What receivers said of incidents of their own accord.

use std::sync::Arc;

use rusqlite::{Connection, OptionalExtension as _, Result, params};

use crate::domain::incident::IncidentId;
use crate::domain::names::ChannelName;
use crate::ports::{KnownReply, Reply};

/// A reply as it is remembered.
pub struct Remembered {
    channel: ChannelName,
    id: String,
    theirs: String,
    incident: IncidentId,
}

impl Remembered {
    /// A reply of a channel's receiver, of an incident.
    pub fn of(channel: &ChannelName, reply: &Reply, incident: &IncidentId) -> Self {
        let Reply { id, theirs, .. } = reply.clone();
        Self { channel: channel.clone(), id, theirs, incident: incident.clone() }
    }
}

/// Remembers a reply once; of an incident that there is not, nothing.
pub fn write(connection: &Connection, reply: &Remembered) -> Result<()> {
    let mut insert = connection.prepare_cached(
        "INSERT INTO replies (channel, id, theirs, incident)
         SELECT ?1, ?2, ?3, ?4 WHERE EXISTS (SELECT 1 FROM incidents WHERE id = ?4)
         ON CONFLICT (channel, id) DO NOTHING",
    )?;
    insert.execute(params![reply.channel.as_str(), reply.id, reply.theirs, &*reply.incident.0])?;
    Ok(())
}

/// What is known of a reply.
pub fn look_up(connection: &Connection, channel: &ChannelName, reply: &Reply) -> Result<KnownReply> {
    let mut same = connection.prepare_cached("SELECT 1 FROM replies WHERE channel = ?1 AND id = ?2")?;
    let mut incident = connection.prepare_cached(
        "SELECT incident FROM replies WHERE channel = ?1 AND theirs = ?2 ORDER BY incident DESC LIMIT 1",
    )?;
    let incident = incident.query_row([channel.as_str(), &reply.theirs], |row| row.get::<_, String>(0)).optional()?;
    Ok(KnownReply {
        is_repeated: same.exists([channel.as_str(), &reply.id])?,
        incident: incident.map(|id| IncidentId(Arc::from(id))),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::incident::Severity;
    use crate::ports::{Replies as _, Says, Store as _};
    use crate::store::testing::{channel, incident, kept, opening, resolved, second};

    #[tokio::test]
    async fn what_was_said_is_known_again_until_its_incident_is_erased() {
        let mut kept = kept();
        let (one, pager) = (incident("I1", Severity::P1, 0), channel("pager"));
        let commit = |commit: crate::ports::Commit| kept.store.commit(commit.into());
        commit(opening(&one, &[], 0)).await.unwrap();
        let reply = |id: &str, theirs: &str| Reply {
            id: id.to_owned(),
            theirs: theirs.to_owned(),
            incident: None,
            by: "ann".to_owned(),
            says: Says::Acknowledged,
        };
        let stranger = IncidentId(Arc::from("I9"));
        kept.store.remember(&pager, &reply("e0", "PX"), &stranger).await.unwrap();
        for _ in 0..2 {
            kept.store.remember(&pager, &reply("e1", "P1"), &one.id).await.unwrap();
        }
        kept.reopen().await;
        for (of, said, is_repeated, is_known) in [
            ("pager", reply("e1", "P1"), true, true),
            ("pager", reply("e2", "P1"), false, true),
            ("pager", reply("e0", "PX"), false, false),
            ("other", reply("e1", "P1"), false, false),
        ] {
            let known = kept.store.look_up(&channel(of), &said).await.unwrap();
            let expected = KnownReply { is_repeated, incident: is_known.then(|| one.id.clone()) };
            assert_eq!(known, expected, "{of} {said:?}");
        }
        let over = crate::ports::Commit { incidents: vec![resolved(&one, 10)], ..crate::ports::Commit::default() };
        kept.store.commit(over.into()).await.unwrap();
        kept.store.purge(second(20)).await.unwrap();
        assert_eq!(kept.number("SELECT count(*) FROM replies"), 0);
    }
}
