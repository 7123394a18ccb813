//! Looks at a file system that may hang: what is mounted from elsewhere blocks whoever reads it for as long as the other side
//! is away, and cannot be called back.

use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use futures::future::{Either, select};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};

use crate::domain::outcome::{Failure, FailureKind};
use crate::ports::StepContext;

/// One look at a time: while one hangs no other is begun, so a mount that is gone costs one thread, and each later look its time.
pub struct Lane(Arc<Semaphore>);

/// Whether anybody still waits for what a look finds.
#[derive(Clone)]
pub struct Awaited(Arc<AtomicBool>);

impl Awaited {
    /// False once the step has ended without it.
    pub fn is_so(&self) -> bool {
        !self.0.load(Ordering::Relaxed)
    }
}

/// Says that nobody waits any more when it is dropped.
struct Leaving(Arc<AtomicBool>);

impl Drop for Leaving {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

impl Default for Lane {
    fn default() -> Self {
        Self(Arc::new(Semaphore::new(1)))
    }
}

impl Lane {
    /// Does the work on a thread of its own, within the time of the step. `what` is looked at, for failures.
    ///
    /// The runtime's own threads for such work are waited for when the process ends; nobody waits for this one.
    pub async fn look<T: Send + 'static>(
        &self,
        cx: &StepContext<'_>,
        what: &str,
        work: impl FnOnce(&Awaited) -> Result<T, Failure> + Send + 'static,
    ) -> Result<T, Failure> {
        let free = pin!(Arc::clone(&self.0).acquire_owned());
        // Another look may be a long one, and nothing hangs.
        let Either::Left((Ok(permit), _)) = select(free, cx.clock.sleep_until(cx.deadline)).await else {
            let message = format!("an earlier look at {what} has not come back: is what is mounted there gone?");
            return Err(Failure::new(FailureKind::LocalSetup, message));
        };
        let left = Arc::new(AtomicBool::new(false));
        let (_leaving, awaited) = (Leaving(Arc::clone(&left)), Awaited(left));
        let (tell, told) = oneshot::channel();
        let thread = std::thread::Builder::new().name("backup".to_owned());
        let looking = thread.spawn(move || see(work, &awaited, tell, permit));
        looking
            .map_err(|error| Failure::new(FailureKind::LocalResources, format!("no thread can be started: {error}")))?;
        match select(told, cx.clock.sleep_until(cx.deadline)).await {
            Either::Left((found, _)) => found.unwrap_or_else(|_| {
                Err(Failure::new(FailureKind::Internal, format!("a bug of Roundsman ended the look at {what}")))
            }),
            Either::Right(_) => Err(Failure::new(
                FailureKind::TimeoutTotal,
                format!("{what} was not looked through before the time ended"),
            )),
        }
    }
}

fn see<T>(
    work: impl FnOnce(&Awaited) -> Result<T, Failure>,
    awaited: &Awaited,
    tell: oneshot::Sender<Result<T, Failure>>,
    permit: OwnedSemaphorePermit,
) {
    let found = work(awaited);
    // Whoever is told may begin the next look at once.
    drop(permit);
    // Nobody may wait for it any more.
    let _ = tell.send(found);
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::sync::mpsc;
    use std::time::Duration;

    use super::*;
    use crate::clock::SystemClock;
    use crate::domain::outcome::RunId;
    use crate::engine::testing::NoSecrets;
    use crate::ports::{Clock as _, Recorder, Session};

    /// A look within so many milliseconds.
    async fn look<T: Send + 'static>(
        lane: &Lane,
        milliseconds: u64,
        work: impl FnOnce(&Awaited) -> Result<T, Failure> + Send + 'static,
    ) -> Result<T, Failure> {
        let (clock, captures, run) = (SystemClock::start(), BTreeMap::new(), RunId(Arc::from("01RUN")));
        let (session, recorder) = (Session::default(), Recorder::default());
        let cx = StepContext {
            clock: &clock,
            deadline: clock.monotonic() + Duration::from_millis(milliseconds),
            run: &run,
            captures: &captures,
            secrets: &NoSecrets,
            session: &session,
            recorder: &recorder,
        };
        lane.look(&cx, "/mnt/backups", work).await
    }

    #[tokio::test]
    async fn a_mount_that_hangs_costs_one_thread_and_says_so() {
        let (lane, (release, blocked), (tell, told)) = (Lane::default(), mpsc::channel::<()>(), mpsc::channel());
        let hung = look(&lane, 50, move |awaited| {
            let _ = blocked.recv();
            let _ = tell.send(awaited.is_so());
            Ok(())
        });
        let late = hung.await.unwrap_err().to_string();
        assert_eq!(late, "timeout.total: /mnt/backups was not looked through before the time ended");
        let again = look(&lane, 50, |_| Ok(())).await.unwrap_err().to_string();
        let message = "local.setup: an earlier look at /mnt/backups has not come back: is what is mounted there gone?";
        assert_eq!(again, message);
        release.send(()).unwrap();
        assert!(!told.recv().unwrap(), "the look learns that nobody waits for it");
        assert_eq!(look(&lane, 10_000, |awaited| Ok(awaited.is_so())).await, Ok(true), "the lane is open again");
    }

    #[tokio::test]
    async fn a_long_look_is_waited_for() {
        let (lane, (release, blocked)) = (Lane::default(), mpsc::channel::<()>());
        let long = look(&lane, 10_000, move |_| {
            let _ = blocked.recv();
            Ok(1)
        });
        let other = async {
            let looking = look(&lane, 10_000, |_| Ok(2));
            let mut looking = pin!(looking);
            assert!(futures::poll!(looking.as_mut()).is_pending());
            release.send(()).unwrap();
            looking.await
        };
        assert_eq!(futures::join!(long, other), (Ok(1), Ok(2)));
    }

    #[tokio::test]
    async fn a_bug_ends_one_look() {
        let lane = Lane::default();
        let bug = look::<()>(&lane, 10_000, |_| panic!("a bug")).await.unwrap_err().to_string();
        assert_eq!(bug, "internal: a bug of Roundsman ended the look at /mnt/backups");
        assert_eq!(look(&lane, 10_000, |_| Ok(7)).await, Ok(7));
    }
}
