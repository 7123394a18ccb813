//! What AWS asks for, as data: prices change without this program, so each table has its date and its region.

use crate::domain::aws_call::AwsCall;
use crate::domain::names::glob;

/// A table of prices.
#[derive(Clone, Debug, PartialEq)]
pub struct Prices {
    /// The month in which they were looked up: `2026-11`.
    pub as_of: String,
    /// The region for which they are; others differ, mostly upwards.
    pub region: String,
    /// The rate of each thing.
    pub things: Vec<(Thing, Rate)>,
    /// The rates of calls: the first that takes a call is its rate.
    pub calls: Vec<CallRate>,
}

/// What is billed because it is there, and not because it was called.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Thing {
    /// A metric of our own in CloudWatch: each name with each combination of dimensions.
    Metric,
    /// A metric that an alarm of a minute or more looks at.
    Alarm,
    /// A metric that an alarm of less than a minute looks at.
    HighResolutionAlarm,
    /// A composite alarm.
    CompositeAlarm,
    /// A dashboard.
    Dashboard,
    /// A run of a canary of CloudWatch Synthetics: not ours, but what the same schedule costs there.
    CanaryRun,
}

impl Thing {
    /// All of them, in the order of a bill.
    pub const ALL: [Self; 6] =
        [Self::Metric, Self::Alarm, Self::HighResolutionAlarm, Self::CompositeAlarm, Self::Dashboard, Self::CanaryRun];

    /// Its key in a file of prices.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Metric => "metric",
            Self::Alarm => "alarm",
            Self::HighResolutionAlarm => "high_resolution_alarm",
            Self::CompositeAlarm => "composite_alarm",
            Self::Dashboard => "dashboard",
            Self::CanaryRun => "canary_run",
        }
    }
}

/// What something costs.
#[derive(Clone, Debug, PartialEq)]
pub struct Rate {
    /// The service on whose bill it stands, as budgets name it: `cloudwatch`, `dynamodb`.
    pub service: String,
    /// What is paid for, in the plural: `custom metrics`.
    pub what: String,
    /// For how many the price is, one at least.
    pub per: u64,
    /// The prices, of which the last has no end.
    pub tiers: Vec<Tier>,
    /// How many a month an account has for nothing, in the same unit.
    pub free: f64,
}

/// A price, up to a quantity.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Tier {
    /// Through which quantity of a month it goes; without an end where absent.
    pub through: Option<f64>,
    /// US dollars for [`Rate::per`].
    pub price: f64,
}

/// What calls cost.
#[derive(Clone, Debug, PartialEq)]
pub struct CallRate {
    /// The rate.
    pub rate: Rate,
    /// The actions that it takes, as policies name them, as globs: `s3:List*`.
    pub actions: Vec<String>,
    /// What they must be asked of, as a glob; anything where absent.
    pub resource: Option<String>,
    /// Whether not the call is paid for but what it has in it: [`AwsCall::units`].
    pub by_unit: bool,
}

impl Rate {
    /// What a quantity of a month costs, in US dollars, for who has used up what is free.
    pub fn cost(&self, quantity: f64) -> f64 {
        let mut from = 0.0;
        let mut sum = 0.0;
        for Tier { through, price } in &self.tiers {
            let through = through.unwrap_or(f64::INFINITY);
            sum += (quantity.min(through) - from).max(0.0) * price;
            from = through;
        }
        sum / self.per as f64
    }

    /// How much less that is for who has used up nothing.
    pub fn saving(&self, quantity: f64) -> f64 {
        self.cost(quantity) - self.cost((quantity - self.free).max(0.0))
    }
}

impl CallRate {
    /// Whether it is the rate of a call.
    pub fn takes(&self, call: &AwsCall) -> bool {
        let of_resource = self.resource.as_ref().is_none_or(|pattern| glob(pattern, &call.resource));
        of_resource && self.actions.iter().any(|pattern| glob(pattern, &call.action))
    }

    /// What is paid for of one call. Of what is paid for by what is in it, the least where nobody knows how much that is.
    pub fn quantity(&self, call: &AwsCall) -> f64 {
        let calls = f64::from(call.calls);
        if self.by_unit { (call.units as f64).max(calls) } else { calls }
    }
}

impl Prices {
    /// The rate of a thing.
    pub fn of_thing(&self, thing: Thing) -> Option<&Rate> {
        self.things.iter().find(|(own, _)| *own == thing).map(|(_, rate)| rate)
    }

    /// Where in the table the rate of a call is.
    pub fn of_call(&self, call: &AwsCall) -> Option<usize> {
        self.calls.iter().position(|rate| rate.takes(call))
    }

    /// The services that bill us for anything, each once, in the order of the table.
    pub fn services(&self) -> Vec<&str> {
        let things = self.things.iter().filter(|(thing, _)| *thing != Thing::CanaryRun).map(|(_, rate)| rate);
        let mut services = Vec::new();
        let costs = |rate: &&Rate| rate.tiers.iter().any(|tier| tier.price > 0.0);
        for rate in things.chain(self.calls.iter().map(|call| &call.rate)).filter(costs) {
            if !services.contains(&rate.service.as_str()) {
                services.push(&rate.service);
            }
        }
        services
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn metrics() -> Rate {
        Rate {
            service: "cloudwatch".to_owned(),
            what: "custom metrics".to_owned(),
            per: 1,
            tiers: vec![
                Tier { through: Some(10_000.0), price: 0.3 },
                Tier { through: Some(250_000.0), price: 0.1 },
                Tier { through: None, price: 0.05 },
            ],
            free: 10.0,
        }
    }

    #[test]
    fn each_tier_has_its_price() {
        let rate = metrics();
        for (quantity, cost) in
            [(0.0, 0.0), (46.0, 13.8), (10_000.0, 3_000.0), (10_001.0, 3_000.1), (250_010.0, 27_000.5)]
        {
            assert!((rate.cost(quantity) - cost).abs() < 1e-9, "{quantity}: {}", rate.cost(quantity));
        }
        assert!((rate.saving(46.0) - 3.0).abs() < 1e-9);
        assert!((rate.saving(4.0) - 1.2).abs() < 1e-9, "no more than all of it");
        assert!((rate.saving(250_010.0) - 0.5).abs() < 1e-9, "what is free is taken off where it is cheapest");
    }

    #[test]
    fn a_call_has_the_first_rate_that_takes_it() {
        let call_rate = |actions: &[&str], resource: Option<&str>, by_unit| CallRate {
            rate: metrics(),
            actions: actions.iter().map(|action| (*action).to_owned()).collect(),
            resource: resource.map(str::to_owned),
            by_unit,
        };
        let prices = Prices {
            as_of: "2026-11".to_owned(),
            region: "us-east-1".to_owned(),
            things: Vec::new(),
            calls: vec![
                call_rate(&["sns:Publish"], Some("*.fifo"), false),
                call_rate(&["sns:*"], None, false),
                call_rate(&["cloudwatch:GetMetricData"], None, true),
            ],
        };
        let of = |action: &str, resource: &str| prices.of_call(&AwsCall::once(action, resource));
        assert_eq!(of("sns:Publish", "arn:aws:sns:us-east-1:1:ops.fifo"), Some(0));
        assert_eq!(of("sns:Publish", "arn:aws:sns:us-east-1:1:ops"), Some(1));
        assert_eq!(of("ec2:DescribeVpcs", "*"), None);
        let ask = AwsCall::once("cloudwatch:GetMetricData", "*");
        assert_eq!(prices.calls[2].quantity(&ask.clone().of_units(7)).to_bits(), 7.0_f64.to_bits());
        assert_eq!(prices.calls[2].quantity(&ask.times(2)).to_bits(), 2.0_f64.to_bits(), "at least what is asked for");
        assert_eq!(prices.services(), ["cloudwatch"]);
    }
}
