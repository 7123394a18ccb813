//! What CloudWatch has of metrics, asked for by probes.

use std::path::Path;

use serde_json::{Value, json};

use crate::commands::configuration;
use crate::hourly::estate::{Told, Unwell, unwell};
use crate::servers::moto::Moto;

/// What leads Roundsman to a moto.
pub fn environment(moto: &Moto) -> [(&str, &str); 4] {
    [
        ("AWS_ENDPOINT_URL", &moto.url),
        ("AWS_ACCESS_KEY_ID", "AKIDTEST"),
        ("AWS_SECRET_ACCESS_KEY", "hunter2hunter2"),
        ("AWS_REGION", "us-east-1"),
    ]
}

/// The repository itself, whose probes of AWS are asked by their names.
pub fn repository() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn metric(name: &str, dimensions: &Value, samples: &[(u64, f64)]) -> Value {
    json!({ "metric": name, "dimensions": dimensions, "samples": samples })
}

/// A metric of which there was one sample every second for ten minutes, until now.
fn steady(name: &str, dimensions: &Value, value: impl Fn(u64) -> f64) -> Value {
    metric(name, dimensions, &(0..600).map(|ago| (ago, value(ago))).collect::<Vec<_>>())
}

/// What the operations of the shop look like when all is well, but for one metric.
fn shop(changed: Option<(&str, f64)>) -> Value {
    let value = |name: &str, well: f64| changed.filter(|(other, _)| *other == name).map_or(well, |(_, value)| value);
    let (function, table) = (json!({ "FunctionName": "shop-api" }), json!({ "TableName": "Users" }));
    let pool = json!({ "UserPool": "us-east-1_Shoppers", "UserPoolClient": "shop" });
    let (slow, errors, refused) = (value("slow", 120.0), value("errors", 0.0), value("refused", 0.0));
    let mut metrics = vec![
        // Two of a hundred are slow.
        steady("AWS/ApiGateway/Latency", &json!({ "ApiName": "shop" }), |ago| if ago % 50 == 0 { slow } else { 80.0 }),
        steady("AWS/Lambda/Invocations", &function, |_| 1.0),
        // Three logins a second.
        steady("AWS/Cognito/SignInSuccesses", &pool, |_| 1.0),
        steady("AWS/Cognito/SignInSuccesses", &pool, |_| 1.0 - refused),
        steady("AWS/Cognito/SignInSuccesses", &pool, |_| 1.0 - refused),
        metric(
            "AWS/CloudFront/CacheHitRate",
            &json!({ "DistributionId": "E2EXAMPLE", "Region": "Global" }),
            &[(1_800, 92.0)],
        ),
    ];
    // Lambda and DynamoDB write these only when something is wrong.
    if errors > 0.0 {
        metrics.push(metric("AWS/Lambda/Errors", &function, &[(120, errors)]));
    }
    let throttled = value("throttled", 0.0);
    if throttled > 0.0 {
        metrics.push(metric("AWS/DynamoDB/WriteThrottleEvents", &table, &[(120, throttled)]));
    }
    json!({ "metrics": metrics })
}

const ALARMS: [&str; 5] =
    ["api-p99-latency", "lambda-error-rate", "dynamodb-throttling", "cognito-login-failures", "cache-hit-rate"];

#[tokio::test]
async fn the_alarms_of_the_repository_are_quiet_when_all_is_well_and_each_tells_its_own() {
    let moto = Moto::with_estate();
    let look = || unwell(repository(), &ALARMS, &environment(&moto));
    moto.metrics(&shop(None)).await;
    assert_eq!(look(), Unwell::new());
    let asked = moto.log("GetMetricData").await;
    assert_eq!(asked.len(), ALARMS.len(), "one call each");
    let mut told = Told::default();
    for (what, value) in [("slow", 800.0), ("errors", 9.0), ("throttled", 1.0), ("refused", 1.0)] {
        moto.metrics(&shop(Some((what, value)))).await;
        told.of(what, &look());
    }
    insta::assert_snapshot!(told.0);
}

const PROBES: &str = r"
newest:
  cloudwatch: { metric: Shop/Orders, stat: Sum, over: 5m, period: 1m, lag: 0s }
  expect: [samples >= 2, value == 3, 'values[0] == 7', age_s < 300]
whole-window: { cloudwatch: { metric: Shop/Orders, stat: Sum, over: 10m, lag: 0s }, expect: [value == 13, size(values) == 1] }
lagging: { cloudwatch: { metric: Shop/Orders, stat: Sum, over: 5m, lag: 1h }, expect: value == 0 }
absent-is-zero: { cloudwatch: { metric: Shop/Orders, over: 5m, lag: 1h, missing: 0 }, expect: [value == 0, samples == 0] }
other-dimension: { cloudwatch: { metric: Shop/Orders, dimensions: { Shop: none } }, expect: value >= 0 }
no-rate: { cloudwatch: { math: orders / refunds, metrics: { orders: { metric: Shop/Orders }, refunds: { metric: Shop/Refunds } } }, expect: value > 0 }
";

/// Samples that fall into the third, the second and the last but one whole minute of the last five.
fn orders() -> Value {
    let into = u64::try_from(chrono::Utc::now().timestamp().rem_euclid(60)).expect("seconds");
    let samples = [(into + 230, 3.0), (into + 225, 4.0), (into + 90, 1.0), (into + 85, 2.0), (into + 400, 3.0)];
    json!({ "metrics": [
        metric("Shop/Orders", &json!({}), &samples),
        metric("Shop/Refunds", &json!({}), &[(into + 90, 0.0)]),
    ] })
}

#[tokio::test]
async fn a_window_gives_its_values_and_nothing_is_no_zero() {
    let moto = Moto::with_estate();
    let directory = configuration(&[
        ("probes/metrics.yaml", PROBES),
        ("schedules/tiers.yaml", "often: { every: 1m, probes: [\"*\"] }\n"),
    ]);
    moto.metrics(&orders()).await;
    let look = |probes: &[&str]| unwell(directory.path(), probes, &environment(&moto));
    let told = look(&[]);
    insta::assert_debug_snapshot!(told);

    let mut partial = orders();
    partial["page"] = json!(1);
    moto.metrics(&partial).await;
    assert_eq!(look(&["newest"]), Unwell::new(), "pages are one series");
    for (status, told) in [
        ("Forbidden", "aws.denied: CloudWatch does not let us read `Shop/Orders`"),
        ("PartialData", "metric.partial: only a part of the values of `Shop/Orders` came"),
        ("InternalError", "metric.partial: CloudWatch says of `Shop/Orders`: InternalError"),
    ] {
        let mut known = orders();
        known["status"] = json!(status);
        moto.metrics(&known).await;
        let verdict = if status == "Forbidden" { "inconclusive" } else { "failed" };
        assert_eq!(look(&["newest"])["newest"], [verdict, told]);
    }

    moto.metrics(&orders()).await;
    moto.faults(json!([{ "operation": "GetMetricData", "fault": "throttle", "times": 2 }])).await;
    let told = unwell(directory.path(), &["newest"], &environment(&moto));
    assert_eq!(told, Unwell::new(), "it comes again when it is told to");
}
