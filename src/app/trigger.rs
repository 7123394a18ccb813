//! `trigger`: runs a probe of the running daemon now. What it sees is judged as any run of its schedule, so whoever has mended
//! something need not wait for the next slot.

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;

use super::answer::{self, Answer, Output, Stop};
use super::cli::Format;
use super::daemon_client::{Asking, DaemonClient, segment};
use super::{once, report};
use crate::config::load::Surroundings;
use crate::domain::incident::IncidentId;
use crate::domain::outcome::Run;
use crate::domain::text::harmless;
use crate::web::api::bodies::{TriggerAnswer, TriggerAsk, TriggeredRun};
use crate::web::api::trigger::RUNS_PATIENCE;

/// How long an answer may take beyond what the daemon waits for the runs.
const ON_THE_WAY: Duration = Duration::from_secs(10);

/// What is run.
#[derive(Clone, Debug, Args)]
pub struct TriggerArguments {
    /// The probe.
    #[arg(value_name = "PROBE")]
    pub probe: String,
    /// For this schedule; by default for all on which it is, one after the other.
    #[arg(long, value_name = "NAME")]
    pub schedule: Option<String>,
    /// How it is shown and where the daemon is.
    #[command(flatten)]
    pub asking: Asking,
}

/// Runs it, and shows what came of it. That it failed or was not run is exit 1.
pub async fn trigger(directory: PathBuf, surroundings: Surroundings, what: TriggerArguments) -> Result<Answer, Stop> {
    let TriggerArguments { probe, schedule, asking } = what;
    let daemon = DaemonClient::find(&directory, &surroundings, &asking.daemon).await?;
    let path = format!("probes/{}/trigger", segment(&probe));
    let told: TriggerAnswer = daemon.post_within(&path, &TriggerAsk { schedule }, RUNS_PATIENCE + ON_THE_WAY).await?;
    let mut out = Output::default();
    match asking.format {
        Format::Text => out.bytes(text(&told).as_bytes())?,
        Format::Json => out.line(answer::json(&told)?)?,
    }
    let runs: Vec<Run> = told.runs.iter().filter_map(|run| run.run.clone()).map(Run::from).collect();
    let is_refused = told.runs.iter().any(|run| run.refused.is_some());
    Ok(if is_refused { Answer::Unwell } else { once::answer(&runs) })
}

fn text(told: &TriggerAnswer) -> String {
    let told: Vec<_> = told.runs.iter().map(|run| format!("{}{}\n", shown(run), standing(run))).collect();
    told.concat()
}

fn shown(run: &TriggeredRun) -> String {
    run.run.clone().map(|run| report::text(&Run::from(run))).unwrap_or_default()
}

/// For what it was run, and what it moved.
fn standing(run: &TriggeredRun) -> String {
    let of = run.schedule.as_ref().map_or_else(|| "off all schedules".to_owned(), |name| format!("for {name}"));
    let named = |ids: &[IncidentId]| ids.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
    if let Some(why) = &run.refused {
        return format!("{of}: not run: {}", harmless(why));
    }
    let id = &run.id;
    if run.run.is_none() {
        return format!("{of}: it goes on, and what comes of it counts as any run (run {id})");
    }
    let moved = match (&run.unjudged, run.open.as_slice(), run.resolved.as_slice()) {
        (Some(why), ..) => format!("not judged: {}", harmless(why)),
        (None, [], []) => "no incident is open".to_owned(),
        (None, [], over) => format!("incident {} is resolved", named(over)),
        (None, open, _) => format!("incident {} is open", named(open)),
    };
    format!("{of}: {moved} (run {id})")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::app::testing::journey;
    use crate::domain::outcome::{Cause, RunId, Verdict};
    use crate::web::api::runs::RunBody;

    fn triggered(run: Option<&Run>) -> TriggeredRun {
        let id = RunId("01KB2H8Q4V000000000000RUN0".into());
        TriggeredRun { run: run.map(RunBody::from), ..TriggeredRun::going_on(id, "tier".parse().ok()) }
    }

    #[test]
    fn each_is_shown_as_once_shows_it_with_what_it_moved() {
        let incident = || vec![IncidentId("01KB2H8Q4V0000000000000000".into())];
        let passed = Run { verdict: Verdict::Passed, ..journey() };
        let runs = vec![
            TriggeredRun { open: incident(), ..triggered(Some(&journey())) },
            TriggeredRun { resolved: incident(), ..triggered(Some(&passed)) },
            TriggeredRun {
                unjudged: Some("it is paused by ann\u{1b}: a new disk".to_owned()),
                ..triggered(Some(&passed))
            },
            TriggeredRun {
                refused: Some("a run of api is going on: its result comes soon".to_owned()),
                ..triggered(None)
            },
            TriggeredRun { schedule: None, ..triggered(None) },
        ];
        let plain = anstream::adapter::strip_str(&text(&TriggerAnswer { runs })).to_string();
        insta::assert_snapshot!(plain);
    }

    #[test]
    fn a_run_that_a_daemon_tells_is_shown_as_the_run() {
        for verdict in
            [Verdict::Inconclusive(Cause::ShutDown), Verdict::Inconclusive(Cause::Skipped), journey().verdict]
        {
            let run = Run { verdict, ..journey() };
            let told = serde_json::to_string(&RunBody::from(&run)).unwrap();
            let told: RunBody = serde_json::from_str(&told).unwrap();
            assert_eq!(report::text(&Run::from(told)), report::text(&run));
        }
    }
}
