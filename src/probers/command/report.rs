//! A file that the program writes. What stands there from an earlier run proves nothing of this one, so a file is taken only
//! if it is another one than before, or was changed. No clock is asked for that, and nothing is deleted.

use std::fs::{File, Metadata};
use std::io::{self, Read as _};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::PathBuf;

use nix::libc;

/// A file before the program ran.
pub struct Awaited {
    /// As it is called in the configuration, for messages.
    pub name: String,
    path: PathBuf,
    before: Option<Mark>,
}

/// What changes whenever a file is written.
#[derive(PartialEq, Eq)]
struct Mark {
    place: (u64, u64),
    length: u64,
    modified: (i64, i64),
    changed: (i64, i64),
}

impl From<&Metadata> for Mark {
    fn from(file: &Metadata) -> Self {
        Self {
            place: (file.dev(), file.ino()),
            length: file.len(),
            modified: (file.mtime(), file.mtime_nsec()),
            changed: (file.ctime(), file.ctime_nsec()),
        }
    }
}

impl Awaited {
    /// Looks at what is there before the program runs.
    pub async fn at(name: String, path: PathBuf) -> Self {
        let before = tokio::fs::metadata(&path).await.ok();
        Self { name, path, before: before.as_ref().map(Mark::from) }
    }

    /// What the program wrote, at most so many bytes; the error says what is wrong, as an end of a sentence after the name.
    pub async fn read(self, bytes_max: usize) -> Result<Vec<u8>, String> {
        let reading = tokio::task::spawn_blocking(move || self.read_now(bytes_max)).await;
        reading.map_err(|error| format!("cannot be read: {error}"))?
    }

    fn read_now(&self, bytes_max: usize) -> Result<Vec<u8>, String> {
        let unreadable = |error: io::Error| match error.kind() {
            io::ErrorKind::NotFound => "was not written".to_owned(),
            _ => format!("cannot be read: {error}"),
        };
        // A pipe would be waited for until its other end is opened. What is opened is looked at, and not what has the name:
        // that may be another file by now.
        let opened = File::options().read(true).custom_flags(libc::O_NONBLOCK).open(&self.path).map_err(unreadable)?;
        let file = opened.metadata().map_err(unreadable)?;
        if !file.is_file() {
            return Err("is not a plain file".to_owned());
        }
        if self.before.as_ref() == Some(&Mark::from(&file)) {
            return Err("was not written: what is there is from an earlier run".to_owned());
        }
        let most = u64::try_from(bytes_max).unwrap_or(u64::MAX);
        let mut bytes = Vec::new();
        opened.take(most.saturating_add(1)).read_to_end(&mut bytes).map_err(unreadable)?;
        if bytes.len() > bytes_max {
            return Err(format!("is larger than {bytes_max} bytes"));
        }
        Ok(bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn only_what_was_written_since_is_read() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("report");
        let awaited = || Awaited::at("report".to_owned(), path.clone());
        assert_eq!(awaited().await.read(9).await.unwrap_err(), "was not written");
        let fresh = awaited().await;
        std::fs::write(&path, "123456789").unwrap();
        assert_eq!(fresh.read(9).await.unwrap(), b"123456789");
        let old = "was not written: what is there is from an earlier run";
        assert_eq!(awaited().await.read(9).await.unwrap_err(), old);
        let again = awaited().await;
        std::fs::write(directory.path().join("next"), "123456789").unwrap();
        std::fs::rename(directory.path().join("next"), &path).unwrap();
        assert_eq!(again.read(8).await.unwrap_err(), "is larger than 8 bytes");
        std::fs::remove_file(&path).unwrap();
        assert!(std::process::Command::new("mkfifo").arg(&path).status().unwrap().success());
        assert_eq!(awaited().await.read(9).await.unwrap_err(), "is not a plain file");
    }
}
