//! What objectives ask about the past: runs, read part by part from an index that has all that is asked of nearly every one.

use rusqlite::{CachedStatement, Connection, Result, Row};

use super::columns::{from_json, instant, micros, to_length};
use crate::domain::outcome::RunId;
use crate::domain::past::{PastRun, PastRuns, Question};
use crate::domain::time::Timestamp;

/// How many runs are looked at for one part; some 10 ms. Those that started in the same microsecond are in one part.
const PART_MAX: usize = 10_000;

/// For how many a run counts whose steps are read as well.
const DETAIL_COST: usize = 20;

const SELECT: &str = "SELECT rowid AS place, started_at, schedule, probe, duration, verdict FROM runs
     WHERE started_at >= ?1 AND started_at < ?2 AND schedule IS NOT NULL AND extra IS NULL
     ORDER BY started_at";

/// A part of the answer to a question, from an instant on.
pub fn past(connection: &Connection, question: &Question, from: Timestamp) -> Result<PastRuns> {
    let mut select = connection.prepare_cached(SELECT)?;
    let mut detail = connection.prepare_cached("SELECT id, steps FROM runs WHERE rowid = ?1")?;
    let mut rows = select.query([micros(from), micros(question.until)])?;
    let mut past = PastRuns::default();
    let (mut seen, mut last) = (0, None);
    while let Some(row) = rows.next()? {
        let started_at = row.get_ref("started_at")?.as_i64()?;
        if seen >= PART_MAX && last != Some(started_at) {
            past.next = Some(instant(row, "started_at")?);
            break;
        }
        let run = run(row, question, &mut detail)?;
        let has_detail = run.as_ref().is_some_and(|run| run.detail.is_some());
        (seen, last) = (seen + if has_detail { DETAIL_COST } else { 1 }, Some(started_at));
        past.runs.extend(run);
    }
    Ok(past)
}

/// The run of a row, where it is asked for and we could look.
fn run(row: &Row<'_>, question: &Question, detail: &mut CachedStatement<'_>) -> Result<Option<PastRun>> {
    let (schedule, probe) = (row.get_ref("schedule")?.as_str()?, row.get_ref("probe")?.as_str()?);
    let asked = question.rounds.get_key_value(schedule).and_then(|(schedule, probes)| {
        let (probe, wanted) = probes.get_key_value(probe)?;
        Some((schedule, probe, wanted))
    });
    let Some((schedule, probe, wanted)) = asked else { return Ok(None) };
    let failed = match row.get_ref("verdict")?.as_str()? {
        "inconclusive" => return Ok(None),
        verdict => verdict == "failed",
    };
    let duration = to_length(row, "duration")?;
    let detail = if wanted.wants(failed, duration) {
        let place: i64 = row.get("place")?;
        let read = |row: &Row<'_>| Ok((RunId(row.get::<_, String>("id")?.into()), from_json(row, "steps")?));
        Some(detail.query_row([place], read)?)
    } else {
        None
    };
    let (schedule, probe) = (schedule.clone(), probe.clone());
    Ok(Some(PastRun { schedule, probe, started_at: instant(row, "started_at")?, duration, failed, detail }))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::Duration;

    use super::*;
    use crate::domain::outcome::{Cause, Extra, Run, Verdict};
    use crate::domain::past::Detail;
    use crate::ports::{Commit, Store as _};
    use crate::store::testing::{Kept, failure, kept, probe, run, schedule, second};

    fn question(until: i64, detail: Detail) -> Arc<Question> {
        let rounds = [(schedule("tier"), [(probe("api"), detail)].into())].into();
        Arc::new(Question { number: 1, from: second(0), until: second(until), rounds })
    }

    async fn put(kept: &Kept, runs: Vec<Run>) {
        kept.store.commit(Commit { runs, ..Commit::default() }.into()).await.unwrap();
    }

    #[tokio::test]
    async fn the_past_is_what_served_a_slot_and_was_seen() {
        let kept = kept();
        let mut runs: Vec<_> = (0..6).map(|n| run("api", n * 30)).collect();
        runs[1].verdict = Verdict::Failed(vec![failure()]);
        runs[2].verdict = Verdict::Inconclusive(Cause::ShutDown);
        runs[3].verdict = Verdict::Degraded(vec![failure()]);
        runs[3].duration = Duration::from_millis(700);
        runs[4].extra = Some(Extra::Recheck);
        let (mut elsewhere, mut asked_for) = (run("api", 5), run("api", 6));
        elsewhere.schedule = Some(schedule("hourly"));
        asked_for.schedule = None;
        put(&kept, runs.into_iter().chain([elsewhere, asked_for, run("web", 7)]).collect()).await;
        let slow = Detail { slower_than: Some(Duration::from_millis(500)), ..Detail::default() };
        // Runs start a second after their slot.
        let past = kept.store.past(question(151, slow), second(1)).await.unwrap();
        let found: Vec<_> = past.runs.iter().map(|run| (run.started_at, run.failed, run.detail.is_some())).collect();
        assert_eq!(found, [(second(1), false, false), (second(31), true, true), (second(91), false, true)]);
        assert_eq!(past.runs[1].detail.as_ref().unwrap().0, run("api", 30).id);
        assert_eq!(past.next, None);
        let all = Detail { of_all: true, ..Detail::default() };
        let past = kept.store.past(question(152, all), second(92)).await.unwrap();
        assert_eq!(past.runs.len(), 1);
        assert!(past.runs[0].detail.is_some() && past.runs[0].started_at == second(151));
    }

    #[tokio::test]
    async fn much_of_it_comes_in_parts_that_lack_nothing_and_repeat_nothing() {
        let kept = kept();
        let runs: Vec<_> = (0..25_000)
            .map(|n| {
                // Three in each second, also across the end of a part.
                let mut run = run("api", n);
                run.started_at = second(n / 3);
                run
            })
            .collect();
        put(&kept, runs).await;
        let question = question(100_000, Detail::default());
        let (mut from, mut found, mut parts) = (second(0), 0, 0);
        loop {
            let past = kept.store.past(Arc::clone(&question), from).await.unwrap();
            (found, parts) = (found + past.runs.len(), parts + 1);
            match past.next {
                Some(next) => from = next,
                None => break,
            }
        }
        assert_eq!((found, parts), (25_000, 3));
    }

    #[tokio::test]
    async fn it_is_read_from_an_index_alone() {
        let kept = kept();
        let plan = kept.store.tamper(|connection| {
            let plan: String =
                connection.query_row(&format!("EXPLAIN QUERY PLAN {SELECT}"), [0, 1], |row| row.get("detail"))?;
            assert!(plan.contains("USING COVERING INDEX runs_by_start"), "{plan}");
            Ok(())
        });
        plan.await.unwrap();
    }
}
