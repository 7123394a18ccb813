//! Attempts, back-off and what becomes of messages.

use super::settlements::UNAUTHORIZED_REST;
use super::*;
use crate::domain::incident::{Event, IncidentId};
use crate::domain::names::{ChannelName, ProbeName};
use crate::engine::testing::{TestClock, at, incident, plan_of};
use crate::ports::{Commit, Loaded, Notification, Notifier, Receipt, StoreError};
use futures::future::BoxFuture;
use std::sync::Mutex;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering::SeqCst;
use tokio::task::JoinSet;

fn delivery(event: Event, attempts: u32) -> Delivery {
    let now = at("2026-11-24T10:00:00Z");
    Delivery {
        id: "d".to_owned(),
        channel: ChannelName::parse("ops").unwrap(),
        fallback: Some(ChannelName::parse("team").unwrap()),
        notification: Arc::new(Notification {
            event,
            incident: incident("I1", "p", now),
            transition: 1,
            at: now,
            site: "s".to_owned(),
            url: None,
            late: false,
            plain: false,
            group: None,
            unrecorded: false,
        }),
        together: None,
        created_at: now,
        attempts,
        next_attempt_at: now,
    }
}

fn transient(retry_after: Option<u64>) -> Result<Receipt, NotifyError> {
    Err(NotifyError::Transient { message: "down".to_owned(), retry_after: retry_after.map(Duration::from_secs) })
}

fn rest(settlement: Settlement, now: Timestamp) -> Duration {
    match settlement {
        Settlement::Again { at, .. } => between(now, at),
        other => panic!("{other:?}"),
    }
}

#[test]
fn back_off_doubles_up_to_its_end_and_heeds_the_receiver() {
    let now = at("2026-11-24T10:00:00Z");
    for (attempts, retry_after, seconds) in
        [(0, None, 1), (3, None, 8), (9, None, 45), (60, None, 45), (0, Some(90), 90), (0, Some(u64::MAX), 3_600)]
    {
        let settlement = next(&delivery(Event::Opened, attempts), None, &transient(retry_after), now, 1.0);
        assert_eq!(rest(settlement, now), Duration::from_secs(seconds));
    }
    let jittered = next(&delivery(Event::Opened, 9), None, &transient(None), now, 0.25);
    assert_eq!(rest(jittered, now), Duration::from_millis(11_250));
}

#[test]
fn what_is_refused_is_sent_once_more_plain_then_to_the_fallback() {
    let now = at("2026-11-24T10:00:00Z");
    let refused = Err(NotifyError::Rejected("400".to_owned()));
    let mut message = delivery(Event::Opened, 0);
    assert!(matches!(next(&message, None, &refused, now, 0.5), Settlement::Again { plain: true, at, .. } if at == now));
    Arc::make_mut(&mut message.notification).plain = true;
    let Settlement::Dead { fallback: Some(fallback), .. } = next(&message, None, &refused, now, 0.5) else { panic!() };
    assert_eq!((fallback.channel.as_str(), fallback.notification.plain, fallback.fallback), ("team", false, None));
}

#[test]
fn who_heard_no_beginning_hears_not_how_it_goes_on() {
    let now = at("2026-11-24T10:00:00Z");
    let refused = Err(NotifyError::Rejected("400".to_owned()));
    for event in [Event::Reminder, Event::Acknowledged, Event::Escalated] {
        let mut message = delivery(event, 0);
        Arc::make_mut(&mut message.notification).plain = true;
        let Settlement::Dead { fallback, .. } = next(&message, None, &refused, now, 0.5) else { panic!() };
        assert_eq!(fallback.is_some(), event == Event::Escalated, "{event:?}");
    }
}

#[test]
fn an_open_incident_is_never_given_up_on_and_a_closed_one_after_a_day() {
    let late = at("2026-12-24T10:00:00Z");
    let unauthorized = Err(NotifyError::Unauthorized("403".to_owned()));
    assert_eq!(rest(next(&delivery(Event::Opened, 900), None, &unauthorized, late, 0.5), late), UNAUTHORIZED_REST);
    assert!(matches!(
        next(&delivery(Event::Resolved, 900), None, &transient(None), late, 0.5),
        Settlement::Dead { .. }
    ));
    let resolve = delivery(Event::Resolved, 0);
    let merged = next(&delivery(Event::Opened, 900), Some(&resolve), &transient(None), late, 0.5);
    let Settlement::Dead { fallback: Some(fallback), .. } = merged else { panic!() };
    assert_eq!(fallback.notification.event, Event::Opened, "the end goes with it");
}

/// A channel that does as it is told: hangs, panics, or takes everything.
enum Channel {
    Hangs,
    Panics,
    Takes,
    Counts(Arc<AtomicUsize>),
}

impl Notifier for Channel {
    fn notify<'a>(&'a self, _: &'a Notification) -> BoxFuture<'a, Result<Receipt, NotifyError>> {
        Box::pin(async move {
            match self {
                Self::Hangs => std::future::pending().await,
                Self::Panics => panic!("a bug"),
                Self::Takes => Ok(Receipt::default()),
                Self::Counts(sent) => {
                    sent.fetch_add(1, SeqCst);
                    Ok(Receipt::default())
                }
            }
        })
    }
}

/// An outbox in memory, whose settlements can be made to fail.
#[derive(Default)]
struct Outbox {
    pending: Mutex<Vec<Delivery>>,
    settled: Mutex<Vec<(String, &'static str)>>,
    failures: AtomicUsize,
}

impl Store for Outbox {
    fn commit(&self, _: Arc<Commit>) -> BoxFuture<'_, Result<(), StoreError>> {
        Box::pin(std::future::ready(Ok(())))
    }
    fn load(&self) -> BoxFuture<'_, Result<Loaded, StoreError>> {
        Box::pin(std::future::ready(Ok(Loaded::default())))
    }
    fn due_deliveries(&self, now: Timestamp, per_channel: usize) -> BoxFuture<'_, Result<Due, StoreError>> {
        let mut found: Vec<Delivery> = Vec::new();
        for delivery in self.pending.lock().unwrap().iter().filter(|delivery| delivery.next_attempt_at <= now) {
            if found.iter().filter(|other| other.channel == delivery.channel).count() < per_channel {
                found.push(delivery.clone());
            }
        }
        Box::pin(std::future::ready(Ok(Due { now: found, ..Due::default() })))
    }
    fn gather<'a>(
        &'a self,
        _: Timestamp,
        _: &'a std::collections::BTreeMap<ChannelName, crate::domain::grouping::Rules>,
    ) -> BoxFuture<'a, Result<(), StoreError>> {
        Box::pin(std::future::ready(Ok(())))
    }
    fn group<'a>(
        &'a self,
        _: &'a Delivery,
    ) -> BoxFuture<'a, Result<Option<crate::domain::grouping::Group>, StoreError>> {
        Box::pin(std::future::ready(Ok(None)))
    }
    fn settle<'a>(&'a self, of: &'a Delivery, with: Settlement) -> BoxFuture<'a, Result<(), StoreError>> {
        let fails = self.failures.fetch_update(SeqCst, SeqCst, |left| left.checked_sub(1)).is_ok();
        let word = match with {
            _ if fails => return Box::pin(std::future::ready(Err(StoreError::Failed("disk full".to_owned())))),
            Settlement::Delivered { .. } => "delivered",
            Settlement::Again { at, .. } => {
                let mut pending = self.pending.lock().unwrap();
                pending.iter_mut().filter(|row| row.id == of.id).for_each(|row| row.next_attempt_at = at);
                "again"
            }
            Settlement::Dead { .. } => "dead",
            Settlement::Merged { .. } => "merged",
        };
        if word != "again" {
            self.pending.lock().unwrap().retain(|row| row.id != of.id);
        }
        self.settled.lock().unwrap().push((of.id.clone(), word));
        Box::pin(std::future::ready(Ok(())))
    }
    fn retry_deliveries(&self, _: Timestamp) -> BoxFuture<'_, Result<(), StoreError>> {
        Box::pin(std::future::ready(Ok(())))
    }
    fn journal(&self, _: crate::domain::debt::Debt) -> BoxFuture<'_, Result<(), StoreError>> {
        Box::pin(std::future::ready(Ok(())))
    }
    fn acquit<'a>(&'a self, _: &'a crate::domain::outcome::RunId) -> BoxFuture<'a, Result<(), StoreError>> {
        Box::pin(std::future::ready(Ok(())))
    }
    fn purge(&self, _: Timestamp) -> BoxFuture<'_, Result<u64, StoreError>> {
        Box::pin(std::future::ready(Ok(0)))
    }
}

/// Delivers for a minute, and says what came of it.
async fn deliver(outbox: Outbox, channels: Vec<(&str, Channel)>) -> Vec<(String, &'static str)> {
    let clock = TestClock::starting("2026-11-24T10:00:00Z");
    let mut plan = plan_of(Vec::new());
    let named = channels
        .into_iter()
        .map(|(name, channel)| (ChannelName::parse(name).unwrap(), Arc::new(channel) as Arc<dyn Notifier>));
    plan.channels = named.collect();
    let (outbox, (_plan, plan)) = (Arc::new(outbox), watch::channel(Arc::new(plan)));
    let stop = CancellationToken::new();
    let deliverer = Deliverer {
        clock: clock.clone(),
        store: outbox.clone(),
        plan,
        fanout: Fanout::default(),
        wake: Arc::default(),
        unrecorded: Arc::default(),
        stop: stop.clone(),
        vitals: Arc::new(Vitals::new(clock.clone())),
    };
    let mut task = JoinSet::new();
    task.spawn(deliverer.run());
    clock.sleep_until(clock.monotonic() + Duration::from_secs(60)).await;
    stop.cancel();
    task.join_next().await.unwrap().unwrap();
    let settled = outbox.settled.lock().unwrap();
    settled.clone()
}

fn to(channel: &str, id: &str) -> Delivery {
    let channel = ChannelName::parse(channel).unwrap();
    Delivery { id: id.to_owned(), channel, ..delivery(Event::Opened, 0) }
}

#[tokio::test(start_paused = true)]
async fn a_channel_that_hangs_holds_up_no_other() {
    let hanging = (0..100).map(|n| to("hangs", &format!("h{n:03}")));
    let others = (0..40).map(|n| to("takes", &format!("t{n:03}")));
    let outbox = Outbox { pending: Mutex::new(hanging.chain(others).collect()), ..Outbox::default() };
    let settled = deliver(outbox, vec![("hangs", Channel::Hangs), ("takes", Channel::Takes)]).await;
    // The first hanging attempts end after fifteen seconds; by then the other channel has everything.
    let first: Vec<_> = settled.iter().take(40).map(|(id, word)| (&id[..1], *word)).collect();
    assert_eq!(first, [("t", "delivered"); 40]);
}

#[tokio::test(start_paused = true)]
async fn a_notifier_that_panics_costs_its_own_message_an_attempt() {
    let outbox = Outbox { pending: Mutex::new(vec![to("panics", "p"), to("takes", "t")]), ..Outbox::default() };
    let settled = deliver(outbox, vec![("panics", Channel::Panics), ("takes", Channel::Takes)]).await;
    assert_eq!(settled.iter().filter(|(id, _)| id == "t").count(), 1, "{settled:?}");
    let again = settled.iter().filter(|(id, word)| id == "p" && *word == "again").count();
    assert!((3..40).contains(&again), "with back-off: {settled:?}");
}

#[tokio::test(start_paused = true)]
async fn a_success_that_cannot_be_recorded_is_not_sent_again() {
    let outbox =
        Outbox { pending: Mutex::new(vec![to("takes", "t")]), failures: AtomicUsize::new(20), ..Outbox::default() };
    let sent = Arc::new(AtomicUsize::new(0));
    let settled = deliver(outbox, vec![("takes", Channel::Counts(Arc::clone(&sent)))]).await;
    assert_eq!((sent.load(SeqCst), settled), (1, vec![("t".to_owned(), "delivered")]));
}

/// Puts down of how many incidents each message told, and whether it was a drill.
#[derive(Default)]
struct Tells(Mutex<Vec<(u64, bool)>>);

impl Notifier for Tells {
    fn notify<'a>(&'a self, told: &'a Notification) -> BoxFuture<'a, Result<Receipt, NotifyError>> {
        let size = told.group.as_ref().map_or(1, |group| group.size);
        self.0.lock().unwrap().push((size, told.incident.drill));
        Box::pin(std::future::ready(Ok(Receipt::default())))
    }
}

#[tokio::test(start_paused = true)]
async fn a_drill_leaves_memory_by_itself_and_counts_for_nothing() {
    let clock = TestClock::starting("2026-11-24T10:00:00Z");
    let (channel, unrecorded) = (Arc::new(Tells::default()), Arc::<Unrecorded>::default());
    let mut plan = plan_of(Vec::new());
    plan.channels = [(ChannelName::parse("ops").unwrap(), Arc::clone(&channel) as Arc<dyn Notifier>)].into();
    let of = |id: &str, drill: bool| {
        let mut delivery = to("ops", id);
        let incident = &mut Arc::make_mut(&mut delivery.notification).incident;
        incident.id = IncidentId(Arc::from(id));
        incident.probe = ProbeName::parse(&id.to_lowercase()).unwrap();
        incident.drill = drill;
        (delivery.created_at, delivery.next_attempt_at) = (clock.now(), clock.now());
        delivery
    };
    // As many as begin a storm with the drills, and not without them.
    let real = (1..=5).map(|n| of(&format!("I{n}"), false));
    let all: Vec<_> = (1..=3).map(|n| of(&format!("D{n}"), true)).chain(real).collect();
    unrecorded.hold(&all);
    let stop = CancellationToken::new();
    let (_plan, plan) = watch::channel(Arc::new(plan));
    let deliverer = Deliverer {
        clock: clock.clone(),
        store: Arc::new(Outbox::default()),
        plan,
        fanout: Fanout::default(),
        wake: Arc::default(),
        unrecorded,
        stop: stop.clone(),
        vitals: Arc::new(Vitals::new(clock.clone())),
    };
    let mut task = JoinSet::new();
    task.spawn(deliverer.run());
    clock.sleep_until(clock.monotonic() + Duration::from_secs(60)).await;
    stop.cancel();
    task.join_next().await.unwrap().unwrap();
    let mut told = channel.0.lock().unwrap().clone();
    told.sort_unstable();
    assert_eq!(told, [[(1, false); 5].as_slice(), &[(1, true); 3]].concat());
}

#[tokio::test(start_paused = true)]
async fn what_was_committed_last_is_told_before_the_end() {
    let clock = TestClock::starting("2026-11-24T10:00:00Z");
    let (outbox, stop) = (Arc::new(Outbox::default()), CancellationToken::new());
    let mut plan = plan_of(Vec::new());
    plan.channels = [(ChannelName::parse("ops").unwrap(), Arc::new(Channel::Takes) as Arc<dyn Notifier>)].into();
    let (_plan, plan) = watch::channel(Arc::new(plan));
    let wake = Arc::<Notify>::default();
    let deliverer = Deliverer {
        clock: clock.clone(),
        store: Arc::clone(&outbox) as _,
        plan,
        fanout: Fanout::default(),
        wake: Arc::clone(&wake),
        unrecorded: Arc::default(),
        stop: stop.clone(),
        vitals: Arc::new(Vitals::new(clock.clone())),
    };
    let mut task = JoinSet::new();
    task.spawn(deliverer.run());
    clock.sleep_until(clock.monotonic() + Duration::from_secs(1)).await;
    outbox.pending.lock().unwrap().push(to("ops", "last"));
    wake.notify_one();
    stop.cancel();
    task.join_next().await.unwrap().unwrap();
    assert_eq!(*outbox.settled.lock().unwrap(), [("last".to_owned(), "delivered")]);
}
