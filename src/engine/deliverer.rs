//! Takes messages from the outbox to their channels. It has no input: it asks the store what is due, so that a restart
//! needs no code of its own. Serial for each channel and incident, at least once, for as long as it takes.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Notify, watch};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::fanout::Fanout;
use super::plan::Plan;
use super::runner::new_id;
use crate::domain::incident::Event;
use crate::domain::metric::{MetricName, Sample, SampleLabels};
use crate::domain::time::{Timestamp, between, later};
use crate::ports::{Clock, Delivery, Due, Notification, NotifyError, Receipt, Settlement, Store};

/// How many attempts go on at once.
const ATTEMPTS_MAX: usize = 32;

/// How long one attempt may take, whatever the notifier thinks of it.
const ATTEMPT_MAX: Duration = Duration::from_secs(15);

/// The back-off grows from here, doubling, with full jitter …
const BACK_OFF_MIN: Duration = Duration::from_secs(1);

/// … to here, so that the outbox is empty within this long after a receiver is well again.
const BACK_OFF_MAX: Duration = Duration::from_secs(60);

/// How long a channel rests that says that we may not, or that it is gone: it needs a person.
const UNAUTHORIZED_REST: Duration = Duration::from_secs(300);

/// When an incident has been over for this long its messages are given up on.
const GIVE_UP_AFTER: Duration = Duration::from_secs(86_400);

/// The outbox is looked at least this often, should a wake be missed.
const LOOK: Duration = Duration::from_secs(10);

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
    /// Something was committed.
    pub wake: Arc<Notify>,
    /// Told to stop: what is being sent is finished or tried again by the next process.
    pub stop: CancellationToken,
}

struct Attempt {
    delivery: Delivery,
    resolve: Option<Delivery>,
    result: Result<Receipt, NotifyError>,
}

impl Deliverer {
    /// Goes on until it is told to stop.
    pub async fn run(self) {
        let mut attempts: JoinSet<Attempt> = JoinSet::new();
        let mut busy: HashSet<String> = HashSet::new();
        loop {
            let now = self.clock.now();
            let due = match self.store.due_deliveries(now, ATTEMPTS_MAX * 2).await {
                Ok(due) => due,
                Err(error) => {
                    tracing::error!("the outbox cannot be read: {error}");
                    Due::default()
                }
            };
            self.tell_age(due.oldest, now);
            let next_at = due.next_at;
            for delivery in due.now {
                if attempts.len() >= ATTEMPTS_MAX || busy.contains(&delivery.id) {
                    continue;
                }
                let of = &delivery.notification.incident.id;
                let resolve = due
                    .resolves
                    .iter()
                    .find(|resolve| resolve.channel == delivery.channel && resolve.notification.incident.id == *of);
                let resolve = resolve.cloned();
                busy.insert(delivery.id.clone());
                self.attempt(&mut attempts, delivery, resolve);
            }
            let wake_at = self.clock.monotonic() + next_at.map_or(LOOK, |at| between(now, at).min(LOOK));
            tokio::select! {
                biased;
                () = self.stop.cancelled() => break,
                Some(ended) = attempts.join_next(), if !attempts.is_empty() => self.settle(ended, &mut busy).await,
                () = self.wake.notified() => {}
                () = self.clock.sleep_until(wake_at) => {}
            }
        }
        // What is under way is nearly there: a second keeps most of it from being sent twice by the next process.
        let until = self.clock.monotonic() + Duration::from_secs(1);
        while !attempts.is_empty() {
            tokio::select! {
                Some(ended) = attempts.join_next() => self.settle(ended, &mut busy).await,
                () = self.clock.sleep_until(until) => break,
            }
        }
    }

    fn attempt(&self, attempts: &mut JoinSet<Attempt>, delivery: Delivery, resolve: Option<Delivery>) {
        let notifier = self.plan.borrow().channels.get(&delivery.channel).cloned();
        let clock = Arc::clone(&self.clock);
        attempts.spawn(async move {
            let plain = delivery.notification.plain;
            // An incident that opened and closed while its channel was down is told by one message.
            let told = resolve.as_ref().map_or_else(
                || delivery.notification.clone(),
                |resolve| Notification { late: true, plain, ..resolve.notification.clone() },
            );
            let result = match notifier {
                None => {
                    Err(NotifyError::Rejected(format!("the channel {} is not configured any more", delivery.channel)))
                }
                Some(notifier) => tokio::select! {
                    result = notifier.notify(&told) => result,
                    () = clock.sleep_until(clock.monotonic() + ATTEMPT_MAX) => Err(NotifyError::Transient {
                        message: "no answer in time".to_owned(),
                        retry_after: None,
                    }),
                },
            };
            Attempt { delivery, resolve, result }
        });
    }

    async fn settle(&self, ended: Result<Attempt, tokio::task::JoinError>, busy: &mut HashSet<String>) {
        let Attempt { delivery, resolve, result } = match ended {
            Ok(attempt) => attempt,
            Err(error) => {
                // A notifier panicked: which one it was is lost, so all that are busy may be tried again.
                busy.clear();
                return tracing::error!("an attempt at a delivery ended without a result: {error}");
            }
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
        let settled = match (settlement, resolve) {
            (Settlement::Delivered { at, receipt }, Some(resolve)) => {
                // In this order a crash between the two repeats the resolve; in the other it would send the opening
                // after the end.
                match self.store.settle(&delivery, Settlement::Merged { at }).await {
                    Ok(()) => self.store.settle(&resolve, Settlement::Delivered { at, receipt }).await,
                    Err(error) => Err(error),
                }
            }
            (Settlement::Dead { at, error, fallback }, Some(resolve)) => {
                match self.store.settle(&delivery, Settlement::Merged { at }).await {
                    Ok(()) => self.store.settle(&resolve, Settlement::Dead { at, error, fallback }).await,
                    Err(error) => Err(error),
                }
            }
            (settlement, _) => self.store.settle(&delivery, settlement).await,
        };
        if let Err(error) = settled {
            tracing::error!(channel = %delivery.channel, "what became of a message could not be recorded, so it may be sent again: {error}");
            // The store rests as well; without this an unrecordable success would be sent in a tight loop.
            self.clock.sleep_until(self.clock.monotonic() + BACK_OFF_MIN).await;
        }
        busy.remove(&delivery.id);
    }

    fn count(&self, delivery: &Delivery, outcome: &'static str, at: Timestamp) {
        let labels = SampleLabels {
            channel: Some(delivery.channel.clone()),
            also: Some(("outcome", Arc::from(outcome))),
            ..SampleLabels::default()
        };
        self.fanout.send(&[Sample { name: MetricName::Deliveries, at, value: 1.0, labels }]);
    }

    fn tell_age(&self, oldest: Option<Timestamp>, now: Timestamp) {
        let age = oldest.map_or(Duration::ZERO, |oldest| between(oldest, now));
        let value = age.as_secs_f64();
        self.fanout.send(&[Sample { name: MetricName::OutboxOldest, at: now, value, labels: SampleLabels::default() }]);
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
        Event::Resolved => Some(delivery.created_at),
        Event::Opened => resolve.map(|resolve| resolve.created_at),
    };
    let too_late = over_since.is_some_and(|since| between(since, now) >= GIVE_UP_AFTER);
    let plain = delivery.notification.plain;
    let again = |rest: Duration, plain| Settlement::Again { at: later(now, rest), error: error.to_string(), plain };
    match error {
        _ if too_late => dead(delivery, resolve, error, now),
        NotifyError::Rejected(_) if !plain => again(Duration::ZERO, true),
        NotifyError::Rejected(_) => dead(delivery, resolve, error, now),
        NotifyError::Unauthorized(_) => again(UNAUTHORIZED_REST, plain),
        NotifyError::Transient { retry_after, .. } => {
            let ceiling = BACK_OFF_MIN.saturating_mul(1 << delivery.attempts.min(16)).min(BACK_OFF_MAX);
            again(ceiling.mul_f64(chance).max(retry_after.unwrap_or_default()), plain)
        }
    }
}

fn dead(delivery: &Delivery, resolve: Option<&Delivery>, error: &NotifyError, now: Timestamp) -> Settlement {
    let told = resolve.unwrap_or(delivery);
    let late = resolve.is_some();
    let fallback = delivery.fallback.clone().map(|channel| {
        Box::new(Delivery {
            id: new_id(now),
            channel,
            fallback: None,
            notification: Notification { plain: false, late, ..told.notification.clone() },
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
            tracing::warn!(%channel, %incident, event, attempts = delivery.attempts + 1, again_at = %at, "not delivered: {error}");
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
    use crate::domain::incident::{Incident, IncidentId, Severity};
    use crate::domain::judge::Aspect;
    use crate::domain::names::{ChannelName, ProbeName};
    use crate::domain::outcome::RunId;
    use crate::engine::testing::at;

    fn delivery(event: Event, attempts: u32) -> Delivery {
        let now = at("2026-11-24T10:00:00Z");
        let incident = Incident {
            id: IncidentId(Arc::from("I1")),
            probe: ProbeName::parse("p").unwrap(),
            aspect: Aspect::Failing,
            severity: Severity::P1,
            since: now,
            opened_at: now,
            resolved_at: None,
            resolved_because: None,
            firing: std::collections::BTreeMap::new(),
            schedules: Vec::new(),
            first_failures: Vec::new(),
            latest_failures: Vec::new(),
            opening_run: RunId(Arc::from("r")),
            labels: std::collections::BTreeMap::new(),
            runbook: None,
            quiet: None,
            told: Vec::new(),
            transitions: 1,
        };
        Delivery {
            id: "d".to_owned(),
            channel: ChannelName::parse("ops").unwrap(),
            fallback: Some(ChannelName::parse("team").unwrap()),
            notification: Notification {
                event,
                incident,
                transition: 1,
                at: now,
                site: "s".to_owned(),
                url: None,
                late: false,
                plain: false,
            },
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
    fn back_off_doubles_to_a_minute_and_heeds_the_receiver() {
        let now = at("2026-11-24T10:00:00Z");
        for (attempts, retry_after, seconds) in
            [(0, None, 1), (3, None, 8), (9, None, 60), (60, None, 60), (0, Some(90), 90)]
        {
            let settlement = next(&delivery(Event::Opened, attempts), None, &transient(retry_after), now, 1.0);
            assert_eq!(rest(settlement, now), Duration::from_secs(seconds));
        }
        let jittered = next(&delivery(Event::Opened, 9), None, &transient(None), now, 0.25);
        assert_eq!(rest(jittered, now), Duration::from_secs(15));
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
        assert!(fallback.notification.late && fallback.notification.event == Event::Resolved);
    }
}
