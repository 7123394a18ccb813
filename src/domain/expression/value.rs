//! Values of expressions: JSON, except that whole numbers and decimals are one kind.

use std::borrow::Cow;
use std::cmp::Ordering;
use std::io;
use std::rc::Rc;

use serde::ser::{Serialize, SerializeMap, Serializer};
use serde_json::Value as Json;

use super::names::ValueKind;
use crate::domain::text::is_hidden;

/// How much of a value an explanation shows, in characters.
const SHOWN_MAX: usize = 200;
/// How much JSON is written before it is shortened: the longest escape makes six bytes of one.
const WRITTEN_MAX: usize = 4 * 1024;
/// 2⁶³ as a double: the first one above every `i64`.
const I64_END: f64 = 9_223_372_036_854_775_808.0;

/// A value. What was observed is borrowed, never copied.
#[derive(Clone, Debug)]
pub(super) enum Value<'a> {
    Null,
    Bool(bool),
    Int(i64),
    Double(f64),
    Text(Cow<'a, str>),
    /// A list that was observed.
    JsonList(&'a [Json]),
    /// A list that the expression made.
    List(Rc<[Value<'a>]>),
    /// An object that was observed.
    JsonMap(&'a serde_json::Map<String, Json>),
    /// An object that the expression made.
    Map(Rc<[(String, Value<'a>)]>),
}

impl<'a> From<&'a Json> for Value<'a> {
    fn from(json: &'a Json) -> Self {
        match json {
            Json::Null => Self::Null,
            Json::Bool(truth) => Self::Bool(*truth),
            // An integer beyond 64 bits becomes a double, so that it still compares.
            Json::Number(number) => {
                number.as_i64().map_or_else(|| Self::Double(number.as_f64().unwrap_or(f64::NAN)), Self::Int)
            }
            Json::String(text) => Self::Text(Cow::Borrowed(text)),
            Json::Array(list) => Self::JsonList(list),
            Json::Object(map) => Self::JsonMap(map),
        }
    }
}

impl Serialize for Value<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Null => serializer.serialize_unit(),
            Self::Bool(truth) => serializer.serialize_bool(*truth),
            Self::Int(number) => serializer.serialize_i64(*number),
            Self::Double(number) => serializer.serialize_f64(*number),
            Self::Text(text) => serializer.serialize_str(text),
            Self::JsonList(list) => list.serialize(serializer),
            Self::List(list) => serializer.collect_seq(list.iter()),
            Self::JsonMap(map) => map.serialize(serializer),
            Self::Map(entries) => {
                let mut map = serializer.serialize_map(Some(entries.len()))?;
                for (key, value) in entries.iter() {
                    map.serialize_entry(key, value)?;
                }
                map.end()
            }
        }
    }
}

impl<'a> Value<'a> {
    pub(super) fn kind(&self) -> ValueKind {
        match self {
            Self::Null => ValueKind::Null,
            Self::Bool(_) => ValueKind::Bool,
            Self::Int(_) | Self::Double(_) => ValueKind::Number,
            Self::Text(_) => ValueKind::Text,
            Self::JsonList(_) | Self::List(_) => ValueKind::List,
            Self::JsonMap(_) | Self::Map(_) => ValueKind::Map,
        }
    }

    /// The field of an object, or none where it is not there or this is no object.
    pub(super) fn field(&self, key: &str) -> Option<Value<'a>> {
        match self {
            Self::JsonMap(map) => map.get(key).map(Value::from),
            Self::Map(entries) => entries.iter().find(|(known, _)| known == key).map(|(_, value)| value.clone()),
            _ => None,
        }
    }

    /// The element of a list, or none where it is not there or this is no list.
    pub(super) fn element(&self, index: usize) -> Option<Value<'a>> {
        match self {
            Self::JsonList(list) => list.get(index).map(Value::from),
            Self::List(list) => list.get(index).cloned(),
            _ => None,
        }
    }

    /// How many elements or fields there are; none for what holds none.
    pub(super) fn length(&self) -> Option<usize> {
        match self {
            Self::JsonList(list) => Some(list.len()),
            Self::List(list) => Some(list.len()),
            Self::JsonMap(map) => Some(map.len()),
            Self::Map(entries) => Some(entries.len()),
            _ => None,
        }
    }

    /// The keys of an object, as values.
    pub(super) fn keys(&self) -> Vec<Value<'a>> {
        match self {
            Self::JsonMap(map) => map.keys().map(|key| Value::Text(Cow::Borrowed(key.as_str()))).collect(),
            Self::Map(entries) => entries.iter().map(|(key, _)| Value::Text(Cow::Owned(key.clone()))).collect(),
            _ => Vec::new(),
        }
    }

    /// The key that is written like this one but for its capitals.
    pub(super) fn key_like(&self, key: &str) -> Option<String> {
        self.keys().into_iter().find_map(|known| match known {
            Value::Text(known) if known.eq_ignore_ascii_case(key) => Some(known.into_owned()),
            _ => None,
        })
    }

    /// A number without a fraction, if this is one.
    #[expect(clippy::cast_possible_truncation, reason = "the range is checked just before")]
    pub(super) fn whole(&self) -> Option<i64> {
        match self {
            Self::Int(number) => Some(*number),
            Self::Double(number) if number.fract() == 0.0 && (-I64_END..I64_END).contains(number) => {
                Some(*number as i64)
            }
            _ => None,
        }
    }

    pub(super) fn number(&self) -> Option<f64> {
        match self {
            Self::Int(number) => Some(*number as f64),
            Self::Double(number) => Some(*number),
            _ => None,
        }
    }

    /// How two numbers or two strings compare; none for anything else.
    pub(super) fn compare(&self, other: &Value<'_>) -> Option<Ordering> {
        match (self, other) {
            (Self::Int(left), Value::Int(right)) => Some(left.cmp(right)),
            (Self::Double(left), Value::Double(right)) => left.partial_cmp(right),
            (Self::Int(left), Value::Double(right)) => compare_mixed(*left, *right),
            (Self::Double(left), Value::Int(right)) => compare_mixed(*right, *left).map(Ordering::reverse),
            (Self::Text(left), Value::Text(right)) => Some(left.cmp(right)),
            _ => None,
        }
    }

    /// Whether two values are equal, or the two kinds that cannot be compared. `spend` is asked once for each pair.
    pub(super) fn equals<E>(
        &self,
        other: &Value<'a>,
        spend: &mut impl FnMut() -> Result<(), E>,
    ) -> Result<Result<bool, (ValueKind, ValueKind)>, E> {
        spend()?;
        let kinds = (self.kind(), other.kind());
        match kinds {
            (ValueKind::Null, _) | (_, ValueKind::Null) => return Ok(Ok(kinds.0 == kinds.1)),
            _ if kinds.0 != kinds.1 => return Ok(Err(kinds)),
            _ => {}
        }
        if let (Self::Bool(left), Value::Bool(right)) = (self, other) {
            return Ok(Ok(left == right));
        }
        let Some(length) = self.length() else {
            return Ok(Ok(self.compare(other) == Some(Ordering::Equal)));
        };
        let mut same = Some(length) == other.length();
        // Every pair is looked at, so that a mismatch of kinds is not hidden by a difference before it.
        if kinds.0 == ValueKind::List {
            for (left, right) in (0..length).map_while(|index| Some((self.element(index)?, other.element(index)?))) {
                match left.equals(&right, spend)? {
                    Ok(equal) => same &= equal,
                    mismatch => return Ok(mismatch),
                }
            }
        } else {
            for key in self.keys() {
                let Value::Text(key) = key else { continue };
                match (self.field(&key), other.field(&key)) {
                    (Some(left), Some(right)) => match left.equals(&right, spend)? {
                        Ok(equal) => same &= equal,
                        mismatch => return Ok(mismatch),
                    },
                    _ => same = false,
                }
            }
        }
        Ok(Ok(same))
    }

    /// Compact JSON, shortened, without anything that could steer a terminal.
    pub(super) fn show(&self) -> String {
        let mut head = Head(Vec::new());
        // The head refuses what goes beyond it, which ends the writing early: that is no fault.
        let _ = serde_json::to_writer(&mut head, self);
        let json = String::from_utf8_lossy(&head.0);
        let mut shown = String::new();
        for c in json.chars() {
            if c.is_control() || is_hidden(c) {
                shown.extend(format!("\\u{:04x}", u32::from(c)).chars());
            } else {
                shown.push(c);
            }
        }
        if shown.chars().count() > SHOWN_MAX {
            shown = shown.chars().take(SHOWN_MAX - 1).chain(['…']).collect();
        }
        shown
    }
}

/// The first bytes of what is written to it.
struct Head(Vec<u8>);

impl io::Write for Head {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.0.len() >= WRITTEN_MAX {
            return Err(io::ErrorKind::StorageFull.into());
        }
        let taken = bytes.len().min(WRITTEN_MAX - self.0.len());
        self.0.extend_from_slice(&bytes[..taken]);
        Ok(taken)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Compares exactly: a conversion to double would make 2⁵³ and 2⁵³ + 1 equal.
#[expect(clippy::cast_possible_truncation, reason = "the range is checked just before")]
fn compare_mixed(int: i64, double: f64) -> Option<Ordering> {
    if double.is_nan() {
        None
    } else if double >= I64_END {
        Some(Ordering::Less)
    } else if double < -I64_END {
        Some(Ordering::Greater)
    } else {
        Some(int.cmp(&(double.trunc() as i64)).then_with(|| 0.0_f64.total_cmp(&(double.fract() + 0.0))))
    }
}
