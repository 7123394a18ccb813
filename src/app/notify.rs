//! `notify`: sends a test message to a channel, opened and then resolved, and says what its receiver answered. It goes by no
//! store, no route and no silence: whether a message would be sent at all is another question.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use serde_json::json;

use super::answer::{Answer, Output, Stop};
use super::cli::{Format, NotifyArguments};
use super::wiring;
use crate::config::load::Surroundings;
use crate::domain::incident::{Event, Incident, IncidentId, Severity};
use crate::domain::judge::Aspect;
use crate::domain::names::{ChannelName, ProbeName};
use crate::domain::outcome::{Failure, FailureKind, RunId};
use crate::domain::text::harmless;
use crate::domain::time::{Timestamp, milliseconds};
use crate::engine::deliverer::ATTEMPT_MAX;
use crate::engine::plan::Plan;
use crate::engine::runner::new_id;
use crate::ports::{Clock, Notification, Notifier, NotifyError, Receipt};
use crate::settings::suggest;

/// Sends it; what was not taken is exit 1, and a channel that there is not exit 2.
pub async fn notify(directory: PathBuf, surroundings: Surroundings, what: NotifyArguments) -> Result<Answer, Stop> {
    let plan = wiring::plan(&directory, &surroundings)?;
    let known = plan.channels.keys().map(ChannelName::as_str).collect::<Vec<_>>();
    let found = plan.channels.iter().find(|(name, _)| name.as_str() == what.channel);
    let Some((channel, notifier)) = found else {
        let help = suggest(&what.channel, known).map(|help| format!("; {help}")).unwrap_or_default();
        return Err(Stop::Usage(format!("there is no channel `{}`{help}", what.channel)));
    };
    let clock = &*surroundings.clock;
    let opened = test(&plan, channel, clock.now())?;
    let first = attempt(&**notifier, &opened, None, clock).await;
    let mut attempts = vec![(opened.event, first)];
    // What was not opened is not resolved: the receiver would hear of the end of something that it never heard of.
    if let Ok(receipt) = attempts[0].1.result.clone() {
        let now = clock.now();
        let incident = Incident { resolved_at: Some(now), firing: BTreeMap::new(), ..opened.incident.clone() };
        let resolved = Notification { event: Event::Resolved, transition: 2, at: now, incident, ..opened };
        attempts.push((resolved.event, attempt(&**notifier, &resolved, Some(&receipt), clock).await));
    }
    let mut output = Output::default();
    match what.format {
        Format::Text => {
            for (event, attempt) in &attempts {
                output.line(format!("{event:<8}  {attempt}", event = event.as_str()))?;
            }
        }
        Format::Json => {
            let attempts: Vec<_> = attempts.iter().map(|(event, attempt)| attempt.json(*event)).collect();
            output.line(json!({ "channel": channel, "attempts": attempts }))?;
        }
    }
    let is_well = attempts.len() == 2 && attempts.iter().all(|(_, attempt)| attempt.result.is_ok());
    Ok(if is_well { Answer::Well } else { Answer::Unwell })
}

/// A message that nobody takes for more than a test.
fn test(plan: &Plan, channel: &ChannelName, now: Timestamp) -> Result<Notification, Stop> {
    let probe = ProbeName::parse("test-message").map_err(|error| Stop::Fault(error.to_string()))?;
    let id = IncidentId(Arc::from(format!("TEST-{}", new_id(now))));
    let run = RunId(Arc::clone(&id.0));
    let message = format!("this is a test of the channel {channel}, sent by hand; nothing is wrong");
    let failures = Arc::from([Failure::new(FailureKind::Expect, message)]);
    let incident = Incident {
        first_failures: Arc::clone(&failures),
        latest_failures: failures,
        labels: BTreeMap::from([("test".to_owned(), "true".to_owned())]),
        told: vec![channel.clone()],
        transitions: 2,
        ..Incident::opened(id, probe, Aspect::Failing, Severity::P4, run, now)
    };
    let (site, url) = (plan.site.clone(), plan.web.url.clone());
    Ok(Notification {
        event: Event::Opened,
        incident,
        transition: 1,
        at: now,
        site,
        url,
        late: false,
        plain: false,
        group: None,
        unrecorded: false,
    })
}

/// What came of one message.
struct Attempted {
    result: Result<Receipt, NotifyError>,
    took: Duration,
}

async fn attempt(
    notifier: &dyn Notifier,
    notification: &Notification,
    first: Option<&Receipt>,
    clock: &dyn Clock,
) -> Attempted {
    let began = clock.monotonic();
    let sending = match first {
        Some(first) => notifier.follow(notification, first),
        None => notifier.notify(notification),
    };
    let result = tokio::select! {
        result = sending => result,
        () = clock.sleep_until(began + ATTEMPT_MAX) => {
            Err(NotifyError::Transient { message: "no answer in time".to_owned(), retry_after: None })
        }
    };
    Attempted { result, took: clock.monotonic().since(began) }
}

impl Attempted {
    /// What became of it, and what the daemon would do next.
    fn words(&self) -> (&'static str, Option<String>) {
        match &self.result {
            Ok(receipt) => ("taken", receipt.id.clone()),
            Err(error @ NotifyError::Transient { .. }) => {
                ("not taken; the daemon would try it again", Some(error.to_string()))
            }
            Err(error @ NotifyError::Rejected(_)) => {
                ("refused; the daemon would send it plain, then to the fallback", Some(error.to_string()))
            }
            Err(error @ NotifyError::Unauthorized(_)) => ("not allowed; this needs a person", Some(error.to_string())),
        }
    }

    fn json(&self, event: Event) -> serde_json::Value {
        let (outcome, said) = self.words();
        let outcome = outcome.split(';').next().unwrap_or_default();
        json!({ "event": event, "outcome": outcome, "answer": said, "took_ms": milliseconds(self.took) })
    }
}

impl std::fmt::Display for Attempted {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (outcome, said) = self.words();
        // What it did took that long, and not what the daemon would do.
        let (outcome, next) = outcome.split_once("; ").unwrap_or((outcome, ""));
        write!(f, "{outcome} after {:.0} ms", milliseconds(self.took))?;
        said.iter().try_for_each(|said| write!(f, ": {}", harmless(said)))?;
        if next.is_empty() { Ok(()) } else { write!(f, " ({next})") }
    }
}
