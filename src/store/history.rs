//! What pages ask about what was: stretches of a probe, its runs, one run, incidents.

use std::collections::{BTreeMap, BTreeSet};

use rusqlite::{Connection, OptionalExtension as _, Result, params};

use super::bundles;
use super::columns::{from_json, instant, micros, parsed, to_instant, to_length};
use super::reads::{pair, run as whole};
use crate::domain::history::{Grain, IncidentsAsked, IncidentsFound, RunsAsked, RunsFound, StoreSize, Stretch};
use crate::domain::incident::{Severity, Version};
use crate::domain::names::{ProbeName, ScheduleName};
use crate::domain::outcome::RunId;
use crate::domain::time::{Timestamp, later};
use crate::ports::{Pair, RunStory};

/// What became of the runs of each, by the hour or the day.
pub fn history(
    connection: &Connection,
    of: &BTreeSet<Pair>,
    from: Timestamp,
    until: Timestamp,
    grain: Grain,
) -> Result<BTreeMap<Pair, Vec<Stretch>>> {
    let mut select = connection.prepare_cached(
        "SELECT started_at, schedule, probe, duration, verdict FROM runs
         WHERE started_at >= ?1 AND started_at < ?2 AND schedule IS NOT NULL AND extra IS NULL ORDER BY started_at",
    )?;
    let begun = grain.begin(until);
    let end = if begun < until { later(begun, grain.length()) } else { until };
    let mut rows = select.query(params![micros(grain.begin(from)), micros(end)])?;
    let mut found: BTreeMap<Pair, Vec<Stretch>> = BTreeMap::new();
    while let Some(row) = rows.next()? {
        let pair = pair(row)?;
        if !of.contains(&pair) {
            continue;
        }
        let begin = grain.begin(instant(row, "started_at")?);
        let stretches = found.entry(pair).or_default();
        if stretches.last().is_none_or(|last| last.from != begin) {
            stretches.push(Stretch::empty(begin));
        }
        if let Some(stretch) = stretches.last_mut() {
            stretch.count(row.get_ref("verdict")?.as_str()?, to_length(row, "duration")?);
        }
    }
    Ok(found)
}

/// Runs of a probe, the latest first.
pub fn runs(connection: &Connection, asked: &RunsAsked) -> Result<RunsFound> {
    let mut select = connection.prepare_cached(
        "SELECT * FROM runs
         WHERE started_at >= ?1 AND started_at < ?2 AND probe = ?3 AND (?4 IS NULL OR schedule = ?4)
           AND (NOT ?5 OR verdict <> 'passed')
         ORDER BY started_at DESC LIMIT ?6",
    )?;
    let schedule = asked.schedule.as_ref().map(ScheduleName::as_str);
    let limit = i64::try_from(asked.most.saturating_add(1)).unwrap_or(i64::MAX);
    let of = params![micros(asked.from), micros(asked.until), asked.probe.as_str(), schedule, asked.bad, limit];
    let mut runs = select.query_map(of, whole)?.collect::<Result<Vec<_>>>()?;
    let more = runs.len() > asked.most;
    runs.truncate(asked.most);
    Ok(RunsFound { runs, more })
}

/// One run and what it left.
pub fn run(connection: &Connection, id: &RunId) -> Result<Option<RunStory>> {
    let mut select = connection.prepare_cached("SELECT * FROM runs WHERE id = ?1")?;
    let Some(run) = select.query_row([&*id.0], whole).optional()? else { return Ok(None) };
    Ok(Some(RunStory { run, bundle: bundles::of_run(connection, id)? }))
}

/// Incidents, those that opened last first.
pub fn incidents(connection: &Connection, asked: &IncidentsAsked) -> Result<IncidentsFound> {
    let mut select = connection.prepare_cached(
        "SELECT body FROM incidents
         WHERE opened_at >= ?1 AND (?2 IS NULL OR probe = ?2) AND (?3 IS NULL OR json_extract(body, '$.severity') = ?3)
           AND (?4 IS NULL OR (opened_at, id) < (SELECT opened_at, id FROM incidents WHERE id = ?4))
           AND json_extract(body, '$.drill') IS NULL
         ORDER BY opened_at DESC, id DESC LIMIT ?5",
    )?;
    let from = asked.from.map_or(i64::MIN, micros);
    let limit = i64::try_from(asked.most.saturating_add(1)).unwrap_or(i64::MAX);
    let (probe, severity) = (asked.probe.as_ref().map(ProbeName::as_str), asked.severity.map(Severity::as_str));
    let of = params![from, probe, severity, asked.after.as_ref().map(|id| &*id.0), limit];
    let mut incidents = select.query_map(of, |row| from_json(row, "body"))?.collect::<Result<Vec<_>>>()?;
    let more = incidents.len() > asked.most;
    incidents.truncate(asked.most);
    Ok(IncidentsFound { incidents, more })
}

/// The changes of version that a probe saw.
pub fn changes(connection: &Connection, probe: &ProbeName, from: Timestamp, until: Timestamp) -> Result<Vec<Version>> {
    let mut select = connection.prepare_cached(
        "SELECT * FROM versions WHERE probe = ?1 AND since >= ?2 AND since < ?3 AND before IS NOT NULL ORDER BY since",
    )?;
    let changes = select.query_map(params![probe.as_str(), micros(from), micros(until)], |row| {
        Ok(Version {
            probe: parsed(row, "probe")?,
            step: parsed(row, "step")?,
            version: row.get("version")?,
            since: instant(row, "since")?,
            before: row.get("before")?,
        })
    })?;
    changes.collect()
}

/// How much there is.
pub fn size(connection: &Connection) -> Result<StoreSize> {
    let number = |sql| connection.query_row(sql, [], |row| row.get::<_, Option<i64>>(0));
    let of = |count: Option<i64>| count.and_then(|count| u64::try_from(count).ok()).unwrap_or(0);
    let bytes = of(number("SELECT page_count * page_size FROM pragma_page_count, pragma_page_size")?);
    // Counting them would read the whole table; places are taken in order, and the oldest are given free.
    let runs = of(number("SELECT max(rowid) - min(rowid) + 1 FROM runs")?);
    let oldest = number("SELECT min(started_at) FROM runs")?.and_then(to_instant);
    Ok(StoreSize { bytes, runs, oldest })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::outcome::{Extra, Verdict};
    use crate::ports::{Commit, HistoryReader as _, Store as _};
    use crate::store::testing::{failure, incident, kept, opening, probe, run, schedule, second};

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
            most: 3,
        };
        let mut ids = Vec::new();
        loop {
            let found = kept.store.runs(asked.clone()).await.unwrap();
            asked.until = found.runs.last().unwrap().started_at;
            ids.extend(found.runs.into_iter().map(|run| run.id));
            if !found.more {
                break;
            }
        }
        assert_eq!(ids, runs[..5].iter().rev().map(|run| run.id.clone()).collect::<Vec<_>>());
        let bad = RunsAsked { bad: true, until: second(1_000), ..asked };
        assert_eq!(kept.store.runs(bad).await.unwrap().runs, [runs[1].clone()]);
        assert_eq!(kept.store.run(&runs[1].id).await.unwrap().unwrap().run, runs[1]);
        assert_eq!(kept.store.size().await.unwrap().runs, 6);
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
    }
}
