//! How a probe did over a day, a week or a month: how many of its runs ended how, and how long they took.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::Response;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::answers::{Trouble, answer};
use super::probes::unknown;
use super::queries::Queried;
use crate::domain::history::{Grain, Stretch};
use crate::domain::names::{ProbeName, ScheduleName};
use crate::domain::time::{Timestamp, earlier, milliseconds};
use crate::web::probe::parts::Quantile;
use crate::web::routes::Room;

/// Which series.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct WhichSeries {
    /// Over how long.
    over: Over,
    /// On this schedule; on all of them together where none is named.
    schedule: Option<ScheduleName>,
}

/// Over how long.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Over {
    /// A day, by the hour.
    #[default]
    #[serde(rename = "1d")]
    Day,
    /// A week, by the hour.
    #[serde(rename = "7d")]
    Week,
    /// Thirty days, by the day.
    #[serde(rename = "30d")]
    Month,
}

impl Over {
    fn days(self) -> u64 {
        match self {
            Self::Day => 1,
            Self::Week => 7,
            Self::Month => 30,
        }
    }

    fn grain(self) -> Grain {
        match self {
            Self::Day | Self::Week => Grain::Hour,
            Self::Month => Grain::Day,
        }
    }
}

/// How a probe did.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Series {
    /// The probe.
    pub probe: ProbeName,
    /// The schedules that count.
    pub schedules: Vec<ScheduleName>,
    /// Over how long.
    pub over: Over,
    /// How long each point stands for. They begin where the hours and days of UTC do.
    pub point_ms: f64,
    /// All of it together, from where the first hour or day begins: of that more is counted than `over` asks for.
    pub whole: Point,
    /// Each hour or day in which something was run, oldest first.
    pub points: Vec<Point>,
}

/// How a probe did over an hour, a day, or all of it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Point {
    /// When it begins.
    pub from: Timestamp,
    /// How many runs passed.
    pub passed: u64,
    /// How many were degraded.
    pub degraded: u64,
    /// How many failed.
    pub failed: u64,
    /// In how many we could not look.
    pub inconclusive: u64,
    /// The share that did not fail of those in which we could look.
    pub availability: Option<f64>,
    /// What half of the runs took at most; off by 3 % at most, as the others are.
    pub p50_ms: Option<f64>,
    /// What 95 of 100 took at most; nothing where there are fewer than 20.
    pub p95_ms: Option<f64>,
    /// What 99 of 100 took at most; nothing where there are fewer than 100.
    pub p99_ms: Option<f64>,
}

impl From<&Stretch> for Point {
    fn from(stretch: &Stretch) -> Self {
        let Stretch { from, verdicts, .. } = stretch;
        Self {
            from: *from,
            passed: verdicts.passed,
            degraded: verdicts.degraded,
            failed: verdicts.failed,
            inconclusive: verdicts.inconclusive,
            availability: verdicts.availability(),
            p50_ms: Quantile::P50.known(stretch),
            p95_ms: Quantile::P95.known(stretch),
            p99_ms: Quantile::P99.known(stretch),
        }
    }
}

/// The series of a probe.
pub async fn series(
    State(room): State<Arc<Room>>,
    Path(name): Path<String>,
    Queried(WhichSeries { over, schedule }): Queried<WhichSeries>,
) -> Result<Response, Trouble> {
    room.when_ready()?;
    let plan = room.plan();
    let probe = plan.probes.get(name.as_str()).ok_or_else(unknown)?.name.clone();
    let on = plan.schedules.values().filter(|schedule| schedule.has(&probe)).map(|schedule| schedule.name.clone());
    let schedules: Vec<_> = on.filter(|on| schedule.as_ref().is_none_or(|asked| asked == on)).collect();
    if let Some(schedule) = schedule.filter(|_| schedules.is_empty()) {
        return Err(Trouble::unknown(format!("{probe} is not on a schedule {schedule}")));
    }
    let (until, grain) = (room.web.clock.now(), over.grain());
    let from = grain.begin(earlier(until, Duration::from_hours(24 * over.days())));
    let of: BTreeSet<_> = schedules.iter().map(|schedule| (schedule.clone(), probe.clone())).collect();
    let found = room.patiently(room.web.history.history(of, from, until, grain)).await?;
    let (mut points, mut whole) = (BTreeMap::new(), Stretch::empty(from));
    for stretch in found.values().flatten() {
        points.entry(stretch.from).or_insert_with(|| Stretch::empty(stretch.from)).add(stretch);
        whole.add(stretch);
    }
    let series = Series {
        probe,
        schedules,
        over,
        point_ms: milliseconds(grain.length()),
        whole: Point::from(&whole),
        points: points.values().map(Point::from).collect(),
    };
    Ok(answer(&*plan.secrets, StatusCode::OK, &series))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::testing::at;

    #[test]
    fn of_a_handful_of_runs_nobody_says_what_the_slowest_took() {
        let of = |runs: u64| {
            let mut stretch = Stretch::empty(at("2026-11-24T09:00:00Z"));
            (0..runs).for_each(|_| stretch.count("passed", Duration::from_millis(10)));
            let Point { p50_ms, p95_ms, p99_ms, .. } = Point::from(&stretch);
            [p50_ms, p95_ms, p99_ms].map(|quantile| quantile.is_some())
        };
        assert_eq!(of(0), [false; 3]);
        assert_eq!(of(19), [true, false, false]);
        assert_eq!(of(99), [true, true, false]);
        assert_eq!(of(100), [true; 3]);
    }
}
