//! The table `stretches`: what became of the runs of each probe of each schedule by the hour and by the day, and where an
//! hour's runs are.

use std::time::Duration;

use rusqlite::{Connection, OptionalExtension as _, Result, Row, params};

use super::columns::{count, instant, micros, to_count};
use super::packed::{Place, pack_durations, pack_places, unpack_durations, unpack_places};
use crate::domain::history::{Grain, Stretch, Verdicts};
use crate::domain::time::{Timestamp, later};
use crate::ports::Pair;

/// How many rows that are read one after the other cost as much as one that is looked for.
const LOOK_UP_COST: usize = 4;

const COLUMNS: &str = "begins_at, probe, schedule, passed, degraded, failed, inconclusive, durations, places";

/// How a grain stands in the column.
pub fn hours(grain: Grain) -> i64 {
    match grain {
        Grain::Hour => 1,
        Grain::Day => 24,
    }
}

/// A row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Counted {
    /// How many ended how.
    pub stretch: Stretch,
    /// Of an hour: where the runs are, in their order.
    pub places: Vec<Place>,
}

impl Counted {
    /// One in which nothing was run yet.
    pub fn empty(from: Timestamp) -> Self {
        Self { stretch: Stretch::empty(from), places: Vec::new() }
    }

    fn read(row: &Row<'_>) -> Result<Self> {
        Ok(Self { stretch: stretch(row)?, places: unpack_places(row.get_ref("places")?.as_blob()?)? })
    }
}

/// The stretch of a row, without its places.
fn stretch(row: &Row<'_>) -> Result<Stretch> {
    Ok(Stretch {
        from: instant(row, "begins_at")?,
        verdicts: Verdicts {
            passed: to_count(row, "passed")?,
            degraded: to_count(row, "degraded")?,
            failed: to_count(row, "failed")?,
            inconclusive: to_count(row, "inconclusive")?,
        },
        durations: unpack_durations(row.get_ref("durations")?.as_blob()?)?,
    })
}

/// The stretch of a probe on a schedule that begins then; the schedule may be the empty text.
pub fn get(
    connection: &Connection,
    grain: Grain,
    begin: Timestamp,
    schedule: &str,
    probe: &str,
) -> Result<Option<Counted>> {
    let mut select = connection.prepare_cached(&format!(
        "SELECT {COLUMNS} FROM stretches WHERE hours = ?1 AND begins_at = ?2 AND probe = ?3 AND schedule = ?4"
    ))?;
    select.query_row(params![hours(grain), micros(begin), probe, schedule], Counted::read).optional()
}

/// Writes a stretch in the place of the one that was there.
pub fn put(connection: &Connection, grain: Grain, schedule: &str, probe: &str, counted: &Counted) -> Result<()> {
    let mut replace = connection.prepare_cached(&format!(
        "INSERT OR REPLACE INTO stretches (hours, {COLUMNS}) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)"
    ))?;
    let Counted { stretch, places } = counted;
    replace.execute(params![
        hours(grain),
        micros(stretch.from),
        probe,
        schedule,
        count(stretch.verdicts.passed),
        count(stretch.verdicts.degraded),
        count(stretch.verdicts.failed),
        count(stretch.verdicts.inconclusive),
        pack_durations(&stretch.durations),
        pack_places(places),
    ])?;
    Ok(())
}

/// Counts more in a stretch.
pub fn add(connection: &Connection, grain: Grain, schedule: &str, probe: &str, more: &Counted) -> Result<()> {
    let Some(mut known) = get(connection, grain, more.stretch.from, schedule, probe)? else {
        return put(connection, grain, schedule, probe, more);
    };
    known.stretch.add(&more.stretch);
    // Numbers grow, but for those that are given anew after the last of them were erased.
    known.places.extend(&more.places);
    known.places.sort_unstable();
    known.places.dedup_by_key(|(place, _)| *place);
    put(connection, grain, schedule, probe, &known)
}

/// When the first stretch of a grain begins and when the last does.
pub fn ends(connection: &Connection, grain: Grain) -> Result<Option<(Timestamp, Timestamp)>> {
    let end = |order: &str| {
        let mut select = connection.prepare_cached(&format!(
            "SELECT begins_at FROM stretches WHERE hours = ?1 ORDER BY begins_at {order} LIMIT 1"
        ))?;
        select.query_row([hours(grain)], |row| instant(row, "begins_at")).optional()
    };
    Ok(end("ASC")?.zip(end("DESC")?))
}

/// The stretches of each of these that begin from an instant on and before another, in their order.
pub fn of_each(
    connection: &Connection,
    grain: Grain,
    (from, until): (Timestamp, Timestamp),
    pairs: &[&Pair],
) -> Result<Vec<Vec<Stretch>>> {
    let mut found = vec![Vec::new(); pairs.len()];
    let Some((first, last)) = ends(connection, grain)? else { return Ok(found) };
    let (from, until) = (from.max(first), until.min(later(last, Duration::from_micros(1))));
    let all: u32 = connection.query_row("SELECT count(*) FROM slots", [], |row| row.get(0))?;
    if pairs.len() * LOOK_UP_COST < all as usize {
        look_up(connection, grain, (from, until), pairs, &mut found)?;
    } else {
        read_through(connection, grain, (from, until), pairs, &mut found)?;
    }
    Ok(found)
}

fn look_up(
    connection: &Connection,
    grain: Grain,
    (from, until): (Timestamp, Timestamp),
    pairs: &[&Pair],
    found: &mut [Vec<Stretch>],
) -> Result<()> {
    let mut select = connection.prepare_cached(&format!(
        "SELECT {COLUMNS} FROM stretches WHERE hours = ?1 AND begins_at = ?2 AND probe = ?3 AND schedule = ?4"
    ))?;
    let mut begin = from;
    while begin < until {
        for (pair, stretches) in pairs.iter().zip(found.iter_mut()) {
            let of = params![hours(grain), micros(begin), pair.1.as_str(), pair.0.as_str()];
            stretches.extend(select.query_row(of, stretch).optional()?);
        }
        begin = later(begin, grain.length());
    }
    Ok(())
}

/// Within a stretch of time the rows are in the order of probes and their schedules.
fn read_through(
    connection: &Connection,
    grain: Grain,
    (from, until): (Timestamp, Timestamp),
    pairs: &[&Pair],
    found: &mut [Vec<Stretch>],
) -> Result<()> {
    let mut select = connection.prepare_cached(&format!(
        "SELECT {COLUMNS} FROM stretches WHERE hours = ?1 AND begins_at >= ?2 AND begins_at < ?3
         ORDER BY begins_at, probe, schedule"
    ))?;
    let mut rows = select.query(params![hours(grain), micros(from), micros(until)])?;
    let mut wanted: Vec<_> =
        pairs.iter().map(|pair| (pair.1.as_str().as_bytes(), pair.0.as_str().as_bytes())).zip(0..).collect();
    wanted.sort_unstable();
    let (mut next, mut begin) = (wanted.iter().peekable(), None);
    while let Some(row) = rows.next()? {
        let this = row.get_ref("begins_at")?.as_i64()?;
        if begin != Some(this) {
            (next, begin) = (wanted.iter().peekable(), Some(this));
        }
        let of = (row.get_ref("probe")?.as_bytes()?, row.get_ref("schedule")?.as_bytes()?);
        while next.next_if(|(pair, _)| *pair < of).is_some() {}
        if let Some((_, at)) = next.next_if(|(pair, _)| *pair == of) {
            found[*at].push(stretch(row)?);
        }
    }
    Ok(())
}

/// Where the runs of a probe are that started within an hour, and which of them are bad.
pub fn places(connection: &Connection, hour: Timestamp, probe: &str, schedule: Option<&str>) -> Result<Vec<Place>> {
    let mut select = connection.prepare_cached(
        "SELECT places FROM stretches
         WHERE hours = 1 AND begins_at = ?1 AND probe = ?2 AND (?3 IS NULL OR schedule = ?3)",
    )?;
    let mut rows = select.query(params![micros(hour), probe, schedule])?;
    let mut places = Vec::new();
    while let Some(row) = rows.next()? {
        places.extend(unpack_places(row.get_ref("places")?.as_blob()?)?);
    }
    Ok(places)
}

/// Erases at most `slice` that began before.
pub fn purge(connection: &Connection, before: i64, slice: u32) -> Result<usize> {
    let mut rows = 0;
    for grain in [Grain::Hour, Grain::Day] {
        let mut erase = connection.prepare_cached(
            "DELETE FROM stretches WHERE (hours, begins_at, probe, schedule) IN (
                 SELECT hours, begins_at, probe, schedule FROM stretches
                 WHERE hours = ?1 AND begins_at < ?2 ORDER BY begins_at, probe, schedule LIMIT ?3)",
        )?;
        rows += erase.execute(params![hours(grain), before, slice])?;
    }
    Ok(rows)
}
