//! Recovery points that AWS Backup keeps in a vault.

use serde_json::{Value, json};

use super::estate::{Paged, list, observation, or_missing, place};
use super::history::{Backup, History};
use super::prober::Window;
use crate::domain::aws_call::AwsCall;
use crate::domain::outcome::{Failure, Observation};
use crate::domain::time::rfc3339;
use crate::net::aws::call::Call;
use crate::net::aws::permission::permissions;
use crate::net::aws::services::BACKUP;
use crate::probers::aws::{Caller, Talk, instant};

/// How many recovery points a page has at most.
const PAGE_MAX: u32 = 1_000;

/// A vault.
pub struct Vault {
    /// Its name.
    pub name: String,
    /// The ARN of what the recovery points are of; absent for whatever is there.
    pub resource: Option<String>,
    /// Asks.
    pub caller: Caller,
}

impl Vault {
    /// What is asked, for a window where one is known.
    pub fn paged(&self, window: Option<Window>) -> Paged {
        let input = json!({
            "BackupVaultName": self.name,
            "ByResourceArn": self.resource,
            "ByCreatedAfter": window.map(|window| rfc3339(window.begin())),
            "MaxResults": PAGE_MAX,
        });
        let call = Call::action(&BACKUP, "ListRecoveryPointsByBackupVault", input);
        Paged { call, input: "NextToken", output: "NextToken" }
    }

    /// What a run asks.
    pub fn calls(&self) -> Vec<AwsCall> {
        permissions(&self.paged(None).call, self.caller.region())
    }

    /// Looks.
    pub async fn look(&self, talk: &mut Talk<'_>, window: Window) -> Result<Observation, Failure> {
        let mut points = Vec::new();
        let listed = self.paged(Some(window)).read(talk, |page| points.extend(read(page))).await;
        let vault = format!("the vault {}{}", self.name, place(&self.caller));
        let listed = listed.map_err(or_missing(format!("{vault} is not there")));
        let what = match &self.resource {
            Some(resource) => format!("{resource} in {vault}"),
            None => format!("anything in {vault}"),
        };
        let seen = listed.and_then(|()| History::of(points, &what, window.over, window.now));
        observation(talk, seen.map(|history| history.facts()))
    }
}

/// The recovery points of a page that can be restored, each by its ARN. One that is partial, expired or still being made is
/// none.
fn read(page: &Value) -> impl Iterator<Item = Backup> {
    let is_whole = |point: &&Value| matches!(point["Status"].as_str(), Some("COMPLETED" | "AVAILABLE"));
    list(&page["RecoveryPoints"]).iter().filter(is_whole).filter_map(|point| {
        Some(Backup {
            name: point["RecoveryPointArn"].as_str()?.to_owned(),
            at: instant(&point["CreationDate"])?,
            size_bytes: point["BackupSizeInBytes"].as_u64(),
            kept_days: point["Lifecycle"]["DeleteAfterDays"].as_u64(),
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_can_be_restored_is_a_backup() {
        let point = |status: &str| {
            json!({
                "RecoveryPointArn": format!("arn:{status}"), "Status": status, "CreationDate": 0.0, "BackupSizeInBytes": 7,
                "Lifecycle": { "DeleteAfterDays": 35 },
            })
        };
        let statuses = ["COMPLETED", "PARTIAL", "DELETING", "EXPIRED", "AVAILABLE", "STOPPED", "CREATING"];
        let page = json!({ "RecoveryPoints": statuses.map(point) });
        let read: Vec<_> = read(&page).collect();
        assert_eq!(
            read.iter().map(|backup| backup.name.as_str()).collect::<Vec<_>>(),
            ["arn:COMPLETED", "arn:AVAILABLE"]
        );
        assert_eq!((read[0].size_bytes, read[0].kept_days), (Some(7), Some(35)));
    }
}
