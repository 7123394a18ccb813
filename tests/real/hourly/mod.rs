//! The hourly tier on an estate in AWS (moto): green when all is well, and each fault fails its own probe with its own sentence.
//!
//! [`estate`] is that estate with its tier; each topic brings its probes (`PROBES`) and its faults.

mod backups;
mod drill;
pub mod estate;
mod logs;
