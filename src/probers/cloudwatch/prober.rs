//! Asks, page by page, and makes facts of the values.

use futures::future::BoxFuture;
use serde_json::{Value, json};

use super::query::Query;
use super::series::{Points, Series};
use crate::domain::aws_call::AwsCall;
use crate::domain::expression::{Name, Shape};
use crate::domain::fact_map::FactMap;
use crate::domain::outcome::{Failure, FailureKind, Observation};
use crate::domain::time::{Timestamp, between, words};
use crate::net::aws::call::Call;
use crate::net::aws::permission::permissions;
use crate::net::aws::services::CLOUDWATCH;
use crate::ports::{Prober, StepContext};
use crate::probers::aws::{Caller, Paging, Talk};

/// What is seen.
pub const NAMES: &[Name] = &[
    Name::known("value", Shape::Number, "the newest value of the window; what `missing` says where it has none"),
    Name::known(
        "values",
        Shape::List(&Shape::Number),
        "the values of the window, one for each period that has one, the oldest first",
    ),
    Name::known("samples", Shape::Number, "how many values came"),
    Name::known(
        "age_s",
        Shape::Number,
        "how long ago the period of the newest value began, in seconds; absent where none came",
    ),
    Name::known("throttled", Shape::Number, "how often the service asked to come later"),
    Name::known("total_ms", Shape::Number, "the whole step, in milliseconds"),
];

/// All values fit on a page, unless CloudWatch has only a part of them at once.
const PAGING: Paging = Paging { input: "NextToken", output: "NextToken", pages_max: 10 };

fn call(input: Value) -> Call {
    Call::action(&CLOUDWATCH, "GetMetricData", input)
}

/// Asks CloudWatch.
pub struct CloudWatchProber {
    /// What.
    pub query: Query,
    /// The value where there is none.
    pub missing: Option<f64>,
    /// Who asks.
    pub caller: Caller,
}

impl Prober for CloudWatchProber {
    fn host(&self) -> Option<String> {
        self.caller.host(&call(json!({})))
    }

    fn probe<'a>(&'a self, cx: &'a StepContext<'a>) -> BoxFuture<'a, Result<Observation, Failure>> {
        Box::pin(async move {
            let now = cx.clock.now();
            let mut talk = self.caller.talk(cx);
            let points = self.points(&mut talk, now).await;
            let facts = points.and_then(|points| self.facts(&points, now));
            let mut facts = facts.map_err(|failure| failure.after(talk.phases()))?;
            facts.insert("throttled", talk.throttled());
            Ok(Observation { facts, phases: talk.phases(), ..Observation::default() })
        })
    }

    fn calls(&self) -> Vec<AwsCall> {
        let calls = permissions(&call(json!({})), self.caller.region());
        calls.into_iter().map(|call| call.of_units(self.query.billed())).collect()
    }
}

impl CloudWatchProber {
    async fn points(&self, talk: &mut Talk<'_>, now: Timestamp) -> Result<Points, Failure> {
        let mut pages = Vec::new();
        // Of pages that do not end the last one says itself that it is a part.
        talk.pages(call(self.query.input(now)), PAGING, |page| {
            pages.push(page);
            true
        })
        .await?;
        pages.iter().try_fold(Series::default(), Series::with)?.whole(&self.query.subject())
    }

    fn facts(&self, points: &Points, now: Timestamp) -> Result<FactMap, Failure> {
        let newest = points.points.last();
        let value = newest.map(|(_, value)| *value).or(self.missing).ok_or_else(|| {
            let (subject, over) = (self.query.subject(), words(self.query.window.over));
            let message = format!("`{subject}` has no value within {over}{}", points.said);
            Failure::new(FailureKind::MetricMissing, message)
        })?;
        let mut facts = FactMap::default();
        facts.insert("value", value);
        facts.insert("values", points.points.iter().map(|(_, value)| json!(value)).collect::<Vec<Value>>());
        facts.insert("samples", points.points.len());
        if let Some((began, _)) = newest {
            facts.insert("age_s", between(*began, now).as_secs());
        }
        Ok(facts)
    }
}
