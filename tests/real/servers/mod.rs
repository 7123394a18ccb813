//! Servers that tests start: each is gone with its guard.

pub mod certificates;
pub mod clients_only;
pub mod hostile;
pub mod nginx;
