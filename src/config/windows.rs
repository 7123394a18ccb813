//! Maintenance windows as written become windows: when they are, and what they are about.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use chrono::{DateTime, NaiveDateTime, TimeZone as _};
use chrono_tz::Tz;

use super::raw::{RawMode, RawWindow};
use super::schedules::{CRON_FIELDS, zone};
use crate::domain::names::{ProbeName, ScheduleName, WindowName, glob};
use crate::domain::probe::Labels;
use crate::domain::quiet::{MaintenanceWindow, Matchers, Mode, Occurrence};
use crate::domain::schedule::{Cadence, CadenceError};
use crate::domain::time::{Length, Timestamp, earlier};
use crate::settings::{Node, OneOrMany, Problem, Problems, Spanned, suggest};

/// The shortest window.
const LENGTH_MIN: Duration = Duration::from_secs(60);

/// The longest that comes again; a longer one has `from` and `until`, where it can be seen that it is over.
const LENGTH_MAX: Duration = Duration::from_secs(7 * 86_400);

/// A day, and by how much it is longer where a clock is set.
const DAY: Duration = Duration::from_secs(86_400);
const CLOCK_SET: Duration = Duration::from_secs(3_600);

/// For how long it is looked whether a window is ever over: lines that leave days out do so within a month …
const WALK: Duration = Duration::from_secs(62 * 86_400);

/// … and those that begin each minute are walked for a week.
const PERIODS_WALKED_MAX: usize = 7 * 24 * 60;

/// What windows are made with.
pub struct Known<'a> {
    /// The windows as a tree: what was wrong is missing where they were read.
    pub node: Option<&'a Node>,
    /// The probes.
    pub probes: BTreeSet<&'a ProbeName>,
    /// The labels that they have, with their values.
    pub labels: BTreeMap<&'a str, BTreeSet<&'a str>>,
    /// The schedules.
    pub schedules: BTreeSet<&'a ScheduleName>,
    /// Whether some of them could not be read, so that one that is not there may be among those.
    pub lost: bool,
    /// How far objectives look back, which do without what was in a window.
    pub looked_back: Option<Duration>,
    /// The time.
    pub now: Timestamp,
}

impl Known<'_> {
    /// Says which of these no probe has: what is chosen by them is nothing.
    pub fn check_labels(&self, written: &WrittenLabels, problems: &mut Problems) {
        for (key, value) in written.iter().filter(|_| !self.lost) {
            let Some(values) = self.labels.get(key.value.as_str()) else {
                let message = format!("no probe has a label `{}`", key.value);
                problems.warning(key.span.clone(), message).help =
                    suggest(&key.value, self.labels.keys().copied().collect::<Vec<_>>());
                continue;
            };
            if !values.contains(value.value.as_str()) {
                let message = format!("no probe has the label `{}` with the value `{}`", key.value, value.value);
                problems.warning(value.span.clone(), message).help =
                    suggest(&value.value, values.iter().copied().collect::<Vec<_>>());
            }
        }
    }

    /// Says which of these there are not.
    pub fn check_schedules(&self, written: &OneOrMany<Spanned<ScheduleName>>, problems: &mut Problems) {
        for schedule in written.iter().filter(|schedule| !self.lost && !self.schedules.contains(&schedule.value)) {
            let names: Vec<_> = self.schedules.iter().map(|name| name.as_str()).collect();
            problems.error(schedule.span.clone(), format!("there is no schedule `{}`", schedule.value)).help =
                suggest(schedule.value.as_str(), names);
        }
    }
}

/// Labels as they are written where something is chosen by them.
pub type WrittenLabels = BTreeMap<Spanned<String>, Spanned<String>>;

/// The same without their places.
pub fn plain(written: &WrittenLabels) -> Labels {
    written.iter().map(|(key, value)| (key.value.clone(), value.value.clone())).collect()
}

/// The windows; those with mistakes are left out.
pub fn windows(
    written: &BTreeMap<Spanned<WindowName>, RawWindow>,
    known: &Known<'_>,
    problems: &mut Problems,
) -> Vec<MaintenanceWindow> {
    let mut made = Vec::new();
    for (name, raw) in written {
        let matchers = matchers(raw, known, problems);
        let node = known.node.and_then(|windows| windows.get(name.value.as_str()));
        if let Some(when) = occurrence(name, raw, node, known, problems) {
            let mode = match raw.mode {
                RawMode::Mute => Mode::Mute,
                RawMode::Mark => Mode::Mark,
            };
            made.push(MaintenanceWindow { name: name.value.clone(), when, matchers, mode });
        }
    }
    made
}

fn matchers(raw: &RawWindow, known: &Known<'_>, problems: &mut Problems) -> Matchers {
    let Known { probes, lost, .. } = known;
    for pattern in raw.probes.iter().filter(|_| !lost) {
        if !probes.iter().any(|probe| glob(&pattern.value, probe.as_str())) {
            let is_glob = pattern.value.contains('*');
            let none = if is_glob { "matches no probe" } else { "is no probe" };
            problems.error(pattern.span.clone(), format!("`{}` {none}", pattern.value)).help =
                suggest(&pattern.value, probes.iter().map(|probe| probe.as_str()).collect::<Vec<_>>());
        }
    }
    known.check_schedules(&raw.schedules, problems);
    known.check_labels(&raw.labels, problems);
    Matchers {
        probes: raw.probes.iter().map(|pattern| pattern.value.clone()).collect(),
        schedules: raw.schedules.iter().map(|schedule| schedule.value.clone()).collect(),
        labels: plain(&raw.labels),
        severities: BTreeSet::new(),
    }
}

fn occurrence(
    name: &Spanned<WindowName>,
    raw: &RawWindow,
    node: Option<&Node>,
    known: &Known<'_>,
    problems: &mut Problems,
) -> Option<Occurrence> {
    let timezone = raw.timezone.as_ref().map_or(Some(Tz::UTC), |written| zone(written, problems))?;
    match (&raw.cron, &raw.length, &raw.from, &raw.until) {
        (Some(line), Some(length), None, None) => again(line, length, timezone, known.now, problems),
        (None, None, Some(from), Some(until)) => {
            // What an objective looks back on still counts.
            let over_since = earlier(known.now, known.looked_back.unwrap_or_default());
            once(from, until, timezone, over_since, problems)
        }
        // What is there and wrong was reported.
        (cron, length, from, until)
            if [
                ("cron", cron.is_none()),
                ("for", length.is_none()),
                ("from", from.is_none()),
                ("until", until.is_none()),
            ]
            .into_iter()
            .any(|(key, missing)| missing && node.is_some_and(|node| node.get(key).is_some())) =>
        {
            None
        }
        _ => {
            let message = format!("the window `{}` has either `cron` and `for`, or `from` and `until`", name.value);
            problems.error(name.span.clone(), message).help = Some(
                "write `{ cron: \"0 2 * * 2-4\", for: 2h }` or `{ from: 2026-12-01 02:00, until: 2026-12-01 04:00 }`"
                    .to_owned(),
            );
            None
        }
    }
}

fn again(
    line: &Spanned<String>,
    length: &Spanned<super::raw::RawLength>,
    timezone: Tz,
    now: Timestamp,
    problems: &mut Problems,
) -> Option<Occurrence> {
    let made = Cadence::cron(&line.value, timezone, now);
    let cadence = made.map_err(|error| {
        let is_form = matches!(error, CadenceError::Cron(..) | CadenceError::Fields(..));
        problems.error(line.span.clone(), error.to_string()).help = is_form.then(|| CRON_FIELDS.to_owned());
    });
    let (cadence, long) = (cadence.ok()?, length.value.0.0);
    if !(LENGTH_MIN..=LENGTH_MAX).contains(&long) {
        let (least, most) = (Length(LENGTH_MIN), Length(LENGTH_MAX));
        problems
            .error(length.span.clone(), format!("a window lasts for {least} to {most}, not for {}", Length(long)))
            .help = (long > LENGTH_MAX).then(|| "write `from` and `until` for one that is longer".to_owned());
        return None;
    }
    if let Some(longest) = never_over(&cadence, long, timezone, now) {
        let message = format!("a window of {} begins again after {}, and is never over", Length(long), Length(longest));
        problems.push(Problem::error(length.span.clone(), message).with_also(line.span.clone(), "it begins here"));
        return None;
    }
    Some(Occurrence::Each(cadence, long))
}

/// The longest time after which a window begins again, where it lasts for as long and so is always open. A day that is longer
/// because a clock is set does not count: one hour in a year is no end, and the same file would be right in one week only.
fn never_over(cadence: &Cadence, long: Duration, timezone: Tz, now: Timestamp) -> Option<Duration> {
    let (mut longest, mut walked) = (None, Duration::ZERO);
    for period in cadence.periods(now).take(PERIODS_WALKED_MAX) {
        let is_long_day = timezone != Tz::UTC && (DAY..=DAY + CLOCK_SET).contains(&period);
        let counted = if is_long_day { DAY } else { period };
        if counted > long {
            return None;
        }
        longest = longest.max(Some(counted));
        walked += period;
        if walked > WALK {
            break;
        }
    }
    longest
}

fn once(
    from: &Spanned<String>,
    until: &Spanned<String>,
    timezone: Tz,
    over_since: Timestamp,
    problems: &mut Problems,
) -> Option<Occurrence> {
    let begin = instant(from, timezone, Hour::First, problems);
    let end = instant(until, timezone, Hour::Second, problems);
    let (begin, end) = (begin?, end?);
    if end <= begin {
        let problem = Problem::error(until.span.clone(), "the window ends before it begins");
        problems.push(problem.with_also(from.span.clone(), "it begins here"));
        return None;
    }
    if end <= over_since {
        problems.warning(until.span.clone(), "the window is over").help = Some("remove it".to_owned());
    }
    Some(Occurrence::Once(begin, end))
}

/// Which of two instants is meant where a clock on the wall shows the same time twice.
#[derive(Clone, Copy)]
enum Hour {
    First,
    Second,
}

/// An instant as people write it. In the hour that comes twice a window begins at the first and ends at the second, so that it
/// covers what was meant either way; in the hour that does not come it is the instant at which the clock was set.
fn instant(written: &Spanned<String>, timezone: Tz, hour: Hour, problems: &mut Problems) -> Option<Timestamp> {
    let text = written.value.trim();
    if let Ok(at) = DateTime::parse_from_rfc3339(text) {
        return Some(at.to_utc());
    }
    let forms = ["%Y-%m-%d %H:%M", "%Y-%m-%d %H:%M:%S", "%Y-%m-%dT%H:%M:%S"];
    let local = forms.iter().find_map(|form| NaiveDateTime::parse_from_str(text, form).ok());
    let found = local.and_then(|local| match (timezone.from_local_datetime(&local), hour) {
        (chrono::LocalResult::Single(at), _)
        | (chrono::LocalResult::Ambiguous(at, _), Hour::First)
        | (chrono::LocalResult::Ambiguous(_, at), Hour::Second) => Some(at.to_utc()),
        (chrono::LocalResult::None, _) => {
            // The gap is an hour at most nearly everywhere, and a day once in a century.
            let after = (1..=24 * 60).find_map(|minute| {
                timezone.from_local_datetime(&(local + chrono::TimeDelta::minutes(minute))).earliest()
            });
            after.map(|at| at.to_utc())
        }
    });
    if found.is_none() {
        problems.error(written.span.clone(), format!("`{text}` is not an instant")).help =
            Some("write it like `2026-12-01 02:00`, or `2026-12-01T02:00:00Z`".to_owned());
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::{Source, Span};

    #[test]
    fn an_instant_that_comes_twice_or_not_at_all_is_the_one_that_leaves_nothing_out() {
        let read = |text: &str, hour| {
            let written = Spanned { value: text.to_owned(), span: Span::new(&Source::new("x", text), 0..1) };
            let mut problems = Problems::new();
            let found = instant(&written, Tz::Europe__Berlin, hour, &mut problems).map(|at| at.to_string());
            found.ok_or_else(|| problems.has_errors())
        };
        for (text, first, second) in [
            ("2026-07-01 02:30", "2026-07-01 00:30:00 UTC", "2026-07-01 00:30:00 UTC"),
            ("2026-10-25 02:30", "2026-10-25 00:30:00 UTC", "2026-10-25 01:30:00 UTC"),
            ("2026-03-29 02:30", "2026-03-29 01:00:00 UTC", "2026-03-29 01:00:00 UTC"),
            ("2026-07-01T02:30:00Z", "2026-07-01 02:30:00 UTC", "2026-07-01 02:30:00 UTC"),
            ("2026-07-01T02:30:05+02:00", "2026-07-01 00:30:05 UTC", "2026-07-01 00:30:05 UTC"),
        ] {
            assert_eq!(read(text, Hour::First).as_deref(), Ok(first), "{text}");
            assert_eq!(read(text, Hour::Second).as_deref(), Ok(second), "{text}");
        }
        assert_eq!(read("tomorrow", Hour::First), Err(true));
    }

    #[test]
    fn a_window_that_is_over_is_a_warning() {
        let written = |text: &str| Spanned { value: text.to_owned(), span: Span::new(&Source::new("x", text), 0..1) };
        let mut problems = Problems::new();
        let now = "2026-11-24T10:00:00Z".parse().unwrap();
        let (from, until) = (written("2026-11-23 10:00"), written("2026-11-24 10:00"));
        assert!(once(&from, &until, Tz::UTC, now, &mut problems).is_some() && !problems.has_errors());
        assert!(problems.render(false).contains("warning: the window is over"));
    }
}
