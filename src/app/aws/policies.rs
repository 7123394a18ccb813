//! Alert policies as alarms, where CloudWatch can tell runs apart as the judge does.

use std::time::Duration;

use super::alarms::{About, Alarms, Unmade, Watched};
use super::named;
use super::place::{Place, shared};
use crate::domain::judge::{After, Rule};
use crate::domain::names::ProbeName;
use crate::domain::schedule::Schedule;
use crate::domain::time::Length;
use crate::engine::plan::Plan;

/// How far back an alarm looks at most whose period is shorter than an hour, in seconds …
const SHORT_WINDOW_MAX: u64 = 86_400;

/// … and one whose period is not.
const WINDOW_MAX: u64 = 7 * 86_400;

/// The periods below a minute that an alarm may have, in seconds.
const SHORT_PERIODS: [u64; 3] = [10, 20, 30];

/// One for the failing runs of each probe on each schedule that alerts.
pub fn policies(plan: &Plan, place: &Place, all: &mut Alarms) {
    let mut is_degraded = false;
    for schedule in plan.schedules.values() {
        for probe in schedule.probes.iter().filter_map(|name| plan.probes.get(name)) {
            let Some(policy) = probe.alert_on(schedule) else { continue };
            is_degraded |= policy.degraded.is_some();
            let what = format!("the policy of {} on {}", probe.name, schedule.name);
            match period(plan, place, schedule, &probe.name, &policy.failing) {
                Ok(period) => {
                    let after = policy.failing.after;
                    let of = [schedule.name.as_str(), probe.name.as_str()];
                    let name = named::alarm(&place.site, About::Policy, &of);
                    let description = format!(
                        "{}, {}: {}. Its state is for deployments: Roundsman itself tells people.",
                        probe.name,
                        schedule.cadence,
                        failed(after)
                    );
                    let dimensions = Place::of_probe(&probe.name);
                    let watched = Watched::new(&place.metrics.namespace, "Failed", dimensions);
                    let watched = watched.every(period).statistic("Maximum");
                    let mut alarm = watched.alarm(name, About::Policy, &description);
                    let among = [after.failures.into(), after.among.into()];
                    // An inconclusive run is no value, and counts as neither.
                    alarm.compare("GreaterThanOrEqualToThreshold", 1.0, among, "missing");
                    all.made.push(alarm);
                }
                Err(why) => all.unmade.push(Unmade { what, why }),
            }
        }
    }
    let unseen = if is_degraded { "runs that are degraded or inconclusive" } else { "runs that are inconclusive" };
    let why = "CloudWatch is not told of them".to_owned();
    all.unmade.push(Unmade { what: unseen.to_owned(), why });
}

/// What an alarm has seen, in words.
fn failed(after: After) -> String {
    match (after.failures, after.among) {
        (1, 1) => "a run has failed".to_owned(),
        (failures, among) if failures == among => format!("{failures} runs in a row have failed"),
        (failures, among) => format!("{failures} of the last {among} runs have failed"),
    }
}

/// The length of a period that has exactly one run in it, in seconds; or why there is none.
fn period(plan: &Plan, place: &Place, schedule: &Schedule, probe: &ProbeName, rule: &Rule) -> Result<u64, String> {
    shared(plan, schedule, probe)?;
    let Some(period) = schedule.cadence.even_period() else {
        return Err(format!("its slots, {}, are not evenly apart", schedule.cadence));
    };
    let seconds = whole_seconds(period)?;
    let is_short = SHORT_PERIODS.contains(&seconds);
    if is_short && !place.metrics.is_high_resolution {
        let by_second = "with `resolution: 1s` under `publish.cloudwatch` it is told by the second";
        return Err(format!("it runs every {}, and CloudWatch is told by the minute: {by_second}", Length(period)));
    }
    if !is_short && !seconds.is_multiple_of(60) {
        return Err(format!("it runs every {}, and an alarm's periods are 10, 20 or 30 s, or minutes", Length(period)));
    }
    let most = if seconds < 3_600 { SHORT_WINDOW_MAX } else { WINDOW_MAX };
    let window = seconds * u64::from(rule.after.among);
    if window > most {
        let (among, most) = (rule.after.among, Length(Duration::from_secs(most)));
        return Err(format!("it looks back over {among} runs, and an alarm with such periods over {most} at most"));
    }
    Ok(seconds)
}

fn whole_seconds(period: Duration) -> Result<u64, String> {
    match period.subsec_nanos() {
        0 => Ok(period.as_secs()),
        _ => Err(format!("it runs every {}, and an alarm's periods are whole seconds", Length(period))),
    }
}
