//! `generate`: a configuration of many probes and a store with their plausible past, to see what becomes of pages at a size that
//! nobody has at hand. It is made by chance, and by the same chance for the same seed.
//!
//! | file | holds |
//! |---|---|
//! | `command` | the command |
//! | `fleet` | which probes there are, on which schedules, and the files that say so |
//! | `troubles` | when what is wrong |
//! | `past` | the runs, and the incidents and versions that come of them |

use std::time::Duration;

pub mod command;
mod fleet;
mod past;
mod troubles;

/// The whole of a number that is not below nothing.
fn whole(number: f64) -> u64 {
    Duration::try_from_secs_f64(number).map_or(0, |seconds| seconds.as_secs())
}
