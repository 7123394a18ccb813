//! Backups that are files: in a directory of this machine, or in one that is mounted from elsewhere.

use std::fs::{self, DirEntry};
use std::io;
use std::path::{Path, PathBuf};

use super::checksum::{self, is_beside};
use super::history::{Backup, History};
use super::lane::{Awaited, Lane};
use crate::domain::exchange::Exchange;
use crate::domain::fact_map::FactMap;
use crate::domain::names::glob;
use crate::domain::outcome::{Failure, FailureKind};
use crate::domain::time::Timestamp;
use crate::ports::StepContext;

use super::prober::Window;

/// The most entries that are looked at: beyond it the directory is no shelf of backups.
const ENTRIES_MAX: usize = 100_000;

/// Files below a directory.
pub struct Directory {
    /// Where.
    pub path: PathBuf,
    /// Which: a glob for each level, so that `*/*.dump` looks into the directories of `path`.
    pub pattern: Vec<String>,
    /// Whether the SHA-256 of the newest is compared with what is written beside it.
    pub is_verified: bool,
    /// One look at a time.
    pub lane: Lane,
}

impl Directory {
    /// Looks through it.
    pub async fn look(&self, cx: &StepContext<'_>, window: Window) -> Result<FactMap, Failure> {
        let what = self.path.display().to_string();
        let search = Search { root: self.path.clone(), pattern: self.pattern.clone() };
        let (is_verified, name) = (self.is_verified, what.clone());
        let looked = self.lane.look(cx, &what, move |awaited| {
            let found = search.files(awaited)?;
            let history = History::of(found, &name, window.over, window.now)?;
            if let Some(newest) = history.newest().filter(|_| is_verified) {
                checksum::verify(&search.root.join(&newest.name), awaited)?;
            }
            Ok(history.facts())
        });
        let looked = looked.await;
        record(cx, &what, &self.pattern.join("/"), &looked);
        looked
    }
}

/// What was found stands for what was received: nothing is sent.
fn record(cx: &StepContext<'_>, what: &str, pattern: &str, looked: &Result<FactMap, Failure>) {
    let sent = format!("{what}/{pattern}");
    let received = match looked {
        Ok(facts) => facts.iter().map(|(name, value)| format!("{name}: {value}")).collect::<Vec<_>>().join("\n"),
        Err(failure) => failure.message.clone(),
    };
    cx.recorder.add(move || Exchange { sent, received, ..Exchange::default() });
}

/// A search on the thread that may block.
struct Search {
    root: PathBuf,
    pattern: Vec<String>,
}

impl Search {
    /// The plain files that fit, each by its path from the root. Links are not followed: one to the newest would be it twice,
    /// and one upwards would have no end.
    fn files(&self, awaited: &Awaited) -> Result<Vec<Backup>, Failure> {
        let (mut files, mut seen) = (Vec::new(), 0);
        let mut open = vec![(self.root.clone(), 0)];
        while let Some((directory, depth)) = open.pop() {
            let Some(pattern) = self.pattern.get(depth) else { continue };
            let unreadable = |error: io::Error| unreadable(&directory, &error);
            for entry in fs::read_dir(&directory).map_err(unreadable)? {
                let entry = entry.map_err(unreadable)?;
                seen += 1;
                if seen > ENTRIES_MAX {
                    let message = format!("there are more than {ENTRIES_MAX} entries in {}", self.root.display());
                    return Err(Failure::new(FailureKind::LocalSetup, message));
                }
                if !awaited.is_so() {
                    return Err(Failure::new(FailureKind::TimeoutTotal, "nobody waits for it any more"));
                }
                let name = entry.file_name();
                let name = name.to_string_lossy();
                if !glob(pattern, &name) || is_beside(&name) {
                    continue;
                }
                let is_last = depth + 1 == self.pattern.len();
                let kind = entry.file_type().map_err(unreadable)?;
                if is_last && kind.is_file() {
                    files.extend(self.backup(&entry).map_err(unreadable)?);
                } else if !is_last && kind.is_dir() {
                    open.push((entry.path(), depth + 1));
                }
            }
        }
        Ok(files)
    }

    /// Nothing for one that is gone by now: old backups are put away while we look.
    fn backup(&self, entry: &DirEntry) -> io::Result<Option<Backup>> {
        let metadata = match entry.metadata() {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            metadata => metadata?,
        };
        let path = entry.path();
        let name = path.strip_prefix(&self.root).unwrap_or(&path).to_string_lossy().into_owned();
        let at = Timestamp::from(metadata.modified()?);
        Ok(Some(Backup { name, at, size_bytes: Some(metadata.len()), kept_days: None }))
    }
}

/// That we cannot read is our own fault, and says nothing of the backups.
pub fn unreadable(path: &Path, error: &io::Error) -> Failure {
    let kind = match error.kind() {
        io::ErrorKind::PermissionDenied => FailureKind::LocalPermission,
        _ => FailureKind::LocalSetup,
    };
    Failure::new(kind, format!("{} cannot be read: {error}", path.display()))
}
