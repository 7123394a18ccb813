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
        match estate.region.as_ref().filter(|region| **region != place.region) {
            None => all.made.extend(of_estate(place, estate, chosen)),
            Some(region) => {
                let why = format!(
                    "an alarm stands in the region of what it watches, {region}, and these are made in {}",
                    place.region
                );
                all.unmade.push(Unmade { what: "the estate".to_owned(), why });
            }
        }
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
#[must_use]
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::app::aws::estate::estate;
    use crate::app::aws::testing::{PROBES, loaded, plan};

    /// The alarms of policies and objectives where everything is published that can be, by name, and what there is not.
    fn told(schedules: &str) -> (Vec<Alarm>, Vec<String>) {
        let root =
            "site: s\npublish: { cloudwatch: { region: us-east-1 } }\nalarms: { policies: true, objectives: true }";
        let plan = plan(root, PROBES, schedules);
        let mut place = Place::of(&plan).unwrap();
        place.metrics.by_step = true;
        place.metrics.is_high_resolution = true;
        let all = alarms(&plan, &place, &Estate::default());
        let made = all.made.into_iter().filter(|alarm| alarm.about != About::DeadMan).collect();
        (made, all.unmade.into_iter().map(|unmade| format!("{}: {}", unmade.what, unmade.why)).collect())
    }

    /// Period, data points, periods.
    fn numbers(alarm: &Alarm) -> [u64; 3] {
        let of = |key: &str| alarm.properties[key].as_u64().unwrap();
        [of("Period"), of("DatapointsToAlarm"), of("EvaluationPeriods")]
    }

    #[test]
    fn the_estate_has_alarms_where_its_metrics_are() {
        let of = |region: &str| {
            let root = format!(
                "publish: {{ cloudwatch: {{ region: eu-central-1 }} }}\nestate: {{ region: {region}, lambda: [shop-api] }}\nalarms: {{ estate: {{}} }}"
            );
            let plan = plan(&root, PROBES, "t: { every: 1m, probes: [api] }");
            let place = Place::of(&plan).unwrap();
            let all = alarms(&plan, &place, &estate(&plan, &place.region));
            let unmade: Vec<_> =
                all.unmade.into_iter().map(|unmade| format!("{}: {}", unmade.what, unmade.why)).collect();
            (all.made.iter().filter(|alarm| alarm.about == About::Estate).count(), unmade)
        };
        assert_eq!(of("eu-central-1"), (1, vec![]));
        let why = "the estate: an alarm stands in the region of what it watches, us-east-1, and these are made in eu-central-1";
        assert_eq!(of("us-east-1"), (0, vec![why.to_owned()]));
    }

    #[test]
    fn a_channel_that_alarms_tell_needs_no_route() {
        let root = "channels: { ops: { sns: \"arn:aws:sns:us-east-1:123456789012:ops\" } }\n";
        let schedule = "t: { every: 1m, probes: [api, shared, items] }";
        let said = |alarms: &str| loaded(&format!("{root}{alarms}"), PROBES, schedule).problems.render(false);
        assert!(said("").contains("no route leads to the channel `ops`"), "{}", said(""));
        assert_eq!(said("alarms: { estate: { to: [ops] } }"), "");
        assert_eq!(said("alarms: { estate: { api_p99: { to: [ops] } } }"), "");
    }

    #[test]
    fn a_policy_is_an_alarm_where_one_run_is_in_one_period() {
        for (cadence, after, expected, why) in [
            ("every: 30s", "2 of 3", [30, 2, 3], "every 30 s: 2 of the last 3 runs have failed"),
            ("every: 1m", "2 of 3", [60, 2, 3], "every 1 min: 2 of the last 3 runs have failed"),
            ("every: 5m", "4", [300, 4, 4], "every 5 min: 4 runs in a row have failed"),
            ("cron: '15 * * * *'", "1", [3_600, 1, 1], "at 15 * * * *: a run has failed"),
            ("every: 24h", "7", [86_400, 7, 7], "every 1 d: 7 runs in a row have failed"),
        ] {
            let (made, _) = told(&format!("t: {{ {cadence}, probes: [api], alert: {{ after: {after} }} }}"));
            assert_eq!(made.iter().map(numbers).collect::<Vec<_>>(), [expected], "{cadence}");
            assert_eq!(made[0].name, "s/policy/t/api");
            let description = made[0].properties["AlarmDescription"].as_str().unwrap();
            assert_eq!(description.split(". ").next(), Some(format!("api, {why}").as_str()));
            assert_eq!(made[0].is_high_resolution(), cadence == "every: 30s");
            assert_eq!(made[0].metrics_count(), 1);
            assert!(made[0].actions.is_empty(), "people are told by us");
        }
    }

    #[test]
    fn what_cannot_be_an_alarm_says_why() {
        let seconds = "an alarm's periods are 10, 20 or 30 s, or minutes";
        for (schedule, why) in [
            ("every: 15s, probes: [api], alert: { after: 1 }", format!("the policy of api on t: it runs every 15 s, and {seconds}")),
            ("every: 90s, probes: [api], alert: { after: 1 }", format!("the policy of api on t: it runs every 1 min 30 s, and {seconds}")),
            (
                "cron: '0 2 * * 2-4', probes: [api], alert: { after: 1 }",
                "the policy of api on t: its slots, at 0 2 * * 2-4, are not evenly apart".to_owned(),
            ),
            (
                "every: 24h, probes: [api], alert: { after: 8 }",
                "the policy of api on t: it looks back over 8 runs, and an alarm with such periods over 7 d at most".to_owned(),
            ),
            (
                "every: 30m, probes: [api], alert: { after: 49 }",
                "the policy of api on t: it looks back over 49 runs, and an alarm with such periods over 1 d at most".to_owned(),
            ),
            (
                "every: 1m, probes: [api], objectives: { success: 80%, over: 30d }",
                "the objective success 80 % over 30 d of api on t: if every run were bad, its budget would go only 5 times too quickly".to_owned(),
            ),
            (
                "every: 6h, probes: [api], objectives: { success: 99%, over: 90d }",
                "the objective success 99 % over 90 d of api on t: it has fewer than 3 runs in the time over which an alarm could see its budget go too quickly".to_owned(),
            ),
        ] {
            let (made, unmade) = told(&format!("t: {{ {schedule} }}"));
            assert!(made.is_empty(), "{schedule}: {made:?}");
            assert!(unmade.contains(&why), "{schedule}: {unmade:#?}");
        }
    }

    #[test]
    fn an_objective_takes_the_first_rule_that_can_hold() {
        for (objective, period, expression) in [
            ("success: 99.95%, over: 30d", 3_600, "IF(bad >= 3 AND bad >= 0.0072 * runs, 1, 0)"),
            ("errors: 10%, over: 30d", 21_600, "IF(bad >= 3 AND bad >= 0.6 * runs, 1, 0)"),
            (
                "p99: 500ms, over: 7d",
                3_600,
                "IF((runs * (100 - within) / 100) >= 3 AND (runs * (100 - within) / 100) >= 0.144 * runs, 1, 0)",
            ),
        ] {
            let (made, unmade) = told(&format!("t: {{ every: 1m, probes: [api], objectives: {{ {objective} }} }}"));
            let [query, first, ..] = made[0].properties["Metrics"].as_array().unwrap().as_slice() else { panic!() };
            assert_eq!((&query["Expression"], &first["MetricStat"]["Period"]), (&json!(expression), &json!(period)));
            assert_eq!((made.len(), made[0].metrics_count(), unmade.len()), (1, 2, 1), "{objective}");
        }
        let (made, _) = told("t: { every: 1m, probes: [items], objectives: { p95: 1s, over: 7d, step: get } }");
        let metric = &made[0].properties["Metrics"][1]["MetricStat"]["Metric"];
        assert_eq!(
            metric["Dimensions"],
            json!([{ "Name": "Probe", "Value": "items" }, { "Name": "Step", "Value": "get" }])
        );
    }
}
