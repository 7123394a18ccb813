//! Secrets of every sort and use in a daemon that logs at its loudest, while everything that it speaks to says again, in
//! every form, what it was told: targets in their answers, receivers in their refusals. None of them is in what any command
//! prints, on a page, in a metric, in a message, on a command line or in a file.
//!
//! `canaries` are the secrets, `search` finds them in whatever form, `parrot` is all that says them again, `house` the
//! configuration that knows them, and `everywhere` the search itself.

mod canaries;
mod everywhere;
mod house;
mod parrot;
mod search;
mod tongues;
