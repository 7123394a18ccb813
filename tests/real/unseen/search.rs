//! Finds a value by its two ends, in whatever form: an encoder may leave or take whatever is in the middle.

use std::collections::{BTreeMap, HashMap};
use std::fmt::Write as _;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD};
use regex::bytes::{Regex, RegexBuilder};

use super::canaries::Canary;

/// What was found: whose it is, and in which form.
pub type Finding = (&'static str, &'static str);

/// Looks for the ends of values in every form.
pub struct Searcher {
    /// Forms whose letters have a case that tells something.
    exact: Forms,
    /// All others, in lower case.
    lower: Forms,
}

struct Forms {
    pattern: Regex,
    known: HashMap<Vec<u8>, Finding>,
}

impl Forms {
    fn new(known: HashMap<Vec<u8>, Finding>) -> Self {
        let escaped = known.keys().map(|form| {
            form.iter().fold(String::new(), |mut pattern, byte| {
                let _ = write!(pattern, "\\x{byte:02x}");
                pattern
            })
        });
        let pattern = format!("(?-u){}", escaped.collect::<Vec<_>>().join("|"));
        let pattern = RegexBuilder::new(&pattern).unicode(false).size_limit(1 << 28).build().expect("a pattern");
        Self { pattern, known }
    }

    fn find(&self, text: &[u8], found: &mut BTreeMap<Finding, usize>) {
        for hit in self.pattern.find_iter(text) {
            found.entry(self.known[hit.as_bytes()]).or_insert(hit.start());
        }
    }
}

impl Searcher {
    /// For these values.
    pub fn new(canaries: &[Canary]) -> Self {
        let (mut exact, mut lower) = (HashMap::new(), HashMap::new());
        for canary in canaries {
            for part in &canary.parts {
                exact.extend(exact_forms(part).into_iter().map(|(is, form)| (form, (canary.name, is))));
                let lower_form = |(is, form): (_, Vec<u8>)| (form.to_ascii_lowercase(), (canary.name, is));
                lower.extend(other_forms(part).into_iter().map(lower_form));
            }
        }
        Self { exact: Forms::new(exact), lower: Forms::new(lower) }
    }

    /// What is in a text, each with the place where it is first.
    pub fn find(&self, text: &[u8]) -> BTreeMap<Finding, usize> {
        let mut found = BTreeMap::new();
        self.exact.find(text, &mut found);
        self.lower.find(&text.to_ascii_lowercase(), &mut found);
        found
    }
}

/// What base64 makes of a text somewhere within a longer one: what the text alone decides, for each of the three ways in
/// which it can lie across the digits, in both alphabets.
fn within_base64(text: &[u8]) -> Vec<Vec<u8>> {
    let mut forms = Vec::new();
    for (before, first) in [(0, 0), (1, 2), (2, 3)] {
        let padded = [&vec![0; before], text].concat();
        let last = padded.len() * 8 / 6;
        for alphabet in [STANDARD_NO_PAD, URL_SAFE_NO_PAD] {
            forms.push(alphabet.encode(&padded).as_bytes()[first..last].to_vec());
        }
    }
    forms
}

/// Each byte written so, one behind the other.
fn each(text: &[u8], between: &str, write: impl Fn(u8) -> String) -> Vec<u8> {
    text.iter().map(|byte| write(*byte)).collect::<Vec<_>>().join(between).into_bytes()
}

fn exact_forms(part: &str) -> Vec<(&'static str, Vec<u8>)> {
    let once = within_base64(part.as_bytes());
    let twice: Vec<_> = once.iter().flat_map(|form| within_base64(form)).collect();
    let digits = each(part.as_bytes(), "", |byte| format!("{byte:02x}"));
    let of_digits = [within_base64(&digits), within_base64(&digits.to_ascii_uppercase())].concat();
    let named = |is: &'static str, forms: Vec<Vec<u8>>| forms.into_iter().map(move |form| (is, form));
    named("base64", once).chain(named("base64 twice", twice)).chain(named("base64 of hex", of_digits)).collect()
}

fn other_forms(part: &str) -> Vec<(&'static str, Vec<u8>)> {
    let bytes = part.as_bytes();
    let mut forms = vec![
        ("raw", bytes.to_vec()),
        ("reversed", bytes.iter().rev().copied().collect()),
        ("hex", each(bytes, "", |byte| format!("{byte:02x}"))),
        ("hex with colons", each(bytes, ":", |byte| format!("{byte:02x}"))),
        ("hex with spaces", each(bytes, " ", |byte| format!("{byte:02x}"))),
        ("percent", each(bytes, "", |byte| format!("%{byte:02x}"))),
        ("percent twice", each(bytes, "", |byte| format!("%25{byte:02x}"))),
        ("JSON", each(bytes, "", |byte| format!("\\u{byte:04x}"))),
        ("JSON within JSON", each(bytes, "", |byte| format!("\\\\u{byte:04x}"))),
        ("HTML", each(bytes, "", |byte| format!("&#{byte};"))),
        ("HTML in hex", each(bytes, "", |byte| format!("&#x{byte:x};"))),
        ("bytes", each(bytes, ", ", |byte| byte.to_string())),
        ("bytes without spaces", each(bytes, ",", |byte| byte.to_string())),
        ("UTF-16", bytes.iter().flat_map(|byte| [*byte, 0]).collect()),
    ];
    let hex_of_base64 = within_base64(bytes).into_iter();
    let hex_of_base64 = hex_of_base64.map(|form| ("hex of base64", each(&form, "", |byte| format!("{byte:02x}"))));
    forms.extend(hex_of_base64);
    forms
}

#[cfg(test)]
mod tests {
    use super::super::canaries::{all, said_again};
    use super::*;

    #[test]
    fn what_is_there_is_found_in_every_form_and_nothing_else_is() {
        let canaries = all();
        let searcher = Searcher::new(&canaries);
        for canary in &canaries {
            for form in said_again(&canary.value) {
                let found = searcher.find(format!("some {form} text").as_bytes());
                assert!(!found.is_empty(), "{form}");
                assert!(found.keys().all(|(name, _)| *name == canary.name), "{form}: {found:?}");
            }
            for part in &canary.parts {
                for (is, form) in exact_forms(part).into_iter().chain(other_forms(part)) {
                    let found = searcher.find(&[b"x".as_slice(), &form, b"\0"].concat());
                    assert!(found.contains_key(&(canary.name, is)), "{is} of {part}: {found:?}");
                }
                for form in [part.to_uppercase(), part.to_lowercase()] {
                    assert!(searcher.find(form.as_bytes()).contains_key(&(canary.name, "raw")), "{form}");
                }
            }
        }
        let nothing = "Zq7 h0Dk T1w 5xVj BEARER bearer UFJPQkU= 5a7137 %5A%71%37".repeat(10);
        assert!(searcher.find(nothing.as_bytes()).is_empty());
    }
}
