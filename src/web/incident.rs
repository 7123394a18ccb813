//! The page of an incident, in the order in which on-call asks: what, since when, why, what happened, who knows.

use maud::{Markup, html};

use super::evidence::{self, evidence};
use super::frame::{Frame, Place, REFRESH_SECONDS, page};
use super::marks::{Tone, mark};
use super::units::list;
use super::view::{LINE_MAX, View};
use super::{around, reasons, runbook, silence, told, war_room};
use crate::domain::figures::Figures;
use crate::domain::incident::Incident;
use crate::domain::names::ScheduleName;
use crate::domain::time::{between, words};
use crate::engine::ledger::acts::{BY_MAX, NOTE_MAX};
use crate::ports::{Diagnosis, IncidentStory, Overview};

/// What somebody said, with their name before it.
const SAID_MAX: usize = BY_MAX + 2 + NOTE_MAX;

/// How many lines of a time line are shown: the first of them and the last.
const MOMENTS_MAX: usize = 400;

/// The word of a diagnosis in which all held; its text is what was seen, and no sentence.
const PASSED: &str = "passed";

/// The longest id that is looked up; ours have 26 characters.
pub const ID_LENGTH_MAX: usize = 64;

/// The page.
pub fn incident(view: &View<'_>, story: &IncidentStory, overview: &Overview) -> Markup {
    let incident = &story.incident;
    let tone = if incident.is_open() { Tone::Bad } else { Tone::Well };
    let what = what(incident);
    let silences = if incident.is_open() { silence::taking(view, overview, incident) } else { Vec::new() };
    let main = html! {
        h1 { span .(tone.class()) { (incident.severity) } " " (what) }
        p .lede { (lede(view, incident)) " " (known(view, incident)) }
        (buttons(view, incident))
        (seen(view, incident))
        div .two {
            div {
                (diagnoses(view, story))
                section .who { h2 { "Told" } (told::told(view, story)) }
                section .card .pad {
                    h2 { "What happened" }
                    (time_line(view, story))
                }
                (runbook::texts(view, story))
                (evidence(view, story))
            }
            div {
                section .card .pad { h2 { "In short" } (in_short(view, incident)) }
                @if incident.is_open() { (around::around(view, incident, overview)) }
                (silence::drawn(view, &silences, incident))
                @if !story.nearby.is_empty() {
                    section .card .pad { h2 { "About the same time" } (nearby(view, story)) }
                }
            }
        }
        @if holds_still(view, incident) {
            section id="war-room" .card .pad {
                h2 { "War-room text" small { "to be copied" } }
                textarea .paper readonly rows="16" aria-label="war-room text" { (war_room::war_room(view, story)) }
            }
        }
    };
    let title = format!("{} {what}", incident.severity);
    let refresh = incident.is_open().then_some(REFRESH_SECONDS);
    page(view, &Frame { place: Place::Incident, title: &title, tone, refresh, main })
}

/// Whether what somebody selects on the page stays selected: a page that reads itself anew would take it away.
fn holds_still(view: &View<'_>, incident: &Incident) -> bool {
    !incident.is_open() || view.visit.is_still()
}

/// Whether a probe stands behind it that has a page, and a run that was recorded: not of Roundsman itself, nor of a drill.
fn is_of_probe(incident: &Incident) -> bool {
    !(incident.aspect.is_own() || incident.drill)
}

fn buttons(view: &View<'_>, incident: &Incident) -> Markup {
    let id = &incident.id;
    html! {
        p .runbook {
            @if incident.is_open() {
                @if incident.acknowledged.is_none() { a .btn .first href={ (id) "/acknowledge" } { "Take it on" } " " }
                a .btn href={ (id) "/note" } { "Note" } " "
                a .btn href={ (id) "/silence" } { "Silence…" } " "
            }
            @if let Some(runbook) = runbook::button(view, incident) { (runbook) " " }
            @if is_of_probe(incident) { a .btn href={ "../probes/" (incident.probe) } { "The probe" } " " }
            a .btn href=(if holds_still(view, incident) { "#war-room" } else { "?still#war-room" }) { "Copy war-room text" } " "
            a .btn href={ (id) "/war-room" } { "War-room text" } " "
            a .btn href={ (id) "/post-mortem" } { "Post-mortem text" }
        }
    }
}

/// What was seen first beside what was seen last.
fn seen(view: &View<'_>, incident: &Incident) -> Markup {
    let are_same = incident.latest_failures == incident.first_failures;
    html! {
        div .seen .both[!are_same] {
            section .card .pad {
                h2 { "What was seen first" small { (view.instant(incident.since)) @if are_same { ", and last" } } }
                (failures(view, &incident.first_failures))
            }
            @if !are_same {
                section .card .pad {
                    h2 { "What was seen last" }
                    (failures(view, &incident.latest_failures))
                }
            }
        }
    }
}

fn time_line(view: &View<'_>, story: &IncidentStory) -> Markup {
    let moments = story.time_line();
    let left_out = moments.len().saturating_sub(MOMENTS_MAX);
    // What began it stays, whatever happened since.
    let shown = moments.iter().take(MOMENTS_MAX / 2).chain(moments.iter().skip(MOMENTS_MAX / 2 + left_out));
    html! {
        ol .tl {
            @for (index, moment) in shown.enumerate() {
                @if left_out > 0 && index == MOMENTS_MAX / 2 { li .dim { span { "… " (left_out) " left out …" } } }
                li {
                    time datetime=(crate::domain::time::rfc3339(moment.at)) { (view.exactly(moment.at)) }
                    b { (view.text(&moment.what, 60)) }
                    @if matches!(&*moment.what, "note" | "acknowledged") { span .lines { (view.lines(&moment.text, SAID_MAX)) } }
                    @else { span { (reasons::prose(view, &moment.text, LINE_MAX)) } }
                }
            }
        }
        @if moments.is_empty() { p .dim { "nothing is recorded" } }
    }
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

/// Whether somebody has it, and what happens if nobody does.
fn known(view: &View<'_>, incident: &Incident) -> String {
    // While it is muted nobody is told more of it.
    let escalates = incident.escalate_at.filter(|_| incident.quiet.is_none());
    match (&incident.acknowledged, incident.is_open(), escalates) {
        (Some(taken), true, _) => format!("{} has taken it on.", view.text(&taken.by, LINE_MAX)),
        (Some(taken), false, _) => format!("{} had taken it on.", view.text(&taken.by, LINE_MAX)),
        (None, true, Some(at)) => format!("Nobody has taken it on; others are told at {}.", view.instant(at)),
        (None, true, None) => "Nobody has taken it on.".to_owned(),
        (None, false, _) => "Nobody had taken it on.".to_owned(),
    }
}

fn failures(view: &View<'_>, failures: &[crate::domain::outcome::Failure]) -> Markup {
    if failures.is_empty() {
        return html! { p .dim { "no reason is recorded" } };
    }
    reasons::sides(view, Tone::Bad, failures)
}

/// What was looked at because it opened, what was bad first: in short, and in whole for who asks.
fn diagnoses(view: &View<'_>, story: &IncidentStory) -> Markup {
    let mut diagnoses: Vec<&Diagnosis> = story.diagnoses.iter().collect();
    diagnoses.sort_by_key(|diagnosis| diagnosis.finding.verdict == PASSED);
    html! {
        @if !story.diagnoses.is_empty() {
            section .card .pad .run {
                h2 { "What diagnosis saw" }
                @for Diagnosis { run, started_at, finding, bundle, .. } in diagnoses {
                    details {
                        summary {
                            (mark(Tone::of_verdict(&finding.verdict), &view.text(&finding.verdict, 60))) " " b { (finding.probe) } " "
                            span .dim { (view.instant(*started_at)) }
                            @if finding.verdict == PASSED { @if !finding.text.is_empty() { " " code { (view.text(&finding.text, LINE_MAX)) } } }
                            @else { " " (reasons::prose(view, &finding.text, LINE_MAX)) }
                        }
                        (evidence::bundle(view, bundle))
                        (evidence::leads_to(run))
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
            @if is_of_probe(incident) {
                dt { "run" } dd { a href={ "../runs/" (incident.opening_run) } { code { (incident.opening_run) } } }
            }
            dt { "incident" } dd { code { (incident.id) } }
        }
    }
}
