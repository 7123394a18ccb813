//! What the status page shows of runs, held while somebody looks: it asks every second, and between two seconds little happens.
//! The runs of the last hour are followed by the numbers of their rows, as [`super::rollup`] does; where some were taken away it
//! begins anew. What is held is some 40 bytes for each run of the hour, which the answers share, and for each probe of a
//! schedule its last run without its steps.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

use rusqlite::{Connection, Result, Row, params};

use super::columns::{instant, micros, read, to_count, to_length};
use super::reads::{self, word};
use super::rollup;
use crate::domain::names::{ProbeName, ScheduleName};
use crate::domain::outcome::{Run, SlotOutcome};
use crate::domain::time::{Timestamp, later, milliseconds};
use crate::ports::{Pair, RunSummary};

/// The runs of a shorter time are read when they are asked for: who wants to know how things stand for an act of his own asks
/// for none.
const HELD_MIN: Duration = Duration::from_mins(30);

/// What is held.
#[derive(Default)]
pub struct Lately {
    /// Whether somebody has looked since it was last asked.
    is_asked: bool,
    /// How often rows had been taken away at the last look.
    erased: i64,
    /// From when on runs are held, and the number of the last row that was read.
    held: Option<(Timestamp, i64)>,
    runs: BTreeMap<Pair, Arc<[RunSummary]>>,
    last: BTreeMap<Pair, Run>,
    names: Names,
}

/// What is known of runs at one moment.
pub struct Look {
    /// Of each probe of a schedule its runs, oldest first.
    pub runs: BTreeMap<Pair, Arc<[RunSummary]>>,
    /// The last run of each, without its steps.
    pub last: BTreeMap<Pair, Run>,
    /// Slots by outcome.
    pub slots: BTreeMap<Pair, BTreeMap<SlotOutcome, u64>>,
}

impl Lately {
    /// What is known at the moment, with the runs since an instant.
    pub fn look(&mut self, connection: &Connection, since: Timestamp) -> Result<Look> {
        self.is_asked = true;
        let erased = rollup::mark(connection)?.erased;
        if erased != self.erased {
            (self.held, self.last) = (None, BTreeMap::new());
            self.erased = erased;
        }
        let slots = self.slots(connection)?;
        let latest =
            connection.query_row("SELECT max(started_at) FROM runs", [], |row| row.get::<_, Option<i64>>(0))?;
        let runs = if latest.is_some_and(|latest| micros(later(since, HELD_MIN)) < latest) {
            self.follow(connection, since)?;
            self.runs.clone()
        } else {
            let new = self.read(connection, "INDEXED BY runs_by_start WHERE rowid > ?1", 0, since)?;
            new.into_iter().map(|(pair, runs)| (pair, runs.into())).collect()
        };
        Ok(Look { runs, last: self.last.clone(), slots })
    }

    /// Forgets everything, unless somebody has looked since this was last called.
    pub fn forget_unless_asked(&mut self) {
        if self.is_asked {
            self.is_asked = false;
        } else {
            *self = Self::default();
        }
    }

    /// Reads what is new, and lets go what is older than is asked for.
    fn follow(&mut self, connection: &Connection, since: Timestamp) -> Result<()> {
        let last = connection.query_row("SELECT coalesce(max(rowid), 0) FROM runs", [], |row| row.get(0))?;
        // Until all is read there is nothing to go on from.
        let mut new = match self.held.take() {
            Some((from, through)) if from <= since => {
                self.read(connection, "NOT INDEXED WHERE rowid > ?1", through, since)?
            }
            _ => {
                self.runs.clear();
                self.read(connection, "INDEXED BY runs_by_start WHERE rowid > ?1", 0, since)?
            }
        };
        self.runs.retain(|pair, runs| {
            let new = new.remove(pair).unwrap_or_default();
            let old = runs.partition_point(|run| run.started_at < since);
            if old > 0 || !new.is_empty() {
                let mut all: Vec<_> = runs[old..].iter().copied().chain(new).collect();
                // Runs end in another order than they start in.
                all.sort_by_key(|run| run.started_at);
                *runs = all.into();
            }
            !runs.is_empty()
        });
        self.runs.extend(new.into_iter().map(|(pair, runs)| (pair, runs.into())));
        self.held = Some((since, last));
        Ok(())
    }

    /// Runs since an instant in rows beyond a number, by when they started.
    fn read(
        &mut self,
        connection: &Connection,
        beyond: &str,
        through: i64,
        since: Timestamp,
    ) -> Result<HashMap<Pair, Vec<RunSummary>>> {
        let mut select = connection.prepare_cached(&format!(
            "SELECT schedule, probe, started_at, duration, verdict FROM runs {beyond}
               AND started_at >= ?2 AND schedule IS NOT NULL ORDER BY started_at"
        ))?;
        let mut rows = select.query(params![through, micros(since)])?;
        let mut runs: HashMap<Pair, Vec<RunSummary>> = HashMap::new();
        while let Some(row) = rows.next()? {
            let summary = RunSummary {
                started_at: instant(row, "started_at")?,
                duration_ms: milliseconds(to_length(row, "duration")?),
                verdict: word(row)?,
            };
            runs.entry(self.names.pair(row)?).or_default().push(summary);
        }
        Ok(runs)
    }

    /// Slots by outcome; reads last runs that are others than those that are held.
    fn slots(&mut self, connection: &Connection) -> Result<BTreeMap<Pair, BTreeMap<SlotOutcome, u64>>> {
        let mut select = connection.prepare_cached("SELECT * FROM slots")?;
        let mut rows = select.query([])?;
        let mut slots = BTreeMap::new();
        while let Some(row) = rows.next()? {
            let pair = self.names.pair(row)?;
            let last = row.get_ref("last_run")?.as_str_or_null()?;
            if self.last.get(&pair).map(|run| &*run.id.0) != last {
                let run = last.map(|id| reads::run_in_short(connection, id)).transpose()?.flatten();
                match run {
                    Some(run) => drop(self.last.insert(pair.clone(), run)),
                    None => drop(self.last.remove(&pair)),
                }
            }
            let of = |outcome: SlotOutcome| Ok((outcome, to_count(row, outcome.as_str())?));
            slots.insert(pair, SlotOutcome::ALL.into_iter().map(of).collect::<Result<_>>()?);
        }
        Ok(slots)
    }
}

/// Names that were parsed once: thousands of rows bear the same.
#[derive(Default)]
struct Names(HashMap<Box<str>, HashMap<Box<str>, Pair>>);

impl Names {
    /// The schedule and the probe of a row.
    fn pair(&mut self, row: &Row<'_>) -> Result<Pair> {
        let (schedule, probe) = (row.get_ref("schedule")?.as_str()?, row.get_ref("probe")?.as_str()?);
        if let Some(known) = self.0.get(schedule).and_then(|probes| probes.get(probe)) {
            return Ok(known.clone());
        }
        let pair = (read("schedule", ScheduleName::parse(schedule))?, read("probe", ProbeName::parse(probe))?);
        self.0.entry(schedule.into()).or_default().insert(probe.into(), pair.clone());
        Ok(pair)
    }
}
