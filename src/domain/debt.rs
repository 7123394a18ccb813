//! What a run owes its target: the cleanup of what it made there.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use super::expression::Expression;
use super::names::{CaptureName, ProbeName};
use super::outcome::RunId;
use super::time::Timestamp;

/// What a run may have left behind in its target, until its cleanup has put it away. What it captured is as good as a
/// secret, and not printed.
#[derive(Clone, PartialEq)]
pub struct Debt {
    /// The run.
    pub run: RunId,
    /// Its probe, whose cleanup is owed.
    pub probe: ProbeName,
    /// Those of its captures that the cleanup names.
    pub captures: BTreeMap<CaptureName, String>,
    /// When the run began.
    pub since: Timestamp,
    /// How often its cleanup has been performed.
    pub attempts: u32,
    /// When it is to be performed again; absent while the run goes on.
    pub due_at: Option<Timestamp>,
}

impl fmt::Debug for Debt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Debt({} of {}, {} attempts)", self.run, self.probe, self.attempts)
    }
}

/// Which captures a cleanup needs: those alone are journaled, since they are as good as secrets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Owing {
    /// These.
    Named(BTreeSet<CaptureName>),
    /// Any: an expression of the cleanup uses `captures` as a whole.
    All,
}

impl Default for Owing {
    fn default() -> Self {
        Self::Named(BTreeSet::new())
    }
}

impl Owing {
    /// Whether it needs this one.
    pub fn needs(&self, name: &CaptureName) -> bool {
        match self {
            Self::Named(names) => names.contains(name),
            Self::All => true,
        }
    }

    /// Needs this one too.
    pub fn add(&mut self, name: CaptureName) {
        if let Self::Named(names) = self {
            names.insert(name);
        }
    }

    /// Needs what another needs.
    pub fn merge(&mut self, other: &Self) {
        match other {
            Self::Named(names) => names.iter().for_each(|name| self.add(name.clone())),
            Self::All => *self = Self::All,
        }
    }

    /// Needs what an expression names.
    pub fn add_expression(&mut self, expression: &Expression) {
        for path in expression.references() {
            let Some(below) = path.strip_prefix("captures") else { continue };
            match below.strip_prefix('.').map(CaptureName::parse) {
                Some(Ok(name)) => self.add(name),
                None if !below.is_empty() => {} // a longer word that begins like it
                Some(Err(_)) | None => *self = Self::All,
            }
        }
    }
}
