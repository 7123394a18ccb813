//! `objectives:` of a schedule as written become objectives; what can never be told from its runs is said here, and not after a
//! month.

use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Deserializer};

use super::probes::WrittenProbe;
use super::raw::RawLength;
use crate::domain::incident::Severity;
use crate::domain::names::StepName;
use crate::domain::objective::{BurnAlert, FAILURES_MIN, Goal, OVER_MAX, OVER_MIN, Objective, Percentile, Share};
use crate::domain::schedule::Cadence;
use crate::domain::text::thousands;
use crate::domain::time::{Length, Timestamp};
use crate::settings::{Node, Problem, Problems, Span, Spanned, read, suggest};

/// How many objectives a schedule has at most; each counts every run.
const OBJECTIVES_MAX: usize = 16;

/// A single bad run is chance.
const FAILURES_LEAST: u32 = 2;

/// More would come too late to tell anybody.
const FAILURES_MOST: u32 = 1_000;

/// What a schedule promises of each of its probes, and over what window.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "Objective")]
pub struct RawObjective {
    /// The share of runs that pass at least, up to four digits behind the point, e.g. `99.95%`. One of `success`,
    /// `errors`, `p50`, `p95` and `p99` is the goal.
    #[schemars(with = "Option<String>")]
    pub success: Option<Spanned<RawShare>>,
    /// The share of runs that may fail at most, the same said the other way round, e.g. `0.1%`.
    #[schemars(with = "Option<String>")]
    pub errors: Option<Spanned<RawShare>>,
    /// How long half of the runs that pass may take.
    #[schemars(with = "Option<RawLength>")]
    pub p50: Option<Spanned<RawLength>>,
    /// How long 95 of 100 of them may take.
    #[schemars(with = "Option<RawLength>")]
    pub p95: Option<Spanned<RawLength>>,
    /// How long 99 of 100 of them may take.
    #[schemars(with = "Option<RawLength>")]
    pub p99: Option<Spanned<RawLength>>,
    /// Over what window, between 1 h and 90 d, which ends now.
    #[schemars(with = "RawLength")]
    pub over: Spanned<RawLength>,
    /// With `p50`, `p95` and `p99`: the step whose time counts; of probes without it there is no such objective. Default:
    /// the whole run.
    #[schemars(with = "Option<String>")]
    pub step: Option<Spanned<StepName>>,
    /// Opens an incident when its error budget is used up too quickly. Default: nobody hears of that.
    pub alert: Option<RawBurnAlert>,
}

/// Who hears of it when an error budget is used up too quickly.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "BurnAlert")]
pub struct RawBurnAlert {
    /// How much it matters where the budget would be gone within days. Default: P3.
    pub severity: Option<Severity>,
    /// How much it matters where it would just not last. Default: P4.
    pub slow: Option<Severity>,
    /// How many bad runs there must be, 2 to 1,000. Default: 3.
    #[schemars(with = "Option<u32>")]
    pub failures: Option<Spanned<u32>>,
}

/// A share as written.
#[derive(Clone, Copy, Debug)]
pub struct RawShare(pub Share);

impl<'de> Deserialize<'de> for RawShare {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor;
        impl serde::de::Visitor<'_> for Visitor {
            type Value = RawShare;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a share like `99.95%`")
            }
            fn visit_i64<E: serde::de::Error>(self, number: i64) -> Result<RawShare, E> {
                self.visit_str(&number.to_string())
            }
            fn visit_f64<E: serde::de::Error>(self, number: f64) -> Result<RawShare, E> {
                self.visit_str(&number.to_string())
            }
            fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<RawShare, E> {
                text.parse().map(RawShare).map_err(E::custom)
            }
        }
        deserializer.deserialize_any(Visitor)
    }
}

/// What the objectives of a schedule are made with.
pub struct Known<'a> {
    /// The schedule's name.
    pub schedule: &'a str,
    /// Its slots.
    pub cadence: &'a Cadence,
    /// Its probes.
    pub probes: &'a [&'a WrittenProbe],
    /// Whether some of them could not be read.
    pub lost: bool,
    /// How long runs are kept.
    pub retention: Duration,
    /// The time.
    pub now: Timestamp,
}

/// The objectives; those with mistakes are left out.
pub fn objectives(written: &[Node], known: &Known<'_>, problems: &mut Problems) -> Vec<Arc<Objective>> {
    if let Some(beyond) = written.get(OBJECTIVES_MAX) {
        let message = format!("a schedule has at most {OBJECTIVES_MAX} objectives, not {}", written.len());
        problems.error(beyond.span.clone(), message);
    }
    let mut made: Vec<(Arc<Objective>, Span)> = Vec::new();
    for node in written {
        let Some(raw) = read::<RawObjective>(node, problems) else { continue };
        let Some(objective) = objective(&raw, node, known, problems) else { continue };
        let is_same = |other: &Objective| {
            let of = |one: &Objective| (one.goal.key(), one.over, one.step.clone());
            of(other) == of(&objective)
        };
        if let Some((_, first)) = made.iter().find(|(other, _)| is_same(other)) {
            let message =
                format!("there are two objectives of `{}` over {}", objective.goal.key(), Length(objective.over));
            problems.push(Problem::error(node.span.clone(), message).with_also(first.clone(), "the first one"));
            continue;
        }
        made.push((Arc::new(objective), node.span.clone()));
    }
    made.into_iter().map(|(objective, _)| objective).collect()
}

fn objective(raw: &RawObjective, node: &Node, known: &Known<'_>, problems: &mut Problems) -> Option<Objective> {
    let before = problems.len();
    let goal = goal(raw, node, problems);
    let over = raw.over.value.0.0;
    if !(OVER_MIN..=OVER_MAX).contains(&over) {
        let (least, most) = (Length(OVER_MIN), Length(OVER_MAX));
        let message = format!("an objective looks back on {least} to {most}, not on {}", Length(over));
        problems.error(raw.over.span.clone(), message);
    }
    let alert = raw.alert.as_ref().map(|alert| burn_alert(alert, problems));
    let (goal, at) = goal?;
    if let Some(step) = &raw.step {
        check_step(step, &goal, known, problems);
    }
    if problems.len() > before {
        return None;
    }
    let expected = known.cadence.runs_within(over, known.now);
    let step = raw.step.as_ref().map(|step| step.value.clone());
    let objective = Objective::new(goal, over, step, expected, alert);
    if expected < objective.needed() {
        let (needed, expected, schedule) = (thousands(objective.needed()), thousands(expected), known.schedule);
        let message = format!(
            "`{goal}` takes {needed} runs until it can be told, and `{schedule}` has {expected} in {}",
            Length(over)
        );
        problems.warning(at, message).help =
            Some("write a longer `over`, a milder goal, or run it more often".to_owned());
    } else if over > known.retention {
        let message = format!(
            "the objective looks back on {}, and runs are kept for {}: after a restart it knows no more",
            Length(over),
            Length(known.retention)
        );
        problems.warning(raw.over.span.clone(), message).help =
            Some("write a longer `retention` in roundsman.yaml, or a shorter `over`".to_owned());
    }
    Some(objective)
}

/// The one goal, and where it is written.
fn goal(raw: &RawObjective, node: &Node, problems: &mut Problems) -> Option<(Goal, Span)> {
    let share = |share: &Spanned<RawShare>| (share.value.0, share.span.clone());
    let success = raw.success.as_ref().map(share).map(|(share, at)| (Goal::Success(share), at));
    let errors = raw.errors.as_ref().map(share).map(|(share, at)| (Goal::Errors(share), at));
    let percentiles = [(Percentile::P50, &raw.p50), (Percentile::P95, &raw.p95), (Percentile::P99, &raw.p99)];
    let within = percentiles.into_iter().filter_map(|(percentile, limit)| {
        let limit = limit.as_ref()?;
        Some((Goal::Within(percentile, limit.value.0.0), limit.span.clone()))
    });
    let goals: Vec<_> = success.into_iter().chain(errors).chain(within).collect();
    let Some((goal, at)) = goals.first() else {
        // What is there and wrong was reported.
        if node.entries().iter().all(|entry| ["over", "step", "alert"].contains(&entry.key.text.as_str())) {
            problems.error(node.span.clone(), "the objective has no goal").help =
                Some("write `success: 99.95%`, `errors: 0.1%`, `p50`, `p95` or `p99: 500ms` in it".to_owned());
        }
        return None;
    };
    if let Some((_, second)) = goals.get(1) {
        let problem = Problem::error(second.clone(), "an objective has one goal");
        let problem = problem.with_also(at.clone(), "the other one");
        problems.push(problem);
        return None;
    }
    match goal {
        Goal::Success(share) | Goal::Errors(share) if !share.is_partial() => {
            let key = goal.key();
            let message = format!("`{key}` is more than 0 % and less than 100 %: something must be left to be used up");
            problems.error(at.clone(), message);
            None
        }
        Goal::Within(_, limit) if limit.is_zero() => {
            problems.error(at.clone(), "no run takes no time");
            None
        }
        goal => Some((*goal, at.clone())),
    }
}

fn burn_alert(raw: &RawBurnAlert, problems: &mut Problems) -> BurnAlert {
    let failures = raw.failures.as_ref().map_or(FAILURES_MIN, |failures| failures.value);
    if let Some(written) = raw.failures.as_ref().filter(|_| !(FAILURES_LEAST..=FAILURES_MOST).contains(&failures)) {
        let most = thousands(FAILURES_MOST.into());
        let message = format!("a budget burns by {FAILURES_LEAST} to {most} failures, not by {failures}");
        problems.error(written.span.clone(), message);
    }
    BurnAlert { severity: raw.severity.unwrap_or(Severity::P3), slow: raw.slow.unwrap_or(Severity::P4), failures }
}

fn check_step(step: &Spanned<StepName>, goal: &Goal, known: &Known<'_>, problems: &mut Problems) {
    if !matches!(goal, Goal::Within(..)) {
        let message = format!("`{}` is of whole runs, and of no step", goal.key());
        problems.error(step.span.clone(), message).help =
            Some("remove `step`, or write `p50`, `p95` or `p99`".to_owned());
        return;
    }
    let steps = known.probes.iter().flat_map(|probe| &probe.probe.steps);
    let names: BTreeSet<_> = steps.map(|step| step.name.as_str()).collect();
    if !known.lost && !names.contains(step.value.as_str()) {
        let message = format!("no probe of `{}` has a step `{}`", known.schedule, step.value);
        problems.error(step.span.clone(), message).help = suggest(step.value.as_str(), names);
    }
}
