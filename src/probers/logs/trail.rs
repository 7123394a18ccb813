//! Whether a trail of `CloudTrail` writes down what happens, and what it writes down arrives.

use serde_json::{Value, json};

use crate::domain::aws_call::AwsCall;
use crate::domain::expression::Part;
use crate::domain::fact_map::FactMap;
use crate::domain::outcome::Failure;
use crate::domain::time::{Timestamp, between};
use crate::net::aws::call::Call;
use crate::net::aws::permission::permissions;
use crate::net::aws::services::CLOUDTRAIL;
use crate::ports::StepContext;
use crate::probers::aws::{Talk, instant};

/// What may not have arrived, and how its error is called in the answer.
const ERRORS: [(&str, &str); 3] = [
    ("", "LatestDeliveryError"),
    ("to CloudWatch Logs: ", "LatestCloudWatchLogsDeliveryError"),
    ("of the digest: ", "LatestDigestDeliveryError"),
];

/// A trail.
pub struct Trail {
    /// Its name or its ARN; of a trail of another region only the ARN will do.
    pub name: String,
}

impl Trail {
    /// Asks for its status.
    pub async fn look(&self, cx: &StepContext<'_>, talk: &mut Talk<'_>) -> Result<(FactMap, Vec<Part>), Failure> {
        let status = talk.call(&self.call()).await?.json;
        Ok(facts(&status, cx.clock.now()))
    }

    /// What a run asks for.
    pub fn calls(&self, region: Option<&str>) -> Vec<AwsCall> {
        permissions(&self.call(), region)
    }

    fn call(&self) -> Call {
        Call::action(&CLOUDTRAIL, "GetTrailStatus", json!({ "Name": self.name }))
    }
}

/// What a status says; and, of a trail that was stopped, since when.
fn facts(status: &Value, now: Timestamp) -> (FactMap, Vec<Part>) {
    let mut facts = FactMap::default();
    let age_s = |field: &str| Some(between(instant(&status[field])?, now).as_secs());
    let is_logging = status["IsLogging"].as_bool().unwrap_or_default();
    facts.insert("logging", is_logging);
    let error = ERRORS.iter().find_map(|(of, field)| {
        let error = status[field].as_str().filter(|error| !error.is_empty())?;
        Some(format!("{of}{error}"))
    });
    facts.insert("delivery_error", error.unwrap_or_default());
    if let Some(age_s) = age_s("LatestDeliveryTime") {
        facts.insert("age_s", age_s);
    }
    let stopped = age_s("StopLoggingTime").filter(|_| !is_logging);
    let aside = stopped.map(|ago_s| Part { expression: "stopped_ago_s".to_owned(), value: ago_s.to_string() });
    (facts, aside.into_iter().collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen(status: &Value) -> (Value, Vec<String>) {
        let (facts, aside) = facts(status, "2026-11-24T10:00:00Z".parse().unwrap());
        let facts = facts.iter().map(|(name, value)| (name.to_owned(), value.clone()));
        (Value::Object(facts.collect()), aside.iter().map(ToString::to_string).collect())
    }

    #[test]
    fn a_status_says_whether_it_logs_and_what_was_not_delivered() {
        let now: Timestamp = "2026-11-24T10:00:00Z".parse().unwrap();
        let ago = |seconds: i64| now.timestamp() - seconds;
        for (status, expected) in [
            (
                json!({ "IsLogging": true, "LatestDeliveryTime": ago(240), "LatestDeliveryError": "" }),
                json!({ "logging": true, "delivery_error": "", "age_s": 240 }),
            ),
            (json!({ "IsLogging": true }), json!({ "logging": true, "delivery_error": "" })),
            (
                json!({ "IsLogging": true, "LatestDeliveryError": "NoSuchBucket" }),
                json!({ "logging": true, "delivery_error": "NoSuchBucket" }),
            ),
            (
                json!({ "IsLogging": true, "LatestCloudWatchLogsDeliveryError": "AccessDenied" }),
                json!({ "logging": true, "delivery_error": "to CloudWatch Logs: AccessDenied" }),
            ),
            (json!({}), json!({ "logging": false, "delivery_error": "" })),
        ] {
            assert_eq!(seen(&status), (expected, Vec::new()), "{status}");
        }
        let (_, aside) = seen(&json!({ "IsLogging": false, "StopLoggingTime": ago(7_200) }));
        assert_eq!(aside, ["`stopped_ago_s` was `7200`"]);
        let (_, aside) = seen(&json!({ "IsLogging": true, "StopLoggingTime": ago(7_200) }));
        assert!(aside.is_empty(), "it was started again");
    }
}
