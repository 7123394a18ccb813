//! What comes and goes once a second for an hour, through the whole engine and the real store to receivers, under simulated
//! time: each hears one beginning and one end for each interval, and all of it is recorded.

use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures::future::BoxFuture;
use tokio::runtime::Handle;
use tokio::sync::watch;

use super::testing::{Waited, channel, kept};
use crate::domain::flapping::FlappingPolicy;
use crate::domain::grouping::{Grouping, Keeping};
use crate::domain::incident::{Event, Severity};
use crate::domain::outcome::{Failure, FailureKind, Observation};
use crate::domain::route::Route;
use crate::domain::time::{Timestamp, between};
use crate::engine::fanout::Fanout;
use crate::engine::start::{Engine, Rooms};
use crate::engine::testing::{NoTicks, TestClock, plan_of, policy, probe, schedule_of, step};
use crate::ports::{Clock as _, Notification, Notifier, NotifyError, Receipt};

/// Puts down when it was told that something begins or ends.
struct Line {
    clock: Arc<TestClock>,
    keeping: Keeping,
    taken: Mutex<Vec<(Timestamp, Event)>>,
}

impl Notifier for Line {
    fn notify<'a>(&'a self, told: &'a Notification) -> BoxFuture<'a, Result<Receipt, NotifyError>> {
        let now = self.clock.now();
        let both = told.late && told.event == Event::Resolved;
        let mut taken = self.taken.lock().unwrap();
        taken.extend(both.then_some((now, Event::Opened)));
        taken.push((now, told.event));
        Box::pin(std::future::ready(Ok(Receipt::default())))
    }

    fn keeping(&self) -> Keeping {
        self.keeping
    }
}

/// A probe that fails every other second for so many, and passes then: what each receiver was told, and how many incidents are
/// recorded.
async fn comes_and_goes(flapping: FlappingPolicy, seconds: usize) -> (Vec<Vec<(Timestamp, Event)>>, i64) {
    let clock = TestClock::starting("2026-11-24T10:00:00Z");
    let (kept, runs) = (kept(), AtomicUsize::new(0));
    let mut tier = schedule_of("tier", "1s", 1);
    let alert = policy("1", Severity::P1);
    tier.alert = Some(crate::domain::judge::AlertPolicy { flapping, ..alert });
    let mut plan = plan_of(vec![tier]);
    let mut restless = probe("probe-0");
    restless.steps = vec![step("only", move || {
        let run = runs.fetch_add(1, SeqCst);
        let failure = Failure::new(FailureKind::ConnectRefused, "nobody listens");
        (Duration::ZERO, if run < seconds && run % 2 == 0 { Err(failure) } else { Ok(Observation::default()) })
    })];
    plan.probes.insert(restless.name.clone(), Arc::new(restless));
    let line = |keeping| Arc::new(Line { clock: Arc::clone(&clock), keeping, taken: Mutex::default() });
    let lines = [("ops", line(Keeping::Messages)), ("oncall", line(Keeping::Alerts)), ("team", line(Keeping::Threads))];
    plan.channels = lines.iter().map(|(name, line)| (channel(name), Arc::clone(line) as Arc<dyn Notifier>)).collect();
    plan.routes = vec![Route { to: plan.channels.keys().cloned().collect(), ..Route::default() }];
    let rooms = Rooms {
        clock: Arc::clone(&clock) as _,
        ticks: Box::new(NoTicks),
        store: Arc::new(Waited(Arc::clone(&kept.store))),
        plan: watch::Sender::new(Arc::new(plan)),
        fanout: Fanout::default(),
        threads: vec![Handle::current()],
        pulses: Arc::default(),
        unrecorded: Arc::default(),
    };
    let engine = Engine::start(rooms).await.unwrap();
    let rest = flapping.quiet + Duration::from_secs(100);
    clock.sleep_until(clock.monotonic() + Duration::from_secs(seconds.try_into().unwrap()) + rest).await;
    engine.stop().await;
    let pending = kept.number("SELECT count(*) FROM outbox WHERE state NOT IN ('delivered', 'merged')");
    assert_eq!(pending, 0, "nothing waits, and nothing was given up");
    let recorded = kept.number("SELECT count(*) FROM incidents WHERE resolved_at IS NOT NULL");
    kept.store.close().await;
    (lines.iter().map(|(_, line)| line.taken.lock().unwrap().clone()).collect(), recorded)
}

#[tokio::test(start_paused = true)]
async fn a_receiver_hears_one_beginning_and_one_end_for_each_interval() {
    let each = FlappingPolicy { openings: 100, within: Duration::from_secs(10), quiet: Duration::from_secs(10) };
    // What flaps is one incident in the end; where that is no state of its own, each interval has its message.
    for (flapping, seconds, incidents, beginnings) in
        [(FlappingPolicy::default(), 3_600, 4, 2..=2), (each, 600, 300, 10..=11)]
    {
        let (receivers, recorded) = comes_and_goes(flapping, seconds).await;
        assert_eq!(recorded, incidents, "each is recorded");
        for taken in receivers {
            let events: Vec<_> = taken.iter().map(|(_, event)| *event).collect();
            assert!(events.chunks(2).all(|pair| pair == [Event::Opened, Event::Resolved]), "in turn: {events:?}");
            let begun: Vec<_> = taken.iter().step_by(2).map(|(at, _)| *at).collect();
            assert!(beginnings.contains(&begun.len()), "{} beginnings", begun.len());
            let closest = begun.windows(2).map(|pair| between(pair[0], pair[1])).min().unwrap();
            assert!(closest >= Grouping::default().interval, "{closest:?} apart");
        }
    }
}
