//! Point-in-time recovery of a DynamoDB table.

use serde_json::{Value, json};

use super::estate::{observation, or_missing, place};
use super::prober::Window;
use crate::domain::aws_call::AwsCall;
use crate::domain::fact_map::FactMap;
use crate::domain::outcome::{Failure, FailureKind, Observation};
use crate::domain::time::between;
use crate::net::aws::call::Call;
use crate::net::aws::permission::permissions;
use crate::net::aws::services::DYNAMODB;
use crate::probers::aws::{Caller, Talk, instant};

/// A table that can be restored as it was at any instant of some days.
pub struct Recovery {
    /// The table.
    pub table: String,
    /// Asks.
    pub caller: Caller,
}

impl Recovery {
    /// What is asked.
    pub fn call(&self) -> Call {
        Call::action(&DYNAMODB, "DescribeContinuousBackups", json!({ "TableName": self.table }))
    }

    /// What a run asks.
    pub fn calls(&self) -> Vec<AwsCall> {
        permissions(&self.call(), self.caller.region())
    }

    /// Looks.
    pub async fn look(&self, talk: &mut Talk<'_>, window: Window) -> Result<Observation, Failure> {
        let answer = talk.call(&self.call()).await;
        let table = format!("table {}{}", self.table, place(&self.caller));
        let answer = answer.map_err(or_missing(format!("there is no {table}")));
        let seen = answer.and_then(|reply| {
            let described = &reply.json["ContinuousBackupsDescription"]["PointInTimeRecoveryDescription"];
            facts(described, &table, window)
        });
        observation(talk, seen)
    }
}

/// The facts of a `PointInTimeRecoveryDescription`.
fn facts(described: &Value, table: &str, window: Window) -> Result<FactMap, Failure> {
    match described["PointInTimeRecoveryStatus"].as_str() {
        Some("ENABLED") => {}
        Some("DISABLED") => {
            return Err(Failure::new(FailureKind::BackupOff, format!("point-in-time recovery of the {table} is off")));
        }
        _ => {
            let message = format!("the answer does not say whether point-in-time recovery of the {table} is on");
            return Err(Failure::new(FailureKind::ProtocolInvalid, message));
        }
    }
    let ago_s = |name: &str| instant(&described[name]).map(|at| between(at, window.now).as_secs());
    let Some(rpo_s) = ago_s("LatestRestorableDateTime") else {
        let message = format!("point-in-time recovery of the {table} is on, and nothing can be restored yet");
        return Err(Failure::new(FailureKind::BackupMissing, message));
    };
    let mut facts = FactMap::default();
    facts.insert("rpo_s", rpo_s);
    facts.extend(ago_s("EarliestRestorableDateTime").map(|age_s| ("oldest_age_s", age_s)));
    facts.extend(described["RecoveryPeriodInDays"].as_u64().map(|days| ("retention_days", days)));
    Ok(facts)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn seen(described: &Value) -> Result<Value, String> {
        let window = Window { over: Duration::ZERO, now: "2026-11-26T12:00:00Z".parse().unwrap() };
        let facts = facts(described, "table Users in us-west-2", window).map_err(|failure| failure.to_string())?;
        Ok(facts.iter().map(|(name, value)| (name.to_owned(), value.clone())).collect())
    }

    #[test]
    fn what_is_on_says_how_far_back_and_how_near_it_reaches() {
        let now = 1_795_694_400.0;
        let mut described = json!({
            "PointInTimeRecoveryStatus": "ENABLED", "RecoveryPeriodInDays": 35,
            "EarliestRestorableDateTime": now - 86_400.0 * 35.0, "LatestRestorableDateTime": now - 300.25,
        });
        assert_eq!(seen(&described), Ok(json!({ "rpo_s": 300, "oldest_age_s": 86_400 * 35, "retention_days": 35 })));
        described["LatestRestorableDateTime"] = Value::Null;
        let told = "backup.missing: point-in-time recovery of the table Users in us-west-2 is on, and nothing can be restored yet";
        assert_eq!(seen(&described), Err(told.to_owned()));
    }

    #[test]
    fn off_and_unsaid_fail() {
        let told = "backup.off: point-in-time recovery of the table Users in us-west-2 is off";
        assert_eq!(seen(&json!({ "PointInTimeRecoveryStatus": "DISABLED" })), Err(told.to_owned()));
        let told = "protocol.invalid: the answer does not say whether point-in-time recovery of the table Users in us-west-2 is on";
        assert_eq!(seen(&Value::Null), Err(told.to_owned()));
    }
}
