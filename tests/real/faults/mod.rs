//! Targets that break the rules: each costs its own deadline and nothing else, and has a name. The table says what such a
//! peer does and what that is called; every row is run for its verdict, and again and again for what it leaves behind.
//!
//! What needs a server that keeps the rules otherwise stands with its kind: bad certificates in `tls`, wrong answers of
//! name servers in `dns`, credentials across origins in `http`. Addresses that are dead or drop everything are in
//! `net/dial.rs`.

mod leaks;
mod row;
mod table;
mod verdicts;
