//! Settings that are numbers with a least and a most.

use std::ops::RangeInclusive;

use crate::settings::{Problems, Spanned};

/// The number that was written, or the default; one outside of the range is a problem.
pub fn number(
    field: &str,
    written: Option<&Spanned<u64>>,
    range: RangeInclusive<u64>,
    default: u64,
    problems: &mut Problems,
) -> u64 {
    let Some(written) = written else { return default };
    if !range.contains(&written.value) {
        let message = format!("`{field}` is from {} to {}, not {}", range.start(), range.end(), written.value);
        problems.error(written.span.clone(), message);
    }
    written.value
}
