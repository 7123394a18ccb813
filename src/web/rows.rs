//! A probe in a row of the status page: how it stands and why, ninety days, the last hour, the last run, and who wants it quiet.

use maud::{Markup, html};

use super::board::{Row, Standing, Tier};
use super::days::{Day, bars};
use super::marks::mark;
use super::units::{counted, latency, list};
use super::view::{LINE_MAX, View};
use super::{chart, quiet, reasons};
use crate::domain::names::ProbeName;
use crate::domain::outcome::Verdict;
use crate::domain::quiet::Reason;
use crate::domain::time::milliseconds;
use crate::engine::calendar::timeout;
use crate::ports::Overview;

/// A row with all of it.
pub fn row(view: &View<'_>, overview: &Overview, tier: &Tier<'_>, row: &Row<'_>, days: &[Day]) -> Markup {
    html! {
        li {
            span .vv { (mark(row.standing.tone(), row.standing.word())) }
            div .n {
                a href={ "probes/" (row.probe.name) } { b { (row.probe.name) } }
                (about(view, overview, tier, row))
            }
            div .hist { (bars(days, view.now)) }
            div .spark {
                (chart::line(row.hour, tier.period, view.now))
                div .lab { span { "last hour" } @if let Some(p95) = chart::p95(row.hour) { span { "p95 " (latency(p95)) } } }
            }
            div .num { (numbers(view, tier, row)) }
        }
    }
}

/// A row in short: where its page is, and how it stands unless that is well.
pub fn link(row: &Row<'_>) -> Markup {
    html! {
        li {
            a href={ "probes/" (row.probe.name) } { (row.probe.name) }
            @if row.standing != Standing::Passed { " " (mark(row.standing.tone(), row.standing.word())) }
        }
    }
}

/// The last run: how long it took, how long ago it was, how late it began.
fn numbers(view: &View<'_>, tier: &Tier<'_>, row: &Row<'_>) -> Markup {
    let Some(run) = row.last else {
        // While it is paused no slot is run.
        let timeout = timeout(tier.schedule, row.probe);
        let due = || tier.schedule.next_due(&row.probe.name, timeout, view.began_at, view.now);
        return html! {
            @match (row.standing != Standing::Paused).then(due).flatten() {
                Some(at) => { span { "first run" } span { (view.ahead(at)) } }
                None => span { "no run ahead" }
            }
        };
    };
    html! {
        span {
            @if matches!(run.verdict, Verdict::Inconclusive(_)) { b { "–" } }
            @else { b { (latency(milliseconds(run.duration))) } }
        }
        span { (view.ago(run.started_at)) }
        span { (latency(milliseconds(run.lateness))) " late" }
    }
}

/// What the probe is, why its last run was not passed, its incident, and why nobody is told.
fn about(view: &View<'_>, overview: &Overview, tier: &Tier<'_>, row: &Row<'_>) -> Markup {
    let service = row.probe.labels.get("service").map(|service| format!("service {}", view.text(service, 60)));
    let steps = match row.probe.steps.as_slice() {
        [only] => only.kind.to_owned(),
        steps => counted(steps.len() as u64, "step"),
    };
    let needs = match row.probe.needs.as_slice() {
        [] => None,
        needs => Some(format!("needs {}", list(needs.iter().map(ProbeName::as_str)))),
    };
    let plain: Vec<_> = service.into_iter().chain([steps]).chain(needs).collect();
    let why = row.last.and_then(|run| match &run.verdict {
        Verdict::Inconclusive(cause) => Some(reasons::prose(view, &cause.to_string(), LINE_MAX)),
        verdict => reasons::line(view, verdict.failures()),
    });
    // An incident stands on top of the page with all of it; without one the row says what was wanted.
    let failure = row.last.and_then(|run| run.verdict.failures().first());
    let wanted = failure.filter(|_| row.incident.is_none()).and_then(|failure| reasons::assertion(view, failure));
    let quiet = quiet::reasons(view, overview, &[(&tier.schedule.name, &row.probe.name, &row.probe.labels)]);
    // What mutes the incident may be one of these, or something else that it waits for.
    let muted = row.incident.and_then(|incident| incident.quiet.as_ref());
    let muted = muted.filter(|reason| {
        !matches!(reason, Reason::Paused { .. } | Reason::Silenced { .. } | Reason::Maintenance { .. })
    });
    html! {
        span { (plain.join(" · ")) }
        @if let Some(why) = why {
            span .reason .(row.standing.tone().class()) {
                (why)
                @if let Some(wanted) = wanted { ", wanted " code { (wanted) } }
            }
        }
        @if let Some(incident) = row.incident {
            a .of href={ "incidents/" (incident.id) } { (incident.severity) " since " (view.instant(incident.since)) }
        }
        @for reason in quiet { span .still { (reason) } }
        @if let Some(reason) = muted { span .still { "Muted: " (view.text(&reason.to_string(), LINE_MAX)) } }
    }
}
