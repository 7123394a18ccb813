//! The single owner of alert state. It takes results in their order, lets the judge decide, commits states, incidents
//! and messages in one transaction, and only then lets samples and messages go.

use std::sync::Arc;
use std::time::Duration;

use futures::future::BoxFuture;
use tokio::sync::{Notify, mpsc, oneshot};

use self::commits::{Outage, answered, is_empty};
use self::news::changes;
use super::audits;
use super::fanout::Fanout;
use super::ledger::Ledger;
use super::ledger::acts::{Act, ActError};
use super::ledger::drills::{Ending, Undrilled};
use super::ledger::pauses::Pausing;
use super::ledger::silences::Silencing;
use super::plan::Plan;
use super::scheduler::extras::{ExtraRun, Refusal};
use super::scheduler::{Command, Ended};
use super::triggers::{Begun, Judged, Next, TriggerError, Triggers};
use super::unrecorded::Unrecorded;
use super::vitals::{Part, Vitals};
use crate::domain::audit::{AuditRecord, Author};
use crate::domain::incident::{Incident, IncidentId};
use crate::domain::metric::{MetricName, Sample, SampleLabels, samples, slot_samples};
use crate::domain::names::ChannelName;
use crate::domain::outcome::Run;
use crate::domain::past::PastRuns;
use crate::domain::pause::{Pause, PauseError};
use crate::domain::quiet::{Silence, SilenceError};
use crate::domain::time::{Monotonic, between};
use crate::ports::{Clock, Commit, Reply, Store, StoreError};

mod commits;
mod news;

/// How many results one transaction takes; never waited for.
const BATCH_MAX: usize = 500;

/// How long the dispatcher lets results gather after a commit that was not full. What comes after a quiet moment is committed
/// at once; under load a commit serves hundreds of results and not one or two, which more than halves what the store costs.
const GATHER: Duration = Duration::from_millis(200);

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
        /// Who, as it is put down.
        author: Author,
        /// Is answered after the commit.
        answer: oneshot::Sender<Result<Acted, ActError>>,
    },
    /// A receiver said something of incidents.
    Reply {
        /// Its channel.
        channel: ChannelName,
        /// What it said.
        reply: Box<Reply>,
        /// Of what.
        incidents: Vec<IncidentId>,
        /// Is told after the commit to how many it made a difference.
        answer: oneshot::Sender<usize>,
    },
    /// Somebody wants quiet, or wants it no more.
    Silence {
        /// What.
        what: Silencing,
        /// Who, as it is put down.
        author: Author,
        /// Is answered after the commit.
        answer: oneshot::Sender<Result<Silenced, SilenceError>>,
    },
    /// Somebody changed something that is no commit of ours.
    Audit(Box<AuditRecord>),
    /// So many changes were refused.
    Refused(u64),
    /// Somebody wants something not to be run, or wants it run again.
    Pause {
        /// What.
        what: Pausing,
        /// Who, as it is put down.
        author: Author,
        /// Is answered after the commit.
        answer: oneshot::Sender<Result<Paused, PauseError>>,
    },
    /// Somebody wants a probe run now.
    Trigger {
        /// Which.
        probe: String,
        /// For which schedule; for all on which it is where none is named.
        schedule: Option<String>,
        /// Hears what is begun.
        answer: oneshot::Sender<Result<Begun, TriggerError>>,
    },
    /// A run of a drill has ended.
    Drill {
        /// The run.
        run: Box<Run>,
        /// The channel that is drilled.
        channel: ChannelName,
        /// Is answered after the commit.
        answer: oneshot::Sender<Result<Drilled, Undrilled>>,
    },
    /// A drill has ended.
    DrillEnded {
        /// How.
        ending: Ending,
        /// Hears after the commit whether it was taken.
        answer: oneshot::Sender<bool>,
    },
    /// The store says what was before, of which objectives ask.
    Past {
        /// Which question it answers.
        number: u64,
        /// What was.
        past: PastRuns,
    },
}

/// What came of a run of a drill.
#[derive(Clone, Debug, PartialEq)]
pub struct Drilled {
    /// The incident as it stands now.
    pub incident: Incident,
    /// When it was judged.
    pub judged_at: Monotonic,
    /// As for [`Acted::recorded`].
    pub recorded: bool,
}

/// What came of an act.
#[derive(Clone, Debug, PartialEq)]
pub struct Acted {
    /// The incident as it stands now.
    pub incident: Incident,
    /// Whether it is in the store; where that failed it holds all the same, and is written when the store returns.
    pub recorded: bool,
}

/// What came of a pause, or of resuming.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Paused {
    /// The pause as it is now.
    pub pause: Pause,
    /// As for [`Acted::recorded`].
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
    /// The runs that somebody waits for.
    pub triggers: Triggers,
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
            let (mut told, mut judged, mut answer) = (Vec::new(), Vec::new(), None);
            let mut gathers = false;
            tokio::select! {
                biased;
                // A store that was slow may have taken it a moment later.
                (commit, result) = answered(&mut self.committing) => self.finish(commit, result, &mut outage),
                Some(notice) = self.notices.recv() => {
                    answer = self.hear(notice);
                    told = self.gauges();
                }
                received = self.ended.recv_many(&mut batch, BATCH_MAX) => {
                    if received == 0 {
                        break;
                    }
                    gathers = received < BATCH_MAX;
                    (told, judged) = self.take(&mut batch);
                }
                () = self.clock.sleep_until(wake_at) => {}
            }
            let now = self.clock.now();
            self.ledger.watch_store(self.held.trouble().as_ref(), now, &mut self.unrecorded);
            self.ledger.catch_up(now, &mut self.unrecorded);
            told.extend(self.ledger.take_samples());
            self.commit(&mut outage).await;
            if let Some(answer) = answer {
                answer(outage.is_none());
            }
            for run in judged {
                let next = self.triggers.ended(Judged { recorded: outage.is_none(), ..run });
                self.go_on(next);
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
                self.vitals.changes.everything();
                None
            }
            Notice::Act { incident, by, act, author, answer } => {
                let done = self.ledger.act(&incident, &by, &act, now, &mut self.unrecorded);
                let record = done.is_ok().then(|| audits::of_act(author, &incident, &act, now));
                self.unrecorded.audits.extend(record);
                // Whoever asked may have gone since.
                Some(Box::new(move |recorded| drop(answer.send(done.map(|incident| Acted { incident, recorded })))))
            }
            Notice::Reply { channel, reply, incidents, answer } => {
                let taken = self.ledger.heed(&channel, &reply, &incidents, now, &mut self.unrecorded);
                self.unrecorded.audits.extend(audits::of_reply(&channel, &reply, &taken, now));
                Some(Box::new(move |_| {
                    let _ = answer.send(taken.len());
                }))
            }
            Notice::Silence { what, author, answer } => {
                let ended = self.ledger.silence_ended_by(&what).cloned();
                let done = self.ledger.silence(what, now, &mut self.unrecorded);
                if let Ok(silence) = &done {
                    self.unrecorded.audits.push(audits::of_silence(author, silence, ended.as_ref(), now));
                }
                Some(Box::new(move |recorded| drop(answer.send(done.map(|silence| Silenced { silence, recorded })))))
            }
            Notice::Audit(record) => {
                self.unrecorded.audits.push(*record);
                None
            }
            Notice::Refused(count) => {
                self.fanout.send([changes("refused", count, now)]);
                None
            }
            Notice::Pause { what, author, answer } => {
                let done = self.ledger.pause(what, now, &mut self.unrecorded);
                let record = done.as_ref().ok().map(|pause| audits::of_pause(author, pause, now));
                self.unrecorded.audits.extend(record);
                Some(Box::new(move |recorded| drop(answer.send(done.map(|pause| Paused { pause, recorded })))))
            }
            Notice::Trigger { probe, schedule, answer } => {
                let at = (now, self.clock.monotonic());
                let begun = self.triggers.begin(self.ledger.plan(), &probe, schedule.as_deref(), at);
                let (begun, wish) = begun.map_or_else(|error| (Err(error), None), |(begun, wish)| (Ok(begun), wish));
                // Whoever asked may have gone since.
                drop(answer.send(begun));
                self.go_on(wish.map(Next::Ask));
                None
            }
            Notice::Drill { run, channel, answer } => {
                let done = self.ledger.drill(*run, &channel, now, &mut self.unrecorded);
                let judged_at = self.clock.monotonic();
                let drilled = move |recorded| done.map(|incident| Drilled { incident, judged_at, recorded });
                Some(Box::new(move |recorded| drop(answer.send(drilled(recorded)))))
            }
            Notice::DrillEnded { ending, answer } => {
                self.ledger.end_drill(ending, now, &mut self.unrecorded);
                Some(Box::new(move |recorded| {
                    let _ = answer.send(recorded);
                }))
            }
            Notice::Past { number, past } => {
                self.ledger.take_past(number, &past);
                None
            }
        }
    }

    /// Goes on with what somebody triggered.
    fn go_on(&mut self, mut next: Option<Next>) {
        loop {
            match next {
                None => return,
                Some(Next::Answer(answer, ended)) => return drop(answer.send(ended)),
                Some(Next::Ask(extra)) => match self.commands.try_send(Command::Extra(extra.clone())) {
                    Ok(()) => return,
                    Err(error) => {
                        tracing::warn!("a run off the slots cannot be asked for: {error}");
                        next = self.triggers.refused(&extra, Refusal::Saturated);
                    }
                },
            }
        }
    }

    /// Takes note of a run off the slots that is not made.
    fn refused(&mut self, extra: &ExtraRun, refusal: Refusal) {
        let (probe, why) = (&extra.probe, extra.why.as_str());
        tracing::debug!(%probe, why, ?refusal, "a run off the slots is not made");
        self.ledger.refused(extra, refusal, self.clock.now(), &mut self.unrecorded);
        let next = self.triggers.refused(extra, refusal);
        self.go_on(next);
    }

    /// What stands at this moment.
    fn gauges(&self) -> Vec<Sample> {
        let (open, paused) = (self.ledger.incidents_open() as f64, self.ledger.paused() as f64);
        let (at, labels) = (self.clock.now(), SampleLabels::default());
        let sample = |(name, value)| Sample { name, at, value, labels: labels.clone() };
        [(MetricName::IncidentsOpen, open), (MetricName::Paused, paused)].map(sample).into()
    }

    fn take(&mut self, batch: &mut Vec<Ended>) -> (Vec<Sample>, Vec<Judged>) {
        let now = self.clock.now();
        let (mut told, mut judged) = (Vec::new(), Vec::new());
        for ended in batch.drain(..) {
            if let Some(account) = ended.account {
                told.extend(slot_samples(&account, now));
                self.unrecorded.add_account(account);
            }
            if let Some((extra, refusal)) = ended.refused {
                self.refused(&extra, refusal);
            }
            if let Some(run) = ended.run {
                let awaited = self.triggers.awaits(&run);
                let before = awaited.then(|| self.ledger.open_of(&run.probe));
                let unjudged = self.ledger.take_run(*run, now, &mut self.unrecorded);
                // As it was taken: what many runs say of one is known there.
                let Some(run) = self.unrecorded.runs.last() else { continue };
                told.extend(samples(run));
                if let Some(before) = before {
                    let unjudged = unjudged.map(|why| why.to_string());
                    let (run, open) = (run.clone(), self.ledger.open_of(&run.probe));
                    let resolved = before.into_iter().filter(|incident| !open.contains(incident)).collect();
                    judged.push(Judged { run, unjudged, open, resolved, recorded: false });
                }
            }
        }
        told.extend(self.gauges());
        (told, judged)
    }
}

#[cfg(test)]
mod tests;
