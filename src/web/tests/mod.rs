//! Pages as text, access as a table, and real connections.

mod admission;
mod answers;
pub mod desk;
pub mod fixture;
mod forms;
mod hostile;
mod lists;
mod pages;
mod papers;
mod past;
mod probes;
mod programs;
mod public;
