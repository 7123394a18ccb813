//! Publishers that come and go.

use std::path::Path;
use std::sync::Mutex;

use futures::future::BoxFuture;

use super::*;
use crate::engine::testing::{TestClock, plan_of};
use crate::ports::{PublishError, PublisherFactory};

/// Holds what runs say until it ends; then it delivers two of them.
struct Holds {
    identity: &'static str,
    /// How long it takes to end.
    flush: Duration,
}

/// What it was told.
#[derive(Clone, Default)]
struct Hears(Arc<Mutex<Vec<String>>>);

impl Hears {
    fn take(&self) -> Vec<String> {
        std::mem::take(&mut self.0.lock().unwrap())
    }
}

struct Holding(PublisherAccount, Duration);

impl Publisher for Holding {
    fn publish<'a>(&'a mut self, samples: &'a [Sample]) -> BoxFuture<'a, Result<(), PublishError>> {
        self.0.waiting += samples.iter().filter(|sample| sample.name == MetricName::ProbeSuccess).count() as u64;
        Box::pin(std::future::ready(Ok(())))
    }
    fn flush(&mut self) -> BoxFuture<'_, Result<(), PublishError>> {
        Box::pin(async {
            let delivered = self.0.waiting.min(2);
            (self.0.delivered, self.0.waiting) = (delivered, self.0.waiting - delivered);
            tokio::time::sleep(self.1).await;
            self.0.dropped += std::mem::take(&mut self.0.waiting);
            Ok(())
        })
    }
    fn tick(&mut self) -> BoxFuture<'_, Result<(), PublishError>> {
        Box::pin(std::future::ready(Ok(())))
    }
    fn account(&self) -> PublisherAccount {
        self.0
    }
}

impl Publisher for Hears {
    fn publish<'a>(&'a mut self, samples: &'a [Sample]) -> BoxFuture<'a, Result<(), PublishError>> {
        let of = |sample: &Sample| Some(format!("{} {}", sample.labels.also?.1, sample.value));
        self.0.lock().unwrap().extend(samples.iter().filter_map(of));
        Box::pin(std::future::ready(Ok(())))
    }
    fn flush(&mut self) -> BoxFuture<'_, Result<(), PublishError>> {
        Box::pin(std::future::ready(Ok(())))
    }
    fn tick(&mut self) -> BoxFuture<'_, Result<(), PublishError>> {
        Box::pin(std::future::ready(Ok(())))
    }
    fn account(&self) -> PublisherAccount {
        PublisherAccount::default()
    }
}

impl PublisherFactory for Holds {
    fn identity(&self) -> String {
        self.identity.to_owned()
    }
    fn start(&self, _: Option<&Path>) -> (Box<dyn Publisher>, Option<Arc<dyn Exposition>>) {
        (Box::new(Holding(PublisherAccount::default(), self.flush)), None)
    }
    fn check(&self) -> BoxFuture<'_, Result<(), PublishError>> {
        Box::pin(std::future::ready(Ok(())))
    }
}

impl PublisherFactory for Hears {
    fn identity(&self) -> String {
        String::new()
    }
    fn start(&self, _: Option<&Path>) -> (Box<dyn Publisher>, Option<Arc<dyn Exposition>>) {
        (Box::new(self.clone()), None)
    }
    fn check(&self) -> BoxFuture<'_, Result<(), PublishError>> {
        Box::pin(std::future::ready(Ok(())))
    }
}

#[tokio::test(start_paused = true)]
async fn what_a_publisher_held_that_is_changed_or_taken_away_has_its_fate_told() {
    let clock = TestClock::starting("2026-11-24T10:00:00Z");
    let (hears, fanout, mut tasks) = (Hears::default(), Fanout::default(), JoinSet::new());
    let (at, clock): (_, Arc<dyn Clock>) = (clock.now(), clock);
    let mut take = |holds: Option<(&'static str, Duration)>| {
        let mut plan = plan_of(Vec::new());
        plan.publishers = [("hears", Arc::new(hears.clone()) as Arc<dyn PublisherFactory>)].into();
        if let Some((identity, flush)) = holds {
            plan.publishers.insert("holds", Arc::new(Holds { identity, flush }));
        }
        fanout.take(&plan, &clock, &mut tasks);
    };
    let send = |count| {
        let labels = SampleLabels::default();
        fanout.send(vec![Sample { name: MetricName::ProbeSuccess, at, value: 1.0, labels }; count]);
    };
    let while_so = || tokio::time::sleep(Duration::from_secs(5));

    take(Some(("first", Duration::ZERO)));
    send(5);
    while_so().await;
    assert_eq!(hears.take(), ["waiting 5"]);
    take(Some(("second", FLUSH_MAX * 2)));
    while_so().await;
    assert_eq!(hears.take(), ["delivered 2", "dropped 3", "waiting 0", "spooled 0"], "by its successor");
    send(7);
    while_so().await;
    assert_eq!(hears.take(), ["waiting 7"]);
    take(None);
    while_so().await;
    assert_eq!(hears.take(), ["delivered 2", "dropped 5", "waiting 0"], "what waits when the time ends is lost");
}
