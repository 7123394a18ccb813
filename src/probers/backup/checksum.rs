//! Whether a file is what it was when it was made: its SHA-256 beside what is written of it in a file next to it.

use std::fs::File;
use std::io::{self, Read as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use nix::libc;
use sha2::{Digest as _, Sha256};

use super::directory::unreadable;
use super::lane::Awaited;
use crate::domain::outcome::{Failure, FailureKind};
use crate::domain::text::hex;

/// What a file is called that has the checksum of one other: that one's name, and this.
const BESIDE: &str = ".sha256";

/// A file that has the checksums of all others of its directory, as `sha256sum * > SHA256SUMS` writes it.
const MANIFEST: &str = "SHA256SUMS";

/// The largest file of checksums that is read, in bytes: some hundred thousand lines.
const SUMS_BYTES_MAX: u64 = 16 * 1024 * 1024;

/// How much is read at once, in bytes.
const CHUNK_BYTES: usize = 1024 * 1024;

/// Whether a file is no backup and stands beside some.
pub fn is_beside(name: &str) -> bool {
    name.ends_with(BESIDE) || name == MANIFEST
}

/// Compares the bytes of a file with what is written of them: in the file of its name and `.sha256`, else in `SHA256SUMS`.
pub fn verify(path: &Path, awaited: &Awaited) -> Result<(), Failure> {
    let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let damaged = |message: String| Failure::new(FailureKind::BackupChecksum, message);
    let Some((written, place)) = written(path, &name)? else {
        return Err(damaged(format!(
            "nothing says what the checksum of {name} is: neither {name}{BESIDE} nor {MANIFEST}"
        )));
    };
    let file = open(path).map_err(|error| unreadable(path, &error))?;
    let seen = digest(file, awaited).map_err(|error| unreadable(path, &error))?;
    if seen == written {
        return Ok(());
    }
    Err(damaged(format!("{name} is not what {place} says: its SHA-256 is another")).with(written, seen))
}

/// What is written of the file, and in which.
fn written(path: &Path, name: &str) -> Result<Option<(String, String)>, Failure> {
    let mut beside = path.as_os_str().to_owned();
    beside.push(BESIDE);
    for (place, alone) in [(PathBuf::from(beside), true), (path.with_file_name(MANIFEST), false)] {
        let mut text = String::new();
        let read = open(&place).and_then(|file| file.take(SUMS_BYTES_MAX).read_to_string(&mut text));
        match read {
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            Err(error) => return Err(unreadable(&place, &error)),
            Ok(_) => {}
        }
        if let Some(digest) = text.lines().find_map(|line| digest_of(line, name, alone)) {
            let place = place.file_name().unwrap_or_default().to_string_lossy().into_owned();
            return Ok(Some((digest, place)));
        }
    }
    Ok(None)
}

/// The digest of a line of `sha256sum` about that file; where the file of checksums is of one file `alone`, the name may be
/// another or not there.
fn digest_of(line: &str, name: &str, alone: bool) -> Option<String> {
    let (digest, rest) = line.split_at_checked(64)?;
    let of = rest.trim_start().trim_start_matches('*').trim_end().trim_start_matches("./");
    let is_of_it = rest.is_empty() || rest.starts_with(char::is_whitespace);
    let is_digest = digest.bytes().all(|byte| byte.is_ascii_hexdigit());
    (is_digest && is_of_it && (alone || of == name)).then(|| digest.to_ascii_lowercase())
}

/// Opens a plain file and nothing else: a pipe would be waited for until its other end is opened.
fn open(path: &Path) -> io::Result<File> {
    let file = File::options().read(true).custom_flags(libc::O_NONBLOCK | libc::O_NOFOLLOW).open(path)?;
    if file.metadata()?.is_file() { Ok(file) } else { Err(io::Error::other("it is not a plain file")) }
}

/// Ends early, with an error, when nobody waits for it any more.
fn digest(mut file: File, awaited: &Awaited) -> io::Result<String> {
    let (mut hash, mut chunk) = (Sha256::new(), vec![0; CHUNK_BYTES]);
    loop {
        if !awaited.is_so() {
            return Err(io::ErrorKind::TimedOut.into());
        }
        match file.read(&mut chunk)? {
            0 => return Ok(hex(&hash.finalize())),
            length => hash.update(&chunk[..length]),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_checksums_are_read_as_their_programs_write_them() {
        let digest = "ab".repeat(32);
        for (line, alone, is_read) in [
            (format!("{digest}  a.dump"), false, true),
            (format!("{digest} *a.dump"), false, true),
            (format!("{digest}  ./a.dump"), false, true),
            (format!("{}  a.dump\r", digest.to_uppercase()), false, true),
            (format!("{digest}  b.dump"), false, false),
            (format!("{digest}  b.dump"), true, true),
            (digest.clone(), true, true),
            (digest.clone(), false, false),
            (format!("{digest}0  a.dump"), true, false),
            (format!("{}  a.dump", "zz".repeat(32)), true, false),
            ("ü".repeat(40), true, false),
            (String::new(), true, false),
        ] {
            assert_eq!(digest_of(&line, "a.dump", alone), is_read.then(|| digest.clone()), "{line}");
        }
    }
}
