//! A desk behind which a test stands: it answers for the dispatcher, and its outbox holds what the test says.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use futures::future::BoxFuture;
use tokio::sync::{Notify, mpsc, watch};
use tokio::task::JoinSet;

use super::fixture::NOW;
use crate::domain::audit::AuditRecord;
use crate::domain::names::ChannelName;
use crate::domain::objective::Standings;
use crate::domain::quiet::{Silence, SilenceError, SilenceId};
use crate::domain::time::Timestamp;
use crate::engine::desk::{Desk, Inside};
use crate::engine::dispatcher::{Notice, Silenced};
use crate::engine::driller::Drills;
use crate::engine::fanout::Fanout;
use crate::engine::ledger::silences::Silencing;
use crate::engine::reloads::{Asked, Reloads};
use crate::engine::testing::{TestClock, at};
use crate::engine::vitals::{Part, Vitals};
use crate::ports::{
    Delivered, KnownDrill, KnownReply, Outbox, Redrive, Redriven, Replies, Reply, StoreError, Undelivered,
};

/// What the outbox holds, and what was asked of it.
#[derive(Default)]
pub struct Held {
    pub undelivered: Undelivered,
    pub delivered: Vec<Delivered>,
    pub drills: Vec<KnownDrill>,
    pub redriven: Mutex<Vec<Redrive>>,
}

impl Outbox for Held {
    fn undelivered(&self, _: usize) -> BoxFuture<'_, Result<Undelivered, StoreError>> {
        Box::pin(std::future::ready(Ok(self.undelivered.clone())))
    }
    fn delivered(&self, channels: Vec<ChannelName>, _: usize) -> BoxFuture<'_, Result<Vec<Delivered>, StoreError>> {
        let known = self.delivered.iter().filter(|row| channels.contains(&row.channel)).cloned().collect();
        Box::pin(std::future::ready(Ok(known)))
    }
    fn drills(&self) -> BoxFuture<'_, Result<Vec<KnownDrill>, StoreError>> {
        Box::pin(std::future::ready(Ok(self.drills.clone())))
    }
    fn redrive(&self, what: Redrive, _: Timestamp) -> BoxFuture<'_, Result<Redriven, StoreError>> {
        let known = |id: &String| self.undelivered.rows.iter().any(|row| row.id == *id);
        let redriven = match &what {
            Redrive::One(id) if !known(id) => Redriven::Unknown,
            Redrive::One(_) => Redriven::Due(1),
            Redrive::All => Redriven::Due(self.undelivered.rows.len() as u64),
        };
        self.redriven.lock().unwrap().push(what);
        Box::pin(std::future::ready(Ok(redriven)))
    }
}

struct Silent;

impl Replies for Silent {
    fn look_up<'a>(&'a self, _: &'a ChannelName, _: &'a Reply) -> BoxFuture<'a, Result<KnownReply, StoreError>> {
        Box::pin(std::future::ready(Ok(KnownReply::default())))
    }
}

type Silences = Arc<Mutex<BTreeMap<SilenceId, Silence>>>;

type Audits = Arc<Mutex<Vec<AuditRecord>>>;

/// An open desk.
pub struct Manned {
    pub desk: Arc<Desk>,
    pub outbox: Arc<Held>,
    pub silences: Silences,
    pub audits: Audits,
    /// Whoever wants the files read again.
    pub reloads: Asked,
    _dispatcher: JoinSet<()>,
}

/// Opens one.
pub fn manned(outbox: Held, standings: Standings) -> Manned {
    let (desk, outbox, silences) = (Arc::new(Desk::default()), Arc::new(outbox), Silences::default());
    let audits = Audits::default();
    let (notices, heard) = mpsc::channel(16);
    let (reloads, asked) = Reloads::new();
    let clock = TestClock::starting(NOW);
    let vitals = Arc::new(Vitals::new(clock));
    for part in [Part::Scheduler, Part::Dispatcher, Part::Deliverer] {
        vitals.turned(part);
    }
    desk.open(Inside {
        notices,
        outbox: Arc::clone(&outbox) as _,
        replies: Arc::new(Silent),
        wake: Arc::new(Notify::new()),
        drills: Drills::new().0,
        reloads,
        standings: watch::channel(Arc::new(standings)).1,
        changes: vitals.changes.watch(),
        vitals,
        permits: Arc::default(),
        fanout: Fanout::default(),
    });
    let mut dispatcher = JoinSet::new();
    dispatcher.spawn(dispatch(heard, Arc::clone(&silences), Arc::clone(&audits)));
    Manned { desk, outbox, silences, audits, reloads: asked, _dispatcher: dispatcher }
}

/// Answers for silences as the ledger does.
async fn dispatch(mut heard: mpsc::Receiver<Notice>, silences: Silences, audits: Audits) {
    while let Some(notice) = heard.recv().await {
        let (what, answer) = match notice {
            Notice::Silence { what, answer, .. } => (what, answer),
            Notice::Audit(record) => {
                audits.lock().unwrap().push(*record);
                continue;
            }
            Notice::Refused(_) => continue,
            _ => panic!("nothing else is asked for here"),
        };
        let mut known = silences.lock().unwrap();
        let done = match what {
            Silencing::Begin { matchers, by, reason, from, until } => {
                let id = SilenceId(Arc::from(format!("S{}", known.len() + 1)));
                let silence = Silence { id, matchers, by, reason, from: from.unwrap_or(at(NOW)), until };
                silence.check(at(NOW)).map(|()| silence)
            }
            Silencing::End(id) => known.remove(&id).ok_or(SilenceError::Unknown(id)),
        };
        if let Ok(silence) = &done {
            known.insert(silence.id.clone(), silence.clone());
        }
        drop(known);
        let _ = answer.send(done.map(|silence| Silenced { silence, recorded: true }));
    }
}
