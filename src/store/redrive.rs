//! What channels have not taken, and how it is tried again because somebody wants it: the order in which a channel is told of
//! an incident stays, and nothing is told that was told.

use std::collections::BTreeMap;
use std::sync::Arc;

use rusqlite::{Connection, OptionalExtension as _, Result, Row, params};

use super::columns::{count, instant, micros, parsed, read, to_instant};
use super::order::as_carried;
use super::outbox;
use crate::domain::incident::{Event, IncidentId};
use crate::domain::names::ChannelName;
use crate::domain::time::Timestamp;
use crate::ports::{Redrive, Redriven, Undelivered, UndeliveredRow, Untaken};

/// What waits, oldest first, then what was given up, latest first.
pub fn undelivered(connection: &Connection, most: usize) -> Result<Undelivered> {
    let most = count(most.try_into().unwrap_or(u64::MAX));
    let mut rows = Vec::new();
    for select in [
        concat!(as_carried!(), "WHERE o.state = 'pending' ORDER BY o.created_at, o.id LIMIT ?1"),
        concat!(as_carried!(), "WHERE o.state = 'dead' ORDER BY o.settled_at DESC, o.id DESC LIMIT ?1"),
    ] {
        let mut select = connection.prepare_cached(select)?;
        for row in select.query_map([most], undelivered_row)? {
            rows.push(row?);
        }
    }
    let mut channels = BTreeMap::new();
    // Each half by an index of its own: what was delivered is most of the table.
    let mut select = connection.prepare_cached(
        "SELECT channel, sum(waiting) AS waiting, sum(refused) AS refused, sum(given_up) AS given_up FROM (
             SELECT channel, count(*) AS waiting, count(error) AS refused, 0 AS given_up
             FROM outbox WHERE state = 'pending' GROUP BY channel
             UNION ALL SELECT channel, 0, 0, count(*) FROM outbox WHERE state = 'dead' GROUP BY channel)
         GROUP BY channel",
    )?;
    let number = |row: &Row<'_>, column| read(column, u64::try_from(row.get::<_, i64>(column)?));
    let of_channel = |row: &Row<'_>| {
        let (waiting, refused) = (number(row, "waiting")?, number(row, "refused")?);
        Ok((parsed(row, "channel")?, Untaken { waiting, refused, given_up: number(row, "given_up")? }))
    };
    for of in select.query_map([], of_channel)? {
        let (channel, untaken) = of?;
        channels.insert(channel, untaken);
    }
    Ok(Undelivered { rows, channels })
}

fn undelivered_row(row: &Row<'_>) -> Result<UndeliveredRow> {
    let (event, fallback): (String, Option<String>) = (row.get("event")?, row.get("fallback")?);
    let event = Event::ALL.into_iter().find(|known| known.as_str() == event).ok_or("not an event");
    let waits = row.get_ref("state")?.as_str()? == "pending";
    let next_attempt_at = if waits { Some(instant(row, "next_attempt_at")?) } else { None };
    Ok(UndeliveredRow {
        id: row.get("id")?,
        channel: parsed(row, "channel")?,
        fallback: read("fallback", fallback.map(|name| ChannelName::parse(&name)).transpose())?,
        incident: IncidentId(Arc::from(row.get::<_, String>("incident")?)),
        event: read("event", event)?,
        created_at: instant(row, "created_at")?,
        attempts: row.get("attempts")?,
        next_attempt_at,
        given_up_at: row.get::<_, Option<i64>>("settled_at")?.and_then(to_instant),
        error: row.get("error")?,
    })
}

/// Makes due now what waits or was given up.
pub fn redrive(connection: &Connection, what: &Redrive, now: Timestamp) -> Result<Redriven> {
    match what {
        Redrive::One(id) => one(connection, id, now),
        Redrive::All => all(connection, now),
    }
}

fn one(connection: &Connection, id: &str, now: Timestamp) -> Result<Redriven> {
    let mut select =
        connection.prepare_cached("SELECT incident, channel, state, transition FROM outbox WHERE id = ?1")?;
    let found = select.query_row([id], |row| {
        Ok((row.get::<_, String>(0)?, row.get::<_, String>(1)?, row.get::<_, String>(2)?, row.get::<_, i64>(3)?))
    });
    let Some((incident, channel, state, transition)) = found.optional()? else { return Ok(Redriven::Unknown) };
    match state.as_str() {
        "dead" if transition < last_delivered(connection, &incident, &channel)? => return Ok(Redriven::Overtaken),
        "dead" if is_handed_over(connection, &incident, &channel)? => return Ok(Redriven::HandedOver),
        "pending" | "dead" => {}
        _ => return Ok(Redriven::Settled),
    }
    Ok(Redriven::Due(together(connection, &incident, &channel, now)?))
}

fn all(connection: &Connection, now: Timestamp) -> Result<Redriven> {
    let mut select = connection
        .prepare_cached("SELECT DISTINCT incident, channel FROM outbox WHERE state IN ('pending', 'dead')")?;
    let pairs = select.query_map([], |row| Ok((row.get::<_, String>(0)?, row.get::<_, String>(1)?)))?;
    let mut rows = 0;
    for pair in pairs.collect::<Result<Vec<_>>>()? {
        if !is_handed_over(connection, &pair.0, &pair.1)? {
            rows += together(connection, &pair.0, &pair.1, now)?;
        }
    }
    Ok(Redriven::Due(rows))
}

/// The number of the last message about an incident that a channel took; zero where it took none.
fn last_delivered(connection: &Connection, incident: &str, channel: &str) -> Result<i64> {
    let mut select = connection.prepare_cached(
        "SELECT coalesce(max(transition), 0) FROM outbox
         WHERE incident = ?1 AND channel = ?2 AND state = 'delivered' AND event <> 'post_mortem'",
    )?;
    select.query_row([incident, channel], |row| row.get(0))
}

/// Whether a fallback took the beginning in the place of a channel. It hears all that follows: were the channel told as well,
/// one of the two would never hear the end.
fn is_handed_over(connection: &Connection, incident: &str, channel: &str) -> Result<bool> {
    let Some(heir) = outbox::heir(connection, incident, channel)? else { return Ok(false) };
    let mut select = connection.prepare_cached(
        "SELECT 1 FROM outbox WHERE incident = ?1 AND channel = ?2 AND state IN ('pending', 'delivered')",
    )?;
    select.exists([incident, heir.as_str()])
}

/// Makes due all that a channel has not taken of an incident, but for what comes before something that it took. Where it took
/// nothing, a beginning that was to be told by the end is told with it again. What was refused is tried whole once more, and
/// what was given up with others by itself: they may have been taken over, or be over.
fn together(connection: &Connection, incident: &str, channel: &str, now: Timestamp) -> Result<u64> {
    let (now, delivered) = (micros(now), last_delivered(connection, incident, channel)?);
    let mut given_up = connection.prepare_cached(
        "UPDATE outbox SET state = 'pending', settled_at = NULL, plain = 0, next_attempt_at = ?3, message = id
         WHERE incident = ?1 AND channel = ?2 AND state = 'dead' AND transition > ?4",
    )?;
    let revived = given_up.execute(params![incident, channel, now, delivered])?;
    let mut ends = connection.prepare_cached(
        "UPDATE outbox SET message = id
         WHERE state = 'pending' AND event = 'resolved' AND message IN (
             SELECT message FROM outbox
             WHERE incident = ?1 AND channel = ?2 AND state = 'pending' AND event = 'resolved')",
    )?;
    if revived > 0 {
        ends.execute([incident, channel])?;
    }
    let mut beginning = connection.prepare_cached(
        "UPDATE outbox SET state = 'pending', settled_at = NULL, next_attempt_at = ?3, message = id
         WHERE incident = ?1 AND channel = ?2 AND state = 'merged' AND event IN ('opened', 'escalated')",
    )?;
    if revived > 0 && delivered == 0 {
        beginning.execute(params![incident, channel, now])?;
    }
    let mut resting = connection.prepare_cached(
        "UPDATE outbox SET next_attempt_at = ?3
         WHERE state = 'pending' AND next_attempt_at > ?3
           AND id IN (SELECT coalesce(message, id) FROM outbox
                      WHERE incident = ?1 AND channel = ?2 AND state = 'pending')",
    )?;
    let hurried = resting.execute(params![incident, channel, now])?;
    Ok((revived + hurried).try_into().unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::incident::{Incident, Severity};
    use crate::ports::{Delivery, Outbox as _, Receipt, Settlement, Store as _};
    use crate::store::testing::{Kept, delivery, incident, kept, opening, resolving, second};

    fn given_up(at: i64) -> Settlement {
        Settlement::Dead { at: second(at), error: "400".to_owned(), fallback: None }
    }

    fn taken(at: i64) -> Settlement {
        Settlement::Delivered { at: second(at), receipt: Receipt::default() }
    }

    /// An incident of which `ops` is told, and nobody in its place.
    async fn open(kept: &Kept, name: &str) -> Incident {
        let one = incident(name, Severity::P1, 0);
        let mut commit = opening(&one, &["ops"], 0);
        commit.deliveries[0].fallback = None;
        kept.store.commit(commit.into()).await.unwrap();
        one
    }

    async fn settle(kept: &Kept, delivery: &Delivery, settlement: Settlement) {
        kept.store.settle(delivery, settlement).await.unwrap();
    }

    async fn redriven(kept: &Kept, id: &str, at: i64) -> Redriven {
        kept.store.redrive(Redrive::One(id.to_owned()), second(at)).await.unwrap()
    }

    async fn due(kept: &Kept, at: i64) -> Vec<(String, Event, bool)> {
        kept.each_by_itself(second(at)).await;
        let due = kept.store.due_deliveries(second(at), 10).await.unwrap();
        let late = |delivery: &Delivery| due.resolves.iter().any(|resolve| resolve.channel == delivery.channel);
        let row = |delivery: &Delivery| (delivery.channel.to_string(), delivery.notification.event, late(delivery));
        due.now.iter().map(row).collect()
    }

    #[tokio::test]
    async fn what_was_given_up_is_tried_again_whole_and_what_rests_at_once() {
        let kept = kept();
        let one = open(&kept, "I1").await;
        let opened = delivery(&one, 1, Event::Opened, "ops", 0);
        let error = "400".to_owned();
        settle(&kept, &opened, Settlement::Again { at: second(900), error, plain: true }).await;
        assert_eq!(due(&kept, 10).await, []);
        assert_eq!(redriven(&kept, &opened.id, 10).await, Redriven::Due(1));
        assert_eq!(due(&kept, 10).await, [("ops".to_owned(), Event::Opened, false)]);
        settle(&kept, &opened, given_up(20)).await;
        let shown = kept.store.undelivered(10).await.unwrap();
        assert_eq!(shown.total(), Untaken { given_up: 1, ..Untaken::default() });
        assert_eq!(shown.rows[0].error.as_deref(), Some("400"));
        assert_eq!((shown.rows[0].given_up_at, shown.rows[0].next_attempt_at), (Some(second(20)), None));
        assert_eq!(redriven(&kept, &opened.id, 30).await, Redriven::Due(1));
        let again = kept.store.due_deliveries(second(30), 10).await.unwrap().now;
        assert!(!again[0].notification.plain, "the receiver may take all of it by now");
        settle(&kept, &opened, taken(31)).await;
        assert_eq!(redriven(&kept, &opened.id, 40).await, Redriven::Settled);
        assert_eq!(redriven(&kept, "nothing", 40).await, Redriven::Unknown);
        assert_eq!(kept.store.undelivered(10).await.unwrap(), Undelivered::default());
    }

    #[tokio::test]
    async fn what_was_given_up_with_others_is_tried_again_by_itself() {
        let kept = kept();
        for name in ["I1", "I2"] {
            let mut commit = opening(&incident(name, Severity::P3, 0), &["ops"], 0);
            (commit.deliveries[0].fallback, commit.deliveries[0].together) = (None, Some("shop".to_owned()));
            kept.store.commit(commit.into()).await.unwrap();
        }
        kept.store.gather(second(20), &BTreeMap::new()).await.unwrap();
        let carrier = kept.store.due_deliveries(second(20), 10).await.unwrap().now;
        assert_eq!(carrier.len(), 1, "one message for both");
        let again = Settlement::Again { at: second(25), error: "503".to_owned(), plain: false };
        settle(&kept, &carrier[0], again).await;
        let shown = kept.store.undelivered(10).await.unwrap();
        let stands = |row: &UndeliveredRow| (row.attempts, row.next_attempt_at, row.error.clone());
        let message = (1, Some(second(25)), Some("503".to_owned()));
        assert_eq!(shown.rows.iter().map(stands).collect::<Vec<_>>(), [message.clone(), message]);
        assert_eq!(shown.channels, [("ops".parse().unwrap(), Untaken { waiting: 2, refused: 1, given_up: 0 })].into());
        settle(&kept, &carrier[0], given_up(30)).await;
        assert_eq!(kept.store.undelivered(10).await.unwrap().total().given_up, 2);
        let other = if carrier[0].id == "I1-1-ops" { "I2-1-ops" } else { "I1-1-ops" };
        assert_eq!(redriven(&kept, other, 40).await, Redriven::Due(1));
        assert_eq!(due(&kept, 40).await, [("ops".to_owned(), Event::Opened, false)]);
        assert_eq!(kept.store.undelivered(10).await.unwrap().total().given_up, 1);
    }

    #[tokio::test]
    async fn what_left_by_itself_says_nothing_of_what_it_was_gathered_with_since() {
        let kept = kept();
        for name in ["I1", "I2"] {
            let mut commit = opening(&incident(name, Severity::P3, 0), &["ops"], 0);
            commit.deliveries[0].together = Some("shop".to_owned());
            kept.store.commit(commit.into()).await.unwrap();
        }
        kept.store.gather(second(20), &BTreeMap::new()).await.unwrap();
        let carrier = kept.store.due_deliveries(second(20), 10).await.unwrap().now.remove(0);
        kept.store.put_together(&carrier, &[]).await.unwrap();
        settle(&kept, &carrier, taken(21)).await;
        assert_eq!(kept.store.undelivered(10).await.unwrap().total().waiting, 1);
        let other = if carrier.id == "I1-1-ops" { "I2" } else { "I1" };
        kept.each_by_itself(second(90)).await;
        let due = kept.store.due_deliveries(second(90), 10).await.unwrap().now;
        assert_eq!(due.iter().map(|row| &*row.notification.incident.id.0).collect::<Vec<_>>(), [other]);
    }

    #[tokio::test]
    async fn an_end_goes_with_its_beginning_and_never_before_it() {
        let kept = kept();
        let one = open(&kept, "I1").await;
        settle(&kept, &delivery(&one, 1, Event::Opened, "ops", 0), given_up(10)).await;
        kept.store.commit(resolving(&one, &["ops"], 20).into()).await.unwrap();
        settle(&kept, &delivery(&one, 2, Event::Resolved, "ops", 20), given_up(30)).await;
        assert_eq!(redriven(&kept, "I1-2-ops", 40).await, Redriven::Due(2));
        assert_eq!(due(&kept, 40).await, [("ops".to_owned(), Event::Opened, true)], "one message says both");
        // The two were one message that was given up: again both are told by one.
        settle(&kept, &delivery(&one, 1, Event::Opened, "ops", 0), Settlement::Merged { at: second(41) }).await;
        settle(&kept, &delivery(&one, 2, Event::Resolved, "ops", 20), given_up(41)).await;
        assert_eq!(kept.store.redrive(Redrive::All, second(50)).await.unwrap(), Redriven::Due(1));
        assert_eq!(due(&kept, 50).await, [("ops".to_owned(), Event::Opened, true)]);
    }

    #[tokio::test]
    async fn what_the_channel_or_its_fallback_has_heard_since_is_not_told_again() {
        let kept = kept();
        let (one, two) = (open(&kept, "I1").await, incident("I2", Severity::P1, 0));
        settle(&kept, &delivery(&one, 1, Event::Opened, "ops", 0), given_up(10)).await;
        kept.store.commit(resolving(&one, &["ops"], 20).into()).await.unwrap();
        settle(&kept, &delivery(&one, 2, Event::Resolved, "ops", 20), taken(30)).await;
        assert_eq!(redriven(&kept, "I1-1-ops", 40).await, Redriven::Overtaken);

        kept.store.commit(opening(&two, &["ops"], 0).into()).await.unwrap();
        let fallback = Some(delivery(&two, 1, Event::Opened, "team", 10));
        let dead = Settlement::Dead { at: second(10), error: "400".to_owned(), fallback };
        settle(&kept, &delivery(&two, 1, Event::Opened, "ops", 0), dead).await;
        assert_eq!(redriven(&kept, "I2-1-ops", 40).await, Redriven::HandedOver);
        settle(&kept, &delivery(&two, 1, Event::Opened, "team", 10), given_up(50)).await;
        assert_eq!(redriven(&kept, "I2-1-ops", 60).await, Redriven::Due(1), "nobody has it");
        assert_eq!(due(&kept, 60).await, [("ops".to_owned(), Event::Opened, false)]);
    }
}
