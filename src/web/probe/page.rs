//! The page of a probe, in the order in which people ask: how it stands, what is wrong, how it was, what it is.

use std::collections::BTreeMap;

use maud::{Markup, html};

use super::asked::Told;
use super::certificates::certificates;
use super::definition::definition;
use super::drawing::{Drawn, MARKS_MAX};
use super::fall::fall;
use super::figures::{by_zone, over_all};
use super::list;
use super::standing::{Stand, lines, quiet, sentence};
use super::window::{Asked, Over, Shown, Source};
use crate::domain::incident::{Hearers, Incident, IncidentId};
use crate::domain::names::ProbeName;
use crate::domain::objective::{Standing as Objectives, Stretch};
use crate::domain::outcome::{Failure, Run};
use crate::domain::time::{between, words};
use crate::engine::plan::PlannedProbe;
use crate::web::card::card;
use crate::web::frame::{Frame, Place, REFRESH_SECONDS, page};
use crate::web::incident::what;
use crate::web::marks::{Tone, mark};
use crate::web::reasons;
use crate::web::units::{count, counted, percent};
use crate::web::view::{LINE_MAX, View};

/// Of how many different bad runs the failures are spelled out, and how many failures of each.
const BAD_MAX: usize = 3;
/// How many failures of a bad run are spelled out.
const FAILURES_MAX: usize = 3;

/// How many incidents are listed.
const INCIDENTS_MAX: usize = 10;

/// The page of a probe that is in the plan.
pub fn probe(view: &View<'_>, probe: &PlannedProbe, asked: &Asked, told: &Told, stands: &[Stand<'_>]) -> Markup {
    let schedules: Vec<_> = stands.iter().map(|stand| stand.schedule).collect();
    let open: Vec<_> = told.overview.open.iter().filter(|incident| incident.probe == probe.name).collect();
    let (tone, accent, rest) = sentence(view, probe, stands, !open.is_empty());
    let main = html! {
        h1 { span .(tone.class()) { (accent) } (rest) }
        p .lede {
            @match open.as_slice() {
                [] => { "No incident of it is open." }
                [one] => { "An incident of it is open for " (words(between(one.since, view.now))) "." }
                many => { (count(many.len() as u64)) " incidents of it are open." }
            }
        }
        @if !open.is_empty() { (incidents_open(view, &open, &told.overview.hearers)) }
        (lines(view, probe, asked, told.schedule.as_ref(), stands))
        (quiet(view, &told.overview, probe, &schedules))
        @if let Some(shown) = told.shown { (past(view, asked, shown, told)) }
        div .two {
            div {
                (last_failures(view, &told.bad))
                @if let Some(run) = &told.last { (last_run(view, run)) }
                (list::list(view, asked, &told.runs))
            }
            div {
                (certificates(view, told.last.as_ref(), told.kept.as_ref()))
                (objectives(view, &told.objectives))
                (incidents(view, &told.incidents))
            }
        }
        (definition(view, probe, &schedules))
    };
    let title = accent;
    // What was does not change, and a page that reads itself anew takes away what one looks at.
    let refresh =
        (asked.before.is_none() && !matches!(asked.shown, Some(Shown::Between(..)))).then_some(REFRESH_SECONDS);
    page(view, &Frame { place: Place::Probe, title: &title, tone, refresh, main })
}

/// The page of a probe of which there is still something, and which is not in the plan.
pub fn removed(view: &View<'_>, name: &ProbeName, asked: &Asked, told: &Told) -> Markup {
    let main = html! {
        h1 { span .unk { (name) " is not in the configuration." } }
        p .lede { "It was taken out of it. What it did is kept for " (words(view.plan.retention)) "." }
        div .two {
            div { (last_failures(view, &told.bad)) (list::list(view, asked, &told.runs)) }
            div { (incidents(view, &told.incidents)) }
        }
    };
    page(view, &Frame { place: Place::Probe, title: name.as_str(), tone: Tone::Unknown, refresh: None, main })
}

/// The page for a name that nothing has.
pub fn unknown(view: &View<'_>) -> Markup {
    let probes = counted(view.plan.probes.len() as u64, "probe");
    let main = html! {
        h1 { "There is no such probe." }
        p .lede { (probes) " are configured: they are on the " a href="../" { "status page" } "." }
    };
    page(view, &Frame { place: Place::Probe, title: "No such probe", tone: Tone::Unknown, refresh: None, main })
}

/// The page for an address that cannot be meant.
pub fn misread(view: &View<'_>, why: &str) -> Markup {
    let main = html! {
        h1 { "This address says nothing that can be shown." }
        p .lede { (view.text(why, LINE_MAX)) ". " a href="?" { "The page as it is without it" } "." }
    };
    page(view, &Frame { place: Place::Probe, title: "Misread", tone: Tone::Unknown, refresh: None, main })
}

fn incident_link(view: &View<'_>, incident: &Incident) -> Markup {
    let what = format!("{} {}", incident.severity, what(incident));
    html! { a href={ "../incidents/" (incident.id) } { (view.text(&what, LINE_MAX)) } }
}

fn incidents_open(view: &View<'_>, open: &[&Incident], hearers: &BTreeMap<IncidentId, Hearers>) -> Markup {
    html! {
        section .incidents aria-label="open incidents" {
            @for incident in open.iter().take(INCIDENTS_MAX) { (card(view, incident, hearers.get(&incident.id), "../")) }
            @if open.len() > INCIDENTS_MAX { p .dim { "and " (counted((open.len() - INCIDENTS_MAX) as u64, "incident")) " more" } }
        }
    }
}

/// How it was: the figures of the four stretches that have names, and the chart of the one that is shown.
fn past(view: &View<'_>, asked: &Asked, shown: Shown, told: &Told) -> Markup {
    let window = &told.window;
    let drawn = Drawn {
        window,
        parts: &told.parts,
        period: told.period,
        changes: &told.changes,
        incidents: &told.within,
        now: view.now,
    };
    let link = |from, until| asked.showing(Shown::Between(from, until)).href();
    html! {
        section .card .pad .past-chart id="past" {
            h2 {
                @match shown { Shown::Over(over) => { "The last " (over.word()) } Shown::Between(..) => { "A part of what was" } }
                small {
                    (view.instant(window.from)) " to " (view.instant(window.until))
                    @if let Some(schedule) = &told.schedule { " on " (schedule) }
                }
            }
            p .choice {
                @for over in Over::ALL {
                    a .pick href=(asked.showing(Shown::Over(over)).href()) aria-current=[(shown == Shown::Over(over)).then_some("true")] { (over.word()) }
                }
                a .pick href=(asked.showing(window.before()).href()) { "← before" }
                @if let Some(after) = window.after(view.now) { a .pick href=(asked.showing(after).href()) { "after →" } }
                @if let Some(wider) = window.wider(view.now) { a .pick href=(asked.showing(wider).href()) { "wider" } }
            }
            @if told.parts.is_empty() {
                p .dim { "No run is on record in this time." }
            } @else {
                (drawn.chart(link))
                (key(&drawn))
            }
            (marks(view, told))
            div .two .numbers {
                div { h3 { "All of it" } (over_all(asked, shown, &told.figures)) }
                @if !told.parts.is_empty() {
                    details { summary { "The chart in numbers" } (by_zone(asked, window, &told.parts)) }
                }
            }
            p .dim {
                "Well is the share of the runs that did not fail, of those in which we could look. p95 is the time that 95 of 100 runs did not exceed, known to 3 %; "
                "it takes 20 runs to say so, and p99 takes 100: of fewer the chart shows the slowest. "
                @if matches!(window.source, Source::Stretches(_)) { "Hours are counted whole, in UTC. " }
                "Runs off the slots count nothing here."
            }
        }
    }
}

/// What the lines and the strip of the chart mean.
fn key(drawn: &Drawn<'_>) -> Markup {
    html! {
        ul .key {
            @if drawn.has_quantiles() {
                @for name in ["p50", "p95", "p99"] {
                    li { svg .sample width="22" height="10" aria-hidden="true" { path .(name) d="M1 5h20" {} } (name) }
                }
            } @else {
                li { svg .sample width="22" height="10" aria-hidden="true" { path .p50 d="M1 5h20" {} } "each run" }
            }
            @if drawn.is_cut() {
                li { svg .sample width="12" height="10" aria-hidden="true" { path .cut d="M6 1v8" {} } "slower than the axis is high" }
            }
            li { (mark(Tone::Well, "passed stands low")) }
            li { (mark(Tone::Warn, "degraded higher")) }
            li { (mark(Tone::Bad, "failed hangs from above")) }
            li { (mark(Tone::Unknown, "we could not look")) }
        }
    }
}

/// What is marked in the chart, in words.
fn marks(view: &View<'_>, told: &Told) -> Markup {
    html! {
        @if !(told.changes.is_empty() && told.within.is_empty()) {
            ul .marked {
                @for change in told.changes.iter().take(MARKS_MAX) {
                    li {
                        "▾ " (view.instant(change.since)) ": version "
                        @if let Some(before) = &change.before { code { (view.text(before, 120)) } " → " }
                        code { (view.text(&change.version, 120)) }
                    }
                }
                @if told.changes.len() > MARKS_MAX { li { "and " (told.changes.len() - MARKS_MAX) " more changes of version" } }
                @for incident in told.within.iter().take(MARKS_MAX) {
                    li { i .shade {} (view.instant(incident.since)) ": " (incident_link(view, incident)) }
                }
                @if told.within.len() > MARKS_MAX { li { "and " (counted((told.within.len() - MARKS_MAX) as u64, "incident")) " more" } }
            }
        }
    }
}

/// What was expected and what came, of the last bad runs that differ.
fn last_failures(view: &View<'_>, bad: &[Run]) -> Markup {
    let mut told: Vec<(&Run, usize)> = Vec::new();
    for run in bad.iter().filter(|run| !run.verdict.failures().is_empty()) {
        let is_full = told.len() == BAD_MAX;
        match told.last_mut() {
            Some((same, times)) if is_same(same.verdict.failures(), run.verdict.failures()) => *times += 1,
            _ if is_full => break,
            _ => told.push((run, 1)),
        }
    }
    html! {
        @if !told.is_empty() {
            section .card .pad {
                h2 { "What was seen when it did not pass" }
                @for (run, times) in told {
                    @let failures = run.verdict.failures();
                    p .dim .of-run {
                        a href={ "../runs/" (run.id) } { (view.instant(run.started_at)) }
                        @if times > 1 { ", and the " (times - 1) " before it" }
                    }
                    (reasons::sides(view, Tone::of_verdict(run.verdict.word()), &failures[..failures.len().min(FAILURES_MAX)]))
                    @if failures.len() > FAILURES_MAX { p .dim { "and " (failures.len() - FAILURES_MAX) " more" } }
                }
            }
        }
    }
}

/// Whether two runs failed for the same reason, whatever the values were.
fn is_same(one: &[Failure], other: &[Failure]) -> bool {
    let what = |failure: &Failure| (failure.kind, failure.step.clone(), failure.expected.clone());
    one.len() == other.len() && one.iter().zip(other).all(|(one, other)| what(one) == what(other))
}

fn last_run(view: &View<'_>, run: &Run) -> Markup {
    html! {
        section .card .pad {
            h2 { "The last run" small { a href={ "../runs/" (run.id) } { (view.instant(run.started_at)) ", all of it" } } }
            (fall(run))
        }
    }
}

fn objectives(view: &View<'_>, objectives: &[Objectives]) -> Markup {
    let rate = |rate: Option<f64>| rate.map_or_else(|| "–".to_owned(), |rate| format!("{rate:.1}×"));
    html! {
        @if !objectives.is_empty() {
            section .card .pad {
                h2 { "Objectives" }
                @for standing in objectives {
                    @let budget = standing.objective.budget(standing.count);
                    @let measured = standing.objective.goal.told(standing.count);
                    h3 { b { (view.text(&standing.objective.text, LINE_MAX)) } " on " (standing.schedule) }
                    dl {
                        dt { "it is" } dd { (standing.judgement().as_str()) }
                        dt { "measured" }
                        dd { (measured.map_or_else(|| "–".to_owned(), percent)) " of " (counted(standing.count.runs, "run")) }
                        dt { "budget left" }
                        dd {
                            @if standing.count.runs == 0 { "–" }
                            @else { (format!("{:.0} %", budget.left() * 100.0)) ", " (count(budget.spent)) " of " (format!("{:.1}", budget.total)) " spent" }
                        }
                        dt { "burn rate over " (Objectives::STRETCHES.map(Stretch::as_str).join(", ")) }
                        dd { (standing.burn.map(rate).join(", ")) }
                    }
                }
                p .dim { "1× uses the whole budget up by the end of its window." }
            }
        }
    }
}

fn incidents(view: &View<'_>, incidents: &[Incident]) -> Markup {
    html! {
        section .card .pad {
            h2 { "Its incidents" }
            @if incidents.is_empty() { p .dim { "None is on record." } }
            @else {
                ul .said .its {
                    @for incident in incidents.iter().take(INCIDENTS_MAX) {
                        li {
                            span {
                                (incident_link(view, incident))
                                span .dim {
                                    (view.instant(incident.since)) ", "
                                    @match incident.resolved_at {
                                        Some(over) => { "for " (words(between(incident.since, over))) }
                                        None => { "still open" }
                                    }
                                }
                            }
                        }
                    }
                }
            }
        }
    }
}
