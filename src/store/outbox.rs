//! Which deliveries are due, and what became of them. A channel is told of an incident in the order of its transitions,
//! one message at a time: the first row that is not settled stands before all that come after it.

use std::sync::Arc;

use rusqlite::{Connection, OptionalExtension as _, Result, Row, params};

use super::columns::{from_json, instant, json, micros, parsed, read};
use super::gathering::{self, Origin};
use crate::domain::incident::{Event, Incident};
use crate::domain::names::ChannelName;
use crate::domain::time::Timestamp;
use crate::ports::{Delivery, Notification};

pub mod due;
pub mod settling;

/// Puts a delivery into the outbox; one that is there already stays as it is. What comes after the beginning goes to whoever
/// took word of that: where a channel's opening was given up on, that is its fallback, which may be told on its own account
/// too and hears each thing once. A reminder is not put behind what a channel has not taken yet: that will say enough,
/// unless the incident has risen since, and a channel that is down gathers nothing.
pub fn write(connection: &Connection, delivery: &Delivery) -> Result<()> {
    let (incident, channel) = (&*delivery.notification.incident.id.0, delivery.channel.as_str());
    let (event, fallback) = (delivery.notification.event, delivery.fallback.as_ref().map(ChannelName::as_str));
    if event == Event::Opened {
        return insert(connection, delivery, channel, fallback);
    }
    let heir = heir(connection, incident, channel)?;
    let (target, fallback) = heir.as_deref().map_or((channel, fallback), |heir| (heir, None));
    let is_enough = event == Event::Reminder && waits(connection, &delivery.notification.incident, target)?;
    if is_enough || hears(connection, &delivery.notification, target)? {
        return Ok(());
    }
    // What began by itself need not wait for what began with it.
    let began = gathering::origin(connection, incident, target, &delivery.id)?;
    let alone = match &began {
        Some(Origin { message: Some(message), .. }) => !gathering::tells_several(connection, message)?,
        _ => false,
    };
    let next_attempt_at = if alone { delivery.created_at } else { delivery.next_attempt_at };
    insert(connection, &Delivery { next_attempt_at, ..delivery.clone() }, target, fallback)
}

fn insert(connection: &Connection, delivery: &Delivery, channel: &str, fallback: Option<&str>) -> Result<()> {
    let mut insert = connection.prepare_cached(
        "INSERT INTO outbox (id, channel, fallback, incident, event, transition, created_at, next_attempt_at, attempts,
             plain, state, notification, together, severity, message)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, 'pending', ?11, ?12, ?13, ?14)
         ON CONFLICT (id) DO NOTHING",
    )?;
    let notification = &delivery.notification;
    insert.execute(params![
        delivery.id,
        channel,
        fallback,
        &*notification.incident.id.0,
        notification.event.as_str(),
        notification.transition,
        micros(delivery.created_at),
        micros(delivery.next_attempt_at),
        delivery.attempts,
        notification.plain,
        json(notification)?,
        delivery.together,
        notification.incident.severity.as_str(),
        // A drill is gathered with nothing, and no part of a storm.
        notification.incident.drill.then_some(&delivery.id),
    ])?;
    Ok(())
}

/// Whether something of an incident waits for a channel.
fn waits(connection: &Connection, incident: &Incident, channel: &str) -> Result<bool> {
    // The word of a severity that is as grave sorts before or is the same.
    let mut select = connection.prepare_cached(
        "SELECT 1 FROM outbox WHERE incident = ?1 AND channel = ?2 AND state = 'pending'
           AND json_extract(notification, '$.incident.severity') <= ?3",
    )?;
    select.exists(params![&*incident.id.0, channel, incident.severity.as_str()])
}

/// The fallback that took an incident's opening in the place of a channel that was never told of it.
pub fn heir(connection: &Connection, incident: &str, channel: &str) -> Result<Option<String>> {
    let mut select = connection.prepare_cached(
        "SELECT fallback FROM outbox
         WHERE incident = ?1 AND channel = ?2 AND event IN ('opened', 'escalated') AND state = 'dead' AND fallback IS NOT NULL
           AND NOT EXISTS (SELECT 1 FROM outbox t
               WHERE t.incident = ?1 AND t.channel = ?2 AND t.event IN ('opened', 'escalated')
                 AND t.state IN ('pending', 'delivered'))
         ORDER BY transition LIMIT 1",
    )?;
    select.query_row(params![incident, channel], |row| row.get(0)).optional()
}

/// Whether a channel has heard, or will hear, of a transition by a row of its own.
fn hears(connection: &Connection, notification: &Notification, channel: &str) -> Result<bool> {
    let mut select = connection.prepare_cached(
        "SELECT 1 FROM outbox
         WHERE incident = ?1 AND channel = ?2 AND event = ?3 AND (?3 IN ('resolved', 'post_mortem') OR transition = ?4)
           AND state IN ('pending', 'delivered')",
    )?;
    let event = notification.event.as_str();
    select.exists(params![&*notification.incident.id.0, channel, event, notification.transition])
}

pub fn delivery(row: &Row<'_>) -> Result<Delivery> {
    let fallback: Option<String> = row.get("fallback")?;
    let notification: Notification = from_json(row, "notification")?;
    Ok(Delivery {
        id: row.get("id")?,
        channel: parsed(row, "channel")?,
        fallback: read("fallback", fallback.map(|name| ChannelName::parse(&name)).transpose())?,
        notification: Arc::new(Notification { plain: row.get("plain")?, ..notification }),
        created_at: instant(row, "created_at")?,
        together: row.get("together")?,
        attempts: row.get("attempts")?,
        next_attempt_at: instant(row, "next_attempt_at")?,
    })
}

/// Reads all that waits.
pub fn pending(connection: &Connection) -> Result<()> {
    let mut select = connection.prepare_cached("SELECT * FROM outbox WHERE state = 'pending'")?;
    select.query_map([], delivery)?.try_for_each(|delivery| delivery.map(drop))
}

/// Makes due what rests; what waits for others goes on waiting.
pub fn retry(connection: &Connection, now: Timestamp) -> Result<()> {
    let mut update = connection.prepare_cached(
        "UPDATE outbox SET next_attempt_at = ?1 WHERE state = 'pending' AND next_attempt_at > ?1 AND message = id",
    )?;
    update.execute([micros(now)])?;
    Ok(())
}

#[cfg(test)]
mod tests;
