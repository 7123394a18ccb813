//! One transaction after the other, and what is kept while the store takes none.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt as _;

use super::news::{figures, log};
use super::{Committing, Dispatcher};
use crate::domain::audit::AUDITS_MAX;
use crate::domain::incident::Version;
use crate::domain::metric::{MetricName, Sample, SampleLabels};
use crate::domain::time::Monotonic;
use crate::engine::unrecorded::{STORE_PATIENCE, no_answer};
use crate::ports::{Commit, StoreError};

/// How many runs are kept while the store does not take them; states, incidents and messages are kept whole.
const UNRECORDED_RUNS_MAX: usize = 100_000;

/// How many bundles are kept meanwhile: sixteen MiB at most, and what is lost with the others is only their detail.
const UNRECORDED_BUNDLES_MAX: usize = 1_000;

/// How many changes of version are kept meanwhile, besides the last of each step: targets that answer in turn change with each
/// run.
const UNRECORDED_VERSIONS_MAX: usize = 10_000;

/// How long a store that failed is left alone at first; doubles …
const STORE_REST_MIN: Duration = Duration::from_secs(1);

/// … to here, since each attempt hands over all that waits.
const STORE_REST_MAX: Duration = Duration::from_secs(15);

/// How often it is said that the store still fails.
const TELL_EVERY: Duration = Duration::from_secs(60);

/// How the store has failed so far.
#[derive(Clone, Copy)]
pub(super) struct Outage {
    /// The next attempt at it.
    pub(super) until: Monotonic,
    /// How long to wait after that.
    rest: Duration,
    told_at: Monotonic,
}

/// What came of the commit that is under way. It may be asked again and again until it says so.
pub(super) async fn answered(committing: &mut Option<Committing>) -> (Arc<Commit>, Result<(), StoreError>) {
    let Some(under_way) = committing else { return std::future::pending().await };
    let answer = under_way.await;
    *committing = None;
    answer
}

impl Dispatcher {
    /// Commits everything that is not recorded. A store that fails is tried again with all that has come since: probing
    /// goes on, and no message is forgotten.
    pub(super) async fn commit(&mut self, outage: &mut Option<Outage>) {
        if outage.is_some_and(|outage| self.clock.monotonic() < outage.until) {
            return self.let_go();
        }
        if let Some(mut committing) = self.committing.take() {
            match (&mut committing).now_or_never() {
                Some((commit, result)) => self.finish(commit, result, outage),
                None => return self.wait_on(committing, outage),
            }
        }
        if is_empty(&self.unrecorded) || outage.is_some_and(|outage| self.clock.monotonic() < outage.until) {
            return;
        }
        let commit = Arc::new(std::mem::take(&mut self.unrecorded));
        let held = Arc::clone(&commit);
        let store = Arc::clone(&self.store);
        let mut committing: Committing = Box::pin(async move {
            let result = store.commit(Arc::clone(&commit)).await;
            (commit, result)
        });
        let until = self.clock.monotonic() + STORE_PATIENCE;
        tokio::select! {
            biased;
            (commit, result) = &mut committing => {
                drop(held);
                self.finish(commit, result, outage);
            }
            () = self.clock.sleep_until(until) => {
                self.held.hold(&held.deliveries);
                drop(held);
                self.wait_on(committing, outage);
            }
        }
    }

    /// Puts away what the store took, or keeps what it did not.
    pub(super) fn finish(&mut self, commit: Arc<Commit>, result: Result<(), StoreError>, outage: &mut Option<Outage>) {
        // Copied only while a store that failed still holds it.
        let mut commit = Arc::unwrap_or_clone(commit);
        match result {
            Ok(()) => {
                self.vitals.changes.committed(&commit);
                if outage.take().is_some() {
                    tracing::info!("the store takes commits again");
                }
                let committed = std::mem::take(&mut commit.deliveries);
                if !committed.is_empty() {
                    self.wake.notify_one();
                }
                self.held.release(&self.unrecorded.deliveries, committed);
                let now = self.clock.now();
                log(&commit, now);
                self.fanout.send(figures(&commit, now));
            }
            Err(error) => {
                self.unrecorded = commit.then(std::mem::take(&mut self.unrecorded));
                self.keep(&error, outage);
                self.let_go();
            }
        }
    }

    /// Lets messages go without the store.
    fn let_go(&self) {
        if !self.unrecorded.deliveries.is_empty() {
            self.held.hold(&self.unrecorded.deliveries);
            self.wake.notify_one();
        }
    }

    /// Goes on without the answer to a commit that may still come.
    fn wait_on(&mut self, committing: Committing, outage: &mut Option<Outage>) {
        self.committing = Some(committing);
        self.keep(&no_answer(), outage);
        self.let_go();
        self.wake.notify_one();
    }

    /// Keeps what could not be recorded; says so at once, and again as long as it lasts.
    fn keep(&mut self, error: &StoreError, outage: &mut Option<Outage>) {
        let now = self.clock.monotonic();
        let rest = outage.map_or(STORE_REST_MIN, |outage| (outage.rest * 2).min(STORE_REST_MAX));
        self.held.blame(error, self.clock.now());
        self.vitals.changes.everything();
        let at = self.clock.now();
        self.fanout.send([Sample { name: MetricName::StoreFailures, at, value: 1.0, labels: SampleLabels::default() }]);
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
pub(super) struct Shed {
    pub(super) runs: usize,
    pub(super) bundles: usize,
}

/// Gives up the oldest of what waits where it is too much.
pub(super) fn shed(unrecorded: &mut Commit) -> Shed {
    let Commit { runs, bundles, audits, versions, .. } = unrecorded;
    let excess = Shed {
        runs: runs.len().saturating_sub(UNRECORDED_RUNS_MAX),
        bundles: bundles.len().saturating_sub(UNRECORDED_BUNDLES_MAX),
    };
    runs.drain(..excess.runs);
    bundles.drain(..excess.bundles);
    audits.drain(..audits.len().saturating_sub(AUDITS_MAX));
    shed_versions(versions);
    excess
}

/// Gives up the oldest changes of version where they are too many; of each step the last stays, which says how it is now.
fn shed_versions(versions: &mut Vec<Version>) {
    let mut excess = versions.len().saturating_sub(UNRECORDED_VERSIONS_MAX);
    if excess == 0 {
        return;
    }
    let step = |version: &Version| (version.probe.clone(), version.step.clone());
    let last: HashMap<_, _> = versions.iter().enumerate().map(|(at, version)| (step(version), at)).collect();
    let mut at = 0..;
    versions.retain(|version| {
        let is_last = last.get(&step(version)).copied() == at.next();
        let goes = excess > 0 && !is_last;
        excess -= usize::from(goes);
        !goes
    });
}

pub(super) fn is_empty(commit: &Commit) -> bool {
    let Commit {
        runs,
        accounts,
        states,
        incidents,
        moments,
        deliveries,
        versions,
        bundles,
        pulses,
        silences,
        pauses,
        flaps,
        diagnoses,
        recents,
        replies,
        audits,
    } = commit;
    runs.is_empty()
        && accounts.is_empty()
        && states.is_empty()
        && incidents.is_empty()
        && moments.is_empty()
        && deliveries.is_empty()
        && versions.is_empty()
        && bundles.is_empty()
        && pulses.is_empty()
        && silences.is_empty()
        && pauses.is_empty()
        && flaps.is_empty()
        && diagnoses.is_empty()
        && recents.is_empty()
        && replies.is_empty()
        && audits.is_empty()
}
