//! Small files and the exact text that people see for each.
//!
//! The snapshots are read like a page of a manual: whoever changes a sentence reads all of its uses.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::str::FromStr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use proptest::prelude::*;
use serde::Deserialize;

use super::de::{from_text, read};
use super::problem::{Level, Problem, Problems, suggest};
use super::spanned::{OneOrMany, Spanned};
use super::tree::{DEPTH_MAX, Node, Source, Span, Value, parse};
use crate::domain::text::harmless;

/// A text with a grammar, as names and durations are.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(try_from = "String")]
struct Name(String);

impl TryFrom<String> for Name {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let good = |c: char| c.is_ascii_lowercase() || c == '-';
        if text.chars().all(good) { Ok(Self(text)) } else { Err(format!("`{text}` is not a name: use a-z and -")) }
    }
}

#[derive(Debug, PartialEq)]
struct Pause(u64);

impl<'de> Deserialize<'de> for Pause {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        from_text(deserializer, "a duration like `30s`")
    }
}

impl FromStr for Pause {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let seconds = text.strip_suffix('s').and_then(|digits| u64::from_str(digits).ok());
        seconds.map(Pause).ok_or_else(|| format!("expected a duration like `30s`, found `{text}`"))
    }
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(dead_code, reason = "the tests read what the fields make of mistakes")]
struct Probe {
    http: Option<Node>,
    name: Option<String>,
    expect: Option<OneOrMany<Spanned<String>>>,
    timeout: Option<Pause>,
    retries: Option<u8>,
    ratio: Option<f64>,
    follow: Option<bool>,
    mode: Option<Mode>,
    steps: Option<Vec<Step>>,
    labels: Option<BTreeMap<Name, String>>,
    when: Option<When>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(dead_code, reason = "the tests read what the fields make of mistakes")]
struct Step {
    name: Name,
    url: String,
    pause: Pause,
}

#[derive(Debug, PartialEq, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Mode {
    Mark,
    Mute,
}

#[derive(Debug, PartialEq, Deserialize)]
#[serde(rename_all = "lowercase")]
enum When {
    Never,
    Fail(u8),
    Window { from: u8, to: u8 },
}

type Probes = BTreeMap<Spanned<Name>, Probe>;

fn source(text: &str) -> Arc<Source> {
    Source::new("probes/shop.yaml", text)
}

fn tree(text: &str) -> (Option<Node>, Problems) {
    let mut problems = Problems::new();
    let node = parse(source(text), &mut problems);
    (node, problems)
}

fn check(text: &str) -> (Option<Probes>, Problems) {
    let (node, mut problems) = tree(text);
    let probes = node.and_then(|node| read::<Probes>(&node, &mut problems));
    (probes, problems)
}

/// Each text with what is said about it.
fn page(texts: &[&str]) -> String {
    let mut page = String::new();
    for text in texts {
        let said = check(text).1.render(false);
        let said = if said.is_empty() { "(nothing)\n".to_owned() } else { said };
        let shown: Vec<_> = text.trim_end().split('\n').map(harmless).collect();
        let _ = writeln!(page, "────────\n{}\n────\n{said}", shown.join("\n"));
    }
    page
}

#[test]
fn yaml_traps_have_their_own_sentence() {
    let said = page(&[
        "p:\n  expect:\n    - headers[\"a\"] == \"x: y\"\n",
        "p:\n  expect:\n    - !has(a.b)\n    - status == 200\n",
        "p:\n  expect: [!has(a.b), status == 200]\n",
        "p:\n  expect: !has(a.b) && status == 200\n",
        "p:\n  expect: !(a || b)\n",
        "p:\n  expect: !json.items[0].ok\n",
        "p:\n  expect: [json.a == \"b, c\"]\n",
        "p:\n  expect: [status == 200, json.a == \"b, c, d\", body != \"\"]\n",
        "p:\n  expect:\n    - body.contains(\"a #b\")\n    - status == 200  # a real one\n",
        "p:\n  expect: body.contains(\"it's #1\") # a real one\n",
        "p:\n  expect: body.contains(\"a #b\")\n    && status == 200\n",
        "p:\n  name: {{token}}\n",
        "p:\n  name: {{base}}/x\n",
        "p: {name: {{token}}, retries: 1}\n",
        "p: {name: https://x.example/{{id}}, retries: 1}\n",
        "p:\n  expect: headers[\"a\"] == \"x: y\"\n",
        "p:\n  expect: \"ok\" in json.list\n",
        "p:\n  expect: [json.items[0].id == 1]\n",
        "p:\n  expect: [headers[\"a\"] == \"b\"]\n",
        "p:\n  name: *\n",
        "p:\n  expect: [*@home]\n",
        "p:\n  name: @home\n",
        "p:\n  name: status: 200\n",
        "p:\n  expect: [a, , b]\n",
        "p:\n  expect:\n    - status: 200\n",
    ]);
    insta::assert_snapshot!(said);
}

#[test]
fn syntax_errors_are_in_words() {
    let said = page(&[
        "p:\n\tname: x\n",
        "p:\n  name: x\n\tretries: 1\n",
        "p:\n  name: \"x\n  retries: 1\n",
        "p:\n  name: \"x\n  labels: { a: \"b\" }\n",
        "p:\n  expect: [a, b\n  retries: 1\n",
        "p:\n  labels: {a: b\n",
        "p:\n  name: x\n   retries: 1\n",
        "p:\n  expect:\n    - a\n   - b\n",
        "p:\n  name: x\n  retries\n",
        "p:\n  name: x]\n  expect: [a]]\n",
        "p: - a\n",
        "p:\n  name: \"\\d+\"\n",
        "p:\n  name: a\n---\nq:\n  name: b\n",
        "%YAML 1.1\n---\np: {}\n",
        "p:\n  name: a\u{0}b\n",
        "p:\n  name: a\u{1b}[31mb\n",
        "p: &a [*a]\n",
        "p: *nothing\n",
        "base: &base {retries: 1}\np:\n  <<: *base\n  name: 5\n",
        "p: !!python/object:os.system {}\n",
        "p:\n  name: !include other.yaml\n",
        "? [a, b]\n: {}\n",
        ": {}\n",
        "p:\n  name: a\n  name: b\np:\n  name: c\n",
        "p:name\n",
        "just a text\n",
        "- a\n",
    ]);
    insta::assert_snapshot!(said);
}

#[test]
fn wrong_values_say_what_was_expected() {
    let said = page(&[
        "p:\n  name: true\n",
        "p:\n  name: 1.10\n",
        "p:\n  name: 0o17\n",
        "p:\n  name: ~\n",
        "p:\n  expect:\n",
        "p:\n  labels: {a: 1, B: x, c: 22:22, d: no}\n",
        "p:\n  timeout: fast\n",
        "p:\n  timeout: 30\n",
        "p:\n  timeout: [30s, 60s]\n",
        "p:\n  retries: 300\n",
        "p:\n  retries: -1\n",
        "p:\n  retries: 1.5\n",
        "p:\n  retries: \"3\"\n",
        "p:\n  ratio: high\n",
        "p:\n  follow: yes\n",
        "p:\n  mode: mutt\n",
        "p:\n  mode: something\n",
        "p:\n  mode: {mark: 1}\n",
        "p:\n  when: fail\n",
        "p:\n  when: {fail: three}\n",
        "p:\n  when: {fail: 1, never: }\n",
        "p:\n  when: {fial: 1}\n",
        "p:\n  when: {window: {from: 1}}\n",
        "p:\n  when: 5\n",
        "p:\n  intervall: 30s\n  retires: 3\n  zzz: 1\n",
        "p:\n",
        "p: []\n",
        "p:\n  steps:\n    name: x\n",
        "p:\n  steps:\n    - name: a\n    - {}\n",
        "p:\n  steps:\n    - pause: soon\n",
        "\"P 1\":\n  name: x\n",
        "p:\n  expect:\n    - [a, b]\n",
    ]);
    insta::assert_snapshot!(said);
}

#[test]
fn nine_mistakes_are_nine_problems() {
    let text = "\
shop:
  intervall: 30s
  name: true
  timeout: soon
  retries: 999
  labels:
    Team: shop
  steps:
    - name: login
      url: 5
      pause: 1s
    - name: LOGOUT
      pause: 2
home:
  mode: quiet
  follow: perhaps
";
    let (probes, problems) = check(text);
    insta::assert_snapshot!(problems.render(false));
    // The last step lacks its `url` besides its two wrong values: eleven in all.
    assert_eq!(problems.len(), 11);
    let names: Vec<String> = probes.unwrap().into_keys().map(|name| name.value.0).collect();
    assert_eq!(names, ["home", "shop"], "what was wrong could be left out, so the rest can still be checked");
}

#[test]
fn every_missing_key_is_named_in_one_pass() {
    let (_, problems) = check("p:\n  steps:\n    - {}\n    - pause: soon\n    - url: http://x\n      name: 7\n");
    let said: Vec<&str> = problems.sorted().into_iter().map(|problem| problem.message.as_str()).collect();
    assert_eq!(
        said,
        [
            "`name` is missing",
            "`pause` is missing",
            "`url` is missing",
            "`name` is missing",
            "`url` is missing",
            "expected a duration like `30s`, found `soon`",
            "`pause` is missing",
            "expected text, found the number `7`",
        ]
    );
}

#[test]
fn a_mistake_in_an_anchored_value_is_told_once() {
    let (_, problems) = check("p: &p\n  retries: many\nq: *p\n");
    assert_eq!(problems.sorted().len(), 1);
}

#[test]
fn values_are_read_as_written() {
    #[derive(Debug, Deserialize, PartialEq)]
    #[serde(deny_unknown_fields)]
    struct All {
        name: String,
        user: String,
        time: String,
        one: OneOrMany<String>,
        many: OneOrMany<String>,
        large: u64,
        whole: f64,
        mode: Mode,
        when: Vec<When>,
        codes: BTreeMap<u16, String>,
        none: Option<String>,
        block: String,
        tilde: Option<Spanned<u8>>,
    }
    let text = "\u{feff}name: no\nuser: 007\ntime: 22:22\none: a\nmany: [a, b]\nlarge: 18446744073709551615\nwhole: 3\n\
                mode: mute\nwhen: [never, fail: 3, window: {from: 1, to: 2}]\ncodes: {200: ok}\nnone:\nblock: |\n  a\n  b\n\
                tilde: ~\n";
    let (node, mut problems) = tree(text);
    let all: Option<All> = node.and_then(|node| read(&node, &mut problems));
    assert_eq!(problems.render(false), "");
    assert_eq!(
        all.unwrap(),
        All {
            name: "no".into(),
            user: "007".into(),
            time: "22:22".into(),
            one: OneOrMany(vec!["a".into()]),
            many: OneOrMany(vec!["a".into(), "b".into()]),
            large: u64::MAX,
            whole: 3.0,
            mode: Mode::Mute,
            when: vec![When::Never, When::Fail(3), When::Window { from: 1, to: 2 }],
            codes: BTreeMap::from([(200, "ok".into())]),
            none: None,
            block: "a\nb\n".into(),
            tilde: None,
        }
    );
}

#[test]
fn places_survive_reading() {
    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Kept {
        url: Spanned<String>,
        settings: Node,
        expect: OneOrMany<Spanned<String>>,
        keys: BTreeMap<Spanned<String>, Spanned<Node>>,
    }
    let text = "url: 'a'\nsettings: {b: [1, 2]}\nexpect: x\nkeys: { é: 1, z: y }\n";
    let (node, mut problems) = tree(text);
    let kept: Kept = read(&node.unwrap(), &mut problems).unwrap();
    assert_eq!((kept.url.as_str(), kept.url.span.text()), ("a", "'a'"));
    assert_eq!(kept.settings.get("b").unwrap().items()[1].span.line_column(), (2, 19));
    assert_eq!(kept.expect[0].span.line_column(), (3, 9));
    let (key, value) = kept.keys.first_key_value().unwrap();
    assert_eq!((key.span.line_column(), value.span.text()), ((4, 15), "y"), "columns count characters");
    let late: Option<Vec<u8>> = read(kept.settings.get("b").unwrap(), &mut problems);
    assert_eq!(late, Some(vec![1, 2]));
}

#[test]
fn the_span_of_a_block_ends_with_its_last_value() {
    let (node, _) = tree("a:\n  b: 1\n\n# c\nd:\n  - x\n  - y: |\n      z\n\n");
    let node = node.unwrap();
    assert_eq!(node.get("a").unwrap().span.text(), "b: 1");
    assert_eq!(node.get("d").unwrap().span.text(), "- x\n  - y: |\n      z");
}

#[test]
fn an_empty_file_is_an_empty_mapping() {
    for text in ["", "\n", "# only a comment\n", "\u{feff}"] {
        let (node, problems) = tree(text);
        assert_eq!(node.unwrap().value, Value::Map(vec![]), "{text:?}");
        assert!(problems.is_empty());
    }
}

#[test]
fn bytes_that_are_no_text_are_refused() {
    let mut said = String::new();
    for bytes in [&b"a: 1\nb: \xc3\xa9\xff\n"[..], b"\xff\xfea\0:\0", b"a\0:\0 \x001\0", b"\xef\xbb\xbf\xffx"] {
        let mut problems = Problems::new();
        assert!(Source::decode("probes/shop.yaml", bytes, &mut problems).is_none());
        said.push_str(&problems.render(false));
        said.push('\n');
    }
    let mut problems = Problems::new();
    assert!(Source::decode("probes/shop.yaml", &vec![b' '; 10 * 1024 * 1024 + 1], &mut problems).is_none());
    said.push_str(&problems.render(false));
    insta::assert_snapshot!(said);
}

#[test]
fn rendering_is_safe_and_short() {
    let long = format!("p:\n  expect: [{}true, {}]\n", "'é', ".repeat(200), "x, ".repeat(200));
    let (_, mut problems) = check(&long);
    let key = "p:\n  \"\\e[31mred\\u202E\": 1\n  # \u{202e}\n";
    problems.extend(check(key).1);
    let elsewhere = Source::new("schedules/tiers.yaml", "a: 1\nb: 2\n");
    problems.push(
        Problem::error(Span::new(&source("a: 1\n"), 0..1), "`a` is defined in two files")
            .with_label("here")
            .with_also(Span::new(&elsewhere, 5..6), "first defined here")
            .with_help("rename one"),
    );
    problems.push(Problem::warning(Span::new(&elsewhere, 900..1000), "beyond the end"));
    problems.push(Problem::placeless(Level::Warning, "no place at all"));
    let said = problems.render(false);
    assert!(said.lines().all(|line| line.chars().count() <= 140), "{said}");
    insta::assert_snapshot!(said);
    assert!(problems.render(true).contains("\u{1b}["), "colour is there when it is asked for");
}

#[test]
fn programs_read_problems_as_json() {
    let (_, problems) = check("p:\n  retires: 3\np: {}\n");
    let json = serde_json::to_string_pretty(&problems.to_json()).unwrap();
    insta::assert_snapshot!(json);
}

#[test]
fn unknown_words_are_helped() {
    let known = ["interval", "timeout"];
    assert_eq!(suggest("intervall", known).unwrap(), "did you mean `interval`?");
    assert_eq!(suggest("zzz", known).unwrap(), "known here: `interval`, `timeout`");
    let many: Vec<String> = (0..20).map(|i| format!("key{i:02}")).collect();
    assert!(suggest("zzz", many.iter().map(String::as_str)).unwrap().ends_with("`key11` and 8 more"));
    assert_eq!(suggest("zzz", []), None);
}

/// Fails unless the text is refused, quickly.
#[expect(clippy::disallowed_methods, reason = "the limit is on real time, which no simulated clock knows")]
fn refused_within(limit: Duration, text: &str) -> String {
    let began = Instant::now();
    let (node, problems) = tree(text);
    let took = began.elapsed();
    assert!(node.is_none());
    assert!(took < limit, "{took:?}");
    problems.render(false)
}

#[test]
fn what_grows_without_bounds_is_refused_quickly() {
    let mut laughs = "a0: &a0 [lol, lol, lol, lol, lol, lol, lol, lol, lol]\n".to_owned();
    for level in 1..12 {
        let alias = format!("*a{}, ", level - 1).repeat(9);
        let _ = writeln!(laughs, "a{level}: &a{level} [{}]", alias.trim_end_matches(", "));
    }
    let quick = Duration::from_secs(2);
    let mut said = refused_within(quick, &laughs);
    said += &refused_within(Duration::from_secs(2), &format!("a: &a x\nb:\n{}", "- *a\n".repeat(1_000_000)));
    said += &refused_within(quick, &"[".repeat(10_000));
    said += &refused_within(quick, &"{a: ".repeat(10_000));
    said += &refused_within(quick, &"- ".repeat(10_000));
    let block = (0..10_000).fold(String::new(), |text, level| text + &" ".repeat(level.min(200)) + "a:\n");
    said += &refused_within(quick, &block);
    // A megabyte takes an unoptimised build a while to scan.
    let slow = Duration::from_secs(2);
    said += &refused_within(slow, &format!("a: {}", "x".repeat(1024 * 1024 + 1)));
    said += &refused_within(slow, &format!("{}: 1", "x".repeat(1024 * 1024)));
    assert!(said.lines().all(|line| line.chars().count() < 160), "long lines are cut");
    let headlines = said.lines().filter(|line| line.contains("error: ")).collect::<Vec<_>>().join("\n");
    insta::assert_snapshot!(headlines);
}

#[test]
fn depth_counts_what_aliases_bring() {
    let deep = format!("a: &a {}1{}\nb: {}*a{}\n", "[".repeat(40), "]".repeat(40), "[".repeat(40), "]".repeat(40));
    let (node, problems) = tree(&deep);
    assert!(node.is_none());
    assert!(problems.render(false).contains(&format!("more than {DEPTH_MAX} deep")));
}

fn spans(node: &Node) -> Vec<Span> {
    let mut all = vec![node.span.clone()];
    all.extend(node.entries().iter().map(|entry| entry.key.span.clone()));
    all.extend(node.children().into_iter().flat_map(spans));
    all
}

fn holds(bytes: &[u8]) -> Result<(), TestCaseError> {
    let mut problems = Problems::new();
    if let Some(source) = Source::decode("x.yaml", bytes, &mut problems)
        && let Some(node) = parse(source, &mut problems)
    {
        for span in spans(&node) {
            prop_assert!(span.source.text.get(span.bytes.clone()).is_some());
        }
        let _: Option<Probes> = read(&node, &mut problems);
        let _: Option<serde_json::Value> = read(&node, &mut problems);
    }
    for problem in problems.sorted() {
        if let Some(at) = &problem.at {
            prop_assert!(at.source.text.get(at.bytes.clone()).is_some());
        }
    }
    let said = problems.render(false) + &problems.render(true) + &problems.to_json().to_string();
    prop_assert!(problems.is_empty() || !said.is_empty());
    Ok(())
}

proptest! {
    #[test]
    fn any_bytes_are_read_or_refused(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        holds(&bytes)?;
    }

    #[test]
    fn any_text_of_yaml_signs_is_read_or_refused(
        text in "([a-z]{1,3}|expect: |steps:|name: |- |: |, |\\[|\\]|\\{|\\}|\\{\\{|\"|'|#| #|!|\\*|&|\n|\n  |\r|\t|é|\u{2028}|\\||>|~|1|\\?|%|@|---|<<: ){0,40}"
    ) {
        holds(text.as_bytes())?;
        holds(format!("p:\n  expect: {text}\n").as_bytes())?;
        holds(format!("p:\n  steps: [{text}]\n").as_bytes())?;
    }
}
