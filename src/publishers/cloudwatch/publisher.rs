//! Sends what the backlog has, and is patient when it cannot: then it goes to the disk, and from there when things are well
//! and nothing live waits.

use std::sync::Arc;
use std::time::Duration;

use futures::future::BoxFuture;

use super::backlog::{Backlog, CROWD};
use super::disk::{Disk, Lodging, Task, Worked};
use super::last::Lasts;
use super::load::Load;
use super::packet::{Packet, Resolution};
use super::patience::Patience;
use super::service::{Api, Service};
use super::settings::Namespace;
use super::whom::Sets;
use crate::domain::metric::Sample;
use crate::net::aws::{Aws, Trouble, TroubleKind};
use crate::ports::{Clock, Known, PublishError, Publisher, PublisherAccount};

/// How many requests one tick sends of what is live; between ticks new samples are taken in.
const LIVE_PER_TICK: usize = 4;

/// How many requests one tick sends of what was on disk, once nothing live is left: a thousandth of what the service takes.
const SPOOLED_PER_TICK: usize = 1;

/// How long a disk that failed is left alone at least.
const DISK_REST: Duration = Duration::from_secs(30);

/// How things are published, by choice.
#[derive(Clone, Debug, Default)]
pub struct Manner {
    /// Whether values of a minute go together, or of a second.
    pub resolution: Resolution,
    /// By what else than their probe.
    pub sets: Sets,
    /// After what silence the last value of a probe is said again each minute; never where absent.
    pub republish: Option<Duration>,
    /// Where what cannot be sent is kept; in memory alone where absent.
    pub lodging: Option<Lodging>,
}

/// CloudWatch of one region, under one namespace.
pub struct CloudWatch {
    service: Box<dyn Service>,
    location: Arc<str>,
    clock: Arc<dyn Clock>,
    backlog: Backlog,
    lasts: Lasts,
    /// With requests of what is live.
    live: Patience,
    disk: Disk,
    /// What was read from the disk, and has not its fate yet.
    load: Option<Load>,
    /// With requests of what was on disk: that the service has enough of those keeps nothing live from being tried.
    old: Patience,
    /// With the disk.
    lodging: Patience,
    /// How many samples were dropped from the disk for want of room, since it was last empty.
    crowded_out: u64,
    /// Of what was on disk: how many samples the service has.
    delivered: u64,
    /// Of what was on disk: how many nobody will have.
    dropped: u64,
}

impl CloudWatch {
    /// A publisher that has done nothing yet.
    pub fn new(namespace: Namespace, location: Arc<str>, aws: Arc<Aws>, clock: Arc<dyn Clock>, manner: Manner) -> Self {
        let api = Api::new(namespace, Arc::clone(&location), aws);
        Self::over(Box::new(api), location, clock, manner)
    }

    fn over(service: Box<dyn Service>, location: Arc<str>, clock: Arc<dyn Clock>, manner: Manner) -> Self {
        let Manner { resolution, sets, republish, lodging } = manner;
        Self {
            service,
            location,
            clock,
            backlog: Backlog::new(resolution, sets),
            lasts: Lasts::new(republish),
            live: Patience::default(),
            disk: Disk::new(lodging),
            load: None,
            old: Patience::default(),
            lodging: Patience::default(),
            crowded_out: 0,
            delivered: 0,
            dropped: 0,
        }
    }

    async fn turn(&mut self) -> Result<(), PublishError> {
        let now = self.clock.now();
        let again = self.lasts.turn(now);
        self.backlog.take(&again, now);
        self.backlog.turn(now);
        let mut refusal = None;
        let is_busy = self.backlog.has_complete();
        if !self.live.is_resting(&*self.clock) {
            refusal = self.send_live(LIVE_PER_TICK).await;
        }
        if self.live.error().is_some() || self.backlog.account().waiting > CROWD {
            self.spill().await;
        }
        if self.disk_is_ready().await
            && self.disk.is_open()
            && let Some(seen) = self.lasts.due()
        {
            self.disk.ask(Task::Remember(seen));
            self.hear_disk().await;
        }
        // Never in a tick that had something live to send: each request may take its time, and a loop that does not turn is
        // taken for one that hangs.
        let is_patient = self.live.is_resting(&*self.clock) || self.old.is_resting(&*self.clock);
        if !is_patient && !is_busy {
            refusal = self.send_spooled(SPOOLED_PER_TICK).await.or(refusal);
        }
        self.state(refusal)
    }

    /// Everything goes to the disk first, since nobody knows how much time is left; then as much of it as possible to the
    /// service.
    async fn put_away(&mut self) -> Result<(), PublishError> {
        self.backlog.close();
        let requests = self.spill().await;
        if self.disk_is_ready().await
            && let Some(seen) = self.lasts.written()
        {
            self.disk.ask(Task::Remember(seen));
            self.hear_disk().await;
        }
        let mut refusal = None;
        if self.backlog.has_complete() {
            refusal = self.send_live(usize::MAX).await;
        }
        if !self.live.is_resting(&*self.clock) {
            let begun = usize::from(self.load.is_some());
            refusal = self.send_spooled(requests + begun).await.or(refusal);
        }
        self.state(refusal)
    }

    /// Sends at most so many requests of what is in memory. It ends at the first that fails; what is refused is taken apart.
    async fn send_live(&mut self, requests_max: usize) -> Option<String> {
        let mut refusal = None;
        for _ in 0..requests_max {
            let Some(packets) = self.backlog.next_request(self.clock.now()) else { break };
            match self.service.put(packets).await {
                Ok(()) => {
                    self.backlog.delivered();
                    self.live.end();
                }
                Err(trouble) if trouble.kind == TroubleKind::Refused => {
                    // It answered, and was able to read: there is nothing to wait for.
                    self.live.end();
                    let blamed = self.backlog.refused();
                    refusal = blamed.map(|packet| refusal_of(&packet, &trouble, &self.location)).or(refusal);
                }
                Err(trouble) => {
                    self.backlog.kept();
                    self.live.fail(trouble.message, trouble.retry_after, &*self.clock);
                    break;
                }
            }
        }
        refusal
    }

    /// The same of what is on disk, the newest first.
    async fn send_spooled(&mut self, requests_max: usize) -> Option<String> {
        let mut refusal = None;
        for _ in 0..requests_max {
            let may_be_there = self.disk.is_waiting || !self.disk.is_open();
            if self.load.is_none() && may_be_there && self.disk_is_ready().await {
                self.disk.ask(Task::Take(self.clock.now()));
                self.hear_disk().await;
            }
            let Some(load) = &mut self.load else { break };
            if let Some(packets) = load.next_request() {
                match self.service.put(packets).await {
                    Ok(()) => {
                        load.delivered();
                        self.old.end();
                        self.live.end();
                    }
                    Err(trouble) if trouble.kind == TroubleKind::Refused => {
                        self.old.end();
                        self.live.end();
                        let blamed = load.refused();
                        refusal = blamed.map(|packet| refusal_of(&packet, &trouble, &self.location)).or(refusal);
                    }
                    Err(trouble) => {
                        self.old.fail(trouble.message, trouble.retry_after, &*self.clock);
                        // By the next attempt something newer may lie there.
                        if load.is_untouched()
                            && self.disk_is_ready().await
                            && let Some(load) = self.load.take()
                        {
                            self.disk.ask(Task::TakeBack(load));
                            self.hear_disk().await;
                        }
                        break;
                    }
                }
            }
            if load.next_request().is_none()
                && self.disk_is_ready().await
                && let Some(load) = self.load.take()
            {
                self.disk.ask(Task::Settle(load));
                self.hear_disk().await;
            }
        }
        refusal
    }

    /// Takes what is complete to the disk. Says how many requests it makes there.
    async fn spill(&mut self) -> usize {
        if !self.backlog.has_complete() || !self.disk_is_ready().await {
            return 0;
        }
        let parts = self.backlog.take_complete();
        let requests = parts.len();
        self.disk.ask(Task::Put(parts));
        self.hear_disk().await;
        requests
    }

    /// Whether the disk can be asked for something.
    async fn disk_is_ready(&mut self) -> bool {
        self.hear_disk().await;
        self.disk.exists() && !self.disk.is_working() && !self.lodging.is_resting(&*self.clock)
    }

    /// Takes in what came of what the disk was asked, if it is done.
    async fn hear_disk(&mut self) {
        let Some(worked) = self.disk.answer().await else { return };
        let Worked { written, left, lost, load, settled, kept, crowded_out, damaged, remembered, strange, error } =
            worked;
        self.backlog.spooled(written);
        self.backlog.returned(left);
        self.backlog.lost(lost);
        self.load = load.or(self.load.take());
        if let Some(settled) = settled {
            self.delivered += settled.delivered;
            self.dropped += settled.dropped;
        }
        if kept {
            self.lasts.is_kept();
        }
        self.dropped += crowded_out + damaged;
        for strange in strange {
            tracing::warn!("{strange}");
        }
        if let Some(Err(why)) = remembered.map(|seen| self.lasts.recall(&seen)) {
            tracing::warn!("what was seen last before the restart is not said again: {why}");
        }
        if crowded_out > 0 && self.crowded_out == 0 {
            tracing::warn!("what cannot be published fills its room on disk: the oldest samples are dropped");
        }
        self.crowded_out = if self.disk.spooled == 0 { 0 } else { self.crowded_out + crowded_out };
        match error {
            Some(error) => {
                if self.lodging.error().is_none() {
                    tracing::warn!("what cannot be published stays in memory alone: {error}");
                }
                self.lodging.fail(error.to_string(), Some(DISK_REST), &*self.clock);
            }
            None => {
                if self.lodging.error().is_some() {
                    tracing::info!("what cannot be published is kept on disk again");
                }
                self.lodging.end();
            }
        }
    }

    /// Whether things are well. What went wrong stands until it is over, so that it is told once.
    fn state(&self, news: Option<String>) -> Result<(), PublishError> {
        let trouble = self.live.error().or(self.old.error()).map(ToOwned::to_owned);
        news.or(trouble).map_or(Ok(()), |error| Err(PublishError(error)))
    }
}

fn refusal_of(packet: &Packet, trouble: &Trouble, location: &str) -> String {
    let Packet { name, whom, samples, .. } = packet;
    let (name, of, why) = (name.as_str(), whom.words(location), &trouble.message);
    format!("CloudWatch refuses {samples} samples `{name}` of {of}: {why}")
}

impl Publisher for CloudWatch {
    fn publish<'a>(&'a mut self, samples: &'a [Sample]) -> BoxFuture<'a, Result<(), PublishError>> {
        self.lasts.see(samples);
        let dropped = self.backlog.take(samples, self.clock.now());
        let news = (dropped > 0).then(|| format!("{dropped} samples were dropped: no room, or not of this time"));
        Box::pin(std::future::ready(self.state(news)))
    }

    fn flush(&mut self) -> BoxFuture<'_, Result<(), PublishError>> {
        Box::pin(self.put_away())
    }

    fn tick(&mut self) -> BoxFuture<'_, Result<(), PublishError>> {
        Box::pin(self.turn())
    }

    fn keep(&mut self, known: &Arc<Known>) {
        self.lasts.keep(known);
    }

    fn account(&self) -> PublisherAccount {
        let live = self.backlog.account();
        PublisherAccount {
            delivered: live.delivered + self.delivered,
            waiting: live.waiting,
            spooled: self.disk.spooled,
            dropped: live.dropped + self.dropped,
        }
    }
}

#[cfg(test)]
mod tests;
