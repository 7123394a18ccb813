//! The card of an open incident: how much it matters, what it is, since when, why, and who knows of it.

use maud::{Markup, html};

use super::view::{LINE_MAX, View};
use super::{reasons, runbook};
use crate::domain::incident::{Hearers, Incident};
use crate::domain::time::{between, words};

/// How many failures it spells out.
const FAILURES_MAX: usize = 2;

/// The card, on a page from which the root is reached so.
pub fn card(view: &View<'_>, incident: &Incident, hearers: Option<&Hearers>, root: &str) -> Markup {
    html! {
        article .card .inc {
            span .sev { (incident.severity) }
            p .what { a href={ (root) "incidents/" (incident.id) } { b { (incident.what()) } } }
            p .t { "since " (view.instant(incident.since)) " (" (words(between(incident.since, view.now))) ")" }
            @for failure in incident.latest_failures.iter().take(FAILURES_MAX) {
                p .m {
                    @if let Some(assertion) = reasons::assertion(view, failure) { code { (assertion) } " – " }
                    (reasons::short(view, failure))
                }
            }
            p .t {
                @if let Some(reason) = &incident.quiet { "muted: " (view.text(&reason.to_string(), LINE_MAX)) }
                @else if let Some(hearers) = hearers { (hearers) }
                @if let Some(taken) = &incident.acknowledged { " · taken on by " (view.text(&taken.to_string(), LINE_MAX)) }
                @if let Some(runbook) = runbook::link(view, incident) { " · " (runbook) }
            }
        }
    }
}
