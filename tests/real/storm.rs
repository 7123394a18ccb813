//! Much fails at once, and few messages say so: every incident is recorded, each channel is told once for each interval, and
//! what waits to be told together outlives `kill -9`.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::net::{SocketAddr, TcpListener};
use std::thread::sleep;
use std::time::Duration;

use rusqlite::{Connection, OpenFlags};
use tempfile::TempDir;

use crate::commands::configuration;
use crate::servers::receiver::{Receiver, Taken};
use crate::servers::roundsman::Daemon;

/// How many probes fail in a storm.
const PROBES: u64 = 10_000;

/// What the daemon may ever have had in memory, in MiB.
const MEMORY_MIB_MAX: u64 = 150;

/// What is probed: a port at which somebody listens or nobody does. It is at an address from which nothing is dialled, so that
/// no probe meets itself.
struct Place {
    address: SocketAddr,
    listener: Option<TcpListener>,
}

impl Place {
    fn closed() -> Self {
        let listener = TcpListener::bind("127.0.0.2:0").expect("a port");
        Self { address: listener.local_addr().expect("an address"), listener: None }
    }

    /// Takes connections for as long as the test lasts: the kernel completes them, and each is dropped at once.
    fn open(&mut self) {
        let listener = TcpListener::bind(self.address).expect("the port is still free");
        let accepting = listener.try_clone().expect("a socket");
        std::thread::spawn(move || accepting.incoming().for_each(drop));
        self.listener = Some(listener);
    }
}

fn watching(probes: u64, place: &Place, every: &str, receiver: &Receiver, group: &str) -> TempDir {
    let (address, url) = (place.address, &receiver.url);
    let all = (0..probes).fold(String::new(), |mut all, n| {
        let _ = writeln!(all, "n{n}: {{ tcp: \"{address}\" }}");
        all
    });
    configuration(&[
        (
            "roundsman.yaml",
            &format!(
                "web: {{ listen: \"${{env:ROUNDSMAN_LISTEN}}\" }}\n\
                 secrets: {{ key: {{ env: ROUTING_KEY }} }}\n\
                 group: {group}\n\
                 channels:\n  \
                   team: {{ webhook: \"{url}\" }}\n  \
                   oncall: {{ pagerduty: {{ routing_key: \"${{secret:key}}\", url: \"{url}v2/enqueue\" }} }}\n\
                 routes: [{{ to: [team, oncall] }}]\n"
            ),
        ),
        ("probes/p.yaml", &all),
        ("schedules/s.yaml", &format!("often: {{ every: {every}, probes: [\"*\"], alert: {{ after: 1 }} }}\n")),
    ])
}

const ENVIRONMENT: [(&str, &str); 1] = [("ROUTING_KEY", "0123456789abcdef0123456789abcdef")];

/// The messages of an event at the webhook.
fn of<'a>(taken: &'a [Taken], event: &str) -> Vec<&'a Taken> {
    taken.iter().filter(|message| message.path == "/" && message.text("event") == event).collect()
}

/// Of how many incidents they tell. What was in flight when the plug was pulled may have come twice, under the same key.
fn told(taken: &[Taken], event: &str) -> u64 {
    let messages: BTreeMap<_, _> = of(taken, event).into_iter().map(|message| (&message.key, &message.body)).collect();
    messages.values().map(|body| body["group_size"].as_u64().unwrap_or(1)).sum()
}

/// What PagerDuty was sent: the keys of the alerts that were triggered, or of those that were resolved.
fn alerts(taken: &[Taken], action: &str) -> BTreeSet<String> {
    let events = taken.iter().filter(|message| message.path == "/v2/enqueue" && message.text("event_action") == action);
    events.map(|event| event.text("dedup_key").to_owned()).collect()
}

fn number(directory: &TempDir, sql: &str) -> u64 {
    let path = directory.path().join("state/roundsman.db");
    let store = Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_ONLY).expect("the store");
    let number: i64 = store.query_row(sql, [], |row| row.get(0)).expect("a number");
    number.unsigned_abs()
}

/// Looks until the store says a number.
fn wait_until(directory: &TempDir, sql: &str, wanted: u64) {
    for _ in 0..240 {
        if number(directory, sql) == wanted {
            return;
        }
        sleep(Duration::from_millis(500));
    }
    assert_eq!(number(directory, sql), wanted, "{sql}");
}

/// The most that a process ever had in memory, in MiB.
fn memory_mib(process: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).expect("the process");
    let line = status.lines().find(|line| line.starts_with("VmHWM:")).unwrap_or_default();
    line.split_whitespace().nth(1).and_then(|kib| kib.parse::<u64>().ok()).expect("a number") / 1_024
}

#[test]
fn ten_thousand_that_fail_at_once_are_a_message_for_each_channel_and_interval() {
    let (mut place, receiver) = (Place::closed(), Receiver::start());
    let directory = watching(PROBES, &place, "30s", &receiver, "{ interval: 20s }");
    let daemon = Daemon::run(directory.path(), &ENVIRONMENT);
    let open = "SELECT count(*) FROM incidents WHERE resolved_at IS NULL";
    wait_until(&directory, open, PROBES);
    let taken = receiver.wait_until(|taken| told(taken, "opened") >= PROBES);
    assert_eq!(told(&taken, "opened"), PROBES);
    let opened = of(&taken, "opened").len();

    place.open();
    wait_until(&directory, open, 0);
    let taken = receiver.wait_until(|taken| {
        told(taken, "resolved") >= PROBES && alerts(taken, "resolve").len() >= alerts(taken, "trigger").len()
    });
    assert_eq!(told(&taken, "resolved"), PROBES);
    let resolved = of(&taken, "resolved").len();
    let (triggered, closed) = (alerts(&taken, "trigger"), alerts(&taken, "resolve"));
    let memory = memory_mib(daemon.id());
    println!("{opened} messages opened, {resolved} resolved, {} alerts, {memory} MiB", triggered.len());

    // The round takes up to thirty seconds, which are two intervals and what is left.
    // Nothing waits and nothing was given up.
    wait_until(&directory, "SELECT count(*) FROM outbox WHERE state <> 'delivered'", 0);
    assert_eq!(number(&directory, "SELECT count(*) FROM incidents"), PROBES, "every one is recorded, once");
    let close = number(
        &directory,
        "SELECT count(*) FROM outbox a JOIN outbox b ON a.channel = b.channel AND a.event = b.event AND a.id <> b.id
         WHERE a.event = 'opened' AND b.gone_at >= a.gone_at AND b.gone_at < a.gone_at + 20000000",
    );
    assert_eq!(close, 0, "no channel was told twice within an interval");
    assert!((1..=8).contains(&opened) && (1..=12).contains(&resolved), "{opened} and {resolved} messages");
    assert_eq!(triggered, closed, "each alert is closed");
    let events = taken.iter().filter(|message| message.path == "/v2/enqueue").count();
    assert_eq!(events, triggered.len() * 2, "each is opened once and closed once");
    assert!(memory <= MEMORY_MIB_MAX, "{memory} MiB");
    let (status, said) = daemon.terminate();
    assert_eq!(status.code(), Some(0), "{said}");
}

#[test]
fn what_waits_to_be_told_together_outlives_the_plug() {
    const FEW: u64 = 20;
    let (mut place, receiver) = (Place::closed(), Receiver::start());
    let directory = watching(FEW, &place, "2s", &receiver, "{ wait: 6s, interval: 6s }");
    let waiting = "SELECT count(*) FROM outbox WHERE state = 'pending' AND channel = 'team' AND event = ";
    for (event, action) in [("opened", "trigger"), ("resolved", "resolve")] {
        let daemon = Daemon::run(directory.path(), &ENVIRONMENT);
        wait_until(&directory, &format!("{waiting} '{event}'"), FEW);
        // Nobody was told: all of it waits for others, and the plug is pulled.
        let early = told(&receiver.taken(), event);
        daemon.kill();
        let daemon = Daemon::run(directory.path(), &ENVIRONMENT);
        let taken = receiver.wait_until(|taken| told(taken, event) >= FEW && !alerts(taken, action).is_empty());
        assert_eq!((early, told(&taken, event)), (0, FEW), "{event}: once each");
        daemon.kill();
        if event == "opened" {
            place.open();
        }
    }
    let taken = receiver.taken();
    let of_group = of(&taken, "opened")[0];
    assert_eq!((of_group.body["group"].as_array().map(Vec::len), of_group.text("severity")), (Some(20), "P3"));
    assert_eq!(alerts(&taken, "trigger"), alerts(&taken, "resolve"), "one alert, closed with the last of them");
    assert_eq!(alerts(&taken, "trigger").len(), 1);
}
