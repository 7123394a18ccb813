//! The bounds that the code has, read from its constants: the table of all of them, and the values that pages quote.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;

use regex::Regex;

use crate::pages::{pages, root};

/// What the name of a constant has in it that is a bound.
const WORDS: &[&str] = &["MAX", "MIN", "MOST", "LEAST", "LIMIT", "LIMITS", "PATIENCE", "TIMEOUT", "PERMITS", "DEFAULT"];

/// A constant that bounds something.
struct Bound {
    /// The file without `src/` and its ending.
    file: String,
    name: String,
    /// What its comment says.
    about: String,
    value: String,
}

/// Every bound, by file and in the order of the file.
fn bounds() -> Vec<Bound> {
    let pattern =
        r"(?m)^((?:[ \t]*///[^\n]*\n)*)[ \t]*(?:pub(?:\([a-z]+\))? )?const ([A-Z][A-Z0-9_]*): ([^=;]+?)\s*=\s*([^;]+);";
    let pattern = Regex::new(pattern).expect("a pattern");
    let mut found = Vec::new();
    for path in sources() {
        let text = fs::read_to_string(&path).expect("a source file");
        let text = text.split("\n#[cfg(test)]\nmod tests").next().unwrap_or_default();
        let file =
            path.strip_prefix(root().join("src")).expect("a source").with_extension("").to_string_lossy().into_owned();
        for constant in pattern.captures_iter(text) {
            let (name, kind) = (constant[2].to_owned(), &constant[3]);
            if !name.split('_').any(|word| WORDS.contains(&word)) || kind.contains('[') || kind.contains("str") {
                continue;
            }
            let about = constant[1].lines().map(|line| line.trim().trim_start_matches("///").trim());
            let about = about.collect::<Vec<_>>().join(" ").replace("[`", "`").replace("`]", "`");
            assert!(!about.is_empty(), "{file}: nobody says what `{name}` bounds");
            let value = shown(&name, &constant[4]);
            found.push(Bound { file: file.clone(), name, about, value });
        }
    }
    assert!(found.len() > 200, "only {} bounds were found", found.len());
    found
}

fn sources() -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut folders = vec![root().join("src")];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).expect("a folder of sources") {
            let path = entry.expect("an entry").path();
            let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            // The demo's shop is nobody's to rely on.
            if path.is_dir() && name != "tests" && name != "demo" {
                folders.push(path);
            } else if path.extension().is_some_and(|ending| ending == "rs")
                && !["tests.rs", "testing.rs", "cases.rs"].contains(&name.as_str())
            {
                found.push(path);
            }
        }
    }
    found.sort();
    found
}

/// A value as people read it; what no rule below understands stands as it is written.
fn shown(name: &str, written: &str) -> String {
    let written = written.split_whitespace().collect::<Vec<_>>().join(" ");
    let lengths = [
        ("Duration::from_micros", 1e-6),
        ("Duration::from_millis", 1e-3),
        ("Duration::from_secs", 1.0),
        ("Duration::from_mins", 60.0),
        ("Duration::from_hours", 3_600.0),
        ("TimeDelta::seconds", 1.0),
        ("TimeDelta::minutes", 60.0),
    ];
    for (call, unit) in lengths {
        let within = written.strip_prefix("std::time::").unwrap_or(&written).strip_prefix(call);
        if let Some(number) = within.and_then(|rest| rest.strip_prefix('(')?.strip_suffix(')')).and_then(reckoned) {
            return length(number * unit);
        }
    }
    match reckoned(&written) {
        Some(number) if name.contains("BYTES") || name == "FILE_MAX" => size(number),
        Some(number) => counted(number),
        None => format!("`{written}`"),
    }
}

/// The value of sums, products and shifts of numbers.
fn reckoned(text: &str) -> Option<f64> {
    let one = |text: &str| text.trim().replace('_', "").parse::<f64>().ok();
    if let Some((left, right)) = text.split_once("<<") {
        return Some(one(left)? * one(right)?.exp2());
    }
    text.split(" + ")
        .map(|sum| sum.split(" - ").map(|part| part.split(" * ").map(one).product::<Option<f64>>()))
        .try_fold(0.0, |sum, mut parts| {
            let first = parts.next()??;
            parts.try_fold(first, |rest, part| Some(rest - part?)).map(|value| sum + value)
        })
}

fn length(seconds: f64) -> String {
    let units = [(86_400.0, "d"), (3_600.0, "h"), (60.0, "min"), (1.0, "s"), (1e-3, "ms"), (1e-6, "µs")];
    let whole = |unit: f64| (seconds / unit).fract().abs() < 1e-9 || ((seconds / unit).fract() - 1.0).abs() < 1e-9;
    let (unit, word) = units.into_iter().find(|(unit, _)| seconds >= *unit && whole(*unit)).unwrap_or((1.0, "s"));
    format!("{} {word}", counted((seconds / unit * 1e6).round() / 1e6))
}

fn size(bytes: f64) -> String {
    let units = [(1_048_576.0, "MiB"), (1_024.0, "KiB")];
    let fits = units.into_iter().find(|(unit, _)| bytes >= *unit && (bytes / unit).fract() == 0.0);
    fits.map_or_else(|| format!("{} bytes", counted(bytes)), |(unit, word)| format!("{} {word}", counted(bytes / unit)))
}

fn counted(number: f64) -> String {
    let text = format!("{number}");
    let (whole, part) = text.split_once('.').map_or((text.as_str(), ""), |(whole, part)| (whole, part));
    if whole.len() > 18 {
        return format!("{number:e}");
    }
    let mut grouped = String::new();
    for (index, digit) in whole.chars().enumerate() {
        if index > 0 && (whole.len() - index).is_multiple_of(3) {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    if part.is_empty() { grouped } else { format!("{grouped}.{part}") }
}

/// The table of all bounds, by file.
pub fn table() -> String {
    let mut rooms: BTreeMap<String, Vec<Bound>> = BTreeMap::new();
    for bound in bounds() {
        let room = bound.file.split('/').take(2).collect::<Vec<_>>().join("/");
        rooms.entry(room).or_default().push(bound);
    }
    let mut text = String::new();
    for (room, bounds) in rooms {
        text.extend([format!("\n### `{room}`\n\n| bound | is | constant |\n|---|---|---|\n")]);
        for Bound { name, about, value, .. } in bounds {
            text.extend([format!("| {value} | {} | `{name}` |\n", about.replace('|', "\\|"))]);
        }
    }
    text
}

#[test]
fn numbers_are_as_people_read_them() {
    for (name, written, said) in [
        ("BODY_BYTES_MAX", "10 * 1024 * 1024", "10 MiB"),
        ("REGEX_BYTES_MAX", "1 << 20", "1 MiB"),
        ("REQUEST_BYTES_MAX", "950_000", "950,000 bytes"),
        ("AGE_MAX", "TimeDelta::minutes(14 * 24 * 60 - 5)", "20,155 min"),
        ("OVER_MAX", "Duration::from_secs(90 * 86_400)", "90 d"),
        ("RECORD_MAX", "Duration::from_millis(500)", "500 ms"),
        ("PERMITS", "256", "256"),
        ("OTHER_MAX", "SAMPLES_MAX / 2", "`SAMPLES_MAX / 2`"),
    ] {
        assert_eq!(shown(name, written), said);
    }
}

/// A line of a page that quotes a constant names it: `<!-- = domain/names NAME_LENGTH_MAX -->`.
#[test]
fn what_pages_quote_is_what_the_code_has() {
    let known: BTreeMap<_, _> =
        bounds().into_iter().map(|bound| (format!("{} {}", bound.file, bound.name), bound.value)).collect();
    let reference = Regex::new("<!-- = ([^>]*?) -->").expect("a pattern");
    let mut quoted = 0;
    let mut wrong = Vec::new();
    for page in pages() {
        for (line, text) in page.prose() {
            for found in reference.captures_iter(text) {
                quoted += 1;
                match known.get(&found[1]) {
                    Some(value) if text.contains(value.as_str()) => {}
                    Some(value) => wrong.push(format!("{}:{line}: `{}` is {value}", page.path, &found[1])),
                    None => wrong.push(format!("{}:{line}: there is no `{}`", page.path, &found[1])),
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(quoted > 20, "only {quoted} constants are quoted");
}
