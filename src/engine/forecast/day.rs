//! A day of a plan: its slots, the instants at which runs start, and the samples of each of its minutes.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

use chrono::TimeDelta;

use crate::domain::metric::{MetricName, Sample, SampleLabels, samples, slot_samples};
use crate::domain::names::ProbeName;
use crate::domain::outcome::{Phases, Run, RunId, SlotAccount, SlotOutcome, StepOutcome, Verdict};
use crate::domain::schedule::{LEAD, SPREAD_MAX, Schedule, spread};
use crate::domain::time::{Timestamp, earlier, later};
use crate::engine::calendar::timeout;
use crate::engine::plan::{Plan, PlannedProbe};

/// How long a day is.
pub const DAY: Duration = Duration::from_hours(24);

const MINUTE: Duration = Duration::from_secs(60);

/// How many minutes a day has.
const MINUTES: i64 = 24 * 60;

/// How much longer than anybody looks back the oldest slot of a minute is ago at the most, in seconds: by then each of its runs
/// is as old.
const OLD: i64 = 120;

/// A slot as a minute knows it, by which minutes are alike: which schedule it is of, the length of the period in which it
/// stands, and how far it is from the beginning of the minute, in seconds.
type Part = (usize, Duration, i64);

/// A kind of minute: what is measured in it, and what was measured before.
pub struct Minute {
    /// The samples, in the order of schedules and not of time.
    pub samples: Vec<Sample>,
    /// Those of the last run of each probe before it, of the whole and not of its steps; of a run that is longer ago than anybody
    /// looks back, by another time that is.
    pub before: Vec<Sample>,
    /// How many minutes of the day are of this kind.
    pub count: u64,
}

/// A day of a plan, from an instant on.
pub struct Day<'a> {
    plan: &'a Plan,
    schedules: Vec<OfSchedule<'a>>,
    /// The slots of each minute: those of which runs start in it, and of each schedule the last before it.
    minutes: Vec<Vec<Part>>,
    from: Timestamp,
}

/// A day of one schedule.
pub struct OfSchedule<'a> {
    /// The schedule.
    pub schedule: &'a Arc<Schedule>,
    /// Its probes that there are.
    pub probes: Vec<&'a Arc<PlannedProbe>>,
    /// How many slots the day has.
    pub slots: u64,
    /// Over how long a round of it is spread at the most.
    pub spread: Duration,
    /// Each slot with the length of its period, and some before the day, since what they start is still being spread when
    /// it begins.
    rounds: Vec<(Timestamp, Duration)>,
    /// How long after its slot each run starts, by the length of the period.
    starts: HashMap<Duration, Vec<Duration>>,
}

impl<'a> OfSchedule<'a> {
    fn of(plan: &'a Plan, schedule: &'a Arc<Schedule>, from: Timestamp) -> Self {
        let cadence = &schedule.cadence;
        // One at least of which every run has started.
        let over = cadence.last_through(earlier(from, LEAD + SPREAD_MAX + MINUTE));
        let before = over.map_or(from, |slot| earlier(slot, Duration::from_secs(1)));
        let rounds: Vec<_> =
            cadence.slots(before, later(from, DAY)).map(|slot| (slot, cadence.period_at(slot))).collect();
        let probes: Vec<_> = schedule.probes.iter().filter_map(|name| plan.probes.get(name)).collect();
        let mut starts: HashMap<Duration, Vec<Duration>> = HashMap::new();
        for (_, period) in &rounds {
            let of = |probe: &&Arc<PlannedProbe>| {
                LEAD + spread(&schedule.name, &probe.name, *period, timeout(schedule, probe))
            };
            starts.entry(*period).or_insert_with(|| probes.iter().map(of).collect());
        }
        let spread = starts.values().flatten().max().map_or(Duration::ZERO, |last| last.saturating_sub(LEAD));
        let slots = rounds.iter().filter(|(slot, _)| *slot > from).count() as u64;
        Self { schedule, probes, slots, spread, rounds, starts }
    }

    fn starts(&self, period: Duration) -> impl Iterator<Item = (&'a Arc<PlannedProbe>, Duration)> {
        self.probes.iter().copied().zip(self.starts.get(&period).into_iter().flatten().copied())
    }
}

impl<'a> Day<'a> {
    /// The day of a plan that begins at an instant; `looks_back` is for how long what was before a minute matters to it.
    pub fn of(plan: &'a Plan, from: Timestamp, looks_back: Duration) -> Self {
        let schedules: Vec<_> = plan.schedules.values().map(|schedule| OfSchedule::of(plan, schedule, from)).collect();
        let oldest = -i64::try_from(looks_back.as_secs()).unwrap_or(i64::MAX).saturating_add(OLD);
        let parts = |begin: Timestamp| {
            let mut parts = Vec::new();
            for (index, of) in schedules.iter().enumerate() {
                let over = |slot: Timestamp| later(slot, LEAD + of.spread) < begin;
                let begun = |slot: Timestamp| later(slot, LEAD) < later(begin, MINUTE);
                let first = of.rounds.partition_point(|(slot, _)| over(*slot)).saturating_sub(1);
                let end = of.rounds.partition_point(|(slot, _)| begun(*slot));
                let rounds = of.rounds.get(first..end).unwrap_or_default().iter();
                parts.extend(rounds.map(|(slot, period)| (index, *period, (*slot - begin).num_seconds().max(oldest))));
            }
            parts
        };
        let first = minute_of(from);
        let minutes = (0..MINUTES).map(|minute| parts(first + TimeDelta::minutes(minute))).collect();
        Self { plan, schedules, minutes, from }
    }

    /// Each schedule.
    pub fn schedules(&self) -> &[OfSchedule<'a>] {
        &self.schedules
    }

    /// How many runs start in the second of the day in which most do.
    pub fn peak(&self) -> u64 {
        let mut seconds: HashMap<i64, u64> = HashMap::new();
        for of in &self.schedules {
            let mut histograms: HashMap<Duration, HashMap<i64, u64>> = HashMap::new();
            for (slot, period) in &of.rounds {
                let histogram = histograms.entry(*period).or_insert_with(|| {
                    let mut counts = HashMap::new();
                    for (_, start) in of.starts(*period) {
                        *counts.entry(whole_seconds(start)).or_default() += 1;
                    }
                    counts
                });
                for (second, count) in histogram {
                    *seconds.entry(slot.timestamp() + *second).or_default() += *count;
                }
            }
        }
        seconds.into_values().max().unwrap_or_default()
    }

    /// Each kind of minute that the day has. Minutes in which the same runs start have the same samples, but for their time.
    pub fn minutes(&self) -> impl Iterator<Item = Minute> + '_ {
        let mut alike: BTreeMap<&[Part], u64> = BTreeMap::new();
        for parts in &self.minutes {
            *alike.entry(parts).or_default() += 1;
        }
        // Made once, since many kinds of minute have the same run.
        let of_run =
            |of: &OfSchedule<'_>, probe: &PlannedProbe| samples(&well(self.plan, of.schedule, probe, self.from));
        let of_runs: Vec<Vec<_>> =
            self.schedules.iter().map(|of| of.probes.iter().map(|probe| of_run(of, probe)).collect()).collect();
        alike.into_iter().map(move |(parts, count)| self.minute(parts, count, &of_runs))
    }

    fn minute(&self, parts: &[Part], count: u64, of_runs: &[Vec<Vec<Sample>>]) -> Minute {
        let begin = minute_of(self.from);
        let mut found = vec![beat(begin)];
        let mut last: BTreeMap<&ProbeName, (Timestamp, &[Sample])> = BTreeMap::new();
        for (index, period, offset) in parts {
            let Some((of, of_runs)) = self.schedules.get(*index).zip(of_runs.get(*index)) else { continue };
            let slot = begin + TimeDelta::seconds(*offset);
            for ((probe, start), of_run) in of.starts(*period).zip(of_runs) {
                let at = later(slot, start);
                if at >= later(begin, MINUTE) {
                    continue;
                }
                if at >= begin {
                    found.extend(of_run_at(of_run, at, found.len()));
                } else if last.get(&probe.name).is_none_or(|(known, _)| *known < at) {
                    last.insert(&probe.name, (at, of_run));
                }
            }
        }
        let is_of_whole =
            |sample: &Sample| [MetricName::ProbeSuccess, MetricName::ProbeDuration].contains(&sample.name);
        let before = last.into_values().flat_map(|(at, of_run)| of_run_at(of_run, at, 0)).filter(is_of_whole);
        Minute { samples: found, before: before.collect(), count }
    }

    /// One sample at least of everything that is measured of runs while all is well.
    pub fn all_samples(&self) -> Vec<Sample> {
        let mut found = vec![beat(self.from)];
        for of in &self.schedules {
            for probe in &of.probes {
                found.extend(samples(&well(self.plan, of.schedule, probe, self.from)));
                let account = SlotAccount {
                    schedule: of.schedule.name.clone(),
                    probe: probe.name.clone(),
                    through: self.from,
                    counts: [(SlotOutcome::Ran, 1)].into(),
                };
                found.extend(slot_samples(&account, self.from));
            }
        }
        found
    }
}

/// The beginning of the minute of an instant.
fn minute_of(at: Timestamp) -> Timestamp {
    at - TimeDelta::milliseconds(at.timestamp_millis().rem_euclid(60_000))
}

/// The beat of a minute.
fn beat(at: Timestamp) -> Sample {
    Sample { name: MetricName::Heartbeats, at, value: 1.0, labels: SampleLabels::default() }
}

/// How long a run takes: as long as no other with another number.
fn duration(number: usize) -> Duration {
    Duration::from_millis(100) + Duration::from_micros(number as u64)
}

/// The samples of a run as those of one that was at another time, and took as long as no other with another number.
fn of_run_at(of_run: &[Sample], at: Timestamp, number: usize) -> impl Iterator<Item = Sample> + '_ {
    of_run.iter().map(move |sample| {
        let is_duration = sample.name == MetricName::ProbeDuration;
        let value = if is_duration { duration(number).as_secs_f64() } else { sample.value };
        Sample { at, value, ..sample.clone() }
    })
}

/// A run that passed.
fn well(plan: &Plan, schedule: &Schedule, probe: &PlannedProbe, at: Timestamp) -> Run {
    let steps = probe.steps.iter().map(|step| (step, false)).chain(probe.cleanup.iter().map(|step| (step, true)));
    let outcome = |(step, cleanup): (&crate::engine::plan::PlannedStep, bool)| {
        let is_http = step.kind == "http";
        let part = is_http.then_some(1.0);
        StepOutcome {
            name: step.name.clone(),
            kind: step.kind.to_owned(),
            cleanup,
            verdict: Some(Verdict::Passed),
            offset_ms: 0.0,
            phases: Phases {
                dns_ms: part,
                connect_ms: part,
                tls_ms: part,
                first_byte_ms: part,
                transfer_ms: part,
                total_ms: 5.0,
                ..Phases::default()
            },
            certificate_expires: ["http", "tls"].contains(&step.kind).then_some(at),
            status: is_http.then_some(200),
            late_ms: None,
            version: None,
            cases: Vec::new(),
        }
    };
    Run {
        id: RunId(Arc::from("")),
        location: Arc::clone(&plan.location),
        probe: probe.name.clone(),
        schedule: Some(schedule.name.clone()),
        extra: None,
        slot: at,
        due_at: at,
        started_at: at,
        duration: duration(0),
        lateness: Duration::ZERO,
        verdict: Verdict::Passed,
        steps: steps.map(outcome).collect(),
        bundle: None,
    }
}

fn whole_seconds(length: Duration) -> i64 {
    i64::try_from(length.as_secs()).unwrap_or(i64::MAX)
}
