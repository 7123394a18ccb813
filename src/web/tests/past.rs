//! What was: a month of the shop's probes by the hour, the runs of the last one, and what the bad ones left.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use chrono::TimeDelta;

use super::fixture::{NOW, Past, database_degraded, degraded_answer, incident, run};
use crate::domain::history::{Grain, Stretch};
use crate::domain::incident::{IncidentId, Severity, Version};
use crate::domain::outcome::{Case, Cause, Extra, Failure, FailureKind, Phases, Run, RunId, StepOutcome, Verdict};
use crate::domain::time::Timestamp;
use crate::engine::testing::at;
use crate::ports::KeptBundle;

/// The id of a run of the fixture by its number.
pub fn id(number: usize) -> RunId {
    RunId(Arc::from(format!("01KB2H8Q4V0000000000RUN{number:03}")))
}

/// What one step did.
pub fn step(name: &str, kind: &str, offset_ms: f64, first_byte_ms: f64, verdict: Verdict) -> StepOutcome {
    StepOutcome {
        name: name.parse().unwrap(),
        kind: kind.to_owned(),
        cleanup: false,
        verdict: Some(verdict),
        offset_ms,
        phases: Phases {
            dns_ms: Some(1.2),
            connect_ms: Some(4.0),
            tls_ms: Some(11.5),
            first_byte_ms: Some(first_byte_ms),
            transfer_ms: Some(0.4),
            total_ms: first_byte_ms + 17.4,
            ..Phases::default()
        },
        certificate_expires: Some(at("2026-12-15T12:00:00Z")),
        status: Some(200),
        late_ms: None,
        version: None,
        cases: Vec::new(),
    }
}

/// A month in which `api-health` failed once for half an hour, was not looked at for a day, and fails since 09:14; of the others
/// only the last runs are known.
pub fn past() -> Past {
    let mut runs = hour();
    runs.push(journey());
    runs.push(suite());
    let last = runs[0].clone();
    let bundle = Arc::new(degraded_answer("HTTP/1.1 200 OK"));
    let kept = KeptBundle {
        run: last.id,
        probe: last.probe,
        started_at: last.started_at,
        incident: Some(incident().id),
        bundle,
    };
    let mut over = incident();
    over.id = IncidentId(Arc::from("01KB2GHAAN0000000000000000"));
    over.severity = Severity::P2;
    over.since = at("2026-11-10T05:00:01Z");
    over.opened_at = at("2026-11-10T05:00:31Z");
    over.resolved_at = Some(at("2026-11-10T05:30:01Z"));
    let change = |since: &str, before: &str, version: &str| Version {
        probe: "api-health".parse().unwrap(),
        step: "health".parse().unwrap(),
        version: version.to_owned(),
        since: at(since),
        before: Some(before.to_owned()),
    };
    let pair = ("reachability".parse().unwrap(), "api-health".parse().unwrap());
    Past {
        stretches: Arc::new(Mutex::new(BTreeMap::from([(pair, month())]))),
        runs,
        bundle: Some(kept),
        incidents: vec![incident(), over],
        changes: vec![
            change("2026-11-03T14:00:01Z", "1.8.1", "1.8.2"),
            change("2026-11-24T09:11:31Z", "1.8.2", "1.8.3"),
        ],
        ..Past::default()
    }
}

/// Hours of `api-health`.
fn month() -> Vec<Stretch> {
    let now = Grain::Hour.begin(at(NOW));
    let hours = (0..720).rev().map(|hour| now - TimeDelta::hours(hour));
    let day_off = at("2026-11-15T00:00:00Z")..at("2026-11-16T00:00:00Z");
    let bad = at("2026-11-10T05:00:00Z");
    let hours = hours.filter(|hour| !day_off.contains(hour));
    let last = hour();
    let stretch = |from: Timestamp| {
        let mut stretch = Stretch::empty(from);
        if from >= at("2026-11-24T08:00:00Z") {
            for run in last.iter().filter(|run| run.extra.is_none() && Grain::Hour.begin(run.started_at) == from) {
                stretch.count(run.verdict.word(), run.duration);
            }
            return stretch;
        }
        let of_day = from.timestamp() / 3_600 % 24;
        for n in 0..120_u64 {
            let noise = (n * n * 31 + n * 17) % 40;
            let milliseconds = 70 + u64::try_from(of_day).unwrap() * 2 + noise + if n % 60 == 7 { 160 } else { 0 };
            let verdict = if from == bad && n < 60 { "failed" } else { "passed" };
            stretch.count(verdict, Duration::from_millis(milliseconds));
        }
        stretch
    };
    hours.map(stretch).collect()
}

/// The last hour of `api-health`, the latest run first.
fn hour() -> Vec<Run> {
    let single = |n: usize| {
        let started_at = at("2026-11-24T09:17:31.044Z") - TimeDelta::seconds(30 * i64::try_from(n).unwrap());
        let failed = started_at >= at("2026-11-24T09:14:00Z");
        let verdict = if failed { Verdict::Failed(vec![database_degraded()]) } else { Verdict::Passed };
        let milliseconds = 90 + u64::try_from(n * n * 31 % 13).unwrap() + if failed { 290 } else { 0 };
        let mut run = run("reachability", "api-health", started_at, milliseconds, verdict.clone());
        let waited = f64::from(u32::try_from(milliseconds).unwrap()) - 17.4;
        run.id = id(n);
        run.steps = vec![step("health", "http", 0.0, waited, verdict)];
        run
    };
    let mut runs: Vec<Run> = (0..120).map(single).collect();
    runs[5].extra = Some(Extra::Recheck);
    let blind = Failure::new(FailureKind::LocalSecret, "the secret `api-key` cannot be read: the file is gone");
    runs[40].verdict = Verdict::Inconclusive(Cause::Ours(blind));
    runs[40].steps.clear();
    runs
}

fn journey() -> Run {
    let mut run = run("journeys", "shopper-journey", at("2026-11-24T09:15:01Z"), 842, Verdict::Passed);
    run.id = id(500);
    run.steps = vec![
        step("login", "http", 0.0, 162.0, Verdict::Passed),
        step("add-to-wardrobe", "http", 180.0, 611.0, Verdict::Passed),
        StepOutcome {
            verdict: None,
            phases: Phases::default(),
            ..step("gift-wrap", "http", 810.0, 0.0, Verdict::Passed)
        },
        StepOutcome { cleanup: true, ..step("logout", "http", 812.0, 14.0, Verdict::Passed) },
    ];
    run
}

fn suite() -> Run {
    let case = |name: &str, verdict: Option<Verdict>| Case { name: name.to_owned(), verdict, took_ms: 812.0 };
    let broken = Failure::new(FailureKind::CommandReport, "expected the cart to hold 2 items, and it holds 1");
    let verdict =
        Verdict::Failed(vec![Failure::new(FailureKind::CommandReport, "it exited with 1").with("exit 0", "exit 1")]);
    let mut run = run("hourly", "suite-playwright", at("2026-11-24T09:00:08Z"), 56_200, verdict.clone());
    run.id = id(600);
    run.steps = vec![StepOutcome {
        certificate_expires: None,
        status: None,
        late_ms: Some(120.0),
        version: Some("1.8.3".to_owned()),
        cases: vec![
            case("checkout › pays by card", Some(Verdict::Passed)),
            case("checkout › keeps the cart", Some(Verdict::Failed(vec![broken]))),
            case("checkout › gift wrap", None),
        ],
        ..step("command", "command", 0.0, 56_000.0, verdict)
    }];
    run
}
