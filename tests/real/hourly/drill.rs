//! The restore drill: what it leaves behind, which is nothing, whatever ends it.

use std::path::Path;
use std::time::Duration;

use rusqlite::{Connection, OpenFlags};
use serde_json::{Value, json};

use super::estate::Estate;
use crate::servers::roundsman::Daemon;

/// How long things may take that must come.
const PATIENCE: Duration = Duration::from_secs(60);

const DRILL: &str = r#"
restore-drill:
  backup: { restore: { table: Users, key: { id: probe } }, region: us-east-1 }
  timeout: 8s
  labels: { drill: "yes" }
idle: { command: ["true"] }
"#;

/// An estate whose daemon begins a drill every ten seconds, or in a day.
async fn estate(restore_s: u64) -> Estate {
    let mut estate = Estate::open().await;
    estate.known["restore_s"] = restore_s.into();
    estate.tell().await;
    estate.write("probes/backups.yaml", DRILL);
    often(&estate, true);
    estate
}

fn often(estate: &Estate, is_often: bool) {
    let drilled = if is_often { "every: 10s" } else { "every: 24h" };
    let tiers = format!("drills: {{ {drilled}, probes: [restore-drill] }}\nidle: {{ every: 10s, probes: [idle] }}\n");
    estate.write("schedules/tiers.yaml", &tiers);
}

fn debts(directory: &Path) -> i64 {
    let path = directory.join("state/roundsman.db");
    let store = Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_ONLY).expect("the store");
    store.query_row("SELECT count(*) FROM journal", [], |row| row.get(0)).expect("the journal")
}

async fn tables(estate: &Estate) -> Vec<String> {
    let answer = estate.dynamodb("us-east-1", "ListTables", json!({})).await;
    let names = answer["TableNames"].as_array().expect("a list").iter();
    names.filter_map(Value::as_str).filter(|name| *name != "Users").map(str::to_owned).collect()
}

/// Waits until so many calls of an action have come.
async fn asked(estate: &Estate, action: &str, count: usize) {
    for _ in 0..PATIENCE.as_millis() / 50 {
        if estate.moto.log(action).await.len() >= count {
            return;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("{action} was not asked {count} times within {PATIENCE:?}");
}

/// Waits until nothing is left of drills.
async fn clean(estate: &Estate) {
    for _ in 0..PATIENCE.as_millis() / 100 {
        if tables(estate).await.is_empty() && debts(estate.path()) == 0 {
            return;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    panic!("{:?} and {} debts are left", tables(estate).await, debts(estate.path()));
}

/// Nothing but tables of drills was ever deleted or restored to.
async fn only_drills(estate: &Estate) {
    for (action, field) in [("DeleteTable", "TableName"), ("RestoreTableToPointInTime", "TargetTableName")] {
        let calls = estate.moto.log(action).await;
        assert!(!calls.is_empty(), "{action}");
        for call in calls {
            let name = call["parameters"][field].as_str().expect("a name");
            assert!(name.starts_with("roundsman-drill-01") && name.len() == 42, "{action} of {name}");
        }
    }
}

#[tokio::test]
async fn a_drill_that_is_well_leaves_nothing_behind() {
    let estate = estate(1).await;
    let daemon = Daemon::run(estate.path(), &estate.environment());
    asked(&estate, "DeleteTable", 1).await;
    often(&estate, false);
    let (status, said) = daemon.terminate();
    assert_eq!(status.code(), Some(0), "{said}");
    clean(&estate).await;
    only_drills(&estate).await;
    let looked = estate.moto.log("GetItem").await;
    let names: Vec<_> = looked.iter().map(|call| call["parameters"]["TableName"].as_str().expect("a name")).collect();
    assert_eq!(names[0], "Users", "the item is compared with that of the table itself");
    assert!(names[1].starts_with("roundsman-drill-"), "{names:?}");
}

#[tokio::test]
async fn a_plug_pulled_in_mid_restore_leaves_a_table_that_the_next_start_deletes() {
    let estate = estate(2).await;
    let daemon = Daemon::run(estate.path(), &estate.environment());
    asked(&estate, "RestoreTableToPointInTime", 1).await;
    daemon.kill();
    assert_eq!((tables(&estate).await.len(), debts(estate.path())), (1, 1));
    // Somebody's own table that only looks like one of a drill.
    let own = json!({ "SourceTableName": "Users", "TargetTableName": "roundsman-drill-of-somebody", "UseLatestRestorableTime": true });
    estate.dynamodb("us-east-1", "RestoreTableToPointInTime", own).await;
    tokio::time::sleep(Duration::from_secs(3)).await;
    often(&estate, false);
    let daemon = Daemon::run(estate.path(), &estate.environment());
    asked(&estate, "DeleteTable", 1).await;
    daemon.wait_for("cleaned up after an earlier run");
    assert_eq!(tables(&estate).await, ["roundsman-drill-of-somebody"]);
    assert_eq!(debts(estate.path()), 0);
    assert_eq!(daemon.terminate().0.code(), Some(0));
}

#[tokio::test]
async fn a_stop_in_mid_restore_is_in_time_and_what_it_leaves_is_cleaned_at_the_next_start() {
    let estate = estate(4).await;
    let daemon = Daemon::run(estate.path(), &estate.environment());
    asked(&estate, "DescribeTable", 1).await;
    let (status, said) = daemon.terminate();
    assert_eq!(status.code(), Some(0), "{said}");
    assert_eq!(
        (tables(&estate).await.len(), debts(estate.path())),
        (1, 1),
        "AWS deletes no table that is being restored"
    );
    tokio::time::sleep(Duration::from_secs(4)).await;
    often(&estate, false);
    let daemon = Daemon::run(estate.path(), &estate.environment());
    clean(&estate).await;
    only_drills(&estate).await;
    drop(daemon);
}
