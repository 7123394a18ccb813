//! Where those who serve people bring what they do about incidents, silences, pauses, probes, messages and the configuration. It is there before the engine is,
//! because the page is, and says so.

use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use tokio::sync::{Notify, mpsc, oneshot, watch};

use super::changes::Generations;
use super::dispatcher::{Acted, Notice, Paused, Silenced};
use super::driller::{DrillError, Drills};
use super::fanout::{Fanout, Published};
use super::ledger::acts::{Act, ActError};
use super::ledger::pauses::Pausing;
use super::ledger::silences::Silencing;
use super::permits::{Permits, PermitsSeen};
use super::reloads::{Reloaded, Reloads};
use super::triggers::{Begun, TriggerError};
use super::vitals::{Part, Seen, Vitals};
use crate::domain::audit::{AuditRecord, Author};
use crate::domain::drill::Report;
use crate::domain::incident::IncidentId;
use crate::domain::names::{ChannelName, ScheduleName};
use crate::domain::objective::Standings;
use crate::domain::pause::PauseError;
use crate::domain::quiet::SilenceError;
use crate::domain::time::{Monotonic, Timestamp};
use crate::ports::{
    Delivered, KnownDrill, KnownReply, Outbox, Redrive, Redriven, Replies, Reply, StoreError, Undelivered,
};

/// How many messages of each sort are shown.
const UNDELIVERED_MAX: usize = 500;

/// How many messages of each channel are shown that it took lately.
const DELIVERED_MAX: usize = 10;

/// How often it is told that changes were refused.
const TELL_EVERY: Duration = Duration::from_secs(1);

/// Why nothing came of it.
#[derive(Debug, thiserror::Error)]
pub enum DeskError {
    /// There is nobody yet, or nobody any more.
    #[error("Roundsman is starting or stopping: try again")]
    Closed,
    /// It cannot be done about this incident.
    #[error(transparent)]
    Act(#[from] ActError),
    /// There can be no such silence.
    #[error(transparent)]
    Silence(#[from] SilenceError),
    /// There can be no such pause.
    #[error(transparent)]
    Pause(#[from] PauseError),
    /// The probe is not triggered.
    #[error(transparent)]
    Trigger(#[from] TriggerError),
    /// There can be no drill now.
    #[error(transparent)]
    Drill(#[from] DrillError),
    /// The store did not do it.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// The desk. Whoever holds it may bring something as soon as it is open.
#[derive(Default)]
pub struct Desk {
    inside: OnceLock<Inside>,
    refused: Mutex<Refused>,
}

/// Changes that were refused.
#[derive(Default)]
struct Refused {
    /// How many are not told yet.
    count: u64,
    told_at: Option<Monotonic>,
}

/// What stands behind the desk.
pub struct Inside {
    /// The dispatcher.
    pub notices: mpsc::Sender<Notice>,
    /// What channels have not taken.
    pub outbox: Arc<dyn Outbox>,
    /// What receivers said.
    pub replies: Arc<dyn Replies>,
    /// Wakes the deliverer.
    pub wake: Arc<Notify>,
    /// The driller.
    pub drills: Drills,
    /// Who reads the files again.
    pub reloads: Reloads,
    /// How objectives stand.
    pub standings: watch::Receiver<Arc<Standings>>,
    /// What has changed.
    pub changes: watch::Receiver<Generations>,
    /// How the loops stand.
    pub vitals: Arc<Vitals>,
    /// How many runs go on at once.
    pub permits: Arc<Permits>,
    /// How the publishers stand.
    pub fanout: Fanout,
}

/// How the process itself stands.
#[derive(Clone, Debug)]
pub struct Condition {
    /// When it was looked, by the clock of the loops.
    pub at: Monotonic,
    /// The loops, by their parts.
    pub parts: Vec<(Part, Seen)>,
    /// The publishers, by their kinds.
    pub publishers: Vec<(&'static str, Published)>,
}

impl Desk {
    /// Opens it, once.
    pub fn open(&self, inside: Inside) {
        if self.inside.set(inside).is_err() {
            tracing::error!("the desk was open already: what is brought goes where it went before");
        }
    }

    /// What changes; nothing before there is anything.
    pub fn changes(&self) -> Option<watch::Receiver<Generations>> {
        self.inside().ok().map(|inside| inside.changes.clone())
    }

    /// Does something about an open incident; answered after the commit.
    pub async fn act(&self, incident: IncidentId, by: String, act: Act, author: Author) -> Result<Acted, DeskError> {
        let done = self.notify(|answer| Notice::Act { incident, by, act, author, answer }).await?;
        Ok(done?)
    }

    /// Begins a silence or ends one; answered after the commit.
    pub async fn silence(&self, what: Silencing, author: Author) -> Result<Silenced, DeskError> {
        let done = self.notify(|answer| Notice::Silence { what, author, answer }).await?;
        Ok(done?)
    }

    /// Puts down what somebody changed, where the desk did not do it by a commit of its own.
    pub async fn audit(&self, record: AuditRecord) -> Result<(), DeskError> {
        self.inside()?.notices.send(Notice::Audit(Box::new(record))).await.map_err(|_| DeskError::Closed)
    }

    /// A change was refused.
    pub fn refuse(&self) {
        self.refused.lock().unwrap_or_else(PoisonError::into_inner).count += 1;
    }

    /// Tells how many were refused, from time to time: whoever floods us with them is one number.
    pub fn tell_refused(&self, now: Monotonic) {
        let Ok(inside) = self.inside() else { return };
        let mut refused = self.refused.lock().unwrap_or_else(PoisonError::into_inner);
        if refused.count == 0 || refused.told_at.is_some_and(|told_at| now.since(told_at) < TELL_EVERY) {
            return;
        }
        if inside.notices.try_send(Notice::Refused(refused.count)).is_ok() {
            *refused = Refused { count: 0, told_at: Some(now) };
        }
    }

    /// Begins a pause or ends one; answered after the commit.
    pub async fn pause(&self, what: Pausing, author: Author) -> Result<Paused, DeskError> {
        let done = self.notify(|answer| Notice::Pause { what, author, answer }).await?;
        Ok(done?)
    }

    /// Runs a probe now, for a schedule or for all on which it is; answered when that is begun.
    pub async fn trigger(&self, probe: String, schedule: Option<String>) -> Result<Begun, DeskError> {
        let begun = self.notify(|answer| Notice::Trigger { probe, schedule, answer }).await?;
        Ok(begun?)
    }

    /// Takes the files as they are now, if they are whole; answered when they are in force, or refused.
    pub async fn reload(&self) -> Result<Reloaded, DeskError> {
        self.inside()?.reloads.reload().await.ok_or(DeskError::Closed)
    }

    /// Drills a channel, which may take most of a minute.
    pub async fn drill(&self, channel: ChannelName) -> Result<Report, DeskError> {
        Ok(self.inside()?.drills.drill(channel).await?)
    }

    /// What channels have not taken.
    pub async fn undelivered(&self) -> Result<Undelivered, DeskError> {
        Ok(self.inside()?.outbox.undelivered(UNDELIVERED_MAX).await?)
    }

    /// What these channels took lately: of each the last, the latest first.
    pub async fn delivered(&self, channels: Vec<ChannelName>) -> Result<Vec<Delivered>, DeskError> {
        Ok(self.inside()?.outbox.delivered(channels, DELIVERED_MAX).await?)
    }

    /// The last drill of each channel.
    pub async fn last_drills(&self) -> Result<Vec<KnownDrill>, DeskError> {
        Ok(self.inside()?.outbox.drills().await?)
    }

    /// Has it tried again, now.
    pub async fn redrive(&self, what: Redrive, now: Timestamp) -> Result<Redriven, DeskError> {
        let inside = self.inside()?;
        let redriven = inside.outbox.redrive(what, now).await?;
        if let Redriven::Due(messages) = redriven {
            tracing::info!(messages, "somebody wants messages tried again that were not taken");
        }
        inside.wake.notify_one();
        Ok(redriven)
    }

    /// What is known of what a receiver said.
    pub async fn look_up(&self, channel: &ChannelName, reply: &Reply) -> Result<KnownReply, DeskError> {
        Ok(self.inside()?.replies.look_up(channel, reply).await?)
    }

    /// Does what a receiver said of incidents, and remembers it by the same commit; says to how many it made a difference.
    pub async fn heed(
        &self,
        channel: &ChannelName,
        reply: &Reply,
        incidents: Vec<IncidentId>,
    ) -> Result<usize, DeskError> {
        let (channel, reply) = (channel.clone(), Box::new(reply.clone()));
        self.notify(|answer| Notice::Reply { channel, reply, incidents, answer }).await
    }

    /// How objectives stood at the last look.
    pub fn standings(&self) -> Result<Arc<Standings>, DeskError> {
        Ok(Arc::clone(&self.inside()?.standings.borrow()))
    }

    /// How the process itself stands.
    pub fn condition(&self) -> Result<Condition, DeskError> {
        let Inside { vitals, fanout, .. } = self.inside()?;
        let parts = Part::ALL.map(|part| (part, vitals.seen(part))).into();
        Ok(Condition { at: vitals.clock().monotonic(), parts, publishers: fanout.published() })
    }

    /// How the permits of a schedule stand.
    pub fn permits(&self, schedule: &ScheduleName) -> Result<PermitsSeen, DeskError> {
        Ok(self.inside()?.permits.seen(schedule))
    }

    fn inside(&self) -> Result<&Inside, DeskError> {
        self.inside.get().ok_or(DeskError::Closed)
    }

    async fn notify<T>(&self, notice: impl FnOnce(oneshot::Sender<T>) -> Notice) -> Result<T, DeskError> {
        let (answer, answered) = oneshot::channel();
        self.inside()?.notices.send(notice(answer)).await.map_err(|_| DeskError::Closed)?;
        answered.await.map_err(|_| DeskError::Closed)
    }
}
