//! Kind `backup`: are there backups, how old are they, and can they be restored?
//!
//! A step looks at one place: the point-in-time recovery of a DynamoDB table ([`recovery`]), its on-demand backups
//! ([`on_demand`]), the recovery points of AWS Backup in a vault ([`vault`]), a mirror in S3 ([`mirror`]), or a directory
//! ([`directory`], with [`checksum`]; [`lane`] keeps a mount that hangs from taking more than one thread). What they list is
//! a [`history`]. The [`drill`] restores a table under a name of its own, compares an item, and puts the table away.

mod checksum;
mod directory;
mod drill;
mod estate;
mod history;
mod lane;
mod mirror;
mod on_demand;
mod prober;
mod recovery;
mod settings;
mod vault;

pub use settings::KIND;
