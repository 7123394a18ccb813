//! Builds a prober from YAML, as the configuration does, and runs it once.

use std::collections::BTreeMap;
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use futures::future::BoxFuture;
use roundsman::clock::SystemClock;
use roundsman::domain::exchange::Exchange;
use roundsman::domain::names::{CaptureName, SecretName};
use roundsman::domain::outcome::{Failure, Observation, RunId};
use roundsman::domain::time::Monotonic;
use roundsman::ports::{Building, BuiltProber, Clock, Prober, Recorder, SecretError, Secrets, Session, StepContext};
use roundsman::probers::KINDS;
use roundsman::settings::{Problems, Source, parse};
use secrecy::SecretString;

/// A step and the run that it is in have one clock.
static CLOCK: LazyLock<Arc<SystemClock>> = LazyLock::new(|| Arc::new(SystemClock::start()));

/// Every secret is `hunter2`.
struct OneSecret;

impl Secrets for OneSecret {
    fn resolve<'a>(&'a self, _: &'a SecretName) -> BoxFuture<'a, Result<SecretString, SecretError>> {
        Box::pin(std::future::ready(Ok(SecretString::from("hunter2"))))
    }
    fn redact(&self, text: &str) -> String {
        text.replace("hunter2", "•••")
    }
}

/// What the steps of a run have in common.
pub struct Run {
    clock: Arc<SystemClock>,
    session: Session,
    captures: BTreeMap<CaptureName, String>,
    budget: Duration,
}

impl Run {
    /// A run whose steps have ten seconds each.
    pub fn new() -> Self {
        Self {
            clock: Arc::clone(&CLOCK),
            session: Session::default(),
            captures: BTreeMap::new(),
            budget: Duration::from_secs(10),
        }
    }

    /// A run whose steps end after so many milliseconds.
    pub fn within(milliseconds: u64) -> Self {
        Self { budget: Duration::from_millis(milliseconds), ..Self::new() }
    }

    /// A value that an earlier step captured.
    pub fn captured(mut self, name: &str, value: &str) -> Self {
        self.captures.insert(CaptureName::parse(name).unwrap(), value.to_owned());
        self
    }

    /// Runs one step.
    pub async fn step(&self, kind: &str, yaml: &str) -> Result<Observation, Failure> {
        self.recorded(kind, yaml).await.0
    }

    /// Runs one step, and gives what it exchanged as well.
    pub async fn recorded(&self, kind: &str, yaml: &str) -> (Result<Observation, Failure>, Vec<Exchange>) {
        self.perform(&*Self::built(kind, yaml)).await
    }

    /// A step that can be performed in several runs.
    pub fn built(kind: &str, yaml: &str) -> Arc<dyn Prober> {
        build(kind, yaml).unwrap_or_else(|problems| panic!("{problems}")).prober
    }

    /// Performs a step that was built before.
    pub async fn perform(&self, prober: &dyn Prober) -> (Result<Observation, Failure>, Vec<Exchange>) {
        let run = RunId(Arc::from("01RUN"));
        let recorder = Recorder::default();
        let context = StepContext {
            clock: self.clock.as_ref(),
            deadline: self.clock.monotonic() + self.budget,
            run: &run,
            captures: &self.captures,
            secrets: &OneSecret,
            session: &self.session,
            recorder: &recorder,
        };
        let result = prober.probe(&context).await;
        (result, recorder.exchanges())
    }
}

/// Now, by the clock that steps are measured with.
pub fn now() -> Monotonic {
    CLOCK.monotonic()
}

/// Builds a step of that kind, or says every mistake in its settings.
pub fn build(kind: &str, yaml: &str) -> Result<BuiltProber, String> {
    let mut problems = Problems::new();
    let node = parse(Source::new("probes/test.yaml", yaml), &mut problems);
    let building = Building {
        secrets: Arc::new(OneSecret),
        http: reqwest::Client::new(),
        clock: Arc::<SystemClock>::clone(&CLOCK),
        cleanup: false,
        site: "test".to_owned(),
        location: Arc::from("here"),
        directory: Arc::from(std::env::temp_dir()),
        pings: Arc::new(roundsman::engine::pulses::Pulses::default()),
    };
    let kind = KINDS.iter().find(|known| known.name == kind).unwrap();
    let built = node.and_then(|node| (kind.build)(&node, &building, &mut problems));
    built.filter(|_| problems.is_empty()).ok_or_else(|| problems.render(false))
}

/// One step in a run of its own.
pub async fn probe(kind: &str, yaml: &str) -> Result<Observation, Failure> {
    Run::new().step(kind, yaml).await
}

/// PEM text as a YAML value in double quotes.
pub fn quoted(pem: &str) -> String {
    serde_json::Value::from(pem).to_string()
}
