//! The threads on which runs are made. A run stays on the one where it began, and the threads say nothing to each other:
//! one that wakes another, which then finds nothing to do, costs as much as half a probe. Each knows its own stalls.

use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::runtime::Handle;
use tokio::task::JoinSet;

use super::runner::Runner;

/// A thread, and what makes the runs on it.
pub struct Thread {
    /// Where they are to be spawned.
    pub handle: Handle,
    /// What makes them, by the stalls of this thread.
    pub runner: Runner,
}

/// The threads, in turn.
pub struct Threads {
    all: Vec<Thread>,
    next: AtomicUsize,
    /// Watches for stalls until it is dropped.
    _watch: JoinSet<()>,
}

impl Threads {
    /// Has runs made on these threads, of which there is at least one.
    pub fn new(handles: &[Handle], runner: &Runner) -> Self {
        let mut watch = JoinSet::new();
        let threads = handles.iter().map(|handle| {
            let runner = runner.elsewhere();
            watch.spawn_on(runner.clone().watch(), handle);
            Thread { handle: handle.clone(), runner }
        });
        Self { all: threads.collect(), next: AtomicUsize::new(0), _watch: watch }
    }

    /// The one whose turn it is.
    pub fn next(&self) -> &Thread {
        let turn = self.next.fetch_add(1, Ordering::Relaxed);
        &self.all[turn % self.all.len()]
    }
}
