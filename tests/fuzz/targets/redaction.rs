//! Secrets in texts, as they travel.

use std::fmt::Write as _;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD, URL_SAFE, URL_SAFE_NO_PAD};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use roundsman::domain::redaction::Redactor;
use serde_json::Value;

use super::{Taken, two_parts};

/// A secret shorter than this is not looked for.
const LENGTH_MIN: usize = 4;

/// What stands for itself in a URL (RFC 3986, section 2.3); browsers and we ourselves encode so.
const UNRESERVED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// The first byte chooses how the secret travels; then the secret, a line `---`, what stands before it, a line `---`, and
/// what stands behind it. Wherever it stands, it is not there afterwards.
pub fn target(data: &[u8]) -> Taken {
    let [form, rest @ ..] = data else { return Taken::No };
    let (secret, around) = two_parts(rest);
    let (before, after) = two_parts(around.as_bytes());
    let credentials = |alphabet: &dyn Fn(&str) -> String| alphabet(&format!("{before}:{secret}"));
    let (travelling, before) = match form {
        b'p' => (utf8_percent_encode(&secret, NON_ALPHANUMERIC).to_string(), before),
        b'l' => (with_lower_digits(&utf8_percent_encode(&secret, NON_ALPHANUMERIC).to_string()), before),
        b'u' => (utf8_percent_encode(&secret, UNRESERVED).to_string(), before),
        b'f' => (url::form_urlencoded::byte_serialize(secret.as_bytes()).collect(), before),
        b'j' => {
            let quoted = Value::from(secret.as_str()).to_string();
            (quoted[1..quoted.len() - 1].to_owned(), before)
        }
        b'o' => (STANDARD.encode(utf8_percent_encode(&secret, NON_ALPHANUMERIC).to_string()), before),
        b'b' => (format!("{:?}", secret.as_bytes()), before),
        b'h' => (hex(&secret), before),
        b'H' => (hex(&secret).to_uppercase(), before),
        b's' => (STANDARD.encode(&secret), before),
        b'n' => (STANDARD_NO_PAD.encode(&secret), before),
        b'S' => (URL_SAFE.encode(&secret), before),
        b'N' => (URL_SAFE_NO_PAD.encode(&secret), before),
        b'c' => (credentials(&|text| STANDARD.encode(text)), String::new()),
        b'C' => (credentials(&|text| URL_SAFE_NO_PAD.encode(text)), String::new()),
        _ => (secret.clone(), before),
    };
    let redactor = Redactor::default();
    redactor.learn(&secret);
    let text = format!("{before}{travelling}{after}");
    let redacted = redactor.redact(&text);
    let is_told = redacted.contains(&travelling);
    // Of credentials a part is taken out that is whole characters of base64, and of a very short one too little is left.
    let length_min = if matches!(form, b'c' | b'C') { 2 * LENGTH_MIN } else { LENGTH_MIN };
    // A secret that holds the mark itself may be put together by it.
    if secret.contains('•') {
        return Taken::No;
    }
    if secret.len() < LENGTH_MIN {
        assert_eq!(redacted, text, "nothing was learnt");
        return Taken::No;
    }
    assert!(!is_told || secret.len() < length_min, "{travelling:?} is still in {redacted:?}");
    Taken::Yes
}

fn hex(text: &str) -> String {
    text.bytes().fold(String::new(), |mut digits, byte| {
        write!(digits, "{byte:02x}").unwrap();
        digits
    })
}

/// `%2F` as `%2f`, with the letters of the text as they are.
fn with_lower_digits(encoded: &str) -> String {
    let mut parts = encoded.split('%');
    let first = parts.next().unwrap_or_default().to_owned();
    parts.fold(first, |text, part| text + "%" + &part[..2].to_lowercase() + &part[2..])
}
