//! Kind `command`: any program, and what it says of itself.
//!
//! The cast: `settings` are what was written; they become a `draft`, which is filled with captures and secrets for each
//! run. `process` starts the program in a process group of its own, keeps the beginning of what it writes, and kills the
//! whole group when the program has ended or its time is over. `report` reads files that the program wrote, and only
//! those that are of this run; `junit` reads test cases from one. `prober` puts it all together.

mod draft;
mod junit;
mod prober;
mod process;
mod report;
mod settings;

pub use settings::KIND;
