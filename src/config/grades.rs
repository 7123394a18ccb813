//! `severity:` of an alert: one for all that fails, or one by what fails and by how much of it.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Deserialize;

use super::raw::RawShare;
use crate::domain::grading::{ErrorRate, Grading, PatternError, RUNS_MAX, Share, kinds};
use crate::domain::incident::Severity;
use crate::domain::outcome::FailureKind;
use crate::settings::{Node, Problems, Spanned, Value, read, suggest};

/// How much it matters: only its schema is used, since [`severity`] reads it.
#[derive(JsonSchema)]
#[schemars(untagged)]
pub enum SeverityForms {
    /// All that fails as much.
    One(Severity),
    /// By what fails and by how much of it.
    Graded(Box<RawGrades>),
}

/// How much it matters by what fails and by how much of it. It rises while an incident is open, and never falls.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "Grades")]
pub struct RawGrades {
    /// Where nothing else says more. Default: P3.
    pub default: Option<Severity>,
    /// By the kind of failure, like `connect.refused`, or `tls.*` for all that begin so, in the place of the default; what is
    /// named more exactly goes before. Of several failures of a run the gravest counts.
    #[serde(default)]
    #[schemars(with = "BTreeMap<String, Severity>")]
    pub failures: BTreeMap<Spanned<String>, Severity>,
    /// By the share of the last runs that failed, where that is graver.
    #[schemars(with = "Option<RawErrorRate>")]
    pub error_rate: Option<Spanned<RawErrorRate>>,
}

/// From which share of failed runs on it matters how much.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "ErrorRate")]
pub struct RawErrorRate {
    /// Among how many runs of slots, 2 to 1,000; those that were not made yet count as good.
    #[schemars(with = "u32")]
    pub runs: Spanned<u32>,
    /// From this share of failed runs on P1, e.g. `50%`, up to two decimals, where that is graver than what failed says.
    /// Default: never.
    #[serde(rename = "P1")]
    #[schemars(with = "Option<String>")]
    pub critical: Option<Spanned<RawShare>>,
    /// From this share on P2. Default: never.
    #[serde(rename = "P2")]
    #[schemars(with = "Option<String>")]
    pub high: Option<Spanned<RawShare>>,
    /// From this share on P3. Default: never.
    #[serde(rename = "P3")]
    #[schemars(with = "Option<String>")]
    pub medium: Option<Spanned<RawShare>>,
    /// From this share on P4. Default: never.
    #[serde(rename = "P4")]
    #[schemars(with = "Option<String>")]
    pub low: Option<Spanned<RawShare>>,
}

/// What `severity` says: the one that holds where nothing else is said, and the others where there are some.
pub fn severity(node: Option<&Node>, otherwise: Severity, problems: &mut Problems) -> (Severity, Option<Grading>) {
    let Some(node) = node else { return (otherwise, None) };
    if !matches!(node.value, Value::Map(_)) {
        return (read(node, problems).unwrap_or(otherwise), None);
    }
    let before = problems.len();
    let Some(raw) = read::<RawGrades>(node, problems) else { return (otherwise, None) };
    // What is gone because it is wrong was meant to be there.
    if problems.len() > before {
        return (otherwise, None);
    }
    let default = raw.default.unwrap_or(otherwise);
    if raw.failures.is_empty() && raw.error_rate.is_none() {
        let message = "nothing is graded: there are neither `failures` nor an `error_rate`";
        problems.error(node.span.clone(), message).help = Some(format!("write `severity: {default}`"));
    }
    let failures = failures(&raw.failures, problems);
    // What is least grave of all that may be said before the share of failures is.
    let least = failures.values().copied().chain([default]).min().unwrap_or(default);
    let error_rate = raw.error_rate.as_ref().and_then(|raw| error_rate(raw, least, problems));
    (default, Some(Grading { default, failures, error_rate }))
}

fn failures(raw: &BTreeMap<Spanned<String>, Severity>, problems: &mut Problems) -> BTreeMap<FailureKind, Severity> {
    let mut named = Vec::new();
    for (pattern, severity) in raw {
        match kinds(&pattern.value) {
            Ok(kinds) => named.push((pattern.value.len(), kinds, *severity)),
            Err(error) => {
                let known = FailureKind::ALL.iter().filter(|kind| !kind.is_ours()).map(|kind| kind.as_str());
                let help = match &error {
                    PatternError::Unknown(pattern) => suggest(pattern, known)
                        .or_else(|| Some("write a kind like `connect.refused`, or a family like `tls.*`".to_owned())),
                    PatternError::Ours(_) => Some("`inconclusive:` has a severity of its own".to_owned()),
                };
                problems.error(pattern.span.clone(), error.to_string()).help = help;
            }
        }
    }
    // Nothing but a kind itself is longer than the family that it is of.
    named.sort_by_key(|(length, ..)| *length);
    named.into_iter().flat_map(|(_, kinds, severity)| kinds.into_iter().map(move |kind| (kind, severity))).collect()
}

fn error_rate(raw: &Spanned<RawErrorRate>, least: Severity, problems: &mut Problems) -> Option<ErrorRate> {
    let Spanned { value: RawErrorRate { runs, critical, high, medium, low }, span } = raw;
    let before = problems.len();
    if !(2..=RUNS_MAX).contains(&runs.value) {
        problems.error(runs.span.clone(), format!("`runs` takes 2 to 1,000 runs, not {}", runs.value));
    }
    let written = [
        (Severity::P1, critical.as_ref()),
        (Severity::P2, high.as_ref()),
        (Severity::P3, medium.as_ref()),
        (Severity::P4, low.as_ref()),
    ];
    let from: BTreeMap<Severity, &Spanned<RawShare>> =
        written.into_iter().filter_map(|(severity, share)| Some((severity, share?))).collect();
    if from.is_empty() {
        problems.error(span.clone(), "no share is said from which on it matters more").help =
            Some("write e.g. `P1: 50%`".to_owned());
    }
    let mut milder: Option<(Severity, Share)> = None;
    for (severity, Spanned { value: RawShare(share), span }) in &from {
        if *severity <= least {
            let message = format!("all that fails is {least} or graver already, so that no share makes it {severity}");
            problems.error(span.clone(), message);
        } else if let Some((mild, of_mild)) = milder.filter(|(_, of_mild)| share <= of_mild) {
            problems.error(
                span.clone(),
                format!("{severity} begins at {share}, which is not above {of_mild}, where {mild} does"),
            );
        } else if share.is_reached(1, runs.value.saturating_add(1)) {
            let message = format!("a single failure among {} runs is more than {share}", runs.value);
            problems.error(span.clone(), message).help = Some("look back on more runs".to_owned());
        }
        milder = Some((*severity, *share));
    }
    let from = from.into_iter().map(|(severity, share)| (severity, share.value.0)).collect();
    (problems.len() == before).then_some(ErrorRate { runs: runs.value, from })
}
