//! Takes messages from the outbox to their channels. It has no input: it asks the store what is due, so that a restart
//! needs no code of its own. Serial for each channel and incident, at least once, for as long as it takes.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Notify, watch};
use tokio_util::sync::CancellationToken;

use self::attempts::{Attempt, keeps_alerts};
use self::settlements::{BACK_OFF_MIN, log, next};
use self::work::Work;
use super::fanout::Fanout;
use super::plan::Plan;
use super::unrecorded::{Unrecorded, patiently};
use super::vitals::{Part, Vitals};
use crate::domain::metric::{MetricName, Sample, SampleLabels};
use crate::domain::time::{Monotonic, Timestamp, between};
use crate::ports::{Clock, Delivery, Due, NotifyError, Settlement, Store};

mod attempts;
mod memory;
mod settlements;
mod work;

/// How many attempts go on at once for one channel: one that hangs takes no place from the others.
const ATTEMPTS_MAX: usize = 8;

/// How long one attempt may take, whatever the notifier thinks of it.
pub const ATTEMPT_MAX: Duration = Duration::from_secs(15);

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

#[cfg(test)]
mod tests;
