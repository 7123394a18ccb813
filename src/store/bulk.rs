//! A store that is filled at once with a past that nobody lived through: the same tables by the same statements, without the
//! syncs that commits of a daemon need. A crash on the way leaves a file that is to be made anew.

use std::path::Path;

use rusqlite::Connection;

use super::lock::Lock;
use super::opening::{self, refused};
use super::records;
use super::rollup::{self, Bounds};
use crate::ports::{Commit, StoreError};

/// How much is counted at once: nobody waits for the writer.
const BOUNDS: Bounds = Bounds { runs: 200_000, stretches: 100_000 };

/// A new store that is being filled.
pub struct Bulk {
    connection: Connection,
    /// How many runs wait to be counted.
    uncounted: usize,
    #[expect(dead_code, reason = "holding it keeps others out")]
    lock: Lock,
}

impl Bulk {
    /// Makes a store where none is.
    pub fn make(path: &Path) -> Result<Self, StoreError> {
        opening::make_directory(path)?;
        let lock = Lock::take(path)?;
        if path.exists() {
            return Err(refused(path, "it is there already: name a new directory"));
        }
        let connection = opening::start(path)?;
        connection.pragma_update(None, "synchronous", "OFF").map_err(failed)?;
        // In KiB: nearly all that a chunk writes to is at hand.
        connection.pragma_update(None, "cache_size", -65_536).map_err(failed)?;
        Ok(Self { connection, uncounted: 0, lock })
    }

    /// Writes a commit as a daemon would.
    pub fn put(&mut self, commit: &Commit) -> Result<(), StoreError> {
        self.write(|connection| records::write(connection, commit))?;
        self.uncounted += commit.runs.len();
        if self.uncounted >= BOUNDS.runs { self.count() } else { Ok(()) }
    }

    /// Counts what is left, and puts all of it into one file.
    pub fn end(mut self) -> Result<(), StoreError> {
        self.count()?;
        self.connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(())).map_err(failed)
    }

    fn count(&mut self) -> Result<(), StoreError> {
        while let Some(slice) = rollup::slice(&self.connection, BOUNDS).map_err(failed)? {
            self.write(|connection| rollup::add(connection, &slice))?;
        }
        self.uncounted = 0;
        Ok(())
    }

    fn write(&mut self, what: impl FnOnce(&Connection) -> rusqlite::Result<()>) -> Result<(), StoreError> {
        let transaction = self.connection.transaction().map_err(failed)?;
        what(&transaction).map_err(failed)?;
        transaction.commit().map_err(failed)
    }
}

#[expect(clippy::needless_pass_by_value, reason = "it is what `map_err` gives")]
fn failed(error: rusqlite::Error) -> StoreError {
    StoreError::Failed(error.to_string())
}
