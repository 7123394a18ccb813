//! Logs: taken, found, delivered; and every way in which they are not.

use serde_json::{Value, json};

use super::estate::{Estate, Told, Unwell};
use crate::servers::moto::Moto;

/// What the tier asks of logs; `VPC` stands for the one that there is.
pub const PROBES: &str = r#"
log-round-trip:
  logs: { round_trip: /shop/canary, region: us-east-1 }
  timeout: 5s
  expect: delay_s < 5
shop-logs:
  logs: { newest: [/aws/lambda/shop-api, /ecs/shop], region: us-east-1 }
  expect: [age_s < 900, 'ages["/ecs/shop"] < 900']
trail:
  logs: { trail: shop, region: us-east-1 }
  expect: age_s < 7200
flow-logs: { logs: { flow_logs: VPC, region: us-east-1 }, expect: count == 1 }
access-logs:
  logs: { access_logs: { bucket: shop-logs, prefix: "cdn/E2EXAMPLE.%Y-%m-%d-" }, region: us-east-1 }
  expect: age_s < 7200
"#;

const TRAIL: &str = "com.amazonaws.cloudtrail.v20131101.CloudTrail_20131101";

/// What is there.
pub async fn build(estate: &mut Estate) {
    let moto = &estate.moto;
    for group in ["/shop/canary", "/aws/lambda/shop-api", "/ecs/shop"] {
        logs(moto, "CreateLogGroup", json!({ "logGroupName": group })).await;
    }
    for (group, ago_s) in [("/aws/lambda/shop-api", 30), ("/ecs/shop", 300)] {
        event(moto, group, ago_s).await;
    }
    for path in ["trails", "flows", "shop-logs"] {
        moto.put(path, "").await;
    }
    moto.put(&format!("shop-logs/cdn/E2EXAMPLE.{}-1.gz", chrono::Utc::now().format("%Y-%m-%d")), "GET /").await;
    moto.json("cloudtrail", &format!("{TRAIL}.CreateTrail"), json!({ "Name": "shop", "S3BucketName": "trails" })).await;
    trail_logs(moto, true).await;
    let made = moto.query("ec2", &[("Action", "CreateVpc"), ("CidrBlock", "10.7.0.0/16")]).await;
    let vpc = made.split("<vpcId>").nth(1).and_then(|rest| rest.split('<').next()).expect("an id");
    let asked = [
        ("Action", "CreateFlowLogs"),
        ("ResourceId.1", vpc),
        ("ResourceType", "VPC"),
        ("TrafficType", "ALL"),
        ("LogDestinationType", "s3"),
        ("LogDestination", "arn:aws:s3:::flows"),
    ];
    moto.query("ec2", &asked).await;
    let probes = PROBES.replace("VPC", vpc);
    estate.write("probes/logs.yaml", &probes);
    estate.known["trail"] = json!({ "LatestDeliveryTime": 240 });
    estate.known["logs"] = json!({});
    estate.known["flow_logs"] = json!({ "deliverLogsStatus": "SUCCESS" });
}

async fn logs(moto: &Moto, action: &str, input: Value) -> Value {
    moto.json("logs", &format!("Logs_20140328.{action}"), input).await
}

/// An event in a group, in a stream of its own.
async fn event(moto: &Moto, group: &str, ago_s: i64) {
    let stream = format!("{ago_s}-seconds-ago");
    logs(moto, "CreateLogStream", json!({ "logGroupName": group, "logStreamName": stream })).await;
    let at = chrono::Utc::now().timestamp_millis() - ago_s * 1_000;
    let events = json!([{ "timestamp": at - 1_000, "message": "a coat" }, { "timestamp": at, "message": "a scarf" }]);
    let input = json!({ "logGroupName": group, "logStreamName": stream, "logEvents": events });
    logs(moto, "PutLogEvents", input).await;
}

async fn trail_logs(moto: &Moto, on: bool) {
    let action = if on { "StartLogging" } else { "StopLogging" };
    moto.json("cloudtrail", &format!("{TRAIL}.{action}"), json!({ "Name": "shop" })).await;
}

#[tokio::test]
async fn each_fault_of_the_logs_fails_its_own_probe_with_its_own_sentence() {
    let mut estate = Estate::open().await;
    assert_eq!(estate.round(), Unwell::new(), "all is well");
    let mut told = Told::default();

    trail_logs(&estate.moto, false).await;
    told.of("the trail is stopped", &estate.round());
    trail_logs(&estate.moto, true).await;

    let well = estate.known.clone();
    let faults: Vec<(&str, &str, Value)> = vec![
        (
            "the trail is not delivered",
            "/trail",
            json!({ "LatestDeliveryTime": 240, "LatestDeliveryError": "NoSuchBucket" }),
        ),
        ("the trail has delivered nothing for three hours", "/trail", json!({ "LatestDeliveryTime": 10_830 })),
        ("a group is silent", "/logs", json!({ "hides": ["/ecs/shop"] })),
        ("the token is never found", "/logs", json!({ "hides": ["/shop/canary"] })),
        ("the token is rejected", "/logs", json!({ "rejects": "tooNewLogEventStartIndex" })),
        (
            "flow logs are not delivered",
            "/flow_logs",
            json!({ "deliverLogsStatus": "FAILED", "deliverLogsErrorMessage": "Access error" }),
        ),
        ("no flow log is active", "/flow_logs", json!({ "flowLogStatus": "INACTIVE" })),
    ];
    for (fault, place, value) in faults {
        *estate.known.pointer_mut(place).expect("it is there") = value;
        estate.tell().await;
        told.of(fault, &estate.round());
        estate.known = well.clone();
        estate.tell().await;
    }

    logs(&estate.moto, "DeleteLogGroup", json!({ "logGroupName": "/shop/canary" })).await;
    told.of("the group of the token is gone", &estate.round());
    logs(&estate.moto, "CreateLogGroup", json!({ "logGroupName": "/shop/canary" })).await;
    assert_eq!(estate.round(), Unwell::new(), "all is well again, and the stream is made again");

    let of_this_run = [
        ("fl-[0-9a-f]+", "fl-ID"),
        (r"within \d+ s, in \d+ searches", "within S s, in N searches"),
        (r"stopped_ago_s` was `\d+`", "stopped_ago_s` was `N`"),
        (r"`age_s` was `108\d\d`", "`age_s` was `108NN`"),
    ];
    let told = of_this_run.iter().fold(told.0, |told, (pattern, name)| {
        regex::Regex::new(pattern).expect("a pattern").replace_all(&told, *name).into_owned()
    });
    insta::assert_snapshot!(told);
}

#[tokio::test]
async fn a_search_goes_on_through_empty_pages_and_a_write_makes_its_stream_once() {
    let mut estate = Estate::open().await;
    estate.known["logs"] = json!({ "empty_pages": 3 });
    estate.tell().await;
    assert_eq!(estate.round(), Unwell::new());
    assert_eq!(estate.round(), Unwell::new());
    let asked = async |action: &str| estate.moto.log(action).await;
    assert_eq!(asked("CreateLogStream").await.len(), 3, "two are of the groups that were there");
    let written = asked("PutLogEvents").await;
    let ours: Vec<_> =
        written.iter().map(|entry| &entry["parameters"]).filter(|put| put["logGroupName"] == "/shop/canary").collect();
    assert_eq!(ours.len(), 3, "the first found no stream");
    assert!(ours.iter().all(|put| put["logStreamName"] == "roundsman/local"), "{ours:?}");
    let message = ours[0]["logEvents"][0]["message"].as_str().expect("a text");
    assert!(
        message.len() == 40 && message.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b' '),
        "{message}"
    );
}
