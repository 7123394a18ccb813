//! `silence`: lets nobody be told of what matches, for a while and for a reason.

use std::path::PathBuf;

use clap::Args;

use super::ack::say_unless;
use super::answer::{Answer, Output, Stop};
use super::cli::Format;
use super::daemon_client::{DaemonArguments, DaemonClient, by, meant, segment};
use crate::config::load::Surroundings;
use crate::domain::quiet::Silence;
use crate::domain::text::harmless;
use crate::domain::time::{Length, Timestamp, between, clock, words};
use crate::web::api::bodies::{About, Begin, SilenceDone, Silences};

/// What is to be quiet.
#[derive(Clone, Debug, Args)]
pub struct SilenceArguments {
    /// What it is about, all of which must fit: probes or globs with `*`, `schedule:NAME`, labels as `key=value`, severities as
    /// `P3`.
    #[arg(value_name = "MATCHER", required_unless_present_any = ["list", "end"])]
    pub matchers: Vec<String>,
    /// For how long: `2h`, 30 days at most.
    #[arg(long = "for", value_name = "DURATION", required_unless_present_any = ["list", "end"])]
    pub length: Option<Length>,
    /// Why: whoever wonders about the quiet reads it.
    #[arg(long, value_name = "TEXT", required_unless_present_any = ["list", "end"])]
    pub reason: Option<String>,
    /// Who wants it; by default whom the system says you are.
    #[arg(long, value_name = "NAME")]
    pub by: Option<String>,
    /// Show the silences that are not over.
    #[arg(long, conflicts_with_all = ["matchers", "length", "reason", "by", "end"])]
    pub list: bool,
    /// End one now: its id, or a beginning of it that no other has.
    #[arg(long, value_name = "ID", conflicts_with_all = ["matchers", "length", "reason", "by"])]
    pub end: Option<String>,
    /// How they are shown.
    #[arg(long, value_enum, default_value_t)]
    pub format: Format,
    /// Which daemon.
    #[command(flatten)]
    pub daemon: DaemonArguments,
}

/// Does it, and shows what came of it.
pub async fn silence(directory: PathBuf, surroundings: Surroundings, what: SilenceArguments) -> Result<Answer, Stop> {
    let begin = if what.list || what.end.is_some() { None } else { Some(begin(&what, &surroundings)?) };
    let daemon = DaemonClient::find(&directory, &surroundings, &what.daemon).await?;
    let (now, mut out) = (surroundings.clock.now(), Output::default());
    let is_json = what.format == Format::Json;
    let done: SilenceDone = match (begin, &what.end) {
        (Some(begin), _) => daemon.post("silences", &begin).await?,
        (None, Some(end)) => {
            let known: Silences = daemon.get("silences").await?;
            let id = meant("silence", end, known.silences.iter().map(|silence| &*silence.id.0))?;
            daemon.delete(&format!("silences/{}", segment(id))).await?
        }
        (None, None) => {
            let known: Silences = daemon.get("silences").await?;
            match what.format {
                Format::Text => out.line(list_lines(&known, now).join("\n"))?,
                Format::Json => out.line(json(&known)?)?,
            }
            return Ok(Answer::Well);
        }
    };
    if is_json {
        out.line(json(&done)?)?;
    } else if done.silence.until <= now {
        out.line(format_args!("{} is over", done.silence.id))?;
    } else {
        out.line(lines(&done.silence, now).join("\n"))?;
    }
    say_unless(done.recorded);
    Ok(Answer::Well)
}

fn json(body: &impl serde::Serialize) -> Result<String, Stop> {
    serde_json::to_string(body).map_err(|error| Stop::Fault(error.to_string()))
}

fn begin(what: &SilenceArguments, surroundings: &Surroundings) -> Result<Begin, Stop> {
    Ok(Begin {
        matchers: about(&what.matchers)?,
        by: by(what.by.clone(), surroundings)?,
        reason: what.reason.clone().unwrap_or_default(),
        from: None,
        until: None,
        length: what.length,
    })
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
            ("silence api --for 2h --reason x", true),
            ("silence --list", true),
            ("silence --end 01K", true),
            ("silence", false),
            ("silence api", false),
            ("silence api --for 2h", false),
            ("silence --for 2h --reason x", false),
            ("silence api --list", false),
            ("silence --list --end 01K", false),
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
