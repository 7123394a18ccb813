//! Which deliveries leave in one message. A row without a message waits for others; once it is let go its message stays the
//! same, so that an attempt that is repeated after a crash is a repetition and no other message.
//!
//! A message is known by the row that carries it, the gravest of those that it tells. What becomes of the carrier becomes
//! of all.

use std::collections::{BTreeMap, HashMap};

use rusqlite::{Connection, OptionalExtension as _, Result, Row, params};

use super::columns::{aspect, count, from_json, instant, length, micros, parsed, read, to_instant};
use super::order::first;
use super::outbox::delivery;
use crate::domain::grouping::{Beginning, Group, LISTED_MAX, Left, Member, Rules, Waiting, depart};
use crate::domain::incident::Event;
use crate::domain::judge::Aspect;
use crate::domain::names::{ChannelName, ProbeName};
use crate::domain::time::{Timestamp, later};
use crate::ports::{Delivery, Notification, REST_MAX};

/// How a channel heard, or is to hear, that an incident began.
pub struct Origin {
    /// By which message; absent while that waits.
    pub message: Option<String>,
}

/// By which other row a channel hears first of an incident.
pub fn origin(connection: &Connection, incident: &str, channel: &str, id: &str) -> Result<Option<Origin>> {
    let mut select = connection.prepare_cached(
        "SELECT message FROM outbox
         WHERE incident = ?1 AND channel = ?2 AND id <> ?3 AND event IN ('opened', 'escalated')
           AND state IN ('pending', 'delivered', 'merged')
         ORDER BY transition, created_at, id LIMIT 1",
    )?;
    select.query_row(params![incident, channel, id], |row| Ok(Origin { message: row.get(0)? })).optional()
}

/// Whether a message tells of more than one incident.
pub fn tells_several(connection: &Connection, message: &str) -> Result<bool> {
    let mut select = connection.prepare_cached("SELECT 1 FROM outbox WHERE message = ?1 AND id <> ?1")?;
    select.exists([message])
}

/// Takes a row as it left from memory, by itself or with these: what came of it says nothing of what it was gathered with since.
pub fn put_together(connection: &Connection, carrier: &str, others: &[String]) -> Result<()> {
    let mut part = connection.prepare_cached(
        "UPDATE outbox SET message = NULL, gone_at = NULL WHERE message = ?1 AND id <> ?1 AND state = 'pending'",
    )?;
    let mut put = connection.prepare_cached(
        "UPDATE outbox SET message = ?2, gone_at = iif(?1 = ?2, coalesce(gone_at, created_at), NULL)
         WHERE id = ?1 AND state = 'pending'",
    )?;
    for id in others.iter().map(String::as_str).chain([carrier]) {
        part.execute([id])?;
    }
    for id in others.iter().map(String::as_str).chain([carrier]) {
        put.execute([id, carrier])?;
    }
    Ok(())
}

/// The message by which the channel heard of the beginning, where that told of several.
pub fn common_origin(connection: &Connection, incident: &str, channel: &str, id: &str) -> Result<Option<String>> {
    let Some(Origin { message: Some(message) }) = origin(connection, incident, channel, id)? else { return Ok(None) };
    Ok(tells_several(connection, &message)?.then_some(message))
}

/// Whether the channel heard with others of what a delivery is about.
pub fn follows_several(connection: &Connection, of: &Delivery) -> Result<bool> {
    let (incident, channel) = (&*of.notification.incident.id.0, of.channel.as_str());
    Ok(common_origin(connection, incident, channel, &of.id)?.is_some())
}

/// Whether a row has left in a message.
pub fn is_gone(connection: &Connection, id: &str) -> Result<bool> {
    connection.prepare_cached("SELECT 1 FROM outbox WHERE id = ?1 AND message IS NOT NULL")?.exists([id])
}

/// Whether all that a message tells are over, and their ends wait behind it.
pub fn is_over(connection: &Connection, message: &str) -> Result<bool> {
    let mut select = connection.prepare_cached(
        "SELECT 1 FROM outbox m WHERE m.message = ?1 AND NOT EXISTS (SELECT 1 FROM outbox r
             WHERE r.incident = m.incident AND r.channel = m.channel AND r.event = 'resolved' AND r.state = 'pending')",
    )?;
    Ok(!select.exists([message])?)
}

/// Whether something waits that need not wait longer, by instants as columns.
pub fn is_ripe(connection: &Connection, now: i64, far: i64) -> Result<bool> {
    let mut select = connection.prepare_cached(concat!(
        "SELECT 1 FROM outbox o
         WHERE state = 'pending' AND message IS NULL AND (next_attempt_at <= ?1 OR next_attempt_at > ?2) AND ",
        first!()
    ))?;
    select.exists([now, far])
}

/// What a message tells, the one that carries it first.
pub fn rows(connection: &Connection, message: &str) -> Result<Vec<Delivery>> {
    let mut select = connection.prepare_cached(
        "SELECT * FROM outbox WHERE id = ?1 OR message = ?1 ORDER BY id <> ?1, severity, created_at, id",
    )?;
    select.query_map([message], delivery)?.collect()
}

/// Puts a row into the message that another carries, or that it carries itself.
pub fn let_go(connection: &Connection, id: &str, carrier: &str, at: Timestamp) -> Result<()> {
    let mut update =
        connection.prepare_cached("UPDATE outbox SET message = ?2, gone_at = iif(?1 = ?2, ?3, NULL) WHERE id = ?1")?;
    update.execute(params![id, carrier, micros(at)])?;
    Ok(())
}

/// A row that waits, with what is decided on.
struct Candidate {
    id: String,
    waiting: Waiting,
}

/// What an incident is of.
type Of = (ProbeName, Aspect);

/// That a channel was told that something began.
struct Begun {
    incident: String,
    told_at: Timestamp,
}

/// Lets go what has waited for long enough.
pub fn gather(connection: &Connection, now: Timestamp, rules: &BTreeMap<ChannelName, Rules>) -> Result<()> {
    let default = Rules::default();
    let mut channels = connection.prepare_cached("SELECT DISTINCT channel FROM outbox WHERE state = 'pending'")?;
    let channels: Vec<String> = channels.query_map([], |row| row.get(0))?.collect::<Result<_>>()?;
    for channel in channels {
        let rules = rules.iter().find(|(name, _)| name.as_str() == channel).map_or(&default, |(_, rules)| rules);
        let candidates = candidates(connection, &channel, rules, now)?;
        let waiting: Vec<_> = candidates.iter().map(|candidate| candidate.waiting.clone()).collect();
        let left = left(connection, &channel, now, rules)?;
        let departure = depart(rules, &waiting, &left, now);
        for (place, until) in &departure.held {
            let mut update = connection.prepare_cached("UPDATE outbox SET next_attempt_at = ?2 WHERE id = ?1")?;
            update.execute(params![candidates[*place].id, micros(*until)])?;
        }
        for place in &departure.stood_for {
            stand_for(connection, &candidates[*place].id, now)?;
        }
        for message in &departure.messages {
            let told: Vec<_> = message.iter().map(|place| &candidates[*place]).collect();
            send_off(connection, &told, now)?;
        }
        ends_of_what_is_over(connection, &channel, now)?;
    }
    Ok(())
}

/// One message, which the first of them carries. What it has in common is put down with it, so that what comes later can be
/// told to belong to it.
fn send_off(connection: &Connection, told: &[&Candidate], now: Timestamp) -> Result<()> {
    let Some(carrier) = told.first() else { return Ok(()) };
    let common = Some(&carrier.waiting.together).filter(|key| told.iter().all(|one| one.waiting.together == **key));
    for one in told {
        let_go(connection, &one.id, &carrier.id, now)?;
    }
    let mut update = connection
        .prepare_cached("UPDATE outbox SET together = ?2, next_attempt_at = min(next_attempt_at, ?3) WHERE id = ?1")?;
    update.execute(params![carrier.id, common.cloned().flatten(), micros(now)])?;
    Ok(())
}

/// Another message says it too: what began and is over, with its end and all between.
fn stand_for(connection: &Connection, id: &str, now: Timestamp) -> Result<()> {
    let mut update = connection.prepare_cached(
        "UPDATE outbox SET state = 'merged', settled_at = ?2
         WHERE (incident, channel) = (SELECT incident, channel FROM outbox WHERE id = ?1)
           AND state = 'pending' AND event <> 'post_mortem'",
    )?;
    update.execute(params![id, micros(now)])?;
    Ok(())
}

/// The ends of all that a message tells which could not be told before they were over: they are one message as well.
fn ends_of_what_is_over(connection: &Connection, channel: &str, now: Timestamp) -> Result<()> {
    let mut beginnings = connection.prepare_cached(
        "SELECT o.id, r.id FROM outbox o
         JOIN outbox r ON r.incident = o.incident AND r.channel = o.channel AND r.event = 'resolved' AND r.state = 'pending'
             AND r.message IS NULL
         WHERE o.channel = ?1 AND o.state = 'pending' AND o.message = o.id AND o.event IN ('opened', 'escalated')",
    )?;
    let pair = |row: &Row<'_>| Ok((row.get::<_, String>(0)?, row.get::<_, String>(1)?));
    let beginnings: Vec<_> = beginnings.query_map([channel], pair)?.collect::<Result<_>>()?;
    for (message, carrier) in beginnings {
        if !tells_several(connection, &message)? || !is_over(connection, &message)? {
            continue;
        }
        let mut update = connection.prepare_cached(
            "UPDATE outbox SET message = ?3, together = ?1, gone_at = iif(id = ?3, ?4, NULL)
             WHERE channel = ?2 AND event = 'resolved' AND state = 'pending' AND message IS NULL
               AND incident IN (SELECT incident FROM outbox WHERE message = ?1)",
        )?;
        update.execute(params![message, channel, carrier, micros(now)])?;
    }
    Ok(())
}

/// What waits for a channel and comes next of its incident, the gravest first.
fn candidates(connection: &Connection, channel: &str, rules: &Rules, now: Timestamp) -> Result<Vec<Candidate>> {
    let begun = begun(connection, channel, rules, now)?;
    let mut select = connection.prepare_cached(concat!(
        "SELECT o.id, incident, event, fallback, together, created_at, next_attempt_at, probe, aspect
         FROM outbox o JOIN incidents i ON i.id = o.incident
         WHERE state = 'pending' AND message IS NULL AND channel = ?1 AND ",
        first!(),
        " ORDER BY severity, created_at, o.id"
    ))?;
    let mut is_over = connection.prepare_cached(
        "SELECT 1 FROM outbox WHERE incident = ?1 AND channel = ?2 AND event = 'resolved' AND state = 'pending'",
    )?;
    let mut candidates = Vec::new();
    let mut rows = select.query([channel])?;
    while let Some(row) = rows.next()? {
        let (id, incident): (String, String) = (row.get("id")?, row.get("incident")?);
        let event: String = row.get("event")?;
        let event = Event::ALL.into_iter().find(|known| known.as_str() == event);
        let event = read("event", event.ok_or("not an event"))?;
        let heard = event != Event::Opened && origin(connection, &incident, channel, &id)?.is_some();
        let together = if heard { common_origin(connection, &incident, channel, &id)? } else { row.get("together")? };
        let ripe_at = instant(row, "next_attempt_at")?;
        let of = (parsed(row, "probe")?, aspect(row)?);
        // An incident of which a channel is told twice does not begin again.
        let told_at = begun.get(&of).filter(|begun| begun.incident != incident).map(|begun| begun.told_at);
        let waiting = Waiting {
            event,
            begins: (event == Event::Opened).then_some(Beginning { of, told_at }),
            over: event.begins() && !heard && is_over.exists(params![incident, channel])?,
            fallback: row.get("fallback")?,
            together,
            follows: heard,
            since: instant(row, "created_at")?,
            // What would wait for longer than anything does was put down by a clock that has been set back since.
            ripe_at: if ripe_at > later(now, REST_MAX * 2) { now } else { ripe_at },
        };
        candidates.push(Candidate { id, waiting });
    }
    Ok(candidates)
}

/// What a channel was told within the last interval to have begun, and by which incident it was told last and when.
fn begun(connection: &Connection, channel: &str, rules: &Rules, now: Timestamp) -> Result<HashMap<Of, Begun>> {
    let mut select = connection.prepare_cached(
        "SELECT i.probe, i.aspect, i.id, max(c.gone_at) AS told_at
         FROM outbox c JOIN outbox m ON m.message = c.id JOIN incidents i ON i.id = m.incident
         WHERE c.channel = ?1 AND c.gone_at > ?2 AND c.gone_at <= ?3 AND m.event = 'opened' AND m.state <> 'dead'
         GROUP BY i.probe, i.aspect",
    )?;
    let since = micros(now).saturating_sub(length(rules.grouping.interval));
    let begun = |row: &Row<'_>| {
        let (incident, told_at) = (row.get("id")?, instant(row, "told_at")?);
        Ok(((parsed(row, "probe")?, aspect(row)?), Begun { incident, told_at }))
    };
    select.query_map(params![channel, since, micros(now)], begun)?.collect()
}

/// What a channel was told of within the last interval.
fn left(connection: &Connection, channel: &str, now: Timestamp, rules: &Rules) -> Result<Vec<Left>> {
    let mut select = connection.prepare_cached(
        "SELECT event, together, gone_at, (SELECT count(*) FROM outbox m WHERE m.message = o.id) AS size FROM outbox o
         WHERE channel = ?1 AND gone_at > ?2 AND gone_at <= ?3",
    )?;
    let since = micros(now).saturating_sub(length(rules.grouping.interval));
    let left = |row: &Row<'_>| {
        let event: String = row.get("event")?;
        let event = Event::ALL.into_iter().find(|known| known.as_str() == event);
        Ok(Left {
            event: read("event", event.ok_or("not an event"))?,
            together: row.get("together")?,
            at: read("gone_at", to_instant(row.get("gone_at")?).ok_or("not an instant"))?,
            size: row.get::<_, i64>("size")?.unsigned_abs(),
        })
    };
    select.query_map(params![channel, since, micros(now)], left)?.collect()
}

/// What a message tells besides the incident of the row that carries it.
pub fn group(connection: &Connection, of: &Delivery) -> Result<Option<Group>> {
    let (incident, channel) = (&*of.notification.incident.id.0, of.channel.as_str());
    let mut size = connection.prepare_cached("SELECT count(*) FROM outbox WHERE message = ?1")?;
    let size = size.query_row([&of.id], |row| row.get::<_, i64>(0))?.unsigned_abs();
    let began = common_origin(connection, incident, channel, &of.id)?;
    // Of a storm of what began apart nothing is common.
    let origin = match began {
        Some(began) => Some(began).filter(|began| size <= 1 || of.together.as_ref() == Some(began)),
        None => (size > 1 && of.notification.event.begins()).then(|| of.id.clone()),
    };
    if size <= 1 && origin.is_none() {
        return Ok(None);
    }
    let left = match &origin {
        Some(origin) if *origin != of.id => left_behind(connection, origin, of)?,
        _ => 0,
    };
    let mut select = connection.prepare_cached(
        "SELECT notification, m.event <> 'resolved' AND EXISTS (SELECT 1 FROM outbox r
             WHERE r.incident = m.incident AND r.channel = m.channel AND r.event = 'resolved' AND r.state = 'pending') AS over
         FROM outbox m WHERE message = ?1 ORDER BY severity, created_at, id LIMIT ?2",
    )?;
    let listed = count(LISTED_MAX.try_into().unwrap_or(u64::MAX));
    let member = |row: &Row<'_>| {
        let notification: Notification = from_json(row, "notification")?;
        Ok(Member::of(&notification.incident, row.get("over")?))
    };
    let members = select.query_map(params![of.id, listed], member)?.collect::<Result<_>>()?;
    Ok(Some(Group { id: of.id.clone(), origin, size, left, members }))
}

/// Of how many that began together this has been told neither before nor by this message.
fn left_behind(connection: &Connection, origin: &str, by: &Delivery) -> Result<u64> {
    let mut select = connection.prepare_cached(
        "SELECT count(*) FROM outbox m WHERE m.message = ?1 AND NOT EXISTS (SELECT 1 FROM outbox r
             WHERE r.incident = m.incident AND r.channel = m.channel AND r.event IN ('resolved', ?2)
               AND (r.state <> 'pending' OR r.message = ?3))",
    )?;
    let of = params![origin, by.notification.event.as_str(), by.id];
    Ok(select.query_row(of, |row| row.get::<_, i64>(0))?.unsigned_abs())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::grouping::{Grouping, Keeping};
    use crate::domain::incident::{Incident, Severity};
    use crate::ports::{Commit, Due, Receipt, Settlement, Store as _};
    use crate::store::testing::{
        Kept, channel, delivery as message, incident, kept, opening, resolved, resolving, second,
    };

    fn rules(keeping: Keeping) -> BTreeMap<ChannelName, Rules> {
        let rules = Rules { keeping, grouping: Grouping::default() };
        ["ops", "team"].map(|name| (channel(name), rules.clone())).into()
    }

    /// Incidents `I0`, `I1`, …, the last of which is the gravest.
    fn incidents(count: usize) -> Vec<Incident> {
        let severity = |n| if n + 1 == count { Severity::P1 } else { Severity::P3 };
        (0..count).map(|n| incident(&format!("I{n}"), severity(n), 0)).collect()
    }

    /// What is told of each to `ops`, ripe ten seconds later.
    async fn tell(kept: &Kept, of: &[Incident], event: Event, transition: u32, at: i64) {
        let one = |incident: &Incident| Delivery {
            together: Some("service=".to_owned()),
            next_attempt_at: second(at + 10),
            ..message(incident, transition, event, "ops", at)
        };
        let incidents = match event {
            Event::Resolved => of.iter().map(|incident| resolved(incident, at)).collect(),
            _ => of.to_vec(),
        };
        let deliveries = incidents.iter().map(one).collect();
        kept.store
            .commit(Commit { incidents: incidents.into(), deliveries, ..Commit::default() }.into())
            .await
            .unwrap();
    }

    async fn look(kept: &Kept, keeping: Keeping, at: i64) -> Due {
        kept.store.gather(second(at), &rules(keeping)).await.unwrap();
        kept.store.due_deliveries(second(at), 10).await.unwrap()
    }

    fn ids(due: &Due) -> Vec<&str> {
        due.now.iter().map(|delivery| delivery.id.as_str()).collect()
    }

    async fn settle(kept: &Kept, of: &Delivery, at: i64) {
        let receipt = Receipt { id: Some("m-1".to_owned()) };
        kept.store.settle(of, Settlement::Delivered { at: second(at), receipt }).await.unwrap();
    }

    #[tokio::test]
    async fn what_waits_is_told_together_and_stays_together_whatever_happens() {
        let mut kept = kept();
        let all = incidents(3);
        tell(&kept, &all[..2], Event::Opened, 1, 0).await;
        let due = kept.store.due_deliveries(second(5), 10).await.unwrap();
        assert_eq!((ids(&due), due.ripe, due.next_at), (vec![], false, Some(second(10))));
        tell(&kept, &all[2..], Event::Opened, 1, 6).await;
        assert!(kept.store.due_deliveries(second(10), 10).await.unwrap().ripe);
        let due = look(&kept, Keeping::Messages, 10).await;
        assert_eq!(ids(&due), ["I2-1-ops"], "the gravest carries the others");
        let group = kept.store.group(&due.now[0]).await.unwrap().unwrap();
        let members: Vec<_> = group.members.iter().map(|member| member.incident.to_string()).collect();
        assert_eq!((group.size, members.join(" ").as_str()), (3, "I2 I0 I1"));
        // Another that comes before it was told, a crash and a start change nothing of it.
        tell(&kept, &[incident("I9", Severity::P1, 11)], Event::Opened, 1, 11).await;
        kept.reopen().await;
        kept.store.retry_deliveries(second(11)).await.unwrap();
        let due = look(&kept, Keeping::Messages, 11).await;
        assert_eq!((ids(&due), kept.store.group(&due.now[0]).await.unwrap()), (vec!["I2-1-ops"], Some(group)));
        settle(&kept, &due.now[0], 12).await;
        assert_eq!(kept.number("SELECT count(*) FROM outbox WHERE state = 'delivered' AND receipt = 'm-1'"), 3);
        assert_eq!(kept.number("SELECT count(*) FROM outbox WHERE state = 'pending'"), 1, "the other waits on");
    }

    #[tokio::test]
    async fn what_began_together_ends_together_and_its_last_end_is_known() {
        for keeping in [Keeping::Messages, Keeping::Threads, Keeping::Alerts] {
            let kept = kept();
            let all = incidents(7);
            tell(&kept, &all, Event::Opened, 1, 0).await;
            let due = look(&kept, keeping, 10).await;
            settle(&kept, &due.now[0], 10).await;
            tell(&kept, &all[..2], Event::Resolved, 2, 20).await;
            assert_eq!(ids(&look(&kept, keeping, 25).await), [] as [&str; 0], "others may end too");
            tell(&kept, &all[2..3], Event::Resolved, 2, 26).await;
            let due = look(&kept, keeping, 30).await;
            let group = kept.store.group(&due.now[0]).await.unwrap().unwrap();
            assert_eq!((group.size, group.left, group.origin.as_deref()), (3, 4, Some("I6-1-ops")), "{keeping:?}");
            assert_eq!(due.firsts[&due.now[0].id].id.as_deref(), Some("m-1"));
            tell(&kept, &all[3..], Event::Resolved, 2, 31).await;
            // Until that is told, what comes after it would not know whether it is the last.
            assert_eq!(ids(&look(&kept, keeping, 95).await), [due.now[0].id.as_str()]);
            settle(&kept, &due.now[0], 95).await;
            let due = look(&kept, keeping, 96).await;
            let group = kept.store.group(&due.now[0]).await.unwrap().unwrap();
            assert_eq!((group.size, group.left), (4, 0));
        }
    }

    #[tokio::test]
    async fn one_that_ends_alone_waits_for_nobody_and_one_of_many_goes_by_their_message() {
        let kept = kept();
        let all = incidents(2);
        tell(&kept, &all[..1], Event::Opened, 1, 0).await;
        let due = look(&kept, Keeping::Alerts, 10).await;
        assert_eq!(due.grouped, [].into());
        settle(&kept, &due.now[0], 10).await;
        tell(&kept, &all[..1], Event::Resolved, 2, 20).await;
        let due = look(&kept, Keeping::Alerts, 20).await;
        assert_eq!((ids(&due), due.grouped.len()), (vec!["I0-2-ops"], 0));
        let storm: Vec<_> = (0..6).map(|n| incident(&format!("S{n}"), Severity::P3, 30)).collect();
        tell(&kept, &storm, Event::Opened, 1, 30).await;
        let due = look(&kept, Keeping::Alerts, 40).await;
        settle(&kept, due.now.last().unwrap(), 40).await;
        tell(&kept, &storm[3..4], Event::Reminder, 2, 50).await;
        let due = look(&kept, Keeping::Alerts, 60).await;
        let reminder = due.now.iter().find(|delivery| delivery.id == "S3-2-ops").unwrap();
        let group = kept.store.group(reminder).await.unwrap().unwrap();
        assert_eq!((group.size, group.left, group.origin.as_deref()), (1, 5, Some("S0-1-ops")));
        assert!(due.grouped.contains("S3-2-ops"));
    }

    #[tokio::test]
    async fn what_begins_again_waits_where_it_was_told_and_where_it_was_not_it_leaves() {
        let kept = kept();
        let began = |n: i64| incident(&format!("I{n}"), Severity::P1, n);
        let opens = async |n: i64, channels: &[&str]| {
            kept.store.commit(opening(&began(n), channels, n).into()).await.unwrap();
        };
        opens(0, &["ops"]).await;
        settle(&kept, &look(&kept, Keeping::Alerts, 0).await.now[0], 0).await;
        let over = Commit { deliveries: vec![message(&began(0), 2, Event::Resolved, "ops", 1)], ..Commit::default() };
        kept.store.commit(over.into()).await.unwrap();
        settle(&kept, &look(&kept, Keeping::Alerts, 1).await.now[0], 1).await;
        // The other channel has heard nothing yet, so it hears of P1 at once.
        opens(2, &["ops", "team"]).await;
        let due = look(&kept, Keeping::Alerts, 2).await;
        assert_eq!((ids(&due), due.next_at), (vec!["I2-1-team"], Some(second(60))));
        settle(&kept, &due.now[0], 2).await;
        kept.store.commit(resolving(&began(2), &["ops", "team"], 3).into()).await.unwrap();
        settle(&kept, &look(&kept, Keeping::Alerts, 3).await.now[0], 3).await;
        opens(4, &["ops", "team"]).await;
        // The last of what began meanwhile stands for the one before it, which is over.
        let due = look(&kept, Keeping::Alerts, 60).await;
        assert_eq!((ids(&due), due.resolves.len(), due.next_at), (vec!["I4-1-ops"], 0, Some(second(62))));
        assert_eq!(kept.number("SELECT count(*) FROM outbox WHERE incident = 'I2' AND state = 'merged'"), 2);
        assert_eq!(ids(&look(&kept, Keeping::Alerts, 62).await), ["I4-1-ops", "I4-1-team"]);
    }

    #[tokio::test]
    async fn of_many_that_are_over_before_they_could_be_told_one_message_tells_both() {
        let kept = kept();
        let all = incidents(6);
        tell(&kept, &all, Event::Opened, 1, 0).await;
        let due = look(&kept, Keeping::Messages, 10).await;
        tell(&kept, &all[..5], Event::Resolved, 2, 20).await;
        // While some of them last they are told as they began, with those that are over.
        let again = look(&kept, Keeping::Messages, 40).await;
        let group = kept.store.group(&again.now[0]).await.unwrap().unwrap();
        assert_eq!((ids(&again), again.resolves.len(), group.over()), (ids(&due), 0, 5));
        tell(&kept, &all[5..], Event::Resolved, 2, 50).await;
        assert!(kept.store.due_deliveries(second(50), 10).await.unwrap().ripe);
        let due = look(&kept, Keeping::Messages, 50).await;
        assert_eq!((ids(&due), due.resolves[0].id.as_str(), due.ripe), (vec!["I5-1-ops"], "I5-2-ops", false));
        let group = kept.store.group(&due.resolves[0]).await.unwrap().unwrap();
        assert_eq!((group.size, group.left, group.origin.as_deref()), (6, 0, Some("I5-1-ops")));
        kept.store.settle(&due.now[0], Settlement::Merged { at: second(51) }).await.unwrap();
        settle(&kept, &due.resolves[0], 51).await;
        assert_eq!(kept.number("SELECT count(*) FROM outbox WHERE state = 'pending'"), 0);
    }

    #[tokio::test]
    async fn what_is_given_up_goes_to_the_fallback_together_and_ends_there() {
        let kept = kept();
        let all = incidents(6);
        tell(&kept, &all, Event::Opened, 1, 0).await;
        let due = look(&kept, Keeping::Messages, 10).await;
        let dead = Delivery { id: "F".to_owned(), channel: channel("team"), fallback: None, ..due.now[0].clone() };
        let dead = Settlement::Dead { at: second(11), error: "400".to_owned(), fallback: Some(dead) };
        kept.store.settle(&due.now[0], dead).await.unwrap();
        assert_eq!(kept.number("SELECT count(*) FROM outbox WHERE state = 'dead'"), 6);
        let due = look(&kept, Keeping::Messages, 11).await;
        assert_eq!(ids(&due), ["F"]);
        assert_eq!(kept.store.group(&due.now[0]).await.unwrap().unwrap().size, 6);
        settle(&kept, &due.now[0], 12).await;
        tell(&kept, &all, Event::Resolved, 2, 20).await;
        let due = look(&kept, Keeping::Messages, 30).await;
        let group = kept.store.group(&due.now[0]).await.unwrap().unwrap();
        assert_eq!((due.now[0].channel.as_str(), group.size, group.left), ("team", 6, 0));
        assert_eq!(group.origin.as_deref(), Some("F"));
    }

    #[tokio::test]
    async fn a_reminder_of_many_is_overtaken_once_all_are_over() {
        let kept = kept();
        let all = incidents(6);
        tell(&kept, &all, Event::Opened, 1, 0).await;
        settle(&kept, &look(&kept, Keeping::Messages, 10).await.now[0], 10).await;
        tell(&kept, &all, Event::Reminder, 2, 100).await;
        let due = look(&kept, Keeping::Messages, 110).await;
        tell(&kept, &all[5..], Event::Resolved, 3, 111).await;
        let again = look(&kept, Keeping::Messages, 111).await;
        assert_eq!((ids(&again), again.overtaken.len()), (ids(&due), 0), "the others last");
        tell(&kept, &all[..5], Event::Resolved, 3, 112).await;
        let due = look(&kept, Keeping::Messages, 112).await;
        assert_eq!((ids(&due), due.overtaken.len()), (vec![], 1));
    }
}
