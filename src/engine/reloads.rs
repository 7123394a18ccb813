//! Where somebody asks for the files to be read again. Who runs the daemon does it, one after the other, by the same way as when
//! a signal asks.

use tokio::sync::{mpsc, oneshot};

use crate::settings::Problems;

/// Asks, and waits for what came of it.
#[derive(Clone)]
pub struct Reloads(mpsc::Sender<oneshot::Sender<Reloaded>>);

/// Who hears it: each is answered when the files are in force, or refused.
pub type Asked = mpsc::Receiver<oneshot::Sender<Reloaded>>;

/// What came of it.
#[derive(Clone, Debug)]
pub enum Reloaded {
    /// They are in force.
    Taken {
        /// What is otherwise than before, in words; nothing where they are as they were.
        changes: Vec<String>,
        /// What is worth a look in them.
        warnings: Problems,
    },
    /// They were refused whole, and nothing has changed; why, with the place of each mistake.
    Refused(Problems),
}

impl Reloads {
    /// Where to ask, and what hears it.
    pub fn new() -> (Self, Asked) {
        let (asked, heard) = mpsc::channel(8);
        (Self(asked), heard)
    }

    /// Has the files read again; nothing where nobody does so any more.
    pub async fn reload(&self) -> Option<Reloaded> {
        let (answer, answered) = oneshot::channel();
        self.0.send(answer).await.ok()?;
        answered.await.ok()
    }
}
