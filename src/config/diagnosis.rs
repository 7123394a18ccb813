//! Which probes explain an incident, as written: each must be there, and only look.

use std::collections::{BTreeMap, BTreeSet};

use super::probes::WrittenProbe;
use crate::domain::names::ProbeName;
use crate::settings::{Problems, Spanned, suggest};

/// Whoever reads more at night reads none.
const DIAGNOSES_MAX: usize = 8;

/// What is known of probes where a list of them is read.
#[derive(Clone, Copy)]
pub struct Known<'a> {
    /// All probes.
    pub probes: &'a BTreeMap<ProbeName, WrittenProbe>,
    /// The names whose probe has mistakes of its own.
    pub broken: &'a BTreeSet<String>,
    /// Whether there are probes that could not be read.
    pub lost: bool,
}

/// Checks a list; `of` is the probe that has it, where one does.
pub fn check(written: &[Spanned<ProbeName>], of: Option<&ProbeName>, known: Known<'_>, problems: &mut Problems) {
    if let Some(excess) = written.get(DIAGNOSES_MAX) {
        problems.error(excess.span.clone(), format!("at most {DIAGNOSES_MAX} probes explain an incident"));
    }
    for name in written {
        if of == Some(&name.value) {
            problems.error(name.span.clone(), format!("`{}` explains itself", name.value)).help =
                Some("name probes that look at what it stands on".to_owned());
            continue;
        }
        match known.probes.get(&name.value) {
            Some(probe) if !probe.probe.cleanup.is_empty() => {
                let problem = problems.error(name.span.clone(), format!("`{}` does more than look", name.value));
                problem.help = Some("a probe with a cleanup changes something: name one that only reads".to_owned());
            }
            None if !known.lost && !known.broken.contains(name.value.as_str()) => {
                problems.error(name.span.clone(), format!("there is no probe `{}`", name.value)).help =
                    suggest(name.value.as_str(), known.probes.keys().map(ProbeName::as_str).collect::<Vec<_>>());
            }
            Some(_) | None => {}
        }
    }
}
