//! The pulses of jobs elsewhere: in memory while the process lives, in the store for the next one. The web takes pings and
//! the prober asks, and neither knows the other.
//!
//! A ping is answered for only when it is recorded. While the store rests it is remembered all the same, so that a job that
//! has pinged is not called silent, and it is recorded with the next ping or probe after that.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use futures::future::BoxFuture;

use crate::domain::pulse::{Ping, Pulse, TokenDigest};
use crate::domain::time::Timestamp;
use crate::ports::{Commit, Pings, Store, StoreError};

/// The pulses. Until a daemon opens them nobody listens.
#[derive(Default)]
pub struct Pulses {
    heard: Mutex<Option<Heard>>,
    /// Held while something is written: whoever waits for it finds that the one before has written for all, so that many
    /// pings at once share a transaction, and an older state never follows a newer one.
    turn: tokio::sync::Mutex<()>,
}

struct Heard {
    store: Arc<dyn Store>,
    pulses: BTreeMap<TokenDigest, Pulse>,
    /// What changed since it was recorded, by the number of its last change.
    unrecorded: BTreeMap<TokenDigest, u64>,
    changes: u64,
}

impl Pulses {
    /// Listens from `now` on, and goes on from what the process before this one left. `last_alive` is when that was still
    /// there: what was pinged since is lost.
    pub fn open(
        &self,
        store: Arc<dyn Store>,
        recorded: Vec<(TokenDigest, Pulse)>,
        last_alive: Option<Timestamp>,
        now: Timestamp,
    ) {
        let mut heard = Heard { store, pulses: BTreeMap::new(), unrecorded: BTreeMap::new(), changes: 0 };
        for (token, mut pulse) in recorded {
            if let Some(from) = last_alive {
                pulse.miss(from, now);
                heard.change(token);
            }
            heard.pulses.insert(token, pulse);
        }
        *self.heard() = Some(heard);
    }

    fn heard(&self) -> MutexGuard<'_, Option<Heard>> {
        self.heard.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Heard {
    fn change(&mut self, token: TokenDigest) {
        self.changes += 1;
        self.unrecorded.insert(token, self.changes);
    }

    /// The pulse of a job; it is listened for from now on. Whoever takes it changes it.
    fn pulse(&mut self, token: TokenDigest, now: Timestamp) -> &mut Pulse {
        self.change(token);
        self.pulses.entry(token).or_insert_with(|| Pulse::since(now))
    }
}

impl Pings for Pulses {
    fn take(&self, token: TokenDigest, ping: Ping) -> BoxFuture<'_, Result<(), StoreError>> {
        if let Some(heard) = self.heard().as_mut() {
            heard.pulse(token, ping.at).take(ping);
        }
        self.record()
    }

    fn pulse(&self, token: TokenDigest, now: Timestamp) -> Option<Pulse> {
        self.heard().as_mut().map(|heard| {
            let pulse = heard.pulse(token, now);
            // The next process does not count as away what it takes for silence now.
            pulse.listen(now);
            pulse.clone()
        })
    }

    fn record(&self) -> BoxFuture<'_, Result<(), StoreError>> {
        Box::pin(async move {
            let _turn = self.turn.lock().await;
            let (store, changed, pulses) = {
                let heard = self.heard();
                let heard = heard.as_ref().ok_or(StoreError::Closed)?;
                let changed = heard.unrecorded.clone();
                let pulse = |token: &TokenDigest| Some((*token, heard.pulses.get(token)?.clone()));
                let pulses: Vec<_> = changed.keys().filter_map(pulse).collect();
                (Arc::clone(&heard.store), changed, pulses)
            };
            if pulses.is_empty() {
                return Ok(());
            }
            store.commit(Commit { pulses, ..Commit::default() }.into()).await?;
            if let Some(heard) = self.heard().as_mut() {
                // What changed again meanwhile is recorded by whoever changed it.
                heard.unrecorded.retain(|token, change| changed.get(token) != Some(change));
            }
            Ok(())
        })
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicBool, Ordering};
    use std::time::Duration;

    use futures::future::join_all;

    use super::*;
    use crate::domain::debt::Debt;
    use crate::domain::outcome::RunId;
    use crate::domain::pulse::Beat;
    use crate::engine::testing::at;
    use crate::ports::{Delivery, Due, Loaded, Settlement};

    /// Keeps pulses, or rests.
    #[derive(Default)]
    struct Kept {
        commits: Mutex<Vec<Vec<(TokenDigest, Pulse)>>>,
        rests: AtomicBool,
    }

    impl Store for Kept {
        fn commit(&self, commit: Arc<Commit>) -> BoxFuture<'_, Result<(), StoreError>> {
            Box::pin(async move {
                tokio::time::sleep(Duration::from_millis(5)).await;
                if self.rests.load(Ordering::Relaxed) {
                    return Err(StoreError::Failed("the disk is full".to_owned()));
                }
                self.commits.lock().unwrap().push(commit.pulses.clone());
                Ok(())
            })
        }
        fn load(&self) -> BoxFuture<'_, Result<Loaded, StoreError>> {
            unreachable!("the engine loads")
        }
        fn due_deliveries(&self, _: Timestamp, _: usize) -> BoxFuture<'_, Result<Due, StoreError>> {
            unreachable!("nothing is delivered")
        }
        fn gather<'a>(
            &'a self,
            _: Timestamp,
            _: &'a BTreeMap<crate::domain::names::ChannelName, crate::domain::grouping::Rules>,
        ) -> BoxFuture<'a, Result<(), StoreError>> {
            Box::pin(std::future::ready(Ok(())))
        }
        fn group<'a>(
            &'a self,
            _: &'a Delivery,
        ) -> BoxFuture<'a, Result<Option<crate::domain::grouping::Group>, StoreError>> {
            Box::pin(std::future::ready(Ok(None)))
        }
        fn settle<'a>(&'a self, _: &'a Delivery, _: Settlement) -> BoxFuture<'a, Result<(), StoreError>> {
            unreachable!("nothing is delivered")
        }
        fn retry_deliveries(&self, _: Timestamp) -> BoxFuture<'_, Result<(), StoreError>> {
            unreachable!("nothing is delivered")
        }
        fn journal(&self, _: Debt) -> BoxFuture<'_, Result<(), StoreError>> {
            unreachable!("nothing runs")
        }
        fn acquit<'a>(&'a self, _: &'a RunId) -> BoxFuture<'a, Result<(), StoreError>> {
            unreachable!("nothing runs")
        }
        fn purge(&self, _: Timestamp) -> BoxFuture<'_, Result<u64, StoreError>> {
            unreachable!("nothing is old")
        }
    }

    const TEN: &str = "2026-11-24T10:00:00Z";

    fn token(number: u8) -> TokenDigest {
        TokenDigest([number; 32])
    }

    fn done() -> Ping {
        Ping { at: at(TEN), beat: Beat::Done, text: None }
    }

    fn opened() -> (Arc<Kept>, Pulses) {
        let (kept, pulses) = (Arc::new(Kept::default()), Pulses::default());
        pulses.open(Arc::clone(&kept) as Arc<dyn Store>, Vec::new(), None, at(TEN));
        (kept, pulses)
    }

    #[tokio::test(start_paused = true)]
    async fn before_a_daemon_opens_them_nobody_listens() {
        let pulses = Pulses::default();
        assert!(pulses.pulse(token(1), at(TEN)).is_none());
        assert!(matches!(pulses.take(token(1), done()).await, Err(StoreError::Closed)));
    }

    #[tokio::test(start_paused = true)]
    async fn many_pings_at_once_share_a_transaction() {
        let (kept, pulses) = opened();
        let results = join_all((0..100).map(|number| pulses.take(token(number), done()))).await;
        assert!(results.iter().all(Result::is_ok));
        let commits = kept.commits.lock().unwrap();
        assert!(commits.len() <= 2, "{} transactions", commits.len());
        assert_eq!(commits.iter().map(Vec::len).sum::<usize>(), 100);
    }

    #[tokio::test(start_paused = true)]
    async fn what_the_store_did_not_take_is_remembered_and_recorded_later() {
        let (kept, pulses) = opened();
        kept.rests.store(true, Ordering::Relaxed);
        assert!(matches!(pulses.take(token(1), done()).await, Err(StoreError::Failed(_))));
        assert_eq!(pulses.pulse(token(1), at(TEN)).map(|pulse| pulse.pings), Some(1));
        kept.rests.store(false, Ordering::Relaxed);
        pulses.take(token(2), done()).await.unwrap();
        let recorded: Vec<_> =
            kept.commits.lock().unwrap().concat().iter().map(|(of, pulse)| (*of, pulse.pings)).collect();
        assert_eq!(recorded, [(token(1), 1), (token(2), 1)]);
        pulses.record().await.unwrap();
        assert_eq!(kept.commits.lock().unwrap().len(), 1, "what is recorded is not written again");
    }

    #[tokio::test(start_paused = true)]
    async fn who_is_asked_for_is_listened_for_and_the_next_process_knows_it() {
        let (kept, pulses) = opened();
        let first = pulses.pulse(token(1), at(TEN)).unwrap();
        assert_eq!(first, Pulse::since(at(TEN)));
        pulses.record().await.unwrap();
        let recorded = kept.commits.lock().unwrap().concat();
        assert_eq!(recorded, [(token(1), first)]);

        let next = Pulses::default();
        let (left, came) = (at("2026-11-24T11:00:00Z"), at("2026-11-24T11:05:00Z"));
        next.open(Arc::clone(&kept) as Arc<dyn Store>, recorded, Some(left), came);
        let pulse = next.pulse(token(1), came).unwrap();
        assert_eq!((pulse.since, pulse.silence(came)), (at(TEN), Duration::from_hours(1)));
    }
}
