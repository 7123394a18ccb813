//! What one step asks of AWS and what the answers say, in the words of backups.

use serde_json::Value;

use crate::domain::aws_call::AwsCall;
use crate::domain::fact_map::FactMap;
use crate::domain::outcome::{Failure, FailureKind, Observation};
use crate::net::aws::call::Call;
use crate::net::aws::services::partition;
use crate::probers::aws::{Caller, Paging, Talk};

/// The most pages of one list: 100,000 objects, or 10,000 backups.
const PAGES_MAX: u32 = 100;

/// A list that comes in pages.
pub struct Paged {
    /// The first page.
    pub call: Call,
    /// Where the input takes the token of a page.
    pub input: &'static str,
    /// Where an answer has that of the next.
    pub output: &'static str,
}

impl Paged {
    /// Hands over every page. A list that does not end is not looked at by half.
    pub async fn read(self, talk: &mut Talk<'_>, mut take: impl FnMut(&Value)) -> Result<(), Failure> {
        let Self { call, input, output } = self;
        let told = call.told();
        let paging = Paging { input, output, pages_max: PAGES_MAX };
        let take = |page: Value| {
            take(&page);
            true
        };
        if talk.pages(call, paging, take).await? {
            return Ok(());
        }
        let message = format!("{told} has more than {PAGES_MAX} pages: ask for less");
        Err(Failure::new(FailureKind::LocalSetup, message))
    }
}

/// What a step saw, or the failure with the time that it took until then.
pub fn observation(talk: &Talk<'_>, seen: Result<FactMap, Failure>) -> Result<Observation, Failure> {
    let phases = talk.phases();
    let mut facts = seen.map_err(|failure| failure.after(phases))?;
    facts.insert("throttled", talk.throttled());
    Ok(Observation { facts, phases, ..Observation::default() })
}

/// That AWS does not know what was asked about is said in the words of who asked.
pub fn or_missing(what: impl Into<String>) -> impl FnOnce(Failure) -> Failure {
    let what = what.into();
    move |failure| match failure.kind {
        FailureKind::AwsNotFound => Failure { kind: FailureKind::BackupMissing, message: what, ..failure },
        _ => failure,
    }
}

/// ` in us-west-2`, where the region is written.
pub fn place(caller: &Caller) -> String {
    caller.region().map(|region| format!(" in {region}")).unwrap_or_default()
}

/// One call of an action of DynamoDB on something of its own, where `below` ends its ARN.
pub fn asked_of_dynamodb(caller: &Caller, action: &str, below: &str) -> AwsCall {
    let region = caller.region();
    let (partition, place) = (region.map_or("aws", partition), region.unwrap_or("*"));
    let resource = format!("arn:{partition}:dynamodb:{place}:*:{below}");
    AwsCall::once(format!("dynamodb:{action}"), resource).of_region(region.map(str::to_owned))
}

/// One call of a list of backups: DynamoDB knows no resource for it.
pub fn asked_for_backups(caller: &Caller) -> AwsCall {
    AwsCall::once("dynamodb:ListBackups", "*").of_region(caller.region().map(str::to_owned))
}

/// The elements of a list; a single one that XML gave without its list stands for itself.
pub fn list(value: &Value) -> &[Value] {
    match value {
        Value::Array(elements) => elements,
        Value::Null => &[],
        one => std::slice::from_ref(one),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn one_is_a_list_too() {
        assert_eq!(list(&json!([1, 2])), [json!(1), json!(2)]);
        assert_eq!(list(&json!({ "Key": "a" })), [json!({ "Key": "a" })]);
        assert!(list(&Value::Null).is_empty());
    }
}
