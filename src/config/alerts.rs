//! The policy of an alert as written becomes the one by which runs are judged.

use std::time::Duration;

use super::raw::{RawAlert, RawFlapping, RawLength};
use crate::domain::flapping::{FlappingPolicy, OPENINGS_MAX};
use crate::domain::incident::{REMIND_MAX, Severity};
use crate::domain::judge::{After, AlertPolicy, WINDOW_MAX};
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

/// The policy; none where something in it is wrong.
pub fn policy(alert: &RawAlert, problems: &mut Problems) -> Option<AlertPolicy> {
    let before = problems.len();
    if let Some(recover) = alert.recover.as_ref().filter(|recover| !(1..=WINDOW_MAX).contains(&recover.value)) {
        problems.error(recover.span.clone(), format!("`recover` takes 1 to {WINDOW_MAX} passes"));
    }
    let remind = alert.remind.as_ref();
    if let Some(remind) = remind.filter(|remind| !(REMIND_MIN..=REMIND_MAX).contains(&remind.value.0.0)) {
        let (least, most) = (Length(REMIND_MIN), Length(REMIND_MAX));
        problems.error(
            remind.span.clone(),
            format!("a reminder comes after {least} to {most}, not after {}", remind.value.0),
        );
    }
    let recheck = alert.recheck.as_ref();
    if let Some(recheck) = recheck.filter(|recheck| recheck.value.0.0 < RECHECK_MIN) {
        let message = format!("a recheck comes after {} or more, not after {}", Length(RECHECK_MIN), recheck.value.0);
        problems.error(recheck.span.clone(), message);
    }
    let flapping = alert.flapping.as_ref().map(|flapping| self::flapping(flapping, problems)).unwrap_or_default();
    (problems.len() == before).then(|| AlertPolicy {
        after: alert.after.map_or_else(After::default, |after| after.0),
        recover: alert.recover.as_ref().map_or(1, |recover| recover.value),
        recheck: recheck.map(|recheck| recheck.value.0.0),
        severity: alert.severity.unwrap_or(Severity::P3),
        remind: remind.map(|remind| remind.value.0.0),
        flapping,
    })
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
