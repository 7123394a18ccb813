//! Mutants: what a step saw when all was well, with one thing about it made otherwise. Whoever weighs one sees what a probe
//! would not notice.
//!
//! [`place`] says where in an observation something stands, [`edit`] makes it otherwise and leaves everything else as it
//! came, byte for byte, and [`breed`] says what is worth making otherwise.

pub mod breed;
pub mod edit;
pub mod place;

#[cfg(test)]
mod tests;

pub use breed::{Asked, Change, Form, Mutant};
pub use place::{Place, Unnoticed};
