//! A badge: a title, how it stands, and how available it was, as a small picture of its own.

use maud::{Markup, html};

use super::marks::Tone;

/// How high a badge is, and what stands around a text, in pixels.
const HEIGHT: u32 = 20;
const AROUND: u32 = 8;

/// The ground below the title; white is read on it and on all others with 4.5:1.
const GROUND: &str = "#3a4047";

fn ground(tone: Tone) -> &'static str {
    match tone {
        Tone::Well => "#187a52",
        Tone::Warn => "#9a5900",
        Tone::Bad => "#c2332b",
        Tone::Unknown => "#656d79",
    }
}

/// About how wide a letter is at 11 pixels, in tenths of one. The text is then set to that width, whatever the font.
fn width_of(letter: char) -> u32 {
    match letter {
        'i' | 'j' | 'l' | 'I' | '.' | ',' | ':' | ';' | '\'' | '|' | '!' => 33,
        ' ' | 'f' | 't' | 'r' | '(' | ')' | '-' | '·' => 42,
        'm' | 'w' | 'M' | 'W' | '@' | '%' => 102,
        'A'..='Z' => 77,
        letter if letter.is_ascii() => 68,
        _ => 110,
    }
}

fn width(text: &str) -> u32 {
    text.chars().map(width_of).sum::<u32>().div_ceil(10)
}

/// The picture.
pub fn badge(title: &str, word: &str, tone: Tone, available: Option<&str>) -> Markup {
    let right = available.map_or_else(|| word.to_owned(), |available| format!("{word} · {available}"));
    let said = match available {
        Some(available) => format!("{title}: {word}, {available} in 30 days"),
        None => format!("{title}: {word}"),
    };
    let (left, wide) = (width(title) + 2 * AROUND, width(&right) + 2 * AROUND);
    let text = |from: u32, text: &str| {
        html! { text x=(from + AROUND) y="14" textLength=(width(text)) lengthAdjust="spacingAndGlyphs" { (text) } }
    };
    html! {
        svg xmlns="http://www.w3.org/2000/svg" width=(left + wide) height=(HEIGHT) role="img" aria-label=(said) {
            title { (said) }
            rect width=(left + wide) height=(HEIGHT) rx="3" fill=(ground(tone)) {}
            path d={ "M3 0h" (left - 3) "v" (HEIGHT) "H3a3 3 0 0 1-3-3V3a3 3 0 0 1 3-3z" } fill=(GROUND) {}
            g fill="#fff" font-family="Verdana,DejaVu Sans,sans-serif" font-size="11" {
                (text(0, title))
                (text(left, &right))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_badge_is_a_picture_that_says_what_it_shows() {
        insta::assert_snapshot!(badge("Checkout", "passed", Tone::Well, Some("99.93 %")).0.replace("><", ">\n<"));
        let hostile = badge("<script>alert(1)</script>\" onload=\"x", "failed", Tone::Bad, None).0;
        assert!(!hostile.contains("<script") && hostile.contains("&quot; onload"), "{hostile}");
    }
}
