//! The policy of an alert as written becomes the one by which runs are judged.

use std::time::Duration;

use super::raw::RawAlert;
use crate::domain::incident::{REMIND_MAX, Severity};
use crate::domain::judge::{After, AlertPolicy, WINDOW_MAX};
use crate::domain::time::Length;
use crate::settings::Problems;

/// A reminder that comes sooner is noise.
const REMIND_MIN: Duration = Duration::from_secs(60);

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
    (problems.len() == before).then(|| AlertPolicy {
        after: alert.after.map_or_else(After::default, |after| after.0),
        recover: alert.recover.as_ref().map_or(1, |recover| recover.value),
        severity: alert.severity.unwrap_or(Severity::P3),
        remind: remind.map(|remind| remind.value.0.0),
        diagnose: alert.diagnose.iter().map(|probe| probe.value.clone()).collect(),
    })
}
