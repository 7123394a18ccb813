//! What went to a target and what came back, for people who look for a cause. Nothing here decides anything.
//!
//! A prober puts down each [`Exchange`]; a run that failed leaves a [`Bundle`] of them, without secrets and cut to a size that
//! can be kept for every failing run.

use std::borrow::Cow;
use std::fmt::Write as _;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::expression::Explanation;
use super::names::{CaptureName, StepName};
use super::outcome::Phases;
use super::text::harmless;

/// A bundle that is kept has no more text than this, in bytes.
pub const BUNDLE_BYTES_MAX: usize = 16 * 1024;

/// The longest text of what was sent, and of what came, in characters: a head, and the 2 KiB of a body that probers leave.
const TEXT_CHARS_MAX: usize = 4_096;

/// The longest command that repeats an exchange, in characters. One that was cut would repeat something else.
const COMMAND_CHARS_MAX: usize = 4_096;

/// How many certificates of a chain are told, and how long each is, in characters.
const CERTIFICATES_MAX: (usize, usize) = (8, 400);

/// How many assertions of a step are told.
const ASSERTIONS_MAX: usize = 64;

/// One request and its answer, or whatever a kind has in their place, as text that was cut to a size for reading.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Exchange {
    /// The address that was spoken to, with its port.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub remote: Option<String>,
    /// What was sent: head and body for HTTP, the command or the question for others.
    pub sent: String,
    /// What came; what came until then when the exchange was cut short.
    pub received: String,
    /// The certificates that the target showed, its own first: one line each.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub certificates: Vec<String>,
    /// A command for a shell that repeats it, where there is one (curl, dig, redis-cli).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub command: Option<String>,
    /// How long its parts took.
    pub phases: Phases,
}

/// At most this many bytes of a body or an answer stand in an exchange.
pub const TEXT_BYTES_MAX: usize = 2_048;

/// The beginning of what was exchanged, as text; what was left out is counted.
pub fn beginning(bytes: &[u8]) -> String {
    beginning_of(bytes, bytes.len())
}

/// The same of so many bytes, of which only the first may have been kept.
pub fn beginning_of(kept: &[u8], length: usize) -> String {
    let shown = kept.get(..TEXT_BYTES_MAX).unwrap_or(kept);
    let text = String::from_utf8_lossy(shown);
    match length.saturating_sub(shown.len()) {
        0 => text.into_owned(),
        // The cut may have gone through a character.
        more => format!("{}… ({more} bytes more)", text.trim_end_matches('\u{fffd}')),
    }
}

impl Exchange {
    /// Each text with what `clean` makes of it, harmless and not longer than people read.
    #[must_use]
    pub fn shown(self, clean: impl Fn(&str) -> String) -> Self {
        let (certificates_max, line_max) = CERTIFICATES_MAX;
        let text = |text: &str, most: usize| readable(&clean(text), most);
        Self {
            remote: self.remote.map(|remote| text(&remote, line_max)),
            sent: text(&self.sent, TEXT_CHARS_MAX),
            received: text(&self.received, TEXT_CHARS_MAX),
            certificates: self.certificates.iter().take(certificates_max).map(|line| text(line, line_max)).collect(),
            command: self
                .command
                .map(|command| clean(&command))
                .filter(|command| command.chars().count() <= COMMAND_CHARS_MAX)
                .map(|command| readable(&command, COMMAND_CHARS_MAX)),
            phases: self.phases,
        }
    }

    fn size(&self) -> usize {
        let texts = [self.remote.as_deref(), Some(&self.sent), Some(&self.received), self.command.as_deref()];
        let texts = texts.into_iter().flatten().chain(self.certificates.iter().map(String::as_str));
        texts.map(str::len).sum()
    }
}

/// Lines without control characters, cut where they are too many.
fn readable(text: &str, most: usize) -> String {
    let (kept, cut) = match text.char_indices().nth(most) {
        None => (text, None),
        Some((end, _)) => (&text[..end], Some(text[end..].chars().count())),
    };
    let mut lines = kept.lines().map(harmless).collect::<Vec<Cow<'_, str>>>().join("\n");
    if let Some(more) = cut {
        // Writing to a String cannot fail.
        let _ = write!(lines, "… ({more} more characters)");
    }
    lines
}

/// What an assertion said, with the values that decided it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Assertion {
    /// Whether it was true.
    pub held: bool,
    /// Whether it only warns.
    pub warns: bool,
    /// The expression and its parts.
    pub explanation: Explanation,
}

/// That something was captured. What it was is nobody's business: it may be a token.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Captured {
    /// By which name later steps call it.
    pub name: CaptureName,
    /// How many characters it has.
    pub characters: usize,
}

/// What one step did, as it is shown to people.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct StepRecord {
    /// The step.
    pub name: StepName,
    /// What it exchanged, in its order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub exchanges: Vec<Exchange>,
    /// What was asserted, implied expectations first. Of a step that passed only where everything is asked for.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub assertions: Vec<Assertion>,
    /// What was captured.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub captures: Vec<Captured>,
}

/// What a run leaves for whoever looks for its cause. It holds no secret, nothing that was captured and nothing that is
/// private by what it is: whoever makes one has taken them out.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Bundle {
    /// The steps that ran, in their order.
    pub steps: Vec<StepRecord>,
    /// How many exchanges had no room.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub left_out: usize,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks with a reference")]
fn is_zero(number: &usize) -> bool {
    *number == 0
}

impl Bundle {
    /// The same with no more text than so many bytes. The end is what tells most of a run that failed: the first exchanges
    /// go first, then what held.
    #[must_use]
    pub fn within(mut self, bytes_max: usize) -> Self {
        for step in &mut self.steps {
            step.assertions.truncate(ASSERTIONS_MAX);
        }
        let mut exchanges: usize = self.steps.iter().map(|step| step.exchanges.len()).sum();
        let mut size = self.size();
        for step in &mut self.steps {
            while size > bytes_max && exchanges > 1 && !step.exchanges.is_empty() {
                size -= step.exchanges.remove(0).size();
                exchanges -= 1;
                self.left_out += 1;
            }
        }
        for keep in [|assertion: &Assertion| !assertion.held, |_: &Assertion| false] {
            for step in &mut self.steps {
                if size > bytes_max {
                    let before: usize = step.assertions.iter().map(size_of).sum();
                    step.assertions.retain(keep);
                    size -= before - step.assertions.iter().map(size_of).sum::<usize>();
                }
            }
        }
        self
    }

    fn size(&self) -> usize {
        let of_step = |step: &StepRecord| {
            let exchanges: usize = step.exchanges.iter().map(Exchange::size).sum();
            exchanges + step.assertions.iter().map(size_of).sum::<usize>()
        };
        self.steps.iter().map(of_step).sum()
    }
}

fn size_of(assertion: &Assertion) -> usize {
    let Explanation { expression, parts, reason } = &assertion.explanation;
    let parts: usize = parts.iter().map(|part| part.expression.len() + part.value.len()).sum();
    expression.len() + parts + reason.as_ref().map_or(0, String::len)
}

#[cfg(test)]
mod tests {
    use super::super::expression::Part;
    use super::*;

    #[test]
    fn long_text_is_cut_and_counted() {
        assert_eq!(beginning("ü".as_bytes()), "ü");
        assert_eq!(beginning(&[b'a', 0xff]), "a\u{fffd}");
        let cut = beginning(format!("a{}", "ü".repeat(TEXT_BYTES_MAX)).as_bytes());
        assert!(cut.ends_with("ü… (2049 bytes more)"), "{cut}");
        assert_eq!(beginning_of(b"a", 3), "a… (2 bytes more)");
    }

    fn exchange(letter: char, length: usize) -> Exchange {
        Exchange { sent: letter.to_string(), received: letter.to_string().repeat(length), ..Exchange::default() }
    }

    fn assertion(held: bool, value: &str) -> Assertion {
        let part = Part { expression: "status".to_owned(), value: value.to_owned() };
        let explanation = Explanation { expression: "status == 200".to_owned(), parts: vec![part], reason: None };
        Assertion { held, warns: false, explanation }
    }

    fn step(name: &str, exchanges: Vec<Exchange>, assertions: Vec<Assertion>) -> StepRecord {
        StepRecord { name: StepName::parse(name).unwrap(), exchanges, assertions, captures: Vec::new() }
    }

    #[test]
    fn texts_are_cleaned_then_cut_and_cannot_steer() {
        let exchange = Exchange {
            received: format!("HTTP/1.1 200 OK\r\na: \u{1b}[2Jb\r\n\r\n{}hunter2", "x".repeat(TEXT_CHARS_MAX)),
            command: Some(format!("curl {}", "x".repeat(COMMAND_CHARS_MAX))),
            certificates: vec!["c\u{202e}".to_owned(); 30],
            ..exchange('a', 0)
        };
        let shown = exchange.shown(|text| text.replace("hunter2", ""));
        assert!(shown.received.starts_with("HTTP/1.1 200 OK\na: ␛[2Jb\n\nxx"));
        assert!(shown.received.ends_with("xx… (29 more characters)"), "{}", shown.received);
        assert_eq!(shown.certificates, vec!["c\u{fffd}".to_owned(); 8]);
        assert_eq!(shown.command, None, "half a command would do something else");
    }

    #[test]
    fn what_does_not_fit_goes_from_the_beginning_and_is_counted() {
        let whole = Bundle {
            steps: vec![
                step("login", vec![exchange('a', 400), exchange('b', 400)], vec![assertion(true, "200")]),
                step("order", vec![exchange('c', 400)], vec![assertion(true, "1"), assertion(false, "503")]),
            ],
            left_out: 0,
        };
        assert_eq!(whole.clone().within(BUNDLE_BYTES_MAX), whole);
        let cut = whole.clone().within(900);
        assert_eq!(cut.left_out, 1);
        assert_eq!(cut.steps[0].exchanges, [exchange('b', 400)]);
        let least = whole.clone().within(430);
        assert_eq!((least.left_out, least.steps[0].assertions.len()), (2, 0));
        assert_eq!(least.steps[1].exchanges.len(), 1, "the last is kept");
        assert_eq!(least.steps[1].assertions, [assertion(false, "503")], "what did not hold stays longest");
        assert!(whole.within(0).steps.iter().all(|step| step.assertions.is_empty()));
    }

    #[test]
    fn the_largest_that_can_be_put_down_fits_with_its_quotes_and_names() {
        let huge = || {
            let noise = "\u{1}\"\\ü".repeat(9_000);
            let all = Exchange {
                remote: Some(noise.clone()),
                sent: noise.clone(),
                received: noise.clone(),
                certificates: vec![noise; 20],
                command: None,
                phases: Phases::default(),
            };
            all.shown(str::to_owned)
        };
        let steps = (0..40).map(|n| step(&format!("s{n}"), (0..16).map(|_| huge()).collect(), Vec::new())).collect();
        let bundle = Bundle { steps, left_out: 0 }.within(BUNDLE_BYTES_MAX);
        assert_eq!(bundle.left_out, 639);
        let written = serde_json::to_string(&bundle).unwrap();
        assert!(written.len() < 3 * BUNDLE_BYTES_MAX, "{}", written.len());
    }
}
