//! The functions of expressions: their names, what they take, what they do.

use std::borrow::Cow;

use chrono::{DateTime, NaiveDate, NaiveTime};

use super::names::ValueKind;
use super::value::Value;
use crate::domain::time::Timestamp;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Function {
    Size,
    Contains,
    StartsWith,
    EndsWith,
    Matches,
    Int,
    Double,
    Text,
    Bool,
    Lower,
    Upper,
    Trim,
    DaysUntil,
}

/// How a function is written and what it takes, the value before the dot first.
pub(super) struct Signature {
    pub(super) name: &'static str,
    pub(super) function: Function,
    /// May be written `f(x)`.
    pub(super) global: bool,
    /// May be written `x.f()`.
    pub(super) method: bool,
    pub(super) takes: &'static [Option<ValueKind>],
    pub(super) gives: ValueKind,
}

const TEXT: Option<ValueKind> = Some(ValueKind::Text);

const fn method(
    name: &'static str,
    function: Function,
    takes: &'static [Option<ValueKind>],
    gives: ValueKind,
) -> Signature {
    Signature { name, function, global: false, method: true, takes, gives }
}

const fn conversion(name: &'static str, function: Function, gives: ValueKind) -> Signature {
    Signature { name, function, global: true, method: false, takes: &[None], gives }
}

/// All functions. The macros (`has`, `all`, `exists`, …) are syntax and stand in `check`.
pub(super) const FUNCTIONS: &[Signature] = &[
    Signature {
        name: "size",
        function: Function::Size,
        global: true,
        method: true,
        takes: &[None],
        gives: ValueKind::Number,
    },
    method("contains", Function::Contains, &[TEXT, TEXT], ValueKind::Bool),
    method("startsWith", Function::StartsWith, &[TEXT, TEXT], ValueKind::Bool),
    method("endsWith", Function::EndsWith, &[TEXT, TEXT], ValueKind::Bool),
    Signature {
        name: "matches",
        function: Function::Matches,
        global: true,
        method: true,
        takes: &[TEXT, TEXT],
        gives: ValueKind::Bool,
    },
    method("lowerAscii", Function::Lower, &[TEXT], ValueKind::Text),
    method("upperAscii", Function::Upper, &[TEXT], ValueKind::Text),
    method("trim", Function::Trim, &[TEXT], ValueKind::Text),
    Signature {
        name: "days_until",
        function: Function::DaysUntil,
        global: true,
        method: false,
        takes: &[TEXT],
        gives: ValueKind::Number,
    },
    conversion("int", Function::Int, ValueKind::Number),
    conversion("double", Function::Double, ValueKind::Number),
    conversion("string", Function::Text, ValueKind::Text),
    conversion("bool", Function::Bool, ValueKind::Bool),
];

impl Function {
    pub(super) fn signature(self) -> Option<&'static Signature> {
        FUNCTIONS.iter().find(|signature| signature.function == self)
    }

    /// The value for these arguments, or why there is none, as the end of a sentence about the first of them. `now` is when
    /// the observation was made.
    pub(super) fn apply<'a>(self, arguments: &[Value<'a>], now: Option<Timestamp>) -> Result<Value<'a>, String> {
        let name = self.signature().map_or("", |signature| signature.name);
        let unfit = |value: &Value<'_>| format!("is {}: `{name}` cannot take it", value.kind());
        let first = arguments.first().ok_or_else(|| format!("is missing for `{name}`"))?;
        match (self, first, arguments.get(1)) {
            (Self::Size, Value::Text(text), _) => Ok(length(text.chars().count())),
            (Self::Size, value, _) => value.length().map(length).ok_or_else(|| unfit(value)),
            (Self::Contains, Value::Text(text), Some(Value::Text(part))) => {
                Ok(Value::Bool(text.contains(part.as_ref())))
            }
            (Self::StartsWith, Value::Text(text), Some(Value::Text(part))) => {
                Ok(Value::Bool(text.starts_with(part.as_ref())))
            }
            (Self::EndsWith, Value::Text(text), Some(Value::Text(part))) => {
                Ok(Value::Bool(text.ends_with(part.as_ref())))
            }
            (Self::Lower, Value::Text(text), _) => Ok(Value::Text(Cow::Owned(text.to_ascii_lowercase()))),
            (Self::Upper, Value::Text(text), _) => Ok(Value::Text(Cow::Owned(text.to_ascii_uppercase()))),
            (Self::Trim, Value::Text(text), _) => Ok(Value::Text(match text {
                Cow::Borrowed(text) => Cow::Borrowed(text.trim()),
                Cow::Owned(text) => Cow::Owned(text.trim().to_owned()),
            })),
            (Self::DaysUntil, Value::Text(text), _) => {
                let at = instant(text).ok_or("is no date like `2027-01-31` or `2027-01-31T10:00:00Z`")?;
                let now = now.ok_or("has no time to be compared with")?;
                Ok(Value::Double(at.signed_duration_since(now).as_seconds_f64() / 86_400.0))
            }
            (Self::Int, Value::Int(_), _) | (Self::Bool, Value::Bool(_), _) | (Self::Text, Value::Text(_), _) => {
                Ok(first.clone())
            }
            (Self::Int, Value::Double(number), _) => Value::Double(number.trunc())
                .whole()
                .map(Value::Int)
                .ok_or_else(|| "does not fit into a 64-bit integer".to_owned()),
            (Self::Int, Value::Text(text), _) => {
                text.parse().map(Value::Int).map_err(|_| "is not a whole number of 64 bits".to_owned())
            }
            (Self::Double, Value::Int(_) | Value::Double(_), _) => {
                Ok(Value::Double(first.number().unwrap_or_default()))
            }
            (Self::Double, Value::Text(text), _) => match text.parse::<f64>() {
                Ok(number) if number.is_finite() => Ok(Value::Double(number)),
                _ => Err("is not a number in decimal digits".to_owned()),
            },
            (Self::Text, Value::Int(number), _) => Ok(Value::Text(Cow::Owned(number.to_string()))),
            (Self::Text, Value::Double(number), _) => Ok(Value::Text(Cow::Owned(number.to_string()))),
            (Self::Text, Value::Bool(truth), _) => Ok(Value::Text(Cow::Owned(truth.to_string()))),
            (Self::Bool, Value::Text(text), _) => {
                text.parse().map(Value::Bool).map_err(|_| "is neither \"true\" nor \"false\"".to_owned())
            }
            (_, value, _) => Err(unfit(value)),
        }
    }
}

/// An instant as RFC 3339 writes it, as HTTP does (RFC 9110, section 5.6.7), or a date, whose beginning in UTC it is then.
fn instant(text: &str) -> Option<Timestamp> {
    let text = text.trim();
    let whole = DateTime::parse_from_rfc3339(text).or_else(|_| DateTime::parse_from_rfc2822(text));
    let date = || text.parse::<NaiveDate>().ok().map(|date| date.and_time(NaiveTime::MIN).and_utc());
    whole.map(|at| at.to_utc()).ok().or_else(date)
}

fn length<'a>(count: usize) -> Value<'a> {
    Value::Int(i64::try_from(count).unwrap_or(i64::MAX))
}
