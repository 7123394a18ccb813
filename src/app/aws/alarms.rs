//! The alarms: on the heartbeat always, since nobody else hears when we are gone; on the rest by choice, since our own incidents
//! page already.

use serde_json::{Map, Value, json};

use super::dashboard::short;
use super::named;
use super::objectives::objectives;
use super::operations::{of_api, of_user_pool};
use super::place::{Dimensions, Place};
use super::policies::policies;
use crate::domain::blueprint::{Estate, EstateAlarm, EstateAlarms};
use crate::engine::plan::Plan;

/// For how many minutes there is no heartbeat before anybody hears of it: one request of metrics may be lost, and a daemon may
/// be replaced.
const SILENT_MINUTES: u64 = 3;

/// How long the first heartbeat may take after the alarm was made, in minutes.
const WARM_UP_MINUTES: u64 = 10;

/// An alarm, as `PutMetricAlarm` and a template both have it.
#[derive(Clone, Debug, PartialEq)]
pub struct Alarm {
    /// Its name, unique in its region.
    pub name: String,
    /// What it is about, which begins its logical id in a template.
    pub about: About,
    /// All the rest but its actions.
    pub properties: Map<String, Value>,
    /// The ARNs of what is done.
    pub actions: Vec<String>,
}

/// What an alarm is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum About {
    /// Roundsman itself.
    DeadMan,
    /// An alert policy.
    Policy,
    /// An objective.
    Objective,
    /// What the site runs on.
    Estate,
}

impl About {
    /// In names.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::DeadMan => "dead-man",
            Self::Policy => "policy",
            Self::Objective => "objective",
            Self::Estate => "estate",
        }
    }
}

/// What CloudWatch cannot express.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unmade {
    /// Of what there is no alarm.
    pub what: String,
    /// Why not.
    pub why: String,
}

/// The alarms, and those that there are not.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Alarms {
    /// Those that there are.
    pub made: Vec<Alarm>,
    /// Those that were asked for and cannot be.
    pub unmade: Vec<Unmade>,
}

/// The alarms of a plan, in an order that depends on its names alone.
pub fn alarms(plan: &Plan, place: &Place, estate: &Estate) -> Alarms {
    let mut all = Alarms::default();
    let chosen = &plan.blueprint.alarms;
    if place.is_published {
        all.made.push(dead_man(plan, place));
    } else {
        let why = "nothing publishes a heartbeat: write `publish: { cloudwatch: {} }`".to_owned();
        all.unmade.push(Unmade { what: "the heartbeat".to_owned(), why });
    }
    if chosen.policies {
        policies(plan, place, &mut all);
    }
    if chosen.objectives {
        objectives(plan, place, &mut all);
    }
    if let Some(chosen) = &chosen.estate {
        all.made.extend(of_estate(place, estate, chosen));
    }
    all
}

/// Silence is what it alarms on, so it must not wait for a value.
fn dead_man(plan: &Plan, place: &Place) -> Alarm {
    let description = format!("Roundsman of {} at {} gives no sign of life.", place.site, place.location);
    let watched = Watched::new(&place.metrics.namespace, "Heartbeat", place.of_heartbeat()).every(60).statistic("Sum");
    let mut alarm =
        watched.alarm(named::alarm(&place.site, About::DeadMan, &[&place.location]), About::DeadMan, &description);
    alarm.compare("LessThanThreshold", 1.0, [SILENT_MINUTES; 2], "breaching");
    alarm.set("WarmUpConfiguration", json!({ "WarmUpPeriodDurationInMinutes": WARM_UP_MINUTES }));
    Alarm { actions: plan.blueprint.alarms.dead_man.iter().cloned().collect(), ..alarm }
}

/// A metric as an alarm watches it.
pub struct Watched {
    properties: Map<String, Value>,
}

impl Watched {
    /// A metric. No unit is named: an alarm that names one is blind to values that came with another.
    pub fn new(namespace: &str, metric: &str, dimensions: Dimensions) -> Self {
        let mut properties = Map::new();
        properties.insert("Namespace".to_owned(), json!(namespace));
        properties.insert("MetricName".to_owned(), json!(metric));
        properties.insert("Dimensions".to_owned(), to_json(dimensions));
        Self { properties }
    }

    /// The length of a period, in seconds.
    pub fn every(mut self, seconds: u64) -> Self {
        self.properties.insert("Period".to_owned(), json!(seconds));
        self
    }

    /// Which statistic of a period counts.
    pub fn statistic(mut self, name: &str) -> Self {
        let is_percentile = name.starts_with('p');
        let key = if is_percentile { "ExtendedStatistic" } else { "Statistic" };
        self.properties.insert(key.to_owned(), json!(name));
        if is_percentile {
            // The 99th percentile of three requests is no percentile.
            self.properties.insert("EvaluateLowSampleCountPercentile".to_owned(), json!("ignore"));
        }
        self
    }

    /// The alarm.
    pub fn alarm(self, name: String, about: About, description: &str) -> Alarm {
        let mut properties = Map::new();
        properties.insert("AlarmDescription".to_owned(), json!(description));
        properties.extend(self.properties);
        Alarm { name, about, properties, actions: Vec::new() }
    }
}

/// A formula over metrics of periods of the same length.
pub struct Formula<'a> {
    /// The formula.
    pub expression: String,
    /// What it is called.
    pub label: &'a str,
    /// The namespace of the metrics.
    pub namespace: &'a str,
    /// Their dimensions.
    pub dimensions: Dimensions,
    /// The length of a period, in seconds.
    pub period: u64,
    /// By which name the formula knows each, and which statistic of which metric it is.
    pub metrics: Vec<(&'static str, &'static str, String)>,
}

impl Formula<'_> {
    /// The alarm.
    pub fn alarm(self, name: String, about: About, description: &str) -> Alarm {
        let dimensions = to_json(self.dimensions);
        let mut queries = vec![json!({
            "Id": "watched", "Expression": self.expression, "Label": self.label, "ReturnData": true,
        })];
        queries.extend(self.metrics.iter().map(|(id, metric, stat)| {
            json!({
                "Id": id,
                "MetricStat": {
                    "Metric": { "Namespace": self.namespace, "MetricName": metric, "Dimensions": dimensions },
                    "Period": self.period,
                    "Stat": stat,
                },
                "ReturnData": false,
            })
        }));
        let mut properties = Map::new();
        properties.insert("AlarmDescription".to_owned(), json!(description));
        properties.insert("Metrics".to_owned(), Value::Array(queries));
        Alarm { name, about, properties, actions: Vec::new() }
    }
}

impl Alarm {
    /// When it alarms: how what is watched stands to the threshold in so many of so many periods, and what silence means.
    pub fn compare(&mut self, how: &str, threshold: f64, [points, periods]: [u64; 2], missing: &str) {
        self.set("ComparisonOperator", json!(how));
        self.set("Threshold", json!(threshold));
        self.set("EvaluationPeriods", json!(periods));
        self.set("DatapointsToAlarm", json!(points));
        self.set("TreatMissingData", json!(missing));
    }

    fn set(&mut self, key: &str, value: Value) {
        self.properties.insert(key.to_owned(), value);
    }

    /// What `PutMetricAlarm` takes.
    pub fn to_input(&self) -> Value {
        let mut input = Map::new();
        input.insert("AlarmName".to_owned(), json!(self.name));
        input.extend(self.properties.clone());
        if !self.actions.is_empty() {
            input.insert("AlarmActions".to_owned(), json!(self.actions));
        }
        Value::Object(input)
    }

    /// Whether it is billed as one of high resolution.
    pub fn is_high_resolution(&self) -> bool {
        self.properties.get("Period").and_then(Value::as_u64).is_some_and(|period| period < 60)
    }

    /// How many metrics it is billed for.
    pub fn metrics_count(&self) -> usize {
        let queries = self.properties.get("Metrics").and_then(Value::as_array);
        queries.map_or(1, |queries| queries.iter().filter(|query| query.get("MetricStat").is_some()).count())
    }
}

fn to_json(dimensions: Dimensions) -> Value {
    dimensions.into_iter().map(|(name, value)| json!({ "Name": name, "Value": value })).collect()
}

/// Those of the estate. That nobody asks anything of it is well.
fn of_estate(place: &Place, estate: &Estate, chosen: &EstateAlarms) -> Vec<Alarm> {
    let mut made = Vec::new();
    let mut add = |mut alarm: Alarm, how: &str, of: &EstateAlarm, among: [u64; 2]| {
        alarm.compare(how, of.limit, among, "notBreaching");
        made.push(Alarm { actions: of.to.clone(), ..alarm });
    };
    let named = |what: &str, of: &str| named::alarm(&place.site, About::Estate, &[what, of]);
    for api in &estate.apis {
        let (name, dimensions) = of_api(api);
        let description =
            format!("99 of 100 requests of {name} take up to more than {} ms.", short(chosen.api_p99.limit));
        let watched = Watched::new("AWS/ApiGateway", "Latency", dimensions).every(60).statistic("p99");
        let alarm = watched.alarm(named("api-p99", &name), About::Estate, &description);
        add(alarm, "GreaterThanThreshold", &chosen.api_p99, [3, 5]);
    }
    for name in &estate.functions {
        let description =
            format!("More than {} % of the invocations of {name} fail.", short(chosen.lambda_errors.limit));
        let formula = Formula {
            expression: "100 * errors / invocations".to_owned(),
            label: "errors, %",
            namespace: "AWS/Lambda",
            dimensions: vec![("FunctionName", name.clone())],
            period: 300,
            metrics: vec![("errors", "Errors", "Sum".to_owned()), ("invocations", "Invocations", "Sum".to_owned())],
        };
        let alarm = formula.alarm(named("lambda-errors", name), About::Estate, &description);
        add(alarm, "GreaterThanThreshold", &chosen.lambda_errors, [1, 1]);
    }
    for name in &estate.tables {
        let description =
            format!("{} or more requests of {name} are throttled in a minute.", short(chosen.dynamodb_throttles.limit));
        // A table that throttles nothing has no metric of it.
        let formula = Formula {
            expression: "FILL(reads, 0) + FILL(writes, 0)".to_owned(),
            label: "throttled requests",
            namespace: "AWS/DynamoDB",
            dimensions: vec![("TableName", name.clone())],
            period: 60,
            metrics: vec![
                ("reads", "ReadThrottleEvents", "Sum".to_owned()),
                ("writes", "WriteThrottleEvents", "Sum".to_owned()),
            ],
        };
        let alarm = formula.alarm(named("dynamodb-throttles", name), About::Estate, &description);
        add(alarm, "GreaterThanOrEqualToThreshold", &chosen.dynamodb_throttles, [1, 1]);
    }
    for pool in &estate.user_pools {
        let description =
            format!("{} or more sign-ins to {} fail in a minute.", short(chosen.cognito_failures.limit), pool.pool);
        // The metric has a sample for each sign-in that was tried, which is 1 where it was one.
        let formula = Formula {
            expression: "tried - passed".to_owned(),
            label: "failed sign-ins",
            namespace: "AWS/Cognito",
            dimensions: of_user_pool(pool),
            period: 60,
            metrics: vec![
                ("tried", "SignInSuccesses", "SampleCount".to_owned()),
                ("passed", "SignInSuccesses", "Sum".to_owned()),
            ],
        };
        let name = named("cognito-failures", &format!("{}/{}", pool.pool, pool.client));
        let alarm = formula.alarm(name, About::Estate, &description);
        add(alarm, "GreaterThanOrEqualToThreshold", &chosen.cognito_failures, [1, 1]);
    }
    made
}
