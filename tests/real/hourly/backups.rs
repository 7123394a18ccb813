//! Backups: every place where they are, and every way in which they are not.

use std::fs;

use serde_json::{Value, json};

use super::estate::{Estate, Told, Unwell, WEST, daily};
use crate::servers::python;

/// What the tier asks of backups.
pub const PROBES: &str = r#"
users-recovery:
  each: { east: us-east-1, west: us-west-2 }
  backup: { dynamodb: Users, region: "${each:value}" }
  expect: [rpo_s < 3600, retention_days >= 30]
users-nightly:
  backup: { dynamodb_backups: Users, region: us-east-1 }
  expect: [age_s < 26 * 3600, max_gap_h < 26, count >= 28, size_bytes > 0.5 * previous_size_bytes]
users-copies:
  backup: { vault: main, resource: "arn:aws:dynamodb:us-east-1:123456789012:table/Users", region: us-west-2 }
  expect: [age_s < 26 * 3600, max_gap_h < 26, retention_days >= 30]
mirror:
  backup: { s3: { bucket: backup-bucket, prefix: staging-adventures/, sentinel: staging-adventures/.mirrored, replication: true } }
  expect: [age_s < 86400, count >= 2, size_bytes > 10]
dumps:
  backup: { directory: dumps, pattern: "*.dump", checksum: sha256 }
  expect: [age_s < 26 * 3600, size_bytes > 3]
restore-drill:
  timeout: 40s
  backup: { restore: { table: Users, from: latest_backup, key: { id: probe }, fields: { name: Probe } } }
  expect: rto_s < 3600
"#;

/// What is there.
pub async fn build(estate: &mut Estate) {
    for region in ["us-east-1", WEST] {
        create(estate, region).await;
    }
    let item = json!({ "id": { "S": "probe" }, "name": { "S": "Probe" }, "visits": { "N": "7" } });
    estate.dynamodb("us-east-1", "PutItem", json!({ "TableName": "Users", "Item": item })).await;
    estate.moto.put("backup-bucket", "").await;
    estate.moto.put("backup-bucket/staging-adventures/.mirrored", "2026-11-26").await;
    estate.moto.put("backup-bucket/staging-adventures/README.md", "# Styling adventures").await;
    estate.write("dumps/monday.dump", "the shop");
    sums(estate);
}

async fn create(estate: &Estate, region: &str) {
    let table = json!({
        "TableName": "Users", "BillingMode": "PAY_PER_REQUEST",
        "KeySchema": [{ "AttributeName": "id", "KeyType": "HASH" }],
        "AttributeDefinitions": [{ "AttributeName": "id", "AttributeType": "S" }],
    });
    estate.dynamodb(region, "CreateTable", table).await;
    recovery(estate, region, true, 35).await;
}

async fn recovery(estate: &Estate, region: &str, on: bool, days: u32) {
    let mut wanted = json!({ "PointInTimeRecoveryEnabled": on });
    if on {
        wanted["RecoveryPeriodInDays"] = days.into();
    }
    let wanted = json!({ "TableName": "Users", "PointInTimeRecoverySpecification": wanted });
    estate.dynamodb(region, "UpdateContinuousBackups", wanted).await;
}

/// `sha256sum *.dump > SHA256SUMS`, by another program than ours.
fn sums(estate: &Estate) {
    let script = "import hashlib, pathlib, sys\n\
                  here = pathlib.Path(sys.argv[1])\n\
                  lines = [f'{hashlib.sha256(p.read_bytes()).hexdigest()}  {p.name}' for p in sorted(here.glob('*.dump'))]\n\
                  (here / 'SHA256SUMS').write_text('\\n'.join(lines) + '\\n')\n";
    python::run(script, &[estate.path().join("dumps").to_str().expect("a path in UTF-8")]);
}

#[tokio::test]
async fn each_fault_of_the_backups_fails_its_own_probe_with_its_own_sentence() {
    let mut estate = Estate::open().await;
    assert_eq!(estate.round(), Unwell::new(), "all is well");
    let mut told = Told::default();

    recovery(&estate, "us-east-1", false, 0).await;
    told.of("recovery is off", &estate.round());
    recovery(&estate, "us-east-1", true, 7).await;
    told.of("recovery reaches back 7 days", &estate.round());
    recovery(&estate, "us-east-1", true, 35).await;

    let well = estate.known.clone();
    let faults: Vec<(&str, &str, Value)> = vec![
        ("the newest backup is 30 h old", "/backups/us-east-1~1Users", shifted(28)),
        ("a hole of three days", "/backups/us-east-1~1Users", with_hole()),
        ("a backup of half the size", "/backups/us-east-1~1Users", halved()),
        ("copies are kept for 7 days", "/points/us-west-2~1main", kept(7)),
        ("no copy at all", "/points/us-west-2~1main", json!([])),
        ("copies are partial", "/points/us-west-2~1main", with_status("PARTIAL")),
        ("no vault in the second region", "/points", json!({})),
        ("no vault, as AWS documents it", "/points/us-west-2~1main", json!("ResourceNotFoundException")),
        ("the mirror is two days old", "/mirror/backup-bucket~1staging-adventures~1.mirrored", json!(172_830)),
        ("the mirror is not replicated", "/replication/backup-bucket~1staging-adventures~1.mirrored", json!("FAILED")),
        ("the restored table has no item", "/loses", json!(true)),
    ];
    estate.known["loses"] = json!(false);
    for (fault, place, value) in faults {
        *estate.known.pointer_mut(place).expect("it is there") = value;
        estate.tell().await;
        told.of(fault, &estate.round());
        estate.known = well.clone();
        estate.known["loses"] = json!(false);
        estate.tell().await;
    }

    estate.dynamodb(WEST, "DeleteTable", json!({ "TableName": "Users" })).await;
    told.of("no table in the second region", &estate.round());
    create(&estate, WEST).await;

    fs::write(estate.path().join("dumps/monday.dump"), "the shob").expect("a file");
    told.of("a dump is damaged", &estate.round());
    sums(&estate);
    fs::rename(estate.path().join("dumps"), estate.path().join("unmounted")).expect("a directory");
    let unwell = estate.round();
    let lines = unwell["dumps"].join("\n    ").replace(estate.path().to_str().expect("a path in UTF-8"), "DIR");
    told.of("the directory is gone", &Unwell::from([("dumps".to_owned(), vec![lines])]));
    fs::rename(estate.path().join("unmounted"), estate.path().join("dumps")).expect("a directory");

    assert_eq!(estate.round(), Unwell::new(), "all is well again");
    insta::assert_snapshot!(told.0);
}

/// Daily backups, but the last of them so many hours earlier.
fn shifted(hours: u64) -> Value {
    let mut all = daily(40);
    for backup in all.as_array_mut().expect("a list") {
        backup["age_s"] = (backup["age_s"].as_u64().expect("a number") + hours * 3_600).into();
    }
    all
}

fn with_hole() -> Value {
    let mut all = daily(40);
    all.as_array_mut().expect("a list").drain(10..12);
    all
}

fn halved() -> Value {
    let mut all = daily(40);
    all[0]["bytes"] = 2_000_000.into();
    all
}

fn kept(days: u64) -> Value {
    let mut all = daily(40);
    all[3]["days"] = days.into();
    all
}

fn with_status(status: &str) -> Value {
    let mut all = daily(40);
    for point in all.as_array_mut().expect("a list") {
        point["status"] = status.into();
    }
    all
}
