//! The threads: those on which a command runs, and those on which probes run, so that nothing the engine does (writing
//! the store, drawing pages, sending messages) stands between a probe and its answer.

use std::time::Duration;

use tokio::runtime::{Builder, Handle, Runtime};

use super::answer::{Answer, Stop};

/// How long tasks that nobody waits for may still hold the process once its command has ended.
const TASKS_END_MAX: Duration = Duration::from_millis(200);

/// Goes on with a command until it has its answer.
pub fn block_on(command: impl Future<Output = Result<Answer, Stop>>) -> Result<Answer, Stop> {
    let runtime = runtime("engine")?;
    let answer = runtime.block_on(command);
    // The ticks of tokio-cron-scheduler go on for ever; what matters was awaited by the command.
    runtime.shutdown_timeout(TASKS_END_MAX);
    answer
}

/// As many threads as there are cores, for probes alone: where all of them are wanted the kernel shares the cores out, and
/// no probe waits in our own queue behind something that is not one. They end when this is dropped, in the background:
/// whoever waits for runs has done so before.
pub struct ProbeThreads(Option<Runtime>, Handle);

impl ProbeThreads {
    /// Starts them.
    pub fn start() -> Result<Self, Stop> {
        let runtime = runtime("probes")?;
        let handle = runtime.handle().clone();
        Ok(Self(Some(runtime), handle))
    }

    /// Where runs are to be spawned.
    pub fn handle(&self) -> Handle {
        self.1.clone()
    }
}

impl Drop for ProbeThreads {
    fn drop(&mut self) {
        if let Some(runtime) = self.0.take() {
            runtime.shutdown_background();
        }
    }
}

fn runtime(name: &str) -> Result<Runtime, Stop> {
    let runtime = Builder::new_multi_thread().thread_name(name).enable_all().build();
    runtime.map_err(|error| Stop::Fault(format!("the machine gives us no threads: {error}")))
}
