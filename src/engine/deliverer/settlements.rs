//! What becomes of a message after a try: told, tried again, or given up.

use std::sync::Arc;
use std::time::Duration;

use crate::domain::incident::Event;
use crate::domain::time::{Timestamp, between, clock, later};
use crate::engine::runner::new_id;
use crate::ports::{Delivery, Notification, NotifyError, REST_MAX, Receipt, Settlement};

/// The back-off grows from here, doubling, with full jitter …
pub(super) const BACK_OFF_MIN: Duration = Duration::from_secs(1);

/// … to here, so that together with an attempt that still hangs the outbox is empty within a minute after a receiver is well
/// again.
const BACK_OFF_MAX: Duration = Duration::from_secs(45);

/// How long a channel rests that says that we may not, or that it is gone: it needs a person.
pub(super) const UNAUTHORIZED_REST: Duration = Duration::from_secs(300);

/// When an incident has been over for this long its messages are given up on.
const GIVE_UP_AFTER: Duration = Duration::from_secs(86_400);

/// Whether a message is done with: another attempt is none, and what a fallback takes over is told there first.
pub(super) fn is_final(settlement: &Settlement) -> bool {
    !matches!(settlement, Settlement::Again { .. } | Settlement::Dead { fallback: Some(_), .. })
}

/// What becomes of a delivery after an attempt. `chance` is uniform in [0, 1).
pub(super) fn next(
    delivery: &Delivery,
    resolve: Option<&Delivery>,
    result: &Result<Receipt, NotifyError>,
    now: Timestamp,
    chance: f64,
) -> Settlement {
    let error = match result {
        Ok(receipt) => return Settlement::Delivered { at: now, receipt: receipt.clone() },
        Err(error) => error,
    };
    let over_since = match delivery.notification.event {
        Event::Resolved | Event::PostMortem => Some(delivery.created_at),
        Event::Opened | Event::Escalated => resolve.map(|resolve| resolve.created_at),
        // One that its incident has outlived is not sent any more.
        Event::Reminder | Event::Acknowledged => None,
    };
    let too_late = over_since.is_some_and(|since| between(since, now) >= GIVE_UP_AFTER);
    let plain = delivery.notification.plain;
    let again = |rest: Duration, plain| Settlement::Again { at: later(now, rest), error: error.to_string(), plain };
    match error {
        _ if too_late => dead(delivery, error, now),
        NotifyError::Rejected(_) if !plain => again(Duration::ZERO, true),
        NotifyError::Rejected(_) => dead(delivery, error, now),
        NotifyError::Unauthorized(_) => again(UNAUTHORIZED_REST, plain),
        NotifyError::Transient { retry_after, .. } => {
            let ceiling = BACK_OFF_MIN.saturating_mul(1 << delivery.attempts.min(16)).min(BACK_OFF_MAX);
            again(ceiling.mul_f64(chance).max(retry_after.unwrap_or_default()).min(REST_MAX), plain)
        }
    }
}

/// What is given up on goes to the fallback, and what waits behind a beginning goes with it.
fn dead(delivery: &Delivery, error: &NotifyError, now: Timestamp) -> Settlement {
    // Of what goes on a channel hears that has heard of the beginning, and is to hear of the end.
    let is_handed_over =
        !matches!(delivery.notification.event, Event::Reminder | Event::Acknowledged | Event::PostMortem);
    let fallback = delivery.fallback.clone().filter(|_| is_handed_over).map(|channel| Delivery {
        id: new_id(now),
        channel,
        fallback: None,
        notification: Arc::new(Notification {
            plain: false,
            group: None,
            unrecorded: false,
            ..Notification::clone(&delivery.notification)
        }),
        together: None,
        created_at: now,
        attempts: 0,
        next_attempt_at: now,
    });
    Settlement::Dead { at: now, error: error.to_string(), fallback }
}

pub(super) fn log(delivery: &Delivery, settlement: &Settlement) {
    let (channel, incident) = (&delivery.channel, &delivery.notification.incident.id);
    let event = delivery.notification.event.as_str();
    match settlement {
        Settlement::Delivered { .. } | Settlement::Merged { .. } => {
            tracing::info!(%channel, %incident, event, attempts = delivery.attempts + 1, "delivered");
        }
        Settlement::Again { error, at, .. } => {
            tracing::warn!(%channel, %incident, event, attempts = delivery.attempts + 1, again_at = clock(*at), "not delivered: {error}");
        }
        Settlement::Dead { error, fallback, .. } => {
            let fallback = fallback.as_ref().map(|delivery| delivery.channel.to_string());
            tracing::error!(%channel, %incident, event, fallback, "given up: {error}");
        }
    }
}
