//! The order in which a channel is told of an incident, as a condition.

/// That nothing of the same incident and channel is to be told before the row `o`.
macro_rules! first {
    () => {
        "NOT EXISTS (SELECT 1 FROM outbox b
             WHERE b.incident = o.incident AND b.channel = o.channel AND b.state = 'pending'
               AND (b.transition, b.created_at, b.id) < (o.transition, o.created_at, o.id))"
    };
}

pub(super) use first;
