//! The one thread that writes. It takes everything that is queued and makes one transaction of it, because a sync costs
//! milliseconds whether it carries one row or thousands; whoever asked is answered after the `COMMIT` returned.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use rusqlite::{Connection, Error, ErrorCode, Result, TransactionBehavior};
use tokio::sync::{mpsc, oneshot};

use super::lock::Lock;
use super::rollup::Slice;
use super::{gathering, journal, opening, outbox, records, redrive, retention, rollup};
use crate::domain::debt::Debt;
use crate::domain::grouping::Rules;
use crate::domain::names::ChannelName;
use crate::domain::outcome::RunId;
use crate::domain::time::Timestamp;
use crate::ports::{Commit, Delivery, Redrive, Redriven, Settlement, StoreError};

/// How many callers wait in the queue; beyond it they wait to get in.
pub const QUEUE_MAX: usize = 1_024;

/// How many callers share a transaction.
const GROUP_MAX: usize = 512;

/// What a test does to the connection.
#[cfg(test)]
pub type Tampering = dyn Fn(&Connection) -> Result<()> + Send;

/// What is to be written.
pub enum Work {
    /// What ended and what changed.
    Commit(Arc<Commit>),
    /// What has waited for others for long enough leaves, by the rules of its channel.
    Gather(Box<(Timestamp, BTreeMap<ChannelName, Rules>)>),
    /// With what a message left from memory.
    PutTogether(Box<(String, Vec<String>)>),
    /// What came of an attempt at a delivery.
    Settle(Box<(Delivery, Settlement)>),
    /// Deliveries that rest are due now.
    Retry(Timestamp),
    /// Deliveries that wait or were given up are due now, because somebody wants it.
    Redrive(Redrive, Timestamp),
    /// What a run may leave behind.
    Journal(Box<Debt>),
    /// Nothing is left of a run.
    Acquit(RunId),
    /// A slice of what is older.
    Purge(Timestamp),
    /// A slice of what is older of what is kept longer.
    PurgePast(Timestamp),
    /// A slice of runs that were counted.
    RollUp(Box<Slice>),
    /// A slice of the free pages.
    Vacuum,
    /// Anything, in the place of a commit.
    #[cfg(test)]
    Tamper(Box<Tampering>),
}

/// What was written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Done {
    /// How many rows were erased.
    pub rows: u64,
    /// Whether there is another slice.
    pub more: bool,
    /// What came of wanting deliveries to be tried again.
    pub redriven: Option<Redriven>,
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
    /// Stands by, so that the log is not read anew when the other is replaced.
    pub keeper: Connection,
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
        let mut is_in_log = false;
        while self.tasks.blocking_recv_many(&mut group, GROUP_MAX) > 0 {
            let results = self.perform(&group);
            is_in_log |= group.iter().any(|task| matches!(task.work, Work::Acquit(_)));
            // Before the answer, so that what is told to be erased is; unless others wait, who would pay for it.
            if is_in_log && self.tasks.is_empty() {
                is_in_log = !self.empty_log().unwrap_or(false);
            }
            for (Task { work, reply }, result) in group.drain(..).zip(results) {
                // Before the answer, so that whoever asked has a commit for itself again.
                drop(work);
                // Whoever gave up waiting finds it in the store.
                let _ = reply.send(result);
            }
        }
        self.end();
    }

    /// What was erased from the journal is gone from the database, and stands in the log until that is written anew: so
    /// the log is put into the database and made empty. False while somebody reads what is older, for whom nobody waits.
    fn empty_log(&self) -> Result<bool> {
        let Some(connection) = &self.connection else { return Ok(false) };
        connection.busy_timeout(Duration::ZERO)?;
        let is_busy = connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |row| row.get::<_, bool>(0));
        connection.busy_timeout(opening::BUSY_MAX)?;
        is_busy.map(|is_busy| !is_busy)
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
        let Self { connection, keeper, lock, .. } = self;
        drop(keeper);
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
            Self::Gather(asked) => {
                let (now, rules) = &**asked;
                gathering::gather(connection, *now, rules).map(|()| Done::default())
            }
            Self::PutTogether(put) => {
                let (carrier, others) = &**put;
                gathering::put_together(connection, carrier, others).map(|()| Done::default())
            }
            Self::Settle(settled) => {
                let (delivery, settlement) = &**settled;
                outbox::settling::settle(connection, delivery, settlement).map(|()| Done::default())
            }
            Self::Retry(now) => outbox::retry(connection, *now).map(|()| Done::default()),
            Self::Redrive(what, now) => {
                redrive::redrive(connection, what, *now).map(|came| Done { redriven: Some(came), ..Done::default() })
            }
            Self::Journal(debt) => journal::write(connection, debt).map(|()| Done::default()),
            Self::Acquit(run) => journal::erase(connection, run).map(|()| Done::default()),
            Self::Purge(before) => retention::purge(connection, *before),
            Self::PurgePast(before) => retention::purge_past(connection, *before),
            Self::RollUp(slice) => rollup::add(connection, slice).map(|()| Done::default()),
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ports::Store as _;
    use crate::store::testing::{Kept, kept, moment, run};
    use futures::future::{join, join_all};

    fn of_run(slot: i64) -> Commit {
        Commit { runs: vec![run("api", slot)], ..Commit::default() }
    }

    /// Commits that all stand in the queue before the writer takes the first of them.
    async fn at_once(kept: &Kept, commits: Vec<Commit>) -> Vec<std::result::Result<(), StoreError>> {
        let (go, wait) = std::sync::mpsc::channel();
        let (began, begins) = oneshot::channel();
        let began = std::sync::Mutex::new(Some(began));
        let hold = kept.store.tamper(move |_| {
            if let Some(began) = began.lock().unwrap().take() {
                began.send(()).unwrap();
                wait.recv().unwrap();
            }
            Ok(())
        });
        let queue = async {
            begins.await.unwrap();
            let let_go = async { go.send(()).unwrap() };
            let all = join(join_all(commits.into_iter().map(|commit| kept.store.commit(commit.into()))), let_go);
            // Polled in order and without tokio's budget for a task, each commit is in the queue by then.
            tokio::task::unconstrained(all).await.0
        };
        let (held, results) = join(hold, queue).await;
        held.unwrap();
        results
    }

    #[tokio::test]
    async fn what_is_queued_shares_a_transaction() {
        let kept = kept();
        let before = kept.store.transactions();
        let results = at_once(&kept, (0..500).map(of_run).collect()).await;
        assert!(results.iter().all(Result::is_ok));
        assert_eq!(kept.store.transactions() - before, 2, "one was the hold, one took all 500");
        assert_eq!(kept.number("SELECT count(*) FROM runs"), 500);
    }

    #[tokio::test]
    async fn one_that_cannot_be_written_fails_alone() {
        let kept = kept();
        let orphan =
            Commit { runs: vec![run("api", 1)], moments: vec![moment("nobody", 0, "failed")], ..Commit::default() };
        let results = at_once(&kept, vec![of_run(0), orphan, of_run(2)]).await;
        let results: Vec<_> = results.into_iter().map(|result| result.map_err(|error| error.to_string())).collect();
        assert_eq!(results, [Ok(()), Err("the store failed: FOREIGN KEY constraint failed".to_owned()), Ok(())]);
        assert_eq!(kept.number("SELECT count(*) FROM runs"), 2);
    }

    #[tokio::test]
    async fn a_full_disk_is_an_answer_and_passes() {
        let kept = kept();
        kept.store.commit(of_run(0).into()).await.unwrap();
        let limit = |pages: i64| {
            move |connection: &Connection| {
                connection.query_row(&format!("PRAGMA max_page_count = {pages}"), [], |_| Ok(()))
            }
        };
        kept.store.tamper(limit(1)).await.unwrap();
        let large = Commit { runs: (1..2_000).map(|slot| run("api", slot)).collect(), ..Commit::default() };
        let refused = kept.store.commit(large.clone().into()).await.unwrap_err();
        assert_eq!(refused.to_string(), "the store failed: database or disk is full");
        assert_eq!(kept.number("SELECT count(*) FROM runs"), 1, "all of a commit or nothing");
        kept.store.load().await.unwrap();
        kept.store.tamper(limit(1_000_000)).await.unwrap();
        kept.store.commit(large.into()).await.unwrap();
        assert_eq!(kept.number("SELECT count(*) FROM runs"), 2_000);
        assert_eq!(kept.integrity(), "ok");
    }

    #[tokio::test]
    async fn a_disk_that_fills_at_any_page_loses_nothing_that_was_answered() {
        let kept = kept();
        let mut answered = 0;
        let mut refused = 0;
        for slot in 0..60 {
            // Room for no page, for one, or for two more than there are.
            let pages = kept.number("PRAGMA page_count") + slot % 3;
            let limit = format!("PRAGMA max_page_count = {pages}");
            kept.store.tamper(move |connection| connection.query_row(&limit, [], |_| Ok(()))).await.unwrap();
            let runs = (0..12).map(|second| run("api", slot * 12 + second)).collect();
            match kept.store.commit(Commit { runs, ..Commit::default() }.into()).await {
                Ok(()) => answered += 12,
                Err(error) => {
                    assert_eq!(error.to_string(), "the store failed: database or disk is full");
                    refused += 1;
                }
            }
            assert_eq!(kept.number("SELECT count(*) FROM runs"), answered);
        }
        assert!(answered > 0 && refused > 0, "{answered} answered, {refused} refused");
        assert_eq!(kept.integrity(), "ok");
    }

    #[tokio::test]
    async fn a_failed_sync_is_answered_and_never_repeated_on_the_same_connection() {
        let kept = kept();
        let failing = |connection: &Connection| {
            connection.pragma_update(None, "cache_size", 77)?;
            Err(Error::SqliteFailure(rusqlite::ffi::Error::new(rusqlite::ffi::SQLITE_IOERR_FSYNC), None))
        };
        assert!(matches!(kept.store.tamper(failing).await, Err(StoreError::Failed(_))));
        let log = |end: &str| kept.path.with_extension(end).exists();
        assert!(log("db-wal") && log("db-shm"), "the log stays, and the index of what is valid in it");
        let fresh = |connection: &Connection| {
            let size: i64 = connection.query_row("PRAGMA cache_size", [], |row| row.get(0))?;
            let full: i64 = connection.query_row("PRAGMA synchronous", [], |row| row.get(0))?;
            assert_eq!((size, full), (-8_192, 2));
            Ok(())
        };
        kept.store.tamper(fresh).await.unwrap();
        kept.store.commit(of_run(0).into()).await.unwrap();
        assert_eq!(kept.number("SELECT count(*) FROM runs"), 1);
    }

    #[tokio::test]
    async fn a_file_that_is_gone_is_not_made_anew() {
        let kept = kept();
        let lost =
            |_: &Connection| Err(Error::SqliteFailure(rusqlite::ffi::Error::new(rusqlite::ffi::SQLITE_IOERR), None));
        std::fs::rename(&kept.path, kept.directory.path().join("away")).unwrap();
        assert!(kept.store.tamper(lost).await.is_err());
        assert!(matches!(kept.store.commit(of_run(0).into()).await, Err(StoreError::Failed(_))));
        assert!(!kept.path.exists());
        std::fs::rename(kept.directory.path().join("away"), &kept.path).unwrap();
        kept.store.commit(of_run(0).into()).await.unwrap();
    }

    #[tokio::test]
    async fn closing_writes_what_is_queued_and_answers_closed_from_then_on() {
        let kept = kept();
        let commits = join_all((0..50).map(|slot| kept.store.commit(of_run(slot).into())));
        let (results, ()) = join(commits, kept.store.close()).await;
        assert!(results.iter().all(Result::is_ok));
        let wal = kept.path.with_extension("db-wal");
        assert!(!wal.exists(), "the log is in the database");
        let closed = "the store is closed";
        assert_eq!(kept.store.commit(of_run(99).into()).await.unwrap_err().to_string(), closed);
        assert_eq!(kept.store.load().await.unwrap_err().to_string(), closed);
        kept.store.close().await;
        assert_eq!(kept.number("SELECT count(*) FROM runs"), 50);
    }
}
