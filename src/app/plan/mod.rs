//! `plan`: what will run when, and what AWS will bill for it. [`command`] reads the configuration and chooses, [`document`]
//! has it for programs and [`table`] for people.

pub mod command;
pub mod document;
pub mod table;

#[cfg(test)]
mod simulated;
