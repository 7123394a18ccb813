//! A text as somebody reads it who undoes what was done to it: percent-encoding, the escapes of JSON, HTML and shells,
//! hexadecimal digits, base64; each also within another. Every byte of a reading knows its place in the text.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

/// So many encodings may lie one within the other: a password in a form, in base64, in JSON.
const DEPTH_MAX: usize = 3;

/// A word with fewer digits is not read as base64 or as hexadecimal: it could hold nothing that is worth hiding.
const DIGITS_MIN: usize = 6;

/// A line of base64 that goes on in the next one is at least as long: programs break it after 64 or 76 digits.
const LINE_MIN: usize = 60;

/// Fewer bytes are no list of bytes.
const LIST_MIN: usize = 4;

/// Parts words that do not stand beside each other; no encoding knows it.
const BETWEEN: u8 = 0x1f;

/// One way to read a text, or the words in it.
#[derive(Clone, Debug, Default)]
pub struct Reading {
    /// What it says so.
    pub bytes: Vec<u8>,
    /// Where in the text each byte stands.
    places: Vec<(usize, usize)>,
}

/// Up to four bytes.
struct Said([u8; 4], usize);

impl Said {
    fn byte(byte: u8) -> Self {
        Self([byte, 0, 0, 0], 1)
    }

    fn char(c: char) -> Self {
        let mut bytes = [0; 4];
        let length = c.encode_utf8(&mut bytes).len();
        Self(bytes, length)
    }
}

/// A way to write bytes as words: what is a digit, what digits say, and in how many places a word may begin.
type Writing = (fn(u8) -> bool, fn(&[u8]) -> Digits, usize);

/// What an escape says that stands at the beginning of some bytes, and how many of them it takes.
type Escape = fn(&[u8]) -> Option<(Said, usize)>;

/// Each kind of escape.
const ESCAPES: [Escape; 5] = [percent, backslash, entity, quote, picture];

/// How the words of a reading are read.
#[derive(Clone, Copy)]
struct Way {
    bytes_of: fn(&[u8]) -> Digits,
    /// A word may begin before what it says.
    skip: usize,
}

/// Every reading of a text, the plain one first. All escapes are undone at once, so what is looked for is to be read so too.
pub fn readings(text: &str) -> Vec<Reading> {
    let plain = Reading::of(text);
    // A word is read once, in however many readings it stands.
    let mut words = BTreeSet::new();
    let (mut all, mut from) = (vec![plain], 0);
    for _ in 0..DEPTH_MAX {
        let upto = all.len();
        for at in from..upto {
            let reading = &all[at];
            let plainer = reading.without_escapes();
            let lists = [reading.list(decimal, &[b", ", b","]), reading.list(pair, &[b":", b" ", b"-"])];
            let new = reading.words(&mut words);
            all.extend(plainer.into_iter().chain(lists.into_iter().flatten()).chain(new));
        }
        from = upto;
    }
    all
}

/// Where some bytes stand in a text, each of them as it is or as an escape says it; `fold` makes bytes alike that count as one.
///
/// Undoing escapes from the left does not find all of them: whoever writes one kind leaves what looks like another as it is, and a
/// backslash before the first byte takes that with it. So every way is gone at once, from each place on.
pub fn written(text: &[u8], wanted: &[u8], fold: fn(u8) -> u8) -> Vec<Range<usize>> {
    let mut found = Vec::new();
    let Some(first) = wanted.first().filter(|_| text.iter().any(|byte| may_escape(*byte))) else { return found };
    // For each place that lies ahead, how many bytes have been met there, and where the first of them stands.
    let mut ahead: BTreeMap<usize, BTreeMap<usize, usize>> = BTreeMap::new();
    for (at, byte) in text.iter().enumerate() {
        let here = ahead.remove(&at);
        // Most of a text is neither on the way nor a beginning, and is passed over quickly.
        if here.is_none() && fold(*byte) != *first && !may_escape(*byte) {
            continue;
        }
        let mut here = here.unwrap_or_default();
        here.entry(0).or_insert(at);
        let plain = (Said::byte(*byte), 1);
        for (Said(said, count), length) in escape(&text[at..]).into_iter().chain([plain]) {
            for (met, begin) in &here {
                let rest = wanted[*met..].iter();
                if rest.zip(&said[..count]).filter(|(wanted, said)| **wanted == fold(**said)).count() != count {
                    continue;
                }
                if met + count == wanted.len() {
                    found.push(*begin..at + length);
                } else {
                    let begins = ahead.entry(at + length).or_default().entry(met + count).or_insert(*begin);
                    *begins = *begin.min(begins);
                }
            }
        }
    }
    found
}

impl Reading {
    /// The plain one.
    pub fn of(text: &str) -> Self {
        Self { bytes: text.into(), places: (0..text.len()).map(|at| (at, at + 1)).collect() }
    }

    /// Where in the text these bytes stand.
    pub fn place(&self, bytes: Range<usize>) -> Option<Range<usize>> {
        let last = bytes.end.checked_sub(1)?;
        Some(self.places.get(bytes.start)?.0..self.places.get(last)?.1)
    }

    /// The first byte that stands at a place of the text, or behind it.
    pub fn first_from(&self, place: usize) -> usize {
        self.places.partition_point(|(begin, _)| *begin < place)
    }

    fn copy(&mut self, from: &Self, range: Range<usize>) {
        self.bytes.extend_from_slice(&from.bytes[range.clone()]);
        self.places.extend_from_slice(&from.places[range]);
    }

    /// A byte between what was read last and what stands at a place.
    fn part(&mut self, place: (usize, usize)) {
        self.bytes.push(BETWEEN);
        self.places.push(place);
    }

    /// The same without escapes; nothing where it has none. Only where there are no others are the halves of characters of two
    /// bytes left out: an escape may say such a half, and then it is there once the others are undone.
    pub fn without_escapes(&self) -> Option<Self> {
        self.without(escape).or_else(|| self.without(half))
    }

    fn without(&self, escape: Escape) -> Option<Self> {
        let mut reading = Self::default();
        let (mut at, mut copied) = (0, 0);
        while at < self.bytes.len() {
            let Some((Said(said, count), length)) = escape(&self.bytes[at..]) else {
                at += 1;
                continue;
            };
            reading.copy(self, copied..at);
            let place = (self.places[at].0, self.places[at + length - 1].1);
            reading.bytes.extend_from_slice(&said[..count]);
            reading.places.extend(std::iter::repeat_n(place, count));
            at += length;
            copied = at;
        }
        reading.copy(self, copied..self.bytes.len());
        (copied > 0).then_some(reading)
    }

    /// What its words say that are not known yet, as base64 and as hexadecimal digits.
    fn words(&self, known: &mut BTreeSet<(usize, usize, Vec<u8>)>) -> Vec<Self> {
        const WAYS: [Writing; 2] = [(is_base64, base64_digits, 4), (is_hex, hex_digits, 2)];
        let mut readings = Vec::new();
        for (is_digit, bytes_of, ways) in WAYS {
            let mut new: Vec<Self> = vec![Self::default(); ways];
            let mut at = 0;
            while at < self.bytes.len() {
                let word = self.word(at, is_digit);
                at = word.last().map_or(at, |last| *last) + 1;
                if word.len() < DIGITS_MIN {
                    continue;
                }
                let digits: Vec<u8> = word.iter().map(|digit| self.bytes[*digit]).collect();
                if known.insert((ways, self.places[word[0]].0, digits.clone())) {
                    for (skip, reading) in new.iter_mut().enumerate() {
                        self.word_into(&word, &digits, Way { bytes_of, skip }, reading);
                    }
                }
            }
            readings.extend(new.into_iter().filter(|reading| !reading.bytes.is_empty()));
        }
        readings
    }

    fn word_into(&self, word: &[usize], digits: &[u8], way: Way, reading: &mut Self) {
        let Some(last) = word.last() else { return };
        let mut end = last + 1;
        while end <= last + 2 && self.bytes.get(end) == Some(&b'=') {
            end += 1;
        }
        reading.part(self.places[word[0]]);
        for (byte, from, upto) in (way.bytes_of)(&digits[way.skip..]) {
            let upto = if way.skip + upto == word.len() { end - 1 } else { word[way.skip + upto - 1] };
            reading.bytes.push(byte);
            reading.places.push((self.places[word[way.skip + from]].0, self.places[upto].1));
        }
    }

    /// Where the digits of the word are that begins here. Long lines go on in the next one.
    fn word(&self, from: usize, is_digit: fn(u8) -> bool) -> Vec<usize> {
        let (mut word, mut at, mut line) = (Vec::new(), from, 0);
        while let Some(byte) = self.bytes.get(at) {
            if is_digit(*byte) {
                word.push(at);
                (at, line) = (at + 1, line + 1);
                continue;
            }
            let breaks = self.bytes[at..].iter().take(3).take_while(|byte| matches!(byte, b'\r' | b'\n')).count();
            if line < LINE_MIN || !(1..=2).contains(&breaks) {
                break;
            }
            (at, line) = (at + breaks, 0);
        }
        word
    }

    /// Lists of bytes, as programs print those that they do not take for text.
    fn list(&self, byte_of: fn(&[u8]) -> Option<(u8, usize)>, between: &[&[u8]]) -> Option<Self> {
        let (mut reading, mut at) = (Self::default(), 0);
        while at < self.bytes.len() {
            let (mut list, mut next) = (Vec::new(), at);
            while let Some((byte, length)) = byte_of(&self.bytes[next..]) {
                list.push((byte, (self.places[next].0, self.places[next + length - 1].1)));
                next += length;
                let rest = &self.bytes[next..];
                let parts = between.iter().find(|parts| rest.starts_with(parts));
                let Some(parts) = parts.filter(|parts| byte_of(&rest[parts.len()..]).is_some()) else { break };
                next += parts.len();
            }
            if list.len() >= LIST_MIN {
                reading.part(list[0].1);
                reading.bytes.extend(list.iter().map(|(byte, _)| byte));
                reading.places.extend(list.iter().map(|(_, place)| place));
            }
            at = next.max(at + 1);
        }
        (!reading.bytes.is_empty()).then_some(reading)
    }
}

/// An escape of any kind.
fn escape(bytes: &[u8]) -> Option<(Said, usize)> {
    may_escape(*bytes.first()?).then(|| ESCAPES.into_iter().find_map(|kind| kind(bytes))).flatten()
}

/// Whether an escape may begin with a byte.
fn may_escape(byte: u8) -> bool {
    matches!(byte, b'%' | b'\\' | b'&' | b'\'' | 0xe2)
}

/// The other half of a character of two bytes says nothing.
fn half(bytes: &[u8]) -> Option<(Said, usize)> {
    (bytes.first() == Some(&0)).then_some((Said([0; 4], 0), 1))
}

fn is_hex(byte: u8) -> bool {
    byte.is_ascii_hexdigit()
}

/// A number that is a byte, and how many digits it has.
fn decimal(bytes: &[u8]) -> Option<(u8, usize)> {
    let length = bytes.iter().take(4).take_while(|byte| byte.is_ascii_digit()).count();
    let text = std::str::from_utf8(&bytes[..length]).ok()?;
    Some((text.parse().ok()?, length))
}

/// Two hexadecimal digits.
fn pair(bytes: &[u8]) -> Option<(u8, usize)> {
    Some((hex(bytes.get(..2)?)?, 2))
}

/// Bytes, each with the first of its digits and the one behind its last.
type Digits = Vec<(u8, usize, usize)>;

fn hex_digits(digits: &[u8]) -> Digits {
    let pairs = digits.chunks_exact(2).enumerate();
    pairs.filter_map(|(n, pair)| Some((hex(pair)?, 2 * n, 2 * n + 2))).collect()
}

fn base64_digits(digits: &[u8]) -> Digits {
    let mut bytes = Vec::new();
    for (n, four) in digits.chunks(4).enumerate() {
        let values = four.iter().fold(0_u32, |all, digit| (all << 6) | u32::from(base64_value(*digit)));
        let values = values << (6 * (4 - four.len()));
        let [_, said @ ..] = values.to_be_bytes();
        // Two digits say one byte, three say two.
        for (place, byte) in said.into_iter().take(four.len() - 1).enumerate() {
            bytes.push((byte, 4 * n + place, 4 * n + place + 2));
        }
    }
    bytes
}

fn is_base64(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/' | b'-' | b'_')
}

/// In both alphabets.
fn base64_value(digit: u8) -> u8 {
    match digit {
        b'A'..=b'Z' => digit - b'A',
        b'a'..=b'z' => digit - b'a' + 26,
        b'0'..=b'9' => digit - b'0' + 52,
        b'+' | b'-' => 62,
        _ => 63,
    }
}

/// Hexadecimal digits, at most eight.
fn code(digits: &[u8]) -> Option<u32> {
    let is_code = !digits.is_empty() && digits.len() <= 8 && digits.iter().all(u8::is_ascii_hexdigit);
    std::str::from_utf8(digits).ok().filter(|_| is_code).and_then(|digits| u32::from_str_radix(digits, 16).ok())
}

fn hex(pair: &[u8]) -> Option<u8> {
    u8::try_from(code(pair)?).ok()
}

fn percent(bytes: &[u8]) -> Option<(Said, usize)> {
    let digits = bytes.strip_prefix(b"%")?.get(..2)?;
    Some((Said::byte(hex(digits)?), 3))
}

/// JSON's escapes, and those of programs that are like them.
fn backslash(bytes: &[u8]) -> Option<(Said, usize)> {
    let rest = bytes.strip_prefix(b"\\")?;
    let plain = |byte: u8| Some((Said::byte(byte), 2));
    match rest.first()? {
        b'n' => plain(b'\n'),
        b'r' => plain(b'\r'),
        b't' => plain(b'\t'),
        b'b' => plain(8),
        b'f' => plain(12),
        b'0' => plain(0),
        b'x' => Some((Said::byte(hex(rest.get(1..3)?)?), 4)),
        b'u' if rest.get(1) == Some(&b'{') => {
            let length = rest.iter().take(10).position(|byte| *byte == b'}')?;
            Some((Said::char(char::from_u32(code(&rest[2..length])?)?), length + 2))
        }
        b'u' => {
            let first = code(rest.get(1..5)?)?;
            if let Some(c) = char::from_u32(first) {
                return Some((Said::char(c), 6));
            }
            let second = code(rest.get(5..)?.strip_prefix(b"\\u")?.get(..4)?)?;
            let units = [u16::try_from(first).ok()?, u16::try_from(second).ok()?];
            Some((Said::char(char::decode_utf16(units).next()?.ok()?), 12))
        }
        other if other.is_ascii_punctuation() => plain(*other),
        _ => None,
    }
}

fn entity(bytes: &[u8]) -> Option<(Said, usize)> {
    const NAMED: [(&[u8], u8); 5] =
        [(b"&amp;", b'&'), (b"&lt;", b'<'), (b"&gt;", b'>'), (b"&quot;", b'"'), (b"&apos;", b'\'')];
    if let Some((name, said)) = NAMED.iter().find(|(name, _)| bytes.starts_with(name)) {
        return Some((Said::byte(*said), name.len()));
    }
    let rest = bytes.strip_prefix(b"&#")?;
    let length = rest.iter().take(10).position(|byte| *byte == b';')?;
    let number = match rest[..length].strip_prefix(b"x").or_else(|| rest[..length].strip_prefix(b"X")) {
        Some(digits) => code(digits)?,
        None => std::str::from_utf8(&rest[..length]).ok()?.parse().ok()?,
    };
    Some((Said::char(char::from_u32(number)?), length + 3))
}

/// An apostrophe within apostrophes, as shells have it.
fn quote(bytes: &[u8]) -> Option<(Said, usize)> {
    let form = [b"'\\''".as_slice(), b"'\"'\"'"].into_iter().find(|form| bytes.starts_with(form))?;
    Some((Said::byte(b'\''), form.len()))
}

/// A control character that was made visible.
fn picture(bytes: &[u8]) -> Option<(Said, usize)> {
    match bytes {
        [0xe2, 0x90, c @ 0x80..=0x9f, ..] => Some((Said::byte(c - 0x80), 3)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn says(text: &str, said: &str) -> bool {
        readings(text).iter().any(|reading| reading.bytes.windows(said.len()).any(|part| part == said.as_bytes()))
    }

    #[test]
    fn what_was_done_to_a_text_is_undone() {
        for text in [
            "p@ss \"/ü'0123",
            "p%40ss%20%22%2f%C3%bc%270123",
            r#"p@ss \"\/ü'0123"#,
            r#"p@ss \\\"\\/\\u00fc\'0123"#,
            r"\u0070\u0040\u0073\u0073\u0020\u0022\u002F\u00FC\u00270123",
            r#"\x70@ss \"/\u{fc}\'0123"#,
            "p@ss &quot;/ü&#39;0123",
            "&#112;&#x40;ss &quot;/&#xFC;&apos;0123",
            r#"p@ss "/ü'\''0123"#,
            "7040737320222fc3bc2730313233",
            "x7040737320222Fc3BC2730313233",
            "70:40:73:73:20:22:2f:c3:bc:27:30:31:32:33",
            "[112, 64, 115, 115, 32, 34, 47, 195, 188, 39, 48, 49, 50, 51]",
            "cEBzcyAiL8O8JzAxMjM=",
            "xcEBzcyAiL8O8JzAxMjM",
            "cHJvYmU6cEBzcyAiL8O8JzAxMjM",
            "cHJvYmU6cCU0MHNzJTIwJTIyJTJGJUMzJUJDJTI3MDEyMw",
        ] {
            assert!(says(text, "p@ss \"/ü'0123"), "{text}");
        }
        assert!(says(r"\ud83d\ude00!", "😀!"));
        assert!(says("a␊b␍␊c", "a\nb\r\nc"));
    }

    #[test]
    fn what_is_written_is_found_wherever_its_escapes_begin() {
        let of = |text: &str, wanted: &str| {
            let found = written(text.as_bytes(), wanted.as_bytes(), |byte| byte);
            found.into_iter().map(|place| text[place].to_owned()).collect::<Vec<_>>()
        };
        assert_eq!(of(r"x=a\\&gt;.", r"a\&gt;"), [r"a\\&gt;"], "JSON leaves entities as they are");
        assert_eq!(of(r#"C:\bird\"s"#, "bird\\\"s"), [r#"bird\"s"#], "the backslash before it is none of its own");
        assert_eq!(of("%41%42c AB%63", "ABc"), ["%41%42c", "AB%63"]);
        assert_eq!(of("abab'", "ab"), ["ab", "ab"]);
        assert!(of("%41", "A\u{0}").is_empty() && of("%4", "A").is_empty());
        let many = "\\".repeat(1_000);
        let ways = written(many.as_bytes(), &many.as_bytes()[..200], |byte| byte);
        assert!((801..=2_000).contains(&ways.len()), "two for each place at most: {}", ways.len());
    }

    #[test]
    fn long_lines_of_base64_are_one_word() {
        use base64::Engine as _;
        let text = "a secret that is much longer than one line of base64 can be, and goes on";
        let digits = base64::engine::general_purpose::STANDARD.encode(text);
        assert!(says(&format!("{}\r\n{}", &digits[..76], &digits[76..]), text));
        assert!(!says(&format!("{}\n{}", &digits[..36], &digits[36..]), text), "short lines are words");
    }

    #[test]
    fn every_byte_knows_its_place() {
        let text = "user=YWJjOnNlY3JldA== b%2Fc";
        let all = readings(text);
        let place = |said: &[u8]| {
            all.iter().find_map(|reading| {
                let at = reading.bytes.windows(said.len()).position(|part| part == said)?;
                Some(&text[reading.place(at..at + said.len())?])
            })
        };
        assert_eq!(place(b"secret"), Some("nNlY3JldA=="));
        assert_eq!(place(b"/c"), Some("%2Fc"));
    }
}
