//! The past that `generate` makes is one that a daemon could have written, and the same for the same seed.

use std::path::Path;

use rusqlite::{Connection, OpenFlags};

use crate::servers::roundsman::{Daemon, output};

fn generate(directory: &Path, seed: &str) {
    let directory = directory.to_str().expect("a path in UTF-8");
    let size = ["--probes=60", "--days=3", "--runs=20000", "--until=2026-11-24T10:00:00Z", "--seed", seed];
    let output = output(&[&["generate", directory], &size[..]].concat(), &[]);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

/// Numbers that tell one past from another, and whether its parts fit together.
fn looked_at(directory: &Path) -> [i64; 6] {
    let path = directory.join("state/roundsman.db");
    let store = Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_ONLY).expect("the store");
    [
        "SELECT count(*) FROM runs",
        "SELECT sum(duration) FROM runs",
        "SELECT count(*) FROM incidents",
        "SELECT count(*) FROM changes",
        "SELECT sum(ran) - (SELECT count(*) FROM runs) FROM slots",
        "SELECT sum(passed + degraded + failed + inconclusive) - (SELECT count(*) FROM runs) FROM stretches WHERE hours = 24",
    ]
    .map(|sql| store.query_row(sql, [], |row| row.get(0)).expect("a number"))
}

#[test]
fn a_generated_past_fits_together_and_a_daemon_goes_on_from_it() {
    let kept = tempfile::tempdir().expect("a directory");
    let [one, same, other] = ["one", "same", "other"].map(|name| kept.path().join(name));
    generate(&one, "7");
    generate(&same, "7");
    generate(&other, "8");
    let past = looked_at(&one);
    assert!((19_000..21_000).contains(&past[0]) && past[2] > 0 && past[3] > 0, "{past:?}");
    assert_eq!(past[4..], [0, 0], "every run has its slot and is counted");
    assert_eq!(past, looked_at(&same));
    assert_ne!(past, looked_at(&other));

    let config = one.to_str().expect("a path in UTF-8");
    let said = output(&["validate", "--config", config], &[]);
    assert!(said.status.success(), "{}", String::from_utf8_lossy(&said.stdout));
    let daemon = Daemon::run(&one, &[]);
    let (status, said) = daemon.terminate();
    assert!(status.success() && !said.contains("damaged"), "{said}");

    let again = output(&["generate", config], &[]);
    assert_eq!(again.status.code(), Some(2), "what is there is left alone");
}
