//! A program that runs: in a process group of its own, so that whatever it started can be killed with it. Nobody in the
//! group outlives the step, however the step ends; who leaves the group (`setsid`) leaves our sight.

use std::ffi::OsString;
use std::io;
use std::path::PathBuf;
use std::pin::pin;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use futures::future::join3;
use nix::errno::Errno;
use nix::sys::signal::{Signal, killpg};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::Pid;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::process::Command;

use crate::domain::outcome::{Failure, FailureKind};
use crate::domain::time::Monotonic;
use crate::ports::Clock;

/// How long a killed process may take to be gone. Only one that waits for a broken device takes any time at all.
const DEATH_MAX: Duration = Duration::from_millis(100);

/// How long output is read on once the group is dead: what is in the pipes is there at once, and who left the group may
/// hold them open for ever.
const LAST_OUTPUT_MAX: Duration = Duration::from_millis(100);

/// How long strays are waited for, where they are ours to bury.
const STRAYS_MAX: Duration = Duration::from_millis(100);

/// How often strays are looked for.
const STRAYS_EVERY: Duration = Duration::from_millis(2);

/// How much is read at once, in bytes.
const CHUNK: usize = 16 * 1024;

/// What is to be run.
pub struct Program {
    /// The program and its arguments; never empty.
    pub words: Vec<String>,
    /// The whole environment.
    pub environment: Vec<(OsString, OsString)>,
    /// Where it runs.
    pub directory: PathBuf,
    /// What it reads on standard input; nothing when absent.
    pub input: Option<String>,
    /// How much of each output is kept, in bytes.
    pub output_bytes_max: usize,
}

/// What became of it.
pub struct Ended {
    /// How it ended; absent when its time was over and it was killed.
    pub status: Option<ExitStatus>,
    /// What it wrote on standard output.
    pub stdout: Kept,
    /// What it wrote on standard error.
    pub stderr: Kept,
}

/// The beginning of what a program wrote.
#[derive(Default)]
pub struct Kept {
    /// The bytes.
    pub bytes: Vec<u8>,
    /// Whether there was more, which was read and thrown away.
    pub truncated: bool,
}

/// A process group. Dropping it kills everybody in it, so that a run that is cancelled leaves nobody behind.
///
/// The number of a group is free for others once nobody is in it. The kernel gives numbers in sequence, so none is given
/// twice within the moment between the end of the group's leader and the kill.
struct Group(Pid);

impl Drop for Group {
    fn drop(&mut self) {
        // An empty group is as good as a dead one.
        let _ = killpg(self.0, Signal::SIGKILL);
    }
}

impl Group {
    /// Kills everybody, which is what dropping does. A kill and a fork exclude each other in the kernel, so nobody is born
    /// after it.
    fn kill(self) -> Pid {
        self.0
    }
}

/// Runs a program to its end, or until the deadline.
pub async fn run(program: &Program, clock: &dyn Clock, deadline: Monotonic) -> Result<Ended, Failure> {
    let mut command = Command::new(&program.words[0]);
    command
        .args(&program.words[1..])
        .env_clear()
        .envs(program.environment.iter().map(|(name, value)| (name, value)))
        .current_dir(&program.directory)
        .stdin(if program.input.is_some() { Stdio::piped() } else { Stdio::null() })
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .process_group(0)
        .kill_on_drop(true);
    // From here on locals die in the reverse of their order: the group first, and then its leader is reaped.
    let mut child = command.spawn().map_err(|error| refused(program, &error))?;
    let group = child.id().and_then(|id| i32::try_from(id).ok()).map(|id| Group(Pid::from_raw(id)));
    let (mut stdout, mut stderr) = (Kept::default(), Kept::default());
    let status = {
        let most = program.output_bytes_max;
        let (out, err, into) = (child.stdout.take(), child.stderr.take(), child.stdin.take());
        let input = program.input.as_deref().unwrap_or_default().as_bytes();
        let mut talk = pin!(join3(keep(out, most, &mut stdout), keep(err, most, &mut stderr), feed(into, input)));
        let mut is_silent = false;
        let status = loop {
            tokio::select! {
                biased;
                status = child.wait() => break Some(status.map_err(|error| {
                    Failure::new(FailureKind::Internal, format!("its end cannot be seen: {error}"))
                })?),
                _ = &mut talk, if !is_silent => is_silent = true,
                () = clock.sleep_until(deadline) => break None,
            }
        };
        let group = group.map(Group::kill);
        let is_reaped = status.is_some() || {
            tokio::select! {
                status = child.wait() => status.is_ok(),
                () = clock.sleep_until(clock.monotonic() + DEATH_MAX) => false,
            }
        };
        if !is_silent {
            tokio::select! {
                _ = &mut talk => {}
                () = clock.sleep_until(clock.monotonic() + LAST_OUTPUT_MAX) => {}
            }
        }
        if let Some(group) = group.filter(|_| is_reaped) {
            bury(group, clock).await;
        }
        status
    };
    Ok(Ended { status, stdout, stderr })
}

/// Reads to the end and keeps the beginning.
async fn keep(from: Option<impl AsyncRead + Unpin>, most: usize, kept: &mut Kept) {
    let Some(mut from) = from else { return };
    let mut chunk = vec![0; CHUNK];
    // A pipe that breaks has ended.
    while let Ok(length @ 1..) = from.read(&mut chunk).await {
        let room = most - kept.bytes.len();
        kept.bytes.extend_from_slice(&chunk[..length.min(room)]);
        kept.truncated |= length > room;
    }
}

/// Writes all of the input and closes the pipe. A program need not read what it does not want.
async fn feed(into: Option<impl AsyncWrite + Unpin>, input: &[u8]) {
    if let Some(mut into) = into {
        let _ = into.write_all(input).await;
    }
}

/// Reaps what the group's leader left behind, where that falls to us: as process 1 of a container we inherit every orphan,
/// and nobody else ever buries them. Elsewhere there is nothing to wait for.
async fn bury(group: Pid, clock: &dyn Clock) {
    let until = clock.monotonic() + STRAYS_MAX;
    while clock.monotonic() < until {
        match waitpid(Pid::from_raw(-group.as_raw()), Some(WaitPidFlag::WNOHANG)) {
            Ok(WaitStatus::StillAlive) => clock.sleep_until(clock.monotonic() + STRAYS_EVERY).await,
            Ok(_) | Err(Errno::EINTR) => {}
            Err(_) => return,
        }
    }
}

/// Why a program did not start. That is never the target's failure: our own machine is not set up for it.
fn refused(program: &Program, error: &io::Error) -> Failure {
    let name = &program.words[0];
    let setup = |message: String| Failure::new(FailureKind::LocalSetup, message);
    if !program.directory.is_dir() {
        return setup(format!("the working directory {} is not there", program.directory.display()));
    }
    match error.kind() {
        io::ErrorKind::NotFound => setup(format!("the program `{name}` is not there")),
        io::ErrorKind::PermissionDenied => setup(format!("the program `{name}` may not be run by us")),
        io::ErrorKind::ArgumentListTooLong => {
            setup(format!("the arguments of `{name}` are longer than the system takes"))
        }
        io::ErrorKind::WouldBlock | io::ErrorKind::OutOfMemory => out_of(name, error),
        _ if matches!(error.raw_os_error().map(Errno::from_raw), Some(Errno::EMFILE | Errno::ENFILE)) => {
            out_of(name, error)
        }
        _ => setup(format!("the program `{name}` cannot be started: {error}")),
    }
}

fn out_of(name: &str, error: &io::Error) -> Failure {
    Failure::new(FailureKind::LocalResources, format!("the program `{name}` cannot be started: {error}"))
}
