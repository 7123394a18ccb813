//! Amazon CloudWatch: values of a minute go together, and all of them arrive, so that percentiles stay true.
//!
//! Samples are aggregated into [`packet`]s, one for each metric, minute, and probe or what else they stand under ([`whom`]),
//! while they are [`growing`]. When their minute is over they wait in the [`backlog`], which makes requests of them within the
//! service's limits and takes apart what the service refuses. What cannot be sent goes to the [`spool`] on [`disk`], as
//! [`record`] has it, and comes back as a [`load`]. [`publisher`] sends to the [`service`], and has [`patience`]; what is silent for long is said
//! again by [`last`]; [`settings`] has what people write. [`foretold`] says what samples become without sending any.

pub mod backlog;
pub mod disk;
pub mod foretold;
pub mod growing;
pub mod last;
pub mod load;
pub mod packet;
pub mod patience;
pub mod publisher;
pub mod record;
pub mod service;
pub mod settings;
pub mod spool;
pub mod whom;

pub use publisher::{CloudWatch, Manner};
pub use settings::{CloudWatchSettings, Namespace, PUBLISHER};
