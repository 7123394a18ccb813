//! `silence`: lets nobody be told of what matches, for a while and for a reason.

use std::path::PathBuf;

use clap::{Args, Subcommand};

use super::ack::say_unless;
use super::answer::{self, Answer, Output, Stop};
use super::cli::Format;
use super::daemon_client::{Asking, DaemonClient, by, meant, segment};
use crate::config::load::Surroundings;
use crate::domain::quiet::Silence;
use crate::domain::text::harmless;
use crate::domain::time::{Length, Timestamp, between, clock, words};
use crate::web::api::bodies::{About, Begin, SilenceDone, Silences, Story};

/// What is to be quiet.
#[derive(Clone, Debug, Args)]
#[command(args_conflicts_with_subcommands = true, subcommand_negates_reqs = true)]
pub struct SilenceArguments {
    /// What about silences.
    #[command(subcommand)]
    pub what: Option<SilenceCommand>,
    /// Silence the probe of this incident: its id, a beginning of it that no other has, or its probe.
    #[arg(value_name = "INCIDENT", required = true)]
    pub incident: Option<String>,
    /// For how long: `1h`, 30 days at most.
    #[arg(value_name = "DURATION", required = true)]
    pub length: Option<Length>,
    /// Why; by default the incident.
    #[arg(long, value_name = "TEXT")]
    pub reason: Option<String>,
    /// Who wants it; by default whom the system says you are.
    #[arg(long, value_name = "NAME")]
    pub by: Option<String>,
    /// How it is shown and where the daemon is.
    #[command(flatten)]
    pub asking: Asking,
}

/// What about silences.
#[derive(Clone, Debug, Subcommand)]
pub enum SilenceCommand {
    /// Begin one, about whatever fits all matchers.
    Add {
        /// What it is about, all of which must fit: probes or globs with `*`, `schedule:NAME`, labels as `key=value`, severities
        /// as `P3`.
        #[arg(value_name = "MATCHER", required = true)]
        matchers: Vec<String>,
        /// For how long: `2h`, 30 days at most.
        #[arg(long = "for", value_name = "DURATION")]
        length: Length,
        /// Why: whoever wonders about the quiet reads it.
        #[arg(long, value_name = "TEXT")]
        reason: String,
        /// Who wants it; by default whom the system says you are.
        #[arg(long, value_name = "NAME")]
        by: Option<String>,
        /// How it is shown and where the daemon is.
        #[command(flatten)]
        asking: Asking,
    },
    /// Show those that are not over.
    List {
        /// How they are shown and where the daemon is.
        #[command(flatten)]
        asking: Asking,
    },
    /// End one now.
    End {
        /// Its id, or a beginning of it that no other has.
        #[arg(value_name = "ID")]
        id: String,
        /// How it is shown and where the daemon is.
        #[command(flatten)]
        asking: Asking,
    },
}

/// Does it, and shows what came of it.
pub async fn silence(directory: PathBuf, surroundings: Surroundings, what: SilenceArguments) -> Result<Answer, Stop> {
    let SilenceArguments { what, incident, length, reason, by: said, asking } = what;
    match what {
        None => {
            let (Some(incident), Some(length)) = (incident, length) else {
                return Err(Stop::Usage("an incident is silenced for some time: `roundsman silence ID 1h`".to_owned()));
            };
            let by = by(said, &surroundings)?;
            let daemon = DaemonClient::find(&directory, &surroundings, &asking.daemon).await?;
            let id = daemon.incident(&incident).await?;
            let story: Story = daemon.get(&format!("incidents/{}", segment(&id.0))).await?;
            if !story.incident.is_open {
                return Err(Stop::Unwell(format!("{id} is over: there is nothing to be silenced of it")));
            }
            let matchers = About { probes: vec![story.incident.probe.to_string()], ..About::default() };
            let reason = reason.unwrap_or_else(|| format!("incident {id}"));
            add(&daemon, &surroundings, asking.format, begin(matchers, by, reason, length)).await
        }
        Some(SilenceCommand::Add { matchers, length, reason, by: said, asking }) => {
            let begin = begin(about(&matchers)?, by(said, &surroundings)?, reason, length);
            let daemon = DaemonClient::find(&directory, &surroundings, &asking.daemon).await?;
            add(&daemon, &surroundings, asking.format, begin).await
        }
        Some(SilenceCommand::List { asking }) => {
            let daemon = DaemonClient::find(&directory, &surroundings, &asking.daemon).await?;
            let known: Silences = daemon.get("silences").await?;
            Output::default().line(match asking.format {
                Format::Text => list_lines(&known, surroundings.clock.now()).join("\n"),
                Format::Json => answer::json(&known)?,
            })?;
            Ok(Answer::Well)
        }
        Some(SilenceCommand::End { id, asking }) => {
            let daemon = DaemonClient::find(&directory, &surroundings, &asking.daemon).await?;
            let known: Silences = daemon.get("silences").await?;
            let id = meant("silence", &id, known.silences.iter().map(|silence| &*silence.id.0))?;
            let done: SilenceDone = daemon.delete(&format!("silences/{}", segment(id))).await?;
            Output::default().line(match asking.format {
                Format::Text => format!("{} is over", done.silence.id),
                Format::Json => answer::json(&done)?,
            })?;
            say_unless(done.recorded);
            Ok(Answer::Well)
        }
    }
}

async fn add(daemon: &DaemonClient, surroundings: &Surroundings, format: Format, begin: Begin) -> Result<Answer, Stop> {
    let done: SilenceDone = daemon.post("silences", &begin).await?;
    Output::default().line(match format {
        // Asked after the answer, so that what began with it has begun.
        Format::Text => lines(&done.silence, surroundings.clock.now()).join("\n"),
        Format::Json => answer::json(&done)?,
    })?;
    if let Some(doubt) = &done.doubt {
        answer::say(&harmless(doubt));
    }
    say_unless(done.recorded);
    Ok(Answer::Well)
}

fn begin(matchers: About, by: String, reason: String, length: Length) -> Begin {
    Begin { matchers, by, reason, from: None, until: None, length: Some(length) }
}

/// What matchers say.
fn about(matchers: &[String]) -> Result<About, Stop> {
    let mut about = About::default();
    for matcher in matchers {
        if let Ok(severity) = matcher.parse() {
            about.severities.insert(severity);
        } else if let Some(name) = matcher.strip_prefix("schedule:") {
            about.schedules.insert(name.parse().map_err(|error| Stop::Usage(format!("`{matcher}`: {error}")))?);
        } else if let Some((key, value)) = matcher.strip_prefix("label:").unwrap_or(matcher).split_once('=') {
            about.labels.insert(key.to_owned(), value.to_owned());
        } else {
            about.probes.push(matcher.clone());
        }
    }
    Ok(about)
}

fn list_lines(known: &Silences, now: Timestamp) -> Vec<String> {
    if known.silences.is_empty() {
        return vec!["nothing is silenced".to_owned()];
    }
    known.silences.iter().flat_map(|silence| lines(silence, now)).collect()
}

fn lines(silence: &Silence, now: Timestamp) -> Vec<String> {
    let Silence { id, matchers, by, reason, from, until } = silence;
    let (about, end) = (matchers.to_string(), clock(*until));
    let when = if now < *from {
        format!("from {} until {end}", clock(*from))
    } else {
        format!("until {end}, {} more", words(between(now, *until)))
    };
    vec![
        format!("{}  {when}", harmless(&about)),
        format!("    {}: {}", harmless(by), harmless(reason)),
        format!("    {id}"),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::incident::Severity;
    use crate::domain::quiet::Matchers;
    use clap::Parser as _;
    use serde_json::json;

    #[test]
    fn a_matcher_is_a_severity_a_schedule_a_label_or_a_probe() {
        let written = ["api-*", "pages@home", "schedule:hourly", "service=api", "label:team=a=b", "P2"];
        let about = about(&written.map(str::to_owned)).unwrap();
        assert_eq!(about.probes, ["api-*", "pages@home"]);
        assert_eq!(about.schedules, ["hourly".parse().unwrap()].into());
        assert_eq!(
            about.labels.into_iter().collect::<Vec<_>>(),
            [("service".to_owned(), "api".to_owned()), ("team".to_owned(), "a=b".to_owned())]
        );
        assert_eq!(about.severities, [Severity::P2].into());
        assert!(super::about(&["schedule:a b".to_owned()]).is_err());
    }

    #[test]
    fn a_silence_needs_its_length_and_its_reason() {
        for (line, is_well) in [
            ("silence add api --for 2h --reason x", true),
            ("silence add a* P2 --for 2h --reason x --format json", true),
            ("silence list", true),
            ("silence end 01K", true),
            ("silence 01K 1h", true),
            ("silence api 1h --reason x", true),
            ("--config x silence list --url http://127.0.0.1:1", true),
            ("silence list --config x", true),
            ("silence", false),
            ("silence api", false),
            ("silence api soon", false),
            ("silence add api", false),
            ("silence add api --for 2h", false),
            ("silence add --for 2h --reason x", false),
            ("silence list api", false),
            ("silence end", false),
        ] {
            let line = format!("roundsman {line}");
            assert_eq!(crate::app::cli::Cli::try_parse_from(line.split(' ')).is_ok(), is_well, "{line}");
        }
    }

    #[test]
    fn each_says_about_what_until_when_who_and_why() {
        let silence = json!({
            "id": "01KB2H8Q4V0000000000000000", "by": "ann", "reason": "a new disk\u{1b}[2J",
            "from": "2026-11-24T09:00:00Z", "until": "2026-11-24T12:00:00Z",
            "matchers": Matchers { probes: vec!["api-*".to_owned()], severities: [Severity::P2].into(), ..Matchers::default() },
        });
        let mut later = silence.clone();
        later["from"] = json!("2026-11-24T11:00:00Z");
        let known: Silences = serde_json::from_value(json!({ "silences": [silence, later] })).unwrap();
        insta::assert_snapshot!(list_lines(&known, "2026-11-24T10:00:00Z".parse().unwrap()).join("\n"));
        assert_eq!(list_lines(&Silences { silences: Vec::new() }, Timestamp::default()), ["nothing is silenced"]);
    }
}
