//! The signals that a process heeds.

use tokio::signal::unix::{Signal, SignalKind, signal};

use super::answer::Stop;

/// What a signal asks for.
pub enum Told {
    /// To end.
    End,
    /// To load the files again.
    Reload,
}

/// The signals that the daemon heeds. PID 1 of a container gets no default action, so each is taken by hand.
pub struct Signals {
    terminate: Signal,
    interrupt: Signal,
    reload: Signal,
}

impl Signals {
    /// Takes each from the system.
    pub fn take() -> Result<Self, Stop> {
        let take = |kind| signal(kind).map_err(|error| Stop::Fault(format!("signals cannot be taken: {error}")));
        Ok(Self {
            terminate: take(SignalKind::terminate())?,
            interrupt: take(SignalKind::interrupt())?,
            reload: take(SignalKind::hangup())?,
        })
    }

    /// The next one.
    pub async fn next(&mut self) -> Told {
        tokio::select! {
            _ = self.terminate.recv() => Told::End,
            _ = self.interrupt.recv() => Told::End,
            _ = self.reload.recv() => Told::Reload,
        }
    }

    /// Completes with SIGTERM or SIGINT; that a reload is asked for is heard afterwards.
    pub async fn end(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}

/// Completes with SIGTERM or SIGINT, for commands that end by themselves.
pub async fn asked_to_stop() {
    match Signals::take() {
        Ok(mut signals) => signals.end().await,
        Err(stop) => {
            stop.tell();
            std::future::pending::<()>().await;
        }
    }
}
