//! What goes wrong while a type is read, first as serde says it, then at its node in words for people.

use std::fmt::{self, Display};

use serde::de::{Expected, Unexpected};

use crate::domain::text::harmless;
use crate::settings::de::Reader;
use crate::settings::problem::{Problem, suggest};
use crate::settings::scalar::resolve;
use crate::settings::traps;
use crate::settings::tree::{Entry, Key, Node, Span, Value};

/// Written values longer than this are not repeated in a message: the source line shows them.
const REPEATED_CHARS_MAX: usize = 40;

/// A node is known by its address: the tree stands still while it is read.
pub(crate) type Id = usize;

pub(crate) fn id(node: &Node) -> Id {
    std::ptr::from_ref(node) as usize
}

/// Why a pass ended.
#[derive(Debug)]
pub struct Failure(Box<Why>);

#[derive(Debug)]
pub(crate) enum Why {
    /// Not yet at a node.
    Custom(String),
    Mismatch {
        expected: String,
        fits_type: bool,
    },
    WrongLength {
        expected: String,
    },
    NotText,
    Missing(&'static str),
    UnknownKey {
        key: String,
        known: &'static [&'static str],
    },
    UnknownWord {
        word: String,
        known: &'static [&'static str],
    },
    Exactly(Problem),
    /// The whole node is a consequence of what was reported.
    Silent,
    /// At its node, in words.
    Placed(Mistake),
}

/// A failure at its node: what to say, and what to leave out from now on.
#[derive(Debug)]
pub(crate) struct Mistake {
    pub(crate) problem: Option<Problem>,
    pub(crate) gone: Vec<Id>,
    pub(crate) missing: Option<Missing>,
}

/// A key for which a phantom is to stand.
#[derive(Debug)]
pub(crate) struct Missing {
    pub(crate) map: Id,
    pub(crate) key: &'static str,
    pub(crate) span: Span,
    /// Whether a phantom stood there and did not fit.
    pub(crate) refused: bool,
}

impl Failure {
    pub(crate) fn new(why: Why) -> Self {
        Self(Box::new(why))
    }

    pub(crate) fn problem(problem: Problem) -> Self {
        Self::new(Why::Exactly(problem))
    }

    pub(crate) fn mismatch(expected: &dyn Expected) -> Self {
        Self::new(Why::Mismatch { expected: expected.to_string(), fits_type: false })
    }

    fn is_placed(&self) -> bool {
        matches!(*self.0, Why::Placed(_))
    }

    /// Gives a failure its place, unless it has one: the innermost node is the right one.
    pub(crate) fn at(self, reader: &Reader, node: &Node, key: Option<&Key>) -> Self {
        if self.is_placed() {
            return self;
        }
        Self::new(Why::Placed(self.placed(reader, node, key)))
    }

    /// Says a failure in words that fit its node.
    pub(crate) fn placed(self, reader: &Reader, node: &Node, key: Option<&Key>) -> Mistake {
        // What is absent has no width: its key is shown.
        let absent = matches!(node.value, Value::Null) && node.span.bytes.is_empty();
        let at = key.filter(|_| absent).map_or(&node.span, |key| &key.span).clone();
        let mut missing = None;
        let problem = match *self.0 {
            Why::Placed(mistake) => return mistake,
            Why::Silent => None,
            Why::Exactly(problem) => Some(problem),
            Why::Custom(_) | Why::WrongLength { .. } if reader.is_tainted(node) => None,
            Why::Custom(message) => Some(Problem::error(at, message)),
            Why::WrongLength { expected } => Some(Problem::error(at, format!("expected {}", in_words(&expected)))),
            Why::Mismatch { expected, fits_type } => Some(mismatch(at, node, &expected, fits_type)),
            Why::NotText => Some(not_text(at, node)),
            Why::UnknownKey { key, known } => Some(unknown(at, "key", &key, known)),
            Why::UnknownWord { word, known } => Some(unknown(at, "value", &word, known)),
            Why::Missing(field) => {
                let span = key.map_or(&node.span, |key| &key.span).clone();
                missing = Some(Missing { map: id(node), key: field, span: span.clone(), refused: false });
                // A key that is there but gone was reported, and a merge key may have been meant to bring it.
                let reported = node.entries().iter().any(|entry| {
                    entry.key.text == field || (entry.key.text == "<<" && matches!(entry.value.value, Value::Broken))
                });
                (!reported).then(|| Problem::error(span, format!("`{field}` is missing")))
            }
        };
        let gone = if missing.is_some() { Vec::new() } else { vec![id(node)] };
        let joined = reader.joined.take();
        Mistake { problem, gone: gone.into_iter().chain(joined).collect(), missing }
    }

    /// A failure of a key is shown at the key, and takes its value along.
    pub(crate) fn at_key(self, entry: &Entry) -> Self {
        if self.is_placed() {
            return self;
        }
        let span = entry.key.span.clone();
        let problem = match *self.0 {
            Why::UnknownKey { key, known } | Why::UnknownWord { word: key, known } => unknown(span, "key", &key, known),
            Why::Custom(message) => Problem::error(span, message),
            Why::Mismatch { expected, .. } => {
                let written = repeated(&entry.key.text).unwrap_or_default();
                Problem::error(span, format!("expected {} as the key, found{written}", in_words(&expected)))
            }
            _ => Problem::error(span, "this key cannot stand here"),
        };
        Self::new(Why::Placed(Mistake { problem: Some(problem), gone: vec![id(&entry.value)], missing: None }))
    }
}

impl Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &*self.0 {
            Why::Custom(message) => f.write_str(message),
            Why::Exactly(problem) | Why::Placed(Mistake { problem: Some(problem), .. }) => {
                f.write_str(&problem.message)
            }
            Why::Mismatch { expected, .. } => write!(f, "expected {expected}"),
            Why::Missing(key) => write!(f, "`{key}` is missing"),
            _ => f.write_str("the value does not fit"),
        }
    }
}

impl std::error::Error for Failure {}

impl serde::de::Error for Failure {
    fn custom<T: Display>(message: T) -> Self {
        Self::new(Why::Custom(message.to_string()))
    }

    fn invalid_type(_: Unexpected<'_>, expected: &dyn Expected) -> Self {
        Self::mismatch(expected)
    }

    fn invalid_value(_: Unexpected<'_>, expected: &dyn Expected) -> Self {
        Self::new(Why::Mismatch { expected: expected.to_string(), fits_type: true })
    }

    fn invalid_length(_: usize, expected: &dyn Expected) -> Self {
        Self::new(Why::WrongLength { expected: expected.to_string() })
    }

    fn unknown_variant(variant: &str, expected: &'static [&'static str]) -> Self {
        Self::new(Why::UnknownWord { word: variant.to_owned(), known: expected })
    }

    fn unknown_field(field: &str, expected: &'static [&'static str]) -> Self {
        Self::new(Why::UnknownKey { key: field.to_owned(), known: expected })
    }

    fn missing_field(field: &'static str) -> Self {
        Self::new(Why::Missing(field))
    }

    fn duplicate_field(field: &'static str) -> Self {
        Self::custom(format_args!("`{field}` stands here twice, under two names"))
    }
}

fn unknown(at: Span, what: &str, word: &str, known: &'static [&'static str]) -> Problem {
    let mut problem = Problem::error(at, format!("unknown {what}{}", repeated(word).unwrap_or_default()));
    problem.help = suggest(word, known.iter().copied());
    if known.is_empty() {
        problem.help = Some("nothing can be set here: write `{}`".to_owned());
    }
    problem
}

fn mismatch(at: Span, node: &Node, expected: &str, fits_type: bool) -> Problem {
    let wanted = in_words(expected);
    // Whatever was wanted, an expression that became a mapping is told so.
    if let Some(problem) = traps::mapping_for_text(node) {
        return problem;
    }
    let found = describe(node);
    let problem = Problem::error(at, format!("expected {wanted}, found {found}"));
    match &node.value {
        Value::Null if wanted == "a mapping" => problem.with_help("write `{}` for a mapping without keys"),
        Value::Map(_) if wanted == "a list" => {
            problem.with_help("begin each item with `- `, or put all of them in `[…]`")
        }
        Value::Null if wanted == "a list" => problem.with_help("write `[]` for an empty list"),
        Value::Text(scalar) if scalar.plain && wanted == "a mapping" && is_cramped(&scalar.text) => {
            problem.with_help("put a space behind the `:`")
        }
        Value::Text(scalar) if !scalar.plain && !fits_type && !matches!(resolve(&scalar.text), Value::Text(_)) => {
            problem.with_help("remove the quotes")
        }
        _ => problem,
    }
}

/// `key:value`, which is one text to YAML.
fn is_cramped(text: &str) -> bool {
    text.split_once(':').is_some_and(|(key, value)| {
        !key.is_empty() && !value.starts_with("//") && key.chars().all(|c| c.is_alphanumeric() || "_-".contains(c))
    })
}

fn not_text(at: Span, node: &Node) -> Problem {
    if let Some(problem) = traps::mapping_for_text(node) {
        return problem;
    }
    let problem = Problem::error(at, format!("expected text, found {}", describe(node)));
    let written = node.span.text();
    match &node.value {
        Value::Bool(_) | Value::Int(_) | Value::Float(_) | Value::Null if !written.is_empty() => {
            problem.with_help(traps::help_quote("it", written))
        }
        Value::Map(_) if node.is_one_line() => problem.with_help(traps::help_quote("it, if it is one text", written)),
        _ => problem,
    }
}

/// What a node is, for "found …".
fn describe(node: &Node) -> String {
    let written = if node.is_one_line() { repeated(node.span.text()) } else { None };
    let with = |kind: &str| format!("{kind}{}", written.as_deref().unwrap_or_default());
    match &node.value {
        Value::Null if node.span.bytes.is_empty() => "nothing".to_owned(),
        Value::Null => with("the null"),
        Value::Bool(_) => with("the boolean"),
        Value::Int(_) | Value::Float(_) => with("the number"),
        Value::Text(scalar) => match repeated(&scalar.text) {
            Some(text) => format!("the text{text}"),
            None if scalar.text.is_empty() => "an empty text".to_owned(),
            None => "a text".to_owned(),
        },
        Value::List(items) if items.is_empty() => "an empty list".to_owned(),
        Value::List(_) if written.is_some() => with("the list"),
        Value::List(_) => "a list".to_owned(),
        Value::Map(_) if written.is_some() => with("the mapping"),
        Value::Map(_) => "a mapping".to_owned(),
        Value::Broken => "a mistake".to_owned(),
    }
}

/// A written value in backticks behind a space; none if there is nothing, or too much, to show.
fn repeated(text: &str) -> Option<String> {
    if text.is_empty() || text.contains(['\n', '\r']) || text.chars().nth(REPEATED_CHARS_MAX).is_some() {
        return None;
    }
    Some(format!(" `{}`", harmless(text)))
}

/// The words of serde in those of somebody who writes a file.
fn in_words(expected: &str) -> String {
    let whole = |low: &str, high: &str| format!("a whole number from {low} to {high}");
    match expected {
        "a string" | "string" | "a borrowed string" | "str" => "text".to_owned(),
        "a boolean" => "`true` or `false`".to_owned(),
        "a sequence" | "sequence" => "a list".to_owned(),
        "a map" | "map" => "a mapping".to_owned(),
        "unit" => "nothing".to_owned(),
        "f32" | "f64" => "a number".to_owned(),
        "u8" => whole("0", "255"),
        "u16" => whole("0", "65535"),
        "u32" => whole("0", "4294967295"),
        "u64" | "usize" => "a whole number that is not negative".to_owned(),
        "i8" => whole("-128", "127"),
        "i16" => whole("-32768", "32767"),
        "i32" => whole("-2147483648", "2147483647"),
        "i64" | "isize" => "a whole number".to_owned(),
        "a nonzero u8" => whole("1", "255"),
        "a nonzero u16" => whole("1", "65535"),
        "a nonzero u32" => whole("1", "4294967295"),
        "a nonzero u64" | "a nonzero usize" => "a whole number above 0".to_owned(),
        _ if expected.starts_with("struct ") => "a mapping".to_owned(),
        _ => expected.to_owned(),
    }
}
