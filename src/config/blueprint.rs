//! `estate:`, `dashboard:` and `alarms:` as written: what `roundsman aws` prints, and of what. They are settings and no options
//! of a command, so that the same files give the same document whoever prints it, and the bill knows of it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::Value;

use super::objectives::RawShare;
use super::raw::RawLength;
use crate::domain::blueprint::{
    Alarms, Api, ApiKey, Blueprint, Dashboard, Estate, EstateAlarm, EstateAlarms, UserPool,
};
use crate::domain::names::ChannelName;
use crate::net::aws::{check_region, is_region};
use crate::ports::Notifier;
use crate::settings::{Node, OneOrMany, Problem, Problems, Span, Spanned, read, suggest};

/// The longest value of a dimension, in characters.
const DIMENSION_MAX: usize = 1_024;

/// How many of each thing an estate may have: a graph shows no more lines.
const ESTATE_MAX: usize = 100;

/// How many widgets of others a dashboard takes; it has 500 in all.
const INCLUDED_MAX: usize = 100;

/// The longest name of a dashboard, in characters.
const DASHBOARD_NAME_MAX: usize = 255;

/// How many actions an alarm has at most.
const ACTIONS_MAX: usize = 5;

/// Of how many parts an ARN is at least.
const ARN_PARTS_MIN: usize = 6;

/// The limits of the estate's alarms where nothing is said: milliseconds, per cent, a minute's throttles and failures.
const LIMITS: [f64; 4] = [500.0, 1.0, 1.0, 100.0];

/// The types of widgets that CloudWatch knows.
const WIDGETS: [&str; 6] = ["metric", "text", "log", "alarm", "explorer", "custom"];

/// What the site runs on in AWS, for the dashboard and the alarms. What probes ask of AWS by name is on the dashboard without
/// being named here.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
#[schemars(rename = "Estate")]
pub struct RawEstate {
    /// The region of all of it, like `us-east-1`. Default: that of `publish.cloudwatch`. The metrics of distributions are read in
    /// us-east-1 wherever the rest is.
    #[schemars(with = "Option<String>")]
    region: Option<Spanned<String>>,
    /// The account, as a text of 12 digits: a dashboard that is printed alone names alarms by it.
    #[schemars(with = "Option<String>")]
    account: Option<Spanned<String>>,
    /// Lambda functions, by name.
    #[schemars(with = "Option<Vec<String>>")]
    lambda: OneOrMany<Spanned<String>>,
    /// APIs of API Gateway.
    #[schemars(with = "Option<Vec<RawApi>>")]
    api_gateway: OneOrMany<Spanned<RawApi>>,
    /// DynamoDB tables, by name.
    #[schemars(with = "Option<Vec<String>>")]
    dynamodb: OneOrMany<Spanned<String>>,
    /// Cognito user pools, each with the client whose sign-ins count.
    #[schemars(with = "Option<Vec<RawUserPool>>")]
    cognito: OneOrMany<RawUserPool>,
    /// S3 buckets, by name.
    #[schemars(with = "Option<Vec<String>>")]
    s3: OneOrMany<Spanned<String>>,
    /// CloudFront distributions, by id.
    #[schemars(with = "Option<Vec<String>>")]
    cloudfront: OneOrMany<Spanned<String>>,
}

/// An API of API Gateway: a REST API by its name, an HTTP API by its id.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
#[schemars(rename = "Api")]
struct RawApi {
    /// The name of a REST API.
    #[schemars(with = "Option<String>")]
    name: Option<Spanned<String>>,
    /// The id of an HTTP API.
    #[schemars(with = "Option<String>")]
    id: Option<Spanned<String>>,
    /// One stage of it. Default: all together.
    #[schemars(with = "Option<String>")]
    stage: Option<Spanned<String>>,
}

/// A user pool and one of its clients.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "UserPool")]
struct RawUserPool {
    /// The pool's id, like `us-east-1_Ab12Cd34E`.
    #[schemars(with = "String")]
    pool: Spanned<String>,
    /// The client's id.
    #[schemars(with = "String")]
    client: Spanned<String>,
}

/// The dashboard that `roundsman aws` prints.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
#[schemars(rename = "Dashboard")]
pub struct RawDashboard {
    /// Its name: letters, digits, `-` and `_`. Default: the site's.
    #[schemars(with = "Option<String>")]
    name: Option<Spanned<String>>,
    /// Widgets for what others publish, at most 100, in CloudWatch's own form (`type`, `properties`, perhaps `width` and
    /// `height`) but for `x` and `y`: they stand below ours in their order. Default: none.
    #[schemars(with = "Option<Vec<serde_json::Value>>")]
    include: OneOrMany<Node>,
}

/// The alarms that `roundsman aws` prints beside the one on the heartbeat.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
#[schemars(rename = "Alarms")]
pub struct RawAlarms {
    /// The ARN of the SNS topic that is told when there is no heartbeat. It is told by CloudWatch, and leads to people by a way
    /// on which Roundsman does not stand. Default: whoever applies the template says it.
    #[schemars(with = "Option<String>")]
    dead_man: Option<Spanned<String>>,
    /// One for each alert policy that CloudWatch can express, without actions: CodeDeploy reads their state. Default: false.
    policies: bool,
    /// One for each objective that CloudWatch can express, without actions. Default: false.
    objectives: bool,
    /// Those of the estate, with actions. Default: none.
    estate: Option<RawEstateAlarms>,
}

/// The alarms of the estate: one for each API, function, table and user pool.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
#[schemars(rename = "EstateAlarms")]
struct RawEstateAlarms {
    /// What is done where an alarm says nothing else: channels of kind `sns`, or ARNs, at most 5. Default: nothing.
    #[schemars(with = "Option<Vec<String>>")]
    to: OneOrMany<Spanned<String>>,
    /// Above which latency 99 of 100 requests of an API stay not. Default: `500ms`, in 3 of 5 minutes.
    api_p99: RawAlarm<RawLength>,
    /// Above which share of a function's invocations fail. Default: `1%`, over 5 minutes.
    lambda_errors: RawAlarm<RawShare>,
    /// How many throttled requests of a table in a minute alarm. Default: 1.
    dynamodb_throttles: RawAlarm<u32>,
    /// How many failed sign-ins to a user pool in a minute alarm. Default: 100.
    cognito_failures: RawAlarm<u32>,
}

/// One alarm of the estate.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct RawAlarm<T> {
    limit: Option<Spanned<T>>,
    to: Option<OneOrMany<Spanned<String>>>,
}

impl<T> Default for RawAlarm<T> {
    fn default() -> Self {
        Self { limit: None, to: None }
    }
}

/// The shape of [`RawAlarm`] for editors: what a limit is differs, and is read as it is written.
#[derive(JsonSchema)]
#[schemars(rename = "EstateAlarm", deny_unknown_fields)]
#[expect(dead_code, reason = "only its schema is used")]
struct AlarmShape {
    /// The limit.
    limit: Option<LimitForms>,
    /// What is done: channels of kind `sns`, or ARNs, at most 5. Default: as for all of them.
    to: Option<Vec<String>>,
}

/// A number, or a text with its unit.
#[derive(JsonSchema)]
#[schemars(untagged)]
#[expect(dead_code, reason = "only its schema is used")]
enum LimitForms {
    /// So many.
    Number(u32),
    /// `500ms`, `1%`.
    Text(String),
}

impl<T> JsonSchema for RawAlarm<T> {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        AlarmShape::schema_name()
    }
    fn json_schema(generator: &mut schemars::SchemaGenerator) -> schemars::Schema {
        AlarmShape::json_schema(generator)
    }
}

/// What the actions of alarms are held against: the channels by which names of them become ARNs, and where alarms stand.
#[derive(Clone, Copy)]
pub struct Channels<'a> {
    /// All that are declared.
    pub declared: &'a BTreeSet<ChannelName>,
    /// Those without mistakes.
    pub made: &'a BTreeMap<ChannelName, Arc<dyn Notifier>>,
    /// The region in which metrics are published and alarms are made, where one is written.
    pub region: Option<&'a str>,
}

/// The channels that the estate's alarms tell.
pub fn told(alarms: &RawAlarms) -> BTreeSet<&str> {
    let Some(RawEstateAlarms { to, api_p99, lambda_errors, dynamodb_throttles, cognito_failures }) = &alarms.estate
    else {
        return BTreeSet::new();
    };
    let own = [&api_p99.to, &lambda_errors.to, &dynamodb_throttles.to, &cognito_failures.to];
    let all = own.into_iter().flatten().chain([to]).flat_map(|to| to.iter());
    all.map(|name| name.value.as_str()).collect()
}

impl RawEstate {
    /// Where it is, if that is written.
    pub fn region(&self) -> Option<&str> {
        self.region.as_ref().map(|region| region.value.as_str())
    }
}

/// All three.
pub fn blueprint(
    estate: &RawEstate,
    dashboard: &RawDashboard,
    alarms: &RawAlarms,
    channels: Channels<'_>,
    problems: &mut Problems,
) -> Blueprint {
    Blueprint {
        estate: self::estate(estate, problems),
        dashboard: self::dashboard(dashboard, problems),
        alarms: self::alarms(alarms, channels, problems),
    }
}

fn estate(written: &RawEstate, problems: &mut Problems) -> Estate {
    if let Some(region) = &written.region {
        check_region(region, problems);
    }
    if let Some(account) = written.account.as_ref().filter(|account| !is_account(&account.value)) {
        let message = format!("`{}` is not an account of 12 digits", account.value);
        problems.error(account.span.clone(), message).help = Some("write it like `\"123456789012\"`".to_owned());
    }
    Estate {
        region: written.region.as_ref().map(|region| region.value.clone()),
        account: written.account.as_ref().map(|account| account.value.clone()),
        functions: names("function", &written.lambda, problems),
        apis: written.api_gateway.iter().filter_map(|api| self::api(api, problems)).collect(),
        tables: names("table", &written.dynamodb, problems),
        user_pools: written.cognito.iter().filter_map(|pool| user_pool(pool, problems)).collect(),
        buckets: names("bucket", &written.s3, problems),
        distributions: names("distribution", &written.cloudfront, problems),
    }
}

fn is_account(text: &str) -> bool {
    text.len() == 12 && text.bytes().all(|byte| byte.is_ascii_digit())
}

fn names(what: &str, written: &OneOrMany<Spanned<String>>, problems: &mut Problems) -> BTreeSet<String> {
    let mut named = BTreeSet::new();
    for name in written.iter() {
        let Some(known) = dimension(what, name, problems) else { continue };
        if !named.insert(known) {
            problems.error(name.span.clone(), format!("the {what} `{}` is named twice", name.value));
        }
    }
    if let Some(beyond) = written.get(ESTATE_MAX) {
        problems.error(beyond.span.clone(), format!("an estate has at most {ESTATE_MAX} of a kind"));
    }
    named
}

/// A name as CloudWatch has it in dimensions.
fn dimension(what: &str, name: &Spanned<String>, problems: &mut Problems) -> Option<String> {
    let text = &name.value;
    let is_one = (1..=DIMENSION_MAX).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_graphic());
    if !is_one {
        problems.error(name.span.clone(), format!("this is not the name of a {what}")).help =
            Some(format!("it is 1 to {DIMENSION_MAX} ASCII characters without spaces"));
    } else if text.starts_with("arn:") {
        problems.error(name.span.clone(), format!("this is an ARN, not the name of a {what}")).help =
            text.rsplit([':', '/']).next().map(|last| format!("write `{last}`"));
    } else {
        return Some(text.clone());
    }
    None
}

fn api(written: &Spanned<RawApi>, problems: &mut Problems) -> Option<Api> {
    let RawApi { name, id, stage } = &written.value;
    let key = match (name, id) {
        (Some(name), None) => ApiKey::Name(dimension("REST API", name, problems)?),
        (None, Some(id)) => ApiKey::Id(dimension("HTTP API", id, problems)?),
        _ => {
            problems.error(written.span.clone(), "an API has either a `name` or an `id`").help =
                Some("write `name` for a REST API, `id` for an HTTP API".to_owned());
            return None;
        }
    };
    let stage = match stage {
        Some(stage) => Some(dimension("stage", stage, problems)?),
        None => None,
    };
    Some(Api { key, stage })
}

fn user_pool(written: &RawUserPool, problems: &mut Problems) -> Option<UserPool> {
    let (pool, client) =
        (dimension("user pool", &written.pool, problems), dimension("client", &written.client, problems));
    Some(UserPool { pool: pool?, client: client? })
}

fn dashboard(written: &RawDashboard, problems: &mut Problems) -> Dashboard {
    if let Some(name) = written.name.as_ref().filter(|name| !is_dashboard_name(&name.value)) {
        problems.error(name.span.clone(), format!("`{}` is not the name of a dashboard", name.value)).help =
            Some(format!("it is 1 to {DASHBOARD_NAME_MAX} letters, digits, `-` and `_`"));
    }
    if let Some(beyond) = written.include.get(INCLUDED_MAX) {
        problems.error(beyond.span.clone(), format!("a dashboard takes at most {INCLUDED_MAX} widgets of others"));
    }
    let include = written.include.iter().filter_map(|node| widget(node, problems)).collect();
    Dashboard { name: written.name.as_ref().map(|name| name.value.clone()), include }
}

fn is_dashboard_name(text: &str) -> bool {
    (1..=DASHBOARD_NAME_MAX).contains(&text.len())
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte))
}

/// A widget of others. What stands in its properties is between them and CloudWatch, which says more about it than we could.
fn widget(node: &Node, problems: &mut Problems) -> Option<Value> {
    let form = "write it like `{ type: metric, properties: { metrics: [[Business, DailyActiveUsers]] } }`";
    let mistake = |at: &Node, message: String| {
        let mut problem = Problem::error(at.span.clone(), message);
        problem.help = Some(form.to_owned());
        problem
    };
    let (Some(kind), Some(properties)) = (node.get("type"), node.get("properties")) else {
        problems.push(mistake(node, "a widget has a `type` and `properties`".to_owned()));
        return None;
    };
    let known = problems.len();
    let kind: Option<Spanned<String>> = read(kind, problems);
    if let Some(kind) = kind.as_ref().filter(|kind| !WIDGETS.contains(&kind.value.as_str())) {
        problems.error(kind.span.clone(), format!("`{}` is not a type of widget", kind.value)).help =
            suggest(&kind.value, WIDGETS);
    }
    if !matches!(properties.value, crate::settings::Value::Map(_) | crate::settings::Value::Broken) {
        problems.push(mistake(properties, "`properties` is a mapping".to_owned()));
    }
    for entry in node.entries() {
        let key = entry.key.text.as_str();
        let most = match key {
            "type" | "properties" => continue,
            "width" => 24,
            "height" => 1_000,
            _ => {
                let help = if matches!(key, "x" | "y") { "it stands where there is room: remove it" } else { form };
                problems.error(entry.key.span.clone(), format!("unknown key `{key}`")).help = Some(help.to_owned());
                continue;
            }
        };
        let Some(size) = read::<Spanned<u32>>(&entry.value, problems) else { continue };
        if !(1..=most).contains(&size.value) {
            problems.error(size.span.clone(), format!("the {key} of a widget is 1 to {most}, not {}", size.value));
        }
    }
    let widget = read(node, problems);
    widget.filter(|_| problems.len() == known)
}

fn alarms(written: &RawAlarms, channels: Channels<'_>, problems: &mut Problems) -> Alarms {
    if let Some(topic) = &written.dead_man {
        if is_topic(&topic.value) {
            check_topic_region(&topic.value, &topic.span, channels.region, problems);
        } else {
            problems.error(topic.span.clone(), "this is not the ARN of a topic").help =
                Some("write it like `arn:aws:sns:us-east-1:123456789012:dead-man`".to_owned());
        }
    }
    Alarms {
        dead_man: written.dead_man.as_ref().map(|topic| topic.value.clone()),
        policies: written.policies,
        objectives: written.objectives,
        estate: written.estate.as_ref().map(|estate| estate_alarms(estate, channels, problems)),
    }
}

fn is_topic(text: &str) -> bool {
    let parts: Vec<&str> = text.split(':').collect();
    matches!(parts.as_slice(), ["arn", partition, "sns", region, account, name]
        if partition.starts_with("aws") && is_region(region) && is_account(account) && !name.is_empty())
}

fn estate_alarms(written: &RawEstateAlarms, channels: Channels<'_>, problems: &mut Problems) -> EstateAlarms {
    let RawEstateAlarms { to, api_p99, lambda_errors, dynamodb_throttles, cognito_failures } = written;
    let default = actions(to, channels, problems);
    let [api, lambda, dynamodb, cognito] = LIMITS;
    let api_limit = api_p99.limit.as_ref().map(|limit| (limit.value.0.0.as_secs_f64() * 1e3, limit));
    if let Some((_, limit)) = api_limit.filter(|(milliseconds, _)| *milliseconds <= 0.0) {
        problems.error(limit.span.clone(), "nothing answers within no time");
    }
    let errors = lambda_errors.limit.as_ref();
    if let Some(limit) = errors.filter(|limit| !limit.value.0.is_partial()) {
        problems.error(limit.span.clone(), "the limit is between 0 % and 100 %");
    }
    for limit in [dynamodb_throttles, cognito_failures].into_iter().filter_map(|alarm| alarm.limit.as_ref()) {
        if limit.value == 0 {
            problems.error(limit.span.clone(), "so few would always alarm");
        }
    }
    let mut of = |own: Option<&OneOrMany<Spanned<String>>>, limit: f64| EstateAlarm {
        limit,
        to: own.map_or_else(|| default.clone(), |own| actions(own, channels, problems)),
    };
    let count = |alarm: &RawAlarm<u32>, otherwise| alarm.limit.as_ref().map_or(otherwise, |limit| limit.value.into());
    EstateAlarms {
        api_p99: of(api_p99.to.as_ref(), api_limit.map_or(api, |(milliseconds, _)| milliseconds)),
        lambda_errors: of(lambda_errors.to.as_ref(), errors.map_or(lambda, |limit| limit.value.0.fraction() * 100.0)),
        dynamodb_throttles: of(dynamodb_throttles.to.as_ref(), count(dynamodb_throttles, dynamodb)),
        cognito_failures: of(cognito_failures.to.as_ref(), count(cognito_failures, cognito)),
    }
}

/// CloudWatch tells topics of its own region, and is silent about any other one.
fn check_topic_region(arn: &str, at: &Span, alarms: Option<&str>, problems: &mut Problems) {
    let mut parts = arn.split(':').skip(2);
    let (Some("sns"), Some(topic), Some(alarms)) = (parts.next(), parts.next(), alarms) else { return };
    if is_region(topic) && topic != alarms {
        let message = format!("this topic is in {topic}, and the alarms are in {alarms}");
        problems.error(at.clone(), message).help = Some(format!("name a topic in {alarms}: an alarm tells no other"));
    }
}

/// What an alarm does: CloudWatch tells topics and a few other things, and no pager.
fn actions(written: &OneOrMany<Spanned<String>>, channels: Channels<'_>, problems: &mut Problems) -> Vec<String> {
    let mut named = Vec::new();
    for action in written.iter() {
        let text = action.value.as_str();
        if text.starts_with("arn:") {
            let parts: Vec<&str> = text.split(':').collect();
            // A topic has nothing behind its name; what else an alarm can do has ARNs of many forms.
            let is_known = match parts.get(2) {
                Some(&"sns") => is_topic(text),
                _ => parts.len() >= ARN_PARTS_MIN && parts.last().is_some_and(|last| !last.is_empty()),
            };
            if is_known {
                check_topic_region(text, &action.span, channels.region, problems);
                named.push(text.to_owned());
            } else {
                problems.error(action.span.clone(), "this is not the ARN of what an alarm can do").help =
                    Some("write it like `arn:aws:sns:us-east-1:123456789012:ops`".to_owned());
            }
            continue;
        }
        if !channels.declared.contains(text) {
            let known: Vec<_> = channels.declared.iter().map(ChannelName::as_str).collect();
            problems.error(action.span.clone(), format!("there is no channel `{text}`")).help =
                suggest(text, known).or_else(|| Some("name a channel of kind `sns`, or an ARN".to_owned()));
            continue;
        }
        // A channel with a mistake of its own has been told of.
        let Some(notifier) = channels.made.get(text) else { continue };
        match notifier.calls().into_iter().find(|call| call.action == "sns:Publish") {
            Some(call) => {
                check_topic_region(&call.resource, &action.span, channels.region, problems);
                named.push(call.resource);
            }
            None => {
                problems.error(action.span.clone(), format!("CloudWatch cannot tell the channel `{text}`")).help =
                    Some("name a channel of kind `sns`, or an ARN".to_owned());
            }
        }
    }
    if let Some(beyond) = written.get(ACTIONS_MAX) {
        problems.error(beyond.span.clone(), format!("an alarm has at most {ACTIONS_MAX} actions"));
    }
    named
}
