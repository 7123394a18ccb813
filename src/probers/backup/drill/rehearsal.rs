//! The drill itself: restores, waits, compares.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures::future::BoxFuture;
use serde_json::{Value, json};

use super::super::estate::{asked_for_backups, asked_of_dynamodb, or_missing, place};
use super::super::history::History;
use super::super::on_demand::{backups_of, read};
use super::super::prober::Window;
use super::deletion::{Deletion, delete};
use super::item::{Difference, Item};
use super::settings::From;
use super::table::{DrillTable, PREFIX};
use crate::domain::aws_call::AwsCall;
use crate::domain::exchange::Exchange;
use crate::domain::fact_map::FactMap;
use crate::domain::outcome::{Failure, FailureKind, Observation};
use crate::domain::time::{Monotonic, words};
use crate::net::aws::call::Call;
use crate::net::aws::permission::permissions;
use crate::net::aws::services::DYNAMODB;
use crate::net::stopwatch::Stopwatch;
use crate::ports::{Prober, Recorder, StepContext};
use crate::probers::aws::Caller;

/// How far back a backup may be that is restored.
const BACKUPS_OVER: Duration = Duration::from_secs(30 * 86_400);

/// How long one look at the table may take: a drill may have an hour, and a call that hangs must not take it.
const LOOK_MAX: Duration = Duration::from_secs(20);

/// From one look to the next: a tenth of the time that has passed, and within these.
const REST: (Duration, Duration) = (Duration::from_millis(500), Duration::from_secs(15));

/// How often somebody is told that it goes on.
const TELL_EVERY: Duration = Duration::from_secs(60);

/// At most so many looks are expected of a drill, for the bill: one every fifteen seconds of an hour.
const LOOKS_USUAL: u32 = 240;

/// What is to be restored and compared.
pub struct Drill {
    /// The table.
    pub table: String,
    /// From what.
    pub from: From,
    /// The key of the item.
    pub key: Item,
    /// What it must be; the item of the table itself where nothing is written.
    pub fields: Option<Item>,
    /// Asks.
    pub caller: Caller,
}

/// How far a run has come, for its own cleanup, among what its steps share: when the restore was asked for that may have made
/// something.
#[derive(Default)]
pub struct Progress(Mutex<Option<Monotonic>>);

impl Progress {
    /// When it was asked; nothing where nothing was made with this session.
    pub fn asked(&self) -> Option<Monotonic> {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// It was asked then, or nothing came of it.
    pub fn enter(&self, asked: Option<Monotonic>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = asked;
    }
}

/// Restores a table and looks whether it is what it was.
pub struct Rehearsal {
    /// What.
    pub drill: Arc<Drill>,
}

impl Prober for Rehearsal {
    fn probe<'a>(&'a self, cx: &'a StepContext<'a>) -> BoxFuture<'a, Result<Observation, Failure>> {
        Box::pin(async move {
            let watch = Stopwatch::start(cx.clock, cx.deadline);
            let seen = self.drill.rehearse(cx).await;
            // What is between the calls is most of it, so the parts of a call say nothing.
            let phases = watch.phases();
            let facts = seen.map_err(|failure| failure.after(phases))?;
            Ok(Observation { facts, phases, ..Observation::default() })
        })
    }

    fn host(&self) -> Option<String> {
        self.drill.caller.host(&describe(&self.drill.table))
    }

    fn cleanup(&self) -> Option<Arc<dyn Prober>> {
        Some(Arc::new(Deletion::of(Arc::clone(&self.drill))))
    }

    fn calls(&self) -> Vec<AwsCall> {
        self.drill.calls()
    }
}

impl Drill {
    async fn rehearse(&self, cx: &StepContext<'_>) -> Result<FactMap, Failure> {
        let progress = cx.session.get::<Progress>();
        let made = DrillTable::of(cx.run)?;
        let expected = match &self.fields {
            Some(_) => None,
            None => Some(self.item(cx, &self.table).await?.ok_or_else(|| {
                let message = format!("the item to be compared is not in the table {} itself", self.table);
                Failure::new(FailureKind::RestoreFailed, message)
            })?),
        };
        let restore = self.restore(cx, &made).await?;
        let began = cx.clock.monotonic();
        progress.enter(Some(began));
        if let Err(failure) = self.begin(cx, &restore).await {
            if is_refused(failure.kind) {
                progress.enter(None);
            }
            return Err(failure);
        }
        self.wait(cx, &made).await?;
        let Some(restored) = self.item(cx, &made.name).await? else {
            let message = format!("the table {} was restored without the item", self.table);
            return Err(Failure::new(FailureKind::RestoreDiffers, message));
        };
        let difference = match (&self.fields, &expected) {
            (Some(fields), _) => Difference::in_fields(fields, &restored),
            (None, Some(expected)) => Difference::in_all(expected, &restored),
            (None, None) => None,
        };
        if let Some(difference) = difference {
            let message = format!("the item of the restored table {} is not what it was: {difference}", self.table);
            return Err(Failure::new(FailureKind::RestoreDiffers, message));
        }
        let took = cx.clock.monotonic().since(began);
        let mut facts = FactMap::default();
        facts.insert("rto_s", (took.as_secs_f64() * 10.0).round() / 10.0);
        facts.insert("table", made.name);
        Ok(facts)
    }

    /// The call that restores.
    async fn restore(&self, cx: &StepContext<'_>, made: &DrillTable) -> Result<Call, Failure> {
        if self.from == From::PointInTime {
            return Ok(self.to_latest(&made.name));
        }
        let window = Window { over: BACKUPS_OVER, now: cx.clock.now() };
        let mut backups = Vec::new();
        let cx = brief(cx, cx.recorder);
        let mut talk = self.caller.talk(&cx);
        backups_of(&self.table, Some(window)).read(&mut talk, |page| backups.extend(read(page))).await?;
        let what = format!("the table {}{}", self.table, place(&self.caller));
        let history = History::of(backups, &what, window.over, window.now)?;
        let newest = history.newest().map(|backup| backup.name.clone()).unwrap_or_default();
        Ok(from_backup(&newest, &made.name))
    }

    fn to_latest(&self, target: &str) -> Call {
        let input =
            json!({ "SourceTableName": self.table, "TargetTableName": target, "UseLatestRestorableTime": true });
        Call::action(&DYNAMODB, "RestoreTableToPointInTime", input)
    }

    /// Asks for the restore.
    async fn begin(&self, cx: &StepContext<'_>, restore: &Call) -> Result<(), Failure> {
        let reply = self.caller.talk(&brief(cx, cx.recorder)).ask(restore).await?;
        let (Some(refusal), Some(refused)) = (reply.refusal, reply.observation.refused) else { return Ok(()) };
        let (place, failure) = (place(&self.caller), refused.failure);
        match refusal.code.as_deref() {
            // A call that was repeated may have done its work before its answer was lost; whose the table is, its description
            // says.
            Some("TableAlreadyExistsException") => Ok(()),
            Some("PointInTimeRecoveryUnavailableException") => {
                let message = format!("point-in-time recovery of the table {}{place} is off", self.table);
                Err(Failure { kind: FailureKind::BackupOff, message, ..failure })
            }
            _ => Err(or_missing(format!("there is no table {}{place} to be restored", self.table))(failure)),
        }
    }

    /// Waits until the table can be read.
    async fn wait(&self, cx: &StepContext<'_>, made: &DrillTable) -> Result<(), Failure> {
        let began = cx.clock.monotonic();
        let mut told = began;
        loop {
            let mut ours = None;
            let last = match self.described(cx, made).await {
                Ok(table) => {
                    made.is_described(&table, &self.table)?;
                    match table["TableStatus"].as_str().unwrap_or_default() {
                        "ACTIVE" => return Ok(()),
                        status @ ("CREATING" | "UPDATING") => format!("it is {status}"),
                        other => {
                            let message = format!("the table {} was restored and is {other}", self.table);
                            return Err(Failure::new(FailureKind::RestoreFailed, message));
                        }
                    }
                }
                // A table that was asked for a moment ago may not be known everywhere, and one look that fails is not all.
                Err(failure) if matches!(failure.kind, FailureKind::AwsDenied | FailureKind::AwsInvalid) => {
                    return Err(failure);
                }
                Err(failure) => {
                    let message = failure.message.clone();
                    ours = failure.kind.is_ours().then_some(failure);
                    message
                }
            };
            let now = cx.clock.monotonic();
            if now.since(told) >= TELL_EVERY {
                told = now;
                tracing::info!(run = %cx.run, "the table {} is being restored for {}", self.table, words(now.since(began)));
            }
            let (least, most) = REST;
            let next = now + (now.since(began) / 10).clamp(least, most);
            if next >= cx.deadline {
                // Whoever could not look has not seen that it is not restored.
                if let Some(failure) = ours {
                    return Err(failure);
                }
                let took = words(now.since(began));
                let message = format!("the table {} was not restored within {took}: {last}", self.table);
                return Err(Failure::new(FailureKind::TimeoutTotal, message));
            }
            cx.clock.sleep_until(next).await;
        }
    }

    /// The description of the drill's table.
    pub async fn described(&self, cx: &StepContext<'_>, made: &DrillTable) -> Result<Value, Failure> {
        // Hundreds of looks would leave no room in the record for what matters.
        let unread = Recorder::default();
        let mut reply = self.caller.call(&brief(cx, &unread), &describe(&made.name)).await?;
        Ok(reply.json["Table"].take())
    }

    /// The item in a table. What is in it may be anybody's, so the record has the names of its attributes alone.
    async fn item(&self, cx: &StepContext<'_>, table: &str) -> Result<Option<Item>, Failure> {
        let unread = Recorder::default();
        let reply = self.caller.call(&brief(cx, &unread), &self.get_item(table)).await;
        let mut reply = reply.map_err(or_missing(format!("there is no table {table}{}", place(&self.caller))))?;
        let item = match reply.json["Item"].take() {
            Value::Object(item) => Some(item),
            _ => None,
        };
        let names = |item: &Item| item.keys().cloned().collect::<Vec<_>>().join(", ");
        let sent = format!("dynamodb:GetItem of {table} by {}", names(&self.key));
        let received =
            item.as_ref().map_or_else(|| "no item".to_owned(), |item| format!("an item with {}", names(item)));
        cx.recorder.add(move || Exchange { sent, received, ..Exchange::default() });
        Ok(item)
    }

    fn get_item(&self, table: &str) -> Call {
        Call::action(&DYNAMODB, "GetItem", json!({ "TableName": table, "Key": self.key, "ConsistentRead": true }))
    }

    /// What a drill asks, and what its restore does in our name.
    fn calls(&self) -> Vec<AwsCall> {
        let region = self.caller.region();
        let any = format!("{PREFIX}*");
        let of = |below: &str| format!("table/{below}");
        let asked = |action: &str, below: &str| asked_of_dynamodb(&self.caller, action, below);
        let mut own = vec![self.get_item(&any), delete(&any)];
        own.extend(self.fields.is_none().then(|| self.get_item(&self.table)));
        let mut calls: Vec<_> = own.iter().flat_map(|call| permissions(call, region)).collect();
        calls.extend(permissions(&describe(&any), region).into_iter().map(|call| call.times(LOOKS_USUAL)));
        match self.from {
            From::PointInTime => calls.push(asked("RestoreTableToPointInTime", &of(&self.table))),
            From::LatestBackup => {
                calls.push(asked_for_backups(&self.caller));
                calls.push(asked("RestoreTableFromBackup", &of(&format!("{}/backup/*", self.table))));
            }
        }
        // DynamoDB writes what it restores with our permissions (Developer Guide, "Using IAM with DynamoDB backup and
        // restore"); nobody pays for these as calls.
        let within = ["BatchWriteItem", "DeleteItem", "PutItem", "Query", "Scan", "UpdateItem"];
        calls.extend(within.map(|action| asked(action, &of(&any)).times(0)));
        calls
    }
}

fn from_backup(backup: &str, target: &str) -> Call {
    Call::action(&DYNAMODB, "RestoreTableFromBackup", json!({ "BackupArn": backup, "TargetTableName": target }))
}

fn describe(table: &str) -> Call {
    Call::action(&DYNAMODB, "DescribeTable", json!({ "TableName": table }))
}

/// Whether a failure says that nothing was begun: it was answered, or nothing was sent. After any other nobody knows.
fn is_refused(kind: FailureKind) -> bool {
    use FailureKind as Kind;
    matches!(
        kind,
        Kind::AwsCredentials
            | Kind::AwsDenied
            | Kind::AwsInvalid
            | Kind::AwsNotFound
            | Kind::AwsRefused
            | Kind::AwsRegion
            | Kind::AwsThrottled
            | Kind::BackupMissing
            | Kind::BackupOff
            | Kind::ConnectRefused
            | Kind::LocalSecret
    )
}

/// The same step for a few calls of it, put down in that record.
fn brief<'a>(cx: &StepContext<'a>, recorder: &'a Recorder) -> StepContext<'a> {
    let StepContext { clock, deadline, run, captures, secrets, session, .. } = *cx;
    StepContext {
        clock,
        deadline: deadline.min(clock.monotonic() + LOOK_MAX),
        run,
        captures,
        secrets,
        session,
        recorder,
    }
}
