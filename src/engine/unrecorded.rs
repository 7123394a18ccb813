//! What the store has not taken, for whoever must go on without it: the messages, which leave from here in their order while
//! it rests, and the reason, which the page shows. The dispatcher puts both here and takes them back when the store has
//! them; the deliverer sends. What it sent is put down in the store once that has the message.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::domain::grouping::{Beginning, Waiting};
use crate::domain::incident::{Event, IncidentId};
use crate::domain::names::ChannelName;
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
    /// What the store has, and has not let go yet as far as is known here; and what fallbacks are to be told. They leave
    /// from here should it take nothing before it lets them go.
    waiting: BTreeMap<String, Delivery>,
    /// By the word to a fallback: the message that its channel did not take.
    handed: HashMap<String, String>,
}

/// How many of those are kept: more than a storm has before its first message; what is beyond waits for the store.
const WAITING_MAX: usize = 2_000;

/// A message that may leave from memory.
pub struct Candidate {
    /// Its id.
    pub id: String,
    /// Where to.
    pub channel: ChannelName,
    /// Of what.
    pub incident: IncidentId,
    /// The resolve that may be told with it.
    pub resolve: Option<String>,
    /// By what is decided when it leaves.
    pub waiting: Waiting,
    /// The word of how much it matters, which sorts the gravest first.
    pub severity: &'static str,
    /// It begins an incident, or the beginning is not in the store either.
    pub begins_here: bool,
    /// It is of a drill, which goes together with nothing.
    pub drill: bool,
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

    /// The store takes commits, and has all but these; among it is what was committed just now, which it is still to let go.
    pub fn release(&self, but: &[Delivery], committed: Vec<Delivery>) {
        let mut held = self.held();
        let Held { trouble, messages, waiting, .. } = &mut *held;
        *trouble = None;
        // What goes on may be told otherwise by the store, or not at all.
        let is_kept = |event| matches!(event, Event::Opened | Event::Escalated | Event::Resolved);
        for delivery in committed {
            let tried = messages.remove(&delivery.id);
            if is_kept(delivery.notification.event) && waiting.len() < WAITING_MAX {
                waiting.insert(delivery.id.clone(), tried.unwrap_or(delivery));
            }
        }
        if !messages.is_empty() {
            let but: HashSet<_> = but.iter().map(|message| &message.id).collect();
            messages.retain(|id, _| but.contains(id));
        }
    }

    /// The store has let go what need not wait any longer.
    pub fn gathered(&self, now: Timestamp) {
        let mut held = self.held();
        let Held { waiting, handed, .. } = &mut *held;
        waiting.retain(|_, message| message.next_attempt_at > now);
        handed.retain(|id, _| waiting.contains_key(id));
    }

    /// The store knows what became of it.
    pub fn forget(&self, id: &str) {
        let mut held = self.held();
        held.waiting.remove(id);
        held.handed.remove(id);
    }

    /// A fallback is to be told what a channel did not take, also where the store cannot put that down.
    pub fn hand_over(&self, fallback: Delivery, from: &str) {
        let mut held = self.held();
        held.handed.insert(fallback.id.clone(), from.to_owned());
        held.waiting.insert(fallback.id.clone(), fallback);
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
        let held = self.held();
        held.messages.contains_key(id) || held.handed.get(id).is_some_and(|from| held.messages.contains_key(from))
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.held().messages.is_empty()
    }

    /// Whether nothing may leave from here, should the store take nothing more.
    pub fn is_idle(&self) -> bool {
        let held = self.held();
        held.messages.is_empty() && held.waiting.is_empty()
    }

    /// A message.
    pub fn get(&self, id: &str) -> Option<Delivery> {
        let held = self.held();
        held.messages.get(id).or_else(|| held.waiting.get(id)).cloned()
    }

    /// What may leave from here, the gravest first: for each channel and incident the first that is not settled, with the
    /// resolve that may be told with it.
    pub fn candidates(&self, is_settled: impl Fn(&str) -> bool) -> Vec<Candidate> {
        let held = self.held();
        let mut all: Vec<_> = held.messages.values().chain(held.waiting.values()).collect();
        all.sort_by(|a, b| a.id.cmp(&b.id));
        let of = |message: &Delivery| (message.channel.clone(), message.notification.incident.id.clone());
        let begun: HashSet<_> = all
            .iter()
            .filter(|message| message.notification.event == Event::Opened)
            .map(|message| of(message))
            .collect();
        all.retain(|message| !is_settled(&message.id));
        let ends = all.iter().filter(|message| message.notification.event == Event::Resolved);
        let ends: HashMap<_, _> = ends.map(|message| (of(message), message.id.clone())).collect();
        let mut met = HashSet::new();
        all.retain(|message| met.insert(of(message)));
        let mut candidates: Vec<_> = all
            .into_iter()
            .map(|message| {
                let Notification { event, incident, .. } = &*message.notification;
                let (of, opens) = (of(message), *event == Event::Opened);
                let resolve = event.begins().then(|| ends.get(&of).cloned()).flatten();
                let begins = Beginning { of: (incident.probe.clone(), incident.aspect), told_at: None };
                Candidate {
                    id: message.id.clone(),
                    channel: message.channel.clone(),
                    incident: incident.id.clone(),
                    waiting: Waiting {
                        event: *event,
                        over: resolve.is_some(),
                        fallback: message.fallback.as_ref().map(ToString::to_string),
                        together: message.together.clone().filter(|_| opens),
                        follows: !opens,
                        begins: opens.then_some(begins),
                        since: message.created_at,
                        ripe_at: message.next_attempt_at,
                    },
                    severity: incident.severity.as_str(),
                    begins_here: opens || begun.contains(&of),
                    drill: incident.drill,
                    resolve,
                }
            })
            .collect();
        candidates.sort_by(|a, b| (a.severity, a.waiting.since, &a.id).cmp(&(b.severity, b.waiting.since, &b.id)));
        candidates
    }

    /// A message is to be tried again; nothing where it is not here any more.
    pub fn again(&self, id: &str, at: Timestamp, plain: bool) -> bool {
        let mut held = self.held();
        let Held { messages, waiting, .. } = &mut *held;
        let Some(message) = messages.get_mut(id).or_else(|| waiting.get_mut(id)) else { return false };
        message.attempts = message.attempts.saturating_add(1);
        message.next_attempt_at = at;
        if message.notification.plain != plain {
            Arc::make_mut(&mut message.notification).plain = plain;
        }
        true
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
