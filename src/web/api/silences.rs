//! Silences: which there are, one more, one less.

use std::sync::Arc;

use axum::Extension;
use axum::extract::{Path, Request, State};
use axum::http::StatusCode;
use axum::response::Response;

use super::answers::{Trouble, answer, done};
use super::bodies::{Begin, SilenceDone, Silences};
use crate::domain::audit::Author;
use crate::domain::incident::{Incident, OURSELVES};
use crate::domain::names::{ProbeName, glob};
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
    let doubt = if has_begun {
        // What it is about now is known only to whoever can look; nothing hangs on that.
        let overview = room.overview().await.ok();
        let open = overview.as_ref().map(|overview| overview.open.as_slice()).unwrap_or_default();
        doubt(&plan, open, &silence.matchers)
    } else {
        None
    };
    Ok(done(&*plan.secrets, recorded, &SilenceDone { silence, doubt, recorded }))
}

/// That matchers fit nothing that there is, with the name that may be meant. It is no error: what they are about may come.
fn doubt(plan: &Plan, open: &[Incident], matchers: &Matchers) -> Option<String> {
    let takes = |matchers: &Matchers| {
        plan.schedules.values().any(|schedule| {
            let mut probes = schedule.probes.iter().filter_map(|name| plan.probes.get(name));
            probes.any(|probe| matchers.take_round(&schedule.name, &probe.name, &probe.labels))
        })
    };
    // Of ourselves there are incidents too, and of what was removed until they are over.
    let takes_ourselves = || matchers.probes.iter().any(|pattern| glob(pattern, OURSELVES));
    if takes(matchers) || takes_ourselves() || open.iter().any(|incident| matchers.take(incident)) {
        return None;
    }
    let named = Matchers { probes: matchers.probes.clone(), ..Matchers::default() };
    if takes(&named) {
        return Some("no probe that runs fits all of it now".to_owned());
    }
    let known = plan.scheduled().into_iter().map(ProbeName::as_str);
    let meant = matchers.probes.first().and_then(|pattern| nearest(pattern, known));
    let meant = meant.map(|name| format!(": did you mean `{name}`?")).unwrap_or_default();
    Some(format!("no probe that runs fits it now{meant}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::web::tests::fixture::{incident, plan};

    #[test]
    fn a_silence_of_nothing_is_doubted_and_of_something_not() {
        let said = |probes: &[&str], severity: &str, label: &str| {
            let matchers = Matchers {
                probes: probes.iter().map(|pattern| (*pattern).to_owned()).collect(),
                severities: severity.parse().into_iter().collect(),
                labels: label
                    .split_once('=')
                    .map(|(key, value)| (key.to_owned(), value.to_owned()))
                    .into_iter()
                    .collect(),
                ..Matchers::default()
            };
            let gone = Incident { probe: "gone".parse().unwrap(), ..incident() };
            doubt(&plan(), &[gone], &matchers)
        };
        for well in [["api-health"], ["api-*"], ["gone"], ["roundsman"]] {
            assert_eq!(said(&well, "", ""), None, "{well:?}");
        }
        assert_eq!(said(&["nothing", "api-health"], "P1", ""), None, "one must fit");
        let meant = "no probe that runs fits it now: did you mean `api-health`?";
        assert_eq!(said(&["api-helth"], "", "").as_deref(), Some(meant));
        assert_eq!(said(&["zzzzzzzz"], "", "").as_deref(), Some("no probe that runs fits it now"));
        let all = "no probe that runs fits all of it now";
        assert_eq!(said(&["api-health"], "", "service=nothing").as_deref(), Some(all));
    }
}
