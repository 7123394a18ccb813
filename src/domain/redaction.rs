//! Takes secrets out of texts, in the forms in which they travel.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::sync::{PoisonError, RwLock};

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD, URL_SAFE, URL_SAFE_NO_PAD};
use percent_encoding::{AsciiSet, CONTROLS, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};
use serde_json::Value;

/// What stands where a secret stood.
pub const MARK: &str = "•••";

/// A secret shorter than this is not looked for: it would be found everywhere, and hides nothing.
const LENGTH_MIN: usize = 4;

/// A piece of base64 shorter than this is not looked for, for the same reason.
const BASE64_LENGTH_MIN: usize = 6;

/// What stands where a text was cut.
const CUT: char = '…';

/// Knows secrets, and the forms in which they may come back: as they are, percent-encoded, as hex, in the four alphabets of
/// base64, escaped for JSON and for HTML.
#[derive(Default)]
pub struct Redactor {
    /// The longest first, so that a part of a form never hides the whole.
    forms: RwLock<BTreeSet<Form>>,
}

/// What programs leave as it is when they encode for a URL: nothing, what forms leave, what RFC 3986 reserves for nothing,
/// with the slash of a path, what JavaScript's `encodeURIComponent` leaves, and what browsers leave in a path and in a query.
const PERCENT: [&AsciiSet; 7] = [
    NON_ALPHANUMERIC,
    &NON_ALPHANUMERIC.remove(b'*').remove(b'-').remove(b'.').remove(b'_'),
    &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~'),
    &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~').remove(b'/'),
    &NON_ALPHANUMERIC
        .remove(b'-')
        .remove(b'.')
        .remove(b'_')
        .remove(b'~')
        .remove(b'!')
        .remove(b'*')
        .remove(b'\'')
        .remove(b'(')
        .remove(b')'),
    &CONTROLS.add(b' ').add(b'"').add(b'#').add(b'<').add(b'>').add(b'?').add(b'`').add(b'{').add(b'}').add(b'^'),
    &CONTROLS.add(b' ').add(b'"').add(b'#').add(b'<').add(b'>').add(b'\''),
];

#[derive(PartialEq, Eq)]
struct Form(String);

impl PartialOrd for Form {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Form {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        other.0.len().cmp(&self.0.len()).then_with(|| self.0.cmp(&other.0))
    }
}

impl Redactor {
    /// From now on this secret is taken out.
    pub fn learn(&self, secret: &str) {
        if secret.len() < LENGTH_MIN || self.knows(secret) {
            return;
        }
        let mut forms = self.forms.write().unwrap_or_else(PoisonError::into_inner);
        forms.extend(
            std::iter::once(secret.to_owned())
                .chain(percent_encoded(secret))
                .chain(escaped(secret))
                .chain([hex(secret), hex(secret).to_uppercase()])
                .chain([STANDARD, STANDARD_NO_PAD, URL_SAFE, URL_SAFE_NO_PAD].map(|alphabet| alphabet.encode(secret)))
                .chain(inside_base64(secret.as_bytes()))
                .map(Form),
        );
    }

    /// The same for a value that was found in a text, where it may stand escaped for JSON or for a URL.
    pub fn learn_found(&self, value: &str) {
        self.learn(value);
        if let Ok(Value::String(plain)) = serde_json::from_str(&format!("\"{value}\"")) {
            self.learn(&plain);
        }
        if let Ok(plain) = percent_decode_str(value).decode_utf8() {
            self.learn(&plain);
        }
    }

    fn knows(&self, secret: &str) -> bool {
        let forms = self.forms.read().unwrap_or_else(PoisonError::into_inner);
        forms.iter().any(|form| form.0 == secret)
    }

    /// The text without them. Where a text was cut, as `…` says, the beginning of a secret before the cut goes too.
    pub fn redact(&self, text: &str) -> String {
        let forms = self.forms.read().unwrap_or_else(PoisonError::into_inner);
        let whole =
            forms.iter().fold(
                text.to_owned(),
                |text, form| if text.contains(&form.0) { text.replace(&form.0, MARK) } else { text },
            );
        if !whole.contains(CUT) {
            return whole;
        }
        let parts: Vec<_> = whole.split(CUT).collect();
        let last = parts.len() - 1;
        let before_cut = |part: &str| {
            let beginning = forms.iter().filter_map(|form| beginning_at_end(part, &form.0)).max();
            beginning.map_or_else(|| part.to_owned(), |length| format!("{}{MARK}", &part[..part.len() - length]))
        };
        let parts =
            parts.iter().enumerate().map(|(n, part)| if n < last { before_cut(part) } else { (*part).to_owned() });
        parts.collect::<Vec<_>>().join(&CUT.to_string())
    }
}

/// As URLs and forms have it, with digits of both cases.
fn percent_encoded(secret: &str) -> Vec<String> {
    let mut forms = Vec::new();
    for set in PERCENT {
        let upper = utf8_percent_encode(secret, set).to_string();
        let lower = with_lower_digits(&upper);
        forms.extend([upper.replace("%20", "+"), lower.replace("%20", "+"), upper, lower]);
    }
    forms
}

/// `%2F` as `%2f`; the letters of the text stay as they are.
fn with_lower_digits(encoded: &str) -> String {
    let mut digits = 0_u8;
    let lower = |c: char| {
        let is_digit = digits > 0;
        digits = if c == '%' { 2 } else { digits.saturating_sub(1) };
        if is_digit { c.to_ascii_lowercase() } else { c }
    };
    encoded.chars().map(lower).collect()
}

/// As JSON has it, with and without characters beyond ASCII and with the slash escaped or not, also when that JSON is a
/// string within another; and as HTML has it.
fn escaped(secret: &str) -> Vec<String> {
    let quoted = Value::from(secret).to_string();
    let json = quoted.get(1..quoted.len() - 1).unwrap_or_default().to_owned();
    let ascii = json.chars().fold(String::new(), |mut text, c| {
        if c.is_ascii() {
            text.push(c);
            return text;
        }
        for unit in c.encode_utf16(&mut [0; 2]) {
            // Writing to a String cannot fail, here and below.
            let _ = write!(text, "\\u{unit:04x}");
        }
        text
    });
    let html = secret.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;");
    let apostrophes = ["&#39;", "&#x27;", "&apos;"].map(|escaped| html.replace('\'', escaped));
    let mut forms = vec![json.replace('/', "\\/"), ascii.replace('/', "\\/"), json, ascii];
    let within = |form: &String| form.replace('\\', "\\\\").replace('"', "\\\"");
    forms.extend(forms.iter().map(within).collect::<Vec<_>>());
    forms.push(html);
    forms.extend(apostrophes);
    forms
}

fn hex(secret: &str) -> String {
    secret.bytes().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// How many bytes at the end of a text are the beginning of a form, if they are enough to tell something.
fn beginning_at_end(text: &str, form: &str) -> Option<usize> {
    // No longer than the text: a target may cut its text to pieces, and then each costs only what is in it.
    let lengths = LENGTH_MIN..=text.len().min(form.len().saturating_sub(1));
    lengths.rev().find(|length| form.is_char_boundary(*length) && text.ends_with(&form[..*length]))
}

/// What base64 makes of a secret somewhere within a longer text, as in `user:password`: the characters that the secret alone
/// decides, for each of the three ways in which it can lie across them.
fn inside_base64(secret: &[u8]) -> Vec<String> {
    let mut forms = Vec::new();
    for (before, first) in [(0_usize, 0_usize), (1, 2), (2, 3)] {
        let padded: Vec<u8> = std::iter::repeat_n(0, before).chain(secret.iter().copied()).collect();
        let last = padded.len() * 8 / 6;
        for alphabet in [STANDARD_NO_PAD, URL_SAFE_NO_PAD] {
            let inner = alphabet.encode(&padded).get(first..last).map(str::to_owned);
            forms.extend(inner.filter(|inner| inner.len() >= BASE64_LENGTH_MIN));
        }
    }
    forms
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_secret_is_found_in_every_form_it_travels_in() {
        let redactor = Redactor::default();
        redactor.learn("p@ss \"w0rd\"/ü");
        for text in [
            "p@ss \"w0rd\"/ü".to_owned(),
            "p%40ss%20%22w0rd%22%2F%C3%BC".to_owned(),
            "p%40ss+%22w0rd%22%2F%C3%BC".to_owned(),
            "p@ss \\\"w0rd\\\"/ü".to_owned(),
            "p@ss \\\"w0rd\\\"\\/\\u00fc".to_owned(),
            "p@ss \\\\\\\"w0rd\\\\\\\"/ü".to_owned(),
            "p%40ss%20%22w0rd%22/%C3%BC".to_owned(),
            "p%40ss%20%22w0rd%22%2f%c3%bc".to_owned(),
            "p@ss &quot;w0rd&quot;/ü".to_owned(),
            STANDARD.encode("p@ss \"w0rd\"/ü"),
            URL_SAFE_NO_PAD.encode("p@ss \"w0rd\"/ü"),
        ] {
            assert_eq!(redactor.redact(&format!("a {text} b")), "a ••• b", "{text}");
        }
        assert_eq!(redactor.redact("nothing here"), "nothing here");
    }

    #[test]
    fn a_text_that_is_cut_to_pieces_costs_no_more_than_its_length() {
        let redactor = Redactor::default();
        redactor.learn(&"long secret ".repeat(5_000));
        let pieces = format!("long secret {}", CUT.to_string().repeat(1_000));
        assert_eq!(redactor.redact(&pieces), format!("{MARK}{}", CUT.to_string().repeat(1_000)));
    }

    #[test]
    fn a_value_that_was_found_escaped_is_known_plain() {
        let redactor = Redactor::default();
        redactor.learn_found(r#"a\"b\u00fcc"#);
        redactor.learn_found("x%2Fy%20z");
        assert_eq!(redactor.redact("a\"büc, x/y z, x%2fy%20z"), "•••, •••, •••");
    }

    #[test]
    fn a_password_is_found_within_the_base64_of_user_and_password() {
        let redactor = Redactor::default();
        redactor.learn("secret-key");
        for user in ["a", "ab", "abc", "shopper"] {
            let header = STANDARD.encode(format!("{user}:secret-key"));
            let redacted = redactor.redact(&format!("Basic {header}"));
            assert!(redacted.contains(MARK), "{user}: {redacted}");
            let left: String = redacted.chars().filter(char::is_ascii_alphanumeric).collect();
            let told = STANDARD_NO_PAD.decode(left.trim_start_matches("Basic")).unwrap_or_default();
            assert!(!String::from_utf8_lossy(&told).contains("ecret-ke"), "{user}: {redacted}");
        }
    }

    #[test]
    fn the_beginning_of_a_secret_that_was_cut_is_taken_out_too() {
        let redactor = Redactor::default();
        redactor.learn("secret-key-0123456789");
        assert_eq!(redactor.redact("token=secret-key-01…"), "token=•••…");
        assert_eq!(redactor.redact("se… and secret-key-0123456789 …"), "se… and ••• …");
        assert_eq!(redactor.redact("secret-key-01"), "secret-key-01", "nothing says that it was cut");
    }

    proptest! {
        #[test]
        fn no_text_keeps_a_known_secret(secret in "[a-zA-Z0-9/+ ]{4,20}", before in ".{0,20}", after in ".{0,20}") {
            let redactor = Redactor::default();
            redactor.learn(&secret);
            let redacted = redactor.redact(&format!("{before}{secret}{after}"));
            prop_assert!(!redacted.contains(&secret));
        }
    }
}
