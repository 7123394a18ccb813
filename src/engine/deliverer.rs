//! Takes messages from the outbox to their channels. It has no input: it asks the store what is due, so that a restart
//! needs no code of its own. Serial for each channel and incident, at least once, for as long as it takes.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Notify, watch};
use tokio_util::sync::CancellationToken;

use self::attempts::{Attempt, keeps_alerts};
use self::settlements::{BACK_OFF_MIN, log, next};
use self::work::{Outcome, Work};
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
            let Some(wake_at) = self.look(&mut work).await else { continue };
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
        // What was committed last, the end of a drill among it, may not have been looked at yet.
        tokio::select! {
            () = async { while self.look(&mut work).await.is_none() {} } => {}
            () = self.clock.sleep_until(until) => {}
        }
        while !work.attempts.is_empty() {
            tokio::select! {
                Some(ended) = work.attempts.join_next() => self.settle(ended, &mut work),
                () = self.clock.sleep_until(until) => break,
            }
        }
        work.rest_until = None;
        self.record(&mut work).await;
        if work.unrecorded() > 0 {
            tracing::error!(
                messages = work.unrecorded(),
                "the next process will send again what could not be recorded"
            );
        }
    }

    /// Begins whatever is due. Says when to look again at the latest; nothing where that is at once.
    async fn look(&self, work: &mut Work) -> Option<Monotonic> {
        let now = self.clock.now();
        let due = patiently(&self.clock, self.store.due_deliveries(now, ATTEMPTS_MAX));
        let read = self.vitals.waiting(Part::Deliverer, due).await;
        let is_readable = read.is_ok();
        let mut due = match read {
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
                work.put(Outcome { delivery, settlement: Settlement::Merged { at: now }, with: None });
            }
            return None;
        }
        // Nothing is put together with what leaves from memory meanwhile.
        let may_gather = self.unrecorded.is_empty() && work.rest_until.is_none() && !work.memory.is_under_way();
        if due.ripe && may_gather && self.gather(work, now).await {
            return None;
        }
        for delivery in &due.now {
            if work.has_room(delivery) && !self.unrecorded.holds(&delivery.id) {
                self.begin(&due, delivery, work).await;
            }
        }
        let takes_nothing = !is_readable || work.rest_until.is_some() || self.gather_rests(work) && work.gather_fails;
        let is_from_memory = !self.unrecorded.is_empty() || takes_nothing && !self.unrecorded.is_idle();
        if is_from_memory {
            self.tell_from_memory(work, now).await;
        } else if work.memory.is_under_way() && !takes_nothing {
            self.return_to_store(work, now);
        } else if is_readable && !due.ripe {
            self.unrecorded.gathered(now);
        }
        let look = if is_from_memory || work.memory.is_under_way() { BACK_OFF_MIN } else { LOOK };
        let wake_at = self.clock.monotonic() + due.next_at.map_or(look, |at| between(now, at).min(look));
        let gather_at = work.gather_at.filter(|_| due.ripe && may_gather);
        Some(work.rest_until.into_iter().chain(gather_at).fold(wake_at, Monotonic::min))
    }

    /// Lets go what has waited for others, unless that was done a moment ago; says whether it was done.
    async fn gather(&self, work: &mut Work, now: Timestamp) -> bool {
        if self.gather_rests(work) {
            return false;
        }
        let at = self.clock.monotonic();
        work.gather_at = Some(at + GATHER);
        let plan = Arc::clone(&self.plan.borrow());
        let rules = plan.channels.keys().map(|channel| (channel.clone(), plan.rules(channel))).collect();
        let gathered = patiently(&self.clock, self.store.gather(now, &rules));
        let gathered = self.vitals.waiting(Part::Deliverer, gathered).await;
        if let Err(error) = &gathered {
            if !work.gather_fails {
                tracing::error!("the store cannot let messages go, so they leave from memory: {error}");
            }
            work.gather_at = Some(at + BACK_OFF_MIN);
        }
        work.gather_fails = gathered.is_err();
        gathered.is_ok()
    }

    fn gather_rests(&self, work: &Work) -> bool {
        work.gather_at.is_some_and(|gather_at| self.clock.monotonic() < gather_at)
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
                Ok(group) => Arc::make_mut(&mut told.notification).group = group,
                Err(error) => return tracing::error!("what a message tells cannot be read: {error}"),
            }
        }
        let first = due.firsts.get(&delivery.id).cloned();
        self.attempt(work, notifier, delivery, resolve, first);
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
        work.end(&delivery.channel);
        let now = self.clock.now();
        let outcome = match &result {
            Ok(_) => "delivered",
            Err(NotifyError::Transient { .. }) => "failed",
            Err(NotifyError::Rejected(_)) => "rejected",
            Err(NotifyError::Unauthorized(_)) => "unauthorized",
        };
        self.count(MetricName::Deliveries, &delivery, Some(("outcome", outcome)), now);
        let settlement = next(&delivery, resolve.as_ref(), &result, now, rand::random());
        if matches!(settlement, Settlement::Dead { .. }) {
            self.count(MetricName::DeliveriesGivenUp, &delivery, None, now);
        }
        log(&delivery, &settlement);
        let is_from_memory = delivery.notification.unrecorded;
        let (with, ends) = work.memory.told_with(&delivery.id);
        match (settlement, resolve.filter(|_| !in_turn)) {
            // In this order a crash between the two repeats the resolve; in the other it would send the opening after
            // the end.
            (settlement @ Settlement::Delivered { .. }, Some(resolve)) => {
                work.put(Outcome { delivery, settlement: Settlement::Merged { at: now }, with });
                work.put(Outcome { delivery: resolve, settlement, with: ends });
            }
            // Nothing is put down of a row that is not there yet.
            (Settlement::Again { at, plain, .. }, _)
                if is_from_memory && self.unrecorded.again(&delivery.id, at, plain) =>
            {
                work.busy.remove(&delivery.id);
            }
            (settlement, _) => {
                if let Settlement::Dead { fallback: Some(fallback), .. } = &settlement
                    && is_from_memory
                {
                    work.memory.hand_over(&delivery.id, fallback);
                    self.unrecorded.hand_over(fallback.clone(), &delivery.id);
                }
                work.put(Outcome { delivery, settlement, with });
            }
        }
    }

    /// Records what came of attempts, once the store has their messages. A store that fails is asked again a second later;
    /// until then nothing of it is sent again.
    async fn record(&self, work: &mut Work) {
        if work.rest_until.is_some_and(|until| self.clock.monotonic() < until) {
            return;
        }
        while let Some((place, outcome)) = work.next(|id| self.unrecorded.holds(id)) {
            let Outcome { delivery, settlement, with } = outcome;
            let recorded = async {
                if let Some(with) = with {
                    patiently(&self.clock, self.store.put_together(delivery, with)).await?;
                }
                patiently(&self.clock, self.store.settle(delivery, settlement.clone())).await
            };
            if let Err(error) = self.vitals.waiting(Part::Deliverer, recorded).await {
                if work.rest_until.is_none() {
                    tracing::error!(channel = %delivery.channel, "what became of a message cannot be recorded: {error}");
                }
                // What is only to be tried again is tried from memory meanwhile.
                if with.is_some() && matches!(settlement, Settlement::Again { .. }) {
                    work.take(place);
                }
                work.rest_until = Some(self.clock.monotonic() + BACK_OFF_MIN);
                return;
            }
            self.vitals.changes.delivered();
            if let Some(Outcome { delivery, with, .. }) = work.take(place) {
                for id in with.iter().flatten().chain([&delivery.id]) {
                    self.unrecorded.forget(id);
                }
                work.memory.forget(&delivery.id);
            }
        }
        work.rest_until = None;
    }

    fn count(&self, name: MetricName, delivery: &Delivery, also: Option<(&'static str, &'static str)>, at: Timestamp) {
        let labels = SampleLabels { channel: Some(delivery.channel.clone()), also, ..SampleLabels::default() };
        self.fanout.send([Sample { name, at, value: 1.0, labels }]);
    }

    fn tell_age(&self, oldest: Option<Timestamp>, now: Timestamp) {
        let age = oldest.map_or(Duration::ZERO, |oldest| between(oldest, now));
        let value = age.as_secs_f64();
        self.fanout.send([Sample { name: MetricName::OutboxOldest, at: now, value, labels: SampleLabels::default() }]);
    }
}

#[cfg(test)]
mod tests;
