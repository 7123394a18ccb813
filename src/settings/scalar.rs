//! What a text without quotes means: the core schema of YAML 1.2.

use crate::settings::tree::{Scalar, Value};

/// What a text without quotes means.
pub(crate) fn resolve(text: &str) -> Value {
    match text {
        "" | "~" | "null" | "Null" | "NULL" => return Value::Null,
        "true" | "True" | "TRUE" => return Value::Bool(true),
        "false" | "False" | "FALSE" => return Value::Bool(false),
        ".nan" | ".NaN" | ".NAN" => return Value::Float(f64::NAN),
        ".inf" | ".Inf" | ".INF" | "+.inf" | "+.Inf" | "+.INF" => return Value::Float(f64::INFINITY),
        "-.inf" | "-.Inf" | "-.INF" => return Value::Float(f64::NEG_INFINITY),
        _ => {}
    }
    number(text).unwrap_or_else(|| Value::Text(Scalar::plain(text)))
}

fn number(text: &str) -> Option<Value> {
    for (prefix, radix) in [("0x", 16), ("0o", 8)] {
        if let Some(digits) = text.strip_prefix(prefix) {
            // `from_str_radix` accepts a sign, YAML none at this place.
            let digits = digits.starts_with(|c: char| c.is_digit(radix)).then_some(digits)?;
            return i64::from_str_radix(digits, radix).ok().map(Value::Int);
        }
    }
    let unsigned = text.strip_prefix(['-', '+']).unwrap_or(text);
    let whole: &str = &unsigned[..unsigned.bytes().take_while(u8::is_ascii_digit).count()];
    if whole.len() > 1 && whole.starts_with('0') {
        return None;
    }
    if !whole.is_empty() && whole == unsigned {
        // Beyond 64 bits the nearest double stands for it, as in expressions.
        return text.parse().map(Value::Int).or_else(|_| text.parse().map(Value::Float)).ok();
    }
    let looks_right = unsigned.bytes().all(|byte| byte.is_ascii_digit() || b".eE+-".contains(&byte))
        && unsigned.starts_with(|c: char| c.is_ascii_digit() || c == '.');
    if looks_right { text.parse().ok().map(Value::Float) } else { None }
}
