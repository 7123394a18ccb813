//! Prometheus: the values stand on a page, `/metrics`, until somebody reads them. Nothing is sent, so nothing can be late.

use std::collections::{BTreeMap, HashMap};
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
    Building, Exposition, Known, PublishError, Publisher, PublisherAccount, PublisherFactory, PublisherKind,
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

    fn start(&self) -> (Box<dyn Publisher>, Option<Arc<dyn Exposition>>) {
        let prometheus = Prometheus::new();
        let page = Arc::clone(&prometheus.page);
        (Box::new(prometheus), Some(page))
    }

    fn check(&self) -> BoxFuture<'_, Result<(), PublishError>> {
        Box::pin(std::future::ready(Ok(())))
    }
}

/// Labels in the order in which the page shows them.
type Labels = Vec<(&'static str, String)>;

/// One metric on the page.
struct Metric {
    family: Values,
    /// What stands on the page, by whom it is of: a value that is there is found without making its labels again.
    shown: HashMap<SampleLabels, Value>,
}

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
    fn register(registry: &mut Registry, name: MetricName) -> Self {
        let (text, help) = (name.as_str(), name.help());
        match name.metric_type() {
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
        }
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
    metrics: BTreeMap<MetricName, Metric>,
    /// What is configured; until somebody has said so, everything.
    known: Option<Arc<Known>>,
    account: PublisherAccount,
}

impl Prometheus {
    fn new() -> Self {
        let mut registry = Registry::default();
        let version = Info::new(vec![("version", env!("CARGO_PKG_VERSION"))]);
        registry.register("roundsman_build", "The version that runs", version);
        let mut metric = |name| Metric { family: Values::register(&mut registry, name), shown: HashMap::new() };
        let metrics = MetricName::ALL.iter().map(|name| (*name, metric(*name))).collect();
        Self { page: Arc::new(Page(RwLock::new(registry))), metrics, known: None, account: PublisherAccount::default() }
    }

    /// Takes a sample; one that no page can show is refused.
    fn take(&mut self, sample: &Sample) -> bool {
        let Some(Metric { family, shown }) = self.metrics.get_mut(&sample.name) else {
            self.account.dropped += 1;
            return false;
        };
        // The last run of a probe that was removed meanwhile must not bring it back.
        let is_known = |labels| self.known.as_ref().is_none_or(|known| known.has(labels));
        let there = shown.get(&sample.labels);
        if there.is_none() && !is_known(&sample.labels) {
            self.account.dropped += 1;
            return true;
        }
        if !family.can_show(sample.value) {
            self.account.dropped += 1;
            return false;
        }
        match there {
            Some(value) => value.take(sample.value),
            None => {
                let value = family.add(&labels(&sample.labels));
                value.take(sample.value);
                shown.insert(sample.labels.clone(), value);
            }
        }
        self.account.delivered += 1;
        true
    }
}

fn labels(of: &SampleLabels) -> Labels {
    let named = [
        ("probe", of.probe.as_ref().map(ToString::to_string)),
        ("schedule", of.schedule.as_ref().map(ToString::to_string)),
        ("step", of.step.as_ref().map(ToString::to_string)),
        ("channel", of.channel.as_ref().map(ToString::to_string)),
        ("publisher", of.publisher.map(ToOwned::to_owned)),
    ];
    let named = named.into_iter().filter_map(|(name, value)| Some((name, value?)));
    named.chain(of.also.as_ref().map(|(name, value)| (*name, value.to_string()))).collect()
}

impl Publisher for Prometheus {
    fn publish<'a>(&'a mut self, samples: &'a [Sample]) -> BoxFuture<'a, Result<(), PublishError>> {
        let refused = samples.iter().filter(|sample| !self.take(sample)).count();
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
        for Metric { family, shown } in self.metrics.values_mut() {
            shown.retain(|of, _| {
                let stays = known.has(of);
                if !stays {
                    family.remove(&labels(of));
                }
                stays
            });
        }
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
                also: Some(("phase", Arc::from("connect"))),
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
        assert_eq!(prometheus.account(), PublisherAccount { delivered: 6, waiting: 0, dropped: 2 });
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
        for name in MetricName::ALL {
            let suffix = if name.metric_type() == MetricType::Counter { "_total" } else { "" };
            let full = format!("`{}{suffix}`", name.as_str());
            assert!(reference.contains(&full), "docs/publishers/prometheus.md does not tell what {full} is");
        }
    }
}
