//! Roundsman makes the rounds of a production system.

pub mod domain;
