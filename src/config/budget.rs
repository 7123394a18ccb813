//! What AWS may bill a month, as written, and whether the plan stays within it.

use std::collections::BTreeMap;

use super::prices;
use super::raw::RawDollars;
use crate::domain::bill::dollars::Dollars;
use crate::domain::bill::lines::{Bill, Line, TOTAL};
use crate::domain::bill::prices::{Prices, Thing};
use crate::engine::forecast::Forecast;
use crate::settings::{Problems, Spanned, suggest};

/// How many lines of a bill one sentence has.
const LINES_MAX: usize = 4;

/// Budgets as written.
pub type Written = BTreeMap<Spanned<String>, Spanned<RawDollars>>;

/// The budgets by service; what is no service that bills is an error.
pub fn budgets(written: &Written, problems: &mut Problems) -> BTreeMap<String, Dollars> {
    if written.is_empty() {
        return BTreeMap::new();
    }
    let Some(prices) = prices::built_in(problems) else { return BTreeMap::new() };
    let mut known = prices.services();
    known.push(TOTAL);
    for (name, _) in written.iter().filter(|(name, _)| !known.contains(&name.value.as_str())) {
        problems.error(name.span.clone(), format!("nothing of `{}` is billed here", name.value)).help =
            suggest(&name.value, known.clone());
    }
    written.iter().map(|(name, budget)| (name.value.clone(), budget.value.0)).collect()
}

/// That a plan costs more than its budget is an error where the budget is written.
pub fn check(written: &Written, forecast: impl FnOnce() -> Forecast, problems: &mut Problems) {
    if written.is_empty() {
        return;
    }
    let Some(prices) = prices::built_in(problems) else { return };
    let demand = forecast().demand();
    let bill = Bill::of(&demand, &prices);
    for (service, budget) in written {
        let (amount, most) = (bill.amount(&service.value), budget.value.0);
        if amount <= most {
            continue;
        }
        let Some((rounded, budgeted)) = compared(amount, most) else { continue };
        let whose = if service.value == TOTAL { "all of it" } else { &service.value };
        let message = format!(
            "{whose} would cost {rounded} a month, and the budget is {budgeted}: {}",
            lines(&bill, &service.value)
        );
        let least = format!("write at least `{:.2} USD`", rounded.0);
        let metrics = demand.things.get(&Thing::Metric).copied().unwrap_or_default();
        let of_metrics = if [TOTAL, "cloudwatch"].contains(&service.value.as_str()) { metrics } else { 0.0 };
        let fewer = fewer_metrics(&prices, of_metrics, amount.0 - most.0);
        problems.error(budget.span.clone(), message).help = Some(match fewer {
            Some(fewer) => format!("{least}, or have {fewer} of the {metrics} custom metrics fewer"),
            None => least,
        });
    }
}

/// An amount and the budget that is less, as they are shown: so that they never look alike. Nothing where they are the same but
/// for what a double makes of the last digit.
fn compared(amount: Dollars, most: Dollars) -> Option<(Dollars, String)> {
    let rounded = amount.rounded_up();
    let is_whole = most.rounded_up() == most;
    (rounded > most).then(|| (rounded, if is_whole { most.to_string() } else { most.price() }))
}

/// The lines that make it up, the largest first.
fn lines(bill: &Bill, service: &str) -> String {
    let mut lines: Vec<&Line> = bill.of_service(service).filter(|line| line.amount.0 > 0.0).collect();
    lines.sort_by(|a, b| b.amount.0.total_cmp(&a.amount.0));
    let told = lines.iter().take(LINES_MAX).map(|line| format!("{} {}", line.what, line.amount));
    let more = lines.len().saturating_sub(LINES_MAX);
    let more = (more > 0).then(|| format!("{more} more"));
    told.chain(more).collect::<Vec<_>>().join(", ")
}

/// How many metrics fewer save an amount, if having none of them does.
fn fewer_metrics(prices: &Prices, metrics: f64, saved: f64) -> Option<u64> {
    let rate = prices.of_thing(Thing::Metric)?;
    // What there is too much of must be gone for certain, whatever a double makes of the last digit.
    let saves = |fewer: u64| rate.cost(metrics) - rate.cost(metrics - fewer as f64) + 1e-9 >= saved;
    let (mut too_few, mut enough) = (0, whole(metrics));
    if enough == 0 || !saves(enough) {
        return None;
    }
    while enough - too_few > 1 {
        let half = too_few + (enough - too_few) / 2;
        if saves(half) { enough = half } else { too_few = half }
    }
    Some(enough)
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a count of metrics, which was whole")]
fn whole(count: f64) -> u64 {
    count.max(0.0).round() as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_more_looks_like_more() {
        for (amount, most, told) in [
            (9.004, 9.0, Some(("$9.01", "$9.00"))),
            (9.001, 9.0005, Some(("$9.01", "$9.0005"))),
            (9.007, 9.006, Some(("$9.01", "$9.006"))),
            (1_234.5, 1_234.0, Some(("$1,234.50", "$1,234.00"))),
            (0.001, 0.0, Some(("$0.01", "$0.00"))),
            (9.000_000_000_1, 9.0, None),
        ] {
            let compared = compared(Dollars(amount), Dollars(most));
            let compared = compared.map(|(amount, most)| (amount.to_string(), most));
            assert_eq!(compared, told.map(|(amount, most)| (amount.to_owned(), most.to_owned())), "{amount} of {most}");
        }
    }
}
