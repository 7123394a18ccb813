//! Schedules as written become schedules: their cadence, and which probes are theirs.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use chrono_tz::Tz;

use super::alerts::{policy, recheck};
use super::diagnosis;
use super::objectives;
use super::probes::WrittenProbe;
use super::raw::RawSchedule;
use crate::domain::names::{ChannelName, ProbeName, ScheduleName, glob};
use crate::domain::schedule::{Cadence, CadenceError, Schedule};
use crate::domain::time::{Length, Timestamp};
use crate::engine::runner::OVERTIME;
use crate::settings::{Key, Node, Problem, Problems, Spanned, Value, suggest};

/// The help for a cron line that cannot be read.
pub const CRON_FIELDS: &str = "the fields are minute, hour, day of the month, month and day of the week: `0 8 * * 1-5` is 8:00 from Monday to Friday";

/// A schedule as written, with where it is.
pub struct WrittenSchedule {
    /// Its name.
    pub name: ScheduleName,
    /// Where the name is written.
    pub key: Key,
    /// What is written.
    pub raw: RawSchedule,
    /// The same as a tree: what was wrong is missing in `raw`.
    pub node: Node,
}

/// What schedules are made with.
pub struct Scheduling<'a> {
    /// All probes.
    pub probes: &'a BTreeMap<ProbeName, WrittenProbe>,
    /// The names whose probe has mistakes of its own.
    pub broken: &'a BTreeSet<String>,
    /// Whether there are probes that could not be read.
    pub lost: bool,
    /// The budget of a run where neither schedule nor probe names one, as far as the cadence leaves room for it.
    pub timeout: Duration,
    /// How long runs are kept.
    pub retention: Duration,
    /// The channels; none where the file that declares them could not be read.
    pub channels: Option<&'a BTreeSet<ChannelName>>,
    /// When the search for the next occurrence of a cron line begins.
    pub now: Timestamp,
}

/// Makes a schedule.
pub fn make(written: &WrittenSchedule, all: &Scheduling<'_>, problems: &mut Problems) -> Option<Schedule> {
    let Scheduling { probes, timeout, now, .. } = *all;
    let WrittenSchedule { name, key, raw, .. } = written;
    let before = problems.len();
    let members = members(written, all, problems);
    if members.is_empty() && problems.len() == before && all.broken.is_empty() && !all.lost {
        problems.warning(key.span.clone(), format!("the schedule `{name}` runs no probe")).help =
            Some("name probes in it: `probes: [name]`".to_owned());
    }
    let alert = raw.alert.as_ref().map(|alert| policy(alert, all.channels, problems));
    let known = diagnosis::Known { probes, broken: all.broken, lost: all.lost };
    let explaining = raw.alert.iter().flat_map(|alert| alert.diagnose.iter()).cloned().collect::<Vec<_>>();
    diagnosis::check(&explaining, None, known, problems);
    let cadence = cadence(written, now, problems)?;
    let period = cadence.shortest_period(now);
    let default = timeout.min(period.mul_f64(0.8));
    let timeout = raw.timeout.as_ref().map_or(default, |limit| limit.value.0.0);
    if let Some(limit) = &raw.timeout
        && (limit.value.0.0 >= period || limit.value.0.0.is_zero())
    {
        problems.error(limit.span.clone(), too_long(limit.value.0, period));
    }
    for probe in &members {
        let Some(limit) = probes.get(probe).and_then(|probe| probe.timeout.as_ref()) else { continue };
        if limit.value >= period {
            let problem = Problem::error(limit.span.clone(), too_long(Length(limit.value), period));
            problems.push(problem.with_also(key.span.clone(), format!("`{name}` runs it every {}", Length(period))));
        }
    }
    check_rechecks(
        written,
        &members.iter().filter_map(|name| probes.get(name)).collect::<Vec<_>>(),
        timeout,
        period,
        problems,
    );
    let known = objectives::Known {
        schedule: name.as_str(),
        cadence: &cadence,
        probes: &members.iter().filter_map(|name| probes.get(name)).collect::<Vec<_>>(),
        lost: all.lost || !all.broken.is_empty(),
        retention: all.retention,
        now,
    };
    let objectives = objectives::objectives(&raw.objectives, &known, problems);
    Some(Schedule { name: name.clone(), cadence, probes: members, timeout, alert: alert.flatten(), objectives })
}

/// What comes after the next slot is no recheck, and one that may still be going on when the slot comes is not made.
fn check_rechecks(
    written: &WrittenSchedule,
    members: &[&WrittenProbe],
    timeout: Duration,
    period: Duration,
    problems: &mut Problems,
) {
    let name = &written.name;
    let of_schedule = written.raw.alert.as_ref().and_then(recheck);
    let speaks = |probe: &&&WrittenProbe| probe.probe.alert.is_none();
    let own = members.iter().filter_map(|probe| Some((probe.recheck.clone()?, vec![*probe])));
    let all = of_schedule.map(|recheck| (recheck, members.iter().filter(speaks).copied().collect::<Vec<_>>()));
    for (recheck, probes) in own.chain(all) {
        let (wait, every) = (Length(recheck.value), Length(period));
        if recheck.value >= period {
            let message =
                format!("a recheck after {wait} comes no sooner than the next slot: `{name}` has one every {every}");
            problems.error(recheck.span, message).help = Some("write a shorter one, or remove `recheck`".to_owned());
            continue;
        }
        let longest = |probe: &WrittenProbe| probe.probe.longest(probe.probe.timeout.unwrap_or(timeout));
        let late = probes.iter().find(|probe| recheck.value + longest(probe) + OVERTIME > period);
        if let Some(probe) = late {
            let (probe, longest) = (&probe.probe.name, Length(longest(probe)));
            let message = format!(
                "no recheck of `{probe}` ends in time: {wait} after a run it may go on for {longest}, and `{name}` has a slot every {every}"
            );
            problems.warning(recheck.span, message).help = Some("write a shorter `recheck` or `timeout`".to_owned());
        }
    }
}

fn too_long(limit: Length, period: Duration) -> String {
    format!("a budget of {limit} does not fit into a cadence of {}", Length(period))
}

fn cadence(written: &WrittenSchedule, now: Timestamp, problems: &mut Problems) -> Option<Cadence> {
    let WrittenSchedule { key, raw, node, .. } = written;
    let timezone = raw.timezone.as_ref().map(|written| zone(written, problems));
    match (&raw.every, &raw.cron) {
        (Some(every), None) => {
            if let Some(timezone) = &raw.timezone {
                problems.error(timezone.span.clone(), "`every` counts from midnight UTC and takes no time zone").help =
                    Some("remove it, or write a `cron` line instead of `every`".to_owned());
            }
            let made = Cadence::every(every.value.0.0);
            made.map_err(|error| problems.error(every.span.clone(), error.to_string()).help = None).ok()
        }
        (None, Some(line)) => {
            let timezone = timezone.unwrap_or(Some(Tz::UTC))?;
            let made = Cadence::cron(&line.value, timezone, now);
            made.map_err(|error| {
                let is_form = matches!(error, CadenceError::Cron(..) | CadenceError::Fields(..));
                problems.error(line.span.clone(), error.to_string()).help = is_form.then(|| CRON_FIELDS.to_owned());
            })
            .ok()
        }
        (Some(every), Some(cron)) => {
            let problem = Problem::error(cron.span.clone(), "a schedule has `every` or `cron`, not both");
            problems.push(problem.with_also(every.span.clone(), "the other one"));
            None
        }
        // What is there and wrong was reported.
        (None, None) if ["every", "cron"].iter().any(|key| node.get(key).is_some_and(|node| !is_null(node))) => None,
        (None, None) => {
            problems
                .error(key.span.clone(), format!("the schedule `{}` says neither `every` nor `cron`", key.text))
                .help = Some("write `every: 30s`, or `cron: \"0 * * * *\"`".to_owned());
            None
        }
    }
}

fn is_null(node: &Node) -> bool {
    matches!(node.value, Value::Null)
}

/// The time zone of that name.
pub fn zone(written: &Spanned<String>, problems: &mut Problems) -> Option<Tz> {
    match written.value.parse() {
        Ok(zone) => Some(zone),
        Err(_) => {
            let names = chrono_tz::TZ_VARIANTS.iter().map(|zone| zone.name());
            problems.error(written.span.clone(), format!("there is no time zone `{}`", written.value)).help = Some(
                suggest(&written.value, names.collect::<Vec<_>>())
                    .filter(|help| help.starts_with("did you"))
                    .unwrap_or_else(|| "write it like `UTC` or `Europe/Berlin`".to_owned()),
            );
            None
        }
    }
}

fn members(written: &WrittenSchedule, all: &Scheduling<'_>, problems: &mut Problems) -> Vec<ProbeName> {
    let mut members = BTreeSet::new();
    for selector in written.raw.probes.iter() {
        let text = selector.value.as_str();
        let fitting = chosen(selector, all, problems);
        let (asked_for, chosen): (Vec<_>, Vec<_>) = fitting.into_iter().partition(|probe| probe.probe.on_request);
        if chosen.is_empty() && !asked_for.is_empty() {
            let message = format!("what `{text}` names runs only on request");
            problems.error(selector.span.clone(), message).help =
                Some("remove it here, or `on_request` from the probe".to_owned());
            continue;
        }
        members.extend(chosen.into_iter().map(|probe| probe.probe.name.clone()));
    }
    let joining =
        all.probes.values().filter(|probe| probe.schedule.as_ref().is_some_and(|name| name.value == written.name));
    members.extend(joining.map(|probe| probe.probe.name.clone()));
    members.into_iter().collect()
}

/// The probes that a name, a glob or a label takes; where it takes none, that is a mistake.
pub fn chosen<'a>(selector: &Spanned<String>, all: &Scheduling<'a>, problems: &mut Problems) -> Vec<&'a WrittenProbe> {
    let Scheduling { probes, broken, lost, .. } = *all;
    let text = selector.value.as_str();
    let fitting: Vec<_> = match (text.strip_prefix("label:"), text.contains('*')) {
        (Some(label), _) => {
            let Some((key, value)) = label.split_once('=') else {
                problems.error(selector.span.clone(), "a label is chosen by key and value").help =
                    Some(format!("write `label:{label}=value`"));
                return Vec::new();
            };
            let has = |probe: &&WrittenProbe| probe.probe.labels.get(key).is_some_and(|have| have == value);
            probes.values().filter(has).collect()
        }
        (None, true) => probes.values().filter(|probe| glob(text, probe.probe.name.as_str())).collect(),
        (None, false) => probes.values().filter(|probe| probe.probe.name.as_str() == text).collect(),
    };
    let is_broken = broken.iter().any(|name| if text.contains('*') { glob(text, name) } else { name == text })
        // Which labels a broken probe would have had nobody knows.
        || (text.starts_with("label:") && !broken.is_empty());
    if fitting.is_empty() && !is_broken && !lost {
        let message = if text.starts_with("label:") || text.contains('*') {
            format!("`{text}` matches no probe")
        } else {
            format!("there is no probe `{text}`")
        };
        let known: Vec<String> = if text.starts_with("label:") {
            let labels = probes.values().flat_map(|probe| &probe.probe.labels);
            let labels: BTreeSet<_> = labels.map(|(key, value)| format!("label:{key}={value}")).collect();
            labels.into_iter().collect()
        } else {
            probes.keys().map(ToString::to_string).collect()
        };
        problems.error(selector.span.clone(), message).help = suggest(text, known.iter().map(String::as_str));
    }
    fitting
}

/// The schedules by name, for the plan.
pub fn by_name(schedules: Vec<Schedule>) -> BTreeMap<ScheduleName, Arc<Schedule>> {
    schedules.into_iter().map(|schedule| (schedule.name.clone(), Arc::new(schedule))).collect()
}
