//! Text that somebody else wrote: a target, a file, a name server. It is shown on terminals, pages and in logs, and must not
//! steer them.

use std::borrow::Cow;
use std::fmt::Write as _;

/// How many accents stand on one letter: more pile up over the lines above it. Vietnamese has two, Hebrew four.
const ACCENTS_MAX: usize = 4;

/// The same text, safe to show: control characters, bidirectional marks, invisible ones and accents that pile up become visible.
pub fn harmless(text: &str) -> Cow<'_, str> {
    let seen = || {
        text.chars().scan(0, |accents, c| {
            *accents = if is_accent(c) { *accents + 1 } else { 0 };
            Some(if *accents > ACCENTS_MAX { '\u{fffd}' } else { shown(c) })
        })
    };
    if seen().eq(text.chars()) { Cow::Borrowed(text) } else { seen().collect() }
}

/// Whether a character is drawn over or under the one before it, in the blocks that every script may use.
fn is_accent(c: char) -> bool {
    matches!(c, '\u{300}'..='\u{36f}' | '\u{483}'..='\u{489}' | '\u{1ab0}'..='\u{1aff}' | '\u{1dc0}'..='\u{1dff}' | '\u{20d0}'..='\u{20ff}' | '\u{fe20}'..='\u{fe2f}')
}

/// Whether a character steers what shows it, or hides from who reads it.
pub fn is_hidden(c: char) -> bool {
    shown(c) != c
}

/// The text as one word of a POSIX shell, whatever is in it: commands that repeat an exchange are pasted by people.
pub fn shell_word(text: &str) -> Cow<'_, str> {
    let plain = |c: char| c.is_ascii_alphanumeric() || "._-/:@%+=,".contains(c);
    if !text.is_empty() && text.chars().all(plain) {
        Cow::Borrowed(text)
    } else {
        Cow::Owned(format!("'{}'", text.replace('\'', r"'\''")))
    }
}

/// Bytes as pairs of lower-case hexadecimal digits.
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut digits, byte| {
        // Writing to a String cannot fail.
        let _ = write!(digits, "{byte:02x}");
        digits
    })
}

/// A count with its thousands apart: `2,880`.
pub fn thousands(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// A share in per cent with the digits that tell: of what is nearly the whole, those behind the nines.
pub fn percent(share: f64) -> String {
    let percent = share * 100.0;
    let digits = if (0.1..=99.0).contains(&percent) { 1 } else { 3 };
    let text = format!("{percent:.digits$}");
    let text = if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.') } else { &text };
    // What is not all must not look so.
    match text {
        "100" if share < 1.0 => ">99.999 %".to_owned(),
        "0" if share > 0.0 => "<0.001 %".to_owned(),
        text => format!("{text} %"),
    }
}

/// How many times something is another: `14.4`.
pub fn times(rate: f64) -> String {
    if rate < 99.95 { format!("{rate:.1}") } else { format!("{rate:.0}") }
}

fn shown(c: char) -> char {
    match c {
        '\t' => c,
        '\0'..='\u{1f}' => char::from_u32(0x2400 + u32::from(c)).unwrap_or('\u{fffd}'),
        '\u{7f}' => '␡',
        // Those that Unicode calls ignorable are seen by nobody; of the selectors of a form the last two choose between a picture
        // and a sign.
        '\u{80}'..='\u{9f}'
        | '\u{ad}'
        | '\u{34f}'
        | '\u{61c}'
        | '\u{115f}'..='\u{1160}'
        | '\u{17b4}'..='\u{17b5}'
        | '\u{180b}'..='\u{180f}'
        | '\u{200b}'..='\u{200f}'
        | '\u{2028}'..='\u{202e}'
        | '\u{2060}'..='\u{206f}'
        | '\u{3164}'
        | '\u{fdd0}'..='\u{fdef}'
        | '\u{fe00}'..='\u{fe0d}'
        | '\u{feff}'
        | '\u{ffa0}'
        | '\u{fff0}'..='\u{fffb}'
        | '\u{1bca0}'..='\u{1bca3}'
        | '\u{1d173}'..='\u{1d17a}'
        | '\u{e0000}'..='\u{e0fff}' => '\u{fffd}',
        // The last two of each plane are no characters, and XML refuses those of the first.
        _ if u32::from(c) & 0xfffe == 0xfffe => '\u{fffd}',
        _ => c,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_steers_and_what_hides_becomes_visible() {
        for (text, shown) in [
            ("plain ü\t—", "plain ü\t—"),
            ("\u{1b}[2J\r\n", "␛[2J␍␊"),
            ("a\u{202e}b\u{200b}c\u{feff}\u{ad}", "a\u{fffd}b\u{fffd}c\u{fffd}\u{fffd}"),
            ("\u{7f}\u{9b}", "␡\u{fffd}"),
            ("\u{ffff}\u{7fffe}\u{fdd0}\u{e0041}", "\u{fffd}\u{fffd}\u{fffd}\u{fffd}"),
            ("\u{3164}\u{115f}\u{180e}\u{34f}", "\u{fffd}\u{fffd}\u{fffd}\u{fffd}"),
            ("\u{fe01}\u{e0100}\u{206a}\u{fff0}", "\u{fffd}\u{fffd}\u{fffd}\u{fffd}"),
            (
                "e\u{301}\u{302}\u{303}\u{304}\u{305}\u{20dd}f\u{301}",
                "e\u{301}\u{302}\u{303}\u{304}\u{fffd}\u{fffd}f\u{301}",
            ),
            ("⚠\u{fe0f} ⚠\u{fe0e} e\u{301}", "⚠\u{fe0f} ⚠\u{fe0e} e\u{301}"),
        ] {
            assert_eq!(harmless(text), shown);
        }
    }

    #[test]
    fn a_share_shows_the_digits_that_tell() {
        for (share, text) in [
            (1.0, "100 %"),
            (0.999_884, "99.988 %"),
            (0.999_999_9, ">99.999 %"),
            (0.5, "50 %"),
            (0.987_6, "98.8 %"),
            (0.000_45, "0.045 %"),
            (0.000_001, "<0.001 %"),
            (0.0, "0 %"),
        ] {
            assert_eq!(percent(share), text);
        }
        assert_eq!([0.0, 14.44, 166.7, 2_000.0].map(times), ["0.0", "14.4", "167", "2000"]);
    }

    #[test]
    fn a_word_of_a_shell_stays_one() {
        for (text, word) in [
            ("https://a.example:80/x_y", "https://a.example:80/x_y"),
            ("a b", "'a b'"),
            ("$(id); `id`", "'$(id); `id`'"),
            ("it's", r"'it'\''s'"),
            ("?a=*&b", "'?a=*&b'"),
            ("", "''"),
        ] {
            assert_eq!(shell_word(text), word);
        }
    }
}
