//! Asks the one question of a step.

use futures::future::BoxFuture;
use serde_json::Value;

use super::access_logs::AccessLogs;
use super::flow_logs::FlowLogs;
use super::newest::Newest;
use super::round_trip::RoundTrip;
use super::trail::Trail;
use crate::domain::aws_call::AwsCall;
use crate::domain::expression::{Name, Part, Shape};
use crate::domain::fact_map::FactMap;
use crate::domain::outcome::{Failure, Observation};
use crate::net::aws::call::Call;
use crate::net::aws::services::{CLOUDTRAIL, EC2, LOGS, S3};
use crate::ports::{Prober, StepContext};
use crate::probers::aws::Caller;

/// What is seen, each by some of the questions.
pub const NAMES: &[Name] = &[
    Name::known(
        "delay_ms",
        Shape::Number,
        "`round_trip`: from the write that was taken to the answer of the search that found it, in milliseconds",
    ),
    Name::known("delay_s", Shape::Number, "the same in seconds"),
    Name::known("searches", Shape::Number, "`round_trip`: how many searches that took"),
    Name::known(
        "age_s",
        Shape::Number,
        "`newest`: how long ago the newest event was, of the group where that is longest ago; `trail`: how long ago something was delivered, absent where nothing ever was; `access_logs`: how old the newest object is; in seconds",
    ),
    Name::known("group", Shape::Text, "`newest`: the group whose newest event is the oldest"),
    Name::known("ages", Shape::Map(&Shape::Number), "`newest`: by group how long ago its newest event was, in seconds"),
    Name::known("logging", Shape::Bool, "`trail`: whether it writes down what happens"),
    Name::known("active", Shape::Bool, "`flow_logs`: whether at least one is there and active"),
    Name::known("count", Shape::Number, "`flow_logs`: how many there are"),
    Name::known(
        "delivery_error",
        Shape::Text,
        "`trail`, `flow_logs`: why something was not delivered the last time; empty where it was",
    ),
    Name::known("newest", Shape::Text, "`access_logs`: the key of the newest object"),
    Name::known("throttled", Shape::Number, "how often the service asked to come later"),
    Name::known("total_ms", Shape::Number, "the whole step, in milliseconds"),
];

/// What a step asks.
pub enum Question {
    /// Whether what is written is found.
    RoundTrip(RoundTrip),
    /// How long ago something came.
    Newest(Newest),
    /// Whether a trail of `CloudTrail` goes on.
    Trail(Trail),
    /// Whether the flow logs of a network go on.
    FlowLogs(FlowLogs),
    /// How old the newest access log is.
    AccessLogs(AccessLogs),
}

/// Asks it.
pub struct LogsProber {
    /// What.
    pub question: Question,
    /// Who asks.
    pub caller: Caller,
}

impl Prober for LogsProber {
    fn host(&self) -> Option<String> {
        let service = match &self.question {
            Question::RoundTrip(_) | Question::Newest(_) => &LOGS,
            Question::Trail(_) => &CLOUDTRAIL,
            Question::FlowLogs(_) => &EC2,
            Question::AccessLogs(_) => &S3,
        };
        self.caller.host(&Call::action(service, "", Value::Null))
    }

    fn probe<'a>(&'a self, cx: &'a StepContext<'a>) -> BoxFuture<'a, Result<Observation, Failure>> {
        Box::pin(async move {
            let mut talk = self.caller.talk(cx);
            let looked = match &self.question {
                Question::RoundTrip(trip) => trip.look(cx, &mut talk).await.map(alone),
                Question::Newest(newest) => newest.look(cx, &mut talk).await.map(alone),
                Question::Trail(trail) => trail.look(cx, &mut talk).await,
                Question::FlowLogs(logs) => logs.look(&mut talk).await.map(alone),
                Question::AccessLogs(logs) => logs.look(cx, &mut talk).await.map(alone),
            };
            let (mut facts, aside) = looked.map_err(|failure| failure.after(talk.phases()))?;
            facts.insert("throttled", talk.throttled());
            Ok(Observation { facts, aside, phases: talk.phases(), ..Observation::default() })
        })
    }

    fn calls(&self) -> Vec<AwsCall> {
        let region = self.caller.region();
        match &self.question {
            Question::RoundTrip(trip) => trip.calls(region),
            Question::Newest(newest) => newest.calls(region),
            Question::Trail(trail) => trail.calls(region),
            Question::FlowLogs(logs) => logs.calls(region),
            Question::AccessLogs(logs) => logs.calls(region),
        }
    }
}

/// Facts beside which nothing is told.
fn alone(facts: FactMap) -> (FactMap, Vec<Part>) {
    (facts, Vec::new())
}
