//! Opens the files: rights, checks, pragmas. Every reason for which a store cannot be opened is said here, in words.

use std::fs::{DirBuilder, OpenOptions};
use std::io::ErrorKind;
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::Path;
use std::time::Duration;

use rusqlite::{Connection, Error, ErrorCode, OpenFlags, Result};

use super::damage::{is_damage, is_ours, read_through};
use super::schema::{self, APPLICATION_ID};
use crate::ports::StoreError;

/// How long a statement waits while another program holds the file.
pub const BUSY_MAX: Duration = Duration::from_secs(5);

/// More versions there will never be.
const VERSIONS_MAX: i64 = 1_000;

/// How many prepared statements a connection keeps; there are fewer.
const STATEMENTS_MAX: usize = 64;

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
    if version == 0 && has_our_tables(&connection) {
        return Err(damaged(path, "it says that it has no version"));
    }
    prepare(&mut connection, version).map_err(|error| broken(path, &error))?;
    read_through(&connection).map_err(|error| broken(path, &error))?;
    match has_log(&connection) {
        Ok(true) => Ok(connection),
        Ok(false) => Err(refused(path, "its file system cannot hold a write-ahead log: put it on a local disk")),
        Err(error) => Err(broken(path, &error)),
    }
}

/// Opens a store for writing that this process has opened before.
pub fn writer(path: &Path) -> Result<Connection> {
    let connection = open(path, OpenFlags::SQLITE_OPEN_READ_WRITE)?;
    set_up(&connection)?;
    Ok(connection)
}

/// A connection that only stands by. While it is open the index of the log stays in memory as it is; without it the next
/// connection would read the log anew, and a transaction whose sync failed, and whose caller was told so, would be back.
pub fn keeper(path: &Path) -> std::result::Result<Connection, StoreError> {
    let attached = reader(path).and_then(|connection| has_log(&connection).map(|_| connection));
    attached.map_err(|error| broken(path, &error))
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
        if has_our_tables(connection) {
            return Err(damaged(path, "it no longer says whose it is"));
        }
        return Err(refused(path, "it is the database of another program: let `store` name another file"));
    }
    let newest = schema::newest();
    let Some(version) = usize::try_from(version).ok().filter(|version| *version <= newest) else {
        // No program ever wrote such a number.
        if !(0..VERSIONS_MAX).contains(&version) {
            return Err(damaged(path, &format!("it says that it has version {version}")));
        }
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

/// Whether the tables are those of this program, whatever the head of the file says.
fn has_our_tables(connection: &Connection) -> bool {
    let ours =
        "SELECT count(*) FROM sqlite_schema WHERE type = 'table' AND name IN ('alert_states', 'incidents', 'outbox')";
    connection.query_row(ours, [], |row| row.get::<_, i64>(0)).is_ok_and(|tables| tables == 3)
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
    // What is erased from the journal is a secret, and gone from its pages as well; `FAST` leaves it in those that a long
    // text had for itself.
    connection.pragma_update_and_check(None, "secure_delete", "ON", |_| Ok(()))?;
    // Under load each probe's runs have pages of their own: they stay at hand, and one that is written again within seconds
    // goes into the database once. In KiB, and in pages of four.
    connection.pragma_update(None, "cache_size", -8_192)?;
    connection.pragma_update_and_check(None, "wal_autocheckpoint", 4_000, |_| Ok(()))?;
    connection.pragma_update(None, "foreign_keys", true)
}

/// Where memory cannot be shared between programs, as on some network file systems, `SQLite` stays in its older mode
/// without an error, in which readers and the writer wait for each other.
fn has_log(connection: &Connection) -> Result<bool> {
    connection.query_row("PRAGMA journal_mode", [], |row| Ok(row.get_ref(0)?.as_str()? == "wal"))
}

fn broken(path: &Path, error: &Error) -> StoreError {
    match error.sqlite_error_code() {
        Some(ErrorCode::NotADatabase) if !is_ours(path) => {
            refused(path, "it is not a SQLite database: move it away, or let `store` name another file")
        }
        // What every store of ours understands this one does not.
        Some(ErrorCode::Unknown) | None if is_ours(path) => damaged(path, &error.to_string()),
        _ if is_damage(error) => damaged(path, &error.to_string()),
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
    StoreError::Damaged { path: path.display().to_string(), found }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::incident::Severity;
    use crate::ports::{Commit, Store as _};
    use crate::store::open;
    use crate::store::testing::{incident, kept, opening, run, second};
    use std::os::unix::fs::PermissionsExt as _;

    /// Why a path is refused, after the words that every refusal begins with.
    fn reason(path: &Path) -> String {
        let error = open(path).err().unwrap().to_string();
        let start = format!("the store {} cannot be opened: ", path.display());
        error.strip_prefix(&start).unwrap_or(&error).to_owned()
    }

    #[test]
    fn directory_and_files_are_made_for_us_alone() {
        let kept = kept();
        let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
        let wal = kept.path.with_extension("db-wal");
        let modes = [kept.path.parent().unwrap(), &kept.path, &crate::store::lock::beside(&kept.path), &wal].map(mode);
        assert_eq!(modes, [0o700, 0o600, 0o600, 0o600]);
    }

    #[test]
    fn places_where_no_store_can_be_are_named() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("file");
        std::fs::write(&file, "").unwrap();
        assert_eq!(
            reason(&file.join("r.db")),
            format!("its directory {} cannot be made: a part of its path is a file", file.display())
        );
        assert_eq!(
            reason(&file.join("deeper/r.db")),
            format!("its directory {} cannot be made: a part of its path is a file", file.join("deeper").display())
        );
        let taken = directory.path().join("taken.db");
        std::fs::create_dir(&taken).unwrap();
        assert_eq!(reason(&taken), "it is not a file");
    }

    #[test]
    fn the_system_s_refusals_are_said_in_words() {
        for (number, words) in [
            (13, "permission denied"),
            (30, "the file system is read-only"),
            (20, "a part of its path is a file"),
            (21, "it is a directory"),
            (2, "a part of its path is not there"),
            (28, "the disk is full"),
        ] {
            assert_eq!(in_words(&std::io::Error::from_raw_os_error(number)), words);
        }
    }

    #[test]
    fn what_is_not_ours_is_left_alone() {
        let directory = tempfile::tempdir().unwrap();
        let text = directory.path().join("text.db");
        std::fs::write(&text, "dear diary, ".repeat(500)).unwrap();
        assert_eq!(reason(&text), "it is not a SQLite database: move it away, or let `store` name another file");
        assert_eq!(std::fs::read_to_string(&text).unwrap(), "dear diary, ".repeat(500));
        let other = directory.path().join("other.db");
        Connection::open(&other).unwrap().execute_batch("CREATE TABLE theirs (a)").unwrap();
        assert_eq!(reason(&other), "it is the database of another program: let `store` name another file");
    }

    #[tokio::test]
    async fn a_store_of_a_newer_program_is_refused_and_not_changed() {
        let kept = kept();
        kept.store.close().await;
        Connection::open(&kept.path).unwrap().pragma_update(None, "user_version", 99).unwrap();
        assert_eq!(
            reason(&kept.path),
            format!(
                "it has version 99 and this program knows versions up to {}: use the program that wrote it, or let `store` name another file",
                schema::newest()
            )
        );
        assert_eq!(kept.number("PRAGMA user_version"), 99);
    }

    #[tokio::test]
    async fn a_damaged_store_is_put_aside_and_a_new_one_begins() {
        let kept = kept();
        kept.store.commit(opening(&incident("I1", Severity::P1, 0), &["ops"], 0).into()).await.unwrap();
        kept.store.close().await;
        let whole = std::fs::read(&kept.path).unwrap();
        let mut torn = whole.clone();
        torn.truncate(whole.len() - 5_000);
        // The second page is the root of a table: its type is its first byte.
        let mut flipped = whole.clone();
        flipped[4_096 * 2] ^= 0xff;
        // A row that cannot be read would stop the next process, and the one after it.
        let mut unreadable = whole.clone();
        let incident = unreadable.windows(11).position(|bytes| bytes == b"\"opened_at\"").unwrap();
        unreadable[incident] = b'x';
        let mut headless = whole.clone();
        headless[3] ^= 1;
        let mut nobody_s = whole.clone();
        nobody_s[70] ^= 1;
        for bytes in [torn, flipped, unreadable, headless, nobody_s] {
            std::fs::write(&kept.path, &bytes).unwrap();
            let store = open(&kept.path).unwrap();
            let lost = store.lost().unwrap().to_owned();
            let aside = lost.split(" is at ").nth(1).unwrap().split(": ").next().unwrap();
            assert!(aside.contains("roundsman.db.corrupt-20"), "{lost}");
            assert_eq!(std::fs::read(aside).unwrap(), bytes);
            assert!(store.load().await.unwrap().incidents.is_empty());
            store.close().await;
        }
        let directory = kept.path.parent().unwrap();
        let aside = std::fs::read_dir(directory)
            .unwrap()
            .filter(|entry| entry.as_ref().unwrap().file_name().to_string_lossy().contains("corrupt"));
        assert_eq!(aside.count(), 3, "the oldest are not kept");
        std::fs::write(&kept.path, &whole).unwrap();
        let store = open(&kept.path).unwrap();
        assert_eq!((store.lost(), store.load().await.unwrap().incidents.len()), (None, 1));
    }

    #[test]
    fn a_place_without_shared_memory_is_noticed() {
        let directory = tempfile::tempdir().unwrap();
        // This one locks with files, as for a network file system, and shares no memory.
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_CREATE;
        let without =
            Connection::open_with_flags_and_vfs(directory.path().join("r.db"), flags, c"unix-dotfile").unwrap();
        set_up(&without).unwrap();
        assert_eq!(has_log(&without), Ok(false));
    }

    /// A flipped bit is found at the start, and a new store begins, or it is in a place that no check covers and does no more
    /// than harm what it is in: the process starts, and finds what it has to tell.
    #[tokio::test]
    async fn a_flipped_bit_keeps_no_process_from_its_work() {
        let kept = kept();
        let runs = (0..200).map(|slot| run("api", slot)).collect();
        kept.store
            .commit(Commit { runs, ..opening(&incident("I1", Severity::P1, 0), &["ops"], 0) }.into())
            .await
            .unwrap();
        kept.store.close().await;
        let whole = std::fs::read(&kept.path).unwrap();
        let (mut anew, mut refusals) = (0, Vec::new());
        // What the head says of itself, bit for bit, then all of it.
        let head = (60 * 8..72 * 8).chain(16 * 8..20 * 8).map(|bit| (bit / 8, bit % 8));
        for (place, bit) in head.chain((0..whole.len()).step_by(797).map(|place| (place, place % 8))) {
            let mut flipped = whole.clone();
            flipped[place] ^= 1 << bit;
            std::fs::write(&kept.path, &flipped).unwrap();
            for end in ["db-wal", "db-shm"] {
                let _ = std::fs::remove_file(kept.path.with_extension(end));
            }
            match open(&kept.path) {
                // What reads as a newer program's is not ours to put aside.
                Err(StoreError::Open { reason, .. }) => refusals.push((place, reason)),
                Err(other) => panic!("{place}: {other}"),
                Ok(store) => {
                    anew += usize::from(store.lost().is_some());
                    assert!(store.load().await.is_ok(), "{place}");
                    assert!(store.due_deliveries(second(0), 10).await.is_ok(), "{place}");
                    store.close().await;
                }
            }
        }
        assert!(anew > 50, "{anew} stores were put aside");
        let known = |(place, reason): &(usize, String)| {
            (60..64).contains(place) && reason.contains("use the program that wrote it")
        };
        assert!(refusals.iter().all(known), "{refusals:?}");
    }

    #[test]
    fn an_empty_file_becomes_a_store() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("empty.db");
        std::fs::write(&path, "").unwrap();
        assert!(open(&path).is_ok());
    }

    #[test]
    fn a_path_is_taken_as_it_is_written() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("file:odd?mode=memory.db");
        let store = open(&path).unwrap();
        assert!(std::fs::metadata(&path).unwrap().len() > 0);
        assert_eq!(
            open(&path).err().unwrap().to_string(),
            format!("the store {} belongs to another process (pid {})", path.display(), std::process::id())
        );
        drop(store);
        assert!(open(&path).is_ok());
    }
}
