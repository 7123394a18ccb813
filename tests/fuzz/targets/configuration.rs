//! The files: whatever is in them, every mistake has a sentence and a place, and no secret is in it.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::sync::Arc;

use roundsman::app::wiring::KINDS;
use roundsman::clock::SystemClock;
use roundsman::config::load::{Loaded, Surroundings, load};
use roundsman::net::client;
use roundsman::settings::{Node, Problems, Source, Value, parse};
use tempfile::TempDir;

use super::Taken;

/// The value of the environment variable that every file may refer to as if it were harmless.
const CANARY: &str = "canary-7f3a-never-print-me";

/// The other files, which are well.
const REST: [(&str, &str, &str); 3] = [
    (
        "root",
        "roundsman.yaml",
        "secrets: { shopper: { env: CANARY } }\nchannels: { pager: { webhook: \"http://127.0.0.1:4281/\" } }\nroutes: [{ to: [pager] }]\nvars: { api: \"http://127.0.0.1:4280\", place: \"${env:CANARY}\" }\n",
    ),
    ("probes", "probes/a.yaml", "home: { http: https://shop.example.com/, labels: { tier: suite } }\n"),
    ("schedules", "schedules/a.yaml", "often: { every: 30s, probes: [\"*\"] }\n"),
];

struct Desk {
    directory: TempDir,
    surroundings: Surroundings,
}

thread_local! {
    static DESK: Desk = Desk::new();
}

/// The first line says which file the rest is: `root`, `probes` or `schedules`.
pub fn target(data: &[u8]) -> Taken {
    let end = data.iter().position(|byte| *byte == b'\n').unwrap_or(data.len());
    let which = REST.iter().find(|(name, ..)| name.as_bytes() == &data[..end]);
    let (_, path, rest) = which.unwrap_or(&REST[1]);
    let text = if which.is_some() { data.get(end + 1..).unwrap_or_default() } else { data };
    if let Ok(text) = std::str::from_utf8(text) {
        tree(text);
    }
    DESK.with(|desk| {
        let place = desk.directory.path().join(path);
        fs::write(&place, text).unwrap();
        let loaded = desk.load();
        let said = sound(&loaded);
        assert_eq!(said, sound(&desk.load()), "the same twice");
        // A byte order mark is no part of the text; with that of UTF-8 nobody has to guess at UTF-16.
        if !said.contains("UTF-16") && !text.starts_with(b"\xef\xbb\xbf") && std::str::from_utf8(text).is_ok() {
            fs::write(&place, [b"\xef\xbb\xbf", text].concat()).unwrap();
            assert_eq!(said, sound(&desk.load()), "with a byte order mark");
        }
        fs::write(&place, rest).unwrap();
        loaded.plan.is_some().into()
    })
}

impl Desk {
    fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        for folder in ["probes", "schedules"] {
            fs::create_dir(directory.path().join(folder)).unwrap();
        }
        for (_, path, text) in REST {
            fs::write(directory.path().join(path), text).unwrap();
        }
        let surroundings = Surroundings {
            kinds: KINDS,
            environment: Arc::new(|name: &str| (name == "CANARY").then(|| CANARY.to_owned())),
            clock: Arc::new(SystemClock::start()),
            http: client::shared().unwrap(),
            pulses: Arc::default(),
            billed: |_| BTreeMap::new(),
        };
        Self { directory, surroundings }
    }

    fn load(&self) -> Loaded {
        load(self.directory.path(), &self.surroundings)
    }
}

/// What holds for all that is said.
fn sound(loaded: &Loaded) -> String {
    assert_eq!(
        loaded.plan.is_none(),
        loaded.problems.has_errors(),
        "no plan without a reason, and none in spite of one"
    );
    let text = loaded.problems.render(false);
    for problem in loaded.problems.sorted() {
        assert!(!problem.message.is_empty());
        for span in problem.at.iter().chain(problem.also.iter().map(|(span, _)| span)) {
            assert!(span.source.text.get(span.bytes.clone()).is_some(), "{span:?} is no place: {}", problem.message);
        }
    }
    let json = loaded.problems.to_json().to_string();
    assert!(!text.contains(CANARY) && !json.contains(CANARY), "a secret is shown: {text}");
    assert_eq!(text.find(|c: char| c.is_control() && c != '\n'), None, "{text:?}");
    text
}

/// A tree that has no mistakes, written as JSON, is the same tree: JSON is YAML.
fn tree(text: &str) {
    let mut problems = Problems::new();
    let Some(tree) = parse(Source::new("probes/a.yaml", text), &mut problems) else { return };
    if !problems.is_empty() {
        return;
    }
    let mut written = String::new();
    write(&tree, &mut written);
    let again = parse(Source::new("probes/a.yaml", written.as_str()), &mut problems);
    assert!(problems.is_empty(), "{written}\n{}", problems.render(false));
    assert!(again.is_some_and(|again| same(&tree, &again)), "{text:?} was written as {written:?}");
}

fn write(node: &Node, out: &mut String) {
    let several = |out: &mut String, count: usize, each: &mut dyn FnMut(usize, &mut String)| {
        for index in 0..count {
            out.push_str(if index > 0 { ", " } else { "" });
            each(index, out);
        }
    };
    match &node.value {
        Value::Null => out.push_str("null"),
        Value::Bool(value) => out.push_str(if *value { "true" } else { "false" }),
        Value::Int(value) => out.push_str(&value.to_string()),
        Value::Float(value) if value.is_nan() => out.push_str(".nan"),
        Value::Float(value) if value.is_infinite() => out.push_str(if *value > 0.0 { ".inf" } else { "-.inf" }),
        Value::Float(value) => write!(out, "{value:e}").unwrap(),
        Value::Text(text) => quote(&text.text, out),
        Value::List(items) => {
            out.push('[');
            several(out, items.len(), &mut |index, out| write(&items[index], out));
            out.push(']');
        }
        Value::Map(entries) => {
            out.push('{');
            several(out, entries.len(), &mut |index, out| {
                // A key without its mark has at most 1,024 characters (YAML 1.2, section 7.4.2), escapes included.
                out.push_str("? ");
                quote(&entries[index].key.text, out);
                out.push_str(" : ");
                write(&entries[index].value, out);
            });
            out.push('}');
        }
        Value::Broken => panic!("a mistake that was not reported"),
    }
}

fn quote(text: &str, out: &mut String) {
    out.push('"');
    for c in text.chars() {
        match c {
            '"' | '\\' => out.extend(['\\', c]),
            ' '..='~' => out.push(c),
            c => write!(out, "\\U{:08X}", u32::from(c)).unwrap(),
        }
    }
    out.push('"');
}

fn same(left: &Node, right: &Node) -> bool {
    match (&left.value, &right.value) {
        (Value::Null, Value::Null) => true,
        (Value::Bool(left), Value::Bool(right)) => left == right,
        (Value::Int(left), Value::Int(right)) => left == right,
        (Value::Float(left), Value::Float(right)) => {
            left.to_bits() == right.to_bits() || (left.is_nan() && right.is_nan())
        }
        (Value::Text(left), Value::Text(right)) => left.text == right.text,
        (Value::List(left), Value::List(right)) => {
            left.len() == right.len() && left.iter().zip(right).all(|(left, right)| same(left, right))
        }
        (Value::Map(left), Value::Map(right)) => {
            left.len() == right.len()
                && left
                    .iter()
                    .zip(right)
                    .all(|(left, right)| left.key.text == right.key.text && same(&left.value, &right.value))
        }
        _ => false,
    }
}
