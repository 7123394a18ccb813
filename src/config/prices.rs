//! The prices of AWS as written: the table that is built in, and one of one's own.

use std::collections::BTreeMap;
use std::sync::Arc;

use chrono::NaiveDate;
use serde::Deserialize;

use crate::domain::bill::prices::{CallRate, Prices, Rate, Thing, Tier};
use crate::settings::{OneOrMany, Problems, Source, Spanned, parse, read, suggest};

/// The table that is built in.
const BUILT_IN: &str = include_str!("prices.yaml");

/// The largest price and the largest quantity that a table may have: a double keeps its sums exact enough below it.
const NUMBER_MAX: f64 = 1e15;

/// A file of prices.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct RawPrices {
    as_of: Spanned<String>,
    region: String,
    things: Spanned<BTreeMap<Spanned<String>, Spanned<RawRate>>>,
    calls: Vec<RawCallRate>,
}

/// A rate as written: `price`, or `tiers`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct RawRate {
    service: Spanned<String>,
    what: String,
    per: Option<Spanned<u64>>,
    price: Option<Spanned<f64>>,
    #[serde(default)]
    tiers: Vec<Spanned<RawTier>>,
    free: Option<Spanned<f64>>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct RawTier {
    through: Option<Spanned<f64>>,
    price: Spanned<f64>,
}

/// The rate of calls as written.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct RawCallRate {
    actions: Spanned<OneOrMany<Spanned<String>>>,
    resource: Option<String>,
    #[serde(default)]
    by_unit: bool,
    rate: Spanned<RawRate>,
}

/// The table that is built in.
pub fn built_in(problems: &mut Problems) -> Option<Prices> {
    prices(Source::new("prices.yaml, which is built in", BUILT_IN), problems)
}

/// The table of a file; nothing where it has a mistake.
pub fn prices(source: Arc<Source>, problems: &mut Problems) -> Option<Prices> {
    let node = parse(source, problems)?;
    let before = problems.len();
    let RawPrices { as_of, region, things, calls } = read(&node, problems)?;
    if !is_month(&as_of.value) {
        problems.error(as_of.span.clone(), format!("`{}` is not a month or a day", as_of.value)).help =
            Some("write when the prices were looked up, like `2026-11`".to_owned());
    }
    let known = || Thing::ALL.map(Thing::as_str);
    for name in things.value.keys().filter(|name| !known().contains(&name.value.as_str())) {
        problems.error(name.span.clone(), format!("`{}` is nothing that is billed here", name.value)).help =
            suggest(&name.value, known());
    }
    let mut of_things = Vec::new();
    for thing in Thing::ALL {
        match things.value.iter().find(|(name, _)| name.value == thing.as_str()) {
            Some((_, written)) => of_things.extend(rate(written, problems).map(|rate| (thing, rate))),
            None => {
                problems.error(things.span.clone(), format!("`things` has no rate for `{}`", thing.as_str()));
            }
        }
    }
    let calls = calls.into_iter().filter_map(|written| call_rate(written, problems)).collect();
    let prices = Prices { as_of: as_of.value, region, things: of_things, calls };
    (problems.len() == before).then_some(prices)
}

fn call_rate(written: RawCallRate, problems: &mut Problems) -> Option<CallRate> {
    let RawCallRate { actions, resource, by_unit, rate: of } = written;
    if actions.value.is_empty() {
        problems.error(actions.span.clone(), "a rate of calls names the actions that it is for");
    }
    for action in actions.value.iter().filter(|action| !action.value.contains(':')) {
        problems.error(action.span.clone(), format!("`{}` is not an action", action.value)).help =
            Some("write it as policies do: `dynamodb:GetItem`, `s3:List*`".to_owned());
    }
    let rate = rate(&of, problems)?;
    let actions = actions.value.into_iter().map(|action| action.value).collect();
    Some(CallRate { rate, actions, resource, by_unit })
}

fn rate(written: &Spanned<RawRate>, problems: &mut Problems) -> Option<Rate> {
    let before = problems.len();
    let RawRate { service, what, per, price, tiers, free } = &written.value;
    let is_name = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    if service.value.is_empty() || !service.value.chars().all(is_name) {
        problems.error(service.span.clone(), format!("`{}` is not a service", service.value)).help =
            Some("write its short name: `cloudwatch`, `dynamodb`".to_owned());
    }
    let prices = price.iter().chain(tiers.iter().map(|tier| &tier.value.price));
    for price in prices.chain(free) {
        check(price, problems);
    }
    if let Some(per) = per.as_ref().filter(|per| per.value == 0) {
        problems.error(per.span.clone(), "a price is for one of them at least").help =
            Some("leave `per` out where it is for one".to_owned());
    }
    let tiers: Vec<Tier> = match (price, tiers.as_slice()) {
        (Some(price), []) => vec![Tier { through: None, price: price.value }],
        (None, [_, ..]) => {
            check_tiers(tiers, problems);
            let of = |tier: &Spanned<RawTier>| Tier {
                through: tier.value.through.as_ref().map(|through| through.value),
                price: tier.value.price.value,
            };
            tiers.iter().map(of).collect()
        }
        _ => {
            problems.error(written.span.clone(), "a rate has either `price` or `tiers`");
            Vec::new()
        }
    };
    let rate = Rate {
        service: service.value.clone(),
        what: what.clone(),
        per: per.as_ref().map_or(1, |per| per.value),
        tiers,
        free: free.as_ref().map_or(0.0, |free| free.value),
    };
    (problems.len() == before).then_some(rate)
}

fn check(number: &Spanned<f64>, problems: &mut Problems) {
    if !(0.0..=NUMBER_MAX).contains(&number.value) {
        problems.error(number.span.clone(), format!("this must be 0 or more, and at most {NUMBER_MAX:e}"));
    }
}

/// They rise, and the last of them has no end.
fn check_tiers(tiers: &[Spanned<RawTier>], problems: &mut Problems) {
    let mut from = 0.0;
    for (index, tier) in tiers.iter().enumerate() {
        let is_last = index + 1 == tiers.len();
        match &tier.value.through {
            Some(through) if is_last => {
                problems.error(through.span.clone(), "what comes after the last tier has no price").help =
                    Some("leave its `through` out".to_owned());
            }
            None if !is_last => {
                problems.error(tier.span.clone(), "nothing comes after a tier without an end").help =
                    Some("write the quantity up to which it goes: `through: 10000`".to_owned());
            }
            Some(through) if !(through.value > from && through.value <= NUMBER_MAX) => {
                problems.error(through.span.clone(), "a tier goes further than the one before it");
            }
            Some(through) => from = through.value,
            None => {}
        }
    }
}

/// `2026-11` or `2026-11-26`.
fn is_month(text: &str) -> bool {
    let day = if text.len() == "2026-11".len() { format!("{text}-01") } else { text.to_owned() };
    // The parser takes blanks, signs and short numbers too, and writes none.
    NaiveDate::parse_from_str(&day, "%Y-%m-%d").is_ok_and(|parsed| parsed.to_string() == day)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::aws_call::AwsCall;

    #[test]
    fn what_is_built_in_has_no_mistake_and_no_rate_that_nothing_reaches() {
        let mut problems = Problems::new();
        let prices = built_in(&mut problems);
        assert_eq!(problems.render(false), "");
        let prices = prices.unwrap();
        assert_eq!(prices.things.len(), Thing::ALL.len());
        for (index, rate) in prices.calls.iter().enumerate() {
            for action in &rate.actions {
                let resource = rate.resource.as_deref().unwrap_or("*").replace('*', "x");
                let call = AwsCall::once(action.replace('*', "X"), resource);
                assert_eq!(prices.of_call(&call), Some(index), "{action}");
            }
        }
        assert_eq!(
            prices.services(),
            ["cloudwatch", "dynamodb", "s3", "sns", "sqs", "secretsmanager", "kms", "lambda", "ce"]
        );
    }

    #[test]
    fn mistakes_in_a_table_have_their_place() {
        let text = BUILT_IN
            .replace("as_of: 2026-11", "as_of: lately")
            .replace("  alarm: {", "  alarms: {")
            .replace("through: 250000", "through: 2500")
            .replace("- { price: 0.02 }", "- { through: 2000000, price: -1 }")
            .replace("actions: [logs:PutLogEvents]", "actions: [PutLogEvents]")
            .replace("price: 3.00, free: 3", "free: 3")
            .replace("service: s3, what: LIST", "service: S3!, what: LIST")
            .replace("per: 10000, free: 20000", "per: 0, free: 20000");
        let mut problems = Problems::new();
        assert_eq!(prices(Source::new("prices.yaml", text), &mut problems), None);
        insta::assert_snapshot!(problems.render(false));
    }

    #[test]
    fn a_month_is_one() {
        for text in ["2026-11", "2026-11-26", "2028-02-29"] {
            assert!(is_month(text), "{text}");
        }
        for text in
            ["2026", "2026-1", "26-11", "", "2026-99", "2026-00", "2026-02-30", "2026-1-1", " 026-11", "+026-11"]
        {
            assert!(!is_month(text), "{text}");
        }
    }
}
