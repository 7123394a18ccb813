//! What a plan takes: how many series it fills, and what AWS bills for it. To know that a day of it is gone through, which takes
//! a while where there are many probes; so it is done when somebody first asks, and once for each plan.

use std::collections::BTreeMap;
use std::sync::Arc;

use tokio::sync::Mutex;
use tokio::task::spawn_blocking;

use crate::domain::bill::dollars::Dollars;
use crate::domain::time::Timestamp;
use crate::engine::plan::Plan;

/// What a plan takes, or why that cannot be told.
pub type Reckon = Arc<dyn Fn(&Plan, Timestamp) -> Result<Reckoned, String> + Send + Sync>;

/// What a plan takes.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Reckoned {
    /// How many series each publisher fills, by its kind.
    pub series: BTreeMap<&'static str, u64>,
    /// What AWS bills a month for who has used up what is free.
    pub bill: Dollars,
    /// Its parts, by the service on whose bill they stand.
    pub services: Vec<(String, Dollars)>,
    /// Each budget with what it is for, and what comes to it.
    pub budgets: Vec<(String, Dollars, Dollars)>,
    /// Of which region the prices are, and of which day.
    pub prices: (String, String),
}

/// What was reckoned of the plan that runs.
#[derive(Default)]
pub struct Reckoning(Mutex<Option<(Arc<Plan>, Arc<Result<Reckoned, String>>)>>);

impl Reckoning {
    /// What a plan takes; whoever asks while somebody else does waits for the same answer.
    pub async fn of(&self, plan: &Arc<Plan>, reckon: &Reckon, now: Timestamp) -> Arc<Result<Reckoned, String>> {
        let mut kept = self.0.lock().await;
        if let Some((of, reckoned)) = kept.as_ref()
            && Arc::ptr_eq(of, plan)
        {
            return Arc::clone(reckoned);
        }
        let (asked, reckon) = (Arc::clone(plan), Arc::clone(reckon));
        let reckoned = spawn_blocking(move || reckon(&asked, now)).await;
        let reckoned = Arc::new(reckoned.unwrap_or_else(|bug| {
            tracing::error!(%bug, "our own fault: what the plan takes was not reckoned");
            Err("a bug of Roundsman ended the reckoning".to_owned())
        }));
        *kept = Some((Arc::clone(plan), Arc::clone(&reckoned)));
        reckoned
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::testing::{at, plan_of};
    use std::sync::atomic::{AtomicU32, Ordering};

    #[tokio::test]
    async fn a_plan_is_gone_through_once_for_all_who_ask() {
        let asked = Arc::new(AtomicU32::new(0));
        let counted = Arc::clone(&asked);
        let reckon: Reckon = Arc::new(move |_, _| {
            counted.fetch_add(1, Ordering::Relaxed);
            Ok(Reckoned::default())
        });
        let (reckoning, now) = (Reckoning::default(), at("2026-11-24T10:00:00Z"));
        let plans = [(); 2].map(|()| Arc::new(plan_of(Vec::new())));
        futures::future::join_all((0..9).map(|_| reckoning.of(&plans[0], &reckon, now))).await;
        assert_eq!(asked.load(Ordering::Relaxed), 1);
        assert_eq!(*reckoning.of(&plans[1], &reckon, now).await, Ok(Reckoned::default()));
        assert_eq!(asked.load(Ordering::Relaxed), 2, "another plan");
    }
}
