//! What the engine's tests share: a clock whose wall side can be set, a prober that does as it is told, small plans.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures::future::BoxFuture;
use secrecy::SecretString;
use tokio::runtime::Handle;

use super::plan::{Plan, PlannedProbe, Tokens, WebPlan};
use super::runner::Runner;
use super::threads::Threads;
use crate::domain::blueprint::Blueprint;
use crate::domain::debt::{Debt, Owing};
use crate::domain::flapping::FlappingPolicy;
use crate::domain::grouping::{Group, Rules};
use crate::domain::incident::{Incident, IncidentId, Severity};
use crate::domain::judge::{AlertPolicy, Aspect, BLIND_AFTER, Rule};
use crate::domain::names::{ChannelName, ProbeName, ScheduleName, SecretName, StepName};
use crate::domain::outcome::{Failure, Observation, RunId};
use crate::domain::probe::{Probe, Step};
use crate::domain::route::Route;
use crate::domain::schedule::{Cadence, Schedule};
use crate::domain::time::{Length, Monotonic, Timestamp};
use crate::ports::{
    Clock, Commit, Delivery, Due, IncidentStory, Loaded, Overview, Prober, SecretError, Secrets, Settlement,
    StatusReader, StepContext, Store, StoreError, TickError, TickSource,
};

/// What is logged meanwhile.
pub fn logged(does: impl FnOnce()) -> String {
    #[derive(Clone, Default)]
    struct Sink(Arc<Mutex<Vec<u8>>>);
    impl std::io::Write for Sink {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }
        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }
    let sink = Sink::default();
    let writer = sink.clone();
    let subscriber = tracing_subscriber::fmt().with_ansi(false).with_writer(move || writer.clone()).finish();
    tracing::subscriber::with_default(subscriber, does);
    let logged = sink.0.lock().unwrap().clone();
    String::from_utf8(logged).unwrap()
}

/// This thread and no other, for runs.
pub fn here(runner: &Runner) -> Arc<Threads> {
    Arc::new(Threads::new(&[Handle::current()], runner))
}

/// An instant.
pub fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

/// A clock on tokio's time, which tests pause; its wall side can be stepped.
pub struct TestClock {
    origin: tokio::time::Instant,
    wall: Mutex<Timestamp>,
    slept: Mutex<Duration>,
}

impl TestClock {
    #[expect(clippy::disallowed_methods, reason = "tokio's paused time is what this clock shows")]
    pub fn starting(wall: &str) -> Arc<Self> {
        Arc::new(Self { origin: tokio::time::Instant::now(), wall: Mutex::new(at(wall)), slept: Mutex::default() })
    }

    /// Steps the wall clock.
    pub fn step(&self, seconds: i64) {
        *self.wall.lock().unwrap() += chrono::TimeDelta::seconds(seconds);
    }

    /// Sends the machine to sleep: the wall clock goes on, the other does not.
    pub fn sleep(&self, length: Duration) {
        *self.wall.lock().unwrap() += length;
        *self.slept.lock().unwrap() += length;
    }
}

impl Clock for TestClock {
    fn now(&self) -> Timestamp {
        *self.wall.lock().unwrap() + self.monotonic().0
    }
    fn monotonic(&self) -> Monotonic {
        Monotonic(self.origin.elapsed())
    }
    fn sleep_until(&self, at: Monotonic) -> BoxFuture<'_, ()> {
        Box::pin(tokio::time::sleep_until(self.origin + at.0))
    }
    fn slept(&self) -> Duration {
        *self.slept.lock().unwrap()
    }
}

/// Ticks that never come: the engine's own timer must do.
pub struct NoTicks;

impl TickSource for NoTicks {
    fn watch<'a>(&'a mut self, _: &'a [Arc<Schedule>]) -> BoxFuture<'a, Result<(), TickError>> {
        Box::pin(std::future::ready(Ok(())))
    }
    fn next(&mut self) -> BoxFuture<'_, ScheduleName> {
        Box::pin(std::future::pending())
    }
}

/// A store that keeps what runs owe and what is committed, and nothing else.
#[derive(Default)]
pub struct Debts {
    pub kept: Mutex<BTreeMap<RunId, Debt>>,
    pub commits: Mutex<Vec<Arc<Commit>>>,
    /// What the process that starts is told, besides what runs owe.
    pub loaded: Mutex<Loaded>,
    /// It takes nothing, as when its disk is full.
    pub full: AtomicBool,
    /// It does not even answer, as when its disk hangs.
    pub hangs: AtomicBool,
    /// It takes a commit only after so long.
    pub late: Mutex<Duration>,
}

impl Debts {
    fn take(&self, with: impl FnOnce(&mut BTreeMap<RunId, Debt>)) -> BoxFuture<'_, Result<(), StoreError>> {
        if self.hangs.load(SeqCst) {
            return Box::pin(std::future::pending());
        }
        let full = self.full.load(SeqCst);
        if !full {
            with(&mut self.kept.lock().unwrap());
        }
        let result = if full { Err(StoreError::Failed("database or disk is full".to_owned())) } else { Ok(()) };
        Box::pin(std::future::ready(result))
    }
}

impl Store for Debts {
    fn commit(&self, commit: Arc<Commit>) -> BoxFuture<'_, Result<(), StoreError>> {
        let late = *self.late.lock().unwrap();
        Box::pin(async move {
            tokio::time::sleep(late).await;
            self.take(|_| self.commits.lock().unwrap().push(commit)).await
        })
    }
    fn load(&self) -> BoxFuture<'_, Result<Loaded, StoreError>> {
        let debts = self.kept.lock().unwrap().values().cloned().collect();
        Box::pin(std::future::ready(Ok(Loaded { debts, ..self.loaded.lock().unwrap().clone() })))
    }
    fn due_deliveries(&self, _: Timestamp, _: usize) -> BoxFuture<'_, Result<Due, StoreError>> {
        Box::pin(std::future::ready(Ok(Due::default())))
    }
    fn gather<'a>(
        &'a self,
        _: Timestamp,
        _: &'a BTreeMap<ChannelName, Rules>,
    ) -> BoxFuture<'a, Result<(), StoreError>> {
        Box::pin(std::future::ready(Ok(())))
    }
    fn group<'a>(&'a self, _: &'a Delivery) -> BoxFuture<'a, Result<Option<Group>, StoreError>> {
        Box::pin(std::future::ready(Ok(None)))
    }
    fn settle<'a>(&'a self, _: &'a Delivery, _: Settlement) -> BoxFuture<'a, Result<(), StoreError>> {
        self.take(|_| {})
    }
    fn retry_deliveries(&self, _: Timestamp) -> BoxFuture<'_, Result<(), StoreError>> {
        self.take(|_| {})
    }
    fn journal(&self, debt: Debt) -> BoxFuture<'_, Result<(), StoreError>> {
        self.take(|kept| {
            kept.insert(debt.run.clone(), debt);
        })
    }
    fn acquit<'a>(&'a self, run: &'a RunId) -> BoxFuture<'a, Result<(), StoreError>> {
        self.take(|kept| {
            kept.remove(run);
        })
    }
    fn purge(&self, _: Timestamp) -> BoxFuture<'_, Result<u64, StoreError>> {
        Box::pin(std::future::ready(Ok(0)))
    }
}

impl StatusReader for Debts {
    fn overview(&self, _: Timestamp) -> BoxFuture<'_, Result<Overview, StoreError>> {
        Box::pin(std::future::ready(Ok(Overview::default())))
    }
    fn incident(&self, _: &IncidentId) -> BoxFuture<'_, Result<Option<IncidentStory>, StoreError>> {
        Box::pin(std::future::ready(Ok(None)))
    }
}

/// Secrets of a test: none.
pub struct NoSecrets;

impl Secrets for NoSecrets {
    fn resolve<'a>(&'a self, name: &'a SecretName) -> BoxFuture<'a, Result<SecretString, SecretError>> {
        let error = SecretError { name: name.clone(), reason: "there are none".to_owned(), passes: false };
        Box::pin(std::future::ready(Err(error)))
    }
    fn redact(&self, text: &str) -> String {
        text.replace("hunter2", "•••")
    }
}

/// What a scripted prober answers.
pub type Script = dyn Fn() -> (Duration, Result<Observation, Failure>) + Send + Sync;

/// A prober that takes as long, and sees what, its script says.
pub struct Scripted(pub Box<Script>);

impl Prober for Scripted {
    fn probe<'a>(&'a self, _: &'a StepContext<'a>) -> BoxFuture<'a, Result<Observation, Failure>> {
        Box::pin(async move {
            let (takes, result) = (self.0)();
            tokio::time::sleep(takes).await;
            result
        })
    }
}

/// A step with a scripted prober.
pub fn step(
    name: &str,
    script: impl Fn() -> (Duration, Result<Observation, Failure>) + Send + Sync + 'static,
) -> Step<Arc<dyn Prober>> {
    Step {
        name: StepName::parse(name).unwrap(),
        kind: "scripted",
        action: Arc::new(Scripted(Box::new(script))),
        when: None,
        expect: Vec::new(),
        warn: Vec::new(),
        capture: Vec::new(),
        version: None,
        timeout: None,
        unnoticed: Vec::new(),
    }
}

/// A probe of one step that takes no time and passes.
pub fn probe(name: &str) -> PlannedProbe {
    Probe {
        name: ProbeName::parse(name).unwrap(),
        labels: BTreeMap::new(),
        runbook: None,
        needs: Vec::new(),
        diagnose: Vec::new(),
        on_request: false,
        steps: vec![step("only", || (Duration::ZERO, Ok(Observation::default())))],
        expect: Vec::new(),
        warn: Vec::new(),
        cleanup: Vec::new(),
        owing: Owing::default(),
        timeout: None,
        cleanup_timeout: Duration::from_secs(5),
        each: serde_json::Value::Null,
        alert: None,
        journey: false,
    }
}

/// A schedule of `count` probes named `probe-0`, `probe-1`, ….
pub fn schedule_of(name: &str, every: &str, count: usize) -> Schedule {
    let every = every.parse::<Length>().unwrap().0;
    let mut probes: Vec<_> = (0..count).map(|n| ProbeName::parse(&format!("probe-{n}")).unwrap()).collect();
    probes.sort();
    Schedule {
        name: ScheduleName::parse(name).unwrap(),
        cadence: Cadence::every(every).unwrap(),
        probes,
        timeout: Duration::from_secs(10).min(every.mul_f64(0.8)),
        alert: Some(policy("2", Severity::P2)),
        objectives: Vec::new(),
    }
}

/// A policy of that severity, whose incidents one pass ends.
pub fn policy(after: &str, severity: Severity) -> AlertPolicy {
    let failing = Rule { after: after.parse().unwrap(), recover: 1, severity, remind: None, to: Vec::new() };
    let blind = Rule { after: BLIND_AFTER, ..failing.clone() };
    AlertPolicy {
        failing,
        grading: None,
        degraded: None,
        blind,
        recheck: None,
        flapping: FlappingPolicy::default(),
        diagnose: Vec::new(),
    }
}

/// A plan of these schedules, whose probes all pass.
pub fn plan_of(schedules: Vec<Schedule>) -> Plan {
    let names = schedules.iter().flat_map(|schedule| &schedule.probes);
    let probes = names.map(|name| (name.clone(), Arc::new(probe(name.as_str())))).collect();
    Plan {
        site: "test".to_owned(),
        location: Arc::from("here"),
        store: PathBuf::new(),
        retention: Duration::from_secs(86_400),
        heeds_files: true,
        timeout: crate::engine::plan::TIMEOUT,
        web: WebPlan {
            listen: "127.0.0.1:0".parse().unwrap(),
            url: None,
            tokens: Tokens::default(),
            proxy: None,
            public: None,
        },
        schedules: schedules.into_iter().map(|schedule| (schedule.name.clone(), Arc::new(schedule))).collect(),
        probes,
        channels: BTreeMap::new(),
        grouping: BTreeMap::new(),
        routes: vec![Route { to: vec!["ops".parse().unwrap()], ..Route::default() }],
        severities: BTreeMap::new(),
        runbooks: BTreeMap::new(),
        maintenance: Vec::new(),
        heartbeat: None,
        blueprint: Blueprint::default(),
        drill: None,
        budgets: BTreeMap::new(),
        publishers: BTreeMap::new(),
        secrets: Arc::new(NoSecrets),
        secrets_used: std::collections::BTreeSet::new(),
        written: BTreeMap::new(),
        places: BTreeMap::new(),
    }
}

/// A bare incident of a probe, P1, open since an instant.
pub fn incident(id: &str, probe: &str, since: Timestamp) -> Incident {
    Incident {
        transitions: 1,
        ..Incident::opened(
            IncidentId(Arc::from(id)),
            ProbeName::parse(probe).unwrap(),
            Aspect::Failing,
            Severity::P1,
            RunId(Arc::from("r")),
            since,
        )
    }
}
