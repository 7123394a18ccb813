//! `plan`: what will run when, and what AWS will bill for it. [`command`] reads the configuration and chooses, [`document`]
//! has it for programs, [`table`] for people, and [`reckoned`] for the page.

pub mod command;
pub mod document;
pub mod reckoned;
pub mod table;

#[cfg(test)]
mod simulated;
