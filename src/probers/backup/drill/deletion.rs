//! Puts away what a drill made, whatever became of it: right behind it, or by its journal at the next start. It deletes what is
//! described as made by that run, and nothing else.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures::future::BoxFuture;
use serde_json::json;

use super::rehearsal::{Drill, Progress};
use super::table::DrillTable;
use crate::domain::fact_map::FactMap;
use crate::domain::outcome::{Failure, FailureKind, Observation, RunId};
use crate::domain::time::Monotonic;
use crate::net::aws::call::Call;
use crate::net::aws::services::DYNAMODB;
use crate::ports::{Prober, StepContext};
use crate::probers::backup::estate::observation;

/// How long after it was asked for a table that is not there may still appear: the call may be on its way when the process ends,
/// and a new table is not known everywhere at once.
const APPEARS_MAX: Duration = Duration::from_secs(60);

/// Of so many runs it is remembered when their table was first looked for.
const LOOKS_MAX: usize = 100;

/// Deletes the table of a run.
pub struct Deletion {
    /// What was restored.
    drill: Arc<Drill>,
    /// The runs of which nobody knows when they asked for a table, and when it was first looked for.
    looks: Mutex<BTreeMap<RunId, Monotonic>>,
}

impl Deletion {
    /// Of what a drill made.
    pub fn of(drill: Arc<Drill>) -> Self {
        Self { drill, looks: Mutex::default() }
    }

    /// When the table of a run was asked for at the latest; nothing where it was not.
    fn asked(&self, cx: &StepContext<'_>) -> Option<Monotonic> {
        let asked = cx.session.get::<Progress>().asked();
        if asked.is_some() || !cx.session.is_resumed() {
            return asked;
        }
        let mut looks = self.looks.lock().unwrap_or_else(PoisonError::into_inner);
        let first = *looks.entry(cx.run.clone()).or_insert_with(|| cx.clock.monotonic());
        // The ids of runs sort by time, so it is the oldest that is forgotten.
        if looks.len() > LOOKS_MAX {
            looks.pop_first();
        }
        Some(first)
    }
}

impl Prober for Deletion {
    fn probe<'a>(&'a self, cx: &'a StepContext<'a>) -> BoxFuture<'a, Result<Observation, Failure>> {
        Box::pin(async move {
            let Some(asked) = self.asked(cx) else { return Ok(Observation::default()) };
            let made = DrillTable::of(cx.run)?;
            let unfinished = |message: String| Err(Failure::new(FailureKind::RestoreUnfinished, message));
            let table = match self.drill.described(cx, &made).await {
                Ok(table) => table,
                Err(failure) if failure.kind != FailureKind::AwsNotFound => return Err(failure),
                Err(_) if cx.clock.monotonic().since(asked) < APPEARS_MAX => {
                    return unfinished(format!("{} is not there, and may still appear", made.name));
                }
                Err(_) => return Ok(Observation::default()),
            };
            made.is_described(&table, &self.drill.table)?;
            match table["TableStatus"].as_str().unwrap_or_default() {
                "DELETING" => Ok(Observation::default()),
                // AWS does not delete a table that is still being restored.
                status @ ("CREATING" | "UPDATING") => {
                    unfinished(format!("{} is {status} and cannot be deleted yet", made.name))
                }
                _ => {
                    let mut talk = self.drill.caller.talk(cx);
                    talk.call(&delete(&made.name)).await?;
                    observation(&talk, Ok(FactMap::default()))
                }
            }
        })
    }
}

/// The call that deletes a table.
pub fn delete(table: &str) -> Call {
    Call::action(&DYNAMODB, "DeleteTable", json!({ "TableName": table }))
}
