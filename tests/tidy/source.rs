//! Source files as the rules see them: Rust without comments and literals, and the paths that it mentions.

use std::fs;
use std::path::{Path, PathBuf};

/// A file as the rules see it. `code` is `text` with comments blanked and the insides of literals replaced byte for byte, so
/// that places in the one are places in the other.
pub struct Source {
    pub path: String,
    pub text: String,
    pub code: String,
}

/// A path in code, `crate::domain::time`, groups of `use` spelled out.
#[derive(Debug, PartialEq, Eq)]
pub struct Mention {
    pub line: usize,
    pub path: String,
}

pub fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// Every file with this ending below a directory, in order.
pub fn files(directory: &str, ending: &str) -> Vec<PathBuf> {
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

pub fn sources(directory: &str) -> Vec<Source> {
    let read = |path: &PathBuf| {
        let text = fs::read_to_string(path).expect("a source file");
        source(&path.strip_prefix(root()).unwrap_or(Path::new("")).to_string_lossy(), &text)
    };
    files(directory, "rs").iter().map(read).collect()
}

pub fn source(path: &str, text: &str) -> Source {
    Source { path: path.to_owned(), text: text.to_owned(), code: code(text) }
}

pub fn numbered(text: &str) -> impl Iterator<Item = (usize, &str)> {
    text.lines().enumerate().map(|(index, line)| (index + 1, line))
}

pub fn line_at(text: &str, place: usize) -> usize {
    text[..place].matches('\n').count() + 1
}

fn is_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_'
}

pub fn words(line: &str) -> impl Iterator<Item = &str> {
    line.split(|letter: char| !letter.is_ascii_alphanumeric() && letter != '_').filter(|word| !word.is_empty())
}

/// Rust with its comments blanked and the insides of its literals as `_`. Lengths and lines stay.
pub fn code(text: &str) -> String {
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
        } else if let Some(inside) = rest.strip_prefix('"') {
            (1 + quoted(inside, b'"'), b'_', (1, 1))
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
pub fn mentions(code: &str) -> Vec<Mention> {
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
