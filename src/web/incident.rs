//! The page of an incident, in the order in which on-call asks: what, since when, why, what happened, who knows.

use maud::{Markup, html};

use super::evidence::evidence;
use super::frame::{Frame, Place, REFRESH_SECONDS, page};
use super::marks::{Tone, mark};
use super::reasons;
use super::units::list;
use super::view::{LINE_MAX, VALUE_MAX, View};
use crate::domain::incident::Incident;
use crate::domain::names::ScheduleName;
use crate::domain::time::{between, words};
use crate::ports::IncidentStory;

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
        @if let Some(runbook) = runbook(view, incident) { p .runbook { (runbook) } }
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
                section .card .pad {
                    h2 { "What happened" }
                    ol .tl {
                        @for moment in &story.moments {
                            li {
                                time datetime=(crate::domain::time::rfc3339(moment.at)) { (view.exactly(moment.at)) }
                                b { (view.text(&moment.what, 60)) }
                                span { (view.text(&moment.text, LINE_MAX)) }
                            }
                        }
                    }
                    @if story.moments.is_empty() { p .dim { "nothing is recorded" } }
                }
                (evidence(view, story))
            }
            div {
                section .card .pad { h2 { "In short" } (in_short(view, incident)) }
                section .card .pad { h2 { "Told" } (told(view, story)) }
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

fn what(incident: &Incident) -> String {
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
                @for (channel, event, outcome) in &story.told {
                    dt { (channel) " " span .dim { (event.as_str()) } }
                    dd { (view.text(outcome, VALUE_MAX)) }
                }
            }
        }
    }
}

/// The runbook where it is a URL that a browser may follow.
pub fn runbook_link(view: &View<'_>, incident: &Incident) -> Option<Markup> {
    let url = web_url(incident)?;
    Some(html! { a href=(view.text(url, VALUE_MAX)) rel="noreferrer" { "runbook" } })
}

/// The runbook as the page has it: a button, or the path as text.
fn runbook(view: &View<'_>, incident: &Incident) -> Option<Markup> {
    if let Some(url) = web_url(incident) {
        return Some(html! { a .btn href=(view.text(url, VALUE_MAX)) rel="noreferrer" { "Runbook" } });
    }
    let path = incident.runbook.as_deref()?;
    Some(html! { "Runbook: " code { (view.text(path, LINE_MAX)) } })
}

fn web_url(incident: &Incident) -> Option<&str> {
    let url = incident.runbook.as_deref()?;
    (url.starts_with("https://") || url.starts_with("http://")).then_some(url)
}
