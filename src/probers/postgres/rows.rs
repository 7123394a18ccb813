//! What a query gave, as JSON: numbers and truth by their type, everything else as the text that the server writes.

use serde_json::{Map, Number, Value};

use super::messages::Body;
use crate::domain::outcome::{Failure, FailureKind};
use crate::probers::connection::{invalid, text_or_hex, too_large};

/// More rows are a failure: who wants to know how many there are counts them.
pub const ROWS_MAX: usize = 100;
/// More than this is a failure, in bytes of values and names.
const BYTES_MAX: usize = 64 * 1024;
/// A query may give so many columns: PostgreSQL's own limit.
const COLUMNS_MAX: usize = 1_664;

/// The rows, each a map from column to value.
#[derive(Debug, Default, PartialEq)]
pub struct Rows(pub Vec<Value>);

/// A column as it was described.
pub struct Column {
    name: String,
    /// The object id of its type; those of built-in types never change.
    type_id: i32,
}

/// Collects rows.
#[derive(Default)]
pub struct Collector {
    columns: Vec<Column>,
    rows: Rows,
    bytes: usize,
}

impl Collector {
    /// Takes a `RowDescription`.
    pub fn describe(&mut self, mut body: Body) -> Result<(), Failure> {
        let count = usize::try_from(body.short()?).unwrap_or_default();
        if count > COLUMNS_MAX {
            return Err(invalid(format!("the server announces {count} columns")));
        }
        self.columns.clear();
        for _ in 0..count {
            let name = body.text()?;
            // The table and the column within it.
            body.take(6)?;
            let type_id = body.long()?;
            // The type's size and modifier, and the format.
            body.take(8)?;
            self.columns.push(Column { name, type_id });
        }
        Ok(())
    }

    /// Takes a `DataRow`.
    pub fn add(&mut self, mut body: Body) -> Result<(), Failure> {
        if self.rows.0.len() == ROWS_MAX {
            return Err(too_many());
        }
        let count = usize::try_from(body.short()?).unwrap_or_default();
        if count != self.columns.len() {
            return Err(invalid(format!("a row has {count} values for {} columns", self.columns.len())));
        }
        let mut row = Map::new();
        for column in &self.columns {
            let length = body.long()?;
            let value = match usize::try_from(length) {
                Ok(length) => {
                    self.bytes += length;
                    value(&body.take(length)?, column.type_id)
                }
                Err(_) if length == -1 => Value::Null,
                Err(_) => return Err(invalid("a value of a row has a negative length")),
            };
            self.bytes += column.name.len();
            if self.bytes > BYTES_MAX {
                return Err(too_large(BYTES_MAX));
            }
            row.insert(column.name.clone(), value);
        }
        self.rows.0.push(Value::Object(row));
        Ok(())
    }

    /// The rows that came.
    pub fn rows(self) -> Rows {
        self.rows
    }
}

/// The failure of a query that gives more rows than are kept.
pub fn too_many() -> Failure {
    Failure::new(FailureKind::BodyTooLarge, format!("the query gives more than {ROWS_MAX} rows"))
}

/// The object ids of `pg_type.dat`.
mod type_id {
    pub(super) const BOOL: i32 = 16;
    pub(super) const INT8: i32 = 20;
    pub(super) const INT2: i32 = 21;
    pub(super) const INT4: i32 = 23;
    pub(super) const OID: i32 = 26;
    pub(super) const JSON: i32 = 114;
    pub(super) const FLOAT4: i32 = 700;
    pub(super) const FLOAT8: i32 = 701;
    pub(super) const NUMERIC: i32 = 1700;
    pub(super) const JSONB: i32 = 3802;
}

fn value(bytes: &[u8], of: i32) -> Value {
    let text = || std::str::from_utf8(bytes).ok();
    let typed = match of {
        type_id::BOOL => match bytes {
            b"t" => Some(Value::Bool(true)),
            b"f" => Some(Value::Bool(false)),
            _ => None,
        },
        type_id::INT2 | type_id::INT4 | type_id::INT8 | type_id::OID => {
            text().and_then(|text| text.parse::<i64>().ok()).map(Value::from)
        }
        // `NaN` and `Infinity` are no numbers of JSON, and stay texts.
        type_id::FLOAT4 | type_id::FLOAT8 => text().and_then(decimal),
        type_id::NUMERIC => text().and_then(|text| text.parse::<i64>().map(Value::from).ok().or_else(|| decimal(text))),
        type_id::JSON | type_id::JSONB => serde_json::from_slice(bytes).ok(),
        _ => None,
    };
    typed.unwrap_or_else(|| text_or_hex(bytes))
}

fn decimal(text: &str) -> Option<Value> {
    Number::from_f64(text.parse().ok()?).map(Value::Number)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn values_have_the_type_of_their_column() {
        for (text, of, expected) in [
            ("t", type_id::BOOL, json!(true)),
            ("-7", type_id::INT4, json!(-7)),
            ("9223372036854775807", type_id::INT8, json!(i64::MAX)),
            ("0.5", type_id::FLOAT8, json!(0.5)),
            ("NaN", type_id::FLOAT8, json!("NaN")),
            ("Infinity", type_id::NUMERIC, json!("Infinity")),
            ("12", type_id::NUMERIC, json!(12)),
            ("12.50", type_id::NUMERIC, json!(12.5)),
            ("{\"a\": [1]}", type_id::JSONB, json!({ "a": [1] })),
            ("2026-11-25 12:00:00+00", 1184, json!("2026-11-25 12:00:00+00")),
            ("007", 25, json!("007")),
        ] {
            assert_eq!(value(text.as_bytes(), of), expected, "{text}");
        }
        assert_eq!(value(b"\xff", 25), json!({ "hex": "ff" }));
    }

    #[test]
    fn a_row_that_lies_about_itself_is_a_failure() {
        let collector = || {
            let mut collector = Collector::default();
            collector.describe(Body::of(b"\0\x01a\0\0\0\0\0\0\0\0\0\0\x17\0\x04\xff\xff\xff\xff\0\0")).unwrap();
            collector
        };
        let mut good = collector();
        good.add(Body::of(b"\0\x01\0\0\0\x0242")).unwrap();
        good.add(Body::of(b"\0\x01\xff\xff\xff\xff")).unwrap();
        assert_eq!(good.rows(), Rows(vec![json!({ "a": 42 }), json!({ "a": null })]));
        for body in [
            b"\0\x02\0\0\0\x011\0\0\0\x011".as_slice(),
            b"\0\x01\0\0\0\x09short",
            b"\0\x01\xff\xff\xff\xfe",
            b"\0\x01\x7f\xff\xff\xff",
            b"\0",
        ] {
            assert_eq!(collector().add(Body::of(body)).unwrap_err().kind, FailureKind::ProtocolInvalid, "{body:?}");
        }
        assert!(Collector::default().describe(Body::of(b"\x7f\xff")).is_err());
        let mut full = collector();
        for _ in 0..ROWS_MAX {
            full.add(Body::of(b"\0\x01\0\0\0\x011")).unwrap();
        }
        assert_eq!(full.add(Body::of(b"\0\x01\0\0\0\x011")).unwrap_err().kind, FailureKind::BodyTooLarge);
    }
}
