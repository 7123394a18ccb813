//! What is erased, in slices: a commit that comes meanwhile waits for one slice and not for all.

use rusqlite::{Connection, Result, params};

use super::columns::micros;
use super::writer::Done;
use crate::domain::time::Timestamp;

/// How many runs go in one slice; some 20 ms.
const RUNS_SLICE: u32 = 5_000;

/// How many incidents go in one slice, each with its time line and its messages.
const INCIDENTS_SLICE: u32 = 200;

/// How many free pages of 4 KiB are given back to the file system in one slice.
const PAGES_SLICE: u32 = 1_000;

/// Erases a slice of what is older.
pub fn purge(connection: &Connection, before: Timestamp) -> Result<Done> {
    let before = micros(before);
    let mut old_runs = connection.prepare_cached(
        "DELETE FROM runs WHERE id IN (SELECT id FROM runs WHERE started_at < ?1 ORDER BY started_at LIMIT ?2)",
    )?;
    let runs = old_runs.execute(params![before, RUNS_SLICE])?;
    let mut old_incidents = connection.prepare_cached(
        "SELECT id FROM incidents i
         WHERE resolved_at < ?1
           AND NOT EXISTS (SELECT 1 FROM outbox o WHERE o.incident = i.id AND o.state = 'pending')
         ORDER BY resolved_at LIMIT ?2",
    )?;
    let incidents: Vec<String> =
        old_incidents.query_map(params![before, INCIDENTS_SLICE], |row| row.get(0))?.collect::<Result<_>>()?;
    let mut rows = runs;
    for delete in [
        "DELETE FROM moments WHERE incident = ?1",
        "DELETE FROM outbox WHERE incident = ?1",
        "DELETE FROM incidents WHERE id = ?1",
    ] {
        let mut delete = connection.prepare_cached(delete)?;
        for incident in &incidents {
            rows += delete.execute([incident])?;
        }
    }
    let more = runs == RUNS_SLICE as usize || incidents.len() == INCIDENTS_SLICE as usize;
    Ok(Done { rows: rows.try_into().unwrap_or(u64::MAX), more })
}

/// Gives a slice of the free pages back.
pub fn vacuum(connection: &Connection) -> Result<Done> {
    let mut pages = connection.prepare(&format!("PRAGMA incremental_vacuum({PAGES_SLICE})"))?;
    // It frees one page for each row that is asked of it.
    let mut rows = pages.query([])?;
    while rows.next()?.is_some() {}
    let free: i64 = connection.query_row("PRAGMA freelist_count", [], |row| row.get(0))?;
    Ok(Done { rows: 0, more: free > 0 })
}
