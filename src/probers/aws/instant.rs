//! Instants as answers of AWS have them.

use std::time::Duration;

use chrono::DateTime;
use serde_json::Value;

use crate::domain::time::{Timestamp, later};

/// An instant: seconds since 1970 in JSON, RFC 3339 or the form of HTTP in XML and headers.
pub fn instant(value: &Value) -> Option<Timestamp> {
    match value {
        Value::Number(seconds) => {
            let since = Duration::try_from_secs_f64(seconds.as_f64()?).ok()?;
            let at = later(DateTime::UNIX_EPOCH, since);
            (at > DateTime::UNIX_EPOCH || since.is_zero()).then_some(at)
        }
        Value::String(text) => {
            let http = || DateTime::parse_from_rfc2822(text).ok().map(|at| at.to_utc());
            text.parse().ok().or_else(http)
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn instants_are_read_as_answers_have_them() {
        let at: Timestamp = "2026-11-26T12:00:00.500Z".parse().unwrap();
        let whole: Timestamp = "2026-11-26T12:00:00Z".parse().unwrap();
        for (value, expected) in [
            (json!(1_795_694_400.5), Some(at)),
            (json!(whole.timestamp()), Some(whole)),
            (json!("2026-11-26T12:00:00.500Z"), Some(at)),
            (json!("Thu, 26 Nov 2026 12:00:00 GMT"), Some(whole)),
            (json!("soon"), None),
            (json!(-1), None),
            (json!(1e300), None),
            (json!(1e17), None),
            (Value::Null, None),
        ] {
            assert_eq!(instant(&value), expected, "{value}");
        }
    }
}
