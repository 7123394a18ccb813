//! Looks at a file system that may hang: what is mounted from elsewhere blocks whoever reads it for as long as the other side
//! is away, and cannot be called back.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use futures::future::{Either, select};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};

use crate::domain::outcome::{Failure, FailureKind};
use crate::ports::StepContext;

/// One look at a time: while one hangs no other is begun, so a mount that is gone costs one thread.
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
        let permit = Arc::clone(&self.0).try_acquire_owned().map_err(|_| {
            let message = format!("an earlier look at {what} has not come back: is what is mounted there gone?");
            Failure::new(FailureKind::LocalSetup, message)
        })?;
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
