//! The single owner of alert state. It takes results in their order, lets the judge decide, commits states, incidents
//! and messages in one transaction, and only then lets samples and messages go.

use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt as _;
use futures::future::BoxFuture;
use tokio::sync::{Notify, mpsc, oneshot};

use super::fanout::Fanout;
use super::ledger::Ledger;
use super::ledger::acts::{Act, ActError};
use super::ledger::silences::Silencing;
use super::plan::Plan;
use super::scheduler::{Command, Ended};
use super::unrecorded::{STORE_PATIENCE, Unrecorded, no_answer};
use super::vitals::{Part, Vitals};
use crate::domain::figures::{self, Milestone};
use crate::domain::incident::{Incident, IncidentId, Moment};
use crate::domain::metric::{MetricName, Sample, SampleLabels, samples, slot_samples};
use crate::domain::past::PastRuns;
use crate::domain::quiet::{Silence, SilenceError};
use crate::domain::text::harmless;
use crate::domain::time::{Monotonic, Timestamp, between, clock};
use crate::ports::{Clock, Commit, Store, StoreError};

/// How many results one transaction takes; never waited for.
const BATCH_MAX: usize = 500;

/// How long the dispatcher lets results gather after a commit that was not full. What comes after a quiet moment is committed
/// at once; under load a sync serves tens of results and not one or two, which halves what the store costs.
const GATHER: Duration = Duration::from_millis(50);

/// How many runs are kept while the store does not take them; states, incidents and messages are kept whole.
const UNRECORDED_RUNS_MAX: usize = 100_000;

/// How many bundles are kept meanwhile: sixteen MiB at most, and what is lost with the others is only their detail.
const UNRECORDED_BUNDLES_MAX: usize = 1_000;

/// How long a store that failed is left alone at first; doubles …
const STORE_REST_MIN: Duration = Duration::from_secs(1);

/// … to here, since each attempt hands over all that waits.
const STORE_REST_MAX: Duration = Duration::from_secs(15);

/// How often it is said that the store still fails.
const TELL_EVERY: Duration = Duration::from_secs(60);

/// How long the dispatcher sleeps when nothing comes: what is due is due by the wall clock, which may be set, and who looks
/// after us wants to see it turn.
const LOOK: Duration = Duration::from_secs(5);

/// It does not turn more often than this for what is due.
const TURN_MIN: Duration = Duration::from_secs(1);

/// What the dispatcher is told besides results.
pub enum Notice {
    /// Go on under another plan.
    Reload(Arc<Plan>),
    /// Somebody does something about an open incident.
    Act {
        /// Which.
        incident: IncidentId,
        /// Who, as they say.
        by: String,
        /// What.
        act: Act,
        /// Is answered after the commit.
        answer: oneshot::Sender<Result<Acted, ActError>>,
    },
    /// Somebody wants quiet, or wants it no more.
    Silence {
        /// What.
        what: Silencing,
        /// Is answered after the commit.
        answer: oneshot::Sender<Result<Silenced, SilenceError>>,
    },
    /// The store says what was before, of which objectives ask.
    Past {
        /// Which question it answers.
        number: u64,
        /// What was.
        past: PastRuns,
    },
}

/// What came of an act.
#[derive(Clone, Debug, PartialEq)]
pub struct Acted {
    /// The incident as it stands now.
    pub incident: Incident,
    /// Whether it is in the store; where that failed it holds all the same, and is written when the store returns.
    pub recorded: bool,
}

/// What came of wanting quiet, or wanting it no more.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Silenced {
    /// The silence as it is now.
    pub silence: Silence,
    /// As for [`Acted::recorded`].
    pub recorded: bool,
}

/// An answer that waits for the commit; it is told whether that was taken.
type Answer = Box<dyn FnOnce(bool) + Send>;

/// The dispatcher.
pub struct Dispatcher {
    /// The clocks.
    pub clock: Arc<dyn Clock>,
    /// Where everything lasting goes.
    pub store: Arc<dyn Store>,
    /// States and incidents.
    pub ledger: Ledger,
    /// Results of the scheduler.
    pub ended: mpsc::Receiver<Ended>,
    /// Changes of plan.
    pub notices: mpsc::Receiver<Notice>,
    /// Where runs off the slots are wanted. It is never waited for: the scheduler waits for this task.
    pub commands: mpsc::Sender<Command>,
    /// Where samples go after the commit.
    pub fanout: Fanout,
    /// Wakes the deliverer after the commit.
    pub wake: Arc<Notify>,
    /// Where what the store does not take stands for others.
    pub held: Arc<Unrecorded>,
    /// What is not in the store yet; at first what opening the ledger changed.
    pub unrecorded: Commit,
    /// What the store was given and has not answered in time. It may still take it, so it is not given it again.
    pub committing: Option<Committing>,
    /// Is told of every turn.
    pub vitals: Arc<Vitals>,
}

/// A commit that is under way, with what came of it.
pub type Committing = BoxFuture<'static, (Arc<Commit>, Result<(), StoreError>)>;

/// How the store has failed so far.
#[derive(Clone, Copy)]
struct Outage {
    /// The next attempt at it.
    until: Monotonic,
    /// How long to wait after that.
    rest: Duration,
    told_at: Monotonic,
}

impl Dispatcher {
    /// Goes on until no result can come any more, then commits what is left.
    pub async fn run(mut self) {
        let mut batch = Vec::with_capacity(BATCH_MAX);
        let mut outage: Option<Outage> = None;
        self.ledger.catch_up(self.clock.now(), &mut self.unrecorded);
        self.commit(&mut outage).await;
        self.ask();
        loop {
            self.vitals.turned(Part::Dispatcher);
            if outage.is_none() {
                self.vitals.turned(Part::Commits);
            }
            let wake_at = self.wake_at(outage);
            let (mut told, mut answer) = (Vec::new(), None);
            let mut gathers = false;
            tokio::select! {
                biased;
                Some(notice) = self.notices.recv() => answer = self.hear(notice),
                received = self.ended.recv_many(&mut batch, BATCH_MAX) => {
                    if received == 0 {
                        break;
                    }
                    gathers = received < BATCH_MAX;
                    told = self.take(&mut batch);
                }
                () = self.clock.sleep_until(wake_at) => {}
            }
            self.ledger.catch_up(self.clock.now(), &mut self.unrecorded);
            told.extend(self.ledger.take_samples());
            self.commit(&mut outage).await;
            if let Some(answer) = answer {
                answer(outage.is_none());
            }
            // After the commit, so that no metric says what the store does not know; where the store fails metrics are all
            // that is left, so they go all the same.
            self.fanout.send(told);
            self.ask();
            if gathers {
                self.clock.sleep_until(self.clock.monotonic() + GATHER).await;
            }
        }
        if let Some(outage) = &mut outage {
            outage.until = self.clock.monotonic();
        }
        self.commit(&mut outage).await;
        if let Some(committing) = self.committing.take() {
            let (commit, result) = committing.await;
            self.finish(commit, result, &mut outage);
            self.commit(&mut outage).await;
        }
        if !is_empty(&self.unrecorded) {
            let Commit { runs, bundles, deliveries, .. } = &self.unrecorded;
            tracing::error!(
                runs = runs.len(),
                bundles = bundles.len(),
                messages = deliveries.len(),
                "the store took them not, so they are lost"
            );
        }
    }

    /// The next attempt at a store that failed, or what is due before.
    fn wake_at(&self, outage: Option<Outage>) -> Monotonic {
        let now = self.clock.monotonic();
        let due = self.ledger.next_due().map_or(LOOK, |at| between(self.clock.now(), at).clamp(TURN_MIN, LOOK));
        outage.map_or(now + due, |outage| outage.until.min(now + due))
    }

    /// Asks the scheduler for the runs that the ledger wants off the slots.
    fn ask(&mut self) {
        for extra in self.ledger.take_wanted() {
            if let Err(error) = self.commands.try_send(Command::Extra(extra)) {
                tracing::warn!("a run off the slots cannot be asked for: {error}");
            }
        }
    }

    fn hear(&mut self, notice: Notice) -> Option<Answer> {
        let now = self.clock.now();
        match notice {
            Notice::Reload(plan) => {
                self.ledger.take(plan, now, &mut self.unrecorded);
                None
            }
            Notice::Act { incident, by, act, answer } => {
                let done = self.ledger.act(&incident, &by, &act, now, &mut self.unrecorded);
                // Whoever asked may have gone since.
                Some(Box::new(move |recorded| drop(answer.send(done.map(|incident| Acted { incident, recorded })))))
            }
            Notice::Silence { what, answer } => {
                let done = self.ledger.silence(what, now, &mut self.unrecorded);
                Some(Box::new(move |recorded| drop(answer.send(done.map(|silence| Silenced { silence, recorded })))))
            }
            Notice::Past { number, past } => {
                self.ledger.take_past(number, &past);
                None
            }
        }
    }

    fn take(&mut self, batch: &mut Vec<Ended>) -> Vec<Sample> {
        let now = self.clock.now();
        let mut told = Vec::new();
        for ended in batch.drain(..) {
            if let Some(account) = ended.account {
                told.extend(slot_samples(&account, now));
                self.unrecorded.add_account(account);
            }
            if let Some((extra, refusal)) = ended.refused {
                let (probe, why) = (&extra.probe, extra.why.as_str());
                tracing::debug!(%probe, why, ?refusal, "a run off the slots is not made");
                self.ledger.refused(&extra, refusal, now, &mut self.unrecorded);
            }
            if let Some(run) = ended.run {
                told.extend(samples(&run));
                self.ledger.take_run(*run, now, &mut self.unrecorded);
            }
        }
        let open = self.ledger.incidents_open() as f64;
        told.push(Sample { name: MetricName::IncidentsOpen, at: now, value: open, labels: SampleLabels::default() });
        told
    }

    /// Commits everything that is not recorded. A store that fails is tried again with all that has come since: probing
    /// goes on, and no message is forgotten.
    async fn commit(&mut self, outage: &mut Option<Outage>) {
        if outage.is_some_and(|outage| self.clock.monotonic() < outage.until) {
            return self.let_go();
        }
        if let Some(mut committing) = self.committing.take() {
            match (&mut committing).now_or_never() {
                Some((commit, result)) => self.finish(commit, result, outage),
                None => return self.wait_on(committing, outage),
            }
        }
        if is_empty(&self.unrecorded) || outage.is_some_and(|outage| self.clock.monotonic() < outage.until) {
            return;
        }
        let commit = Arc::new(std::mem::take(&mut self.unrecorded));
        let messages = commit.deliveries.clone();
        let store = Arc::clone(&self.store);
        let mut committing: Committing = Box::pin(async move {
            let result = store.commit(Arc::clone(&commit)).await;
            (commit, result)
        });
        let until = self.clock.monotonic() + STORE_PATIENCE;
        tokio::select! {
            biased;
            (commit, result) = &mut committing => self.finish(commit, result, outage),
            () = self.clock.sleep_until(until) => {
                self.held.hold(&messages);
                self.wait_on(committing, outage);
            }
        }
    }

    /// Puts away what the store took, or keeps what it did not.
    fn finish(&mut self, commit: Arc<Commit>, result: Result<(), StoreError>, outage: &mut Option<Outage>) {
        // Copied only while a store that failed still holds it.
        let commit = Arc::unwrap_or_clone(commit);
        match result {
            Ok(()) => {
                if outage.take().is_some() {
                    tracing::info!("the store takes commits again");
                }
                self.held.release(&self.unrecorded.deliveries);
                if !commit.deliveries.is_empty() {
                    self.wake.notify_one();
                }
                let now = self.clock.now();
                log(&commit, now);
                self.fanout.send(figures(&commit, now));
            }
            Err(error) => {
                self.unrecorded = commit.then(std::mem::take(&mut self.unrecorded));
                self.keep(&error, outage);
                self.let_go();
            }
        }
    }

    /// Lets messages go without the store.
    fn let_go(&self) {
        if !self.unrecorded.deliveries.is_empty() {
            self.held.hold(&self.unrecorded.deliveries);
            self.wake.notify_one();
        }
    }

    /// Goes on without the answer to a commit that may still come.
    fn wait_on(&mut self, committing: Committing, outage: &mut Option<Outage>) {
        self.committing = Some(committing);
        self.keep(&no_answer(), outage);
        self.let_go();
        self.wake.notify_one();
    }

    /// Keeps what could not be recorded; says so at once, and again as long as it lasts.
    fn keep(&mut self, error: &StoreError, outage: &mut Option<Outage>) {
        let now = self.clock.monotonic();
        let rest = outage.map_or(STORE_REST_MIN, |outage| (outage.rest * 2).min(STORE_REST_MAX));
        self.held.blame(error, self.clock.now());
        let told_at = outage.map(|outage| outage.told_at).filter(|told_at| now.since(*told_at) < TELL_EVERY);
        let given_up = shed(&mut self.unrecorded);
        if told_at.is_none() || given_up != Shed::default() {
            let Commit { runs, bundles, deliveries, .. } = &self.unrecorded;
            tracing::error!(
                runs = runs.len(),
                bundles = bundles.len(),
                messages = deliveries.len(),
                given_up = given_up.runs,
                bundles_given_up = given_up.bundles,
                "results and messages wait until they can be recorded: {error}"
            );
        }
        *outage = Some(Outage { until: now + rest, rest, told_at: told_at.unwrap_or(now) });
    }
}

/// How much was given up.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Shed {
    runs: usize,
    bundles: usize,
}

/// Gives up the oldest of what waits where it is too much.
fn shed(unrecorded: &mut Commit) -> Shed {
    let Commit { runs, bundles, .. } = unrecorded;
    let excess = Shed {
        runs: runs.len().saturating_sub(UNRECORDED_RUNS_MAX),
        bundles: bundles.len().saturating_sub(UNRECORDED_BUNDLES_MAX),
    };
    runs.drain(..excess.runs);
    bundles.drain(..excess.bundles);
    excess
}

/// What became of incidents, once it is recorded. What a target said is made harmless first.
fn log(commit: &Commit, now: Timestamp) {
    for silence in &commit.silences {
        let (by, until, reason) = (harmless(&silence.by), clock(silence.until), harmless(&silence.reason));
        let about = silence.matchers.to_string();
        let (id, about) = (&silence.id, harmless(&about));
        if silence.until <= now {
            tracing::info!(silence = %id, "quiet about {about} is over: {reason}");
        } else {
            tracing::info!(silence = %id, "{by} wants quiet about {about} until {until}: {reason}");
        }
    }
    for moment in &commit.moments {
        let Some(incident) = of_moment(commit, moment) else { continue };
        let (id, severity, probe) = (&incident.id, incident.severity, &incident.probe);
        match moment.what.as_str() {
            "opened" => tracing::warn!(incident = %id, %severity, "opened: {}", harmless(&incident.summary())),
            "resolved" => tracing::info!(incident = %id, "resolved: {probe} {}", moment.text),
            "acknowledged" => tracing::info!(incident = %id, "acknowledged: {probe} {}", harmless(&moment.text)),
            "note" => tracing::info!(incident = %id, "noted of {probe}: {}", harmless(&moment.text)),
            "muted" => tracing::info!(incident = %id, "nobody is told of {probe}: {}", harmless(&moment.text)),
            _ => {}
        }
    }
}

/// The figures of incidents that became known with a commit.
fn figures(commit: &Commit, now: Timestamp) -> Vec<Sample> {
    let milestone = |moment: &Moment| match moment.what.as_str() {
        "opened" => Some(Milestone::Detected),
        "acknowledged" => Some(Milestone::Acknowledged),
        "resolved" => Some(Milestone::Resolved),
        _ => None,
    };
    let known = commit.moments.iter().filter_map(|moment| Some((milestone(moment)?, of_moment(commit, moment)?)));
    known.filter_map(|(milestone, incident)| figures::sample(incident, milestone, now)).collect()
}

fn of_moment<'a>(commit: &'a Commit, moment: &Moment) -> Option<&'a Incident> {
    commit.incidents.iter().rev().find(|incident| incident.id == moment.incident)
}

fn is_empty(commit: &Commit) -> bool {
    let Commit {
        runs,
        accounts,
        states,
        forgotten,
        incidents,
        moments,
        deliveries,
        versions,
        bundles,
        pulses,
        silences,
        flaps,
        diagnoses,
    } = commit;
    runs.is_empty()
        && accounts.is_empty()
        && states.is_empty()
        && forgotten.is_empty()
        && incidents.is_empty()
        && moments.is_empty()
        && deliveries.is_empty()
        && versions.is_empty()
        && bundles.is_empty()
        && pulses.is_empty()
        && silences.is_empty()
        && flaps.is_empty()
        && diagnoses.is_empty()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::incident::Event;
    use crate::domain::names::ProbeName;
    use crate::domain::outcome::{Failure, FailureKind, Run, RunId, Verdict};
    use crate::domain::quiet::{Matchers, SilenceId};
    use crate::engine::testing::{Debts, TestClock, at, plan_of, schedule_of};
    use crate::ports::{KeptBundle, Loaded};
    use std::sync::atomic::Ordering::SeqCst;

    fn failed(clock: &TestClock) -> Ended {
        let now = clock.now();
        let run = Run {
            id: RunId(Arc::from(now.to_string())),
            location: Arc::from("here"),
            probe: ProbeName::parse("probe-0").unwrap(),
            schedule: Some("tier".parse().unwrap()),
            extra: None,
            slot: now,
            due_at: now,
            started_at: now,
            duration: Duration::ZERO,
            lateness: Duration::ZERO,
            verdict: Verdict::Failed(vec![Failure::new(FailureKind::ConnectRefused, "nobody listens")]),
            steps: Vec::new(),
            bundle: None,
        };
        Ended { run: Some(Box::new(run)), ..Ended::default() }
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_due_comes_without_a_run_and_who_acts_is_answered_after_the_commit() {
        let (clock, store) = (TestClock::starting("2026-11-24T10:00:00Z"), Arc::new(Debts::default()));
        let mut tier = schedule_of("tier", "30s", 1);
        tier.alert.as_mut().unwrap().failing.remind = Some(Duration::from_secs(1_800));
        let (runs, ended) = mpsc::channel(8);
        let (tell, notices) = mpsc::channel(8);
        let mut unrecorded = Commit::default();
        let dispatcher = Dispatcher {
            clock: Arc::clone(&clock) as _,
            store: Arc::clone(&store) as _,
            ledger: Ledger::open(Arc::new(plan_of(vec![tier])), Loaded::default(), clock.now(), &mut unrecorded),
            ended,
            notices,
            commands: mpsc::channel(8).0,
            fanout: Fanout::default(),
            wake: Arc::default(),
            held: Arc::default(),
            committing: None,
            unrecorded,
            vitals: Arc::new(Vitals::new(Arc::clone(&clock) as _)),
        };
        let mut task = tokio::task::JoinSet::new();
        task.spawn(dispatcher.run());
        let told = || -> Vec<_> {
            let commits = store.commits.lock().unwrap();
            let all = commits.iter().flat_map(|commit| &commit.deliveries);
            all.map(|delivery| (delivery.notification.event, delivery.notification.incident.id.clone())).collect()
        };
        for _ in 0..2 {
            runs.send(failed(&clock)).await.unwrap();
        }
        // No run ends in these hours: 30 min, and an hour after that.
        clock.sleep_until(clock.monotonic() + Duration::from_secs(2 * 3_600)).await;
        let events: Vec<_> = told().into_iter().map(|(event, _)| event).collect();
        assert_eq!(events, [Event::Opened, Event::Reminder, Event::Reminder]);
        // A wall clock that was set shows within a minute.
        clock.step(3 * 3_600);
        clock.sleep_until(clock.monotonic() + Duration::from_secs(61)).await;
        assert_eq!(told().len(), 4);
        let id = told()[0].1.clone();
        let act = async |act: Act| {
            let (answer, answered) = oneshot::channel();
            tell.send(Notice::Act { incident: id.clone(), by: "ann".to_owned(), act, answer }).await.ok().unwrap();
            answered.await.unwrap()
        };
        let done = act(Act::Acknowledge { note: None }).await.unwrap();
        assert_eq!((done.recorded, done.incident.acknowledged.unwrap().by.as_str()), (true, "ann"));
        assert_eq!(told()[4].0, Event::Acknowledged, "it was committed before the answer");
        assert!(matches!(act(Act::Acknowledge { note: None }).await, Err(ActError::Taken(_))));
        store.full.store(true, SeqCst);
        assert!(!act(Act::Note("the disk is full".to_owned())).await.unwrap().recorded);
        drop(runs);
        task.join_next().await.unwrap().unwrap();
        assert_eq!(told().len(), 5, "nobody is reminded of what somebody has taken on");
    }

    #[test]
    fn what_people_wrote_is_logged_without_harm_and_an_ended_silence_as_that() {
        #[derive(Clone, Default)]
        struct Sink(Arc<std::sync::Mutex<Vec<u8>>>);
        impl std::io::Write for Sink {
            fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
                self.0.lock().unwrap().extend_from_slice(bytes);
                Ok(bytes.len())
            }
            fn flush(&mut self) -> std::io::Result<()> {
                Ok(())
            }
        }
        let (sink, now) = (Sink::default(), at("2026-11-24T10:00:00Z"));
        let incident = crate::engine::testing::incident("I1", "api", now);
        let silence = |until: &str| Silence {
            id: SilenceId(Arc::from("S1")),
            matchers: Matchers { probes: vec!["api\n*".to_owned()], ..Matchers::default() },
            by: "ann".to_owned(),
            reason: "a new\ndisk".to_owned(),
            from: at("2026-11-24T09:00:00Z"),
            until: at(until),
        };
        let muted = Moment {
            incident: incident.id.clone(),
            at: now,
            what: "muted".to_owned(),
            text: "silenced by ann\nopened".to_owned(),
        };
        let silences = vec![silence("2026-11-24T11:00:00Z"), silence("2026-11-24T10:00:00Z")];
        let commit = Commit { silences, moments: vec![muted], incidents: vec![incident], ..Commit::default() };
        let writer = sink.clone();
        let subscriber = tracing_subscriber::fmt().with_ansi(false).with_writer(move || writer.clone()).finish();
        tracing::subscriber::with_default(subscriber, || log(&commit, now));
        let logged = String::from_utf8(sink.0.lock().unwrap().clone()).unwrap();
        let lines: Vec<_> = logged.lines().collect();
        assert_eq!(lines.len(), 3, "{logged}");
        assert!(
            lines[0].contains("ann wants quiet about api") && lines[0].contains("until 2026-11-24 11:00:00 UTC: a new")
        );
        assert!(lines[1].contains("quiet about api") && lines[1].contains("is over: a new"), "{logged}");
        assert!(lines[2].contains("is told of") && lines[2].contains("opened"), "{logged}");
    }

    #[test]
    fn while_the_store_rests_the_latest_bundles_wait_and_no_more() {
        let bundle = |n: usize| KeptBundle {
            run: RunId(Arc::from(n.to_string())),
            probe: ProbeName::parse("api").unwrap(),
            started_at: at("2026-11-24T10:00:00Z"),
            incident: None,
            bundle: Arc::default(),
        };
        let mut waiting = Commit { bundles: (0..1_200).map(bundle).collect(), ..Commit::default() };
        assert!(!is_empty(&waiting));
        assert_eq!(shed(&mut waiting), Shed { runs: 0, bundles: 200 });
        assert_eq!((waiting.bundles.len(), &*waiting.bundles[0].run.0), (1_000, "200"));
    }
}
