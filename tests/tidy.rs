//! The rules of the house that no compiler knows: reads the source tree and names file and line of every breach.
//!
//! Each rule is a function from text to breaches. It is tested on small samples of its own at the end, so that it cannot pass
//! by seeing nothing. Exceptions are named here with their reason, and one that nothing needs any more is a breach too.

#![cfg(test)]

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// The floor of each room, as `src/lib.rs` draws them. Arrows go down; rooms of one floor do not know each other.
const FLOORS: &[(&str, u8)] = &[
    ("app", 4),
    ("clock", 3),
    ("config", 3),
    ("notifiers", 3),
    ("probers", 3),
    ("publishers", 3),
    ("store", 3),
    ("ticks", 3),
    ("web", 3),
    ("engine", 2),
    ("net", 2),
    ("ports", 1),
    ("settings", 1),
    ("domain", 0),
];

/// What `domain` has no business with: it waits for nothing, touches nothing and knows nothing of YAML.
const NOT_IN_DOMAIN: &[&str] = &[
    "tokio",
    "futures",
    "granit_parser",
    "std::fs",
    "std::env",
    "std::process",
    "std::thread",
    "std::net::TcpListener",
    "std::net::TcpStream",
    "std::net::ToSocketAddrs",
    "std::net::UdpSocket",
];

/// Ends of the paths that read a clock.
const CLOCK_READS: &[&str] =
    &["Instant::now", "SystemTime::now", "Utc::now", "Local::now", "Instant::elapsed", "SystemTime::elapsed"];

/// Who may read a clock, and why.
const CLOCK_READERS: &[(&str, &str)] = &[
    ("src/clock.rs", "it is the clock"),
    ("src/engine/testing.rs", "the clock of tests: tokio's, which stands still and jumps"),
    ("src/settings/tests.rs", "measures that hostile text is refused quickly"),
];

/// Lines of code that a file may have. Blank lines, comments and tests do not count.
const CODE_LINES_MAX: usize = 400;

/// Longer files, and why they are still about one noun.
const LONG_FILES: &[(&str, &str)] = &[];

/// Where kinds are written, the constant each of them has, and where its page is.
const KINDS: &[Room] = &[
    Room { sources: "src/probers", constant: "KIND", pages: "docs/probes" },
    Room { sources: "src/notifiers", constant: "CHANNEL", pages: "docs/channels" },
    Room { sources: "src/publishers", constant: "PUBLISHER", pages: "docs/publishers" },
];

struct Room {
    sources: &'static str,
    constant: &'static str,
    pages: &'static str,
}

/// A file as the rules see it. `code` is `text` with comments blanked and the insides of literals replaced byte for byte, so
/// that places in the one are places in the other.
struct Source {
    path: String,
    text: String,
    code: String,
}

/// A path in code, `crate::domain::time`, groups of `use` spelled out.
#[derive(Debug, PartialEq, Eq)]
struct Mention {
    line: usize,
    path: String,
}

// ---- The rules -----------------------------------------------------------------------------------------------------------

/// Arrows between floors go down. A path that climbs out of its room with `super` is an arrow as well.
fn wrong_arrows(source: &Source) -> Vec<String> {
    let Some(modules) = source.path.strip_prefix("src/").and_then(|path| path.strip_suffix(".rs")) else {
        return Vec::new();
    };
    let modules: Vec<&str> = modules.split('/').filter(|name| *name != "mod").collect();
    let own = modules[0];
    if own == "lib" || own == "main" {
        return Vec::new();
    }
    let Some(from) = floor(own) else {
        return vec![format!("{}:1: `{own}` has no floor: give it one in tests/tidy.rs and src/lib.rs", source.path)];
    };
    let mut breaches = Vec::new();
    for Mention { line, path } in mentions(&source.code) {
        let mut names = path.split("::").skip_while(|name| *name == "self").peekable();
        let climbs = std::iter::from_fn(|| names.next_if_eq(&"super")).count();
        let from_root = if climbs == 0 { names.next_if_eq(&"crate").is_some() } else { climbs >= modules.len() };
        if !from_root {
            continue;
        }
        let target = names.next().unwrap_or_default();
        let wrong = match floor(target) {
            _ if target == own => continue,
            Some(to) if to < from => continue,
            Some(to) => format!("`{own}` is on floor {from} and must not know `{target}` on floor {to}"),
            // `super::super::x` of an inline module ends inside the room.
            None if climbs > 0 => continue,
            None => format!("`{path}` names no room"),
        };
        breaches.push(format!("{}:{line}: {wrong}", source.path));
    }
    breaches
}

fn floor(room: &str) -> Option<u8> {
    FLOORS.iter().find(|(name, _)| *name == room).map(|(_, floor)| *floor)
}

/// `domain` is nouns and rules.
fn impure_domain(source: &Source) -> Vec<String> {
    if !source.path.starts_with("src/domain/") {
        return Vec::new();
    }
    let mut breaches = Vec::new();
    for Mention { line, path } in mentions(&source.code) {
        if let Some(banned) =
            NOT_IN_DOMAIN.iter().find(|banned| path == **banned || path.starts_with(&format!("{banned}::")))
        {
            breaches.push(format!("{}:{line}: `{banned}` does not belong in domain", source.path));
        }
    }
    for (line, text) in numbered(&source.code) {
        if words(text).collect::<Vec<_>>().windows(2).any(|pair| pair == ["async", "fn"]) {
            breaches.push(format!("{}:{line}: domain waits for nothing: no `async fn`", source.path));
        }
    }
    breaches
}

/// Every file says first what it is.
fn without_heading(source: &Source) -> Option<String> {
    let heading = source.text.lines().next().and_then(|line| line.strip_prefix("//!"));
    let missing = heading.is_none_or(|words| words.trim().is_empty());
    (missing && source.path.starts_with("src/"))
        .then(|| format!("{}:1: no `//!` line says what this file is", source.path))
}

/// Time comes from a `Clock`, so that it can be simulated. The start of a path is free: aliases of the types are clippy's to
/// see.
fn clock_reads(source: &Source) -> Vec<usize> {
    let reads = |path: &str| CLOCK_READS.iter().any(|read| path == *read || path.ends_with(&format!("::{read}")));
    let paths = mentions(&source.code).into_iter().filter(|mention| reads(&mention.path)).map(|mention| mention.line);
    let elapsed = numbered(&source.code).filter(|(_, line)| line.contains(".elapsed()")).map(|(line, _)| line);
    paths.chain(elapsed).collect()
}

/// A lint is switched off by `expect` with a reason, which complains when it is needed no longer.
fn allowed_lints(source: &Source) -> Vec<String> {
    let attribute = |line: &str| {
        let line = line.trim_start();
        let allows = words(line).any(|word| word == "allow") && line.replace(' ', "").contains("allow(");
        (line.starts_with("#[") || line.starts_with("#![")) && allows
    };
    let lines = numbered(&source.code).filter(|(_, line)| attribute(line));
    lines
        .map(|(line, _)| format!("{}:{line}: `#[expect(lint, reason = \"…\")]` instead of `allow`", source.path))
        .collect()
}

/// The names that a file gives its kinds, with their lines. A constant whose name cannot be read is one without a name.
fn kinds(source: &Source, constant: &str) -> Vec<(usize, Option<String>)> {
    let declaration = format!("const {constant}:");
    let mut found = Vec::new();
    for (start, _) in source.code.match_indices(&declaration) {
        let end = source.code[start..].find("};").map_or(source.code.len(), |length| start + length);
        let name = source.code[start..end].find("name: \"").and_then(|place| {
            let name = &source.text[start + place + "name: \"".len()..end];
            name.split_once('"').map(|(name, _)| name.to_owned())
        });
        found.push((line_at(&source.code, start), name));
    }
    found
}

/// How many rows a table of kinds has.
fn rows(table: &Source, constant: &str) -> usize {
    let row = format!("::{constant}");
    mentions(&table.code).iter().filter(|mention| mention.path.ends_with(&row)).count()
}

/// Whether a key of this name is written somewhere in a YAML file.
fn has_key(yaml: &str, key: &str) -> bool {
    yaml.lines().any(|line| {
        let line = if line.trim_start().starts_with('#') { "" } else { line.split(" #").next().unwrap_or_default() };
        line.match_indices(key).any(|(start, _)| {
            let before = line[..start].chars().next_back();
            let after = line[start + key.len()..].strip_prefix(':');
            before.is_none_or(|before| " {,".contains(before))
                && after.is_some_and(|after| after.is_empty() || after.starts_with(' '))
        })
    })
}

/// Lines that carry code, without a block of tests at the end.
fn code_lines(source: &Source) -> usize {
    let mut lines: Vec<&str> = source.code.lines().collect();
    let tests = lines.windows(2).position(|pair| pair[0] == "#[cfg(test)]" && pair[1] == "mod tests {");
    if let Some(tests) = tests {
        let end = lines[tests..].iter().position(|line| *line == "}").map_or(lines.len(), |length| tests + length + 1);
        lines.drain(tests..end);
    }
    lines.iter().filter(|line| !line.trim().is_empty()).count()
}

/// The files that only tests compile: what their parents declare under `#[cfg(test)]`, and what is below it.
fn test_only(sources: &[Source]) -> BTreeSet<String> {
    let mut roots = Vec::new();
    for source in sources {
        let directory = source.path.trim_end_matches("/mod.rs").trim_end_matches(".rs");
        let mut under_test = false;
        for line in source.code.lines() {
            if line.starts_with("#[cfg(test)]") {
                under_test = true;
            } else if !line.starts_with("#[") && !line.trim().is_empty() {
                let module = line.strip_suffix(';').filter(|_| under_test && words(line).any(|word| word == "mod"));
                roots.extend(module.and_then(|line| words(line).last()).map(|name| format!("{directory}/{name}")));
                under_test = false;
            }
        }
    }
    let below =
        |path: &str| roots.iter().any(|root| path == format!("{root}.rs") || path.starts_with(&format!("{root}/")));
    sources.iter().map(|source| source.path.clone()).filter(|path| below(path)).collect()
}

// ---- The tree held to the rules ------------------------------------------------------------------------------------------

#[test]
fn arrows_between_floors_go_down() {
    hold(sources("src").iter().flat_map(wrong_arrows));
}

#[test]
fn every_floor_is_drawn_in_lib_rs() {
    let lib = fs::read_to_string(root().join("src/lib.rs")).expect("src/lib.rs");
    for (room, floor) in FLOORS {
        let declared = lib.contains(&format!("\npub mod {room};\n"));
        assert!(declared, "src/lib.rs: `{room}`, on floor {floor} of tests/tidy.rs, is no module");
    }
}

#[test]
fn domain_is_nouns_and_rules() {
    hold(sources("src").iter().flat_map(impure_domain));
}

#[test]
fn every_file_says_what_it_is() {
    hold(sources("src").iter().filter_map(without_heading));
}

#[test]
fn only_the_clock_reads_a_clock() {
    let mut breaches = Vec::new();
    let mut unused: BTreeSet<&str> = CLOCK_READERS.iter().map(|(path, _)| *path).collect();
    for source in sources("src") {
        let reads = clock_reads(&source);
        let excepted = CLOCK_READERS.iter().find(|(path, _)| *path == source.path);
        if let Some((path, _)) = excepted.filter(|_| !reads.is_empty()) {
            unused.remove(path);
        } else {
            breaches.extend(reads.iter().map(|line| format!("{}:{line}: reads a clock: take a `Clock`", source.path)));
        }
    }
    hold(
        breaches
            .into_iter()
            .chain(unused.iter().map(|path| format!("{path}: reads no clock: take the exception back"))),
    );
}

#[test]
fn no_lint_is_allowed() {
    hold(sources("src").iter().chain(&sources("tests")).flat_map(allowed_lints));
}

#[test]
fn every_kind_has_its_page_and_its_example() {
    let mut breaches = Vec::new();
    let examples: Vec<String> =
        files("probes", "yaml").iter().map(|path| fs::read_to_string(path).expect("an example")).collect();
    for room in KINDS {
        let mut names = BTreeSet::new();
        let mut row_count = 0;
        for source in sources(room.sources) {
            if source.path == format!("{}/mod.rs", room.sources) {
                row_count = rows(&source, room.constant);
            }
            for (line, name) in kinds(&source, room.constant) {
                let place = format!("{}:{line}", source.path);
                let Some(name) = name else {
                    breaches.push(format!("{place}: the name of this {} is no plain text", room.constant));
                    continue;
                };
                let page = format!("{}/{name}.md", room.pages);
                if !root().join(&page).is_file() {
                    breaches.push(format!("{place}: `{name}` has no page {page}"));
                }
                if room.constant == "KIND" && !examples.iter().any(|example| has_key(example, &name)) {
                    breaches.push(format!("{place}: `{name}` has no example in probes/"));
                }
                names.insert(name);
            }
        }
        if names.is_empty() || names.len() != row_count {
            let (sources, constant) = (room.sources, room.constant);
            breaches.push(format!("{sources}/mod.rs: {row_count} rows, but {} names of {constant}", names.len()));
        }
    }
    hold(breaches);
}

#[test]
fn no_file_has_outgrown_its_noun() {
    let sources = sources("src");
    let tests = test_only(&sources);
    let mut breaches = Vec::new();
    for source in sources.iter().filter(|source| !tests.contains(&source.path)) {
        let lines = code_lines(source);
        let excepted = LONG_FILES.iter().any(|(path, _)| *path == source.path);
        if !excepted && lines > CODE_LINES_MAX {
            let path = &source.path;
            breaches
                .push(format!("{path}:1: {lines} lines of code are more than {CODE_LINES_MAX}: split it by meaning"));
        } else if excepted && lines <= CODE_LINES_MAX {
            breaches.push(format!("{}: {lines} lines of code: take the exception back", source.path));
        }
    }
    let gone = LONG_FILES.iter().filter(|(path, _)| !root().join(path).is_file());
    hold(breaches.into_iter().chain(gone.map(|(path, _)| format!("{path}: is gone: take the exception back"))));
}

// ---- Reading -------------------------------------------------------------------------------------------------------------

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// Every file with this ending below a directory, in order.
fn files(directory: &str, ending: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut directories = vec![root().join(directory)];
    while let Some(directory) = directories.pop() {
        for entry in fs::read_dir(&directory).expect("a directory of the repository") {
            let path = entry.expect("an entry").path();
            let hidden = path.file_name().is_some_and(|name| name.to_string_lossy().starts_with('.'));
            if path.is_dir() && !hidden {
                directories.push(path);
            } else if path.extension().is_some_and(|extension| extension == ending) {
                found.push(path);
            }
        }
    }
    found.sort();
    assert!(!found.is_empty(), "{directory}/ has no .{ending} file");
    found
}

fn sources(directory: &str) -> Vec<Source> {
    let read = |path: &PathBuf| {
        let text = fs::read_to_string(path).expect("a source file");
        source(&path.strip_prefix(root()).unwrap_or(Path::new("")).to_string_lossy(), &text)
    };
    files(directory, "rs").iter().map(read).collect()
}

fn source(path: &str, text: &str) -> Source {
    Source { path: path.to_owned(), text: text.to_owned(), code: code(text) }
}

fn hold(breaches: impl IntoIterator<Item = String>) {
    let breaches: Vec<String> = breaches.into_iter().collect();
    assert!(breaches.is_empty(), "\n{}", breaches.join("\n"));
}

fn numbered(text: &str) -> impl Iterator<Item = (usize, &str)> {
    text.lines().enumerate().map(|(index, line)| (index + 1, line))
}

fn line_at(text: &str, place: usize) -> usize {
    text[..place].matches('\n').count() + 1
}

fn is_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_'
}

fn words(line: &str) -> impl Iterator<Item = &str> {
    line.split(|letter: char| !letter.is_ascii_alphanumeric() && letter != '_').filter(|word| !word.is_empty())
}

/// Rust with its comments blanked and the insides of its literals as `_`. Lengths and lines stay.
fn code(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut out = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while at < bytes.len() {
        let rest = &text[at..];
        let after_word = at > 0 && is_word(bytes[at - 1]);
        let (length, filling, edges) = if rest.starts_with("//") {
            (rest.find('\n').unwrap_or(rest.len()), b' ', (0, 0))
        } else if rest.starts_with("/*") {
            (block_comment(rest), b' ', (0, 0))
        } else if let Some(hashes) = raw_string(rest).filter(|_| !after_word) {
            let open = rest.find('"').unwrap_or_default() + 1;
            let close = format!("\"{}", "#".repeat(hashes));
            let end = rest[open..].find(&close).map_or(rest.len(), |inside| open + inside + close.len());
            (end, b'_', (open, close.len()))
        } else if rest.starts_with('"') {
            (1 + quoted(&rest[1..], b'"'), b'_', (1, 1))
        } else if let Some(length) = character(rest) {
            (length, b'_', (1, 1))
        } else {
            let length = rest.chars().next().map_or(1, char::len_utf8);
            // A letter beyond ASCII is part of no path that matters here.
            out.extend((0..length).map(|_| if length == 1 { bytes[at] } else { b'_' }));
            at += length;
            continue;
        };
        for (place, byte) in rest.as_bytes()[..length].iter().enumerate() {
            let edge = place < edges.0 || place + edges.1 >= length;
            out.push(if *byte == b'\n' || (edge && edges != (0, 0)) { *byte } else { filling });
        }
        at += length;
    }
    String::from_utf8_lossy(&out).into_owned()
}

/// Block comments nest.
fn block_comment(rest: &str) -> usize {
    let bytes = rest.as_bytes();
    let (mut depth, mut at) = (0, 0);
    while at < bytes.len() {
        let step = match &bytes[at..bytes.len().min(at + 2)] {
            b"/*" => 1,
            b"*/" => -1,
            _ => 0,
        };
        depth += step;
        at += if step == 0 { 1 } else { 2 };
        if depth == 0 {
            return at;
        }
    }
    at
}

/// The number of `#` before a raw string's quote, when one begins here.
fn raw_string(rest: &str) -> Option<usize> {
    let marks = ["br", "cr", "r"].iter().find_map(|prefix| rest.strip_prefix(prefix))?;
    let hashes = marks.len() - marks.trim_start_matches('#').len();
    marks[hashes..].starts_with('"').then_some(hashes)
}

/// How long a literal is after its opening quote, the closing one included.
fn quoted(rest: &str, quote: u8) -> usize {
    let bytes = rest.as_bytes();
    let mut at = 0;
    while at < bytes.len() && bytes[at] != quote {
        at += if bytes[at] == b'\\' { 2 } else { 1 };
    }
    bytes.len().min(at + 1)
}

/// How long the character literal is that begins here. A lifetime has no second quote right after its first letter.
fn character(rest: &str) -> Option<usize> {
    let inside = rest.strip_prefix('\'')?;
    let first = inside.chars().next()?;
    let literal = first == '\\' || inside[first.len_utf8()..].starts_with('\'');
    literal.then(|| 1 + quoted(inside, b'\''))
}

/// Every path of at least two names. `a::{b, c::d}` is `a::b` and `a::c::d`.
fn mentions(code: &str) -> Vec<Mention> {
    let bytes = code.as_bytes();
    let mut found = Vec::new();
    // The prefixes of the groups that are open; a brace that opens no group has none.
    let mut open: Vec<Option<String>> = Vec::new();
    let mut at = 0;
    while at < bytes.len() {
        match bytes[at] {
            b'{' => open.push(None),
            b'}' => {
                open.pop();
            }
            byte if is_word(byte) => {
                let start = at;
                let mut path = open.last().cloned().flatten().unwrap_or_default();
                let group = loop {
                    let end = at + bytes[at..].iter().take_while(|byte| is_word(**byte)).count();
                    path.push_str(&code[at..end]);
                    at = end;
                    if !code[at..].starts_with("::") {
                        break false;
                    }
                    let next = code[at + 2..].trim_start();
                    let next_at = code.len() - next.len();
                    match next.bytes().next() {
                        Some(b'{') => {
                            path.push_str("::");
                            at = next_at + 1;
                            break true;
                        }
                        Some(byte) if is_word(byte) => {
                            path.push_str("::");
                            at = next_at;
                        }
                        _ => break false,
                    }
                };
                if group {
                    open.push(Some(path));
                } else if path.contains("::") {
                    found.push(Mention { line: line_at(code, start), path });
                }
                continue;
            }
            _ => {}
        }
        at += 1;
    }
    found
}

// ---- The rules held to samples -------------------------------------------------------------------------------------------

#[test]
fn the_rule_of_arrows_sees_every_way_to_write_one() {
    let web = |text: &str| wrong_arrows(&source("src/web/view.rs", text)).join("\n");
    assert_eq!(
        web("//! A view.\n\nuse crate::store::open;"),
        "src/web/view.rs:3: `web` is on floor 3 and must not know `store` on floor 3"
    );
    for (wrong, line) in [
        ("use crate::{domain::time::{self, at},\n    store::open};", 2),
        ("use crate::app;", 1),
        ("fn f() {\n    g(crate::config::load::load());\n}", 2),
        ("use super::super::probers::KINDS;", 1),
        ("macro_rules! m { () => { $crate::notifiers::x() } }", 1),
        ("use crate::\n    clock::System;", 1),
        ("use crate::nowhere;", 1),
        ("#[cfg(test)]\nmod tests {\n    use crate::ticks::Ticks;\n}", 3),
    ] {
        assert!(web(wrong).starts_with(&format!("src/web/view.rs:{line}: ")), "{wrong}: {}", web(wrong));
    }
    for right in [
        "use crate::{domain::time, engine::facts::Facts, net, ports::Store, settings::Node};",
        "use crate::web::marks;\nuse super::marks::store;\nuse self::store::x;",
        "//! [`crate::store`]\n/* crate::store::open */ // crate::app::main\nconst S: &str = \"crate::store::open\";",
        "pub(crate) fn f() {}\nmod tests { use super::super::frame; }",
        "use std::{net::IpAddr, path::Path};\nuse other::app::main;",
    ] {
        assert_eq!(web(right), "", "{right}");
    }
    for (path, text, target) in [
        ("src/engine/runner.rs", "use crate::net::dial;", "net"),
        ("src/net/tls.rs", "use crate::engine::plan;", "engine"),
        ("src/ports.rs", "use crate::settings::Node;", "settings"),
        ("src/settings/mod.rs", "use super::ports::Kind;", "ports"),
        ("src/domain/time.rs", "use crate::ports::Clock;", "ports"),
        ("src/probers/http/url.rs", "use super::super::super::net::x;\nuse super::super::super::web::x;", "web"),
    ] {
        let breaches = wrong_arrows(&source(path, text));
        assert!(breaches.len() == 1 && breaches[0].contains(&format!("`{target}`")), "{path}: {breaches:?}");
    }
    assert!(wrong_arrows(&source("src/cellar/mod.rs", "//! New."))[0].contains("has no floor"));
}

#[test]
fn the_rule_of_the_domain_sees_what_waits_and_touches() {
    let domain = |text: &str| impure_domain(&source("src/domain/x.rs", text));
    for wrong in [
        "use tokio::time;",
        "use std::{fmt, fs};",
        "use std::net::{IpAddr, TcpStream};",
        "fn f() { std::env::var(\"X\"); }",
        "pub async fn f() {}",
    ] {
        assert_eq!(domain(wrong).len(), 1, "{wrong}");
    }
    assert_eq!(
        domain("use std::net::IpAddr; // not std::fs::read\nuse std::fmt; fn an_async_fn() {}"),
        Vec::<String>::new()
    );
    assert_eq!(impure_domain(&source("src/net/x.rs", "use tokio::net::TcpStream;")), Vec::<String>::new());
}

#[test]
fn the_rule_of_headings_wants_words() {
    for wrong in ["use std::fmt;", "", "//!\n//! Late.", "// A comment.", "/// Of the next item."] {
        assert!(without_heading(&source("src/x.rs", wrong)).is_some(), "{wrong}");
    }
    assert_eq!(without_heading(&source("src/x.rs", "//! What it is.")), None);
}

#[test]
fn the_rule_of_clocks_sees_calls_and_names_of_functions() {
    let text = "let a = Instant::now();\nlet b = std::time::SystemTime::now;\nlet c = chrono::Utc::now();\nlet d = a.elapsed();";
    let mut lines = clock_reads(&source("src/x.rs", text));
    lines.sort_unstable();
    assert_eq!(lines, [1, 2, 3, 4]);
    let innocent = "let a = clock.now(); // Instant::now()\nlet b = \"Utc::now\";\nlet c = MyInstant::now();";
    assert_eq!(clock_reads(&source("src/x.rs", innocent)), Vec::<usize>::new());
}

#[test]
fn the_rule_of_lints_sees_every_form_of_allow() {
    for wrong in ["#[allow(dead_code)]", "#![allow(clippy::all)]", "    #[cfg_attr(test, allow(unused))]"] {
        assert_eq!(allowed_lints(&source("src/x.rs", wrong)).len(), 1, "{wrong}");
    }
    for right in ["#[expect(dead_code, reason = \"allow(x)\")]", "// #[allow(dead_code)]", "let x = allow(1);"] {
        assert_eq!(allowed_lints(&source("src/x.rs", right)), Vec::<String>::new(), "{right}");
    }
}

#[test]
fn the_rule_of_kinds_reads_names_rows_and_keys() {
    let text = "//! `name: \"no\"`\npub const KIND: Kind = Kind {\n    name: \"tcp\",\n};\nconst KIND: Kind = Kind { name: NAME };";
    assert_eq!(kinds(&source("src/x.rs", text), "KIND"), [(2, Some("tcp".to_owned())), (5, None)]);
    assert_eq!(
        rows(&source("src/mod.rs", "const KINDS: &[Kind] = &[tcp::KIND, http::settings::KIND, dns::OTHER];"), "KIND"),
        2
    );
    for yaml in ["tcp: x", "probe:\n  tcp:\n    address: x", "p: { tcp: \"a:1\" }", "p: {tcp: x}", "- tcp: x # y"] {
        assert!(has_key(yaml, "tcp"), "{yaml}");
    }
    for yaml in ["# tcp: x", "a: b # tcp: x", "url: tcp://x", "udp-tcp: x", "tcpx: 1", "a: tcp"] {
        assert!(!has_key(yaml, "tcp"), "{yaml}");
    }
}

#[test]
fn the_rule_of_length_counts_code_alone() {
    let text = "//! A file.\n\n/// A thing.\nfn f() {\n    // why\n    g(\"\n\n\");\n}\n\n#[cfg(test)]\nmod tests {\n    fn x() {}\n}\nfn h() {}\n";
    assert_eq!(code_lines(&source("src/x.rs", text)), 5);
    let long = "fn f() {}\n".repeat(CODE_LINES_MAX + 1);
    assert!(code_lines(&source("src/x.rs", &long)) > CODE_LINES_MAX);
    let house = [
        source(
            "src/a/mod.rs",
            "#[cfg(test)]\n#[expect(x, reason = \"y\")]\npub(crate) mod testing;\nmod b;\n#[cfg(test)]\nmod tests;",
        ),
        source("src/a/testing.rs", ""),
        source("src/a/tests/deep.rs", ""),
        source("src/a/b.rs", "#[cfg(test)]\nuse x;\nmod c;\n#[cfg(test)]\nmod tests;"),
        source("src/a/b/c.rs", ""),
        source("src/a/b/tests.rs", ""),
        source("src/tests.rs", ""),
    ];
    let tests: Vec<String> = test_only(&house).into_iter().collect();
    assert_eq!(tests, ["src/a/b/tests.rs", "src/a/testing.rs", "src/a/tests/deep.rs"]);
}

#[test]
fn comments_and_literals_are_no_code() {
    for (text, seen) in [
        ("a // b\nc", "a     \nc"),
        ("a /* b /* c */ d */ e", "a                   e"),
        ("f(\"x \\\" // y\") // z", "f(\"_________\")     "),
        ("r#\"a \" b\"# c", "r#\"_____\"# c"),
        ("fn f<'a>(x: &'a str) { '\"'; '\\''; b'/' }", "fn f<'a>(x: &'a str) { '_'; '__'; b'_' }"),
        ("let r = \"ü\";", "let r = \"__\";"),
        ("var\"x\"", "var\"_\""),
    ] {
        assert_eq!(code(text), seen, "{text}");
        assert_eq!(code(text).len(), text.len(), "{text}");
    }
}
