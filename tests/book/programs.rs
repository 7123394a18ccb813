//! What the book shows in the languages of others: JSON is parsed, Python is tried.

use std::io::Write as _;
use std::process::{Command, Stdio};

use serde_json::Value;

use crate::blocks::{self, Class};
use crate::pages::root;

/// Runs a program in Python with what it reads, and gives what it says.
pub fn python(program: &str, input: &str) -> String {
    let python = root().join("tests/.venv/bin/python");
    let mut child = Command::new(&python)
        .args(["-c", program])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap_or_else(|error| panic!("{}: {error}: `tests/run` makes it", python.display()));
    child.stdin.take().expect("it is piped").write_all(input.as_bytes()).expect("it reads");
    let ended = child.wait_with_output().expect("it is our child");
    assert!(ended.status.success(), "{program}");
    String::from_utf8(ended.stdout).expect("UTF-8")
}

/// The documents of a file in YAML, as others read it.
pub fn yaml(text: &str) -> Vec<Value> {
    let json =
        python("import json, sys, yaml; print(json.dumps(list(yaml.safe_load_all(sys.stdin)), default=str))", text);
    serde_json::from_str(&json).expect("JSON")
}

#[test]
fn what_is_json_is_json() {
    for block in blocks::of(Class::Json) {
        let parsed: Result<Value, _> = serde_json::from_str(&block.text);
        assert!(parsed.is_ok(), "{}: {parsed:?}", block.place);
    }
}

#[test]
fn what_is_python_is_python() {
    for block in blocks::of(Class::Python) {
        python("import sys; compile(sys.stdin.read(), 'block', 'exec')", &block.text);
    }
}

#[test]
fn the_receiver_of_the_book_knows_the_signature_of_the_book() {
    let page = crate::pages::named("docs/channels/webhook.md");
    let blocks = page.blocks();
    let header =
        blocks.iter().find_map(|block| block.text.strip_prefix("X-Roundsman-Signature: ")).expect("an example").trim();
    let checks = blocks.iter().find(|block| block.info == "python").expect("a receiver");
    let tried = format!(
        "{}\ntime.time = lambda: 1764000001\n\
         print(is_ours('opensesame', '{header}', b'{{\"a\":1}}'), is_ours('other', '{header}', b'{{\"a\":1}}'))\n\
         time.time = lambda: 1764000301\nprint(is_ours('opensesame', '{header}', b'{{\"a\":1}}'))",
        checks.text
    );
    assert_eq!(python(&tried, ""), "True False\nFalse\n");
}

#[test]
fn prices_have_the_fields_of_the_built_in_table() {
    let built_in = std::fs::read_to_string(root().join("src/config/prices.yaml")).expect("prices");
    let [known] = &yaml(&built_in)[..] else { panic!("prices are one document") };
    let rates = |table: &Value| -> Vec<Value> {
        let things = table["things"].as_object().expect("things").values().cloned();
        things.chain(table["calls"].as_array().expect("calls").iter().map(|call| call["rate"].clone())).collect()
    };
    let fields = |rates: &[Value]| -> std::collections::BTreeSet<String> {
        rates.iter().filter_map(Value::as_object).flat_map(|rate| rate.keys().cloned()).collect()
    };
    for block in blocks::of(Class::Prices) {
        let [shown] = &yaml(&block.text)[..] else { panic!("{}: one document", block.place) };
        let (shown_fields, known_fields) = (fields(&rates(shown)), fields(&rates(known)));
        assert!(shown_fields.is_subset(&known_fields), "{}: {shown_fields:?} of {known_fields:?}", block.place);
    }
}
