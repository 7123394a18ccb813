//! What a hostile target leaves behind: nothing. Each row of the table is probed many times, side by side, in a process of
//! its own, because descriptors and memory are counted for a whole process. Beside them a good target is probed, which
//! must not notice.
//!
//! `FAULT_REPEATS` is how often each row is probed: 50 by default, 1,000 before a release. `FAULT_ROW` is a part of the names
//! of the rows that are probed: all by default.

use std::fs;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use futures::stream::{self, StreamExt as _};
use tokio::runtime::Handle;
use tokio::sync::watch;
use tokio::task::JoinSet;

use super::row::Row;
use super::table;
use crate::probing::{Run, build, now};
use crate::servers::hostile::Hostile;
use crate::servers::network::ran_within;

/// How many probes of one row go on at once; as many fewer as fewer are made, since all of them share one thread and each has
/// its deadline: in a debug build a million empty frames are a second's work.
const CONCURRENCY: usize = 50;

/// The body that a probe keeps at most, and what it may take while it grows.
const BODY_BYTES_MAX: usize = 2 * 1024 * 1024;

/// What else a process may take: buffers of both sides, and what the allocator keeps.
const SLACK_BYTES: usize = 64 * 1024 * 1024;

/// How long what is over may take to be gone: a peer notices that nobody takes its bytes any more.
const SETTLE_MAX: Duration = Duration::from_secs(20);

/// A good target is probed as often as this beside the hostile ones.
const NEIGHBOUR_EVERY: Duration = Duration::from_millis(20);

/// What a neighbour may be late, at most: more than any machine that runs tests is, less than what hurts a schedule.
const NEIGHBOUR_LATE_MAX: Duration = Duration::from_secs(2);

#[test]
fn a_thousand_hostile_answers_leave_nothing_behind() {
    if ran_within("faults::leaks::a_thousand_hostile_answers_leave_nothing_behind", "0 0") {
        return;
    }
    let repeats = std::env::var("FAULT_REPEATS").ok().and_then(|text| text.parse().ok()).unwrap_or(50);
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    runtime.block_on(async {
        let (over, is_over) = watch::channel(false);
        let good = Hostile::answering("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok").await;
        let mut beside = JoinSet::new();
        beside.spawn(neighbour(good.url(), is_over));
        let named = std::env::var("FAULT_ROW").unwrap_or_default();
        let rows: Vec<Row> = table::rows().await.into_iter().filter(|row| row.peer.contains(&named)).collect();
        assert!(!rows.is_empty(), "no row is named so: {named}");
        for row in rows {
            leaves_nothing(row, repeats).await;
        }
        over.send_replace(true);
        let (probes, late) = beside.join_next().await.unwrap().unwrap();
        println!("a good target was probed {probes} times beside them, at most {late:?} late");
        assert!(probes > 0 && late < NEIGHBOUR_LATE_MAX, "a neighbour was {late:?} late");
    });
}

async fn leaves_nothing(row: Row, repeats: usize) {
    let (repeats, at_once) = ((repeats / row.share).max(1), CONCURRENCY / row.share);
    let row = Rc::new(row);
    let (peer, prober) = row.start().await;
    // What is made once and stays is made here: roots, buffers of the runtime, threads of the pool.
    let (ended, _) = row.probe(&*prober).await;
    row.judge(&ended).unwrap_or_else(|wrong| panic!("{wrong}"));
    let before = settled(None).await;
    let resident = memory("VmRSS:");
    // The high-water mark is from here on (proc(5), clear_refs).
    fs::write("/proc/self/clear_refs", "5").unwrap();

    let began = now();
    let probes = stream::iter(0..repeats).map(|_| {
        let (row, prober) = (Rc::clone(&row), Arc::clone(&prober));
        async move { row.judge(&row.probe(&*prober).await.0) }
    });
    let wrong: Vec<_> = probes.buffer_unordered(at_once).filter_map(async |judged| judged.err()).collect().await;
    assert!(wrong.is_empty(), "{} of {repeats}: {}", wrong.len(), wrong[0]);

    let after = settled(Some(before)).await;
    let grown = memory("VmHWM:").saturating_sub(resident);
    assert!(
        after.0 <= before.0 && after.1 <= before.1,
        "{}: descriptors and tasks {before:?}, then {after:?}",
        row.peer
    );
    let limit = BODY_BYTES_MAX * CONCURRENCY + SLACK_BYTES;
    assert!(grown <= limit, "{}: memory grew by {grown} of {limit} bytes", row.peer);
    let took = now().since(began);
    println!("{repeats} × {} ({}) in {took:.1?}: at most {} KiB more", row.peer, row.kind, grown / 1024);
    drop(peer);
}

/// Waits until no more is held than that, or until nothing changes any more; gives what is held then.
async fn settled(at_most: Option<Held>) -> Held {
    let (pause, mut waited, mut last) = (Duration::from_millis(25), Duration::ZERO, held());
    loop {
        tokio::time::sleep(pause).await;
        waited += pause;
        let now = held();
        let is_settled = at_most.map_or(now == last, |most| now.0 <= most.0 && now.1 <= most.1);
        if is_settled || waited >= SETTLE_MAX {
            return now;
        }
        last = now;
    }
}

/// Descriptors of this process, and tasks of its runtime.
type Held = (usize, usize);

fn held() -> Held {
    (fs::read_dir("/proc/self/fd").unwrap().count(), Handle::current().metrics().num_alive_tasks())
}

/// A line of `/proc/self/status`, in bytes.
fn memory(name: &str) -> usize {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with(name)).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<usize>().unwrap() * 1024
}

/// Probes a good target until it is over; says how often, and how late an end was at most.
async fn neighbour(url: String, over: watch::Receiver<bool>) -> (usize, Duration) {
    let prober = build("http", &format!("url: \"{url}\"")).unwrap().prober;
    let (mut probes, mut late) = (0, Duration::ZERO);
    while !*over.borrow() {
        let began = now();
        tokio::time::sleep(NEIGHBOUR_EVERY).await;
        let seen = Run::new().perform(&*prober).await.0.unwrap_or_else(|failure| panic!("a good target: {failure}"));
        assert_eq!(seen.facts["status"], 200);
        late = late.max(now().since(began).saturating_sub(NEIGHBOUR_EVERY));
        probes += 1;
    }
    (probes, late)
}
