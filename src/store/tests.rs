//! What holds for the store as a whole: after a crash at any byte of its log, under another program's lock, and for the
//! outbox under any order of commits and attempts.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;

use futures::future::join;
use proptest::prelude::*;
use rusqlite::Connection;

use super::open;
use super::testing::{Kept, apart, channel, incident, kept, opening, probe, resolving, run, second};
use crate::domain::incident::{Event, Incident, Severity};
use crate::ports::{Commit, Delivery, Due, Notification, Receipt, Settlement, Store as _};

/// The files as a crash leaves them: the log was not put into the database and may end anywhere.
fn crash_image(of: &Kept, to: &Path, log_length: usize) {
    std::fs::copy(&of.path, to).unwrap();
    let log = std::fs::read(of.path.with_extension("db-wal")).unwrap();
    std::fs::write(to.with_extension("db-wal"), &log[..log_length.min(log.len())]).unwrap();
}

#[tokio::test]
async fn what_a_killed_process_left_is_erased_and_what_somebody_has_open_is_not() {
    let directory = tempfile::tempdir().unwrap();
    let path = |name: &str| directory.path().join(name);
    for name in ["demo-1.db", "demo-2.db", "other.db"] {
        open(&path(name)).unwrap().close().await;
    }
    let living = open(&path("demo-2.db")).unwrap();
    crate::store::erase_left(directory.path(), "demo-");
    let left = ["demo-1.db", "demo-1.db.lock", "demo-2.db", "other.db"].map(|name| path(name).exists());
    assert_eq!(left, [false, false, true, true]);
    living.close().await;
}

#[tokio::test]
async fn a_crash_loses_nothing_that_was_answered() {
    let kept = kept();
    let log = kept.path.with_extension("db-wal");
    let length = || usize::try_from(std::fs::metadata(&log).unwrap().len()).unwrap();
    let mut answered = vec![(length(), 0)];
    for slot in 0..12 {
        let one = incident(&format!("I{slot}"), Severity::P1, slot);
        let commit = Commit { runs: vec![run("api", slot)], ..opening(&one, &["ops"], slot) };
        kept.store.commit(commit.into()).await.unwrap();
        answered.push((length(), slot + 1));
    }
    let whole = length();
    let cuts = answered.iter().map(|(length, _)| *length).chain((0..whole).step_by(whole / 40));
    for (index, cut) in cuts.enumerate() {
        let path = kept.directory.path().join(format!("crash-{index}.db"));
        crash_image(&kept, &path, cut);
        let store = open(&path).unwrap();
        let expected = answered.iter().filter(|(length, _)| *length <= cut).map(|(_, runs)| *runs).max().unwrap_or(0);
        let loaded = store.load().await.unwrap();
        store.gather(second(99), &apart()).await.unwrap();
        let due = store.due_deliveries(second(99), 99).await.unwrap();
        let connection = Connection::open(&path).unwrap();
        let number = |sql| connection.query_row(sql, [], |row| row.get::<_, i64>(0)).unwrap();
        let runs = number("SELECT count(*) FROM runs");
        assert!(runs >= expected, "cut at {cut} of {whole}: {runs} of {expected}");
        let whole_commits = (loaded.incidents.len(), due.now.len());
        let runs = usize::try_from(runs).unwrap();
        assert_eq!(whole_commits, (runs, runs), "a commit is there whole or not at all");
        let sound: String = connection.query_row("PRAGMA integrity_check", [], |row| row.get(0)).unwrap();
        assert_eq!(sound, "ok");
    }
}

#[tokio::test]
async fn a_store_that_is_locked_by_another_program_is_waited_for() {
    let kept = kept();
    let other = Connection::open(&kept.path).unwrap();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    let commit = kept.store.commit(Commit { runs: vec![run("api", 0)], ..Commit::default() }.into());
    let (committed, ()) = join(commit, async {
        assert!(kept.store.load().await.unwrap().states.is_empty(), "reading goes on");
        other.execute_batch("COMMIT").unwrap();
    })
    .await;
    committed.unwrap();
}

#[tokio::test]
async fn a_store_that_is_dropped_lets_the_next_process_in() {
    let Kept { store, path, directory } = kept();
    store.commit(Commit { runs: vec![run("api", 0)], ..Commit::default() }.into()).await.unwrap();
    drop(store);
    let kept = Kept { store: open(&path).unwrap(), path, directory };
    assert_eq!(kept.number("SELECT count(*) FROM runs"), 1);
}

#[derive(Clone, Debug)]
enum Act {
    Open(usize),
    Resolve(usize),
    /// An attempt at one of what is due, and what comes of it.
    Attempt(prop::sample::Index, Outcome),
    Wait(i64),
}

#[derive(Clone, Copy, Debug)]
enum Outcome {
    Delivered,
    Again(i64),
    Dead,
    /// Killed between merging the opening and recording the resolve.
    KilledWhileMerging,
}

fn act() -> impl Strategy<Value = Act> {
    let outcome = prop_oneof![
        3 => Just(Outcome::Delivered),
        3 => (0_i64..20).prop_map(Outcome::Again),
        1 => Just(Outcome::Dead),
        1 => Just(Outcome::KilledWhileMerging),
    ];
    prop_oneof![
        2 => (0_usize..5).prop_map(Act::Open),
        2 => (0_usize..5).prop_map(Act::Resolve),
        6 => (any::<prop::sample::Index>(), outcome).prop_map(|(index, outcome)| Act::Attempt(index, outcome)),
        2 => (1_i64..10).prop_map(Act::Wait),
    ]
}

/// The engine in small: opens, resolves, attempts; and remembers what must hold.
struct World {
    kept: Kept,
    now: i64,
    opened: BTreeSet<usize>,
    resolved: BTreeSet<usize>,
    /// What each channel was told of each incident, in its order; `late` tells both.
    told: BTreeMap<(String, String), Vec<&'static str>>,
    /// Where a message was given up on.
    given_up: BTreeSet<(String, String)>,
}

const CHANNELS: [&str; 2] = ["ops", "sms"];

impl World {
    async fn act(&mut self, act: Act) -> Result<(), TestCaseError> {
        match act {
            Act::Open(n) if self.opened.insert(n) => {
                self.commit(opening(&of_probe(n), &CHANNELS, self.now)).await;
            }
            Act::Resolve(n) if self.opened.contains(&n) && self.resolved.insert(n) => {
                self.commit(resolving(&of_probe(n), &CHANNELS, self.now)).await;
            }
            Act::Attempt(index, outcome) => {
                let due = self.due().await?;
                if !due.now.is_empty() {
                    self.attempt(&due, index.index(due.now.len()), outcome).await?;
                }
            }
            Act::Wait(seconds) => self.now += seconds,
            Act::Open(_) | Act::Resolve(_) => {}
        }
        Ok(())
    }

    async fn commit(&mut self, commit: Commit) {
        self.kept.store.commit(commit.into()).await.unwrap();
    }

    /// What is due: one message for each channel and incident.
    async fn due(&self) -> Result<Due, TestCaseError> {
        self.kept.each_by_itself(second(self.now)).await;
        let due = self.kept.store.due_deliveries(second(self.now), 1_000).await.unwrap();
        let mut seen = BTreeSet::new();
        for delivery in &due.now {
            prop_assert!(seen.insert(of(delivery)), "two at once: {:?}", due.now);
            prop_assert!(delivery.next_attempt_at <= second(self.now));
        }
        Ok(due)
    }

    async fn attempt(&mut self, due: &Due, index: usize, outcome: Outcome) -> Result<(), TestCaseError> {
        let delivery = &due.now[index];
        let resolve = due.resolves.iter().find(|resolve| of(resolve) == of(delivery));
        let (at, error) = (second(self.now), "down".to_owned());
        let told = resolve.unwrap_or(delivery);
        let merged = Settlement::Merged { at };
        match outcome {
            Outcome::Again(rest) => {
                let at = second(self.now + rest);
                self.settle(delivery, Settlement::Again { at, error, plain: false }).await;
            }
            Outcome::Dead => {
                let fallback = (told.channel != channel("team")).then(|| self.fallback(told, resolve.is_some()));
                if resolve.is_some() {
                    self.settle(delivery, merged).await;
                }
                self.given_up.insert(of(told));
                self.settle(told, Settlement::Dead { at, error, fallback }).await;
            }
            Outcome::Delivered | Outcome::KilledWhileMerging => {
                let log = self.told.entry(of(delivery)).or_default();
                let event = told.notification.event;
                if event == Event::Opened {
                    prop_assert!(!log.contains(&"resolved"), "opened after the end: {:?}", told);
                }
                log.push(event.as_str());
                if resolve.is_some() {
                    self.settle(delivery, merged).await;
                }
                if resolve.is_none() || matches!(outcome, Outcome::Delivered) {
                    self.settle(told, Settlement::Delivered { at, receipt: Receipt::default() }).await;
                }
            }
        }
        Ok(())
    }

    fn fallback(&self, told: &Delivery, late: bool) -> Delivery {
        Delivery {
            id: format!("{}-fallback", told.id),
            channel: channel("team"),
            fallback: None,
            notification: Arc::new(Notification { late, ..Notification::clone(&told.notification) }),
            together: None,
            created_at: second(self.now),
            attempts: 0,
            next_attempt_at: second(self.now),
        }
    }

    async fn settle(&mut self, delivery: &Delivery, settlement: Settlement) {
        self.kept.store.settle(delivery, settlement).await.unwrap();
    }

    /// Every receiver is well again: what waits arrives, and then nothing waits.
    async fn heal(&mut self) -> Result<(), TestCaseError> {
        loop {
            let due = self.due().await?;
            if !due.now.is_empty() {
                self.attempt(&due, 0, Outcome::Delivered).await?;
            } else if let Some(next) = due.next_at {
                self.now = (next - second(0)).num_seconds();
            } else {
                prop_assert_eq!(due.oldest, None);
                return self.check();
            }
        }
    }

    /// Every channel has heard of every incident, or its fallback has; and whoever heard of the beginning heard of the end.
    fn check(&self) -> Result<(), TestCaseError> {
        let heard = |of: &(String, String)| self.told.get(of).is_some_and(|log| !log.is_empty());
        for n in &self.opened {
            let team = ("team".to_owned(), format!("I{n}"));
            for channel in CHANNELS {
                let of = (channel.to_owned(), format!("I{n}"));
                prop_assert!(heard(&of) || heard(&team) || self.given_up.contains(&team), "{:?} heard nothing", of);
            }
        }
        for ((channel, incident), log) in &self.told {
            let is_over = self.resolved.iter().any(|n| *incident == format!("I{n}"));
            let gave_up = self.given_up.contains(&(channel.clone(), incident.clone()));
            prop_assert!(!is_over || log.last() == Some(&"resolved") || gave_up, "{channel} on {incident}: {:?}", log);
        }
        Ok(())
    }
}

/// Each of a probe of its own: what begins again stands for what is over.
fn of_probe(n: usize) -> Incident {
    Incident { probe: probe(&format!("probe-{n}")), ..incident(&format!("I{n}"), Severity::P1, 0) }
}

fn of(delivery: &Delivery) -> (String, String) {
    (delivery.channel.to_string(), delivery.notification.incident.id.to_string())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]
    #[test]
    fn messages_arrive_one_at_a_time_in_order_and_all_of_them(acts in prop::collection::vec(act(), 1..50)) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async {
            let mut world = World {
                kept: kept(),
                now: 0,
                opened: BTreeSet::new(),
                resolved: BTreeSet::new(),
                told: BTreeMap::new(),
                given_up: BTreeSet::new(),
            };
            for act in acts {
                world.act(act).await?;
            }
            world.heal().await?;
            prop_assert_eq!(world.kept.number("SELECT count(*) FROM outbox WHERE state = 'pending'"), 0);
            Ok(())
        })?;
    }
}
