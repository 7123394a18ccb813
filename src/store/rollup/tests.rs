//! Whatever happens in whatever order, what is counted by the hour and the day is what a plain count of all runs says.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use proptest::prelude::*;
use rusqlite::Error;

use super::{Bounds, Slice, add, slice};
use crate::domain::history::{Grain, RunsAsked, Stretch};
use crate::domain::outcome::{Cause, Extra, Run, RunId, Verdict};
use crate::domain::time::Timestamp;
use crate::ports::{Commit, HistoryReader as _, Pair, StatusReader as _, Store as _};
use crate::store::testing::{Kept, accounts, failure, kept, probe, run, schedule, second};
use crate::store::writer::Work;

const DAY: i64 = 86_400;

fn bounds() -> impl Strategy<Value = Bounds> {
    (1..30_usize, 1..12_usize).prop_map(|(runs, stretches)| Bounds { runs, stretches })
}

/// What happens to a store.
#[derive(Clone, Debug)]
enum Act {
    /// Runs end: which, of three days' seconds when, and whether they are off the slots or of no schedule.
    Commit(Vec<(usize, i64, u8)>),
    /// One that ended before is written again, as another or as itself.
    Again(usize, bool),
    /// A slice is counted.
    Count(Bounds),
    /// A slice is read, something is committed or erased meanwhile, and then it is counted.
    Late(Bounds, Vec<(usize, i64, u8)>, bool),
    /// A slice is counted, and the process dies before that is committed.
    Die(Bounds),
    /// What is older than so many seconds after the beginning is erased.
    Purge(i64),
    /// The next process goes on.
    Reopen,
}

fn runs() -> impl Strategy<Value = Vec<(usize, i64, u8)>> {
    prop::collection::vec((0..4_usize, 0..3 * DAY, 0..12_u8), 1..25)
}

fn act() -> impl Strategy<Value = Act> {
    prop_oneof![
        6 => runs().prop_map(Act::Commit),
        2 => (any::<prop::sample::Index>(), any::<bool>()).prop_map(|(index, same)| Act::Again(index.index(1_000), same)),
        6 => bounds().prop_map(Act::Count),
        2 => (bounds(), runs(), any::<bool>()).prop_map(|(bounds, runs, purge)| Act::Late(bounds, runs, purge)),
        1 => bounds().prop_map(Act::Die),
        1 => (0..3 * DAY).prop_map(Act::Purge),
        1 => Just(Act::Reopen),
    ]
}

/// A store, and all that was ever committed to it.
struct World {
    kept: Kept,
    /// With whether it is still there.
    runs: Vec<(Run, bool)>,
    number: i64,
}

impl World {
    fn made(&mut self, of: &[(usize, i64, u8)]) -> Vec<Run> {
        let made = of.iter().map(|(name, at, what)| {
            self.number += 1;
            let mut run = run(["api", "web", "shop", "mail"][*name], self.number);
            // No two start in the same microsecond.
            run.started_at = second(*at) + chrono::TimeDelta::microseconds(self.number);
            run.duration = Duration::from_micros(at.unsigned_abs() * 7);
            if name % 2 == 1 {
                run.schedule = Some(schedule("hourly"));
            }
            match what {
                0 => run.verdict = Verdict::Failed(vec![failure()]),
                1 => run.verdict = Verdict::Degraded(vec![failure()]),
                2 => run.verdict = Verdict::Inconclusive(Cause::ShutDown),
                3 => run.extra = Some(Extra::Recheck),
                4 => run.schedule = None,
                _ => {}
            }
            run
        });
        made.collect()
    }

    async fn commit(&mut self, runs: Vec<Run>) {
        for run in &runs {
            let serves = |run: &Run| (run.schedule.clone(), run.probe.clone(), run.slot, run.extra);
            for (known, is_there) in &mut self.runs {
                let takes_its_place = known.id == run.id || run.schedule.is_some() && serves(known) == serves(run);
                *is_there &= !takes_its_place;
                if takes_its_place {
                    // It counts nothing any more, unless it was erased before.
                    known.extra = known.extra.or(Some(Extra::Drill));
                }
            }
            self.runs.push((run.clone(), true));
        }
        self.kept.store.commit(Commit { runs, ..Commit::default() }.into()).await.unwrap();
    }

    async fn slice(&self, bounds: Bounds) -> Option<Slice> {
        self.kept.store.read(move |connection| slice(connection, bounds)).await.unwrap()
    }

    async fn purge(&mut self, at: i64) {
        self.kept.count().await;
        self.kept.store.purge(second(at)).await.unwrap();
        for (run, is_there) in &mut self.runs {
            *is_there &= run.started_at >= second(at);
        }
    }

    async fn act(&mut self, act: Act) {
        match act {
            Act::Commit(of) => {
                let runs = self.made(&of);
                self.commit(runs).await;
            }
            Act::Again(index, same) => {
                let there: Vec<_> = self.runs.iter().filter(|(_, is_there)| *is_there).collect();
                let Some((known, _)) = there.get(index % there.len().max(1)) else { return };
                let mut again = known.clone();
                if !same {
                    self.number += 1;
                    again.id = RunId(format!("again-{}", self.number).into());
                    again.started_at += chrono::TimeDelta::hours(1) + chrono::TimeDelta::microseconds(self.number);
                    again.verdict = Verdict::Failed(vec![failure()]);
                }
                self.commit(vec![again]).await;
            }
            Act::Count(bounds) => {
                if let Some(slice) = self.slice(bounds).await {
                    self.kept.store.write(Work::RollUp(Box::new(slice))).await.unwrap();
                }
            }
            Act::Late(bounds, of, purge) => {
                let slice = self.slice(bounds).await;
                let runs = self.made(&of);
                self.commit(runs).await;
                if purge {
                    self.purge(DAY).await;
                }
                if let Some(slice) = slice {
                    self.kept.store.write(Work::RollUp(Box::new(slice))).await.unwrap();
                }
            }
            Act::Die(bounds) => {
                if let Some(slice) = self.slice(bounds).await {
                    let dies = self.kept.store.tamper(move |connection| {
                        add(connection, &slice)?;
                        Err(Error::QueryReturnedNoRows)
                    });
                    assert!(dies.await.is_err());
                }
                self.kept.reopen().await;
            }
            Act::Purge(at) => self.purge(at).await,
            Act::Reopen => self.kept.reopen().await,
        }
    }

    /// What a plain count says of what served a slot, whether it was erased since or not.
    fn counted(&self, grain: Grain) -> BTreeMap<Pair, Vec<Stretch>> {
        let mut counted: BTreeMap<Pair, BTreeMap<Timestamp, Stretch>> = BTreeMap::new();
        for (run, _) in self.runs.iter().filter(|(run, _)| run.extra.is_none()) {
            let Some(schedule) = &run.schedule else { continue };
            let begin = grain.begin(run.started_at);
            let stretches = counted.entry((schedule.clone(), run.probe.clone())).or_default();
            let stretch = stretches.entry(begin).or_insert_with(|| Stretch::empty(begin));
            stretch.count(run.verdict.word(), run.duration);
        }
        counted.into_iter().map(|(pair, stretches)| (pair, stretches.into_values().collect())).collect()
    }

    /// Ids of runs of a probe that are there, the latest first.
    fn listed(&self, of: &str, bad: bool) -> Vec<RunId> {
        let is_asked = |(run, is_there): &&(Run, bool)| {
            *is_there && run.probe.as_str() == of && (!bad || run.verdict != Verdict::Passed)
        };
        let mut runs: Vec<_> = self.runs.iter().filter(is_asked).map(|(run, _)| run).collect();
        runs.sort_by_key(|run| std::cmp::Reverse(run.started_at));
        runs.into_iter().map(|run| run.id.clone()).collect()
    }

    async fn check(&self) {
        let names = ["api", "web", "shop", "mail"];
        let pairs: BTreeSet<_> =
            names.iter().flat_map(|of| ["tier", "hourly"].map(|on| (schedule(on), probe(of)))).collect();
        for grain in [Grain::Hour, Grain::Day] {
            let found = self.kept.store.history(pairs.clone(), second(-DAY), second(9 * DAY), grain).await.unwrap();
            assert_eq!(found, self.counted(grain), "{grain:?}");
        }
        for (of, bad) in [("api", false), ("web", true), ("mail", false)] {
            let mut asked = RunsAsked {
                probe: probe(of),
                schedule: None,
                bad,
                from: second(-DAY),
                until: second(9 * DAY),
                after: None,
                most: 7,
            };
            let mut ids = Vec::new();
            loop {
                let found = self.kept.store.runs(asked.clone()).await.unwrap();
                asked.after = found.runs.last().map(|run| run.id.clone());
                ids.extend(found.runs.into_iter().map(|run| run.id));
                if !found.more {
                    break;
                }
            }
            assert_eq!(ids, self.listed(of, bad), "{of}");
        }
        let of_api = self.runs.iter().filter(|(run, is_there)| {
            *is_there && run.probe.as_str() == "api" && run.schedule.is_some() && run.started_at >= second(DAY)
        });
        let mut starts: Vec<_> = of_api.map(|(run, _)| run.started_at).collect();
        starts.sort();
        let shown = self.kept.store.overview(second(DAY)).await.unwrap().runs;
        let shown = shown.get(&(schedule("tier"), probe("api"))).cloned().unwrap_or_default();
        assert_eq!(shown.iter().map(|run| run.started_at).collect::<Vec<_>>(), starts);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]
    #[test]
    fn every_run_is_counted_once_whatever_happens(acts in prop::collection::vec(act(), 1..25)) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async {
            let mut world = World { kept: kept(), runs: Vec::new(), number: 0 };
            for act in acts {
                world.act(act).await;
                world.check().await;
            }
            while world.kept.store.roll_up().await.unwrap() {}
            world.check().await;
            assert_eq!(world.kept.integrity(), "ok");
        });
    }
}

fn asked() -> BTreeSet<Pair> {
    BTreeSet::from([(schedule("tier"), probe("api"))])
}

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

async fn put(kept: &Kept, starts: impl IntoIterator<Item = Timestamp>) {
    let of = |started_at: Timestamp| Run {
        id: RunId(started_at.to_string().into()),
        slot: started_at,
        started_at,
        ..run("api", 0)
    };
    let runs = starts.into_iter().map(of).collect();
    kept.store.commit(Commit { runs, ..Commit::default() }.into()).await.unwrap();
}

#[tokio::test]
async fn a_month_ends_at_midnight_also_for_a_run_that_ends_later() {
    let kept = kept();
    put(&kept, ["2026-11-30T23:59:59.999999Z", "2026-12-01T00:00:00Z"].map(at)).await;
    kept.store.roll_up().await.unwrap();
    put(&kept, [at("2026-11-30T23:30:00Z")]).await;
    for counted in [false, true] {
        if counted {
            kept.store.roll_up().await.unwrap();
        }
        for (grain, begins) in [
            (Grain::Hour, ["2026-11-30T23:00:00Z", "2026-12-01T00:00:00Z"]),
            (Grain::Day, ["2026-11-30T00:00:00Z", "2026-12-01T00:00:00Z"]),
        ] {
            let month = (at("2026-11-01T00:00:00Z"), at("2026-12-01T00:00:00Z"));
            let found = kept.store.history(asked(), month.0, month.1, grain).await.unwrap();
            let all: Vec<_> = found.values().flatten().map(|stretch| (stretch.from, stretch.verdicts.passed)).collect();
            assert_eq!(all, [(at(begins[0]), 2)], "{grain:?}");
            let found = kept.store.history(asked(), month.1, month.1 + chrono::TimeDelta::days(31), grain).await;
            let all: Vec<_> = found.unwrap().into_values().flatten().collect();
            assert_eq!((all.len(), all[0].from), (1, at(begins[1])), "{grain:?}");
        }
    }
}

#[tokio::test]
async fn bars_of_ninety_days_are_right_where_runs_are_kept_for_seven() {
    let kept = kept();
    let now = at("2026-11-24T10:00:00Z");
    let day = |days: i64| now - chrono::TimeDelta::days(days);
    put(&kept, (0..120).map(day)).await;
    kept.count().await;
    kept.store.purge(day(7)).await.unwrap();
    kept.store.purge_past(Grain::Day.begin(day(90))).await.unwrap();
    assert_eq!(kept.number("SELECT count(*) FROM runs"), 8);
    for counted in [Grain::Day, Grain::Hour] {
        let found = kept.store.history(asked(), day(200), now + chrono::TimeDelta::hours(1), counted).await.unwrap();
        let stretches = found.into_values().next().unwrap();
        assert_eq!((stretches.len(), stretches[0].from), (91, counted.begin(day(90))));
    }
    let runs = RunsAsked {
        probe: probe("api"),
        schedule: None,
        bad: false,
        from: day(200),
        until: day(0) + chrono::TimeDelta::hours(1),
        after: None,
        most: 100,
    };
    assert_eq!(kept.store.runs(runs).await.unwrap().runs.len(), 8);
}

#[tokio::test]
async fn when_all_runs_are_erased_those_that_come_after_them_are_counted() {
    let kept = kept();
    put(&kept, (0..50).map(second)).await;
    kept.count().await;
    kept.store.purge(second(10_000)).await.unwrap();
    assert_eq!(kept.number("SELECT count(*) FROM runs"), 0);
    // They are fewer and have numbers that others had before.
    put(&kept, (20_000..20_020).map(second)).await;
    kept.store.roll_up().await.unwrap();
    let found = kept.store.history(asked(), second(0), second(30_000), Grain::Day).await.unwrap();
    assert_eq!(found.into_values().flatten().map(|stretch| stretch.verdicts.passed).sum::<u64>(), 70);
}

#[tokio::test]
async fn a_run_that_takes_the_place_of_another_has_a_number_beyond_all() {
    let kept = kept();
    put(&kept, [second(0)]).await;
    put(&kept, [second(0)]).await;
    assert_eq!(kept.number("SELECT max(rowid) FROM runs"), 2, "SQLite counts on from the row that it replaces");
}

#[tokio::test]
async fn what_pages_have_not_asked_for_is_let_go() {
    let kept = kept();
    let commit =
        Commit { runs: (0..240).map(|n| run("api", n * 30)).collect(), accounts: accounts([]), ..Commit::default() };
    kept.store.commit(commit.into()).await.unwrap();
    let shown = kept.store.overview(second(0)).await.unwrap().runs;
    let held = Arc::clone(shown.values().next().unwrap());
    drop(shown);
    assert_eq!(Arc::strong_count(&held), 2, "the answer shares what is held");
    kept.store.roll_up().await.unwrap();
    assert_eq!(Arc::strong_count(&held), 2, "somebody has asked since");
    kept.store.roll_up().await.unwrap();
    assert_eq!(Arc::strong_count(&held), 1);
}
