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
        let form_encoded = percent.replace("%20", "+");
        let upper_hex = hex.to_uppercase();
        let json = serde_json::Value::from(secret).to_string();
        let mut forms = self.forms.write().unwrap_or_else(PoisonError::into_inner);
        forms.extend(
            [secret.to_owned(), percent, lower, form_encoded, hex, upper_hex, json.trim_matches('"').to_owned()]
                .into_iter()
                .chain([STANDARD, STANDARD_NO_PAD, URL_SAFE, URL_SAFE_NO_PAD].map(|alphabet| alphabet.encode(secret)))
                .map(Form),
        );
    }

    fn knows(&self, secret: &str) -> bool {
        let forms = self.forms.read().unwrap_or_else(PoisonError::into_inner);
        forms.iter().any(|form| form.0 == secret)
    }

    /// The text without them.
    pub fn redact(&self, text: &str) -> String {
        let forms = self.forms.read().unwrap_or_else(PoisonError::into_inner);
        forms
            .iter()
            .fold(text.to_owned(), |text, form| if text.contains(&form.0) { text.replace(&form.0, MARK) } else { text })
    }
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
            STANDARD.encode("p@ss \"w0rd\"/ü"),
            URL_SAFE_NO_PAD.encode("p@ss \"w0rd\"/ü"),
        ] {
            assert_eq!(redactor.redact(&format!("a {text} b")), "a ••• b", "{text}");
        }
        assert_eq!(redactor.redact("nothing here"), "nothing here");
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
