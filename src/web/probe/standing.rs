//! How a probe stands on each of its schedules and since when, in one sentence and in a line for each; and why nobody may hear of
//! it.

use maud::{Markup, html};

use super::window::Asked;
use crate::domain::incident::Incident;
use crate::domain::judge::Aspect;
use crate::domain::names::ScheduleName;
use crate::domain::outcome::Run;
use crate::domain::pause::Pause;
use crate::domain::schedule::Schedule;
use crate::domain::time::{Timestamp, between, words};
use crate::engine::calendar::timeout;
use crate::engine::plan::PlannedProbe;
use crate::ports::{Overview, RunSummary};
use crate::web::board::{Standing, standing_on};
use crate::web::marks::{Tone, mark};
use crate::web::units::{counted, list};
use crate::web::view::View;
use crate::web::{policy, quiet};

/// How it stands on one schedule.
pub struct Stand<'a> {
    /// The schedule.
    pub schedule: &'a Schedule,
    /// How.
    pub standing: Standing,
    /// Since when, as far as that is known.
    pub since: Option<Since>,
    /// The last run, however old.
    pub last: Option<&'a Run>,
}

/// Since when something is so.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Since {
    /// Since a run that is known.
    At(Timestamp),
    /// At least since then: what was before is not looked at.
    Before(Timestamp),
}

/// How it stands on each of its schedules, the gravest first.
pub fn stands<'a>(
    view: &View<'_>,
    overview: &'a Overview,
    probe: &PlannedProbe,
    schedules: &[&'a Schedule],
) -> Vec<Stand<'a>> {
    let stand = |schedule: &&'a Schedule| {
        let key = (schedule.name.clone(), probe.name.clone());
        let last = overview.last.get(&key);
        let standing = standing_on(view, overview, schedule, probe);
        let hour = overview.runs.get(&key).map_or(&[][..], |runs| runs);
        let is_of_run = !matches!(standing, Standing::Waiting | Standing::Overdue | Standing::Paused);
        let since = match pause_of(view, overview, probe, schedule) {
            Some(pause) => Some(Since::At(pause.from)),
            None if is_of_run => since(hour),
            None => last.map(|run| Since::At(run.started_at)),
        };
        // What fails for longer than the hour has an incident that knows since when.
        let of_it = |incident: &&Incident| incident.probe == probe.name && incident.firing.contains_key(&schedule.name);
        let since = match (since, overview.open.iter().find(of_it)) {
            (Some(Since::Before(at)), Some(incident)) if standing == Standing::Failed && incident.since < at => {
                Some(Since::At(incident.since))
            }
            (since, _) => since,
        };
        Stand { schedule, standing, since, last }
    };
    let mut stands: Vec<_> = schedules.iter().map(stand).collect();
    stands.sort_by_key(|stand| stand.standing);
    stands
}

/// Since which pause it is not run on a schedule: of several, the one that began first.
fn pause_of<'a>(
    view: &View<'_>,
    overview: &'a Overview,
    probe: &PlannedProbe,
    schedule: &Schedule,
) -> Option<&'a Pause> {
    let takes = |pause: &&Pause| pause.is_active(view.now) && pause.what.takes(Some(&schedule.name), &probe.name);
    overview.pauses.iter().filter(takes).min_by_key(|pause| pause.from)
}

/// Since when the runs of the last hour end as the last of them does.
fn since(hour: &[RunSummary]) -> Option<Since> {
    let last = hour.last()?;
    let same = hour.iter().rev().take_while(|run| run.verdict == last.verdict).count();
    let first = hour.get(hour.len() - same)?.started_at;
    Some(if same == hour.len() { Since::Before(first) } else { Since::At(first) })
}

/// The sentence: what carries the accent, and the rest. Where an incident of it is open, that is what is wrong.
pub fn sentence(view: &View<'_>, probe: &PlannedProbe, stands: &[Stand<'_>], is_open: bool) -> (Tone, String, String) {
    let (tone, accent, rest) = stands_so(view, probe, stands);
    if !is_open {
        return (tone, accent, rest);
    }
    match stands.first() {
        Some(worst) if !worst.standing.is_bad() => {
            (Tone::Bad, format!("{} has an open incident", probe.name), format!(", and {}{rest}", verb(worst.standing)))
        }
        _ => (Tone::Bad, accent, rest),
    }
}

fn stands_so(view: &View<'_>, probe: &PlannedProbe, stands: &[Stand<'_>]) -> (Tone, String, String) {
    let Some(worst) = stands.first() else {
        let rest = if probe.on_request { " runs when somebody asks for it." } else { " is on no schedule." };
        return (Tone::Unknown, probe.name.to_string(), rest.to_owned());
    };
    let on = |standing: Standing| {
        let on = stands.iter().filter(|stand| stand.standing == standing);
        list(on.map(|stand| stand.schedule.name.as_str()))
    };
    let accent = format!("{} {}", probe.name, verb(worst.standing));
    let rest = match stands.iter().find(|stand| stand.standing != worst.standing) {
        None => worst.since.map_or_else(|| ".".to_owned(), |since| format!(" {}.", since_when(view, since))),
        Some(best) => format!(" on {}, and {} on {}.", on(worst.standing), verb(best.standing), on(best.standing)),
    };
    (worst.standing.tone(), accent, rest)
}

fn verb(standing: Standing) -> &'static str {
    match standing {
        Standing::Failed => "is failing",
        Standing::Inconclusive => "cannot be seen",
        Standing::Overdue => "is overdue",
        Standing::Degraded => "is degraded",
        Standing::Paused => "is paused",
        Standing::Waiting => "has not run yet",
        Standing::Skipped => "is skipped",
        Standing::Passed => "passes",
    }
}

/// `since 09:14:02 UTC (3 min)`, `since 08:20:00 UTC or longer`.
fn since_when(view: &View<'_>, since: Since) -> String {
    match since {
        Since::At(at) => format!("since {} ({})", view.instant(at), words(between(at, view.now))),
        Since::Before(at) => format!("since {} or longer", view.instant(at)),
    }
}

/// A line for each schedule, by which one chooses what the page shows.
pub fn lines(
    view: &View<'_>,
    probe: &PlannedProbe,
    asked: &Asked,
    shown: Option<&ScheduleName>,
    stands: &[Stand<'_>],
) -> Markup {
    let is_shown = |schedule: &Schedule| shown == Some(&schedule.name);
    html! {
        ul .stands .card {
            @for Stand { schedule, standing, since, last } in stands {
                @let chosen = Asked { schedule: Some(schedule.name.clone()), before: None, ..asked.clone() };
                li {
                    (mark(standing.tone(), standing.word()))
                    span .n {
                        @if stands.len() > 1 {
                            a href=(chosen.href()) aria-current=[is_shown(schedule).then_some("true")] { b { (schedule.name) } }
                        } @else { b { (schedule.name) } }
                        span { (policy::cadence(&schedule.cadence)) @if stands.len() > 1 && is_shown(schedule) { " · shown below" } }
                    }
                    span .n {
                        @if let Some(since) = since { span { (since_when(view, *since)) } }
                        @if let Some(run) = last { span { "last run " a href={ "../runs/" (run.id) } { (view.ago(run.started_at)) } } }
                        @let timeout = timeout(schedule, probe);
                        @let since = view.began_at.filter(|_| last.is_none());
                        @let due = schedule.next_due(&probe.name, timeout, since, view.now);
                        @if let Some(due) = due.filter(|_| *standing != Standing::Paused) {
                            span { "next run " (view.ahead(due)) }
                        }
                    }
                }
            }
        }
    }
}

/// Why nobody may hear of it now: pauses, silences, maintenance, what it needs. Whether that is so, only an incident knows.
pub fn quiet(view: &View<'_>, overview: &Overview, probe: &PlannedProbe, schedules: &[&Schedule]) -> Markup {
    let rounds: Vec<_> = schedules.iter().map(|schedule| (&schedule.name, &probe.name, &probe.labels)).collect();
    // What is only degraded, or what we cannot see, keeps nothing else quiet.
    let is_needed = |incident: &&Incident| incident.aspect == Aspect::Failing && probe.needs.contains(&incident.probe);
    html! {
        @for reason in quiet::reasons(view, overview, &rounds) { p .quiet { (reason) } }
        @for incident in overview.open.iter().filter(is_needed) {
            p .quiet {
                "It " b { "needs " a href=(incident.probe) { (incident.probe) } } ", of which "
                a href={ "../incidents/" (incident.id) } { "an incident is open" } ": that may keep it quiet."
            }
        }
        @if let Some(runs) = overview.debts.get(&probe.name) {
            p .quiet { b { "Still to be cleaned up:" } " " (counted(*runs, "run")) "." }
        }
    }
}
