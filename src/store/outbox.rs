//! Which deliveries are due, and what became of them. A channel is told of an incident in the order of its transitions,
//! one message at a time: the first row that is not settled stands before all that come after it.

use rusqlite::{Connection, OptionalExtension as _, Result, Row, params};

use super::columns::{count, from_json, instant, json, micros, parsed, read, to_instant};
use crate::domain::incident::Event;
use crate::domain::names::ChannelName;
use crate::domain::time::Timestamp;
use crate::ports::{Delivery, Due, Notification, Settlement};

/// That nothing of the same incident and channel is to be told before the row `o`.
macro_rules! first {
    () => {
        "NOT EXISTS (SELECT 1 FROM outbox b
             WHERE b.incident = o.incident AND b.channel = o.channel AND b.state = 'pending'
               AND (b.transition, b.created_at, b.id) < (o.transition, o.created_at, o.id))"
    };
}

/// Puts a delivery into the outbox; one that is there already stays as it is.
pub fn write(connection: &Connection, delivery: &Delivery) -> Result<()> {
    let mut insert = connection.prepare_cached(
        "INSERT INTO outbox (id, channel, fallback, incident, event, transition, created_at, next_attempt_at, attempts,
             plain, state, notification)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, 'pending', ?11)
         ON CONFLICT (id) DO NOTHING",
    )?;
    let notification = &delivery.notification;
    insert.execute(params![
        delivery.id,
        delivery.channel.as_str(),
        delivery.fallback.as_ref().map(ChannelName::as_str),
        &*notification.incident.id.0,
        notification.event.as_str(),
        notification.transition,
        micros(delivery.created_at),
        micros(delivery.next_attempt_at),
        delivery.attempts,
        notification.plain,
        json(notification)?,
    ])?;
    Ok(())
}

fn delivery(row: &Row<'_>) -> Result<Delivery> {
    let fallback: Option<String> = row.get("fallback")?;
    let notification: Notification = from_json(row, "notification")?;
    Ok(Delivery {
        id: row.get("id")?,
        channel: parsed(row, "channel")?,
        fallback: read("fallback", fallback.map(|name| ChannelName::parse(&name)).transpose())?,
        notification: Notification { plain: row.get("plain")?, ..notification },
        created_at: instant(row, "created_at")?,
        attempts: row.get("attempts")?,
        next_attempt_at: instant(row, "next_attempt_at")?,
    })
}

/// What is to be tried now, and when to look again.
pub fn due(connection: &Connection, now: Timestamp, limit: usize) -> Result<Due> {
    let mut select = connection.prepare_cached(concat!(
        "SELECT * FROM outbox o WHERE state = 'pending' AND next_attempt_at <= ?1 AND ",
        first!(),
        " ORDER BY created_at, id LIMIT ?2"
    ))?;
    let limit = count(limit.try_into().unwrap_or(u64::MAX));
    let due: Vec<_> = select.query_map(params![micros(now), limit], delivery)?.collect::<Result<_>>()?;
    let mut resolves = Vec::new();
    for opened in due.iter().filter(|delivery| delivery.notification.event == Event::Opened) {
        resolves.extend(resolve_of(connection, opened)?);
    }
    let mut next = connection.prepare_cached(concat!(
        "SELECT next_attempt_at FROM outbox o WHERE state = 'pending' AND next_attempt_at > ?1 AND ",
        first!(),
        " ORDER BY next_attempt_at LIMIT 1"
    ))?;
    let next_at = next.query_row([micros(now)], |row| instant(row, "next_attempt_at")).optional()?;
    let mut oldest = connection.prepare_cached("SELECT min(created_at) FROM outbox WHERE state = 'pending'")?;
    let oldest = oldest.query_row([], |row| row.get::<_, Option<i64>>(0))?.and_then(to_instant);
    Ok(Due { now: due, resolves, next_at, oldest })
}

/// The resolve that can tell an opening too. It cannot when this channel was told of the incident already, as a
/// fallback may be, nor when another message is to come before it: that one would then arrive after the end.
fn resolve_of(connection: &Connection, opened: &Delivery) -> Result<Option<Delivery>> {
    let mut select = connection.prepare_cached(
        "SELECT * FROM outbox o
         WHERE incident = ?1 AND channel = ?2 AND state = 'pending' AND event = 'resolved'
           AND NOT EXISTS (SELECT 1 FROM outbox t
               WHERE t.incident = ?1 AND t.channel = ?2 AND t.state = 'delivered' AND t.event = 'opened')
           AND NOT EXISTS (SELECT 1 FROM outbox b
               WHERE b.incident = ?1 AND b.channel = ?2 AND b.state = 'pending' AND b.id <> ?3
                 AND (b.transition, b.created_at, b.id) < (o.transition, o.created_at, o.id))
         ORDER BY transition, created_at, id LIMIT 1",
    )?;
    let of = params![&*opened.notification.incident.id.0, opened.channel.as_str(), opened.id];
    select.query_row(of, delivery).optional()
}

/// Records what came of an attempt. A row that is settled stays so, and nothing is put beside it.
pub fn settle(connection: &Connection, delivery: &Delivery, settlement: &Settlement) -> Result<()> {
    let attempts = delivery.attempts.saturating_add(1);
    match settlement {
        Settlement::Delivered { at, receipt } => {
            let mut update = connection.prepare_cached(
                "UPDATE outbox SET state = 'delivered', settled_at = ?2, attempts = ?3, receipt = ?4
                 WHERE id = ?1 AND state = 'pending'",
            )?;
            update.execute(params![delivery.id, micros(*at), attempts, receipt.id])?;
        }
        Settlement::Again { at, error, plain } => {
            let mut update = connection.prepare_cached(
                "UPDATE outbox SET next_attempt_at = ?2, attempts = ?3, error = ?4, plain = ?5
                 WHERE id = ?1 AND state = 'pending'",
            )?;
            update.execute(params![delivery.id, micros(*at), attempts, error, plain])?;
        }
        Settlement::Dead { at, error, fallback } => {
            let mut update = connection.prepare_cached(
                "UPDATE outbox SET state = 'dead', settled_at = ?2, attempts = ?3, error = ?4
                 WHERE id = ?1 AND state = 'pending'",
            )?;
            let settled = update.execute(params![delivery.id, micros(*at), attempts, error])?;
            if let Some(fallback) = fallback.as_deref().filter(|_| settled > 0) {
                write(connection, fallback)?;
            }
        }
        Settlement::Merged { at } => {
            let mut update = connection.prepare_cached(
                "UPDATE outbox SET state = 'merged', settled_at = ?2 WHERE id = ?1 AND state = 'pending'",
            )?;
            update.execute(params![delivery.id, micros(*at)])?;
        }
    }
    Ok(())
}
