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
    /// The whole entry of the file, with the comment above it.
    pub whole: Span,
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
    let whole = with_comment(key, &entry.value);
    let Some(each) = entry.value.get("each") else {
        references.each = None;
        let Some(name) = name_of(&key.text, &key.span, problems) else { return Vec::new() };
        let node = references.resolve(&entry.value, problems);
        return vec![Expanded { name, key: key.clone(), whole, node, each: serde_json::Value::Null }];
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
    // What all have: without `each`, which would cost each of them a look at all.
    let Value::Map(mut shared) = entry.value.value.clone() else { return Vec::new() };
    shared.retain(|field| field.key.text != "each");
    let shared = Node { span: entry.value.span.clone(), value: Value::Map(shared) };
    let mut made = Vec::new();
    for one in entries {
        let Some(fields) = fields(one, problems) else { continue };
        let Some(name) = name_of(&format!("{}@{}", key.text, one.key.text), &one.key.span, problems) else { continue };
        let facts = fields.iter().map(|(name, text)| (name.clone(), serde_json::Value::String(text.clone())));
        let facts = serde_json::Value::Object(facts.collect());
        references.each = Some(fields);
        let node = references.resolve(&shared, problems);
        made.push(Expanded { name, key: one.key.clone(), whole: whole.clone(), node, each: facts });
    }
    references.each = None;
    made
}

/// The lines of an entry, and the lines of comment right above it.
fn with_comment(key: &Key, value: &Node) -> Span {
    let source = &key.span.source;
    let mut start = source.line_at(key.span.bytes.start).start;
    while let Some(above) = source.text[..start].strip_suffix('\n') {
        let line = source.line_at(above.strip_suffix('\r').unwrap_or(above).len());
        if !source.text[line.clone()].trim_start().starts_with('#') {
            break;
        }
        start = line.start;
    }
    // What an alias repeats stands above.
    let end = value.span.bytes.end.max(key.span.bytes.end);
    Span::new(source, start..source.line_at(end).end)
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::filled::Filled;
    use crate::settings::{Source, parse};
    use std::cell::Cell;
    use std::path::PathBuf;
    use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

    #[test]
    fn a_definition_is_whole_lines_with_the_comment_above_them() {
        for (text, expected) in [
            ("a: { http: x }\n", "a: { http: x }"),
            (
                "b: 1\n# one\r\n# two\r\na:\r\n  http: x  # three\r\nc: 1\n",
                "# one\r\n# two\r\na:\r\n  http: x  # three",
            ),
            (
                "# of the file\n\na:\n  steps:\n    - http: |\n        x\n\nc: 1\n",
                "a:\n  steps:\n    - http: |\n        x",
            ),
            ("d: &d { http: x }\na: *d\n", "a: *d"),
        ] {
            let tree = parse(Source::new("probes/p.yaml", text), &mut Problems::new()).unwrap();
            let entry = tree.entries().iter().find(|entry| entry.key.text == "a").unwrap();
            assert_eq!(with_comment(&entry.key, &entry.value).text(), expected);
        }
    }

    #[test]
    fn what_many_entries_cost_grows_with_them_and_not_with_their_square() {
        const ENTRIES: usize = 500;
        static ASKED: AtomicUsize = AtomicUsize::new(0);
        let entries: Vec<_> = (0..ENTRIES).map(|n| format!("e{n}: \"${{env:PLACE}}/{n}\"")).collect();
        let text = format!("shop: {{ each: {{ {} }}, http: \"${{each:value}}\" }}\n", entries.join(", "));
        let environment = |_: &str| {
            ASKED.fetch_add(1, Relaxed);
            Some("https://a.example".to_owned())
        };
        let mut problems = Problems::new();
        let tree = parse(Source::new("probes/p.yaml", text), &mut problems).unwrap();
        let mut references = References {
            environment: &environment,
            directory: PathBuf::new(),
            vars: BTreeMap::new(),
            secrets: std::collections::BTreeSet::new(),
            each: None,
            filled: Filled::default(),
            root_lost: false,
            lost: Cell::new(false),
        };
        let made = expand(&tree.entries()[0], &mut references, &mut problems);
        assert_eq!((made.len(), problems.len()), (ENTRIES, 0));
        assert_eq!(ASKED.load(Relaxed), ENTRIES, "each is looked at once");
        assert_eq!(made[7].each["value"], "https://a.example/7");
    }
}
