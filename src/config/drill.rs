//! When channels are drilled by themselves, as written.

use std::collections::BTreeSet;
use std::time::Duration;

use chrono_tz::Tz;

use super::raw::RawDrill;
use super::schedules::{CRON_FIELDS, zone};
use crate::domain::names::ChannelName;
use crate::domain::schedule::{Cadence, CadenceError};
use crate::domain::time::{Length, Timestamp};
use crate::engine::plan::DrillPlan;
use crate::settings::{Problem, Problems, suggest};

/// Whoever is drilled more often than this reads drills no more.
const PERIOD_MIN: Duration = Duration::from_secs(3_600);

/// Nothing where no drill is scheduled, or where something is wrong with it.
pub fn drill(
    written: Option<&RawDrill>,
    declared: &BTreeSet<ChannelName>,
    now: Timestamp,
    problems: &mut Problems,
) -> Option<DrillPlan> {
    let RawDrill { cron, timezone, channels } = written?;
    let before = problems.len();
    let timezone = timezone.as_ref().map_or(Some(Tz::UTC), |written| zone(written, problems));
    let made = Cadence::cron(&cron.value, timezone.unwrap_or(Tz::UTC), now);
    let cadence = made.map_err(|error| {
        let is_form = matches!(error, CadenceError::Cron(..) | CadenceError::Fields(..));
        problems.error(cron.span.clone(), error.to_string()).help = is_form.then(|| CRON_FIELDS.to_owned());
    });
    if let Ok(cadence) = &cadence {
        let period = cadence.shortest_period(now);
        if period < PERIOD_MIN {
            let (least, often) = (Length(PERIOD_MIN), Length(period));
            let message = format!("drills are at least {least} apart, not {often}");
            problems.error(cron.span.clone(), message).help =
                Some("write `cron: \"0 10 * * 1\"` for one a week, on Mondays at ten".to_owned());
        }
    }
    let mut named: Vec<ChannelName> = Vec::new();
    for channel in channels.iter() {
        if !declared.contains(&channel.value) {
            let known = declared.iter().map(ChannelName::as_str).collect::<Vec<_>>();
            let message = format!("there is no channel `{}`", channel.value);
            problems.error(channel.span.clone(), message).help = suggest(channel.value.as_str(), known);
        } else if named.contains(&channel.value) {
            problems.push(Problem::error(channel.span.clone(), format!("`{}` is named twice", channel.value)));
        } else {
            named.push(channel.value.clone());
        }
    }
    if declared.is_empty() {
        problems.error(cron.span.clone(), "there is no channel that could be drilled").help =
            Some("declare one under `channels:`".to_owned());
    }
    let channels = if named.is_empty() { declared.iter().cloned().collect() } else { named };
    cadence.ok().filter(|_| problems.len() == before).map(|cadence| DrillPlan { cadence, channels })
}
