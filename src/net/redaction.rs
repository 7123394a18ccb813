//! Takes secrets out of texts, in the forms in which they travel.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::sync::{PoisonError, RwLock};

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD, URL_SAFE, URL_SAFE_NO_PAD};

/// What stands where a secret stood.
pub const MARK: &str = "•••";

/// A secret shorter than this is not looked for: it would be found everywhere, and hides nothing.
const LENGTH_MIN: usize = 4;

/// A piece of base64 shorter than this is not looked for, for the same reason.
const BASE64_LENGTH_MIN: usize = 6;

/// What stands where a text was cut.
const CUT: char = '…';

/// Knows every secret that was ever resolved, and the forms in which it may come back: as it is, percent-encoded, as hex,
/// in the four alphabets of base64, and escaped for JSON.
#[derive(Default)]
pub struct Redactor {
    /// The longest first, so that a part of a form never hides the whole.
    forms: RwLock<BTreeSet<Form>>,
}

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
        let percent = percent_encoding::utf8_percent_encode(secret, percent_encoding::NON_ALPHANUMERIC).to_string();
        let lower = percent.to_lowercase();
        let hex = secret.bytes().fold(String::new(), |mut text, byte| {
            // Writing to a String cannot fail.
            let _ = write!(text, "{byte:02x}");
            text
        });
        // What RFC 3986, section 2.3, reserves for nothing stays as it is in most URLs, and so do `*-._` in forms.
        let unreserved = percent.replace("%2D", "-").replace("%2E", ".").replace("%5F", "_");
        let form_encoded = unreserved.replace("%2A", "*").replace("%20", "+");
        let unreserved = unreserved.replace("%7E", "~");
        let upper_hex = hex.to_uppercase();
        let json = serde_json::Value::from(secret).to_string();
        let mut forms = self.forms.write().unwrap_or_else(PoisonError::into_inner);
        forms.extend(
            [
                secret.to_owned(),
                percent,
                lower,
                unreserved,
                form_encoded,
                hex,
                upper_hex,
                json.trim_matches('"').to_owned(),
            ]
            .into_iter()
            .chain([STANDARD, STANDARD_NO_PAD, URL_SAFE, URL_SAFE_NO_PAD].map(|alphabet| alphabet.encode(secret)))
            .chain(inside_base64(secret.as_bytes()))
            .map(Form),
        );
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

/// How many bytes at the end of a text are the beginning of a form, if they are enough to tell something.
fn beginning_at_end(text: &str, form: &str) -> Option<usize> {
    let lengths = form.char_indices().map(|(at, _)| at).filter(|length| *length >= LENGTH_MIN);
    lengths.rev().find(|length| text.ends_with(&form[..*length]))
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
            url::form_urlencoded::byte_serialize("p@ss \"w0rd\"/ü".as_bytes()).collect(),
            STANDARD.encode("p@ss \"w0rd\"/ü"),
            URL_SAFE_NO_PAD.encode("p@ss \"w0rd\"/ü"),
        ] {
            assert_eq!(redactor.redact(&format!("a {text} b")), "a ••• b", "{text}");
        }
        assert_eq!(redactor.redact("nothing here"), "nothing here");
        redactor.learn("a-b_c.d~/");
        assert_eq!(redactor.redact("/a-b_c.d~%2F/ a-b_c.d%7E%2F"), "/•••/ •••");
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
