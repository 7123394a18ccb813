//! Whether the flow logs of a network are there, active, and delivered.

use serde_json::{Value, json};

use crate::domain::aws_call::AwsCall;
use crate::domain::fact_map::FactMap;
use crate::domain::outcome::Failure;
use crate::net::aws::call::Call;
use crate::net::aws::permission::permissions;
use crate::net::aws::services::EC2;
use crate::probers::aws::{Paging, Talk};

/// A network rarely has more than two.
const PAGING: Paging = Paging { input: "NextToken", output: "nextToken", pages_max: 10 };

/// A VPC, a subnet, or a network interface.
pub struct FlowLogs {
    /// Its id.
    pub resource: String,
}

impl FlowLogs {
    /// Asks which flow logs it has.
    pub async fn look(&self, talk: &mut Talk<'_>) -> Result<FactMap, Failure> {
        let mut logs = Vec::new();
        // The first that was not delivered may be on any page.
        talk.pages(self.call(), PAGING, |page| {
            logs.extend(page["flowLogSet"].as_array().into_iter().flatten().cloned());
            true
        })
        .await?;
        Ok(facts(&logs))
    }

    /// What a run asks for.
    pub fn calls(&self, region: Option<&str>) -> Vec<AwsCall> {
        permissions(&self.call(), region)
    }

    fn call(&self) -> Call {
        let filter = json!([{ "Name": "resource-id", "Value": [self.resource] }]);
        Call::action(&EC2, "DescribeFlowLogs", json!({ "Filter": filter }))
    }
}

fn facts(logs: &[Value]) -> FactMap {
    let of = |log: &Value, field: &str| log[field].as_str().unwrap_or_default().to_owned();
    let mut facts = FactMap::default();
    facts.insert("count", logs.len());
    facts.insert("active", logs.iter().any(|log| log["flowLogStatus"] == "ACTIVE"));
    let undelivered = logs.iter().find(|log| log["deliverLogsStatus"] == "FAILED");
    let error = undelivered.map(|log| match of(log, "deliverLogsErrorMessage") {
        empty if empty.is_empty() => format!("{} failed", of(log, "flowLogId")),
        why => format!("{}: {why}", of(log, "flowLogId")),
    });
    facts.insert("delivery_error", error.unwrap_or_default());
    facts
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_that_is_not_delivered_is_told_beside_those_that_are() {
        let log = |id: &str, status: &str, delivered: &str, why: &str| {
            json!({
                "flowLogId": id, "flowLogStatus": status, "deliverLogsStatus": delivered, "deliverLogsErrorMessage": why,
            })
        };
        let well = log("fl-1", "ACTIVE", "SUCCESS", "");
        for (logs, expected) in [
            (vec![], json!({ "count": 0, "active": false, "delivery_error": "" })),
            (vec![well.clone()], json!({ "count": 1, "active": true, "delivery_error": "" })),
            (
                vec![well.clone(), log("fl-2", "ACTIVE", "FAILED", "Access error")],
                json!({ "count": 2, "active": true, "delivery_error": "fl-2: Access error" }),
            ),
            (
                vec![log("fl-2", "INACTIVE", "FAILED", "")],
                json!({ "count": 1, "active": false, "delivery_error": "fl-2 failed" }),
            ),
            // One that has just been made has delivered nothing yet.
            (
                vec![json!({ "flowLogId": "fl-3", "flowLogStatus": "ACTIVE" })],
                json!({ "count": 1, "active": true, "delivery_error": "" }),
            ),
        ] {
            let facts = facts(&logs);
            let facts = facts.iter().map(|(name, value)| (name.to_owned(), value.clone()));
            assert_eq!(Value::Object(facts.collect()), expected, "{logs:?}");
        }
    }
}
