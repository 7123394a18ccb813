//! The rules of the house, read from the source tree: each failure names a file and a line.

#![cfg(test)]

use std::fs;
use std::path::{Path, PathBuf};

/// Rooms by floor. The neighbours of one floor never import each other.
const FLOORS: [&[&str]; 5] = [
    &["domain"],
    &["ports", "settings"],
    &["engine", "net"],
    &["clock", "ticks", "config", "probers", "publishers", "notifiers", "store", "web"],
    &["app"],
];
/// Arrows that are right although both ends stand on one floor: a seam hands settings through, and says so in its types.
const NEIGHBOURS: &[(&str, &str)] = &[("ports", "settings")];
/// What the domain does without.
const NOT_IN_DOMAIN: &[&str] = &["tokio::", "std::fs", "std::net::Tcp", "std::net::Udp", "std::process"];
const CLOCK_READS: &[&str] = &["Instant::now", "SystemTime::now", "Utc::now", "Local::now"];
/// Files that read a clock, with the reason.
const CLOCK_READERS: &[(&str, &str)] = &[
    ("clock.rs", "it is the clock"),
    ("engine/testing.rs", "the clock of tests shows tokio's paused time"),
    ("settings/tests.rs", "a test bounds how long a hostile file may take"),
];
/// Lines a file may have before its `#[cfg(test)] mod tests`: its own tests are not counted, nor are files of tests.
const LINES_MAX: usize = 400;
/// Longer files, with the reason.
const LONG: &[(&str, &str)] = &[
    ("config/load.rs", "the order of the checks is read as one"),
    ("config/probes.rs", "a probe is one grammar"),
    ("domain/expression/check.rs", "one walk over one syntax tree"),
    ("domain/expression/evaluate.rs", "one walk over one syntax tree"),
    ("domain/outcome.rs", "what came of a probe, from the facts to the run, on one page"),
    ("ports.rs", "all seams on one page"),
    ("settings/de.rs", "one deserializer"),
    ("settings/traps.rs", "a list of sentences"),
    ("settings/tree.rs", "one tree and its builder"),
];

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// Every file below with that ending, as its path from there and its text.
fn files(below: &Path, ending: &str) -> Vec<(String, String)> {
    let mut found = Vec::new();
    let mut open = vec![below.to_owned()];
    while let Some(directory) = open.pop() {
        for entry in fs::read_dir(&directory).expect("a directory") {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                open.push(path);
            } else if path.extension().is_some_and(|extension| extension == ending) {
                let name = path.strip_prefix(below).expect("a path below").to_string_lossy().into_owned();
                found.push((name, fs::read_to_string(&path).expect("text")));
            }
        }
    }
    found.sort();
    found
}

fn source() -> Vec<(String, String)> {
    let found = files(&root().join("src"), "rs");
    assert!(found.len() > 50, "the source was not found");
    found
}

fn assert_tidy(rule: fn(&str, &str) -> Vec<String>) {
    let found: Vec<String> = source().iter().flat_map(|(file, text)| rule(file, text)).collect();
    assert!(found.is_empty(), "\n{}", found.join("\n"));
}

fn room_of(file: &str) -> &str {
    file.split('/').next().unwrap_or(file).trim_end_matches(".rs")
}

fn floor_of(room: &str) -> Option<usize> {
    FLOORS.iter().position(|rooms| rooms.contains(&room))
}

/// The text before its own tests, whose imports bind nobody.
fn without_tests(file: &str, text: &str) -> String {
    if file.ends_with("tests.rs") || file.ends_with("testing.rs") {
        return String::new();
    }
    text.split("\n#[cfg(test)]\nmod tests").next().unwrap_or_default().to_owned()
}

/// The lines of code with their numbers; comments name other rooms freely.
fn code(text: &str) -> impl Iterator<Item = (usize, &str)> {
    let lines = text.lines().enumerate().map(|(index, line)| (index + 1, line.trim_start()));
    lines.filter(|(_, line)| !line.starts_with("//"))
}

fn wrong_arrows(file: &str, text: &str) -> Vec<String> {
    let room = room_of(file);
    let body = without_tests(file, text);
    let mut found = Vec::new();
    if file == "lib.rs" || file == "main.rs" {
        return found;
    }
    let Some(floor) = floor_of(room) else { return vec![format!("src/{file}:1: the room `{room}` is on no floor")] };
    for (number, line) in code(&body) {
        if room == "domain" {
            let taboo = NOT_IN_DOMAIN.iter().filter(|word| line.contains(**word));
            found.extend(taboo.map(|word| format!("src/{file}:{number}: `{word}` has no place in the domain")));
        }
        for rest in line.split("crate::").skip(1).chain(line.split("roundsman::").skip(1)) {
            // A group names several rooms: `crate::{domain, ports}`.
            let names = rest.strip_prefix('{').unwrap_or(rest.split("::").next().unwrap_or(rest));
            for other in names.split(|c: char| !c.is_alphanumeric() && c != '_') {
                let is_wrong = floor_of(other).is_some_and(|target| {
                    target > floor || target == floor && other != room && !NEIGHBOURS.contains(&(room, other))
                });
                if is_wrong {
                    found.push(format!("src/{file}:{number}: `{room}` imports `{other}`"));
                }
            }
        }
    }
    found
}

fn missing_comment(file: &str, text: &str) -> Vec<String> {
    if text.starts_with("//!") { Vec::new() } else { vec![format!("src/{file}:1: no module comment")] }
}

fn clock_reads(file: &str, text: &str) -> Vec<String> {
    if CLOCK_READERS.iter().any(|(reader, _)| *reader == file) {
        return Vec::new();
    }
    let reads = code(text).filter(|(_, line)| CLOCK_READS.iter().any(|read| line.contains(read)));
    reads.map(|(number, _)| format!("src/{file}:{number}: reads a clock: take a `Clock`")).collect()
}

fn outgrown(file: &str, text: &str) -> Vec<String> {
    let length = without_tests(file, text).lines().count();
    let is_long = length > LINES_MAX && LONG.iter().all(|(known, _)| *known != file);
    if is_long { vec![format!("src/{file}:{LINES_MAX}: has {length} lines: split it by meaning")] } else { Vec::new() }
}

/// The names of the rows in a room: constants or elements of the form `Kind { name: "…"`.
fn kinds(text: &str, row: &str) -> Vec<String> {
    let opening = format!("{row} {{");
    let rows = text.split(&opening).skip(1);
    let name = |rest: &str| Some(rest.trim_start().strip_prefix("name: \"")?.split('"').next()?.to_owned());
    rows.filter_map(name).collect()
}

#[test]
fn arrows_point_down() {
    assert_tidy(wrong_arrows);
}

#[test]
fn modules_say_what_they_are() {
    assert_tidy(missing_comment);
}

#[test]
fn one_file_reads_the_clock() {
    assert_tidy(clock_reads);
}

#[test]
fn files_are_short() {
    assert_tidy(outgrown);
}

#[test]
fn kinds_have_their_example_and_their_page() {
    let examples: String = files(&root().join("probes"), "yaml").into_iter().map(|(_, text)| text).collect();
    let mut found = Vec::new();
    for (room, row, pages) in [
        ("probers", "Kind", "probes"),
        ("notifiers", "ChannelKind", "channels"),
        ("publishers", "PublisherKind", "publishers"),
    ] {
        let text: String = files(&root().join("src").join(room), "rs").into_iter().map(|(_, text)| text).collect();
        let names = kinds(&text, &format!(" {row}"));
        assert!(!names.is_empty(), "src/{room}/mod.rs:1: no rows were found");
        for name in names {
            if !root().join(format!("docs/{pages}/{name}.md")).exists() {
                found.push(format!("docs/{pages}/{name}.md:1: is missing"));
            }
            let is_shown = examples
                .lines()
                .any(|line| line.trim_start().trim_start_matches("- ").starts_with(&format!("{name}:")));
            if pages == "probes" && !is_shown {
                found.push(format!("probes/:1: has no example of `{name}`"));
            }
        }
    }
    assert!(found.is_empty(), "\n{}", found.join("\n"));
}

#[test]
fn the_rules_find_what_they_forbid() {
    for (file, line, is_right) in [
        ("probers/tcp.rs", "use crate::net::dial::dial;", true),
        ("ports.rs", "use crate::settings::Node;", true),
        ("engine/runner.rs", "/// See crate::store.", true),
        ("probers/tcp.rs", "use crate::store::open;", false),
        ("probers/tcp.rs", "use crate::{domain, web};", false),
        ("settings/de.rs", "use crate::ports::Kind;", false),
        ("engine/runner.rs", "use crate::net::tls;", false),
        ("net/dial.rs", "use crate::engine::plan;", false),
        ("store/mod.rs", "let x = crate::app::run();", false),
        ("domain/judge.rs", "use tokio::sync::mpsc;", false),
        ("attic/mod.rs", "use crate::domain;", false),
    ] {
        assert_eq!(wrong_arrows(file, line).is_empty(), is_right, "{file}: {line}");
    }
    assert_eq!(missing_comment("a.rs", "use x;"), ["src/a.rs:1: no module comment"]);
    assert_eq!(clock_reads("web/a.rs", "\nlet t = Instant::now();"), ["src/web/a.rs:2: reads a clock: take a `Clock`"]);
    assert!(clock_reads("clock.rs", "Instant::now()").is_empty());
    let tail = format!("{}\n#[cfg(test)]\nmod tests {{{}", "x\n".repeat(400), "x\n".repeat(99));
    assert!(outgrown("web/a.rs", &tail).is_empty());
    assert_eq!(outgrown("web/a.rs", &"x\n".repeat(401)).len(), 1);
    assert_eq!(kinds("const KIND: Kind = Kind {\n    name: \"tcp\",", " Kind"), ["tcp"]);
}

#[test]
fn exceptions_are_needed() {
    for (file, _) in LONG.iter().chain(CLOCK_READERS) {
        let text = fs::read_to_string(root().join("src").join(file)).unwrap();
        let is_long = without_tests(file, &text).lines().count() > LINES_MAX;
        let reads = CLOCK_READS.iter().any(|read| text.contains(read));
        assert!(is_long || reads, "tests/tidy.rs:1: {file} needs no exception any more");
    }
}
