//! `unnoticed:` what drills need not find: places of an observation, each with the reason why nothing notices them.

use std::collections::BTreeMap;

use crate::domain::expression::Names;
use crate::domain::mutant::Unnoticed;
use crate::domain::names::glob;
use crate::ports::Kind;
use crate::settings::{Problems, Spanned, suggest};

/// Places and reasons as they are written.
pub type RawUnnoticed = BTreeMap<Spanned<String>, Spanned<String>>;

/// What of a step nothing has to notice: what is written with it, then what holds for every step.
pub fn of_step(own: &RawUnnoticed, all: &RawUnnoticed, kind: &Kind, problems: &mut Problems) -> Vec<Unnoticed> {
    let names = (kind.names)();
    let mut made = Vec::new();
    for (pattern, reason) in own {
        check_reason(pattern, reason, problems);
        let root = root(pattern);
        if !sees(&names, root) {
            let message = format!("a step of kind `{}` sees no `{root}`", kind.name);
            problems.error(pattern.span.clone(), message).help =
                suggest(root, names.iter().map(|name| name.name.as_ref()));
        }
        let at = format!("{}:{}", pattern.span.source.path.display(), pattern.span.line_column().0);
        made.push(unnoticed(pattern, reason, Some(at)));
    }
    let of_kind = all.iter().filter(|(pattern, _)| sees(&names, root(pattern)));
    made.extend(of_kind.map(|(pattern, reason)| unnoticed(pattern, reason, None)));
    made
}

/// Says what is wrong with those that hold for every step.
pub fn check_defaults(all: &RawUnnoticed, kinds: &[Kind], problems: &mut Problems) {
    for (pattern, reason) in all {
        check_reason(pattern, reason, problems);
        let root = root(pattern);
        if !kinds.iter().any(|kind| sees(&(kind.names)(), root)) {
            problems.error(pattern.span.clone(), format!("no kind of step sees a `{root}`")).help =
                Some("write a name that expressions use, like `headers.*`".to_owned());
        }
    }
}

fn check_reason(pattern: &Spanned<String>, reason: &Spanned<String>, problems: &mut Problems) {
    if reason.value.trim().is_empty() {
        problems.error(reason.span.clone(), format!("nothing says why `{}` need not be noticed", pattern.value)).help =
            Some("write the reason: the next one who reads this was not there".to_owned());
    }
}

fn unnoticed(pattern: &Spanned<String>, reason: &Spanned<String>, written_at: Option<String>) -> Unnoticed {
    Unnoticed { pattern: pattern.value.clone(), reason: reason.value.clone(), written_at }
}

/// The name in scope with which a pattern begins.
fn root(pattern: &str) -> &str {
    pattern.split('.').next().unwrap_or_default()
}

fn sees(names: &Names, root: &str) -> bool {
    names.iter().any(|name| glob(root, &name.name))
}
