//! What samples become, without sending anything: by the same packets, turns and limits by which they are sent.

use std::collections::BTreeSet;

use chrono::TimeDelta;

use super::backlog::Backlog;
use super::minutes::minute;
use crate::domain::metric::Sample;
use crate::ports::PublisherLoad;

/// How many seconds after its beginning all of a minute has been sent.
const SENT_AFTER: i64 = 75;

/// What becomes of the samples of a minute. Those of a longer time are counted as well, but in more requests than would be
/// sent.
pub fn load(mut backlog: Backlog, samples: &[Sample]) -> PublisherLoad {
    let mut series = BTreeSet::new();
    let mut requests = 0;
    let Some(begin) = samples.iter().map(|sample| minute(sample.at)).min() else { return PublisherLoad::default() };
    let mut later: Vec<&Sample> = samples.iter().collect();
    later.sort_by_key(|sample| std::cmp::Reverse(sample.at));
    for second in 0..=SENT_AFTER {
        let now = begin + TimeDelta::seconds(second);
        backlog.turn(now);
        while let Some(packets) = backlog.next_request(now) {
            requests += 1;
            for packet in packets {
                let metrics = packet.name.cloudwatch().iter();
                series.extend(metrics.map(|metric| (metric.name, packet.probe.clone())));
            }
            backlog.delivered();
        }
        while let Some(sample) = later.pop_if(|sample| sample.at < now + TimeDelta::seconds(1)) {
            backlog.take(std::slice::from_ref(sample), now);
        }
    }
    PublisherLoad { requests, series: series.len() as u64 }
}
