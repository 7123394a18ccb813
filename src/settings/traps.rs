//! What YAML understood differently from what was meant, and the sentences that say so.
//!
//! An expression such as `headers["a"] == "x: y"` is a mapping to YAML, `!has(a.b)` is a tag, `"a #b"` ends in a comment.
//! Some of these are trees of the wrong shape, others are syntax errors at a place that means nothing to the author. Here
//! the line is read once more the way its author reads it, with quotes and brackets that belong together, and the answer
//! is always the exact text to write.

use std::ops::Range;
use std::sync::Arc;

use granit_parser::ErrorKind;

use crate::domain::text::harmless;
use crate::settings::problem::Problem;
use crate::settings::tree::{DEPTH_MAX, Node, Source, Span, Value};

/// Texts longer than this are not repeated in a help.
const QUOTED_BYTES_MAX: usize = 300;

/// The limit of YAML for keys without `? `.
const KEY_CHARS_MAX: usize = 1_024;
/// What stands on a line behind this many bytes is not looked at: nobody wrote it by hand.
const LINE_BYTES_MAX: usize = 4_096;

/// A text in the quotes that need the fewest escapes.
pub fn quote(text: &str) -> String {
    if text.contains(['"', '\\']) { format!("'{}'", text.replace('\'', "''")) } else { format!("\"{text}\"") }
}

/// A help that shows what to write, unless it is too long to repeat.
pub(crate) fn help_quote(what: &str, text: &str) -> String {
    if text.len() > QUOTED_BYTES_MAX { format!("quote {what}") } else { format!("quote {what}: {}", quote(text)) }
}

/// A text that is meant as an expression is quoted with single quotes, because most of them hold double ones.
fn help_expression(text: &str) -> String {
    if text.len() > QUOTED_BYTES_MAX {
        return "quote the whole expression".to_owned();
    }
    if !text.contains(['"', '\'', '(', '[', '=', '<', '>', '!', '&', '|']) {
        return help_quote("it", text);
    }
    format!("quote the whole expression: '{}'", text.replace('\'', "''"))
}

/// `{{token}}` without quotes, and the text that was meant: it may go on behind the braces.
pub(crate) fn double_braces(source: &Arc<Source>, start: usize, flow: bool) -> (Problem, String) {
    let end = item_end(&source.text[..line_end(source, start)], start, flow);
    let at = Span::new(source, start..end);
    let meant = at.text().to_owned();
    (braces(at, &meant), meant)
}

fn braces(at: Span, text: &str) -> Problem {
    Problem::error(at, "YAML reads `{{` as the beginning of a mapping").with_help(help_quote("it", text))
}

/// A tag, and the text that was meant, where it is an expression.
pub(crate) fn tag(source: &Arc<Source>, tag: Range<usize>, flow: bool) -> (Problem, Option<String>) {
    let at = Span::new(source, tag.clone());
    let written = at.text().to_owned();
    let meant =
        source.text[tag.start..item_end(&source.text[..line_end(source, tag.start)], tag.start, flow)].to_owned();
    let expression = !written.starts_with("!!")
        && !written.starts_with("!<")
        && (meant.contains(['(', '.', '[', '=', '&', '|']) && !meant.starts_with("! ") && !has_word_argument(&meant));
    if expression {
        let at = Span::new(source, tag.start..tag.start + meant.len());
        let problem = Problem::error(at, format!("YAML reads `{}` as a tag", name_of_tag(&meant)));
        return (problem.with_help(help_expression(&meant)), Some(meant));
    }
    let problem = Problem::error(at, format!("tags such as `{}` are not accepted", harmless(&written)));
    (problem.with_help(format!("remove the tag; if it is part of a text, quote the text: {}", quote(&meant))), None)
}

/// `!include other.yaml` is a tag on purpose: a word, a space and another word.
fn has_word_argument(meant: &str) -> bool {
    let mut words = meant.split_whitespace();
    let name = words.next().unwrap_or_default();
    let next = words.next().unwrap_or_default();
    !name.contains(['(', '.', '[']) && next.starts_with(|c: char| c.is_alphanumeric() || "\"'/.".contains(c))
}

fn name_of_tag(meant: &str) -> String {
    let end = meant[1..].find(|c: char| !c.is_alphanumeric() && c != '_').map_or(meant.len(), |at| at + 1);
    harmless(&meant[..end]).into_owned()
}

/// An alias whose anchor does not exist: mostly a glob, such as `*@home`.
pub(crate) fn unknown_alias(at: Span, name: &str) -> Problem {
    let name = harmless(name).into_owned();
    let help = format!("if it is part of a text, quote the text: \"*{name}\"");
    Problem::error(at, format!("YAML reads `*{name}` as an alias, and there is no anchor `&{name}` before it"))
        .with_help(help)
}

/// A mapping where a text is expected: `headers["a"] == "x: y"` in a list.
pub(crate) fn mapping_for_text(node: &Node) -> Option<Problem> {
    let first = node.entries().first()?;
    let written = node.span.text();
    // A mapping that is written as one, in braces, is no trap.
    if written.starts_with('{') || !node.is_one_line() || node.entries().len() != 1 {
        return None;
    }
    if !first.key.text.contains(['"', '\'', '(', '[', '=', '<', '>', '!', ' ']) {
        return None;
    }
    let line_end = line_end(&node.span.source, node.span.bytes.start);
    let text = &node.span.source.text[node.span.bytes.start..line_end];
    // The end of the value is where YAML saw it; the author's end may lie behind a ` #` within quotes.
    let end = item_end(text, 0, false);
    let at = Span::new(&node.span.source, node.span.bytes.start..node.span.bytes.start + end);
    let help = help_expression(&text[..end]);
    Some(Problem::error(at, "YAML reads this as a mapping because of the `: ` in it").with_help(help))
}

/// An item that a comma within quotes cut in two: `[json.a == "b, c"]`. Gives how many of the items belong together.
pub(crate) fn split_item(items: &[Node], index: usize) -> Option<(Problem, usize)> {
    let first = items.get(index)?;
    if !is_cut(first) {
        return None;
    }
    let last = (index + 1..items.len()).find(|other| items.get(*other).is_some_and(odd_quotes))?;
    let end = items.get(last)?.span.bytes.end;
    let at = Span::new(&first.span.source, first.span.bytes.start..end);
    // Items of a block list stand on lines of their own: no comma split them.
    if at.text().contains(['\n', '\r']) || !at.text().contains(',') {
        return None;
    }
    let help = help_expression(at.text());
    let problem = Problem::error(at, "YAML splits this in two at the comma within the quotes").with_help(help);
    Some((problem, last - index + 1))
}

/// A text that a ` #` within quotes cut off: `body.contains("a #b")`.
pub(crate) fn cut_by_comment(node: &Node) -> Option<Problem> {
    if !is_cut(node) {
        return None;
    }
    let source = &node.span.source;
    let line_end = line_end(source, node.span.bytes.end);
    let behind = &source.text[node.span.bytes.end..line_end];
    if !behind.starts_with([' ', '\t']) || !behind.trim_start().starts_with('#') || !node.is_one_line() {
        return None;
    }
    let start = node.span.bytes.start;
    let end = item_end(&source.text[..line_end], start, false);
    let at = Span::new(source, start..end);
    let help = help_expression(at.text());
    Some(Problem::error(at, "YAML takes the ` #` within the quotes as the beginning of a comment").with_help(help))
}

/// The end of the line that a place is on, or of what is looked at.
fn line_end(source: &Source, from: usize) -> usize {
    let limit = source.fit(from..from.saturating_add(LINE_BYTES_MAX)).end;
    source.text[from..limit].find(['\n', '\r']).map_or(limit, |at| from + at)
}

fn odd_quotes(node: &Node) -> bool {
    matches!(&node.value, Value::Text(scalar) if scalar.plain && scalar.text.matches('"').count() % 2 == 1)
}

/// A text without quotes of its own in which a quote is opened and not closed; `5" disk` opens none.
fn is_cut(node: &Node) -> bool {
    let Value::Text(scalar) = &node.value else { return false };
    let before = scalar.text.rfind('"').and_then(|at| scalar.text[..at].chars().next_back());
    odd_quotes(node) && !before.is_some_and(char::is_alphanumeric)
}

/// A syntax error in words: a trap if the line holds one, else what is wrong and how it is usually mended.
pub(crate) fn explain(
    source: &Arc<Source>,
    kind: &ErrorKind,
    at: usize,
    read_to: usize,
    opened: Option<usize>,
) -> Problem {
    let at = source.fit(at..at).start;
    let line = source.line_at(at);
    let here = Span::new(source, key_start(source, at)..mark_end(source, at));
    let indentation = source.text[line.clone()].trim_start_matches(' ');
    let next = source.line_after(&line);
    let tab_follows = next.start > line.start && source.text[next].starts_with('\t');
    match kind {
        ErrorKind::TabNotAllowed
        | ErrorKind::TabInBlockIndentation
        | ErrorKind::TabInIndentation
        | ErrorKind::TabAtBlockScalarStart => return tab(source, at),
        ErrorKind::TabInPlainScalar if tab_follows => return tab(source, source.line_after(&line).start),
        ErrorKind::UnclosedQuotedScalar => {
            return Problem::error(here, "this quote is never closed").with_label("opened here");
        }
        ErrorKind::UnclosedFlowCollection { open } => {
            return Problem::error(here, format!("this `{open}` is never closed")).with_label("opened here");
        }
        ErrorKind::RecursionLimitExceeded => {
            let message = format!("lists and mappings stand more than {DEPTH_MAX} deep in each other");
            return Problem::error(here, message);
        }
        ErrorKind::DirectiveDisallowed => {
            return Problem::error(here, "directives (lines that begin with `%`) are not accepted")
                .with_help("remove the line");
        }
        _ if indentation.starts_with('\t') && !indentation.trim().is_empty() => {
            return tab(source, line.end - indentation.len());
        }
        _ => {}
    }
    if let Some(problem) = on_line(source, &line, at) {
        return problem;
    }
    if let Some(opened) = opened {
        let opening = Span::new(source, opened..opened + 1);
        if source.line_at(opened) != line && source.text[opened..].starts_with(['[', '{']) {
            let message = format!("this `{}` is not closed before the next key", opening.text());
            return Problem::error(opening, message).with_label("opened here").with_also(here, "still open here");
        }
    }
    if matches!(kind, ErrorKind::InvalidTrailingDoubleQuotedScalar | ErrorKind::InvalidTrailingSingleQuotedScalar) {
        let quote = source.text[source.fit(read_to..at)].find(['"', '\'']).map(|found| read_to + found);
        if let Some(quote) = quote.filter(|quote| source.line_at(*quote) != line) {
            let opening = Span::new(source, quote..quote + 1);
            return Problem::error(opening, "this quote is not closed on its line")
                .with_label("opened here")
                .with_also(here, "YAML reads the text up to here");
        }
    }
    let unfinished = matches!(kind, ErrorKind::SimpleKeyExpected | ErrorKind::InvalidSimpleKey);
    if (unfinished && line.len() > KEY_CHARS_MAX) || here.bytes.len() > KEY_CHARS_MAX {
        return Problem::error(here, format!("a key has at most {KEY_CHARS_MAX} characters"));
    }
    if source.text[at..].starts_with(',') {
        return Problem::error(here, "a value is missing before this `,`").with_help("remove the comma");
    }
    let (message, help) = sentence(kind);
    let problem = Problem::error(here, message);
    if let Some(help) = help { problem.with_help(help) } else { problem }
}

fn tab(source: &Arc<Source>, at: usize) -> Problem {
    let line = source.line_at(at);
    let spaces = source.text[line.clone()].bytes().take_while(|byte| *byte == b' ').count();
    let first = line.start + spaces;
    let at = if source.text[first..].starts_with('\t') { first } else { at };
    let end = at + source.text[at..].bytes().take_while(|byte| *byte == b'\t').count();
    Problem::error(Span::new(source, at..end), "tabs are not allowed for indentation").with_help("use spaces")
}

/// At a colon, the beginning of the key before it.
fn key_start(source: &Source, at: usize) -> usize {
    if !source.text[at..].starts_with(':') {
        return at;
    }
    let before = &source.text[source.line_at(at).start..at];
    let key = before.trim_end_matches(|c: char| c.is_alphanumeric() || "_-./@".contains(c));
    at - (before.len() - key.len())
}

/// The word or sign at a place, so that its mark has a width.
fn mark_end(source: &Source, at: usize) -> usize {
    let line = source.line_at(at);
    let rest = &source.text[at..line.end.max(at)];
    let word = rest.find(|c: char| !c.is_alphanumeric() && c != '_' && c != '-').unwrap_or(rest.len());
    at + if word == 0 { rest.chars().next().map_or(0, char::len_utf8) } else { word }
}

/// What the parser says, in the words of somebody who writes a file.
fn sentence(kind: &ErrorKind) -> (String, Option<&'static str>) {
    let indentation = Some("check the indentation of this line and of the one above");
    let (message, help) = match kind {
        ErrorKind::SimpleKeyExpected | ErrorKind::InvalidSimpleKey => {
            ("a `:` is missing behind this key", Some("write `key: value`"))
        }
        ErrorKind::ExpectedBlockMappingKey => ("this does not belong to the mapping around it", indentation),
        ErrorKind::ExpectedBlockSequenceEntry => ("another `- ` is expected here", indentation),
        ErrorKind::MappingValueNotAllowed | ErrorKind::InvalidColonPlacement => {
            ("a `key: value` cannot stand here", indentation)
        }
        ErrorKind::MappingKeyNotAllowed => ("a key cannot stand here", indentation),
        ErrorKind::BlockSequenceEntryNotAllowed => {
            ("a list with `- ` cannot begin here", Some("begin it on a line of its own"))
        }
        ErrorKind::ExpectedFlowSequenceSeparator => ("a `,` or `]` is expected here", None),
        ErrorKind::ExpectedFlowMappingSeparator => ("a `,` or `}` is expected here", None),
        ErrorKind::MisplacedFlowCollectionEnd => {
            ("this bracket was never opened", Some("quote it if it is part of a text"))
        }
        ErrorKind::MismatchedFlowCollectionEnd { open, close } => {
            return (format!("`{open}` is closed with `{close}`"), None);
        }
        ErrorKind::InvalidTrailingDoubleQuotedScalar | ErrorKind::InvalidTrailingSingleQuotedScalar => {
            ("nothing may follow the closing quote", None)
        }
        ErrorKind::UnknownQuotedScalarEscape
        | ErrorKind::InvalidQuotedScalarHexEscape
        | ErrorKind::InvalidUnicodeEscape => (
            "this text in double quotes has an unknown escape",
            Some("write `\\\\` for a backslash, or use single quotes, in which it stands for itself"),
        ),
        ErrorKind::CommentInterceptedScalar => {
            ("a comment cuts this text in two", Some("quote the text, or remove the comment"))
        }
        ErrorKind::BomInsideDocument => ("a byte order mark stands within the file", Some("remove it")),
        ErrorKind::InvalidIndentation | ErrorKind::InvalidQuotedScalarIndent | ErrorKind::InvalidFlowScalarIndent => {
            ("this line is not indented far enough", indentation)
        }
        ErrorKind::UnexpectedCharacter { character } => {
            let character = character.escape_debug();
            return (format!("a text cannot begin with `{character}`"), Some("quote it"));
        }
        ErrorKind::InvalidBlockScalarHeader => {
            ("nothing may follow `|` or `>` on its line", Some("begin the text on the next line"))
        }
        ErrorKind::InvalidDocumentEnd => ("nothing may follow `...`", None),
        ErrorKind::DocumentIndicatorInQuotedScalar => ("a quote is open when the document ends", None),
        other => return (format!("this is not YAML: {other}"), None),
    };
    (message.to_owned(), help)
}

/// A value on one line as its author sees it.
struct Item {
    bytes: Range<usize>,
    /// Whether it stands in brackets.
    flow: bool,
}

/// The trap that the value around a place has fallen into.
fn on_line(source: &Arc<Source>, line: &Range<usize>, at: usize) -> Option<Problem> {
    if line.len() > LINE_BYTES_MAX {
        return None;
    }
    let text = &source.text[line.clone()];
    let at = at - line.start;
    let item = items(text).into_iter().find(|item| item.bytes.start <= at && at <= item.bytes.end)?;
    let meant = &text[item.bytes.clone()];
    let span = Span::new(source, line.start + item.bytes.start..line.start + item.bytes.end);
    let first = meant.chars().next()?;
    if meant.starts_with("{{") {
        return Some(braces(span, meant));
    }
    if first == '!' && !meant.starts_with("!!") {
        let message = format!("YAML reads `{}` as a tag", name_of_tag(meant));
        return Some(Problem::error(span, message).with_help(help_expression(meant)));
    }
    if first == '*' {
        return Some(
            Problem::error(span, "YAML reads `*` as the beginning of an alias").with_help(help_quote("it", meant)),
        );
    }
    if matches!(first, '&' | '@' | '`' | '%') {
        let message = format!("a text without quotes cannot begin with `{first}`");
        return Some(Problem::error(span, message).with_help(help_quote("it", meant)));
    }
    if matches!(first, '"' | '\'') {
        let closing = 1 + meant[1..].find(first)?;
        let follows = meant[closing + 1..].trim_start();
        // Two single quotes are an escape, and a backslash may hide a quote: only the plain case is a trap.
        if follows.is_empty() || meant[..closing].ends_with('\\') || meant[closing + 1..].starts_with(first) {
            return None;
        }
        let message = "YAML ends this text at its second quote, and something follows";
        return Some(Problem::error(span, message).with_help(help_expression(meant)));
    }
    if quoted(meant, " #") {
        let message = "YAML takes the ` #` within the quotes as the beginning of a comment";
        return Some(Problem::error(span, message).with_help(help_expression(meant)));
    }
    if meant.contains(": ") {
        let message = "YAML reads this as a mapping because of the `: ` in it";
        return Some(Problem::error(span, message).with_help(help_expression(meant)));
    }
    let bracket = meant.chars().find(|c| "[]{}".contains(*c)).filter(|_| item.flow)?;
    let message = format!("a text without quotes cannot hold `{bracket}` within `[…]` or `{{…}}`");
    let help = if meant.contains("{{") { help_quote("it", meant) } else { help_expression(meant) };
    Some(Problem::error(span, message).with_help(help))
}

/// Whether a sign stands within double quotes.
fn quoted(text: &str, sign: &str) -> bool {
    text.match_indices(sign).any(|(at, _)| text[..at].matches('"').count() % 2 == 1)
}

/// The values on a line, with keys, dashes and the brackets of lists taken away.
fn items(line: &str) -> Vec<Item> {
    let mut found = Vec::new();
    let mut depth = 0_usize;
    let mut keyed = false;
    let mut at = 0;
    while let Some(c) = line[at..].chars().next() {
        let rest = &line[at..];
        let dash = depth == 0 && rest.starts_with("- ");
        if c.is_whitespace() || dash || (depth > 0 && matches!(c, ',' | ':')) {
            at += c.len_utf8();
        } else if c == '[' || (c == '{' && !rest.starts_with("{{")) {
            depth += 1;
            at += 1;
        } else if matches!(c, ']' | '}') && depth > 0 {
            depth -= 1;
            at += 1;
        } else if c == '#' {
            break;
        } else if let Some(key) = key_length(rest).filter(|_| depth > 0 || !keyed) {
            // In block style a line has one key; what looks like a second one belongs to the value.
            keyed = true;
            at += key;
        } else {
            let end = item_end(line, at, depth > 0);
            found.push(Item { bytes: at..end, flow: depth > 0 });
            // In block style one value fills the line.
            if depth == 0 || end <= at {
                break;
            }
            at = end;
        }
    }
    found
}

/// The length of a simple key with its colon; an expression is not one.
fn key_length(text: &str) -> Option<usize> {
    let end = text.find(|c: char| !c.is_alphanumeric() && !"_-./@".contains(c))?;
    let behind = text[end..].strip_prefix(':')?;
    (end > 0 && (behind.is_empty() || behind.starts_with(' '))).then_some(end + 1)
}

/// Where a value ends for somebody who counts quotes and brackets.
fn item_end(line: &str, start: usize, flow: bool) -> usize {
    let mut nested = 0_usize;
    let mut open: Option<char> = None;
    let mut before = ' ';
    let mut escaped = false;
    let mut end = line.len();
    for (at, c) in line[start..].char_indices() {
        if let Some(quote) = open {
            if c == quote && !escaped {
                open = None;
            }
            escaped = c == '\\' && !escaped;
        } else {
            match c {
                '"' => open = Some(c),
                // Within a word it is an apostrophe.
                '\'' if !before.is_alphanumeric() => open = Some(c),
                '(' | '[' | '{' => nested += 1,
                ')' | ']' | '}' if nested > 0 => nested -= 1,
                ']' | '}' | ',' if flow && nested == 0 => end = end.min(start + at),
                '#' if before.is_whitespace() && at > 0 => end = end.min(start + at),
                _ => {}
            }
        }
        if end < line.len() {
            break;
        }
        before = c;
    }
    start + line[start..end].trim_end().len()
}
