//! What people write under `publish: cloudwatch:`.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use futures::future::BoxFuture;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::disk::Lodging;
use super::foretold::foretell;
use super::packet::Resolution;
use super::publisher::{CloudWatch, Manner};
use super::whom::{LOCATION_MAX, Sets};
use crate::domain::aws_call::AwsCall;
use crate::domain::metric::Sample;
use crate::domain::metrics_place::MetricsPlace;
use crate::domain::size::Size;
use crate::domain::time::Length;
use crate::net::aws::{Access, Aws, is_region};
use crate::ports::{Building, Clock, Exposition, Foretold, PublishError, Publisher, PublisherFactory, PublisherKind};
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

/// After what silence the last value of a probe is said again where nothing else is written: longer than the journeys of
/// five minutes are apart, so that only what would read as "no data" costs two series more.
const REPUBLISH: Duration = Duration::from_mins(10);

/// The shortest silence: what is due each minute is not late at once.
const REPUBLISH_MIN: Duration = Duration::from_mins(2);

/// How much of the disk what cannot be sent may take where nothing else is written: a day of some hundred probes.
const SPOOL: Size = Size(64 << 20);

/// The least that is of use: several requests.
const SPOOL_MIN: Size = Size(4 << 20);

/// What people write.
#[derive(Clone, Debug, Default, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct CloudWatchSettings {
    /// Under which namespace the metrics stand: 1 to 255 letters, digits, spaces and `. - _ / # :`, not beginning with `AWS/` or `:`.
    pub namespace: Namespace,
    /// The region, like `us-east-1`. Default: that of `AWS_REGION`, of the profile or of the machine.
    pub region: Option<Region>,
    /// `1m`, or `1s` for high resolution. Default: `1m`.
    pub resolution: Grain,
    /// By what else than their probe values are published: `schedule`, `step`, or both. Each combination is billed as a
    /// metric of its own. Default: nothing.
    pub also_by: Vec<Other>,
    /// After what silence the last value of a probe is said again each minute, as `LastSuccessPercent` with its `Age`; at
    /// least `2m`, or `never`. Default: `10m`.
    pub republish: Republish,
    /// What becomes of what cannot be sent.
    pub spool: SpoolSettings,
}

/// What people write of what cannot be sent.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct SpoolSettings {
    /// How much of the disk it may take, beside the store; then the oldest goes. At least `4MiB`, or `0` for none of it: it
    /// then waits in memory alone. Default: `64MiB`.
    pub size: SpoolSize,
}

impl Default for SpoolSettings {
    fn default() -> Self {
        Self { size: SpoolSize(SPOOL) }
    }
}

/// How much of the disk the spool may take.
#[derive(Clone, Copy, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(try_from = "String", into = "String")]
#[schemars(with = "String")]
pub struct SpoolSize(Size);

impl TryFrom<String> for SpoolSize {
    type Error = String;
    fn try_from(text: String) -> Result<Self, String> {
        let size: Size = text.parse().map_err(|error: crate::domain::size::SizeError| error.to_string())?;
        if size.0 > 0 && size < SPOOL_MIN {
            return Err(format!("a spool of {size} holds next to nothing: write at least `4MiB`, or `0` for none"));
        }
        Ok(Self(size))
    }
}

impl From<SpoolSize> for String {
    fn from(size: SpoolSize) -> Self {
        size.0.into()
    }
}

/// By what else than their probe values are published.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Other {
    /// By the schedule, over all of its probes.
    Schedule,
    /// By the step, where a probe has several.
    Step,
}

/// How finely values are kept.
#[derive(Clone, Copy, Debug, Default, Deserialize, Serialize, JsonSchema)]
#[serde(try_from = "String", into = "String")]
#[schemars(with = "String")]
pub struct Grain(Resolution);

impl TryFrom<String> for Grain {
    type Error = String;
    fn try_from(text: String) -> Result<Self, String> {
        let written: Length = text.parse().map_err(|error: crate::domain::time::LengthError| error.to_string())?;
        match written.0.as_millis() {
            1_000 => Ok(Self(Resolution::Second)),
            60_000 => Ok(Self(Resolution::Minute)),
            _ => Err(format!(
                "CloudWatch keeps values by the minute or by the second, not by {written}: write `1m` or `1s`"
            )),
        }
    }
}

impl From<Grain> for String {
    fn from(grain: Grain) -> Self {
        Length(Duration::from_secs(grain.0.seconds().unsigned_abs().into())).into()
    }
}

/// After what silence the last value of a probe is said again; never where absent.
#[derive(Clone, Copy, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(try_from = "String", into = "String")]
#[schemars(with = "String")]
pub struct Republish(Option<Duration>);

impl Default for Republish {
    fn default() -> Self {
        Self(Some(REPUBLISH))
    }
}

impl TryFrom<String> for Republish {
    type Error = String;
    fn try_from(text: String) -> Result<Self, String> {
        if text.trim() == "never" {
            return Ok(Self(None));
        }
        let Length(after) = text.parse().map_err(|error: crate::domain::time::LengthError| error.to_string())?;
        if after < REPUBLISH_MIN {
            let written = Length(after);
            return Err(format!("a value is said again after `2m` at least, not after {written}; or `never`"));
        }
        Ok(Self(Some(after)))
    }
}

impl From<Republish> for String {
    fn from(republish: Republish) -> Self {
        republish.0.map_or_else(|| "never".to_owned(), |after| Length(after).into())
    }
}

impl CloudWatchSettings {
    /// By what else than their probe values are published.
    pub fn sets(&self) -> Sets {
        Sets { schedule: self.also_by.contains(&Other::Schedule), step: self.also_by.contains(&Other::Step) }
    }

    /// The same as a publisher takes it; `store` is the file beside which there is room for what cannot be sent.
    fn manner(&self, store: Option<&Path>) -> Manner {
        let lodging = |store: &Path| Lodging { directory: beside(store), budget: self.spool.size.0.0 };
        Manner {
            resolution: self.resolution.0,
            sets: self.sets(),
            republish: self.republish.0,
            lodging: store.map(lodging).filter(|lodging| lodging.budget > 0),
        }
    }
}

/// Where what cannot be sent is kept: in a directory beside the store, named like it.
fn beside(store: &Path) -> PathBuf {
    let mut name = store.as_os_str().to_owned();
    name.push(".cloudwatch");
    PathBuf::from(name)
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

    fn start(&self, store: Option<&Path>) -> (Box<dyn Publisher>, Option<Arc<dyn Exposition>>) {
        let (namespace, manner) = (self.settings.namespace.clone(), self.settings.manner(store));
        let (location, aws, clock) = (Arc::clone(&self.location), Arc::clone(&self.aws), Arc::clone(&self.clock));
        (Box::new(CloudWatch::new(namespace, location, aws, clock, manner)), None)
    }

    fn check(&self) -> BoxFuture<'_, Result<(), PublishError>> {
        Box::pin(async { self.aws.check().await.map_err(|error| PublishError(error.to_string())) })
    }

    fn calls(&self) -> Vec<AwsCall> {
        // The service knows no resource for it.
        let call = AwsCall::once("cloudwatch:PutMetricData", "*");
        vec![call.of_region(self.settings.region.clone().map(String::from))]
    }

    fn foretell(&self, minute: &[Sample], before: &[Sample]) -> Foretold {
        foretell(&self.settings.manner(None), minute, before)
    }

    fn looks_back(&self) -> Duration {
        self.settings.republish.0.unwrap_or_default()
    }

    fn place(&self) -> Option<MetricsPlace> {
        let Sets { schedule: by_schedule, step: by_step } = self.settings.sets();
        let is_high_resolution = self.settings.resolution.0 == Resolution::Second;
        let region = self.settings.region.clone().map(String::from);
        let namespace = self.settings.namespace.as_str().to_owned();
        Some(MetricsPlace { namespace, region, by_schedule, by_step, is_high_resolution })
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
    fn every_setting_may_be_left_out() {
        let mut problems = Problems::new();
        let node = parse(Source::new("roundsman.yaml", "{ region: us-east-1 }"), &mut problems).unwrap();
        let settings: CloudWatchSettings = read(&node, &mut problems).unwrap();
        let written = r#"{"namespace":"Roundsman","region":"us-east-1","resolution":"1 min","also_by":[],"#;
        let written = format!(r#"{written}"republish":"10 min","spool":{{"size":"64 MiB"}}}}"#);
        assert_eq!(serde_json::to_string(&settings).unwrap(), written);
    }

    #[test]
    fn what_is_written_is_what_is_done() {
        let mut problems = Problems::new();
        let yaml = "{ resolution: 1s, also_by: [step], republish: never, spool: { size: 1GiB } }";
        let node = parse(Source::new("roundsman.yaml", yaml), &mut problems).unwrap();
        let settings: CloudWatchSettings = read(&node, &mut problems).unwrap();
        let manner = settings.manner(Some(Path::new("state/roundsman.db")));
        assert_eq!((manner.resolution, manner.republish), (Resolution::Second, None));
        assert_eq!(manner.sets, Sets { schedule: false, step: true });
        let lodging = manner.lodging.unwrap();
        assert_eq!(lodging.directory, Path::new("state/roundsman.db.cloudwatch"));
        assert_eq!(lodging.budget, 1 << 30);
        assert!(settings.manner(None).lodging.is_none(), "where nothing stays, this does not either");
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
            (
                "{ resolution: 5s }",
                "CloudWatch keeps values by the minute or by the second, not by 5 s: write `1m` or `1s`",
            ),
            ("{ resolution: '1' }", "`1` has no unit: write `1s` for seconds, or ms, m, h, d"),
            ("{ republish: 30s }", "a value is said again after `2m` at least, not after 30 s; or `never`"),
            (
                "{ spool: { size: 1MiB } }",
                "a spool of 1 MiB holds next to nothing: write at least `4MiB`, or `0` for none",
            ),
            ("{ spool: { size: '64' } }", "`64` has no unit: write `64B` for bytes, or kB, MB, GB, KiB, MiB, GiB"),
        ] {
            assert_eq!(mistakes(yaml), [why], "{yaml}");
        }
        let long = "n".repeat(256);
        let why = "a namespace has at most 255 characters, this one has 256";
        assert_eq!(mistakes(&format!("{{ namespace: {long} }}")), [why]);
        assert_eq!(mistakes("{ endpoint: x, region: 7 }").len(), 2);
    }
}
