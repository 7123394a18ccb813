//! The plan as people read it, in lines of 80 characters where no name is too long.

use std::collections::BTreeMap;
use std::time::Duration;

use super::document::{BillBody, CallBody, Document, ScheduleBody, Synthetics};
use crate::app::validate::counted;
use crate::domain::bill::dollars::Dollars;
use crate::domain::bill::lines::Line;
use crate::domain::text::thousands;
use crate::domain::time::words;

/// How many characters a line has.
const WIDTH: usize = 79;

/// A gigabyte of AWS.
const GIGABYTE: u64 = 1_073_741_824;

/// All of it.
pub fn lines(document: &Document) -> Vec<String> {
    let mut lines = Vec::new();
    for schedule in &document.schedules {
        lines.extend(of_schedule(schedule));
        lines.push(String::new());
    }
    lines.push("Load".to_owned());
    let load = &document.load;
    lines.push(format!(
        "  {} runs a day: {:.2} a second on the average, {} in the busiest one",
        thousands(load.runs.day),
        load.runs_per_second,
        thousands(load.runs_per_second_max)
    ));
    if !document.publishers.is_empty() {
        lines.push(String::new());
        lines.push("Metrics, while all is well".to_owned());
        for (name, publisher) in &document.publishers {
            let requests = match publisher.requests.day {
                0 => String::new(),
                requests => format!(", {} requests a day", thousands(requests)),
            };
            lines.push(format!("  {name:<12} {} series{requests}", thousands(publisher.series)));
        }
    }
    lines.extend(of_calls(&document.calls));
    lines.extend(of_bill(&document.bill));
    lines.extend(not_in_the_bill(document));
    lines.extend(of_synthetics(&document.synthetics));
    lines
}

fn of_schedule(schedule: &ScheduleBody) -> Vec<String> {
    let ScheduleBody { name, cadence, next_there, spread_seconds, probes, runs, steps, calls, .. } = schedule;
    let mut lines = vec![format!("{name}, {cadence}")];
    if !next_there.is_empty() {
        lines.extend(entry("next", next_there.join(", ").split(' ')));
    }
    let calls = if calls.day > 0 { format!(", {} calls of AWS", thousands(calls.day)) } else { String::new() };
    lines.push(format!(
        "  {:<9}{} of {}, {}{calls}",
        "a day",
        counted(runs.day, "run"),
        counted(probes.len(), "probe"),
        counted(steps.day, "step")
    ));
    let spread = Duration::from_secs_f64(spread_seconds.max(0.0)).as_secs();
    let spread =
        if spread == 0 { "at once".to_owned() } else { format!("over {}", words(Duration::from_secs(spread))) };
    lines.push(format!("  {:<9}its runs start {spread}", "a round"));
    let mut by_timeout: BTreeMap<Duration, Vec<&str>> = BTreeMap::new();
    for probe in probes {
        by_timeout.entry(Duration::from_secs_f64(probe.timeout_seconds.max(0.0))).or_default().push(&probe.name);
    }
    for (timeout, names) in by_timeout {
        let text = format!("within {}: {}", words(timeout), names.join(", "));
        lines.extend(entry("probes", text.split(' ')));
    }
    lines
}

/// A name with its text, which goes on in the lines below.
fn entry<'a>(name: &str, text: impl Iterator<Item = &'a str>) -> Vec<String> {
    let mut lines = vec![format!("  {name:<8}")];
    for word in text {
        let last = lines.last_mut().filter(|line| line.chars().count() + 1 + word.chars().count() <= WIDTH);
        match last {
            Some(line) => {
                line.push(' ');
                line.push_str(word);
            }
            None => lines.push(format!("{:<10} {word}", "")),
        }
    }
    lines
}

fn of_calls(calls: &[CallBody]) -> Vec<String> {
    if calls.is_empty() {
        return Vec::new();
    }
    let mut of_actions: BTreeMap<&str, (u64, f64)> = BTreeMap::new();
    for call in calls {
        let often = of_actions.entry(&call.action).or_default();
        *often = (often.0 + call.often.day, often.1 + call.often.month);
    }
    let mut lines = vec![String::new(), "Calls of AWS, at the most".to_owned()];
    lines.push(format!("  {:<50} {:>12} {:>13}", "action", "a day", "a month"));
    for (action, (day, month)) in of_actions {
        lines.push(format!("  {action:<50} {:>12} {:>13}", thousands(day), count(month)));
    }
    lines
}

fn of_bill(of: &BillBody) -> Vec<String> {
    let mut lines = vec![String::new(), format!("The bill of a month, at the prices of {} in {}", of.as_of, of.region)];
    let mut service = "";
    for line in &of.lines {
        let whose = if line.service == service { "" } else { &line.service };
        service = &line.service;
        let (quantity, price) = (count(line.quantity), price(line));
        lines.push(format!("  {whose:<14} {:<24} {quantity:>11} {price:>14} {:>10}", line.what, line.amount));
    }
    lines.push(format!("  {:<14} {:<24} {:>11} {:>14} {:>10}", "total", "", "", "", of.total));
    if of.free_tier.0 > 0.0 {
        let text = format!("An account that uses nothing else has {} of it for nothing.", of.free_tier);
        lines.push(format!("  {text}"));
    }
    if of.has_as_code {
        lines.push("  Dashboard and alarms are what `roundsman aws` prints, billed once applied.".to_owned());
    }
    for (action, calls) in &of.unpriced {
        lines.push(format!("  without a price: {} calls of {action}", count(*calls)));
    }
    for (service, budget) in &of.budgets {
        let verdict = if budget.amount > budget.budget { "exceeded" } else { "kept" };
        lines.push(format!("  budget of {service}: {} of {}, {verdict}", budget.amount, budget.budget));
    }
    lines
}

fn not_in_the_bill(document: &Document) -> Vec<String> {
    let mut lines = vec![String::new(), "Not in the bill".to_owned()];
    for (channel, actions) in &document.messages {
        lines.push(format!("  a message through {channel}: {}", actions.join(", ")));
    }
    if document.calls.iter().any(|call| call.action == "secretsmanager:GetSecretValue") {
        lines.push("  the secrets in Secrets Manager themselves: $0.40 for each".to_owned());
    }
    let log = &document.log;
    let (day, incident) = (thousands(log.bytes_of_day), thousands(log.bytes_of_incident));
    lines.push(format!("  Roundsman's own log: about {day} bytes a day, and {incident} for each incident"));
    lines
}

fn of_synthetics(of: &Synthetics) -> Vec<String> {
    let mut lines = vec![String::new(), "The same schedules in CloudWatch Synthetics".to_owned()];
    let price = Dollars(of.price).price();
    lines.push(format!("  {} runs a month at {price} each: {}", count(of.runs), of.amount));
    for schedule in &of.too_frequent {
        lines.push(format!("  {schedule} only once a minute, which is the most there"));
    }
    lines
}

/// `$0.30`, `$0.01/1,000`, `$0.125/million`, `$0.50/GB`.
fn price(line: &Line) -> String {
    let price = Dollars(line.price).price();
    match line.per {
        1 => price,
        1_000_000 => format!("{price}/million"),
        GIGABYTE => format!("{price}/GB"),
        per => format!("{price}/{}", thousands(per)),
    }
}

/// A number of things; of few the tenths as well, since a month has no whole number of some.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "it is not negative, and far below 2^64")]
fn count(number: f64) -> String {
    if number < 9.95 && (number - number.round()).abs() > 0.05 {
        return format!("{number:.1}");
    }
    if number > 0.0 && number < 0.5 { "<1".to_owned() } else { thousands(number.round().max(0.0) as u64) }
}

#[cfg(test)]
mod tests;
