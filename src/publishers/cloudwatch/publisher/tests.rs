//! An hour without the service, restarts and kills in the middle of it, and random faults: what the receiver has, what is on
//! disk, and what the account says.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::{Mutex, PoisonError};

use super::*;
use crate::domain::metric::{MetricName, SampleLabels};
use crate::domain::names::ProbeName;
use crate::domain::time::{Monotonic, Timestamp};
use crate::net::aws::Trouble;
use crate::publishers::cloudwatch::packet::samples;
use crate::publishers::cloudwatch::whom::Whom;
use chrono::{DurationRound as _, TimeDelta};
use proptest::prelude::*;
use tempfile::TempDir;
use tokio::runtime::Runtime;

/// A clock that is moved by hand.
struct HandClock(Mutex<Duration>);

impl HandClock {
    fn advance(&self, by: Duration) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) += by;
    }
}

fn noon() -> Timestamp {
    "2026-11-24T12:00:00Z".parse().unwrap()
}

impl Clock for HandClock {
    fn now(&self) -> Timestamp {
        noon() + self.monotonic().0
    }
    fn monotonic(&self) -> Monotonic {
        Monotonic(*self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
    fn sleep_until(&self, _: Monotonic) -> BoxFuture<'_, ()> {
        Box::pin(std::future::ready(()))
    }
}

/// What the service does with a request.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Mood {
    Well,
    Down,
    Throttles,
    /// It takes everything and answers nothing: the request arrived, and nobody knows.
    Mute,
}

/// A service that does as it is told, and refuses what holds a value of a poisonous probe.
struct Told {
    mood: Mutex<Mood>,
    clock: Arc<HandClock>,
    /// When each request came that it took, and what was in it.
    taken: Mutex<Vec<(Timestamp, Vec<Packet>)>>,
}

impl Told {
    fn is(&self, mood: Mood) {
        *self.mood.lock().unwrap() = mood;
    }
}

const POISON: &str = "poison";

impl Service for Arc<Told> {
    fn put<'a>(&'a self, packets: &'a [Packet]) -> BoxFuture<'a, Result<(), Trouble>> {
        let trouble = |kind, message: &str| Trouble { kind, message: message.to_owned(), retry_after: None };
        let poison = Whom::Probe(ProbeName::parse(POISON).unwrap());
        let mood = *self.mood.lock().unwrap();
        let takes = || self.taken.lock().unwrap().push((self.clock.now(), packets.to_vec()));
        let result = match mood {
            Mood::Down => Err(trouble(TroubleKind::Transient, "nobody answers")),
            Mood::Throttles => Err(trouble(TroubleKind::Throttled, "Throttling: Rate exceeded")),
            _ if packets.iter().any(|packet| packet.whom == poison) => {
                Err(trouble(TroubleKind::Refused, "InvalidParameterValue: no"))
            }
            Mood::Well => {
                takes();
                Ok(())
            }
            Mood::Mute => {
                takes();
                Err(trouble(TroubleKind::Transient, "the connection was closed"))
            }
        };
        Box::pin(std::future::ready(result))
    }
}

struct World {
    clock: Arc<HandClock>,
    service: Arc<Told>,
    state: TempDir,
    manner: Manner,
    publisher: CloudWatch,
    /// How many samples were handed over, each with a value of its own, and when each was so.
    produced: BTreeMap<u64, Timestamp>,
    /// What publishers that ended have said of theirs.
    delivered: u64,
    dropped: u64,
    /// What was in memory of those that were killed.
    killed: u64,
}

impl World {
    fn new(budget: u64) -> Self {
        let state = TempDir::new().unwrap();
        let clock = Arc::new(HandClock(Mutex::default()));
        let (mood, taken) = (Mutex::new(Mood::Well), Mutex::default());
        let service = Arc::new(Told { mood, clock: Arc::clone(&clock), taken });
        let lodging = Lodging { directory: state.path().join("r.db.cloudwatch"), budget };
        let manner = Manner { lodging: Some(lodging), ..Manner::default() };
        let publisher = start(&service, &clock, &manner);
        let produced = BTreeMap::new();
        Self { clock, service, state, manner, publisher, produced, delivered: 0, dropped: 0, killed: 0 }
    }

    async fn ran(&mut self, probes: &[&str]) {
        let at = self.clock.now();
        let samples: Vec<_> = probes
            .iter()
            .map(|probe| {
                let value = self.produced.len() as u64;
                self.produced.insert(value, at);
                let labels = SampleLabels { probe: Some(ProbeName::parse(probe).unwrap()), ..SampleLabels::default() };
                Sample { name: MetricName::ProbeDuration, at, value: value as f64, labels }
            })
            .collect();
        // What is wrong stands until it is over, and is of other samples.
        let _ = self.publisher.publish(&samples).await;
    }

    async fn tick(&mut self) {
        self.clock.advance(Duration::from_secs(1));
        let _ = self.publisher.tick().await;
        self.check();
    }

    /// `produced = delivered + waiting + spooled + dropped`, and what was killed.
    fn check(&self) {
        let PublisherAccount { delivered, waiting, spooled, dropped } = self.publisher.account();
        let known = self
            .disk_is_known()
            .then_some(self.delivered + delivered + waiting + spooled + self.dropped + dropped + self.killed);
        if let Some(known) = known {
            assert_eq!(known, self.produced.len() as u64, "{:?}", self.publisher.account());
        }
    }

    /// Whether the publisher has looked at what the one before it left.
    fn disk_is_known(&self) -> bool {
        self.publisher.disk.is_open()
    }

    fn end(&mut self, is_killed: bool) {
        let PublisherAccount { delivered, waiting, dropped, .. } = self.publisher.account();
        self.delivered += delivered;
        self.dropped += dropped;
        assert!(is_killed || waiting == 0, "a clean end leaves nothing in memory: {waiting}");
        self.killed += waiting;
        // The lock goes with the process.
        self.publisher.disk = Disk::new(None);
        self.publisher = start(&self.service, &self.clock, &self.manner);
    }

    async fn restart(&mut self) {
        let _ = self.publisher.flush().await;
        self.end(false);
    }

    fn received(&self) -> BTreeSet<u64> {
        let taken = self.service.taken.lock().unwrap();
        let values = taken.iter().flat_map(|(_, packets)| packets).flat_map(Packet::counted);
        values.map(|(bits, _)| f64::from_bits(bits) as u64).collect()
    }
}

fn start(service: &Arc<Told>, clock: &Arc<HandClock>, manner: &Manner) -> CloudWatch {
    let clock = Arc::clone(clock) as Arc<dyn Clock>;
    CloudWatch::over(Box::new(Arc::clone(service)), Arc::from("here"), clock, manner.clone())
}

fn minute_of(at: Timestamp) -> Timestamp {
    at.duration_trunc(TimeDelta::minutes(1)).unwrap()
}

#[tokio::test]
async fn an_hour_without_the_service_loses_nothing_and_delays_nothing_live() {
    let mut world = World::new(64 << 20);
    let (mut down, mut up) = (None, None);
    for second in 0..80 * 60_u32 {
        match second {
            300 => {
                world.service.is(Mood::Down);
                down = Some(world.clock.now());
            }
            1_000 => world.restart().await,
            2_000 => world.service.is(Mood::Throttles),
            2_430 => {
                world.check();
                world.end(true);
            }
            2_500 => world.service.is(Mood::Down),
            3_900 => {
                world.service.is(Mood::Well);
                up = Some(world.clock.now());
            }
            _ => {}
        }
        if second % 30 == 7 {
            world.ran(&["api", "cache"]).await;
        }
        if second == 1_507 || second == 4_207 {
            world.ran(&[POISON]).await;
        }
        world.tick().await;
    }
    world.restart().await;
    world.tick().await;
    let (down, up) = (down.unwrap(), up.unwrap());
    assert_eq!((world.dropped, world.publisher.account()), (2, PublisherAccount::default()));
    assert_eq!(world.killed, 2, "what was in memory: of the minute that was still open");
    assert_eq!(world.produced.len() as u64, world.delivered + world.dropped + world.killed);
    assert_eq!(world.received().len() as u64, world.delivered);

    let taken = world.service.taken.lock().unwrap();
    let mut seen = BTreeSet::new();
    for (at, packets) in &*taken {
        for packet in packets {
            for (bits, _) in packet.counted() {
                let value = f64::from_bits(bits) as u64;
                assert_eq!(packet.at, minute_of(world.produced[&value]), "each value has its own time");
                assert!(seen.insert(value), "and arrives once");
            }
            let is_live = packet.at < down - TimeDelta::minutes(1) || packet.at >= minute_of(up);
            let late = *at - (packet.at + TimeDelta::minutes(1));
            assert!(!is_live || late <= TimeDelta::seconds(6), "{} came {late} late", packet.at);
        }
    }
    let after: Vec<_> = taken.iter().filter(|(at, _)| *at >= up).collect();
    let newest = |(_, packets): &&(Timestamp, Vec<Packet>)| packets.iter().map(|packet| packet.at).max().unwrap();
    assert!(newest(&after[0]) >= up - TimeDelta::minutes(2), "the newest of the disk goes first");
    let drained = after.iter().position(|(_, packets)| packets.iter().any(|packet| packet.at < up)).unwrap();
    assert!(after[drained].0 - up <= TimeDelta::seconds(61), "it is tried again within a minute");
}

#[tokio::test]
async fn what_is_live_goes_before_what_was_on_disk() {
    let mut world = World::new(64 << 20);
    world.service.is(Mood::Down);
    // Each minute is a request of its own on disk.
    let probes: Vec<_> = (0..900).map(|n| format!("p{n}")).collect();
    let probes: Vec<_> = probes.iter().map(String::as_str).collect();
    for _ in 0..10 {
        world.ran(&probes).await;
        for _ in 0..60 {
            world.tick().await;
        }
    }
    assert!(world.publisher.account().spooled >= 8_100);
    world.ran(&probes).await;
    world.service.is(Mood::Well);
    // The minute ends while the disk is emptied.
    while world.clock.now() < noon() + TimeDelta::seconds(605) {
        world.tick().await;
    }
    world.service.taken.lock().unwrap().clear();
    let end = noon() + TimeDelta::minutes(11) + TimeDelta::seconds(20);
    while world.clock.now() < end {
        world.tick().await;
    }
    let taken = world.service.taken.lock().unwrap();
    let live = noon() + TimeDelta::minutes(10);
    let (at, _) = taken.iter().find(|(_, packets)| packets[0].at == live).unwrap();
    assert_eq!(*at, noon() + TimeDelta::minutes(11) + TimeDelta::seconds(5), "as soon as its minute is over");
    assert!(taken.iter().all(|(_, packets)| packets.len() <= 1_000));
    drop(taken);
    assert_eq!(world.publisher.account().spooled, 0);
}

#[tokio::test]
async fn a_disk_that_takes_nothing_leaves_it_in_memory_and_is_used_again() {
    let mut world = World::new(64 << 20);
    let directory = world.manner.lodging.clone().unwrap().directory;
    world.tick().await;
    let in_the_way = directory.join("unfinished");
    std::fs::create_dir(&in_the_way).unwrap();
    world.service.is(Mood::Down);
    for second in 0..130 {
        if second % 30 == 0 {
            world.ran(&["api"]).await;
        }
        world.tick().await;
    }
    let PublisherAccount { waiting, spooled, .. } = world.publisher.account();
    assert_eq!((waiting, spooled), (5, 0));
    std::fs::remove_dir(&in_the_way).unwrap();
    for _ in 0..130 {
        world.tick().await;
    }
    let PublisherAccount { waiting, spooled, .. } = world.publisher.account();
    assert_eq!((waiting, spooled), (0, 5));
    world.service.is(Mood::Well);
    for _ in 0..70 {
        world.tick().await;
    }
    assert_eq!(world.publisher.account(), PublisherAccount { delivered: 5, ..PublisherAccount::default() });
}

#[tokio::test]
async fn a_clean_end_leaves_on_disk_what_the_service_does_not_take() {
    let mut world = World::new(64 << 20);
    world.ran(&["api", "cache"]).await;
    world.service.is(Mood::Down);
    world.restart().await;
    assert_eq!((world.killed, world.delivered), (0, 0));
    world.service.is(Mood::Well);
    world.tick().await;
    assert_eq!(world.publisher.account(), PublisherAccount { delivered: 2, ..PublisherAccount::default() });
    // And what it takes, it has: nothing is sent twice.
    world.ran(&["api"]).await;
    world.restart().await;
    world.tick().await;
    assert_eq!((world.delivered, world.service.taken.lock().unwrap().len()), (3, 2));
    assert_eq!(world.publisher.account(), PublisherAccount::default());
}

#[tokio::test]
async fn an_answer_that_was_lost_is_counted_once_and_sent_twice() {
    let mut world = World::new(64 << 20);
    world.ran(&["api"]).await;
    world.service.is(Mood::Mute);
    for _ in 0..66 {
        world.tick().await;
    }
    world.service.is(Mood::Well);
    for _ in 0..66 {
        world.tick().await;
    }
    assert_eq!(world.publisher.account(), PublisherAccount { delivered: 1, ..PublisherAccount::default() });
    assert!(world.service.taken.lock().unwrap().len() >= 2);
}

#[tokio::test]
async fn two_publishers_of_one_store_do_not_share_its_spool() {
    let mut world = World::new(64 << 20);
    world.service.is(Mood::Down);
    world.ran(&["api"]).await;
    for _ in 0..66 {
        world.tick().await;
    }
    assert_eq!(world.publisher.account().spooled, 1);
    // A reload starts the next while this one still puts away what it has.
    let mut next = start(&world.service, &world.clock, &world.manner);
    let _ = next.tick().await;
    assert_eq!(next.account(), PublisherAccount::default());
    let _ = world.publisher.flush().await;
    world.end(false);
    world.service.is(Mood::Well);
    let _ = next.tick().await;
    assert_eq!(next.account().delivered, 1);
}

#[tokio::test]
async fn what_is_silent_is_said_again_over_a_restart() {
    let mut world = World::new(64 << 20);
    world.manner.republish = Some(Duration::from_secs(600));
    world.restart().await;
    let labels = SampleLabels { probe: Some(ProbeName::parse("backup").unwrap()), ..SampleLabels::default() };
    let run = Sample { name: MetricName::ProbeSuccess, at: world.clock.now(), value: 0.0, labels };
    world.publisher.publish(&[run]).await.unwrap();
    for _ in 0..70 {
        world.clock.advance(Duration::from_secs(1));
        world.publisher.tick().await.unwrap();
    }
    world.publisher.flush().await.unwrap();
    world.end(false);
    for _ in 0..600 {
        world.clock.advance(Duration::from_secs(1));
        world.publisher.tick().await.unwrap();
    }
    let taken = world.service.taken.lock().unwrap();
    let again = taken.iter().flat_map(|(_, packets)| packets).filter(|packet| packet.name == MetricName::ProbeAge);
    let again: Vec<_> = again.map(|packet| (packet.at, packet.counted().next().unwrap().0)).collect();
    let at = |minutes| noon() + TimeDelta::minutes(minutes);
    assert_eq!(again, [(at(9), 600.0_f64.to_bits()), (at(10), 660.0_f64.to_bits())]);
}

#[derive(Clone, Debug)]
enum Act {
    Run(Vec<u8>),
    Ticks(u8),
    Mood(Mood),
    /// The disk takes nothing from now on, or does again.
    Disk(bool),
    Restart,
    Kill,
}

fn act() -> impl Strategy<Value = Act> {
    let mood = proptest::sample::select(vec![Mood::Well, Mood::Down, Mood::Throttles, Mood::Mute]);
    prop_oneof![
        4 => proptest::collection::vec(0..40_u8, 1..40).prop_map(Act::Run),
        6 => (1..90_u8).prop_map(Act::Ticks),
        3 => mood.prop_map(Act::Mood),
        1 => any::<bool>().prop_map(Act::Disk),
        1 => Just(Act::Restart),
        1 => Just(Act::Kill),
    ]
}

fn block(directory: &Path, is_blocked: bool) {
    let in_the_way = directory.join("unfinished");
    if is_blocked {
        std::fs::create_dir_all(in_the_way).unwrap();
    } else if in_the_way.is_dir() {
        std::fs::remove_dir(in_the_way).unwrap();
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    /// Whatever happens in whatever order, each sample is counted once, and what nobody received is dropped or was killed.
    #[test]
    fn every_sample_has_one_fate_through_faults_restarts_and_kills(acts in proptest::collection::vec(act(), 1..40)) {
        let runtime = Runtime::new().unwrap();
        runtime.block_on(async {
            // Room for a few files only, so that the oldest go.
            let mut world = World::new(5 * 4_096);
            let directory = world.manner.lodging.clone().unwrap().directory;
            for act in acts {
                match act {
                    Act::Run(probes) => {
                        let probes: Vec<_> = probes.iter().map(|n| if *n == 39 { POISON.to_owned() } else { format!("p{n}") }).collect();
                        world.ran(&probes.iter().map(String::as_str).collect::<Vec<_>>()).await;
                    }
                    Act::Ticks(seconds) => {
                        for _ in 0..seconds {
                            world.tick().await;
                        }
                    }
                    Act::Mood(mood) => world.service.is(mood),
                    Act::Disk(is_well) => block(&directory, !is_well),
                    Act::Restart => {
                        let _ = world.publisher.flush().await;
                        world.end(true);
                    }
                    Act::Kill => world.end(true),
                }
            }
            world.service.is(Mood::Well);
            block(&directory, false);
            for _ in 0..400 {
                world.tick().await;
            }
            world.check();
            world.restart().await;
            for _ in 0..5 {
                world.tick().await;
            }
            assert_eq!(world.publisher.account(), PublisherAccount::default(), "all is settled");
            let produced = world.produced.len() as u64;
            assert_eq!(produced, world.delivered + world.dropped + world.killed);
            let received = world.received();
            assert!(received.len() as u64 >= world.delivered);
            assert!(produced - received.len() as u64 <= world.dropped + world.killed);
            assert!(world.service.taken.lock().unwrap().iter().all(|(_, packets)| samples(packets) > 0));
            assert!(world.state.path().exists());
        });
    }
}
