//! The daemon disturbed from outside: stopped like a machine that sleeps, its wall clock set, its processors busy. What it
//! says of its targets stays true, each slot has its outcome, and nothing bursts.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::sync::mpsc;
use std::thread::sleep;
use std::time::Duration;

use rusqlite::{Connection, OpenFlags};
use tempfile::TempDir;

use crate::commands::configuration;
use crate::probing::now;
use crate::servers::receiver::Target;
use crate::servers::roundsman::Daemon;

/// A target that thinks for a moment about each answer, and says when it is asked.
struct Thoughtful {
    address: SocketAddr,
    asked: mpsc::Receiver<()>,
}

impl Thoughtful {
    fn start(thinking: Duration) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = listener.local_addr().expect("an address");
        let (sender, asked) = mpsc::channel();
        // It ends when nobody listens any more, with the process at the latest.
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let Ok(mut stream) = stream else { continue };
                let sender = sender.clone();
                std::thread::spawn(move || {
                    let mut request = [0; 4096];
                    if stream.read(&mut request).is_ok_and(|count| count > 0) && sender.send(()).is_ok() {
                        sleep(thinking);
                        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
                    }
                });
            }
        });
        Self { address, asked }
    }
}

fn watching(probes: &str, every: &str) -> TempDir {
    configuration(&[
        ("roundsman.yaml", "web: { listen: \"${env:ROUNDSMAN_LISTEN}\" }\npublish: { prometheus: {} }\n"),
        ("probes/p.yaml", probes),
        ("schedules/s.yaml", &format!("often: {{ {every}, probes: [\"*\"], alert: {{ after: 1, severity: P1 }} }}\n")),
    ])
}

/// What one run says, from the store.
struct Kept {
    probe: String,
    slot: i64,
    lateness_ms: f64,
    verdict: String,
    why: String,
    duration_ms: f64,
}

fn store(directory: &TempDir) -> Connection {
    let path = directory.path().join("state/roundsman.db");
    Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_ONLY).expect("the store")
}

fn runs(directory: &TempDir) -> Vec<Kept> {
    let store = store(directory);
    let mut statement = store
        .prepare("SELECT probe, slot, lateness, verdict, why, duration FROM runs ORDER BY started_at")
        .expect("the table");
    let rows = statement.query_map([], |row| {
        Ok(Kept {
            probe: row.get(0)?,
            slot: row.get(1)?,
            lateness_ms: row.get::<_, i64>(2)? as f64 / 1e3,
            verdict: row.get(3)?,
            why: row.get(4)?,
            duration_ms: row.get::<_, i64>(5)? as f64 / 1e3,
        })
    });
    rows.expect("rows").map(|row| row.expect("a row")).collect()
}

/// For each probe how many of its slots had which outcome: ran, gap, another.
fn slots(directory: &TempDir) -> BTreeMap<String, (i64, i64, i64)> {
    let store = store(directory);
    let mut statement =
        store.prepare("SELECT probe, ran, gap, skipped + saturated + paused FROM slots").expect("the table");
    let rows = statement.query_map([], |row| Ok((row.get(0)?, (row.get(1)?, row.get(2)?, row.get(3)?))));
    rows.expect("rows").map(|row| row.expect("a row")).collect()
}

fn ended_well(daemon: Daemon) -> String {
    let (status, said) = daemon.terminate();
    assert_eq!(status.code(), Some(0), "{said}");
    assert!(!said.contains("panicked"), "{said}");
    said
}

#[test]
fn who_was_stopped_blames_no_target_and_makes_up_for_nothing() {
    const STOPPED: Duration = Duration::from_secs(12);
    let (good, slow) = (Target::start(), Thoughtful::start(Duration::from_millis(700)));
    let directory = watching(
        &format!(
            "good: {{ each: {{ a: x, b: x, c: x, d: x }}, http: \"{}\" }}\n\
             slow: {{ http: \"http://{}/\", timeout: 1500ms }}\n",
            good.url, slow.address
        ),
        "every: 2s",
    );
    let daemon = Daemon::run(directory.path(), &[]);
    for _ in 0..2 {
        slow.asked.recv_timeout(Duration::from_secs(30)).expect("a request");
    }
    daemon.signal("STOP");
    // In the middle of a request, whose time is over long before the process goes on.
    sleep(STOPPED);
    daemon.signal("CONT");
    for _ in 0..3 {
        slow.asked.recv_timeout(Duration::from_secs(30)).expect("it goes on");
    }
    let said = ended_well(daemon);

    let runs = runs(&directory);
    let failed: Vec<_> = runs.iter().filter(|run| run.verdict == "failed").map(|run| &run.why).collect();
    assert!(failed.is_empty(), "a target was blamed for what we slept through: {failed:#?}");
    assert!(!said.contains(" is failing"), "{said}");
    // Six slots of each probe fell into the stop. The last of them may still have been run, and no other.
    for (probe, (ran, gap, other)) in slots(&directory) {
        assert!(gap >= 4, "{probe}: {ran} ran, {gap} gaps, {other} others");
        let of_it: Vec<_> = runs.iter().filter(|run| run.probe == probe).map(|run| run.slot).collect();
        let stretch = (of_it[of_it.len() - 1] - of_it[0]) / 2_000_000 + 1;
        assert!(of_it.windows(2).all(|pair| pair[0] < pair[1]), "{probe}: a slot ran twice: {of_it:?}");
        assert!(i64::try_from(of_it.len()).unwrap() <= stretch - 4, "{probe}: it made up for slots: {of_it:?}");
    }
}

/// libfaketime shifts the wall clock only, which is what a step of NTP does.
#[test]
fn a_step_of_the_wall_clock_moves_no_duration_and_pages_nobody() {
    const LIBRARY: &str = "/usr/lib/x86_64-linux-gnu/faketime/libfaketime.so.1";
    assert!(Path::new(LIBRARY).exists(), "this test needs libfaketime: apt-get install faketime");
    let slow = Thoughtful::start(Duration::from_millis(300));
    let directory = watching(&format!("slow: {{ http: \"http://{}/\" }}\n", slow.address), "every: 1s");
    let setting = directory.path().join("clock");
    let set = |offset: &str| {
        // Whoever reads it meanwhile sees the old one or the new one.
        let next = directory.path().join("clock.next");
        std::fs::write(&next, offset).expect("a file");
        std::fs::rename(&next, &setting).expect("a file");
    };
    set("+0\n");
    let daemon = Daemon::run(
        directory.path(),
        &[
            ("LD_PRELOAD", LIBRARY),
            ("FAKETIME_TIMESTAMP_FILE", setting.to_str().expect("a path in UTF-8")),
            ("FAKETIME_NO_CACHE", "1"),
            ("FAKETIME_DONT_FAKE_MONOTONIC", "1"),
        ],
    );
    let asked = |times: usize| {
        for _ in 0..times {
            slow.asked.recv_timeout(Duration::from_secs(60)).expect("probing goes on");
        }
    };
    asked(3);
    // Each step falls into a request.
    for (count, offset) in (1..).zip(["+3600\n", "+0\n", "-3600\n"]) {
        set(offset);
        daemon.wait_for_count("the wall clock stepped", count);
        asked(4);
    }
    let said = ended_well(daemon);
    assert!(!said.contains("opened: "), "{said}");
    let runs = runs(&directory);
    assert!(runs.len() >= 12, "{} runs", runs.len());
    // The last one may have been under way when the daemon was told to stop.
    for run in runs.iter().filter(|run| !run.why.contains("shut_down")) {
        assert_eq!(run.verdict, "passed", "{}", run.why);
        // The target thinks for 300 ms, whatever any clock says.
        assert!((295.0..10_000.0).contains(&run.duration_ms), "{} ms by the wall", run.duration_ms);
    }
}

/// The status line of the daemon's answer.
fn health(address: SocketAddr) -> String {
    let mut stream = TcpStream::connect(address).expect("a connection");
    write!(stream, "GET /healthz HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n")
        .expect("it takes a request");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("an answer");
    answer.lines().next().unwrap_or_default().to_owned()
}

#[test]
fn expensive_assertions_delay_no_neighbour() {
    /// Side by side in each round, and each with a body that costs time to read and to search: without optimisation a third of
    /// a second each.
    const EXPENSIVE: usize = 10;
    let good = Target::start();
    let item = "{\"id\":\"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\",\"n\":[1,2,3,4,5,6,7,8]},";
    let body = format!("[{}{{}}]", item.repeat(900_000 / item.len()));
    let heavy = crate::servers::nginx::Nginx::start(
        &[crate::servers::nginx::Site { identity: None, directives: "access_log off;" }],
        &[("heavy.json", body.as_bytes())],
    );
    let each = (0..EXPENSIVE).fold(String::new(), |mut each, n| {
        let _ = write!(each, "n{n}: x, ");
        each
    });
    let directory = watching(
        &format!(
            "heavy:\n  each: {{ {each} }}\n  http: \"http://127.0.0.1:{}/heavy.json\"\n\
             \x20 expect:\n    - size(json) > 10\n    - body.matches(\"(a{{1,40}}b|a{{1,40}}c)+d\") == false\n\
             good: {{ http: \"{}\" }}\n",
            heavy.port(0),
            good.url
        ),
        "every: 1s",
    );
    std::fs::write(
        directory.path().join("schedules/s.yaml"),
        "heavy: { every: 5s, timeout: 4s, probes: [\"heavy@*\"] }\noften: { every: 1s, probes: [good], alert: { after: 1 } }\n",
    )
    .expect("a file");
    let daemon = Daemon::run(directory.path(), &[]);
    let mut slowest = Duration::ZERO;
    for _ in 0..60 {
        let began = now();
        assert_eq!(health(daemon.address), "HTTP/1.1 200 OK");
        slowest = slowest.max(now().since(began));
        sleep(Duration::from_millis(200));
    }
    ended_well(daemon);
    let runs = runs(&directory);
    let (heavy, good): (Vec<_>, Vec<_>) = runs.iter().partition(|run| run.probe.starts_with("heavy@"));
    let late = good.iter().map(|run| run.lateness_ms).fold(0.0, f64::max);
    println!(
        "{} expensive runs; a neighbour was at most {late:.1} ms late in {} runs, /healthz took at most {slowest:?}",
        heavy.len(),
        good.len()
    );
    assert!(heavy.len() >= EXPENSIVE && good.len() >= 3, "{} and {}", heavy.len(), good.len());
    for run in &good {
        assert_ne!(run.verdict, "failed", "{}", run.why);
    }
    // Far above what is seen, and far below what a neighbour would wait for that many bodies on its own thread.
    assert!(late < 2_500.0 && slowest < Duration::from_secs(5), "{late} ms late, {slowest:?} for /healthz");
}
