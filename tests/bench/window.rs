//! How long pages take where there is much to show, and whether it disturbs probing that people look at them. Generates probes
//! with a past, starts the built daemon on it against nginx on loopback, and asks for pages: the first of each as the process
//! has just started, then many. Then 50 clients watch, and lateness and memory are told without and with them. Asserts only that
//! every page is there: times are measured, not tested.
//!
//! Run it by `cargo bench --bench window`; the full size is `PROBES=2000 DAYS=30 RUNS=10000000`, takes some 5 GB below the
//! directory for temporary files, and minutes to make. `SECONDS` is how long it looks without and with clients, `CLIENTS` how many
//! there are; `GENERATED` names a directory that `roundsman generate` made before, and changes nothing in it but its store.

#![expect(
    clippy::print_stdout,
    clippy::expect_used,
    clippy::unwrap_used,
    clippy::panic,
    reason = "a benchmark prints, and ends where something is missing"
)]

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use ::roundsman::clock::SystemClock;
use ::roundsman::ports::Clock as _;
use rusqlite::{Connection, OpenFlags};
use serde_json::Value;
use tokio::runtime::Runtime;
use tokio::task::JoinSet;
use tokio::time::sleep;

#[path = "../real/servers/certificates.rs"]
#[expect(dead_code, reason = "the tests need certificates, this benchmark only the type")]
mod certificates;
mod exposition;
#[path = "../real/servers/nginx.rs"]
#[expect(dead_code, reason = "the tests need more of it than this benchmark")]
mod nginx;
#[expect(dead_code, reason = "the other benchmarks need more of it")]
mod process;
#[path = "../real/servers/roundsman.rs"]
#[expect(dead_code, reason = "the tests need more of it than this benchmark")]
mod roundsman;

use self::exposition::{Lateness, metrics};
use self::nginx::{Nginx, Site};
use self::process::{number, resident_mib};
use self::roundsman::Daemon;

/// How often each page is asked for once the first is there.
const TIMES: usize = 50;

/// Between two of them: the page reads the store once a second at most, so that some of them wait for that.
const APART: Duration = Duration::from_millis(150);

/// How often a client without a stream of events asks again, and asks for one, as the page itself does.
const REFRESH: Duration = Duration::from_secs(10);

/// How far apart a page that something has changed on is read at least, as in `src/web/live.js`.
const STALE_REST: Duration = Duration::from_secs(5);

/// How often a page is read anew where nothing changes.
const AGES: Duration = Duration::from_secs(30);

fn main() {
    let nginx = Nginx::start(&[Site { identity: None, directives: "access_log off;" }], &[("index.html", b"hello")]);
    let target = format!("http://127.0.0.1:{}/", nginx.port(0));
    let (directory, _kept) = generated(&target);
    let store = directory.join("state/roundsman.db");
    println!("the store: {:.1} GB", fs::metadata(&store).expect("the store").len() as f64 / 1e9);
    let paths = paths(&store);

    let clock = SystemClock::start();
    let started = clock.monotonic();
    let daemon = Daemon::run(&directory, &[]);
    println!("the daemon makes its rounds after {:.1} s", clock.monotonic().since(started).as_secs_f64());
    let runtime = Runtime::new().expect("a runtime");
    let client = reqwest::Client::new();
    println!("{:<42} {:>9} {:>9} {:>9} {:>9} {:>10}", "page, ms", "first", "p50", "p99", "max", "bytes");
    for path in &paths {
        let url = format!("http://{}{path}", daemon.address);
        runtime.block_on(ask(&client, path, &url));
    }

    let seconds = Duration::from_secs(number("SECONDS", 60));
    let clients = number("CLIENTS", 50);
    let before = look(&daemon, seconds, "nobody watches");
    let mut watching = JoinSet::new();
    for _ in 0..clients {
        watching.spawn_on(watch(client.clone(), daemon.address), runtime.handle());
    }
    let during = look(&daemon, seconds, &format!("{clients} clients watch"));
    println!("memory: {:+.0} MiB while they watch", during - before);
    runtime.block_on(watching.shutdown());
    let (status, said) = daemon.terminate();
    assert!(status.success(), "{said}");
}

/// The directory, and what erases it.
fn generated(target: &str) -> (PathBuf, Option<tempfile::TempDir>) {
    if let Some(directory) = std::env::var_os("GENERATED") {
        let directory = PathBuf::from(directory);
        retarget(&directory, target);
        return (directory, None);
    }
    let kept = tempfile::tempdir().expect("a directory");
    let [probes, days, runs] =
        [("PROBES", 200), ("DAYS", 7), ("RUNS", 400_000)].map(|(name, default)| number(name, default));
    let size =
        [("--probes", probes), ("--days", days), ("--runs", runs)].map(|(name, number)| format!("{name}={number}"));
    let directory = kept.path().join("many");
    let mut arguments = vec!["generate", directory.to_str().expect("a path in UTF-8"), "--target", target];
    arguments.extend(size.iter().map(String::as_str));
    let output = roundsman::output(&arguments, &[]);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    print!("{}", String::from_utf8_lossy(&output.stdout));
    (directory, Some(kept))
}

/// Lets the probes of a directory look at this nginx.
fn retarget(directory: &Path, target: &str) {
    for entry in fs::read_dir(directory.join("probes")).expect("probes").map(|entry| entry.expect("a file").path()) {
        let text = fs::read_to_string(&entry).expect("a file");
        let lines = text.lines().map(|line| match line.strip_prefix("  http: ") {
            Some(_) => format!("  http: \"{target}\"\n"),
            None => format!("{line}\n"),
        });
        fs::write(&entry, lines.collect::<String>()).expect("a file");
    }
}

/// What is asked for: of a probe that runs often and of one that runs each hour.
fn paths(store: &Path) -> Vec<String> {
    let store = Connection::open_with_flags(store, OpenFlags::SQLITE_OPEN_READ_ONLY).expect("the store");
    let text = |sql: &str| store.query_row(sql, [], |row| row.get::<_, String>(0)).expect("a row");
    let often = text("SELECT probe FROM slots ORDER BY ran DESC LIMIT 1");
    let rare = text("SELECT probe FROM slots ORDER BY ran LIMIT 1");
    let run = text("SELECT id FROM runs WHERE verdict = 'failed' ORDER BY started_at DESC LIMIT 1");
    let mut paths = vec!["/".to_owned()];
    for probe in [often, rare] {
        paths.extend(["1h", "1d", "7d", "30d"].map(|over| format!("/probes/{probe}?over={over}")));
    }
    paths.extend([format!("/runs/{run}"), "/api/v1/probes".to_owned(), "/api/v1/incidents".to_owned()]);
    paths
}

async fn ask(client: &reqwest::Client, path: &str, url: &str) {
    let clock = SystemClock::start();
    let mut times = Vec::new();
    let mut bytes = 0;
    for _ in 0..=TIMES {
        let began = clock.monotonic();
        let answer = client.get(url).send().await.expect("an answer");
        let status = answer.status();
        if status == 404 {
            println!("{path:<42} is not there");
            return;
        }
        assert!(status.is_success(), "{path}: {status}");
        bytes = answer.bytes().await.expect("a body").len();
        times.push(clock.monotonic().since(began).as_secs_f64() * 1e3);
        sleep(APART).await;
    }
    let first = times.remove(0);
    times.sort_by(f64::total_cmp);
    let (p50, p99, max) = (times[TIMES / 2], times[TIMES * 99 / 100], times[TIMES - 1]);
    println!("{path:<42} {first:>9.1} {p50:>9.1} {p99:>9.1} {max:>9.1} {bytes:>10}");
}

/// Says how late runs are for a while, what the daemon takes of a core, and what it holds at the end, in MiB.
fn look(daemon: &Daemon, length: Duration, who: &str) -> f64 {
    let (before, cpu) = (Lateness::of(&metrics(daemon.address)), process::cpu_seconds(daemon.id()));
    std::thread::sleep(length);
    let lateness = Lateness::of(&metrics(daemon.address)).since(&before);
    let cpu = (process::cpu_seconds(daemon.id()) - cpu) / length.as_secs_f64() * 100.0;
    let resident = resident_mib(daemon.id());
    println!("{who}: lateness p99 {}, CPU {cpu:.1} % of one core, resident {resident:.0} MiB", lateness.quantile(0.99));
    resident
}

/// Watches as the script of the status page does: reads the page anew when the numbers of what it shows are others than those
/// it was drawn at, and as its ages grow old; without a stream of events it reads it again and again.
async fn watch(client: reqwest::Client, address: SocketAddr) {
    let (clock, page) = (SystemClock::start(), format!("http://{address}/"));
    let draw = async || {
        let text = client.get(&page).send().await.ok()?.text().await.ok()?;
        let seen = text.split_once("data-seen=\"")?.1.split_once('"')?.0.replace("&quot;", "\"");
        serde_json::from_str::<Value>(&seen).ok()
    };
    loop {
        let (mut drawn, mut drawn_at) = (draw().await, clock.monotonic());
        let events = client.get(format!("{page}events")).header("accept", "text/event-stream").send().await;
        if let Ok(mut events) = events
            && events.status().is_success()
        {
            let mut told = None;
            loop {
                let rest = if is_stale(drawn.as_ref(), told.as_ref()) { STALE_REST } else { AGES };
                tokio::select! {
                    chunk = events.chunk() => match chunk {
                        Ok(Some(chunk)) => told = numbers(&chunk).or(told),
                        _ => break,
                    },
                    () = clock.sleep_until(drawn_at + rest) => (drawn, drawn_at) = (draw().await, clock.monotonic()),
                }
            }
        }
        sleep(REFRESH).await;
    }
}

/// The numbers of an event; what only keeps the stream open has none.
fn numbers(event: &[u8]) -> Option<Value> {
    serde_json::from_slice(event.strip_prefix(b"data: ")?).ok()
}

/// Whether something has changed since a page was drawn of what it shows.
fn is_stale(drawn: Option<&Value>, told: Option<&Value>) -> bool {
    let (Some(drawn), Some(told)) = (drawn.and_then(Value::as_object), told) else { return false };
    drawn.iter().any(|(topic, number)| told.get(topic) != Some(number))
}
