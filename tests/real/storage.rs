//! The disk of the store in trouble: full, read-only, locked by another program, without an answer. Probing goes on, alerts
//! leave from memory and say that nothing is recorded, the page says so too, and when the store takes what happens again
//! all of it is put down, and nothing is told twice.
//!
//! Each runs in a mount namespace of its own, with a disk of its own at `/mnt`; those that make a file system (`mkfs.ext4`)
//! need to be root.

use std::fs::File;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::path::Path;
use std::process::Command;
use std::thread::sleep;
use std::time::Duration;

use rusqlite::{Connection, OpenFlags};
use tempfile::TempDir;

use crate::commands::configuration;
use crate::probing::now;
use crate::servers::apart::ran_within;
use crate::servers::receiver::{Receiver, Taken, Target};
use crate::servers::roundsman::Daemon;

/// A small disk in memory.
const SMALL: &str = r#"set -e; mount -t tmpfs -o size=4m tmpfs /mnt; "$0" "$@""#;

/// A disk of its own, which comes out of a stop by itself should the test not end it.
const DISK: &str = r#"
set -e
image=$(mktemp)
truncate -s 16M "$image"
mkfs.ext4 -q "$image"
mount -o loop "$image" /mnt
rm "$image"
(sleep 120; fsfreeze -u /mnt) > /dev/null 2>&1 &
guard=$!
status=0
"$0" "$@" || status=$?
fsfreeze -u /mnt 2> /dev/null || true
kill "$guard" || true
umount -l /mnt
exit "$status"
"#;

/// Nothing but a directory.
const PLAIN: &str = r#"set -e; mount -t tmpfs tmpfs /mnt; "$0" "$@""#;

/// How long an alert may take while the store fails: a run, the patience with the store, an attempt.
const ALERT_WITHIN: Duration = Duration::from_secs(20);

struct Watched {
    target: Target,
    receiver: Receiver,
    directory: TempDir,
    daemon: Daemon,
}

impl Watched {
    /// A daemon whose store is at `/mnt` and that has begun its rounds.
    fn start() -> Self {
        let (target, receiver) = (Target::start(), Receiver::start());
        let directory = configuration(&[
            (
                "roundsman.yaml",
                &format!(
                    "store: sqlite:/mnt/state/roundsman.db\nweb: {{ listen: \"${{env:ROUNDSMAN_LISTEN}}\" }}\n\
                     channels: {{ pager: {{ webhook: \"{}\" }} }}\nroutes: [{{ to: [pager] }}]\n\
                     group: {{ wait: 0s, limit: 1000 }}\n",
                    receiver.url
                ),
            ),
            ("probes/p.yaml", &format!("api: {{ each: {{ a: x, b: x, c: x }}, http: \"{}\" }}\n", target.url)),
            ("schedules/s.yaml", "often: { every: 1s, probes: [\"*\"], alert: { after: 1, severity: P1 } }\n"),
        ]);
        let daemon = Daemon::run(directory.path(), &[]);
        let watched = Self { target, receiver, directory, daemon };
        watched.wait_for("a run is recorded", || count("SELECT count(*) FROM runs WHERE verdict = 'passed'") >= 3);
        assert_eq!(watched.get("/readyz"), (200, "ready\n".to_owned()));
        watched
    }

    fn wait_for(&self, what: &str, holds: impl Fn() -> bool) {
        let began = now();
        while !holds() {
            assert!(now().since(began) < Duration::from_secs(60), "{what}:\n{}", self.daemon.said());
            sleep(Duration::from_millis(50));
        }
    }

    fn get(&self, path: &str) -> (u16, String) {
        let mut stream = TcpStream::connect(self.daemon.address).expect("a connection");
        let host = self.daemon.address;
        write!(stream, "GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n").expect("it takes a request");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).expect("an answer");
        let (head, body) = answer.split_once("\r\n\r\n").expect("a head");
        (head[9..12].parse().expect("a status"), body.to_owned())
    }

    /// Nothing can be recorded from now on: three incidents open and close all the same.
    fn goes_on_without(&self) {
        for (well, event) in [(false, "opened"), (true, "resolved")] {
            self.target.set(well);
            let began = now();
            let told = self.receiver.wait_until(|taken| of(taken, event) >= 3);
            assert!(now().since(began) < ALERT_WITHIN, "{event} after {:?}", now().since(began));
            let marked = told.iter().filter(|message| message.text("event") == event);
            assert!(marked.clone().all(|message| message.body["unrecorded"] == true), "{told:#?}");
        }
        let (status, said) = self.get("/readyz");
        assert_eq!(status, 200);
        assert!(said.starts_with("ready, degraded: nothing is recorded since "), "{said}");
        assert_eq!(self.get("/healthz"), (200, "ok\n".to_owned()));
        let (_, page) = self.get("/");
        assert!(page.contains("Nothing is recorded since") || page.contains("cannot be read"), "{page}");
        println!("{}", said.trim_end());
    }

    /// The store is well again: everything is put down, and nothing was told twice.
    fn makes_up(self) {
        self.daemon.wait_for("the store takes commits again");
        self.wait_for("all is recorded", || {
            count(&format!("SELECT count(*) FROM incidents WHERE resolved_at IS NOT NULL AND {OF_TARGETS}")) == 3
                && count("SELECT count(*) FROM outbox WHERE state NOT IN ('delivered', 'merged')") == 0
        });
        assert_eq!(self.get("/readyz"), (200, "ready\n".to_owned()));
        told_once(&self.receiver);
        // Whoever heard that nothing is written down hears that it is.
        let own =
            |taken: &[Taken], event: &str| taken.iter().filter(|one| is_own(one) && one.text("event") == event).count();
        self.receiver.wait_until(|taken| own(taken, "opened") == own(taken, "resolved"));
        let (status, said) = self.daemon.terminate();
        assert_eq!(status.code(), Some(0), "{said}");
        assert!(!said.contains("panicked"), "{said}");
        assert_eq!(count("SELECT count(*) FROM runs WHERE verdict = 'inconclusive' AND why NOT LIKE '%shut_down%'"), 0);
        let integrity: String = store().query_row("PRAGMA integrity_check", [], |row| row.get(0)).expect("an answer");
        assert_eq!(integrity, "ok");
    }
}

/// What is of the probes, and not of Roundsman itself.
const OF_TARGETS: &str = "probe != 'roundsman'";

fn is_own(message: &Taken) -> bool {
    message.text("probe") == "roundsman"
}

fn of(taken: &[Taken], event: &str) -> usize {
    taken.iter().filter(|message| !is_own(message) && message.text("event") == event).count()
}

/// Three incidents began and ended, and nobody heard anything twice.
fn told_once(receiver: &Receiver) {
    let (keys, taken) = (receiver.keys(), receiver.taken());
    assert!(keys.values().all(|times| *times == 1), "{keys:?}");
    assert_eq!((of(&taken, "opened"), of(&taken, "resolved"), of(&taken, "reminder")), (3, 3, 0), "{taken:#?}");
}

fn store() -> Connection {
    Connection::open_with_flags("/mnt/state/roundsman.db", OpenFlags::SQLITE_OPEN_READ_ONLY).expect("the store")
}

fn count(sql: &str) -> i64 {
    store().query_row(sql, [], |row| row.get(0)).unwrap_or_default()
}

fn succeeds(command: &str, arguments: &[&str]) {
    let output = Command::new(command).args(arguments).output().expect("it is installed");
    assert!(output.status.success(), "{command}: {}", String::from_utf8_lossy(&output.stderr));
}

/// Takes all the room that is left.
fn fill(path: &Path) {
    let mut file = File::create(path).expect("a file");
    for size in [65_536, 4_096, 512, 1] {
        while file.write_all(&vec![7; size]).is_ok() {}
    }
}

#[test]
fn a_full_disk_keeps_no_alert_back() {
    if ran_within("storage::a_full_disk_keeps_no_alert_back", &["--map-root-user", "--mount"], SMALL, &[]) {
        return;
    }
    let watched = Watched::start();
    let ballast = Path::new("/mnt/ballast");
    fill(ballast);
    watched.daemon.wait_for("can be recorded: the store failed: database or disk is full");
    watched.goes_on_without();
    std::fs::remove_file(ballast).expect("it is there");
    watched.makes_up();
}

#[test]
fn a_disk_that_becomes_read_only_keeps_no_alert_back() {
    if ran_within("storage::a_disk_that_becomes_read_only_keeps_no_alert_back", &["--mount"], DISK, &[]) {
        return;
    }
    let watched = Watched::start();
    // As the kernel does it after an error of the disk; there is no way back while anybody has a file open.
    succeeds("mount", &["-o", "remount,abort", "/mnt"]);
    watched.daemon.wait_for("can be recorded: ");
    watched.goes_on_without();
    let (_, said) = watched.daemon.terminate();
    assert!(said.contains("the store took them not, so they are lost"), "{said}");
    told_once(&watched.receiver);
}

#[test]
fn a_disk_without_an_answer_keeps_no_alert_back() {
    if ran_within("storage::a_disk_without_an_answer_keeps_no_alert_back", &["--mount"], DISK, &[]) {
        return;
    }
    let watched = Watched::start();
    succeeds("fsfreeze", &["-f", "/mnt"]);
    watched.daemon.wait_for("can be recorded: the store failed: no answer within 5 s");
    watched.goes_on_without();
    succeeds("fsfreeze", &["-u", "/mnt"]);
    watched.makes_up();
}

#[test]
fn a_store_that_another_program_locks_changes_no_verdict_and_keeps_no_alert_back() {
    let name = "storage::a_store_that_another_program_locks_changes_no_verdict_and_keeps_no_alert_back";
    if ran_within(name, &["--map-root-user", "--mount"], PLAIN, &[]) {
        return;
    }
    let watched = Watched::start();
    let foreign = Connection::open("/mnt/state/roundsman.db").expect("the store");
    foreign.execute_batch("BEGIN IMMEDIATE; DELETE FROM runs").expect("it locks");
    let began = now();
    watched.goes_on_without();
    // For a minute in all.
    sleep(Duration::from_secs(60).saturating_sub(now().since(began)));
    let told = watched.receiver.taken();
    let own: Vec<_> = told.iter().filter(|message| is_own(message)).map(|message| message.text("summary")).collect();
    assert!(own.len() == 1 && own[0].starts_with("Roundsman cannot write its state: "), "{own:?}");
    foreign.execute_batch("ROLLBACK").expect("it unlocks");
    watched.makes_up();
}

#[test]
fn a_damaged_store_is_put_aside_and_what_still_fails_is_told_once() {
    let name = "storage::a_damaged_store_is_put_aside_and_what_still_fails_is_told_once";
    if ran_within(name, &["--map-root-user", "--mount"], PLAIN, &[]) {
        return;
    }
    let Watched { mut target, mut receiver, mut directory, daemon } = Watched::start();
    target.set(false);
    receiver.wait_until(|taken| of(taken, "opened") >= 3);
    let (status, said) = daemon.terminate();
    assert_eq!(status.code(), Some(0), "{said}");
    let path = Path::new("/mnt/state/roundsman.db");
    let whole = std::fs::read(path).expect("the store");
    let mut flipped = whole.clone();
    flipped[4_096 * 2] ^= 0xff;
    for (told, damaged) in (1..).zip([whole[..whole.len() / 2].to_vec(), flipped, Vec::new()]) {
        let is_damaged = !damaged.is_empty();
        std::fs::write(path, &damaged).expect("a file");
        let daemon = Daemon::run(directory.path(), &[]);
        receiver.wait_until(|taken| of(taken, "opened") >= 3 * (told + 1));
        let watched = Watched { target, receiver, directory, daemon };
        let (status, ready) = watched.get("/readyz");
        assert_eq!((status, ready.starts_with("ready, degraded: the store was damaged")), (200, is_damaged), "{ready}");
        assert_eq!(watched.get("/").1.contains("The store was damaged."), is_damaged);
        sleep(Duration::from_millis(2_500));
        let daemon;
        Watched { target, receiver, directory, daemon } = watched;
        assert_eq!(of(&receiver.taken(), "opened"), 3 * (told + 1), "each that fails is told once");
        let lost = receiver.taken().iter().filter(|message| is_own(message)).count();
        assert_eq!(lost, told.min(2), "and that what was known is lost");
        let (status, said) = daemon.terminate();
        assert_eq!(status.code(), Some(0), "{said}");
        assert_eq!(said.contains("the store was damaged: what was known is lost"), is_damaged, "{said}");
    }
}
