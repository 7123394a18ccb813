//! What is asked of CloudWatch: metrics, what is made of them, and of which time.

use std::time::Duration;

use serde_json::{Value, json};

use crate::domain::time::{Timestamp, earlier};

/// How the one result is called among the metrics from which it is made.
pub const RESULT: &str = "value";

/// A metric, and what of it.
#[derive(Clone, Debug, PartialEq)]
pub struct Metric {
    /// Where it stands: `AWS/Lambda`.
    pub namespace: String,
    /// Its name there: `Errors`.
    pub name: String,
    /// All the dimensions that it has, by name.
    pub dimensions: Vec<(String, String)>,
    /// What is made of its samples: `Sum`, `p99`.
    pub stat: String,
}

/// What gives the one series of values.
#[derive(Clone, Debug, PartialEq)]
pub enum Source {
    /// A metric as it is.
    Metric(Metric),
    /// An expression over metrics, each by the name that it has there.
    Math {
        /// The expression.
        math: String,
        /// The metrics.
        metrics: Vec<(String, Metric)>,
    },
}

/// Of which time values are asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Window {
    /// How long it is: a whole number of periods.
    pub over: Duration,
    /// What one value stands for.
    pub period: Duration,
    /// How long before now it ends, since metrics come late.
    pub lag: Duration,
}

impl Window {
    /// Its beginning and its end, which is not in it any more, in seconds since 1970. It ends with a minute, or with a period
    /// that is shorter: otherwise CloudWatch would round its beginning and give one value too many.
    fn bounds(self, now: Timestamp) -> (i64, i64) {
        let seconds = |length: Duration| i64::try_from(length.as_secs()).unwrap_or(i64::MAX);
        let grain = seconds(self.period).clamp(1, 60);
        let end = earlier(now, self.lag).timestamp();
        let end = end - end.rem_euclid(grain);
        (end.saturating_sub(seconds(self.over)), end)
    }
}

/// The whole question.
#[derive(Clone, Debug, PartialEq)]
pub struct Query {
    /// What gives the values.
    pub source: Source,
    /// Of which time.
    pub window: Window,
}

impl Query {
    /// What is asked, in words.
    pub fn subject(&self) -> String {
        match &self.source {
            Source::Metric(metric) => format!("{}/{}", metric.namespace, metric.name),
            Source::Math { math, .. } => math.clone(),
        }
    }

    /// How many metrics each question is billed for.
    pub fn billed(&self) -> u64 {
        match &self.source {
            Source::Metric(_) => 1,
            Source::Math { metrics, .. } => u64::try_from(metrics.len()).unwrap_or(u64::MAX),
        }
    }

    /// The input of `GetMetricData` now.
    pub fn input(&self, now: Timestamp) -> Value {
        let (start, end) = self.window.bounds(now);
        let period = self.window.period.as_secs();
        let metric = |id: &str, metric: &Metric| {
            let dimensions = metric.dimensions.iter().map(|(name, value)| json!({ "Name": name, "Value": value }));
            let dimensions: Vec<_> = dimensions.collect();
            let of = json!({ "Namespace": metric.namespace, "MetricName": metric.name, "Dimensions": dimensions });
            let stat = json!({ "Metric": of, "Period": period, "Stat": metric.stat });
            json!({ "Id": id, "MetricStat": stat, "ReturnData": id == RESULT })
        };
        let queries = match &self.source {
            Source::Metric(of) => vec![metric(RESULT, of)],
            Source::Math { math, metrics } => {
                let result = json!({ "Id": RESULT, "Expression": math, "Period": period, "ReturnData": true });
                metrics.iter().map(|(id, of)| metric(id, of)).chain([result]).collect()
            }
        };
        json!({
            "MetricDataQueries": queries,
            "StartTime": start,
            "EndTime": end,
            "ScanBy": "TimestampAscending",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn metric(name: &str, stat: &str) -> Metric {
        Metric {
            namespace: "AWS/Lambda".to_owned(),
            name: name.to_owned(),
            dimensions: vec![("FunctionName".to_owned(), "shop-api".to_owned())],
            stat: stat.to_owned(),
        }
    }

    fn window(over: u64, period: u64, lag: u64) -> Window {
        let seconds = Duration::from_secs;
        Window { over: seconds(over), period: seconds(period), lag: seconds(lag) }
    }

    #[test]
    fn a_window_ends_with_a_minute_or_a_shorter_period_and_keeps_its_length() {
        let now: Timestamp = "2026-11-24T10:07:42.9Z".parse().unwrap();
        let at = |text: &str| text.parse::<Timestamp>().unwrap().timestamp();
        for (window, start, end) in [
            (window(300, 300, 0), "2026-11-24T10:02:00Z", "2026-11-24T10:07:00Z"),
            (window(300, 300, 60), "2026-11-24T10:01:00Z", "2026-11-24T10:06:00Z"),
            (window(60, 10, 0), "2026-11-24T10:06:40Z", "2026-11-24T10:07:40Z"),
            (window(172_800, 86_400, 0), "2026-11-22T10:07:00Z", "2026-11-24T10:07:00Z"),
        ] {
            assert_eq!(window.bounds(now), (at(start), at(end)), "{window:?}");
        }
    }

    #[test]
    fn only_the_result_is_sent_and_only_metrics_are_billed() {
        let now: Timestamp = "2026-11-24T10:07:00Z".parse().unwrap();
        let metrics = [("errors", "Errors"), ("calls", "Invocations")];
        let metrics = metrics.map(|(id, name)| (id.to_owned(), metric(name, "Sum"))).to_vec();
        let math =
            Query { source: Source::Math { math: "errors / calls".to_owned(), metrics }, window: window(300, 300, 0) };
        assert_eq!((math.billed(), math.subject()), (2, "errors / calls".to_owned()));
        let input = math.input(now);
        let queries = input["MetricDataQueries"].as_array().unwrap();
        let sent: Vec<_> = queries.iter().map(|query| (&query["Id"], &query["ReturnData"])).collect();
        assert_eq!(serde_json::to_value(sent).unwrap(), json!([["errors", false], ["calls", false], ["value", true]]));
        assert_eq!(queries[2]["Expression"], "errors / calls");
        let single = Query { source: Source::Metric(metric("Duration", "p99")), window: window(60, 60, 0) };
        assert_eq!((single.billed(), single.subject()), (1, "AWS/Lambda/Duration".to_owned()));
        assert_eq!(
            single.input(now)["MetricDataQueries"],
            json!([{
                "Id": "value",
                "MetricStat": {
                    "Metric": {
                        "Namespace": "AWS/Lambda",
                        "MetricName": "Duration",
                        "Dimensions": [{ "Name": "FunctionName", "Value": "shop-api" }],
                    },
                    "Period": 60,
                    "Stat": "p99",
                },
                "ReturnData": true,
            }])
        );
    }
}
