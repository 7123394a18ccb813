//! A bill: what a month takes, at the prices of a table, line by line.

use std::collections::BTreeMap;

use serde::Serialize;

use super::demand::Demand;
use super::dollars::Dollars;
use super::prices::{Prices, Rate, Thing};

/// The budget of everything together, among those of services.
pub const TOTAL: &str = "total";

/// What is paid for at one rate.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Line {
    /// The service on whose bill it stands.
    pub service: String,
    /// What is paid for.
    pub what: String,
    /// How many of it a month takes.
    pub quantity: f64,
    /// What the first of them cost, in US dollars …
    pub price: f64,
    /// … for so many.
    pub per: u64,
    /// What they cost for who has used up what is free.
    pub amount: Dollars,
    /// How much less they cost for who has used up nothing of it.
    pub free_tier: Dollars,
}

/// A bill of a month.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Bill {
    /// Its lines, in the order of the table. What costs nothing has one too, so that it is seen to have been thought of.
    pub lines: Vec<Line>,
    /// Calls that are in no line, since the table has no rate for them, by action.
    pub unpriced: BTreeMap<String, f64>,
}

impl Bill {
    /// The bill of what a month takes.
    pub fn of(demand: &Demand, prices: &Prices) -> Self {
        let mut bill = Self::default();
        for (thing, rate) in prices.things.iter().filter(|(thing, _)| *thing != Thing::CanaryRun) {
            bill.push(rate, demand.things.get(thing).copied().unwrap_or_default());
        }
        let mut quantities = vec![0.0; prices.calls.len()];
        for (call, times) in &demand.calls {
            match prices.of_call(call).and_then(|at| Some((prices.calls.get(at)?, quantities.get_mut(at)?))) {
                Some((rate, quantity)) => *quantity += rate.quantity(call) * times,
                None => *bill.unpriced.entry(call.action.clone()).or_default() += f64::from(call.calls) * times,
            }
        }
        for (call, quantity) in prices.calls.iter().zip(quantities) {
            bill.push(&call.rate, quantity);
        }
        bill
    }

    fn push(&mut self, rate: &Rate, quantity: f64) {
        if quantity <= 0.0 {
            return;
        }
        self.lines.push(Line {
            service: rate.service.clone(),
            what: rate.what.clone(),
            quantity,
            price: rate.tiers.first().map_or(0.0, |tier| tier.price),
            per: rate.per,
            amount: Dollars(rate.cost(quantity)),
            free_tier: Dollars(rate.saving(quantity)),
        });
    }

    /// The lines on the bill of a service, or all of them for [`TOTAL`].
    pub fn of_service<'a>(&'a self, service: &'a str) -> impl Iterator<Item = &'a Line> {
        self.lines.iter().filter(move |line| service == TOTAL || line.service == service)
    }

    /// What a service bills, or all of them for [`TOTAL`].
    pub fn amount(&self, service: &str) -> Dollars {
        self.of_service(service).map(|line| line.amount).sum()
    }

    /// How much less all of it is for an account that uses nothing else.
    pub fn free_tier(&self) -> Dollars {
        self.lines.iter().map(|line| line.free_tier).sum()
    }
}
