//! A bounded buffer for each publisher, and a task that empties it. A publisher that is slow or down costs its own
//! samples, which are counted, and nothing else.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::Duration;

use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;

use super::plan::Plan;
use super::vitals::{Seen, Turns};
use crate::domain::metric::{MetricName, Sample, SampleLabels};
use crate::domain::time::{Monotonic, Timestamp};
use crate::ports::{Clock, Exposition, Known, Publisher, PublisherAccount};

/// How many samples wait for one publisher. At 2,000 probes each 30 s that is more than a minute of them.
const SAMPLES_WAITING_MAX: usize = 65_536;

/// How many hands of samples wait for one publisher, a dispatcher's or somebody else's.
const HANDS_WAITING_MAX: usize = 4_096;

/// How many samples a publisher is given at once.
const BATCH_MAX: usize = 1_000;

/// How often a publisher may send what waits for time to pass.
const TICK: Duration = Duration::from_secs(1);

/// How long a publisher has to send what it holds when the process ends.
pub const FLUSH_MAX: Duration = Duration::from_millis(2_500);

struct Outlet {
    identity: String,
    samples: mpsc::Sender<Arc<[Sample]>>,
    /// How many samples are in there.
    waiting: Arc<AtomicUsize>,
    page: Option<Arc<dyn Exposition>>,
    turns: Arc<Turns>,
    known: watch::Sender<Arc<Known>>,
    standing: Arc<Mutex<Published>>,
}

/// How a publisher stands, as it was seen within the last second or so.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Published {
    /// What it did with what it took.
    pub account: PublisherAccount,
    /// How many samples wait to be taken.
    pub queued: usize,
    /// When something of it was last delivered; nothing where that was never seen.
    pub delivered_at: Option<Timestamp>,
    /// Why it does not publish, while that is so.
    pub trouble: Option<String>,
}

impl Published {
    /// The account as it is now.
    fn look(&mut self, account: PublisherAccount, now: Timestamp) {
        if account.delivered > self.account.delivered {
            self.delivered_at = Some(now);
        }
        self.account = account;
    }
}

impl Outlet {
    /// Whether there was room for them.
    fn takes(&self, samples: &Arc<[Sample]>) -> bool {
        let count = samples.len();
        let waiting = self.waiting.fetch_add(count, Ordering::Relaxed);
        // What is more than all of the room is taken where nothing waits, since it would never be otherwise.
        let fits = waiting == 0 || waiting + count <= SAMPLES_WAITING_MAX;
        let taken = fits && self.samples.try_send(Arc::clone(samples)).is_ok();
        if !taken {
            self.waiting.fetch_sub(count, Ordering::Relaxed);
        }
        taken
    }
}

/// Hands samples to every publisher. Clones share the outlets.
#[derive(Clone, Default)]
pub struct Fanout {
    outlets: Arc<RwLock<BTreeMap<&'static str, Outlet>>>,
    /// The store's file, beside which publishers may keep things; absent where nothing stays.
    store: Option<Arc<Path>>,
}

impl Fanout {
    /// One whose publishers may keep things beside the store's file.
    pub fn beside(store: &Path) -> Self {
        Self { store: Some(Arc::from(store)), ..Self::default() }
    }

    /// Gives samples to every publisher, without waiting for any. They are handed on as they came, all or none: a copy of
    /// each for each publisher would cost as much as making them.
    pub fn send(&self, samples: impl Into<Arc<[Sample]>>) {
        let samples = samples.into();
        let Some(first) = samples.first() else { return };
        let outlets = self.outlets.read().unwrap_or_else(PoisonError::into_inner);
        for (publisher, outlet) in &*outlets {
            if !outlet.takes(&samples) {
                let lost: Arc<[Sample]> = [of_publisher(publisher, "dropped", samples.len() as u64, first.at)].into();
                for outlet in outlets.values() {
                    // Who has no room for the count either goes without it.
                    let _ = outlet.takes(&lost);
                }
            }
        }
    }

    fn has(&self, publisher: &str) -> bool {
        self.outlets.read().unwrap_or_else(PoisonError::into_inner).contains_key(publisher)
    }

    /// The page of the publisher that has one.
    pub fn page(&self) -> Option<Arc<dyn Exposition>> {
        let outlets = self.outlets.read().unwrap_or_else(PoisonError::into_inner);
        outlets.values().find_map(|outlet| outlet.page.clone())
    }

    /// How the loop of each publisher stands.
    pub fn seen(&self) -> Vec<(&'static str, Seen)> {
        let outlets = self.outlets.read().unwrap_or_else(PoisonError::into_inner);
        outlets.iter().map(|(name, outlet)| (*name, outlet.turns.seen())).collect()
    }

    /// How each publisher stands.
    pub fn published(&self) -> Vec<(&'static str, Published)> {
        let outlets = self.outlets.read().unwrap_or_else(PoisonError::into_inner);
        let of = |outlet: &Outlet| {
            let standing = outlet.standing.lock().unwrap_or_else(PoisonError::into_inner).clone();
            Published { queued: outlet.waiting.load(Ordering::Relaxed), ..standing }
        };
        outlets.iter().map(|(name, outlet)| (*name, of(outlet))).collect()
    }

    /// Starts the publishers of a plan in `tasks`; what runs already with the same settings goes on, and what is gone or
    /// changed sends what it has and ends.
    pub fn take(&self, plan: &Plan, clock: &Arc<dyn Clock>, tasks: &mut JoinSet<()>) {
        let mut outlets = self.outlets.write().unwrap_or_else(PoisonError::into_inner);
        let mut gone = BTreeSet::new();
        outlets.retain(|name, outlet| {
            let stays = plan.publishers.get(name).is_some_and(|factory| factory.identity() == outlet.identity);
            if !stays {
                gone.insert(*name);
            }
            stays
        });
        let known = Arc::new(plan.known());
        for (name, factory) in &plan.publishers {
            if let Some(outlet) = outlets.get(name) {
                outlet.known.send_replace(Arc::clone(&known));
                continue;
            }
            let (publisher, page) = factory.start(self.store.as_deref());
            let (sender, receiver) = mpsc::channel(HANDS_WAITING_MAX);
            let waiting = Arc::new(AtomicUsize::new(0));
            let (known, configured) = watch::channel(Arc::clone(&known));
            let (has_page, turns, standing) = (page.is_some(), Arc::default(), Arc::default());
            let supply = Supply {
                samples: receiver,
                waiting: Arc::clone(&waiting),
                known: configured,
                told: Told::of(name, has_page, gone.contains(name)),
                turns: Arc::clone(&turns),
                standing: Arc::clone(&standing),
            };
            tasks.spawn(serve(name, publisher, supply, Arc::clone(clock), self.clone()));
            let identity = factory.identity();
            outlets.insert(name, Outlet { identity, samples: sender, waiting, page, turns, known, standing });
        }
    }

    /// Ends every publisher once it has sent what it has.
    pub fn close(&self) {
        self.outlets.write().unwrap_or_else(PoisonError::into_inner).clear();
    }
}

fn of_publisher(publisher: &'static str, outcome: &'static str, count: u64, at: Timestamp) -> Sample {
    let labels =
        SampleLabels { publisher: Some(publisher), also: Some(("outcome", outcome)), ..SampleLabels::default() };
    Sample { name: MetricName::Samples, at, value: count as f64, labels }
}

fn held_by_publisher(publisher: &'static str, place: &'static str, count: u64, at: Timestamp) -> Sample {
    Sample { name: MetricName::SamplesHeld, ..of_publisher(publisher, place, count, at) }
}

/// What a publisher is given.
struct Supply {
    samples: mpsc::Receiver<Arc<[Sample]>>,
    waiting: Arc<AtomicUsize>,
    known: watch::Receiver<Arc<Known>>,
    told: Told,
    turns: Arc<Turns>,
    standing: Arc<Mutex<Published>>,
}

/// What the others were told of a publisher.
struct Told {
    name: &'static str,
    has_page: bool,
    account: PublisherAccount,
    /// What it holds in memory and on disk; absent while what its predecessor held stands for it.
    held: Option<[u64; 2]>,
}

impl Told {
    fn of(name: &'static str, has_page: bool, succeeds: bool) -> Self {
        Self { name, has_page, account: PublisherAccount::default(), held: (!succeeds).then_some([0; 2]) }
    }

    /// What is new in an account. Only what changed is told, or publishers would keep each other busy.
    fn news(&mut self, account: PublisherAccount, at: Timestamp) -> Vec<Sample> {
        // Who shows a page has delivered at once, and would for ever count that it was told so.
        if self.has_page && account.dropped <= self.account.dropped {
            return Vec::new();
        }
        let before = std::mem::replace(&mut self.account, account);
        let held = [account.waiting, account.spooled];
        let held_before = self.held.replace(held);
        let outcomes =
            [("delivered", account.delivered, before.delivered), ("dropped", account.dropped, before.dropped)];
        let outcomes = outcomes.into_iter().filter(|(_, now, before)| now > before);
        let news = outcomes.map(|(outcome, now, before)| of_publisher(self.name, outcome, now - before, at));
        let places = ["waiting", "spooled"].into_iter().zip(held).enumerate();
        let places =
            places.filter(|(index, (_, now))| held_before.is_none_or(|before| before.get(*index) != Some(now)));
        news.chain(places.map(|(_, (place, count))| held_by_publisher(self.name, place, count, at))).collect()
    }

    /// The same of one that has ended: what it holds in memory is gone with it. What is held is told by whoever follows it.
    fn last(&mut self, account: PublisherAccount, is_followed: bool, at: Timestamp) -> Vec<Sample> {
        let dropped = account.dropped + account.waiting;
        let [waiting, spooled] = self.held.filter(|_| is_followed).unwrap_or_default();
        self.news(PublisherAccount { waiting, spooled, dropped, ..account }, at)
    }
}

async fn serve(
    name: &'static str,
    mut publisher: Box<dyn Publisher>,
    supply: Supply,
    clock: Arc<dyn Clock>,
    fanout: Fanout,
) {
    let Supply { mut samples, waiting, mut known, mut told, turns, standing } = supply;
    let mut well = true;
    let mut next_tick: Monotonic = clock.monotonic() + TICK;
    publisher.keep(&known.borrow_and_update());
    loop {
        turns.turned(clock.monotonic());
        let result = tokio::select! {
            Ok(()) = known.changed() => {
                publisher.keep(&known.borrow_and_update());
                continue;
            }
            received = samples.recv() => {
                let Some(samples) = received else { break };
                waiting.fetch_sub(samples.len(), Ordering::Relaxed);
                let mut result = Ok(());
                for batch in samples.chunks(BATCH_MAX) {
                    result = publisher.publish(batch).await.and(result);
                }
                result
            }
            () = clock.sleep_until(next_tick) => {
                next_tick = clock.monotonic() + TICK;
                let result = publisher.tick().await;
                let (account, now) = (publisher.account(), clock.now());
                standing.lock().unwrap_or_else(PoisonError::into_inner).look(account, now);
                fanout.send(told.news(account, now));
                result
            }
        };
        // Logged when it begins and when it ends, so that an hour without a network is two lines.
        match result {
            Err(error) if well => {
                well = false;
                standing.lock().unwrap_or_else(PoisonError::into_inner).trouble = Some(error.to_string());
                tracing::warn!(
                    publisher = name,
                    waiting = publisher.account().waiting,
                    "metrics cannot be published: {error}"
                );
            }
            Ok(()) if !well => {
                well = true;
                standing.lock().unwrap_or_else(PoisonError::into_inner).trouble = None;
                tracing::info!(publisher = name, "metrics are published again");
            }
            _ => {}
        }
    }
    let flush_by = clock.monotonic() + FLUSH_MAX;
    let result = tokio::select! {
        result = publisher.flush() => result.map_err(|error| error.to_string()),
        () = clock.sleep_until(flush_by) => Err("the time ended".to_owned()),
    };
    let account = publisher.account();
    if let Err(error) = result {
        let PublisherAccount { waiting, spooled, .. } = account;
        tracing::warn!(publisher = name, lost = waiting, spooled, "the last metrics were not sent: {error}");
    }
    fanout.send(told.last(account, fanout.has(name), clock.now()));
}

#[cfg(test)]
mod tests;
