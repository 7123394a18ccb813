//! Servers that tests start, one file each. A server ends when its guard is dropped.

pub mod moto;
pub mod python;
