//! A thread of its own that looks whether the loops turn. One that does not for ten seconds is told; one that does not for
//! thirty can be helped only by a restart, which loses nothing that was committed: the process is ended, and its supervisor
//! starts it again. The thread needs nothing of what it watches, neither a runtime nor a lock nor our log.

use std::io;
use std::sync::Arc;
use std::sync::mpsc::{RecvTimeoutError, SyncSender, sync_channel};
use std::time::Duration;

use super::vitals::{Part, Seen, Vitals};
use crate::domain::time::Monotonic;

/// How patient the watchdog is.
#[derive(Clone, Copy, Debug)]
pub struct Patience {
    /// How often it looks.
    pub look: Duration,
    /// How long a loop stands still before it is told.
    pub tell: Duration,
    /// How long a loop stands still before the process is ended.
    pub end: Duration,
}

impl Default for Patience {
    /// Each loop turns every five seconds when nothing happens, so ten seconds are no chance.
    fn default() -> Self {
        Self { look: Duration::from_secs(1), tell: Duration::from_secs(10), end: Duration::from_secs(30) }
    }
}

/// Watches until it is dropped.
pub struct Watchdog {
    /// The thread ends when this is gone.
    _leash: SyncSender<()>,
}

impl Watchdog {
    /// Starts the thread. `end` is told how the loops stand when one of them has stood still for too long.
    pub fn start(vitals: Arc<Vitals>, patience: Patience, end: impl FnOnce(&str) + Send + 'static) -> io::Result<Self> {
        let (leash, held) = sync_channel(0);
        let watch = move || {
            let mut watch = Watch::begin(patience, vitals.clock().monotonic());
            while held.recv_timeout(patience.look) == Err(RecvTimeoutError::Timeout) {
                let now = vitals.clock().monotonic();
                match watch.look(now, Part::LOOPS.map(|part| vitals.seen(part))) {
                    Finding::Well => {}
                    Finding::Still(part, length) => tell_aside(format!("{} {}", part.as_str(), stands(length))),
                    Finding::Stuck(part, length) => {
                        let what = format!("{} {}", part.as_str(), stands(length));
                        return end(&format!("{what}, so the process ends to be started again{}", turns(&vitals, now)));
                    }
                }
            }
        };
        std::thread::Builder::new().name("watchdog".to_owned()).spawn(watch)?;
        Ok(Self { _leash: leash })
    }
}

/// Whoever does not read our log may be what holds us up, so a thread of its own waits for that.
fn tell_aside(what: String) {
    let tell = move || tracing::error!("{what}");
    // Where there is not even a thread, the end of the process says it.
    let _ = std::thread::Builder::new().spawn(tell);
}

fn stands(length: Duration) -> String {
    format!("has not turned for {} s", length.as_secs())
}

/// How every part stands, a line each.
fn turns(vitals: &Vitals, now: Monotonic) -> String {
    let line = |part: Part| {
        let Seen { count, last, waits } = vitals.seen(part);
        let ago = now.since(last).as_secs_f64();
        let last = if count == 0 { String::new() } else { format!(", the last {ago:.1} s ago") };
        let waits = if waits { ", and waits for another" } else { "" };
        format!("\n  {:<14} {count} turns{last}{waits}", part.as_str())
    };
    Part::ALL.map(line).concat()
}

/// What a look found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Finding {
    Well,
    /// To be told, once.
    Still(Part, Duration),
    /// To be ended.
    Stuck(Part, Duration),
}

/// Measures by what the watchdog itself lived through. While the process is stopped or the machine sleeps, nobody turns
/// and nobody looks; a look that comes late was held up by the same, so only its usual length counts.
struct Watch {
    patience: Patience,
    looked_at: Monotonic,
    lived: Duration,
    loops: [Known; Part::LOOPS.len()],
}

/// What is known of a loop.
#[derive(Clone, Copy, Default)]
struct Known {
    count: u64,
    /// How long we had lived when it was seen to have turned.
    turned: Duration,
    is_told: bool,
}

impl Watch {
    fn begin(patience: Patience, now: Monotonic) -> Self {
        Self { patience, looked_at: now, lived: Duration::ZERO, loops: Default::default() }
    }

    fn look(&mut self, now: Monotonic, loops: [Seen; Part::LOOPS.len()]) -> Finding {
        self.lived += now.since(self.looked_at).min(self.patience.look * 2);
        self.looked_at = now;
        let mut finding = Finding::Well;
        for ((known, seen), part) in self.loops.iter_mut().zip(loops).zip(Part::LOOPS) {
            if seen.count != known.count || seen.waits {
                *known = Known { count: seen.count, turned: self.lived, is_told: false };
                continue;
            }
            let still = self.lived.saturating_sub(known.turned);
            if still >= self.patience.end {
                return Finding::Stuck(part, still);
            }
            if still >= self.patience.tell && !known.is_told && finding == Finding::Well {
                known.is_told = true;
                finding = Finding::Still(part, still);
            }
        }
        finding
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Barrier, Mutex, mpsc};

    use super::*;
    use crate::clock::SystemClock;

    fn seconds(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    /// How three loops stand that have turned so often.
    fn counts(counts: [u64; 3]) -> [Seen; 3] {
        counts.map(|count| Seen { count, ..Seen::default() })
    }

    #[test]
    fn a_loop_that_stands_still_is_told_once_and_then_ended() {
        let mut watch = Watch::begin(Patience::default(), Monotonic::default());
        let mut found = Vec::new();
        for second in 1..=100 {
            let dispatcher = second.min(40);
            let finding = watch.look(Monotonic(seconds(second)), counts([second, dispatcher, second]));
            if finding != Finding::Well {
                found.push((second, finding));
            }
            if matches!(finding, Finding::Stuck(..)) {
                break;
            }
        }
        let expected =
            [(50, Finding::Still(Part::Dispatcher, seconds(10))), (70, Finding::Stuck(Part::Dispatcher, seconds(30)))];
        assert_eq!(found, expected);
    }

    #[test]
    fn a_loop_that_never_began_is_found_too() {
        let mut watch = Watch::begin(Patience::default(), Monotonic::default());
        let ended = (1..=100).find(|second| {
            let finding = watch.look(Monotonic(seconds(*second)), counts([*second, *second, 0]));
            matches!(finding, Finding::Stuck(Part::Deliverer, _))
        });
        assert_eq!(ended, Some(30));
    }

    #[test]
    fn who_waits_for_another_is_not_to_blame() {
        let mut watch = Watch::begin(Patience::default(), Monotonic::default());
        for second in 1..=600 {
            let waits = Seen { count: 7, waits: true, ..Seen::default() };
            let [scheduler, _, deliverer] = counts([second; 3]);
            assert_eq!(watch.look(Monotonic(seconds(second)), [scheduler, waits, deliverer]), Finding::Well);
        }
        // From here on it waits no more, and its time begins anew.
        for second in 601..=609 {
            assert_eq!(watch.look(Monotonic(seconds(second)), counts([second, 7, second])), Finding::Well);
        }
    }

    #[test]
    fn while_the_process_is_stopped_no_time_passes() {
        let mut watch = Watch::begin(Patience::default(), Monotonic::default());
        let mut now = Duration::ZERO;
        for turn in 1..=20 {
            now += seconds(1);
            assert_eq!(watch.look(Monotonic(now), counts([turn; 3])), Finding::Well);
            // Stopped for an hour: the watchdog is the first that goes on.
            now += seconds(3_600);
            assert_eq!(watch.look(Monotonic(now), counts([turn; 3])), Finding::Well);
        }
    }

    /// Two threads each hold what the other one wants, for ever; one of them is a loop.
    #[test]
    fn a_deadlock_ends_the_process_and_says_which_loop() {
        let vitals = Arc::new(Vitals::new(Arc::new(SystemClock::start())));
        let (one, other) = (Arc::new(Mutex::new(())), Arc::new(Mutex::new(())));
        let both_hold = Arc::new(Barrier::new(2));
        let grip = |first: &Arc<Mutex<()>>, second: &Arc<Mutex<()>>| {
            let (first, second, both_hold) = (Arc::clone(first), Arc::clone(second), Arc::clone(&both_hold));
            move || {
                let _held = first.lock();
                both_hold.wait();
                let _never = second.lock();
            }
        };
        let (dead, rival) = (grip(&one, &other), grip(&other, &one));
        std::thread::spawn(rival);
        std::thread::spawn({
            let vitals = Arc::clone(&vitals);
            move || {
                vitals.turned(Part::Dispatcher);
                dead();
            }
        });
        let (alive, stop) = mpsc::channel::<()>();
        std::thread::spawn({
            let vitals = Arc::clone(&vitals);
            move || {
                while stop.recv_timeout(Duration::from_millis(5)) == Err(RecvTimeoutError::Timeout) {
                    vitals.turned(Part::Scheduler);
                    vitals.turned(Part::Deliverer);
                }
            }
        });
        let patience = Patience {
            look: Duration::from_millis(20),
            tell: Duration::from_millis(200),
            end: Duration::from_millis(1_000),
        };
        let (ended, end) = mpsc::channel();
        let _watchdog = Watchdog::start(vitals, patience, move |dump| ended.send(dump.to_owned()).unwrap()).unwrap();
        let dump = end.recv_timeout(seconds(60)).unwrap();
        drop(alive);
        assert!(dump.starts_with("the dispatcher has not turned for 1 s, so the process ends"), "{dump}");
        assert!(dump.contains("\n  the dispatcher 1 turns, the last 1."), "{dump}");
        assert!(dump.contains("\n  the outbox     0 turns"), "{dump}");
    }

    #[test]
    fn a_watchdog_that_is_dropped_watches_no_more() {
        let vitals = Arc::new(Vitals::new(Arc::new(SystemClock::start())));
        let patience =
            Patience { look: Duration::from_millis(5), tell: Duration::from_secs(60), end: Duration::from_millis(200) };
        let (ended, end) = mpsc::channel::<()>();
        drop(Watchdog::start(vitals, patience, move |_| ended.send(()).unwrap()).unwrap());
        // Its thread drops what would have told.
        assert_eq!(end.recv_timeout(seconds(60)), Err(RecvTimeoutError::Disconnected));
    }
}
