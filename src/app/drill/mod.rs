//! `drill`: does each channel work? [`channels`] has the daemon make a probe fail, and follows the message to its receiver.
//!
//! `drill --probes`: what would the probes not notice? Every probe is run twice; what it saw is made otherwise, one thing at
//! a time, and judged once more. [`probes`] is the command, [`weighing`] judges the mutants of a probe, [`suggestion`] says what would notice those that
//! pass, and [`report`] shows it all.

pub mod channels;
pub mod probes;
pub mod report;
pub mod suggestion;
pub mod weighing;
