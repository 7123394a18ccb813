//! Silences: which there are, one more, one less.

use std::sync::Arc;

use axum::Extension;
use axum::extract::{Path, Request, State};
use axum::http::StatusCode;
use axum::response::Response;

use super::answers::{Trouble, answer, done};
use super::bodies::{Begin, SilenceDone, Silences};
use crate::domain::audit::Author;
use crate::domain::names::ProbeName;
use crate::domain::quiet::{Matchers, SilenceId};
use crate::domain::time::later;
use crate::engine::dispatcher::Silenced;
use crate::engine::ledger::silences::Silencing;
use crate::engine::plan::Plan;
use crate::settings::nearest;
use crate::web::access::Caller;
use crate::web::routes::Room;

/// Those that are not over.
pub async fn all(State(room): State<Arc<Room>>) -> Result<Response, Trouble> {
    room.when_ready()?;
    let (plan, overview, now) = (room.plan(), room.as_it_is().await?, room.web.clock.now());
    let silences = overview.silences.iter().filter(|silence| now < silence.until).cloned().collect();
    Ok(answer(&*plan.secrets, StatusCode::OK, &Silences { silences }))
}

/// One more.
pub async fn begin(
    State(room): State<Arc<Room>>,
    Extension(caller): Extension<Caller>,
    request: Request,
) -> Result<Response, Trouble> {
    let Begin { matchers, by, reason, from, until, length } = room.read(request).await?;
    let until = match (until, length) {
        (Some(until), None) => until,
        (None, Some(length)) => later(from.unwrap_or_else(|| room.web.clock.now()), length.0),
        _ => {
            let sentence = "a silence ends: say either `until` when, or `for` how long";
            return Err(Trouble::new(StatusCode::UNPROCESSABLE_ENTITY, sentence));
        }
    };
    let by = caller.by(by);
    let author = caller.author(Some(by.clone()));
    silence(&room, Silencing::Begin { matchers: matchers.into(), by, reason, from, until }, author).await
}

/// One less: it is over now.
pub async fn end(
    State(room): State<Arc<Room>>,
    Extension(caller): Extension<Caller>,
    Path(id): Path<String>,
) -> Result<Response, Trouble> {
    silence(&room, Silencing::End(SilenceId(Arc::from(id))), caller.author(None)).await
}

/// Begins one or ends one, and answers after the commit.
pub async fn silence(room: &Room, what: Silencing, author: Author) -> Result<Response, Trouble> {
    room.when_ready()?;
    let has_begun = matches!(what, Silencing::Begin { .. });
    let Silenced { silence, recorded } = room.done(room.web.desk.silence(what, author)).await?;
    room.look_anew().await;
    let plan = room.plan();
    let doubt = doubt(&plan, &silence.matchers).filter(|_| has_begun);
    Ok(done(&*plan.secrets, recorded, &SilenceDone { silence, doubt, recorded }))
}

/// That matchers fit nothing that runs, with the name that may be meant. It is no error: what they are about may come.
fn doubt(plan: &Plan, matchers: &Matchers) -> Option<String> {
    let rounds =
        plan.schedules.values().flat_map(|schedule| schedule.probes.iter().map(move |probe| (schedule, probe)));
    let mut rounds = rounds.filter_map(|(schedule, name)| Some((schedule, plan.probes.get(name)?)));
    if rounds.any(|(schedule, probe)| matchers.take_round(&schedule.name, &probe.name, &probe.labels)) {
        return None;
    }
    let meant = matchers.probes.first().and_then(|pattern| nearest(pattern, plan.probes.keys().map(ProbeName::as_str)));
    let meant = meant.map(|name| format!(": did you mean `{name}`?")).unwrap_or_default();
    Some(format!("no probe that runs fits it now{meant}"))
}
