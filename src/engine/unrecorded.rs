//! What the store has not taken, for whoever must go on without it: the messages, which leave from here in their order while
//! it rests, and the reason, which the page shows. The dispatcher puts both here and takes them back when the store has
//! them; the deliverer sends. What it sent is put down in the store once that has the message.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::domain::incident::Event;
use crate::domain::time::{Timestamp, words};
use crate::ports::{Clock, Delivery, Notification, StoreError};

/// How long the store may take for an answer; then it is treated as one that has failed, though it may still do what it
/// was asked.
pub const STORE_PATIENCE: Duration = Duration::from_secs(5);

/// Messages that are not recorded, and why not.
#[derive(Default)]
pub struct Unrecorded(Mutex<Held>);

#[derive(Default)]
struct Held {
    trouble: Option<Trouble>,
    lost: Option<String>,
    /// By id, which sorts by time.
    messages: BTreeMap<String, Delivery>,
}

/// Why the store takes nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trouble {
    /// Since when.
    pub since: Timestamp,
    /// What it says.
    pub why: String,
}

impl Unrecorded {
    /// The store does not take these, and whatever else is here.
    pub fn hold(&self, messages: &[Delivery]) {
        let mut held = self.held();
        for message in messages {
            held.messages.entry(message.id.clone()).or_insert_with(|| message.clone());
        }
    }

    /// Why not. The first instant stays, the last reason counts.
    pub fn blame(&self, why: &StoreError, now: Timestamp) {
        let mut held = self.held();
        let since = held.trouble.take().map_or(now, |trouble| trouble.since);
        held.trouble = Some(Trouble { since, why: why.to_string() });
    }

    /// The store takes commits, and has all but these.
    pub fn release(&self, but: &[Delivery]) {
        let mut held = self.held();
        held.trouble = None;
        held.messages.retain(|id, _| but.iter().any(|message| message.id == *id));
    }

    /// Why the store takes nothing, while it does not.
    pub fn trouble(&self) -> Option<Trouble> {
        self.held().trouble.clone()
    }

    /// The store was damaged when this process started, which it never forgets.
    pub fn lose(&self, what: &str) {
        self.held().lost = Some(what.to_owned());
    }

    /// What became of a store that was damaged.
    pub fn lost(&self) -> Option<String> {
        self.held().lost.clone()
    }

    /// Whether the store does not have a message yet.
    pub fn holds(&self, id: &str) -> bool {
        self.held().messages.contains_key(id)
    }

    /// Whether the beginning of what a message is about, for the same channel, is not in the store either.
    pub fn holds_beginning_of(&self, message: &Delivery) -> bool {
        let (channel, incident) = (&message.channel, &message.notification.incident.id);
        self.held().messages.values().any(|other| {
            let Notification { event, incident: of, .. } = &other.notification;
            *event == Event::Opened && (&other.channel, &of.id) == (channel, incident)
        })
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.held().messages.is_empty()
    }

    /// What is to be sent from here now, oldest first: for each channel and incident the first that is not settled, with the
    /// resolve that may be told with it.
    pub fn due(&self, now: Timestamp, is_settled: impl Fn(&str) -> bool) -> Vec<(Delivery, Option<Delivery>)> {
        let held = self.held();
        let waiting: Vec<_> = held.messages.values().filter(|message| !is_settled(&message.id)).collect();
        let mut due: Vec<(Delivery, Option<Delivery>)> = Vec::new();
        let mut met = BTreeSet::new();
        for message in &waiting {
            let of = (&message.channel, &message.notification.incident.id);
            if !met.insert(of) || message.next_attempt_at > now {
                continue;
            }
            let resolve = waiting.iter().find(|other| {
                let (begun, over) = (message.notification.event.begins(), other.notification.event == Event::Resolved);
                begun && over && of == (&other.channel, &other.notification.incident.id)
            });
            due.push(((*message).clone(), resolve.map(|resolve| (*resolve).clone())));
        }
        due
    }

    /// A message is to be tried again.
    pub fn again(&self, id: &str, at: Timestamp, plain: bool) {
        if let Some(message) = self.held().messages.get_mut(id) {
            message.attempts = message.attempts.saturating_add(1);
            message.next_attempt_at = at;
            message.notification.plain = plain;
        }
    }

    fn held(&self) -> MutexGuard<'_, Held> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The store's answer, or that there is none in time.
pub async fn patiently<T>(
    clock: &Arc<dyn Clock>,
    asked: impl Future<Output = Result<T, StoreError>>,
) -> Result<T, StoreError> {
    tokio::select! {
        biased;
        answer = asked => answer,
        () = clock.sleep_until(clock.monotonic() + STORE_PATIENCE) => Err(no_answer()),
    }
}

/// The store has not answered in time.
pub fn no_answer() -> StoreError {
    StoreError::Failed(format!("no answer within {}", words(STORE_PATIENCE)))
}
