//! The book, README.md and docs/, against the program that it tells of: its links lead somewhere, its tables are those of the
//! schema and of the code, its files are valid, its commands run.
//!
//! What stands between `<!-- … -->` and `<!-- end -->` is written by the code: after a change `BLESS=1 cargo test --test book`
//! writes it anew; then read the difference.

#![cfg(test)]

mod access;
mod blocks;
mod bounds;
mod commands;
mod deployment;
mod fields;
mod files;
mod first_hour;
mod links;
mod metrics;
mod pages;
mod parts;
mod pictures;
mod programs;
mod prometheus;
#[path = "../real/servers/roundsman.rs"]
#[expect(dead_code, reason = "the tests against real servers use all of it")]
mod roundsman_process;
