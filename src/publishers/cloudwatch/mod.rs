//! Amazon CloudWatch: values of a minute go together, and all of them arrive, so that percentiles stay true.
//!
//! Samples are aggregated into [`packet`]s, one for each metric, probe and minute ([`minutes`]). When their minute is over
//! they wait in the [`backlog`], which makes requests of them within the service's limits and takes apart what the service
//! refuses. [`load`] says what becomes of samples without sending any. [`publisher`] sends, and is patient; [`settings`] has what people write.

pub mod backlog;
pub mod load;
pub mod minutes;
pub mod packet;
pub mod publisher;
pub mod settings;

pub use publisher::CloudWatch;
pub use settings::{CloudWatchSettings, PUBLISHER};
