//! What runs may leave behind: put down before they make it, erased when it is cleaned up.

use std::collections::BTreeMap;
use std::sync::Arc;

use rusqlite::{Connection, Result, params};

use super::columns::{from_json, instant, json, micros, parsed, read, to_instant};
use crate::domain::debt::Debt;
use crate::domain::names::ProbeName;
use crate::domain::outcome::RunId;

/// Puts down what is owed, in the place of what was put down of that run before.
pub fn write(connection: &Connection, debt: &Debt) -> Result<()> {
    let mut replace = connection.prepare_cached(
        "INSERT OR REPLACE INTO journal (run, probe, captures, since, attempts, due_at) VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
    )?;
    replace.execute(params![
        &*debt.run.0,
        debt.probe.as_str(),
        json(&debt.captures)?,
        micros(debt.since),
        debt.attempts,
        debt.due_at.map(micros),
    ])?;
    Ok(())
}

/// Erases a run.
pub fn erase(connection: &Connection, run: &RunId) -> Result<()> {
    connection.prepare_cached("DELETE FROM journal WHERE run = ?1")?.execute([&*run.0]).map(|_| ())
}

/// All that is owed, oldest first.
pub fn debts(connection: &Connection) -> Result<Vec<Debt>> {
    let mut select = connection.prepare_cached("SELECT * FROM journal ORDER BY run")?;
    let debts = select.query_map([], |row| {
        let (run, due_at): (String, Option<i64>) = (row.get("run")?, row.get("due_at")?);
        Ok(Debt {
            run: RunId(Arc::from(run)),
            probe: parsed(row, "probe")?,
            captures: from_json(row, "captures")?,
            since: instant(row, "since")?,
            attempts: row.get("attempts")?,
            due_at: due_at.map(|at| read("due_at", to_instant(at).ok_or("not an instant"))).transpose()?,
        })
    })?;
    debts.collect()
}

/// How many runs of each probe are still to be cleaned up; those that are going on are not.
pub fn counts(connection: &Connection) -> Result<BTreeMap<ProbeName, u64>> {
    let mut select = connection
        .prepare_cached("SELECT probe, count(*) AS runs FROM journal WHERE due_at IS NOT NULL GROUP BY probe")?;
    let counts = select.query_map([], |row| {
        let runs: i64 = row.get("runs")?;
        Ok((parsed(row, "probe")?, read("runs", u64::try_from(runs))?))
    })?;
    counts.collect()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;
    use crate::domain::names::CaptureName;
    use crate::ports::{StatusReader as _, Store as _};
    use crate::store::testing::{kept, probe, second};

    fn debt(run: &str, token: &str) -> Debt {
        Debt {
            run: RunId(Arc::from(run)),
            probe: probe("shopper"),
            captures: [(CaptureName::parse("token").unwrap(), token.to_owned())].into(),
            since: second(0),
            attempts: 0,
            due_at: None,
        }
    }

    #[tokio::test]
    async fn what_is_owed_outlives_the_process_until_it_is_paid() {
        let mut kept = kept();
        let (first, second_run) = (debt("r1", "007312"), debt("r2", "12345678901234567890"));
        kept.store.journal(first.clone()).await.unwrap();
        kept.store.journal(debt("r2", "")).await.unwrap();
        kept.store.journal(second_run.clone()).await.unwrap();
        kept.reopen().await;
        assert_eq!(kept.store.load().await.unwrap().debts, [first.clone(), second_run.clone()]);
        kept.store.acquit(&first.run).await.unwrap();
        kept.store.acquit(&RunId(Arc::from("unknown"))).await.unwrap();
        let tried = Debt { attempts: 3, due_at: Some(second(60)), ..second_run };
        kept.store.journal(tried.clone()).await.unwrap();
        kept.reopen().await;
        assert_eq!(kept.store.load().await.unwrap().debts, [tried]);
        kept.store.journal(debt("r3", "of a run that is going on")).await.unwrap();
        assert_eq!(kept.store.overview(second(0)).await.unwrap().debts, [(probe("shopper"), 1)].into());
    }

    #[tokio::test]
    async fn what_was_captured_is_for_the_owner_alone_and_leaves_no_trace() {
        let kept = kept();
        let token = "a-token-that-nobody-else-has";
        kept.store.journal(debt("r1", token)).await.unwrap();
        assert_eq!(std::fs::metadata(&kept.path).unwrap().permissions().mode() & 0o777, 0o600);
        assert!(!format!("{:?}", debt("r1", token)).contains(token));
        let log = kept.path.with_extension("db-wal");
        let has = |path| std::fs::read(path).unwrap().windows(token.len()).any(|bytes| bytes == token.as_bytes());
        assert!(has(&log), "it was never where this looks");
        kept.store.acquit(&RunId(Arc::from("r1"))).await.unwrap();
        assert!(!has(&kept.path) && !has(&log), "its bytes are still in the files");
        kept.store.journal(debt("r2", "another")).await.unwrap();
        kept.store.close().await;
        assert!(!has(&kept.path), "its bytes are still in the file");
    }
}
