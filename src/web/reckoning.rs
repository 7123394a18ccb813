//! What a plan takes: how many series it fills, and what AWS bills for it. To know that a day of it is gone through, which takes
//! a while where there are many probes; so it is done when somebody first asks, and once for each plan.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::watch;
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

type Answer = Arc<Result<Reckoned, String>>;

/// A plan, and what is reckoned of it as soon as it is.
type Asked = (Arc<Plan>, watch::Receiver<Option<Answer>>);

/// What was reckoned of the plan that runs, or is being reckoned.
#[derive(Default)]
pub struct Reckoning(Mutex<Option<Asked>>);

impl Reckoning {
    /// What a plan takes. It is reckoned to the end also where nobody waits for it any more, so that whoever asks again and again
    /// has it done once.
    pub async fn of(&self, plan: &Arc<Plan>, reckon: &Reckon, now: Timestamp) -> Answer {
        let mut answer = self.begun(plan, reckon, now);
        let answer = answer.wait_for(Option::is_some).await.ok().and_then(|answer| answer.clone());
        answer.unwrap_or_else(|| {
            tracing::error!("our own fault: what the plan takes was not reckoned");
            Arc::new(Err("a bug of Roundsman ended the reckoning".to_owned()))
        })
    }

    fn begun(&self, plan: &Arc<Plan>, reckon: &Reckon, now: Timestamp) -> watch::Receiver<Option<Answer>> {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((of, answer)) = kept.as_ref()
            && Arc::ptr_eq(of, plan)
        {
            return answer.clone();
        }
        let (sender, answer) = watch::channel(None);
        let (asked, reckon) = (Arc::clone(plan), Arc::clone(reckon));
        spawn_blocking(move || sender.send_replace(Some(Arc::new(reckon(&asked, now)))));
        *kept = Some((Arc::clone(plan), answer.clone()));
        answer
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
