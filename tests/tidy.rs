//! The rules of the house that no compiler knows: reads the source tree and names file and line of every breach.
//!
//! Each rule is a function from text to breaches. It is tested on small samples (`tidy/samples.rs`), so that it cannot pass
//! by seeing nothing. Exceptions are named here with their reason, and one that nothing needs any more is a breach too.

#![cfg(test)]

use std::collections::BTreeSet;
use std::fs;
use std::ops::Range;

use source::{Mention, Source, files, line_at, mentions, numbered, root, source, sources, words};

#[path = "tidy/samples.rs"]
mod samples;
#[path = "tidy/source.rs"]
mod source;

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

/// Arrows between rooms of one floor or upwards that are right all the same: who, whom, why.
const ARROWS: &[(&str, &str, &str)] =
    &[("ports", "settings", "the row of a kind says how the kind reads what was written")];

/// What tests may know whatever their floor: sockets of the real world need the real clock.
const KNOWN_TO_TESTS: &str = "clock";

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
const LONG_FILES: &[(&str, &str)] = &[
    ("src/config/load.rs", "the order in which the files are gone through is told in one place"),
    ("src/ports.rs", "the seams are on one page, so that nobody looks for one elsewhere"),
    ("src/settings/de.rs", "serde wants some forty methods that each say one line"),
    ("src/settings/tree.rs", "the tree and the only thing that may build it"),
];

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

// ---- The rules -----------------------------------------------------------------------------------------------------------

/// Arrows between floors go down. A path that climbs out of its room with `super` is an arrow as well.
fn wrong_arrows(source: &Source, tests_only: bool) -> Vec<String> {
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
    let tests = if tests_only { 0..usize::MAX } else { tests_at_end(&source.code) };
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
            _ if target == own || ARROWS.iter().any(|(from, to, _)| *from == own && *to == target) => continue,
            _ if target == KNOWN_TO_TESTS && tests.contains(&line) => continue,
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
    let tests = tests_at_end(&source.code);
    let mut breaches = Vec::new();
    for Mention { line, path } in mentions(&source.code).into_iter().filter(|mention| !tests.contains(&mention.line)) {
        if let Some(banned) =
            NOT_IN_DOMAIN.iter().find(|banned| path == **banned || path.starts_with(&format!("{banned}::")))
        {
            breaches.push(format!("{}:{line}: `{banned}` does not belong in domain", source.path));
        }
    }
    for (line, text) in numbered(&source.code).filter(|(line, _)| !tests.contains(line)) {
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

/// Where the lock of the fuzzers is not what the package ships with: a dependency of the manifest that it does not know, or
/// a package of another version.
fn strays(manifest: &str, lock: &str, fuzzers: &str) -> Vec<String> {
    let named = manifest.split_once("\n[dependencies]\n").map_or("", |(_, below)| below);
    let named = named.lines().take_while(|line| !line.starts_with('[')).filter_map(|line| line.split_once(" = "));
    let dependencies = named.map(|(name, _)| name).filter(|name| !name.starts_with('#'));
    let (ships, tried) = (locked(lock), locked(fuzzers));
    let unknown = dependencies
        .filter(|name| !tried.iter().any(|(package, _)| package == name))
        .map(|name| format!("tests/fuzz/Cargo.lock: does not know {name}"));
    let others = tried
        .iter()
        .filter(|(name, _)| ships.iter().any(|(package, _)| package == name))
        .filter(|package| !ships.contains(package))
        .map(|(name, version)| format!("tests/fuzz/Cargo.lock: {name} {version} is not what ships"));
    unknown.chain(others).collect()
}

/// The packages of a lock, each with its version.
fn locked(lock: &str) -> BTreeSet<(&str, &str)> {
    let packages = lock.split("[[package]]").skip(1);
    packages
        .filter_map(|package| {
            let value = |key| package.lines().find_map(|line| line.strip_prefix(key)?.strip_suffix('"'));
            Some((value("name = \"")?, value("version = \"")?))
        })
        .collect()
}

/// Lines that carry code, without a block of tests at the end.
fn code_lines(source: &Source) -> usize {
    let tests = tests_at_end(&source.code);
    numbered(&source.code).filter(|(line, text)| !tests.contains(line) && !text.trim().is_empty()).count()
}

/// The lines of a block of tests with which a file ends. Code after it is not hidden by it.
fn tests_at_end(code: &str) -> Range<usize> {
    let lines: Vec<&str> = code.lines().collect();
    let Some(module) = lines.iter().position(|line| *line == "mod tests {") else { return 0..0 };
    let attributes = lines[..module].iter().rev().take_while(|line| line.starts_with("#[")).count();
    let begin = module - attributes;
    if !lines[begin..module].contains(&"#[cfg(test)]") {
        return 0..0;
    }
    let end = lines[module..].iter().position(|line| *line == "}").map_or(lines.len(), |length| module + length + 1);
    // Lines are numbered from one.
    begin + 1..end + 1
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
    let sources = sources("src");
    let tests = test_only(&sources);
    let breaches = sources.iter().flat_map(|source| wrong_arrows(source, tests.contains(&source.path)));
    let unused = ARROWS.iter().filter(|(from, to, _)| {
        let target = format!("crate::{to}");
        let room = |source: &&Source| source.path.starts_with(&format!("src/{from}"));
        !sources
            .iter()
            .filter(room)
            .any(|source| mentions(&source.code).iter().any(|path| path.path.starts_with(&target)))
    });
    hold(breaches.chain(unused.map(|(from, to, _)| format!("`{from}` does not know `{to}`: take the exception back"))));
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
    let sources = sources("src");
    let tests = test_only(&sources);
    hold(sources.iter().filter(|source| !tests.contains(&source.path)).flat_map(impure_domain));
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

/// Two of these in one binary disagree sooner or later: about roots, about what is safe, about who owns a connection.
#[test]
fn there_is_one_tls_and_one_http() {
    let tree = std::process::Command::new(env!("CARGO"))
        .args(["tree", "--locked", "--edges", "normal", "--prefix", "none", "--format", "{p}"])
        .current_dir(root())
        .output()
        .expect("cargo starts");
    assert!(tree.status.success(), "{}", String::from_utf8_lossy(&tree.stderr));
    let tree = String::from_utf8(tree.stdout).expect("text");
    let packages: BTreeSet<_> = tree.lines().filter_map(|line| line.trim_end_matches(" (*)").split_once(' ')).collect();
    let versions = |name: &str| packages.iter().filter(|(package, _)| *package == name).count();
    for one in ["rustls", "aws-lc-rs", "tokio-rustls", "hyper", "tokio"] {
        assert_eq!(versions(one), 1, "{one}");
    }
    for none in ["ring", "openssl", "openssl-sys", "native-tls"] {
        assert_eq!(versions(none), 0, "{none}");
    }
}

/// What is fuzzed is what ships: fuzzers that are locked to other packages vouch for other code.
#[test]
fn the_fuzzers_are_locked_to_what_ships() {
    let read = |path: &str| fs::read_to_string(root().join(path)).expect("a file of the repository");
    hold(strays(&read("Cargo.toml"), &read("Cargo.lock"), &read("tests/fuzz/Cargo.lock")));
}

fn hold(breaches: impl IntoIterator<Item = String>) {
    let breaches: Vec<String> = breaches.into_iter().collect();
    assert!(breaches.is_empty(), "\n{}", breaches.join("\n"));
}
