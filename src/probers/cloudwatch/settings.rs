//! The settings of kind `cloudwatch`, and the prober that they become.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use schemars::JsonSchema;
use serde::Deserialize;

use super::math;
use super::metric::MetricSettings;
use super::prober::{CloudWatchProber, NAMES};
use super::query::{Query, RESULT, Source, Window};
use crate::domain::expression::Names;
use crate::domain::time::Length;
use crate::ports::{Building, BuiltProber, Kind};
use crate::probers::aws::Caller;
use crate::probers::length::Written;
use crate::settings::{Node, Problem, Problems, Spanned, read, suggest};

/// The row of this kind.
pub const KIND: Kind = Kind {
    name: "cloudwatch",
    about: "asks CloudWatch for the values of a metric, or of math over several",
    main: "metric",
    schema: CloudWatchSettings::json_schema,
    names: || Names::new().with_all(NAMES),
    build,
};

/// The window of a question that names none.
const OVER: Duration = Duration::from_secs(300);

/// The longest window: beyond it CloudWatch has no minutes any more.
const OVER_MAX: Duration = Duration::from_secs(15 * 86_400);

/// The longest window of values of less than a minute: beyond it CloudWatch has them no more.
const FINE_MAX: Duration = Duration::from_secs(3 * 3_600);

/// The longest period.
const PERIOD_MAX: Duration = Duration::from_secs(86_400);

/// The periods of less than a minute, which only metrics of high resolution have, in seconds.
const FINE: [u64; 5] = [1, 5, 10, 20, 30];

/// The most values that a question asks for.
const VALUES_MAX: u128 = 1_440;

/// How long before now the window ends, up to `1d`: metrics come late, and a minute that is not whole has too few errors.
/// Default: `1m`.
const LAG: Duration = Duration::from_secs(60);

/// The longest such time.
const LAG_MAX: Duration = Duration::from_secs(86_400);

/// The most metrics of an expression.
const METRICS_MAX: usize = 20;

/// The longest expression that CloudWatch takes.
const MATH_MAX: usize = 2_048;

/// A metric of CloudWatch, or math over several.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct CloudWatchSettings {
    /// The metric, with its namespace before it: `AWS/Lambda/Errors`.
    #[schemars(with = "Option<String>")]
    metric: Option<Spanned<String>>,
    /// The namespace, where the metric's own name has a `/`. Default: what stands before the last `/` of `metric`.
    #[schemars(with = "Option<String>")]
    namespace: Option<Spanned<String>>,
    /// All the dimensions of the metric by name: with one less CloudWatch knows no such metric. Default: none.
    #[schemars(with = "Option<BTreeMap<String, String>>")]
    dimensions: Option<Spanned<BTreeMap<String, String>>>,
    /// What is made of the samples of a period: `Average`, `Sum`, `Minimum`, `Maximum`, `SampleCount`, `IQM`, a percentile
    /// like `p99` or `p99.9`, or one of CloudWatch's trimmed statistics, like `tm90` or `PR(:500)`. Default: `Average`.
    #[schemars(with = "Option<String>")]
    stat: Option<Spanned<String>>,
    /// In place of `metric`: an expression of CloudWatch's metric math over `metrics`, e.g. `100 * errors / calls`.
    #[schemars(with = "Option<String>")]
    math: Option<Spanned<String>>,
    /// The metrics of `math`, at most 20, each by its name there.
    #[schemars(with = "Option<BTreeMap<String, MetricSettings>>")]
    metrics: Option<Spanned<BTreeMap<Spanned<String>, MetricSettings>>>,
    /// The window that is looked at, from `1m` to `15d`. Default: `5m`.
    #[schemars(with = "Option<Written>")]
    over: Option<Spanned<Written>>,
    /// What one value stands for: whole minutes up to `1d`; of a metric of high resolution also 1, 5, 10, 20 or 30 s, for
    /// a window of three hours at most. The window is a whole number of them, at most 1,440. Default: the whole window, or
    /// a day where that is longer.
    #[schemars(with = "Option<Written>")]
    period: Option<Spanned<Written>>,
    /// How long before now the window ends, up to `1d`, since metrics come late. Default: `1m`.
    #[schemars(with = "Option<Written>")]
    lag: Option<Spanned<Written>>,
    /// The value where the window has none. Default: that there is none is a failure.
    missing: Option<f64>,
    /// The region of the metric; those of CloudFront are in `us-east-1`, wherever they are watched from. Default: that of
    /// the environment or the profile.
    #[schemars(with = "Option<String>")]
    region: Option<Spanned<String>>,
    /// Where requests go instead. Default: the region's own address.
    #[schemars(with = "Option<String>")]
    endpoint: Option<Spanned<String>>,
}

fn build(node: &Node, building: &Building, problems: &mut Problems) -> Option<BuiltProber> {
    let settings: CloudWatchSettings = read(node, problems)?;
    let known = problems.len();
    let window = window(&settings, problems);
    let caller = Caller::read(settings.region.as_ref(), settings.endpoint.as_ref(), building, problems);
    let missing = settings.missing;
    let source = source(node, settings, problems);
    if problems.len() > known {
        return None;
    }
    let query = Query { source: source?, window };
    Some(BuiltProber { prober: Arc::new(CloudWatchProber { query, missing, caller: caller? }), implied: Vec::new() })
}

fn source(node: &Node, settings: CloudWatchSettings, problems: &mut Problems) -> Option<Source> {
    let CloudWatchSettings { metric, namespace, dimensions, stat, math, metrics, .. } = settings;
    match (metric, math) {
        (Some(metric), None) => {
            if let Some(metrics) = metrics {
                problems.error(metrics.span, "`metrics` are those of `math`, and there is none").help =
                    Some("write `math` beside them in place of `metric`, or remove them".to_owned());
            }
            MetricSettings { metric, namespace, dimensions, stat }.read(problems).map(Source::Metric)
        }
        (Some(metric), Some(math)) => {
            let problem = Problem::error(math.span, "a question is about a metric or about math, not both");
            let problem = problem.with_help("make the metric one of `metrics`, or remove one of them");
            problems.push(problem.with_also(metric.span, "the other one"));
            None
        }
        (None, Some(math)) => {
            let strays = [
                ("namespace", namespace.map(|field| field.span)),
                ("dimensions", dimensions.map(|field| field.span)),
                ("stat", stat.map(|field| field.span)),
            ];
            for (field, span) in strays.into_iter().filter_map(|(field, span)| Some((field, span?))) {
                problems.error(span, format!("`{field}` is of a metric, and math has several")).help =
                    Some("move it to a metric under `metrics`".to_owned());
            }
            of_math(&math, metrics.as_ref(), problems)
        }
        // What is there and wrong was reported.
        (None, None) if ["metric", "math"].iter().any(|key| node.get(key).is_some()) => None,
        (None, None) => {
            problems.error(node.span.clone(), "nothing says what is asked for: neither `metric` nor `math`").help =
                Some("write `metric: AWS/Lambda/Errors`".to_owned());
            None
        }
    }
}

fn of_math(
    written: &Spanned<String>,
    metrics: Option<&Spanned<BTreeMap<Spanned<String>, MetricSettings>>>,
    problems: &mut Problems,
) -> Option<Source> {
    let text = written.value.trim();
    if text.is_empty() || text.len() > MATH_MAX {
        problems.error(written.span.clone(), format!("an expression has 1 to {MATH_MAX} bytes, not {}", text.len()));
        return None;
    }
    let named: BTreeSet<&str> = math::names(text).into_iter().collect();
    let mut made = Vec::new();
    for (name, settings) in metrics.into_iter().flat_map(|metrics| &metrics.value) {
        check_name(name, math::takes_all(text) || named.contains(name.value.as_str()), problems);
        made.extend(settings.read(problems).map(|metric| (name.value.clone(), metric)));
    }
    let known: Vec<_> =
        metrics.into_iter().flat_map(|metrics| metrics.value.keys()).map(|name| name.as_str()).collect();
    for name in named.iter().filter(|name| !known.contains(*name)) {
        problems.error(written.span.clone(), format!("the math names `{name}`, which is none of `metrics`")).help =
            suggest(name, known.clone()).or_else(|| Some(format!("write `metrics: {{ {name}: {{ metric: … }} }}`")));
    }
    if let Some(metrics) = metrics.filter(|metrics| metrics.value.len() > METRICS_MAX) {
        let message = format!("an expression has at most {METRICS_MAX} metrics, not {}", metrics.value.len());
        problems.error(metrics.span.clone(), message);
    }
    Some(Source::Math { math: text.to_owned(), metrics: made })
}

fn check_name(name: &Spanned<String>, is_named: bool, problems: &mut Problems) {
    let text = name.value.as_str();
    let is_name = text.starts_with(|c: char| c.is_ascii_lowercase())
        && text.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
        && text.len() <= 255;
    if !is_name {
        problems.error(name.span.clone(), format!("`{text}` is not a name that math can have")).help =
            Some("it has letters, digits and `_`, and begins with a lower-case letter".to_owned());
    } else if text == RESULT {
        problems.error(name.span.clone(), format!("`{RESULT}` is what the math gives, and no metric of it")).help =
            Some("give the metric another name".to_owned());
    } else if !is_named {
        problems.error(name.span.clone(), format!("the math does not name `{text}`")).help =
            Some("each metric is billed: remove it, or use it in `math`".to_owned());
    }
}

/// The window; what is wrong with it goes to the problems.
fn window(settings: &CloudWatchSettings, problems: &mut Problems) -> Window {
    let CloudWatchSettings { over, period, lag, .. } = settings;
    let length =
        |written: &Option<Spanned<Written>>, default| written.as_ref().map_or(default, |written| written.value.0.0);
    let window = Window {
        over: length(over, OVER),
        period: length(period, length(over, OVER).min(PERIOD_MAX)),
        lag: length(lag, LAG),
    };
    let minute = Duration::from_secs(60);
    if let Some(over) = over.as_ref().filter(|_| !(minute..=OVER_MAX).contains(&window.over)) {
        let message = format!("`over` is from {} to {}, not {}", Length(minute), Length(OVER_MAX), over.value.0);
        problems.error(over.span.clone(), message);
        return window;
    }
    if let Some(lag) = lag.as_ref().filter(|_| window.lag > LAG_MAX) {
        problems.error(lag.span.clone(), format!("`lag` is at most {}, not {}", Length(LAG_MAX), lag.value.0));
    }
    let is_fine = window.period < minute;
    let is_period =
        if is_fine { FINE.map(Duration::from_secs).contains(&window.period) } else { is_whole(window.period, minute) };
    let at = period.as_ref().or(over.as_ref()).map(|written| written.span.clone());
    let Some(at) = at else { return window };
    let problem = if !is_period || window.period > PERIOD_MAX {
        let message = format!("{} is no period of CloudWatch", Length(window.period));
        Some((message, "write whole minutes up to a day, or 1, 5, 10, 20 or 30 s of a metric of high resolution"))
    } else if !is_whole(window.over, window.period) {
        let message =
            format!("a window of {} is no whole number of periods of {}", Length(window.over), Length(window.period));
        Some((message, "write an `over` that is one"))
    } else if window.over.as_nanos() / window.period.as_nanos() > VALUES_MAX {
        let message = format!("more than {VALUES_MAX} values are asked for");
        Some((message, "write a longer `period`, or a shorter `over`"))
    } else if is_fine && window.over.saturating_add(window.lag) > FINE_MAX {
        let message = format!("periods of {} are kept for {}", Length(window.period), Length(FINE_MAX));
        Some((message, "write a longer `period`, or a shorter `over`"))
    } else {
        None
    };
    if let Some((message, help)) = problem {
        problems.error(at, message).help = Some(help.to_owned());
    }
    window
}

fn is_whole(length: Duration, unit: Duration) -> bool {
    !unit.is_zero() && length.as_nanos().is_multiple_of(unit.as_nanos())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::probers::testing;

    #[test]
    fn each_metric_is_billed_and_its_math_is_not() {
        let of_math = "{ math: errors / calls, region: us-east-1, metrics: { errors: { metric: AWS/Lambda/Errors }, calls: { \
                       metric: AWS/Lambda/Invocations } } }";
        for (yaml, region, units) in
            [("{ metric: AWS/Lambda/Errors }", None, 1), (of_math, Some("us-east-1".to_owned()), 2)]
        {
            let built = testing::build(&KIND, yaml, false).unwrap_or_else(|problems| panic!("{problems}"));
            let calls = built.prober.calls();
            let [call] = &calls[..] else { panic!("{calls:?}") };
            assert_eq!((call.action.as_str(), call.resource.as_str()), ("cloudwatch:GetMetricData", "*"));
            assert_eq!((&call.region, call.calls, call.units), (&region, 1, units), "{yaml}");
        }
    }
}
