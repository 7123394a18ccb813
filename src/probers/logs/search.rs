//! Searches of a group.

use serde_json::Value;

use crate::domain::outcome::{Failure, FailureKind};
use crate::net::aws::call::Call;
use crate::net::aws::services::LOGS;
use crate::probers::aws::{Paging, Talk};

/// A page may be empty though others come, since the service searches only so much at once: so there may be many.
const PAGING: Paging = Paging { input: "nextToken", output: "nextToken", pages_max: 100 };

/// A search.
pub fn call(input: Value) -> Call {
    Call::action(&LOGS, "FilterLogEvents", input)
}

/// That AWS finds nothing is said with what was looked for.
pub fn or_missing(what: String) -> impl FnOnce(Failure) -> Failure {
    move |failure| match failure.kind {
        FailureKind::AwsNotFound => Failure { message: format!("there is no {what}: {}", failure.message), ..failure },
        _ => failure,
    }
}

/// The first event that a search comes upon, page after page; none where there is none.
pub async fn first_event(talk: &mut Talk<'_>, input: Value) -> Result<Option<Value>, Failure> {
    let mut found = None;
    let is_whole = talk.pages(call(input), PAGING, |mut page| {
        found = page["events"].get_mut(0).map(Value::take);
        found.is_none()
    });
    if !is_whole.await? && found.is_none() {
        let message = format!("a search did not end within {} pages: look back less far", PAGING.pages_max);
        return Err(Failure::new(FailureKind::LocalSetup, message));
    }
    Ok(found)
}
