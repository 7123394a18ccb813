//! What is written for an account that the demo has not: it is held to its form, and goes nowhere.

use crate::ports::{Kinds, PublisherKind};
use crate::publishers::{cloudwatch, prometheus};

/// The publishers, of which one has nobody to send to.
static PUBLISHERS: &[PublisherKind] = &[
    PublisherKind {
        build: |node, building, problems| {
            (cloudwatch::PUBLISHER.build)(node, building, problems);
            None
        },
        ..cloudwatch::PUBLISHER
    },
    prometheus::PUBLISHER,
];

/// The tables of the demo.
pub fn kinds(kinds: Kinds) -> Kinds {
    Kinds { publishers: PUBLISHERS, ..kinds }
}
