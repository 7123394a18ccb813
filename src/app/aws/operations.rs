//! What the estate does, as AWS itself counts it: functions, APIs, tables, user pools, buckets and distributions.

use super::grid::Grid;
use super::place::Dimensions;
use super::widget::{Graph, Line};
use crate::domain::blueprint::{Api, ApiKey, Estate, UserPool};

/// Where the metrics of distributions are, wherever the rest is.
const DISTRIBUTIONS: &str = "us-east-1";

/// How often the size of a bucket is counted, in seconds.
const DAY: u64 = 86_400;

/// Five minutes, in seconds: shorter stretches of what few use say little.
const MINUTES: u64 = 300;

/// The metrics of what AWS runs, by kind.
pub fn operations(grid: &mut Grid, estate: &Estate, region: &str) {
    let region = estate.region.as_deref().unwrap_or(region);
    functions(grid, estate, region);
    apis(grid, estate, region);
    tables(grid, estate, region);
    user_pools(grid, estate, region);
    buckets(grid, estate, region);
    distributions(grid, estate);
}

/// One line for each of several things.
fn each<'a, T: 'a>(things: impl IntoIterator<Item = &'a T>, line: impl Fn(&'a T) -> Line) -> Vec<Line> {
    things.into_iter().map(line).collect()
}

fn functions(grid: &mut Grid, estate: &Estate, region: &str) {
    if estate.functions.is_empty() {
        return;
    }
    grid.heading("## Lambda");
    let of = |metric: &'static str, stat: &'static str| {
        each(&estate.functions, |name| {
            Line::metric("AWS/Lambda", metric, &vec![("FunctionName", name.clone())]).stat(stat).label(name.as_str())
        })
    };
    let graph = |title: &str, lines| Graph::new(title, region, lines).period(MINUTES);
    grid.add(graph("Invocations", of("Invocations", "Sum")).scale("invocations", None).widget());
    grid.add(graph("Errors", of("Errors", "Sum")).scale("errors", None).widget());
    grid.add(graph("Throttles", of("Throttles", "Sum")).scale("throttles", None).widget());
    for stat in ["p50", "p95", "p99"] {
        grid.add(graph(&format!("Duration, {stat}"), of("Duration", stat)).scale("ms", None).widget());
    }
    grid.end_row();
}

/// How an API is called, and its dimensions.
pub fn of_api(api: &Api) -> (String, Dimensions) {
    let (key, name) = match &api.key {
        ApiKey::Name(name) => ("ApiName", name),
        ApiKey::Id(id) => ("ApiId", id),
    };
    let mut dimensions = vec![(key, name.clone())];
    dimensions.extend(api.stage.as_ref().map(|stage| ("Stage", stage.clone())));
    let stage = api.stage.as_ref().map(|stage| format!("/{stage}")).unwrap_or_default();
    (format!("{name}{stage}"), dimensions)
}

fn apis(grid: &mut Grid, estate: &Estate, region: &str) {
    if estate.apis.is_empty() {
        return;
    }
    grid.heading("## API Gateway");
    let line = |api: &Api, metric: &str, stat: &str| {
        let (name, dimensions) = of_api(api);
        Line::metric("AWS/ApiGateway", metric, &dimensions).stat(stat).label(name)
    };
    let of = |metric: &'static str, stat: &'static str| each(&estate.apis, |api| line(api, metric, stat));
    // The two sorts of API call the same thing otherwise.
    let errors = |rest: &'static str, http: &'static str| {
        each(&estate.apis, move |api| match api.key {
            ApiKey::Name(_) => line(api, rest, "Sum"),
            ApiKey::Id(_) => line(api, http, "Sum"),
        })
    };
    let graph = |title: &str, lines| Graph::new(title, region, lines).period(MINUTES);
    grid.add(graph("Requests", of("Count", "Sum")).scale("requests", None).widget());
    grid.add(graph("Errors of callers (4xx)", errors("4XXError", "4xx")).scale("answers", None).widget());
    grid.add(graph("Errors (5xx)", errors("5XXError", "5xx")).scale("answers", None).widget());
    for stat in ["p50", "p95", "p99"] {
        grid.add(graph(&format!("Latency, {stat}"), of("Latency", stat)).scale("ms", None).widget());
    }
    grid.end_row();
}

fn tables(grid: &mut Grid, estate: &Estate, region: &str) {
    if estate.tables.is_empty() {
        return;
    }
    grid.heading("## DynamoDB");
    let of = |metric: &'static str| {
        each(&estate.tables, |table| {
            Line::metric("AWS/DynamoDB", metric, &vec![("TableName", table.clone())]).stat("Sum").label(table.as_str())
        })
    };
    let graph = |title: &str, lines| Graph::new(title, region, lines).wide(6);
    grid.add(graph("Capacity read a minute", of("ConsumedReadCapacityUnits")).scale("units", None).widget());
    grid.add(graph("Capacity written a minute", of("ConsumedWriteCapacityUnits")).scale("units", None).widget());
    grid.add(graph("Throttled reads", of("ReadThrottleEvents")).scale("requests", None).widget());
    grid.add(graph("Throttled writes", of("WriteThrottleEvents")).scale("requests", None).widget());
    grid.end_row();
}

/// The dimensions of a user pool.
pub fn of_user_pool(pool: &UserPool) -> Dimensions {
    vec![("UserPool", pool.pool.clone()), ("UserPoolClient", pool.client.clone())]
}

/// `SignInSuccesses` has a sample for each sign-in that was tried: 1 where it was one, else 0.
fn user_pools(grid: &mut Grid, estate: &Estate, region: &str) {
    if estate.user_pools.is_empty() {
        return;
    }
    grid.heading("## Cognito");
    let metric =
        |pool: &UserPool, stat: &str| Line::metric("AWS/Cognito", "SignInSuccesses", &of_user_pool(pool)).stat(stat);
    let mut failed = Vec::new();
    for (n, pool) in estate.user_pools.iter().enumerate() {
        failed.push(metric(pool, "SampleCount").id(format!("tried{n}")).hidden());
        failed.push(metric(pool, "Sum").id(format!("passed{n}")).hidden());
        failed.push(Line::formula(format!("tried{n} - passed{n}")).id(format!("failed{n}")).label(pool.pool.as_str()));
    }
    let passed = each(&estate.user_pools, |pool| metric(pool, "Sum").label(pool.pool.as_str()));
    let graph = |title: &str, lines| Graph::new(title, region, lines).wide(12);
    grid.add(graph("Sign-ins a minute", passed).scale("sign-ins", None).widget());
    grid.add(graph("Failed sign-ins a minute", failed).scale("sign-ins", None).widget());
    grid.end_row();
}

fn buckets(grid: &mut Grid, estate: &Estate, region: &str) {
    if estate.buckets.is_empty() {
        return;
    }
    grid.heading("## S3");
    let of = |metric: &'static str, storage: &'static str| {
        each(&estate.buckets, |bucket| {
            let dimensions = vec![("BucketName", bucket.clone()), ("StorageType", storage.to_owned())];
            Line::metric("AWS/S3", metric, &dimensions).stat("Average").label(bucket.as_str())
        })
    };
    let graph = |title: &str, lines| Graph::new(title, region, lines).wide(12).period(DAY);
    grid.add(graph("Size, daily", of("BucketSizeBytes", "StandardStorage")).scale("bytes", None).widget());
    grid.add(graph("Objects, daily", of("NumberOfObjects", "AllStorageTypes")).scale("objects", None).widget());
    grid.end_row();
}

fn distributions(grid: &mut Grid, estate: &Estate) {
    if estate.distributions.is_empty() {
        return;
    }
    grid.heading("## CloudFront");
    let of = |metric: &'static str, stat: &'static str| {
        each(&estate.distributions, |id| {
            let dimensions = vec![("DistributionId", id.clone()), ("Region", "Global".to_owned())];
            Line::metric("AWS/CloudFront", metric, &dimensions).stat(stat).label(id.as_str())
        })
    };
    let graph = |title: &str, lines| Graph::new(title, DISTRIBUTIONS, lines).wide(6).period(MINUTES);
    grid.add(graph("Requests", of("Requests", "Sum")).scale("requests", None).widget());
    let hits = of("CacheHitRate", "Average");
    grid.add(graph("From the cache", hits).scale("%", Some(100)).widget());
    grid.add(graph("Errors of callers (4xx)", of("4xxErrorRate", "Average")).scale("%", None).widget());
    grid.add(graph("Errors (5xx)", of("5xxErrorRate", "Average")).scale("%", None).widget());
    grid.end_row();
}
