//! What the texts of an incident are made of: lines of Markdown, and the parts that they share.

use super::markdown::{plain, span};
use super::view::{LINE_MAX, View};
use crate::domain::incident::Incident;
use crate::domain::outcome::Failure;
use crate::domain::time::{Timestamp, clock};
use crate::ports::IncidentStory;

/// How many failures a text spells out.
const FAILURES_MAX: usize = 10;

/// How many lines of a time line a text has; the page has all of them.
const MOMENTS_MAX: usize = 200;

/// A text that grows.
#[derive(Default)]
pub struct Paper(String);

impl Paper {
    /// One line.
    pub fn line(&mut self, line: &str) {
        self.0.push_str(line);
        self.0.push('\n');
    }

    /// A heading with the air around it.
    pub fn heading(&mut self, heading: &str) {
        self.line(&format!("\n## {heading}\n"));
    }

    /// Something by its name.
    pub fn item(&mut self, name: &str, text: &str) {
        self.line(&format!("- {name}: {text}"));
    }

    /// What failed, with its two sides.
    pub fn failures(&mut self, view: &View<'_>, failures: &[Failure]) {
        if failures.is_empty() {
            self.line("  - no reason is recorded");
        }
        for failure in failures.iter().take(FAILURES_MAX) {
            self.line(&format!("  - {}", span(view, &failure.to_string(), LINE_MAX)));
            for (name, text) in [("expected", &failure.expected), ("came", &failure.actual)] {
                if let Some(text) = text {
                    self.line(&format!("    - {name} {}", span(view, text, LINE_MAX)));
                }
            }
        }
        if failures.len() > FAILURES_MAX {
            self.line(&format!("  - and {} more", failures.len() - FAILURES_MAX));
        }
    }

    /// What changed shortly before.
    pub fn changes(&mut self, view: &View<'_>, incident: &Incident) {
        if incident.changes.is_empty() {
            return self.item("What changed shortly before", "nothing that Roundsman saw");
        }
        self.line("- What changed shortly before:");
        for change in &incident.changes {
            self.line(&format!("  - {}", span(view, change, LINE_MAX)));
        }
    }

    /// What was looked at because it opened.
    pub fn findings(&mut self, view: &View<'_>, story: &IncidentStory) {
        if story.diagnoses.is_empty() {
            return;
        }
        self.line("- What diagnosis saw:");
        for diagnosis in &story.diagnoses {
            let finding = &diagnosis.finding;
            let verdict = plain(view, &finding.verdict, LINE_MAX);
            let at = when(diagnosis.started_at);
            self.line(&format!("  - `{}` {verdict} at {at}: {}", finding.probe, span(view, &finding.text, LINE_MAX)));
        }
    }

    /// What happened, oldest first.
    pub fn time_line(&mut self, view: &View<'_>, story: &IncidentStory) {
        let moments = story.time_line();
        for moment in moments.iter().take(MOMENTS_MAX) {
            let (at, what) = (when(moment.at), plain(view, words(&moment.what), LINE_MAX));
            self.line(&format!("- {at}: {what}: {}", span(view, &moment.text, LINE_MAX)));
        }
        if moments.len() > MOMENTS_MAX {
            self.line(&format!("- and {} more, on the page", moments.len() - MOMENTS_MAX));
        }
    }

    /// The whole.
    pub fn end(self) -> String {
        self.0
    }
}

/// The words that people use for what the time line has one word for.
fn words(what: &str) -> &str {
    match what {
        "failed" | "inconclusive" => "First bad run",
        "opened" => "Issue detected",
        "message" => "Message to the team",
        "acknowledged" => "Taken on",
        "diagnosed" => "Diagnosis",
        "version" => "Another version",
        "reload" => "Configuration changed",
        "nearby" => "Others failed",
        "resolved" => "Issue resolved",
        other => other,
    }
}

/// By what people know the thing that fails: its service, else its probe.
pub fn known_as(incident: &Incident) -> &str {
    incident.labels.get("service").map_or(incident.probe.as_str(), String::as_str)
}

/// An instant with its date: a text is read on other days.
pub fn when(at: Timestamp) -> String {
    clock(at)
}
