//! A channel that is down for an hour, with the real store and the real deliverer under simulated time: when it is back all is
//! told within a minute, what is over by then too, and no other channel has noticed.

use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures::future::BoxFuture;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::testing::{Waited, channel, incident, kept, opening, resolving, second};
use crate::domain::grouping::Keeping;
use crate::domain::incident::{Event, Severity};
use crate::domain::time::{Monotonic, Timestamp, between};
use crate::engine::deliverer::Deliverer;
use crate::engine::fanout::Fanout;
use crate::engine::testing::{TestClock, plan_of};
use crate::engine::vitals::Vitals;
use crate::ports::{Clock as _, Notification, Notifier, NotifyError, Receipt, Store as _};

/// So many incidents open during the hour; the first half of them are over before it ends.
const INCIDENTS: i64 = 40;

/// What is wrong with a receiver.
#[derive(Clone, Copy, Debug)]
enum Fault {
    Refused,
    Hangs,
    Fails,
    Throttles,
    HasNoName,
}

/// A receiver that is down until it is told otherwise, and puts down what it takes.
struct Line {
    clock: Arc<TestClock>,
    fault: Option<Fault>,
    keeps_alerts: bool,
    down: AtomicBool,
    taken: Mutex<Vec<(Timestamp, Notification)>>,
}

impl Notifier for Line {
    fn notify<'a>(&'a self, told: &'a Notification) -> BoxFuture<'a, Result<Receipt, NotifyError>> {
        Box::pin(async move {
            let again =
                |message: &str, retry_after| NotifyError::Transient { message: message.to_owned(), retry_after };
            match self.fault.filter(|_| self.down.load(SeqCst)) {
                Some(Fault::Refused) => Err(again("connection refused", None)),
                Some(Fault::Hangs) => std::future::pending().await,
                Some(Fault::Fails) => Err(again("503 Service Unavailable", None)),
                Some(Fault::Throttles) => Err(again("429 Too Many Requests", Some(Duration::from_secs(30)))),
                Some(Fault::HasNoName) => Err(again("SERVFAIL", None)),
                None => {
                    self.taken.lock().unwrap().push((self.clock.now(), told.clone()));
                    Ok(Receipt::default())
                }
            }
        })
    }

    fn keeping(&self) -> Keeping {
        if self.keeps_alerts { Keeping::Alerts } else { Keeping::Messages }
    }
}

#[tokio::test(start_paused = true)]
async fn a_channel_that_was_down_for_an_hour_hears_all_of_it_within_a_minute() {
    for (fault, keeps_alerts) in [
        (Fault::Refused, false),
        (Fault::Hangs, false),
        (Fault::Fails, true),
        (Fault::Throttles, true),
        (Fault::HasNoName, false),
    ] {
        let clock = TestClock::starting("2026-11-24T10:00:00Z");
        let line = |fault, keeps_alerts| {
            let (clock, down) = (Arc::clone(&clock), AtomicBool::new(true));
            Arc::new(Line { clock, fault, keeps_alerts, down, taken: Mutex::default() })
        };
        let (ops, sms) = (line(Some(fault), keeps_alerts), line(None, false));
        let kept = kept();
        let store = Arc::new(Waited(Arc::clone(&kept.store)));
        let mut plan = plan_of(Vec::new());
        plan.channels =
            [(channel("ops"), Arc::clone(&ops) as Arc<dyn Notifier>), (channel("sms"), Arc::clone(&sms) as _)].into();
        let (_plans, plan) = watch::channel(Arc::new(plan));
        let (wake, stop) = (Arc::<tokio::sync::Notify>::default(), CancellationToken::new());
        let deliverer = Deliverer {
            clock: Arc::clone(&clock) as _,
            store: Arc::clone(&store) as _,
            plan,
            fanout: Fanout::default(),
            wake: Arc::clone(&wake),
            unrecorded: Arc::default(),
            stop: stop.clone(),
            vitals: Arc::new(Vitals::new(Arc::clone(&clock) as _)),
        };
        let mut task = JoinSet::new();
        task.spawn(deliverer.run());

        let both = ["ops", "sms"];
        for n in 0..INCIDENTS {
            let at = n * 90;
            clock.sleep_until(Monotonic(Duration::from_secs(at.unsigned_abs()))).await;
            store.commit(opening(&incident(&format!("I{n:02}"), Severity::P1, at), &both, at).into()).await.unwrap();
            if n % 2 == 1 {
                let over = incident(&format!("I{:02}", n / 2), Severity::P1, n / 2 * 90);
                store.commit(resolving(&over, &both, at).into()).await.unwrap();
            }
            wake.notify_one();
        }
        clock.sleep_until(Monotonic(Duration::from_secs(3_600))).await;
        assert!(ops.taken.lock().unwrap().is_empty());
        ops.down.store(false, SeqCst);
        clock.sleep_until(Monotonic(Duration::from_secs(3_660))).await;
        stop.cancel();
        task.join_next().await.unwrap().unwrap();

        let taken = ops.taken.lock().unwrap().clone();
        let told = |id: &str| {
            let of_it = taken.iter().filter(|(_, told)| &*told.incident.id.0 == id);
            of_it.map(|(_, told)| (told.event, told.late)).collect::<Vec<_>>()
        };
        for n in 0..INCIDENTS {
            let expected: &[_] = match (n < INCIDENTS / 2, keeps_alerts) {
                (true, false) => &[(Event::Resolved, true)],
                (true, true) => &[(Event::Opened, true), (Event::Resolved, false)],
                (false, _) => &[(Event::Opened, false)],
            };
            assert_eq!(told(&format!("I{n:02}")), expected, "{fault:?}: I{n:02}");
        }
        let others = sms.taken.lock().unwrap().clone();
        assert_eq!(i64::try_from(others.len()).unwrap(), INCIDENTS + INCIDENTS / 2);
        let late = others.iter().map(|(at, told)| between(told.at, *at)).max().unwrap();
        assert!(late < Duration::from_secs(20), "{fault:?}: another channel heard it {late:?} late");
        assert_eq!(store.due_deliveries(second(3_700), 100).await.unwrap().oldest, None, "{fault:?}");
        kept.store.close().await;
    }
}
