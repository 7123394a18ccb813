//! Roundsman makes the rounds of a production system.

pub mod clock;
pub mod config;
pub mod domain;
pub mod engine;
pub mod net;
pub mod notifiers;
pub mod ports;
pub mod probers;
pub mod publishers;
pub mod settings;
pub mod store;
pub mod ticks;
pub mod web;
