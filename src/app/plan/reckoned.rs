//! What the page says a plan takes, by the same forecast and the same prices as `plan`.

use crate::app::aws::billed::billed;
use crate::config::prices;
use crate::domain::bill::lines::{Bill, TOTAL};
use crate::domain::time::Timestamp;
use crate::engine::forecast::Forecast;
use crate::engine::plan::Plan;
use crate::settings::Problems;
use crate::web::reckoning::Reckoned;

/// What it takes at the built-in prices.
pub fn reckoned(plan: &Plan, now: Timestamp) -> Result<Reckoned, String> {
    let mut problems = Problems::new();
    let prices = prices::built_in(&mut problems).ok_or_else(|| "the prices have mistakes".to_owned())?;
    let forecast = Forecast::of(plan, now).and(billed(plan));
    let bill = Bill::of(&forecast.demand(), &prices);
    let mut services: Vec<_> = bill.lines.iter().map(|line| line.service.clone()).collect();
    services.sort();
    services.dedup();
    Ok(Reckoned {
        series: forecast.publishers.iter().map(|(name, of)| (*name, of.series)).collect(),
        bill: bill.amount(TOTAL),
        services: services.into_iter().map(|service| (service.clone(), bill.amount(&service))).collect(),
        budgets: plan.budgets.iter().map(|(of, budget)| (of.clone(), *budget, bill.amount(of))).collect(),
        prices: (prices.region.clone(), prices.as_of.clone()),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::app::aws::testing::{PROBES, SCHEDULES, plan};

    #[test]
    fn the_page_says_what_plan_says() {
        let plan = plan("publish: { cloudwatch: { region: eu-west-1 } }", PROBES, SCHEDULES);
        let now = "2026-11-24T10:00:00Z".parse().unwrap();
        let reckoned = reckoned(&plan, now).unwrap();
        assert!(reckoned.series["cloudwatch"] > 0 && reckoned.bill.0 > 0.0, "{reckoned:?}");
        let sum: f64 = reckoned.services.iter().map(|(_, amount)| amount.0).sum();
        assert!((sum - reckoned.bill.0).abs() < 1e-6, "{reckoned:?}");
    }
}
