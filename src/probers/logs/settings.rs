//! The settings of kind `logs`, and the prober that they become.

use std::sync::Arc;
use std::time::Duration;

use schemars::JsonSchema;
use serde::Deserialize;

use super::access_logs::{AccessLogs, DatedPrefix};
use super::flow_logs::FlowLogs;
use super::newest::Newest;
use super::prober::{LogsProber, NAMES, Question};
use super::round_trip::RoundTrip;
use super::trail::Trail;
use crate::domain::expression::Names;
use crate::domain::time::Length;
use crate::ports::{Building, BuiltProber, Implied, Kind};
use crate::probers::aws::{Caller, check_bucket};
use crate::probers::length::Written;
use crate::settings::{Node, OneOrMany, Problem, Problems, Span, Spanned, read};

/// The row of this kind.
pub const KIND: Kind = Kind {
    name: "logs",
    about: "asks whether logs are taken, kept and delivered",
    main: "newest",
    schema: LogsSettings::json_schema,
    names: || Names::new().with_all(NAMES),
    build,
};

/// With `newest`: how far back is looked, from `1m` to `30d`; where nothing came within it, the step fails. Default: `1h`.
const OVER: Duration = Duration::from_secs(3_600);

/// The shortest such time …
const OVER_MIN: Duration = Duration::from_secs(60);

/// … and the longest.
const OVER_MAX: Duration = Duration::from_secs(30 * 86_400);

/// The most groups of one step: each costs a call.
const GROUPS_MAX: usize = 20;

/// A question about logs: exactly one of `newest`, `round_trip`, `trail`, `flow_logs` and `access_logs`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct LogsSettings {
    /// A group of CloudWatch Logs to which something should have come, or a list of at most 20.
    #[schemars(with = "Option<Vec<String>>")]
    newest: Option<Spanned<OneOrMany<Spanned<String>>>>,
    /// How far back the newest event is looked for, from `1m` to `30d`; where nothing came within it, the step fails.
    /// Default: `1h`.
    #[schemars(with = "Option<Written>")]
    over: Option<Spanned<Written>>,
    /// The group to which a token is written, which is then looked for until the step's time is over. It must be there.
    #[schemars(with = "Option<String>")]
    round_trip: Option<Spanned<String>>,
    /// With `round_trip`: the stream of the token, which is made where it is not there. Default: `roundsman/` and the
    /// location.
    #[schemars(with = "Option<String>")]
    stream: Option<Spanned<String>>,
    /// A trail of `CloudTrail` by its name, or by its ARN where it is of another region.
    #[schemars(with = "Option<String>")]
    trail: Option<Spanned<String>>,
    /// The id of a VPC, a subnet or a network interface, whose flow logs should be there.
    #[schemars(with = "Option<String>")]
    flow_logs: Option<Spanned<String>>,
    /// Access logs in S3.
    #[schemars(with = "Option<AccessSettings>")]
    access_logs: Option<Spanned<AccessSettings>>,
    /// The region. Default: that of the environment or the profile.
    #[schemars(with = "Option<String>")]
    region: Option<Spanned<String>>,
    /// Where requests go instead. Default: the region's own address.
    #[schemars(with = "Option<String>")]
    endpoint: Option<Spanned<String>>,
}

/// Access logs in S3, of which the newest object is looked for.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "AccessLogs")]
struct AccessSettings {
    /// The bucket.
    #[schemars(with = "String")]
    bucket: Spanned<String>,
    /// How their keys begin, with `%Y`, `%m`, `%d` and perhaps `%H` where year, month, day and hour are, in UTC:
    /// `cdn/E2EXAMPLE.%Y-%m-%d-`. The objects of now and of the day, or hour, before are listed.
    #[schemars(with = "String")]
    prefix: Spanned<String>,
}

const LOGGING: Implied = Implied { unless_mentioned: "logging", expect: "logging" };
const ACTIVE: Implied = Implied { unless_mentioned: "active", expect: "active" };
const DELIVERED: Implied = Implied { unless_mentioned: "delivery_error", expect: "delivery_error == \"\"" };

fn build(node: &Node, building: &Building, problems: &mut Problems) -> Option<BuiltProber> {
    let settings: LogsSettings = read(node, problems)?;
    let known = problems.len();
    let asked = question(node, &settings, &building.location, problems);
    let caller = Caller::read(settings.region.as_ref(), settings.endpoint.as_ref(), building, problems);
    if problems.len() > known {
        return None;
    }
    let (question, implied) = asked?;
    Some(BuiltProber { prober: Arc::new(LogsProber { question, caller: caller? }), implied })
}

fn question(
    node: &Node,
    settings: &LogsSettings,
    location: &str,
    problems: &mut Problems,
) -> Option<(Question, Vec<Implied>)> {
    let LogsSettings { newest, over, round_trip, stream, trail, flow_logs, access_logs, .. } = settings;
    let asked: [(&str, Option<&Span>); 5] = [
        ("newest", newest.as_ref().map(|field| &field.span)),
        ("round_trip", round_trip.as_ref().map(|field| &field.span)),
        ("trail", trail.as_ref().map(|field| &field.span)),
        ("flow_logs", flow_logs.as_ref().map(|field| &field.span)),
        ("access_logs", access_logs.as_ref().map(|field| &field.span)),
    ];
    // What is there and wrong was reported.
    let is_lost = asked.iter().any(|(name, span)| span.is_none() && node.get(name).is_some());
    let mut asked = asked.into_iter().filter_map(|(name, span)| Some((name, span?)));
    let Some((first, span)) = asked.next() else {
        if is_lost {
            return None;
        }
        problems.error(node.span.clone(), "nothing is asked for").help =
            Some("write one of `newest`, `round_trip`, `trail`, `flow_logs` and `access_logs`".to_owned());
        return None;
    };
    if let Some((second, at)) = asked.next() {
        let problem =
            Problem::error(at.clone(), format!("a step asks one question: `{first}` or `{second}`, not both"));
        let problem = problem.with_help("write a probe for each, or a step of a journey");
        problems.push(problem.with_also(span.clone(), "the other one"));
        return None;
    }
    if let Some(over) = over.as_ref().filter(|_| newest.is_none()) {
        problems.error(over.span.clone(), "`over` is how far back `newest` looks").help =
            Some(format!("remove it: `{first}` looks at what is now"));
    }
    if let Some(stream) = stream.as_ref().filter(|_| round_trip.is_none()) {
        problems.error(stream.span.clone(), "`stream` is where `round_trip` writes").help =
            Some(format!("remove it: `{first}` writes nothing"));
    }
    if let Some(groups) = newest {
        return Some((Question::Newest(of_groups(groups, over.as_ref(), problems)), Vec::new()));
    }
    if let Some(group) = round_trip {
        check_group(group, problems);
        let stream = stream_of(stream.as_ref(), location, problems);
        return Some((Question::RoundTrip(RoundTrip { group: group.value.clone(), stream }), Vec::new()));
    }
    if let Some(trail) = trail {
        check_trail(trail, problems);
        return Some((Question::Trail(Trail { name: trail.value.clone() }), vec![LOGGING, DELIVERED]));
    }
    if let Some(logs) = access_logs {
        let logs = of_bucket(&logs.value, problems)?;
        return Some((Question::AccessLogs(logs), Vec::new()));
    }
    let resource = flow_logs.as_ref()?;
    check_resource(resource, problems);
    Some((Question::FlowLogs(FlowLogs { resource: resource.value.clone() }), vec![ACTIVE, DELIVERED]))
}

fn of_groups(
    groups: &Spanned<OneOrMany<Spanned<String>>>,
    over: Option<&Spanned<Written>>,
    problems: &mut Problems,
) -> Newest {
    if groups.value.is_empty() || groups.value.len() > GROUPS_MAX {
        let message = format!("a step looks at 1 to {GROUPS_MAX} groups, not {}", groups.value.len());
        problems.error(groups.span.clone(), message);
    }
    for (place, group) in groups.value.iter().enumerate() {
        check_group(group, problems);
        if groups.value.iter().take(place).any(|earlier| earlier.value == group.value) {
            problems.error(group.span.clone(), format!("the group `{}` is named twice", group.value));
        }
    }
    if let Some(over) = over.filter(|over| !(OVER_MIN..=OVER_MAX).contains(&over.value.0.0)) {
        let message = format!("`over` is from {} to {}, not {}", Length(OVER_MIN), Length(OVER_MAX), over.value.0);
        problems.error(over.span.clone(), message);
    }
    Newest {
        groups: groups.value.iter().map(|group| group.value.clone()).collect(),
        over: over.map_or(OVER, |over| over.value.0.0),
    }
}

/// A group has letters, digits and a few marks (`CreateLogGroup`).
fn check_group(group: &Spanned<String>, problems: &mut Problems) {
    let text = group.value.as_str();
    let is_name = (1..=512).contains(&text.len())
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._-/#".contains(&byte));
    if !is_name {
        problems.error(group.span.clone(), format!("`{text}` is not the name of a group")).help =
            Some("write it like `/aws/lambda/shop-api`, not as an ARN".to_owned());
    }
}

/// The stream that was named, or ours, in which what a stream may not have is a `_`.
fn stream_of(stream: Option<&Spanned<String>>, location: &str, problems: &mut Problems) -> String {
    let Some(stream) = stream else {
        let mut ours = format!("roundsman/{}", location.replace([':', '*'], "_"));
        ours.truncate(ours.floor_char_boundary(512));
        return ours;
    };
    if !(1..=512).contains(&stream.value.len()) || stream.value.contains([':', '*']) {
        problems.error(stream.span.clone(), format!("`{}` is not the name of a stream", stream.value)).help =
            Some("it has 1 to 512 bytes, and neither `:` nor `*`".to_owned());
    }
    stream.value.clone()
}

fn of_bucket(written: &AccessSettings, problems: &mut Problems) -> Option<AccessLogs> {
    check_bucket(&written.bucket, problems);
    match DatedPrefix::parse(&written.prefix.value) {
        Ok(prefix) => Some(AccessLogs { bucket: written.bucket.value.clone(), prefix }),
        Err(why) => {
            let message = format!("`{}` is not how the keys of logs begin: {why}", written.prefix.value);
            problems.error(written.prefix.span.clone(), message).help =
                Some("write it like `cdn/E2EXAMPLE.%Y-%m-%d-`".to_owned());
            None
        }
    }
}

fn check_trail(trail: &Spanned<String>, problems: &mut Problems) {
    let text = trail.value.as_str();
    let is_arn = text.starts_with("arn:") && text.contains(":cloudtrail:") && text.contains(":trail/");
    let is_name = (3..=128).contains(&text.len())
        && text.starts_with(|c: char| c.is_ascii_alphanumeric())
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._-".contains(&byte));
    if !is_arn && !is_name {
        problems.error(trail.span.clone(), format!("`{text}` is neither the name nor the ARN of a trail")).help =
            Some("write it like `shop` or `arn:aws:cloudtrail:us-east-1:123456789012:trail/shop`".to_owned());
    }
}

fn check_resource(resource: &Spanned<String>, problems: &mut Problems) {
    let text = resource.value.as_str();
    let id = ["vpc-", "subnet-", "eni-"].iter().find_map(|kind| text.strip_prefix(kind));
    let is_id = id.is_some_and(|id| !id.is_empty() && id.bytes().all(|byte| byte.is_ascii_hexdigit()));
    if !is_id {
        problems.error(resource.span.clone(), format!("`{text}` is not the id of what has flow logs")).help =
            Some("write that of a VPC, a subnet or a network interface, like `vpc-0a1b2c3d`".to_owned());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::probers::testing;

    fn built(yaml: &str) -> BuiltProber {
        testing::build(&KIND, yaml, false).unwrap_or_else(|problems| panic!("{problems}"))
    }

    #[test]
    fn what_is_asked_of_aws_is_known_before() {
        for (yaml, expected) in [
            (
                "{ round_trip: /shop/canary, region: us-east-1 }",
                vec![
                    "1 logs:PutLogEvents arn:aws:logs:us-east-1:*:log-group:/shop/canary:* 66",
                    "0 logs:CreateLogStream arn:aws:logs:us-east-1:*:log-group:/shop/canary:* 0",
                    "10 logs:FilterLogEvents arn:aws:logs:us-east-1:*:log-group:/shop/canary:* 0",
                ],
            ),
            (
                "{ newest: [/a, /b] }",
                vec![
                    "1 logs:FilterLogEvents arn:aws:logs:*:*:log-group:/a:* 0",
                    "1 logs:FilterLogEvents arn:aws:logs:*:*:log-group:/b:* 0",
                ],
            ),
            (
                "{ trail: shop, region: eu-west-1 }",
                vec!["1 cloudtrail:GetTrailStatus arn:aws:cloudtrail:eu-west-1:*:trail/shop 0"],
            ),
            ("{ flow_logs: vpc-0a }", vec!["1 ec2:DescribeFlowLogs * 0"]),
            (
                "{ access_logs: { bucket: shop-logs, prefix: \"%Y/%m/%d\" } }",
                vec!["2 s3:ListBucket arn:aws:s3:::shop-logs 0"],
            ),
        ] {
            let calls = built(yaml).prober.calls();
            let calls: Vec<_> = calls
                .iter()
                .map(|call| format!("{} {} {} {}", call.calls, call.action, call.resource, call.units))
                .collect();
            assert_eq!(calls, expected, "{yaml}");
        }
    }

    #[test]
    fn what_should_log_and_arrive_is_expected_to() {
        for (yaml, expected) in [
            ("{ trail: shop }", vec!["logging", "delivery_error == \"\""]),
            ("{ flow_logs: vpc-0a }", vec!["active", "delivery_error == \"\""]),
            ("{ newest: /a }", vec![]),
            ("{ round_trip: /a }", vec![]),
        ] {
            let implied: Vec<_> = built(yaml).implied.iter().map(|implied| implied.expect).collect();
            assert_eq!(implied, expected, "{yaml}");
        }
    }

    #[test]
    fn a_stream_of_ours_is_one_that_there_can_be() {
        let stream = |location: &str| stream_of(None, location, &mut Problems::new());
        assert_eq!(stream("eu:west*1"), "roundsman/eu_west_1");
        assert_eq!(stream(&"ü".repeat(400)).len(), 512);
    }
}
