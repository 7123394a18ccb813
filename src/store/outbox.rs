//! Which deliveries are due, and what became of them. A channel is told of an incident in the order of its transitions,
//! one message at a time: the first row that is not settled stands before all that come after it.

use std::collections::{BTreeMap, BTreeSet};

use rusqlite::{Connection, OptionalExtension as _, Result, Row, params};

use super::columns::{count, from_json, instant, json, micros, parsed, read, to_instant};
use super::gathering::{self, Origin};
use super::order::first;
use crate::domain::incident::{Event, Incident};
use crate::domain::names::ChannelName;
use crate::domain::time::{Timestamp, later};
use crate::ports::{Delivery, Due, Notification, REST_MAX, Receipt, Settlement};

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
        let Notification { late, plain, event, .. } = fallback.notification;
        let own = if is_first { fallback.notification.clone() } else { row.notification };
        let notification = Notification { late, plain, event, group: None, ..own };
        let of_row = Delivery { id, notification, ..fallback.clone() };
        if hand_over(connection, from, &of_row, at)? {
            let carrier = carrier.get_or_insert_with(|| of_row.id.clone());
            gathering::let_go(connection, &of_row.id, carrier, at)?;
        }
    }
    Ok(())
}

pub fn delivery(row: &Row<'_>) -> Result<Delivery> {
    let fallback: Option<String> = row.get("fallback")?;
    let notification: Notification = from_json(row, "notification")?;
    Ok(Delivery {
        id: row.get("id")?,
        channel: parsed(row, "channel")?,
        fallback: read("fallback", fallback.map(|name| ChannelName::parse(&name)).transpose())?,
        notification: Notification { plain: row.get("plain")?, ..notification },
        created_at: instant(row, "created_at")?,
        together: row.get("together")?,
        attempts: row.get("attempts")?,
        next_attempt_at: instant(row, "next_attempt_at")?,
    })
}

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

/// Reads all that waits.
pub fn pending(connection: &Connection) -> Result<()> {
    let mut select = connection.prepare_cached("SELECT * FROM outbox WHERE state = 'pending'")?;
    select.query_map([], delivery)?.try_for_each(|delivery| delivery.map(drop))
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

/// Makes due what rests; what waits for others goes on waiting.
pub fn retry(connection: &Connection, now: Timestamp) -> Result<()> {
    let mut update = connection.prepare_cached(
        "UPDATE outbox SET next_attempt_at = ?1 WHERE state = 'pending' AND next_attempt_at > ?1 AND message = id",
    )?;
    update.execute([micros(now)])?;
    Ok(())
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

/// Records what came of an attempt, in every row that the message tells; what it rests for is known of the one that carries
/// them. A row that is settled stays so, and nothing is put beside it.
pub fn settle(connection: &Connection, delivery: &Delivery, settlement: &Settlement) -> Result<()> {
    let attempts = delivery.attempts.saturating_add(1);
    if delivery.notification.unrecorded {
        gathering::part(connection, &delivery.id)?;
    }
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
            if let Some(fallback) = fallback.as_deref().filter(|_| settled > 0) {
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::incident::Severity;
    use crate::ports::{Commit, Receipt, Store as _};
    use crate::store::testing::{
        Kept, channel, delivery as message, incident, kept, opening, resolved, resolving, second,
    };

    fn ids(deliveries: &[Delivery]) -> Vec<&str> {
        deliveries.iter().map(|delivery| delivery.id.as_str()).collect()
    }

    async fn due_at(kept: &Kept, at: i64) -> Due {
        kept.each_by_itself(second(at)).await;
        kept.store.due_deliveries(second(at), 10).await.unwrap()
    }

    async fn settle_as(kept: &Kept, delivery: &Delivery, settlement: Settlement) {
        kept.store.settle(delivery, settlement).await.unwrap();
    }

    fn delivered(at: i64) -> Settlement {
        Settlement::Delivered { at: second(at), receipt: Receipt { id: Some("m-1".to_owned()) } }
    }

    fn again(at: i64) -> Settlement {
        Settlement::Again { at: second(at), error: "down".to_owned(), plain: true }
    }

    #[tokio::test]
    async fn the_oldest_comes_first_and_comes_back_as_it_was() {
        let kept = kept();
        let (one, two) = (incident("I1", Severity::P1, 20), incident("I2", Severity::P1, 10));
        kept.store.commit(opening(&one, &["ops", "sms"], 20).into()).await.unwrap();
        kept.store.commit(opening(&two, &["ops"], 10).into()).await.unwrap();
        let due = due_at(&kept, 20).await;
        assert_eq!(ids(&due.now), ["I2-1-ops", "I1-1-ops", "I1-1-sms"]);
        assert_eq!(due.now[0], message(&two, 1, Event::Opened, "ops", 10));
        assert_eq!((due.next_at, due.oldest, due.resolves), (None, Some(second(10)), Vec::new()));
        let early = due_at(&kept, 15).await;
        assert_eq!((ids(&early.now), early.next_at), (vec!["I2-1-ops"], Some(second(20))));
        kept.each_by_itself(second(20)).await;
        let few = kept.store.due_deliveries(second(20), 1).await.unwrap();
        assert_eq!(ids(&few.now), ["I2-1-ops", "I1-1-sms"], "no channel takes the place of another");
    }

    #[tokio::test]
    async fn what_comes_later_waits_for_what_is_before_it() {
        let kept = kept();
        let one = incident("I1", Severity::P1, 0);
        kept.store.commit(opening(&one, &["ops", "sms"], 0).into()).await.unwrap();
        let first = due_at(&kept, 0).await.now;
        settle_as(&kept, &first[0], again(60)).await;
        settle_as(&kept, &first[1], delivered(1)).await;
        kept.store.commit(resolving(&one, &["ops", "sms"], 10).into()).await.unwrap();
        // The channel that was told hears the end; for the other the opening still waits, and the end waits behind it.
        let due = due_at(&kept, 10).await;
        assert_eq!((ids(&due.now), due.next_at), (vec!["I1-2-sms"], Some(second(60))));
        let due = due_at(&kept, 60).await;
        assert_eq!((ids(&due.now), ids(&due.resolves)), (vec!["I1-1-ops", "I1-2-sms"], vec!["I1-2-ops"]));
        assert_eq!((due.now[0].attempts, due.now[0].notification.plain), (1, true));
        settle_as(&kept, &due.now[0], Settlement::Merged { at: second(61) }).await;
        settle_as(&kept, &due.resolves[0], delivered(61)).await;
        settle_as(&kept, &due.now[1], delivered(61)).await;
        let due = due_at(&kept, 9_999).await;
        assert_eq!((due.now, due.next_at, due.oldest), (Vec::new(), None, None));
    }

    #[tokio::test]
    async fn what_follows_knows_the_receipt_of_the_first() {
        let kept = kept();
        let one = incident("I1", Severity::P1, 0);
        kept.store.commit(opening(&one, &["ops", "sms"], 0).into()).await.unwrap();
        let first = due_at(&kept, 0).await;
        assert!(first.firsts.is_empty());
        settle_as(&kept, &first.now[0], delivered(1)).await;
        settle_as(&kept, &first.now[1], Settlement::Delivered { at: second(1), receipt: Receipt::default() }).await;
        kept.store.commit(resolving(&one, &["ops", "sms"], 10).into()).await.unwrap();
        let receipt = |id: Option<&str>| Receipt { id: id.map(str::to_owned) };
        let expected = [("I1-2-ops".to_owned(), receipt(Some("m-1"))), ("I1-2-sms".to_owned(), receipt(None))];
        assert_eq!(due_at(&kept, 10).await.firsts, expected.into());
    }

    #[tokio::test]
    async fn a_channel_that_was_told_already_is_not_told_by_the_resolve_alone() {
        let kept = kept();
        let one = incident("I1", Severity::P1, 0);
        kept.store.commit(opening(&one, &["ops", "team"], 0).into()).await.unwrap();
        let first = due_at(&kept, 0).await.now;
        settle_as(&kept, &first[1], delivered(1)).await;
        let fallback = Delivery { id: "F".to_owned(), fallback: None, ..message(&one, 1, Event::Opened, "team", 2) };
        let dead = |fallback| Settlement::Dead { at: second(2), error: "400".to_owned(), fallback };
        settle_as(&kept, &first[0], dead(Some(Box::new(fallback.clone())))).await;
        kept.store.commit(resolving(&one, &["team"], 10).into()).await.unwrap();
        let due = due_at(&kept, 10).await;
        assert_eq!((ids(&due.now), ids(&due.resolves)), (vec!["I1-2-team"], vec![]), "it has heard of the opening");
    }

    #[tokio::test]
    async fn who_took_the_opening_takes_the_resolve() {
        let dead = |of: &Incident| {
            let fallback =
                Delivery { id: format!("{}-F", of.id), fallback: None, ..message(of, 1, Event::Opened, "team", 2) };
            Settlement::Dead { at: second(2), error: "400".to_owned(), fallback: Some(Box::new(fallback)) }
        };
        let kept = kept();
        let (before, after) = (incident("I1", Severity::P1, 0), incident("I2", Severity::P1, 0));
        kept.store.commit(opening(&before, &["ops"], 0).into()).await.unwrap();
        kept.store.commit(opening(&after, &["ops"], 0).into()).await.unwrap();
        let given_up = due_at(&kept, 0).await.now;
        // One incident is over before its opening is given up on, the other after.
        kept.store.commit(resolving(&before, &["ops"], 1).into()).await.unwrap();
        settle_as(&kept, &given_up[0], dead(&before)).await;
        settle_as(&kept, &given_up[1], dead(&after)).await;
        kept.store.commit(resolving(&after, &["ops"], 3).into()).await.unwrap();
        let due = due_at(&kept, 10).await;
        assert_eq!((ids(&due.now), ids(&due.resolves)), (vec!["I1-F", "I2-F"], vec!["I1-2-ops", "I2-2-ops"]));
        settle_as(&kept, &due.now[0], delivered(11)).await;
        let due = due_at(&kept, 12).await;
        assert_eq!(ids(&due.now), ["I1-2-ops", "I2-F"]);
        assert_eq!((due.now[0].channel.as_str(), &due.now[0].fallback), ("team", &None));
    }

    #[tokio::test]
    async fn a_fallback_hears_each_thing_once() {
        let kept = kept();
        let one = incident("I1", Severity::P1, 0);
        kept.store.commit(opening(&one, &["ops", "team"], 0).into()).await.unwrap();
        let first = due_at(&kept, 0).await.now;
        kept.store.commit(resolving(&one, &["ops", "team"], 1).into()).await.unwrap();
        let fallback = Delivery { id: "F".to_owned(), fallback: None, ..message(&one, 1, Event::Opened, "team", 2) };
        let dead = Settlement::Dead { at: second(2), error: "400".to_owned(), fallback: Some(Box::new(fallback)) };
        settle_as(&kept, &first[0], dead).await;
        settle_as(&kept, &first[1], delivered(3)).await;
        assert_eq!(ids(&due_at(&kept, 10).await.now), ["I1-2-team"]);
        settle_as(&kept, &due_at(&kept, 10).await.now[0], delivered(10)).await;
        assert_eq!(due_at(&kept, 99).await.oldest, None, "nothing waits for ever");
    }

    fn telling(of: &Incident, transition: u32, event: Event, channels: &[&str], at: i64) -> Commit {
        let deliveries = channels.iter().map(|to| message(of, transition, event, to, at)).collect();
        Commit { incidents: vec![of.clone()], deliveries, ..Commit::default() }
    }

    #[tokio::test]
    async fn of_what_is_over_a_channel_that_was_down_hears_the_end_whatever_stands_between() {
        for between in [Event::Escalated, Event::Acknowledged] {
            let kept = kept();
            let one = incident("I1", Severity::P1, 0);
            kept.store.commit(opening(&one, &["ops"], 0).into()).await.unwrap();
            kept.store.commit(telling(&one, 3, between, &["ops"], 5).into()).await.unwrap();
            let over = Delivery { id: "E".to_owned(), ..message(&resolved(&one, 10), 4, Event::Resolved, "ops", 10) };
            kept.store.commit(Commit { deliveries: vec![over], ..Commit::default() }.into()).await.unwrap();
            let due = due_at(&kept, 10).await;
            assert_eq!((ids(&due.now), ids(&due.resolves)), (vec!["I1-1-ops"], vec!["E"]), "{between:?}");
            settle_as(&kept, &due.now[0], Settlement::Merged { at: second(11) }).await;
            settle_as(&kept, &due.resolves[0], delivered(11)).await;
            let due = due_at(&kept, 12).await;
            assert_eq!((ids(&due.now), ids(&due.overtaken)), (vec![], vec!["I1-3-ops"]), "{between:?}");
        }
    }

    #[tokio::test]
    async fn an_escalation_that_is_the_first_that_a_channel_hears_is_told_with_the_end() {
        let kept = kept();
        let one = incident("I1", Severity::P1, 0);
        kept.store.commit(telling(&one, 1, Event::Escalated, &["boss"], 0).into()).await.unwrap();
        kept.store.commit(resolving(&one, &["boss"], 10).into()).await.unwrap();
        let due = due_at(&kept, 10).await;
        assert_eq!((ids(&due.now), ids(&due.resolves)), (vec!["I1-1-boss"], vec!["I1-2-boss"]));
        assert!(due.overtaken.is_empty());
    }

    #[tokio::test]
    async fn a_fallback_that_is_also_escalated_to_hears_the_end_once() {
        let kept = kept();
        let one = incident("I1", Severity::P1, 0);
        kept.store.commit(opening(&one, &["ops"], 0).into()).await.unwrap();
        let opened = due_at(&kept, 0).await.now.remove(0);
        let fallback = Delivery { id: "F".to_owned(), fallback: None, ..message(&one, 1, Event::Opened, "team", 2) };
        let dead = Settlement::Dead { at: second(2), error: "400".to_owned(), fallback: Some(Box::new(fallback)) };
        settle_as(&kept, &opened, dead).await;
        kept.store.commit(telling(&one, 3, Event::Escalated, &["ops", "team"], 5).into()).await.unwrap();
        kept.store.commit(resolving(&one, &["ops", "team"], 10).into()).await.unwrap();
        let rows = |event: &str| kept.number(&format!("SELECT count(*) FROM outbox WHERE event = '{event}'"));
        assert_eq!((rows("escalated"), rows("resolved")), (1, 1));
    }

    #[tokio::test]
    async fn what_goes_on_waits_behind_no_channel_that_was_given_up_on_and_heaps_up_before_no_fallback() {
        let kept = kept();
        let one = incident("I1", Severity::P1, 0);
        kept.store.commit(opening(&one, &["ops"], 0).into()).await.unwrap();
        let opened = due_at(&kept, 0).await.now.remove(0);
        kept.store.commit(telling(&one, 3, Event::Acknowledged, &["ops"], 1).into()).await.unwrap();
        let fallback = Delivery { id: "F".to_owned(), fallback: None, ..message(&one, 1, Event::Opened, "team", 2) };
        let dead = Settlement::Dead { at: second(2), error: "400".to_owned(), fallback: Some(Box::new(fallback)) };
        settle_as(&kept, &opened, dead).await;
        assert_eq!(ids(&due_at(&kept, 3).await.now), ["F"]);
        for transition in 4..8 {
            kept.store.commit(telling(&one, transition, Event::Reminder, &["ops"], 5).into()).await.unwrap();
        }
        assert_eq!(kept.number("SELECT count(*) FROM outbox WHERE state = 'pending'"), 1);
    }

    #[tokio::test]
    async fn a_resolve_does_not_overtake_a_second_opening() {
        let kept = kept();
        let one = incident("I1", Severity::P1, 0);
        let twice = Delivery { id: "F".to_owned(), ..message(&one, 1, Event::Opened, "ops", 1) };
        let mut commit = opening(&one, &["ops"], 0);
        commit.deliveries.push(twice);
        kept.store.commit(commit.into()).await.unwrap();
        kept.store.commit(resolving(&one, &["ops"], 10).into()).await.unwrap();
        let due = due_at(&kept, 10).await;
        assert_eq!((ids(&due.now), ids(&due.resolves)), (vec!["I1-1-ops"], vec![]));
        settle_as(&kept, &due.now[0], Settlement::Merged { at: second(10) }).await;
        let due = due_at(&kept, 10).await;
        assert_eq!((ids(&due.now), ids(&due.resolves)), (vec!["F"], vec!["I1-2-ops"]));
    }

    #[tokio::test]
    async fn what_rests_is_due_again_after_a_start_and_after_a_clock_that_was_set_back() {
        let kept = kept();
        kept.store.commit(opening(&incident("I1", Severity::P1, 0), &["ops"], 0).into()).await.unwrap();
        let message = due_at(&kept, 0).await.now.remove(0);
        settle_as(&kept, &message, again(300)).await;
        assert!(due_at(&kept, 1).await.now.is_empty());
        kept.store.retry_deliveries(second(1)).await.unwrap();
        assert_eq!(ids(&due_at(&kept, 1).await.now), ["I1-1-ops"]);
        settle_as(&kept, &due_at(&kept, 1).await.now[0], again(100_000)).await;
        let due = due_at(&kept, 2).await;
        assert_eq!((ids(&due.now), due.next_at), (vec!["I1-1-ops"], None), "nothing rests for a day");
    }

    fn word(of: &Incident, transition: u32, event: Event, at: i64) -> Commit {
        Commit { deliveries: vec![message(of, transition, event, "ops", at)], ..Commit::default() }
    }

    #[tokio::test]
    async fn a_channel_that_is_down_gathers_no_reminders_and_a_resolve_stands_for_those_that_wait() {
        let kept = kept();
        let one = incident("I1", Severity::P1, 0);
        kept.store.commit(opening(&one, &["ops"], 0).into()).await.unwrap();
        kept.store.commit(word(&one, 2, Event::Reminder, 10).into()).await.unwrap();
        let due = due_at(&kept, 10).await;
        assert_eq!(ids(&due.now), ["I1-1-ops"]);
        settle_as(&kept, &due.now[0], delivered(10)).await;
        assert!(due_at(&kept, 10).await.now.is_empty(), "the opening was still to be told, and says enough");
        for (transition, event) in [(3, Event::Reminder), (4, Event::Reminder), (5, Event::Acknowledged)] {
            kept.store.commit(word(&one, transition, event, 20).into()).await.unwrap();
        }
        let due = due_at(&kept, 20).await;
        assert_eq!(ids(&due.now), ["I1-3-ops"]);
        kept.store.commit(word(&resolved(&one, 30), 6, Event::Resolved, 30).into()).await.unwrap();
        for id in ["I1-3-ops", "I1-5-ops"] {
            let due = due_at(&kept, 30).await;
            assert_eq!((ids(&due.now), ids(&due.overtaken)), (vec![], vec![id]));
            settle_as(&kept, &due.overtaken[0], Settlement::Merged { at: second(30) }).await;
        }
        let due = due_at(&kept, 30).await;
        assert_eq!((ids(&due.now), ids(&due.overtaken)), (vec!["I1-6-ops"], vec![]));
    }

    #[tokio::test]
    async fn a_rise_is_told_also_behind_what_a_channel_has_not_taken_yet() {
        let kept = kept();
        let one = incident("I1", Severity::P3, 0);
        kept.store.commit(opening(&one, &["ops"], 0).into()).await.unwrap();
        let risen = Incident { severity: Severity::P1, ..one };
        for (transition, at) in [(2, 10), (3, 20)] {
            kept.store.commit(word(&risen, transition, Event::Reminder, at).into()).await.unwrap();
        }
        for id in ["I1-1-ops", "I1-2-ops"] {
            let due = due_at(&kept, 20).await;
            assert_eq!(ids(&due.now), [id]);
            settle_as(&kept, &due.now[0], delivered(20)).await;
        }
        assert!(due_at(&kept, 20).await.now.is_empty(), "what waited was as grave as the reminder after it");
    }

    #[tokio::test]
    async fn the_fallback_that_took_the_opening_is_reminded_too() {
        let kept = kept();
        let one = incident("I1", Severity::P1, 0);
        kept.store.commit(opening(&one, &["ops"], 0).into()).await.unwrap();
        let opened = due_at(&kept, 0).await.now.remove(0);
        let fallback = Delivery { id: "F".to_owned(), channel: channel("team"), ..opened.clone() };
        let dead = Settlement::Dead { at: second(1), error: "gone".to_owned(), fallback: Some(Box::new(fallback)) };
        settle_as(&kept, &opened, dead).await;
        settle_as(&kept, &due_at(&kept, 1).await.now[0], delivered(1)).await;
        kept.store.commit(word(&one, 2, Event::Reminder, 10).into()).await.unwrap();
        assert_eq!(due_at(&kept, 10).await.now[0].channel, channel("team"));
    }

    #[tokio::test]
    async fn who_hears_of_an_incident_by_its_escalation_hears_its_end_too() {
        let kept = kept();
        let one = incident("I1", Severity::P1, 0);
        let escalated = Commit {
            incidents: vec![one.clone()],
            deliveries: vec![message(&one, 1, Event::Escalated, "boss", 10)],
            ..Commit::default()
        };
        kept.store.commit(escalated.into()).await.unwrap();
        // While it waits the incident ends: one message tells both.
        kept.store.commit(resolving(&one, &["boss"], 20).into()).await.unwrap();
        let due = due_at(&kept, 20).await;
        assert_eq!((ids(&due.now), ids(&due.resolves)), (vec!["I1-1-boss"], vec!["I1-2-boss"]));
    }

    #[tokio::test]
    async fn what_is_settled_stays_as_it_is() {
        let kept = kept();
        let one = incident("I1", Severity::P1, 0);
        kept.store.commit(opening(&one, &["ops"], 0).into()).await.unwrap();
        let message = due_at(&kept, 0).await.now.remove(0);
        settle_as(&kept, &message, again(5)).await;
        settle_as(&kept, &message, again(5)).await;
        assert_eq!(kept.number("SELECT attempts FROM outbox"), 1, "one attempt is recorded once");
        settle_as(&kept, &message, delivered(6)).await;
        let fallback = Delivery { id: "F".to_owned(), channel: channel("team"), ..message.clone() };
        for settlement in [
            again(7),
            Settlement::Merged { at: second(7) },
            Settlement::Dead { at: second(7), error: "late".to_owned(), fallback: Some(Box::new(fallback)) },
            delivered(8),
        ] {
            settle_as(&kept, &message, settlement).await;
        }
        let same = "SELECT count(*) FROM outbox WHERE state = 'delivered' AND receipt = 'm-1'
            AND settled_at / 1000000 % 60 = 6";
        assert_eq!((kept.number(same), kept.number("SELECT count(*) FROM outbox")), (1, 1));
        // A commit that is repeated does not open it again either.
        kept.store.commit(Commit { deliveries: vec![message], ..Commit::default() }.into()).await.unwrap();
        assert!(due_at(&kept, 99).await.now.is_empty());
    }
}
