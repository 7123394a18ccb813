//! What receivers said of incidents of their own accord.

use std::sync::Arc;

use rusqlite::{Connection, OptionalExtension as _, Result, Row, params};

use crate::domain::incident::IncidentId;
use crate::domain::names::ChannelName;
use crate::ports::{Heeded, KnownReply, Reply};

/// Remembers a reply once; of an incident that there is not, nothing.
pub fn write(connection: &Connection, reply: &Heeded) -> Result<()> {
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
    let mut called = connection.prepare_cached(
        "SELECT incident FROM replies WHERE channel = ?1 AND theirs = ?2 ORDER BY incident DESC LIMIT 1",
    )?;
    let named = reply.incident.as_ref().map(|incident| incident.0.to_string());
    let called = called.query_row([channel.as_str(), &reply.theirs], |row| row.get::<_, String>(0)).optional()?;
    let incidents = named.or(called).map(|named| told_as(connection, channel, &named)).transpose()?;
    Ok(KnownReply {
        is_repeated: same.exists([channel.as_str(), &reply.id])?,
        incidents: incidents.unwrap_or_default(),
    })
}

/// What a receiver knows by a name: the incident, or all that began by the message of that id, or by that of the incident.
fn told_as(connection: &Connection, channel: &ChannelName, named: &str) -> Result<Vec<IncidentId>> {
    let mut members = connection.prepare_cached(
        "SELECT DISTINCT incident FROM outbox WHERE channel = ?1 AND event IN ('opened', 'escalated') AND message IN
             (SELECT message FROM outbox WHERE (id = ?2 OR incident = ?2) AND channel = ?1
              AND event IN ('opened', 'escalated'))
         ORDER BY incident",
    )?;
    let id = |row: &Row<'_>| Ok(IncidentId(Arc::from(row.get::<_, String>(0)?)));
    let members = members.query_map([channel.as_str(), named], id)?.collect::<Result<Vec<_>>>()?;
    Ok(if members.is_empty() { vec![IncidentId(Arc::from(named))] } else { members })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::incident::{Incident, Severity};
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
        let heeded = |id: &str, theirs: &str, incident: &str| Heeded {
            channel: pager.clone(),
            id: id.to_owned(),
            theirs: theirs.to_owned(),
            incident: IncidentId(Arc::from(incident)),
        };
        let replies = vec![heeded("e0", "PX", "I9"), heeded("e1", "P1", "I1"), heeded("e1", "P1", "I1")];
        commit(crate::ports::Commit { replies, ..crate::ports::Commit::default() }).await.unwrap();
        kept.reopen().await;
        for (of, said, is_repeated, is_known) in [
            ("pager", reply("e1", "P1"), true, true),
            ("pager", reply("e2", "P1"), false, true),
            ("pager", reply("e0", "PX"), false, false),
            ("other", reply("e1", "P1"), false, false),
        ] {
            let known = kept.store.look_up(&channel(of), &said).await.unwrap();
            let incidents = if is_known { vec![one.id.clone()] } else { Vec::new() };
            let expected = KnownReply { is_repeated, incidents };
            assert_eq!(known, expected, "{of} {said:?}");
        }
        let over =
            crate::ports::Commit { incidents: vec![resolved(&one, 10)].into(), ..crate::ports::Commit::default() };
        kept.store.commit(over.into()).await.unwrap();
        kept.store.purge(second(20)).await.unwrap();
        assert_eq!(kept.number("SELECT count(*) FROM replies"), 0);
    }

    #[tokio::test]
    async fn what_is_said_of_a_storm_is_said_of_all_in_it() {
        let (kept, pager) = (kept(), channel("pager"));
        let ids: Vec<_> = (0..6).map(|n| IncidentId(Arc::from(format!("I{n}")))).collect();
        for id in &ids {
            let one = Incident {
                probe: format!("of-{id}").to_lowercase().parse().unwrap(),
                ..incident(&id.0, Severity::P3, 0)
            };
            kept.store.commit(opening(&one, &["pager"], 0).into()).await.unwrap();
        }
        kept.store.gather(second(10), &std::collections::BTreeMap::new()).await.unwrap();
        let carrier = kept.store.due_deliveries(second(10), 10).await.unwrap().now.remove(0).id;
        for (named, theirs) in [(Some(carrier.as_str()), "PX"), (Some("I3"), "PX"), (None, "P1")] {
            let incident = named.map(|id| IncidentId(Arc::from(id)));
            let says = Says::Acknowledged;
            let reply = Reply { id: "e9".to_owned(), theirs: theirs.to_owned(), incident, by: "ann".to_owned(), says };
            let known = kept.store.look_up(&pager, &reply).await.unwrap();
            assert_eq!(known.incidents.len(), if named.is_some() { 6 } else { 0 }, "{named:?}");
        }
    }
}
