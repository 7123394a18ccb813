//! `deliveries`: the messages that their channels have not taken, and that they are tried again.

use std::path::PathBuf;

use clap::Args;

use super::answer::{self, Answer, Output, Stop};
use super::cli::Format;
use super::daemon_client::{DaemonArguments, DaemonClient, meant, segment};
use crate::config::load::Surroundings;
use crate::domain::text::harmless;
use crate::domain::time::{Timestamp, clock};
use crate::ports::UndeliveredRow;
use crate::web::api::bodies::{Deliveries, Nothing, RedriveDone};

/// Which messages.
#[derive(Clone, Debug, Args)]
pub struct DeliveriesArguments {
    /// Try one again now, and with it all that its channel has not taken of the incident: its id, or a beginning of it that no
    /// other has.
    #[arg(long, value_name = "ID", conflicts_with = "redrive_all")]
    pub redrive: Option<String>,
    /// Try all of them again now.
    #[arg(long)]
    pub redrive_all: bool,
    /// How they are shown.
    #[arg(long, value_enum, default_value_t)]
    pub format: Format,
    /// Which daemon.
    #[command(flatten)]
    pub daemon: DaemonArguments,
}

/// Shows them, or has them tried again.
pub async fn deliveries(
    directory: PathBuf,
    surroundings: Surroundings,
    what: DeliveriesArguments,
) -> Result<Answer, Stop> {
    let daemon = DaemonClient::find(&directory, &surroundings, &what.daemon).await?;
    let mut out = Output::default();
    let path = match &what.redrive {
        Some(id) => {
            let known: Deliveries = daemon.get("deliveries").await?;
            // What is beyond the list is known by its whole id.
            let ids = known.deliveries.iter().map(|delivery| delivery.id.as_str());
            let id = if known.deliveries.iter().any(|known| known.id == *id) || id.len() == 26 {
                id
            } else {
                meant("message", id, ids)?
            };
            format!("deliveries/{}/redrive", segment(id))
        }
        None if what.redrive_all => "deliveries/redrive".to_owned(),
        None => {
            let known: Deliveries = daemon.get("deliveries").await?;
            match what.format {
                Format::Text => out.line(lines(&known).join("\n"))?,
                Format::Json => {
                    out.line(answer::json(&known)?)?;
                }
            }
            let is_well = known.given_up == 0 && known.deliveries.iter().all(|delivery| delivery.error.is_none());
            return Ok(if is_well { Answer::Well } else { Answer::Unwell });
        }
    };
    let done: RedriveDone = daemon.post(&path, &Nothing {}).await?;
    match what.format {
        Format::Text => out.line(match done.due {
            0 => "nothing waits that is not due already".to_owned(),
            1 => "1 message is due now".to_owned(),
            due => format!("{due} messages are due now"),
        })?,
        Format::Json => out.line(answer::json(&done)?)?,
    }
    Ok(Answer::Well)
}

fn lines(known: &Deliveries) -> Vec<String> {
    let shown = known.deliveries.len() as u64;
    if shown == 0 {
        return vec!["every message was taken".to_owned()];
    }
    let mut lines: Vec<_> = known.deliveries.iter().flat_map(of_one).collect();
    let more = (known.waiting + known.given_up).saturating_sub(shown);
    if more > 0 {
        lines.push(format!(
            "and {more} more: in all {} that wait and {} that were given up",
            known.waiting, known.given_up
        ));
    }
    lines
}

fn of_one(delivery: &UndeliveredRow) -> [String; 3] {
    let UndeliveredRow { id, channel, incident, event, .. } = delivery;
    let error = delivery.error.as_ref().map(|error| format!(": {}", harmless(error))).unwrap_or_default();
    [
        format!("{channel} {} of {incident}", event.as_str()),
        format!("    {}{error}", standing(delivery)),
        format!("    {id}"),
    ]
}

fn attempts(count: u32) -> String {
    if count == 1 { "1 attempt".to_owned() } else { format!("{count} attempts") }
}

fn standing(delivery: &UndeliveredRow) -> String {
    let attempts = attempts(delivery.attempts);
    let at = |at: Option<Timestamp>| at.map(clock).unwrap_or_default();
    match (delivery.given_up_at, delivery.attempts) {
        (Some(_), _) => format!("given up {} after {attempts}", at(delivery.given_up_at)),
        (None, 0) => format!("waits since {}", clock(delivery.created_at)),
        (None, _) => format!("rests after {attempts}, the next not before {}", at(delivery.next_attempt_at)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn delivery(id: &str, changes: &Value) -> Value {
        let mut delivery = json!({
            "id": id, "channel": "oncall", "incident": "01KB2H8Q4V0000000000000000", "event": "opened",
            "created_at": "2026-11-24T09:14:31Z", "attempts": 0,
        });
        delivery.as_object_mut().unwrap().extend(changes.as_object().unwrap().clone());
        delivery
    }

    #[test]
    fn each_says_to_whom_what_and_why_it_was_not_taken() {
        let rests = json!({ "attempts": 5, "next_attempt_at": "2026-11-24T09:18:00Z", "error": "503\u{1b}[2J" });
        let dead = json!({ "attempts": 1, "given_up_at": "2026-11-24T09:16:00Z", "error": "400 Bad Request", "event": "resolved" });
        let deliveries = [
            delivery("A", &json!({ "next_attempt_at": "2026-11-24T09:14:31Z" })),
            delivery("B", &rests),
            delivery("C", &dead),
        ];
        let known = json!({ "deliveries": deliveries, "waiting": 700, "given_up": 1 });
        let known: Deliveries = serde_json::from_value(known).unwrap();
        insta::assert_snapshot!(lines(&known).join("\n"));
        let none = Deliveries { deliveries: Vec::new(), waiting: 0, given_up: 0 };
        assert_eq!(lines(&none), ["every message was taken"]);
    }
}
