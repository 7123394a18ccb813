//! What CloudWatch has after we published to it.

use std::path::Path;
use std::sync::{Arc, Mutex};
use std::thread::sleep;
use std::time::Duration;

use aws_sdk_cloudwatch::Client;
use aws_sdk_cloudwatch::primitives::DateTime;
use aws_sdk_cloudwatch::types::{Datapoint, Dimension, Statistic};
use futures::future::BoxFuture;
use roundsman::clock::SystemClock;
use roundsman::domain::metric::{MetricName, Sample, SampleLabels};
use roundsman::domain::names::{ProbeName, ScheduleName, StepName};
use roundsman::domain::time::{Monotonic, Timestamp};
use roundsman::net::aws::Aws;
use roundsman::ports::{Clock, Publisher as _, PublisherAccount};
use roundsman::publishers::cloudwatch::disk::Lodging;
use roundsman::publishers::cloudwatch::packet::Resolution;
use roundsman::publishers::cloudwatch::whom::Sets;
use roundsman::publishers::cloudwatch::{CloudWatch, Manner};
use serde_json::{Value, json};

use crate::commands::configuration;
use crate::servers::moto::{Moto, access};
use crate::servers::receiver::Target;
use crate::servers::roundsman::Daemon;

/// What must happen is looked for so often, twenty times a second.
const LOOKS_MAX: usize = 2_400;

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
    in_this_manner(url, clock, Manner::default())
}

fn in_this_manner(url: &str, clock: &Arc<HandClock>, manner: Manner) -> CloudWatch {
    let namespace = "Roundsman/Test".to_owned().try_into().unwrap();
    let (aws, clock) = (Arc::new(Aws::new(access(url))), Arc::clone(clock) as Arc<dyn Clock>);
    CloudWatch::new(namespace, Arc::from("here"), aws, clock, manner)
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
    PublisherAccount { delivered, waiting, spooled: 0, dropped }
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

/// A number without its fraction.
fn whole(number: &Value) -> i64 {
    format!("{:.0}", number.as_f64().unwrap()).parse().unwrap()
}

/// Each value that the service took, with the probe and the time that it was given.
fn taken(log: &[Value]) -> Vec<(String, i64, i64)> {
    let taken = log.iter().filter(|request| request["status"] == 200);
    let data = taken.flat_map(|request| request["parameters"]["MetricData"].as_array().unwrap());
    let told = data.flat_map(|datum| {
        let probe = datum["Dimensions"][0]["Value"].as_str().unwrap();
        let at = whole(&datum["Timestamp"]);
        datum["Values"].as_array().unwrap().iter().map(move |value| (probe.to_owned(), at, whole(value)))
    });
    told.collect()
}

#[tokio::test]
async fn an_hour_without_the_service_a_restart_and_a_kill_lose_nothing_and_delay_nothing_live() {
    let (moto, state) = (Moto::start(), tempfile::tempdir().unwrap());
    let clock = HandClock::new();
    let lodging = Lodging { directory: state.path().join("r.db.cloudwatch"), budget: 64 << 20 };
    let manner = Manner { lodging: Some(lodging), ..Manner::default() };
    let start = || in_this_manner(&moto.url, &clock, manner.clone());
    let mut cloudwatch = start();
    let (mut produced, mut delivered, mut killed, mut dropped) = (Vec::new(), 0, 0, 0);
    let faults = |fault: &str| json!([{ "operation": "PutMetricData", "fault": fault }]);
    let poison = json!({ "operation": "PutMetricData", "fault": "reject", "naming": "poison" });
    moto.faults(json!([poison])).await;
    for minute in 0..70_i64 {
        match minute {
            3 => moto.faults(faults("throttle")).await,
            // What the SDK does not repeat by itself, since each repetition would take its time.
            6 => moto.faults(faults("forbidden")).await,
            20 => {
                cloudwatch.flush().await.unwrap_err();
                let account = cloudwatch.account();
                assert_eq!(account.waiting, 0, "a clean end leaves nothing in memory");
                delivered += account.delivered;
                drop(cloudwatch);
                cloudwatch = start();
            }
            40 => {
                let account = cloudwatch.account();
                (delivered, killed) = (delivered + account.delivered, killed + account.waiting);
                drop(cloudwatch);
                cloudwatch = start();
            }
            63 => moto.faults(json!([poison])).await,
            _ => {}
        }
        for (n, probe) in (0..).zip(["api", "cache", if minute == 30 || minute == 65 { "poison" } else { "db" }]) {
            let value = minute * 10 + n;
            let at = clock.now();
            produced.push((probe.to_owned(), at.timestamp() - at.timestamp() % 60, value));
            let _ = cloudwatch.publish(&[sample(MetricName::ProbeDuration, probe, at, value as f64 / 1e3)]).await;
        }
        clock.advance(60);
        let _ = cloudwatch.tick().await;
    }
    // Nothing live is left: what was on disk goes, one request at a time.
    for _ in 0..20 {
        clock.advance(60);
        let _ = cloudwatch.tick().await;
    }
    let account = cloudwatch.account();
    (delivered, dropped) = (delivered + account.delivered, dropped + account.dropped);
    assert_eq!((account.waiting, account.spooled, dropped), (0, 0, 2));
    assert_eq!(produced.len() as u64, delivered + dropped + killed);
    assert_eq!(killed, 0, "each minute was over when the tick came");

    let log = moto.log("PutMetricData").await;
    let mut arrived = taken(&log);
    let in_order = arrived.clone();
    produced.retain(|(probe, ..)| probe != "poison");
    produced.sort();
    arrived.sort();
    assert_eq!(arrived, produced, "each value once, and with its own time");
    // The first minute after the hour goes before all that waited, and so does each after it.
    let minutes: Vec<_> = in_order.iter().map(|(_, _, value)| value / 10).skip_while(|minute| *minute < 63).collect();
    assert_eq!(minutes[..3], [63, 63, 63]);
    let newest = minutes.iter().position(|minute| *minute == 62).unwrap();
    assert!(newest < minutes.len() && minutes[newest..].iter().take(3).all(|minute| *minute == 62), "{minutes:?}");
}

#[tokio::test]
async fn what_is_chosen_is_published_and_told_with_its_age() {
    let moto = Moto::start();
    let clock = HandClock::new();
    let sets = Sets { schedule: true, step: true };
    let republish = Some(Duration::from_secs(120));
    let manner = Manner { resolution: Resolution::Second, sets, republish, lodging: None };
    let mut cloudwatch = in_this_manner(&moto.url, &clock, manner);
    let at = clock.now();
    let mut step = sample(MetricName::StepDuration, "shopper", at, 0.25);
    step.labels.step = Some(StepName::parse("login").unwrap());
    let beat = Sample { labels: SampleLabels::default(), ..sample(MetricName::Heartbeats, "x", at, 1.0) };
    cloudwatch.publish(&[sample(MetricName::ProbeSuccess, "shopper", at, 0.0), step, beat]).await.unwrap();
    for _ in 0..30 {
        clock.advance(10);
        cloudwatch.tick().await.unwrap();
    }
    let log = moto.log("PutMetricData").await;
    let data = log.iter().flat_map(|request| request["parameters"]["MetricData"].as_array().unwrap());
    let told = |datum: &Value| {
        let dimensions = datum["Dimensions"].as_array().unwrap().iter();
        let dimensions: Vec<_> = dimensions
            .map(|of| format!("{}={}", of["Name"].as_str().unwrap(), of["Value"].as_str().unwrap()))
            .collect();
        let resolution = datum.get("StorageResolution").map_or(60, |resolution| resolution.as_i64().unwrap());
        let after = whole(&datum["Timestamp"]) - at.timestamp();
        let (name, value) = (datum["MetricName"].as_str().unwrap(), datum["Values"][0].as_f64().unwrap());
        format!("{name} {} {value} every {resolution} s, {after} s later", dimensions.join(" "))
    };
    let told: Vec<_> = data.map(told).collect();
    assert_eq!(
        told,
        [
            "Heartbeat Location=here 1 every 60 s, -10 s later",
            "Duration Probe=shopper Step=login 250 every 1 s, 0 s later",
            "SuccessPercent Schedule=reachability 0 every 1 s, 0 s later",
            "Failed Schedule=reachability 1 every 1 s, 0 s later",
            "SuccessPercent Probe=shopper 0 every 1 s, 0 s later",
            "Failed Probe=shopper 1 every 1 s, 0 s later",
            "Age Probe=shopper 170 every 60 s, 110 s later",
            "LastSuccessPercent Probe=shopper 0 every 60 s, 110 s later",
            "Age Probe=shopper 230 every 60 s, 170 s later",
            "LastSuccessPercent Probe=shopper 0 every 60 s, 170 s later",
            "Age Probe=shopper 290 every 60 s, 230 s later",
            "LastSuccessPercent Probe=shopper 0 every 60 s, 230 s later",
        ],
        "a heartbeat is never said again"
    );
}

/// How many samples are on disk, by the names of their files.
fn spooled(store: &Path) -> (usize, i64) {
    let Ok(files) = std::fs::read_dir(store.with_file_name("roundsman.db.cloudwatch")) else { return (0, 0) };
    let names = files.map(|file| file.unwrap().file_name().into_string().unwrap());
    let counts: Vec<i64> =
        names.filter_map(|name| name.strip_suffix(".samples")?.rsplit('-').next()?.parse().ok()).collect();
    (counts.len(), counts.iter().sum())
}

/// How many of them are heartbeats, of which the next process has some of its own at once.
fn beats(store: &Path) -> i64 {
    let files = std::fs::read_dir(store.with_file_name("roundsman.db.cloudwatch")).unwrap();
    let texts = files.map(|file| std::fs::read_to_string(file.unwrap().path()).unwrap());
    let lines = texts.flat_map(|text| text.lines().map(str::to_owned).collect::<Vec<_>>());
    let packets = lines.filter_map(|line| serde_json::from_str::<Value>(&line).ok());
    let beats = packets.filter(|packet| packet["metric"] == "roundsman_heartbeats");
    beats.flat_map(|packet| packet["values"].as_array().unwrap().clone()).map(|value| whole(&value[1])).sum()
}

/// How many samples the service took that are no heartbeats, and no second datum of the same one.
fn counted(log: &[Value]) -> i64 {
    let taken = log.iter().filter(|request| request["status"] == 200);
    let data = taken.flat_map(|request| request["parameters"]["MetricData"].as_array().unwrap());
    let data = data.filter(|datum| datum["MetricName"] != "Failed" && datum["MetricName"] != "Heartbeat");
    let counts = data.flat_map(|datum| datum["Counts"].as_array().unwrap());
    counts.map(whole).sum()
}

#[test]
fn a_daemon_that_is_killed_and_one_that_is_told_to_end_leave_on_disk_what_was_not_taken() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let (moto, target) = (Moto::start(), Target::start());
    let faults = |faults: Value| runtime.block_on(moto.faults(faults));
    let down = json!([{ "operation": "PutMetricData", "fault": "forbidden" }]);
    faults(down.clone());
    let directory = configuration(&[
        (
            "roundsman.yaml",
            "web: { listen: \"${env:ROUNDSMAN_LISTEN:-127.0.0.1:0}\" }\n\
             publish: { prometheus: {}, cloudwatch: { resolution: 1s, region: us-east-1 } }\n",
        ),
        ("probes/p.yaml", &format!("api: {{ http: \"{}\" }}\n", target.url)),
        ("schedules/s.yaml", "often: { every: 1s, probes: [api] }\n"),
    ]);
    let environment = [
        ("AWS_ENDPOINT_URL", moto.url.as_str()),
        ("AWS_ACCESS_KEY_ID", "AKIDTEST"),
        ("AWS_SECRET_ACCESS_KEY", "hunter2hunter2"),
    ];
    let store = directory.path().join("state/roundsman.db");
    let until = |what: &str, is: &dyn Fn() -> bool| {
        for _ in 0..LOOKS_MAX {
            if is() {
                return;
            }
            sleep(Duration::from_millis(50));
        }
        panic!("{what}");
    };
    let daemon = Daemon::run(directory.path(), &environment);
    until("something is on disk", &|| spooled(&store).0 >= 2);
    daemon.kill();
    let (_, killed) = spooled(&store);
    assert_eq!(counted(&runtime.block_on(moto.log("PutMetricData"))), 0);

    // The next finds it, and what it adds itself is there after a clean end.
    let daemon = Daemon::run(directory.path(), &environment);
    until("more is on disk", &|| spooled(&store).1 > killed);
    let (status, _) = daemon.terminate();
    assert!(status.success());
    let (files, all) = spooled(&store);
    assert!(files >= 3 && all > killed, "{files} files of {all} samples");
    let beats = beats(&store);

    // The last one only finds, and has nothing of its own but its heartbeats.
    let seldom = "often: { cron: \"0 0 29 2 *\", probes: [api] }\n";
    std::fs::write(directory.path().join("schedules/s.yaml"), seldom).unwrap();
    faults(json!([]));
    let daemon = Daemon::run(directory.path(), &environment);
    until("the disk is empty", &|| spooled(&store).0 == 0);
    let log = runtime.block_on(moto.log("PutMetricData"));
    assert_eq!(counted(&log) + beats, all, "every sample of the disk, and each once");
    let (status, _) = daemon.terminate();
    assert!(status.success());
    assert_eq!(spooled(&store), (0, 0), "whoever can send leaves nothing");
}
