//! The seams: one trait for each, and what crosses them. Rooms implement these and never import each other; the engine
//! knows its neighbours by nothing else.

use std::any::{Any, TypeId};
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures::future::BoxFuture;
use schemars::JsonSchema;
use secrecy::{ExposeSecret as _, SecretString};
use serde::{Deserialize, Serialize};

use crate::domain::audit::AuditRecord;
use crate::domain::aws_call::AwsCall;
use crate::domain::debt::Debt;
use crate::domain::exchange::{Bundle, Exchange};
use crate::domain::expression::Names;
use crate::domain::flapping::Flap;
use crate::domain::grading::Recent;
use crate::domain::grouping::{Group, Keeping, Rules};
use crate::domain::history::{Grain, IncidentsAsked, IncidentsFound, RunsAsked, RunsFound, StoreSize, Stretch};
use crate::domain::incident::{Event, Finding, Hearers, Incident, IncidentId, Moment, Version};
use crate::domain::incidents::Incidents;
use crate::domain::judge::{AlertKey, AlertState, Aspect};
use crate::domain::metric::{Sample, SampleLabels};
use crate::domain::metrics_place::MetricsPlace;
use crate::domain::names::{CaptureName, ChannelName, ProbeName, ScheduleName, SecretName, StepName};
use crate::domain::outcome::{Failure, FailureKind, Observation, Run, RunId, SlotAccount, SlotOutcome};
use crate::domain::past::{PastRuns, Question};
use crate::domain::pause::Pause;
use crate::domain::pulse::{Ping, Pulse, TokenDigest};
use crate::domain::quiet::Silence;
use crate::domain::schedule::Schedule;
use crate::domain::template::{Fill, FillError, Template};
use crate::domain::time::{Monotonic, Timestamp, between, words};
use crate::settings::{Node, Problems, Spanned};

/// Reads the two clocks. Only `clock.rs` has one that is real.
pub trait Clock: Send + Sync {
    /// The wall clock; it may step.
    fn now(&self) -> Timestamp;
    /// The clock that never steps.
    fn monotonic(&self) -> Monotonic;
    /// Waits until an instant of the clock that never steps.
    fn sleep_until(&self, at: Monotonic) -> BoxFuture<'_, ()>;
    /// For how long the machine has slept, which the clock that never steps does not count.
    fn slept(&self) -> Duration {
        Duration::ZERO
    }
}

/// Says now and then that a schedule may have a slot. A tick is a hint: it may be late, doubled or missing.
pub trait TickSource: Send {
    /// Gives ticks for these schedules from now on; those that it already knows keep their job.
    fn watch<'a>(&'a mut self, schedules: &'a [Arc<Schedule>]) -> BoxFuture<'a, Result<(), TickError>>;
    /// The next tick.
    fn next(&mut self) -> BoxFuture<'_, ScheduleName>;
}

/// The tick source could not be set up; the engine's own timer then stands alone.
#[derive(Debug, thiserror::Error)]
#[error("ticks cannot be set up: {0}")]
pub struct TickError(pub String);

/// Performs one step and reports facts; never judges, never retries.
pub trait Prober: Send + Sync {
    /// One step, within [`StepContext::deadline`].
    fn probe<'a>(&'a self, cx: &'a StepContext<'a>) -> BoxFuture<'a, Result<Observation, Failure>>;
    /// The host that the step looks at over the network, where that is known before it runs.
    fn host(&self) -> Option<String> {
        None
    }
    /// The token by which a job elsewhere pings, where the step does not look but waits to be told.
    fn token(&self) -> Option<&Token> {
        None
    }
    /// What puts away what the step makes, for a step that cannot do without. The configuration makes it a part of the probe's
    /// cleanup, so that nobody can forget it, and every run is journaled before it makes anything.
    fn cleanup(&self) -> Option<Arc<dyn Prober>> {
        None
    }
    /// What one run of the step asks of AWS at most: what its policy must allow and its bill counts.
    fn calls(&self) -> Vec<AwsCall> {
        Vec::new()
    }
}

/// What a step may use.
pub struct StepContext<'a> {
    /// The clocks.
    pub clock: &'a dyn Clock,
    /// When the step must have ended.
    pub deadline: Monotonic,
    /// The run.
    pub run: &'a RunId,
    /// What earlier steps captured, as text.
    pub captures: &'a BTreeMap<CaptureName, String>,
    /// Where secrets come from.
    pub secrets: &'a dyn Secrets,
    /// What the steps of a run share: connections, cookies.
    pub session: &'a Session,
    /// Where the step puts down what it sent and what came.
    pub recorder: &'a Recorder,
}

impl StepContext<'_> {
    /// Fills a template; `encode` makes what is put in fit for its place or refuses it.
    pub async fn fill(
        &self,
        template: &Template,
        encode: impl Fn(&str) -> Option<String> + Send,
    ) -> Result<String, Failure> {
        struct Values<'a> {
            captures: &'a BTreeMap<CaptureName, String>,
            run: &'a RunId,
            secrets: BTreeMap<SecretName, SecretString>,
            codes: BTreeMap<SecretName, SecretString>,
        }
        impl Fill for Values<'_> {
            fn code(&self, name: &SecretName) -> Option<&str> {
                self.codes.get(name).map(SecretString::expose_secret)
            }
            fn capture(&self, name: &CaptureName) -> Option<&str> {
                self.captures.get(name).map(String::as_str)
            }
            fn run_id(&self) -> &str {
                &self.run.0
            }
            fn secret(&self, name: &SecretName) -> Option<&str> {
                self.secrets.get(name).map(SecretString::expose_secret)
            }
        }
        let (mut secrets, mut codes) = (BTreeMap::new(), BTreeMap::new());
        for name in template.secrets() {
            secrets.insert(name.clone(), self.in_time(name, self.secrets.resolve(name)).await?);
        }
        for name in template.codes() {
            let code = self.secrets.code(name, self.clock, self.deadline);
            codes.insert(name.clone(), self.in_time(name, code).await?);
        }
        let values = Values { captures: self.captures, run: self.run, secrets, codes };
        template.fill(&values, encode).map_err(|error| {
            let kind = match error {
                FillError::Capture(_) | FillError::Unfit(_) => FailureKind::Capture,
                FillError::Secret(_) => FailureKind::LocalSecret,
            };
            Failure::new(kind, error.to_string())
        })
    }

    /// A secret, within the time of the step. That nobody gives it until then is our own fault and not the target's, as any
    /// other reason is for which there is none.
    async fn in_time(
        &self,
        name: &SecretName,
        secret: BoxFuture<'_, Result<SecretString, SecretError>>,
    ) -> Result<SecretString, Failure> {
        let over = async {
            self.clock.sleep_until(self.deadline).await;
            let reason = "it was not to be had within the time of the step".to_owned();
            Err(SecretError { name: name.clone(), reason, passes: true })
        };
        let found = tokio::select! {
            biased;
            found = secret => found,
            late = over => late,
        };
        found.map_err(|error| Failure::new(FailureKind::LocalSecret, error.to_string()))
    }
}

/// What the steps of one run share, by type: each prober keeps what it wants under a type of its own.
#[derive(Default)]
pub struct Session {
    parts: Mutex<HashMap<TypeId, Arc<dyn Any + Send + Sync>>>,
    is_resumed: bool,
}

impl Session {
    /// That of a cleanup which comes after its run, perhaps in another process: nobody knows what the steps did.
    pub fn resumed() -> Self {
        Self { is_resumed: true, ..Self::default() }
    }

    /// Whether the steps of the run were performed with another session than this, as far as they were.
    pub fn is_resumed(&self) -> bool {
        self.is_resumed
    }

    /// The one `T` of this run, made at its first use.
    pub fn get<T: Any + Send + Sync + Default>(&self) -> Arc<T> {
        let mut parts = self.parts.lock().unwrap_or_else(PoisonError::into_inner);
        let part = parts.entry(TypeId::of::<T>()).or_insert_with(|| Arc::new(T::default()));
        Arc::clone(part).downcast().unwrap_or_else(|_| Arc::new(T::default()))
    }
}

/// What a step exchanged with its target. Nearly every run is well and nobody reads what it said, so a prober gives a
/// closure over what it has anyway (shared bytes, heads), and text is made only of what is looked at.
#[derive(Default)]
pub struct Recorder(Mutex<Vec<Box<dyn FnOnce() -> Exchange + Send>>>);

impl Recorder {
    /// At most this many exchanges of one step are kept: more than its redirects.
    const EXCHANGES_MAX: usize = 16;

    /// Puts down one exchange.
    pub fn add(&self, exchange: impl FnOnce() -> Exchange + Send + 'static) {
        let mut exchanges = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if exchanges.len() < Self::EXCHANGES_MAX {
            exchanges.push(Box::new(exchange));
        }
    }

    /// What was put down, in its order, as text. Secrets are still in it: who shows or keeps it takes them out.
    pub fn exchanges(self) -> Vec<Exchange> {
        self.0.into_inner().unwrap_or_else(PoisonError::into_inner).into_iter().map(|tell| tell()).collect()
    }
}

/// What jobs elsewhere say of themselves. The web takes their pings, and a prober asks for what is known by them.
pub trait Pings: Send + Sync {
    /// Takes a ping; it is recorded when this returns. What the store did not take is remembered all the same. The token is
    /// one of the plan's.
    fn take(&self, token: TokenDigest, ping: Ping) -> BoxFuture<'_, Result<(), StoreError>>;
    /// What is known of a job, which is listened for from now on; nothing in a process that takes no pings.
    fn pulse(&self, token: TokenDigest, now: Timestamp) -> Option<Pulse>;
    /// Records what is not recorded yet.
    fn record(&self) -> BoxFuture<'_, Result<(), StoreError>>;
}

/// The token of a job that pings.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Token {
    /// It was written down, and only its hash was kept.
    Known(TokenDigest),
    /// It is a secret, and read whenever it is needed.
    Secret(SecretName),
}

impl Token {
    /// The hash by which it is known, or why there is none; never says the token.
    pub async fn digest(&self, secrets: &dyn Secrets) -> Result<TokenDigest, String> {
        match self {
            Self::Known(digest) => Ok(*digest),
            Self::Secret(name) => {
                let secret = secrets.resolve(name).await.map_err(|error| error.to_string())?;
                let digest = TokenDigest::of_token(secret.expose_secret());
                digest.map_err(|error| format!("the secret `{name}` is no token: {error}"))
            }
        }
    }
}

/// Takes metrics to where dashboards read them.
pub trait Publisher: Send {
    /// Publishes samples, in their order.
    fn publish<'a>(&'a mut self, samples: &'a [Sample]) -> BoxFuture<'a, Result<(), PublishError>>;
    /// Sends what it still holds, for a clean shutdown.
    fn flush(&mut self) -> BoxFuture<'_, Result<(), PublishError>>;
    /// Called at a steady pace, so that what waits for a minute to be full goes out without a new sample.
    fn tick(&mut self) -> BoxFuture<'_, Result<(), PublishError>>;
    /// What is configured from now on. Who shows values until they are taken away takes away the others; who sends them
    /// has nothing to do.
    fn keep(&mut self, _known: &Arc<Known>) {}
    /// How many samples it took, and what became of them.
    fn account(&self) -> PublisherAccount;
}

/// The names that labels may have under a plan.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Known {
    /// The probes.
    pub probes: BTreeSet<ProbeName>,
    /// The schedules.
    pub schedules: BTreeSet<ScheduleName>,
    /// Their steps.
    pub steps: BTreeSet<(ProbeName, StepName)>,
    /// Which probe is on which schedule.
    pub rounds: BTreeSet<(ScheduleName, ProbeName)>,
    /// The channels.
    pub channels: BTreeSet<ChannelName>,
    /// Which objective is on which schedule, in words.
    pub objectives: BTreeSet<(ScheduleName, Arc<str>)>,
}

impl Known {
    /// Whether everything that labels name is configured.
    pub fn has(&self, labels: &SampleLabels) -> bool {
        let of_round = match (&labels.schedule, &labels.probe) {
            (None, None) => true,
            (Some(schedule), None) => self.schedules.contains(schedule),
            (None, Some(probe)) => self.probes.contains(probe),
            (Some(schedule), Some(probe)) => self.rounds.contains(&(schedule.clone(), probe.clone())),
        };
        let of_step = match (&labels.probe, &labels.step) {
            (Some(probe), Some(step)) => self.steps.contains(&(probe.clone(), step.clone())),
            _ => true,
        };
        let of_objective = match (&labels.schedule, &labels.objective) {
            (Some(schedule), Some(objective)) => self.objectives.contains(&(schedule.clone(), Arc::clone(objective))),
            _ => true,
        };
        of_round
            && of_step
            && of_objective
            && labels.channel.as_ref().is_none_or(|channel| self.channels.contains(channel))
    }
}

/// What a publisher did with the samples that it was given, and with those that it found on disk when it began:
/// `taken + found = delivered + waiting + spooled + dropped`. A sample is counted once for each set of dimensions in which it
/// is published.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PublisherAccount {
    /// Received the publisher's confirmation, or stands on its page.
    pub delivered: u64,
    /// Held in memory until it can be sent, or put on disk.
    pub waiting: u64,
    /// Held on disk, where it survives the process.
    pub spooled: u64,
    /// Given up: too old, refused, or no room.
    pub dropped: u64,
}

/// Metrics could not be published; they wait or are counted as dropped, as the publisher's account says.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct PublishError(pub String);

/// The text of `/metrics`, for the web room.
pub trait Exposition: Send + Sync {
    /// OpenMetrics text, ending in `# EOF`.
    fn text(&self) -> String;
}

/// Takes a message to people.
pub trait Notifier: Send + Sync {
    /// One attempt.
    fn notify<'a>(&'a self, notification: &'a Notification) -> BoxFuture<'a, Result<Receipt, NotifyError>>;
    /// One attempt at a message about an incident of which the channel took one already: `first` is the receipt of the
    /// first. Who keeps one message for each incident finds it by that.
    fn follow<'a>(
        &'a self,
        notification: &'a Notification,
        _first: &'a Receipt,
    ) -> BoxFuture<'a, Result<Receipt, NotifyError>> {
        self.notify(notification)
    }
    /// Reads what the receiver says of its own accord and has signed. Most are told and say nothing.
    fn hear<'a>(&'a self, _signature: &'a str, _body: &'a [u8]) -> BoxFuture<'a, Heard> {
        Box::pin(std::future::ready(Heard::Deaf))
    }
    /// What one message asks of AWS.
    fn calls(&self) -> Vec<AwsCall> {
        Vec::new()
    }
    /// What the receiver makes of messages, by which they are grouped.
    fn keeping(&self) -> Keeping {
        Keeping::default()
    }
    /// Looks for a message that the channel took, about an incident and of an event, where it arrives, and says where it was
    /// seen; nothing where that cannot be looked at. It goes on looking until it is dropped, or cannot look.
    fn read_back<'a>(
        &'a self,
        _incident: &'a IncidentId,
        _event: Event,
    ) -> Option<BoxFuture<'a, Result<String, NotifyError>>> {
        None
    }
}

/// What a channel makes of something that came by the way of its receiver.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Heard {
    /// The channel listens to nobody.
    Deaf,
    /// It is not signed with the secret of this channel.
    Unsigned,
    /// Whether it is cannot be known now, for this reason; never says the secret.
    Away(String),
    /// It is signed, and says nothing that anybody here understands.
    Strange,
    /// It is the receiver's.
    Reply(Reply),
}

/// What a receiver says of its own accord.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reply {
    /// Its id, by which a repetition is known.
    pub id: String,
    /// How the receiver calls what it speaks of; it may say that alone later.
    pub theirs: String,
    /// The incident, where it is named.
    pub incident: Option<IncidentId>,
    /// Who did it there.
    pub by: String,
    /// What it says.
    pub says: Says,
}

/// What a receiver says of an incident.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Says {
    /// Somebody has taken it on.
    Acknowledged,
    /// Somebody has written something of it.
    Note(String),
    /// Something that changes nothing here.
    Nothing,
}

/// Tells somebody elsewhere that we live, who makes noise when it is not told any more.
pub trait Pinger: Send + Sync {
    /// One attempt.
    fn ping(&self, beat: Beat) -> BoxFuture<'_, Result<(), NotifyError>>;
}

/// What a ping says. That we fail is never said: who fails may be wrong about it, and silence says it anyway.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Beat {
    /// The process begins.
    Start,
    /// Everything goes on.
    Alive,
}

/// A message to one channel, as it was when its transition was committed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Notification {
    /// What happened.
    pub event: Event,
    /// The incident as it was then.
    pub incident: Incident,
    /// The number of this message within its incident, from 1.
    pub transition: u32,
    /// When it was committed.
    pub at: Timestamp,
    /// The watched system.
    pub site: String,
    /// The page of the incident, where people can reach one.
    pub url: Option<String>,
    /// The incident opened and was resolved before anybody could be told; this message tells both, or to a receiver that
    /// keeps alerts the beginning.
    pub late: bool,
    /// The receiver refused the full message: send the least that it can take.
    pub plain: bool,
    /// What it tells besides, where it tells of several incidents or of one that was told of with others; `incident` is then
    /// the gravest. It is made up at each attempt.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub group: Option<Group>,
    /// It leaves before it is in the store, which fails: should the process end meanwhile, nobody knows of it afterwards.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub unrecorded: bool,
}

impl Notification {
    /// The key under which a receiver may recognise a repetition: the same for every attempt at one transition.
    pub fn key(&self) -> String {
        match self.several() {
            Some(group) => format!("{}-{}", group.id, self.event.as_str()),
            None => format!("{}-{}", self.incident.id, self.transition),
        }
    }

    /// The group, where it tells of more than one incident.
    pub fn several(&self) -> Option<&Group> {
        self.group.as_ref().filter(|group| group.size > 1)
    }

    /// The key under which a receiver knows what it is about, from the beginning to the end: the incident, or all that began
    /// by one message.
    pub fn alert(&self) -> &str {
        self.group.as_ref().and_then(|group| group.origin.as_deref()).unwrap_or(&self.incident.id.0)
    }

    /// Whether it goes for all that the receiver knows by [`Self::alert`].
    pub fn is_of_all(&self) -> bool {
        self.group.as_ref().is_none_or(|group| group.left == 0)
    }

    /// One line: what happened to what.
    pub fn summary(&self) -> String {
        self.several().map_or_else(|| self.summary_of_one(), |group| self.summary_of(group))
    }

    /// What its words are about: what is told late is over, whatever its event is for the receiver.
    pub fn said(&self) -> Event {
        if self.late { Event::Resolved } else { self.event }
    }

    fn summary_of(&self, group: &Group) -> String {
        let (size, probes) = (group.size, group.probes());
        let over = match group.over() {
            over if over > 0 && !self.late => format!(" ({over} of them over by now)"),
            _ => String::new(),
        };
        match self.said() {
            Event::Opened => group.trouble("") + &over,
            Event::Reminder => group.trouble("still ") + &over,
            Event::Escalated => format!("nobody has taken them on: {}{over}", group.trouble("still ")),
            Event::Acknowledged => {
                let by = self.incident.acknowledged.as_ref().map(|taken| taken.by.as_str()).unwrap_or_default();
                format!("{by} has taken on {size} incidents: {probes}")
            }
            Event::Resolved => {
                let late = if self.late { ", told late" } else { "" };
                let left = if group.left > 0 {
                    format!("; {} that began with them are not over", group.left)
                } else {
                    String::new()
                };
                format!("{size} incidents are over: {probes}{left}{late}")
            }
            Event::PostMortem => format!("the post-mortems of {size} incidents are to be written: {probes}"),
        }
    }

    fn summary_of_one(&self) -> String {
        match self.said() {
            Event::Opened => self.incident.summary(),
            Event::Reminder if self.incident.has_risen() => {
                format!("raised to {}: {}", self.incident.severity, self.incident.still(self.at))
            }
            Event::Reminder => self.incident.still(self.at),
            Event::Escalated => format!("nobody has taken it on: {}", self.incident.still(self.at)),
            Event::Acknowledged => {
                let by = self.incident.acknowledged.as_ref().map(|taken| taken.by.as_str()).unwrap_or_default();
                format!("{by} has taken it on: {}", self.incident.still(self.at))
            }
            Event::PostMortem => {
                let Incident { probe, severity, resolved_at, .. } = &self.incident;
                let ago = words(resolved_at.map_or(Duration::ZERO, |at| between(at, self.at)));
                format!("write the post-mortem: the {severity} of {probe} has been over for {ago}")
            }
            Event::Resolved => {
                let Incident { probe, since, resolved_at, .. } = &self.incident;
                let words = words(resolved_at.map_or(Duration::ZERO, |at| between(*since, at)));
                let late = if self.late { ", told late" } else { "" };
                let over = match (&self.incident.resolved_because, self.incident.aspect) {
                    (Some(why), _) => format!("the incident of {probe} is closed after {words} ({why})"),
                    (None, Aspect::Failing) => format!("{probe} is well again after {words}"),
                    // It may be failing by now, so it is not said to be well.
                    (None, Aspect::Degraded) => format!("{probe} is degraded no more after {words}"),
                    // That we can look again says nothing of what there is to see.
                    (None, Aspect::Blind) => format!("Roundsman sees {probe} again after {words}"),
                    (None, Aspect::Burning) => format!("{probe} burns its error budget no more after {words}"),
                    (None, Aspect::NoNetwork) => format!("Roundsman has a network again after {words}"),
                    (None, Aspect::Unrecorded) => format!("Roundsman writes its state again after {words}"),
                    (None, Aspect::StateLost) => format!("Roundsman has kept its state since for {words}"),
                };
                format!("{}{over}{late}", self.incident.mark())
            }
        }
    }
}

/// The receiver took it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Receipt {
    /// How it calls the message, e.g. an SNS message id or an HTTP status.
    pub id: Option<String>,
}

/// The receiver did not take it. The text never holds a secret.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotifyError {
    /// Try again: the network, a 5xx, throttling.
    #[error("{message}")]
    Transient {
        /// What happened.
        message: String,
        /// Not before this long, as the receiver asked.
        retry_after: Option<Duration>,
    },
    /// The receiver understood and refuses this message (400): once more, plain, then to the fallback.
    #[error("{0}")]
    Rejected(String),
    /// We may not, or the place is gone (401, 403, 404): slowly, and loudly.
    #[error("{0}")]
    Unauthorized(String),
}

/// A row of the outbox.
#[derive(Clone, Debug, PartialEq)]
pub struct Delivery {
    /// Its id, ours.
    pub id: String,
    /// Where to.
    pub channel: ChannelName,
    /// What takes it when the channel will not.
    pub fallback: Option<ChannelName>,
    /// The message. Shared, since each channel of an incident is told the same.
    pub notification: Arc<Notification>,
    /// With what it may be told in one message: what waits for the same channel by the same key.
    pub together: Option<String>,
    /// When it was committed.
    pub created_at: Timestamp,
    /// Attempts so far.
    pub attempts: u32,
    /// Not to be tried before.
    pub next_attempt_at: Timestamp,
}

/// What came of an attempt.
#[derive(Clone, Debug, PartialEq)]
pub enum Settlement {
    /// The receiver has it.
    Delivered {
        /// When.
        at: Timestamp,
        /// How the receiver calls it.
        receipt: Receipt,
    },
    /// To be tried again.
    Again {
        /// When at the earliest.
        at: Timestamp,
        /// What went wrong.
        error: String,
        /// Whether the next attempt is to be plain.
        plain: bool,
    },
    /// Given up; the fallback, if there is one, gets a row of its own in the same transaction.
    Dead {
        /// When.
        at: Timestamp,
        /// What went wrong.
        error: String,
        /// The row for the fallback.
        fallback: Option<Delivery>,
    },
    /// Another message says it too: the resolve of an incident that opened and closed while its channel was down, or that
    /// went on no longer.
    Merged {
        /// When.
        at: Timestamp,
    },
}

/// Everything that belongs together, in one transaction.
#[derive(Clone, Debug, Default)]
pub struct Commit {
    /// Runs that ended.
    pub runs: Vec<Run>,
    /// Slots that ended.
    pub accounts: BTreeMap<(ScheduleName, ProbeName), SlotAccount>,
    /// Alert states that changed; what is healthy, or no longer configured, is forgotten.
    pub states: BTreeMap<AlertKey, AlertState>,
    /// Incidents that were opened or changed, whole.
    pub incidents: Incidents,
    /// New lines of time lines.
    pub moments: Vec<Moment>,
    /// New rows of the outbox.
    pub deliveries: Vec<Delivery>,
    /// Versions that steps saw for the first time, or otherwise than before, in their order.
    pub versions: Vec<Version>,
    /// Pulses that changed, whole.
    pub pulses: Vec<(TokenDigest, Pulse)>,
    /// What runs left for whoever looks for a cause.
    pub bundles: Vec<KeptBundle>,
    /// Silences that somebody began or ended.
    pub silences: Vec<Silence>,
    /// Pauses that began or ended.
    pub pauses: Vec<Pause>,
    /// How what comes and goes has done so lately, whole.
    pub flaps: BTreeMap<AlertKey, Flap>,
    /// What was looked at because an incident opened.
    pub diagnoses: Vec<Diagnosis>,
    /// Which of the last runs failed, whole, where that says how grave it is.
    pub recents: BTreeMap<(ScheduleName, ProbeName), Recent>,
    /// What receivers said.
    pub replies: Vec<Heeded>,
    /// What somebody changed.
    pub audits: Vec<AuditRecord>,
}

/// What a run left for whoever looks for a cause.
#[derive(Clone, Debug, PartialEq)]
pub struct KeptBundle {
    /// The run.
    pub run: RunId,
    /// Its probe.
    pub probe: ProbeName,
    /// When it started.
    pub started_at: Timestamp,
    /// The incident that it speaks of, where one was open when it ended or was opened by it.
    pub incident: Option<IncidentId>,
    /// What it left.
    pub bundle: Arc<Bundle>,
}

/// While the store rests a commit grows with what happens, and not with how long it rests: of an account, a state and an
/// incident only the last word is kept.
impl Commit {
    /// This, and then what came later.
    #[must_use]
    pub fn then(mut self, later: Self) -> Self {
        // Every field by its name, so that a new one cannot be forgotten.
        let Self {
            runs,
            accounts,
            states,
            incidents,
            moments,
            deliveries,
            versions,
            pulses,
            bundles,
            silences,
            pauses,
            flaps,
            diagnoses,
            recents,
            replies,
            audits,
        } = later;
        self.runs.extend(runs);
        for account in accounts.into_values() {
            self.add_account(account);
        }
        self.states.extend(states);
        self.incidents.extend(incidents);
        self.moments.extend(moments);
        self.deliveries.extend(deliveries);
        self.versions.extend(versions);
        self.pulses.extend(pulses);
        self.bundles.extend(bundles);
        self.diagnoses.extend(diagnoses);
        self.recents.extend(recents);
        self.replies.extend(replies);
        self.audits.extend(audits);
        for (key, flap) in flaps {
            self.put_flap(key, flap);
        }
        for silence in silences {
            self.put_silence(silence);
        }
        for pause in pauses {
            self.put_pause(pause);
        }
        self
    }

    /// Slots that ended.
    pub fn add_account(&mut self, account: SlotAccount) {
        let of = (account.schedule.clone(), account.probe.clone());
        let Some(known) = self.accounts.get_mut(&of) else {
            self.accounts.insert(of, account);
            return;
        };
        known.through = account.through;
        for (outcome, count) in account.counts {
            match known.counts.iter_mut().find(|(of, _)| *of == outcome) {
                Some((_, sum)) => *sum += count,
                None => known.counts.push((outcome, count)),
            }
        }
    }

    /// An incident that was opened or changed.
    pub fn put_incident(&mut self, incident: Incident) {
        self.incidents.extend([incident]);
    }

    /// The last word on a silence.
    pub fn put_silence(&mut self, silence: Silence) {
        self.silences.retain(|known| known.id != silence.id);
        self.silences.push(silence);
    }

    /// The last word on a pause.
    pub fn put_pause(&mut self, pause: Pause) {
        self.pauses.retain(|known| known.id != pause.id);
        self.pauses.push(pause);
    }

    /// The last word on how something comes and goes.
    pub fn put_flap(&mut self, key: AlertKey, flap: Flap) {
        self.flaps.insert(key, flap);
    }

    /// The last word on a state: this.
    pub fn remember(&mut self, key: AlertKey, state: AlertState) {
        self.states.insert(key, state);
    }

    /// The last word on a state: it is gone.
    pub fn forget(&mut self, key: AlertKey) {
        self.remember(key, AlertState::Healthy);
    }
}

/// What a process that starts must know of the one before it.
#[derive(Clone, Debug, Default)]
pub struct Loaded {
    /// Every alert state that is not healthy.
    pub states: Vec<(AlertKey, AlertState)>,
    /// Every open incident, and those that are over of which something is still due.
    pub incidents: Vec<Incident>,
    /// For each schedule and probe: through which slot all have their outcome.
    pub accounted: Vec<(ScheduleName, ProbeName, Timestamp)>,
    /// What its runs left behind, those that were going on when it ended among them.
    pub debts: Vec<Debt>,
    /// Which version each step last saw.
    pub versions: Vec<Version>,
    /// What is known of jobs elsewhere by their pings.
    pub pulses: Vec<(TokenDigest, Pulse)>,
    /// The silences that are kept, those that are over among them.
    pub silences: Vec<Silence>,
    /// The pauses that are not over.
    pub pauses: Vec<Pause>,
    /// What has come and gone lately, and what flaps.
    pub flaps: Vec<(AlertKey, Flap)>,
    /// Which of the last runs failed, where that says how grave it is.
    pub recents: Vec<((ScheduleName, ProbeName), Recent)>,
    /// When each channel was last drilled and every hop was well.
    pub drilled: BTreeMap<ChannelName, Timestamp>,
}

/// The longest that a delivery rests between two attempts, whatever its receiver asks for.
pub const REST_MAX: Duration = Duration::from_secs(3_600);

/// Keeps what must outlive the process.
pub trait Store: Send + Sync {
    /// One transaction; after it nothing is lost with the process. Many commits may share one.
    fn commit(&self, commit: Arc<Commit>) -> BoxFuture<'_, Result<(), StoreError>>;
    /// The state at start.
    fn load(&self) -> BoxFuture<'_, Result<Loaded, StoreError>>;
    /// The deliveries to try now that were gathered, oldest first: for each channel and incident only the first that is not settled, and for
    /// each channel at most `per_channel`, so that one that hangs leaves room for the others; and when the next one is due
    /// after `now`. What would rest for longer than anything does was put down by a clock that has been set back since,
    /// and is due.
    fn due_deliveries(&self, now: Timestamp, per_channel: usize) -> BoxFuture<'_, Result<Due, StoreError>>;
    /// Lets go what has waited for others for long enough: from then on it is told by one message, which is the same in every
    /// attempt and after every restart. Channels without rules have the default ones.
    fn gather<'a>(
        &'a self,
        now: Timestamp,
        rules: &'a BTreeMap<ChannelName, Rules>,
    ) -> BoxFuture<'a, Result<(), StoreError>>;
    /// What a delivery of [`Due::grouped`] tells besides its own incident.
    fn group<'a>(&'a self, delivery: &'a Delivery) -> BoxFuture<'a, Result<Option<Group>, StoreError>>;
    /// The ids of what stands before a delivery that the store does not have yet: what waits for the channel about the same
    /// incident, and a beginning that its fallback took, which hears the rest too. In a store without an outbox nothing does.
    fn stands_before<'a>(&'a self, _delivery: &'a Delivery) -> BoxFuture<'a, Result<Vec<String>, StoreError>> {
        Box::pin(std::future::ready(Ok(Vec::new())))
    }
    /// Puts down that a delivery left by itself while the store took nothing, or in one message with these, by their ids.
    /// What the store has put it together with since is told apart. In a store without an outbox nothing is put down.
    fn put_together<'a>(
        &'a self,
        _delivery: &'a Delivery,
        _others: &'a [String],
    ) -> BoxFuture<'a, Result<(), StoreError>> {
        Box::pin(std::future::ready(Ok(())))
    }
    /// Records what came of an attempt, of all that the message tells.
    fn settle<'a>(&'a self, delivery: &'a Delivery, settlement: Settlement) -> BoxFuture<'a, Result<(), StoreError>>;
    /// Makes due what rests until another attempt: after a start or a reload the reason to rest may be gone.
    fn retry_deliveries(&self, now: Timestamp) -> BoxFuture<'_, Result<(), StoreError>>;
    /// Puts down what a run may leave behind, in the place of what was put down of it before.
    fn journal(&self, debt: Debt) -> BoxFuture<'_, Result<(), StoreError>>;
    /// Erases what was put down of a run, because nothing is left of it.
    fn acquit<'a>(&'a self, run: &'a RunId) -> BoxFuture<'a, Result<(), StoreError>>;
    /// The runs that objectives ask about, from an instant on: some thousand, and where the rest begins. A store without runs
    /// has none.
    fn past(&self, _question: Arc<Question>, _from: Timestamp) -> BoxFuture<'_, Result<PastRuns, StoreError>> {
        Box::pin(std::future::ready(Ok(PastRuns::default())))
    }
    /// Erases what is older; open incidents and what waits for delivery stay. Says how many rows went.
    fn purge(&self, before: Timestamp) -> BoxFuture<'_, Result<u64, StoreError>>;
}

/// Deliveries to try.
#[derive(Clone, Debug, Default)]
pub struct Due {
    /// To be tried now.
    pub now: Vec<Delivery>,
    /// For each of those whose incident opened *and* was resolved without this channel having been told: the delivery
    /// of the resolve, which then tells both.
    pub resolves: Vec<Delivery>,
    /// Word of an incident that went on, where it has been resolved since: not to be sent, since the resolve says more.
    pub overtaken: Vec<Delivery>,
    /// Those, by their id, that tell of several incidents, or of one that was told of with others.
    pub grouped: BTreeSet<String>,
    /// Something has waited for others for long enough, and is to be gathered.
    pub ripe: bool,
    /// For each of those, by its id, whose channel took a message about the same incident before: the receipt of the first.
    pub firsts: BTreeMap<String, Receipt>,
    /// When the next one is due.
    pub next_at: Option<Timestamp>,
    /// When the oldest that waits was committed.
    pub oldest: Option<Timestamp>,
}

/// Shows what channels have not taken, and has it tried again.
pub trait Outbox: Send + Sync {
    /// What waits, oldest first, then what was given up, latest first; of each at most `most`.
    fn undelivered(&self, most: usize) -> BoxFuture<'_, Result<Undelivered, StoreError>>;
    /// What these channels took lately: of each at most `most`, the latest first.
    fn delivered(&self, channels: Vec<ChannelName>, most: usize) -> BoxFuture<'_, Result<Vec<Delivered>, StoreError>>;
    /// The last drill of each channel of which one is kept, by the channels.
    fn drills(&self) -> BoxFuture<'_, Result<Vec<KnownDrill>, StoreError>>;
    /// Makes due now what waits or was given up. A channel is told of an incident in order, so with a delivery goes all that
    /// its channel has not taken of the incident.
    fn redrive(&self, what: Redrive, now: Timestamp) -> BoxFuture<'_, Result<Redriven, StoreError>>;
}

/// What channels have not taken.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Undelivered {
    /// What is shown of it.
    pub rows: Vec<UndeliveredRow>,
    /// How many each channel has not taken, whether they are shown or not; channels that took all are absent.
    pub channels: BTreeMap<ChannelName, Untaken>,
}

impl Undelivered {
    /// How many all channels together have not taken.
    pub fn total(&self) -> Untaken {
        self.channels.values().fold(Untaken::default(), |all, of| Untaken {
            waiting: all.waiting + of.waiting,
            refused: all.refused + of.refused,
            given_up: all.given_up + of.given_up,
        })
    }
}

/// How many messages were not taken.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Untaken {
    /// How many wait …
    pub waiting: u64,
    /// … and of how many messages of those an attempt has failed.
    pub refused: u64,
    /// How many were given up.
    pub given_up: u64,
}

/// A row of the outbox that its channel has not taken, as programs read it too.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct UndeliveredRow {
    /// Its id.
    pub id: String,
    /// Where to.
    pub channel: ChannelName,
    /// What takes it when the channel will not.
    pub fallback: Option<ChannelName>,
    /// Of what.
    pub incident: IncidentId,
    /// What happened.
    pub event: Event,
    /// When it was committed.
    pub created_at: Timestamp,
    /// Attempts so far, of the message that tells it with others where it left with some.
    pub attempts: u32,
    /// Not to be tried before; absent where it was given up.
    pub next_attempt_at: Option<Timestamp>,
    /// When it was given up.
    pub given_up_at: Option<Timestamp>,
    /// What went wrong last.
    pub error: Option<String>,
}

/// A row of the outbox that its channel took.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Delivered {
    /// Where to.
    pub channel: ChannelName,
    /// Of what.
    pub incident: IncidentId,
    /// Whether that is a drill.
    pub drill: bool,
    /// What happened.
    pub event: Event,
    /// When it was committed.
    pub created_at: Timestamp,
    /// When the channel took it.
    pub settled_at: Timestamp,
    /// How many attempts it took.
    pub attempts: u32,
    /// How the receiver calls it.
    pub receipt: Option<String>,
}

/// A drill that is over, or goes on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KnownDrill {
    /// The channel.
    pub channel: ChannelName,
    /// Its incident.
    pub incident: IncidentId,
    /// When it began.
    pub at: Timestamp,
    /// Whether every hop was well; nothing while it goes on.
    pub passed: Option<bool>,
    /// How it came out, in words; may be empty.
    pub said: String,
}

/// What is to be tried again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Redrive {
    /// A delivery, with what belongs to it.
    One(String),
    /// Everything that may be.
    All,
}

/// What came of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Redriven {
    /// So many rows are due now.
    Due(u64),
    /// There is none of that id.
    Unknown,
    /// Its channel has it, or has heard it by another message.
    Settled,
    /// Its channel has heard what came after it.
    Overtaken,
    /// Its fallback was told in its place, and hears what follows.
    HandedOver,
}

/// Remembers what receivers have said, so that a repetition does nothing.
pub trait Replies: Send + Sync {
    /// What is known of a reply to a channel.
    fn look_up<'a>(
        &'a self,
        channel: &'a ChannelName,
        reply: &'a Reply,
    ) -> BoxFuture<'a, Result<KnownReply, StoreError>>;
}

/// What is known of a reply.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct KnownReply {
    /// Whether it was remembered before.
    pub is_repeated: bool,
    /// The incidents that it is about: all that the receiver was told of by the message that it names.
    pub incidents: Vec<IncidentId>,
}

/// A reply that is remembered until its incident is erased, together with what it changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Heeded {
    /// The channel.
    pub channel: ChannelName,
    /// Its id there.
    pub id: String,
    /// How the receiver calls what it speaks of.
    pub theirs: String,
    /// The incident; of none that is known, nothing is remembered.
    pub incident: IncidentId,
}

/// Our own fault: the store did not do what was asked.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// It cannot be opened: missing, forbidden, read-only, not a store, newer than this program.
    #[error("the store {path} cannot be opened: {reason}")]
    Open {
        /// Where it is.
        path: String,
        /// Why not, and what to do.
        reason: String,
    },
    /// What is in it cannot be believed.
    #[error("the store {path} is damaged: {found}")]
    Damaged {
        /// Where it is.
        path: String,
        /// What was found.
        found: String,
    },
    /// Another process has it.
    #[error("the store {path} belongs to another process{holder}")]
    Owned {
        /// Where it is.
        path: String,
        /// ` (pid 123)`, or nothing when it is not known.
        holder: String,
    },
    /// A statement failed: disk full, read-only, corrupt.
    #[error("the store failed: {0}")]
    Failed(String),
    /// The writer has ended.
    #[error("the store is closed")]
    Closed,
}

/// Reads what pages show; never writes.
pub trait StatusReader: Send + Sync {
    /// How things stand, with the runs since an instant.
    fn overview(&self, since: Timestamp) -> BoxFuture<'_, Result<Overview, StoreError>>;
    /// One incident with its time line and what became of its messages.
    fn incident(&self, id: &IncidentId) -> BoxFuture<'_, Result<Option<IncidentStory>, StoreError>>;
    /// What somebody changed, the latest first, at most `most`; what came before one of them where that is named by its id. A
    /// reader that knows nothing of it has none.
    fn audits(&self, _before: Option<String>, _most: usize) -> BoxFuture<'_, Result<Vec<AuditRecord>, StoreError>> {
        Box::pin(std::future::ready(Ok(Vec::new())))
    }
}

/// A probe on a schedule.
pub type Pair = (ScheduleName, ProbeName);

/// Reads what was, for pages; never writes.
pub trait HistoryReader: Send + Sync {
    /// What became of the runs of each of these, by the hour or the day, of the stretches that lie in a time, whole or in part. Those in which nothing was run are
    /// left out. Runs that nobody scheduled, and those off the slots, count nothing.
    fn history(
        &self,
        of: BTreeSet<Pair>,
        from: Timestamp,
        until: Timestamp,
        grain: Grain,
    ) -> BoxFuture<'_, Result<BTreeMap<Pair, Vec<Stretch>>, StoreError>>;
    /// Runs of a probe.
    fn runs(&self, asked: RunsAsked) -> BoxFuture<'_, Result<RunsFound, StoreError>>;
    /// One run and what it left; nothing where there is none.
    fn run(&self, id: &RunId) -> BoxFuture<'_, Result<Option<RunStory>, StoreError>>;
    /// Incidents, open and over.
    fn incidents(&self, asked: IncidentsAsked) -> BoxFuture<'_, Result<IncidentsFound, StoreError>>;
    /// The changes of version that a probe saw within a time, oldest first; the first that was ever seen is no change.
    fn changes(
        &self,
        probe: &ProbeName,
        from: Timestamp,
        until: Timestamp,
    ) -> BoxFuture<'_, Result<Vec<Version>, StoreError>>;
    /// How much there is.
    fn size(&self) -> BoxFuture<'_, Result<StoreSize, StoreError>>;
}

/// A run with what it left.
#[derive(Clone, Debug, PartialEq)]
pub struct RunStory {
    /// The run.
    pub run: Run,
    /// What it left, as long as that is kept.
    pub bundle: Option<KeptBundle>,
}

/// How things stand.
#[derive(Clone, Debug, Default)]
pub struct Overview {
    /// For each schedule and probe its runs, oldest first.
    pub runs: BTreeMap<(ScheduleName, ProbeName), Arc<[RunSummary]>>,
    /// For each schedule and probe the last run, however old, without its steps.
    pub last: BTreeMap<(ScheduleName, ProbeName), Run>,
    /// Slots by outcome, since the store began.
    pub slots: BTreeMap<(ScheduleName, ProbeName), BTreeMap<SlotOutcome, u64>>,
    /// How many runs of each probe are still to be cleaned up.
    pub debts: BTreeMap<ProbeName, u64>,
    /// Open incidents, the gravest first.
    pub open: Vec<Incident>,
    /// Who has heard of those.
    pub hearers: BTreeMap<IncidentId, Hearers>,
    /// The last that were resolved, the latest first; at most ten.
    pub resolved: Vec<Incident>,
    /// The silences that were not over at the instant from which runs are asked for, by their end.
    pub silences: Vec<Silence>,
    /// The pauses that were not over when they were last recorded, in the order in which they began. Of one that ends by
    /// itself the end may be past: [`Pause::is_active`].
    pub pauses: Vec<Pause>,
}

/// A run as a chart needs it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct RunSummary {
    /// When it started.
    pub started_at: Timestamp,
    /// How long it took, in milliseconds.
    pub duration_ms: f64,
    /// `passed`, `degraded`, `failed` or `inconclusive`.
    pub verdict: &'static str,
}

/// An incident with what happened to it.
#[derive(Clone, Debug)]
pub struct IncidentStory {
    /// As it stands.
    pub incident: Incident,
    /// Its time line, oldest first.
    pub moments: Vec<Moment>,
    /// Its messages, in their order.
    pub told: Vec<Told>,
    /// What its first bad run left and what its latest did; one where those are the same.
    pub bundles: Vec<KeptBundle>,
    /// What was looked at because it opened, in the order in which that ended.
    pub diagnoses: Vec<Diagnosis>,
    /// Other incidents that opened within ten minutes of it, by their opening; at most ten.
    pub nearby: Vec<Incident>,
    /// Who has heard of it.
    pub hearers: Hearers,
}

/// What a probe saw that was run once because an incident opened.
#[derive(Clone, Debug, PartialEq)]
pub struct Diagnosis {
    /// The incident.
    pub incident: IncidentId,
    /// The run.
    pub run: RunId,
    /// When it started.
    pub started_at: Timestamp,
    /// What it came to, in short.
    pub finding: Finding,
    /// All of it.
    pub bundle: Arc<Bundle>,
}

impl IncidentStory {
    /// Its time line with its messages in it, each where its fate was settled, else where it was committed; oldest first.
    pub fn time_line(&self) -> Vec<Moment> {
        let message = |told: &Told| Moment {
            incident: self.incident.id.clone(),
            at: told.settled_at.unwrap_or(told.committed_at),
            what: "message".to_owned(),
            text: format!("{} to {}: {}", told.event.as_str(), told.channel, told.became),
        };
        let mut moments: Vec<_> = self.moments.iter().cloned().chain(self.told.iter().map(message)).collect();
        moments.sort_by_key(|moment| moment.at);
        moments
    }
}

/// A message of an incident to one channel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Told {
    /// Where to.
    pub channel: ChannelName,
    /// What of.
    pub event: Event,
    /// When it was committed.
    pub committed_at: Timestamp,
    /// When its fate was settled; absent while it waits.
    pub settled_at: Option<Timestamp>,
    /// What became of it.
    pub fate: Fate,
    /// The same in words.
    pub became: String,
    /// Attempts so far.
    pub attempts: u32,
    /// How the receiver calls it that took it, else what went wrong last.
    pub said: Option<String>,
}

/// What became of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// Nobody has tried it yet.
    Waits,
    /// It was not taken, and is tried again then.
    Rests(Timestamp),
    /// Its receiver has it.
    Delivered,
    /// Another message says it too.
    Merged,
    /// It is not tried any more.
    GivenUp,
}

/// Gives secrets, late, and takes them out of every text.
pub trait Secrets: Send + Sync {
    /// The secret of that name as it is now.
    fn resolve<'a>(&'a self, name: &'a SecretName) -> BoxFuture<'a, Result<SecretString, SecretError>>;
    /// The code that a second factor made of that secret shows at this moment, and that was never given before in this process:
    /// if need be that of a later moment, waited for, unless that comes after the deadline.
    fn code<'a>(
        &'a self,
        name: &'a SecretName,
        _clock: &'a dyn Clock,
        _deadline: Monotonic,
    ) -> BoxFuture<'a, Result<SecretString, SecretError>> {
        let reason = "no codes are made of it here".to_owned();
        Box::pin(std::future::ready(Err(SecretError { name: name.clone(), reason, passes: false })))
    }
    /// The text without any secret that was ever resolved, in its encoded forms too.
    fn redact(&self, text: &str) -> String;
    /// Reads a secret again where it was kept, because somebody was refused with it. Afterwards it is what it is now, as far as
    /// that can be known.
    fn renew<'a>(&'a self, _name: &'a SecretName) -> BoxFuture<'a, ()> {
        Box::pin(std::future::ready(()))
    }
    /// What it asks of AWS to read that secret once.
    fn calls(&self, _name: &SecretName) -> Vec<AwsCall> {
        Vec::new()
    }
    /// For how long that secret is kept before it is asked for again; nothing where it is not kept.
    fn kept(&self, _name: &SecretName) -> Option<Duration> {
        None
    }
}

/// A secret was not to be had. The text names the place, never the value.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the secret `{name}` cannot be read: {reason}")]
pub struct SecretError {
    /// Its name.
    pub name: SecretName,
    /// Why.
    pub reason: String,
    /// It may be over by itself: nobody answers who keeps it.
    pub passes: bool,
}

/// The kinds of probe that this build has not: each is a cargo feature of the same name that is off.
pub const LEFT_OUT: &[&str] = &[
    #[cfg(not(feature = "grpc"))]
    "grpc",
    #[cfg(not(feature = "postgres"))]
    "postgres",
    #[cfg(not(feature = "websocket"))]
    "websocket",
];

/// A kind of probe: a row of `probers/mod.rs: KINDS`.
pub struct Kind {
    /// The key in a step.
    pub name: &'static str,
    /// One line for the reference.
    pub about: &'static str,
    /// The field that stands for all when the settings are a plain text: `http: URL`.
    pub main: &'static str,
    /// The settings' schema; its doc comments are the editor's hover text.
    pub schema: fn(&mut schemars::SchemaGenerator) -> schemars::Schema,
    /// What assertions and captures may name.
    pub names: fn() -> Names,
    /// Builds the prober from its settings; mistakes go to the problems.
    pub build: fn(&Node, &Building, &mut Problems) -> Option<BuiltProber>,
}

/// What every room needs to build something. No I/O is done while building.
#[derive(Clone)]
pub struct Building {
    /// Where secrets come from when something runs.
    pub secrets: Arc<dyn Secrets>,
    /// The shared client for everything over HTTP that is not a probe.
    pub http: reqwest::Client,
    /// The clocks.
    pub clock: Arc<dyn Clock>,
    /// The step is part of a cleanup, whose implied expectations are milder.
    pub cleanup: bool,
    /// The watched system, for messages and metrics.
    pub site: String,
    /// Where this process stands.
    pub location: Arc<str>,
    /// The directory of the configuration, where relative paths begin.
    pub directory: Arc<Path>,
    /// What jobs elsewhere say of themselves.
    pub pings: Arc<dyn Pings>,
}

/// A prober with what it implies.
pub struct BuiltProber {
    /// What performs the step.
    pub prober: Arc<dyn Prober>,
    /// What is expected when no `expect` says otherwise.
    pub implied: Vec<Implied>,
}

/// An expectation that stands unless another mentions the same name.
#[derive(Clone, Copy, Debug)]
pub struct Implied {
    /// The name in scope.
    pub unless_mentioned: &'static str,
    /// The expression.
    pub expect: &'static str,
}

/// A kind of channel: a row of `notifiers/mod.rs: CHANNELS`.
pub struct ChannelKind {
    /// The key in a channel.
    pub name: &'static str,
    /// One line for the reference.
    pub about: &'static str,
    /// The field that stands for all when the settings are a plain text.
    pub main: &'static str,
    /// The settings' schema.
    pub schema: fn(&mut schemars::SchemaGenerator) -> schemars::Schema,
    /// Builds the notifier.
    pub build: fn(&Node, &Building, &mut Problems) -> Option<Arc<dyn Notifier>>,
}

/// A kind of publisher: a row of `publishers/mod.rs: PUBLISHERS`.
pub struct PublisherKind {
    /// The key under `publish`.
    pub name: &'static str,
    /// One line for the reference.
    pub about: &'static str,
    /// The settings' schema.
    pub schema: fn(&mut schemars::SchemaGenerator) -> schemars::Schema,
    /// Builds what builds the publisher: a publisher has one owner, and a plan may be built only to be validated.
    pub build: fn(&Node, &Building, &mut Problems) -> Option<Arc<dyn PublisherFactory>>,
}

/// Makes a publisher for a process that really starts.
pub trait PublisherFactory: Send + Sync {
    /// The settings as text: a reload keeps the running publisher when they are the same.
    fn identity(&self) -> String;
    /// A publisher, and the page where its values stand if it has one. Beside the store's file it may keep what must outlive
    /// the process; without one nothing stays.
    fn start(&self, store: Option<&Path>) -> (Box<dyn Publisher>, Option<Arc<dyn Exposition>>);
    /// Looks whether it will be able to publish (credentials), within five seconds; the reason is logged, and probing
    /// goes on.
    fn check(&self) -> BoxFuture<'_, Result<(), PublishError>>;
    /// What one request of metrics asks of AWS.
    fn calls(&self) -> Vec<AwsCall> {
        Vec::new()
    }
    /// Where they stand in CloudWatch, if they do.
    fn place(&self) -> Option<MetricsPlace> {
        None
    }
    /// What the samples of a minute become, without sending any; those before it are the last of each probe that came before:
    /// whether its last run passed, and how long it took.
    fn foretell(&self, _minute: &[Sample], _before: &[Sample]) -> Foretold {
        Foretold::default()
    }
    /// For how long what came before a minute matters to what the minute becomes.
    fn looks_back(&self) -> Duration {
        Duration::ZERO
    }
}

/// What a publisher makes of samples.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Foretold {
    /// In how many requests it sends them; none where it is asked for them.
    pub requests: u64,
    /// The series that they fill: each name with each combination of labels or dimensions.
    pub series: BTreeSet<String>,
}

/// Builds what pings a URL; mistakes go to the problems.
pub type PingerBuild = fn(Spanned<Template>, &Building, &mut Problems) -> Option<Arc<dyn Pinger>>;

/// The tables, which `app` hands to the configuration.
#[derive(Clone, Copy)]
pub struct Kinds {
    /// What steps speak.
    pub probers: &'static [Kind],
    /// Where messages go.
    pub channels: &'static [ChannelKind],
    /// Where metrics go.
    pub publishers: &'static [PublisherKind],
    /// What tells somebody elsewhere that we live, by its URL.
    pub ping: PingerBuild,
}
