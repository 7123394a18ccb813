//! Office hours as written, with their time zone.

use chrono_tz::Tz;

use super::schedules::zone;
use crate::domain::hours::Hours;
use crate::settings::{Problems, Spanned};

/// The hours, where they are written and right.
pub fn hours(
    written: Option<&Spanned<String>>,
    timezone: Option<&Spanned<String>>,
    problems: &mut Problems,
) -> Option<Hours> {
    let timezone = timezone.map_or(Some(Tz::UTC), |timezone| zone(timezone, problems))?;
    let written = written?;
    let read = Hours::parse(&written.value, timezone);
    read.map_err(|error| {
        problems.error(written.span.clone(), error.to_string()).help =
            Some("write it like `mon-fri 09:00-17:00` or `sat,sun 10:00-24:00`".to_owned());
    })
    .ok()
}

/// A time zone with no hours that would be in it.
pub fn check_timezone(key: &str, timezone: Option<&Spanned<String>>, has_hours: bool, problems: &mut Problems) {
    if let Some(timezone) = timezone.filter(|_| !has_hours) {
        problems.error(timezone.span.clone(), format!("only `{key}` has a time zone")).help =
            Some("remove it".to_owned());
    }
}
