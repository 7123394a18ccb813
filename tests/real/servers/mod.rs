//! The servers, each a process of its own that ends with its guard.

pub mod dns;
