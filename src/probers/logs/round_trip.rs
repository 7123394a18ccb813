//! Whether what is written to a group is found there, and how soon.
//!
//! Writing is what this question is for, and all that Roundsman ever writes there: one event a run, of the run's id and the
//! time, in a stream of its own.

use std::time::Duration;

use serde_json::{Value, json};

use super::search::{self, first_event, or_missing};
use crate::domain::aws_call::AwsCall;
use crate::domain::fact_map::FactMap;
use crate::domain::outcome::{Failure, FailureKind};
use crate::domain::time::{milliseconds, words};
use crate::net::aws::call::Call;
use crate::net::aws::permission::permissions;
use crate::net::aws::services::LOGS;
use crate::ports::StepContext;
use crate::probers::aws::Talk;

/// After how long the second search is made, after that ever more seldom …
const WAIT_FIRST: Duration = Duration::from_millis(250);

/// … but at least so often. An account may search five times a second, for everybody together.
const WAIT_MAX: Duration = Duration::from_secs(2);

/// What the last search has left of the step's time.
const SEARCH: Duration = Duration::from_millis(500);

/// How many searches are reckoned with: after the tenth there is one every two seconds, and a step rarely waits so long.
const SEARCHES: u32 = 10;

/// What is billed of an event: its text, here an id and a time, and what the service adds.
const EVENT_BYTES: u64 = 26 + 26 + 1 + 13;

/// A group, and our stream in it.
pub struct RoundTrip {
    /// The group.
    pub group: String,
    /// The stream.
    pub stream: String,
}

impl RoundTrip {
    /// Writes, and searches until it is found or the time is over.
    pub async fn look(&self, cx: &StepContext<'_>, talk: &mut Talk<'_>) -> Result<FactMap, Failure> {
        // A step may be tried again in the same run, and must not find what it wrote before.
        let at = cx.clock.now().timestamp_millis();
        let token = format!("{} {at}", cx.run);
        self.write(talk, at, &token).await?;
        let written = cx.clock.monotonic();
        let mut wait = WAIT_FIRST;
        for searches in 1_u64.. {
            match self.search(talk, at, &token).await {
                Ok(false) => {}
                Ok(true) => {
                    let delay = cx.clock.monotonic().since(written);
                    let mut facts = FactMap::default();
                    facts.insert("delay_ms", milliseconds(delay));
                    facts.insert("delay_s", milliseconds(delay) / 1e3);
                    facts.insert("searches", searches);
                    return Ok(facts);
                }
                // That the time ended within a later search is how the waiting ends.
                Err(failure) if searches > 1 && failure.kind.as_str().starts_with("timeout.") => {
                    return Err(self.lost(cx.clock.monotonic().since(written), searches));
                }
                Err(failure) => return Err(failure),
            }
            let left = cx.deadline.since(cx.clock.monotonic());
            let Some(rest) = left.checked_sub(SEARCH).filter(|rest| !rest.is_zero()) else {
                return Err(self.lost(cx.clock.monotonic().since(written), searches));
            };
            cx.clock.sleep_until(cx.clock.monotonic() + wait.min(rest)).await;
            wait = (wait * 2).min(WAIT_MAX);
        }
        Err(self.lost(cx.clock.monotonic().since(written), u64::MAX))
    }

    fn lost(&self, waited: Duration, searches: u64) -> Failure {
        let searches = if searches == 1 { "1 search".to_owned() } else { format!("{searches} searches") };
        let message =
            format!("what was written to `{}` was not found within {}, in {searches}", self.group, words(waited));
        Failure::new(FailureKind::LogsLost, message)
    }

    /// Writes the event. The stream is made where it is not there yet; the group is the estate's.
    async fn write(&self, talk: &mut Talk<'_>, at: i64, token: &str) -> Result<(), Failure> {
        let event = json!({ "timestamp": at, "message": token });
        let put = self.call("PutLogEvents", json!({ "logEvents": [event] }));
        let answer = match talk.call(&put).await {
            Err(failure) if failure.kind == FailureKind::AwsNotFound => {
                match talk.call(&self.call("CreateLogStream", json!({}))).await {
                    // Another run may have made it meanwhile: the write says whether it is there.
                    Err(failure) if failure.kind != FailureKind::AwsRefused => {
                        return Err(or_missing(format!("group `{}`", self.group))(failure));
                    }
                    _ => talk.call(&put).await?,
                }
            }
            answer => answer?,
        };
        rejected(&answer.json).map_or(Ok(()), |why| {
            let message = format!("the call was taken, and the event for `{}` was rejected: {why}", self.group);
            Err(Failure::new(FailureKind::LogsRejected, message))
        })
    }

    async fn search(&self, talk: &mut Talk<'_>, at: i64, token: &str) -> Result<bool, Failure> {
        let names = [&self.stream];
        let input = json!({
            "logGroupName": self.group,
            "logStreamNames": names,
            "startTime": at,
            "filterPattern": format!("\"{token}\""),
        });
        let event = first_event(talk, input).await?;
        Ok(event.is_some_and(|event| event["message"].as_str().is_some_and(|message| message.contains(token))))
    }

    fn call(&self, action: &'static str, mut input: Value) -> Call {
        input["logGroupName"] = json!(self.group);
        input["logStreamName"] = json!(self.stream);
        Call::action(&LOGS, action, input)
    }

    /// What a run asks for.
    pub fn calls(&self, region: Option<&str>) -> Vec<AwsCall> {
        let asked = |call: &Call, of: fn(AwsCall) -> AwsCall| permissions(call, region).into_iter().map(of);
        let put = asked(&self.call("PutLogEvents", json!({})), |call| call.of_units(EVENT_BYTES));
        // It is made in the first run only.
        let create = asked(&self.call("CreateLogStream", json!({})), |call| call.times(0));
        let search = asked(&search::call(json!({ "logGroupName": self.group })), |call| call.times(SEARCHES));
        put.chain(create).chain(search).collect()
    }
}

/// Why the one event was not taken, where the answer says so.
fn rejected(answer: &Value) -> Option<&'static str> {
    let info = answer["rejectedLogEventsInfo"].as_object().filter(|info| !info.is_empty())?;
    Some(if info.contains_key("tooNewLogEventStartIndex") {
        "its time is more than two hours ahead of the service's clock, so this machine's is wrong"
    } else if info.contains_key("tooOldLogEventEndIndex") {
        "its time is more than 14 days behind the service's clock, so this machine's is wrong"
    } else if info.contains_key("expiredLogEventEndIndex") {
        "it is older than what the group keeps"
    } else {
        "no reason was given"
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_call_that_is_taken_may_still_reject_its_event() {
        for (answer, why) in [
            (json!({ "nextSequenceToken": "1" }), None),
            (json!({ "rejectedLogEventsInfo": {} }), None),
            (json!({ "rejectedLogEventsInfo": null }), None),
            (json!({ "rejectedLogEventsInfo": { "tooNewLogEventStartIndex": 0 } }), Some("two hours ahead")),
            (json!({ "rejectedLogEventsInfo": { "tooOldLogEventEndIndex": 1 } }), Some("14 days behind")),
            (json!({ "rejectedLogEventsInfo": { "expiredLogEventEndIndex": 1 } }), Some("what the group keeps")),
            (json!({ "rejectedLogEventsInfo": { "something": 1 } }), Some("no reason")),
        ] {
            let said = rejected(&answer);
            assert_eq!(said.is_some(), why.is_some(), "{answer}");
            assert!(said.unwrap_or_default().contains(why.unwrap_or_default()), "{answer}: {said:?}");
        }
    }
}
