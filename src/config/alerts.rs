//! The policy of an alert as written becomes the one by which runs are judged.

use std::time::Duration;

use super::raw::RawAlert;
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
    (problems.len() == before).then(|| AlertPolicy {
        after: alert.after.map_or_else(After::default, |after| after.0),
        recover: alert.recover.as_ref().map_or(1, |recover| recover.value),
        recheck: recheck.map(|recheck| recheck.value.0.0),
        severity: alert.severity.unwrap_or(Severity::P3),
        remind: remind.map(|remind| remind.value.0.0),
    })
}
