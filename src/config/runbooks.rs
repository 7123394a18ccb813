//! Runbooks as written: a URL, or a file beside the configuration, whose text then stands on the page of an incident.

use std::collections::BTreeMap;
use std::path::{Component, Path};
use std::sync::Arc;

use crate::settings::{Problems, Spanned};

/// The largest runbook: a text that somebody reads at night.
const BYTES_MAX: u64 = 256 * 1024;

/// The texts of those that are files, by what is written.
pub fn runbooks<'a>(
    written: impl Iterator<Item = &'a Spanned<String>>,
    directory: &Path,
    problems: &mut Problems,
) -> BTreeMap<String, Arc<str>> {
    let mut texts = BTreeMap::new();
    for runbook in written {
        if is_url(&runbook.value) || texts.contains_key(&runbook.value) {
            continue;
        }
        match text(&runbook.value, directory) {
            Ok(text) => {
                texts.insert(runbook.value.clone(), Arc::from(text));
            }
            Err(why) => {
                let problem = problems.error(runbook.span.clone(), why);
                problem.help = Some(
                    "write an `https://` URL, or the path of a Markdown file from the configuration's directory"
                        .to_owned(),
                );
            }
        }
    }
    texts
}

fn is_url(text: &str) -> bool {
    ["http://", "https://"].iter().any(|scheme| text.starts_with(scheme)) && text.parse::<url::Url>().is_ok()
}

fn text(written: &str, directory: &Path) -> Result<String, String> {
    let path = Path::new(written);
    if written.contains("://") {
        return Err(format!("`{written}` is not a URL that a browser opens"));
    }
    if written.is_empty() || !path.components().all(|part| matches!(part, Component::Normal(_))) {
        return Err(format!("the runbook `{written}` is not a file of the configuration"));
    }
    let failed = |error: std::io::Error| match error.kind() {
        std::io::ErrorKind::NotFound => format!("there is no runbook `{written}`"),
        _ => format!("the runbook `{written}` cannot be read: {error}"),
    };
    let place = directory.join(path);
    let about = place.metadata().map_err(failed)?;
    if !about.is_file() {
        return Err(format!("the runbook `{written}` is not a file"));
    }
    if about.len() > BYTES_MAX {
        return Err(format!("the runbook `{written}` is larger than {} KiB", BYTES_MAX / 1024));
    }
    std::fs::read_to_string(place).map_err(failed)
}
