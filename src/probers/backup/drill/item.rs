//! An item of a table, in the form in which DynamoDB gives it: each value below the name of its type.

use std::collections::BTreeMap;

use serde_json::{Map, Value as Json, json};

use crate::net::excerpt::excerpt;
use crate::settings::{Node, Problems, Value, read};

/// How many attributes of a sort a message names.
const NAMES_MAX: usize = 5;

/// The attributes of an item by their names.
pub type Item = Map<String, Json>;

/// Why an item is not the one that was expected. Values are never in it: they may be anybody's.
#[derive(Debug, PartialEq, Eq)]
pub struct Difference {
    /// The attributes that are not there.
    missing: Vec<String>,
    /// Those that are otherwise.
    other: Vec<String>,
    /// Those that should not be there.
    surplus: Vec<String>,
}

impl Difference {
    /// How an item is other than it should be, in those attributes alone that `expected` has.
    pub fn in_fields(expected: &Item, seen: &Item) -> Option<Self> {
        let mut found = Self { missing: Vec::new(), other: Vec::new(), surplus: Vec::new() };
        for (name, value) in expected {
            match seen.get(name) {
                None => found.missing.push(name.clone()),
                Some(seen) if normal(seen) != normal(value) => found.other.push(name.clone()),
                Some(_) => {}
            }
        }
        (!found.missing.is_empty() || !found.other.is_empty()).then_some(found)
    }

    /// The same in all of them.
    pub fn in_all(expected: &Item, seen: &Item) -> Option<Self> {
        let surplus: Vec<String> = seen.keys().filter(|name| !expected.contains_key(*name)).cloned().collect();
        match Self::in_fields(expected, seen) {
            Some(found) => Some(Self { surplus, ..found }),
            None if surplus.is_empty() => None,
            None => Some(Self { missing: Vec::new(), other: Vec::new(), surplus }),
        }
    }
}

impl std::fmt::Display for Difference {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let told = |names: &[String], what: &str| {
            let mut shown: Vec<_> = names.iter().take(NAMES_MAX).map(|name| format!("`{}`", excerpt(name))).collect();
            shown.extend((names.len() > NAMES_MAX).then(|| format!("{} more", names.len() - NAMES_MAX)));
            (!names.is_empty()).then(|| format!("{} {what}", shown.join(", ")))
        };
        let parts = [told(&self.other, "is other"), told(&self.missing, "is missing"), told(&self.surplus, "is new")];
        f.write_str(&parts.into_iter().flatten().collect::<Vec<_>>().join("; "))
    }
}

/// A value whose form says nothing but what it is: the members of a set have no order, and a number may be written in several
/// ways.
fn normal(value: &Json) -> Json {
    let Json::Object(typed) = value else { return value.clone() };
    let normal_of = |(of, value): (&String, &Json)| {
        let value = match (of.as_str(), value) {
            ("SS" | "BS" | "NS", Json::Array(members)) => {
                let mut members: Vec<String> = members.iter().map(|member| number_or_text(of, member)).collect();
                members.sort();
                json!(members)
            }
            ("N", number) => json!(number_or_text(of, number)),
            ("L", Json::Array(members)) => members.iter().map(normal).collect(),
            ("M", Json::Object(fields)) => {
                Json::Object(fields.iter().map(|(name, value)| (name.clone(), normal(value))).collect())
            }
            (_, value) => value.clone(),
        };
        (of.clone(), value)
    };
    Json::Object(typed.iter().map(normal_of).collect())
}

/// DynamoDB's numbers have 38 digits, so they are compared as decimal text: without sign, zeros and exponents that say
/// nothing.
fn number_or_text(of: &str, value: &Json) -> String {
    let text = value.as_str().unwrap_or_default();
    if of.starts_with('N') { decimal(text).unwrap_or_else(|| text.to_owned()) } else { text.to_owned() }
}

/// `-12.50e1` as `-125e0`: the digits that count, and the power of ten of the last of them.
fn decimal(text: &str) -> Option<String> {
    let (mantissa, exponent) = text.split_once(['e', 'E']).unwrap_or((text, "0"));
    let exponent: i64 = exponent.parse().ok()?;
    let (sign, unsigned) = match mantissa.strip_prefix('-') {
        Some(rest) => ("-", rest),
        None => ("", mantissa.strip_prefix('+').unwrap_or(mantissa)),
    };
    let (whole, fraction) = unsigned.split_once('.').unwrap_or((unsigned, ""));
    let digits = format!("{whole}{fraction}");
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let all = digits.trim_start_matches('0');
    let counting = all.trim_end_matches('0');
    if counting.is_empty() {
        return Some("0".to_owned());
    }
    let power = exponent.checked_sub(i64::try_from(fraction.len()).ok()?)?;
    let power = power.checked_add(i64::try_from(all.len() - counting.len()).ok()?)?;
    Some(format!("{sign}{counting}e{power}"))
}

/// The attributes that are written in a mapping; every mistake is a problem.
pub fn read_item(node: &Node, problems: &mut Problems) -> Item {
    let fields: BTreeMap<String, Node> = read(node, problems).unwrap_or_default();
    fields.into_iter().filter_map(|(name, value)| Some((name, typed(&value, problems)?))).collect()
}

/// A value with the type that DynamoDB has for it. The tree is at most [`crate::settings::tree::DEPTH_MAX`] deep.
fn typed(node: &Node, problems: &mut Problems) -> Option<Json> {
    Some(match &node.value {
        Value::Null => json!({ "NULL": true }),
        Value::Bool(value) => json!({ "BOOL": value }),
        // The digits as they were written: a double would lose those of a long number.
        Value::Int(_) | Value::Float(_) => json!({ "N": node.span.text() }),
        Value::Text(_) => json!({ "S": read::<String>(node, problems)? }),
        Value::List(items) => {
            let items: Option<Vec<Json>> = items.iter().map(|item| typed(item, problems)).collect();
            json!({ "L": items? })
        }
        Value::Map(_) => json!({ "M": read_item(node, problems) }),
        Value::Broken => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::{Source, parse};

    fn item(yaml: &str) -> Item {
        let mut problems = Problems::new();
        let node = parse(Source::new("probes/a.yaml", yaml), &mut problems).unwrap();
        let item = read_item(&node, &mut problems);
        assert_eq!(problems.render(false), "");
        item
    }

    fn seen(json: Json) -> Item {
        let Json::Object(item) = json else { panic!("{json}") };
        item
    }

    #[test]
    fn what_is_written_gets_its_types() {
        let written =
            item("{ id: probe, n: 12345678901234567890123, ok: true, no: null, tags: [a, 1.50], m: { b: \"1\" } }");
        let typed = json!({
            "id": { "S": "probe" }, "n": { "N": "12345678901234567890123" }, "ok": { "BOOL": true }, "no": { "NULL": true },
            "tags": { "L": [{ "S": "a" }, { "N": "1.50" }] }, "m": { "M": { "b": { "S": "1" } } },
        });
        assert_eq!(Json::Object(written), typed);
    }

    #[test]
    fn the_same_in_another_form_is_no_difference() {
        for (a, b) in [
            (json!({ "N": "1.50e2" }), json!({ "N": "150" })),
            (json!({ "N": "-0.0010" }), json!({ "N": "-1E-3" })),
            (json!({ "N": "+000" }), json!({ "N": "0.0" })),
            (json!({ "SS": ["a", "b"] }), json!({ "SS": ["b", "a"] })),
            (json!({ "NS": ["2", "10"] }), json!({ "NS": ["1e1", "2.0"] })),
            (json!({ "L": [{ "M": { "x": { "N": "1" } } }] }), json!({ "L": [{ "M": { "x": { "N": "1.0" } } }] })),
        ] {
            assert_eq!(normal(&a), normal(&b));
        }
        for (a, b) in [
            (
                json!({ "N": "12345678901234567890123456789012345678" }),
                json!({ "N": "12345678901234567890123456789012345679" }),
            ),
            (json!({ "N": "1" }), json!({ "S": "1" })),
            (json!({ "N": "1" }), json!({ "N": "-1" })),
            (json!({ "L": [{ "S": "a" }, { "S": "b" }] }), json!({ "L": [{ "S": "b" }, { "S": "a" }] })),
            (json!({ "BOOL": true }), json!({ "BOOL": false })),
        ] {
            assert_ne!(normal(&a), normal(&b));
        }
    }

    #[test]
    fn differences_name_attributes_and_no_values() {
        let expected = item("{ id: probe, name: hunter2, tier: gold }");
        let other = seen(json!({ "id": { "S": "probe" }, "name": { "S": "hunter3" }, "age": { "N": "3" } }));
        let told = |found: Option<Difference>| found.map(|found| found.to_string()).unwrap_or_default();
        assert_eq!(told(Difference::in_fields(&expected, &other)), "`name` is other; `tier` is missing");
        assert_eq!(told(Difference::in_all(&expected, &other)), "`name` is other; `tier` is missing; `age` is new");
        assert_eq!(told(Difference::in_fields(&item("{ age: 3.0 }"), &other)), "");
        assert_eq!(told(Difference::in_all(&other, &other)), "");
        assert_eq!(told(Difference::in_all(&seen(json!({})), &other)), "`id`, `name`, `age` is new");
    }
}
