//! What channels took lately, and how their last drills came out.

use std::collections::BTreeMap;
use std::sync::Arc;

use rusqlite::{Connection, OptionalExtension as _, Result, Row, params};

use super::columns::{count, from_json, instant, read};
use crate::domain::incident::{Event, Incident, IncidentId};
use crate::domain::names::ChannelName;
use crate::ports::{Delivered, KnownDrill};

/// How many of the last drills are looked at for those of each channel.
const DRILLS_MAX: u32 = 200;

/// What these channels took, of each the last, the latest first.
pub fn delivered(connection: &Connection, channels: &[ChannelName], most: usize) -> Result<Vec<Delivered>> {
    let most = count(most.try_into().unwrap_or(u64::MAX));
    let mut select = connection.prepare_cached(
        "SELECT incident, event, created_at, settled_at, attempts, receipt,
             json_extract(notification, '$.incident.drill') IS NOT NULL AS drill
         FROM outbox WHERE channel = ?1 AND state = 'delivered' ORDER BY settled_at DESC LIMIT ?2",
    )?;
    let mut found = Vec::new();
    for channel in channels {
        for row in select.query_map(params![channel.as_str(), most], |row| delivered_row(channel, row))? {
            found.push(row?);
        }
    }
    Ok(found)
}

fn delivered_row(channel: &ChannelName, row: &Row<'_>) -> Result<Delivered> {
    let event: String = row.get("event")?;
    let event = Event::ALL.into_iter().find(|known| known.as_str() == event).ok_or("not an event");
    Ok(Delivered {
        channel: channel.clone(),
        incident: IncidentId(Arc::from(row.get::<_, String>("incident")?)),
        drill: row.get("drill")?,
        event: read("event", event)?,
        created_at: instant(row, "created_at")?,
        settled_at: instant(row, "settled_at")?,
        attempts: row.get("attempts")?,
        receipt: row.get("receipt")?,
    })
}

/// The last drill of each channel.
pub fn drills(connection: &Connection) -> Result<Vec<KnownDrill>> {
    let mut select = connection.prepare_cached(
        "SELECT body FROM incidents WHERE json_extract(body, '$.drill') IS NOT NULL ORDER BY opened_at DESC, id DESC LIMIT ?1",
    )?;
    let mut last: BTreeMap<ChannelName, Incident> = BTreeMap::new();
    for drill in select.query_map([DRILLS_MAX], |row| from_json::<Incident>(row, "body"))? {
        let drill = drill?;
        if let Some(channel) = drill.told.first().cloned() {
            last.entry(channel).or_insert(drill);
        }
    }
    last.into_iter().map(|(channel, drill)| known(connection, channel, drill)).collect()
}

/// How it came out; one of which nothing was put down and that is over was broken off.
fn known(connection: &Connection, channel: ChannelName, drill: Incident) -> Result<KnownDrill> {
    let mut select = connection.prepare_cached(
        "SELECT what, text FROM moments WHERE incident = ?1 AND what IN ('drilled', 'broken') ORDER BY place DESC LIMIT 1",
    )?;
    let ending = select.query_row([&*drill.id.0], |row| Ok((row.get::<_, String>(0)?, row.get::<_, String>(1)?)));
    let (passed, said) = match ending.optional()? {
        Some((what, text)) => (Some(what == "drilled"), text),
        None if drill.is_open() => (None, String::new()),
        None => (Some(false), drill.resolved_because.unwrap_or_default()),
    };
    Ok(KnownDrill { channel, incident: drill.id, at: drill.opened_at, passed, said })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::incident::Severity;
    use crate::ports::{Commit, Outbox as _, Receipt, Settlement, Store as _};
    use crate::store::testing::{channel, delivery, incident, kept, moment, opening, second};

    #[tokio::test]
    async fn a_channel_shows_what_it_took_last_first() {
        let kept = kept();
        for (number, name) in (0..).zip(["I1", "I2", "I3"]) {
            let open = incident(name, Severity::P2, 0);
            kept.store.commit(opening(&open, &["ops", "team"], 0).into()).await.unwrap();
            let receipt = Receipt { id: Some(format!("r{number}")) };
            let taken = Settlement::Delivered { at: second(10 + number), receipt };
            kept.store.settle(&delivery(&open, 1, Event::Opened, "ops", 0), taken).await.unwrap();
        }
        let found = kept.store.delivered(vec![channel("ops"), channel("team")], 2).await.unwrap();
        let told: Vec<_> = found.iter().map(|row| (&*row.incident.0, row.receipt.as_deref(), row.attempts)).collect();
        assert_eq!(told, [("I3", Some("r2"), 1), ("I2", Some("r1"), 1)]);
        assert!(found.iter().all(|row| !row.drill && row.event == Event::Opened && row.channel == channel("ops")));
        let plan = "SELECT count(*) FROM pragma_index_list('outbox') WHERE name = 'outbox_taken'";
        assert_eq!(kept.number(plan), 1);
    }

    #[tokio::test]
    async fn the_last_drill_of_each_channel_says_how_it_came_out() {
        let kept = kept();
        let drill = |id: &str, at: i64, to: &str, over: bool| {
            let drill = incident(id, Severity::P4, at);
            let resolved_at = over.then(|| second(at + 2));
            Incident { drill: true, told: vec![channel(to)], resolved_at, ..drill }
        };
        let mut commit = Commit::default();
        let all = [
            drill("D1", 0, "ops", true),
            drill("D2", 10, "ops", true),
            drill("D3", 20, "team", true),
            drill("D4", 30, "pager", false),
            drill("D5", 40, "sms", true),
        ];
        for one in all.clone() {
            commit.put_incident(one);
        }
        commit.put_incident(incident("I1", Severity::P1, 50));
        commit.moments.push(moment("D1", 3, "broken"));
        commit.moments.push(moment("D2", 13, "drilled"));
        commit.moments.push(moment("D3", 23, "broken"));
        kept.store.commit(commit.into()).await.unwrap();
        let drills = kept.store.drills().await.unwrap();
        let told: Vec<_> = drills.iter().map(|drill| (drill.channel.as_str(), drill.passed)).collect();
        assert_eq!(told, [("ops", Some(true)), ("pager", None), ("sms", Some(false)), ("team", Some(false))]);
    }
}
