//! `generate`: a configuration of many probes and a store with their plausible past, to see what becomes of pages at a size that
//! nobody has at hand. It is made by chance, and by the same chance for the same seed.
//!
//! | file | holds |
//! |---|---|
//! | `command` | the command |
//! | `fleet` | which probes there are, on which schedules, and the files that say so |
//! | `troubles` | when what is wrong |
//! | `past` | the runs, and the incidents and versions that come of them |

pub mod command;
mod fleet;
mod past;
mod troubles;
