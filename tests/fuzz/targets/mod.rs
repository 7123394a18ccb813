//! What the fuzzers try to break: for each thing that reads what somebody else wrote, a function that takes any bytes and
//! panics where a promise about it does not hold. Not to panic by itself is the least of those promises.
//!
//! The bodies stand here once. `tests/fuzz/fuzz.rs` hands them to libFuzzer, which invents bytes for as long as it is let;
//! `tests/corpus.rs` replays the corpus with every run of the tests.

mod bench;
mod capture;
mod configuration;
mod decompression;
mod expression;
mod page;
mod redaction;
mod response;
mod template;

/// What became of an input, so that a corpus can show that it reaches both ways.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Taken {
    /// It was read, and what came of it was compared with what should have.
    Yes,
    /// It was refused, and how was looked at.
    No,
}

impl From<bool> for Taken {
    fn from(taken: bool) -> Self {
        if taken { Self::Yes } else { Self::No }
    }
}

/// A target.
pub type Target = fn(&[u8]) -> Taken;

/// Every target, by the name of its corpus.
pub const TARGETS: &[(&str, Target)] = &[
    ("capture", capture::target),
    ("configuration", configuration::target),
    ("decompression", decompression::target),
    ("expression", expression::target),
    ("page", page::target),
    ("redaction", redaction::target),
    ("response", response::target),
    ("template", template::target),
];

/// The text before a line that is `---`, and what is behind it.
fn two_parts(data: &[u8]) -> (String, String) {
    let text = String::from_utf8_lossy(data);
    let (first, second) = text.split_once("\n---\n").unwrap_or((&text, ""));
    (first.to_owned(), second.to_owned())
}
