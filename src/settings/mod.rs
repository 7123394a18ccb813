//! Floor 1: what was written, and where. Readers of settings stand on every floor above, so it has no room of its own
//! among the neighbours: the kinds read their own settings with it, and the configuration all the rest.
//!
//! A file ([`source`]) becomes nodes that know where they were written ([`tree`], with `scalar` for what a bare word
//! means). Derived types are read from them, every mistake in one pass ([`de`], with `mistake` for the words and
//! `phantom` for what is missing); [`spanned`] holds the field types that keep a place. [`traps`] has the sentences about
//! what YAML understood differently from what was meant, and [`problem`] shows mistakes to people and programs.

pub mod de;
pub mod mistake;
mod phantom;
pub mod problem;
mod scalar;
pub mod source;
pub mod spanned;
pub mod traps;
pub mod tree;

pub use de::{from_text, read};
pub use problem::{Level, Problem, Problems, nearest, suggest};
pub use source::{Source, Span};
pub use spanned::{OneOrMany, Spanned};
pub use tree::{Entry, Holes, Key, Node, Scalar, Value, parse};

#[cfg(test)]
mod tests;
