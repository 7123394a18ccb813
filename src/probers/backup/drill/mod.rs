//! The restore drill: whether a table can be restored, how long that takes, and whether what comes back is what was there.
//!
//! What is restored bears a name that is made of the run's id ([`table`]), and the step brings its own cleanup, so that the
//! journal has the run before anything is asked of AWS and the next start finds what a crash left behind. [`deletion`] is
//! that cleanup; it deletes what is described as restored by this run and nothing else. [`item`] compares.

mod deletion;
mod item;
mod rehearsal;
mod settings;
mod table;
#[cfg(test)]
mod tests;

pub use settings::{RestoreSettings, read_drill};
