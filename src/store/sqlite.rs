//! The handle: hands writing to the one writer and reading to the readers.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsStr;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, TryLockError};
use std::thread::JoinHandle;

use futures::future::BoxFuture;
use tokio::sync::{mpsc, oneshot};

use super::lately::Lately;
use super::lock::{self, Lock};
use super::opening::{self, refused};
use super::readers::Readers;
use super::rollup::Bounds;
use super::writer::{Done, QUEUE_MAX, Task, Work, Writer};
use super::{audits, damage, delivered, gathering, history, listing, outbox, past, reads, redrive, replies, rollup};
use crate::domain::audit::AuditRecord;
use crate::domain::debt::Debt;
use crate::domain::grouping::{Group, Rules};
use crate::domain::history::{Grain, IncidentsAsked, IncidentsFound, RunsAsked, RunsFound, StoreSize, Stretch};
use crate::domain::incident::{IncidentId, Version};
use crate::domain::names::{ChannelName, ProbeName};
use crate::domain::outcome::RunId;
use crate::domain::past::{PastRuns, Question};
use crate::domain::time::Timestamp;
use crate::ports::{
    Commit, Delivered, Delivery, Due, HistoryReader, IncidentStory, KnownDrill, KnownReply, Loaded, Outbox, Overview,
    Pair, Redrive, Redriven, Replies, Reply, RunStory, Settlement, StatusReader, Store, StoreError, Undelivered,
};

/// Opens the store, and makes it where there is none. Blocks for as long as the check of the file takes.
pub fn open(path: &Path) -> Result<Arc<Sqlite>, StoreError> {
    opening::make_directory(path)?;
    let lock = Lock::take(path)?;
    let (connection, lost) = match opening::start(path) {
        Err(StoreError::Damaged { found, .. }) => {
            let aside = damage::put_aside(path);
            let aside = aside.map_err(|error| {
                refused(path, format!("it is damaged ({found}) and cannot be put aside: {}", opening::in_words(&error)))
            })?;
            let lost = format!(
                "what was known is lost, and what is still failing is told anew; the damaged store is at {}: {found}",
                aside.display()
            );
            (opening::start(path)?, Some(lost))
        }
        started => (started?, None),
    };
    let keeper = opening::keeper(path)?;
    let (sender, tasks) = mpsc::channel(QUEUE_MAX);
    let transactions = Arc::new(AtomicU64::new(0));
    let writer = Writer {
        path: path.to_owned(),
        connection: Some(connection),
        keeper,
        tasks,
        transactions: Arc::clone(&transactions),
        lock,
    };
    let thread = std::thread::Builder::new().name("store-writer".to_owned()).spawn(move || writer.run());
    let thread = thread.map_err(|error| refused(path, format!("no thread can be started: {error}")))?;
    Ok(Arc::new(Sqlite {
        sender: Mutex::new(Some(sender)),
        writer: Mutex::new(Some(thread)),
        readers: Arc::new(Readers::of(path.to_owned())),
        lately: Arc::default(),
        transactions,
        lost,
    }))
}

/// Erases the stores in a directory whose names begin so and that nobody has open: a process that was killed left them.
pub fn erase_left(directory: &Path, begins: &str) {
    for entry in std::fs::read_dir(directory).into_iter().flatten().flatten() {
        let name = entry.file_name();
        if !name.to_str().is_some_and(|name| name.starts_with(begins))
            || Path::new(&name).extension() != Some(OsStr::new("db"))
        {
            continue;
        }
        // Whoever lives holds its lock.
        if let Ok(_lock) = Lock::take(&entry.path()) {
            erase(&entry.path());
        }
    }
}

/// Erases a closed store with all that belongs to it. What is not there needs no erasing, and what cannot be erased hurts
/// nobody.
pub fn erase(path: &Path) {
    for end in ["", "-wal", "-shm"] {
        let mut file = path.as_os_str().to_owned();
        file.push(end);
        let _ = std::fs::remove_file(file);
    }
    let _ = std::fs::remove_file(lock::beside(path));
}

/// An open store. When it is dropped, what is queued is written and the lock released; that blocks for a moment, so
/// asynchronous code calls [`Sqlite::close`] first.
pub struct Sqlite {
    /// Absent once the store is closed.
    sender: Mutex<Option<mpsc::Sender<Task>>>,
    /// Ends when the senders are gone.
    writer: Mutex<Option<JoinHandle<()>>>,
    readers: Arc<Readers>,
    lately: Arc<Mutex<Lately>>,
    transactions: Arc<AtomicU64>,
    lost: Option<String>,
}

impl Sqlite {
    /// How many transactions were committed since the store was opened: many callers share one.
    pub fn transactions(&self) -> u64 {
        self.transactions.load(Ordering::Relaxed)
    }

    /// What became of the store that was there, where it was damaged.
    pub fn lost(&self) -> Option<&str> {
        self.lost.as_deref()
    }

    /// Counts a slice of the runs that are not counted yet, and says whether there is another; when there is none, forgets what
    /// is held for pages if none has asked for it since the last time.
    pub async fn roll_up(&self) -> Result<bool, StoreError> {
        let more = self.count_slice().await?;
        if !more {
            match self.lately.try_lock() {
                Ok(mut lately) => lately.forget_unless_asked(),
                Err(TryLockError::Poisoned(lately)) => lately.into_inner().forget_unless_asked(),
                // Who looks at this moment has asked, and must not be waited for on a thread of other tasks.
                Err(TryLockError::WouldBlock) => {}
            }
        }
        Ok(more)
    }

    async fn count_slice(&self) -> Result<bool, StoreError> {
        let slice = self.readers.read(|connection| rollup::slice(connection, Bounds::BESIDE_COMMITS)).await?;
        let Some(slice) = slice else { return Ok(false) };
        let more = slice.more;
        self.write(Work::RollUp(Box::new(slice))).await?;
        Ok(more)
    }

    /// Erases what is older of what is kept longer than runs: how they ended by the hour and the day, and changes of version.
    pub async fn purge_past(&self, before: Timestamp) -> Result<u64, StoreError> {
        let mut rows = 0;
        loop {
            let done = self.write(Work::PurgePast(before)).await?;
            rows += done.rows;
            if !done.more {
                return Ok(rows);
            }
        }
    }

    /// Takes no more work, writes what is queued, puts the log into the database and releases the lock. Afterwards
    /// everything answers [`StoreError::Closed`].
    pub async fn close(&self) {
        if let Some(writer) = self.shut() {
            let ended = tokio::task::spawn_blocking(move || writer.join().is_ok()).await;
            if !matches!(ended, Ok(true)) {
                tracing::error!("the writer of the store ended with a panic");
            }
        }
    }

    fn shut(&self) -> Option<JoinHandle<()>> {
        self.readers.close();
        drop(self.sender.lock().unwrap_or_else(PoisonError::into_inner).take());
        self.writer.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    /// Reads from one snapshot.
    #[cfg(test)]
    pub(super) async fn read<T: Send + 'static>(
        &self,
        question: impl FnOnce(&rusqlite::Connection) -> rusqlite::Result<T> + Send + 'static,
    ) -> Result<T, StoreError> {
        self.readers.read(question).await
    }

    pub(super) async fn write(&self, work: Work) -> Result<Done, StoreError> {
        let sender = self.sender.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let sender = sender.ok_or(StoreError::Closed)?;
        let (reply, answer) = oneshot::channel();
        sender.send(Task { work, reply }).await.map_err(|_| StoreError::Closed)?;
        drop(sender);
        answer.await.map_err(|_| StoreError::Closed)?
    }
}

impl Drop for Sqlite {
    fn drop(&mut self) {
        if let Some(writer) = self.shut() {
            // A panic of the writer was printed by its own thread.
            let _ = writer.join();
        }
    }
}

impl Store for Sqlite {
    fn commit(&self, commit: Arc<Commit>) -> BoxFuture<'_, Result<(), StoreError>> {
        Box::pin(async move { self.write(Work::Commit(commit)).await.map(|_| ()) })
    }

    fn load(&self) -> BoxFuture<'_, Result<Loaded, StoreError>> {
        Box::pin(self.readers.read(reads::load))
    }

    fn due_deliveries(&self, now: Timestamp, per_channel: usize) -> BoxFuture<'_, Result<Due, StoreError>> {
        Box::pin(self.readers.read(move |connection| outbox::due::due(connection, now, per_channel)))
    }

    fn gather<'a>(
        &'a self,
        now: Timestamp,
        rules: &'a BTreeMap<ChannelName, Rules>,
    ) -> BoxFuture<'a, Result<(), StoreError>> {
        let work = Work::Gather(Box::new((now, rules.clone())));
        Box::pin(async move { self.write(work).await.map(|_| ()) })
    }

    fn group<'a>(&'a self, delivery: &'a Delivery) -> BoxFuture<'a, Result<Option<Group>, StoreError>> {
        let delivery = delivery.clone();
        Box::pin(self.readers.read(move |connection| gathering::group(connection, &delivery)))
    }

    fn stands_before<'a>(&'a self, delivery: &'a Delivery) -> BoxFuture<'a, Result<Vec<String>, StoreError>> {
        let delivery = delivery.clone();
        Box::pin(self.readers.read(move |connection| outbox::due::before(connection, &delivery)))
    }

    fn put_together<'a>(
        &'a self,
        delivery: &'a Delivery,
        others: &'a [String],
    ) -> BoxFuture<'a, Result<(), StoreError>> {
        let put = Box::new((delivery.id.clone(), others.to_vec()));
        Box::pin(async move { self.write(Work::PutTogether(put)).await.map(|_| ()) })
    }

    fn settle<'a>(&'a self, delivery: &'a Delivery, settlement: Settlement) -> BoxFuture<'a, Result<(), StoreError>> {
        let settled = Box::new((delivery.clone(), settlement));
        Box::pin(async move { self.write(Work::Settle(settled)).await.map(|_| ()) })
    }

    fn retry_deliveries(&self, now: Timestamp) -> BoxFuture<'_, Result<(), StoreError>> {
        Box::pin(async move { self.write(Work::Retry(now)).await.map(|_| ()) })
    }

    fn journal(&self, debt: Debt) -> BoxFuture<'_, Result<(), StoreError>> {
        Box::pin(async move { self.write(Work::Journal(Box::new(debt))).await.map(|_| ()) })
    }

    fn acquit<'a>(&'a self, run: &'a RunId) -> BoxFuture<'a, Result<(), StoreError>> {
        Box::pin(async move { self.write(Work::Acquit(run.clone())).await.map(|_| ()) })
    }

    fn past(&self, question: Arc<Question>, from: Timestamp) -> BoxFuture<'_, Result<PastRuns, StoreError>> {
        Box::pin(self.readers.read(move |connection| past::past(connection, &question, from)))
    }

    fn purge(&self, before: Timestamp) -> BoxFuture<'_, Result<u64, StoreError>> {
        Box::pin(async move {
            let mut rows = 0;
            loop {
                let done = self.write(Work::Purge(before)).await?;
                rows += done.rows;
                if !done.more {
                    break;
                }
            }
            while self.write(Work::Vacuum).await?.more {}
            Ok(rows)
        })
    }
}

impl StatusReader for Sqlite {
    fn overview(&self, since: Timestamp) -> BoxFuture<'_, Result<Overview, StoreError>> {
        let lately = Arc::clone(&self.lately);
        Box::pin(self.readers.read(move |connection| {
            // Held before anything is read, so that who looks later never sees less.
            let mut lately = lately.lock().unwrap_or_else(PoisonError::into_inner);
            reads::overview(connection, since, &mut lately)
        }))
    }

    fn incident(&self, id: &IncidentId) -> BoxFuture<'_, Result<Option<IncidentStory>, StoreError>> {
        let id = id.clone();
        Box::pin(self.readers.read(move |connection| reads::incident(connection, &id)))
    }

    fn audits(&self, before: Option<String>, most: usize) -> BoxFuture<'_, Result<Vec<AuditRecord>, StoreError>> {
        Box::pin(self.readers.read(move |connection| audits::read(connection, before.as_deref(), most)))
    }
}

impl HistoryReader for Sqlite {
    fn history(
        &self,
        of: BTreeSet<Pair>,
        from: Timestamp,
        until: Timestamp,
        grain: Grain,
    ) -> BoxFuture<'_, Result<BTreeMap<Pair, Vec<Stretch>>, StoreError>> {
        Box::pin(self.readers.read(move |connection| history::history(connection, &of, from, until, grain)))
    }

    fn runs(&self, asked: RunsAsked) -> BoxFuture<'_, Result<RunsFound, StoreError>> {
        Box::pin(self.readers.read(move |connection| listing::runs(connection, &asked)))
    }

    fn run(&self, id: &RunId) -> BoxFuture<'_, Result<Option<RunStory>, StoreError>> {
        let id = id.clone();
        Box::pin(self.readers.read(move |connection| history::run(connection, &id)))
    }

    fn incidents(&self, asked: IncidentsAsked) -> BoxFuture<'_, Result<IncidentsFound, StoreError>> {
        Box::pin(self.readers.read(move |connection| history::incidents(connection, &asked)))
    }

    fn changes(
        &self,
        probe: &ProbeName,
        from: Timestamp,
        until: Timestamp,
    ) -> BoxFuture<'_, Result<Vec<Version>, StoreError>> {
        let probe = probe.clone();
        Box::pin(self.readers.read(move |connection| history::changes(connection, &probe, from, until)))
    }

    fn size(&self) -> BoxFuture<'_, Result<StoreSize, StoreError>> {
        Box::pin(self.readers.read(history::size))
    }
}

impl Outbox for Sqlite {
    fn undelivered(&self, most: usize) -> BoxFuture<'_, Result<Undelivered, StoreError>> {
        Box::pin(self.readers.read(move |connection| redrive::undelivered(connection, most)))
    }

    fn delivered(&self, channels: Vec<ChannelName>, most: usize) -> BoxFuture<'_, Result<Vec<Delivered>, StoreError>> {
        Box::pin(self.readers.read(move |connection| delivered::delivered(connection, &channels, most)))
    }

    fn drills(&self) -> BoxFuture<'_, Result<Vec<KnownDrill>, StoreError>> {
        Box::pin(self.readers.read(delivered::drills))
    }

    fn redrive(&self, what: Redrive, now: Timestamp) -> BoxFuture<'_, Result<Redriven, StoreError>> {
        Box::pin(async move {
            let done = self.write(Work::Redrive(what, now)).await?;
            Ok(done.redriven.unwrap_or(Redriven::Unknown))
        })
    }
}

impl Replies for Sqlite {
    fn look_up<'a>(
        &'a self,
        channel: &'a ChannelName,
        reply: &'a Reply,
    ) -> BoxFuture<'a, Result<KnownReply, StoreError>> {
        let (channel, reply) = (channel.clone(), reply.clone());
        Box::pin(self.readers.read(move |connection| replies::look_up(connection, &channel, &reply)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::testing::kept;
    use std::time::Duration;
    use tokio::task::JoinSet;

    #[tokio::test(flavor = "multi_thread")]
    async fn who_reads_for_long_holds_no_thread_of_other_tasks() {
        let kept = kept();
        let lately = Arc::clone(&kept.store.lately);
        let (reads, is_reading) = oneshot::channel();
        let (done, is_done) = std::sync::mpsc::channel::<()>();
        let reader = std::thread::spawn(move || {
            let _held = lately.lock().unwrap();
            reads.send(()).unwrap();
            is_done.recv().unwrap();
        });
        is_reading.await.unwrap();
        let store = Arc::clone(&kept.store);
        let mut counting = JoinSet::new();
        counting.spawn(async move { store.roll_up().await });
        let counted = tokio::time::timeout(Duration::from_secs(20), counting.join_next()).await;
        done.send(()).unwrap();
        reader.join().unwrap();
        assert!(!counted.expect("it waited for the reader").unwrap().unwrap().unwrap());
    }
}
