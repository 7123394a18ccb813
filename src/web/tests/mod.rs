//! Pages as text, access as a table, and real connections.

mod answers;
pub mod fixture;
mod hostile;
mod pages;
mod papers;
mod past;
mod probes;
mod programs;
