//! What is erased, in slices: a commit that comes meanwhile waits for one slice and not for all.

use rusqlite::{Connection, Result, params};

use super::columns::micros;
use super::writer::Done;
use super::{rollup, stretches};
use crate::domain::time::Timestamp;

/// How many runs, and how many bundles, go in one slice; some 20 ms.
const RUNS_SLICE: u32 = 5_000;

/// How many stretches of each grain go in one slice.
const STRETCHES_SLICE: u32 = 2_000;

/// How many incidents go in one slice, each with its time line, its messages and what was seen of it.
const INCIDENTS_SLICE: u32 = 200;

/// How many free pages of 4 KiB are given back to the file system in one slice.
const PAGES_SLICE: u32 = 1_000;

/// Erases a slice of what is older. A run goes when it is counted.
pub fn purge(connection: &Connection, before: Timestamp) -> Result<Done> {
    let (cutoff, before) = (before, micros(before));
    let mut old_runs = connection.prepare_cached(
        "DELETE FROM runs WHERE id IN (
             SELECT id FROM runs WHERE started_at < ?1 AND rowid <= (SELECT through FROM counted)
             ORDER BY started_at LIMIT ?2)",
    )?;
    let runs = old_runs.execute(params![before, RUNS_SLICE])?;
    if runs > 0 {
        rollup::after_erasing(connection)?;
    }
    let bundles = super::bundles::purge(connection, before, RUNS_SLICE)?;
    let mut old_incidents = connection.prepare_cached(
        "SELECT id FROM incidents i
         WHERE resolved_at < ?1 AND json_extract(body, '$.post_mortem_at') IS NULL
           AND NOT EXISTS (SELECT 1 FROM outbox o WHERE o.incident = i.id AND o.state = 'pending')
         ORDER BY resolved_at LIMIT ?2",
    )?;
    let incidents: Vec<String> =
        old_incidents.query_map(params![before, INCIDENTS_SLICE], |row| row.get(0))?.collect::<Result<_>>()?;
    let mut rows = runs + bundles;
    for delete in [
        "DELETE FROM bundles WHERE incident = ?1",
        "DELETE FROM diagnoses WHERE incident = ?1",
        "DELETE FROM moments WHERE incident = ?1",
        "DELETE FROM outbox WHERE incident = ?1",
        "DELETE FROM replies WHERE incident = ?1",
        "DELETE FROM incidents WHERE id = ?1",
    ] {
        let mut delete = connection.prepare_cached(delete)?;
        for incident in &incidents {
            rows += delete.execute([incident])?;
        }
    }
    // Nobody makes so many that they would need a slice.
    let mut old_silences = connection.prepare_cached("DELETE FROM silences WHERE ends_at < ?1")?;
    rows += old_silences.execute([before])?;
    rows += super::audits::purge(connection, cutoff)?;
    let mut old_pauses = connection.prepare_cached("DELETE FROM pauses WHERE ended_at < ?1")?;
    rows += old_pauses.execute([before])?;
    let more = runs.max(bundles) == RUNS_SLICE as usize || incidents.len() == INCIDENTS_SLICE as usize;
    Ok(Done { rows: rows.try_into().unwrap_or(u64::MAX), more, ..Done::default() })
}

/// Erases a slice of what is older of what is kept longer than runs: how they ended, and changes of version.
pub fn purge_past(connection: &Connection, before: Timestamp) -> Result<Done> {
    let before = micros(before);
    let stretches = stretches::purge(connection, before, STRETCHES_SLICE)?;
    let mut old_changes = connection.prepare_cached("DELETE FROM changes WHERE since < ?1")?;
    let rows = stretches + old_changes.execute([before])?;
    let more = stretches >= STRETCHES_SLICE as usize;
    Ok(Done { rows: rows.try_into().unwrap_or(u64::MAX), more, ..Done::default() })
}

/// Gives a slice of the free pages back.
pub fn vacuum(connection: &Connection) -> Result<Done> {
    let mut pages = connection.prepare(&format!("PRAGMA incremental_vacuum({PAGES_SLICE})"))?;
    // It frees one page for each row that is asked of it.
    let mut rows = pages.query([])?;
    while rows.next()?.is_some() {}
    let free: i64 = connection.query_row("PRAGMA freelist_count", [], |row| row.get(0))?;
    Ok(Done { more: free > 0, ..Done::default() })
}

#[cfg(test)]
mod tests {
    use crate::domain::incident::{Event, Severity};
    use crate::ports::{Commit, Settlement, StatusReader as _, Store as _};
    use crate::store::testing::{delivery, incident, kept, moment, opening, resolved, run, second};

    #[tokio::test]
    async fn what_is_old_and_over_goes_and_the_rest_stays() {
        let kept = kept();
        let runs = (0..20).map(|n| run("api", n * 30)).collect();
        kept.store.commit(Commit { runs, ..Commit::default() }.into()).await.unwrap();
        kept.count().await;
        let [over, told, open, recent] = ["over", "told", "open", "recent"].map(|id| incident(id, Severity::P1, 0));
        for (incident, end) in [(&over, Some(10)), (&told, Some(10)), (&open, None), (&recent, Some(500))] {
            let mut commit = opening(incident, &["ops"], 0);
            commit.moments.push(moment(&incident.id.0, 0, "opened"));
            commit.incidents.extend(end.map(|end| resolved(incident, end)));
            kept.store.commit(commit.into()).await.unwrap();
        }
        let merged = Settlement::Merged { at: second(11) };
        for settled in [&over, &open, &recent] {
            let message = delivery(settled, 1, Event::Opened, "ops", 0);
            kept.store.settle(&message, merged.clone()).await.unwrap();
        }
        // Ten runs, and one incident with its moment and its message; the other's message still waits.
        assert_eq!(kept.store.purge(second(301)).await.unwrap(), 13);
        assert_eq!(kept.number("SELECT min(started_at) FROM runs"), second(301).timestamp_micros());
        let left = |id: &str| kept.store.incident(&incident(id, Severity::P1, 0).id);
        assert!(left("over").await.unwrap().is_none());
        for id in ["told", "open", "recent"] {
            let story = left_story(&kept, id).await;
            assert_eq!((story.moments.len(), story.told.len()), (1, 1), "{id}");
        }
        assert_eq!(kept.store.purge(second(301)).await.unwrap(), 0);
    }

    #[tokio::test]
    async fn what_is_counted_goes_also_where_nothing_more_can_be_counted() {
        let kept = kept();
        let runs = |from| Commit { runs: (from..from + 10).map(|n| run("api", n)).collect(), ..Commit::default() };
        kept.store.commit(runs(0).into()).await.unwrap();
        kept.count().await;
        // As where the disk is full.
        let full = "CREATE TRIGGER full BEFORE INSERT ON stretches BEGIN SELECT RAISE(FAIL, 'full'); END";
        kept.store.tamper(move |connection| connection.execute_batch(full)).await.unwrap();
        kept.store.commit(runs(10).into()).await.unwrap();
        kept.store.roll_up().await.unwrap_err();
        assert_eq!(kept.store.purge(second(1_000)).await.unwrap(), 10);
        assert_eq!(kept.number("SELECT min(started_at) FROM runs"), second(11).timestamp_micros(), "the others stay");
    }

    async fn left_story(kept: &crate::store::testing::Kept, id: &str) -> crate::ports::IncidentStory {
        kept.store.incident(&incident(id, Severity::P1, 0).id).await.unwrap().unwrap()
    }

    #[tokio::test]
    async fn much_goes_in_slices_and_the_file_shrinks() {
        let kept = kept();
        let runs = (0..12_000).map(|n| run("api", n)).collect();
        kept.store.commit(Commit { runs, ..Commit::default() }.into()).await.unwrap();
        kept.count().await;
        let (pages, before) = (kept.number("PRAGMA page_count"), kept.store.transactions());
        assert_eq!(kept.store.purge(second(20_000)).await.unwrap(), 12_000);
        let slices = kept.store.transactions() - before;
        assert!(slices >= 4, "three slices of runs and at least one of pages, not {slices}");
        assert_eq!(kept.number("PRAGMA freelist_count"), 0);
        assert!(kept.number("PRAGMA page_count") < pages / 10);
        assert_eq!(kept.integrity(), "ok");
    }
}
