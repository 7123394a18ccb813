//! Says that we live, where others notice when it is not said any more: as a metric once a minute, and as a ping to whoever
//! is to look after us. Both only while every part goes on, idle or not; what merely runs is not alive.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;

use super::fanout::Fanout;
use super::plan::{HeartbeatPlan, Plan};
use super::vitals::{Part, Seen, Vitals};
use crate::domain::metric::{MetricName, Sample, SampleLabels};
use crate::domain::text::harmless;
use crate::domain::time::Monotonic;
use crate::ports::{Beat, Clock};

/// How long ago every part must have gone on at the most. Each turns every five seconds when nothing happens.
const PROGRESS_MAX: Duration = Duration::from_secs(60);

/// How often the parts are looked at.
const LOOK: Duration = Duration::from_secs(1);

/// How long a ping may take, with the reading of its secret.
const PING_MAX: Duration = Duration::from_secs(10);

/// The heart.
pub struct Heart {
    /// The clocks.
    pub clock: Arc<dyn Clock>,
    /// How the loops stand.
    pub vitals: Arc<Vitals>,
    /// Where the metric goes, and how its publishers stand.
    pub fanout: Fanout,
    /// Whom to ping.
    pub plan: watch::Receiver<Arc<Plan>>,
}

impl Heart {
    /// Goes on for ever.
    pub async fn run(self) {
        let mut minute = None;
        let mut next_ping = Monotonic::default();
        // What was last said about the parts, and about the pings.
        let (mut resting, mut trouble) = (None, false);
        if let Some(heartbeat) = self.heartbeat() {
            // Who does not know of beginnings may refuse this one; the pings after it are what counts.
            let begun = self.ping(&heartbeat, Beat::Start).await;
            tracing::debug!(?begun, "a ping that we begin");
        }
        loop {
            let (now, monotonic) = (self.clock.now(), self.clock.monotonic());
            let rests = self.rests(monotonic);
            tell(rests.as_ref(), &mut resting);
            if rests.is_none() {
                // By the minutes of the wall clock, so that none of those that an alarm counts is without a beat.
                let this = Some(now.timestamp().div_euclid(60));
                if minute != this {
                    minute = this;
                    let labels = SampleLabels::default();
                    self.fanout.send([Sample { name: MetricName::Heartbeats, at: now, value: 1.0, labels }]);
                }
                if let Some(heartbeat) = self.heartbeat().filter(|_| next_ping <= monotonic) {
                    next_ping = monotonic + heartbeat.every;
                    let result = self.ping(&heartbeat, Beat::Alive).await;
                    self.take(result, &mut trouble);
                }
            }
            self.clock.sleep_until(self.clock.monotonic() + LOOK).await;
        }
    }

    fn heartbeat(&self) -> Option<HeartbeatPlan> {
        self.plan.borrow().heartbeat.clone()
    }

    async fn ping(&self, heartbeat: &HeartbeatPlan, beat: Beat) -> Result<(), String> {
        tokio::select! {
            result = heartbeat.ping.ping(beat) => result.map_err(|error| error.to_string()),
            () = self.clock.sleep_until(self.clock.monotonic() + PING_MAX) => Err("no answer in time".to_owned()),
        }
    }

    /// Counts a ping; said when pings begin to fail and when they are taken again.
    fn take(&self, result: Result<(), String>, trouble: &mut bool) {
        let outcome = if result.is_ok() { "delivered" } else { "failed" };
        let labels = SampleLabels { also: Some(("outcome", outcome)), ..SampleLabels::default() };
        let at = self.clock.now();
        self.fanout.send([Sample { name: MetricName::HeartbeatPings, at, value: 1.0, labels }]);
        match result {
            Err(error) if !*trouble => tracing::error!("the heartbeat's ping is not taken: {}", harmless(&error)),
            Ok(()) if *trouble => tracing::info!("the heartbeat's ping is taken again"),
            _ => return,
        }
        *trouble = !*trouble;
    }

    /// The first part that has not gone on lately, and how long not.
    fn rests(&self, now: Monotonic) -> Option<Rest> {
        let parts = Part::ALL.map(|part| (part.as_str().to_owned(), self.vitals.seen(part)));
        let publishers = self.fanout.seen().into_iter().map(|(name, seen)| (format!("the publisher {name}"), seen));
        parts.into_iter().chain(publishers).find_map(|(whose, Seen { count, last, .. })| {
            let still = now.since(last);
            (count == 0 || still > PROGRESS_MAX).then_some(Rest { whose, has_turned: count > 0 })
        })
    }
}

/// Said when it changes. Before the first turn of all there is nothing to say: the watchdog looks after that.
fn tell(rests: Option<&Rest>, told: &mut Option<Rest>) {
    let rests = rests.filter(|rest| rest.has_turned);
    if rests == told.as_ref() {
        return;
    }
    match rests {
        Some(Rest { whose, .. }) => {
            tracing::error!("no heartbeat: {whose} has not gone on for {} s", PROGRESS_MAX.as_secs());
        }
        None => tracing::info!("the heart beats again"),
    }
    *told = rests.cloned();
}

/// A part that keeps the heart from beating.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Rest {
    whose: String,
    has_turned: bool,
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::sync::Mutex;
    use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};

    use futures::future::BoxFuture;
    use tokio::task::JoinSet;

    use super::*;
    use crate::engine::testing::{TestClock, plan_of};
    use crate::ports::{Exposition, NotifyError, Pinger, PublishError, Publisher, PublisherAccount, PublisherFactory};

    /// Counts beats, and may hang.
    #[derive(Clone, Default)]
    struct Sink {
        beats: Arc<AtomicUsize>,
        pings: Arc<Mutex<BTreeMap<&'static str, usize>>>,
        hangs: Arc<AtomicBool>,
    }

    impl Sink {
        fn answer(&self) -> BoxFuture<'_, Result<(), PublishError>> {
            if self.hangs.load(SeqCst) {
                return Box::pin(std::future::pending());
            }
            Box::pin(std::future::ready(Ok(())))
        }
    }

    impl Publisher for Sink {
        fn publish<'a>(&'a mut self, samples: &'a [Sample]) -> BoxFuture<'a, Result<(), PublishError>> {
            self.beats.fetch_add(samples.iter().filter(|sample| sample.name == MetricName::Heartbeats).count(), SeqCst);
            for (_, outcome) in samples
                .iter()
                .filter(|sample| sample.name == MetricName::HeartbeatPings)
                .filter_map(|sample| sample.labels.also)
            {
                *self.pings.lock().unwrap().entry(outcome).or_default() += 1;
            }
            self.answer()
        }
        fn flush(&mut self) -> BoxFuture<'_, Result<(), PublishError>> {
            self.answer()
        }
        fn tick(&mut self) -> BoxFuture<'_, Result<(), PublishError>> {
            self.answer()
        }
        fn account(&self) -> PublisherAccount {
            PublisherAccount::default()
        }
    }

    impl PublisherFactory for Sink {
        fn identity(&self) -> String {
            String::new()
        }
        fn start(&self, _: Option<&std::path::Path>) -> (Box<dyn Publisher>, Option<Arc<dyn Exposition>>) {
            (Box::new(self.clone()), None)
        }
        fn check(&self) -> BoxFuture<'_, Result<(), PublishError>> {
            self.answer()
        }
    }

    /// Takes pings, refuses them, or hangs, as it is told.
    #[derive(Clone, Default)]
    struct Receiver {
        heard: Arc<Mutex<Vec<Beat>>>,
        refuses: Arc<AtomicBool>,
        hangs: Arc<AtomicBool>,
    }

    impl Pinger for Receiver {
        fn ping(&self, beat: Beat) -> BoxFuture<'_, Result<(), NotifyError>> {
            self.heard.lock().unwrap().push(beat);
            if self.hangs.load(SeqCst) {
                return Box::pin(std::future::pending());
            }
            let refused = NotifyError::Transient { message: "it answers 500".to_owned(), retry_after: None };
            Box::pin(std::future::ready(if self.refuses.load(SeqCst) { Err(refused) } else { Ok(()) }))
        }
    }

    struct World {
        clock: Arc<TestClock>,
        /// Which parts go on.
        going: Arc<[AtomicBool; Part::ALL.len()]>,
        sink: Sink,
        other: Sink,
        receiver: Receiver,
        _tasks: JoinSet<()>,
    }

    impl World {
        fn start() -> Self {
            let clock = TestClock::starting("2026-11-24T10:00:30Z");
            let (sink, other, receiver) = (Sink::default(), Sink::default(), Receiver::default());
            let mut plan = plan_of(Vec::new());
            plan.publishers.insert("sink", Arc::new(sink.clone()));
            plan.publishers.insert("other", Arc::new(other.clone()));
            plan.heartbeat = Some(HeartbeatPlan { ping: Arc::new(receiver.clone()), every: Duration::from_secs(20) });
            let (fanout, mut tasks) = (Fanout::default(), JoinSet::new());
            fanout.take(&plan, &(Arc::clone(&clock) as _), &mut tasks);
            let vitals = Arc::new(Vitals::new(Arc::clone(&clock) as _));
            let going: Arc<[AtomicBool; Part::ALL.len()]> = Arc::new(std::array::from_fn(|_| AtomicBool::new(true)));
            let turn = {
                let (clock, vitals, going) = (Arc::clone(&clock), Arc::clone(&vitals), Arc::clone(&going));
                async move {
                    loop {
                        for part in Part::ALL.into_iter().filter(|part| going[*part as usize].load(SeqCst)) {
                            vitals.turned(part);
                        }
                        clock.sleep_until(clock.monotonic() + Duration::from_secs(5)).await;
                    }
                }
            };
            tasks.spawn(turn);
            let (_, plan) = watch::channel(Arc::new(plan));
            tasks.spawn(Heart { clock: Arc::clone(&clock) as _, vitals, fanout, plan }.run());
            Self { clock, going, sink, other, receiver, _tasks: tasks }
        }

        /// How many beats and pings came within so many seconds.
        async fn within(&self, seconds: u64) -> (usize, usize) {
            let heard = || (self.sink.beats.load(SeqCst), self.receiver.heard.lock().unwrap().len());
            let before = heard();
            self.clock.sleep_until(self.clock.monotonic() + Duration::from_secs(seconds)).await;
            let after = heard();
            (after.0 - before.0, after.1 - before.1)
        }
    }

    #[tokio::test(start_paused = true)]
    async fn it_beats_once_in_each_minute_and_not_while_a_part_rests() {
        let world = World::start();
        let (beats, pings) = world.within(600).await;
        assert!((10..=11).contains(&beats) && (28..=32).contains(&pings), "{beats} beats, {pings} pings");
        for part in Part::ALL {
            world.going[part as usize].store(false, SeqCst);
            // A minute is the patience.
            world.within(70).await;
            assert_eq!(world.within(600).await, (0, 0), "{part:?}");
            world.going[part as usize].store(true, SeqCst);
            let (beats, pings) = world.within(600).await;
            assert!((9..=11).contains(&beats) && (27..=32).contains(&pings), "{part:?}: {beats}, {pings}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_publisher_that_hangs_stops_it_for_the_others() {
        let world = World::start();
        world.within(120).await;
        world.other.hangs.store(true, SeqCst);
        world.within(70).await;
        assert_eq!(world.within(600).await, (0, 0));
    }

    #[tokio::test(start_paused = true)]
    async fn it_pings_from_the_start_and_nobody_who_hangs_stops_it() {
        let world = World::start();
        world.within(65).await;
        let heard = || world.receiver.heard.lock().unwrap().clone();
        assert_eq!(heard(), [Beat::Start, Beat::Alive, Beat::Alive, Beat::Alive, Beat::Alive]);
        world.receiver.refuses.store(true, SeqCst);
        world.within(60).await;
        world.receiver.hangs.store(true, SeqCst);
        let (beats, pings) = world.within(600).await;
        assert!((9..=11).contains(&beats) && (18..=32).contains(&pings), "{beats} beats, {pings} pings");
        let counted = world.sink.pings.lock().unwrap().clone();
        assert_eq!(counted["delivered"], 4);
        // The last one may still be going on.
        let uncounted = heard().len() - 1 - counted.values().sum::<usize>();
        assert!(uncounted <= 1, "{counted:?}, {uncounted}");
    }
}
