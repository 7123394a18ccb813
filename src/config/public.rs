//! The page that everybody may see.

use std::collections::BTreeSet;

use super::raw::RawPublic;
use super::schedules::{Scheduling, chosen};
use crate::domain::names::ProbeName;
use crate::engine::plan::PublicPlan;
use crate::settings::{Problems, Spanned};

/// Where it is.
const PATH: &str = "/public";

/// The label by which a probe says what it is called there.
const TITLE: &str = "title";

/// The longest title, and the longest path.
const TEXT_MAX: usize = 100;

/// Reads it; nothing where something of it is wrong.
pub fn public(raw: &RawPublic, all: &Scheduling<'_>, problems: &mut Problems) -> Option<PublicPlan> {
    let before = problems.len();
    let title = raw.title.value.trim();
    if title.is_empty() || title.chars().count() > TEXT_MAX || title.chars().any(char::is_control) {
        problems.error(raw.title.span.clone(), format!("a title is one line of 1 to {TEXT_MAX} characters")).help =
            Some("write what everybody knows the system by, like `title: The shop`".to_owned());
    }
    let path = raw.path.as_ref().map_or(PATH, |path| path.value.as_str());
    if let Some(written) = &raw.path {
        check_path(written, problems);
    }
    if raw.probes.value.is_empty() {
        problems.error(raw.probes.span.clone(), "a public page without a probe says nothing").help =
            Some("name some, like `probes: [api-health, \"label:public=yes\"]`".to_owned());
    }
    let (mut seen, mut probes) = (BTreeSet::<ProbeName>::new(), Vec::new());
    for selector in raw.probes.value.iter() {
        // What runs only on request is shown where somebody names it.
        let is_named = !selector.value.contains('*') && !selector.value.starts_with("label:");
        for probe in chosen(selector, all, problems).into_iter().filter(|probe| is_named || !probe.probe.on_request) {
            // In the order in which they are named, each once.
            if seen.insert(probe.probe.name.clone()) {
                let title = probe.probe.labels.get(TITLE).map_or(probe.probe.name.as_str(), |title| title.trim());
                probes.push((probe.probe.name.clone(), title.to_owned()));
            }
        }
    }
    (problems.len() == before).then(|| PublicPlan { title: title.to_owned(), path: path.to_owned(), probes })
}

fn check_path(written: &Spanned<String>, problems: &mut Problems) {
    let path = written.value.as_str();
    let is_part = |part: &str| {
        let is_letter = |letter: char| letter.is_ascii_alphanumeric() || "-_.".contains(letter);
        !part.is_empty() && part.chars().all(is_letter) && !part.starts_with('.')
    };
    let parts = path.strip_prefix('/').filter(|_| path.len() <= TEXT_MAX);
    match parts {
        Some(parts) if !parts.split('/').all(is_part) => {}
        None => {}
        Some(parts) if parts.split('/').next().is_some_and(|first| PublicPlan::TAKEN.contains(&first)) => {
            problems.error(written.span.clone(), format!("`{path}` is a path of Roundsman's own")).help =
                Some(format!("choose another, like `{PATH}`"));
            return;
        }
        Some(_) => return,
    }
    problems.error(written.span.clone(), format!("`{path}` is not the path of a page")).help =
        Some(format!("write it like `{PATH}` or `/status/shop`: letters, digits, `-`, `_` and `.` between slashes"));
}
