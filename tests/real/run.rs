//! The whole way once: the built binary with nginx and the shop as targets; one of them breaks; what others then read from
//! CloudWatch, from the queue behind an SNS topic, and from Prometheus.

use std::sync::Arc;

use roundsman::app::demo::shop::{self, Breakage, Shop};
use roundsman::clock::SystemClock;
use serde_json::Value;
use tokio::runtime::Runtime;

use crate::commands::configuration;
use crate::servers::moto::Moto;
use crate::servers::nginx::{Nginx, Site};
use crate::servers::prometheus::Prometheus;
use crate::servers::python;
use crate::servers::roundsman::Daemon;

const REGION: &str = "us-east-1";

/// What somebody reads from CloudWatch with boto3 about a probe: how many samples of a metric there were, the smallest
/// and the largest.
const READ_METRIC: &str = "
import boto3, datetime, json, sys
now = datetime.datetime.now(datetime.timezone.utc)
minute = datetime.timedelta(minutes=1)
cloudwatch = boto3.client('cloudwatch')
points = cloudwatch.get_metric_statistics(
    Namespace='Roundsman', MetricName=sys.argv[2], Dimensions=[{'Name': 'Probe', 'Value': sys.argv[1]}],
    StartTime=now - 10 * minute, EndTime=now + minute, Period=60, Statistics=['SampleCount', 'Minimum', 'Maximum'],
)['Datapoints']
print(json.dumps({
    'count': sum(point['SampleCount'] for point in points),
    'minimum': min(point['Minimum'] for point in points),
    'maximum': max(point['Maximum'] for point in points),
}))
";

fn tokio_runtime() -> Runtime {
    tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().expect("threads")
}

#[test]
fn a_result_goes_the_whole_way() {
    let runtime = tokio_runtime();
    let moto = Moto::start();
    let nginx = Nginx::start(&[Site { identity: None, directives: "" }], &[("index.html", b"hello")]);
    let shop = Arc::new(Shop::open(Arc::new(SystemClock::start())));
    let listener = runtime.block_on(tokio::net::TcpListener::bind("127.0.0.1:0")).expect("a port");
    let shop_at = listener.local_addr().expect("an address");
    runtime.spawn(shop::serve(listener, Arc::clone(&shop)));
    let (topic, queue) = runtime.block_on(moto.topic_and_queue("ops"));

    let directory = configuration(&[
        (
            "roundsman.yaml",
            &format!(
                "web: {{ listen: \"${{env:ROUNDSMAN_LISTEN}}\" }}\n\
                 publish: {{ prometheus: {{}}, cloudwatch: {{ namespace: Roundsman, region: {REGION} }} }}\n\
                 channels: {{ ops: {{ sns: \"{topic}\" }} }}\ngroup: {{ wait: 0s }}\n\
                 routes: [{{ to: [ops] }}]\n"
            ),
        ),
        (
            "probes/p.yaml",
            &format!(
                "front: {{ http: \"http://127.0.0.1:{}/\", expect: body == \"hello\" }}\n\
                 shop-health:\n  http: \"http://{shop_at}/health\"\n  expect: json.services.database == \"ok\"\n",
                nginx.port(0)
            ),
        ),
        ("schedules/s.yaml", "often: { every: 1s, probes: [\"*\"], alert: { after: 2, recover: 2, severity: P2 } }\n"),
    ]);
    let aws = [
        ("AWS_ENDPOINT_URL", moto.url.as_str()),
        ("AWS_ACCESS_KEY_ID", "testing"),
        ("AWS_SECRET_ACCESS_KEY", "testing"),
        ("AWS_DEFAULT_REGION", REGION),
    ];
    let daemon = Daemon::run(directory.path(), &aws);
    let prometheus = Prometheus::start(&[daemon.address]);
    prometheus.wait_for("probe_success{probe=\"shop-health\"} == 1");

    shop.break_with(Some(Breakage::Database));
    let opened = daemon.wait_for(" opened: ");
    assert!(opened.contains("shop-health is failing: `json.services.database` was `\"degraded\"`"), "{opened}");
    prometheus.wait_for("probe_success{probe=\"shop-health\"} == 0");
    shop.break_with(None);
    daemon.wait_for(" resolved: shop-health");
    prometheus.wait_for("probe_success{probe=\"shop-health\", schedule=\"often\"} == 1");
    prometheus.wait_for("min_over_time(probe_success{probe=\"front\"}[5m]) == 1");
    daemon.wait_for_count("delivered", 2);
    let (status, said) = daemon.terminate();
    assert_eq!(status.code(), Some(0), "{said}");

    let read = |probe: &str, metric: &str| -> Value {
        let printed = python::run_with(READ_METRIC, &[probe, metric], &aws);
        serde_json::from_str(&printed).expect("JSON")
    };
    let (front, broken) = (read("front", "SuccessPercent"), read("shop-health", "SuccessPercent"));
    assert_eq!((&front["minimum"], &front["maximum"]), (&100.0.into(), &100.0.into()));
    assert_eq!((&broken["minimum"], &broken["maximum"]), (&0.0.into(), &100.0.into()));
    assert!(front["count"].as_f64() >= Some(4.0), "{front}");
    let duration = read("front", "Duration");
    assert_eq!(duration["count"], front["count"], "each conclusive run has both");
    assert!(duration["minimum"].as_f64() > Some(0.0), "{duration}");

    let messages = runtime.block_on(moto.messages(&queue));
    let told: Vec<Value> = messages
        .iter()
        .map(|message| serde_json::from_str(message["Body"].as_str().expect("a body")).expect("SNS wraps in JSON"))
        .collect();
    let attribute = |message: &Value, name: &str| message["MessageAttributes"][name]["Value"].clone();
    let states: Vec<_> = told.iter().map(|message| attribute(message, "state")).collect();
    assert_eq!(states, ["opened", "resolved"], "{told:#?}");
    assert_eq!(attribute(&told[0], "incident"), attribute(&told[1], "incident"));
    assert_eq!((attribute(&told[0], "probe"), attribute(&told[0], "severity")), ("shop-health".into(), "P2".into()));
    let text = told[0]["Message"].as_str().expect("a text");
    assert!(text.contains("`json.services.database` was `\"degraded\"`"), "{text}");
}

#[test]
fn without_credentials_probing_goes_on_and_the_reason_is_named() {
    let target = crate::servers::receiver::Target::start();
    let directory = configuration(&[
        (
            "roundsman.yaml",
            "web: { listen: \"${env:ROUNDSMAN_LISTEN}\" }\n\
             publish: { prometheus: {}, cloudwatch: { namespace: Roundsman, region: us-east-1 } }\n",
        ),
        ("probes/p.yaml", &format!("api: {{ http: \"{}\" }}\n", target.url)),
        ("schedules/s.yaml", "often: { every: 1s, probes: [api] }\n"),
    ]);
    // A home without a profile, and no instance metadata: nothing of this machine may count as credentials.
    let home = tempfile::tempdir().expect("a directory");
    let daemon = Daemon::run(directory.path(), &[("HOME", home.path().to_str().expect("a path in UTF-8"))]);
    let line = daemon.wait_for("metrics will wait: ");
    assert!(line.contains("no AWS credentials") && line.contains("cloudwatch"), "{line}");
    let prometheus = Prometheus::start(&[daemon.address]);
    prometheus.wait_for("probe_success{probe=\"api\"} == 1");
    let (status, said) = daemon.terminate();
    assert_eq!(status.code(), Some(0), "{said}");
    assert!(!said.contains("panicked"), "{said}");
}

#[test]
fn told_to_stop_it_puts_away_what_it_began() {
    // It accepts, since the kernel does, and never answers.
    let silent = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let silent_at = silent.local_addr().expect("an address");
    let shop = crate::servers::receiver::Receiver::start();
    let directory = configuration(&[
        ("roundsman.yaml", "web: { listen: \"${env:ROUNDSMAN_LISTEN}\" }\n"),
        (
            "probes/p.yaml",
            &format!(
                "journey:\n\
                 \x20 steps:\n\
                 \x20   - {{ name: begin, http: {{ method: POST, url: \"{0}\", json: {{ did: begin }} }} }}\n\
                 \x20   - {{ name: hang, http: \"http://{silent_at}/\" }}\n\
                 \x20 cleanup:\n\
                 \x20   - {{ name: put-away, http: {{ method: POST, url: \"{0}\", json: {{ did: \"put away\" }} }} }}\n",
                shop.url
            ),
        ),
        (
            "schedules/s.yaml",
            "often: { every: 10s, timeout: 9s, probes: [journey], alert: { after: 1, severity: P1 } }\n",
        ),
    ]);
    let daemon = Daemon::run(directory.path(), &[]);
    shop.wait_until(|taken| !taken.is_empty());
    let (status, said) = daemon.terminate();
    assert_eq!(status.code(), Some(0), "{said}");
    let did: Vec<_> = shop.taken().iter().map(|taken| taken.text("did").to_owned()).collect();
    assert_eq!(did, ["begin", "put away"]);
    assert!(!said.contains("opened: "), "our own end is not the target's failure: {said}");
}
