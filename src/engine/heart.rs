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
            self.tell(rests.as_ref(), &mut resting);
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
            (count == 0 || still > PROGRESS_MAX).then(|| Rest { whose, has_turned: count > 0 })
        })
    }

    /// Said when it changes. Before the first turn of all there is nothing to say: the watchdog looks after that.
    fn tell(&self, rests: Option<&Rest>, told: &mut Option<Rest>) {
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
}

/// A part that keeps the heart from beating.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Rest {
    whose: String,
    has_turned: bool,
}
