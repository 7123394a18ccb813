//! On-demand backups of a DynamoDB table.

use serde_json::{Value, json};

use super::estate::{Paged, asked_for_backups, list, observation, place};
use super::history::{Backup, History};
use super::prober::Window;
use crate::domain::aws_call::AwsCall;
use crate::domain::outcome::{Failure, Observation};
use crate::net::aws::call::Call;
use crate::net::aws::services::DYNAMODB;
use crate::probers::aws::{Caller, Talk, instant};

/// The backups that somebody made of a table, or a job of his. What AWS Backup made is in its vault, and not in this list.
pub struct OnDemand {
    /// The table.
    pub table: String,
    /// Asks.
    pub caller: Caller,
}

impl OnDemand {
    /// What a run asks.
    pub fn calls(&self) -> Vec<AwsCall> {
        vec![asked_for_backups(&self.caller)]
    }

    /// Looks. A table that is not there any more may have backups all the same, so none of it is asked.
    pub async fn look(&self, talk: &mut Talk<'_>, window: Window) -> Result<Observation, Failure> {
        let mut backups = Vec::new();
        let listed = backups_of(&self.table, Some(window)).read(talk, |page| backups.extend(read(page))).await;
        let what = format!("the table {}{}", self.table, place(&self.caller));
        let seen = listed.and_then(|()| History::of(backups, &what, window.over, window.now));
        observation(talk, seen.map(|history| history.facts()))
    }
}

/// The list of a table's backups.
pub fn backups_of(table: &str, window: Option<Window>) -> Paged {
    let input = json!({
        "TableName": table,
        "BackupType": "USER",
        "TimeRangeLowerBound": window.map(|window| window.begin().timestamp()),
    });
    let call = Call::action(&DYNAMODB, "ListBackups", input);
    Paged { call, input: "ExclusiveStartBackupArn", output: "LastEvaluatedBackupArn" }
}

/// The backups of a page that are whole, each by its ARN.
pub fn read(page: &Value) -> impl Iterator<Item = Backup> {
    let whole = list(&page["BackupSummaries"]).iter().filter(|summary| summary["BackupStatus"] == "AVAILABLE");
    whole.filter_map(|summary| {
        Some(Backup {
            name: summary["BackupArn"].as_str()?.to_owned(),
            at: instant(&summary["BackupCreationDateTime"])?,
            size_bytes: summary["BackupSizeBytes"].as_u64(),
            kept_days: None,
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_whole_is_a_backup() {
        let summary = |status: &str| json!({ "BackupArn": format!("arn:{status}"), "BackupStatus": status, "BackupCreationDateTime": 0, "BackupSizeBytes": 7 });
        let page = json!({ "BackupSummaries": [summary("CREATING"), summary("AVAILABLE"), summary("DELETED"), {}] });
        let at = "1970-01-01T00:00:00Z".parse().unwrap();
        let whole = Backup { name: "arn:AVAILABLE".to_owned(), at, size_bytes: Some(7), kept_days: None };
        assert_eq!(read(&page).collect::<Vec<_>>(), [whole]);
    }

    #[test]
    fn a_window_bounds_what_is_asked_for() {
        let window = Window { over: std::time::Duration::from_secs(60), now: "1970-01-01T01:00:00Z".parse().unwrap() };
        let bounded = json!({ "TableName": "Users", "BackupType": "USER", "TimeRangeLowerBound": 3_540 });
        assert_eq!(backups_of("Users", Some(window)).call.input, bounded);
        assert_eq!(backups_of("Users", None).call.input["TimeRangeLowerBound"], Value::Null);
    }
}
