//! Takes messages from the outbox to their channels. It has no input: it asks the store what is due, so that a restart
//! needs no code of its own. Serial for each channel and incident, at least once, for as long as it takes.

use std::collections::{HashMap, VecDeque};
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt as _;
use futures::future::BoxFuture;
use tokio::sync::{Notify, watch};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::fanout::Fanout;
use super::plan::Plan;
use super::runner::{new_id, said};
use super::unrecorded::{Unrecorded, patiently};
use super::vitals::{Part, Vitals};
use crate::domain::grouping::Keeping;
use crate::domain::incident::Event;
use crate::domain::metric::{MetricName, Sample, SampleLabels};
use crate::domain::names::ChannelName;
use crate::domain::time::{Monotonic, Timestamp, between, clock, later};
use crate::ports::{Clock, Delivery, Due, Notification, Notifier, NotifyError, REST_MAX, Receipt, Settlement, Store};

/// How many attempts go on at once for one channel: one that hangs takes no place from the others.
const ATTEMPTS_MAX: usize = 8;

/// How long one attempt may take, whatever the notifier thinks of it.
pub const ATTEMPT_MAX: Duration = Duration::from_secs(15);

/// The back-off grows from here, doubling, with full jitter …
const BACK_OFF_MIN: Duration = Duration::from_secs(1);

/// … to here, so that together with an attempt that still hangs the outbox is empty within a minute after a receiver is well
/// again.
const BACK_OFF_MAX: Duration = Duration::from_secs(45);

/// How long a channel rests that says that we may not, or that it is gone: it needs a person.
const UNAUTHORIZED_REST: Duration = Duration::from_secs(300);

/// When an incident has been over for this long its messages are given up on.
const GIVE_UP_AFTER: Duration = Duration::from_secs(86_400);

/// The outbox is looked at least this often, should a wake be missed, and because who looks after us wants to see it turn.
const LOOK: Duration = Duration::from_secs(5);

/// What waits for others is gathered this often at most: in a storm something is ripe at every look.
const GATHER: Duration = Duration::from_millis(200);

/// The deliverer.
pub struct Deliverer {
    /// The clocks.
    pub clock: Arc<dyn Clock>,
    /// The outbox.
    pub store: Arc<dyn Store>,
    /// The channels.
    pub plan: watch::Receiver<Arc<Plan>>,
    /// Metrics of its own.
    pub fanout: Fanout,
    /// Something was committed, or leaves without that.
    pub wake: Arc<Notify>,
    /// The messages that the store does not take.
    pub unrecorded: Arc<Unrecorded>,
    /// Told to stop: what is being sent is finished or tried again by the next process.
    pub stop: CancellationToken,
    /// Is told of every turn.
    pub vitals: Arc<Vitals>,
}

struct Attempt {
    delivery: Delivery,
    /// The resolve that was told too, or that is to be told next.
    resolve: Option<Delivery>,
    /// The resolve is to be told next.
    in_turn: bool,
    result: Result<Receipt, NotifyError>,
}

/// What is under way.
#[derive(Default)]
struct Work {
    attempts: JoinSet<Attempt>,
    /// Deliveries that are not to be tried now, with their channel.
    busy: HashMap<String, ChannelName>,
    /// What came of attempts and could not be recorded: it is kept, since to try again would be to send again.
    unrecorded: VecDeque<(Delivery, Settlement)>,
    /// The store is left alone until then.
    rest_until: Option<Monotonic>,
    /// Nothing is gathered until then.
    gather_at: Option<Monotonic>,
}

impl Work {
    fn has_room(&self, delivery: &Delivery) -> bool {
        let of_channel = self.busy.values().filter(|channel| **channel == delivery.channel).count();
        !self.busy.contains_key(&delivery.id) && of_channel < ATTEMPTS_MAX
    }

    /// Whether something came of a message that only has to be recorded.
    fn is_settled(&self, id: &str) -> bool {
        self.unrecorded.iter().any(|(delivery, settlement)| delivery.id == id && is_final(settlement))
    }
}

impl Deliverer {
    /// Goes on until it is told to stop.
    pub async fn run(mut self) {
        let mut work = Work::default();
        self.retry_all().await;
        loop {
            self.vitals.turned(Part::Deliverer);
            self.record(&mut work).await;
            let now = self.clock.now();
            let due = patiently(&self.clock, self.store.due_deliveries(now, ATTEMPTS_MAX));
            let mut due = match self.vitals.waiting(Part::Deliverer, due).await {
                Ok(due) => {
                    if work.rest_until.is_none() {
                        self.vitals.turned(Part::Outbox);
                    }
                    due
                }
                Err(error) => {
                    tracing::error!("the outbox cannot be read: {error}");
                    Due::default()
                }
            };
            self.tell_age(due.oldest, now);
            let overtaken = std::mem::take(&mut due.overtaken);
            let overtaken: Vec<_> = overtaken.into_iter().filter(|delivery| work.has_room(delivery)).collect();
            if !overtaken.is_empty() {
                for delivery in overtaken {
                    work.busy.insert(delivery.id.clone(), delivery.channel.clone());
                    work.unrecorded.push_back((delivery, Settlement::Merged { at: now }));
                }
                continue;
            }
            // What leaves from memory leaves by itself, so nothing is put together with it meanwhile.
            if due.ripe && self.unrecorded.is_empty() && self.gather(&mut work, now).await {
                continue;
            }
            for delivery in &due.now {
                if work.has_room(delivery) && !self.unrecorded.holds(&delivery.id) {
                    self.begin(&due, delivery, &mut work).await;
                }
            }
            self.tell_unrecorded(&mut work, now).await;
            let look = if self.unrecorded.is_empty() { LOOK } else { BACK_OFF_MIN };
            let wake_at = self.clock.monotonic() + due.next_at.map_or(look, |at| between(now, at).min(look));
            let gather_at = work.gather_at.filter(|_| due.ripe);
            let wake_at = work.rest_until.into_iter().chain(gather_at).fold(wake_at, Monotonic::min);
            tokio::select! {
                biased;
                () = self.stop.cancelled() => break,
                Some(ended) = work.attempts.join_next(), if !work.attempts.is_empty() => self.settle(ended, &mut work),
                Ok(()) = self.plan.changed() => self.retry_all().await,
                () = self.wake.notified() => {}
                () = self.clock.sleep_until(wake_at) => {}
            }
        }
        // What is under way is nearly there: a second keeps most of it from being sent twice by the next process.
        let until = self.clock.monotonic() + Duration::from_secs(1);
        while !work.attempts.is_empty() {
            tokio::select! {
                Some(ended) = work.attempts.join_next() => self.settle(ended, &mut work),
                () = self.clock.sleep_until(until) => break,
            }
        }
        work.rest_until = None;
        self.record(&mut work).await;
        if !work.unrecorded.is_empty() {
            tracing::error!(messages = work.busy.len(), "the next process will send again what could not be recorded");
        }
    }

    /// Lets go what has waited for others, unless that was done a moment ago; says whether it was done.
    async fn gather(&self, work: &mut Work, now: Timestamp) -> bool {
        let at = self.clock.monotonic();
        if work.gather_at.is_some_and(|gather_at| at < gather_at) {
            return false;
        }
        work.gather_at = Some(at + GATHER);
        let plan = Arc::clone(&self.plan.borrow());
        let rules = plan.channels.keys().map(|channel| (channel.clone(), plan.rules(channel))).collect();
        let gathered = patiently(&self.clock, self.store.gather(now, &rules));
        if let Err(error) = self.vitals.waiting(Part::Deliverer, gathered).await {
            tracing::error!("messages go on waiting for others: {error}");
            work.gather_at = Some(at + BACK_OFF_MIN);
            return false;
        }
        true
    }

    /// Begins an attempt at what is due. What it tells of others is looked up now, since it may be much.
    async fn begin(&self, due: &Due, delivery: &Delivery, work: &mut Work) {
        let is_its_end = |resolve: &&Delivery| {
            resolve.channel == delivery.channel && resolve.notification.incident.id == delivery.notification.incident.id
        };
        let (mut delivery, mut resolve) = (delivery.clone(), due.resolves.iter().find(is_its_end).cloned());
        // Where the end is told next, it is the beginning that is told now.
        let notifier = self.plan.borrow().channels.get(&delivery.channel).cloned();
        let in_turn = notifier.as_deref().is_some_and(keeps_alerts);
        let told = resolve.as_mut().filter(|_| !in_turn).unwrap_or(&mut delivery);
        if due.grouped.contains(&told.id) {
            let group = patiently(&self.clock, self.store.group(told));
            match self.vitals.waiting(Part::Deliverer, group).await {
                Ok(group) => told.notification.group = group,
                Err(error) => return tracing::error!("what a message tells cannot be read: {error}"),
            }
        }
        work.busy.insert(delivery.id.clone(), delivery.channel.clone());
        let first = due.firsts.get(&delivery.id).cloned();
        self.attempt(&mut work.attempts, notifier, delivery, resolve, first);
    }

    /// A start or a reload may have mended what the messages wait for.
    async fn retry_all(&self) {
        let retried = patiently(&self.clock, self.store.retry_deliveries(self.clock.now()));
        if let Err(error) = self.vitals.waiting(Part::Deliverer, retried).await {
            tracing::warn!("messages that rest go on resting: {error}");
        }
    }

    /// What the store does not take leaves from memory, unless the store has something that is to be told before it. Where it
    /// cannot even be read, what began there waits for it.
    async fn tell_unrecorded(&self, work: &mut Work, now: Timestamp) {
        let mut is_readable = true;
        for (mut delivery, mut resolve) in self.unrecorded.due(now, |id| work.is_settled(id)) {
            if !work.has_room(&delivery) {
                continue;
            }
            let before = if is_readable {
                let before = patiently(&self.clock, self.store.stands_before(&delivery));
                self.vitals.waiting(Part::Deliverer, before).await.ok()
            } else {
                None
            };
            is_readable = before.is_some();
            let goes = before.map_or_else(
                || delivery.notification.event == Event::Opened || self.unrecorded.holds_beginning_of(&delivery),
                |before| before.iter().all(|id| work.is_settled(id)),
            );
            if goes {
                delivery.notification.unrecorded = true;
                if let Some(resolve) = &mut resolve {
                    resolve.notification.unrecorded = true;
                }
                work.busy.insert(delivery.id.clone(), delivery.channel.clone());
                let notifier = self.plan.borrow().channels.get(&delivery.channel).cloned();
                self.attempt(&mut work.attempts, notifier, delivery, resolve, None);
            }
        }
    }

    fn attempt(
        &self,
        attempts: &mut JoinSet<Attempt>,
        notifier: Option<Arc<dyn Notifier>>,
        delivery: Delivery,
        resolve: Option<Delivery>,
        first: Option<Receipt>,
    ) {
        let clock = Arc::clone(&self.clock);
        attempts.spawn(async move {
            let Notification { plain, unrecorded, .. } = delivery.notification;
            // An incident that opened and closed while its channel was down is told by one message, unless a repetition of
            // that would open it again.
            let in_turn = notifier.as_deref().is_some_and(keeps_alerts);
            let told = resolve.as_ref().map_or_else(
                || delivery.notification.clone(),
                |resolve| {
                    let Notification { event, transition, group, .. } =
                        if in_turn { &delivery.notification } else { &resolve.notification };
                    let (event, transition, group) = (*event, *transition, group.clone());
                    let late = true;
                    Notification { event, transition, late, plain, group, unrecorded, ..resolve.notification.clone() }
                },
            );
            let again = |message: &str| NotifyError::Transient { message: message.to_owned(), retry_after: None };
            let result = match notifier {
                None => {
                    Err(NotifyError::Rejected(format!("the channel {} is not configured any more", delivery.channel)))
                }
                Some(notifier) => tokio::select! {
                    result = AssertUnwindSafe(sent(&*notifier, &told, first.as_ref())).catch_unwind() => result.unwrap_or_else(|panic| {
                        tracing::error!(channel = %delivery.channel, "a notifier panicked: {}", said(&*panic));
                        Err(again("a bug of Roundsman ended the attempt"))
                    }),
                    () = clock.sleep_until(clock.monotonic() + ATTEMPT_MAX) => Err(again("no answer in time")),
                },
            };
            Attempt { delivery, resolve, in_turn, result }
        });
    }

    fn settle(&self, ended: Result<Attempt, tokio::task::JoinError>, work: &mut Work) {
        let Attempt { delivery, resolve, in_turn, result } = match ended {
            Ok(attempt) => attempt,
            // What a notifier does is caught, so this is an end from outside; the next process tries again.
            Err(error) => return tracing::error!("an attempt at a delivery ended without a result: {error}"),
        };
        let now = self.clock.now();
        let outcome = match &result {
            Ok(_) => "delivered",
            Err(NotifyError::Transient { .. }) => "failed",
            Err(NotifyError::Rejected(_)) => "rejected",
            Err(NotifyError::Unauthorized(_)) => "unauthorized",
        };
        self.count(&delivery, outcome, now);
        let settlement = next(&delivery, resolve.as_ref(), &result, now, rand::random());
        log(&delivery, &settlement);
        match (settlement, resolve.filter(|_| !in_turn)) {
            // In this order a crash between the two repeats the resolve; in the other it would send the opening after
            // the end.
            (settlement @ Settlement::Delivered { .. }, Some(resolve)) => {
                work.busy.insert(resolve.id.clone(), resolve.channel.clone());
                work.unrecorded.push_back((delivery, Settlement::Merged { at: now }));
                work.unrecorded.push_back((resolve, settlement));
            }
            // Nothing is put down of a row that is not there yet.
            (Settlement::Again { at, plain, .. }, _) if self.unrecorded.holds(&delivery.id) => {
                self.unrecorded.again(&delivery.id, at, plain);
                work.busy.remove(&delivery.id);
            }
            (settlement, _) => work.unrecorded.push_back((delivery, settlement)),
        }
    }

    /// Records what came of attempts, once the store has their messages. A store that fails is asked again a second later;
    /// until then nothing of it is sent again.
    async fn record(&self, work: &mut Work) {
        if work.rest_until.is_some_and(|until| self.clock.monotonic() < until) {
            return;
        }
        while let Some(index) = work.unrecorded.iter().position(|(delivery, _)| !self.unrecorded.holds(&delivery.id)) {
            let (delivery, settlement) = &work.unrecorded[index];
            let settled = patiently(&self.clock, self.store.settle(delivery, settlement.clone()));
            if let Err(error) = self.vitals.waiting(Part::Deliverer, settled).await {
                if work.rest_until.is_none() {
                    tracing::error!(channel = %delivery.channel, "what became of a message cannot be recorded: {error}");
                }
                work.rest_until = Some(self.clock.monotonic() + BACK_OFF_MIN);
                return;
            }
            if let Some((delivery, _)) = work.unrecorded.remove(index) {
                work.busy.remove(&delivery.id);
            }
        }
        work.rest_until = None;
    }

    fn count(&self, delivery: &Delivery, outcome: &'static str, at: Timestamp) {
        let labels = SampleLabels {
            channel: Some(delivery.channel.clone()),
            also: Some(("outcome", outcome)),
            ..SampleLabels::default()
        };
        self.fanout.send([Sample { name: MetricName::Deliveries, at, value: 1.0, labels }]);
    }

    fn tell_age(&self, oldest: Option<Timestamp>, now: Timestamp) {
        let age = oldest.map_or(Duration::ZERO, |oldest| between(oldest, now));
        let value = age.as_secs_f64();
        self.fanout.send([Sample { name: MetricName::OutboxOldest, at: now, value, labels: SampleLabels::default() }]);
    }
}

/// Whether the receiver keeps an alert of its own for what it is told, which word of its beginning opens anew once it has
/// ended. It is told the beginning and the end of what is over one after the other, each settled by itself; any other takes
/// one message for both.
fn keeps_alerts(notifier: &dyn Notifier) -> bool {
    notifier.keeping() == Keeping::Alerts
}

/// Whether a message is done with: another attempt is none, and what a fallback takes over is told there first.
fn is_final(settlement: &Settlement) -> bool {
    !matches!(settlement, Settlement::Again { .. } | Settlement::Dead { fallback: Some(_), .. })
}

fn sent<'a>(
    notifier: &'a dyn Notifier,
    told: &'a Notification,
    first: Option<&'a Receipt>,
) -> BoxFuture<'a, Result<Receipt, NotifyError>> {
    match first {
        Some(first) => notifier.follow(told, first),
        None => notifier.notify(told),
    }
}

/// What becomes of a delivery after an attempt. `chance` is uniform in [0, 1).
fn next(
    delivery: &Delivery,
    resolve: Option<&Delivery>,
    result: &Result<Receipt, NotifyError>,
    now: Timestamp,
    chance: f64,
) -> Settlement {
    let error = match result {
        Ok(receipt) => return Settlement::Delivered { at: now, receipt: receipt.clone() },
        Err(error) => error,
    };
    let over_since = match delivery.notification.event {
        Event::Resolved | Event::PostMortem => Some(delivery.created_at),
        Event::Opened | Event::Escalated => resolve.map(|resolve| resolve.created_at),
        // One that its incident has outlived is not sent any more.
        Event::Reminder | Event::Acknowledged => None,
    };
    let too_late = over_since.is_some_and(|since| between(since, now) >= GIVE_UP_AFTER);
    let plain = delivery.notification.plain;
    let again = |rest: Duration, plain| Settlement::Again { at: later(now, rest), error: error.to_string(), plain };
    match error {
        _ if too_late => dead(delivery, error, now),
        NotifyError::Rejected(_) if !plain => again(Duration::ZERO, true),
        NotifyError::Rejected(_) => dead(delivery, error, now),
        NotifyError::Unauthorized(_) => again(UNAUTHORIZED_REST, plain),
        NotifyError::Transient { retry_after, .. } => {
            let ceiling = BACK_OFF_MIN.saturating_mul(1 << delivery.attempts.min(16)).min(BACK_OFF_MAX);
            again(ceiling.mul_f64(chance).max(retry_after.unwrap_or_default()).min(REST_MAX), plain)
        }
    }
}

/// What is given up on goes to the fallback, and what waits behind a beginning goes with it.
fn dead(delivery: &Delivery, error: &NotifyError, now: Timestamp) -> Settlement {
    // Of what goes on a channel hears that has heard of the beginning, and is to hear of the end.
    let is_handed_over =
        !matches!(delivery.notification.event, Event::Reminder | Event::Acknowledged | Event::PostMortem);
    let fallback = delivery.fallback.clone().filter(|_| is_handed_over).map(|channel| {
        Box::new(Delivery {
            id: new_id(now),
            channel,
            fallback: None,
            notification: Notification {
                plain: false,
                group: None,
                unrecorded: false,
                ..delivery.notification.clone()
            },
            together: None,
            created_at: now,
            attempts: 0,
            next_attempt_at: now,
        })
    });
    Settlement::Dead { at: now, error: error.to_string(), fallback }
}

fn log(delivery: &Delivery, settlement: &Settlement) {
    let (channel, incident) = (&delivery.channel, &delivery.notification.incident.id);
    let event = delivery.notification.event.as_str();
    match settlement {
        Settlement::Delivered { .. } | Settlement::Merged { .. } => {
            tracing::info!(%channel, %incident, event, attempts = delivery.attempts + 1, "delivered");
        }
        Settlement::Again { error, at, .. } => {
            tracing::warn!(%channel, %incident, event, attempts = delivery.attempts + 1, again_at = clock(*at), "not delivered: {error}");
        }
        Settlement::Dead { error, fallback, .. } => {
            let fallback = fallback.as_ref().map(|delivery| delivery.channel.to_string());
            tracing::error!(%channel, %incident, event, fallback, "given up: {error}");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::testing::{TestClock, at, incident, plan_of};
    use crate::ports::{Commit, Loaded, StoreError};
    use std::sync::Mutex;
    use std::sync::atomic::AtomicUsize;
    use std::sync::atomic::Ordering::SeqCst;

    fn delivery(event: Event, attempts: u32) -> Delivery {
        let now = at("2026-11-24T10:00:00Z");
        Delivery {
            id: "d".to_owned(),
            channel: ChannelName::parse("ops").unwrap(),
            fallback: Some(ChannelName::parse("team").unwrap()),
            notification: Notification {
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
            },
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
        assert!(
            matches!(next(&message, None, &refused, now, 0.5), Settlement::Again { plain: true, at, .. } if at == now)
        );
        message.notification.plain = true;
        let Settlement::Dead { fallback: Some(fallback), .. } = next(&message, None, &refused, now, 0.5) else {
            panic!()
        };
        assert_eq!((fallback.channel.as_str(), fallback.notification.plain, fallback.fallback), ("team", false, None));
    }

    #[test]
    fn who_heard_no_beginning_hears_not_how_it_goes_on() {
        let now = at("2026-11-24T10:00:00Z");
        let refused = Err(NotifyError::Rejected("400".to_owned()));
        for event in [Event::Reminder, Event::Acknowledged, Event::Escalated] {
            let mut message = delivery(event, 0);
            message.notification.plain = true;
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
}
