//! Prometheus: the values stand on a page, `/metrics`, until somebody reads them. Nothing is sent, so nothing can be late.

use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use futures::future::BoxFuture;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::metrics::info::Info;
use prometheus_client::registry::Registry;
use schemars::JsonSchema;
use serde::Deserialize;

use crate::domain::metric::{MetricName, MetricType, Sample};
use crate::domain::names::ProbeName;
use crate::domain::time::{Timestamp, between};
use crate::ports::{
    Building, Clock, Exposition, PublishError, Publisher, PublisherAccount, PublisherFactory, PublisherKind,
};
use crate::settings::{Node, Problems, read};

/// The row of the table of publishers.
pub const PUBLISHER: PublisherKind = PublisherKind {
    name: "prometheus",
    about: "A page at `/metrics` for Prometheus and all that reads OpenMetrics",
    schema: PrometheusSettings::json_schema,
    build,
};

/// A gauge that had no new value for this long leaves the page, since the longest cadence is a day: its probe, schedule or
/// step was removed. Counters leave with the last sample of their probe.
const SILENCE_MAX: Duration = Duration::from_secs(25 * 3_600);

/// How often the page is looked through for such values.
const SWEEP_EVERY: Duration = Duration::from_secs(60);

/// The bounds of the buckets of a histogram, in seconds.
const BUCKETS: [f64; 13] = [0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0];

/// What people write: nothing, so far.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct PrometheusSettings {}

fn build(node: &Node, building: &Building, problems: &mut Problems) -> Option<Arc<dyn PublisherFactory>> {
    let PrometheusSettings {} = read(node, problems)?;
    Some(Arc::new(Factory { clock: Arc::clone(&building.clock) }))
}

struct Factory {
    clock: Arc<dyn Clock>,
}

impl PublisherFactory for Factory {
    fn identity(&self) -> String {
        String::new()
    }

    fn start(&self) -> (Box<dyn Publisher>, Option<Arc<dyn Exposition>>) {
        let prometheus = Prometheus::new(Arc::clone(&self.clock));
        let page = Arc::clone(&prometheus.page);
        (Box::new(prometheus), Some(page))
    }

    fn check(&self) -> BoxFuture<'_, Result<(), PublishError>> {
        Box::pin(std::future::ready(Ok(())))
    }
}

/// Labels in the order in which the page shows them.
type Labels = Vec<(&'static str, String)>;

/// The values of one metric by labels.
enum Series {
    Gauge(Family<Labels, Gauge<f64, AtomicU64>>),
    Counter(Family<Labels, Counter<f64, AtomicU64>>),
    Histogram(Family<Labels, Histogram, fn() -> Histogram>),
}

impl Series {
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
            MetricType::Histogram => {
                let family: Family<_, _, fn() -> Histogram> = Family::new_with_constructor(|| Histogram::new(BUCKETS));
                registry.register(text, help, Family::clone(&family));
                Self::Histogram(family)
            }
        }
    }

    /// Takes a value; one that no page can show is refused.
    fn take(&self, labels: &Labels, value: f64) -> bool {
        if !value.is_finite() {
            return false;
        }
        match self {
            Self::Gauge(family) => {
                family.get_or_create(labels).set(value);
            }
            Self::Counter(family) if value >= 0.0 => {
                family.get_or_create(labels).inc_by(value);
            }
            Self::Counter(_) => return false,
            Self::Histogram(family) => family.get_or_create(labels).observe(value),
        }
        true
    }

    fn remove(&self, labels: &Labels) {
        match self {
            Self::Gauge(family) => family.remove(labels),
            Self::Counter(family) => family.remove(labels),
            Self::Histogram(family) => family.remove(labels),
        };
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

/// The series of a probe, with the last sample of each.
type OfProbe = HashMap<(MetricName, Labels), Timestamp>;

/// The publisher.
struct Prometheus {
    clock: Arc<dyn Clock>,
    page: Arc<Page>,
    metrics: BTreeMap<MetricName, Series>,
    probes: HashMap<ProbeName, OfProbe>,
    swept_at: Timestamp,
    account: PublisherAccount,
}

impl Prometheus {
    fn new(clock: Arc<dyn Clock>) -> Self {
        let mut registry = Registry::default();
        let version = Info::new(vec![("version", env!("CARGO_PKG_VERSION"))]);
        registry.register("roundsman_build", "The version that runs", version);
        let metrics = MetricName::ALL.iter().map(|name| (*name, Series::register(&mut registry, *name))).collect();
        Self {
            swept_at: clock.now(),
            clock,
            page: Arc::new(Page(RwLock::new(registry))),
            metrics,
            probes: HashMap::new(),
            account: PublisherAccount::default(),
        }
    }

    fn take(&mut self, sample: &Sample) {
        let labels = labels(sample);
        let taken = self.metrics.get(&sample.name).is_some_and(|series| series.take(&labels, sample.value));
        if !taken {
            self.account.dropped += 1;
            return;
        }
        self.account.delivered += 1;
        if let Some(probe) = &sample.labels.probe {
            self.probes.entry(probe.clone()).or_default().insert((sample.name, labels), sample.at);
        }
    }

    /// Takes off the page what is gone.
    fn sweep(&mut self, now: Timestamp) {
        self.swept_at = now;
        let metrics = &self.metrics;
        let is_fresh = |seen_at: &Timestamp| between(*seen_at, now) < SILENCE_MAX;
        self.probes.retain(|_, series| {
            let is_there = series.values().any(is_fresh);
            series.retain(|(name, labels), seen_at| {
                let stays = is_fresh(seen_at) || (is_there && name.metric_type() != MetricType::Gauge);
                if let (false, Some(of_metric)) = (stays, metrics.get(name)) {
                    of_metric.remove(labels);
                }
                stays
            });
            is_there
        });
    }
}

fn labels(sample: &Sample) -> Labels {
    let of = &sample.labels;
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
        let before = self.account.dropped;
        for sample in samples {
            self.take(sample);
        }
        let result = match self.account.dropped - before {
            0 => Ok(()),
            dropped => Err(PublishError(format!("{dropped} samples were dropped: no page can show their value"))),
        };
        Box::pin(std::future::ready(result))
    }

    fn flush(&mut self) -> BoxFuture<'_, Result<(), PublishError>> {
        Box::pin(std::future::ready(Ok(())))
    }

    fn tick(&mut self) -> BoxFuture<'_, Result<(), PublishError>> {
        let now = self.clock.now();
        if between(self.swept_at, now) >= SWEEP_EVERY || now < self.swept_at {
            self.sweep(now);
        }
        Box::pin(std::future::ready(Ok(())))
    }

    fn account(&self) -> PublisherAccount {
        self.account
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::metric::SampleLabels;
    use crate::domain::names::ScheduleName;
    use crate::engine::testing::{TestClock, at};

    fn sample(name: MetricName, probe: &str, at: Timestamp, value: f64) -> Sample {
        let labels = SampleLabels {
            probe: Some(ProbeName::parse(probe).unwrap()),
            schedule: Some(ScheduleName::parse("often").unwrap()),
            ..SampleLabels::default()
        };
        Sample { name, at, value, labels }
    }

    #[tokio::test(start_paused = true)]
    async fn the_page_has_the_names_that_dashboards_know() {
        let mut prometheus = Prometheus::new(TestClock::starting("2026-11-24T10:00:00Z"));
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

    #[tokio::test(start_paused = true)]
    async fn a_probe_that_is_gone_leaves_the_page_after_a_day() {
        let clock = TestClock::starting("2026-11-24T10:00:00Z");
        let mut prometheus = Prometheus::new(clock.clone());
        let now = at("2026-11-24T10:00:00Z");
        prometheus
            .publish(&[
                sample(MetricName::ProbeSuccess, "gone", now, 1.0),
                sample(MetricName::Runs, "gone", now, 1.0),
                sample(MetricName::Runs, "stays", now, 1.0),
            ])
            .await
            .unwrap();
        clock.step(24 * 3_600);
        prometheus.publish(&[sample(MetricName::Runs, "stays", clock.now(), 1.0)]).await.unwrap();
        prometheus.tick().await.unwrap();
        assert!(prometheus.page.text().contains("probe=\"gone\""));
        clock.step(2 * 3_600);
        prometheus.tick().await.unwrap();
        let page = prometheus.page.text();
        assert!(!page.contains("gone") && page.contains("roundsman_runs_total{probe=\"stays\",schedule=\"often\"} 2"));
    }

    #[tokio::test(start_paused = true)]
    async fn a_schedule_that_is_gone_leaves_no_old_verdict() {
        let clock = TestClock::starting("2026-11-24T10:00:00Z");
        let mut prometheus = Prometheus::new(clock.clone());
        let mut old = sample(MetricName::ProbeSuccess, "api", clock.now(), 0.0);
        old.labels.schedule = Some(ScheduleName::parse("gone").unwrap());
        let counted = Sample { name: MetricName::Runs, ..old.clone() };
        let reload = Sample { name: MetricName::ReloadSuccess, labels: SampleLabels::default(), ..old.clone() };
        prometheus.publish(&[old, counted, reload]).await.unwrap();
        clock.step(25 * 3_600);
        prometheus.publish(&[sample(MetricName::ProbeSuccess, "api", clock.now(), 1.0)]).await.unwrap();
        prometheus.tick().await.unwrap();
        let page = prometheus.page.text();
        let values: Vec<_> = page.lines().filter(|line| !line.starts_with('#') && !line.contains("_info")).collect();
        assert_eq!(
            values,
            [
                "probe_success{probe=\"api\",schedule=\"often\"} 1.0",
                "roundsman_runs_total{probe=\"api\",schedule=\"gone\"} 0.0",
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
