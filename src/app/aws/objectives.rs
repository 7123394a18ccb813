//! Objectives as alarms. An alarm looks back over a day at the most, so it cannot say whether an objective over a month is met; it
//! can say that the error budget goes many times too quickly, by the first rule of burn rates that can hold.

use super::alarms::{About, Alarm, Alarms, Formula, Unmade};
use super::dashboard::{short, well};
use super::named;
use super::place::{Dimensions, Place, shared};
use crate::domain::names::ProbeName;
use crate::domain::objective::{BURN_RULES, BurnRule, FAILURES_MIN, Goal, Objective};
use crate::domain::schedule::Schedule;
use crate::domain::time::Length;
use crate::engine::plan::{Plan, PlannedProbe};

/// The longest period of an alarm, in seconds.
const PERIOD_MAX: u64 = 86_400;

/// One for each objective of each probe of its schedule.
pub fn objectives(plan: &Plan, place: &Place, all: &mut Alarms) {
    for schedule in plan.schedules.values() {
        for probe in schedule.probes.iter().filter_map(|name| plan.probes.get(name)) {
            for objective in plan.objectives(schedule, &probe.name) {
                match alarm(plan, place, schedule, probe, objective) {
                    Ok(alarm) => all.made.push(alarm),
                    Err(why) => {
                        let what = format!("the objective {objective} of {} on {}", probe.name, schedule.name);
                        all.unmade.push(Unmade { what, why });
                    }
                }
            }
        }
    }
}

fn alarm(
    plan: &Plan,
    place: &Place,
    schedule: &Schedule,
    probe: &PlannedProbe,
    objective: &Objective,
) -> Result<Alarm, String> {
    let dimensions = place.of_objective(probe, objective).ok_or_else(|| {
        "CloudWatch is not told of steps: `also_by: [step]` under `publish.cloudwatch` does".to_owned()
    })?;
    let rule = rule(plan, schedule, &probe.name, objective)?;
    let name =
        named::alarm(&place.site, About::Objective, &[schedule.name.as_str(), probe.name.as_str(), &id(objective)]);
    let description = format!(
        "{} has burned the error budget of `{objective}` {} times too quickly for {}. Its state is for deployments: Roundsman itself tells people.",
        probe.name,
        rule.factor,
        Length(rule.long.length()),
    );
    let mut alarm = burning(place, dimensions, objective, rule).alarm(name, About::Objective, &description);
    alarm.compare("GreaterThanOrEqualToThreshold", 1.0, [1, 1], "missing");
    Ok(alarm)
}

/// The first rule that can hold, or why there is none.
fn rule(
    plan: &Plan,
    schedule: &Schedule,
    probe: &ProbeName,
    objective: &Objective,
) -> Result<&'static BurnRule, String> {
    shared(plan, schedule, probe)?;
    let allowed = objective.goal.allowed().fraction();
    let possible = || {
        BURN_RULES.iter().filter(|rule| {
            let long = rule.long.length();
            long < objective.over && long.as_secs() <= PERIOD_MAX && rule.factor * allowed <= 1.0
        })
    };
    if possible().next().is_none() {
        let most = short((1.0 / allowed).round());
        return Err(format!("if every run were bad, its budget would go only {most} times too quickly"));
    }
    let failures = u64::from(failures(objective));
    let runs = |rule: &BurnRule| objective.expected * rule.long.length().as_secs() / objective.over.as_secs().max(1);
    possible().find(|rule| runs(rule) >= failures).ok_or_else(|| {
        format!("it has fewer than {failures} runs in the time over which an alarm could see its budget go too quickly")
    })
}

/// How many bad runs there must be.
fn failures(objective: &Objective) -> u32 {
    objective.alert.as_ref().map_or(FAILURES_MIN, |alert| alert.failures)
}

/// 1 where the budget burns, else 0.
fn burning<'a>(place: &'a Place, dimensions: Dimensions, objective: &Objective, rule: &BurnRule) -> Formula<'a> {
    let failures = failures(objective);
    let share = short(rule.factor * objective.goal.allowed().fraction());
    let burns = |bad: &str| format!("IF({bad} >= {failures} AND {bad} >= {share} * runs, 1, 0)");
    let (expression, metrics): (_, Vec<_>) = match objective.goal {
        Goal::Success(_) | Goal::Errors(_) => {
            (burns("bad"), vec![("bad", "Failed", "Sum".to_owned()), ("runs", "Failed", "SampleCount".to_owned())])
        }
        Goal::Within(..) => {
            let (metric, stat) = well(&objective.goal);
            let metrics = vec![("within", metric, stat), ("runs", metric, "SampleCount".to_owned())];
            (burns("(runs * (100 - within) / 100)"), metrics)
        }
    };
    Formula {
        expression,
        label: "the error budget burns",
        namespace: &place.metrics.namespace,
        dimensions,
        period: rule.long.length().as_secs(),
        metrics,
    }
}

/// An objective as a part of a name: `p99-500-ms-of-add-to-wardrobe-over-7-d`.
fn id(objective: &Objective) -> String {
    let mut words = String::new();
    for c in objective.text.chars() {
        match c {
            ' ' if words.ends_with('-') => {}
            ' ' => words.push('-'),
            '%' => words.push_str("percent"),
            _ => words.push(c),
        }
    }
    words
}
