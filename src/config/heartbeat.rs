//! Who is told that Roundsman lives, as written.

use std::time::Duration;

use super::raw::RawHeartbeat;
use crate::domain::time::Length;
use crate::engine::plan::HeartbeatPlan;
use crate::ports::{Building, Kinds};
use crate::settings::Problems;

/// How often where nothing is said.
const EVERY: Duration = Duration::from_secs(60);

/// Receivers of pings count in minutes, and refuse who comes all the time.
const EVERY_MIN: Duration = Duration::from_secs(10);

/// Whoever is told once a day learns of a silence too late.
const EVERY_MAX: Duration = Duration::from_secs(3_600);

/// Nothing where nobody is to be told.
pub fn heartbeat(
    written: Option<RawHeartbeat>,
    kinds: &Kinds,
    building: &Building,
    problems: &mut Problems,
) -> Option<HeartbeatPlan> {
    let RawHeartbeat { ping, every } = written?;
    if let Some(written) = every.as_ref().filter(|every| !(EVERY_MIN..=EVERY_MAX).contains(&every.value.0.0)) {
        let (least, most) = (Length(EVERY_MIN), Length(EVERY_MAX));
        problems.error(
            written.span.clone(),
            format!("a heartbeat is told every {least} to {most}, not every {}", written.value.0),
        );
    }
    let ping = (kinds.ping)(ping, building, problems)?;
    Some(HeartbeatPlan { ping, every: every.map_or(EVERY, |every| every.value.0.0) })
}
