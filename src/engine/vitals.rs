//! Whether we live ourselves: every loop of the engine says when it turned. The heartbeat goes out where all have
//! ([`super::heart`]), and a process in which one stands still is ended ([`super::watchdog`]). A turn is a few atomics, so
//! that nobody who watches can hold up who is watched.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use super::changes::Changes;
use crate::domain::time::Monotonic;
use crate::ports::Clock;

/// What must go on for an alert to be made and to leave.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// The loop that starts runs.
    Scheduler,
    /// The loop that judges and commits.
    Dispatcher,
    /// The loop that delivers.
    Deliverer,
    /// The store takes what is committed, or there is nothing to commit.
    Commits,
    /// The store says what is to be delivered, and takes what came of it.
    Outbox,
}

impl Part {
    /// All of them.
    pub const ALL: [Self; 5] = [Self::Scheduler, Self::Dispatcher, Self::Deliverer, Self::Commits, Self::Outbox];

    /// The loops. A store that hangs or fails is none: the loops wait for it, and it is no better after a restart.
    pub const LOOPS: [Self; 3] = [Self::Scheduler, Self::Dispatcher, Self::Deliverer];

    /// In a sentence.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Scheduler => "the scheduler",
            Self::Dispatcher => "the dispatcher",
            Self::Deliverer => "the deliverer",
            Self::Commits => "the store",
            Self::Outbox => "the outbox",
        }
    }
}

/// The turns of one loop.
#[derive(Debug, Default)]
pub struct Turns {
    count: AtomicU64,
    /// In microseconds of the clock that never steps.
    last: AtomicU64,
    waits: AtomicBool,
}

/// How a loop stood when somebody looked.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Seen {
    /// How often it had turned.
    pub count: u64,
    /// When it turned last; means nothing before the first turn.
    pub last: Monotonic,
    /// Whether it waits for somebody else, for whom it is not to blame.
    pub waits: bool,
}

impl Turns {
    /// It turned.
    pub fn turned(&self, now: Monotonic) {
        self.waits.store(false, Ordering::Relaxed);
        self.last.store(u64::try_from(now.0.as_micros()).unwrap_or(u64::MAX), Ordering::Relaxed);
        self.count.fetch_add(1, Ordering::Relaxed);
    }

    /// As it stands.
    pub fn seen(&self) -> Seen {
        Seen {
            count: self.count.load(Ordering::Relaxed),
            last: Monotonic(Duration::from_micros(self.last.load(Ordering::Relaxed))),
            waits: self.waits.load(Ordering::Relaxed),
        }
    }
}

/// The turns of every part.
pub struct Vitals {
    clock: Arc<dyn Clock>,
    turns: [Turns; Part::ALL.len()],
    /// What came of the turns, for those who show it.
    pub changes: Changes,
}

impl Vitals {
    /// Nothing has turned yet.
    pub fn new(clock: Arc<dyn Clock>) -> Self {
        Self { clock, turns: Default::default(), changes: Changes::default() }
    }

    /// The clock by which turns are told.
    pub fn clock(&self) -> &Arc<dyn Clock> {
        &self.clock
    }

    /// A part went on.
    pub fn turned(&self, part: Part) {
        self.turns[part as usize].turned(self.clock.monotonic());
    }

    /// How a part stands.
    pub fn seen(&self, part: Part) -> Seen {
        self.turns[part as usize].seen()
    }

    /// Waits for the store, or for room with another loop: whoever waits is not to blame for how long that takes.
    pub async fn waiting<T>(&self, part: Part, for_whom: impl Future<Output = T>) -> T {
        let waits = &self.turns[part as usize].waits;
        waits.store(true, Ordering::Relaxed);
        let result = for_whom.await;
        waits.store(false, Ordering::Relaxed);
        result
    }
}
