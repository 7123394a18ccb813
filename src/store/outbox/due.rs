//! What is to be tried now, what its end tells as well, and what comes too late.

use std::collections::{BTreeMap, BTreeSet};

use rusqlite::{Connection, OptionalExtension as _, Result, params};

use super::delivery;
use crate::domain::incident::Event;
use crate::domain::time::{Timestamp, later};
use crate::ports::{Delivery, Due, REST_MAX, Receipt};
use crate::store::columns::{count, instant, micros, to_instant};
use crate::store::gathering;
use crate::store::order::first;

/// What is to be tried now, and when to look again.
pub fn due(connection: &Connection, now: Timestamp, per_channel: usize) -> Result<Due> {
    let (now, far) = (micros(now), micros(later(now, REST_MAX * 2)));
    let mut channels = connection.prepare_cached("SELECT DISTINCT channel FROM outbox WHERE state = 'pending'")?;
    let mut select = connection.prepare_cached(concat!(
        "SELECT * FROM outbox o
         WHERE state = 'pending' AND message = id AND channel = ?1 AND (next_attempt_at <= ?2 OR next_attempt_at > ?3)
           AND NOT EXISTS (SELECT 1 FROM outbox s
               WHERE s.channel = o.channel AND s.state = 'pending' AND s.message = s.id AND s.together = o.together
                 AND s.event NOT IN ('opened', 'escalated') AND o.event NOT IN ('opened', 'escalated')
                 AND (s.created_at, s.id) < (o.created_at, o.id)
                 AND NOT EXISTS (SELECT 1 FROM outbox b
                     WHERE b.incident = s.incident AND b.channel = s.channel AND b.state = 'pending'
                       AND (b.transition, b.created_at, b.id) < (s.transition, s.created_at, s.id))) AND ",
        first!(),
        " ORDER BY created_at, id LIMIT ?4"
    ))?;
    let per_channel = count(per_channel.try_into().unwrap_or(u64::MAX));
    let mut due = Vec::new();
    for channel in channels.query_map([], |row| row.get::<_, String>(0))? {
        for delivery in select.query_map(params![channel?, now, far, per_channel], delivery)? {
            due.push(delivery?);
        }
    }
    due.sort_by(|a, b| (a.created_at, &a.id).cmp(&(b.created_at, &b.id)));
    let mut firsts = BTreeMap::new();
    for delivery in &due {
        firsts.extend(first_receipt(connection, delivery)?.map(|receipt| (delivery.id.clone(), receipt)));
    }
    let mut ripe = gathering::is_ripe(connection, now, far)?;
    let (mut resolves, mut grouped) = (Vec::new(), BTreeSet::new());
    for delivery in &due {
        let tells_several = gathering::tells_several(connection, &delivery.id)?;
        if tells_several || gathering::follows_several(connection, delivery)? {
            grouped.insert(delivery.id.clone());
        }
        if delivery.notification.event.begins() {
            let resolve = resolve_of(connection, delivery)?;
            // The end of several is told with their beginning once it is gathered too.
            let is_gathered = |resolve: &Delivery| gathering::is_gone(connection, &resolve.id);
            match resolve {
                Some(resolve) if !tells_several || is_gathered(&resolve)? => resolves.push(resolve),
                Some(_) => ripe |= gathering::is_over(connection, &delivery.id)?,
                None => {}
            }
        }
    }
    for resolve in &resolves {
        if gathering::tells_several(connection, &resolve.id)? {
            grouped.insert(resolve.id.clone());
        }
    }
    let (mut now_due, mut overtaken) = (Vec::new(), Vec::new());
    for delivery in due {
        let list = if is_all_overtaken(connection, &delivery)? { &mut overtaken } else { &mut now_due };
        list.push(delivery);
    }
    let mut next = connection.prepare_cached(concat!(
        "SELECT next_attempt_at FROM outbox o
         WHERE state = 'pending' AND (message = id OR message IS NULL)
           AND next_attempt_at > ?1 AND next_attempt_at <= ?2 AND ",
        first!(),
        " ORDER BY next_attempt_at LIMIT 1"
    ))?;
    let next_at = next.query_row([now, far], |row| instant(row, "next_attempt_at")).optional()?;
    let mut oldest = connection.prepare_cached("SELECT min(created_at) FROM outbox WHERE state = 'pending'")?;
    let oldest = oldest.query_row([], |row| row.get::<_, Option<i64>>(0))?.and_then(to_instant);
    Ok(Due { now: now_due, resolves, overtaken, grouped, ripe, firsts, next_at, oldest })
}

/// Whether a message of an incident that goes on comes after its end, of which the channel hears or has heard. An
/// escalation may be the first that a channel hears of it, and is then told with the end.
fn is_overtaken(connection: &Connection, delivery: &Delivery) -> Result<bool> {
    let event = delivery.notification.event;
    let (incident, channel) = (&*delivery.notification.incident.id.0, delivery.channel.as_str());
    match event {
        // Its end may have left from memory while nobody could look for what stood before it.
        Event::Opened => {
            let mut ended = connection.prepare_cached(
                "SELECT 1 FROM outbox WHERE incident = ?1 AND channel = ?2 AND event = 'resolved' AND state = 'delivered'",
            )?;
            return ended.exists([incident, channel]);
        }
        Event::Resolved | Event::PostMortem => return Ok(false),
        Event::Reminder | Event::Escalated | Event::Acknowledged => {}
    }
    let mut select = connection.prepare_cached(
        "SELECT 1 FROM outbox
         WHERE incident = ?1 AND channel = ?2 AND event = 'resolved' AND state IN ('pending', 'delivered')
           AND (?3 <> 'escalated' OR EXISTS (SELECT 1 FROM outbox t
               WHERE t.incident = ?1 AND t.channel = ?2 AND t.id <> ?4 AND t.event IN ('opened', 'escalated')
                 AND t.state IN ('delivered', 'merged')))",
    )?;
    select.exists(params![incident, channel, event.as_str(), delivery.id])
}

/// The same of all that a message tells.
fn is_all_overtaken(connection: &Connection, carrier: &Delivery) -> Result<bool> {
    if !is_overtaken(connection, carrier)? {
        return Ok(false);
    }
    for row in gathering::rows(connection, &carrier.id)? {
        if !is_overtaken(connection, &row)? {
            return Ok(false);
        }
    }
    Ok(true)
}

/// The receipt of the first message about the same incident that the channel took.
fn first_receipt(connection: &Connection, of: &Delivery) -> Result<Option<Receipt>> {
    let mut select = connection.prepare_cached(
        "SELECT receipt FROM outbox WHERE incident = ?1 AND channel = ?2 AND state = 'delivered'
         ORDER BY transition, created_at, id LIMIT 1",
    )?;
    let of = params![&*of.notification.incident.id.0, of.channel.as_str()];
    select.query_row(of, |row| Ok(Receipt { id: row.get(0)? })).optional()
}

/// The resolve that can tell an opening too. It cannot when this channel was told of the incident already, as a
/// fallback may be, nor when another beginning is to come before it: that one would then arrive after the end. What else
/// stands between is overtaken by it.
fn resolve_of(connection: &Connection, opened: &Delivery) -> Result<Option<Delivery>> {
    let mut select = connection.prepare_cached(
        "SELECT * FROM outbox o
         WHERE incident = ?1 AND channel = ?2 AND state = 'pending' AND event = 'resolved'
           AND NOT EXISTS (SELECT 1 FROM outbox t
               WHERE t.incident = ?1 AND t.channel = ?2 AND t.state = 'delivered'
                 AND t.event IN ('opened', 'escalated'))
           AND NOT EXISTS (SELECT 1 FROM outbox b
               WHERE b.incident = ?1 AND b.channel = ?2 AND b.state = 'pending' AND b.id <> ?3 AND b.event = 'opened'
                 AND (b.transition, b.created_at, b.id) < (o.transition, o.created_at, o.id))
         ORDER BY transition, created_at, id LIMIT 1",
    )?;
    let of = params![&*opened.notification.incident.id.0, opened.channel.as_str(), opened.id];
    select.query_row(of, delivery).optional()
}

/// The ids of what stands before a delivery that is not in the outbox yet: the rows that wait, and a beginning that was given
/// up on, whose fallback is to hear the rest; and what the channel heard with others.
pub fn before(connection: &Connection, delivery: &Delivery) -> Result<Vec<String>> {
    let mut select = connection.prepare_cached(
        "SELECT id FROM outbox
         WHERE incident = ?1 AND channel = ?2 AND id <> ?3
           AND (state = 'pending' OR state = 'dead' AND event IN ('opened', 'escalated') AND fallback IS NOT NULL)",
    )?;
    let (incident, channel) = (&*delivery.notification.incident.id.0, delivery.channel.as_str());
    let ids = select.query_map(params![incident, channel, delivery.id], |row| row.get(0))?;
    let mut ids = ids.collect::<Result<Vec<_>>>()?;
    // Who heard of the beginning with others hears the rest by the key of that message, which the store alone knows.
    if delivery.notification.event != Event::Opened {
        ids.extend(gathering::common_origin(connection, incident, channel, &delivery.id)?);
    }
    Ok(ids)
}
