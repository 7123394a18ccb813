//! `status --watch`: on a terminal how things stand, over what was shown before; elsewhere each change as a line, for a log.

use std::collections::BTreeMap;
use std::io::IsTerminal as _;
use std::time::Duration;

use super::answer::{Answer, Output, Stop, say};
use super::cli::Format;
use super::daemon_client::DaemonClient;
use super::status::{Shown, StatusArguments, cut, lines, mark, tallied, word};
use crate::domain::incident::IncidentId;
use crate::domain::names::{ProbeName, ScheduleName};
use crate::domain::text::harmless;
use crate::domain::time::{Timestamp, clock};
use crate::ports::Clock;
use crate::web::api::status::Standing;

/// How often it is looked at.
const EVERY: Duration = Duration::from_secs(2);

/// How many lines a terminal shows whose height nobody says.
const HEIGHT: usize = 24;

/// Looks until somebody ends it. A daemon that does not answer for a while is no reason to look away, but one has to be there at
/// first.
pub async fn watch(daemon: &DaemonClient, time: &dyn Clock, what: &StatusArguments) -> Result<Answer, Stop> {
    let (mut out, mut before, mut complaint) = (Output::default(), None::<Shown>, None::<String>);
    let is_drawn = std::io::stdout().is_terminal() && what.format == Format::Text;
    while out.is_read() {
        let (asked, now) = (Shown::ask(daemon).await, time.now());
        match asked {
            Err(stop) if before.is_none() => return Err(stop),
            Err(stop) => {
                let said = stop.to_string();
                if is_drawn {
                    out.over(&[format!("{}: {said}", clock(now))])?;
                } else if complaint.as_ref() != Some(&said) {
                    say(&format!("{}  {said}", clock(now)));
                }
                complaint = Some(said);
            }
            Ok(shown) => {
                if is_drawn {
                    out.over(&fitting(lines(&shown, now, what.all)))?;
                } else if what.format == Format::Json {
                    if before.as_ref().is_none_or(|before| {
                        before.standings() != shown.standings() || opened(before) != opened(&shown)
                    }) {
                        out.line(shown.json()?)?;
                    }
                } else {
                    for line in changes(before.as_ref(), &shown, now) {
                        out.line(line)?;
                    }
                }
                (before, complaint) = (Some(shown), None);
            }
        }
        time.sleep_until(time.monotonic() + EVERY).await;
    }
    Ok(before.map_or(Answer::Well, |shown| shown.answer()))
}

/// What a terminal of that height shows without scrolling, which would tear what is drawn over it.
fn fitting(mut lines: Vec<String>) -> Vec<String> {
    let height = terminal_size::terminal_size().map_or(HEIGHT, |(_, height)| usize::from(height.0));
    let room = height.saturating_sub(2).max(1);
    if lines.len() > room {
        let more = lines.len() - room;
        lines.truncate(room);
        lines.push(format!("and {more} more lines: this terminal is too low for them"));
    }
    lines
}

impl Shown {
    fn standings(&self) -> BTreeMap<(&ProbeName, &ScheduleName), Standing> {
        self.rows().into_iter().map(|(probe, stands)| ((probe, &stands.schedule), stands.standing)).collect()
    }
}

fn opened(shown: &Shown) -> BTreeMap<&IncidentId, &str> {
    shown.status.open.iter().map(|incident| (&incident.id, incident.summary.as_str())).collect()
}

/// What is otherwise than before, each as a line; at first what is not well.
fn changes(before: Option<&Shown>, now_shown: &Shown, now: Timestamp) -> Vec<String> {
    let at = clock(now);
    let Some(before) = before else {
        let troubles = now_shown.rows().into_iter().filter(|(_, stands)| stands.standing != Standing::Passed);
        let troubles = troubles.map(|(probe, stands)| moved(&at, probe, &stands.schedule, None, stands.standing));
        let first = [
            format!("{at}  {}", harmless(&now_shown.status.sentence)),
            format!("{at}  {}", tallied(&now_shown.status)),
        ];
        return first.into_iter().chain(troubles).collect();
    };
    let mut lines = Vec::new();
    let (old, new) = (opened(before), opened(now_shown));
    let is_new = |id: &&&IncidentId| !old.contains_key(**id);
    for id in new.keys().filter(is_new) {
        lines.push(format!("{at}  ✕ opened {id}: {}", cut(new[*id], 200)));
    }
    for (id, summary) in old.iter().filter(|(id, _)| !new.contains_key(*id)) {
        lines.push(format!("{at}  ● over {id}: {}", cut(summary, 200)));
    }
    let (old, new) = (before.standings(), now_shown.standings());
    for ((probe, schedule), standing) in &new {
        let was = old.get(&(*probe, *schedule)).copied();
        if was != Some(*standing) {
            lines.push(moved(&at, probe, schedule, was, *standing));
        }
    }
    for (probe, schedule) in old.keys().filter(|of| !new.contains_key(*of)) {
        lines.push(format!("{at}  ◌ {probe} on {schedule} is not configured any more"));
    }
    lines
}

fn moved(at: &str, probe: &ProbeName, schedule: &ScheduleName, was: Option<Standing>, is: Standing) -> String {
    let (glyph, style) = mark(is);
    let was = was.map(|was| format!(", was {}", word(was))).unwrap_or_default();
    format!("{at}  {style}{glyph}{style:#} {}  {probe} on {schedule}{was}", word(is))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::app::status::tests::{NOW, shown};

    fn plain(lines: &[String]) -> String {
        anstream::adapter::strip_str(&lines.join("\n")).to_string()
    }

    #[test]
    fn a_log_gets_what_is_wrong_and_then_what_changes() {
        let (first, now) = (shown(), NOW.parse().unwrap());
        let mut next = first.clone();
        assert_eq!(changes(Some(&first), &next, now), Vec::<String>::new());
        next.status.open.remove(0);
        next.probes[1].schedules[0].standing = Standing::Passed;
        next.probes.remove(0);
        let mut back = next.clone();
        back.status.open = first.status.open.clone();
        let told = [changes(None, &first, now), changes(Some(&first), &next, now), changes(Some(&next), &back, now)];
        let told = told.map(|lines| plain(&lines)).join("\n\n");
        assert!(!told.contains('\u{1b}'), "{told}");
        insta::assert_snapshot!(told);
    }
}
