//! The status of a gRPC call, which stands behind its answer, or in place of one.

use http::HeaderMap;
use percent_encoding::percent_decode;

use crate::domain::outcome::{Failure, FailureKind};

/// At most this many characters of a status message are kept.
const MESSAGE_CHARS_MAX: usize = 4_096;

/// The words of the codes, by number ("Status codes and their use in gRPC").
const WORDS: [&str; 17] = [
    "OK",
    "CANCELLED",
    "UNKNOWN",
    "INVALID_ARGUMENT",
    "DEADLINE_EXCEEDED",
    "NOT_FOUND",
    "ALREADY_EXISTS",
    "PERMISSION_DENIED",
    "RESOURCE_EXHAUSTED",
    "FAILED_PRECONDITION",
    "ABORTED",
    "OUT_OF_RANGE",
    "UNIMPLEMENTED",
    "INTERNAL",
    "UNAVAILABLE",
    "DATA_LOSS",
    "UNAUTHENTICATED",
];

/// The status of a call.
#[derive(Debug, PartialEq, Eq)]
pub struct Status {
    /// Its word; the number where there is none.
    pub word: String,
    /// What the server says about it.
    pub message: String,
}

impl Status {
    /// Reads the headers that have it; none when they do not.
    pub fn read(headers: &HeaderMap) -> Result<Option<Self>, Failure> {
        let Some(code) = headers.get("grpc-status") else { return Ok(None) };
        let number = code.to_str().ok().and_then(|text| text.parse::<u32>().ok());
        let number = number.ok_or_else(|| {
            Failure::new(FailureKind::ProtocolInvalid, "the answer is not valid gRPC: its grpc-status is no number")
        })?;
        let word = usize::try_from(number).ok().and_then(|number| WORDS.get(number));
        let word = word.map_or_else(|| number.to_string(), |word| (*word).to_owned());
        let message = headers.get("grpc-message").map(|value| percent_decode(value.as_bytes()).decode_utf8_lossy());
        let message = message.unwrap_or_default().chars().take(MESSAGE_CHARS_MAX).collect();
        Ok(Some(Self { word, message }))
    }

    /// Whether the call went well.
    pub fn is_ok(&self) -> bool {
        self.word == WORDS[0]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(code: &'static str, message: &'static str) -> Result<Option<Status>, Failure> {
        let mut headers = HeaderMap::new();
        headers.insert("grpc-status", code.parse().unwrap());
        headers.insert("grpc-message", message.parse().unwrap());
        Status::read(&headers)
    }

    #[test]
    fn codes_have_their_words_and_messages_are_decoded() {
        for (code, message, word, told) in [
            ("0", "", "OK", ""),
            ("5", "no%20such%20service", "NOT_FOUND", "no such service"),
            ("16", "%E2%9C%95", "UNAUTHENTICATED", "✕"),
            ("99", "%zz", "99", "%zz"),
        ] {
            let status = Status { word: word.to_owned(), message: told.to_owned() };
            assert_eq!(read(code, message).unwrap(), Some(status), "{code}");
        }
        assert_eq!(Status::read(&HeaderMap::new()).unwrap(), None);
        assert_eq!(read("good", "").unwrap_err().kind, FailureKind::ProtocolInvalid);
    }
}
