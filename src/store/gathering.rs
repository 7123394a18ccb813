//! Which deliveries leave in one message. A row without a message waits for others; once it is let go its message stays the
//! same, so that an attempt that is repeated after a crash is a repetition and no other message.
//!
//! A message is known by the row that carries it, the gravest of those that it tells. What becomes of the carrier becomes
//! of all.

use std::collections::BTreeMap;

use rusqlite::{Connection, OptionalExtension as _, Result, Row, params};

use super::columns::{count, from_json, instant, length, micros, read, to_instant};
use super::order::first;
use super::outbox::{begins, delivery};
use crate::domain::grouping::{Group, LISTED_MAX, Left, Member, Rules, Waiting, depart};
use crate::domain::incident::Event;
use crate::domain::names::ChannelName;
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

/// The message by which the channel heard of the beginning, where that told of several.
fn common_origin(connection: &Connection, incident: &str, channel: &str, id: &str) -> Result<Option<String>> {
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
    let mut select = connection
        .prepare_cached("SELECT * FROM outbox WHERE id = ?1 OR message = ?1 ORDER BY id <> ?1, severity, created_at, id")?;
    select.query_map([message], delivery)?.collect()
}

/// Puts a row into the message that another carries, or that it carries itself.
pub fn let_go(connection: &Connection, id: &str, carrier: &str, at: Timestamp) -> Result<()> {
    let mut update = connection
        .prepare_cached("UPDATE outbox SET message = ?2, gone_at = iif(?1 = ?2, ?3, NULL) WHERE id = ?1")?;
    update.execute(params![id, carrier, micros(at)])?;
    Ok(())
}

/// A row that waits, with what is decided on.
struct Candidate {
    id: String,
    waiting: Waiting,
}

/// Lets go what has waited for long enough.
pub fn gather(connection: &Connection, now: Timestamp, rules: &BTreeMap<ChannelName, Rules>) -> Result<()> {
    let default = Rules::default();
    let mut channels = connection
        .prepare_cached("SELECT DISTINCT channel FROM outbox WHERE state = 'pending'")?;
    let channels: Vec<String> = channels.query_map([], |row| row.get(0))?.collect::<Result<_>>()?;
    for channel in channels {
        let rules = rules.iter().find(|(name, _)| name.as_str() == channel).map_or(&default, |(_, rules)| rules);
        let candidates = candidates(connection, &channel, now)?;
        let waiting: Vec<_> = candidates.iter().map(|candidate| candidate.waiting.clone()).collect();
        let left = left(connection, &channel, now, rules)?;
        let departure = depart(rules, &waiting, &left, now);
        for (place, until) in &departure.held {
            let mut update = connection.prepare_cached("UPDATE outbox SET next_attempt_at = ?2 WHERE id = ?1")?;
            update.execute(params![candidates[*place].id, micros(*until)])?;
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
    let mut update =
        connection.prepare_cached("UPDATE outbox SET together = ?2, next_attempt_at = min(next_attempt_at, ?3) WHERE id = ?1")?;
    update.execute(params![carrier.id, common.cloned().flatten(), micros(now)])?;
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
fn candidates(connection: &Connection, channel: &str, now: Timestamp) -> Result<Vec<Candidate>> {
    let mut select = connection.prepare_cached(concat!(
        "SELECT id, incident, event, fallback, together, created_at, next_attempt_at FROM outbox o
         WHERE state = 'pending' AND message IS NULL AND channel = ?1 AND ",
        first!(),
        " ORDER BY severity, created_at, id"
    ))?;
    let mut is_over = connection
        .prepare_cached("SELECT 1 FROM outbox WHERE incident = ?1 AND channel = ?2 AND event = 'resolved' AND state = 'pending'")?;
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
        let waiting = Waiting {
            event,
            over: begins(event) && !heard && is_over.exists(params![incident, channel])?,
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
        None => (size > 1 && begins(of.notification.event)).then(|| of.id.clone()),
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
