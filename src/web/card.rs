//! The card of an open incident: how much it matters, what it is, since when, why, and who knows of it.

use maud::{Markup, html};

use super::units::list;
use super::view::{LINE_MAX, View};
use super::{reasons, runbook};
use crate::domain::history::Unheard;
use crate::domain::incident::Incident;
use crate::domain::names::ChannelName;
use crate::domain::time::{between, words};

/// How many failures it spells out.
const FAILURES_MAX: usize = 2;

/// Who has heard of an incident, and who is still to hear of it.
pub fn hearers(incident: &Incident, unheard: &Unheard) -> String {
    let not_yet = unheard.get(&incident.id).map_or(&[][..], Vec::as_slice);
    let heard: Vec<_> = incident.told.iter().filter(|channel| !not_yet.contains(channel)).collect();
    let names = |channels: &[&ChannelName]| list(channels.iter().map(|channel| channel.as_str()));
    let not_yet: Vec<_> = not_yet.iter().collect();
    match (&*heard, &*not_yet) {
        ([], []) => "nobody was told".to_owned(),
        (heard, []) => format!("told {}", names(heard)),
        ([], not_yet) => format!("not yet taken by {}", names(not_yet)),
        (heard, not_yet) => format!("told {}, not yet taken by {}", names(heard), names(not_yet)),
    }
}

/// The card, on a page from which the root is reached so.
pub fn card(view: &View<'_>, incident: &Incident, unheard: &Unheard, root: &str) -> Markup {
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
                @else { (hearers(incident, unheard)) }
                @if let Some(taken) = &incident.acknowledged { " · taken on by " (view.text(&taken.to_string(), LINE_MAX)) }
                @if let Some(runbook) = runbook::link(view, incident) { " · " (runbook) }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_is_said_to_have_heard_has_taken_a_message() {
        let incident = Incident { told: names(&["ops", "team"]), ..crate::web::tests::fixture::incident() };
        let said = |not_yet: &[&str]| hearers(&incident, &[(incident.id.clone(), names(not_yet))].into());
        assert_eq!(hearers(&incident, &Unheard::new()), "told ops and team");
        assert_eq!(said(&["team"]), "told ops, not yet taken by team");
        assert_eq!(said(&["ops", "team"]), "not yet taken by ops and team");
        let nobody = Incident { told: Vec::new(), ..incident.clone() };
        assert_eq!(hearers(&nobody, &Unheard::new()), "nobody was told");
    }

    fn names(all: &[&str]) -> Vec<ChannelName> {
        all.iter().map(|name| ChannelName::parse(name).unwrap()).collect()
    }
}
