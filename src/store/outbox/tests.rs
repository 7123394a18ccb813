//! What is due and in which order, and what becomes of it.

use super::*;
use crate::domain::incident::Severity;
use crate::ports::{Commit, Due, Receipt, Settlement, Store as _};
use crate::store::testing::{Kept, channel, delivery as message, incident, kept, opening, resolved, resolving, second};

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
    settle_as(&kept, &first[0], dead(Some(fallback.clone()))).await;
    kept.store.commit(resolving(&one, &["team"], 10).into()).await.unwrap();
    let due = due_at(&kept, 10).await;
    assert_eq!((ids(&due.now), ids(&due.resolves)), (vec!["I1-2-team"], vec![]), "it has heard of the opening");
}

#[tokio::test]
async fn who_took_the_opening_takes_the_resolve() {
    let dead = |of: &Incident| {
        let fallback =
            Delivery { id: format!("{}-F", of.id), fallback: None, ..message(of, 1, Event::Opened, "team", 2) };
        Settlement::Dead { at: second(2), error: "400".to_owned(), fallback: Some(fallback) }
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
    let dead = Settlement::Dead { at: second(2), error: "400".to_owned(), fallback: Some(fallback) };
    settle_as(&kept, &first[0], dead).await;
    settle_as(&kept, &first[1], delivered(3)).await;
    assert_eq!(ids(&due_at(&kept, 10).await.now), ["I1-2-team"]);
    settle_as(&kept, &due_at(&kept, 10).await.now[0], delivered(10)).await;
    assert_eq!(due_at(&kept, 99).await.oldest, None, "nothing waits for ever");
}

fn telling(of: &Incident, transition: u32, event: Event, channels: &[&str], at: i64) -> Commit {
    let deliveries = channels.iter().map(|to| message(of, transition, event, to, at)).collect();
    Commit { incidents: vec![of.clone()].into(), deliveries, ..Commit::default() }
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
    let dead = Settlement::Dead { at: second(2), error: "400".to_owned(), fallback: Some(fallback) };
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
    let dead = Settlement::Dead { at: second(2), error: "400".to_owned(), fallback: Some(fallback) };
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
    let dead = Settlement::Dead { at: second(1), error: "gone".to_owned(), fallback: Some(fallback) };
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
        incidents: vec![one.clone()].into(),
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
        Settlement::Dead { at: second(7), error: "late".to_owned(), fallback: Some(fallback) },
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
