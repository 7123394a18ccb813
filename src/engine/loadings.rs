//! How the configuration was loaded: since when what runs is in force, what the last reload changed, and why one was refused
//! since. The log says it once; whoever looks later finds it here.

use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use crate::domain::time::Timestamp;

/// How many lines of a reload are kept; the log has all of them.
const LINES_MAX: usize = 100;

/// Lines, of which only the first are kept.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Lines {
    /// The first of them.
    pub first: Vec<String>,
    /// How many more there were.
    pub more: usize,
}

impl Lines {
    fn of(mut lines: Vec<String>) -> Self {
        let more = lines.len().saturating_sub(LINES_MAX);
        lines.truncate(LINES_MAX);
        Self { first: lines, more }
    }
}

/// What is known of it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Loading {
    /// The directory of the files.
    pub directory: PathBuf,
    /// When the process loaded them first; nothing before that.
    pub began_at: Option<Timestamp>,
    /// When it loaded them again last, and what was changed by that.
    pub reloaded: Option<(Timestamp, Lines)>,
    /// When it refused them since, and what was wrong with them: `path:line:column: message`.
    pub refused: Option<(Timestamp, Lines)>,
}

/// What the daemon writes down and pages read.
#[derive(Default)]
pub struct Loadings(Mutex<Loading>);

impl Loadings {
    /// The files were loaded when the process began.
    pub fn begin(&self, directory: &Path, now: Timestamp) {
        let begun = Loading { directory: directory.to_owned(), began_at: Some(now), ..Loading::default() };
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = begun;
    }

    /// They were loaded again and are in force, with these changes.
    pub fn take(&self, changes: Vec<String>, now: Timestamp) {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        (known.reloaded, known.refused) = (Some((now, Lines::of(changes))), None);
    }

    /// They were refused whole, and what ran goes on.
    pub fn refuse(&self, problems: Vec<String>, now: Timestamp) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).refused = Some((now, Lines::of(problems)));
    }

    /// What is known.
    pub fn known(&self) -> Loading {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::testing::at;

    #[test]
    fn what_was_refused_stands_until_something_is_taken() {
        let loadings = Loadings::default();
        loadings.begin(Path::new("/etc/shop"), at("2026-11-24T09:00:00Z"));
        loadings.refuse(vec!["probes/shop.yaml:3:1: wrong".to_owned(); 130], at("2026-11-24T09:10:00Z"));
        let (when, lines) = loadings.known().refused.unwrap();
        assert_eq!((when, lines.first.len(), lines.more), (at("2026-11-24T09:10:00Z"), 100, 30));
        assert_eq!(loadings.known().reloaded, None, "what runs is what ran");
        loadings.take(vec!["probe home changed".to_owned()], at("2026-11-24T09:20:00Z"));
        let known = loadings.known();
        assert_eq!((known.refused, known.began_at), (None, Some(at("2026-11-24T09:00:00Z"))));
        assert_eq!(known.reloaded.unwrap().1.first, ["probe home changed"]);
    }
}
