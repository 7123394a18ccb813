//! The values that came, page by page.

use serde_json::Value;

use super::query::RESULT;
use crate::domain::outcome::{Failure, FailureKind};
use crate::domain::time::Timestamp;
use crate::net::excerpt::excerpt;
use crate::probers::aws::instant;

/// The values of one result.
#[derive(Debug, Default, PartialEq)]
pub struct Series {
    /// When the period of each began, and the value.
    points: Vec<(Timestamp, f64)>,
    /// What CloudWatch says of them.
    messages: Vec<String>,
    /// How the last page calls itself.
    status: String,
}

impl Series {
    /// The same with a page. One that is none, or that has several series, is a failure.
    pub fn with(mut self, page: &Value) -> Result<Self, Failure> {
        let invalid = || Failure::new(FailureKind::ProtocolInvalid, "the answer has not the form of metric data");
        let results = page["MetricDataResults"].as_array().ok_or_else(invalid)?;
        let results: Vec<_> = results.iter().filter(|result| result["Id"] == RESULT).collect();
        if results.len() > 1 {
            let message =
                format!("the math gives {} series, and one is asked for: put it into SUM or AVG", results.len());
            return Err(Failure::new(FailureKind::LocalSetup, message));
        }
        self.note(&page["Messages"]);
        // A page may have nothing of it.
        let Some(result) = results.first() else { return Ok(self) };
        let (times, values) = (&result["Timestamps"], &result["Values"]);
        let (times, values) = times.as_array().zip(values.as_array()).ok_or_else(invalid)?;
        if times.len() != values.len() {
            return Err(invalid());
        }
        for (time, value) in times.iter().zip(values) {
            self.points.push(instant(time).zip(value.as_f64()).ok_or_else(invalid)?);
        }
        self.note(&result["Messages"]);
        result["StatusCode"].as_str().unwrap_or_default().clone_into(&mut self.status);
        Ok(self)
    }

    fn note(&mut self, messages: &Value) {
        let text = |message: &Value| Some(format!("{}: {}", message["Code"].as_str()?, message["Value"].as_str()?));
        self.messages.extend(messages.as_array().into_iter().flatten().filter_map(text));
    }

    /// The points, the oldest first, when no page is to come; none is no failure yet. Values of which a part is missing are one:
    /// the newest of them may be anything.
    pub fn whole(mut self, subject: &str) -> Result<Points, Failure> {
        let said = self.said();
        let fail = |kind, message: String| Err(Failure::new(kind, format!("{message}{said}")));
        match &*self.status {
            // Without any result there is no status, and no value.
            "Complete" | "" => {}
            "Forbidden" => {
                return fail(FailureKind::AwsDenied, format!("CloudWatch does not let us read `{subject}`"));
            }
            "PartialData" => {
                return fail(FailureKind::MetricPartial, format!("only a part of the values of `{subject}` came"));
            }
            other => {
                let other = excerpt(other);
                return fail(FailureKind::MetricPartial, format!("CloudWatch says of `{subject}`: {other}"));
            }
        }
        self.points.sort_by_key(|(began, _)| *began);
        Ok(Points { points: self.points, said })
    }

    /// What CloudWatch says, as the end of a sentence.
    fn said(&self) -> String {
        self.messages.first().map_or_else(String::new, |message| format!(": {}", excerpt(message)))
    }
}

/// All values of a window.
#[derive(Debug, PartialEq)]
pub struct Points {
    /// When the period of each began, and the value; the oldest first.
    pub points: Vec<(Timestamp, f64)>,
    /// What CloudWatch says of them, as the end of a sentence: why there is none, at times.
    pub said: String,
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn page(status: &str, times: &[f64], values: &[f64], messages: &[(&str, &str)]) -> Value {
        let messages = messages.iter().map(|(code, value)| json!({ "Code": code, "Value": value }));
        let messages: Vec<_> = messages.collect();
        json!({ "MetricDataResults": [{
            "Id": "value", "Label": "x", "Timestamps": times, "Values": values, "StatusCode": status, "Messages": messages,
        }] })
    }

    fn read(pages: &[Value]) -> Result<Points, Failure> {
        pages.iter().try_fold(Series::default(), Series::with)?.whole("a/b")
    }

    #[test]
    fn pages_are_one_series_whose_oldest_value_comes_first() {
        let points =
            read(&[page("PartialData", &[120.0], &[2.0], &[]), page("Complete", &[60.0, 180.0], &[1.0, 3.0], &[])]);
        let points: Vec<_> = points.unwrap().points.iter().map(|(at, value)| (at.timestamp(), *value)).collect();
        assert_eq!(points, [(60, 1.0), (120, 2.0), (180, 3.0)]);
    }

    #[test]
    fn no_value_is_no_failure_yet_and_its_reason_is_kept() {
        let points = read(&[page("Complete", &[], &[], &[("ArithmeticError", "dropped")])]).unwrap();
        assert_eq!((points.points.len(), &*points.said), (0, ": ArithmeticError: dropped"));
        assert_eq!(read(&[json!({ "MetricDataResults": [] })]).unwrap().points, []);
    }

    #[test]
    fn a_part_is_never_taken_for_the_whole() {
        for (pages, told) in [
            (
                vec![page("PartialData", &[60.0], &[1.0], &[])],
                "metric.partial: only a part of the values of `a/b` came",
            ),
            (
                vec![page("InternalError", &[], &[], &[("Internal", "try again")])],
                "metric.partial: CloudWatch says of `a/b`: InternalError: Internal: try again",
            ),
            (vec![page("Forbidden", &[], &[], &[])], "aws.denied: CloudWatch does not let us read `a/b`"),
            (
                vec![json!({ "MetricDataResults": [{ "Id": "value" }, { "Id": "value" }] })],
                "local.setup: the math gives 2 series, and one is asked for: put it into SUM or AVG",
            ),
            (vec![json!({})], "protocol.invalid: the answer has not the form of metric data"),
            (vec![page("Complete", &[60.0], &[], &[])], "protocol.invalid: the answer has not the form of metric data"),
            (
                vec![json!({ "MetricDataResults": [{ "Id": "value", "Timestamps": [60], "Values": ["NaN"] }] })],
                "protocol.invalid: the answer has not the form of metric data",
            ),
        ] {
            assert_eq!(read(&pages).unwrap_err().to_string(), told);
        }
    }
}
