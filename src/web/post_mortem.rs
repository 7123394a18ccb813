//! The beginning of a post-mortem: all that is known of an incident that is over, in the order in which it is discussed,
//! with blanks for what only people know.

use super::markdown::{blank, block, span};
use super::paper::{Paper, when};
use super::view::{LINE_MAX, View};
use super::war_room::title;
use crate::domain::exchange::{Bundle, Exchange};
use crate::domain::figures::Figures;
use crate::domain::time::rfc3339;
use crate::ports::IncidentStory;

/// The longest text of an exchange: a paper is read, and the page has the whole.
const EXCHANGE_MAX: usize = 2_000;

/// The text, as Markdown.
pub fn post_mortem(view: &View<'_>, story: &IncidentStory) -> String {
    let incident = &story.incident;
    let mut paper = Paper::default();
    paper.line(&title(view, incident).replacen("# ", "# Post-mortem: ", 1));
    paper.line("");
    paper.item("Incident", &format!("`{}`", incident.id));
    paper.item("Written by", &blank("who, and on which day?"));
    if incident.is_open() {
        paper.item("State", "it is still open, so this is only a beginning");
    }

    paper.heading("Summary");
    paper.line(&blank("three sentences that a stranger understands: what happened, to whom, and what ended it"));

    paper.heading("Figures");
    paper.line("| figure | value |");
    paper.line("|---|---|");
    for (name, told) in Figures::of(incident).told() {
        paper.line(&format!("| {name} | {} |", told.as_deref().unwrap_or("nobody did, or not yet")));
    }
    paper.line(&format!("| severity | {} |", incident.severity));
    paper.line(&format!("| first bad run | {} |", when(incident.since)));
    paper.line(&format!("| opened | {} |", when(incident.opened_at)));
    paper.line(&format!("| over | {} |", incident.resolved_at.map_or_else(|| "not yet".to_owned(), when)));
    paper.line(&format!("| reminders | {} |", incident.reminders));
    paper.line(&format!("| users affected | {} |", blank("how many?")));

    paper.heading("What failed first");
    paper.failures(view, &incident.first_failures);
    paper.heading("What failed last");
    if incident.latest_failures == incident.first_failures {
        paper.line("- the same");
    } else {
        paper.failures(view, &incident.latest_failures);
    }

    paper.heading("Timeline");
    paper.time_line(view, story);

    paper.heading("Root cause");
    paper.changes(view, incident);
    paper.findings(view, story);
    paper.item("Trigger", &blank("what set it off?"));
    for why in ["Why did that break it?", "Why was that so?", "And why that?"] {
        paper.line(&format!("- {why} {}", blank("…")));
    }

    paper.heading("What went well, and what did not");
    paper.item("Well", &blank("what helped?"));
    paper.item("Badly", &blank("what cost time?"));
    paper.item("Luck", &blank("what could have made it worse?"));

    paper.heading("Actions");
    paper.line("| action | kind | owner | due |");
    paper.line("|---|---|---|---|");
    for kind in ["root cause", "monitoring", "process"] {
        paper.line(&format!("| {} | {kind} | {} | {} |", blank("what?"), blank("who?"), blank("when?")));
    }

    for kept in &story.bundles {
        let which = if kept.run == incident.opening_run { "the run that opened it" } else { "the latest bad run" };
        paper.heading(&format!("Evidence: {which}, {}", rfc3339(kept.started_at)));
        evidence(view, &kept.bundle, &mut paper);
    }
    paper.end()
}

/// The last exchange of the last step: that is where a run ends that failed.
fn evidence(view: &View<'_>, bundle: &Bundle, paper: &mut Paper) {
    let Some(step) = bundle.steps.last() else { return };
    for assertion in step.assertions.iter().filter(|assertion| !assertion.held) {
        let parts = assertion.explanation.parts.iter();
        let parts: Vec<_> = parts.map(|part| format!("{} = {}", part.expression, part.value)).collect();
        let because =
            if parts.is_empty() { String::new() } else { format!(": {}", span(view, &parts.join(", "), LINE_MAX)) };
        paper.line(&format!("- {} did not hold{because}", span(view, &assertion.explanation.expression, LINE_MAX)));
    }
    match step.exchanges.last() {
        Some(Exchange { sent, received, .. }) => {
            for (what, text) in [("Sent", sent), ("Received", received)] {
                paper.line(&format!("\n{what} in step `{}`:\n", step.name));
                paper.line(block(view, text, EXCHANGE_MAX).trim_end());
            }
        }
        None => paper.line("- nothing was exchanged"),
    }
}
