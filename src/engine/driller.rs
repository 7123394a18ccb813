//! Drills a channel: a probe that is made to fail and then to pass goes the way of every alert, and each hop of it is timed.
//! The run is made by the runner on a thread of probes, judged and committed by the dispatcher, delivered by the deliverer,
//! and, where the channel can, read back where it arrives. Whoever asks waits for the report; what is scheduled is logged.

use std::collections::{BTreeMap, VecDeque};
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt as _;
use futures::future::BoxFuture;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, oneshot, watch};
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;

use super::dispatcher::{Drilled, Notice};
use super::fanout::Fanout;
use super::ledger::drills::Ending;
use super::plan::{Plan, PlannedProbe};
use super::runner::{Order, said};
use super::threads::{Thread, Threads};
use super::unrecorded::{STORE_PATIENCE, Unrecorded, patiently};
use crate::domain::debt::Owing;
use crate::domain::drill::{Hop, Outcome, PROBE, Part, Report};
use crate::domain::incident::{Event, IncidentId};
use crate::domain::metric::{MetricName, Sample, SampleLabels};
use crate::domain::names::{ChannelName, NameError, ProbeName, StepName};
use crate::domain::outcome::{Extra, Failure, FailureKind, Observation, Run, Verdict};
use crate::domain::probe;
use crate::domain::text::harmless;
use crate::domain::time::{Monotonic, Timestamp, milliseconds, words};
use crate::ports::{Clock, Fate, Prober, StatusReader, StepContext};

/// How long a drill may take until it is put down how it came out: whoever asks by HTTP is answered within a minute.
const DRILL_MAX: Duration = Duration::from_secs(45);

/// How long the run may take; it has nothing to do.
const RUN_MAX: Duration = Duration::from_secs(5);

/// How long the dispatcher may take: it may be waiting for the store already, and then waits for it once more.
const COMMIT_MAX: Duration = Duration::from_secs(12);

/// How long until the channel's receiver has it: longer than one attempt.
const DELIVER_MAX: Duration = Duration::from_secs(20);

/// How long until it is seen where it arrives.
const READ_BACK_MAX: Duration = Duration::from_secs(15);

/// How often it is looked what became of the message.
const POLL: Duration = Duration::from_millis(20);

/// How often it is looked whether a drill is due.
const LOOK: Duration = Duration::from_secs(5);

/// Where those who want a drill ask for it.
#[derive(Clone)]
pub struct Drills {
    asked: mpsc::Sender<Asked>,
    /// One at a time: two would time each other.
    turn: Arc<Semaphore>,
}

/// Why there is no drill.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DrillError {
    /// One goes on.
    #[error("a drill is going on: try again when it is over")]
    Busy,
    /// Nobody drills any more.
    #[error("Roundsman is starting or stopping: try again")]
    Closed,
}

/// Somebody wants a drill.
pub struct Asked {
    channel: ChannelName,
    answer: oneshot::Sender<Report>,
    _turn: OwnedSemaphorePermit,
}

impl Drills {
    /// Where to ask, and what hears it.
    pub fn new() -> (Self, mpsc::Receiver<Asked>) {
        let (asked, heard) = mpsc::channel(1);
        (Self { asked, turn: Arc::new(Semaphore::new(1)) }, heard)
    }

    /// Drills a channel. It is drilled to the end also where nobody waits for the report any more.
    pub async fn drill(&self, channel: ChannelName) -> Result<Report, DrillError> {
        let turn = Arc::clone(&self.turn).try_acquire_owned().map_err(|_| DrillError::Busy)?;
        let (answer, answered) = oneshot::channel();
        let asked = Asked { channel, answer, _turn: turn };
        self.asked.send(asked).await.map_err(|_| DrillError::Closed)?;
        answered.await.map_err(|_| DrillError::Closed)
    }
}

/// The driller.
pub struct Driller {
    /// The clocks.
    pub clock: Arc<dyn Clock>,
    /// The channels, and when they are drilled.
    pub plan: watch::Receiver<Arc<Plan>>,
    /// Where the runs are made.
    pub threads: Arc<Threads>,
    /// The dispatcher.
    pub notices: mpsc::Sender<Notice>,
    /// Knows what became of messages.
    pub reader: Arc<dyn StatusReader>,
    /// Knows why the store takes nothing.
    pub unrecorded: Arc<Unrecorded>,
    /// Where the outcomes are published.
    pub fanout: Fanout,
    /// Where drills are asked for.
    pub drills: Drills,
    /// What is asked.
    pub asked: mpsc::Receiver<Asked>,
    /// When each channel was last drilled and every hop was well, as an earlier process left it.
    pub drilled: BTreeMap<ChannelName, Timestamp>,
    /// Told to stop: a drill that goes on is ended.
    pub stop: CancellationToken,
}

impl Driller {
    /// Goes on until it is told to stop.
    pub async fn run(mut self) {
        self.tell_known();
        let (mut looked, mut due) = (self.clock.now(), VecDeque::new());
        loop {
            let wake_at = self.clock.monotonic() + LOOK;
            tokio::select! {
                biased;
                () = self.stop.cancelled() => return,
                Some(Asked { channel, answer, _turn }) = self.asked.recv() => {
                    let Some(report) = self.count(&channel).await else { return };
                    // Whoever asked may have gone since.
                    drop(answer.send(report));
                }
                // Whoever asks may have taken the turn, and then is heard above.
                Ok(_turn) = Arc::clone(&self.drills.turn).acquire_owned(), if !due.is_empty() => {
                    let Some(channel) = due.pop_front() else { continue };
                    if self.count(&channel).await.is_none() {
                        return;
                    }
                }
                Ok(()) = self.plan.changed() => self.tell_known(),
                () = self.clock.sleep_until(wake_at) => {
                    let now = self.clock.now();
                    for channel in self.due(looked, now) {
                        if !due.contains(&channel) {
                            due.push_back(channel);
                        }
                    }
                    looked = now;
                }
            }
        }
    }

    /// Says of every channel what is known without a drill: a count that began with the first drill would never have risen, and
    /// a channel that was never well would be missed by nobody.
    fn tell_known(&self) {
        for channel in self.plan.borrow().channels.keys() {
            for outcome in ["passed", "broken"] {
                self.publish(MetricName::Drills, channel, 0.0, Some(("outcome", outcome)));
            }
            let at = self.drilled.get(channel).copied().map_or(0.0, seconds);
            self.publish(MetricName::DrillLastSuccess, channel, at, None);
        }
    }

    /// Drills a channel and counts it; nothing where it is told to stop meanwhile.
    async fn count(&mut self, channel: &ChannelName) -> Option<Report> {
        let report = self.unless_stopped(channel).await?;
        let outcome = if report.broken().is_none() { "passed" } else { "broken" };
        self.publish(MetricName::Drills, channel, 1.0, Some(("outcome", outcome)));
        if report.broken().is_none() {
            let now = self.clock.now();
            self.drilled.insert(channel.clone(), now);
            self.publish(MetricName::DrillLastSuccess, channel, seconds(now), None);
        }
        Some(report)
    }

    /// The channels that are to be drilled between two instants. One time that was missed is not made up for.
    fn due(&self, after: Timestamp, through: Timestamp) -> Vec<ChannelName> {
        let plan = self.plan.borrow();
        let due = plan.drill.as_ref().filter(|drill| drill.cadence.next_after(after).is_some_and(|at| at <= through));
        due.map(|drill| drill.channels.clone()).unwrap_or_default()
    }

    /// Drills a channel; nothing where it is told to stop meanwhile, and then what was begun is ended.
    async fn unless_stopped(&self, channel: &ChannelName) -> Option<Report> {
        tokio::select! {
            biased;
            () = self.stop.cancelled() => {
                let stopped = "Roundsman stops".to_owned();
                self.end(Ending { incident: None, text: stopped.clone(), broken: Some(stopped) }).await;
                None
            }
            report = self.drill(channel) => Some(report),
        }
    }

    /// Drills a channel, puts down how it came out, and says so.
    async fn drill(&self, channel: &ChannelName) -> Report {
        let (plan, at) = (Arc::clone(&self.plan.borrow()), self.clock.now());
        let since = self.clock.monotonic();
        let mut way = Way { hops: Vec::new(), event: Event::Opened, incident: None, since, until: since + DRILL_MAX };
        // The hop at which it ends is in the report.
        let _ = self.go(&plan, channel, &mut way).await;
        let report = Report { channel: channel.clone(), at, incident: way.incident, hops: way.hops };
        let broken =
            report.broken().map(|Hop { event, part, .. }| format!("the drill broke at {}: {part}", event.as_str()));
        match report.broken() {
            None => tracing::info!(%channel, "the drill of a channel passed"),
            Some(Hop { event, part, said, .. }) => {
                let (event, said) = (event.as_str(), harmless(said));
                tracing::error!(%channel, event, "the drill of a channel broke at the hop `{part}`: {said}");
            }
        }
        let text = report.broken().map_or_else(
            || "every hop was well".to_owned(),
            |hop| format!("{}, {}: {}", hop.event.as_str(), hop.part, hop.said),
        );
        self.end(Ending { incident: report.incident.clone(), broken, text }).await;
        report
    }

    /// Both ways: that it opens, and that it is over.
    async fn go(&self, plan: &Arc<Plan>, channel: &ChannelName, way: &mut Way) -> Result<(), Broken> {
        for event in [Event::Opened, Event::Resolved] {
            way.event = event;
            let run = self.within(way, RUN_MAX, self.make(plan, channel, event)).await;
            let run = run.map_err(no_answer).and_then(|made| made);
            let run = way.pass(Part::Ran, &*self.clock, run, |run| run.verdict.word().to_owned())?;

            let drilled = self.within(way, COMMIT_MAX, self.judge(run, channel)).await;
            let drilled = drilled.map_err(no_answer).and_then(|drilled| drilled);
            let judged_at = drilled.as_ref().map_or(self.clock.monotonic(), |drilled| drilled.judged_at);
            let drilled = way.pass_at(Part::Judged, judged_at, drilled, |_| String::new())?;
            let Drilled { incident, recorded, .. } = drilled;
            way.incident = Some(incident.id.clone());

            let committed = if recorded { Ok(()) } else { Err(self.why_unrecorded()) };
            way.pass(Part::Committed, &*self.clock, committed, |()| String::new())?;

            let told = self.within(way, DELIVER_MAX, self.settled(&incident.id, event, channel)).await;
            let told = told.map_err(no_answer).and_then(|told| told);
            way.pass(Part::Delivered, &*self.clock, told, Clone::clone)?;

            let Some(seen) = plan.channels.get(channel).and_then(|notifier| notifier.read_back(&incident.id, event))
            else {
                let nobody = "nothing says where its messages arrive".to_owned();
                way.put(Part::ReadBack, self.clock.monotonic(), Outcome::Unknown, nobody);
                continue;
            };
            let seen = self.within(way, READ_BACK_MAX, AssertUnwindSafe(seen).catch_unwind()).await;
            let seen = match seen {
                Err(waited) => Err(format!("it has not arrived within {}", words(waited))),
                Ok(Ok(seen)) => seen.map_err(|error| error.to_string()),
                Ok(Err(panic)) => {
                    tracing::error!(%channel, "a notifier panicked: {}", said(&*panic));
                    Err("a bug of Roundsman ended it".to_owned())
                }
            };
            way.pass(Part::ReadBack, &*self.clock, seen, Clone::clone)?;
        }
        Ok(())
    }

    /// A run that fails so that the incident opens, or passes so that it is over.
    async fn make(&self, plan: &Arc<Plan>, channel: &ChannelName, event: Event) -> Result<Run, String> {
        let probe = staged(channel, event).map_err(|error| error.to_string())?;
        let (now, due) = (self.clock.now(), self.clock.monotonic());
        let Thread { handle, runner } = self.threads.next();
        let runner = runner.clone();
        let (plan, probe, extra) = (Arc::clone(plan), Arc::new(probe), Some(Extra::Drill));
        let order = Order { plan, probe, schedule: None, extra, slot: now, due_at: now, due };
        let made = AbortOnDropHandle::new(handle.spawn(async move { runner.run(order).await })).await;
        let run = made.map_err(|error| format!("the run ended without a result: {error}"))?;
        match (event, &run.verdict) {
            (Event::Opened, Verdict::Failed(_)) | (Event::Resolved, Verdict::Passed) => Ok(run),
            (_, Verdict::Inconclusive(cause)) => Err(cause.to_string()),
            (_, verdict) => Err(format!("the run is {}", verdict.word())),
        }
    }

    async fn judge(&self, run: Run, channel: &ChannelName) -> Result<Drilled, String> {
        let (answer, answered) = oneshot::channel();
        let gone = "the dispatcher has ended";
        let notice = Notice::Drill { run: Box::new(run), channel: channel.clone(), answer };
        self.notices.send(notice).await.map_err(|_| gone.to_owned())?;
        answered.await.map_err(|_| gone.to_owned())?.map_err(|error| error.to_string())
    }

    fn why_unrecorded(&self) -> String {
        self.unrecorded.trouble().map_or_else(|| "the store did not take it".to_owned(), |trouble| trouble.why)
    }

    /// What became of a message, once that is known: that it was taken, or why not.
    async fn settled(&self, incident: &IncidentId, event: Event, channel: &ChannelName) -> Result<String, String> {
        loop {
            let story = patiently(&self.clock, self.reader.incident(incident)).await;
            let story = story.map_err(|error| format!("nobody knows what became of it: {error}"))?;
            let told = story.map(|story| story.told).unwrap_or_default();
            let told = told.into_iter().find(|told| told.event == event && told.channel == *channel);
            match told.map(|told| (told.fate, told.became)) {
                Some((Fate::Delivered, became)) => return Ok(became),
                Some((Fate::GivenUp | Fate::Merged, became)) => return Err(became),
                // What was refused is tried once more at once, in its least form; what rests for longer is broken now.
                Some((Fate::Rests(next), became)) if next > self.clock.now() => return Err(became),
                Some((Fate::Rests(_) | Fate::Waits, _)) | None => {}
            }
            self.clock.sleep_until(self.clock.monotonic() + POLL).await;
        }
    }

    /// Has it put down how a drill came out, and what it left open ended.
    async fn end(&self, ending: Ending) {
        let (answer, answered) = oneshot::channel();
        let told = async {
            self.notices.send(Notice::DrillEnded { ending, answer }).await.ok()?;
            answered.await.ok()
        };
        let until = self.clock.monotonic() + STORE_PATIENCE * 2;
        tokio::select! {
            _ = told => {}
            () = self.clock.sleep_until(until) => tracing::error!("it was not put down in time how a drill came out"),
        }
    }

    /// What came of a hop, or for how long it was waited for.
    async fn within<T>(&self, way: &Way, most: Duration, work: impl Future<Output = T>) -> Result<T, Duration> {
        let begun = self.clock.monotonic();
        let until = (begun + most).min(way.until);
        tokio::select! {
            biased;
            done = work => Ok(done),
            () = self.clock.sleep_until(until) => Err(until.since(begun)),
        }
    }

    fn publish(&self, name: MetricName, channel: &ChannelName, value: f64, also: Option<(&'static str, &'static str)>) {
        let labels = SampleLabels { channel: Some(channel.clone()), also, ..SampleLabels::default() };
        self.fanout.send([Sample { name, at: self.clock.now(), value, labels }]);
    }
}

/// The way so far.
struct Way {
    hops: Vec<Hop>,
    event: Event,
    incident: Option<IncidentId>,
    /// When the last hop ended.
    since: Monotonic,
    /// When the drill must be over.
    until: Monotonic,
}

/// The way ends at its last hop.
struct Broken;

impl Way {
    fn put(&mut self, part: Part, at: Monotonic, outcome: Outcome, said: String) {
        let took_ms = milliseconds(at.since(self.since));
        self.since = at;
        self.hops.push(Hop { event: self.event, part, took_ms, outcome, said });
    }

    fn pass_at<T>(
        &mut self,
        part: Part,
        at: Monotonic,
        result: Result<T, String>,
        words: impl Fn(&T) -> String,
    ) -> Result<T, Broken> {
        match result {
            Ok(value) => {
                self.put(part, at, Outcome::Well, words(&value));
                Ok(value)
            }
            Err(why) => {
                self.put(part, at, Outcome::Broken, why);
                Err(Broken)
            }
        }
    }

    fn pass<T>(
        &mut self,
        part: Part,
        clock: &dyn Clock,
        result: Result<T, String>,
        words: impl Fn(&T) -> String,
    ) -> Result<T, Broken> {
        self.pass_at(part, clock.monotonic(), result, words)
    }
}

fn no_answer(waited: Duration) -> String {
    format!("no answer within {}", words(waited))
}

fn seconds(at: Timestamp) -> f64 {
    at.timestamp_millis() as f64 / 1e3
}

/// What does as a drill needs it.
struct Staged(Result<Observation, Failure>);

impl Prober for Staged {
    fn probe<'a>(&'a self, _: &'a StepContext<'a>) -> BoxFuture<'a, Result<Observation, Failure>> {
        Box::pin(std::future::ready(self.0.clone()))
    }
}

/// The probe of a drill, which stands in no file.
fn staged(channel: &ChannelName, event: Event) -> Result<PlannedProbe, NameError> {
    let nothing_is_wrong = format!("this is a drill of the channel {channel}: nothing is wrong");
    let staged = match event {
        Event::Opened => Err(Failure::new(FailureKind::Expect, nothing_is_wrong)),
        _ => Ok(Observation::default()),
    };
    let step = probe::Step {
        name: StepName::parse(PROBE)?,
        kind: PROBE,
        action: Arc::new(Staged(staged)) as Arc<dyn Prober>,
        when: None,
        expect: Vec::new(),
        warn: Vec::new(),
        capture: Vec::new(),
        version: None,
        timeout: None,
        unnoticed: Vec::new(),
    };
    Ok(PlannedProbe {
        name: ProbeName::parse(PROBE)?,
        labels: BTreeMap::new(),
        runbook: None,
        needs: Vec::new(),
        diagnose: Vec::new(),
        on_request: false,
        steps: vec![step],
        expect: Vec::new(),
        warn: Vec::new(),
        cleanup: Vec::new(),
        owing: Owing::default(),
        timeout: None,
        cleanup_timeout: Duration::ZERO,
        each: serde_json::Value::Null,
        alert: None,
        journey: false,
    })
}

#[cfg(test)]
mod tests;
