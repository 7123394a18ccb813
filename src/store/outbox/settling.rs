//! What became of messages, and who is told in the place of a channel that was given up on.

use std::sync::Arc;

use rusqlite::{Connection, Result, params};

use super::{hears, heir, insert};
use crate::domain::incident::Event;
use crate::domain::time::Timestamp;
use crate::ports::{Delivery, Notification, Settlement};
use crate::store::columns::micros;
use crate::store::gathering;

/// Records what came of an attempt, in every row that the message tells; what it rests for is known of the one that carries
/// them. A row that is settled stays so, and nothing is put beside it.
pub fn settle(connection: &Connection, delivery: &Delivery, settlement: &Settlement) -> Result<()> {
    let attempts = delivery.attempts.saturating_add(1);
    match settlement {
        Settlement::Delivered { at, receipt } => {
            let mut update = connection.prepare_cached(
                "UPDATE outbox SET state = 'delivered', settled_at = ?2, attempts = ?3, receipt = ?4
                 WHERE (id = ?1 OR message = ?1) AND state = 'pending'",
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
                 WHERE (id = ?1 OR message = ?1) AND state = 'pending'",
            )?;
            let settled = update.execute(params![delivery.id, micros(*at), attempts, error])?;
            if let Some(fallback) = fallback.as_ref().filter(|_| settled > 0) {
                hand_over_all(connection, delivery, fallback, *at)?;
            }
        }
        Settlement::Merged { at } => {
            let mut update = connection.prepare_cached(
                "UPDATE outbox SET state = 'merged', settled_at = ?2
                 WHERE (id = ?1 OR message = ?1) AND state = 'pending'",
            )?;
            update.execute(params![delivery.id, micros(*at)])?;
        }
    }
    Ok(())
}

/// Hands what was given up on to the fallback, unless that has it already, and with an opening the resolve that waits
/// behind it. What else waits there is word of what goes on, of which the fallback hears in its own time.
fn hand_over(connection: &Connection, from: &Delivery, fallback: &Delivery, at: Timestamp) -> Result<bool> {
    let notification = &fallback.notification;
    let (incident, to) = (&*notification.incident.id.0, fallback.channel.as_str());
    let is_new = !hears(connection, notification, to)?;
    if is_new {
        insert(connection, fallback, to, None)?;
    }
    if notification.event.begins() && heir(connection, incident, from.channel.as_str())?.is_some() {
        hand_on(connection, from, notification, Event::Resolved, to, at)?;
        let mut update = connection.prepare_cached(
            "UPDATE outbox SET state = 'merged', settled_at = ?3
             WHERE incident = ?1 AND channel = ?2 AND event IN ('reminder', 'acknowledged') AND state = 'pending'",
        )?;
        update.execute(params![incident, from.channel.as_str(), micros(at)])?;
        hand_on(connection, from, notification, Event::PostMortem, to, at)?;
    }
    Ok(is_new)
}

/// Hands on what waits behind a beginning, unless who takes it over hears that anyway. An end is told at once; what is to be
/// done after it has time.
fn hand_on(
    connection: &Connection,
    from: &Delivery,
    of: &Notification,
    event: Event,
    to: &str,
    at: Timestamp,
) -> Result<()> {
    let sql = if hears(connection, &Notification { event, ..of.clone() }, to)? {
        "UPDATE outbox SET state = 'merged', settled_at = ?3
         WHERE incident = ?1 AND channel = ?2 AND event = ?5 AND state = 'pending' AND ?4 IS NOT NULL"
    } else {
        "UPDATE outbox SET channel = ?4, fallback = NULL,
             next_attempt_at = iif(?5 = 'resolved', min(next_attempt_at, ?3), max(next_attempt_at, ?3))
         WHERE incident = ?1 AND channel = ?2 AND event = ?5 AND state = 'pending'"
    };
    let given = params![&*of.incident.id.0, from.channel.as_str(), micros(at), to, event.as_str()];
    connection.prepare_cached(sql)?.execute(given)?;
    Ok(())
}

/// Hands over all that a message told, in one message again.
fn hand_over_all(connection: &Connection, from: &Delivery, fallback: &Delivery, at: Timestamp) -> Result<()> {
    // Ends that were to be told together are handed over one by one, and gathered anew behind what the fallback hears.
    let mut ends = connection.prepare_cached(
        "UPDATE outbox SET message = NULL, gone_at = NULL
         WHERE channel = ?1 AND state = 'pending' AND event = 'resolved'
           AND incident IN (SELECT incident FROM outbox WHERE id = ?2 OR message = ?2)",
    )?;
    ends.execute(params![from.channel.as_str(), from.id])?;
    let told = gathering::rows(connection, &from.id)?;
    let mut carrier: Option<String> = None;
    for (place, row) in told.into_iter().enumerate() {
        let is_first = row.id == from.id;
        let id = if is_first { fallback.id.clone() } else { format!("{}.{place}", fallback.id) };
        // That it is late and in which form it is told goes for all.
        let Notification { late, plain, event, .. } = *fallback.notification;
        let own = Arc::unwrap_or_clone(if is_first { Arc::clone(&fallback.notification) } else { row.notification });
        let notification = Arc::new(Notification { late, plain, event, group: None, ..own });
        let of_row = Delivery { id, notification, ..fallback.clone() };
        if hand_over(connection, from, &of_row, at)? {
            let carrier = carrier.get_or_insert_with(|| of_row.id.clone());
            gathering::let_go(connection, &of_row.id, carrier, at)?;
        }
    }
    Ok(())
}
