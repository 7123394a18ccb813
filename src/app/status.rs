//! `status`: how things stand, the worst first.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::PathBuf;

use anstyle::{AnsiColor, Style};
use clap::Args;
use serde::Serialize;

use super::answer::{self, Answer, Output, Stop};
use super::cli::Format;
use super::daemon_client::{DaemonArguments, DaemonClient};
use super::report::length;
use super::validate::counted;
use super::watch;
use crate::config::load::Surroundings;
use crate::domain::names::ProbeName;
use crate::domain::text::{harmless, thousands};
use crate::domain::time::{Timestamp, between, clock, words};
use crate::web::api::probes::{ProbeBody, Probes, Stands};
use crate::web::api::status::{OpenBody, Standing, Status};

/// How wide the table is, in characters: what a terminal has at least.
pub const WIDTH: usize = 80;

/// How many rows of what is well are shown where not all are asked for.
const WELL_MAX: usize = 20;

/// How it is shown.
#[derive(Clone, Debug, Args)]
pub struct StatusArguments {
    /// Show what is well to the last row.
    #[arg(long)]
    pub all: bool,
    /// Look every two seconds: on a terminal over what was shown before, elsewhere only what has changed.
    #[arg(long, short)]
    pub watch: bool,
    /// How it is shown.
    #[arg(long, value_enum, default_value_t)]
    pub format: Format,
    /// Which daemon.
    #[command(flatten)]
    pub daemon: DaemonArguments,
}

/// All that is shown.
#[derive(Clone, Debug, Serialize)]
pub struct Shown {
    /// The whole.
    pub status: Status,
    /// Every probe.
    pub probes: Vec<ProbeBody>,
}

impl Shown {
    /// Asks a daemon.
    pub async fn ask(daemon: &DaemonClient) -> Result<Self, Stop> {
        let status = daemon.get("status").await?;
        let parts: Vec<Probes> = daemon.parts("probes?limit=500", |part: &Probes| part.next.clone()).await?;
        Ok(Self { status, probes: parts.into_iter().flat_map(|part| part.probes).collect() })
    }

    /// Each probe on each schedule, the worst first.
    pub fn rows(&self) -> Vec<(&ProbeName, &Stands)> {
        let rows = self.probes.iter().flat_map(|probe| probe.schedules.iter().map(move |stands| (&probe.name, stands)));
        let mut rows: Vec<_> = rows.collect();
        rows.sort_by_key(|(name, stands)| (stands.standing, *name, &stands.schedule));
        rows
    }

    /// What it comes to.
    pub fn answer(&self) -> Answer {
        let fails = self.status.tally.get(&Standing::Failed).is_some_and(|count| *count > 0);
        if fails || !self.status.open.is_empty() { Answer::Unwell } else { Answer::Well }
    }

    /// For programs.
    pub fn json(&self) -> Result<String, Stop> {
        answer::json(self)
    }
}

/// Shows it.
pub async fn status(directory: PathBuf, surroundings: Surroundings, what: StatusArguments) -> Result<Answer, Stop> {
    let daemon = DaemonClient::find(&directory, &surroundings, &what.daemon).await?;
    if what.watch {
        return watch::watch(&daemon, &*surroundings.clock, &what).await;
    }
    let shown = Shown::ask(&daemon).await?;
    Output::default().line(match what.format {
        Format::Text => lines(&shown, surroundings.clock.now(), what.all).join("\n"),
        Format::Json => shown.json()?,
    })?;
    Ok(shown.answer())
}

/// All of it, as lines.
pub fn lines(shown: &Shown, now: Timestamp, all: bool) -> Vec<String> {
    let mut lines = wrapped(&shown.status.sentence);
    if let Some(since) = shown.status.unrecorded_since {
        lines.push(format!("Nothing is recorded since {}.", clock(since)));
    }
    for incident in &shown.status.open {
        lines.extend(opened(incident, now));
    }
    let rows = shown.rows();
    let is_bad = |stands: &Stands| {
        !matches!(stands.standing, Standing::Passed | Standing::Skipped | Standing::Waiting | Standing::Paused)
    };
    let bad = rows.iter().filter(|(_, stands)| is_bad(stands)).count();
    let most = if all { rows.len() } else { (bad + WELL_MAX).min(rows.len()) };
    if !rows.is_empty() {
        lines.push(String::new());
        lines.push(row("  ", "stands", "probe", "schedule", "last run", "took"));
    }
    for (name, stands) in &rows[..most] {
        let (glyph, style) = mark(stands.standing);
        let last = stands.last.as_ref();
        let ago = last.map_or_else(|| "-".to_owned(), |last| ago(last.started_at, now));
        let took = last.map_or_else(|| "-".to_owned(), |last| length(last.duration_ms));
        let glyph = format!("{style}{glyph}{style:#} ");
        lines.push(row(&glyph, word(stands.standing), name.as_str(), stands.schedule.as_str(), &ago, &took));
        let failure = last.filter(|_| is_bad(stands)).and_then(|last| last.failures.first());
        lines.extend(failure.map(|failure| format!("    {}", cut(&failure.to_string(), WIDTH - 4))));
    }
    if most < rows.len() {
        lines.push(left(&rows[most..]));
    }
    lines
}

/// What is not shown: how much of it there is, and how it stands.
fn left(rows: &[(&ProbeName, &Stands)]) -> String {
    let mut counts = BTreeMap::new();
    for (_, stands) in rows {
        *counts.entry(stands.standing).or_insert(0) += 1;
    }
    let count = |count: usize| thousands(count as u64);
    let how = if counts.keys().eq([&Standing::Passed]) {
        " that are well".to_owned()
    } else {
        let each = counts.into_iter().map(|(standing, of)| format!(", {} {}", count(of), word(standing)));
        each.collect()
    };
    format!("and {} more{how}: `--all` shows them", count(rows.len()))
}

/// An empty line and two of an open incident: what; its id, which whoever takes it on needs whole, since when, and who has it.
fn opened(incident: &OpenBody, now: Timestamp) -> [String; 3] {
    let OpenBody { id, severity, summary, since, acknowledged_by, quiet, .. } = incident;
    let who = match (acknowledged_by, quiet) {
        (Some(by), _) => format!("{} has it", harmless(by)),
        (None, Some(_)) => "nobody is told".to_owned(),
        (None, None) => "nobody has taken it on".to_owned(),
    };
    let long = words(between(*since, now));
    [
        String::new(),
        format!("{severity}  {}", cut(summary, WIDTH - 4)),
        format!("    {}", cut(&format!("{id}  open for {long}; {who}"), WIDTH - 4)),
    ]
}

/// A row of 80 characters; the glyph before it has two, besides what colours it.
fn row(glyph: &str, stands: &str, probe: &str, schedule: &str, last: &str, took: &str) -> String {
    let (probe, schedule) = (cut(probe, 28), cut(schedule, 14));
    format!("{glyph}{stands:<12} {probe:<28} {schedule:<14} {last:>10} {took:>9}")
}

/// The word of a standing, as the page has it.
pub fn word(standing: Standing) -> &'static str {
    standing.word()
}

/// The glyph, and the colour that is added to it.
pub fn mark(standing: Standing) -> (&'static str, Style) {
    let (glyph, colour) = match standing {
        Standing::Failed => ("✕", AnsiColor::Red),
        Standing::Degraded => ("▲", AnsiColor::Yellow),
        Standing::Passed => ("●", AnsiColor::Green),
        Standing::Inconclusive | Standing::Overdue | Standing::Waiting | Standing::Paused | Standing::Skipped => {
            ("◌", AnsiColor::Magenta)
        }
    };
    (glyph, Style::new().fg_color(Some(colour.into())))
}

fn ago(at: Timestamp, now: Timestamp) -> String {
    let age = between(at, now);
    // The larger unit alone tells enough, and fits.
    let words = words(age);
    let mut parts = words.split(' ');
    match (age.as_secs(), parts.next(), parts.next()) {
        (1.., Some(number), Some(unit)) => format!("{number} {unit} ago"),
        _ => "now".to_owned(),
    }
}

/// One line that is harmless and not longer than so many characters.
pub fn cut(text: &str, most: usize) -> String {
    let text = harmless(text);
    if text.chars().count() <= most {
        return text.into_owned();
    }
    text.chars().take(most.saturating_sub(1)).chain(['…']).collect()
}

/// A sentence in lines of that width.
fn wrapped(sentence: &str) -> Vec<String> {
    let mut lines = vec![String::new()];
    for word in harmless(sentence).split(' ') {
        if let Some(line) = lines.last_mut() {
            if line.is_empty() {
                line.push_str(word);
                continue;
            }
            if line.chars().count() + 1 + word.chars().count() <= WIDTH {
                // Writing to a String cannot fail.
                let _ = write!(line, " {word}");
                continue;
            }
        }
        lines.push(word.to_owned());
    }
    lines
}

/// `9 probes: 1 failed, 8 passed`.
pub fn tallied(status: &Status) -> String {
    let parts = status.tally.iter().map(|(standing, count)| format!("{} {}", thousands(*count), standing.word()));
    format!("{}: {}", counted(status.probes, "probe"), parts.collect::<Vec<_>>().join(", "))
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use serde_json::{Value, json};

    /// When it is looked at.
    pub const NOW: &str = "2026-11-24T09:17:45Z";

    fn stands(schedule: &str, standing: &str, at: &str, took: f64, failure: Option<&str>) -> Value {
        let verdict = if standing == "overdue" { "passed" } else { standing };
        let failures: Vec<_> = failure.iter().map(|message| json!({ "kind": "expect", "message": message })).collect();
        let last =
            json!({ "id": "01KB2H", "started_at": at, "duration_ms": took, "verdict": verdict, "failures": failures });
        json!({ "schedule": schedule, "standing": standing, "last": last, "next_slot": null })
    }

    fn probe(name: &str, stands: &[Value]) -> Value {
        json!({ "name": name, "labels": {}, "kinds": ["http"], "schedules": stands, "incident": null })
    }

    /// Six probes of which four are not well, one with a name too long and one hostile.
    pub fn shown() -> Shown {
        let long = "the-journey-of-a-shopper-who-comes-back@eu-central-1";
        let hostile =
            "`json.services.database` was \"degraded\"\u{1b}[2J and some more that nobody can read in a table";
        let probes = [
            probe("auth", &[stands("reachability", "passed", "2026-11-24T09:17:40Z", 52.0, None)]),
            probe(
                "api-health",
                &[
                    stands("reachability", "failed", "2026-11-24T09:17:33Z", 391.4, Some(hostile)),
                    stands("hourly", "passed", "2026-11-24T09:00:01Z", 4.2, None),
                ],
            ),
            probe(
                "database",
                &[stands("reachability", "degraded", "2026-11-24T09:17:31Z", 39.7, Some("`total_ms` was 39.7"))],
            ),
            probe(long, &[stands("journeys-every-5m", "overdue", "2026-11-22T07:12:01Z", 125_000.0, None)]),
            probe(
                "logs",
                &[stands(
                    "hourly",
                    "inconclusive",
                    "2026-11-24T09:00:07Z",
                    0.0,
                    Some("local.secret: the file is gone"),
                )],
            ),
            probe("new", &[json!({ "schedule": "hourly", "standing": "waiting", "last": null, "next_slot": null })]),
            probe("on-request", &[]),
        ];
        let status = json!({
            "site": "shop", "location": "here", "probes": 6,
            "sentence": "2 incidents are open: api-health and the-journey-of-a-shopper-who-comes-back@eu-central-1.",
            "tally": { "failed": 1, "inconclusive": 1, "overdue": 1, "degraded": 1, "waiting": 1, "passed": 1 },
            "tiers": [], "unrecorded_since": "2026-11-24T09:17:00Z",
            "open": [{
                "id": "01KB2H8Q4V0000000000000000", "probe": "api-health", "aspect": "failing", "severity": "P1",
                "summary": format!("api-health is failing: expect: {hostile}"), "since": "2026-11-24T09:14:01Z",
                "acknowledged_by": null, "quiet": null, "url": null,
            }, {
                "id": "01KB2H8Q4V0000000000000001", "probe": long, "aspect": "failing", "severity": "P2",
                "summary": format!("{long} is failing"), "since": "2026-11-22T07:14:01Z",
                "acknowledged_by": "ann\u{1b}[31m", "quiet": null, "url": null,
            }],
        });
        Shown {
            status: serde_json::from_value(status).unwrap(),
            probes: serde_json::from_value(json!(probes)).unwrap(),
        }
    }

    #[test]
    fn a_table_fits_80_columns_and_has_the_worst_first() {
        let lines = lines(&shown(), NOW.parse().unwrap(), false);
        let plain = anstream::adapter::strip_str(&lines.join("\n")).to_string();
        assert!(plain.lines().all(|line| line.chars().count() <= WIDTH), "{plain}");
        assert!(!plain.contains('\u{1b}'), "{plain}");
        insta::assert_snapshot!(plain);
    }

    #[test]
    fn what_is_well_is_counted_where_it_is_much() {
        let mut shown = shown();
        let well = shown.probes[0].clone();
        shown.probes =
            (0..1_500).map(|n| ProbeBody { name: format!("p{n:04}").parse().unwrap(), ..well.clone() }).collect();
        shown.status.open.clear();
        let now = NOW.parse().unwrap();
        let few = lines(&shown, now, false);
        assert_eq!(few.last().unwrap(), "and 1,480 more that are well: `--all` shows them");
        assert!(
            lines(&shown, now, true).iter().filter(|line| line.contains(" p0") || line.contains(" p1")).count()
                == 1_500
        );
    }

    #[test]
    fn what_is_not_shown_is_well_only_where_it_is() {
        let mut shown = shown();
        let well = shown.probes[0].clone();
        let of = |n: usize, standing: Standing| {
            let stands = Stands { standing, ..well.schedules[0].clone() };
            ProbeBody { name: format!("p{n:04}").parse().unwrap(), schedules: vec![stands], ..well.clone() }
        };
        let how = |n: usize| if n < 30 { Standing::Paused } else { Standing::Passed };
        shown.probes = (0..1_500).map(|n| of(n, how(n))).chain([of(1_500, Standing::Skipped)]).collect();
        shown.status.open.clear();
        let few = lines(&shown, NOW.parse().unwrap(), false);
        assert_eq!(few.last().unwrap(), "and 1,481 more, 10 paused, 1 skipped, 1,470 passed: `--all` shows them");
    }

    #[test]
    fn what_fails_or_is_open_is_exit_1() {
        let mut shown = shown();
        assert_eq!(shown.answer(), Answer::Unwell);
        shown.status.open.clear();
        assert_eq!(shown.answer(), Answer::Unwell);
        shown.status.tally.remove(&Standing::Failed);
        assert_eq!(shown.answer(), Answer::Well, "degraded is worth a look, and no more");
    }
}
