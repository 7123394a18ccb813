//! What samples become, without sending anything: by the same packets, turns and limits by which they are sent.

use chrono::TimeDelta;

use super::backlog::Backlog;
use super::growing::{GRACE, minute};
use super::last::Lasts;
use super::publisher::Manner;
use crate::domain::metric::Sample;
use crate::domain::time::Timestamp;
use crate::ports::Foretold;

/// What becomes of the samples of a minute, where those before came before it.
pub fn foretell(manner: &Manner, samples: &[Sample], before: &[Sample]) -> Foretold {
    let mut foretold = Foretold::default();
    let Some(begin) = samples.iter().map(|sample| minute(sample.at)).min() else { return foretold };
    let (mut backlog, mut lasts) = (Backlog::new(manner.resolution, manner.sets), Lasts::new(manner.republish));
    lasts.see(before);
    let mut to_come: Vec<&Sample> = samples.iter().collect();
    to_come.sort_by_key(|sample| std::cmp::Reverse(sample.at));
    let sent = begin + TimeDelta::minutes(1) + GRACE;
    for now in seconds(begin, sent) {
        let again = lasts.turn(now);
        // Until the minute is over what is said again is of the one before.
        if now == sent {
            backlog.take(&again, now);
        }
        backlog.turn(now);
        while let Some(packets) = backlog.next_request(now) {
            foretold.requests += 1;
            foretold.series.extend(packets.iter().flat_map(|packet| {
                let whom = packet.whom.dimensions("");
                packet.name.cloudwatch().iter().map(move |metric| format!("{} {whom:?}", metric.name))
            }));
            backlog.delivered();
        }
        while let Some(sample) = to_come.pop_if(|sample| sample.at < now + TimeDelta::seconds(1)) {
            lasts.see(std::slice::from_ref(sample));
            backlog.take(std::slice::from_ref(sample), now);
        }
    }
    foretold
}

fn seconds(from: Timestamp, through: Timestamp) -> impl Iterator<Item = Timestamp> {
    std::iter::successors(Some(from), |at| Some(*at + TimeDelta::seconds(1))).take_while(move |at| *at <= through)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::domain::metric::{MetricName, SampleLabels};
    use crate::domain::names::ProbeName;
    use crate::publishers::cloudwatch::packet::Resolution;
    use crate::publishers::cloudwatch::whom::Sets;

    fn sample(name: MetricName, probe: &str, time: &str) -> Sample {
        let labels = SampleLabels {
            probe: ProbeName::parse(probe).ok(),
            schedule: "often".parse().ok(),
            ..SampleLabels::default()
        };
        Sample { name, at: format!("2026-11-24T{time}Z").parse().unwrap(), value: 1.0, labels }
    }

    fn run(probe: &str, time: &str) -> [Sample; 2] {
        [sample(MetricName::ProbeSuccess, probe, time), sample(MetricName::ProbeDuration, probe, time)]
    }

    #[test]
    fn a_minute_is_one_request_and_three_series_a_probe() {
        let minute = [run("a", "10:00:01"), run("b", "10:00:59.5"), run("a", "10:00:31")].concat();
        let foretold = foretell(&Manner::default(), &minute, &[]);
        assert_eq!((foretold.requests, foretold.series.len()), (1, 6));
        assert_eq!(foretell(&Manner::default(), &[], &[]), Foretold::default());
    }

    #[test]
    fn what_is_silent_for_long_has_two_series_more() {
        let manner = Manner { republish: Some(Duration::from_secs(600)), ..Manner::default() };
        let before = [run("hourly", "09:40:01"), run("a", "09:59:31")].concat();
        let foretold = foretell(&manner, &run("a", "10:00:01"), &before);
        let series: Vec<_> = foretold.series.iter().filter_map(|series| series.split_once(' ')).collect();
        let (a, hourly) = ("[(\"Probe\", \"a\")]", "[(\"Probe\", \"hourly\")]");
        let again =
            [("Age", hourly), ("Duration", a), ("Failed", a), ("LastSuccessPercent", hourly), ("SuccessPercent", a)];
        assert_eq!((foretold.requests, series), (1, again.to_vec()));
    }

    #[test]
    fn choice_costs_series_and_requests() {
        let sets = Sets { schedule: true, step: false };
        let manner = Manner { resolution: Resolution::Second, sets, ..Manner::default() };
        let minute = [run("a", "10:00:01"), run("a", "10:00:31"), run("a", "10:00:32")].concat();
        let foretold = foretell(&manner, &minute, &[]);
        assert_eq!((foretold.requests, foretold.series.len()), (2, 6), "{foretold:?}");
    }
}
