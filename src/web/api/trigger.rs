//! A probe is run now. Whoever asks waits for what comes of it, though not for ever: what takes longer goes on without them.

use std::sync::Arc;
use std::time::Duration;

use axum::Extension;
use axum::extract::{Path, Request, State};
use axum::http::StatusCode;
use axum::response::Response;

use super::answers::{COMMIT_PATIENCE, Trouble, answer};
use super::bodies::{TriggerAnswer, TriggerAsk, TriggeredRun};
use super::runs::RunBody;
use crate::domain::audit::Deed;
use crate::domain::names::ScheduleName;
use crate::domain::outcome::RunId;
use crate::engine::desk::DeskError;
use crate::engine::scheduler::extras::Refusal;
use crate::engine::triggers::{Begun, Triggered};
use crate::web::access::Caller;
use crate::web::routes::Room;

/// How long whoever asks waits for the runs: less than proxies wait for an answer.
pub const RUNS_PATIENCE: Duration = Duration::from_secs(50);

/// Runs one.
pub async fn trigger(
    State(room): State<Arc<Room>>,
    Extension(caller): Extension<Caller>,
    Path(probe): Path<String>,
    request: Request,
) -> Result<Response, Trouble> {
    let TriggerAsk { schedule } = room.read(request).await?;
    room.when_ready()?;
    let (desk, wanted, put_down) = (Arc::clone(&room.web.desk), probe.clone(), probe.clone());
    let begin = async move { desk.trigger(wanted, schedule).await };
    let told = |begun: &Begun| {
        let run = |(id, of): &(RunId, Option<ScheduleName>)| {
            format!("run {id}{}", of.as_ref().map(|of| format!(" for {of}")).unwrap_or_default())
        };
        let runs = begun.runs.iter().map(run).collect::<Vec<_>>().join(", ");
        Some((Deed::Trigger, put_down, [String::new(), runs]))
    };
    let begun = room.done_and_put_down(COMMIT_PATIENCE, caller.author(None), begin, told).await?;
    let Begun { runs, ended } = begun;
    let (clock, plan) = (&room.web.clock, room.plan());
    let ended = tokio::select! {
        ended = ended => Some(ended.map_err(|_| Trouble::from(DeskError::Closed))?),
        () = clock.sleep_until(clock.monotonic() + RUNS_PATIENCE) => None,
    };
    room.look_anew().await;
    let Some(ended) = ended else {
        let runs = runs.into_iter().map(|(id, schedule)| TriggeredRun::going_on(id, schedule)).collect();
        return Ok(answer(&*plan.secrets, StatusCode::ACCEPTED, &TriggerAnswer { runs }));
    };
    // Where nothing was run at all, there is nothing to show.
    let refusals = ended.iter().filter_map(|run| run.outcome.as_ref().err());
    if let Some(refusal) = refusals.min_by_key(|refusal| **refusal == Refusal::Busy).filter(|_| is_nothing(&ended)) {
        return Err(Trouble::conflict(words(*refusal, &probe)));
    }
    let runs = ended.into_iter().map(|triggered| of(triggered, &probe)).collect();
    Ok(answer(&*plan.secrets, StatusCode::OK, &TriggerAnswer { runs }))
}

fn is_nothing(ended: &[Triggered]) -> bool {
    ended.iter().all(|run| run.outcome.is_err())
}

fn of(triggered: Triggered, probe: &str) -> TriggeredRun {
    let Triggered { id, schedule, outcome } = triggered;
    match outcome {
        Err(refusal) => TriggeredRun { refused: Some(words(refusal, probe)), ..TriggeredRun::going_on(id, schedule) },
        Ok(judged) => TriggeredRun {
            run: Some(RunBody::from(&judged.run)),
            unjudged: judged.unjudged,
            open: judged.open,
            resolved: judged.resolved,
            recorded: judged.recorded,
            ..TriggeredRun::going_on(id, schedule)
        },
    }
}

/// Why there is no run, in words.
fn words(refusal: Refusal, probe: &str) -> String {
    match refusal {
        Refusal::Busy => format!("a run of {probe} is going on: its result comes soon"),
        Refusal::Gone => format!("{probe} is not configured any more"),
        Refusal::Slot | Refusal::Saturated => format!("no permit came free in time for a run of {probe}"),
        Refusal::Paused => format!("{probe} is paused"),
    }
}
