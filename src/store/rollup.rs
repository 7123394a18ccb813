//! Counts runs by the hour and by the day after they were committed, so that a commit costs nothing more and a month is read
//! from some hundred rows. Slices are read beside the writer and handed to it, which adds them up in one transaction with how
//! far that is.
//!
//! How far is the number of a row of `runs`. Elsewhere row numbers mean nothing; here they say what came later, and `SQLite`
//! gives a new row one more than the greatest that is there (<https://www.sqlite.org/rowidtable.html>), also where the new row
//! takes the place of another. So whatever was committed after a slice lies beyond it, however late its run ended. Two things
//! could bring a number back: rows that are erased from the end, which is why whoever erases calls [`after_erasing`]; and
//! `VACUUM`, which nobody calls here, since the file shrinks by slices.

use std::collections::BTreeMap;

use rusqlite::{Connection, Result, Row, params};

use super::columns::{instant, micros, to_length};
use super::stretches::{self, Counted};
use crate::domain::history::Grain;
use crate::domain::names::ScheduleName;
use crate::domain::outcome::{Extra, Run};
use crate::domain::time::Timestamp;

/// How far runs are counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mark {
    /// The row number of the last run that is.
    pub through: i64,
    /// How often runs were taken away: whoever follows the rows begins anew where it has changed.
    pub erased: i64,
}

/// How much one slice is at most: what it adds to is written row by row in the writer's time.
#[derive(Clone, Copy, Debug)]
pub struct Bounds {
    /// How many runs are read.
    pub runs: usize,
    /// To how many stretches they are added, where the last run has not one more of each grain.
    pub stretches: usize,
}

impl Bounds {
    /// Holds a commit up for some 10 ms.
    pub const BESIDE_COMMITS: Self = Self { runs: 20_000, stretches: 1_000 };
}

/// When a stretch begins, the probe, and its schedule or nothing: in the order of the table.
type Key = (Timestamp, String, String);

/// Runs that lie beyond the mark, counted.
#[derive(Debug)]
pub struct Slice {
    after: Mark,
    through: i64,
    hours: BTreeMap<Key, Counted>,
    days: BTreeMap<Key, Counted>,
    /// How many runs there are.
    pub runs: usize,
    /// Whether more lie beyond it.
    pub more: bool,
}

/// How far runs are counted.
pub fn mark(connection: &Connection) -> Result<Mark> {
    let mut select = connection.prepare_cached("SELECT through, erased FROM counted")?;
    select.query_row([], |row| Ok(Mark { through: row.get(0)?, erased: row.get(1)? }))
}

/// The next slice; nothing where all is counted.
pub fn slice(connection: &Connection, bounds: Bounds) -> Result<Option<Slice>> {
    let after = mark(connection)?;
    let mut select = connection.prepare_cached(
        "SELECT rowid AS place, started_at, schedule, probe, duration, verdict, extra FROM runs
         WHERE rowid > ?1 ORDER BY rowid",
    )?;
    let mut rows = select.query([after.through])?;
    let mut slice =
        Slice { after, through: after.through, hours: BTreeMap::new(), days: BTreeMap::new(), runs: 0, more: false };
    while let Some(row) = rows.next()? {
        if slice.runs >= bounds.runs || slice.hours.len() + slice.days.len() >= bounds.stretches {
            slice.more = true;
            break;
        }
        slice.take(row)?;
    }
    Ok((slice.runs > 0).then_some(slice))
}

impl Slice {
    fn take(&mut self, row: &Row<'_>) -> Result<()> {
        let place: i64 = row.get("place")?;
        let started_at = instant(row, "started_at")?;
        let schedule = row.get_ref("schedule")?.as_str_or_null()?;
        let (probe, verdict) = (row.get_ref("probe")?.as_str()?, row.get_ref("verdict")?.as_str()?);
        let of = |grain: Grain| (grain.begin(started_at), probe.to_owned(), schedule.unwrap_or("").to_owned());
        let hour = self.hours.entry(of(Grain::Hour)).or_insert_with_key(|key| Counted::empty(key.0));
        hour.places.push((place.unsigned_abs(), verdict != "passed"));
        if schedule.is_some() && row.get_ref("extra")?.as_str_or_null()?.is_none() {
            let duration = to_length(row, "duration")?;
            hour.stretch.count(verdict, duration);
            let day = self.days.entry(of(Grain::Day)).or_insert_with_key(|key| Counted::empty(key.0));
            day.stretch.count(verdict, duration);
        }
        self.through = place;
        self.runs += 1;
        Ok(())
    }
}

/// Adds a slice, unless it is not the next one any more: runs of it may have been taken away since it was read.
pub fn add(connection: &Connection, slice: &Slice) -> Result<()> {
    if mark(connection)? != slice.after {
        return Ok(());
    }
    for (grain, counted) in [(Grain::Hour, &slice.hours), (Grain::Day, &slice.days)] {
        for ((_, probe, schedule), more) in counted {
            stretches::add(connection, grain, schedule, probe, more)?;
        }
    }
    let mut update = connection.prepare_cached("UPDATE counted SET through = ?1")?;
    update.execute([slice.through])?;
    Ok(())
}

/// After runs were erased. Where the last of all are gone, their numbers are given anew.
pub fn after_erasing(connection: &Connection) -> Result<()> {
    let mut update = connection.prepare_cached(
        "UPDATE counted SET erased = erased + 1, through = min(through, (SELECT coalesce(max(rowid), 0) FROM runs))",
    )?;
    update.execute([])?;
    Ok(())
}

/// Before a run takes the place of others, which may have been counted.
pub fn before_replacing(connection: &Connection, run: &Run) -> Result<()> {
    let mark = mark(connection)?;
    let (id, slot, location) = (&*run.id.0, micros(run.slot), &*run.location);
    let (schedule, probe) = (run.schedule.as_ref().map(ScheduleName::as_str), run.probe.as_str());
    let mut select = connection.prepare_cached(
        "SELECT started_at, schedule, probe, duration, verdict FROM runs
         WHERE (id = ?1 OR (slot = ?2 AND schedule = ?3 AND probe = ?4 AND location = ?5 AND ifnull(extra, '') = ?6))
           AND rowid <= ?7 AND schedule IS NOT NULL AND extra IS NULL",
    )?;
    let extra = run.extra.map_or("", Extra::as_str);
    let mut rows = select.query(params![id, slot, schedule, probe, location, extra, mark.through])?;
    while let Some(row) = rows.next()? {
        let (started_at, duration) = (instant(row, "started_at")?, to_length(row, "duration")?);
        let (schedule, probe) = (row.get_ref("schedule")?.as_str()?, row.get_ref("probe")?.as_str()?);
        for grain in [Grain::Hour, Grain::Day] {
            if let Some(mut known) = stretches::get(connection, grain, grain.begin(started_at), schedule, probe)? {
                known.stretch.uncount(row.get_ref("verdict")?.as_str()?, duration);
                stretches::put(connection, grain, schedule, probe, &known)?;
            }
        }
    }
    after_erasing(connection)
}

#[cfg(test)]
mod tests;
