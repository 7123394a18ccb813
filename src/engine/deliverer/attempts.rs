//! One try at one message, which ends in time whatever the notifier does.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;

use futures::FutureExt as _;
use futures::future::BoxFuture;

use super::work::Work;
use super::{ATTEMPT_MAX, Deliverer};
use crate::domain::grouping::Keeping;
use crate::engine::runner::said;
use crate::ports::{Delivery, Notification, Notifier, NotifyError, Receipt};

/// What came of one try.
pub(super) struct Attempt {
    pub(super) delivery: Delivery,
    /// The resolve that was told too, or that is to be told next.
    pub(super) resolve: Option<Delivery>,
    /// The resolve is to be told next.
    pub(super) in_turn: bool,
    pub(super) result: Result<Receipt, NotifyError>,
}

impl Deliverer {
    pub(super) fn attempt(
        &self,
        work: &mut Work,
        notifier: Option<Arc<dyn Notifier>>,
        delivery: Delivery,
        resolve: Option<Delivery>,
        first: Option<Receipt>,
    ) {
        work.begin(&delivery);
        let clock = Arc::clone(&self.clock);
        work.attempts.spawn(async move {
            let Notification { plain, unrecorded, .. } = *delivery.notification;
            // An incident that opened and closed while its channel was down is told by one message, unless a repetition of
            // that would open it again.
            let in_turn = notifier.as_deref().is_some_and(keeps_alerts);
            let told = resolve.as_ref().map_or_else(
                || Arc::clone(&delivery.notification),
                |resolve| {
                    let Notification { event, transition, group, .. } =
                        if in_turn { &*delivery.notification } else { &*resolve.notification };
                    let (event, transition, group) = (*event, *transition, group.clone());
                    let late = true;
                    let resolved = Notification::clone(&resolve.notification);
                    Arc::new(Notification { event, transition, late, plain, group, unrecorded, ..resolved })
                },
            );
            let again = |message: &str| NotifyError::Transient { message: message.to_owned(), retry_after: None };
            let result = match notifier {
                None => {
                    Err(NotifyError::Rejected(format!("the channel {} is not configured any more", delivery.channel)))
                }
                Some(notifier) => tokio::select! {
                    result = AssertUnwindSafe(sent(&*notifier, &told, first.as_ref())).catch_unwind() => result.unwrap_or_else(|panic| {
                        tracing::error!(channel = %delivery.channel, "a notifier panicked: {}", said(&*panic));
                        Err(again("a bug of Roundsman ended the attempt"))
                    }),
                    () = clock.sleep_until(clock.monotonic() + ATTEMPT_MAX) => Err(again("no answer in time")),
                },
            };
            Attempt { delivery, resolve, in_turn, result }
        });
    }
}

/// Whether the receiver keeps an alert of its own for what it is told, which word of its beginning opens anew once it has
/// ended. It is told the beginning and the end of what is over one after the other, each settled by itself; any other takes
/// one message for both.
pub(super) fn keeps_alerts(notifier: &dyn Notifier) -> bool {
    notifier.keeping() == Keeping::Alerts
}

fn sent<'a>(
    notifier: &'a dyn Notifier,
    told: &'a Notification,
    first: Option<&'a Receipt>,
) -> BoxFuture<'a, Result<Receipt, NotifyError>> {
    match first {
        Some(first) => notifier.follow(told, first),
        None => notifier.notify(told),
    }
}
