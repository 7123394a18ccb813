//! The plug is pulled (`kill -9`) again and again in the middle of journeys through the demo's shop. After the next start
//! nothing that bears the id of a run is left there; a session whose answer the crash ate ends by itself.
//!
//! `ROUNDSMAN_KILLS` says how often (25 unless it is set; a release is measured with 200), `ROUNDSMAN_SEED` repeats one.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::sleep;
use std::time::Duration;

use futures::future::BoxFuture;
use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};
use roundsman::app::demo::shop::{SHOPPER_PASSWORD, Shop, serve};
use roundsman::clock::SystemClock;
use roundsman::domain::time::{Monotonic, Timestamp};
use roundsman::ports::Clock;
use rusqlite::{Connection, OpenFlags};

use crate::commands::configuration;
use crate::servers::roundsman::Daemon;

/// How many journeys go on in each second.
const JOURNEYS: usize = 10;

/// How long the shop may hold what the process before left there.
const CLEAN_WITHIN: Duration = Duration::from_secs(20);

/// The machine's clocks, some of it ahead when the test says so.
struct Ahead(SystemClock, AtomicU64);

impl Clock for Ahead {
    fn now(&self) -> Timestamp {
        self.0.now()
    }
    fn monotonic(&self) -> Monotonic {
        self.0.monotonic() + Duration::from_secs(self.1.load(Ordering::SeqCst))
    }
    fn sleep_until(&self, at: Monotonic) -> BoxFuture<'_, ()> {
        self.0.sleep_until(at)
    }
}

/// The demo's shop in this process, on a thread of its own.
fn open_shop() -> (Arc<Shop>, Arc<Ahead>, SocketAddr) {
    let clock = Arc::new(Ahead(SystemClock::start(), AtomicU64::new(0)));
    let shop = Arc::new(Shop::open(Arc::clone(&clock) as _));
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("an address");
    let opened = Arc::clone(&shop);
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        runtime.block_on(async move {
            listener.set_nonblocking(true).expect("a socket");
            serve(tokio::net::TcpListener::from_std(listener).expect("a listener"), opened).await;
        });
    });
    (shop, clock, address)
}

/// A way to the shop on which every request and every answer takes its time, so that a plug is pulled in the middle of
/// something.
fn slow_way(to: SocketAddr, seed: u64) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("an address");
    let random = Arc::new(Mutex::new(StdRng::seed_from_u64(seed)));
    std::thread::spawn(move || {
        for near in listener.incoming().map_while(Result::ok) {
            let Ok(far) = TcpStream::connect(to) else { continue };
            for (from, into) in [(&near, &far), (&far, &near)] {
                let (mut from, mut into) = (from.try_clone().expect("a socket"), into.try_clone().expect("a socket"));
                let random = Arc::clone(&random);
                std::thread::spawn(move || {
                    let mut buffer = vec![0; 65_536];
                    while let Ok(length @ 1..) = from.read(&mut buffer) {
                        sleep(Duration::from_millis(random.lock().expect("no panic").random_range(0..40)));
                        if into.write_all(&buffer[..length]).is_err() {
                            break;
                        }
                    }
                    let _ = into.shutdown(std::net::Shutdown::Write);
                });
            }
        }
    });
    address
}

/// The journey of the repository's own configuration, many times at once.
fn journeys(way: SocketAddr, every: &str) -> Vec<(&'static str, String)> {
    let written = |name: &str| {
        let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("probes").join(name);
        std::fs::read_to_string(file).expect("the file")
    };
    let each: Vec<_> = (0..JOURNEYS).map(|n| format!("n{n}: x")).collect();
    let each = format!("shopper-journey:\n  each: {{ {} }}\n", each.join(", "));
    // What explains an incident is not this test's.
    let is_of_incidents = |line: &&str| ["runbook:", "diagnose:"].iter().any(|key| line.trim_start().starts_with(key));
    let written = |name: &str| {
        written(name).lines().filter(|line| !is_of_incidents(line)).fold(String::new(), |text, line| text + line + "\n")
    };
    let journeys = written("journeys.yaml").replace("shopper-journey:\n", &each);
    let root = format!(
        "web: {{ listen: \"${{env:ROUNDSMAN_LISTEN}}\" }}\nvars: {{ api: \"http://{way}\" }}\n\
         secrets: {{ shopper: {{ env: SHOPPER_PASSWORD }} }}\npublish: {{ prometheus: {{}} }}\n"
    );
    vec![
        ("roundsman.yaml", root),
        ("probes/journeys.yaml", journeys),
        ("probes/reachability.yaml", written("reachability.yaml")),
        ("schedules/s.yaml", format!("often: {{ every: {every}, probes: [\"shopper-*\", api-health] }}\n")),
    ]
}

fn debts(directory: &Path) -> i64 {
    let path = directory.join("state/roundsman.db");
    let store = Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_ONLY).expect("the store");
    store.query_row("SELECT count(*) FROM journal", [], |row| row.get(0)).expect("the journal")
}

fn wait_until(what: &str, mut holds: impl FnMut() -> bool) {
    for _ in 0..CLEAN_WITHIN.as_millis() / 50 {
        if holds() {
            return;
        }
        sleep(Duration::from_millis(50));
    }
    panic!("{what} within {CLEAN_WITHIN:?}");
}

#[test]
fn plugs_pulled_in_mid_journey_leave_nothing_in_the_shop() {
    let number = |name: &str| std::env::var(name).ok().and_then(|text| text.parse::<u64>().ok());
    let (seed, kills) =
        (number("ROUNDSMAN_SEED").unwrap_or_else(rand::random), number("ROUNDSMAN_KILLS").unwrap_or(25));
    println!("ROUNDSMAN_SEED={seed}");
    let mut random = StdRng::seed_from_u64(seed);
    let (shop, clock, address) = open_shop();
    let way = slow_way(address, seed);
    let files = journeys(way, "1s");
    let files: Vec<_> = files.iter().map(|(name, text)| (*name, text.as_str())).collect();
    let directory = configuration(&files);
    let environment = [("SHOPPER_PASSWORD", SHOPPER_PASSWORD)];
    let left = || -> Vec<String> { shop.wardrobes().into_iter().flatten().collect() };

    let (mut owed, mut things) = (0, 0);
    for _ in 0..kills {
        let daemon = Daemon::run(directory.path(), &environment);
        sleep(Duration::from_millis(random.random_range(1_200..2_600)));
        daemon.kill();
        // What was on its way still arrives at the shop.
        sleep(Duration::from_millis(100));
        owed += debts(directory.path());
        let behind = left();
        things += behind.len();
        assert!(behind.iter().all(|name| name.starts_with("probe-")), "{behind:?}");
        let daemon = Daemon::run(directory.path(), &environment);
        wait_until("nothing of the runs before is left", || {
            let now = left();
            behind.iter().all(|name| !now.contains(name))
        });
        daemon.kill();
    }
    println!("{kills} kills left {owed} runs to be cleaned up and {things} things in the shop");
    assert!(owed > 0 && things > 0, "too little was left behind to prove anything (seed {seed})");

    // The last of them, by a process that begins no journey of its own.
    let hourly = journeys(way, "1h").pop().expect("the schedule").1;
    std::fs::write(directory.path().join("schedules/s.yaml"), hourly).expect("a file");
    let daemon = Daemon::run(directory.path(), &environment);
    wait_until("the journal is empty", || debts(directory.path()) == 0);
    let (status, said) = daemon.terminate();
    assert_eq!(status.code(), Some(0), "{said}");
    assert!(left().is_empty(), "{:?} (seed {seed})", left());
    assert!(!said.contains(SHOPPER_PASSWORD), "{said}");
    // Sessions whose answer was never read: nobody knows their token, so they end by themselves.
    println!("{} sessions are left, which end by themselves", shop.wardrobes().len());
    clock.1.store(3_600, Ordering::SeqCst);
    assert!(shop.wardrobes().is_empty());
}

#[test]
fn a_stop_in_mid_journey_ends_in_its_cleanup() {
    let (shop, _, address) = open_shop();
    let files = journeys(slow_way(address, 7), "1s");
    let files: Vec<_> = files.iter().map(|(name, text)| (*name, text.as_str())).collect();
    let directory = configuration(&files);
    let daemon = Daemon::run(directory.path(), &[("SHOPPER_PASSWORD", SHOPPER_PASSWORD)]);
    wait_until("a journey is half way", || shop.wardrobes().iter().any(|items| !items.is_empty()));
    let (status, said) = daemon.terminate();
    assert_eq!(status.code(), Some(0), "{said}");
    assert!(shop.wardrobes().iter().all(Vec::is_empty), "{:?}", shop.wardrobes());
    assert_eq!(debts(directory.path()), 0);
}
