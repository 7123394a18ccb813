//! Servers that tests start, one file each. A server ends when its guard is dropped.

pub mod certificates;
pub mod clients_only;
pub mod dns;
pub mod hostile;
pub mod moto;
pub mod nginx;
#[cfg(feature = "postgres")]
pub mod postgres;
pub mod prometheus;
pub mod python;
pub mod receiver;
pub mod redis;
pub mod roundsman;
pub mod smtp;
pub mod unbound;
