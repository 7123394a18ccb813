//! Why nobody is told of a probe on a schedule, or why it is not run: who wants it, why, and until when.

use super::view::{LINE_MAX, View};
use crate::domain::incident::Incident;
use crate::domain::names::{ProbeName, ScheduleName};
use crate::domain::pause::Pause;
use crate::domain::probe::Labels;
use crate::domain::quiet::Reason;
use crate::domain::time::Timestamp;
use crate::ports::Overview;

/// The pause that keeps a probe from being run on a schedule: of several the one that lasts longest.
fn pause<'a>(overview: &'a Overview, now: Timestamp, schedule: &ScheduleName, probe: &ProbeName) -> Option<&'a Pause> {
    let active = |pause: &&Pause| pause.is_active(now) && pause.what.takes(Some(schedule), probe);
    overview.pauses.iter().filter(active).max_by_key(|pause| pause.until.unwrap_or(Timestamp::MAX_UTC))
}

/// All reasons, each in a line.
pub fn reasons(
    view: &View<'_>,
    overview: &Overview,
    schedule: &ScheduleName,
    (probe, labels): (&ProbeName, &Labels),
    incident: Option<&Incident>,
) -> Vec<String> {
    let pause = pause(overview, view.now, schedule, probe).map(ToString::to_string);
    let silences = overview.silences.iter().filter(|silence| silence.is_active(view.now));
    let silences = silences.filter(|silence| silence.matchers.take_round(schedule, probe, labels)).map(|silence| {
        let (id, by, reason) = (silence.id.clone(), silence.by.clone(), silence.reason.clone());
        Reason::Silenced { id, by, reason, until: silence.until }
    });
    let windows = view.plan.maintenance.iter();
    let windows = windows
        .filter(|window| window.matchers.take_round(schedule, probe, labels))
        .filter_map(|window| Some(Reason::Maintenance { name: window.name.clone(), until: window.until(view.now)? }));
    let mut reasons: Vec<Reason> = silences.chain(windows).collect();
    // What mutes the incident may be one of these, or something else that it waits for.
    if let Some(muted) = incident.and_then(|incident| incident.quiet.as_ref())
        && !reasons.contains(muted)
        && !matches!(muted, Reason::Silenced { .. } | Reason::Maintenance { .. })
    {
        reasons.push(muted.clone());
    }
    let reasons = reasons.iter().map(ToString::to_string);
    pause.into_iter().chain(reasons).map(|reason| view.text(&reason, LINE_MAX)).collect()
}
