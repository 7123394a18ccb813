//! `incidents`: which there are, or all that happened to one.

use std::path::PathBuf;

use clap::Args;

use super::answer::{self, Answer, Output, Stop};
use super::cli::Format;
use super::daemon_client::{DaemonArguments, DaemonClient, segment};
use crate::config::load::Surroundings;
use crate::domain::incident::Hearers;
use crate::domain::outcome::Failure;
use crate::domain::text::harmless;
use crate::domain::time::{Timestamp, between, clock, words};
use crate::web::api::bodies::{IncidentBody, Incidents, Story, Text};

/// Which incidents.
#[derive(Clone, Debug, Args)]
#[expect(clippy::struct_excessive_bools, reason = "each is a flag of the command line")]
pub struct IncidentsArguments {
    /// One incident: its id, a beginning of it that no other has, or its probe. Without it: all that are open.
    #[arg(value_name = "INCIDENT")]
    pub incident: Option<String>,
    /// Show the last that were resolved as well.
    #[arg(long, conflicts_with = "incident")]
    pub resolved: bool,
    /// Show all that are on record.
    #[arg(long, conflicts_with = "incident")]
    pub all: bool,
    /// Write the text of the incident's war room, filled in with what is known, as Markdown.
    #[arg(long, requires = "incident", conflicts_with_all = ["post_mortem", "resolved", "all"])]
    pub war_room: bool,
    /// Write the beginning of the incident's post-mortem, as Markdown.
    #[arg(long, requires = "incident", conflicts_with_all = ["resolved", "all"])]
    pub post_mortem: bool,
    /// How they are shown.
    #[arg(long, value_enum, default_value_t)]
    pub format: Format,
    /// Which daemon.
    #[command(flatten)]
    pub daemon: DaemonArguments,
}

/// Shows them. That one of them is open is exit 1, unless a text was asked for.
pub async fn incidents(
    directory: PathBuf,
    surroundings: Surroundings,
    what: IncidentsArguments,
) -> Result<Answer, Stop> {
    let daemon = DaemonClient::find(&directory, &surroundings, &what.daemon).await?;
    let (now, mut out) = (surroundings.clock.now(), Output::default());
    let paper =
        [(what.war_room, "war-room"), (what.post_mortem, "post-mortem")].into_iter().find(|(is_asked, _)| *is_asked);
    if let (Some(incident), Some((_, paper))) = (&what.incident, paper) {
        let id = daemon.incident(incident).await?;
        let text: Text = daemon.get(&format!("incidents/{}/{paper}", segment(&id.0))).await?;
        out.line(match what.format {
            Format::Text => text.text.lines().map(harmless).collect::<Vec<_>>().join("\n"),
            Format::Json => answer::json(&text)?,
        })?;
        return Ok(Answer::Well);
    }
    let (lines, json, is_open) = match &what.incident {
        Some(incident) => {
            let id = daemon.incident(incident).await?;
            let story: Story = daemon.get(&format!("incidents/{}", segment(&id.0))).await?;
            (story_lines(&story, now), serde_json::to_value(&story), story.incident.is_open)
        }
        None => {
            let all = listed(&daemon, &what).await?;
            (list_lines(&all, now), serde_json::to_value(&all), !all.open.is_empty())
        }
    };
    match what.format {
        Format::Text => out.line(lines.join("\n"))?,
        Format::Json => out.line(json.map_err(|error| Stop::Fault(error.to_string()))?)?,
    }
    Ok(if is_open { Answer::Unwell } else { Answer::Well })
}

/// The open ones, and with them the last that are over or all of those.
async fn listed(daemon: &DaemonClient, what: &IncidentsArguments) -> Result<Incidents, Stop> {
    if what.all {
        let parts: Vec<Incidents> =
            daemon.parts("incidents?resolved=1&limit=500", |part: &Incidents| part.next.clone()).await?;
        let mut parts = parts.into_iter();
        let mut all = parts.next().unwrap_or(Incidents { open: Vec::new(), resolved: None, next: None });
        all.resolved.get_or_insert_default().extend(parts.filter_map(|part| part.resolved).flatten());
        all.next = None;
        return Ok(all);
    }
    daemon.get(if what.resolved { "incidents?resolved=1&limit=20" } else { "incidents" }).await
}

fn list_lines(all: &Incidents, now: Timestamp) -> Vec<String> {
    let mut lines = Vec::new();
    if all.open.is_empty() {
        lines.push("no incident is open".to_owned());
    }
    for incident in all.open.iter().chain(all.resolved.iter().flatten()) {
        lines.push(headline(incident));
        lines.push(format!("    {}; {}", lasting(incident, now), standing(incident)));
        lines.push(format!("    {}", incident.id));
    }
    if all.next.is_some() {
        lines.push("and those before them: `--all` shows all that are on record".to_owned());
    }
    lines
}

fn story_lines(story: &Story, now: Timestamp) -> Vec<String> {
    let incident = &story.incident;
    let mut lines = vec![headline(incident), String::new()];
    let mut fact = |name: &str, value: String| lines.push(format!("{name:<12}{}", harmless(&value)));
    fact("incident", incident.id.to_string());
    fact("state", lasting(incident, now));
    fact("", standing(incident));
    if let Some(at) = incident.remind_at {
        fact("reminder", clock(at));
    }
    if let Some(at) = incident.escalate_at {
        fact("escalation", clock(at));
    }
    if let Some(window) = &incident.maintenance {
        fact("maintenance", window.to_string());
    }
    fact("schedules", list(&incident.schedules));
    for (key, value) in &incident.labels {
        fact("label", format!("{key}={value}"));
    }
    for change in &incident.changes {
        fact("changed", change.clone());
    }
    for finding in &incident.findings {
        fact("diagnosis", finding.to_string());
    }
    if let Some(runbook) = &incident.runbook {
        fact("runbook", runbook.clone());
    }
    if let Some(url) = &incident.url {
        fact("page", url.clone());
    }
    failures("seen first", &incident.first_failures, &mut lines);
    if incident.latest_failures != incident.first_failures {
        failures("seen last", &incident.latest_failures, &mut lines);
    }
    section("what happened", &mut lines);
    for moment in &story.moments {
        let line = format!("  {}  {:<14}{}", clock(moment.at), moment.what, moment.text);
        lines.push(harmless(&line).into_owned());
    }
    section("told", &mut lines);
    for message in &story.messages {
        let settled = message.settled_at.map(|at| format!("{}  ", clock(at))).unwrap_or_default();
        let line = format!("  {settled}{} {}: {}", message.channel, message.event.as_str(), message.became);
        lines.push(harmless(&line).into_owned());
    }
    if story.messages.is_empty() {
        lines.push("  nobody".to_owned());
    }
    lines
}

fn section(name: &str, lines: &mut Vec<String>) {
    lines.push(String::new());
    lines.push(format!("{name}:"));
}

fn failures(name: &str, failures: &[Failure], lines: &mut Vec<String>) {
    if failures.is_empty() {
        return;
    }
    section(name, lines);
    for failure in failures {
        lines.push(format!("  {}", harmless(&failure.to_string())));
        let sides = [("expected", &failure.expected), ("came", &failure.actual)];
        for (side, text) in sides.into_iter().filter_map(|(side, text)| Some((side, text.as_ref()?))) {
            lines.push(format!("    {side:<10}{}", harmless(text)));
        }
    }
}

fn headline(incident: &IncidentBody) -> String {
    format!("{}  {}", incident.severity, harmless(&incident.summary))
}

/// How long it goes on, or went on.
fn lasting(incident: &IncidentBody, now: Timestamp) -> String {
    let since = clock(incident.since);
    match incident.resolved_at {
        None => format!("open for {}, since {since}", words(between(incident.since, now))),
        Some(over) => {
            let because = incident.resolved_because.as_ref().map(|why| format!(" ({})", harmless(why)));
            let (at, long) = (clock(over), words(between(incident.since, over)));
            format!("resolved at {at} after {long}{}", because.unwrap_or_default())
        }
    }
}

/// Who has it, or who knows of it.
fn standing(incident: &IncidentBody) -> String {
    if let Some(taken) = &incident.acknowledged {
        return format!("taken on at {} by {}", clock(taken.at), harmless(&taken.to_string()));
    }
    if let Some(reason) = &incident.quiet {
        return format!("quiet: {}", harmless(reason));
    }
    // A daemon that does not say who has heard says whom it tells.
    let Some(hearers) = &incident.hearers else {
        let nobody = Hearers::default().to_string();
        return if incident.told.is_empty() { nobody } else { format!("for {}", list(&incident.told)) };
    };
    if !incident.is_open || hearers.is_empty() {
        return hearers.to_string();
    }
    format!("nobody has taken it on; {hearers}")
}

fn list(names: &[impl ToString]) -> String {
    names.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    const NOW: &str = "2026-11-24T09:17:45Z";

    fn incident() -> Value {
        json!({
            "id": "01KB2H8Q4V0000000000000000",
            "probe": "api-health",
            "aspect": "failing",
            "severity": "P1",
            "is_open": true,
            "summary": "api-health is failing: expect: `json.services.database` was \"degraded\"\u{1b}[2J",
            "since": "2026-11-24T09:14:01.112Z",
            "opened_at": "2026-11-24T09:14:31.118Z",
            "told": ["oncall", "ops"],
            "hearers": { "heard": ["oncall", "ops"], "waiting": [], "given_up": [] },
            "escalate_at": "2026-11-24T09:29:31.118Z",
            "schedules": ["reachability"],
            "firing": { "reachability": "P1" },
            "labels": { "service": "api", "team": "shop" },
            "runbook": "runbooks/api.md",
            "url": "https://rounds.example/incidents/01KB2H8Q4V0000000000000000",
            "findings": [{ "probe": "table-status", "verdict": "failed", "text": "json.Table.TableStatus was \"UPDATING\"" }],
            "changes": ["api-health saw version 1.4 become 1.5 at 2026-11-24 09:10:00 UTC"],
            "first_failures": [{ "kind": "connect.refused", "message": "127.0.0.1:80 refused the connection" }],
            "latest_failures": [{
                "kind": "expect", "message": "`json.services.database` was \"degraded\"",
                "expected": "json.services.database == \"ok\"", "actual": "\"degraded\"\nand more",
            }],
        })
    }

    fn with(changes: &Value) -> Value {
        let mut incident = incident();
        incident.as_object_mut().unwrap().extend(changes.as_object().unwrap().clone());
        incident
    }

    #[test]
    fn the_list_says_of_each_what_since_when_and_who_has_it() {
        let acknowledged = json!({ "at": "2026-11-24T09:16:00Z", "by": "ann", "note": "looking" });
        let quiet = "silenced by ann until 2026-11-24 12:00:00 UTC: a new disk";
        let over = json!({ "is_open": false, "resolved_at": "2026-11-24T09:17:01Z" });
        let removed = json!({ "resolved_because": "removed from the configuration", "hearers": { "heard": [], "waiting": [], "given_up": [] } });
        let all = json!({
            "open": [
                incident(), with(&json!({ "hearers": null })), with(&json!({ "hearers": null, "told": [] })), with(&json!({ "hearers": { "heard": ["oncall"], "waiting": [], "given_up": ["ops"] } })),
                with(&json!({ "hearers": { "heard": [], "waiting": ["oncall", "ops"], "given_up": [] } })),
                with(&json!({ "hearers": { "heard": [], "waiting": [], "given_up": [] } })),
                with(&json!({ "acknowledged": acknowledged })), with(&json!({ "quiet": quiet })),
            ],
            "resolved": [with(&over), with(&{ let mut both = over.clone(); both.as_object_mut().unwrap().extend(removed.as_object().unwrap().clone()); both })],
        });
        let all: Incidents = serde_json::from_value(all).unwrap();
        insta::assert_snapshot!(list_lines(&all, NOW.parse().unwrap()).join("\n"));
        let none = Incidents { open: Vec::new(), resolved: None, next: None };
        assert_eq!(list_lines(&none, NOW.parse().unwrap()), ["no incident is open"]);
    }

    #[test]
    fn one_is_told_whole() {
        let story = json!({
            "incident": incident(),
            "moments": [
                { "at": "2026-11-24T09:14:01.112Z", "what": "failed", "text": "connect.refused: 127.0.0.1:80 refused" },
                { "at": "2026-11-24T09:14:31.118Z", "what": "opened", "text": "P1, by reachability" },
                { "at": "2026-11-24T09:16:00Z", "what": "note", "text": "ann: rolled back\r\nopened: a lie" },
            ],
            "messages": [
                { "channel": "oncall", "event": "opened", "settled_at": "2026-11-24T09:14:33Z", "became": "delivered, 1 attempt (202)" },
                { "channel": "ops", "event": "opened", "became": "waits for its first attempt" },
            ],
        });
        let story: Story = serde_json::from_value(story).unwrap();
        insta::assert_snapshot!(story_lines(&story, NOW.parse().unwrap()).join("\n"));
    }
}
