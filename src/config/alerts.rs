//! The policy of an alert as written becomes the one by which runs are judged.

use std::collections::BTreeSet;
use std::time::Duration;

use super::destinations::check_channel;
use super::grades;
use super::raw::{RawAfter, RawAlert, RawFlapping, RawLength, RawRule};
use crate::domain::flapping::{FlappingPolicy, OPENINGS_MAX};
use crate::domain::incident::{REMIND_MAX, Severity};
use crate::domain::judge::{After, AlertPolicy, BLIND_AFTER, Rule, WINDOW_MAX};
use crate::domain::names::ChannelName;
use crate::domain::time::Length;
use crate::settings::{Problems, Spanned};

/// A reminder that comes sooner is noise.
const REMIND_MIN: Duration = Duration::from_secs(60);

/// A target that fails is not helped by being asked more often.
const RECHECK_MIN: Duration = Duration::from_secs(1);

/// How soon an alert has its probe run again, and where it says so.
pub fn recheck(alert: &RawAlert) -> Option<Spanned<Duration>> {
    let Spanned { value, span } = alert.recheck.as_ref()?;
    Some(Spanned { value: value.0.0, span: span.clone() })
}
/// Within what flapping is seen and after what it is over, at least …
const FLAPPING_MIN: Duration = Duration::from_secs(10);

/// … and at most.
const FLAPPING_MAX: Duration = Duration::from_secs(86_400);

/// The policy; none where something in it is wrong. `channels` are those that are declared; none where that is not known.
pub fn policy(
    alert: &RawAlert,
    channels: Option<&BTreeSet<ChannelName>>,
    problems: &mut Problems,
) -> Option<AlertPolicy> {
    let before = problems.len();
    let RawAlert { after, recover, recheck, severity, remind, to, flapping, degraded, inconclusive, diagnose } = alert;
    let least = Rule { after: After::default(), recover: 1, severity: Severity::P3, remind: None, to: Vec::new() };
    let (severity, grading) = grades::severity(severity.as_ref(), least.severity, problems);
    let failing = Rule {
        to: named(to, channels, problems),
        ..rule(&least, *after, recover.as_ref(), Some(severity), remind.as_ref(), problems)
    };
    let mut of_aspect = |raw: &RawRule, rest: Rule| {
        let RawRule { after, recover, severity, remind, to } = raw;
        let rule = rule(&rest, *after, recover.as_ref(), *severity, remind.as_ref(), problems);
        Rule { to: named(to, channels, problems), ..rule }
    };
    // What is named is an action against a failure: nothing is scaled because a page was slow or could not be looked at.
    let otherwise = Rule { to: Vec::new(), ..failing.clone() };
    // A warning wakes nobody unless somebody asks for it.
    let mild = Rule { after: After::default(), severity: failing.severity.min(Severity::P3), ..otherwise.clone() };
    let degraded = degraded.as_ref().map(|raw| of_aspect(raw, mild));
    let blind = Rule { after: BLIND_AFTER, ..otherwise };
    let blind = match inconclusive {
        Some(raw) => of_aspect(raw, blind),
        None => blind,
    };
    if let Some(recheck) = recheck.as_ref().filter(|recheck| recheck.value.0.0 < RECHECK_MIN) {
        let message = format!("a recheck comes after {} or more, not after {}", Length(RECHECK_MIN), recheck.value.0);
        problems.error(recheck.span.clone(), message);
    }
    let recheck = recheck.as_ref().map(|recheck| recheck.value.0.0);
    let flapping = flapping.as_ref().map(|flapping| self::flapping(flapping, problems)).unwrap_or_default();
    let diagnose = diagnose.iter().map(|probe| probe.value.clone()).collect();
    (problems.len() == before).then_some(AlertPolicy { failing, grading, degraded, blind, recheck, flapping, diagnose })
}

/// A rule; what it does not say is as in `rest`.
fn rule(
    rest: &Rule,
    after: Option<RawAfter>,
    recover: Option<&Spanned<u32>>,
    severity: Option<Severity>,
    remind: Option<&Spanned<RawLength>>,
    problems: &mut Problems,
) -> Rule {
    if let Some(recover) = recover.filter(|recover| !(1..=WINDOW_MAX).contains(&recover.value)) {
        problems.error(recover.span.clone(), format!("`recover` takes 1 to {WINDOW_MAX} passes"));
    }
    if let Some(remind) = remind.filter(|remind| !(REMIND_MIN..=REMIND_MAX).contains(&remind.value.0.0)) {
        let (least, most) = (Length(REMIND_MIN), Length(REMIND_MAX));
        problems.error(
            remind.span.clone(),
            format!("a reminder comes after {least} to {most}, not after {}", remind.value.0),
        );
    }
    Rule {
        after: after.map_or(rest.after, |after| after.0),
        recover: recover.map_or(rest.recover, |recover| recover.value),
        severity: severity.unwrap_or(rest.severity),
        remind: remind.map(|remind| remind.value.0.0).or(rest.remind),
        to: rest.to.clone(),
    }
}

/// The channels of a rule.
fn named(
    to: &[Spanned<ChannelName>],
    channels: Option<&BTreeSet<ChannelName>>,
    problems: &mut Problems,
) -> Vec<ChannelName> {
    for (place, channel) in to.iter().enumerate() {
        if let Some(channels) = channels {
            check_channel(channel, channels, problems);
        }
        if to.iter().take(place).any(|earlier| earlier.value == channel.value) {
            problems.error(channel.span.clone(), format!("`{}` is named twice", channel.value)).help =
                Some("a channel is told once: remove one of them".to_owned());
        }
    }
    to.iter().map(|channel| channel.value.clone()).collect()
}

fn flapping(raw: &RawFlapping, problems: &mut Problems) -> FlappingPolicy {
    let default = FlappingPolicy::default();
    if let Some(openings) = raw.openings.as_ref().filter(|openings| !(2..=OPENINGS_MAX).contains(&openings.value)) {
        problems
            .error(openings.span.clone(), format!("2 to {OPENINGS_MAX} openings are flapping, not {}", openings.value));
    }
    let mut length = |of: Option<&Spanned<RawLength>>, what: &str, otherwise: Duration| {
        let Some(of) = of else { return otherwise };
        if !(FLAPPING_MIN..=FLAPPING_MAX).contains(&of.value.0.0) {
            let (least, most) = (Length(FLAPPING_MIN), Length(FLAPPING_MAX));
            problems.error(of.span.clone(), format!("{what} {least} to {most}, not {}", of.value.0));
        }
        of.value.0.0
    };
    let within = length(raw.within.as_ref(), "flapping is seen within", default.within);
    let quiet = length(raw.quiet.as_ref(), "flapping is over when it was quiet for", default.quiet);
    FlappingPolicy {
        openings: raw.openings.as_ref().map_or(default.openings, |openings| openings.value),
        within,
        quiet,
    }
}
