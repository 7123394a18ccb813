//! The table of a drill: what it is called, and how it is told from every other.

use std::time::Duration;

use chrono::DateTime;
use serde_json::Value;

use crate::domain::outcome::{Failure, FailureKind, RunId};
use crate::domain::time::{Timestamp, earlier};
use crate::probers::aws::instant;

/// How every table begins that a drill makes. The policy that we print lets us delete tables of such names alone.
pub const PREFIX: &str = "roundsman-drill-";

/// By how much the clock of AWS and ours may differ.
const SKEW: Duration = Duration::from_secs(300);

/// The table of one run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DrillTable {
    /// Its name: the prefix and the id of the run.
    pub name: String,
    /// When the run began, which is the first part of its id.
    begun: Timestamp,
}

impl DrillTable {
    /// The table of a run.
    pub fn of(run: &RunId) -> Result<Self, Failure> {
        let id: Option<ulid::Ulid> = run.0.parse().ok();
        let begun = id.and_then(|id| i64::try_from(id.timestamp_ms()).ok()).and_then(DateTime::from_timestamp_millis);
        let begun =
            begun.ok_or_else(|| Failure::new(FailureKind::Internal, "the run has no id that a table can bear"))?;
        Ok(Self { name: format!("{PREFIX}{}", run.0), begun })
    }

    /// Whether what is described (`Table` of `DescribeTable`) was made by this run from that table; else why not. Only what
    /// passes here is read or deleted.
    pub fn is_described(&self, table: &Value, source: &str) -> Result<(), Failure> {
        let foreign = |why: String| {
            let message = format!("{} was not made by this drill and is left alone: {why}", self.name);
            Err(Failure::new(FailureKind::RestoreForeign, message))
        };
        if table["TableName"] != self.name.as_str() {
            return foreign("its name is another".to_owned());
        }
        let Some(from) = table["RestoreSummary"]["SourceTableArn"].as_str() else {
            return foreign("it is not described as restored".to_owned());
        };
        if from.rsplit_once(":table/").is_none_or(|(_, name)| name != source) {
            return foreign(format!("it was restored from another table than {source}"));
        }
        match instant(&table["CreationDateTime"]) {
            Some(at) if at >= earlier(self.begun, SKEW) => Ok(()),
            Some(_) => foreign("it is older than the run".to_owned()),
            None => foreign("it is not said when it was made".to_owned()),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use serde_json::json;

    use super::*;

    const ID: &str = "01KAZ0000000000000000000XY";

    fn table() -> DrillTable {
        DrillTable::of(&RunId(Arc::from(ID))).unwrap()
    }

    fn described() -> Value {
        json!({
            "TableName": format!("roundsman-drill-{ID}"),
            "TableStatus": "ACTIVE",
            "CreationDateTime": table().begun.timestamp() as f64 + 1.5,
            "RestoreSummary": { "SourceTableArn": "arn:aws:dynamodb:us-east-1:123456789012:table/Users" },
        })
    }

    #[test]
    fn the_name_is_the_runs() {
        assert_eq!(table().name, "roundsman-drill-01KAZ0000000000000000000XY");
        let nobody = DrillTable::of(&RunId(Arc::from("Users"))).unwrap_err();
        assert_eq!(nobody.to_string(), "internal: the run has no id that a table can bear");
    }

    #[test]
    fn what_the_run_made_is_its_own() {
        assert_eq!(table().is_described(&described(), "Users"), Ok(()));
    }

    #[test]
    fn everything_else_is_left_alone() {
        let with = |pointer: &str, value: Value| {
            let mut description = described();
            *description.pointer_mut(pointer).unwrap() = value;
            description
        };
        for (description, why) in [
            (with("/TableName", json!("Users")), "its name is another"),
            (with("/RestoreSummary", Value::Null), "it is not described as restored"),
            (with("/RestoreSummary", json!({ "RestoreInProgress": true })), "it is not described as restored"),
            (
                with("/RestoreSummary/SourceTableArn", json!("arn:aws:dynamodb:us-east-1:123456789012:table/Orders")),
                "it was restored from another table than Users",
            ),
            (
                with(
                    "/RestoreSummary/SourceTableArn",
                    json!("arn:aws:dynamodb:us-east-1:123456789012:table/x:table/Users/backup/1"),
                ),
                "it was restored from another table than Users",
            ),
            (with("/CreationDateTime", json!(1_500_000_000)), "it is older than the run"),
            (with("/CreationDateTime", Value::Null), "it is not said when it was made"),
            (Value::Null, "its name is another"),
        ] {
            let told = table().is_described(&description, "Users").unwrap_err().to_string();
            let name = format!("roundsman-drill-{ID}");
            assert_eq!(told, format!("restore.foreign: {name} was not made by this drill and is left alone: {why}"));
        }
    }
}
