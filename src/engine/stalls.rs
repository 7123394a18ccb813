//! How long we ourselves stood still. The threads on which probes run are asked for a beat every few milliseconds; by as
//! much as one comes late, everything on them came late, and what a step measured meanwhile is not all the target's.
//! Whatever holds us up shows in it: a starved container, a stopped process, a machine that slept.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use crate::domain::time::Monotonic;
use crate::ports::Clock;

/// How often the threads are asked.
const BEAT: Duration = Duration::from_millis(10);

/// What is less than this is how timers are, and says nothing.
pub const LATE_MIN: Duration = Duration::from_millis(10);

/// Whoever stood still for this long has seen time-outs that are its own.
pub const STOPPED_MIN: Duration = Duration::from_secs(1);

/// The stalls of the threads on which probes run.
pub struct Stalls {
    clock: Arc<dyn Clock>,
    beats: Mutex<Beats>,
}

/// Time that was lost.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Lost {
    /// While the clock that never steps went on: it is in every time that was measured meanwhile, and every deadline.
    pub stalled: Duration,
    /// While the machine slept, which that clock does not count; connections may have ended all the same.
    pub slept: Duration,
}

impl Lost {
    /// What was lost since an earlier answer.
    #[must_use]
    pub fn since(self, before: Self) -> Self {
        Self { stalled: self.stalled.saturating_sub(before.stalled), slept: self.slept.saturating_sub(before.slept) }
    }

    /// Both together.
    pub fn all(self) -> Duration {
        self.stalled + self.slept
    }
}

#[derive(Clone, Copy, Default)]
struct Beats {
    /// When the next one should come; absent until somebody asks for beats.
    next: Option<Monotonic>,
    /// By how much those until now were late, in all.
    late: Duration,
}

impl Stalls {
    /// Nobody watches yet: until [`Self::beat`] runs, nothing is late.
    pub fn new(clock: Arc<dyn Clock>) -> Self {
        Self { clock, beats: Mutex::default() }
    }

    /// Goes on for ever; to be spawned where the probes run.
    pub async fn beat(&self) {
        loop {
            let next = self.clock.monotonic() + BEAT;
            self.beats.lock().unwrap_or_else(PoisonError::into_inner).next = Some(next);
            self.clock.sleep_until(next).await;
            let mut beats = self.beats.lock().unwrap_or_else(PoisonError::into_inner);
            let late = overdue(&beats, self.clock.monotonic());
            beats.late += late;
            beats.next = None;
        }
    }

    /// For how long we have stood still until now, in all: the difference of two answers is the time that was lost
    /// between them. What stands still right now counts, since a step may go on before the beat does.
    pub fn lost(&self) -> Lost {
        let beats = *self.beats.lock().unwrap_or_else(PoisonError::into_inner);
        Lost { stalled: beats.late + overdue(&beats, self.clock.monotonic()), slept: self.clock.slept() }
    }
}

fn overdue(beats: &Beats, now: Monotonic) -> Duration {
    let overdue = beats.next.map_or(Duration::ZERO, |next| now.since(next));
    if overdue < LATE_MIN { Duration::ZERO } else { overdue }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::SystemClock;
    use crate::engine::testing::TestClock;

    #[tokio::test(start_paused = true)]
    async fn threads_that_answer_lose_nothing() {
        let clock = TestClock::starting("2026-11-25T10:00:00Z");
        let stalls = Arc::new(Stalls::new(clock.clone()));
        let mut tasks = tokio::task::JoinSet::new();
        tasks.spawn({
            let stalls = Arc::clone(&stalls);
            async move { stalls.beat().await }
        });
        clock.sleep_until(Monotonic(Duration::from_secs(60))).await;
        assert_eq!(stalls.lost(), Lost::default());
    }

    /// The one thread of this test does nothing else for a while, as it would under a debugger, a full core or a signal.
    #[tokio::test]
    async fn a_thread_that_stands_still_says_for_how_long() {
        let clock: Arc<dyn Clock> = Arc::new(SystemClock::start());
        let stalls = Arc::new(Stalls::new(Arc::clone(&clock)));
        let mut tasks = tokio::task::JoinSet::new();
        tasks.spawn({
            let stalls = Arc::clone(&stalls);
            async move { stalls.beat().await }
        });
        clock.sleep_until(clock.monotonic() + BEAT * 3).await;
        let before = stalls.lost();
        std::thread::sleep(Duration::from_millis(120));
        let unfelt = stalls.lost().since(before).all();
        assert!(unfelt >= Duration::from_millis(100), "before the next beat: {unfelt:?}");
        clock.sleep_until(clock.monotonic() + BEAT * 3).await;
        let felt = stalls.lost().since(before).all();
        assert!(felt >= Duration::from_millis(100) && felt < Duration::from_secs(60), "after it: {felt:?}");
    }
}
