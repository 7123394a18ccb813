//! A store that is damaged is put aside, for whoever wants to look at it, and a new one begins in its place: a process that
//! would rather not start watches nothing.

use std::fs::File;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};

use chrono::{DateTime, Utc};
use rusqlite::{Connection, Error, ErrorCode, Result};

use super::schema::APPLICATION_ID;
use super::{outbox, reads};

/// How many damaged stores are kept; the oldest goes first.
const KEPT_MAX: usize = 3;

/// Where the file of a database says whose it is: <https://www.sqlite.org/fileformat.html>.
const APPLICATION_ID_AT: u64 = 68;

/// Whether an error says that what is in the file cannot be believed, and not that it cannot be reached.
pub fn is_damage(error: &Error) -> bool {
    matches!(error.sqlite_error_code(), Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase))
        || matches!(
            error,
            Error::FromSqlConversionFailure(..)
                | Error::IntegralValueOutOfRange(..)
                | Error::InvalidColumnType(..)
                | Error::Utf8Error(..)
        )
}

/// Whether a file says that it is a store of ours, though nothing else of it may be whole.
pub fn is_ours(path: &Path) -> bool {
    let mut id = [0; 4];
    let read = File::open(path).and_then(|file| file.read_exact_at(&mut id, APPLICATION_ID_AT));
    read.is_ok() && id == APPLICATION_ID.to_be_bytes()
}

/// Reads all that a process will read that goes on with this store: a row that cannot be read would stop it, or keep every
/// message back, for as long as it is there.
pub fn read_through(connection: &Connection) -> Result<()> {
    reads::load(connection)?;
    outbox::pending(connection)
}

/// Puts a store aside with all that belongs to it, and says where it is.
pub fn put_aside(path: &Path) -> std::io::Result<PathBuf> {
    let written: DateTime<Utc> = std::fs::metadata(path)?.modified()?.into();
    let stamp = written.format("%Y%m%dT%H%M%SZ");
    let beside = |suffix: &str, end: &str| {
        let mut name = path.as_os_str().to_owned();
        name.push(format!(".corrupt-{stamp}{suffix}{end}"));
        PathBuf::from(name)
    };
    let suffixes = std::iter::once(String::new()).chain((2..=u32::MAX).map(|n| format!("-{n}")));
    let is_free = |suffix: &String| !beside(suffix, "").exists();
    let suffix = suffixes.into_iter().find(is_free).unwrap_or_default();
    // The file itself goes last: a crash between leaves a store that is still found damaged, or reads as new.
    for end in ["-wal", "-shm", ""] {
        let mut from = path.as_os_str().to_owned();
        from.push(end);
        match std::fs::rename(&from, beside(&suffix, end)) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
    }
    let aside = beside(&suffix, "");
    forget_oldest(path, &aside);
    Ok(aside)
}

/// What cannot be erased costs room and nothing else.
fn forget_oldest(path: &Path, latest: &Path) {
    let (Some(directory), Some(name)) = (path.parent(), path.file_name().and_then(|name| name.to_str())) else {
        return;
    };
    let Ok(entries) = std::fs::read_dir(directory) else { return };
    let prefix = format!("{name}.corrupt-");
    let is_store = |name: &String| {
        let is_part = name.ends_with("-wal") || name.ends_with("-shm");
        name.starts_with(&prefix) && !is_part && directory.join(name) != latest
    };
    let names = entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
    let mut kept: Vec<_> = names.filter(is_store).collect();
    kept.sort();
    for name in kept.iter().rev().skip(KEPT_MAX - 1) {
        for end in ["", "-wal", "-shm"] {
            let _ = std::fs::remove_file(directory.join(format!("{name}{end}")));
        }
    }
}
