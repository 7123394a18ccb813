//! Pages as text, access as a table, and real connections.

mod answers;
mod fixture;
mod hostile;
mod pages;
