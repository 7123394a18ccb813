//! The marks of verdicts: a glyph, a word and an accent, never the accent alone.

use maud::{Markup, html};

/// The accent of a page or a mark; each has a colour in the style sheet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tone {
    /// Passed, resolved.
    Well,
    /// Degraded, overdue.
    Warn,
    /// Failed, open.
    Bad,
    /// Nothing is known.
    Unknown,
}

impl Tone {
    /// The class in the style sheet.
    pub fn class(self) -> &'static str {
        match self {
            Self::Well => "ok",
            Self::Warn => "warn",
            Self::Bad => "bad",
            Self::Unknown => "unk",
        }
    }

    /// The accent of a verdict's word.
    pub fn of_verdict(word: &str) -> Self {
        match word {
            "passed" => Self::Well,
            "degraded" => Self::Warn,
            "failed" => Self::Bad,
            _ => Self::Unknown,
        }
    }
}

/// The glyph: ● ▲ ✕ ◌, drawn, so that it looks the same with every font.
pub fn glyph(tone: Tone) -> Markup {
    html! {
        svg .glyph .(tone.class()) width="12" height="12" viewBox="0 0 12 12" aria-hidden="true" {
            @match tone {
                Tone::Well => { circle cx="6" cy="6" r="5" {} }
                Tone::Warn => { path d="M6 .8 11.6 11H.4z" {} }
                Tone::Bad => { path .stroke d="M2 2l8 8M10 2l-8 8" {} }
                Tone::Unknown => { circle .dots cx="6" cy="6" r="4.6" {} }
            }
        }
    }
}

/// Glyph and word.
pub fn mark(tone: Tone, word: &str) -> Markup {
    html! { span .v .(tone.class()) { (glyph(tone)) (word) } }
}
