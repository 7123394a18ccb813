//! The threads: those on which a command runs, and those on which probes run, so that nothing the engine does (writing
//! the store, drawing pages, sending messages) stands between a probe and its answer.

use std::num::NonZero;
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use tokio::runtime::{Builder, Handle};
use tokio_util::sync::CancellationToken;

use super::answer::{Answer, Stop, say};

/// How long tasks that nobody waits for may still hold the process once its command has ended.
const TASKS_END_MAX: Duration = Duration::from_millis(200);

/// How long the last words of a process may take.
const SAY_MAX: Duration = Duration::from_secs(1);

/// The exit code of a process that stood still: our own fault, as [`Answer::Fault`].
const EXIT_STUCK: i32 = 3;

/// Goes on with a command until it has its answer.
pub fn block_on(command: impl Future<Output = Result<Answer, Stop>>) -> Result<Answer, Stop> {
    let runtime =
        Builder::new_multi_thread().thread_name("engine").enable_all().build().map_err(|error| refused(&error))?;
    let answer = runtime.block_on(command);
    // The ticks of tokio-cron-scheduler go on for ever; what matters was awaited by the command.
    runtime.shutdown_timeout(TASKS_END_MAX);
    answer
}

/// Ends a process in which nothing goes on any more, and says why first. Nothing is put away, as after a crash; what was
/// committed is there at the next start.
#[expect(clippy::disallowed_methods, reason = "whoever would put the state away is what stands still")]
pub fn end_process(why: &str) {
    let (said, is_said) = mpsc::channel();
    let why = format!("error: {why}");
    // Whoever does not read what we say must not keep us from ending.
    let saying = thread::Builder::new().spawn(move || {
        say(&why);
        let _ = said.send(());
    });
    if saying.is_ok() {
        let _ = is_said.recv_timeout(SAY_MAX);
    }
    std::process::exit(EXIT_STUCK);
}

/// As many threads as there are cores, for probes alone: where all of them are wanted the kernel shares the cores out, and
/// no probe waits in our own queue behind something that is not one. Each has a runtime of its own. They end when this is
/// dropped, in the background: whoever waits for runs has done so before.
pub struct ProbeThreads {
    handles: Vec<Handle>,
    end: CancellationToken,
}

impl ProbeThreads {
    /// Starts them.
    pub fn start() -> Result<Self, Stop> {
        // Two at the least, so that an answer that takes long to unpack does not hold up every probe.
        let count = thread::available_parallelism().map_or(2, NonZero::get).max(2);
        let mut threads = Self { handles: Vec::with_capacity(count), end: CancellationToken::new() };
        for _ in 0..count {
            let runtime = Builder::new_current_thread()
                .thread_name("probes")
                .enable_all()
                .build()
                .map_err(|error| refused(&error))?;
            threads.handles.push(runtime.handle().clone());
            let end = threads.end.clone();
            let work = move || {
                runtime.block_on(end.cancelled());
                runtime.shutdown_background();
            };
            thread::Builder::new().name("probes".to_owned()).spawn(work).map_err(|error| refused(&error))?;
        }
        Ok(threads)
    }

    /// Where runs are to be spawned, a handle for each thread.
    pub fn handles(&self) -> &[Handle] {
        &self.handles
    }
}

impl Drop for ProbeThreads {
    fn drop(&mut self) {
        self.end.cancel();
    }
}

fn refused(error: &std::io::Error) -> Stop {
    Stop::Fault(format!("the machine gives us no threads: {error}"))
}
