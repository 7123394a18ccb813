//! Prometheus: the values stand on a page, `/metrics`, until somebody reads them. Nothing is sent, so nothing can be late.

use std::collections::{BTreeMap, HashMap};
use std::path::Path;
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, PoisonError, RwLock};

use futures::future::BoxFuture;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::metrics::info::Info;
use prometheus_client::registry::Registry;
use schemars::JsonSchema;
use serde::Deserialize;

use crate::domain::metric::{MetricName, MetricType, Sample, SampleLabels};
use crate::ports::{
    Building, Exposition, Foretold, Known, PublishError, Publisher, PublisherAccount, PublisherFactory, PublisherKind,
};
use crate::settings::{Node, Problems, read};

/// The row of the table of publishers.
pub const PUBLISHER: PublisherKind = PublisherKind {
    name: "prometheus",
    about: "A page at `/metrics` for Prometheus and all that reads OpenMetrics",
    schema: PrometheusSettings::json_schema,
    build,
};

/// The bounds of the buckets of a histogram, in seconds.
const BUCKETS: [f64; 13] = [0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0];

/// The same for what takes people minutes and hours.
const LONG_BUCKETS: [f64; 13] =
    [15.0, 30.0, 60.0, 120.0, 300.0, 600.0, 900.0, 1_800.0, 3_600.0, 7_200.0, 14_400.0, 28_800.0, 86_400.0];

/// What people write: nothing, so far.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct PrometheusSettings {}

fn build(node: &Node, _: &Building, problems: &mut Problems) -> Option<Arc<dyn PublisherFactory>> {
    let PrometheusSettings {} = read(node, problems)?;
    Some(Arc::new(Factory))
}

struct Factory;

impl PublisherFactory for Factory {
    fn identity(&self) -> String {
        String::new()
    }

    fn start(&self, _: Option<&Path>) -> (Box<dyn Publisher>, Option<Arc<dyn Exposition>>) {
        let prometheus = Prometheus::new();
        let page = Arc::clone(&prometheus.page);
        (Box::new(prometheus), Some(page))
    }

    fn check(&self) -> BoxFuture<'_, Result<(), PublishError>> {
        Box::pin(std::future::ready(Ok(())))
    }

    fn foretell(&self, minute: &[Sample], _before: &[Sample]) -> Foretold {
        let mut prometheus = Prometheus::new();
        minute.chunk_by(of_the_same).for_each(|samples| {
            prometheus.take_all(samples);
        });
        let page = prometheus.page.text();
        let lines = page.lines().filter(|line| !line.starts_with('#'));
        let series = lines.filter_map(|line| line.rsplit_once(' ')).map(|(series, _)| series.to_owned()).collect();
        Foretold { requests: 0, series }
    }
}

/// Labels in the order in which the page shows them.
type Labels = Vec<(&'static str, String)>;

/// A value that stands on the page: one of those that have the same labels but the last.
struct Shown {
    name: MetricName,
    also: Also,
    value: Value,
}

/// The label that tells values of one metric and of the same probe apart.
type Also = Option<(&'static str, &'static str)>;

/// The values of one metric by the labels of the page.
enum Values {
    Gauge(Family<Labels, Gauge<f64, AtomicU64>>),
    Counter(Family<Labels, Counter<f64, AtomicU64>>),
    Histogram(Family<Labels, Histogram, fn() -> Histogram>),
}

/// One value on the page.
enum Value {
    Gauge(Gauge<f64, AtomicU64>),
    Counter(Counter<f64, AtomicU64>),
    Histogram(Histogram),
}

impl Values {
    /// Nothing where a page has the same by itself.
    fn register(registry: &mut Registry, name: MetricName) -> Option<Self> {
        let (text, help) = (name.as_str(), name.help());
        Some(match name.metric_type() {
            MetricType::Held => return None,
            MetricType::Gauge => {
                let family = Family::default();
                registry.register(text, help, Family::clone(&family));
                Self::Gauge(family)
            }
            MetricType::Counter => {
                let family = Family::default();
                registry.register(text, help, Family::clone(&family));
                Self::Counter(family)
            }
            MetricType::Histogram | MetricType::LongHistogram => {
                let make: fn() -> Histogram = match name.metric_type() {
                    MetricType::LongHistogram => || Histogram::new(LONG_BUCKETS),
                    _ => || Histogram::new(BUCKETS),
                };
                let family: Family<_, _, fn() -> Histogram> = Family::new_with_constructor(make);
                registry.register(text, help, Family::clone(&family));
                Self::Histogram(family)
            }
        })
    }

    /// Whether a page can show a value.
    fn can_show(&self, value: f64) -> bool {
        value.is_finite() && (value >= 0.0 || !matches!(self, Self::Counter(_)))
    }

    /// Puts a value on the page that is not there.
    fn add(&self, labels: &Labels) -> Value {
        match self {
            Self::Gauge(family) => Value::Gauge(family.get_or_create_owned(labels)),
            Self::Counter(family) => Value::Counter(family.get_or_create_owned(labels)),
            Self::Histogram(family) => Value::Histogram(family.get_or_create_owned(labels)),
        }
    }

    fn remove(&self, labels: &Labels) {
        match self {
            Self::Gauge(family) => family.remove(labels),
            Self::Counter(family) => family.remove(labels),
            Self::Histogram(family) => family.remove(labels),
        };
    }
}

impl Value {
    fn take(&self, value: f64) {
        match self {
            Self::Gauge(gauge) => {
                gauge.set(value);
            }
            Self::Counter(counter) => {
                counter.inc_by(value);
            }
            Self::Histogram(histogram) => histogram.observe(value),
        }
    }
}

/// The page.
struct Page(RwLock<Registry>);

impl Exposition for Page {
    fn text(&self) -> String {
        let mut text = String::new();
        let registry = self.0.read().unwrap_or_else(PoisonError::into_inner);
        // Writing to a String cannot fail.
        let _ = prometheus_client::encoding::text::encode(&mut text, &registry);
        text
    }
}

/// The publisher.
struct Prometheus {
    page: Arc<Page>,
    families: BTreeMap<MetricName, Values>,
    /// What stands on the page, by whom it is of. What comes of one run has few names and stands together, so that it is
    /// looked for once.
    shown: HashMap<SampleLabels, Vec<Shown>>,
    /// What is configured; until somebody has said so, everything.
    known: Option<Arc<Known>>,
    account: PublisherAccount,
}

impl Prometheus {
    fn new() -> Self {
        let mut registry = Registry::default();
        let version = Info::new(vec![("version", env!("CARGO_PKG_VERSION"))]);
        registry.register("roundsman_build", "The version that runs", version);
        let family = |name: &MetricName| Values::register(&mut registry, *name).map(|values| (*name, values));
        let families = MetricName::ALL.iter().filter_map(family).collect();
        let (page, account) = (Arc::new(Page(RwLock::new(registry))), PublisherAccount::default());
        Self { page, families, shown: HashMap::new(), known: None, account }
    }

    /// Takes samples that have the same labels but the last, and says how many no page can show.
    fn take_all(&mut self, samples: &[Sample]) -> usize {
        let Some(first) = samples.first() else { return 0 };
        let whom = SampleLabels { also: None, ..first.labels.clone() };
        if let Some(shown) = self.shown.get_mut(&whom) {
            return take_known(&self.families, shown, samples, &mut self.account);
        }
        // The last run of a probe that was removed meanwhile must not bring it back.
        if self.known.as_ref().is_some_and(|known| !known.has(&whom)) {
            self.account.dropped += samples.len() as u64;
            return 0;
        }
        let shown = self.shown.entry(whom).or_default();
        take_known(&self.families, shown, samples, &mut self.account)
    }
}

/// Puts samples where those stand that have the same labels but the last, and says how many no page can show.
fn take_known(
    families: &BTreeMap<MetricName, Values>,
    shown: &mut Vec<Shown>,
    samples: &[Sample],
    account: &mut PublisherAccount,
) -> usize {
    let mut refused = 0;
    for (place, Sample { name, value, labels, .. }) in samples.iter().enumerate() {
        let Some(family) = families.get(name).filter(|family| family.can_show(*value)) else {
            refused += 1;
            continue;
        };
        let is_it = |known: &&Shown| (known.name, known.also) == (*name, labels.also);
        // What comes again comes mostly in the same order.
        match shown.get(place).filter(is_it).or_else(|| shown.iter().find(is_it)) {
            Some(known) => known.value.take(*value),
            None => {
                let new = family.add(&page_labels(labels));
                new.take(*value);
                shown.push(Shown { name: *name, also: labels.also, value: new });
            }
        }
        account.delivered += 1;
    }
    account.dropped += refused as u64;
    refused
}

/// Whether two samples have the same labels but the last.
fn of_the_same(one: &Sample, other: &Sample) -> bool {
    let SampleLabels { probe, schedule, step, channel, publisher, objective, also: _ } = &one.labels;
    let other = &other.labels;
    (probe, schedule, step, channel, publisher, objective)
        == (&other.probe, &other.schedule, &other.step, &other.channel, &other.publisher, &other.objective)
}

fn page_labels(of: &SampleLabels) -> Labels {
    let named = [
        ("probe", of.probe.as_ref().map(ToString::to_string)),
        ("schedule", of.schedule.as_ref().map(ToString::to_string)),
        ("step", of.step.as_ref().map(ToString::to_string)),
        ("channel", of.channel.as_ref().map(ToString::to_string)),
        ("publisher", of.publisher.map(ToOwned::to_owned)),
        ("objective", of.objective.as_ref().map(ToString::to_string)),
    ];
    let named = named.into_iter().filter_map(|(name, value)| Some((name, value?)));
    named.chain(of.also.map(|(name, value)| (name, value.to_owned()))).collect()
}

impl Publisher for Prometheus {
    fn publish<'a>(&'a mut self, samples: &'a [Sample]) -> BoxFuture<'a, Result<(), PublishError>> {
        let refused = samples.chunk_by(of_the_same).map(|samples| self.take_all(samples)).sum();
        let result = match refused {
            0 => Ok(()),
            dropped => Err(PublishError(format!("{dropped} samples were dropped: no page can show their value"))),
        };
        Box::pin(std::future::ready(result))
    }

    fn flush(&mut self) -> BoxFuture<'_, Result<(), PublishError>> {
        Box::pin(std::future::ready(Ok(())))
    }

    fn tick(&mut self) -> BoxFuture<'_, Result<(), PublishError>> {
        Box::pin(std::future::ready(Ok(())))
    }

    fn keep(&mut self, known: &Arc<Known>) {
        self.known = Some(Arc::clone(known));
        let families = &self.families;
        self.shown.retain(|whom, shown| {
            let stays = known.has(whom);
            if !stays {
                for Shown { name, also, .. } in shown {
                    if let Some(family) = families.get(name) {
                        family.remove(&page_labels(&SampleLabels { also: *also, ..whom.clone() }));
                    }
                }
            }
            stays
        });
    }

    fn account(&self) -> PublisherAccount {
        self.account
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::names::{ProbeName, ScheduleName};
    use crate::domain::time::Timestamp;
    use crate::engine::testing::at;

    fn sample(name: MetricName, probe: &str, at: Timestamp, value: f64) -> Sample {
        let labels = SampleLabels {
            probe: Some(ProbeName::parse(probe).unwrap()),
            schedule: Some(ScheduleName::parse("often").unwrap()),
            ..SampleLabels::default()
        };
        Sample { name, at, value, labels }
    }

    #[tokio::test]
    async fn the_page_has_the_names_that_dashboards_know() {
        let mut prometheus = Prometheus::new();
        let now = at("2026-11-24T10:00:00Z");
        let phase = Sample {
            labels: SampleLabels {
                also: Some(("phase", "connect")),
                ..sample(MetricName::ProbeHttpDuration, "api", now, 0.0).labels
            },
            ..sample(MetricName::ProbeHttpDuration, "api", now, 0.004)
        };
        let samples = [
            sample(MetricName::ProbeSuccess, "api", now, 0.0),
            sample(MetricName::ProbeSuccess, "api", now, 1.0),
            sample(MetricName::Runs, "api", now, 1.0),
            sample(MetricName::Runs, "api", now, 2.0),
            sample(MetricName::Lateness, "api", now, 0.003),
            phase,
            sample(MetricName::ProbeDuration, "api", now, f64::NAN),
            sample(MetricName::Runs, "api", now, -1.0),
        ];
        let refused = prometheus.publish(&samples).await.unwrap_err();
        assert_eq!(refused.to_string(), "2 samples were dropped: no page can show their value");
        assert_eq!(prometheus.account(), PublisherAccount { delivered: 6, dropped: 2, ..PublisherAccount::default() });
        insta::assert_snapshot!(prometheus.page.text());
    }

    #[tokio::test]
    async fn what_is_no_longer_configured_leaves_the_page_and_stays_away() {
        let mut prometheus = Prometheus::new();
        let now = at("2026-11-24T10:00:00Z");
        let global = Sample {
            name: MetricName::ReloadSuccess,
            labels: SampleLabels::default(),
            ..sample(MetricName::Runs, "api", now, 0.0)
        };
        let of_schedule = |name: &str| Sample {
            labels: SampleLabels { schedule: Some(ScheduleName::parse(name).unwrap()), ..SampleLabels::default() },
            ..sample(MetricName::Lateness, "api", now, 0.1)
        };
        let mut moved = sample(MetricName::ProbeSuccess, "api", now, 0.0);
        moved.labels.schedule = Some(ScheduleName::parse("gone").unwrap());
        let samples = [
            sample(MetricName::ProbeSuccess, "gone", now, 0.0),
            sample(MetricName::Runs, "gone", now, 1.0),
            sample(MetricName::ProbeSuccess, "api", now, 1.0),
            moved,
            of_schedule("gone"),
            of_schedule("often"),
            global,
        ];
        prometheus.publish(&samples).await.unwrap();
        let (probe, schedule) = (ProbeName::parse("api").unwrap(), ScheduleName::parse("often").unwrap());
        prometheus.keep(&Arc::new(Known {
            probes: [probe.clone()].into(),
            schedules: [schedule.clone()].into(),
            rounds: [(schedule, probe)].into(),
            ..Known::default()
        }));
        prometheus.publish(&samples[..2]).await.unwrap();
        let page = prometheus.page.text();
        assert!(!page.contains("gone"), "{page}");
        let values =
            page.lines().filter(|line| !line.starts_with('#') && !line.contains("_bucket") && !line.contains("_info"));
        assert_eq!(
            values.collect::<Vec<_>>(),
            [
                "probe_success{probe=\"api\",schedule=\"often\"} 1.0",
                "roundsman_run_lateness_seconds_sum{schedule=\"often\"} 0.1",
                "roundsman_run_lateness_seconds_count{schedule=\"often\"} 1",
                "roundsman_config_last_reload_successful 0.0",
            ]
        );
    }

    #[test]
    fn every_metric_stands_in_the_reference() {
        let reference = include_str!("../../docs/publishers/prometheus.md");
        for name in MetricName::ALL.iter().filter(|name| name.metric_type() != MetricType::Held) {
            let suffix = if name.metric_type() == MetricType::Counter { "_total" } else { "" };
            let full = format!("`{}{suffix}`", name.as_str());
            assert!(reference.contains(&full), "docs/publishers/prometheus.md does not tell what {full} is");
        }
    }
}
