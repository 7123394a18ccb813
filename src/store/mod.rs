//! Keeps what must outlive the process: one `SQLite` file, one process, one writer.
//!
//! | file | holds |
//! |---|---|
//! | `sqlite` | [`Sqlite`]: the handle that the engine, the page and `app` have |
//! | `opening` | files, rights, pragmas; every reason for which a store cannot be opened, in words |
//! | `damage` | what is done with a store that is damaged |
//! | `lock` | the OS lock: one process owns a store |
//! | `schema` | the tables, and the migrations that made them |
//! | `writer` | the one thread that writes: many callers, one transaction |
//! | `records` | what a commit writes |
//! | `bundles` | what runs that failed left, and which of it stays |
//! | `diagnoses` | what was looked at because an incident opened |
//! | `audits` | what people changed |
//! | `journal` | what runs may have left in their targets |
//! | `outbox` | which deliveries are due, and what became of them |
//! | `past` | what objectives ask about runs that were |
//! | `redrive` | what channels have not taken, and how it is tried again |
//! | `delivered` | what channels took lately, and how their last drills came out |
//! | `replies` | what receivers said of their own accord |
//! | `order` | the order in which a channel is told of an incident |
//! | `gathering` | which of them leave in one message |
//! | `retention` | what is erased, in slices |
//! | `readers` | the connections that only read |
//! | `reads` | what a starting process and the pages ask |
//! | `history` | what pages ask about what was |
//! | `rollup` | runs, counted by the hour and the day after they were committed |
//! | `stretches` | where that stands |
//! | `packed` | many small numbers in few bytes |
//! | `listing` | runs of a probe, found by where the hours say they are |
//! | `bulk` | [`Bulk`]: a new store with a past that nobody lived through |
//! | `lately` | the runs of the last hour, held while somebody looks |
//! | `columns` | instants, lengths, names and JSON as columns |
//!
//! A caller is answered after the `COMMIT` returned, never before. What was refused is not in the store, so that the
//! caller may repeat it with all that has come since.

mod audits;
mod bulk;
mod bundles;
mod columns;
mod damage;
mod delivered;
mod diagnoses;
#[cfg(test)]
mod downtime;
#[cfg(test)]
mod flapping;
mod gathering;
mod history;
mod journal;
mod lately;
mod listing;
mod lock;
mod opening;
mod order;
#[cfg(test)]
mod outage;
mod outbox;
mod packed;
mod past;
mod readers;
mod reads;
mod records;
mod redrive;
mod replies;
mod retention;
mod rollup;
mod schema;
mod sqlite;
mod stretches;
#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;
mod writer;

pub use bulk::Bulk;
pub use sqlite::{Sqlite, erase, erase_left, open};
