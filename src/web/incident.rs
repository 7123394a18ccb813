//! The page of an incident, in the order in which on-call asks: what, since when, why, what happened, who knows.

use maud::{Markup, html};

use super::evidence::{self, evidence};
use super::frame::{Frame, Place, REFRESH_SECONDS, page};
use super::marks::{Tone, mark};
use super::units::list;
use super::view::{LINE_MAX, VALUE_MAX, View};
use super::{reasons, runbook};
use crate::domain::figures::Figures;
use crate::domain::incident::Incident;
use crate::domain::names::ScheduleName;
use crate::domain::time::{between, words};
use crate::ports::{Diagnosis, IncidentStory, Told};

/// The longest id that is looked up; ours have 26 characters.
pub const ID_LENGTH_MAX: usize = 64;

/// The page.
pub fn incident(view: &View<'_>, story: &IncidentStory) -> Markup {
    let incident = &story.incident;
    let tone = if incident.is_open() { Tone::Bad } else { Tone::Well };
    let what = what(incident);
    let main = html! {
        h1 { span .(tone.class()) { (incident.severity) } " " (what) }
        p .lede { (lede(view, incident)) }
        p .runbook {
            @if let Some(runbook) = runbook::button(view, incident) { (runbook) " " }
            @if incident.is_open() {
                @if incident.acknowledged.is_none() { a .btn href={ (incident.id) "/acknowledge" } { "Take it on" } " " }
                a .btn href={ (incident.id) "/note" } { "Note" } " "
            }
            a .btn href={ (incident.id) "/war-room" } { "War-room text" } " "
            @if !incident.is_open() { a .btn href={ (incident.id) "/post-mortem" } { "Post-mortem" } }
        }
        div .two {
            div {
                section .card .pad {
                    h2 { "What was seen first" small { (view.instant(incident.since)) } }
                    (failures(view, &incident.first_failures))
                }
                section .card .pad {
                    h2 { "What was seen last" }
                    @if incident.latest_failures == incident.first_failures { p .dim { "the same" } }
                    @else { (failures(view, &incident.latest_failures)) }
                }
                (diagnoses(view, story))
                (runbook::texts(view, story))
                section .card .pad {
                    h2 { "What happened" }
                    ol .tl {
                        @for moment in &story.time_line() {
                            li {
                                time datetime=(crate::domain::time::rfc3339(moment.at)) { (view.exactly(moment.at)) }
                                b { (view.text(&moment.what, 60)) }
                                span { (view.text(&moment.text, LINE_MAX)) }
                            }
                        }
                    }
                    @if story.moments.is_empty() && story.told.is_empty() { p .dim { "nothing is recorded" } }
                }
                (evidence(view, story))
            }
            div {
                section .card .pad { h2 { "In short" } (in_short(view, incident)) }
                section .card .pad { h2 { "Told" } (told(view, story)) }
                @if !story.nearby.is_empty() {
                    section .card .pad { h2 { "About the same time" } (nearby(view, story)) }
                }
            }
        }
    };
    let title = format!("{} {what}", incident.severity);
    let refresh = incident.is_open().then_some(REFRESH_SECONDS);
    page(view, &Frame { place: Place::Incident, title: &title, tone, refresh, main })
}

/// The page for an id that nothing has.
pub fn unknown(view: &View<'_>) -> Markup {
    let main = html! {
        h1 { "There is no such incident." }
        p .lede { "It may have been erased: closed incidents are kept for " (words(view.plan.retention)) "." }
    };
    page(view, &Frame { place: Place::Incident, title: "No such incident", tone: Tone::Unknown, refresh: None, main })
}

/// What is wrong, or was, in a few words.
pub fn what(incident: &Incident) -> String {
    if incident.is_open() { incident.what() } else { incident.what_was() }
}

fn lede(view: &View<'_>, incident: &Incident) -> String {
    let since = view.instant(incident.since);
    match incident.resolved_at {
        None => format!("Open for {}, since {since}.", words(between(incident.since, view.now))),
        Some(over) => {
            let because = incident.resolved_because.as_deref().map(|why| format!(": {}", view.text(why, LINE_MAX)));
            let long = words(between(incident.since, over));
            let over = view.instant(over);
            format!("Resolved at {over} after {long}, since {since}{}.", because.unwrap_or_default())
        }
    }
}

fn failures(view: &View<'_>, failures: &[crate::domain::outcome::Failure]) -> Markup {
    if failures.is_empty() {
        return html! { p .dim { "no reason is recorded" } };
    }
    reasons::sides(view, Tone::Bad, failures)
}

/// What was looked at because it opened: in short, and in whole for who asks.
fn diagnoses(view: &View<'_>, story: &IncidentStory) -> Markup {
    html! {
        @if !story.diagnoses.is_empty() {
            section .card .pad .run {
                h2 { "What diagnosis saw" }
                @for Diagnosis { started_at, finding, bundle, .. } in &story.diagnoses {
                    details {
                        summary {
                            (mark(Tone::of_verdict(&finding.verdict), &view.text(&finding.verdict, 60))) " " b { (finding.probe) } " "
                            span .dim { (view.instant(*started_at)) }
                            @if !finding.text.is_empty() { " " code { (view.text(&finding.text, LINE_MAX)) } }
                        }
                        (evidence::bundle(view, bundle))
                    }
                }
            }
        }
    }
}

fn nearby(view: &View<'_>, story: &IncidentStory) -> Markup {
    html! {
        dl {
            @for other in &story.nearby {
                dt { (view.instant(other.opened_at)) }
                dd { a href=(other.id) { (other.severity) " " (what(other)) } }
            }
        }
    }
}

fn in_short(view: &View<'_>, incident: &Incident) -> Markup {
    let schedules = list(incident.schedules.iter().map(ScheduleName::as_str));
    let firing = list(incident.firing.keys().map(ScheduleName::as_str));
    html! {
        dl {
            dt { "state" }
            dd { @if incident.is_open() { (mark(Tone::Bad, "open")) } @else { (mark(Tone::Well, "resolved")) } }
            dt { "severity" } dd { (incident.severity) }
            dt { "first bad run" } dd { (view.instant(incident.since)) }
            dt { "opened" } dd { (view.instant(incident.opened_at)) }
            @if let Some(over) = incident.resolved_at { dt { "resolved" } dd { (view.instant(over)) } }
            @if let Some(taken) = &incident.acknowledged {
                dt { "taken on" }
                dd { (view.instant(taken.at)) " by " (view.text(&taken.to_string(), LINE_MAX)) }
            }
            @for (name, told) in Figures::of(incident).told() {
                @if let Some(told) = told { dt { (name) } dd { (told) } }
            }
            @if let Some(window) = &incident.maintenance { dt { "maintenance" } dd { (window) } }
            dt { "seen by" } dd { (schedules) }
            @if incident.is_open() { dt { "firing now" } dd { (firing) } }
            @if incident.is_flapping() { dt { "flapping" } dd { "it comes and goes, and stays open until it has been quiet" } }
            @for (key, value) in &incident.labels { dt { (view.text(key, 60)) } dd { (view.text(value, LINE_MAX)) } }
            dt { "run" } dd { code { (incident.opening_run) } }
            dt { "incident" } dd { code { (incident.id) } }
        }
    }
}

fn told(view: &View<'_>, story: &IncidentStory) -> Markup {
    html! {
        @if let Some(reason) = &story.incident.quiet {
            p {
                @if story.incident.is_open() { "Muted: " } @else { "Was muted: " }
                (view.text(&reason.to_string(), LINE_MAX)) "."
            }
        }
        @else if story.told.is_empty() { p .dim { "Nobody: no route takes it now." } }
        @if !story.told.is_empty() {
            dl {
                @for Told { channel, event, settled_at, became, .. } in &story.told {
                    dt { (channel) " " span .dim { (event.as_str()) } }
                    dd {
                        (view.text(became, VALUE_MAX))
                        @if let Some(at) = settled_at { " " span .dim { (view.instant(*at)) } }
                    }
                }
            }
        }
    }
}
