//! What was written to the files of a configuration since they were loaded. Somebody who edits several writes one after the other, so
//! nothing is taken before they have lain still for a while.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use tokio::task::spawn_blocking;

use crate::config::files::Footprint;
use crate::ports::Clock;

/// How often they are looked at, and how long they lie still before they are taken.
const EVERY: Duration = Duration::from_secs(10);

/// The files as they were loaded, and as they were seen last.
pub struct Edits {
    directory: Arc<Path>,
    loaded: Option<Footprint>,
    seen: Option<Footprint>,
}

impl Edits {
    /// The files as they are before they are loaded.
    pub async fn of(directory: &Path) -> Self {
        let mut edits = Self { directory: Arc::from(directory), loaded: None, seen: None };
        edits.take().await;
        edits
    }

    /// They are about to be loaded as they are now, for whatever reason. What comes of that is not a change of theirs: a mistake is
    /// told once, and not anew until somebody has written again.
    pub async fn take(&mut self) {
        self.seen = self.look().await;
        self.loaded.clone_from(&self.seen);
    }

    /// Completes when they are otherwise than they were loaded and have lain still between two looks.
    pub async fn settled(&mut self, clock: &dyn Clock) {
        loop {
            clock.sleep_until(clock.monotonic() + EVERY).await;
            let now = self.look().await;
            let is_still = now == self.seen;
            self.seen = now;
            if is_still && self.seen != self.loaded {
                return;
            }
        }
    }

    /// On a thread of its own: a disk that hangs holds up nothing else.
    async fn look(&self) -> Option<Footprint> {
        let directory = Arc::clone(&self.directory);
        spawn_blocking(move || Footprint::of(&directory)).await.ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::testing::TestClock;
    use futures::FutureExt as _;
    use std::fs::write;

    #[tokio::test(start_paused = true)]
    async fn files_are_taken_once_they_lie_still_and_once_only() {
        let directory = tempfile::tempdir().unwrap();
        let root = directory.path().join("roundsman.yaml");
        let clock = TestClock::starting("2026-11-24T10:00:00Z");
        let mut edits = Edits::of(directory.path()).await;
        let began = clock.monotonic();
        let passed = || clock.monotonic().since(began);
        let mut settled = Box::pin(edits.settled(&*clock));
        while passed() < EVERY {
            assert!(settled.as_mut().now_or_never().is_none());
            tokio::time::advance(Duration::from_secs(1)).await;
        }
        write(&root, "site: shop").unwrap();
        settled.await;
        assert!(passed() >= EVERY * 2, "it was seen to lie still: {:?}", passed());

        // Whoever loads them says so; nothing is left to be taken.
        edits.take().await;
        assert!(tokio::time::timeout(EVERY * 10, edits.settled(&*clock)).await.is_err());
        write(&root, "site: shops").unwrap();
        edits.take().await;
        assert!(tokio::time::timeout(EVERY * 10, edits.settled(&*clock)).await.is_err(), "asked for meanwhile");
    }
}
