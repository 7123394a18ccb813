//! A shop that is watched in three tiers, and a reader that knows how it stands.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use chrono::TimeDelta;
use futures::future::BoxFuture;
use secrecy::SecretString;

use crate::domain::exchange::{Assertion, Bundle, Captured, Exchange, StepRecord};
use crate::domain::expression::{Explanation, Part};
use crate::domain::history::{Grain, IncidentsAsked, IncidentsFound, RunsAsked, RunsFound, StoreSize, Stretch};
use crate::domain::incident::{Event, Finding, Hearers, Incident, IncidentId, Moment, Severity, Version};
use crate::domain::names::{CaptureName, ChannelName, ProbeName, ScheduleName, SecretName, StepName};
use crate::domain::outcome::{Failure, FailureKind, Phases, Run, RunId, SlotOutcome, Verdict};
use crate::domain::probe::Labels;
use crate::domain::schedule::{Cadence, Schedule};
use crate::domain::time::{Timestamp, earlier};
use crate::engine::changes::Generations;
use crate::engine::plan::Plan;
use crate::engine::testing::{at, plan_of, schedule_of, step};
use crate::ports::{
    Diagnosis, Fate, HistoryReader, IncidentStory, KeptBundle, Overview, Pair, RunStory, RunSummary, SecretError,
    Secrets, StatusReader, StoreError, Told,
};
use crate::web::view::View;
use crate::web::visit::Visit;

/// When the fixture is looked at.
pub const NOW: &str = "2026-11-24T09:17:45Z";

/// What an incident is called here.
pub const INCIDENT: &str = "01KB2H8Q4V0000000000000000";

/// Secrets of which one may be had.
pub struct Fixed(pub Option<&'static str>);

impl Secrets for Fixed {
    fn resolve<'a>(&'a self, name: &'a SecretName) -> BoxFuture<'a, Result<SecretString, SecretError>> {
        let error = || SecretError { name: name.clone(), reason: "the file is gone".to_owned(), passes: false };
        Box::pin(std::future::ready(self.0.map(SecretString::from).ok_or_else(error)))
    }
    fn redact(&self, text: &str) -> String {
        text.replace("hunter2", "•••")
    }
}

/// What a reader answers, always.
#[derive(Clone, Default)]
pub struct Reader {
    pub overview: Overview,
    pub story: Option<IncidentStory>,
}

impl StatusReader for Reader {
    fn overview(&self, _: Timestamp) -> BoxFuture<'_, Result<Overview, StoreError>> {
        Box::pin(std::future::ready(Ok(self.overview.clone())))
    }
    fn incident(&self, id: &IncidentId) -> BoxFuture<'_, Result<Option<IncidentStory>, StoreError>> {
        let story = self.story.clone().filter(|story| story.incident.id == *id);
        Box::pin(std::future::ready(Ok(story)))
    }
}

/// What was, as a test says it.
#[derive(Clone, Default)]
pub struct Past {
    pub stretches: Arc<Mutex<BTreeMap<Pair, Vec<Stretch>>>>,
    pub runs: Vec<Run>,
    pub bundle: Option<KeptBundle>,
    pub incidents: Vec<Incident>,
    pub changes: Vec<Version>,
    pub size: StoreSize,
}

impl HistoryReader for Past {
    fn history(
        &self,
        of: BTreeSet<Pair>,
        from: Timestamp,
        until: Timestamp,
        grain: Grain,
    ) -> BoxFuture<'_, Result<BTreeMap<Pair, Vec<Stretch>>, StoreError>> {
        let mut found: BTreeMap<Pair, Vec<Stretch>> = BTreeMap::new();
        let known = self.stretches.lock().unwrap();
        for (pair, stretches) in known.iter().filter(|(pair, _)| of.contains(pair)) {
            for stretch in stretches.iter().filter(|stretch| grain.begin(from) <= stretch.from && stretch.from < until)
            {
                let begin = grain.begin(stretch.from);
                let known = found.entry(pair.clone()).or_default();
                match known.last_mut() {
                    Some(last) if last.from == begin => last.add(stretch),
                    _ => known.push(Stretch { from: begin, ..stretch.clone() }),
                }
            }
        }
        Box::pin(std::future::ready(Ok(found)))
    }

    fn runs(&self, asked: RunsAsked) -> BoxFuture<'_, Result<RunsFound, StoreError>> {
        let is_asked = |run: &&Run| {
            run.probe == asked.probe
                && asked.schedule.as_ref().is_none_or(|schedule| run.schedule.as_ref() == Some(schedule))
                && (!asked.bad || run.verdict != Verdict::Passed)
                && (asked.from..asked.until).contains(&run.started_at)
        };
        let mut runs: Vec<_> = self.runs.iter().filter(is_asked).cloned().collect();
        runs.sort_by_key(|run| std::cmp::Reverse(run.started_at));
        if let Some(after) = &asked.after {
            let place = runs.iter().position(|run| run.id == *after);
            runs.drain(..place.map_or(runs.len(), |place| place + 1));
        }
        let more = runs.len() > asked.most;
        runs.truncate(asked.most);
        Box::pin(std::future::ready(Ok(RunsFound { runs, more })))
    }

    fn run(&self, id: &RunId) -> BoxFuture<'_, Result<Option<RunStory>, StoreError>> {
        let run = self.runs.iter().find(|run| run.id == *id).cloned();
        let bundle = self.bundle.clone().filter(|bundle| bundle.run == *id);
        Box::pin(std::future::ready(Ok(run.map(|run| RunStory { run, bundle }))))
    }

    fn incidents(&self, asked: IncidentsAsked) -> BoxFuture<'_, Result<IncidentsFound, StoreError>> {
        let is_asked = |incident: &&Incident| {
            asked.probe.as_ref().is_none_or(|probe| incident.probe == *probe)
                && asked.severity.is_none_or(|severity| incident.severity == severity)
                && asked.from.is_none_or(|from| incident.opened_at >= from)
                && asked.until.is_none_or(|until| incident.opened_at < until)
        };
        let after = asked.after.as_ref().and_then(|id| self.incidents.iter().position(|incident| incident.id == *id));
        let rest = self.incidents.iter().skip(after.map_or(0, |at| at + 1));
        let mut incidents: Vec<_> = rest.filter(is_asked).cloned().collect();
        let more = incidents.len() > asked.most;
        incidents.truncate(asked.most);
        Box::pin(std::future::ready(Ok(IncidentsFound { hearers: hearers(&incidents), incidents, more })))
    }

    fn changes(
        &self,
        probe: &ProbeName,
        from: Timestamp,
        until: Timestamp,
    ) -> BoxFuture<'_, Result<Vec<Version>, StoreError>> {
        let is_asked = |change: &&Version| change.probe == *probe && (from..until).contains(&change.since);
        let changes = self.changes.iter().filter(is_asked).cloned().collect();
        Box::pin(std::future::ready(Ok(changes)))
    }

    fn size(&self) -> BoxFuture<'_, Result<StoreSize, StoreError>> {
        Box::pin(std::future::ready(Ok(self.size)))
    }
}

fn tier(name: &str, every: &str, probes: &[&str]) -> Schedule {
    let probes = probes.iter().map(|probe| ProbeName::parse(probe).unwrap()).collect();
    Schedule { probes, ..schedule_of(name, every, 0) }
}

/// Nine probes in three tiers.
pub fn plan() -> Plan {
    let mut hourly = tier("hourly", "1h", &["backup-users-table", "logs-roundtrip", "suite-playwright"]);
    hourly.cadence = Cadence::cron("0 * * * *", chrono_tz::Tz::UTC, at(NOW)).unwrap();
    let mut plan = plan_of(vec![
        tier("reachability", "30s", &["api-health", "auth", "cache", "database"]),
        tier("journeys", "5m", &["password-reset", "shopper-journey"]),
        hourly,
    ]);
    plan.site = "styling-adventures-prod".to_owned();
    plan.location = Arc::from("us-east-1");
    for (name, service) in [("api-health", "api"), ("auth", "auth"), ("cache", "cache"), ("database", "database")] {
        let probe = plan.probes.get_mut(name).and_then(Arc::get_mut).unwrap();
        probe.labels.insert("service".to_owned(), service.to_owned());
        probe.steps[0].kind = "http";
    }
    let journey = plan.probes.get_mut("shopper-journey").and_then(Arc::get_mut).unwrap();
    journey.needs.push(ProbeName::parse("api-health").unwrap());
    journey.steps = ["login", "add-to-wardrobe", "logout"].map(|name| step(name, || unreachable!())).into();
    plan
}

/// The fixture at its instant.
pub fn view(plan: &Plan) -> View<'_> {
    View {
        plan,
        now: at(NOW),
        began_at: None,
        visit: Visit::default(),
        seen: Generations::default(),
        trouble: None,
        lost: None,
    }
}

fn key(schedule: &str, probe: &str) -> (ScheduleName, ProbeName) {
    (ScheduleName::parse(schedule).unwrap(), ProbeName::parse(probe).unwrap())
}

/// A run of a probe that ended so.
pub fn run(schedule: &str, probe: &str, started_at: Timestamp, milliseconds: u64, verdict: Verdict) -> Run {
    let (schedule, probe) = key(schedule, probe);
    Run {
        id: RunId(Arc::from("01KB2H8Q4V000000000000RUN0")),
        location: Arc::from("us-east-1"),
        probe,
        schedule: Some(schedule),
        extra: None,
        slot: earlier(started_at, Duration::from_millis(1_200)),
        due_at: started_at,
        started_at,
        duration: Duration::from_millis(milliseconds),
        lateness: Duration::from_micros(3_800),
        verdict,
        steps: Vec::new(),
        bundle: None,
    }
}

/// An hour in which everything passed.
pub fn well() -> Overview {
    let mut overview = Overview::default();
    for (schedule, probe, period, base) in [
        ("reachability", "api-health", 30, 92),
        ("reachability", "auth", 30, 52),
        ("reachability", "cache", 30, 4),
        ("reachability", "database", 30, 21),
        ("journeys", "password-reset", 300, 355),
        ("journeys", "shopper-journey", 300, 480),
        ("hourly", "backup-users-table", 3_600, 214),
        ("hourly", "suite-playwright", 3_600, 56_200),
    ] {
        // A little noise that is the same each time, and a place in the round for each probe.
        let noise = |n: u64| (n * n * 31 + n * 17 + base) % 13;
        let offset = i64::try_from(base % 10).unwrap();
        let last = (at(NOW).timestamp() - offset) / period * period + offset;
        let runs = 3_600 / period;
        let started = |n: i64| at(NOW) + TimeDelta::seconds(last - at(NOW).timestamp() - n * period);
        let milliseconds = |n: i64| base + base * noise(n.unsigned_abs()) / 60;
        let summary =
            |n: i64| RunSummary { started_at: started(n), duration_ms: milliseconds(n) as f64, verdict: "passed" };
        overview.runs.insert(key(schedule, probe), (0..runs).rev().map(summary).collect());
        overview.last.insert(key(schedule, probe), run(schedule, probe, started(0), milliseconds(0), Verdict::Passed));
        let ran = 2_880 * 30 / period.unsigned_abs();
        overview.slots.insert(key(schedule, probe), BTreeMap::from([(SlotOutcome::Ran, ran)]));
    }
    overview
}

/// The failure of the seed's health check.
pub fn database_degraded() -> Failure {
    Failure::of_assertion(Explanation {
        expression: r#"json.services.database == "ok""#.to_owned(),
        parts: vec![Part { expression: "json.services.database".to_owned(), value: r#""degraded""#.to_owned() }],
        reason: None,
    })
}

/// An incident of `api-health`, open since 09:14:01.
pub fn incident() -> Incident {
    let schedule = ScheduleName::parse("reachability").unwrap();
    Incident {
        opened_at: at("2026-11-24T09:14:31.118Z"),
        firing: BTreeMap::from([(schedule.clone(), Severity::P1)]),
        schedules: vec![schedule],
        first_failures: [Failure::new(FailureKind::ConnectRefused, "127.0.0.1:8080 refused the connection")
            .with("a connection to 127.0.0.1:8080", "refused after 0.2 ms")]
        .into(),
        latest_failures: [database_degraded()].into(),
        opening_run: RunId(Arc::from("01KB2H8Q4V000000000000RUN0")),
        labels: Labels::from([("service".to_owned(), "api".to_owned()), ("team".to_owned(), "shop".to_owned())]),
        runbook: Some("https://wiki.example/runbooks/api-health".to_owned()),
        told: ["oncall", "ops"].map(|name| ChannelName::parse(name).unwrap()).into(),
        ..crate::engine::testing::incident(INCIDENT, "api-health", at("2026-11-24T09:14:01.112Z"))
    }
}

/// Who has heard of it, and of those that are over.
pub fn hearers(of: &[Incident]) -> BTreeMap<IncidentId, Hearers> {
    let hearers = |incident: &Incident| {
        let (waiting, heard) =
            incident.told.iter().cloned().partition(|channel| incident.is_open() && channel.as_str() == "ops");
        Hearers { heard, waiting, given_up: Vec::new() }
    };
    of.iter().map(|incident| (incident.id.clone(), hearers(incident))).collect()
}

/// The same with its time line.
pub fn story(incident: Incident) -> IncidentStory {
    let moment = |at_text: &str, what: &str, text: &str| Moment {
        incident: incident.id.clone(),
        at: at(at_text),
        what: what.to_owned(),
        text: text.to_owned(),
    };
    let moments = vec![
        moment("2026-11-24T09:14:01.112Z", "failed", "connect.refused: 127.0.0.1:8080 refused the connection"),
        moment("2026-11-24T09:14:31.118Z", "opened", "P1, by reachability"),
        moment("2026-11-24T09:14:31.118Z", "told", "oncall, ops"),
    ];
    let message = |to: &str, settled_at: Option<&str>, became: &str| Told {
        channel: ChannelName::parse(to).unwrap(),
        event: Event::Opened,
        committed_at: at("2026-11-24T09:14:31.118Z"),
        settled_at: settled_at.map(at),
        fate: if settled_at.is_some() { Fate::Delivered } else { Fate::Rests(at("2026-11-24T09:15:33.204Z")) },
        became: became.to_owned(),
        attempts: if settled_at.is_some() { 1 } else { 2 },
        said: Some(if settled_at.is_some() { "202" } else { "connection refused" }.to_owned()),
    };
    let told = vec![
        message("oncall", Some("2026-11-24T09:14:33.204Z"), "delivered, 1 attempt (202)"),
        message("ops", None, "waits after 2 attempts: connection refused"),
    ];
    let nothing = StepRecord {
        name: StepName::parse("login").unwrap(),
        exchanges: Vec::new(),
        assertions: Vec::new(),
        captures: Vec::new(),
    };
    let refused = Bundle { steps: vec![nothing], left_out: 0 };
    let bundles = vec![
        left(&incident, "2026-11-24T09:14:31.010Z", "01KB2H8Q4V000000000000RUN0", refused),
        left(&incident, "2026-11-24T09:17:31.044Z", "01KB2H8Q4V000000000000RUN7", degraded_answer("HTTP/1.1 200 OK")),
    ];
    let finding = Finding {
        probe: ProbeName::parse("database-status").unwrap(),
        verdict: "failed".to_owned(),
        text: r#"json.TableStatus was "UPDATING""#.to_owned(),
    };
    let diagnoses = vec![Diagnosis {
        incident: incident.id.clone(),
        run: RunId(Arc::from("01KB2H8Q4V000000000000RUN3")),
        started_at: at("2026-11-24T09:14:31.204Z"),
        finding,
        bundle: Arc::new(degraded_answer("HTTP/1.1 200 OK")),
    }];
    let mut other = incident.clone();
    other.id = IncidentId(Arc::from("01KB2H8Q4V0000000000000001"));
    other.probe = ProbeName::parse("cache").unwrap();
    let hearers = hearers(std::slice::from_ref(&incident)).remove(&incident.id).unwrap();
    IncidentStory { incident, moments, told, bundles, diagnoses, nearby: vec![other], hearers }
}

fn left(incident: &Incident, started_at: &str, run: &str, bundle: Bundle) -> KeptBundle {
    KeptBundle {
        run: RunId(Arc::from(run)),
        probe: incident.probe.clone(),
        started_at: at(started_at),
        incident: Some(incident.id.clone()),
        bundle: Arc::new(bundle),
    }
}

/// What a run left that was redirected once and then was told that the database is degraded; `text` is in every place
/// where a target has the word.
pub fn degraded_answer(text: &str) -> Bundle {
    let exchange = |sent: &str, received: String, first_byte_ms: f64| Exchange {
        remote: Some("192.0.2.7:443".to_owned()),
        sent: format!("{sent}\nhost: api.example.com\nauthorization: Bearer •••\n"),
        received,
        certificates: vec![format!("CN=api.example.com, from CN=R3, for {text}, ends 2026-12-15 (21.3 days left)")],
        command: Some(format!("curl -H 'authorization: Bearer •••' 'https://api.example.com/health?{text}'")),
        phases: Phases {
            dns_ms: Some(1.2),
            connect_ms: Some(4.0),
            tls_ms: Some(11.5),
            first_byte_ms: Some(first_byte_ms),
            transfer_ms: Some(0.4),
            total_ms: first_byte_ms + 17.4,
            ..Phases::default()
        },
    };
    let [held, failed] =
        [("status >= 200 && status < 300", "200", true), (r#"json.services.database == "ok""#, text, false)].map(
            |(expression, value, held)| Assertion {
                held,
                warns: false,
                explanation: Explanation {
                    expression: expression.to_owned(),
                    parts: vec![Part { expression: "json".to_owned(), value: value.to_owned() }],
                    reason: (!held).then(|| text.to_owned()),
                },
            },
        );
    let record = |name, exchanges, assertions| StepRecord {
        name: StepName::parse(name).unwrap(),
        exchanges,
        assertions,
        captures: vec![Captured { name: CaptureName::parse("token").unwrap(), characters: 32 }],
    };
    let moved = exchange("GET /healthz HTTP/1.1", format!("HTTP/1.1 301 Moved\nlocation: /health\nx: {text}\n"), 21.0);
    let body = r#"{"status":"degraded","services":{"database":"degraded","cache":"ok","auth":"ok"}}"#;
    let answer = exchange("GET /health HTTP/1.1", format!("{text}\ncontent-type: application/json\n\n{body}"), 374.0);
    Bundle {
        steps: vec![
            record("login", vec![exchange("POST /login HTTP/1.1", text.to_owned(), 44.0)], Vec::new()),
            record("health", vec![moved, answer], vec![held, failed]),
        ],
        left_out: 2,
    }
}

/// The hour in which the shop broke: an open incident, a muted journey, a degraded probe, a run that could not be done.
pub fn broken() -> Overview {
    let mut overview = well();
    for (schedule, probe, since, verdict, factor) in [
        ("reachability", "api-health", "2026-11-24T09:14:00Z", Verdict::Failed(vec![database_degraded()]), 4.2),
        ("reachability", "database", "2026-11-24T08:40:00Z", Verdict::Degraded(vec![slow()]), 1.9),
    ] {
        let name = key(schedule, probe);
        let runs = Arc::make_mut(overview.runs.get_mut(&name).unwrap());
        for run in runs.iter_mut().filter(|run| run.started_at >= at(since)) {
            run.verdict = verdict.word();
            run.duration_ms *= factor;
        }
        let last = overview.last.get_mut(&name).unwrap();
        last.duration = last.duration.mul_f64(factor);
        last.verdict = verdict;
    }
    let blind = Failure::new(FailureKind::LocalSecret, "the secret `logs-key` cannot be read: the file is gone");
    let blind = Verdict::Inconclusive(crate::domain::outcome::Cause::Ours(blind));
    let started_at = at("2026-11-24T09:00:07Z");
    let name = key("hourly", "logs-roundtrip");
    overview.runs.insert(name.clone(), [RunSummary { started_at, duration_ms: 0.0, verdict: blind.word() }].into());
    overview.last.insert(name, run("hourly", "logs-roundtrip", started_at, 0, blind));
    let slots = overview.slots.get_mut(&key("reachability", "api-health")).unwrap();
    slots.extend([(SlotOutcome::Skipped, 1), (SlotOutcome::Gap, 4)]);
    overview.debts = [(ProbeName::parse("shopper-journey").unwrap(), 3)].into();
    overview.open = vec![incident()];
    overview.hearers = hearers(&overview.open);
    let mut over = incident();
    over.id = IncidentId(Arc::from("01KB2GHAAN0000000000000000"));
    over.probe = ProbeName::parse("auth").unwrap();
    over.severity = Severity::P2;
    over.resolved_at = Some(at("2026-11-24T09:17:01Z"));
    over.since = at("2026-11-24T08:01:01Z");
    overview.resolved = vec![over];
    overview
}

fn slow() -> Failure {
    Failure::of_assertion(Explanation {
        expression: "total_ms < 30".to_owned(),
        parts: vec![Part { expression: "total_ms".to_owned(), value: "39.7".to_owned() }],
        reason: None,
    })
}
