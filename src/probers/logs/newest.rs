//! How long ago something came to groups.
//!
//! The last time that a group or a stream says of itself may lag an hour behind. So the newest event itself is asked for,
//! which the service can give first since it searches from both ends; it needs one call for each group.

use std::time::Duration;

use chrono::DateTime;
use serde_json::{Map, Value, json};

use super::search::{self, first_event, or_missing};
use crate::domain::aws_call::AwsCall;
use crate::domain::fact_map::FactMap;
use crate::domain::outcome::{Failure, FailureKind};
use crate::domain::time::{between, earlier, words};
use crate::net::aws::permission::permissions;
use crate::ports::StepContext;
use crate::probers::aws::Talk;

/// Groups to which something should come.
pub struct Newest {
    /// The groups: at least one.
    pub groups: Vec<String>,
    /// How far back is looked.
    pub over: Duration,
}

impl Newest {
    /// Asks each group for its newest event.
    pub async fn look(&self, cx: &StepContext<'_>, talk: &mut Talk<'_>) -> Result<FactMap, Failure> {
        let now = cx.clock.now();
        let start = earlier(now, self.over).timestamp_millis();
        let (mut ages, mut silent, mut oldest) = (Map::new(), Vec::new(), None);
        for group in &self.groups {
            let input = json!({ "logGroupName": group, "startTime": start, "startFromHead": false, "limit": 1 });
            let event = first_event(talk, input).await.map_err(or_missing(format!("group `{group}`")))?;
            let at =
                event.as_ref().and_then(|event| event["timestamp"].as_i64()).and_then(DateTime::from_timestamp_millis);
            let Some(at) = at else {
                silent.push(format!("`{group}`"));
                continue;
            };
            // An event may be dated ahead of our clock by as much as the clocks differ: it is new.
            let age_s = between(at, now).as_secs_f64();
            ages.insert(group.clone(), json!(age_s));
            if oldest.is_none_or(|(_, oldest)| oldest < age_s) {
                oldest = Some((group, age_s));
            }
        }
        if !silent.is_empty() {
            let message = format!("nothing came to {} within the last {}", silent.join(", "), words(self.over));
            return Err(Failure::new(FailureKind::LogsSilent, message));
        }
        let mut facts = FactMap::default();
        if let Some((group, age_s)) = oldest {
            facts.insert("age_s", age_s);
            facts.insert("group", group.clone());
        }
        facts.insert("ages", Value::Object(ages));
        Ok(facts)
    }

    /// What a run asks for.
    pub fn calls(&self, region: Option<&str>) -> Vec<AwsCall> {
        let search = |group: &String| permissions(&search::call(json!({ "logGroupName": group })), region);
        self.groups.iter().flat_map(search).collect()
    }
}
