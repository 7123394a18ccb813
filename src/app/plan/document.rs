//! The plan as programs read it: lengths in seconds, instants as RFC 3339, money in US dollars.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::domain::bill::dollars::Dollars;
use crate::domain::bill::lines::{Bill, Line, TOTAL};
use crate::domain::bill::prices::{Prices, Thing};
use crate::domain::schedule::Cadence;
use crate::domain::time::{Timestamp, rfc3339};
use crate::engine::forecast::Forecast;
use crate::engine::forecast::month::{LOG_BYTES_OF_DAY, LOG_BYTES_OF_INCIDENT, Often, ScheduleForecast};
use crate::engine::plan::Plan;

/// All of it.
#[derive(Debug, Serialize)]
pub struct Document {
    /// From which instant on.
    pub at: String,
    /// Each schedule, by its name.
    pub schedules: Vec<ScheduleBody>,
    /// What that is for the machine.
    pub load: Load,
    /// What each publisher makes of it, by its kind.
    pub publishers: BTreeMap<&'static str, PublisherBody>,
    /// What is asked of AWS at the most.
    pub calls: Vec<CallBody>,
    /// What one message through a channel asks of AWS: actions by channel.
    pub messages: BTreeMap<String, Vec<String>>,
    /// What AWS bills for a month.
    pub bill: BillBody,
    /// The same schedules in CloudWatch Synthetics.
    pub synthetics: Synthetics,
    /// What Roundsman itself writes on standard error.
    pub log: Log,
}

/// How often, in the day that follows and in a month on the average.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct OftenBody {
    /// In the day.
    pub day: u64,
    /// In a month.
    pub month: f64,
}

/// A schedule.
#[derive(Debug, Serialize)]
pub struct ScheduleBody {
    /// Its name.
    pub name: String,
    /// Its cadence, in words.
    pub cadence: String,
    /// The time zone in which a cron line is read; `UTC` for lengths.
    pub timezone: String,
    /// Its next slots.
    pub next: Vec<String>,
    /// The same where its time zone is, for people.
    #[serde(skip)]
    pub next_there: Vec<String>,
    /// Over how long a round is spread.
    pub spread_seconds: f64,
    /// Its probes.
    pub probes: Vec<ProbeBody>,
    /// Rounds.
    pub rounds: OftenBody,
    /// Runs.
    pub runs: OftenBody,
    /// Steps.
    pub steps: OftenBody,
    /// Calls of AWS by these.
    pub calls: OftenBody,
}

/// A probe on a schedule.
#[derive(Debug, Serialize)]
pub struct ProbeBody {
    /// Its name.
    pub name: String,
    /// The budget of a run.
    pub timeout_seconds: f64,
}

/// What that is for the machine.
#[derive(Debug, Serialize)]
pub struct Load {
    /// Runs of all schedules.
    pub runs: OftenBody,
    /// How many start in a second, on the average of the day.
    pub runs_per_second: f64,
    /// How many start in the busiest second of the day.
    pub runs_per_second_max: u64,
}

/// What a publisher makes of it.
#[derive(Debug, Serialize)]
pub struct PublisherBody {
    /// Series while all is well.
    pub series: u64,
    /// Requests.
    pub requests: OftenBody,
}

/// A call of AWS.
#[derive(Debug, Serialize)]
pub struct CallBody {
    /// The action.
    pub action: String,
    /// What it is asked of.
    pub resource: String,
    /// The region, where one is named.
    pub region: Option<String>,
    /// How often.
    pub often: OftenBody,
}

/// The bill of a month.
#[derive(Debug, Serialize)]
pub struct BillBody {
    /// When its prices were looked up.
    pub as_of: String,
    /// Of which region they are.
    pub region: String,
    /// Its lines.
    pub lines: Vec<Line>,
    /// Whether what `roundsman aws` prints is among them.
    #[serde(skip)]
    pub has_as_code: bool,
    /// Calls that no rate fits, by action.
    pub unpriced: BTreeMap<String, f64>,
    /// What it comes to for who has used up what is free.
    pub total: Dollars,
    /// How much less for an account that uses nothing else.
    pub free_tier: Dollars,
    /// Each budget, beside what it is for.
    pub budgets: BTreeMap<String, BudgetBody>,
}

/// A budget.
#[derive(Debug, Serialize)]
pub struct BudgetBody {
    /// What may be billed.
    pub budget: Dollars,
    /// What is.
    pub amount: Dollars,
}

impl BillBody {
    /// Whether one of the budgets is exceeded.
    pub fn exceeds(&self) -> bool {
        self.budgets.values().any(|of| of.amount > of.budget)
    }
}

/// The same schedules in CloudWatch Synthetics.
#[derive(Debug, Serialize)]
pub struct Synthetics {
    /// How many runs a month.
    pub runs: f64,
    /// What one costs.
    pub price: f64,
    /// What they come to.
    pub amount: Dollars,
    /// The schedules that it cannot keep, since it runs once a minute at the most.
    pub too_frequent: Vec<String>,
}

/// What Roundsman itself writes on standard error, about.
#[derive(Debug, Serialize)]
pub struct Log {
    /// In a day on which all is well.
    pub bytes_of_day: u64,
    /// For each incident besides.
    pub bytes_of_incident: u64,
}

impl From<Often> for OftenBody {
    fn from(Often { day, month }: Often) -> Self {
        Self { day, month }
    }
}

impl Document {
    /// All of a plan.
    pub fn of(plan: &Plan, forecast: &Forecast, prices: &Prices) -> Self {
        let demand = forecast.demand();
        let bill = Bill::of(&demand, prices);
        let runs = forecast.runs();
        let publishers = forecast.publishers.iter();
        let calls = forecast.calls.iter().map(|(call, often)| CallBody {
            action: call.action.clone(),
            resource: call.resource.clone(),
            region: call.region.clone(),
            often: often.times(call.calls.into()).into(),
        });
        let mut calls: Vec<CallBody> = calls.filter(|call| call.often.month > 0.0).collect();
        // Of one action and resource there may be several, by how much is in each.
        calls.dedup_by(|next, one| {
            let are_same = (&next.action, &next.resource, &next.region) == (&one.action, &one.resource, &one.region);
            if are_same {
                one.often =
                    OftenBody { day: one.often.day + next.often.day, month: one.often.month + next.often.month };
            }
            are_same
        });
        let messages = forecast
            .messages
            .iter()
            .map(|(channel, calls)| (channel.to_string(), calls.iter().map(|call| call.action.clone()).collect()));
        let budgets = plan
            .budgets
            .iter()
            .map(|(service, budget)| (service.clone(), BudgetBody { budget: *budget, amount: bill.amount(service) }));
        let canary = prices.of_thing(Thing::CanaryRun);
        Self {
            at: rfc3339(forecast.at),
            schedules: forecast.schedules.iter().map(schedule).collect(),
            load: Load {
                runs: runs.into(),
                runs_per_second: runs.day as f64 / 86_400.0,
                runs_per_second_max: forecast.peak,
            },
            publishers: publishers
                .map(|(name, of)| (*name, PublisherBody { series: of.series, requests: of.requests.into() }))
                .collect(),
            calls,
            messages: messages.collect(),
            bill: BillBody {
                as_of: prices.as_of.clone(),
                region: prices.region.clone(),
                total: bill.amount(TOTAL),
                free_tier: bill.free_tier(),
                budgets: budgets.collect(),
                lines: bill.lines.clone(),
                unpriced: bill.unpriced.clone(),
                has_as_code: demand.things.contains_key(&Thing::Dashboard),
            },
            synthetics: Synthetics {
                runs: forecast.canary_runs,
                price: canary.and_then(|rate| rate.tiers.first()).map_or(0.0, |tier| tier.price),
                amount: Dollars(canary.map_or(0.0, |rate| rate.cost(forecast.canary_runs))),
                too_frequent: forecast.too_frequent.iter().map(|schedule| schedule.name.to_string()).collect(),
            },
            log: Log { bytes_of_day: LOG_BYTES_OF_DAY, bytes_of_incident: LOG_BYTES_OF_INCIDENT },
        }
    }
}

fn schedule(of: &ScheduleForecast) -> ScheduleBody {
    let zone = match &of.schedule.cadence {
        Cadence::Every(_) => chrono_tz::Tz::UTC,
        Cadence::Cron { timezone, .. } => *timezone,
    };
    let there = |at: &Timestamp| at.with_timezone(&zone).format("%Y-%m-%d %H:%M:%S %Z").to_string();
    ScheduleBody {
        name: of.schedule.name.to_string(),
        cadence: of.schedule.cadence.to_string(),
        timezone: zone.name().to_owned(),
        next: of.next.iter().map(|at| rfc3339(*at)).collect(),
        next_there: of.next.iter().map(there).collect(),
        spread_seconds: of.spread.as_secs_f64(),
        probes: of
            .probes
            .iter()
            .map(|(name, timeout)| ProbeBody { name: name.to_string(), timeout_seconds: timeout.as_secs_f64() })
            .collect(),
        rounds: of.rounds.into(),
        runs: of.runs.into(),
        steps: of.steps.into(),
        calls: of.calls.into(),
    }
}
