//! The one thread that writes. It takes everything that is queued and makes one transaction of it, because a sync costs
//! milliseconds whether it carries one row or thousands; whoever asked is answered after the `COMMIT` returned.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use rusqlite::{Connection, Error, ErrorCode, Result, TransactionBehavior};
use tokio::sync::{mpsc, oneshot};

use super::lock::Lock;
use super::{opening, outbox, records, retention};
use crate::domain::time::Timestamp;
use crate::ports::{Commit, Delivery, Settlement, StoreError};

/// How many callers wait in the queue; beyond it they wait to get in.
pub const QUEUE_MAX: usize = 1_024;

/// How many callers share a transaction.
const GROUP_MAX: usize = 512;

/// What is to be written.
pub enum Work {
    /// What ended and what changed.
    Commit(Box<Commit>),
    /// What came of an attempt at a delivery.
    Settle(Box<(Delivery, Settlement)>),
    /// A slice of what is older.
    Purge(Timestamp),
    /// A slice of the free pages.
    Vacuum,
    /// What a test does to the connection.
    #[cfg(test)]
    Tamper(Box<dyn Fn(&Connection) -> Result<()> + Send>),
}

/// What was written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Done {
    /// How many rows were erased.
    pub rows: u64,
    /// Whether there is another slice.
    pub more: bool,
}

/// Work, and whom to answer.
pub struct Task {
    /// The work.
    pub work: Work,
    /// Told when it is committed; nobody may be listening any more.
    pub reply: oneshot::Sender<std::result::Result<Done, StoreError>>,
}

/// What the thread owns.
pub struct Writer {
    /// Where the store is.
    pub path: PathBuf,
    /// Absent after a failure that a connection does not survive, until the next work.
    pub connection: Option<Connection>,
    /// The queue; when all its senders are gone the thread ends.
    pub tasks: mpsc::Receiver<Task>,
    /// Committed transactions.
    pub transactions: Arc<AtomicU64>,
    /// Released after the connection is closed.
    pub lock: Lock,
}

impl Writer {
    /// Goes on until nobody can ask any more, then puts the log into the database.
    pub fn run(mut self) {
        let mut group = Vec::with_capacity(GROUP_MAX);
        while self.tasks.blocking_recv_many(&mut group, GROUP_MAX) > 0 {
            let results = self.perform(&group);
            for (task, result) in group.drain(..).zip(results) {
                // Whoever gave up waiting finds it in the store.
                let _ = task.reply.send(result);
            }
        }
        self.end();
    }

    /// One transaction for all. When one of them is to blame, each has a transaction of its own, so that only that one
    /// fails.
    fn perform(&mut self, group: &[Task]) -> Vec<std::result::Result<Done, StoreError>> {
        let failed = |error: Error| StoreError::Failed(error.to_string());
        match self.transaction(group) {
            Ok(done) => done.into_iter().map(Ok).collect(),
            Err(error) if group.len() > 1 && !is_of_the_store(&error) => {
                let alone = |task| self.transaction(std::slice::from_ref(task));
                let first = |done: Vec<Done>| done.first().copied().unwrap_or_default();
                group.iter().map(alone).map(|done| done.map(first).map_err(failed)).collect()
            }
            Err(error) => {
                let message = error.to_string();
                group.iter().map(|_| Err(StoreError::Failed(message.clone()))).collect()
            }
        }
    }

    fn transaction(&mut self, group: &[Task]) -> Result<Vec<Done>> {
        let done = self.connection().and_then(|connection| write(connection, group));
        match &done {
            Ok(_) => {
                self.transactions.fetch_add(1, Ordering::Relaxed);
            }
            // After a failed sync the kernel calls pages clean that never reached the disk, so a second sync of the same
            // handle would succeed and prove nothing.
            Err(error) if breaks_connection(error) => self.connection = None,
            Err(_) => {}
        }
        done
    }

    fn connection(&mut self) -> Result<&mut Connection> {
        let connection = match self.connection.take() {
            Some(connection) => connection,
            None => opening::writer(&self.path)?,
        };
        Ok(self.connection.insert(connection))
    }

    fn end(self) {
        let Self { connection, lock, .. } = self;
        if let Some(connection) = connection {
            // What is not put into the database now is put there by the next process.
            let put = connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()));
            if let Err(error) = put.and_then(|()| connection.close().map_err(|(_, error)| error)) {
                tracing::warn!("the store was not closed cleanly, which loses nothing: {error}");
            }
        }
        drop(lock);
    }
}

fn write(connection: &mut Connection, group: &[Task]) -> Result<Vec<Done>> {
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let done = group.iter().map(|task| task.work.write(&transaction)).collect::<Result<_>>()?;
    transaction.commit()?;
    Ok(done)
}

impl Work {
    fn write(&self, connection: &Connection) -> Result<Done> {
        match self {
            Self::Commit(commit) => records::write(connection, commit).map(|()| Done::default()),
            Self::Settle(settled) => {
                let (delivery, settlement) = &**settled;
                outbox::settle(connection, delivery, settlement).map(|()| Done::default())
            }
            Self::Purge(before) => retention::purge(connection, *before),
            Self::Vacuum => retention::vacuum(connection),
            #[cfg(test)]
            Self::Tamper(tamper) => tamper(connection).map(|()| Done::default()),
        }
    }
}

/// Whether it would happen to any work: then trying each alone only costs its wait again.
fn is_of_the_store(error: &Error) -> bool {
    breaks_connection(error)
        || matches!(
            error.sqlite_error_code(),
            Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked | ErrorCode::ReadOnly)
        )
}

fn breaks_connection(error: &Error) -> bool {
    matches!(
        error.sqlite_error_code(),
        Some(
            ErrorCode::SystemIoFailure
                | ErrorCode::DatabaseCorrupt
                | ErrorCode::NotADatabase
                | ErrorCode::CannotOpen
                | ErrorCode::FileLockingProtocolFailed
        )
    )
}
