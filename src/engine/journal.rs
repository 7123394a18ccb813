//! What runs may leave behind in their targets. A run that has a cleanup is in the store before its first step, and what
//! its cleanup needs of a step is there before the next one; it is erased when the cleanup is done. Whatever ends the
//! process in between, the next one finds it.
//!
//! A store that does not take it never keeps a run from going on: then the logs say that a crash would leave something, and
//! it is offered again beside each further step.

use std::collections::{BTreeMap, BTreeSet};
use std::pin::pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures::future::{Either, select};
use tokio::sync::mpsc;
use tokio::sync::mpsc::error::TrySendError;

use crate::domain::debt::{Debt, Owing};
use crate::domain::names::{CaptureName, ProbeName};
use crate::domain::outcome::RunId;
use crate::domain::time::Monotonic;
use crate::ports::{Clock, Store, StoreError};

/// How long a run waits for the store; it goes on without it then.
const WAIT_MAX: Duration = Duration::from_secs(2);

/// How many clean runs are remembered that the store did not erase.
const CLEAN_MAX: usize = 10_000;

/// How often it is said that the store does not take it.
const TELL_EVERY: Duration = Duration::from_secs(60);

/// Where runs put down what they may leave behind.
pub struct Journal {
    clock: Arc<dyn Clock>,
    store: Arc<dyn Store>,
    /// To the janitor, when a cleanup did not do its work.
    owed: mpsc::Sender<Debt>,
    /// How many cleanups each probe owes, as the janitor says.
    counts: Mutex<BTreeMap<ProbeName, u64>>,
    /// When it was last said that the store does not take it.
    told_at: Mutex<Option<Monotonic>>,
    /// What is to be erased, and is not yet.
    clean: Mutex<BTreeSet<RunId>>,
}

impl Journal {
    /// A journal in this store, whose debts go to whoever receives them.
    pub fn new(clock: Arc<dyn Clock>, store: Arc<dyn Store>, owed: mpsc::Sender<Debt>) -> Self {
        Self { clock, store, owed, counts: Mutex::default(), told_at: Mutex::default(), clean: Mutex::default() }
    }

    /// Puts down a run that is about to begin.
    pub async fn begin(&self, probe: &ProbeName, run: &RunId) -> Entry<'_> {
        let debt = Debt {
            run: run.clone(),
            probe: probe.clone(),
            captures: BTreeMap::new(),
            since: self.clock.now(),
            attempts: 0,
            due_at: None,
        };
        let is_kept = self.put(&debt).await;
        Entry { journal: self, debt: Some(debt), is_kept }
    }

    /// How many cleanups of earlier runs a probe owes.
    pub fn owes(&self, probe: &ProbeName) -> u64 {
        self.counts.lock().unwrap_or_else(PoisonError::into_inner).get(probe).copied().unwrap_or(0)
    }

    /// Takes the counts of the janitor.
    pub fn count(&self, counts: BTreeMap<ProbeName, u64>) {
        *self.counts.lock().unwrap_or_else(PoisonError::into_inner) = counts;
    }

    /// Puts down what is owed, in the place of what was put down of that run before; says whether the store took it.
    pub async fn put(&self, debt: &Debt) -> bool {
        self.within(self.store.journal(debt.clone())).await
    }

    /// Erases a run that has left nothing behind, and those before it that the store did not erase. What it does not erase
    /// now is cleaned up once more by the next process at worst.
    pub async fn acquit(&self, run: &RunId) {
        self.clean().insert(run.clone());
        while let Some(run) = { self.clean().pop_first() } {
            if self.within(self.store.acquit(&run)).await {
                continue;
            }
            let mut clean = self.clean();
            clean.insert(run);
            // Of too many the oldest go, whose ids sort first.
            while clean.len() > CLEAN_MAX {
                clean.pop_first();
            }
            return;
        }
    }

    fn clean(&self) -> MutexGuard<'_, BTreeSet<RunId>> {
        self.clean.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn within(&self, work: impl Future<Output = Result<(), StoreError>>) -> bool {
        let until = self.clock.monotonic() + WAIT_MAX;
        let why = tokio::select! {
            biased;
            done = work => match done {
                Ok(()) => return true,
                Err(error) => error.to_string(),
            },
            () = self.clock.sleep_until(until) => "it takes too long".to_owned(),
        };
        let now = self.clock.monotonic();
        let mut told_at = self.told_at.lock().unwrap_or_else(PoisonError::into_inner);
        if told_at.is_none_or(|told| now.since(told) >= TELL_EVERY) {
            *told_at = Some(now);
            tracing::error!("cleanups are not journaled, so a crash now would leave behind what runs made: {why}");
        }
        false
    }
}

/// What one run has put down. Whoever drops it before it is clean owes it: the janitor tries again, in this process.
pub struct Entry<'a> {
    journal: &'a Journal,
    /// Absent once it is clean.
    debt: Option<Debt>,
    /// Whether the store took it as it is now.
    is_kept: bool,
}

impl Entry<'_> {
    /// Puts down what the cleanup needs of what was captured by now. To be awaited before the next step begins.
    pub async fn keep(&mut self, captures: &BTreeMap<CaptureName, String>, owing: &Owing) {
        let Some(debt) = &mut self.debt else { return };
        let needed = captures.iter().filter(|(name, _)| owing.needs(name));
        let needed: BTreeMap<_, _> = needed.map(|(name, text)| (name.clone(), text.clone())).collect();
        if needed != debt.captures {
            debt.captures = needed;
            self.is_kept = self.journal.put(debt).await;
        }
    }

    /// Does the work of a step, and meanwhile offers again what the store did not take, for as long as the work takes: the
    /// step waits for nothing.
    pub async fn offering<T>(&mut self, work: impl Future<Output = T>) -> T {
        let (work, offer) = (pin!(work), pin!(self.offer()));
        match select(work, offer).await {
            Either::Left((done, _)) => done,
            Either::Right(((), work)) => work.await,
        }
    }

    async fn offer(&mut self) {
        if let Some(debt) = self.debt.as_ref().filter(|_| !self.is_kept) {
            self.is_kept = self.journal.put(debt).await;
        }
    }

    /// The cleanup did its work, so nothing is left to be told.
    pub async fn clean(mut self) {
        if let Some(debt) = self.debt.take() {
            self.journal.acquit(&debt.run).await;
        }
    }
}

impl Drop for Entry<'_> {
    fn drop(&mut self) {
        let Some(debt) = self.debt.take() else { return };
        // A janitor that has ended needs none: it is the next start that tries this one.
        if let Err(TrySendError::Full(debt)) = self.journal.owed.try_send(debt) {
            tracing::error!(probe = %debt.probe, "too many cleanups wait to be tried again; the next start tries this one");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::testing::{Debts, TestClock};
    use std::sync::atomic::Ordering::SeqCst;

    #[tokio::test(start_paused = true)]
    async fn what_was_not_erased_is_erased_with_the_next() {
        let (clock, store) = (TestClock::starting("2026-11-24T10:00:00Z"), Arc::new(Debts::default()));
        let journal = Journal::new(clock, Arc::clone(&store) as _, mpsc::channel(8).0);
        let probe = ProbeName::parse("order").unwrap();
        let runs = ["r1", "r2"].map(|id| RunId(Arc::from(id)));
        for run in &runs {
            let entry = journal.begin(&probe, run).await;
            store.full.store(*run == runs[0], SeqCst);
            entry.clean().await;
            store.full.store(false, SeqCst);
            let left: Vec<_> = store.kept.lock().unwrap().keys().cloned().collect();
            assert_eq!(left, if *run == runs[0] { vec![run.clone()] } else { Vec::new() });
        }
    }
}
