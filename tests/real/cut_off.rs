//! A machine whose name server goes away: one incident of Roundsman's own, and none of the targets, which have no part in it.

use std::path::Path;
use std::thread::sleep;
use std::time::Duration;

use rusqlite::{Connection, OpenFlags};

use crate::commands::configuration;
use crate::probing::now;
use crate::servers::dns::{Answering, answered, answered_with, asked_for, failed};
use crate::servers::network::ran_within;
use crate::servers::receiver::{Receiver, Target};
use crate::servers::roundsman::Daemon;

/// The type of records with IPv4 addresses.
const A: u16 = 1;

/// The name server knows every name.
fn well(question: &[u8]) -> Vec<u8> {
    if asked_for(question) == A {
        answered_with(question, &[(A, 0, vec![127, 0, 0, 1])])
    } else {
        answered(question, 0)
    }
}

fn count(store: &Path, sql: &str) -> i64 {
    let open = || Connection::open_with_flags(store, OpenFlags::SQLITE_OPEN_READ_ONLY);
    open().and_then(|store| store.query_row(sql, [], |row| row.get(0))).unwrap_or_default()
}

fn wait_for(what: &str, daemon: &Daemon, holds: impl Fn() -> bool) {
    let began = now();
    while !holds() {
        assert!(now().since(began) < Duration::from_secs(60), "{what}:\n{}", daemon.said());
        sleep(Duration::from_millis(50));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_name_server_that_goes_away_is_one_incident_of_our_own() {
    if ran_within("cut_off::a_name_server_that_goes_away_is_one_incident_of_our_own", "0 0") {
        return;
    }
    // What starts a runtime of its own cannot do so, or end, within another.
    let (target, receiver) =
        tokio::task::spawn_blocking(|| (Target::start(), Receiver::start())).await.expect("started");
    let server = Answering::for_this_machine(well).await;
    let port = target.url.trim_end_matches('/').rsplit(':').next().expect("a port").to_owned();
    let names = "a: one.test, b: www.one.test, c: two.test, d: www.two.test, e: three.test, f: www.three.test";
    let directory = configuration(&[
        (
            "roundsman.yaml",
            &format!(
                "web: {{ listen: \"${{env:ROUNDSMAN_LISTEN}}\" }}\ngroup: {{ wait: 0s, limit: 1000 }}\n\
                 channels: {{ pager: {{ webhook: \"{}\" }} }}\nroutes: [{{ schedules: [often], to: [pager] }}]\n",
                receiver.url
            ),
        ),
        ("probes/p.yaml", &format!("shop: {{ each: {{ {names} }}, http: \"http://${{each:value}}:{port}/\" }}\n")),
        ("schedules/s.yaml", "often: { every: 1s, probes: [\"*\"], alert: { after: 1, severity: P1 } }\n"),
    ]);
    let store = directory.path().join("state/roundsman.db");
    let daemon = Daemon::run(directory.path(), &[]);
    let passed = || count(&store, "SELECT count(*) FROM runs WHERE verdict = 'passed'");
    let blind = || count(&store, "SELECT count(*) FROM runs WHERE verdict = 'inconclusive'");
    wait_for("runs pass", &daemon, || passed() >= 12);

    // It is gone.
    drop(server);
    wait_for("nothing is seen", &daemon, || blind() >= 5 * 6);
    let told = receiver.wait_until(|taken| !taken.is_empty());
    assert!(told[0].text("summary").starts_with("Roundsman has no network: local.network: "), "{told:#?}");
    let failed_for_us = || count(&store, "SELECT count(*) FROM runs WHERE verdict = 'failed'");
    // One run does not know that it is for us.
    let first = failed_for_us();
    assert!(told.len() == 1 && first < 5, "{first} failed: {told:#?}");
    // It is there and gives no answers.
    let server = Answering::for_this_machine(failed).await;
    let seen = blind();
    wait_for("nothing is seen still", &daemon, || blind() >= seen + 12);
    assert_eq!(
        (receiver.taken().len(), failed_for_us()),
        (1, first),
        "it is known already, so that no target fails for it"
    );
    drop(server);
    let server = Answering::for_this_machine(well).await;
    receiver.wait_until(|taken| taken.len() >= 2);

    // Now it gives no answers at first, so that those who ask first may fail by themselves.
    let seen = passed();
    wait_for("runs pass again", &daemon, || passed() >= seen + 12);
    drop(server);
    let server = Answering::for_this_machine(failed).await;
    receiver.wait_until(|taken| taken.len() >= 3);
    let seen = blind();
    wait_for("nothing is seen", &daemon, || blind() >= seen + 5 * 6);
    drop(server);
    let _server = Answering::for_this_machine(well).await;
    let told = receiver.wait_until(|taken| taken.len() >= 4);
    let said: Vec<_> = told.iter().map(|message| (message.text("event"), message.text("probe"))).collect();
    let once = [("opened", "roundsman"), ("resolved", "roundsman")];
    assert_eq!(said, [once, once].concat(), "{told:#?}");
    assert!(told[3].text("summary").starts_with("Roundsman has a network again after "), "{told:#?}");
    let (status, said) = daemon.terminate();
    assert_eq!(status.code(), Some(0), "{said}");
    let open = "SELECT count(*) FROM incidents WHERE resolved_at IS NULL";
    let of_targets =
        "SELECT count(*) FROM outbox WHERE incident IN (SELECT id FROM incidents WHERE probe != 'roundsman')";
    assert_eq!((count(&store, open), count(&store, of_targets)), (0, 0));
    tokio::task::spawn_blocking(move || drop((target, receiver))).await.expect("ended");
}
