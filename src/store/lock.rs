//! One process owns a store. The lock is the kernel's, on a file of its own beside the database: it ends with the
//! process however that ends, and it does not depend on what `SQLite` locks and when.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{Read as _, Seek as _, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use super::opening::{in_words, refused};
use crate::ports::StoreError;

/// Held for as long as the store is; dropping it lets the next process in.
pub struct Lock(#[expect(dead_code, reason = "an open file is what holds the lock")] File);

/// Where the lock of a store is.
pub fn beside(store: &Path) -> PathBuf {
    let mut name = store.as_os_str().to_owned();
    name.push(".lock");
    PathBuf::from(name)
}

impl Lock {
    /// Takes the lock, at once or not at all. The file stays when the process ends: to remove it would let two
    /// processes hold two files of the same name.
    pub fn take(store: &Path) -> Result<Self, StoreError> {
        let path = beside(store);
        let words = |error: &std::io::Error| {
            refused(store, format!("its lock {} cannot be taken: {}", path.display(), in_words(error)))
        };
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(true).truncate(false).mode(0o600);
        let mut file = options.open(&path).map_err(|error| words(&error))?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                return Err(StoreError::Owned { path: store.display().to_string(), holder: holder(&mut file) });
            }
            Err(TryLockError::Error(error)) => return Err(words(&error)),
        }
        // Who holds it is a courtesy to whoever is refused; a full disk must not keep the store from opening for it.
        let written =
            file.set_len(0).and_then(|()| file.rewind()).and_then(|()| writeln!(file, "{}", std::process::id()));
        if let Err(error) = written {
            tracing::warn!("the lock {} does not say who holds it: {}", path.display(), in_words(&error));
        }
        Ok(Self(file))
    }
}

fn holder(file: &mut File) -> String {
    let mut text = String::new();
    let pid = file.take(32).read_to_string(&mut text).ok().and_then(|_| text.trim().parse::<u32>().ok());
    pid.map(|pid| format!(" (pid {pid})")).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_holder_is_refused_and_told_who_has_it() {
        let directory = tempfile::tempdir().unwrap();
        let store = directory.path().join("r.db");
        let held = Lock::take(&store).unwrap();
        let refused = Lock::take(&store).err().unwrap();
        let path = store.display();
        assert_eq!(
            refused.to_string(),
            format!("the store {path} belongs to another process (pid {})", std::process::id())
        );
        drop(held);
        assert!(Lock::take(&store).is_ok());
    }

    #[test]
    fn a_holder_that_does_not_say_who_it_is_still_holds() {
        let directory = tempfile::tempdir().unwrap();
        let store = directory.path().join("r.db");
        let _held = Lock::take(&store).unwrap();
        std::fs::write(beside(&store), "nonsense").unwrap();
        let refused = Lock::take(&store).err().unwrap();
        assert_eq!(refused.to_string(), format!("the store {} belongs to another process", store.display()));
    }

    #[test]
    fn a_lock_that_cannot_be_made_is_named() {
        let directory = tempfile::tempdir().unwrap();
        let store = directory.path().join("r.db");
        std::fs::create_dir(beside(&store)).unwrap();
        let (path, lock) = (store.display(), beside(&store));
        assert_eq!(
            Lock::take(&store).err().unwrap().to_string(),
            format!(
                "the store {path} cannot be opened: its lock {} cannot be taken: it is a directory",
                lock.display()
            )
        );
    }
}
