//! Runs of one probe, the latest first, found by where the hours say they are. An index with the probe first would find them as
//! well, and would dirty a page of its own with every run that ends.

use std::collections::BTreeSet;
use std::time::Duration;

use rusqlite::{Connection, OptionalExtension as _, Result, params};

use super::columns::{micros, to_instant};
use super::history::is_nearly_counted;
use super::reads::run as whole;
use super::rollup::{self, Mark};
use super::stretches;
use crate::domain::history::{Grain, RunsAsked, RunsFound};
use crate::domain::names::ScheduleName;
use crate::domain::time::{Timestamp, earlier};

/// That a run is one of those that are asked for, wherever it was found.
const ASKED: &str = "started_at >= ?1 AND started_at < ?2 AND probe = ?3 AND (?4 IS NULL OR schedule = ?4)
     AND (NOT ?5 OR verdict <> 'passed') AND (started_at, rowid) < (?6, ?7)";

/// When a run started and where it is: by that they are in order.
type Place = (i64, i64);

/// Runs of a probe, the latest first.
pub fn runs(connection: &Connection, asked: &RunsAsked) -> Result<RunsFound> {
    let mark = rollup::mark(connection)?;
    let Some(end) = end(connection, asked)? else { return Ok(RunsFound::default()) };
    let mut runs = if is_nearly_counted(connection, mark)? {
        let mut select = connection.prepare_cached("SELECT * FROM runs WHERE rowid = ?1")?;
        let latest = latest(connection, asked, end, mark)?.into_iter().take(asked.most.saturating_add(1));
        latest.map(|(_, place)| select.query_row([place], whole)).collect::<Result<Vec<_>>>()?
    } else {
        let sql = format!("SELECT * FROM runs WHERE {ASKED} ORDER BY started_at DESC, rowid DESC LIMIT ?8");
        let limit = i64::try_from(asked.most.saturating_add(1)).unwrap_or(i64::MAX);
        let mut select = connection.prepare_cached(&sql)?;
        let (from, until, probe, schedule, bad) = columns(asked, end);
        select
            .query_map(params![from, until, probe, schedule, bad, end.0, end.1, limit], whole)?
            .collect::<Result<Vec<_>>>()?
    };
    let more = runs.len() > asked.most;
    runs.truncate(asked.most);
    Ok(RunsFound { runs, more })
}

/// Before which place those stand that are asked for; nothing where it was erased.
fn end(connection: &Connection, asked: &RunsAsked) -> Result<Option<Place>> {
    let Some(after) = &asked.after else { return Ok(Some((i64::MAX, i64::MAX))) };
    let mut select = connection.prepare_cached("SELECT started_at, rowid FROM runs WHERE id = ?1")?;
    select.query_row([&*after.0], |row| Ok((row.get(0)?, row.get(1)?))).optional()
}

fn columns(asked: &RunsAsked, end: Place) -> (i64, i64, &str, Option<&str>, bool) {
    let schedule = asked.schedule.as_ref().map(ScheduleName::as_str);
    let until = micros(asked.until).min(end.0.saturating_add(1));
    (micros(asked.from), until, asked.probe.as_str(), schedule, asked.bad)
}

/// The first hour in which there may be such a run, and the last. Hours are kept for longer than the runs in them.
fn hours(connection: &Connection, asked: &RunsAsked, until: i64) -> Result<Option<(Timestamp, Timestamp)>> {
    let Some((_, last)) = stretches::ends(connection, Grain::Hour)? else { return Ok(None) };
    let oldest = connection.query_row("SELECT min(started_at) FROM runs", [], |row| row.get::<_, Option<i64>>(0))?;
    let Some(oldest) = oldest.and_then(to_instant) else { return Ok(None) };
    let until = earlier(to_instant(until).unwrap_or(asked.until), Duration::from_micros(1));
    Ok(Some((Grain::Hour.begin(oldest.max(asked.from)), Grain::Hour.begin(until.min(last)))))
}

/// When the latest of them started and where they are, one more than are asked for if there are as many, the latest first.
fn latest(connection: &Connection, asked: &RunsAsked, end: Place, mark: Mark) -> Result<Vec<Place>> {
    let (from, until, probe, schedule, bad) = columns(asked, end);
    let mut beyond = connection
        .prepare_cached(&format!("SELECT started_at, rowid FROM runs NOT INDEXED WHERE rowid > ?8 AND {ASKED}"))?;
    let of = params![from, until, probe, schedule, bad, end.0, end.1, mark.through];
    let mut found: BTreeSet<Place> =
        beyond.query_map(of, |row| Ok((row.get(0)?, row.get(1)?)))?.collect::<Result<_>>()?;
    let Some((first, last)) = hours(connection, asked, until)? else { return Ok(found.into_iter().rev().collect()) };
    let mut at = connection
        .prepare_cached(&format!("SELECT started_at FROM runs WHERE rowid = ?8 AND rowid <= ?9 AND {ASKED}"))?;
    let mut hour = last;
    while hour >= first {
        for (place, _) in
            stretches::places(connection, hour, probe, schedule)?.iter().filter(|(_, is_bad)| *is_bad || !bad)
        {
            let place = i64::try_from(*place).unwrap_or(i64::MAX);
            let of = params![from, until, probe, schedule, bad, end.0, end.1, place, mark.through];
            // One that is not there any more was erased, or another took its place.
            found.extend(at.query_row(of, |row| row.get(0)).optional()?.map(|started_at| (started_at, place)));
        }
        if found.range((micros(hour), i64::MIN)..).count() > asked.most {
            break;
        }
        hour = earlier(hour, Grain::Hour.length());
    }
    Ok(found.into_iter().rev().collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ports::{Commit, HistoryReader as _, Store as _};
    use crate::store::testing::{kept, probe, run, second};

    #[tokio::test]
    async fn hours_whose_runs_were_erased_are_not_searched() {
        let kept = kept();
        let runs: Vec<_> = (0..100).map(|hour| run("api", hour * 3_600)).collect();
        kept.store.commit(Commit { runs: runs.clone(), ..Commit::default() }.into()).await.unwrap();
        kept.count().await;
        kept.store.purge(runs[90].started_at).await.unwrap();
        let asked = RunsAsked {
            probe: probe("api"),
            schedule: None,
            bad: false,
            from: second(0),
            until: second(1_000_000),
            after: None,
            most: 50,
        };
        let whole = asked.clone();
        let searched = kept.store.read(move |connection| hours(connection, &whole, micros(whole.until))).await.unwrap();
        let hour = |at: usize| Grain::Hour.begin(runs[at].started_at);
        assert_eq!(searched, Some((hour(90), hour(99))));
        assert_eq!(kept.store.runs(asked.clone()).await.unwrap().runs.len(), 10);
        let narrow = RunsAsked { from: runs[95].started_at, until: runs[97].started_at, ..asked };
        assert_eq!(kept.store.runs(narrow.clone()).await.unwrap().runs.len(), 2);
        let searched =
            kept.store.read(move |connection| hours(connection, &narrow, micros(narrow.until))).await.unwrap();
        assert_eq!(searched, Some((hour(95), hour(97))));
    }
}
