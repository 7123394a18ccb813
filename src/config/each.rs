//! One entry of a file in `probes/` is one probe, or one for each entry of its `each:`.

use std::collections::BTreeMap;

use super::resolve::References;
use crate::domain::names::ProbeName;
use crate::settings::{Entry, Key, Node, Problems, Scalar, Span, Value};

/// One probe of a file, or one of its expansions.
pub struct Expanded {
    /// Its name.
    pub name: ProbeName,
    /// Where it is written.
    pub key: Key,
    /// Its tree, resolved.
    pub node: Node,
    /// `each.…` for its expressions.
    pub each: serde_json::Value,
}

/// The probes of one entry of a file: itself, or one for each entry of its `each:`.
pub fn expand(entry: &Entry, references: &mut References<'_>, problems: &mut Problems) -> Vec<Expanded> {
    let name_of = |text: &str, at: &Span, problems: &mut Problems| match ProbeName::parse(text) {
        Ok(name) => Some(name),
        Err(error) => {
            problems.error(at.clone(), error.to_string());
            None
        }
    };
    let key = &entry.key;
    let Some(each) = entry.value.get("each") else {
        references.each = None;
        let Some(name) = name_of(&key.text, &key.span, problems) else { return Vec::new() };
        let node = references.resolve(&entry.value, problems);
        return vec![Expanded { name, key: key.clone(), node, each: serde_json::Value::Null }];
    };
    references.each = None;
    let each = references.resolve(each, problems);
    let Value::Map(entries) = &each.value else {
        if !matches!(each.value, Value::Broken) {
            problems.error(each.span.clone(), "`each` is a mapping from a key to a value, or to fields").help =
                Some("write it like `each: { home: /, cart: /cart }`".to_owned());
        }
        return Vec::new();
    };
    if entries.is_empty() {
        problems.error(each.span.clone(), "`each` is empty, so this makes no probe");
    }
    let mut made = Vec::new();
    for one in entries {
        let Some(fields) = fields(one, problems) else { continue };
        let Some(name) = name_of(&format!("{}@{}", key.text, one.key.text), &one.key.span, problems) else { continue };
        let facts = fields.iter().map(|(name, text)| (name.clone(), serde_json::Value::String(text.clone())));
        let facts = serde_json::Value::Object(facts.collect());
        references.each = Some(fields);
        let node = references.resolve(&entry.value, problems);
        let Value::Map(mut rest) = node.value else { continue };
        rest.retain(|entry| entry.key.text != "each");
        made.push(Expanded {
            name,
            key: one.key.clone(),
            node: Node { span: node.span, value: Value::Map(rest) },
            each: facts,
        });
    }
    references.each = None;
    made
}

fn fields(one: &Entry, problems: &mut Problems) -> Option<BTreeMap<String, String>> {
    let text = |node: &Node| match &node.value {
        Value::Text(Scalar { text, .. }) => Some(text.clone()),
        Value::Bool(_) | Value::Int(_) | Value::Float(_) => Some(node.span.text().to_owned()),
        _ => None,
    };
    let mut fields = BTreeMap::from([("key".to_owned(), one.key.text.clone())]);
    match &one.value.value {
        Value::Map(entries) => {
            for entry in entries {
                let Some(value) = text(&entry.value) else {
                    problems.error(entry.value.span.clone(), "a field of `each` is a text, a number or a boolean");
                    return None;
                };
                fields.insert(entry.key.text.clone(), value);
            }
        }
        _ => {
            let Some(value) = text(&one.value) else {
                problems.error(
                    one.value.span.clone(),
                    "an entry of `each` is a text, a number, a boolean or a mapping of them",
                );
                return None;
            };
            fields.insert("value".to_owned(), value);
        }
    }
    Some(fields)
}
