//! A metric as written, and what is wrong with it.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Deserialize;

use super::query::Metric;
use crate::settings::{Problems, Spanned, nearest};

/// What is made of the samples of a metric that says nothing.
const STAT: &str = "Average";

/// The statistics that have a name.
const STATS: [&str; 6] = ["Average", "Sum", "Minimum", "Maximum", "SampleCount", "IQM"];

/// The families of statistics that have a percentage: percentiles, and trimmed means, counts and sums, winsorized means.
const SHARES: [&str; 5] = ["tm", "tc", "ts", "wm", "p"];

/// The most dimensions that a metric has.
const DIMENSIONS_MAX: usize = 30;

/// A metric of an expression.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "Metric")]
pub struct MetricSettings {
    /// The metric, with its namespace before it: `AWS/Lambda/Errors`.
    #[schemars(with = "String")]
    pub metric: Spanned<String>,
    /// The namespace, where the metric's own name has a `/`. Default: what stands before the last `/` of `metric`.
    #[schemars(with = "Option<String>")]
    pub namespace: Option<Spanned<String>>,
    /// All its dimensions: without one of them CloudWatch knows no such metric. Default: none.
    #[schemars(with = "Option<BTreeMap<String, String>>")]
    pub dimensions: Option<Spanned<BTreeMap<String, String>>>,
    /// What is made of the samples of a period: `Average`, `Sum`, `Minimum`, `Maximum`, `SampleCount`, `p99`, … Default:
    /// `Average`.
    #[schemars(with = "Option<String>")]
    pub stat: Option<Spanned<String>>,
}

impl MetricSettings {
    /// The metric; none where something of it is wrong.
    pub fn read(&self, problems: &mut Problems) -> Option<Metric> {
        let known = problems.len();
        let metric = self.metric.value.as_str();
        let (namespace, name) = match &self.namespace {
            Some(namespace) => (namespace.value.as_str(), metric),
            None => metric.rsplit_once('/').unwrap_or_default(),
        };
        let is_name = |text: &str| (1..=255).contains(&text.len()) && !text.contains(char::is_control);
        if !is_name(namespace) || !is_name(name) || namespace.starts_with(':') {
            problems.error(self.metric.span.clone(), format!("`{metric}` is not a metric with its namespace")).help =
                Some("write it like `AWS/Lambda/Errors`".to_owned());
        }
        let dimensions = self.dimensions.as_ref();
        let dimensions = dimensions.map(|dimensions| {
            let wrong = dimensions.value.iter().find(|(name, value)| !is_name(name) || value.trim().is_empty());
            if let Some((name, _)) = wrong {
                problems.error(dimensions.span.clone(), format!("the dimension `{name}` has no value")).help =
                    Some("write it like `FunctionName: shop-api`".to_owned());
            }
            if dimensions.value.len() > DIMENSIONS_MAX {
                let message = format!("a metric has at most {DIMENSIONS_MAX} dimensions");
                problems.error(dimensions.span.clone(), message);
            }
            dimensions.value.iter().map(|(name, value)| (name.clone(), value.clone())).collect()
        });
        let stat = self.stat.as_ref().map_or(STAT, |stat| stat.value.as_str());
        if let Some(written) = self.stat.as_ref().filter(|_| !is_stat(stat)) {
            let meant = nearest(stat, STATS).map(|meant| format!("did you mean `{meant}`?"));
            problems.error(written.span.clone(), format!("`{stat}` is not a statistic of CloudWatch")).help =
                Some(meant.unwrap_or_else(|| "write it like `Average`, `Sum`, `Maximum` or `p99`".to_owned()));
        }
        (problems.len() == known).then(|| Metric {
            namespace: namespace.to_owned(),
            name: name.to_owned(),
            dimensions: dimensions.unwrap_or_default(),
            stat: stat.to_owned(),
        })
    }
}

/// Whether CloudWatch knows a statistic of that name: a word, a share like `p99.9` or `tm90`, or a range like `PR(100:2000)`.
fn is_stat(text: &str) -> bool {
    let is_share = |digits: &str| {
        let is_number = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
        is_number && digits.parse::<f64>().is_ok_and(|share| share > 0.0 && share <= 100.0)
    };
    let range = text.strip_suffix(')').and_then(|text| text.split_once('('));
    let is_range = |(family, range): (&str, &str)| {
        ["PR", "TM", "TC", "TS", "WM"].contains(&family)
            && range.split_once(':').is_some_and(|ends| ends != ("", ""))
            && range.bytes().all(|byte| byte.is_ascii_digit() || b".:%".contains(&byte))
    };
    STATS.contains(&text)
        || SHARES.into_iter().any(|family| text.strip_prefix(family).is_some_and(is_share))
        || range.is_some_and(is_range)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statistics_are_words_shares_and_ranges() {
        for good in
            ["Average", "SampleCount", "p99", "p99.9", "p100", "tm90", "wm5", "PR(100:2000)", "TM(2%:98%)", "PR(:5)"]
        {
            assert!(is_stat(good), "{good}");
        }
        for bad in ["", "average", "P99", "p", "p0", "p101", "p-1", "99", "PR()", "PR(:)", "PR(a:b)", "pp9", "p1e1"] {
            assert!(!is_stat(bad), "{bad}");
        }
    }
}
