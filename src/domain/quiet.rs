//! Why a message is not sent: a reason, not a bool. Quiet suppresses the message, never the probing and never the state.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::names::ProbeName;
use super::time::Timestamp;

/// Why nobody is told.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reason {
    /// A probe that this one needs is failing.
    Needs(ProbeName),
}

impl Reason {
    /// When it ends by itself, where a clock ends it.
    pub fn until(&self) -> Option<Timestamp> {
        match self {
            Self::Needs(_) => None,
        }
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Needs(probe) => write!(f, "needs {probe}, which is failing"),
        }
    }
}

/// Why there is to be quiet about a probe now: the first that it needs and that is not well.
pub fn why_quiet(needs: &[ProbeName], is_failing: impl Fn(&ProbeName) -> bool) -> Option<Reason> {
    needs.iter().find(|probe| is_failing(probe)).cloned().map(Reason::Needs)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_reason_names_who_is_failing() {
        let needs = [ProbeName::parse("a").unwrap(), ProbeName::parse("b").unwrap()];
        let reason = why_quiet(&needs, |probe| probe.as_str() == "b");
        assert_eq!(reason.unwrap().to_string(), "needs b, which is failing");
        assert_eq!(why_quiet(&needs, |_| false), None);
    }
}
