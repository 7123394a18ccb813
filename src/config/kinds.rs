//! The kind of something is the one key of its mapping that names a kind; the rest of the mapping has a shape of its own.

use crate::ports::LEFT_OUT;
use crate::settings::{Entry, Key, Node, Problem, Problems, Value, nearest};

/// A mapping that was taken apart.
pub struct Parted<'a, K> {
    /// The row of the table.
    pub kind: &'a K,
    /// The settings under the kind's key; a plain value has been put under the kind's main field.
    pub settings: Node,
    /// The mapping without that key.
    pub rest: Node,
}

/// A row of a table of kinds.
pub trait Row {
    /// The key that names it.
    fn name(&self) -> &'static str;
    /// The field that stands for all.
    fn main(&self) -> &'static str;
    /// Names that this build knows no row of, each a cargo feature of the same name.
    fn left_out() -> &'static [&'static str] {
        &[]
    }
}

impl Row for crate::ports::Kind {
    fn left_out() -> &'static [&'static str] {
        LEFT_OUT
    }
    fn name(&self) -> &'static str {
        self.name
    }
    fn main(&self) -> &'static str {
        self.main
    }
}

impl Row for crate::ports::ChannelKind {
    fn name(&self) -> &'static str {
        self.name
    }
    fn main(&self) -> &'static str {
        self.main
    }
}

/// Finds the kind of a mapping. `others` are the keys that the rest may have, for "did you mean".
pub fn part<'a, K: Row>(
    what: &str,
    node: &Node,
    key: Option<&Key>,
    table: &'a [K],
    others: &[&'static str],
    problems: &mut Problems,
) -> Option<Parted<'a, K>> {
    let entries = match &node.value {
        Value::Map(entries) => entries,
        Value::Broken => return None,
        _ => {
            // Whoever writes a URL alone means a kind that takes one.
            let example = table.iter().find(|kind| kind.main() == "url").or(table.first()).map_or("http", Row::name);
            // What is absent has no width: its key is shown.
            let absent = matches!(node.value, Value::Null) && node.span.bytes.is_empty();
            let at = key.filter(|_| absent).map_or(&node.span, |key| &key.span);
            let problem = problems
                .error(at.clone(), format!("{what} is a mapping with its kind as a key, like `{{ {example}: … }}`"));
            let cramped = node.span.text().split_once(':').filter(|(name, _)| row(table, name).is_some());
            problem.help = cramped.map(|(name, value)| format!("put a space behind the `:`: `{name}: {value}`"));
            return None;
        }
    };
    let (named, rest): (Vec<_>, Vec<_>) = entries.iter().partition(|entry| row(table, &entry.key.text).is_some());
    match named.as_slice() {
        [] => {
            no_kind(what, node, key, table, others, entries, problems);
            None
        }
        [entry] => {
            let kind = row(table, &entry.key.text)?;
            let rest = rest.into_iter().cloned().collect();
            Some(Parted {
                kind,
                settings: settings(kind, entry),
                rest: Node { span: node.span.clone(), value: Value::Map(rest) },
            })
        }
        [first, second, ..] => {
            problems.push(
                Problem::error(second.key.span.clone(), format!("{what} has exactly one kind"))
                    .with_also(first.key.span.clone(), "the other one"),
            );
            None
        }
    }
}

fn row<'a, K: Row>(table: &'a [K], name: &str) -> Option<&'a K> {
    table.iter().find(|kind| kind.name() == name)
}

fn settings(kind: &impl Row, entry: &Entry) -> Node {
    match entry.value.value {
        Value::Map(_) | Value::Broken => entry.value.clone(),
        _ => {
            let key = Key { text: kind.main().to_owned(), span: entry.key.span.clone() };
            let main = Entry { key, value: entry.value.clone() };
            Node { span: entry.value.span.clone(), value: Value::Map(vec![main]) }
        }
    }
}

fn no_kind<K: Row>(
    what: &str,
    node: &Node,
    key: Option<&Key>,
    table: &[K],
    others: &[&'static str],
    entries: &[Entry],
    problems: &mut Problems,
) {
    // A merge key was refused before, and may have been meant to bring the kind.
    if entries.iter().any(|entry| matches!(entry.value.value, Value::Broken)) {
        return;
    }
    if let Some(entry) = entries.iter().find(|entry| K::left_out().contains(&entry.key.text.as_str())) {
        let name = &entry.key.text;
        let message = format!("this build has no kind `{name}` (feature `{name}`)");
        problems.error(entry.key.span.clone(), message).help = Some(format!("build it with `--features {name}`"));
        return;
    }
    let names = || table.iter().map(Row::name);
    let strange = entries.iter().filter(|entry| !others.contains(&entry.key.text.as_str()));
    // A key that is nearly a kind is a slip of the pen, and the only thing worth saying.
    for entry in strange {
        let all: Vec<&str> = names().chain(others.iter().copied()).collect();
        if let Some(meant) = nearest(&entry.key.text, all.iter().copied())
            && row(table, meant).is_some()
        {
            let message = format!("unknown key `{}`", entry.key.text);
            problems.error(entry.key.span.clone(), message).help = Some(format!("did you mean `{meant}`?"));
            return;
        }
    }
    let kinds = names().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ");
    let at = key.map_or_else(|| node.span.clone(), |key| key.span.clone());
    problems.error(at, format!("{what} names no kind")).help = Some(format!("its kind is one of the keys {kinds}"));
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::{Source, parse};

    struct Only;

    impl Row for Only {
        fn name(&self) -> &'static str {
            "tcp"
        }
        fn main(&self) -> &'static str {
            "address"
        }
        fn left_out() -> &'static [&'static str] {
            &["grpc"]
        }
    }

    #[test]
    fn a_kind_that_was_left_out_is_no_slip_of_the_pen() {
        for (yaml, told) in [
            ("{ grpc: \"grpc://a\" }", "this build has no kind `grpc` (feature `grpc`)"),
            ("{ tpc: \"a:1\" }", "unknown key `tpc`"),
            ("{ gprc: \"grpc://a\" }", "a probe names no kind"),
        ] {
            let mut problems = Problems::new();
            let node = parse(Source::new("a.yaml", yaml), &mut problems).unwrap();
            assert!(part("a probe", &node, None, &[Only], &[], &mut problems).is_none());
            let rendered = problems.render(false);
            assert!(rendered.contains(told), "{rendered}");
        }
    }
}
