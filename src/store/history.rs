//! What pages ask about what was: stretches of a probe, one run, incidents, changes of version.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use rusqlite::{Connection, OptionalExtension as _, Result, params};

use super::bundles;
use super::columns::{from_json, instant, micros, to_instant, to_length};
use super::reads::{hearers, run as whole, version};
use super::rollup::{self, Mark};
use super::stretches;
use crate::domain::history::{Grain, IncidentsAsked, IncidentsFound, StoreSize, Stretch};
use crate::domain::incident::{Severity, Version};
use crate::domain::names::ProbeName;
use crate::domain::outcome::RunId;
use crate::domain::time::{Timestamp, later};
use crate::ports::{Pair, RunStory};

/// How many runs that are not counted yet are read as they were committed. Where there are more, as when an old store is being
/// counted, they are found by when they started.
const UNCOUNTED_MAX: i64 = 100_000;

/// Whether few runs lie beyond the mark.
pub fn is_nearly_counted(connection: &Connection, mark: Mark) -> Result<bool> {
    let last: i64 = connection.query_row("SELECT coalesce(max(rowid), 0) FROM runs", [], |row| row.get(0))?;
    Ok(last - mark.through <= UNCOUNTED_MAX)
}

/// What became of the runs of each, by the hour or the day: what is counted, and with it what is not counted yet.
pub fn history(
    connection: &Connection,
    of: &BTreeSet<Pair>,
    from: Timestamp,
    until: Timestamp,
    grain: Grain,
) -> Result<BTreeMap<Pair, Vec<Stretch>>> {
    let from = grain.begin(from);
    let begun = grain.begin(until);
    let until = if begun < until { later(begun, grain.length()) } else { until };
    let pairs: Vec<_> = of.iter().collect();
    let mut found = stretches::of_each(connection, grain, (from, until), &pairs)?;
    let mark = rollup::mark(connection)?;
    let beyond = "schedule IS NOT NULL AND extra IS NULL AND started_at >= ?1 AND started_at < ?2 AND rowid > ?3";
    let sql = if is_nearly_counted(connection, mark)? {
        format!("SELECT started_at, schedule, probe, duration, verdict FROM runs NOT INDEXED WHERE {beyond}")
    } else {
        format!(
            "SELECT started_at, schedule, probe, duration, verdict FROM runs INDEXED BY runs_by_start WHERE {beyond}"
        )
    };
    let places: HashMap<_, _> =
        pairs.iter().enumerate().map(|(at, pair)| ((pair.0.as_str(), pair.1.as_str()), at)).collect();
    let mut select = connection.prepare_cached(&sql)?;
    let mut rows = select.query(params![micros(from), micros(until), mark.through])?;
    while let Some(row) = rows.next()? {
        let of = (row.get_ref("schedule")?.as_str()?, row.get_ref("probe")?.as_str()?);
        let Some(stretches) = places.get(&of).and_then(|at| found.get_mut(*at)) else { continue };
        let begin = grain.begin(instant(row, "started_at")?);
        let at = stretches.binary_search_by_key(&begin, |stretch| stretch.from).unwrap_or_else(|at| {
            stretches.insert(at, Stretch::empty(begin));
            at
        });
        stretches[at].count(row.get_ref("verdict")?.as_str()?, to_length(row, "duration")?);
    }
    for stretches in &mut found {
        stretches.retain(|stretch| stretch.verdicts.all() > 0);
    }
    let some = |stretches: &Vec<_>| !stretches.is_empty();
    Ok(pairs.into_iter().cloned().zip(found).filter(|(_, stretches)| some(stretches)).collect())
}

/// One run and what it left.
pub fn run(connection: &Connection, id: &RunId) -> Result<Option<RunStory>> {
    let mut select = connection.prepare_cached("SELECT * FROM runs WHERE id = ?1")?;
    let Some(run) = select.query_row([&*id.0], whole).optional()? else { return Ok(None) };
    Ok(Some(RunStory { run, bundle: bundles::of_run(connection, id)? }))
}

/// Incidents, those that opened last first.
pub fn incidents(connection: &Connection, asked: &IncidentsAsked) -> Result<IncidentsFound> {
    let open = match asked.open {
        None => "",
        Some(true) => "AND resolved_at IS NULL",
        Some(false) => "AND resolved_at IS NOT NULL",
    };
    let mut select = connection.prepare_cached(&format!(
        "SELECT body FROM incidents
         WHERE opened_at >= ?1 AND opened_at < ?6 AND (?2 IS NULL OR probe = ?2)
           AND (?3 IS NULL OR json_extract(body, '$.severity') = ?3) {open}
           AND (?4 IS NULL OR (opened_at, id) < (SELECT opened_at, id FROM incidents WHERE id = ?4))
           AND json_extract(body, '$.drill') IS NULL
         ORDER BY opened_at DESC, id DESC LIMIT ?5"
    ))?;
    let (from, until) = (asked.from.map_or(i64::MIN, micros), asked.until.map_or(i64::MAX, micros));
    let limit = i64::try_from(asked.most.saturating_add(1)).unwrap_or(i64::MAX);
    let (probe, severity) = (asked.probe.as_ref().map(ProbeName::as_str), asked.severity.map(Severity::as_str));
    let of = params![from, probe, severity, asked.after.as_ref().map(|id| &*id.0), limit, until];
    let mut incidents = select.query_map(of, |row| from_json(row, "body"))?.collect::<Result<Vec<_>>>()?;
    let more = incidents.len() > asked.most;
    incidents.truncate(asked.most);
    let hearers = hearers(connection, &incidents)?;
    Ok(IncidentsFound { incidents, more, hearers })
}

/// The changes of version that a probe saw.
pub fn changes(connection: &Connection, probe: &ProbeName, from: Timestamp, until: Timestamp) -> Result<Vec<Version>> {
    let mut select = connection
        .prepare_cached("SELECT * FROM changes WHERE probe = ?1 AND since >= ?2 AND since < ?3 ORDER BY since, step")?;
    select.query_map(params![probe.as_str(), micros(from), micros(until)], version)?.collect()
}

/// How much there is.
pub fn size(connection: &Connection) -> Result<StoreSize> {
    let number = |sql| connection.query_row(sql, [], |row| row.get::<_, Option<i64>>(0));
    let of = |count: Option<i64>| count.and_then(|count| u64::try_from(count).ok()).unwrap_or(0);
    let file = connection.path().unwrap_or_default();
    let length = |end| std::fs::metadata(format!("{file}{end}")).map_or(0, |file| file.len());
    let bytes = length("") + length("-wal");
    // Counting them would read the whole table; places are taken in order, and the oldest are given free.
    let runs = of(number("SELECT max(rowid) - min(rowid) + 1 FROM runs")?);
    let oldest = number("SELECT min(started_at) FROM runs")?.and_then(to_instant);
    Ok(StoreSize { bytes, runs, oldest })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::history::{RunsAsked, RunsFound};
    use crate::domain::names::StepName;
    use crate::domain::outcome::{Extra, Run, Verdict};
    use crate::ports::{Commit, HistoryReader as _, Store as _};
    use crate::store::testing::{failure, incident, kept, opening, probe, resolving, run, schedule, second};

    #[tokio::test]
    async fn stretches_count_what_was_scheduled_and_served_a_slot() {
        let kept = kept();
        let mut runs: Vec<_> = (0..240).map(|n| run("api", n * 30)).collect();
        runs[0].verdict = Verdict::Failed(vec![failure()]);
        runs[1].extra = Some(Extra::Recheck);
        runs[2].schedule = None;
        let (first, last) = (runs[0].started_at, runs[239].started_at);
        kept.store.commit(Commit { runs, ..Commit::default() }.into()).await.unwrap();
        let of = (schedule("tier"), probe("api"));
        let asked = BTreeSet::from([of.clone(), (schedule("tier"), probe("web"))]);
        for grain in [Grain::Hour, Grain::Day] {
            let found = kept.store.history(asked.clone(), first, last, grain).await.unwrap();
            let stretches = &found[&of];
            assert_eq!((found.len(), stretches[0].from), (1, grain.begin(first)));
            assert!(stretches.windows(2).all(|pair| pair[0].from < pair[1].from));
            let mut all = Stretch::empty(first);
            for stretch in stretches {
                all.add(stretch);
            }
            assert_eq!((all.verdicts.failed, all.verdicts.all(), all.durations.runs()), (1, 238, 238), "{grain:?}");
        }
    }

    #[tokio::test]
    async fn runs_come_in_parts_the_latest_first() {
        let kept = kept();
        let mut runs: Vec<_> = (0..5).map(|n| run("api", n * 30)).collect();
        runs[1].verdict = Verdict::Failed(vec![failure()]);
        runs.push(run("web", 7));
        kept.store.commit(Commit { runs: runs.clone(), ..Commit::default() }.into()).await.unwrap();
        let mut asked = RunsAsked {
            probe: probe("api"),
            schedule: None,
            bad: false,
            from: second(0),
            until: second(1_000),
            after: None,
            most: 3,
        };
        let mut ids = Vec::new();
        loop {
            let found = kept.store.runs(asked.clone()).await.unwrap();
            asked.after = found.runs.last().map(|run| run.id.clone());
            ids.extend(found.runs.into_iter().map(|run| run.id));
            if !found.more {
                break;
            }
        }
        assert_eq!(ids, runs[..5].iter().rev().map(|run| run.id.clone()).collect::<Vec<_>>());
        let erased = RunsAsked { after: Some(RunId(std::sync::Arc::from("erased"))), ..asked.clone() };
        assert_eq!(kept.store.runs(erased).await.unwrap(), RunsFound::default());
        let bad = RunsAsked { bad: true, after: None, ..asked };
        assert_eq!(kept.store.runs(bad).await.unwrap().runs, [runs[1].clone()]);
        assert_eq!(kept.store.run(&runs[1].id).await.unwrap().unwrap().run, runs[1]);
        let size = kept.store.size().await.unwrap();
        let length = |end| std::fs::metadata(kept.path.with_extension(end)).unwrap().len();
        assert_eq!((size.runs, size.bytes), (6, length("db") + length("db-wal")));
        assert!(length("db-wal") > 0, "nothing has been put into the database yet");
    }

    #[tokio::test]
    async fn runs_that_started_at_once_are_all_found_wherever_they_are_looked_for() {
        let kept = kept();
        let runs: Vec<_> = (0..9).map(|n| Run { started_at: second(61), ..run("api", n) }).collect();
        let ids: Vec<_> = runs.iter().rev().map(|run| run.id.clone()).collect();
        kept.store.commit(Commit { runs, ..Commit::default() }.into()).await.unwrap();
        let (from, until) = (second(0), second(1_000));
        for _ in 0..2 {
            let mut asked =
                RunsAsked { probe: probe("api"), schedule: None, bad: false, from, until, after: None, most: 2 };
            let mut found = Vec::new();
            loop {
                let part = kept.store.runs(asked.clone()).await.unwrap();
                asked.after = part.runs.last().map(|run| run.id.clone());
                found.extend(part.runs.into_iter().map(|run| run.id));
                if !part.more {
                    break;
                }
            }
            assert_eq!(found, ids);
            while kept.store.roll_up().await.unwrap() {}
        }
    }

    #[tokio::test]
    async fn incidents_come_in_parts_those_that_opened_last_first() {
        let kept = kept();
        for (n, id) in ["I1", "I2", "I3"].into_iter().enumerate() {
            let at = i64::try_from(n).unwrap() * 60;
            kept.store.commit(opening(&incident(id, Severity::P1, at), &[], at).into()).await.unwrap();
        }
        let part = kept.store.incidents(IncidentsAsked { most: 2, ..IncidentsAsked::default() }).await.unwrap();
        let ids: Vec<_> = part.incidents.iter().map(|incident| &*incident.id.0).collect();
        assert_eq!((ids, part.more), (vec!["I3", "I2"], true));
        let after = Some(part.incidents[1].id.clone());
        let rest = kept.store.incidents(IncidentsAsked { after, most: 2, ..IncidentsAsked::default() }).await.unwrap();
        assert_eq!((&*rest.incidents[0].id.0, rest.more), ("I1", false));
        kept.store.commit(resolving(&incident("I2", Severity::P1, 60), &[], 90).into()).await.unwrap();
        kept.store.commit(opening(&incident("I4", Severity::P3, 240), &[], 240).into()).await.unwrap();
        let ids = async |open, severity| {
            let asked = IncidentsAsked { open, severity, most: 9, ..IncidentsAsked::default() };
            let found = kept.store.incidents(asked).await.unwrap().incidents;
            found.iter().map(|incident| incident.id.to_string()).collect::<Vec<_>>().join(" ")
        };
        assert_eq!(ids(Some(true), None).await, "I4 I3 I1");
        assert_eq!(ids(Some(false), None).await, "I2");
        assert_eq!(ids(None, Some(Severity::P3)).await, "I4");
        assert_eq!(ids(Some(true), Some(Severity::P1)).await, "I3 I1");
    }

    #[tokio::test]
    async fn every_change_of_version_is_kept_and_the_oldest_of_many_goes() {
        let kept = kept();
        let version = |n: i64| Version {
            probe: probe("api"),
            step: StepName::parse("http").unwrap(),
            version: n.to_string(),
            since: second(n),
            before: (n > 0).then(|| (n - 1).to_string()),
        };
        // In one commit, as after a rest of the store.
        let commit = (0..3).map(|n| Commit { versions: vec![version(n)], ..Commit::default() });
        let commit = commit.reduce(Commit::then).unwrap();
        kept.store.commit(commit.into()).await.unwrap();
        let changes = async |from, until| kept.store.changes(&probe("api"), second(from), second(until)).await.unwrap();
        assert_eq!(changes(0, 100).await, [version(1), version(2)], "the first that was ever seen is no change");
        assert_eq!(changes(2, 100).await, [version(2)]);
        assert_eq!(kept.store.load().await.unwrap().versions, [version(2)]);
        let commit = Commit { versions: (3..1_500).map(version).collect(), ..Commit::default() };
        kept.store.commit(commit.into()).await.unwrap();
        let left = changes(0, 9_999).await;
        assert_eq!((left.len(), &left[0]), (1_000, &version(500)));
        kept.store.purge_past(second(1_499)).await.unwrap();
        assert_eq!(changes(0, 9_999).await, [version(1_499)]);
    }

    #[tokio::test]
    async fn incidents_that_opened_at_once_are_all_found() {
        let kept = kept();
        for (id, severity) in [("I1", Severity::P1), ("I2", Severity::P2), ("I3", Severity::P1)] {
            kept.store.commit(opening(&incident(id, severity, 60), &[], 60).into()).await.unwrap();
        }
        let mut asked = IncidentsAsked { most: 1, ..IncidentsAsked::default() };
        let mut found = Vec::new();
        loop {
            let part = kept.store.incidents(asked.clone()).await.unwrap();
            asked.after = part.incidents.last().map(|incident| incident.id.clone());
            found.extend(part.incidents.iter().map(|incident| incident.id.0.to_string()));
            if !part.more {
                break;
            }
        }
        assert_eq!(found, ["I3", "I2", "I1"]);
        let grave = IncidentsAsked { severity: Some(Severity::P2), most: 9, ..IncidentsAsked::default() };
        assert_eq!(&*kept.store.incidents(grave).await.unwrap().incidents[0].id.0, "I2");
        let late = IncidentsAsked { from: Some(second(61)), most: 9, ..IncidentsAsked::default() };
        assert_eq!(kept.store.incidents(late).await.unwrap().incidents, []);
        for (until, count) in [(60, 0), (61, 3)] {
            let early = IncidentsAsked { until: Some(second(until)), most: 9, ..IncidentsAsked::default() };
            assert_eq!(kept.store.incidents(early).await.unwrap().incidents.len(), count, "before {until} s");
        }
    }
}
