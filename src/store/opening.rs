//! Opens the files: rights, checks, pragmas. Every reason for which a store cannot be opened is said here, in words.

use std::fs::{DirBuilder, OpenOptions};
use std::io::ErrorKind;
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::Path;
use std::time::Duration;

use rusqlite::{Connection, Error, ErrorCode, OpenFlags, Result};

use super::schema::{self, APPLICATION_ID};
use crate::ports::StoreError;

/// How long a statement waits while another program holds the file.
const BUSY_MAX: Duration = Duration::from_secs(5);

/// How many prepared statements a connection keeps; there are fewer.
const STATEMENTS_MAX: usize = 48;

/// The refusal to open a store.
pub fn refused(path: &Path, reason: impl Into<String>) -> StoreError {
    StoreError::Open { path: path.display().to_string(), reason: reason.into() }
}

/// Why the system refused, for people.
pub fn in_words(error: &std::io::Error) -> String {
    match error.kind() {
        ErrorKind::PermissionDenied => "permission denied".to_owned(),
        ErrorKind::ReadOnlyFilesystem => "the file system is read-only".to_owned(),
        ErrorKind::NotADirectory | ErrorKind::AlreadyExists => "a part of its path is a file".to_owned(),
        ErrorKind::IsADirectory => "it is a directory".to_owned(),
        ErrorKind::NotFound => "a part of its path is not there".to_owned(),
        ErrorKind::StorageFull => "the disk is full".to_owned(),
        ErrorKind::QuotaExceeded => "the disk quota is used up".to_owned(),
        _ => error.to_string(),
    }
}

/// Makes the directory, for us alone, where it is missing.
pub fn make_directory(path: &Path) -> std::result::Result<(), StoreError> {
    let Some(directory) = path.parent().filter(|directory| !directory.as_os_str().is_empty()) else { return Ok(()) };
    DirBuilder::new().recursive(true).mode(0o700).create(directory).map_err(|error| {
        refused(path, format!("its directory {} cannot be made: {}", directory.display(), in_words(&error)))
    })
}

/// Opens the store for writing, as a process does that starts: makes the file, looks whether it is sound and ours, and
/// brings it to the newest version.
pub fn start(path: &Path) -> std::result::Result<Connection, StoreError> {
    // To open a pipe would wait for its other end.
    if std::fs::metadata(path).is_ok_and(|file| !file.is_file()) {
        return Err(refused(path, "it is not a file"));
    }
    let mut options = OpenOptions::new();
    options.read(true).write(true).create(true).truncate(false).mode(0o600);
    options.open(path).map_err(|error| refused(path, in_words(&error)))?;
    let mut connection = open(path, OpenFlags::SQLITE_OPEN_READ_WRITE).map_err(|error| broken(path, &error))?;
    let version = look(path, &connection)?;
    prepare(&mut connection, version).map_err(|error| broken(path, &error))?;
    Ok(connection)
}

/// Opens a store for writing that this process has opened before.
pub fn writer(path: &Path) -> Result<Connection> {
    let connection = open(path, OpenFlags::SQLITE_OPEN_READ_WRITE)?;
    set_up(&connection)?;
    Ok(connection)
}

/// Opens a store for reading that this process has opened before.
pub fn reader(path: &Path) -> Result<Connection> {
    open(path, OpenFlags::SQLITE_OPEN_READ_ONLY)
}

fn open(path: &Path, access: OpenFlags) -> Result<Connection> {
    // Without a mutex of its own, since each connection has one owner at a time.
    let connection = Connection::open_with_flags(path, access | OpenFlags::SQLITE_OPEN_NO_MUTEX)?;
    connection.busy_timeout(BUSY_MAX)?;
    connection.set_prepared_statement_cache_capacity(STATEMENTS_MAX);
    Ok(connection)
}

/// Looks whether the file is sound and ours, and says which version it has.
fn look(path: &Path, connection: &Connection) -> std::result::Result<usize, StoreError> {
    let number = |sql| connection.query_row(sql, [], |row| row.get::<_, i64>(0)).map_err(|error| broken(path, &error));
    let application = number("PRAGMA application_id")?;
    let version = number("PRAGMA user_version")?;
    let tables = number("SELECT count(*) FROM sqlite_schema")?;
    if application != i64::from(APPLICATION_ID) && (tables > 0 || application != 0 || version != 0) {
        return Err(refused(path, "it is the database of another program: let `store` name another file"));
    }
    let newest = schema::newest();
    let Some(version) = usize::try_from(version).ok().filter(|version| *version <= newest) else {
        let reason = format!(
            "it has version {version} and this program knows versions up to {newest}: use the program that wrote it, or let `store` name another file"
        );
        return Err(refused(path, reason));
    };
    let found = connection
        .query_row("PRAGMA quick_check(1)", [], |row| row.get::<_, String>(0))
        .map_err(|error| broken(path, &error))?;
    if found == "ok" { Ok(version) } else { Err(damaged(path, &found)) }
}

fn prepare(connection: &mut Connection, version: usize) -> Result<()> {
    if version == 0 {
        // It has effect only before the first table.
        connection.pragma_update(None, "auto_vacuum", "INCREMENTAL")?;
    }
    set_up(connection)?;
    schema::migrate(connection, version)
}

fn set_up(connection: &Connection) -> Result<()> {
    connection.pragma_update_and_check(None, "journal_mode", "WAL", |_| Ok(()))?;
    // In WAL mode anything less may lose commits that were answered when the power fails.
    connection.pragma_update(None, "synchronous", "FULL")?;
    connection.pragma_update(None, "foreign_keys", true)
}

fn broken(path: &Path, error: &Error) -> StoreError {
    match error.sqlite_error_code() {
        Some(ErrorCode::NotADatabase) => {
            refused(path, "it is not a SQLite database: move it away, or let `store` name another file")
        }
        Some(ErrorCode::DatabaseCorrupt) => damaged(path, &error.to_string()),
        Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => {
            refused(path, format!("another program has kept it locked for {}", crate::domain::time::words(BUSY_MAX)))
        }
        Some(ErrorCode::ReadOnly) => refused(path, "it is read-only"),
        Some(ErrorCode::DiskFull) => refused(path, "the disk is full"),
        _ => refused(path, error.to_string()),
    }
}

fn damaged(path: &Path, found: &str) -> StoreError {
    let found = found.lines().map(str::trim).collect::<Vec<_>>().join(" ");
    let reason = format!(
        "it is damaged ({found}): move it away together with its `-wal` and `-shm` files, and the next start makes a new one"
    );
    refused(path, reason)
}
