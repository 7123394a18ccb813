//! Servers that tests start, one file each. A server ends when its guard is dropped.

pub mod apart;
pub mod authorization;
pub mod certificates;
pub mod dns;
pub mod frames;
pub mod hostile;
pub mod moto;
pub mod network;
pub mod nginx;
pub mod openssl;
#[cfg(feature = "postgres")]
pub mod postgres;
pub mod prometheus;
pub mod python;
pub mod receiver;
pub mod redis;
pub mod roundsman;
pub mod secured;
pub mod smtp;
pub mod unbound;
