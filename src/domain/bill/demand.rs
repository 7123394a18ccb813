//! What a month takes of AWS.

use std::collections::BTreeMap;

use super::prices::Thing;
use crate::domain::aws_call::AwsCall;

/// The days of a month: a twelfth of a year of 365, which is the 730 hours that AWS reckons with.
pub const DAYS_OF_MONTH: f64 = 365.0 / 12.0;

/// How many of each thing there are, and how often each call is made.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Demand {
    /// The things, and the runs of canaries, of a month.
    pub things: BTreeMap<Thing, f64>,
    /// How many times a month what makes each call is done.
    pub calls: BTreeMap<AwsCall, f64>,
}

impl Demand {
    /// Adds things.
    pub fn add(&mut self, thing: Thing, count: f64) {
        *self.things.entry(thing).or_default() += count;
    }

    /// Adds calls that are made so many times a month.
    pub fn ask(&mut self, call: AwsCall, times: f64) {
        *self.calls.entry(call).or_default() += times;
    }
}
