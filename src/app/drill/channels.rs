//! Has the daemon drill its channels one after another, and answers whether each of them works.

use std::path::PathBuf;
use std::time::Duration;

use crate::app::answer::{self, Answer, Output, Stop};
use crate::app::cli::{DrillArguments, Format};
use crate::app::daemon_client::DaemonClient;
use crate::config::load::Surroundings;
use crate::domain::drill::{Hop, Outcome, Part, Report};
use crate::domain::incident::Event;
use crate::domain::names::ChannelName;
use crate::domain::text::harmless;
use crate::settings::suggest;
use crate::web::api::bodies::{Channels, Drill};

/// How long the answer may take: longer than a drill does.
const ANSWER_MAX: Duration = Duration::from_secs(58);

/// Drills what was asked for, or every channel. Exit 1 where one of them does not work.
pub async fn channels(directory: PathBuf, surroundings: Surroundings, asked: DrillArguments) -> Result<Answer, Stop> {
    let daemon = DaemonClient::find(&directory, &surroundings, &asked.daemon).await?;
    let Channels { channels } = daemon.get("drill").await?;
    if channels.is_empty() {
        return Err(Stop::Usage("there is no channel that could be drilled".to_owned()));
    }
    let channels = match &asked.channel {
        None => channels,
        Some(wanted) => vec![chosen(wanted, channels)?],
    };
    let (mut out, mut reports) = (Output::default(), Vec::new());
    for channel in channels {
        let report: Report = daemon.post_within("drill", &Drill { channel: channel.to_string() }, ANSWER_MAX).await?;
        if asked.format == Format::Text {
            out.line(text(&report))?;
        }
        reports.push(report);
    }
    if asked.format == Format::Json {
        let drills = answer::json(&reports)?;
        out.line(drills)?;
    }
    Ok(if reports.iter().all(|report| report.broken().is_none()) { Answer::Well } else { Answer::Unwell })
}

fn chosen(wanted: &str, channels: Vec<ChannelName>) -> Result<ChannelName, Stop> {
    let names: Vec<_> = channels.iter().map(ChannelName::as_str).collect();
    let help = suggest(wanted, names).map(|help| format!("; {help}")).unwrap_or_default();
    let found = channels.into_iter().find(|channel| channel.as_str() == wanted);
    found.ok_or_else(|| Stop::Usage(format!("there is no channel `{}`{help}", harmless(wanted))))
}

/// Hop by hop, and what that comes to.
fn text(report: &Report) -> String {
    let hops = &report.hops;
    let read_back = hops.iter().any(|hop| (hop.part, hop.outcome) == (Part::ReadBack, Outcome::Well));
    let comes_to = match report.broken() {
        Some(Hop { event, part, .. }) => format!("  broken at {}, {part}", event.as_str()),
        None => {
            let took = took(report.told_after_ms());
            let arrives = if read_back { "" } else { "; whether it arrives behind that cannot be seen from here" };
            format!("  works: its receiver had the message after {took}{arrives}")
        }
    };
    let lines = hops.iter().enumerate().map(|(place, hop)| line(hop, &hops[..place]));
    let channel = std::iter::once(report.channel.to_string());
    channel.chain(lines).chain([comes_to]).collect::<Vec<_>>().join("\n")
}

fn line(hop: &Hop, before: &[Hop]) -> String {
    let Hop { event, part, took_ms, outcome, said } = hop;
    let event = match before.last() {
        Some(last) if last.event == *event => "",
        _ if *event == Event::Opened => "opened",
        _ => "resolved",
    };
    let word = match outcome {
        Outcome::Well => "well",
        Outcome::Broken => "BROKEN",
        Outcome::Unknown => "-",
    };
    let said = harmless(said);
    format!("  {event:<8}  {part:<9}  {:>9}  {word:<6}  {said}", took(*took_ms)).trim_end().to_owned()
}

fn took(milliseconds: f64) -> String {
    if milliseconds < 10_000.0 { format!("{milliseconds:.1} ms") } else { format!("{:.1} s", milliseconds / 1e3) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::incident::IncidentId;
    use std::sync::Arc;

    fn report(broken: Option<(Event, Part, &str)>, read_back: bool) -> Report {
        let mut hops = Vec::new();
        'drill: for (event, took_ms) in [(Event::Opened, 41.25), (Event::Resolved, 12_345.0)] {
            for part in [Part::Ran, Part::Judged, Part::Committed, Part::Delivered, Part::ReadBack] {
                let (outcome, said) = match (broken, part) {
                    (Some((of, at, why)), _) if (of, at) == (event, part) => (Outcome::Broken, why),
                    (_, Part::Ran) => (Outcome::Well, if event == Event::Opened { "failed" } else { "passed" }),
                    (_, Part::Delivered) => (Outcome::Well, "delivered, 1 attempt (01K)"),
                    (_, Part::ReadBack) if read_back => (Outcome::Well, "in the queue https://sqs.example/1/echo"),
                    (_, Part::ReadBack) => (Outcome::Unknown, "nothing says where its messages arrive"),
                    _ => (Outcome::Well, ""),
                };
                let took_ms = if part == Part::Delivered { took_ms } else { 0.5 };
                hops.push(Hop { event, part, took_ms, outcome, said: said.to_owned() });
                if outcome == Outcome::Broken {
                    break 'drill;
                }
            }
        }
        Report {
            channel: "ops".parse().unwrap(),
            at: "2026-11-24T10:00:00Z".parse().unwrap(),
            incident: Some(IncidentId(Arc::from("01K"))),
            hops,
        }
    }

    #[test]
    fn each_hop_is_told_with_its_time_and_the_broken_one_by_its_name() {
        let why = "waits after 1 attempt: no\u{1b}[2J";
        let told = [
            report(None, true),
            report(None, false),
            report(Some((Event::Opened, Part::Delivered, why)), true),
            report(Some((Event::Resolved, Part::ReadBack, "it has not arrived within 15 s")), true),
        ];
        insta::assert_snapshot!(told.map(|report| text(&report)).join("\n\n"));
    }

    #[test]
    fn a_channel_is_chosen_by_its_name() {
        let channels = || vec!["ops".parse().unwrap(), "team".parse().unwrap()];
        assert_eq!(chosen("team", channels()).unwrap().as_str(), "team");
        let refused = chosen("opps", channels()).unwrap_err().to_string();
        assert_eq!(refused, "there is no channel `opps`; did you mean `ops`?");
    }
}
