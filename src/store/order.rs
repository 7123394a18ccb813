//! How messages hang together, as text of queries: the order in which a channel is told of an incident, and what becomes of those that
//! another carries.

/// That nothing of the same incident and channel is to be told before the row `o`.
macro_rules! first {
    () => {
        "NOT EXISTS (SELECT 1 FROM outbox b
             WHERE b.incident = o.incident AND b.channel = o.channel AND b.state = 'pending'
               AND (b.transition, b.created_at, b.id) < (o.transition, o.created_at, o.id))"
    };
}

/// Rows `o` of the outbox, each as the message stands that tells it: what becomes of the row that carries it becomes of all.
macro_rules! as_carried {
    () => {
        "SELECT o.id, o.channel, o.fallback, o.incident, o.event, o.created_at, o.state, o.settled_at, o.receipt,
             coalesce(c.attempts, o.attempts) AS attempts, coalesce(c.error, o.error) AS error,
             coalesce(c.next_attempt_at, o.next_attempt_at) AS next_attempt_at
         FROM outbox o LEFT JOIN outbox c ON c.id = o.message AND c.state = 'pending' AND o.state = 'pending' "
    };
}

pub(super) use as_carried;
pub(super) use first;
