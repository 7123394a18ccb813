//! What the status page says, before it is drawn: each tier with its rows, the bad ones first, and how many stand how.

use std::collections::BTreeMap;
use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::marks::Tone;
use super::view::View;
use crate::domain::incident::Incident;
use crate::domain::names::ProbeName;
use crate::domain::outcome::{Cause, Run, SlotOutcome, Verdict};
use crate::domain::pause::Pause;
use crate::domain::schedule::{LEAD, Schedule, spread};
use crate::domain::time::{Timestamp, later};
use crate::engine::plan::PlannedProbe;
use crate::ports::{Overview, RunSummary};

/// What a late run is forgiven, besides its spread and its timeouts.
const GRACE: Duration = Duration::from_secs(5);

/// How a probe stands in a tier; the first is the gravest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Standing {
    /// The last run failed.
    Failed,
    /// We could not look.
    Inconclusive,
    /// Two slots have passed and no run came of them.
    Overdue,
    /// A warning did not hold.
    Degraded,
    /// Somebody has paused it, so nobody looks.
    Paused,
    /// There was no run yet.
    Waiting,
    /// The conditions of its steps leave nothing to look at.
    Skipped,
    /// All is well.
    Passed,
}

impl Standing {
    /// The word beside the glyph.
    pub fn word(self) -> &'static str {
        match self {
            Self::Failed => "failed",
            Self::Inconclusive => "inconclusive",
            Self::Overdue => "overdue",
            Self::Degraded => "degraded",
            Self::Paused => "paused",
            Self::Waiting => "not run yet",
            Self::Skipped => "skipped",
            Self::Passed => "passed",
        }
    }

    /// The accent.
    pub fn tone(self) -> Tone {
        match self {
            Self::Failed => Tone::Bad,
            Self::Degraded => Tone::Warn,
            Self::Inconclusive | Self::Overdue | Self::Paused | Self::Waiting | Self::Skipped => Tone::Unknown,
            Self::Passed => Tone::Well,
        }
    }
}

/// A probe in a tier.
pub struct Row<'a> {
    /// The probe.
    pub probe: &'a PlannedProbe,
    /// How it stands.
    pub standing: Standing,
    /// Its last run, however old.
    pub last: Option<&'a Run>,
    /// Its runs of the last hour, oldest first.
    pub hour: &'a [RunSummary],
    /// Its open incident.
    pub incident: Option<&'a Incident>,
}

/// A schedule as people look at it.
pub struct Tier<'a> {
    /// The schedule.
    pub schedule: &'a Schedule,
    /// Its next slot.
    pub next: Option<Timestamp>,
    /// The length between two slots now.
    pub period: Duration,
    /// Its slots by outcome, since the store began.
    pub slots: BTreeMap<SlotOutcome, u64>,
    /// The greatest lateness among the last runs.
    pub lateness: Option<Duration>,
    /// Its probes, the bad ones first.
    pub rows: Vec<Row<'a>>,
}

/// The whole.
pub struct Board<'a> {
    /// The tiers, the most frequent first; their order does not follow the verdicts, so that each is found where it was.
    pub tiers: Vec<Tier<'a>>,
    /// How many probes stand how; a probe of several tiers counts once, as it stands worst.
    pub tally: BTreeMap<Standing, u64>,
    /// When the latest run started.
    pub latest: Option<Timestamp>,
}

impl<'a> Board<'a> {
    /// What is known at the view's instant.
    pub fn new(view: &View<'a>, overview: &'a Overview) -> Self {
        let incidents: BTreeMap<&ProbeName, &Incident> =
            overview.open.iter().rev().map(|incident| (&incident.probe, incident)).collect();
        let mut schedules: Vec<_> = view.plan.schedules.values().map(AsRef::as_ref).collect();
        schedules.sort_by_key(|schedule: &&Schedule| schedule.cadence.period_at(view.now));
        let tiers: Vec<_> = schedules.into_iter().map(|schedule| tier(view, overview, &incidents, schedule)).collect();
        let mut worst: BTreeMap<&ProbeName, Standing> = BTreeMap::new();
        for row in tiers.iter().flat_map(|tier| &tier.rows) {
            let standing = worst.entry(&row.probe.name).or_insert(row.standing);
            *standing = row.standing.min(*standing);
        }
        let mut tally = BTreeMap::new();
        for standing in worst.into_values() {
            *tally.entry(standing).or_insert(0) += 1;
        }
        let runs = tiers.iter().flat_map(|tier| &tier.rows).filter_map(|row| row.last);
        let latest = runs.map(|run| run.started_at).max();
        Self { tiers, tally, latest }
    }

    /// How many probes stand so.
    pub fn count(&self, standing: Standing) -> u64 {
        self.tally.get(&standing).copied().unwrap_or(0)
    }

    /// How many probes there are.
    pub fn total(&self) -> u64 {
        self.tally.values().sum()
    }
}

fn tier<'a>(
    view: &View<'a>,
    overview: &'a Overview,
    incidents: &BTreeMap<&ProbeName, &'a Incident>,
    schedule: &'a Schedule,
) -> Tier<'a> {
    let mut expected = Expected { schedule, after: BTreeMap::new() };
    let mut slots = BTreeMap::new();
    let mut rows = Vec::new();
    for probe in schedule.probes.iter().filter_map(|name| view.plan.probes.get(name)) {
        let key = (schedule.name.clone(), probe.name.clone());
        for (outcome, count) in overview.slots.get(&key).into_iter().flatten() {
            *slots.entry(*outcome).or_insert(0) += count;
        }
        let last = overview.last.get(&key);
        rows.push(Row {
            probe,
            standing: standing(view, overview, &mut expected, probe),
            last,
            hour: overview.runs.get(&key).map_or(&[], |runs| runs),
            incident: incidents.get(&probe.name).copied(),
        });
    }
    rows.sort_by(|a, b| (a.standing, &a.probe.name).cmp(&(b.standing, &b.probe.name)));
    let lateness = rows.iter().filter_map(|row| row.last).map(|run| run.lateness).max();
    let (next, period) = (schedule.cadence.next_after(view.now), schedule.cadence.period_at(view.now));
    Tier { schedule, next, period, slots, lateness, rows }
}

/// How a probe stands on a schedule.
pub fn standing_on(view: &View<'_>, overview: &Overview, schedule: &Schedule, probe: &PlannedProbe) -> Standing {
    standing(view, overview, &mut Expected { schedule, after: BTreeMap::new() }, probe)
}

fn standing(view: &View<'_>, overview: &Overview, expected: &mut Expected<'_>, probe: &PlannedProbe) -> Standing {
    let (now, schedule) = (view.now, &expected.schedule.name);
    let is_paused = |pause: &Pause| pause.is_active(now) && pause.what.takes(Some(schedule), &probe.name);
    if overview.pauses.iter().any(is_paused) {
        return Standing::Paused;
    }
    let Some(run) = overview.last.get(&(schedule.clone(), probe.name.clone())) else { return Standing::Waiting };
    match run.verdict {
        Verdict::Failed(_) => Standing::Failed,
        Verdict::Inconclusive(Cause::Skipped) => Standing::Skipped,
        Verdict::Inconclusive(_) => Standing::Inconclusive,
        _ if expected.ended_by(probe, run.slot).is_some_and(|end| now > end) => Standing::Overdue,
        Verdict::Degraded(_) => Standing::Degraded,
        Verdict::Passed => Standing::Passed,
    }
}

/// Until when runs should have ended. Thousands of probes share a slot, and a cron line is slow to ask.
struct Expected<'a> {
    schedule: &'a Schedule,
    /// For a slot the second one after it, and the period there.
    after: BTreeMap<Timestamp, Option<(Timestamp, Duration)>>,
}

impl Expected<'_> {
    /// When the second run after the one of `slot` should have ended at the latest: one slot may rightly be skipped.
    fn ended_by(&mut self, probe: &PlannedProbe, slot: Timestamp) -> Option<Timestamp> {
        let cadence = &self.schedule.cadence;
        let second = || {
            let second = cadence.next_after(slot).and_then(|next| cadence.next_after(next))?;
            Some((second, cadence.period_at(second)))
        };
        let (second, period) = (*self.after.entry(slot).or_insert_with(second))?;
        let timeout = probe.timeout.unwrap_or(self.schedule.timeout);
        let spread = spread(&self.schedule.name, &probe.name, period, timeout);
        Some(later(second, LEAD + spread + timeout + probe.cleanup_timeout + GRACE))
    }
}
