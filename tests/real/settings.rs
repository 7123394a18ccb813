//! The settings of the shop's estate, `probes/estate.yaml`: each is well as the seed wants it, and told when it is not.

use std::collections::BTreeMap;
use std::process::Command;

use serde_json::{Value, json};

use crate::hourly::estate::{Told, Unwell, unwell};
use crate::metrics::{environment, repository};
use crate::servers::moto::Moto;
use crate::servers::python::interpreter;

const PROBES: [&str; 16] = [
    "table-settings",
    "table-recovery",
    "table-cleanup",
    "vpc-endpoints",
    "bucket-encryption@media",
    "bucket-encryption@backup",
    "bucket-versions@media",
    "bucket-versions@backup",
    "bucket-privacy@media",
    "bucket-privacy@backup",
    "trail-settings",
    "distribution-settings",
    "function-settings",
    "function-concurrency",
    "function-warmth",
    "api-firewall",
];

/// `tests/moto/shop.py`, which speaks to moto with AWS's own library.
fn shop(moto: &Moto, arguments: &[&str]) -> Value {
    let script = repository().join("tests/moto/shop.py");
    let output =
        Command::new(interpreter()).arg(script).arg(&moto.url).args(arguments).output().expect("python starts");
    assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap_or_default()
}

fn warmth(status: &str, available: u64) -> Value {
    json!({ "provisioned": {
        "RequestedProvisionedConcurrentExecutions": 5,
        "AvailableProvisionedConcurrentExecutions": available,
        "AllocatedProvisionedConcurrentExecutions": available,
        "Status": status,
        "LastModified": "2026-11-24T10:00:00+0000",
    } })
}

#[tokio::test]
async fn every_setting_is_well_as_the_seed_wants_it_and_told_when_it_is_not() {
    let moto = Moto::with_estate();
    let places: BTreeMap<String, String> = serde_json::from_value(shop(&moto, &["build"])).expect("places");
    let places = places.iter().map(|(name, value)| (name.as_str(), value.as_str()));
    let environment: Vec<_> = environment(&moto).into_iter().chain(places).collect();
    let probes: Vec<_> = PROBES.into_iter().chain(["critical-findings"]).collect();
    let look = || unwell(repository(), &probes, &environment);
    moto.estate(&warmth("READY", 5)).await;
    assert_eq!(look(), Unwell::new(), "all is well");

    let mut told = Told::default();
    let mut tell = |fault: &str, unwell: &Unwell| {
        let of_every_run = |line: &String| of_every_run(line);
        let unwell = unwell.iter().map(|(probe, lines)| (probe.clone(), lines.iter().map(of_every_run).collect()));
        told.of(fault, &unwell.collect());
    };
    for fault in serde_json::from_value::<Vec<String>>(shop(&moto, &["faults"])).expect("names") {
        shop(&moto, &["worsen", &fault]);
        tell(&fault, &look());
        shop(&moto, &["mend", &fault]);
    }
    moto.estate(&warmth("IN_PROGRESS", 2)).await;
    tell("function warmth", &look());
    moto.estate(&warmth("READY", 5)).await;
    assert_eq!(look(), Unwell::new(), "all is well again");
    let mut known = warmth("READY", 5);
    known["findings"] = json!([finding()]);
    moto.estate(&known).await;
    tell("a critical finding", &look());
    insta::assert_snapshot!(told.0);
}

/// A line without what is of this run only: ids, and what stands behind the first 140 characters.
fn of_every_run(line: &str) -> String {
    let ids = regex::Regex::new("(vpce?)-[0-9a-f]+").expect("a pattern");
    ids.replace_all(line, "$1-ID").chars().take(140).collect()
}

/// A finding as the service's model has it, as far as anybody asks.
fn finding() -> Value {
    json!({
        "awsAccountId": "123456789012",
        "description": "CVE-2026-0001",
        "findingArn": "arn:aws:inspector2:us-east-1:123456789012:finding/0a1b",
        "firstObservedAt": 1_795_514_400,
        "lastObservedAt": 1_795_514_400,
        "remediation": {},
        "resources": [{ "id": "shop-api", "type": "AWS_LAMBDA_FUNCTION" }],
        "severity": "CRITICAL",
        "status": "ACTIVE",
        "type": "PACKAGE_VULNERABILITY",
    })
}
