//! Kind `backup` on real directories, with checksums that `sha256sum` wrote.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, SystemTime};

use roundsman::domain::outcome::{Failure, Observation};
use roundsman::ports::Clock as _;
use tempfile::TempDir;

use crate::probing::probe;

const HOUR: u64 = 3_600;

/// A file that was written so many hours ago.
fn write(directory: &Path, name: &str, text: &str, hours_ago: u64) {
    let path = directory.join(name);
    fs::create_dir_all(path.parent().expect("a parent")).expect("a directory");
    fs::write(&path, text).expect("a file");
    let now = SystemTime::from(roundsman::clock::SystemClock::start().now());
    let file = fs::File::options().write(true).open(&path).expect("the file");
    file.set_modified(now - Duration::from_secs(hours_ago * HOUR + 1)).expect("a time");
}

fn shelf() -> TempDir {
    let shelf = tempfile::tempdir().expect("a directory");
    for (name, text, hours_ago) in
        [("a.dump", "one", 50), ("b.dump", "three", 26), ("c.dump", "sixteen", 2), ("d.log", "no", 1)]
    {
        write(shelf.path(), name, text, hours_ago);
    }
    shelf
}

async fn look(shelf: &TempDir, more: &str) -> Result<Observation, String> {
    let path = shelf.path().display().to_string();
    let seen = probe("backup", &format!("{{ directory: {path}{more} }}")).await;
    seen.map_err(|failure: Failure| failure.to_string().replace(&path, "DIR"))
}

fn told(seen: Result<Observation, String>) -> String {
    seen.map_or_else(|failure| failure, |seen| format!("{:?}", seen.facts.iter().collect::<Vec<_>>()))
}

/// What `sha256sum` writes of these files into that one.
fn sums(shelf: &TempDir, files: &[&str], into: &str) {
    let written = Command::new("sha256sum").args(files).current_dir(shelf.path()).output().expect("sha256sum is there");
    fs::write(shelf.path().join(into), written.stdout).expect("a file");
}

#[tokio::test]
async fn a_directory_tells_of_its_newest_file_and_of_the_holes() {
    let shelf = shelf();
    let seen = look(&shelf, ", pattern: \"*.dump\"").await.expect("it is well");
    let facts = |name: &str| seen.facts[name].clone();
    assert_eq!(facts("newest"), "c.dump");
    assert_eq!((facts("count"), facts("size_bytes"), facts("previous_size_bytes")), (3.into(), 7.into(), 5.into()));
    assert_eq!(facts("max_gap_h"), 24.0);
    let age_s = facts("age_s").as_u64().expect("a number");
    assert!((2 * HOUR..2 * HOUR + 60).contains(&age_s), "{age_s}");
    let short = look(&shelf, ", pattern: \"*.dump\", over: 1h").await;
    assert_eq!(told(short), "backup.missing: there is no backup of DIR from the last 1 h");
}

#[tokio::test]
async fn a_pattern_says_how_deep_and_links_are_not_followed() {
    let shelf = shelf();
    write(shelf.path(), "monday/e.dump", "e", 3);
    write(shelf.path(), "monday/deep/f.dump", "f", 3);
    symlink(shelf.path().join("c.dump"), shelf.path().join("latest.dump")).expect("a link");
    symlink(shelf.path(), shelf.path().join("up")).expect("a link");
    assert!(Command::new("mkfifo").arg(shelf.path().join("pipe.dump")).status().expect("mkfifo is there").success());
    for (pattern, count, newest) in
        [("*.dump", 3, "c.dump"), ("*/*.dump", 1, "monday/e.dump"), ("*/*/*.dump", 1, "monday/deep/f.dump")]
    {
        let seen = look(&shelf, &format!(", pattern: \"{pattern}\"")).await.expect("it is well");
        assert_eq!((&seen.facts["count"], &seen.facts["newest"]), (&count.into(), &newest.into()), "{pattern}");
    }
}

#[tokio::test]
async fn the_newest_file_is_what_its_checksum_says() {
    let shelf = shelf();
    let verified = ", pattern: \"*\", checksum: sha256";
    fs::remove_file(shelf.path().join("d.log")).expect("a file");
    let without = "backup.checksum: nothing says what the checksum of c.dump is: neither c.dump.sha256 nor SHA256SUMS";
    assert_eq!(told(look(&shelf, verified).await), without);
    sums(&shelf, &["a.dump", "c.dump"], "SHA256SUMS");
    let seen = look(&shelf, verified).await.expect("it is what it was");
    assert_eq!(
        (&seen.facts["count"], &seen.facts["newest"]),
        (&3.into(), &"c.dump".into()),
        "checksums are no backups"
    );
    sums(&shelf, &["a.dump"], "c.dump.sha256");
    let other = "backup.checksum: c.dump is not what c.dump.sha256 says: its SHA-256 is another";
    assert_eq!(told(look(&shelf, verified).await), other);
    sums(&shelf, &["c.dump"], "c.dump.sha256");
    look(&shelf, verified).await.expect("it is what it was");
}

#[tokio::test]
async fn what_cannot_be_read_is_our_own_fault() {
    let shelf = tempfile::tempdir().expect("a directory");
    assert_eq!(told(look(&shelf, "").await), "backup.missing: there is no backup of DIR from the last 30 d");
    let gone = tempfile::tempdir().expect("a directory");
    fs::remove_dir(gone.path()).expect("a directory");
    assert_eq!(told(look(&gone, "").await), "local.setup: DIR cannot be read: No such file or directory (os error 2)");
}
