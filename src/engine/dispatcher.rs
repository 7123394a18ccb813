//! The single owner of alert state. It takes results in their order, lets the judge decide, commits states, incidents
//! and messages in one transaction, and only then lets samples and messages go.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Notify, mpsc};

use super::fanout::Fanout;
use super::ledger::Ledger;
use super::plan::Plan;
use super::scheduler::Ended;
use crate::domain::metric::{MetricName, Sample, SampleLabels, samples, slot_samples};
use crate::domain::time::Monotonic;
use crate::ports::{Clock, Commit, Store, StoreError};
use crate::settings::problem::harmless;

/// How many results one transaction takes; never waited for.
const BATCH_MAX: usize = 500;

/// How many runs are kept while the store does not take them; states, incidents and messages are kept whole.
const UNRECORDED_RUNS_MAX: usize = 100_000;

/// How long a store that failed is left alone.
const STORE_REST: Duration = Duration::from_secs(1);

/// What the dispatcher is told besides results.
pub enum Notice {
    /// Go on under another plan.
    Reload(Arc<Plan>),
}

/// The dispatcher.
pub struct Dispatcher {
    /// The clocks.
    pub clock: Arc<dyn Clock>,
    /// Where everything lasting goes.
    pub store: Arc<dyn Store>,
    /// States and incidents.
    pub ledger: Ledger,
    /// Results of the scheduler.
    pub ended: mpsc::Receiver<Ended>,
    /// Changes of plan.
    pub notices: mpsc::Receiver<Notice>,
    /// Where samples go after the commit.
    pub fanout: Fanout,
    /// Wakes the deliverer after the commit.
    pub wake: Arc<Notify>,
    /// What is not in the store yet; at first what opening the ledger changed.
    pub unrecorded: Commit,
}

impl Dispatcher {
    /// Goes on until no result can come any more, then commits what is left.
    pub async fn run(mut self) {
        let mut batch = Vec::with_capacity(BATCH_MAX);
        let mut rest_until: Option<Monotonic> = None;
        self.commit(&mut rest_until).await;
        loop {
            let retry_at = rest_until.unwrap_or_else(|| self.clock.monotonic() + Duration::from_secs(3_600));
            tokio::select! {
                biased;
                Some(notice) = self.notices.recv() => {
                    let Notice::Reload(plan) = notice;
                    self.ledger.take(plan, self.clock.now(), &mut self.unrecorded);
                }
                received = self.ended.recv_many(&mut batch, BATCH_MAX) => {
                    if received == 0 {
                        break;
                    }
                    self.take(&mut batch);
                }
                () = self.clock.sleep_until(retry_at) => {}
            }
            self.commit(&mut rest_until).await;
        }
        if !is_empty(&self.unrecorded) {
            rest_until = None;
            self.commit(&mut rest_until).await;
        }
    }

    fn take(&mut self, batch: &mut Vec<Ended>) {
        let now = self.clock.now();
        let mut told = Vec::new();
        for ended in batch.drain(..) {
            if let Some(account) = ended.account {
                told.extend(slot_samples(&account, now));
                self.unrecorded.accounts.push(account);
            }
            if let Some(run) = ended.run {
                told.extend(samples(&run));
                self.ledger.take_run(run, now, &mut self.unrecorded);
            }
        }
        let open = self.ledger.incidents_open() as f64;
        told.push(Sample { name: MetricName::IncidentsOpen, at: now, value: open, labels: SampleLabels::default() });
        self.fanout.send(&told);
    }

    /// Commits everything that is not recorded. A store that fails is tried again a second later with all that has come
    /// since: probing goes on, and no message is forgotten.
    async fn commit(&mut self, rest_until: &mut Option<Monotonic>) {
        if is_empty(&self.unrecorded) || rest_until.is_some_and(|until| self.clock.monotonic() < until) {
            return;
        }
        let commit = self.unrecorded.clone();
        let messages = !commit.deliveries.is_empty();
        match self.store.commit(commit).await {
            Ok(()) => {
                log(&std::mem::take(&mut self.unrecorded));
                if rest_until.take().is_some() {
                    tracing::info!("the store takes commits again");
                }
                if messages {
                    self.wake.notify_one();
                }
            }
            Err(error) => self.keep(&error, rest_until),
        }
    }

    fn keep(&mut self, error: &StoreError, rest_until: &mut Option<Monotonic>) {
        if rest_until.is_none() {
            tracing::error!(
                messages = self.unrecorded.deliveries.len(),
                "results wait until they can be recorded: {error}"
            );
        }
        *rest_until = Some(self.clock.monotonic() + STORE_REST);
        let excess = self.unrecorded.runs.len().saturating_sub(UNRECORDED_RUNS_MAX);
        self.unrecorded.runs.drain(..excess);
    }
}

/// What became of incidents, once it is recorded. What a target said is made harmless first.
fn log(commit: &Commit) {
    for moment in &commit.moments {
        let Some(incident) = commit.incidents.iter().rev().find(|incident| incident.id == moment.incident) else {
            continue;
        };
        let (id, severity, probe) = (&incident.id, incident.severity, &incident.probe);
        match moment.what.as_str() {
            "opened" => tracing::warn!(incident = %id, %severity, "opened: {}", harmless(&incident.summary())),
            "resolved" => tracing::info!(incident = %id, "resolved: {probe} {}", moment.text),
            "muted" => tracing::info!(incident = %id, "nobody is told of {probe}: {}", moment.text),
            _ => {}
        }
    }
}

fn is_empty(commit: &Commit) -> bool {
    let Commit { runs, accounts, states, forgotten, incidents, moments, deliveries } = commit;
    runs.is_empty()
        && accounts.is_empty()
        && states.is_empty()
        && forgotten.is_empty()
        && incidents.is_empty()
        && moments.is_empty()
        && deliveries.is_empty()
}
