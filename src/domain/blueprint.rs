//! What is said of what `roundsman aws` prints: the estate that a site runs on, and what is chosen of dashboard and alarms.

use std::collections::BTreeSet;

use serde_json::Value;

/// Estate, dashboard and alarms.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Blueprint {
    /// What the site runs on.
    pub estate: Estate,
    /// The dashboard.
    pub dashboard: Dashboard,
    /// The alarms.
    pub alarms: Alarms,
}

/// What a site runs on in AWS, by the names under which CloudWatch knows it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Estate {
    /// The region of all of it but distributions, whose metrics stand in us-east-1.
    pub region: Option<String>,
    /// The account, of 12 digits: the ARNs of alarms are made of it.
    pub account: Option<String>,
    /// Lambda functions, by name.
    pub functions: BTreeSet<String>,
    /// APIs of API Gateway.
    pub apis: BTreeSet<Api>,
    /// DynamoDB tables, by name.
    pub tables: BTreeSet<String>,
    /// Cognito user pools.
    pub user_pools: BTreeSet<UserPool>,
    /// S3 buckets, by name.
    pub buckets: BTreeSet<String>,
    /// CloudFront distributions, by id.
    pub distributions: BTreeSet<String>,
}

/// An API of API Gateway.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Api {
    /// A REST API's name, or an HTTP API's id.
    pub key: ApiKey,
    /// One stage of it; without it all together.
    pub stage: Option<String>,
}

/// By what CloudWatch knows an API.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum ApiKey {
    /// A REST API, by its name.
    Name(String),
    /// An HTTP API, by its id.
    Id(String),
}

/// A user pool of Cognito with one of its clients: their metrics stand together.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct UserPool {
    /// The pool's id.
    pub pool: String,
    /// The client's id.
    pub client: String,
}

/// What is chosen of the dashboard.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Dashboard {
    /// Its name; without it the site's.
    pub name: Option<String>,
    /// Widgets of others, in CloudWatch's own form but for where they stand.
    pub include: Vec<Value>,
}

/// What is chosen of the alarms beside the one on the heartbeat, which is always there.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Alarms {
    /// The ARN of the topic that is told when there is no heartbeat.
    pub dead_man: Option<String>,
    /// Whether alert policies have one each.
    pub policies: bool,
    /// Whether objectives have one each.
    pub objectives: bool,
    /// Those of the estate.
    pub estate: Option<EstateAlarms>,
}

/// The alarms of an estate.
#[derive(Clone, Debug, PartialEq)]
pub struct EstateAlarms {
    /// The 99th percentile of an API's latency, in milliseconds: more alarms.
    pub api_p99: EstateAlarm,
    /// Which per cent of a function's invocations fail: more alarms.
    pub lambda_errors: EstateAlarm,
    /// Requests of a table that are throttled in a minute: so many alarm.
    pub dynamodb_throttles: EstateAlarm,
    /// Sign-ins to a user pool that fail in a minute: so many alarm.
    pub cognito_failures: EstateAlarm,
}

/// One of them.
#[derive(Clone, Debug, PartialEq)]
pub struct EstateAlarm {
    /// Its threshold.
    pub limit: f64,
    /// The ARNs of what is done when it alarms.
    pub to: Vec<String>,
}
