//! Takes secrets out of texts, in the forms in which they travel.

use std::collections::BTreeMap;
use std::fmt;
use std::ops::Range;
use std::sync::{PoisonError, RwLock};

use memchr::memmem::Finder;
use percent_encoding::percent_decode_str;
use serde_json::Value;

use super::reading::{Reading, readings, written};

/// What stands where a secret stood.
pub const MARK: &str = "•••";

/// A secret shorter than this is not looked for: it would be found everywhere, and hides nothing.
const LENGTH_MIN: usize = 4;

/// A line of a secret of several lines is looked for by itself if it has as many bytes.
const LINE_LENGTH_MIN: usize = 8;

/// What stands where a text was cut.
pub const CUT: char = '…';

/// So many places of a text are looked at where it may have been cut.
const CUTS_MAX: usize = 8;

/// So many bytes before and behind a cut may be what it left of an escape.
const REMNANT_MAX: usize = 5;

/// Knows secrets, and finds them in whatever a text says: as they are, percent-encoded, as hexadecimal digits, in base64,
/// escaped for JSON, HTML and shells, one within the other, in letters of either case.
#[derive(Default)]
pub struct Redactor {
    /// As [`folded`] has them.
    secrets: RwLock<BTreeMap<Vec<u8>, Finder<'static>>>,
}

impl fmt::Debug for Redactor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Redactor")
    }
}

impl Redactor {
    /// From now on this secret is taken out. Of one with several lines each is a secret by itself: whatever repeats it may
    /// end its lines otherwise, or begin them with something.
    pub fn learn(&self, secret: &str) {
        let lines = secret.lines().map(str::trim).filter(|line| line.len() >= LINE_LENGTH_MIN && !is_frame(line));
        let lines = lines.filter(|line| line.len() < secret.len());
        let all: Vec<_> = std::iter::once(secret).filter(|secret| secret.len() >= LENGTH_MIN).chain(lines).collect();
        if all.iter().all(|secret| self.knows(secret)) {
            return;
        }
        let mut secrets = self.secrets.write().unwrap_or_else(PoisonError::into_inner);
        for reading in all.into_iter().flat_map(plainer).filter(|reading| reading.len() >= LENGTH_MIN) {
            let secret = folded(&reading);
            let finder = Finder::new(&secret).into_owned();
            secrets.insert(secret, finder);
        }
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

    /// How many are known, each reading of one by itself.
    pub fn known(&self) -> usize {
        self.secrets.read().unwrap_or_else(PoisonError::into_inner).len()
    }

    fn knows(&self, secret: &str) -> bool {
        let secrets = self.secrets.read().unwrap_or_else(PoisonError::into_inner);
        secrets.contains_key(&folded(secret.as_bytes()))
    }

    /// The text without them. Where a text was cut, as `…` says, what is left of a secret before and behind the cut goes too.
    pub fn redact(&self, text: &str) -> String {
        let secrets = self.secrets.read().unwrap_or_else(PoisonError::into_inner);
        if secrets.is_empty() || text.len() < LENGTH_MIN {
            return text.to_owned();
        }
        let cuts: Vec<_> = text.match_indices(CUT).map(|(at, cut)| at..at + cut.len()).collect();
        // We cut a text at its ends, and what else looks like a cut is what a target says.
        let cuts = match cuts.len().checked_sub(CUTS_MAX) {
            Some(more) => [&cuts[..CUTS_MAX / 2], &cuts[CUTS_MAX / 2 + more..]].concat(),
            None => cuts,
        };
        let mut places: Vec<_> = secrets.keys().flat_map(|secret| written(text.as_bytes(), secret, fold)).collect();
        for reading in readings(text) {
            let said = folded(&reading.bytes);
            for (secret, finder) in &*secrets {
                let found = finder.find_iter(&said).filter_map(|at| reading.place(at..at + secret.len()));
                places.extend(found);
            }
            let known = Known { secrets: &secrets, reading: &reading, said: &said };
            places.extend(known.at_cuts(&cuts, text.len()));
        }
        without(text, places)
    }
}

/// What `clean` makes of a text that may have been cut at its end, where it holds only the beginning of a secret.
pub fn of_cut(text: &str, clean: impl Fn(&str) -> String) -> String {
    let clean = clean(&format!("{text}{CUT}"));
    clean.strip_suffix(CUT).map(str::to_owned).unwrap_or(clean)
}

/// In lower case, as names of hosts are, and with the space as forms have it.
fn folded(bytes: &[u8]) -> Vec<u8> {
    bytes.iter().copied().map(fold).collect()
}

fn fold(byte: u8) -> u8 {
    if byte == b'+' { b' ' } else { byte.to_ascii_lowercase() }
}

/// A secret, and what it says where somebody takes it for a text with escapes, as whoever undoes those around it does.
fn plainer(secret: &str) -> impl Iterator<Item = Vec<u8>> {
    let first = Reading::of(secret);
    std::iter::successors(Some(first), Reading::without_escapes).take(4).map(|reading| reading.bytes)
}

/// A line that frames a key in PEM, and is in every other as well.
fn is_frame(line: &str) -> bool {
    line.starts_with("-----")
}

/// The secrets in one reading of a text.
struct Known<'a> {
    secrets: &'a BTreeMap<Vec<u8>, Finder<'static>>,
    reading: &'a Reading,
    /// What it says, as [`folded`] has it.
    said: &'a [u8],
}

impl Known<'_> {
    /// What cuts have left of secrets.
    fn at_cuts(&self, cuts: &[Range<usize>], length: usize) -> Vec<Range<usize>> {
        let mut places = Vec::new();
        for (n, cut) in cuts.iter().enumerate() {
            let before = self.reading.first_from(n.checked_sub(1).map_or(0, |n| cuts[n].end));
            let behind = self.reading.first_from(cuts.get(n + 1).map_or(length, |next| next.start));
            let [from, upto] = [cut.start, cut.end].map(|place| self.reading.first_from(place));
            let begun =
                (0..=REMNANT_MAX).filter_map(|remnant| self.beginning(before..from.checked_sub(remnant)?, from));
            if let Some(place) = begun.min().and_then(|begin| self.reading.place(begin..from))
                && cut.start.saturating_sub(place.end) <= REMNANT_MAX
            {
                places.push(place.start..cut.start);
            }
            let ended = (0..=REMNANT_MAX).filter_map(|remnant| self.end(upto, upto + remnant..behind));
            if let Some(place) = ended.max().and_then(|end| self.reading.place(upto..end))
                && place.start.saturating_sub(cut.end) <= REMNANT_MAX
            {
                places.push(cut.end..place.end);
            }
        }
        places
    }

    /// Where the longest beginning of a secret begins with which a part ends. Between it and the cut may be the beginning of
    /// an escape.
    fn beginning(&self, within: Range<usize>, cut: usize) -> Option<usize> {
        let (part, remnant) = (self.said.get(within.clone())?, self.said.get(within.end..cut)?);
        if !remnant.first().is_none_or(|first| b"%\\&'".contains(first)) {
            return None;
        }
        let longest = |secret: &Vec<u8>| {
            // No longer than the part: a target may cut its text to pieces, and then each costs only what is in it.
            let lengths = LENGTH_MIN..=part.len().min(secret.len().saturating_sub(1));
            lengths.rev().find(|length| part.ends_with(&secret[..*length]))
        };
        self.secrets.keys().filter_map(longest).max().map(|length| within.end - length)
    }

    /// Where the longest end of a secret ends with which a part begins. Between the cut and it may be the end of an escape.
    fn end(&self, cut: usize, within: Range<usize>) -> Option<usize> {
        let (part, remnant) = (self.said.get(within.clone())?, self.said.get(cut..within.start)?);
        if !remnant.iter().all(|byte| byte.is_ascii_alphanumeric() || *byte == b';') {
            return None;
        }
        let longest = |secret: &Vec<u8>| {
            let lengths = LENGTH_MIN..=part.len().min(secret.len().saturating_sub(1));
            lengths.rev().find(|length| part.starts_with(&secret[secret.len() - length..]))
        };
        self.secrets.keys().filter_map(longest).max().map(|length| within.start + length)
    }
}

/// The text with a mark in place of all that stands at these places.
fn without(text: &str, mut places: Vec<Range<usize>>) -> String {
    places.sort_unstable_by_key(|place| (place.start, place.end));
    let (mut clean, mut at) = (String::with_capacity(text.len()), 0);
    let mut rest = places.into_iter().peekable();
    while let Some(first) = rest.next() {
        let mut end = first.end;
        while let Some(next) = rest.next_if(|next| next.start < end) {
            end = end.max(next.end);
        }
        clean.push_str(&text[at..text.floor_char_boundary(first.start).max(at)]);
        clean.push_str(MARK);
        at = text.ceil_char_boundary(end);
    }
    clean.push_str(&text[at..]);
    clean
}

#[cfg(test)]
mod tests {
    use super::*;
    use base64::Engine as _;
    use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD, URL_SAFE_NO_PAD};
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
    fn a_secret_is_found_in_one_form_within_another() {
        let redactor = Redactor::default();
        redactor.learn("p@ss \"w0rd\"/ü");
        let form = "p%40ss+%22w0rd%22%2F%C3%BC";
        for (text, clean) in [
            (format!("{{\"a\":\"{}\"}}", STANDARD.encode(form)), "{\"a\":\"•••\"}"),
            (format!("Basic {}", STANDARD_NO_PAD.encode(form)), "Basic •••"),
            (form.replace('%', "%25"), "•••"),
            ("P@SS \"W0RD\"/ü".to_owned(), "•••"),
            (format!("{:?}", "p@ss \"w0rd\"/ü".as_bytes()), "[•••]"),
            ("-H 'x: p@ss \"w0rd\"/ü'".to_owned(), "-H 'x: •••'"),
            (hex_of("p@ss \"w0rd\"/ü"), "•••"),
            (hex_of("p@ss \"w0rd\"/ü").to_uppercase(), "•••"),
        ] {
            assert_eq!(redactor.redact(&text), clean, "{text}");
        }
    }

    #[test]
    fn a_secret_is_taken_out_wherever_it_stands_again() {
        let redactor = Redactor::default();
        redactor.learn("s3cret%2Fkey\"\\n+x");
        let plain = "s3cret%2Fkey\"\\n+x";
        for form in [plain.to_owned(), STANDARD.encode(plain), hex_of(plain), Value::from(plain).to_string()] {
            let clean = redactor.redact(&format!("{form} and {form}, {}", Value::from(form.as_str())));
            assert_eq!(clean.replace(['"', '\\'], ""), "••• and •••, •••", "{form}");
        }
    }

    fn hex_of(text: &str) -> String {
        text.bytes()
            .flat_map(|byte| [byte >> 4, byte & 15])
            .filter_map(|digit| char::from_digit(digit.into(), 16))
            .collect()
    }

    #[test]
    fn each_line_of_a_secret_is_one() {
        let redactor = Redactor::default();
        redactor.learn("-----BEGIN PRIVATE KEY-----\nMC4CAQAwBQYDK2Vw\r\nBCIEINTuctv5\n-----END PRIVATE KEY-----\n");
        let text = "> MC4CAQAwBQYDK2Vw\n> BCIEINTuctv5, and -----BEGIN CERTIFICATE-----";
        assert_eq!(redactor.redact(text), "> •••\n> •••, and -----BEGIN CERTIFICATE-----");
    }

    #[test]
    fn what_a_cut_has_left_goes_too_in_whatever_form() {
        let redactor = Redactor::default();
        redactor.learn("secret/key/0123456789");
        for (text, clean) in [
            ("a secret%2Fkey%2F0…", "a •••…"),
            ("a secret%2Fkey%2…", "a •••…"),
            ("a secret\\u002fkey\\u00…", "a •••…"),
            ("…y/0123456789, b", "…•••, b"),
            ("…2Fkey%2F0123456789, b", "…•••, b"),
            ("abc … 0123456789", "abc … 0123456789"),
            ("c2VjcmV0L2tleS8w…", "•••…"),
        ] {
            assert_eq!(redactor.redact(text), clean, "{text}");
        }
    }

    #[test]
    fn a_text_that_is_cut_to_pieces_costs_no_more_than_its_length() {
        let redactor = Redactor::default();
        redactor.learn(&"long secret ".repeat(5_000));
        let pieces = format!("long secret {}", CUT.to_string().repeat(1_000));
        assert_eq!(redactor.redact(&pieces), format!("{MARK}{}", CUT.to_string().repeat(1_000)));
    }

    #[test]
    fn what_is_short_once_its_escapes_are_undone_garbles_nothing() {
        for value in ["%61%00%00", "%00%00%00%00", "\\u0061\\u0062", "%20%20%20"] {
            let redactor = Redactor::default();
            redactor.learn_found(value);
            assert_eq!(redactor.redact("a failed target, tab"), "a failed target, tab", "{value}");
        }
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
