//! Text of a target within a message: as short as a line, whatever was sent.

use std::borrow::Cow;

/// A message shows this many characters of what a target sent.
const CHARACTERS_MAX: usize = 200;

/// The beginning of a text, with `…` where it goes on. Control characters are left to whoever shows the message.
pub fn excerpt(text: &str) -> Cow<'_, str> {
    match text.char_indices().nth(CHARACTERS_MAX) {
        None => Cow::Borrowed(text),
        Some((end, _)) => Cow::Owned(format!("{}…", &text[..end])),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_text_is_cut_between_characters() {
        assert_eq!(excerpt("short"), "short");
        let cut = excerpt(&"ü".repeat(201)).into_owned();
        assert_eq!(cut, format!("{}…", "ü".repeat(200)));
    }
}
