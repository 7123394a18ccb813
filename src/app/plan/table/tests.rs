//! A plan that has one of everything.

use super::*;
use crate::app::plan::document::{BudgetBody, Document, Load, Log, OftenBody, ProbeBody, PublisherBody};
use crate::domain::bill::lines::Line as BillLine;

fn often(day: u64) -> OftenBody {
    OftenBody { day, month: day as f64 * 365.0 / 12.0 }
}

fn schedule(name: &str, cadence: &str, zone: &str, probes: &[(&str, f64)]) -> ScheduleBody {
    ScheduleBody {
        name: name.to_owned(),
        cadence: cadence.to_owned(),
        timezone: zone.to_owned(),
        next: Vec::new(),
        next_there: vec![format!("2026-11-24 10:00:30 {zone}"), format!("2026-11-24 10:01:00 {zone}")],
        spread_seconds: 19.2,
        probes: probes
            .iter()
            .map(|(name, timeout)| ProbeBody { name: (*name).to_owned(), timeout_seconds: *timeout })
            .collect(),
        rounds: often(2_880),
        runs: often(2_880 * probes.len() as u64),
        steps: often(2_880 * 14),
        calls: often(48),
    }
}

fn line(service: &str, what: &str, quantity: f64, (price, per): (f64, u64), amount: f64) -> BillLine {
    BillLine {
        service: service.to_owned(),
        what: what.to_owned(),
        quantity,
        price,
        per,
        amount: Dollars(amount),
        free_tier: Dollars(amount / 2.0),
    }
}

fn document() -> Document {
    let names: Vec<String> = (0..12).map(|n| format!("reachable-{n}")).collect();
    let mut probes: Vec<(&str, f64)> = names.iter().map(|name| (name.as_str(), 10.0)).collect();
    probes.push(("slow", 20.5));
    let call = |action: &str, resource: &str, day| CallBody {
        action: action.to_owned(),
        resource: resource.to_owned(),
        region: None,
        often: often(day),
    };
    let mut seldom = schedule("nightly", "at 0 2 * * * Europe/Berlin", "CET", &[("export", 8.0)]);
    seldom.spread_seconds = 0.0;
    seldom.calls = OftenBody { day: 0, month: 0.0 };
    Document {
        at: "2026-11-24T10:00:10Z".to_owned(),
        schedules: vec![schedule("reachability", "every 30 s", "UTC", &probes), seldom],
        load: Load { runs: often(37_441), runs_per_second: 0.433, runs_per_second_max: 4 },
        publishers: [
            ("cloudwatch", PublisherBody { series: 46, requests: often(1_440) }),
            ("prometheus", PublisherBody { series: 412, requests: often(0) }),
        ]
        .into(),
        calls: vec![
            call("cloudwatch:PutMetricData", "*", 1_440),
            call("dynamodb:DescribeContinuousBackups", "arn:aws:dynamodb:us-east-1:*:table/A", 24),
            call("dynamodb:DescribeContinuousBackups", "arn:aws:dynamodb:us-east-1:*:table/B", 24),
        ],
        messages: [("ops".to_owned(), vec!["sns:Publish".to_owned()])].into(),
        bill: BillBody {
            as_of: "2026-11".to_owned(),
            region: "us-east-1".to_owned(),
            lines: vec![
                line("cloudwatch", "custom metrics", 46.0, (0.3, 1), 13.8),
                line("cloudwatch", "dashboards", 1.0, (3.0, 1), 3.0),
                line("cloudwatch", "API requests", 43_800.0, (0.01, 1_000), 0.438),
                line("cloudwatch", "log bytes", 1_234_567.0, (0.5, 1_073_741_824), 0.000_57),
                line("dynamodb", "read request units", 730.0, (0.125, 1_000_000), 0.000_09),
                line("secretsmanager", "reads of secrets", 4.345, (0.05, 10_000), 0.000_02),
                line("aws", "free questions", 1_460.0, (0.0, 1), 0.0),
            ],
            has_as_code: true,
            unpriced: [("logs:StartQuery".to_owned(), 730.0)].into(),
            total: Dollars(17.239),
            free_tier: Dollars(8.6),
            budgets: [
                ("cloudwatch".to_owned(), BudgetBody { budget: Dollars(50.0), amount: Dollars(17.24) }),
                ("total".to_owned(), BudgetBody { budget: Dollars(5.0), amount: Dollars(17.24) }),
            ]
            .into(),
        },
        synthetics: Synthetics {
            runs: 600_000.0,
            price: 0.0012,
            amount: Dollars(720.0),
            too_frequent: vec!["reachability".to_owned()],
        },
        log: Log { bytes_of_day: 4_000, bytes_of_incident: 1_000 },
    }
}

#[test]
fn a_plan_fits_a_terminal() {
    let lines = lines(&document());
    assert!(lines.iter().all(|line| line.chars().count() <= 80), "{lines:#?}");
    insta::assert_snapshot!(lines.join("\n"));
}

#[test]
fn programs_get_numbers() {
    insta::assert_snapshot!(serde_json::to_string_pretty(&document()).unwrap());
}

#[test]
fn a_budget_that_is_exceeded_is_known() {
    let mut document = document();
    assert!(document.bill.exceeds());
    document.bill.budgets.remove("total");
    assert!(!document.bill.exceeds());
}

#[test]
fn few_are_counted_in_tenths() {
    assert_eq!([0.0, 0.02, 1.0, 4.345, 9.97, 43_799.6].map(count), ["0", "<1", "1", "4.3", "10", "43,800"]);
}

#[test]
fn secrets_that_are_kept_for_us_cost_something_each() {
    let mut document = document();
    let of_secrets = "  the secrets in Secrets Manager themselves: $0.40 for each".to_owned();
    assert!(!lines(&document).contains(&of_secrets));
    document.calls.push(CallBody {
        action: "secretsmanager:GetSecretValue".to_owned(),
        resource: "*".to_owned(),
        region: None,
        often: often(288),
    });
    assert!(lines(&document).contains(&of_secrets));
}
