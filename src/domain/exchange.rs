//! What went to a target and what came back, for people who look for a cause. Nothing here decides anything.

use serde::{Deserialize, Serialize};

use super::outcome::Phases;

/// One request and its answer, or whatever a kind has in their place, as text that was cut to a size for reading.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Exchange {
    /// The address that was spoken to, with its port.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub remote: Option<String>,
    /// What was sent: head and body for HTTP, the command or the question for others.
    pub sent: String,
    /// What came; what came until then when the exchange was cut short.
    pub received: String,
    /// The certificates that the target showed, its own first: one line each.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub certificates: Vec<String>,
    /// A command for a shell that repeats it, where there is one (curl, dig, redis-cli).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub command: Option<String>,
    /// How long its parts took.
    pub phases: Phases,
}

/// At most this many bytes of a body or an answer stand in an exchange.
pub const TEXT_BYTES_MAX: usize = 2_048;

/// The beginning of what was exchanged, as text; what was left out is counted.
pub fn beginning(bytes: &[u8]) -> String {
    let shown = bytes.get(..TEXT_BYTES_MAX).unwrap_or(bytes);
    let text = String::from_utf8_lossy(shown);
    match bytes.len() - shown.len() {
        0 => text.into_owned(),
        // The cut may have gone through a character.
        more => format!("{}… ({more} bytes more)", text.trim_end_matches('\u{fffd}')),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_text_is_cut_and_counted() {
        assert_eq!(beginning("ü".as_bytes()), "ü");
        assert_eq!(beginning(&[b'a', 0xff]), "a\u{fffd}");
        let cut = beginning(format!("a{}", "ü".repeat(TEXT_BYTES_MAX)).as_bytes());
        assert!(cut.ends_with("ü… (2049 bytes more)"), "{cut}");
    }
}
