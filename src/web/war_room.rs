//! The text of the war room: what people paste into their channel when an incident begins, filled in with what is known.
//! What only people know is a blank.

use super::markdown::{blank, plain, span};
use super::paper::{Paper, known_as, when};
use super::view::{LINE_MAX, VALUE_MAX, View};
use crate::domain::figures::Figures;
use crate::domain::incident::Incident;
use crate::domain::time::{between, words};
use crate::ports::IncidentStory;

/// The text, as Markdown.
pub fn war_room(view: &View<'_>, story: &IncidentStory) -> String {
    let incident = &story.incident;
    let mut paper = Paper::default();
    paper.line(&title(view, incident));
    paper.line("");
    head(view, incident, &mut paper);

    paper.heading("Symptoms");
    paper.item("User impact", &blank("what do users notice, and how many of them?"));
    paper.line("- Error messages:");
    paper.failures(view, &incident.latest_failures);
    paper.item("Affected services", &affected(view, story));

    paper.heading("Root cause");
    paper.item("What went wrong", &blank("what broke?"));
    paper.item("Why it happened", &blank("what made it break, and why now?"));
    paper.changes(view, incident);
    paper.findings(view, story);

    paper.heading("Impact");
    paper.item("Affected users", &blank("how many, and who?"));
    paper.item("Data loss", &blank("none, or what and since when?"));
    paper.item("Business impact", &blank("orders, money, promises?"));

    paper.heading("Resolution");
    paper.item("Fix applied", &blank("what was done, by whom, when?"));
    paper.item("Verification steps", &verification(view, incident));

    paper.heading("Prevention");
    paper.item("Root cause fix", &blank("what will be built, by whom, by when?"));
    paper.item("Monitoring improvements", &blank("what would have told us sooner?"));
    paper.item("Process changes", &blank("what will people do otherwise?"));

    paper.heading("Timeline");
    paper.time_line(view, story);
    paper.line(&format!("- {}", blank("when was the fix deployed?")));
    paper.end()
}

/// `[SERVICE] [P1] brief description`.
pub fn title(view: &View<'_>, incident: &Incident) -> String {
    let (service, severity) = (plain(view, known_as(incident), LINE_MAX), incident.severity);
    format!("# [{service}] [{severity}] {}", plain(view, &super::incident::what(incident), LINE_MAX))
}

fn head(view: &View<'_>, incident: &Incident, paper: &mut Paper) {
    let duration = incident.resolved_at.map_or_else(
        || format!("{}, and it goes on", words(between(incident.since, view.now))),
        |over| words(between(incident.since, over)),
    );
    paper.item("Severity", incident.severity.as_str());
    paper.item("Start time", &when(incident.since));
    paper.item("End time", &incident.resolved_at.map_or_else(|| "it goes on".to_owned(), when));
    paper.item("Duration", &duration);
    for (name, told) in Figures::of(incident).told() {
        if let Some(told) = told.filter(|_| name != "time to resolve") {
            let name = name.replacen('t', "T", 1);
            paper.item(&name, &told);
        }
    }
    if let Some(taken) = &incident.acknowledged {
        paper.item("Taken on", &format!("{} by {}", when(taken.at), span(view, &taken.to_string(), VALUE_MAX)));
    }
    if let Some(window) = &incident.maintenance {
        paper.item("Maintenance", &format!("it began in `{window}`"));
    }
    if let Some(runbook) = &incident.runbook {
        paper.item("Runbook", &span(view, runbook, LINE_MAX));
    }
    let page = view.plan.web.url.as_ref().map(|base| format!(", {base}/incidents/{}", incident.id));
    paper.item("Incident", &format!("`{}`{}", incident.id, page.unwrap_or_default()));
}

/// What fails, by its probe and the service that it stands for, and what failed about the same time.
fn affected(view: &View<'_>, story: &IncidentStory) -> String {
    let of = |incident: &Incident| {
        let service = plain(view, known_as(incident), LINE_MAX);
        format!("{service} (`{}`, {})", incident.probe, incident.severity)
    };
    let others: Vec<_> = story.nearby.iter().map(of).collect();
    if others.is_empty() {
        return of(&story.incident);
    }
    format!("{}; about the same time: {}", of(&story.incident), others.join(", "))
}

fn verification(view: &View<'_>, incident: &Incident) -> String {
    if let Some(over) = incident.resolved_at {
        let why = incident.resolved_because.as_ref().map(|why| format!(" ({})", span(view, why, LINE_MAX)));
        return format!("`{}` closed it at {}{}", incident.probe, when(over), why.unwrap_or_default());
    }
    let schedules: Vec<_> = incident.firing.keys().map(|schedule| format!("`{schedule}`")).collect();
    format!("`{}` passes again on {}", incident.probe, schedules.join(", "))
}
