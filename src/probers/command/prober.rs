//! The prober: runs the program, then reads what it wrote.

use std::os::unix::process::ExitStatusExt as _;
use std::process::ExitStatus;

use bytes::Bytes;
use futures::future::BoxFuture;
use nix::sys::signal::Signal;
use serde_json::Value;

use super::draft::Draft;
use super::junit;
use super::process::{self, Ended, Kept, Program};
use super::report::Awaited;
use crate::domain::exchange::{Exchange, TEXT_BYTES_MAX, beginning, beginning_of};
use crate::domain::expression::Part;
use crate::domain::fact_map::FactMap;
use crate::domain::outcome::{Failure, FailureKind, Observation, Phases};
use crate::domain::text::shell_word;
use crate::net::excerpt::excerpt;
use crate::net::stopwatch::Stopwatch;
use crate::ports::{Prober, StepContext};

/// The largest report that is read, in bytes.
const REPORT_BYTES_MAX: usize = 8 * 1024 * 1024;

/// How many lines of standard error are told with a failure.
const LAST_LINES: usize = 3;

/// How long those may be, in characters, so that they stand within a message.
const LAST_CHARACTERS: usize = 180;

/// Runs the program of one step.
pub struct CommandProber {
    /// What to run.
    pub draft: Draft,
}

impl Prober for CommandProber {
    fn probe<'a>(&'a self, cx: &'a StepContext<'a>) -> BoxFuture<'a, Result<Observation, Failure>> {
        Box::pin(self.observe(cx))
    }
}

impl CommandProber {
    async fn observe(&self, cx: &StepContext<'_>) -> Result<Observation, Failure> {
        let program = self.draft.fill(cx).await?;
        let junit = self.draft.awaited(cx, self.draft.junit.as_ref()).await?;
        let json = self.draft.awaited(cx, self.draft.json.as_ref()).await?;
        let watch = Stopwatch::start(cx.clock, cx.deadline);
        let ended = process::run(&program, cx.clock, cx.deadline).await;
        let phases = watch.phases();
        record(cx, &program, ended.as_ref().ok(), phases);
        let seen = async {
            let ended = ended?;
            let Some(status) = ended.status else {
                let message = format!("it did not end within {} and was killed{}", watch.budget(), said(&ended));
                return Err(Failure::new(FailureKind::TimeoutTotal, message));
            };
            self.read(ended, status, junit, json).await
        };
        let mut observation = seen.await.map_err(|failure: Failure| failure.after(phases))?;
        observation.phases = phases;
        Ok(observation)
    }

    async fn read(
        &self,
        ended: Ended,
        status: ExitStatus,
        junit: Option<Awaited>,
        json: Option<Awaited>,
    ) -> Result<Observation, Failure> {
        let mut observation = Observation { facts: facts(&ended, status), ..Observation::default() };
        let tail = last_words(&ended.stderr);
        let told = |name: &str, value: Value| Part { expression: name.to_owned(), value: value.to_string() };
        let signal = observation.facts.get("signal").map(|signal| told("signal", signal.clone()));
        let tail = (!tail.is_empty()).then(|| told("stderr", tail.into()));
        observation.aside = signal.into_iter().chain(tail).collect();
        // A program that fails before it writes its report is told with both.
        let unwritten = |name: &str, why: &str| {
            let end = match status.code() {
                Some(0) => String::new(),
                _ => format!("; it ended with {}{}", exit(status), said(&ended)),
            };
            Failure::new(FailureKind::CommandReport, format!("its report {} {why}{end}", excerpt(name)))
        };
        if let Some(awaited) = junit {
            let name = awaited.name.clone();
            let document = awaited.read(REPORT_BYTES_MAX).await.map_err(|why| unwritten(&name, &why))?;
            let report = tokio::task::spawn_blocking(move || junit::read(&document)).await;
            let report = report.unwrap_or_else(|error| Err(format!("cannot be read: {error}")));
            let report = report.map_err(|why| unwritten(&name, &why))?;
            let (passed, failed, skipped) = (report.passed, report.failed, report.skipped);
            for (name, count) in
                [("tests", passed + failed + skipped), ("passed", passed), ("failed", failed), ("skipped", skipped)]
            {
                observation.facts.insert(name, count);
            }
            observation.cases = report.cases;
        }
        observation.body = Some(match json {
            Some(awaited) => {
                let name = awaited.name.clone();
                awaited.read(REPORT_BYTES_MAX).await.map_err(|why| unwritten(&name, &why))?.into()
            }
            None => Bytes::from(ended.stdout.bytes),
        });
        Ok(observation)
    }
}

fn facts(ended: &Ended, status: ExitStatus) -> FactMap {
    let mut facts = FactMap::default();
    facts.insert("exit", exit(status));
    if let Some(signal) = status.signal() {
        let name =
            Signal::try_from(signal).map_or_else(|_| format!("SIG{signal}"), |signal| signal.as_str().to_owned());
        facts.insert("signal", name);
    }
    facts.insert("stdout", String::from_utf8_lossy(&ended.stdout.bytes));
    facts.insert("stderr", String::from_utf8_lossy(&ended.stderr.bytes));
    facts.insert("truncated", ended.stdout.truncated || ended.stderr.truncated);
    facts
}

/// The exit code as a shell gives it: 128 and the number of the signal for a program that a signal ended.
fn exit(status: ExitStatus) -> i32 {
    status.code().unwrap_or_else(|| 128 + status.signal().unwrap_or_default())
}

/// The last lines of standard error, which is where programs say why.
fn last_words(stderr: &Kept) -> String {
    let text = String::from_utf8_lossy(&stderr.bytes);
    let lines = text.lines().map(str::trim_end).filter(|line| !line.is_empty());
    let last: Vec<_> = lines.rev().take(LAST_LINES).collect();
    let words = last.into_iter().rev().collect::<Vec<_>>().join("\n");
    match words.char_indices().rev().nth(LAST_CHARACTERS) {
        None => words,
        Some((start, c)) => format!("…{}", &words[start + c.len_utf8()..]),
    }
}

fn said(ended: &Ended) -> String {
    match last_words(&ended.stderr) {
        words if words.is_empty() => String::new(),
        words => format!(": {words}"),
    }
}

/// Puts down what was run and what it said, also when it had to be killed.
fn record(cx: &StepContext<'_>, program: &Program, ended: Option<&Ended>, phases: Phases) {
    let words = program.words.clone();
    let input = program.input.as_deref().map(|input| beginning(input.as_bytes()));
    let begin = |kept: &Kept| {
        let first = kept.bytes.get(..TEXT_BYTES_MAX).unwrap_or(&kept.bytes);
        (Bytes::copy_from_slice(first), kept.bytes.len())
    };
    let outputs = ended.map(|ended| (begin(&ended.stdout), begin(&ended.stderr), ended.status));
    cx.recorder.add(move || {
        let command = words.iter().map(|word| shell_word(word)).collect::<Vec<_>>().join(" ");
        let received = outputs.map(|(stdout, stderr, status)| {
            let end =
                status.map_or_else(|| "killed at its deadline".to_owned(), |status| format!("exit {}", exit(status)));
            let [stdout, stderr] = [stdout, stderr].map(|(first, length)| beginning_of(&first, length));
            [stdout, stderr, end].into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>().join("\n")
        });
        Exchange {
            sent: [Some(command.clone()), input].into_iter().flatten().collect::<Vec<_>>().join("\n"),
            received: received.unwrap_or_default(),
            command: Some(command),
            phases,
            ..Exchange::default()
        }
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_words_are_short() {
        let kept = |text: &str| Kept { bytes: text.as_bytes().to_vec(), truncated: false };
        assert_eq!(last_words(&kept("")), "");
        assert_eq!(last_words(&kept("a\nb\n\nc\r\nd\n")), "b\nc\nd");
        let long = last_words(&kept(&"ü".repeat(500)));
        assert_eq!(long, format!("…{}", "ü".repeat(LAST_CHARACTERS)));
    }
}
