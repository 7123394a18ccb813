//! The tables, and the numbered migrations that made them. A store carries the number of the last one in `user_version`.
//!
//! | table | a row is | known by | erased |
//! |---|---|---|---|
//! | `runs` | a run that ended | its id; one of a slot also by schedule, probe, slot and location | when it is old |
//! | `slots` | a probe of a schedule: through which slot all have their outcome, how many had which, and its last run | schedule, probe | never |
//! | `alert_states` | what the judge remembers, where that is not "healthy" | schedule, probe, aspect | when it is healthy or no longer configured |
//! | `flaps` | how a probe of a schedule has come and gone lately | schedule, probe, aspect | when it has not for long, or is no longer configured |
//! | `recents` | which of the last runs of a probe of a schedule failed, where that says how grave it is | schedule, probe | when none did, or nobody asks any more |
//! | `incidents` | an incident as it stands | its id | when it was resolved long ago and nothing of it waits |
//! | `moments` | a line of an incident's time line | incident, place in it | with its incident |
//! | `outbox` | a message to one channel, and what became of it | its id | with its incident |
//! | `journal` | a run that may have left something in its target | the run | when it is cleaned up, or given up |
//! | `versions` | the version that a step last saw | probe, step | never |
//! | `changes` | a change of the version that a step saw | probe, since when, step | when it is old, or a thousand later ones of its probe are there |
//! | `stretches` | what became of the runs of a probe of a schedule within an hour or a day, and where an hour's are | how long, since when, schedule, probe | when it is old, later than runs |
//! | `counted` | how far runs are counted in those | it is one | never |
//! | `bundles` | what a run that failed left for whoever looks for its cause | its run | when ten later ones of its probe are there, and it is neither the first nor the latest of an incident; or when it is old, or with its incident |
//! | `pulses` | what is known of a job elsewhere by its pings | the hash of its token | never |
//! | `diagnoses` | what was looked at because an incident opened | incident, run | with its incident |
//! | `silences` | what somebody wants nobody to be told of | its id | when it ended long ago |
//! | `audit` | what somebody changed | its id | when it is old, or ten thousand later ones are there |
//! | `pauses` | what somebody wants not to be run | its id | when it ended long ago |
//! | `replies` | what a receiver said of an incident of its own accord | channel, its id there | with its incident |
//!
//! Ids are ours; row numbers mean nothing, but that a greater one came later (see `rollup`). Instants and lengths are whole
//! microseconds. What rules and pages ask for is a column; the rest of a thing is JSON beside it.

use rusqlite::{Connection, Result, TransactionBehavior};

/// Says in the file that it is ours: `rdsm`.
pub const APPLICATION_ID: i32 = 0x7264_736d;

/// Each takes a store one version further. One that was released is never changed.
const MIGRATIONS: &[&str] = &[
    include_str!("migrations/0001.sql"),
    include_str!("migrations/0002.sql"),
    include_str!("migrations/0003.sql"),
    include_str!("migrations/0004.sql"),
    include_str!("migrations/0005.sql"),
    include_str!("migrations/0006.sql"),
    include_str!("migrations/0007.sql"),
    include_str!("migrations/0008.sql"),
    include_str!("migrations/0009.sql"),
    include_str!("migrations/0010.sql"),
    include_str!("migrations/0011.sql"),
    include_str!("migrations/0012.sql"),
    include_str!("migrations/0013.sql"),
    include_str!("migrations/0014.sql"),
    include_str!("migrations/0015.sql"),
];

/// The version that this program works with.
pub fn newest() -> usize {
    MIGRATIONS.len()
}

/// Takes a store from `version` to the newest. Each step is a transaction, so that a crash leaves the step before it.
pub fn migrate(connection: &mut Connection, version: usize) -> Result<()> {
    migrate_to(connection, version, newest())
}

fn migrate_to(connection: &mut Connection, version: usize, target: usize) -> Result<()> {
    for (index, migration) in MIGRATIONS.iter().enumerate().take(target).skip(version) {
        let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        transaction.execute_batch(migration)?;
        transaction.pragma_update(None, "application_id", APPLICATION_ID)?;
        transaction.pragma_update(None, "user_version", i64::try_from(index + 1).unwrap_or(i64::MAX))?;
        transaction.commit()?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use rusqlite::Connection;

    use crate::domain::history::Grain;
    use crate::domain::time::Timestamp;
    use crate::ports::{Commit, HistoryReader as _, StatusReader as _, Store as _};
    use crate::store::testing::{accounts, kept, probe, run, schedule, second};

    #[tokio::test]
    async fn a_new_store_has_the_newest_version_and_keeps_it() {
        let mut kept = kept();
        let look = |kept: &crate::store::testing::Kept| {
            [
                "PRAGMA user_version",
                "PRAGMA application_id",
                "PRAGMA auto_vacuum",
                "SELECT count(*) FROM sqlite_schema WHERE type = 'table'",
            ]
            .map(|sql| kept.number(sql))
        };
        let expected = [15, i64::from(super::APPLICATION_ID), 2, 20];
        assert_eq!(look(&kept), expected);
        kept.reopen().await;
        assert_eq!(look(&kept), expected);
    }

    #[tokio::test]
    async fn a_store_of_any_version_before_is_taken_to_the_newest() {
        for version in 1..super::newest() {
            let mut kept = kept();
            kept.store.close().await;
            std::fs::remove_file(&kept.path).unwrap();
            let mut before = Connection::open(&kept.path).unwrap();
            super::migrate_to(&mut before, 0, version).unwrap();
            before
                .execute_batch(
                    "INSERT INTO runs (id, schedule, probe, location, slot, due_at, started_at, duration, lateness, verdict, why, steps)
                     VALUES ('old', 'tier', 'api', 'here', 9000000, 0, 0, 0, 0, 'passed', '{\"verdict\":\"passed\"}', '[]'),
                            ('older', 'tier', 'api', 'here', 8000000, 0, 0, 0, 0, 'passed', '{\"verdict\":\"passed\"}', '[]');
                     INSERT INTO slots (schedule, probe, through, ran, skipped, saturated, paused, gap)
                     VALUES ('tier', 'api', 9000000, 2, 0, 0, 0, 0);",
                )
                .unwrap();
            if version >= 6 {
                before.execute_batch("UPDATE slots SET last_run = 'old'").unwrap();
            }
            if version >= 2 {
                let changed = "INSERT INTO versions VALUES ('api', 'http', '2', 7000000, '1'), ('api', 'dns', '1', 7000000, NULL)";
                before.execute_batch(changed).unwrap();
            }
            drop(before);
            kept.reopen().await;
            let changes = kept.store.changes(&probe("api"), Timestamp::default(), second(0)).await.unwrap();
            assert_eq!(changes.len(), usize::from((2..12).contains(&version)), "version {version}");
            for counted in [false, true] {
                if counted {
                    kept.store.roll_up().await.unwrap();
                }
                let asked = [(schedule("tier"), probe("api"))].into();
                let found = kept.store.history(asked, Timestamp::default(), second(0), Grain::Day).await.unwrap();
                let runs: u64 = found.values().flatten().map(|stretch| stretch.verdicts.passed).sum();
                assert_eq!(runs, 2, "version {version}, counted: {counted}");
            }
            let last = kept.store.overview(second(0)).await.unwrap().last;
            let of = (schedule("tier"), probe("api"));
            assert_eq!(&*last[&of].id.0, "old", "version {version}");
            let commit = Commit { runs: vec![run("api", 30)], accounts: accounts([]), ..Commit::default() };
            kept.store.commit(commit.into()).await.unwrap();
            assert_eq!(kept.number("SELECT count(*) FROM runs"), 3, "version {version}");
        }
    }

    #[tokio::test]
    async fn commits_are_synced_in_full_and_references_are_checked() {
        let kept = kept();
        let look = kept.store.tamper(|connection| {
            let number = |sql| connection.query_row(sql, [], |row| row.get::<_, i64>(0));
            let mode: String = connection.query_row("PRAGMA journal_mode", [], |row| row.get(0))?;
            assert_eq!(mode, "wal");
            assert_eq!(
                ["PRAGMA synchronous", "PRAGMA foreign_keys", "PRAGMA busy_timeout"].map(number),
                [Ok(2), Ok(1), Ok(5_000)]
            );
            Ok(())
        });
        look.await.unwrap();
    }
}
