//! `once`: runs probes now and reports. Nothing is stored, nobody is alerted.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::Arc;

use futures::StreamExt as _;
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;

use super::answer::{self, Answer, Output, Stop};
use super::cli::{OnceArguments, RunFormat};
use super::signals::asked_to_stop;
use super::threads::ProbeThreads;
use super::{detail, junit, report, wiring};
use crate::config::load::{Surroundings, load_url};
use crate::domain::names::{ProbeName, ScheduleName, glob};
use crate::domain::outcome::{Cause, Run, Verdict};
use crate::domain::schedule::Schedule;
use crate::engine::plan::Plan;
use crate::engine::runner::{Order, Runner};
use crate::engine::threads::{Thread, Threads};
use crate::settings::suggest;

/// How many probes are run at once: enough that one that hangs holds nobody up, few enough that we do not disturb our own
/// measurement.
pub const RUNS_AT_ONCE: usize = 16;

/// Runs what was asked for. Exit 1 when a run failed; 3 when none failed and one was inconclusive otherwise than because its steps were all to be skipped.
pub async fn once(directory: PathBuf, surroundings: Surroundings, asked: OnceArguments) -> Result<Answer, Stop> {
    let (urls, names): (Vec<_>, Vec<_>) = asked.what.iter().partition(|what| what.contains("://"));
    if let Some(place) = names.iter().find(|name| name.contains(['/', ':'])) {
        return Err(Stop::Usage(format!("`{place}` is no name of a probe: for a URL write `http://{place}`")));
    }
    let mut orders = Vec::new();
    for url in &urls {
        let plan = Arc::new(wiring::settled(load_url(url, &surroundings))?);
        orders.extend(plan.probes.keys().map(|probe| (Arc::clone(&plan), probe.clone(), None)));
    }
    if urls.is_empty() || !names.is_empty() {
        let plan = Arc::new(wiring::plan(&directory, &surroundings)?);
        let schedule = asked.schedule.as_deref().map(|name| schedule(&plan, name)).transpose()?;
        let chosen = choose(&plan, &names, schedule.as_deref())?;
        orders.extend(chosen.into_iter().map(|probe| (Arc::clone(&plan), probe, schedule.clone())));
    }

    let stop = CancellationToken::new();
    let runner = Runner::new(Arc::clone(&surroundings.clock), stop.clone());
    let runner = if asked.verbose { runner.telling_all() } else { runner };
    let probing = ProbeThreads::start()?;
    let threads = Threads::new(probing.handles(), &runner);
    let runs = orders.into_iter().filter_map(|(plan, probe, schedule)| {
        let probe = Arc::clone(plan.probes.get(&probe)?);
        let (now, due) = (surroundings.clock.now(), surroundings.clock.monotonic());
        let Thread { handle, runner } = threads.next();
        let runner = runner.clone();
        let order = Order { plan, probe, schedule, extra: None, slot: now, due_at: now, due };
        Some(AbortOnDropHandle::new(handle.spawn(async move { runner.run(order).await })))
    });
    let mut runs = std::pin::pin!(futures::stream::iter(runs).buffered(RUNS_AT_ONCE));
    let mut out = Output::default();
    let mut ended = Vec::new();
    loop {
        let run = tokio::select! {
            run = runs.next() => run,
            () = asked_to_stop(), if !stop.is_cancelled() => {
                stop.cancel();
                continue;
            }
        };
        let Some(run) = run else { break };
        let run = run.map_err(|error| Stop::Fault(format!("a run ended without a result: {error}")))?;
        if asked.format == RunFormat::Text {
            out.bytes(report::text(&run).as_bytes())?;
            if asked.verbose {
                out.bytes(detail::text(&run).as_bytes())?;
            }
        }
        ended.push(run);
    }
    match asked.format {
        RunFormat::Text => out.line(report::sentence(&ended))?,
        RunFormat::Json => out.line(answer::indented(&report::json(&ended, asked.verbose)))?,
        RunFormat::Junit => out.bytes(&junit::document(&ended)?)?,
    }
    Ok(answer(&ended))
}

/// What the verdicts of runs mean for whoever asked for them.
pub fn answer(runs: &[Run]) -> Answer {
    let any = |is: fn(&Verdict) -> bool| runs.iter().any(|run| is(&run.verdict));
    if any(|verdict| matches!(verdict, Verdict::Failed(_))) {
        Answer::Unwell
    } else if any(|verdict| matches!(verdict, Verdict::Inconclusive(cause) if *cause != Cause::Skipped)) {
        Answer::Fault
    } else {
        Answer::Well
    }
}

fn schedule(plan: &Plan, name: &str) -> Result<Arc<Schedule>, Stop> {
    let known = plan.schedules.keys().map(ScheduleName::as_str).collect::<Vec<_>>();
    let found = plan.schedules.values().find(|schedule| schedule.name.as_str() == name);
    found.cloned().ok_or_else(|| Stop::Usage(unknown("schedule", name, known)))
}

/// The probes that are meant by these names and globs, on that schedule if any; by none, every one that looks by itself.
pub fn choose(plan: &Plan, names: &[&String], schedule: Option<&Schedule>) -> Result<BTreeSet<ProbeName>, Stop> {
    let all: BTreeSet<&ProbeName> = match schedule {
        Some(schedule) => schedule.probes.iter().collect(),
        None => plan.probes.keys().collect(),
    };
    // What runs only on request is named, neither meant by silence nor hit by a pattern.
    let unasked = |name: &ProbeName| !plan.probes.get(name).is_some_and(|probe| probe.on_request);
    if names.is_empty() {
        // Nobody asked for what only a daemon can hear.
        let looks = |name: &&ProbeName| plan.probes.get(*name).is_some_and(|probe| !probe.waits_to_be_told());
        return Ok(all.into_iter().filter(|name| unasked(name)).filter(looks).cloned().collect());
    }
    let mut chosen = BTreeSet::new();
    for name in names {
        let by_pattern = |probe: &ProbeName| glob(name, probe.as_str()) && (!name.contains('*') || unasked(probe));
        let before = chosen.len();
        let fits = all.iter().filter(|probe| by_pattern(probe) || expansion_of(probe, name));
        chosen.extend(fits.map(|probe| (*probe).clone()));
        let known = || all.iter().map(|probe| probe.as_str()).collect::<Vec<_>>();
        if chosen.len() == before && !all.iter().any(|probe| by_pattern(probe)) {
            return Err(Stop::Usage(unknown("probe", name, known())));
        }
    }
    Ok(chosen)
}

/// Whether a probe is one of those that the `each:` of this name made.
fn expansion_of(probe: &ProbeName, name: &str) -> bool {
    probe.as_str().split_once('@').is_some_and(|(of, _)| of == name)
}

fn unknown(what: &str, name: &str, known: Vec<&str>) -> String {
    let help = suggest(name, known).map(|help| format!(": {help}")).unwrap_or_default();
    format!("there is no {what} `{name}`{help}")
}
