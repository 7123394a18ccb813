//! Instants, lengths, names and JSON as columns. Instants are whole microseconds since 1970 in UTC, lengths are whole
//! microseconds; what is finer is cut off.

use std::time::Duration;

use chrono::DateTime;
use rusqlite::types::Type;
use rusqlite::{Error, Result, Row};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::domain::judge::Aspect;
use crate::domain::time::Timestamp;

/// A value in a column that is not what this program puts there.
#[derive(Debug, thiserror::Error)]
#[error("the column `{column}` holds what cannot be read: {reason}")]
struct Misread {
    column: &'static str,
    reason: String,
}

/// An instant as a column.
pub fn micros(at: Timestamp) -> i64 {
    at.timestamp_micros()
}

/// A length of time as a column.
pub fn length(length: Duration) -> i64 {
    i64::try_from(length.as_micros()).unwrap_or(i64::MAX)
}

/// A count as a column.
pub fn count(count: u64) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

/// A count from a column.
pub fn to_count(row: &Row<'_>, column: &'static str) -> Result<u64> {
    read(column, u64::try_from(row.get::<_, i64>(column)?))
}

/// Anything as a column of JSON.
pub fn json<T: Serialize>(value: &T) -> Result<String> {
    serde_json::to_string(value).map_err(|error| Error::ToSqlConversionFailure(Box::new(error)))
}

/// The value, or the complaint that its column cannot be read.
pub fn read<T, E: ToString>(column: &'static str, value: std::result::Result<T, E>) -> Result<T> {
    value.map_err(|reason| {
        let misread = Misread { column, reason: reason.to_string() };
        // This number is how rusqlite itself says that the error stands without a column's number.
        Error::FromSqlConversionFailure(usize::MAX, Type::Text, Box::new(misread))
    })
}

/// An instant from a column.
pub fn instant(row: &Row<'_>, column: &'static str) -> Result<Timestamp> {
    let micros: i64 = row.get(column)?;
    read(column, to_instant(micros).ok_or("not an instant"))
}

/// The instant of so many microseconds.
pub fn to_instant(micros: i64) -> Option<Timestamp> {
    DateTime::from_timestamp_micros(micros)
}

/// A length of time from a column.
pub fn to_length(row: &Row<'_>, column: &'static str) -> Result<Duration> {
    let micros: i64 = row.get(column)?;
    read(column, u64::try_from(micros).map(Duration::from_micros))
}

/// A name, or anything else that is parsed, from a column.
pub fn parsed<T: std::str::FromStr<Err: ToString>>(row: &Row<'_>, column: &'static str) -> Result<T> {
    let text: String = row.get(column)?;
    read(column, text.parse())
}

/// In which way a probe is bad, from the column `aspect`.
pub fn aspect(row: &Row<'_>) -> Result<Aspect> {
    let word: String = row.get("aspect")?;
    read("aspect", Aspect::ALL.into_iter().find(|known| known.as_str() == word).ok_or("not an aspect"))
}

/// A value from a column of JSON.
pub fn from_json<T: DeserializeOwned>(row: &Row<'_>, column: &'static str) -> Result<T> {
    let text: String = row.get(column)?;
    read(column, serde_json::from_str(&text))
}
