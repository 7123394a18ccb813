//! Kind `logs`: are logs taken, kept and delivered? One question to a step.
//!
//! [`settings`] choose the question, and [`prober`] asks it: [`round_trip`] writes a token and looks for it, [`newest`] looks how
//! long ago something came to groups, [`trail`], [`flow_logs`] and [`access_logs`] ask whether what AWS itself writes down is written down. [`search`] is what
//! they share.

mod access_logs;
mod flow_logs;
mod newest;
mod prober;
mod round_trip;
mod search;
mod settings;
mod trail;

pub use settings::KIND;
