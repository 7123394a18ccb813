//! What the store's tests share: a store in a directory of its own, and small things to keep in it.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::time::Duration;

use futures::future::BoxFuture;
use rusqlite::{Connection, Result};
use tokio::runtime::Handle;
use tokio::task::spawn_blocking;

use super::sqlite::{Sqlite, open};
use super::writer::Work;
use crate::domain::debt::Debt;
use crate::domain::grouping::{Group, Grouping, Rules};
use crate::domain::incident::{Event, Incident, IncidentId, Moment, Severity};
use crate::domain::judge::{AlertKey, Aspect};
use crate::domain::names::{ChannelName, ProbeName, ScheduleName};
use crate::domain::outcome::{Failure, FailureKind, Run, RunId, SlotAccount, Verdict};
use crate::domain::time::Timestamp;
use crate::ports::{Commit, Delivery, Due, Loaded, Notification, Settlement, Store, StoreError};

/// A store, and the directory that goes when the test ends.
pub struct Kept {
    pub store: Arc<Sqlite>,
    pub path: PathBuf,
    pub directory: tempfile::TempDir,
}

pub fn kept() -> Kept {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("state/roundsman.db");
    Kept { store: open(&path).unwrap(), path, directory }
}

impl Kept {
    /// Closes the store and opens it as the next process would.
    pub async fn reopen(&mut self) {
        self.store.close().await;
        self.store = open(&self.path).unwrap();
    }

    /// Lets go all that need not wait, each by itself.
    pub async fn each_by_itself(&self, now: Timestamp) {
        self.store.gather(now, &apart()).await.unwrap();
    }

    /// Counts all runs by the hour and the day: until then they are not erased.
    pub async fn count(&self) {
        while self.store.roll_up().await.unwrap() {}
    }

    /// One number from a connection of the test's own.
    pub fn number(&self, sql: &str) -> i64 {
        Connection::open(&self.path).unwrap().query_row(sql, [], |row| row.get(0)).unwrap()
    }

    /// What `SQLite` finds wrong: `ok`.
    pub fn integrity(&self) -> String {
        let connection = Connection::open(&self.path).unwrap();
        connection.query_row("PRAGMA integrity_check", [], |row| row.get(0)).unwrap()
    }
}

/// What the store answers.
type Answer<T> = std::result::Result<T, StoreError>;

/// Simulated time jumps when nothing is done on the runtime's own threads, so what the writer does is waited for on one of
/// them.
pub struct Waited {
    store: Arc<Sqlite>,
    /// It takes nothing, as when its disk is full.
    pub full: AtomicBool,
}

impl Waited {
    pub fn of(store: &Arc<Sqlite>) -> Arc<Self> {
        Arc::new(Self { store: Arc::clone(store), full: AtomicBool::new(false) })
    }

    fn write<T: Send + 'static>(
        &self,
        ask: impl FnOnce(Arc<Sqlite>, Handle) -> Answer<T> + Send + 'static,
    ) -> BoxFuture<'static, Answer<T>> {
        if self.full.load(SeqCst) {
            return Box::pin(std::future::ready(Err(StoreError::Failed("database or disk is full".to_owned()))));
        }
        waited(&self.store, ask)
    }
}

fn waited<T: Send + 'static>(
    store: &Arc<Sqlite>,
    ask: impl FnOnce(Arc<Sqlite>, Handle) -> Answer<T> + Send + 'static,
) -> BoxFuture<'static, Answer<T>> {
    let (store, handle) = (Arc::clone(store), Handle::current());
    Box::pin(async move { spawn_blocking(move || ask(store, handle)).await.unwrap() })
}

impl Store for Waited {
    fn commit(&self, commit: Arc<Commit>) -> BoxFuture<'_, Answer<()>> {
        self.write(|store, handle| handle.block_on(store.commit(commit)))
    }
    fn load(&self) -> BoxFuture<'_, Answer<Loaded>> {
        self.store.load()
    }
    fn due_deliveries(&self, now: Timestamp, per_channel: usize) -> BoxFuture<'_, Answer<Due>> {
        self.store.due_deliveries(now, per_channel)
    }
    fn gather<'a>(&'a self, now: Timestamp, rules: &'a BTreeMap<ChannelName, Rules>) -> BoxFuture<'a, Answer<()>> {
        let rules = rules.clone();
        self.write(move |store, handle| handle.block_on(store.gather(now, &rules)))
    }
    fn group<'a>(&'a self, delivery: &'a Delivery) -> BoxFuture<'a, Answer<Option<Group>>> {
        self.store.group(delivery)
    }
    fn stands_before<'a>(&'a self, delivery: &'a Delivery) -> BoxFuture<'a, Answer<Vec<String>>> {
        self.store.stands_before(delivery)
    }
    fn put_together<'a>(&'a self, delivery: &'a Delivery, others: &'a [String]) -> BoxFuture<'a, Answer<()>> {
        let (delivery, others) = (delivery.clone(), others.to_vec());
        self.write(move |store, handle| handle.block_on(store.put_together(&delivery, &others)))
    }
    fn settle<'a>(&'a self, delivery: &'a Delivery, settlement: Settlement) -> BoxFuture<'a, Answer<()>> {
        let delivery = delivery.clone();
        self.write(move |store, handle| handle.block_on(store.settle(&delivery, settlement)))
    }
    fn retry_deliveries(&self, now: Timestamp) -> BoxFuture<'_, Answer<()>> {
        self.write(move |store, handle| handle.block_on(store.retry_deliveries(now)))
    }
    fn journal(&self, debt: Debt) -> BoxFuture<'_, Answer<()>> {
        self.store.journal(debt)
    }
    fn acquit<'a>(&'a self, run: &'a RunId) -> BoxFuture<'a, Answer<()>> {
        self.store.acquit(run)
    }
    fn purge(&self, before: Timestamp) -> BoxFuture<'_, Answer<u64>> {
        self.store.purge(before)
    }
}

impl Sqlite {
    /// Does something to the writer's connection.
    pub async fn tamper(
        &self,
        with: impl Fn(&Connection) -> Result<()> + Send + 'static,
    ) -> std::result::Result<(), StoreError> {
        self.write(Work::Tamper(Box::new(with))).await.map(|_| ())
    }
}

/// The rules under which nothing is a storm.
pub fn apart() -> BTreeMap<ChannelName, Rules> {
    let rules = Rules { grouping: Grouping { limit: u32::MAX, ..Grouping::default() }, ..Rules::default() };
    ["boss", "ops", "pager", "sms", "team"].map(|name| (channel(name), rules.clone())).into()
}

/// So many seconds after ten o'clock.
pub fn second(second: i64) -> Timestamp {
    "2026-11-24T10:00:00Z".parse::<Timestamp>().unwrap() + chrono::TimeDelta::seconds(second)
}

pub fn schedule(name: &str) -> ScheduleName {
    ScheduleName::parse(name).unwrap()
}

pub fn probe(name: &str) -> ProbeName {
    ProbeName::parse(name).unwrap()
}

pub fn channel(name: &str) -> ChannelName {
    ChannelName::parse(name).unwrap()
}

pub fn key(name: &str) -> AlertKey {
    AlertKey { schedule: schedule("tier"), probe: probe(name), aspect: Aspect::Failing }
}

/// A run that passed, of the slot that is so many seconds after ten.
pub fn run(of: &str, slot: i64) -> Run {
    Run {
        id: RunId(Arc::from(format!("{of}-{slot}"))),
        location: Arc::from("here"),
        probe: probe(of),
        schedule: Some(schedule("tier")),
        extra: None,
        slot: second(slot),
        due_at: second(slot + 1),
        started_at: second(slot + 1),
        duration: Duration::from_micros(1_500),
        lateness: Duration::from_micros(20),
        verdict: Verdict::Passed,
        steps: Vec::new(),
        bundle: None,
    }
}

pub fn failure() -> Failure {
    Failure::new(FailureKind::ConnectRefused, "nobody listens").with("an answer", "none")
}

pub fn incident(id: &str, severity: Severity, opened: i64) -> Incident {
    Incident {
        severity,
        opened_at: second(opened),
        firing: [(schedule("tier"), severity)].into(),
        schedules: vec![schedule("tier")],
        first_failures: [failure()].into(),
        latest_failures: [failure()].into(),
        ..crate::engine::testing::incident(id, "api", second(opened - 30))
    }
}

pub fn resolved(incident: &Incident, at: i64) -> Incident {
    Incident { resolved_at: Some(second(at)), firing: BTreeMap::new(), ..incident.clone() }
}

pub fn moment(of: &str, at: i64, what: &str) -> Moment {
    Moment { incident: IncidentId(Arc::from(of)), at: second(at), what: what.to_owned(), text: "x".to_owned() }
}

/// A delivery named `incident-transition-channel`.
pub fn delivery(of: &Incident, transition: u32, event: Event, to: &str, at: i64) -> Delivery {
    Delivery {
        id: format!("{}-{transition}-{to}", of.id),
        channel: channel(to),
        fallback: Some(channel("team")),
        notification: Arc::new(Notification {
            event,
            incident: of.clone(),
            transition,
            at: second(at),
            site: "shop".to_owned(),
            url: None,
            late: false,
            plain: false,
            group: None,
            unrecorded: false,
        }),
        together: None,
        created_at: second(at),
        attempts: 0,
        next_attempt_at: second(at),
    }
}

/// The commit by which an incident opens and its channels are told.
pub fn opening(of: &Incident, channels: &[&str], at: i64) -> Commit {
    Commit {
        incidents: vec![of.clone()].into(),
        deliveries: channels.iter().map(|to| delivery(of, 1, Event::Opened, to, at)).collect(),
        ..Commit::default()
    }
}

/// The commit by which it is resolved and the same channels are told.
pub fn resolving(of: &Incident, channels: &[&str], at: i64) -> Commit {
    let over = resolved(of, at);
    Commit {
        deliveries: channels.iter().map(|to| delivery(&over, 2, Event::Resolved, to, at)).collect(),
        incidents: vec![over].into(),
        ..Commit::default()
    }
}

/// Accounts as a commit holds them.
pub fn accounts<const N: usize>(all: [SlotAccount; N]) -> BTreeMap<(ScheduleName, ProbeName), SlotAccount> {
    let mut commit = Commit::default();
    for account in all {
        commit.add_account(account);
    }
    commit.accounts
}
