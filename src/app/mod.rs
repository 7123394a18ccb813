//! Floor 4: commands and wiring, the only place that knows every room.
//!
//! [`cli`] reads the command line and chooses; each command has a file of its own: [`daemon`] (`run`), [`demo`], [`once`],
//! [`drill`], [`plan`], [`validate`], [`schema`], [`token`], [`aws`], [`health`]; [`incidents`], [`ack`], [`note`], [`silence`], [`pause`], [`trigger`], [`reload`], [`deliveries`] and [`slo`] speak to a running
//! daemon, which [`daemon_client`] finds. [`wiring`] hands the tables of kinds to the configuration, [`answer`] has what
//! every command ends with, [`generate`] makes a past to try pages on, [`report`], [`detail`] and [`junit`] show runs, [`threads`] are what commands and probes run on, [`signals`] and [`edits`] what the daemon heeds.

pub mod ack;
pub mod answer;
pub mod aws;
pub mod cli;
pub mod completions;
pub mod daemon;
pub mod daemon_client;
pub mod deliveries;
pub mod demo;
pub mod detail;
pub mod drill;
pub mod edits;
pub mod generate;
pub mod health;
pub mod incidents;
pub mod init;
pub mod junit;
pub mod logs;
pub mod note;
pub mod notify;
pub mod once;
pub mod pause;
pub mod plan;
pub mod reload;
pub mod report;
pub mod routes;
pub mod schema;
pub mod signals;
pub mod silence;
pub mod slo;
pub mod status;
pub mod threads;
pub mod token;
pub mod trigger;
pub mod validate;
pub mod watch;
pub mod wiring;

#[cfg(test)]
mod testing;

pub use cli::main;
