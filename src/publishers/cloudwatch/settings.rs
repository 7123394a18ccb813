//! What people write under `publish: cloudwatch:`.

use std::sync::Arc;

use futures::future::BoxFuture;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::packet::LOCATION_MAX;
use super::publisher::CloudWatch;
use crate::domain::aws_call::AwsCall;
use crate::domain::metrics_place::MetricsPlace;
use crate::net::aws::{Access, Aws, is_region};
use crate::ports::{Building, Clock, Exposition, PublishError, Publisher, PublisherFactory, PublisherKind};
use crate::settings::{Node, Problems, read};

/// The row of the table of publishers.
pub const PUBLISHER: PublisherKind = PublisherKind {
    name: "cloudwatch",
    about: "Amazon CloudWatch: SuccessPercent, Failed and Duration of each probe, and the Heartbeat",
    schema: CloudWatchSettings::json_schema,
    build,
};

/// The longest namespace, in characters.
const NAMESPACE_MAX: usize = 255;

/// What people write.
#[derive(Clone, Debug, Default, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct CloudWatchSettings {
    /// Under which namespace the metrics stand: up to 255 letters, digits and `. - _ / # :`, not beginning with `AWS/`.
    pub namespace: Namespace,
    /// The region, like `us-east-1`; without it the one of `AWS_REGION`, of the profile or of the machine.
    pub region: Option<Region>,
}

/// A namespace of CloudWatch.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(try_from = "String", into = "String")]
#[schemars(with = "String")]
pub struct Namespace(String);

impl Namespace {
    /// The namespace as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Default for Namespace {
    fn default() -> Self {
        Self("Roundsman".to_owned())
    }
}

impl TryFrom<String> for Namespace {
    type Error = String;
    fn try_from(text: String) -> Result<Self, String> {
        let length = text.chars().count();
        if text.trim().is_empty() {
            return Err("a namespace must not be empty".to_owned());
        }
        if length > NAMESPACE_MAX {
            return Err(format!("a namespace has at most {NAMESPACE_MAX} characters, this one has {length}"));
        }
        if let Some(wrong) = text.chars().find(|c| !(c.is_ascii_alphanumeric() || ".-_/#: ".contains(*c))) {
            return Err(format!("a namespace has letters, digits, spaces and `. - _ / # :` only, not {wrong:?}"));
        }
        if text.starts_with(':') {
            return Err("a namespace does not begin with `:`".to_owned());
        }
        if text.starts_with("AWS/") {
            return Err("namespaces that begin with `AWS/` belong to AWS: choose another, like `Roundsman`".to_owned());
        }
        Ok(Self(text))
    }
}

impl From<Namespace> for String {
    fn from(namespace: Namespace) -> Self {
        namespace.0
    }
}

/// A region of AWS.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(try_from = "String", into = "String")]
#[schemars(with = "String")]
pub struct Region(String);

impl TryFrom<String> for Region {
    type Error = String;
    fn try_from(text: String) -> Result<Self, String> {
        if is_region(&text) {
            return Ok(Self(text));
        }
        Err(format!("`{text}` is not a region: write it like `us-east-1`"))
    }
}

impl From<Region> for String {
    fn from(region: Region) -> Self {
        region.0
    }
}

fn build(node: &Node, building: &Building, problems: &mut Problems) -> Option<Arc<dyn PublisherFactory>> {
    let settings: CloudWatchSettings = read(node, problems)?;
    let location = &building.location;
    if !is_dimension(location) {
        let message = format!("the location `{location}` is no value of a dimension, under which the heartbeat stands");
        problems.error(node.span.clone(), message).help =
            Some(format!("`location` is 1 to {LOCATION_MAX} ASCII characters for CloudWatch, the first not `:`"));
        return None;
    }
    let region = settings.region.clone().map(String::from);
    let aws = Arc::new(Aws::new(Access { region, ..Access::default() }));
    Some(Arc::new(Factory { settings, location: Arc::clone(location), aws, clock: Arc::clone(&building.clock) }))
}

/// Whether CloudWatch takes a text as the value of a dimension: ASCII that can be seen, some of it no space, and no colon
/// at its beginning.
fn is_dimension(text: &str) -> bool {
    (1..=LOCATION_MAX).contains(&text.len())
        && text.chars().all(|c| c.is_ascii_graphic() || c == ' ')
        && !text.trim().is_empty()
        && !text.starts_with(':')
}

struct Factory {
    settings: CloudWatchSettings,
    location: Arc<str>,
    aws: Arc<Aws>,
    clock: Arc<dyn Clock>,
}

impl PublisherFactory for Factory {
    fn identity(&self) -> String {
        // A location is no setting of ours, but what was started has it.
        format!("{} {}", serde_json::to_string(&self.settings).unwrap_or_default(), self.location)
    }

    fn start(&self) -> (Box<dyn Publisher>, Option<Arc<dyn Exposition>>) {
        let namespace = self.settings.namespace.clone();
        let (location, aws, clock) = (Arc::clone(&self.location), Arc::clone(&self.aws), Arc::clone(&self.clock));
        (Box::new(CloudWatch::new(namespace, location, aws, clock)), None)
    }

    fn check(&self) -> BoxFuture<'_, Result<(), PublishError>> {
        Box::pin(async { self.aws.check().await.map_err(|error| PublishError(error.to_string())) })
    }

    fn calls(&self) -> Vec<AwsCall> {
        let region = self.settings.region.clone().map(String::from);
        vec![AwsCall::once("cloudwatch:PutMetricData", "*").of_region(region)]
    }

    fn place(&self) -> Option<MetricsPlace> {
        let region = self.settings.region.clone().map(String::from);
        let namespace = self.settings.namespace.as_str().to_owned();
        Some(MetricsPlace { namespace, region, by_schedule: false, by_step: false, is_high_resolution: false })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::{Source, parse};

    fn mistakes(yaml: &str) -> Vec<String> {
        let mut problems = Problems::new();
        let node = parse(Source::new("roundsman.yaml", yaml), &mut problems).unwrap();
        let _: Option<CloudWatchSettings> = read(&node, &mut problems);
        problems.sorted().iter().map(|problem| problem.message.clone()).collect()
    }

    #[test]
    fn both_settings_may_be_left_out() {
        let mut problems = Problems::new();
        let node = parse(Source::new("roundsman.yaml", "{ region: us-east-1 }"), &mut problems).unwrap();
        let settings: CloudWatchSettings = read(&node, &mut problems).unwrap();
        assert_eq!(serde_json::to_string(&settings).unwrap(), r#"{"namespace":"Roundsman","region":"us-east-1"}"#);
    }

    #[test]
    fn a_location_is_a_dimension_or_refused() {
        let long = "l".repeat(256);
        for (location, is_one) in [
            ("local", true),
            ("eu central 1", true),
            ("", false),
            (" ", false),
            ("Zürich", false),
            (":a", false),
            ("a\t", false),
            (&long, false),
            (&long[1..], true),
        ] {
            assert_eq!(is_dimension(location), is_one, "{location:?}");
        }
    }

    #[test]
    fn what_cloudwatch_would_refuse_is_refused_at_load() {
        for (yaml, why) in [
            (
                "{ namespace: AWS/EC2 }",
                "namespaces that begin with `AWS/` belong to AWS: choose another, like `Roundsman`",
            ),
            ("{ namespace: 'a,b' }", "a namespace has letters, digits, spaces and `. - _ / # :` only, not ','"),
            ("{ namespace: ' ' }", "a namespace must not be empty"),
            ("{ namespace: ':a' }", "a namespace does not begin with `:`"),
            ("{ region: us_east_1 }", "`us_east_1` is not a region: write it like `us-east-1`"),
        ] {
            assert_eq!(mistakes(yaml), [why], "{yaml}");
        }
        let long = "n".repeat(256);
        let why = "a namespace has at most 255 characters, this one has 256";
        assert_eq!(mistakes(&format!("{{ namespace: {long} }}")), [why]);
        assert_eq!(mistakes("{ endpoint: x, region: 7 }").len(), 2);
    }
}
