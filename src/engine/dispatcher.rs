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
use crate::domain::text::harmless;
use crate::domain::time::Monotonic;
use crate::ports::{Clock, Commit, Store, StoreError};

/// How many results one transaction takes; never waited for.
const BATCH_MAX: usize = 500;

/// How long the dispatcher lets results gather after a commit that was not full. What comes after a quiet moment is committed
/// at once; under load a sync serves tens of results and not one or two, which halves what the store costs.
const GATHER: Duration = Duration::from_millis(20);

/// How many runs are kept while the store does not take them; states, incidents and messages are kept whole.
const UNRECORDED_RUNS_MAX: usize = 100_000;

/// How many bundles are kept meanwhile: sixteen MiB at most, and what is lost with the others is only their detail.
const UNRECORDED_BUNDLES_MAX: usize = 1_000;

/// How long a store that failed is left alone at first; doubles …
const STORE_REST_MIN: Duration = Duration::from_secs(1);

/// … to here, since each attempt hands over all that waits.
const STORE_REST_MAX: Duration = Duration::from_secs(15);

/// How often it is said that the store still fails.
const TELL_EVERY: Duration = Duration::from_secs(60);

/// How long the dispatcher sleeps when nothing comes.
const LOOK: Duration = Duration::from_secs(3_600);

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

/// How the store has failed so far.
#[derive(Clone, Copy)]
struct Outage {
    /// The next attempt at it.
    until: Monotonic,
    /// How long to wait after that.
    rest: Duration,
    told_at: Monotonic,
}

impl Dispatcher {
    /// Goes on until no result can come any more, then commits what is left.
    pub async fn run(mut self) {
        let mut batch = Vec::with_capacity(BATCH_MAX);
        let mut outage: Option<Outage> = None;
        self.commit(&mut outage).await;
        loop {
            let retry_at = outage.map_or_else(|| self.clock.monotonic() + LOOK, |outage| outage.until);
            let mut told = Vec::new();
            let mut gathers = false;
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
                    gathers = received < BATCH_MAX;
                    told = self.take(&mut batch);
                }
                () = self.clock.sleep_until(retry_at) => {}
            }
            self.commit(&mut outage).await;
            // After the commit, so that no metric says what the store does not know; where the store fails metrics are all
            // that is left, so they go all the same.
            self.fanout.send(told);
            if gathers {
                self.clock.sleep_until(self.clock.monotonic() + GATHER).await;
            }
        }
        if let Some(outage) = &mut outage {
            outage.until = self.clock.monotonic();
        }
        self.commit(&mut outage).await;
        if !is_empty(&self.unrecorded) {
            let Commit { runs, bundles, deliveries, .. } = &self.unrecorded;
            tracing::error!(
                runs = runs.len(),
                bundles = bundles.len(),
                messages = deliveries.len(),
                "the store took them not, so they are lost"
            );
        }
    }

    fn take(&mut self, batch: &mut Vec<Ended>) -> Vec<Sample> {
        let now = self.clock.now();
        let mut told = Vec::new();
        for ended in batch.drain(..) {
            if let Some(account) = ended.account {
                told.extend(slot_samples(&account, now));
                self.unrecorded.add_account(account);
            }
            if let Some(run) = ended.run {
                told.extend(samples(&run));
                self.ledger.take_run(*run, now, &mut self.unrecorded);
            }
        }
        let open = self.ledger.incidents_open() as f64;
        told.push(Sample { name: MetricName::IncidentsOpen, at: now, value: open, labels: SampleLabels::default() });
        told
    }

    /// Commits everything that is not recorded. A store that fails is tried again with all that has come since: probing
    /// goes on, and no message is forgotten.
    async fn commit(&mut self, outage: &mut Option<Outage>) {
        if is_empty(&self.unrecorded) || outage.is_some_and(|outage| self.clock.monotonic() < outage.until) {
            return;
        }
        let commit = Arc::new(std::mem::take(&mut self.unrecorded));
        let result = self.store.commit(Arc::clone(&commit)).await;
        // Copied only while a store that failed still holds it.
        let commit = Arc::unwrap_or_clone(commit);
        match result {
            Ok(()) => {
                if outage.take().is_some() {
                    tracing::info!("the store takes commits again");
                }
                if !commit.deliveries.is_empty() {
                    self.wake.notify_one();
                }
                log(&commit);
            }
            Err(error) => {
                self.unrecorded = commit;
                self.keep(&error, outage);
            }
        }
    }

    /// Keeps what could not be recorded; says so at once, and again as long as it lasts.
    fn keep(&mut self, error: &StoreError, outage: &mut Option<Outage>) {
        let now = self.clock.monotonic();
        let rest = outage.map_or(STORE_REST_MIN, |outage| (outage.rest * 2).min(STORE_REST_MAX));
        let told_at = outage.map(|outage| outage.told_at).filter(|told_at| now.since(*told_at) < TELL_EVERY);
        let given_up = shed(&mut self.unrecorded);
        if told_at.is_none() || given_up != Shed::default() {
            let Commit { runs, bundles, deliveries, .. } = &self.unrecorded;
            tracing::error!(
                runs = runs.len(),
                bundles = bundles.len(),
                messages = deliveries.len(),
                given_up = given_up.runs,
                bundles_given_up = given_up.bundles,
                "results and messages wait until they can be recorded: {error}"
            );
        }
        *outage = Some(Outage { until: now + rest, rest, told_at: told_at.unwrap_or(now) });
    }
}

/// How much was given up.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Shed {
    runs: usize,
    bundles: usize,
}

/// Gives up the oldest of what waits where it is too much.
fn shed(unrecorded: &mut Commit) -> Shed {
    let Commit { runs, bundles, .. } = unrecorded;
    let excess = Shed {
        runs: runs.len().saturating_sub(UNRECORDED_RUNS_MAX),
        bundles: bundles.len().saturating_sub(UNRECORDED_BUNDLES_MAX),
    };
    runs.drain(..excess.runs);
    bundles.drain(..excess.bundles);
    excess
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
    let Commit { runs, accounts, states, forgotten, incidents, moments, deliveries, versions, bundles, pulses } =
        commit;
    runs.is_empty()
        && accounts.is_empty()
        && states.is_empty()
        && forgotten.is_empty()
        && incidents.is_empty()
        && moments.is_empty()
        && deliveries.is_empty()
        && versions.is_empty()
        && bundles.is_empty()
        && pulses.is_empty()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::names::ProbeName;
    use crate::domain::outcome::RunId;
    use crate::engine::testing::at;
    use crate::ports::KeptBundle;

    #[test]
    fn while_the_store_rests_the_latest_bundles_wait_and_no_more() {
        let bundle = |n: usize| KeptBundle {
            run: RunId(Arc::from(n.to_string())),
            probe: ProbeName::parse("api").unwrap(),
            started_at: at("2026-11-24T10:00:00Z"),
            incident: None,
            bundle: Arc::default(),
        };
        let mut waiting = Commit { bundles: (0..1_200).map(bundle).collect(), ..Commit::default() };
        assert!(!is_empty(&waiting));
        assert_eq!(shed(&mut waiting), Shed { runs: 0, bundles: 200 });
        assert_eq!((waiting.bundles.len(), &*waiting.bundles[0].run.0), (1_000, "200"));
    }
}
