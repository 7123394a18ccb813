//! What must hold of the store and of what the receivers took, once everything is well again. The letters are those of the
//! invariants that `docs/faults.md` lists.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use roundsman::domain::incident::Incident;
use rusqlite::{Connection, OpenFlags};

use super::world::{CHANNELS, Key, Taken};

/// A row of the outbox.
#[derive(Clone, Debug)]
pub struct Row {
    /// The channel, the incident, the event.
    pub key: Key,
    /// The number of the message within its incident.
    pub transition: u32,
    /// `pending`, `delivered`, `merged` or `dead`.
    pub state: String,
}

/// The store of a configuration, for reading.
pub fn store(directory: &Path) -> Connection {
    let path = directory.join("state/roundsman.db");
    Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_ONLY).expect("the store")
}

/// The rows of the outbox.
pub fn rows(store: &Connection) -> Vec<Row> {
    let mut statement = store
        .prepare_cached("SELECT channel, incident, event, transition, state FROM outbox ORDER BY created_at, id")
        .expect("the table");
    let rows = statement.query_map([], |row| {
        Ok(Row { key: (row.get(0)?, row.get(1)?, row.get(2)?), transition: row.get(3)?, state: row.get(4)? })
    });
    rows.expect("rows").map(|row| row.expect("a row")).collect()
}

/// Every incident that was ever committed.
pub fn incidents(store: &Connection) -> Vec<Incident> {
    let mut statement = store.prepare("SELECT body FROM incidents ORDER BY id").expect("the table");
    let rows = statement.query_map([], |row| row.get::<_, String>(0)).expect("rows");
    rows.map(|row| serde_json::from_str(&row.expect("a row")).expect("an incident")).collect()
}

/// How many incidents of each probe its runs tell of, by a rule of its own: a run that failed after one that did not.
fn told_by_runs(store: &Connection) -> BTreeMap<String, usize> {
    let mut statement = store.prepare("SELECT probe, verdict FROM runs ORDER BY probe, started_at").expect("the table");
    let runs = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?))).expect("rows");
    let mut counts: BTreeMap<String, usize> = BTreeMap::new();
    let mut failing = BTreeSet::new();
    for (probe, verdict) in runs.map(|row: rusqlite::Result<(String, String)>| row.expect("a row")) {
        match verdict.as_str() {
            "failed" if failing.insert(probe.clone()) => *counts.entry(probe).or_default() += 1,
            "passed" => drop(failing.remove(&probe)),
            _ => {}
        }
    }
    counts
}

/// What was found.
pub struct Found {
    /// Incidents that were committed.
    pub incidents: usize,
    /// Messages that were taken.
    pub messages: usize,
    /// How many of them had been taken before.
    pub repeats: usize,
    /// How many may have been: what a receiver had and the store did not say so at a kill, or was denied.
    pub in_flight: usize,
    /// What must not be.
    pub faults: Vec<String>,
}

/// Judges. `in_flight` says for each message at how many kills a receiver had it and the store did not say so.
pub fn judge(store: &Connection, taken: &[Taken], in_flight: &BTreeMap<Key, usize>) -> Found {
    let (incidents, rows) = (incidents(store), rows(store));
    let mut faults = Vec::new();
    let mut count: BTreeMap<&Key, usize> = BTreeMap::new();
    let mut may_repeat = in_flight.clone();
    for message in taken {
        *count.entry(&message.key).or_default() += 1;
        *may_repeat.entry(message.key.clone()).or_default() += usize::from(message.denied);
    }

    for row in &rows {
        let has_come = match row.state.as_str() {
            "delivered" => count.contains_key(&row.key),
            "merged" => taken.iter().any(|message| message.late && tells_end_of(message, &row.key)),
            _ => false,
        };
        if !has_come {
            faults.push(format!("I1: lost: {row:?}"));
        }
    }
    let known: BTreeSet<_> = incidents.iter().map(|incident| (&*incident.id.0, incident)).map(|(id, _)| id).collect();
    let committed: BTreeSet<_> = rows.iter().map(|row| &row.key).collect();
    for (key, times) in &count {
        let allowed = may_repeat.get(*key).copied().unwrap_or_default();
        if times - 1 > allowed {
            faults.push(format!("I2: {key:?} came {times} times, and {allowed} repeats may have been in flight"));
        }
        if !known.contains(key.1.as_str()) || !committed.contains(key) {
            faults.push(format!("I4: {key:?} was told and never committed"));
        }
    }
    for incident in &incidents {
        of_incident(incident, &rows, taken, &mut faults);
    }
    if rows.len() > incidents.len() * CHANNELS.len() * 3 {
        faults.push(format!("I9: {} rows for {} incidents", rows.len(), incidents.len()));
    }
    let mut opened: BTreeMap<String, usize> = BTreeMap::new();
    for incident in &incidents {
        *opened.entry(incident.probe.to_string()).or_default() += 1;
    }
    let by_runs = told_by_runs(store);
    if opened != by_runs {
        faults.push(format!("runs tell of {by_runs:?}, and there were {opened:?}"));
    }
    let repeats = count.values().map(|times| times - 1).sum();
    Found { incidents: incidents.len(), messages: taken.len(), repeats, in_flight: may_repeat.values().sum(), faults }
}

fn tells_end_of(message: &Taken, (channel, incident, _): &Key) -> bool {
    let (to, of, event) = &message.key;
    to == channel && of == incident && event == "resolved"
}

fn of_incident(incident: &Incident, rows: &[Row], taken: &[Taken], faults: &mut Vec<String>) {
    let id = &*incident.id.0;
    let numbers: BTreeSet<_> = rows.iter().filter(|row| row.key.1 == id).map(|row| row.transition).collect();
    if !numbers.iter().copied().eq(1..=incident.transitions) {
        faults.push(format!("I5: {id} has {} transitions and told {numbers:?}", incident.transitions));
    }
    if incident.is_open() {
        faults.push(format!("{id} is still open"));
    }
    for channel in CHANNELS {
        let of_it = taken.iter().filter(|message| message.key.0 == channel && message.key.1 == id);
        let of_it: Vec<_> = of_it.collect();
        let told = |event: &str| of_it.iter().position(|message| message.key.2 == event);
        let Some(end) = told("resolved") else {
            faults.push(format!("I6: {channel} never heard the end of {id}: {of_it:?}"));
            continue;
        };
        let begins = told("opened").map_or(of_it[end].late, |begin| begin < end);
        if !begins {
            faults.push(format!("I3: {channel} heard the end of {id} before its beginning: {of_it:?}"));
        }
    }
    // As PagerDuty does it: a trigger under a key that is resolved opens another incident, and wakes somebody.
    let duty = taken.iter().filter(|message| message.key.0 == "duty" && message.key.1 == id);
    let events: Vec<_> = duty.map(|message| message.key.2.as_str()).collect();
    let again = events.windows(2).filter(|pair| *pair == ["resolved", "opened"]).count();
    if again > 0 || events.last() == Some(&"opened") {
        faults.push(format!("I2: PagerDuty has {again} incidents too many of {id}: {events:?}"));
    }
}
