//! What a round costs: 2,000 probes every 30 s against nginx on loopback for two minutes, by the built binary. Prints how
//! late runs were, what became of every slot, and how much of one core the daemon took. Asserts only the account of slots:
//! times are measured, not tested. `PROBES` and `SECONDS` change the size.
//!
//! Run it by `cargo bench --bench rounds`.

#![expect(
    clippy::print_stdout,
    clippy::expect_used,
    clippy::unwrap_used,
    clippy::panic,
    reason = "a benchmark prints, and ends where something is missing"
)]

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::time::Duration;

#[path = "../real/servers/certificates.rs"]
#[expect(dead_code, reason = "the tests need certificates, this benchmark only the type")]
mod certificates;
#[expect(dead_code, reason = "the other benchmark needs more of it")]
mod exposition;
#[path = "../real/servers/nginx.rs"]
#[expect(dead_code, reason = "the tests need more of it than this benchmark")]
mod nginx;
#[expect(dead_code, reason = "the other benchmark needs more of it")]
mod process;
#[path = "../real/servers/roundsman.rs"]
#[expect(dead_code, reason = "the tests need more of it than this benchmark")]
mod roundsman;

use self::exposition::{Lateness, metrics, value};
use self::nginx::{Nginx, Site};
use self::process::{cpu_seconds, number, resident_mib};
use self::roundsman::Daemon;

fn main() {
    let (probes, seconds) = (number("PROBES", 2_000), number("SECONDS", 120));
    let nginx = Nginx::start(&[Site { identity: None, directives: "access_log off;" }], &[("index.html", b"hello")]);
    let target = format!("http://127.0.0.1:{}/", nginx.port(0));
    let directory = tempfile::tempdir().expect("a directory");
    let each = (0..probes).fold(String::new(), |mut each, n| {
        let _ = write!(each, "n{n}: x, ");
        each
    });
    for folder in ["probes", "schedules"] {
        fs::create_dir(directory.path().join(folder)).expect("a directory");
    }
    let files = [
        ("roundsman.yaml", "web: { listen: \"${env:ROUNDSMAN_LISTEN}\" }\npublish: { prometheus: {} }\n".to_owned()),
        ("probes/p.yaml", format!("many: {{ each: {{ {each} }}, http: \"{target}\" }}\n")),
        ("schedules/s.yaml", "often: { every: 30s, probes: [\"*\"] }\n".to_owned()),
    ];
    for (name, text) in files {
        fs::write(directory.path().join(name), text).expect("a file");
    }

    let daemon = Daemon::run(directory.path(), &[]);
    let before = cpu_seconds(daemon.id());
    std::thread::sleep(Duration::from_secs(seconds));
    let cpu = cpu_seconds(daemon.id()) - before;
    let resident = resident_mib(daemon.id());
    let page = metrics(daemon.address);

    let slots: BTreeMap<_, _> = page
        .lines()
        .filter(|line| line.starts_with("roundsman_slots_total{"))
        .filter_map(|line| {
            let outcome = line.split("outcome=\"").nth(1)?.split('"').next()?;
            Some((outcome.to_owned(), value(line)))
        })
        .fold(BTreeMap::new(), |mut sums, (outcome, count)| {
            *sums.entry(outcome).or_insert(0.0) += count;
            sums
        });
    let passed: f64 = page.lines().filter(|line| line.starts_with("probe_success{")).map(value).sum();
    println!("{probes} probes every 30 s for {seconds} s, against nginx on loopback");
    println!("slots by outcome: {slots:?}; probes whose last run passed: {passed}");
    println!("lateness p99: {}", Lateness::of(&page).quantile(0.99));
    println!("CPU: {:.1} % of one core; resident: {resident:.0} MiB", cpu / seconds as f64 * 100.0);
    let (status, said) = daemon.terminate();
    assert!(status.success(), "{said}");

    // From the first slot that was run to the last that is settled, each has exactly one outcome.
    let store = rusqlite::Connection::open(directory.path().join("state/roundsman.db")).expect("the store");
    let (probes_seen, slots_seen, wrong): (i64, i64, i64) = store
        .query_row(
            "SELECT count(*), sum(ran + skipped + saturated + paused + gap),
                    sum((through - (SELECT min(slot) FROM runs)) / 30000000 + 1 <> ran + skipped + saturated + paused + gap)
             FROM slots",
            [],
            |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)),
        )
        .expect("the slots");
    println!("account: {slots_seen} slots of {probes_seen} probes, {wrong} of them with a slot too many or too few");
    assert_eq!((u64::try_from(probes_seen), wrong), (Ok(probes), 0), "every slot of every probe is accounted for");
}
