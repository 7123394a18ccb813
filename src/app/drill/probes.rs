//! Runs the probes twice, drills those that are well, and answers whether everything that nothing notices is explained.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt as _;
use tokio::runtime::Handle;
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;

use super::report;
use super::weighing::{Drilled, Outcome, drill};
use crate::app::answer::{self, Answer, Output, Stop};
use crate::app::cli::{DrillArguments, Format};
use crate::app::once::{RUNS_AT_ONCE, choose};
use crate::app::threads::ProbeThreads;
use crate::app::wiring;
use crate::config::load::Surroundings;
use crate::domain::outcome::{Cause, Run, Verdict};
use crate::engine::plan::{Plan, PlannedProbe};
use crate::engine::playback::{Playback, Tape, taped};
use crate::engine::runner::{Order, Runner};
use crate::engine::threads::{Thread, Threads};
use crate::ports::Clock;

/// From the first look to the second: whatever tells the time to the second is another by then.
const SECOND_LOOK_AFTER: Duration = Duration::from_millis(1_100);

/// Drills what was asked for. Exit 1 where something passes that nobody has explained, or a probe is not well; 3 where none
/// of that is so, and we could not look.
pub async fn probes(directory: PathBuf, surroundings: Surroundings, asked: DrillArguments) -> Result<Answer, Stop> {
    let plan = Arc::new(wiring::plan(&directory, &surroundings)?);
    let names: Vec<&String> = asked.what.iter().collect();
    let chosen = choose(&plan, &names, None)?;
    let chosen: Vec<_> = chosen.iter().filter_map(|name| plan.probes.get(name)).map(Arc::clone).collect();
    let probing = ProbeThreads::start()?;
    let drilled = drill_all(&plan, chosen, &surroundings.clock, probing.handles()).await?;
    let mut out = Output::default();
    match asked.format {
        Format::Text => out.bytes(report::text(&drilled).as_bytes())?,
        Format::Json => out.line(answer::indented(&report::json(&drilled)))?,
    }
    Ok(answer(&drilled))
}

/// Looks twice at each, and drills it. Measuring is over before anything is judged, so that neither disturbs the other.
pub async fn drill_all(
    plan: &Arc<Plan>,
    probes: Vec<Arc<PlannedProbe>>,
    clock: &Arc<dyn Clock>,
    threads: &[Handle],
) -> Result<Vec<Drilled>, Stop> {
    let runner = Runner::new(Arc::clone(clock), CancellationToken::new());
    let threads = Threads::new(threads, &runner);
    let first = look(plan, &probes, clock, &threads).await?;
    clock.sleep_until(clock.monotonic() + SECOND_LOOK_AFTER).await;
    let second = look(plan, &probes, clock, &threads).await?;
    let mut drilled = Vec::new();
    for ((probe, mut look), mut other) in probes.into_iter().zip(first).zip(second) {
        let name = probe.name.clone();
        // A warning that is there already notices nothing more.
        if other.0.verdict == Verdict::Passed {
            std::mem::swap(&mut look, &mut other);
        }
        let outcome = match unwell(&look.0).or_else(|| unwell(&other.0)) {
            Some(outcome) => outcome,
            None => {
                let (seen, at) = (look.1.observations(), look.0.started_at);
                let playback = Playback { plan: Arc::clone(plan), probe, seen, at };
                drill(&playback, &other.1.observations()).await
            }
        };
        drilled.push(Drilled { probe: name, outcome });
    }
    Ok(drilled)
}

/// One run of each, and what their steps saw.
async fn look(
    plan: &Arc<Plan>,
    probes: &[Arc<PlannedProbe>],
    clock: &Arc<dyn Clock>,
    threads: &Threads,
) -> Result<Vec<(Run, Arc<Tape>)>, Stop> {
    let runs = probes.iter().map(|probe| {
        let (probe, tape) = taped(probe);
        let (now, due) = (clock.now(), clock.monotonic());
        let Thread { handle, runner } = threads.next();
        let runner = runner.clone();
        let (plan, probe) = (Arc::clone(plan), Arc::new(probe));
        let order = Order { plan, probe, schedule: None, extra: None, slot: now, due_at: now, due };
        AbortOnDropHandle::new(handle.spawn(async move { (runner.run(order).await, tape) }))
    });
    let runs: Vec<_> = futures::stream::iter(runs).buffered(RUNS_AT_ONCE).collect().await;
    let runs: Result<_, _> = runs.into_iter().collect();
    runs.map_err(|error| Stop::Fault(format!("a run ended without a result: {error}")))
}

/// Why a probe cannot be drilled: what is not well cannot be made worse in a way that shows.
fn unwell(run: &Run) -> Option<Outcome> {
    match &run.verdict {
        Verdict::Passed | Verdict::Degraded(_) => None,
        Verdict::Failed(failures) => {
            Some(Outcome::Failing(failures.first().map(ToString::to_string).unwrap_or_default()))
        }
        Verdict::Inconclusive(Cause::Skipped) => Some(Outcome::Skipped),
        Verdict::Inconclusive(cause) => Some(Outcome::Blind(cause.to_string())),
    }
}

fn answer(drilled: &[Drilled]) -> Answer {
    let any = |is: fn(&Outcome) -> bool| drilled.iter().any(|drilled| is(&drilled.outcome));
    if any(|outcome| match outcome {
        Outcome::Drilled(steps) => steps.iter().any(|step| step.unexplained().next().is_some()),
        Outcome::Failing(_) | Outcome::Unsteady(_) => true,
        Outcome::Skipped | Outcome::Blind(_) => false,
    }) {
        Answer::Unwell
    } else if any(|outcome| matches!(outcome, Outcome::Blind(_))) {
        Answer::Fault
    } else {
        Answer::Well
    }
}
