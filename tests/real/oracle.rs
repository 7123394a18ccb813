//! The oracle: the plug is pulled (`kill -9`) again and again while twenty endpoints fail and recover by a script and four
//! receivers take what they are told, fail, and say no to what they took. Half of the plugs are pulled at random instants,
//! half at the six at which most is under way. Afterwards nothing is lost, nothing is out of order, and nothing was told
//! again that was not in flight.
//!
//! `ROUNDSMAN_KILLS` says how often (50 unless it is set; a release is measured with 1,000), `ROUNDSMAN_SEED` repeats a
//! script. What the last whole run found stands in `docs/faults.md`.

mod ruling;
mod world;

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Stdio;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::sleep;
use std::time::Duration;

use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};
use rusqlite::Connection;

use self::ruling::{Found, judge, rows, store};
use self::world::{CHANNELS, ENDPOINTS, Point, World};
use crate::probing::now;
use crate::servers::roundsman::{Daemon, command};

/// How long an instant is waited for; when none comes the plug is pulled all the same.
const INSTANT_MAX: Duration = Duration::from_secs(3);

/// How long the outbox may take to be empty once everything is well: the longest back-off, and as long again as it takes to
/// look.
const EMPTY_WITHIN: Duration = Duration::from_secs(90);

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok().and_then(|text| text.parse().ok())
}

/// Flips endpoints for as long as it is held.
struct Script(Arc<AtomicBool>, Option<std::thread::JoinHandle<()>>);

impl Script {
    fn play(world: &Arc<World>, seed: u64) -> Self {
        let goes_on = Arc::new(AtomicBool::new(true));
        let (plays, world) = (Arc::clone(&goes_on), Arc::clone(world));
        let thread = std::thread::spawn(move || {
            let mut random = StdRng::seed_from_u64(seed);
            while plays.load(Ordering::SeqCst) {
                world.flip(random.random_range(0..ENDPOINTS));
                sleep(Duration::from_millis(random.random_range(20..120)));
            }
        });
        Self(goes_on, Some(thread))
    }
}

impl Drop for Script {
    fn drop(&mut self) {
        self.0.store(false, Ordering::SeqCst);
        if let Some(thread) = self.1.take() {
            let _ = thread.join();
        }
    }
}

/// Waits for an instant; says whether it has come.
fn wait_for(point: Point, world: &World, directory: &Path, random: &mut StdRng) -> bool {
    // The first round begins a second after its slot, and by then a plug is pulled in some of them.
    let longest = if point == Point::Random { 2_600 } else { 1_300 };
    sleep(Duration::from_millis(random.random_range(0..longest)));
    match point {
        Point::Random => true,
        Point::Loading => unreachable!("it is pulled before there is a daemon"),
        Point::Judging | Point::Sent | Point::Answered => world.wait_for(point, INSTANT_MAX),
        Point::Writing => {
            let log = directory.join("state/roundsman.db-wal");
            let look = || std::fs::metadata(&log).ok().map(|log| (log.len(), log.modified().ok()));
            let before = look();
            changes(|| look() != before)
        }
        Point::Committed => {
            let store = store(directory);
            let last = || store.query_row("SELECT max(rowid) FROM outbox", [], |row| row.get::<_, Option<i64>>(0));
            let before = last();
            changes(|| last() != before)
        }
    }
}

fn changes(mut has_changed: impl FnMut() -> bool) -> bool {
    let began = now();
    while !has_changed() {
        if now().since(began) > INSTANT_MAX {
            return false;
        }
        sleep(Duration::from_micros(100));
    }
    true
}

fn integrity(store: &Connection) -> String {
    store.query_row("PRAGMA integrity_check", [], |row| row.get(0)).expect("an answer")
}

#[test]
fn a_plug_may_be_pulled_at_any_instant() {
    let (seed, kills) =
        (number("ROUNDSMAN_SEED").unwrap_or_else(rand::random), number("ROUNDSMAN_KILLS").unwrap_or(50));
    println!("ROUNDSMAN_SEED={seed} ROUNDSMAN_KILLS={kills}");
    let mut random = StdRng::seed_from_u64(seed);
    let world = Arc::new(World::start(seed));
    let directory = world.configuration();
    let path = directory.path();
    let environment = world.environment();
    let environment: Vec<_> = environment.iter().map(|(name, value)| (*name, value.as_str())).collect();

    let script = Script::play(&world, seed);
    let mut hit: BTreeMap<Point, usize> = BTreeMap::new();
    let mut in_flight = BTreeMap::new();
    let mut slowest = Duration::ZERO;
    for kill in 0..kills {
        let crash = usize::try_from(kill / 2).expect("a number") % Point::CRASHES.len();
        let point = if kill % 2 == 0 { Point::Random } else { Point::CRASHES[crash] };
        world.set_down(Some(random.random_range(0..3 * CHANNELS.len())));
        let has_come = if point == Point::Loading {
            let arguments = ["run", "--config", path.to_str().expect("a path in UTF-8")];
            let mut environment = environment.clone();
            environment.push(("ROUNDSMAN_LISTEN", "127.0.0.1:0"));
            let mut child = command(&arguments, &environment);
            let mut child = child.stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("the binary starts");
            sleep(Duration::from_millis(random.random_range(0..200)));
            child.kill().expect("it is our child");
            child.wait().expect("it is our child");
            true
        } else {
            let began = now();
            let daemon = Daemon::run(path, &environment);
            slowest = slowest.max(now().since(began));
            let has_come = wait_for(point, &world, path, &mut random);
            daemon.kill();
            has_come
        };
        *hit.entry(if has_come { point } else { Point::Random }).or_default() += 1;
        // What was on its way still arrives.
        sleep(Duration::from_millis(100));
        let store = store(path);
        assert_eq!(integrity(&store), "ok", "I10 after kill {kill} (seed {seed})");
        let taken = world.taken();
        for row in rows(&store).into_iter().filter(|row| row.state == "pending") {
            if taken.iter().any(|message| message.key == row.key) {
                *in_flight.entry(row.key).or_default() += 1;
            }
        }
    }
    drop(script);
    world.heal();
    let daemon = Daemon::run(path, &environment);
    let began = now();
    let is_empty = || {
        let store = store(path);
        let count = |sql: &str| store.query_row(sql, [], |row| row.get::<_, i64>(0)).expect("a count");
        count("SELECT count(*) FROM outbox WHERE state = 'pending'") == 0
            && count("SELECT count(*) FROM incidents WHERE resolved_at IS NULL") == 0
    };
    while !is_empty() && now().since(began) < EMPTY_WITHIN {
        sleep(Duration::from_millis(100));
    }
    let emptied = now().since(began);
    let (status, said) = daemon.terminate();
    assert_eq!(status.code(), Some(0), "{said}");

    let Found { incidents, messages, repeats, in_flight, faults } = judge(&store(path), &world.taken(), &in_flight);
    let hit: Vec<_> = hit.iter().map(|(point, times)| format!("{point:?} {times}")).collect();
    println!(
        "{kills} kills ({}), {incidents} incidents, {messages} messages: {} faults; {repeats} repeats of {in_flight} that \
         were in flight; the slowest start took {} ms, the outbox was empty after {} ms",
        hit.join(", "),
        faults.len(),
        slowest.as_millis(),
        emptied.as_millis()
    );
    assert!(faults.is_empty(), "seed {seed}:\n{}", faults.join("\n"));
    assert!(incidents as u64 > kills, "{incidents} incidents are too few to prove anything (seed {seed})");
    assert!(emptied < EMPTY_WITHIN, "I7 (seed {seed})");
}
