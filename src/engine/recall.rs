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
