//! What CloudWatch has after we published to it.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use aws_sdk_cloudwatch::Client;
use aws_sdk_cloudwatch::primitives::DateTime;
use aws_sdk_cloudwatch::types::{Datapoint, Dimension, Statistic};
use futures::future::BoxFuture;
use roundsman::clock::SystemClock;
use roundsman::domain::metric::{MetricName, Sample, SampleLabels};
use roundsman::domain::names::{ProbeName, ScheduleName};
use roundsman::domain::time::{Monotonic, Timestamp};
use roundsman::net::aws::Aws;
use roundsman::ports::{Clock, Publisher as _, PublisherAccount};
use roundsman::publishers::cloudwatch::CloudWatch;
use serde_json::json;

use crate::servers::moto::{Moto, access};

/// A clock that is moved by hand, beginning ten seconds into the minute that it really is: the service looks at times.
struct HandClock {
    start: Timestamp,
    passed: Mutex<Duration>,
}

impl HandClock {
    fn new() -> Arc<Self> {
        let now = SystemClock::start().now();
        let start = now - chrono::TimeDelta::milliseconds(now.timestamp_millis() % 60_000 - 10_000);
        Arc::new(Self { start, passed: Mutex::default() })
    }

    fn advance(&self, seconds: u64) {
        *self.passed.lock().unwrap() += Duration::from_secs(seconds);
    }
}

impl Clock for HandClock {
    fn now(&self) -> Timestamp {
        self.start + self.monotonic().0
    }
    fn monotonic(&self) -> Monotonic {
        Monotonic(*self.passed.lock().unwrap())
    }
    fn sleep_until(&self, _: Monotonic) -> BoxFuture<'_, ()> {
        Box::pin(std::future::ready(()))
    }
}

fn publisher(url: &str, clock: &Arc<HandClock>) -> CloudWatch {
    let namespace = "Roundsman/Test".to_owned().try_into().unwrap();
    CloudWatch::new(namespace, Arc::from("here"), Arc::new(Aws::new(access(url))), Arc::clone(clock) as Arc<dyn Clock>)
}

fn sample(name: MetricName, probe: &str, at: Timestamp, value: f64) -> Sample {
    let labels = SampleLabels {
        probe: Some(ProbeName::parse(probe).unwrap()),
        schedule: Some(ScheduleName::parse("reachability").unwrap()),
        ..SampleLabels::default()
    };
    Sample { name, at, value, labels }
}

fn durations(count: usize, at: Timestamp) -> Vec<Sample> {
    (0..count).map(|n| sample(MetricName::ProbeDuration, &format!("probe-{n}"), at, 0.25)).collect()
}

fn account(delivered: u64, waiting: u64, dropped: u64) -> PublisherAccount {
    PublisherAccount { delivered, waiting, dropped }
}

/// What the service says of a metric of a probe, all of it in one period.
async fn read(moto: &Moto, metric: &str, probe: &str, around: Timestamp) -> Vec<Datapoint> {
    let aws = Aws::new(moto.access());
    let client = Client::new(aws.config().await.unwrap());
    let minute = around.timestamp() - around.timestamp() % 60;
    let answer = client
        .get_metric_statistics()
        .namespace("Roundsman/Test")
        .metric_name(metric)
        .dimensions(Dimension::builder().name("Probe").value(probe).build())
        .start_time(DateTime::from_secs(minute))
        .end_time(DateTime::from_secs(minute + 60))
        .period(60)
        .set_statistics(Some(vec![Statistic::Average, Statistic::SampleCount, Statistic::Sum, Statistic::Maximum]))
        .send()
        .await;
    answer.unwrap().datapoints.unwrap_or_default()
}

#[tokio::test]
async fn a_minute_arrives_whole_when_it_is_over() {
    let moto = Moto::start();
    let clock = HandClock::new();
    let mut cloudwatch = publisher(&moto.url, &clock);
    let at = clock.now();
    let mut samples: Vec<_> =
        [1.0, 1.0, 0.0, 1.0].map(|value| sample(MetricName::ProbeSuccess, "api-health", at, value)).into();
    samples.extend([0.1, 0.1, 0.4].map(|value| sample(MetricName::ProbeDuration, "api-health", at, value)));
    cloudwatch.publish(&samples).await.unwrap();
    cloudwatch.tick().await.unwrap();
    assert_eq!(cloudwatch.account(), account(0, 7, 0), "the minute is not over");
    clock.advance(60);
    cloudwatch.tick().await.unwrap();
    assert_eq!(cloudwatch.account(), account(7, 0, 0));

    let success = read(&moto, "SuccessPercent", "api-health", at).await;
    assert_eq!((success[0].average(), success[0].sample_count()), (Some(75.0), Some(4.0)));
    assert_eq!(success[0].unit().unwrap().as_str(), "Percent");
    let failed = read(&moto, "Failed", "api-health", at).await;
    assert_eq!((failed[0].sum(), failed[0].sample_count()), (Some(1.0), Some(4.0)));
    let duration = read(&moto, "Duration", "api-health", at).await;
    assert_eq!((duration[0].maximum(), duration[0].sample_count()), (Some(400.0), Some(3.0)));
    assert_eq!(duration[0].unit().unwrap().as_str(), "Milliseconds");
    assert_eq!(duration[0].timestamp().unwrap().secs() % 60, 0);

    let log = moto.log("PutMetricData").await;
    assert_eq!(log.len(), 1, "one minute is one request");
    assert_eq!(log[0]["cbor"], true);
    for datum in log[0]["parameters"]["MetricData"].as_array().unwrap() {
        assert_eq!(datum["Dimensions"], json!([{ "Name": "Probe", "Value": "api-health" }]));
        assert!(datum.get("StatisticValues").is_none(), "statistic sets lose percentiles");
        assert!(datum["Values"].as_array().unwrap().len() == 2, "equal values are counted: {datum}");
    }
}

#[tokio::test]
async fn every_request_is_within_the_limits_of_the_service() {
    let moto = Moto::start();
    let clock = HandClock::new();
    let mut cloudwatch = publisher(&moto.url, &clock);
    let many = durations(2_500, clock.now());
    // 400 data of 150 values are more than a megabyte.
    let large = (0..400).flat_map(|probe| (0..150_i32).map(move |n| (probe, f64::from(n) + 0.123)));
    let large =
        large.map(|(probe, value)| sample(MetricName::ProbeDuration, &format!("large-{probe}"), clock.now(), value));
    cloudwatch.publish(&many).await.unwrap();
    cloudwatch.publish(&large.collect::<Vec<_>>()).await.unwrap();
    cloudwatch.flush().await.unwrap();
    assert_eq!(cloudwatch.account(), account(62_500, 0, 0));
    let log = moto.log("PutMetricData").await;
    assert!(log.iter().all(|request| request["status"] == 200 && request["gzip"] == true));
    let data = log.iter().map(|request| request["parameters"]["MetricData"].as_array().unwrap().len());
    assert_eq!(data.sum::<usize>(), 2_900);
    assert!(log.iter().any(|request| request["bytes"].as_u64().unwrap() > 600_000), "requests are well filled");
}

#[tokio::test]
async fn a_tick_sends_a_few_requests_and_then_takes_in_samples() {
    let moto = Moto::start();
    let clock = HandClock::new();
    let mut cloudwatch = publisher(&moto.url, &clock);
    cloudwatch.publish(&durations(4_500, clock.now())).await.unwrap();
    clock.advance(60);
    cloudwatch.tick().await.unwrap();
    assert_eq!(cloudwatch.account(), account(4_000, 500, 0));
    cloudwatch.tick().await.unwrap();
    assert_eq!(cloudwatch.account(), account(4_500, 0, 0));
}

#[tokio::test]
async fn a_rejected_batch_loses_only_its_bad_datum() {
    let moto = Moto::start();
    let clock = HandClock::new();
    let mut cloudwatch = publisher(&moto.url, &clock);
    moto.faults(json!([{ "operation": "PutMetricData", "fault": "reject", "naming": "probe-37" }])).await;
    cloudwatch.publish(&durations(100, clock.now())).await.unwrap();
    let error = cloudwatch.flush().await.unwrap_err().to_string();
    assert_eq!(
        error,
        "CloudWatch refuses 1 samples `probe_duration_seconds` of probe-37: InvalidParameterValue: The value is not valid."
    );
    assert_eq!(cloudwatch.account(), account(99, 0, 1));
    assert!(read(&moto, "Duration", "probe-37", clock.now()).await.is_empty());
    for probe in ["probe-36", "probe-38", "probe-0", "probe-99"] {
        assert_eq!(read(&moto, "Duration", probe, clock.now()).await.len(), 1, "{probe}");
    }
    cloudwatch.flush().await.unwrap();
}

#[tokio::test]
async fn what_is_not_our_fault_waits_and_is_delivered() {
    let moto = Moto::start();
    for (fault, words) in [
        ("throttle", "Throttling: Rate exceeded"),
        ("error", "InternalFailure: an internal error"),
        ("forbidden", "AccessDenied: not authorized to perform this"),
        ("garbage", "an answer that is not from AWS, with status 400"),
        ("lie", "an answer that is not from AWS, with status 200"),
        ("drop", "dispatch failure"),
    ] {
        let clock = HandClock::new();
        let mut cloudwatch = publisher(&moto.url, &clock);
        let at = clock.now();
        cloudwatch.publish(&[sample(MetricName::ProbeDuration, fault, at, 0.25)]).await.unwrap();
        moto.faults(json!([{ "operation": "PutMetricData", "fault": fault }])).await;
        clock.advance(60);
        let error = cloudwatch.tick().await.unwrap_err().to_string();
        assert!(error.starts_with(words), "{fault}: {error}");
        assert_eq!(cloudwatch.account(), account(0, 1, 0), "{fault}");

        moto.faults(json!([])).await;
        clock.advance(61);
        cloudwatch.tick().await.unwrap();
        assert_eq!(cloudwatch.account(), account(1, 0, 0), "{fault}");
        assert_eq!(read(&moto, "Duration", fault, at).await.len(), 1, "{fault}: it has its own time");
    }
}

#[tokio::test]
async fn a_publisher_that_rests_sends_nothing_and_says_why() {
    let moto = Moto::start();
    let clock = HandClock::new();
    let mut cloudwatch = publisher(&moto.url, &clock);
    cloudwatch.publish(&durations(1, clock.now())).await.unwrap();
    moto.faults(json!([{ "operation": "PutMetricData", "fault": "forbidden" }])).await;
    let first = cloudwatch.flush().await.unwrap_err().to_string();
    let requests = moto.log("PutMetricData").await.len();
    // No time has passed.
    assert_eq!(cloudwatch.tick().await.unwrap_err().to_string(), first);
    assert_eq!(cloudwatch.publish(&[]).await.unwrap_err().to_string(), first);
    assert_eq!(moto.log("PutMetricData").await.len(), requests);
}

#[tokio::test]
async fn a_flush_that_is_cut_short_loses_nothing() {
    let moto = Moto::start();
    let clock = HandClock::new();
    let mut cloudwatch = publisher(&moto.url, &clock);
    cloudwatch.publish(&durations(3, clock.now())).await.unwrap();
    moto.faults(json!([{ "operation": "PutMetricData", "fault": "delay", "seconds": 30, "times": 1 }])).await;
    {
        let mut flush = cloudwatch.flush();
        while moto.log("PutMetricData").await.is_empty() {
            assert!(futures::poll!(&mut flush).is_pending());
        }
    }
    assert_eq!(cloudwatch.account(), account(0, 3, 0));
    cloudwatch.flush().await.unwrap();
    assert_eq!(cloudwatch.account(), account(3, 0, 0));
}

#[tokio::test]
async fn a_server_that_never_answers_does_not_hold_us() {
    let silent = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let clock = HandClock::new();
    let mut cloudwatch = publisher(&format!("http://{}", silent.local_addr().unwrap()), &clock);
    cloudwatch.publish(&durations(1, clock.now())).await.unwrap();
    // Ends by the SDK's own time-outs, or never.
    let error = cloudwatch.flush().await.unwrap_err().to_string();
    assert!(error.contains("timed out") || error.contains("timeout"), "{error}");
    assert_eq!(cloudwatch.account(), account(0, 1, 0));
}
