//! Reads what was before from the store, for objectives that look back on it. In the background and at a quarter of its pace:
//! a window of months is a million runs, and probing must not feel it.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, watch};

use super::dispatcher::Notice;
use crate::domain::past::Question;
use crate::ports::{Clock, Store};

/// For each part that is read it rests for so many times as long.
const REST: u32 = 3;

/// A store that failed is asked again after this long.
const AGAIN: Duration = Duration::from_secs(15);

/// Who reads it.
pub struct Recall {
    /// The clocks.
    pub clock: Arc<dyn Clock>,
    /// What is read.
    pub store: Arc<dyn Store>,
    /// What is asked; another question makes the one before it void.
    pub question: watch::Receiver<Option<Arc<Question>>>,
    /// Where the answers go.
    pub notices: mpsc::Sender<Notice>,
}

impl Recall {
    /// Goes on for ever.
    pub async fn run(mut self) {
        loop {
            let question = self.question.borrow_and_update().clone();
            if let Some(question) = question {
                self.answer(&question).await;
            }
            if self.question.changed().await.is_err() {
                // Nobody asks any more, as when the dispatcher has ended before this is.
                std::future::pending::<()>().await;
            }
        }
    }

    /// Answers part by part, until all is said or something else is asked.
    async fn answer(&self, question: &Arc<Question>) {
        let mut from = question.from;
        let mut is_well = true;
        while !self.question.has_changed().unwrap_or(false) {
            let begun = self.clock.monotonic();
            match self.store.past(Arc::clone(question), from).await {
                Ok(past) => {
                    let next = past.next;
                    let rest = self.clock.monotonic().since(begun) * REST;
                    if self.notices.send(Notice::Past { number: question.number, past }).await.is_err() {
                        return;
                    }
                    let Some(next) = next else { return };
                    from = next;
                    self.clock.sleep_until(self.clock.monotonic() + rest).await;
                }
                Err(error) => {
                    if std::mem::take(&mut is_well) {
                        tracing::warn!("objectives cannot look back: {error}");
                    }
                    self.clock.sleep_until(self.clock.monotonic() + AGAIN).await;
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::sync::Mutex;

    use futures::future::BoxFuture;

    use super::*;
    use crate::domain::debt::Debt;
    use crate::domain::grouping::{Group, Rules};
    use crate::domain::names::ChannelName;
    use crate::domain::outcome::RunId;
    use crate::domain::past::PastRuns;
    use crate::domain::time::{Timestamp, later};
    use crate::engine::testing::{TestClock, at};
    use crate::ports::{Commit, Delivery, Due, Loaded, Settlement, StoreError};

    /// Answers what it is told, in turn, and takes a second for each.
    struct Archive {
        clock: Arc<TestClock>,
        answers: Mutex<Vec<Result<Option<Timestamp>, StoreError>>>,
        asked: Mutex<Vec<(u64, Timestamp)>>,
    }

    impl Store for Archive {
        fn past(&self, question: Arc<Question>, from: Timestamp) -> BoxFuture<'_, Result<PastRuns, StoreError>> {
            self.asked.lock().unwrap().push((question.number, from));
            let answer = self.answers.lock().unwrap().pop().unwrap_or(Ok(None));
            Box::pin(async move {
                self.clock.sleep_until(self.clock.monotonic() + Duration::from_secs(1)).await;
                answer.map(|next| PastRuns { next, ..PastRuns::default() })
            })
        }
        fn commit(&self, _: Arc<Commit>) -> BoxFuture<'_, Result<(), StoreError>> {
            unreachable!("the past is only read")
        }
        fn load(&self) -> BoxFuture<'_, Result<Loaded, StoreError>> {
            unreachable!("the past is only read")
        }
        fn due_deliveries(&self, _: Timestamp, _: usize) -> BoxFuture<'_, Result<Due, StoreError>> {
            unreachable!("the past is only read")
        }
        fn gather<'a>(
            &'a self,
            _: Timestamp,
            _: &'a BTreeMap<ChannelName, Rules>,
        ) -> BoxFuture<'a, Result<(), StoreError>> {
            unreachable!("the past is only read")
        }
        fn group<'a>(&'a self, _: &'a Delivery) -> BoxFuture<'a, Result<Option<Group>, StoreError>> {
            unreachable!("the past is only read")
        }
        fn settle<'a>(&'a self, _: &'a Delivery, _: Settlement) -> BoxFuture<'a, Result<(), StoreError>> {
            unreachable!("the past is only read")
        }
        fn retry_deliveries(&self, _: Timestamp) -> BoxFuture<'_, Result<(), StoreError>> {
            unreachable!("the past is only read")
        }
        fn journal(&self, _: Debt) -> BoxFuture<'_, Result<(), StoreError>> {
            unreachable!("the past is only read")
        }
        fn acquit<'a>(&'a self, _: &'a RunId) -> BoxFuture<'a, Result<(), StoreError>> {
            unreachable!("the past is only read")
        }
        fn purge(&self, _: Timestamp) -> BoxFuture<'_, Result<u64, StoreError>> {
            unreachable!("the past is only read")
        }
    }

    #[tokio::test(start_paused = true)]
    async fn it_is_read_part_by_part_with_rests_and_again_where_the_store_failed() {
        let clock = TestClock::starting("2026-11-24T10:00:00Z");
        let begin = at("2026-10-25T10:00:00Z");
        let part = |n: u64| later(begin, Duration::from_secs(n * 86_400));
        // The last is the first that is given.
        let answers = vec![Ok(None), Err(StoreError::Failed("disk".to_owned())), Ok(Some(part(2))), Ok(Some(part(1)))];
        let store =
            Arc::new(Archive { clock: Arc::clone(&clock), answers: Mutex::new(answers), asked: Mutex::default() });
        let ask =
            |number: u64| Some(Arc::new(Question { number, from: begin, until: clock.now(), rounds: BTreeMap::new() }));
        let (question, questions) = watch::channel(ask(1));
        let (notices, mut told) = mpsc::channel(8);
        let recall =
            Recall { clock: Arc::clone(&clock) as _, store: Arc::clone(&store) as _, question: questions, notices };
        let mut task = tokio::task::JoinSet::new();
        task.spawn(recall.run());
        let mut numbers = Vec::new();
        let mut next = async || match told.recv().await.unwrap() {
            Notice::Past { number, past } => (number, past.next),
            _ => unreachable!("nothing else is told"),
        };
        for _ in 0..3 {
            numbers.push(next().await);
        }
        assert_eq!(numbers, [(1, Some(part(1))), (1, Some(part(2))), (1, None)]);
        let asked = store.asked.lock().unwrap().clone();
        assert_eq!(asked, [(1, begin), (1, part(1)), (1, part(2)), (1, part(2))]);
        // Four seconds that were read, two rests of three, and a quarter of a minute after the failure.
        assert_eq!(clock.monotonic().0.as_secs(), 4 + 2 * 3 + 15);
        question.send_replace(None);
        question.send_replace(ask(2));
        assert_eq!(next().await, (2, None));
        // Another question makes the one before it void.
        *store.answers.lock().unwrap() = vec![Ok(None), Ok(Some(part(1)))];
        question.send_replace(ask(3));
        assert_eq!(next().await, (3, Some(part(1))));
        question.send_replace(ask(4));
        assert_eq!(next().await, (4, None));
    }
}
