//! Runs of one probe, the latest first, found by where the hours say they are. An index with the probe first would find them as
//! well, and would dirty a page of its own with every run that ends.

use std::collections::BTreeSet;
use std::time::Duration;

use rusqlite::{Connection, OptionalExtension as _, Result, params};

use super::columns::micros;
use super::history::is_nearly_counted;
use super::reads::run as whole;
use super::rollup::{self, Mark};
use super::stretches;
use crate::domain::history::{Grain, RunsAsked, RunsFound};
use crate::domain::names::ScheduleName;
use crate::domain::time::earlier;

/// That a run is one of those that are asked for, wherever it was found.
const ASKED: &str = "started_at >= ?1 AND started_at < ?2 AND probe = ?3 AND (?4 IS NULL OR schedule = ?4)
     AND (NOT ?5 OR verdict <> 'passed')";

/// Runs of a probe, the latest first.
pub fn runs(connection: &Connection, asked: &RunsAsked) -> Result<RunsFound> {
    let mark = rollup::mark(connection)?;
    let mut runs = if is_nearly_counted(connection, mark)? {
        let mut select = connection.prepare_cached("SELECT * FROM runs WHERE rowid = ?1")?;
        let latest = latest(connection, asked, mark)?.into_iter().take(asked.most.saturating_add(1));
        latest.map(|(_, place)| select.query_row([place], whole)).collect::<Result<Vec<_>>>()?
    } else {
        let sql = format!("SELECT * FROM runs WHERE {ASKED} ORDER BY started_at DESC, rowid DESC LIMIT ?6");
        let limit = i64::try_from(asked.most.saturating_add(1)).unwrap_or(i64::MAX);
        let mut select = connection.prepare_cached(&sql)?;
        let (from, until, probe, schedule, bad) = columns(asked);
        select.query_map(params![from, until, probe, schedule, bad, limit], whole)?.collect::<Result<Vec<_>>>()?
    };
    let more = runs.len() > asked.most;
    runs.truncate(asked.most);
    Ok(RunsFound { runs, more })
}

fn columns(asked: &RunsAsked) -> (i64, i64, &str, Option<&str>, bool) {
    let schedule = asked.schedule.as_ref().map(ScheduleName::as_str);
    (micros(asked.from), micros(asked.until), asked.probe.as_str(), schedule, asked.bad)
}

/// When the latest of them started and where they are, one more than are asked for if there are as many, the latest first.
fn latest(connection: &Connection, asked: &RunsAsked, mark: Mark) -> Result<Vec<(i64, i64)>> {
    let (from, until, probe, schedule, bad) = columns(asked);
    let mut beyond = connection
        .prepare_cached(&format!("SELECT started_at, rowid FROM runs NOT INDEXED WHERE rowid > ?6 AND {ASKED}"))?;
    let of = params![from, until, probe, schedule, bad, mark.through];
    let mut found: BTreeSet<(i64, i64)> =
        beyond.query_map(of, |row| Ok((row.get(0)?, row.get(1)?)))?.collect::<Result<_>>()?;
    let Some((first, last)) = stretches::ends(connection, Grain::Hour)? else {
        return Ok(found.into_iter().rev().collect());
    };
    let mut at = connection
        .prepare_cached(&format!("SELECT started_at FROM runs WHERE rowid = ?6 AND rowid <= ?7 AND {ASKED}"))?;
    let mut hour = Grain::Hour.begin(earlier(asked.until, Duration::from_micros(1)).min(last));
    while hour >= first && hour >= Grain::Hour.begin(asked.from) {
        for (place, _) in
            stretches::places(connection, hour, probe, schedule)?.iter().filter(|(_, is_bad)| *is_bad || !bad)
        {
            let place = i64::try_from(*place).unwrap_or(i64::MAX);
            let of = params![from, until, probe, schedule, bad, place, mark.through];
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
