//! Secrets of AWS Secrets Manager: read when they are first used and kept for some minutes, since every reading costs time and
//! money; read again at once for whoever was refused with what was kept. While they cannot be read again what is known serves,
//! and the log says so. A reading is a task of its own, since whoever asked for it may have no time to see its end.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures::future::BoxFuture;
use secrecy::{ExposeSecret as _, SecretString};
use serde_json::{Value, json};
use tokio::sync::OwnedMutexGuard;
use tokio::task::JoinHandle;
use tokio_util::task::TaskTracker;

use crate::domain::aws_call::AwsCall;
use crate::domain::time::{Monotonic, words};
use crate::net::aws::Aws;
use crate::net::aws::call::Call;
use crate::net::aws::permission::permissions;
use crate::net::aws::plain::Unanswered;
use crate::net::aws::services::SECRETSMANAGER;
use crate::ports::Clock;

/// How long a secret is kept before it is read again. At a cent for 2,000 readings that is four cents a month.
pub const FRESH: Duration = Duration::from_mins(5);

/// How long a secret is not read again for those who were refused with it, and a reading that failed not repeated: a password
/// that is wrong must not make a reading of each run.
const REST: Duration = Duration::from_secs(10);

/// How long a reading keeps somebody waiting for whom there is something that serves.
const PATIENCE: Duration = Duration::from_millis(500);

/// Where a secret is in Secrets Manager.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    /// Its name or its ARN.
    pub id: String,
    /// The region, if not that of the machine.
    pub region: Option<String>,
}

/// Why there is no secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reason {
    /// In words, without the secret.
    pub text: String,
    /// It may be over by itself: nobody answers, or it is asked too often.
    pub passes: bool,
}

impl Reason {
    /// One that stays until somebody does something.
    pub fn lasting(text: impl Into<String>) -> Self {
        Self { text: text.into(), passes: false }
    }
}

/// Reads secrets, and keeps them.
pub struct Vault {
    fetch: Arc<Fetch>,
    clock: Arc<dyn Clock>,
    /// Those that are declared, so they are few.
    kept: Mutex<BTreeMap<Place, Arc<Kept>>>,
    /// Those that go on: one of a secret at the most, and each ends by itself.
    readings: TaskTracker,
}

/// Asks for a secret, once.
type Fetch = dyn Fn(Place) -> BoxFuture<'static, Result<String, Reason>> + Send + Sync;

/// What is known of a secret.
#[derive(Default)]
struct Kept {
    known: Mutex<Option<Known>>,
    /// Held by whoever reads it, so that it is read once for all who need it.
    reading: Arc<tokio::sync::Mutex<Reading>>,
}

/// A secret as it was.
#[derive(Clone)]
struct Known {
    text: SecretString,
    read_at: Monotonic,
}

/// What came of readings.
#[derive(Default)]
struct Reading {
    /// The last one, where it failed.
    failed: Option<Failed>,
    /// When it was last read again for whoever was refused with it.
    renewed: Option<Monotonic>,
}

/// A reading that failed.
struct Failed {
    at: Monotonic,
    reason: Reason,
}

impl Vault {
    /// Nothing is read yet.
    pub fn new(http: reqwest::Client, clock: Arc<dyn Clock>) -> Self {
        let wall = Arc::clone(&clock);
        let fetch = move |place: Place| -> BoxFuture<'static, _> {
            let (http, clock) = (http.clone(), Arc::clone(&wall));
            Box::pin(async move { fetch(&place, &http, &*clock).await })
        };
        Self::over(Arc::new(fetch), clock)
    }

    fn over(fetch: Arc<Fetch>, clock: Arc<dyn Clock>) -> Self {
        Self { fetch, clock, kept: Mutex::default(), readings: TaskTracker::new() }
    }

    /// The secret, read some minutes ago at most where it can be read at all. Whoever has something that serves waits half a
    /// second for it.
    pub async fn read(&self, place: &Place) -> Result<SecretString, Reason> {
        let kept = self.kept(place);
        let Some(known) = kept.known() else {
            let reading = Arc::clone(&kept.reading).lock_owned().await;
            return match kept.known() {
                Some(known) => Ok(known.text),
                None => {
                    self.begin(place, kept, reading).await.unwrap_or_else(|bug| Err(Reason::lasting(bug.to_string())))
                }
            };
        };
        if self.clock.monotonic().since(known.read_at) < FRESH {
            return Ok(known.text);
        }
        // While somebody reads it already what is known serves.
        let Ok(reading) = Arc::clone(&kept.reading).try_lock_owned() else { return Ok(known.text) };
        let until = self.clock.monotonic() + PATIENCE;
        tokio::select! {
            biased;
            read = self.begin(place, kept, reading) => Ok(read.ok().and_then(Result::ok).unwrap_or(known.text)),
            () = self.clock.sleep_until(until) => Ok(known.text),
        }
    }

    /// Reads it again, unless that was done for somebody else just now.
    pub async fn renew(&self, place: &Place) {
        let (kept, asked) = (self.kept(place), self.clock.monotonic());
        let mut reading = Arc::clone(&kept.reading).lock_owned().await;
        let was_read_since = kept.known().is_some_and(|known| known.read_at >= asked);
        let is_early = reading.renewed.is_some_and(|at| asked.since(at) < REST);
        if !was_read_since && !is_early {
            reading.renewed = Some(asked);
            // Whoever renews it reads it anyway.
            let _ = self.begin(place, kept, reading).await;
        }
    }

    fn kept(&self, place: &Place) -> Arc<Kept> {
        Arc::clone(self.kept.lock().unwrap_or_else(PoisonError::into_inner).entry(place.clone()).or_default())
    }

    /// Reads it, whether somebody waits for it or not: a reading that ended with a step whose time was over would be begun by
    /// each, and none would ever be known to have failed.
    fn begin(
        &self,
        place: &Place,
        kept: Arc<Kept>,
        mut reading: OwnedMutexGuard<Reading>,
    ) -> JoinHandle<Result<SecretString, Reason>> {
        let (place, fetch, clock) = (place.clone(), Arc::clone(&self.fetch), Arc::clone(&self.clock));
        self.readings.spawn(async move { read_again(&place, &kept, &mut reading, &*fetch, &*clock).await })
    }
}

async fn read_again(
    place: &Place,
    kept: &Kept,
    reading: &mut Reading,
    fetch: &Fetch,
    clock: &dyn Clock,
) -> Result<SecretString, Reason> {
    let known = kept.known();
    let now = clock.monotonic();
    if let Some(failed) = reading.failed.as_ref().filter(|failed| now.since(failed.at) < REST) {
        return known.map(|known| known.text).ok_or_else(|| failed.reason.clone());
    }
    match fetch(place.clone()).await {
        Ok(text) => {
            if reading.failed.take().is_some() {
                tracing::info!(secret = place.id, "the secret is read again");
            }
            let text = SecretString::from(text);
            kept.put(Known { text: text.clone(), read_at: clock.monotonic() });
            Ok(text)
        }
        Err(reason) => {
            let (is_first, at) = (reading.failed.is_none(), clock.monotonic());
            if let Some(known) = known.as_ref().filter(|_| is_first) {
                let age = words(at.since(known.read_at));
                let why = &reason.text;
                tracing::warn!(
                    secret = place.id,
                    "the secret cannot be read again, what it was {age} ago serves: {why}"
                );
            }
            reading.failed = Some(Failed { at, reason: reason.clone() });
            known.map(|known| known.text).ok_or(reason)
        }
    }
}

async fn fetch(place: &Place, http: &reqwest::Client, clock: &dyn Clock) -> Result<String, Reason> {
    let aws = Aws::shared(place.region.as_deref());
    let answer = aws.ask(http, &place.call(), clock.now()).await;
    let answer = answer.map_err(|error| place.reason(&error))?;
    match (answer.get("SecretString"), answer.get("SecretBinary")) {
        (Some(Value::String(text)), _) => Ok(text.clone()),
        (None, Some(_)) => Err(Reason::lasting(format!("`{}` in Secrets Manager is binary, and no text", place.id))),
        _ => Err(Reason { text: "Secrets Manager answered without a value".to_owned(), passes: true }),
    }
}

impl Kept {
    fn known(&self) -> Option<Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn put(&self, known: Known) {
        *self.known.lock().unwrap_or_else(PoisonError::into_inner) = Some(known);
    }
}

impl Place {
    fn call(&self) -> Call {
        let call = Call::action(&SECRETSMANAGER, "GetSecretValue", json!({ "SecretId": self.id }));
        Call { region: self.region.clone(), ..call }
    }

    /// What one reading asks of AWS.
    pub fn calls(&self) -> Vec<AwsCall> {
        permissions(&self.call(), self.region.as_deref())
    }

    fn reason(&self, error: &Unanswered) -> Reason {
        let id = &self.id;
        let Unanswered::Refused { refusal, region } = error else {
            let passes = !matches!(error, Unanswered::Call(_));
            return Reason { text: format!("Secrets Manager cannot be asked for `{id}`: {error}"), passes };
        };
        let sentence = match refusal.code.as_deref().unwrap_or_default() {
            "ResourceNotFoundException" => {
                format!("Secrets Manager has no secret `{id}` in {region}, or none with a value")
            }
            "AccessDeniedException" => {
                format!("we may not read `{id}` in {region}: no policy allows secretsmanager:GetSecretValue")
            }
            "DecryptionFailure" => format!("Secrets Manager cannot decrypt `{id}` in {region} with its key"),
            _ => {
                let failure = refusal.failure(&self.call(), region, 1);
                format!("Secrets Manager does not give `{id}`: {}", failure.message)
            }
        };
        let passes = refusal.is_throttling() || refusal.is_of_credentials() || refusal.status >= 500;
        Reason { text: sentence, passes }
    }
}

/// What stands under a key of a secret whose text is JSON; the whole text where no key is named.
pub fn pick(id: &str, text: &SecretString, key: Option<&str>) -> Result<String, Reason> {
    let text = text.expose_secret();
    let value = match key {
        None => text.to_owned(),
        Some(key) => match serde_json::from_str(text) {
            Ok(Value::Object(fields)) => match fields.get(key) {
                Some(Value::String(value)) => value.clone(),
                Some(value @ (Value::Number(_) | Value::Bool(_))) => value.to_string(),
                Some(_) => return Err(Reason::lasting(format!("`{key}` of `{id}` in Secrets Manager is no text"))),
                None => return Err(Reason::lasting(format!("`{id}` in Secrets Manager has no key `{key}`"))),
            },
            // What the parser says of it repeats a part of the secret.
            _ => {
                let text = format!("`{id}` in Secrets Manager is no JSON with keys, so `{key}` is not in it");
                return Err(Reason::lasting(text));
            }
        },
    };
    if value.is_empty() {
        return Err(Reason::lasting(format!("`{id}` in Secrets Manager is empty")));
    }
    Ok(value)
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};

    use super::*;
    use crate::engine::testing::TestClock;
    use crate::net::aws::answer::Refusal;

    /// A vault whose service answers each reading after so long, the first as it should unless it never does.
    fn vault(clock: &Arc<TestClock>, first: bool, takes: Duration) -> (Vault, Arc<AtomicUsize>) {
        let asked = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&asked);
        let fetch = move |_| -> BoxFuture<'static, _> {
            let is_well = count.fetch_add(1, SeqCst) == 0 && first;
            Box::pin(async move {
                if is_well {
                    return Ok("hunter2".to_owned());
                }
                tokio::time::sleep(takes).await;
                Err(Reason { text: "nobody answers".to_owned(), passes: true })
            })
        };
        (Vault::over(Arc::new(fetch), Arc::clone(clock) as _), asked)
    }

    #[tokio::test(start_paused = true)]
    async fn a_reading_for_which_nobody_waits_any_more_fails_all_the_same() {
        let clock = TestClock::starting("2026-11-24T10:00:00Z");
        let (vault, asked) = vault(&clock, false, Duration::from_secs(4));
        let patience = Duration::from_secs(2);
        assert!(tokio::time::timeout(patience, vault.read(&place())).await.is_err(), "the time of a step");
        let why = vault.read(&place()).await.unwrap_err();
        assert_eq!((why.text.as_str(), clock.monotonic().0.as_secs()), ("nobody answers", 4));
        tokio::time::sleep(Duration::from_secs(9)).await;
        assert!(vault.read(&place()).await.is_err());
        assert_eq!((asked.load(SeqCst), clock.monotonic().0.as_secs()), (1, 13), "one that failed rests");
        tokio::time::sleep(Duration::from_secs(1)).await;
        assert!(vault.read(&place()).await.is_err());
        assert_eq!(asked.load(SeqCst), 2);
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_known_serves_before_the_reading_has_failed() {
        let clock = TestClock::starting("2026-11-24T10:00:00Z");
        let (vault, asked) = vault(&clock, true, Duration::from_secs(4));
        assert_eq!(vault.read(&place()).await.unwrap().expose_secret(), "hunter2");
        tokio::time::sleep(FRESH).await;
        for (before, waited, readings) in
            [(0, PATIENCE, 2), (1, Duration::ZERO, 2), (12, Duration::ZERO, 2), (2, PATIENCE, 3)]
        {
            tokio::time::sleep(Duration::from_secs(before)).await;
            let asked_at = clock.monotonic();
            assert_eq!(vault.read(&place()).await.unwrap().expose_secret(), "hunter2");
            assert_eq!((clock.monotonic().since(asked_at), asked.load(SeqCst)), (waited, readings), "after {before} s");
        }
    }

    fn place() -> Place {
        Place { id: "prod/shop/shopper".to_owned(), region: Some("us-east-1".to_owned()) }
    }

    #[test]
    fn a_key_is_picked_and_what_is_none_says_so_without_the_secret() {
        let text = SecretString::from(r#"{"user":"probe","password":"hunter2","port":5432,"a":{},"none":""}"#);
        assert_eq!(pick("s", &text, Some("password")), Ok("hunter2".to_owned()));
        assert_eq!(pick("s", &text, Some("port")), Ok("5432".to_owned()));
        assert_eq!(pick("s", &"plain".to_owned().into(), None), Ok("plain".to_owned()));
        for (text, key, why) in [
            (text.expose_secret(), "pasword", "`s` in Secrets Manager has no key `pasword`"),
            (text.expose_secret(), "a", "`a` of `s` in Secrets Manager is no text"),
            (text.expose_secret(), "none", "`s` in Secrets Manager is empty"),
            ("hunter2", "password", "`s` in Secrets Manager is no JSON with keys, so `password` is not in it"),
            ("[1]", "password", "`s` in Secrets Manager is no JSON with keys, so `password` is not in it"),
        ] {
            assert_eq!(pick("s", &text.to_owned().into(), Some(key)), Err(Reason::lasting(why)));
        }
    }

    #[test]
    fn each_refusal_has_its_sentence() {
        let refused = |status, code: &str, message: &str| {
            let (code, message) = (Some(code.to_owned()), message.to_owned());
            let refusal = Refusal { status, code, message, bucket_region: None };
            place().reason(&Unanswered::Refused { refusal, region: "us-east-1".to_owned() })
        };
        for (status, code, message, text, passes) in [
            (
                400,
                "ResourceNotFoundException",
                "no",
                "Secrets Manager has no secret `prod/shop/shopper` in us-east-1, or none with a value",
                false,
            ),
            (
                400,
                "AccessDeniedException",
                "no",
                "we may not read `prod/shop/shopper` in us-east-1: no policy allows secretsmanager:GetSecretValue",
                false,
            ),
            (
                400,
                "DecryptionFailure",
                "no",
                "Secrets Manager cannot decrypt `prod/shop/shopper` in us-east-1 with its key",
                false,
            ),
            (
                400,
                "InvalidRequestException",
                "it is marked for deletion",
                "Secrets Manager does not give `prod/shop/shopper`: `secretsmanager:GetSecretValue` does not take this input: InvalidRequestException: it is marked for deletion",
                false,
            ),
            (
                400,
                "ThrottlingException",
                "Rate exceeded",
                "Secrets Manager does not give `prod/shop/shopper`: `secretsmanager` is asked too often, 1 times in vain: ThrottlingException: Rate exceeded",
                true,
            ),
            (
                400,
                "ExpiredTokenException",
                "",
                "Secrets Manager does not give `prod/shop/shopper`: our credentials for AWS have expired: ExpiredTokenException",
                true,
            ),
        ] {
            assert_eq!(refused(status, code, message), Reason { text: text.to_owned(), passes }, "{code}");
        }
    }

    #[test]
    fn what_it_asks_is_named_for_its_policy() {
        let calls = place().calls();
        let told: Vec<_> =
            calls.iter().map(|call| (call.action.as_str(), call.resource.as_str(), call.calls)).collect();
        let arn = "arn:aws:secretsmanager:us-east-1:*:secret:prod/shop/shopper-??????";
        assert_eq!(told, [("secretsmanager:GetSecretValue", arn, 1)]);
    }
}
