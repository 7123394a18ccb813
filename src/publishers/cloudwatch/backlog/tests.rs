//! Traces of single samples, and the account as a property of any trace.

use super::*;
use crate::domain::metric::{MetricName, SampleLabels};
use crate::domain::names::ProbeName;
use crate::publishers::cloudwatch::packet::REQUEST_BYTES_MAX;
use crate::publishers::cloudwatch::whom::Whom;
use chrono::TimeDelta;
use proptest::prelude::*;

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

const NOON: &str = "2026-11-24T12:00:00Z";

fn sample(name: MetricName, probe: &str, at: Timestamp, value: f64) -> Sample {
    let labels = SampleLabels { probe: Some(ProbeName::parse(probe).unwrap()), ..SampleLabels::default() };
    Sample { name, at, value, labels }
}

fn durations(count: usize, at: Timestamp) -> Vec<Sample> {
    (0..count).map(|n| sample(MetricName::ProbeDuration, &format!("probe-{n}"), at, 0.5)).collect()
}

fn probe_of(packet: &Packet) -> &str {
    let Whom::Probe(probe) = &packet.whom else { panic!("{packet:?} is of no probe") };
    probe.as_str()
}

/// What it really holds, counted one by one.
fn held(backlog: &mut Backlog) -> u64 {
    backlog.kept();
    let waiting = backlog.waiting.iter().chain(backlog.suspects.iter().flatten()).map(|packet| packet.samples);
    let waiting: u64 = waiting.sum();
    let mut open = 0;
    while let Some(packet) = backlog.growing.pop_oldest() {
        open += packet.samples;
    }
    waiting + open
}

#[test]
fn requests_stay_within_a_thousand_data() {
    let now = at(NOON);
    let mut backlog = Backlog::default();
    backlog.take(&durations(2_500, now), now);
    backlog.close();
    let mut sizes = Vec::new();
    while let Some(request) = backlog.next_request(now) {
        sizes.push(request.iter().map(Packet::data_count).sum::<usize>());
        backlog.delivered();
    }
    assert_eq!(sizes, [1_000, 1_000, 500]);
    assert_eq!(backlog.account(), PublisherAccount { delivered: 2_500, waiting: 0, spooled: 0, dropped: 0 });
}

#[test]
fn success_has_two_data_for_each_sample() {
    let now = at(NOON);
    let mut backlog = Backlog::default();
    let all: Vec<_> = (0..501).map(|n| sample(MetricName::ProbeSuccess, &format!("p{n}"), now, 1.0)).collect();
    backlog.take(&all, now);
    backlog.close();
    assert_eq!(backlog.next_request(now).map(<[Packet]>::len), Some(500));
    backlog.delivered();
    assert_eq!(backlog.next_request(now).map(<[Packet]>::len), Some(1));
}

#[test]
fn requests_stay_within_a_megabyte() {
    let now = at(NOON);
    let mut backlog = Backlog::default();
    // 400 data with 150 values each are far less than a thousand, and more than a megabyte.
    let all: Vec<_> = (0..400)
        .flat_map(|probe| (0..150).map(move |n| (probe, f64::from(n))))
        .map(|(probe, value)| sample(MetricName::ProbeDuration, &format!("probe-{probe}"), now, value))
        .collect();
    backlog.take(&all, now);
    backlog.close();
    let mut requests = 0;
    while let Some(request) = backlog.next_request(now) {
        assert!(request.iter().map(Packet::bytes).sum::<usize>() <= REQUEST_BYTES_MAX);
        backlog.delivered();
        requests += 1;
    }
    assert_eq!((requests, backlog.account().delivered), (2, 60_000));
}

#[test]
fn one_bad_datum_loses_only_itself() {
    let now = at(NOON);
    let mut backlog = Backlog::default();
    backlog.take(&durations(1_000, now), now);
    backlog.close();
    let mut requests = 0;
    let mut blamed = Vec::new();
    while let Some(request) = backlog.next_request(now) {
        requests += 1;
        if request.iter().any(|packet| probe_of(packet) == "probe-700") {
            blamed.extend(backlog.refused());
        } else {
            backlog.delivered();
        }
    }
    assert_eq!(backlog.account(), PublisherAccount { delivered: 999, waiting: 0, spooled: 0, dropped: 1 });
    assert_eq!(blamed.len(), 1);
    assert_eq!(probe_of(&blamed[0]), "probe-700");
    assert!(requests <= 21, "{requests} requests for one of 1,000");
}

#[test]
fn a_part_of_a_refused_request_stays_by_itself_while_the_network_is_away() {
    let now = at(NOON);
    let mut backlog = Backlog::default();
    backlog.take(&durations(4, now), now);
    backlog.close();
    backlog.next_request(now);
    assert_eq!(backlog.refused(), None);
    let half = backlog.next_request(now).unwrap().to_vec();
    backlog.kept();
    backlog.take(&durations(9, now), now);
    backlog.close();
    assert_eq!((half.len(), backlog.next_request(now)), (2, Some(&half[..])));
    backlog.delivered();
    assert_eq!(backlog.next_request(now).map(<[Packet]>::len), Some(2), "the other half");
    backlog.delivered();
    assert_eq!(backlog.next_request(now).map(<[Packet]>::len), Some(9), "and then what came since");
}

#[test]
fn live_values_go_before_old_ones() {
    let mut backlog = Backlog::default();
    for time in ["2026-11-24T11:00:00Z", "2026-11-24T11:01:00Z", NOON] {
        backlog.take(&durations(600, at(time)), at(NOON));
        backlog.close();
    }
    let request = backlog.next_request(at(NOON)).unwrap();
    assert_eq!(request[0].at, at(NOON));
    assert_eq!(request.iter().filter(|packet| packet.at == at(NOON)).count(), 600);
    // What is kept goes again, in the same order.
    let first = request.to_vec();
    backlog.kept();
    assert_eq!(backlog.next_request(at(NOON)).unwrap(), first);
}

#[test]
fn beyond_the_bound_the_oldest_go_and_are_counted() {
    let mut backlog = Backlog::default();
    let old = at("2026-11-24T11:00:00Z");
    assert_eq!(backlog.take(&durations(60_000, old), at(NOON)), 0);
    backlog.close();
    assert_eq!(backlog.take(&durations(60_000, at(NOON)), at(NOON)), 20_000);
    assert_eq!(backlog.account(), PublisherAccount { delivered: 0, waiting: SAMPLES_MAX, spooled: 0, dropped: 20_000 });
    backlog.close();
    assert_eq!(backlog.waiting.iter().filter(|packet| packet.at == old).count(), 40_000);
}

#[test]
fn what_the_service_would_refuse_is_dropped_before_it_is_sent() {
    let now = at(NOON);
    let mut backlog = Backlog::default();
    let days = |days| sample(MetricName::ProbeDuration, "p", now + TimeDelta::days(days), 1.0);
    let hours = |hours| sample(MetricName::ProbeDuration, "p", now + TimeDelta::hours(hours), 1.0);
    let not_a_number = sample(MetricName::ProbeDuration, "p", now, f64::NAN);
    assert_eq!(backlog.take(&[days(-15), hours(3), not_a_number], now), 3);
    assert_eq!(backlog.take(&[days(-13), hours(1), hours(0)], now), 0);
    backlog.close();
    // Two days later one of them is too old.
    assert_eq!(backlog.next_request(now + TimeDelta::days(2)).map(<[Packet]>::len), Some(2));
    assert_eq!(backlog.account(), PublisherAccount { delivered: 0, waiting: 2, spooled: 0, dropped: 4 });
}

#[test]
fn samples_that_are_not_for_cloudwatch_are_nothing_to_it() {
    let mut backlog = Backlog::default();
    backlog.take(&[sample(MetricName::Lateness, "p", at(NOON), 1.0)], at(NOON));
    assert_eq!(backlog.account(), PublisherAccount::default());
    let beat = Sample { labels: SampleLabels::default(), ..sample(MetricName::Heartbeats, "p", at(NOON), 1.0) };
    backlog.take(&[beat], at(NOON));
    assert_eq!(backlog.account().waiting, 1, "what is of no probe is of the place where we stand");
}

#[test]
fn what_goes_to_the_disk_is_complete_and_in_requests_and_comes_back_where_it_was() {
    let (now, old) = (at(NOON), at("2026-11-24T11:59:00Z"));
    let mut backlog = Backlog::default();
    backlog.take(&durations(1_500, old), now);
    backlog.close();
    backlog.next_request(now);
    backlog.take(&durations(700, now), now);
    backlog.close();
    backlog.take(&durations(3, now), now);
    let parts = backlog.take_complete();
    assert_eq!(parts.iter().map(Vec::len).collect::<Vec<_>>(), [1_000, 1_000, 200]);
    assert!(parts[0].iter().all(|packet| packet.at == old) && parts[2].iter().all(|packet| packet.at == now));
    assert!(!backlog.has_complete());
    assert_eq!(backlog.account().waiting, 2_203, "they wait until they are written");
    backlog.spooled(1_000);
    backlog.returned(parts[1..].to_vec());
    assert_eq!((backlog.account().waiting, held(&mut backlog)), (1_203, 1_203));
}

#[derive(Clone, Debug)]
enum Act {
    Take { probes: u8, value: u8, minutes_ago: u16 },
    Turn,
    Close,
    Send(Fate),
}

#[derive(Clone, Copy, Debug)]
enum Fate {
    Delivered,
    Kept,
    Refused,
    Cancelled,
    Spooled,
    NotSpooled,
}

fn act() -> impl Strategy<Value = Act> {
    let fate = proptest::sample::select(vec![
        Fate::Delivered,
        Fate::Kept,
        Fate::Refused,
        Fate::Cancelled,
        Fate::Spooled,
        Fate::NotSpooled,
    ]);
    prop_oneof![
        (1..=255_u8, any::<u8>(), 0..30_000_u16).prop_map(|(probes, value, minutes_ago)| Act::Take {
            probes,
            value,
            minutes_ago
        }),
        Just(Act::Turn),
        Just(Act::Close),
        fate.prop_map(Act::Send),
    ]
}

proptest! {
    /// `taken = delivered + waiting + spooled + dropped`, where what waits is counted one by one.
    #[test]
    fn every_sample_has_exactly_one_fate(acts in proptest::collection::vec(act(), 0..60)) {
        let mut backlog = Backlog::default();
        let mut now = at(NOON);
        let mut taken = 0;
        let (mut confirmed, mut on_disk) = (0, 0);
        for act in acts {
            now += TimeDelta::seconds(17);
            match act {
                Act::Take { probes, value, minutes_ago } => {
                    let time = now - TimeDelta::minutes(i64::from(minutes_ago));
                    let value = if value == 255 { f64::NAN } else { f64::from(value) };
                    let samples: Vec<_> = (0..probes)
                        .map(|n| sample(MetricName::ProbeSuccess, &format!("p{n}"), time, value))
                        .collect();
                    taken += u64::from(probes);
                    backlog.take(&samples, now);
                }
                Act::Turn => backlog.turn(now),
                Act::Close => backlog.close(),
                Act::Send(fate) => {
                    let Some(request) = backlog.next_request(now) else { continue };
                    let here = samples(request);
                    match fate {
                        Fate::Delivered => {
                            confirmed += here;
                            backlog.delivered();
                        }
                        Fate::Kept => backlog.kept(),
                        Fate::Refused => drop(backlog.refused()),
                        Fate::Cancelled => {}
                        Fate::Spooled => {
                            let all: u64 = backlog.take_complete().iter().map(|part| samples(part)).sum();
                            backlog.spooled(all);
                            on_disk += all;
                        }
                        Fate::NotSpooled => {
                            let all = backlog.take_complete();
                            backlog.returned(all);
                        }
                    }
                }
            }
        }
        let account = backlog.account();
        prop_assert_eq!(account.delivered, confirmed);
        prop_assert_eq!(account.waiting, held(&mut backlog));
        prop_assert_eq!(account.delivered + account.waiting + on_disk + account.dropped, taken);
    }
}
