//! The connections that only read. Under write-ahead logging they see the last commit, and neither wait for the writer
//! nor make it wait.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use rusqlite::{Connection, Result};
use tokio::sync::Semaphore;

use super::opening;
use crate::ports::StoreError;

/// How many read at once; more wait.
const READERS_MAX: usize = 4;

/// The connections.
pub struct Readers {
    path: PathBuf,
    /// At most [`READERS_MAX`]: each is made at its first use.
    idle: Mutex<Vec<Connection>>,
    /// Closed when the store is.
    permits: Arc<Semaphore>,
}

impl Readers {
    /// Readers of an open store.
    pub fn of(path: PathBuf) -> Self {
        Self { path, idle: Mutex::default(), permits: Arc::new(Semaphore::new(READERS_MAX)) }
    }

    /// Reads from one snapshot.
    pub async fn read<T: Send + 'static>(
        self: &Arc<Self>,
        question: impl FnOnce(&Connection) -> Result<T> + Send + 'static,
    ) -> std::result::Result<T, StoreError> {
        let permit = Arc::clone(&self.permits).acquire_owned().await.map_err(|_| StoreError::Closed)?;
        let readers = Arc::clone(self);
        let reading = tokio::task::spawn_blocking(move || {
            let answer = readers.ask(question);
            drop(permit);
            answer
        });
        let answer = reading.await.map_err(|error| StoreError::Failed(error.to_string()))?;
        answer.map_err(|error| StoreError::Failed(error.to_string()))
    }

    /// A connection that failed is not used again.
    fn ask<T>(&self, question: impl FnOnce(&Connection) -> Result<T>) -> Result<T> {
        let idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner).pop();
        let mut connection = match idle {
            Some(connection) => connection,
            None => opening::reader(&self.path)?,
        };
        let snapshot = connection.transaction()?;
        let answer = question(&snapshot)?;
        snapshot.finish()?;
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        if !self.permits.is_closed() {
            idle.push(connection);
        }
        Ok(answer)
    }

    /// Nothing is read any more.
    pub fn close(&self) {
        self.permits.close();
        self.idle.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }
}
