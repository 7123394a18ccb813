//! What nobody could take before the plug was pulled (`kill -9`) is told by the next process, once. (Alertmanager 0.25,
//! measured: killed with 50 open alerts, 50 of 50 paged again; fired and resolved while the receiver was down, 0 of 50
//! delivered.) Plugs that are pulled while messages are on their way are the oracle's.

use std::net::TcpListener;

use roundsman::domain::incident::Incident;
use rusqlite::{Connection, OpenFlags};
use tempfile::TempDir;

use crate::commands::configuration;
use crate::servers::receiver::{Receiver, Target};
use crate::servers::roundsman::Daemon;

/// How many probes fail together.
const PROBES: usize = 10;

/// Each incident is told by itself, since what is counted is what becomes of each.
fn watching(target: &str, receiver: &str) -> TempDir {
    let each: Vec<_> = (0..PROBES).map(|n| format!("n{n}: x")).collect();
    configuration(&[
        (
            "roundsman.yaml",
            &format!(
                "web: {{ listen: \"${{env:ROUNDSMAN_LISTEN}}\" }}\n\
                 group: {{ wait: 0s, limit: 1000 }}\n\
                 channels: {{ pager: {{ webhook: \"{receiver}\" }} }}\n\
                 routes: [{{ to: [pager] }}]\n"
            ),
        ),
        ("probes/p.yaml", &format!("api: {{ each: {{ {} }}, http: \"{target}\" }}\n", each.join(", "))),
        (
            "schedules/s.yaml",
            "often: { every: 1s, probes: [\"*\"], alert: { after: 1, severity: P1, flapping: { openings: 100, within: 10s } } }\n",
        ),
    ])
}

/// Every incident that was ever committed, from the store itself.
fn incidents(directory: &TempDir) -> Vec<Incident> {
    let path = directory.path().join("state/roundsman.db");
    let store = Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_ONLY).expect("the store");
    let integrity: String = store.query_row("PRAGMA integrity_check", [], |row| row.get(0)).expect("an answer");
    assert_eq!(integrity, "ok");
    let mut statement = store.prepare("SELECT body FROM incidents ORDER BY id").expect("the table");
    let rows = statement.query_map([], |row| row.get::<_, String>(0)).expect("rows");
    rows.map(|row| serde_json::from_str(&row.expect("a row")).expect("an incident")).collect()
}

#[test]
fn what_nobody_could_take_before_the_plug_was_pulled_arrives_afterwards() {
    let target = Target::start();
    let place = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = place.local_addr().expect("an address");
    drop(place);
    let directory = watching(&target.url, &format!("http://{address}/"));

    target.set(false);
    let daemon = Daemon::run(directory.path(), &[]);
    daemon.wait_for_count(" opened: api@", PROBES);
    daemon.kill();
    let receiver = Receiver::at(address);
    let daemon = Daemon::run(directory.path(), &[]);
    receiver.wait_until(|taken| taken.iter().filter(|message| message.text("event") == "opened").count() >= PROBES);
    daemon.kill();

    target.set(true);
    let daemon = Daemon::run(directory.path(), &[]);
    receiver.wait_until(|taken| taken.iter().filter(|message| message.text("event") == "resolved").count() >= PROBES);
    let (status, _) = daemon.terminate();
    assert_eq!(status.code(), Some(0));
    let committed = incidents(&directory);
    assert_eq!(committed.len(), PROBES, "a restart opens nothing anew");
    assert!(receiver.keys().values().all(|times| (1..=2).contains(times)), "{:?}", receiver.keys());
}

#[test]
fn what_was_being_counted_when_the_plug_was_pulled_is_counted_once() {
    let target = Target::start();
    target.set(true);
    let directory = watching(&target.url, "http://127.0.0.1:9/");
    // Each process counts as it begins what the one before it has left.
    for _ in 0..4 {
        let daemon = Daemon::run(directory.path(), &[]);
        std::thread::sleep(std::time::Duration::from_millis(1_700));
        daemon.kill();
    }
    let path = directory.path().join("state/roundsman.db");
    let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
    runtime.block_on(async {
        let store = roundsman::store::open(&path).expect("the store");
        while store.roll_up().await.expect("it is counted") {}
        store.close().await;
    });
    let store = Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_ONLY).expect("the store");
    let number = |sql: &str| store.query_row(sql, [], |row| row.get::<_, i64>(0)).expect("a number");
    let runs = number("SELECT count(*) FROM runs WHERE schedule IS NOT NULL AND extra IS NULL");
    let counted = |hours: i64| {
        number(&format!("SELECT sum(passed + degraded + failed + inconclusive) FROM stretches WHERE hours = {hours}"))
    };
    assert!(runs > 0);
    assert_eq!([counted(1), counted(24)], [runs, runs]);
}
