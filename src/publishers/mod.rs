//! Floor 3: one file or folder, one publisher. A new one is a folder here and a row in [`PUBLISHERS`].

pub mod cloudwatch;

use crate::ports::PublisherKind;

/// Every kind of publisher.
pub static PUBLISHERS: &[PublisherKind] = &[cloudwatch::PUBLISHER];
