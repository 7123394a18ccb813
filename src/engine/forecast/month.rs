//! What a plan takes of publishers and of AWS, a day and a month.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use super::day::{DAY, Day, Minute, OfSchedule};
use crate::domain::aws_call::AwsCall;
use crate::domain::bill::demand::{DAYS_OF_MONTH, Demand};
use crate::domain::bill::prices::Thing;
use crate::domain::names::{ChannelName, ProbeName};
use crate::domain::schedule::Schedule;
use crate::domain::time::{Timestamp, later};
use crate::engine::calendar::timeout;
use crate::engine::plan::Plan;
use crate::ports::PublisherFactory;

/// How many of the next slots are told.
const NEXT_MAX: usize = 3;

/// How often CloudWatch Synthetics runs a canary at the most, a day: once a minute.
const CANARY_RUNS_OF_DAY_MAX: f64 = 24.0 * 60.0;

/// How many bytes Roundsman writes on standard error in a day on which all is well, about: what it says when it starts, and what
/// it erases. Runs that pass say nothing.
pub const LOG_BYTES_OF_DAY: u64 = 4_000;

/// How many more it writes for an incident, about: that it opened, who was told, who took it on, that it is over.
pub const LOG_BYTES_OF_INCIDENT: u64 = 1_000;

/// How many messages a drill of a channel is: one that something has begun, and one that it is over.
const MESSAGES_OF_DRILL: u64 = 2;

/// What a plan will do.
#[derive(Clone)]
pub struct Forecast {
    /// Where its day begins.
    pub at: Timestamp,
    /// Each schedule, by its name.
    pub schedules: Vec<ScheduleForecast>,
    /// How many runs start in the second of the day in which most do.
    pub peak: u64,
    /// What each publisher makes of the samples, by its kind.
    pub publishers: BTreeMap<&'static str, PublisherForecast>,
    /// How often each call is made, at the most: each step is taken to be performed, and none is repeated.
    pub calls: BTreeMap<AwsCall, Often>,
    /// What one message through a channel asks of AWS; those that ask it for nothing are not here.
    pub messages: BTreeMap<ChannelName, Vec<AwsCall>>,
    /// What is billed because it is there.
    pub things: BTreeMap<Thing, u64>,
    /// How many runs of canaries of CloudWatch Synthetics would take their place in a month, as far as it can: it runs once a
    /// minute at the most.
    pub canary_runs: f64,
    /// The schedules that are more frequent than that.
    pub too_frequent: Vec<Arc<Schedule>>,
}

/// How often something is done.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Often {
    /// In the day that follows.
    pub day: u64,
    /// In a month, on the average.
    pub month: f64,
}

impl Often {
    /// So many of it each time.
    #[must_use]
    pub fn times(self, count: u64) -> Self {
        Self { day: self.day * count, month: self.month * count as f64 }
    }

    fn add(&mut self, other: Self) {
        self.day += other.day;
        self.month += other.month;
    }
}

/// What a schedule will do.
#[derive(Clone)]
pub struct ScheduleForecast {
    /// The schedule.
    pub schedule: Arc<Schedule>,
    /// Its next slots.
    pub next: Vec<Timestamp>,
    /// Over how long a round is spread.
    pub spread: Duration,
    /// Its probes, each with the budget of its runs.
    pub probes: Vec<(ProbeName, Duration)>,
    /// Rounds.
    pub rounds: Often,
    /// Runs.
    pub runs: Often,
    /// Steps, those of cleanups among them.
    pub steps: Often,
    /// Calls of AWS that these make.
    pub calls: Often,
}

/// What a publisher makes of the samples of a plan.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct PublisherForecast {
    /// How many series it has.
    pub series: u64,
    /// How many requests it sends; one that is asked for its values sends none.
    pub requests: Often,
}

impl Forecast {
    /// What a plan will do from an instant on.
    pub fn of(plan: &Plan, at: Timestamp) -> Self {
        let looks_back = plan.publishers.values().map(|publisher| publisher.looks_back()).max().unwrap_or_default();
        let day = Day::of(plan, at, looks_back);
        let mut forecast = Self {
            at,
            schedules: Vec::new(),
            peak: day.peak(),
            publishers: BTreeMap::new(),
            calls: BTreeMap::new(),
            messages: BTreeMap::new(),
            things: BTreeMap::new(),
            canary_runs: 0.0,
            too_frequent: Vec::new(),
        };
        for of in day.schedules() {
            forecast.take_schedule(of);
        }
        for (name, factory) in &plan.publishers {
            forecast.take_publisher(name, &**factory, &day);
        }
        forecast.take_messages(plan);
        forecast.take_secrets(plan);
        forecast
    }

    /// The same with what is billed because it is there, and is not the plan's own.
    #[must_use]
    pub fn and(mut self, things: BTreeMap<Thing, u64>) -> Self {
        self.things.extend(things);
        self
    }

    /// What it takes of AWS in a month.
    pub fn demand(&self) -> Demand {
        let mut demand = Demand::default();
        for (thing, count) in &self.things {
            demand.add(*thing, *count as f64);
        }
        for (call, often) in &self.calls {
            demand.ask(call.clone(), often.month);
        }
        demand
    }

    /// Runs of all schedules.
    pub fn runs(&self) -> Often {
        let mut all = Often::default();
        self.schedules.iter().for_each(|of| all.add(of.runs));
        all
    }

    fn take_schedule(&mut self, of: &OfSchedule<'_>) {
        let OfSchedule { schedule, probes, slots, spread, .. } = of;
        let a_day = schedule.cadence.per_day(self.at);
        let rounds = Often { day: *slots, month: a_day * DAYS_OF_MONTH };
        let (mut steps, mut calls) = (0, Often::default());
        for probe in probes {
            for step in probe.steps.iter().chain(&probe.cleanup) {
                steps += 1;
                for call in step.action.calls() {
                    calls.add(rounds.times(call.calls.into()));
                    self.calls.entry(call).or_default().add(rounds);
                }
            }
        }
        let runs = rounds.times(probes.len() as u64);
        self.canary_runs += a_day.min(CANARY_RUNS_OF_DAY_MAX) * DAYS_OF_MONTH * probes.len() as f64;
        if a_day > CANARY_RUNS_OF_DAY_MAX {
            self.too_frequent.push(Arc::clone(schedule));
        }
        self.schedules.push(ScheduleForecast {
            schedule: Arc::clone(schedule),
            next: std::iter::successors(schedule.cadence.next_after(self.at), |slot| {
                schedule.cadence.next_after(*slot)
            })
            .take(NEXT_MAX)
            .collect(),
            spread: *spread,
            probes: probes.iter().map(|probe| (probe.name.clone(), timeout(schedule, probe))).collect(),
            rounds,
            runs,
            steps: rounds.times(steps),
            calls,
        });
    }

    fn take_publisher(&mut self, name: &'static str, factory: &dyn PublisherFactory, day: &Day<'_>) {
        let calls = factory.calls();
        let mut series = factory.foretell(&day.all_samples(), &[]).series;
        let mut requests = Often::default();
        if !calls.is_empty() {
            for Minute { samples, before, count } in day.minutes() {
                let minute = factory.foretell(&samples, &before);
                requests.day += minute.requests * count;
                series.extend(minute.series);
            }
            requests.month = requests.day as f64 * DAYS_OF_MONTH;
        }
        let series = series.len() as u64;
        if calls.iter().any(|call| call.action == "cloudwatch:PutMetricData") {
            self.things.insert(Thing::Metric, series);
        }
        for call in calls {
            self.calls.entry(call).or_default().add(requests);
        }
        self.publishers.insert(name, PublisherForecast { series, requests });
    }

    /// Each is taken to be used so often that it is asked for again as soon as it may be.
    fn take_secrets(&mut self, plan: &Plan) {
        // Names that stand for keys of one secret are read together.
        let read: BTreeSet<_> = plan
            .secrets_used
            .iter()
            .filter_map(|name| Some((name, plan.secrets.kept(name)?)))
            .flat_map(|(name, kept)| plan.secrets.calls(name).into_iter().map(move |call| (call, kept)))
            .collect();
        for (call, kept) in read {
            let day = DAY.as_secs() / kept.as_secs().max(1);
            self.calls.entry(call).or_default().add(Often { day, month: day as f64 * DAYS_OF_MONTH });
        }
    }

    fn take_messages(&mut self, plan: &Plan) {
        let messages = plan.channels.iter().map(|(name, notifier)| (name.clone(), notifier.calls()));
        self.messages = messages.filter(|(_, calls)| !calls.is_empty()).collect();
        let Some(drill) = &plan.drill else { return };
        let a_day = drill.cadence.per_day(self.at);
        let day = drill.cadence.slots(self.at, later(self.at, DAY)).count() as u64;
        for call in drill.channels.iter().filter_map(|channel| self.messages.get(channel)).flatten() {
            let drills = Often { day, month: a_day * DAYS_OF_MONTH };
            self.calls.entry(call.clone()).or_default().add(drills.times(MESSAGES_OF_DRILL));
        }
    }
}

#[cfg(test)]
mod tests;
