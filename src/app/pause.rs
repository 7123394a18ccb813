//! `pause` and `resume`: lets something not be run for a while, and lets it be run again.

use std::path::PathBuf;

use clap::{Args, Subcommand};

use super::ack::say_unless;
use super::answer::{self, Answer, Output, Stop};
use super::cli::Format;
use super::daemon_client::{Asking, DaemonClient, by, meant, segment};
use crate::config::load::Surroundings;
use crate::domain::names::ProbeName;
use crate::domain::pause::{Pause, Pauses, Scope};
use crate::domain::text::harmless;
use crate::domain::time::{Length, Timestamp, between, clock, words};
use crate::web::api::bodies::{PauseBegin, PauseDone, PausesBody};
use crate::web::api::probes::{ProbeBody, Probes};

/// How many other pauses are named that still take what is resumed.
const OTHERS_MAX: usize = 5;

/// What is paused.
#[derive(Clone, Debug, Args)]
#[command(args_conflicts_with_subcommands = true, subcommand_negates_reqs = true)]
pub struct PauseArguments {
    /// What about pauses.
    #[command(subcommand)]
    pub about: Option<PauseCommand>,
    /// What is not to be run: a probe, or `schedule:NAME`, with `*` for any text.
    #[arg(value_name = "WHAT", required = true)]
    pub what: Option<String>,
    /// For how long: `2h`; without it until somebody resumes.
    #[arg(long = "for", value_name = "DURATION")]
    pub length: Option<Length>,
    /// Why: whoever wonders why nobody looks reads it.
    #[arg(long, value_name = "TEXT", required = true)]
    pub reason: Option<String>,
    /// Who wants it; by default whom the system says you are.
    #[arg(long, value_name = "NAME")]
    pub by: Option<String>,
    /// How it is shown and where the daemon is.
    #[command(flatten)]
    pub asking: Asking,
}

/// What about pauses.
#[derive(Clone, Debug, Subcommand)]
pub enum PauseCommand {
    /// Show those that are not over.
    List {
        /// How they are shown and where the daemon is.
        #[command(flatten)]
        asking: Asking,
    },
}

/// What is run again.
#[derive(Clone, Debug, Args)]
pub struct ResumeArguments {
    /// What was paused, as it was written; or the id of the pause, or a beginning of it that no other has.
    #[arg(value_name = "WHAT|ID")]
    pub what: String,
    /// How it is shown and where the daemon is.
    #[command(flatten)]
    pub asking: Asking,
}

/// Begins a pause, or shows which there are.
pub async fn pause(directory: PathBuf, surroundings: Surroundings, what: PauseArguments) -> Result<Answer, Stop> {
    let PauseArguments { about, what, length, reason, by: said, asking } = what;
    if let Some(PauseCommand::List { asking }) = about {
        let daemon = DaemonClient::find(&directory, &surroundings, &asking.daemon).await?;
        let known: PausesBody = daemon.get("pauses").await?;
        Output::default().line(match asking.format {
            Format::Text => list_lines(&known, surroundings.clock.now()).join("\n"),
            Format::Json => answer::json(&known)?,
        })?;
        return Ok(Answer::Well);
    }
    let begin = PauseBegin {
        what: what.unwrap_or_default(),
        by: by(said, &surroundings)?,
        reason: reason.unwrap_or_default(),
        until: None,
        length,
    };
    let daemon = DaemonClient::find(&directory, &surroundings, &asking.daemon).await?;
    let done: PauseDone = daemon.post("pauses", &begin).await?;
    Output::default().line(match asking.format {
        // Asked after the answer, so that what began with it has begun.
        Format::Text => lines(&done.pause, surroundings.clock.now()).join("\n"),
        Format::Json => answer::json(&done)?,
    })?;
    say_unless(done.recorded);
    Ok(Answer::Well)
}

/// Ends one.
pub async fn resume(directory: PathBuf, surroundings: Surroundings, what: ResumeArguments) -> Result<Answer, Stop> {
    let ResumeArguments { what, asking } = what;
    let daemon = DaemonClient::find(&directory, &surroundings, &asking.daemon).await?;
    let known: PausesBody = daemon.get("pauses").await?;
    let id = chosen(&what, &known.pauses)?;
    let done: PauseDone = daemon.delete(&format!("pauses/{}", segment(id))).await?;
    Output::default().line(match asking.format {
        Format::Text => resumed(&done.pause.what, &still_paused(&daemon, &done.pause.what, &surroundings).await?),
        Format::Json => answer::json(&done)?,
    })?;
    say_unless(done.recorded);
    Ok(Answer::Well)
}

/// By which pauses each is still paused that was paused by a scope, on each schedule.
async fn still_paused(
    daemon: &DaemonClient,
    what: &Scope,
    surroundings: &Surroundings,
) -> Result<Vec<Option<Scope>>, Stop> {
    let known: PausesBody = daemon.get("pauses").await?;
    if known.pauses.is_empty() {
        return Ok(Vec::new());
    }
    let parts: Vec<Probes> = daemon.parts("probes?limit=500", |part: &Probes| part.next.clone()).await?;
    let probes: Vec<_> = parts.into_iter().flat_map(|part| part.probes).collect();
    Ok(by_others(what, &Pauses::of(known.pauses), &probes, surroundings.clock.now()))
}

fn by_others(what: &Scope, left: &Pauses, probes: &[ProbeBody], now: Timestamp) -> Vec<Option<Scope>> {
    let rounds = probes.iter().flat_map(|probe| {
        let on = probe.schedules.iter().map(|stands| Some(&stands.schedule));
        let off = probe.schedules.is_empty().then_some(None);
        on.chain(off).map(|schedule| (schedule, &probe.name))
    });
    let taken = rounds.filter(|(schedule, probe)| what.takes(*schedule, probe));
    taken.map(|(schedule, probe)| left.find(schedule, probe, now).map(|pause| pause.what.clone())).collect()
}

/// What is run again, and what is not.
fn resumed(what: &Scope, by_others: &[Option<Scope>]) -> String {
    let mut others: Vec<_> = by_others.iter().flatten().map(|of| format!("`{of}`")).collect();
    others.sort_unstable();
    others.dedup();
    let more = others.len().saturating_sub(OTHERS_MAX);
    others.truncate(OTHERS_MAX);
    let others = others.join(", ") + &if more > 0 { format!(" and {more} more") } else { String::new() };
    match by_others.iter().flatten().count() {
        0 => format!("{what} is run again"),
        all if all == by_others.len() => format!("this pause is over, and {what} is still paused by {others}"),
        some => format!("{what} is run again, but for {some} of {} that are still paused by {others}", by_others.len()),
    }
}

/// The id of the pause that is meant: by what it pauses, as it was written, else by its id.
fn chosen<'a>(what: &str, known: &'a [Pause]) -> Result<&'a str, Stop> {
    if let Some(pause) = known.iter().find(|pause| pause.what.to_string() == what) {
        return Ok(&pause.id.0);
    }
    let wider = ProbeName::parse(what).ok().and_then(|probe| known.iter().find(|pause| pause.what.takes(None, &probe)));
    meant("pause", what, known.iter().map(|pause| &*pause.id.0)).map_err(|stop| match wider {
        Some(Pause { id, what: with, .. }) => Stop::Usage(format!(
            "{what} is paused with others, by `{with}`: `roundsman resume {id}` resumes all of them"
        )),
        None => stop,
    })
}

fn list_lines(known: &PausesBody, now: Timestamp) -> Vec<String> {
    if known.pauses.is_empty() {
        return vec!["nothing is paused".to_owned()];
    }
    known.pauses.iter().flat_map(|pause| lines(pause, now)).collect()
}

fn lines(pause: &Pause, now: Timestamp) -> Vec<String> {
    let Pause { id, what, by, reason, from, until, .. } = pause;
    let when = match until {
        Some(until) => format!("paused until {}, {} more", clock(*until), words(between(now, *until))),
        None => format!("paused until somebody resumes, since {}", clock(*from)),
    };
    vec![format!("{what}  {when}"), format!("    {}: {}", harmless(by), harmless(reason)), format!("    {id}")]
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser as _;
    use serde_json::json;

    const NOW: &str = "2026-11-24T10:00:00Z";

    fn known() -> PausesBody {
        let pause = json!({
            "id": "01KB2H8Q4V0000000000000000", "what": "api-*", "by": "ann", "reason": "a new disk\u{1b}[2J",
            "from": "2026-11-24T09:00:00Z", "until": "2026-11-24T12:00:00Z",
        });
        let endless = json!({
            "id": "01KB2H9000000000000000000", "what": "schedule:hourly", "by": "bob", "reason": "the suite is rewritten",
            "from": "2026-11-23T09:00:00Z",
        });
        serde_json::from_value(json!({ "pauses": [pause, endless] })).unwrap()
    }

    #[test]
    fn a_pause_needs_its_reason_and_not_its_length() {
        for (line, is_well) in [
            ("pause api --reason x", true),
            ("pause api* --for 2h --reason x --by ann --format json", true),
            ("pause schedule:hourly --reason x", true),
            ("pause list", true),
            ("pause list --format json --config x", true),
            ("resume api", true),
            ("pause", false),
            ("pause api", false),
            ("pause --reason x", false),
            ("pause api --for soon --reason x", false),
            ("pause list api", false),
            ("resume", false),
        ] {
            let line = format!("roundsman {line}");
            assert_eq!(crate::app::cli::Cli::try_parse_from(line.split(' ')).is_ok(), is_well, "{line}");
        }
    }

    #[test]
    fn each_says_what_until_when_who_and_why() {
        insta::assert_snapshot!(list_lines(&known(), NOW.parse().unwrap()).join("\n"));
        assert_eq!(list_lines(&PausesBody { pauses: Vec::new() }, Timestamp::default()), ["nothing is paused"]);
    }

    #[test]
    fn what_another_pause_still_takes_is_not_said_to_be_run() {
        let probe = |name: &str, schedules: &[&str]| {
            let stands = |schedule: &&str| json!({ "schedule": schedule, "standing": "paused", "last": null, "next_slot": null });
            let schedules: Vec<_> = schedules.iter().map(stands).collect();
            json!({ "name": name, "labels": {}, "kinds": ["http"], "schedules": schedules, "incident": null })
        };
        let probes = [probe("api-health", &["often"]), probe("cache", &["often", "hourly"]), probe("asked-for", &[])];
        let probes: Vec<ProbeBody> = serde_json::from_value(json!(probes)).unwrap();
        let left = Pauses::of(known().pauses);
        let told = |what: &str| {
            let what = Scope::parse(what).unwrap();
            resumed(&what, &by_others(&what, &left, &probes, NOW.parse().unwrap()))
        };
        assert_eq!(told("api-health"), "this pause is over, and api-health is still paused by `api-*`");
        assert_eq!(
            told("schedule:hourly"),
            "this pause is over, and schedule:hourly is still paused by `schedule:hourly`"
        );
        assert_eq!(told("cache"), "cache is run again, but for 1 of 2 that are still paused by `schedule:hourly`");
        assert_eq!(told("*a*"), "*a* is run again, but for 2 of 4 that are still paused by `api-*`, `schedule:hourly`");
        assert_eq!(told("asked-for"), "asked-for is run again");
        assert_eq!(told("gone"), "gone is run again");
        let many: Vec<_> = (0..7).map(|n| Some(Scope::Probes(format!("p{n}*")))).collect();
        let all = resumed(&Scope::Probes("p".to_owned()), &many);
        assert_eq!(all, "this pause is over, and p is still paused by `p0*`, `p1*`, `p2*`, `p3*`, `p4*` and 2 more");
    }

    #[test]
    fn what_is_resumed_is_what_was_paused_or_its_id() {
        let known = known();
        let id = |what: &str| chosen(what, &known.pauses).map_err(|stop| stop.to_string());
        assert_eq!(id("api-*"), Ok("01KB2H8Q4V0000000000000000"));
        assert_eq!(id("schedule:hourly"), Ok("01KB2H9000000000000000000"));
        assert_eq!(id("01kb2h9"), Ok("01KB2H9000000000000000000"));
        assert_eq!(
            id("api-health").unwrap_err(),
            "api-health is paused with others, by `api-*`: `roundsman resume 01KB2H8Q4V0000000000000000` resumes all of them"
        );
        assert_eq!(id("cache").unwrap_err(), "there is no pause `cache`");
    }
}
