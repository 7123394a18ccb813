//! What a PostgreSQL server says ("Message Formats" of its documentation), read with bounds: a message that lies about
//! itself is a failure, and never a panic.

use bytes::Bytes;

use crate::domain::outcome::{Failure, FailureKind};
use crate::net::excerpt::excerpt;
use crate::probers::connection::{Connection, invalid, quoted};

/// The messages that a server says to a client that copies nothing and listens to nothing.
const TAGS: &[u8] = b"123ACDEIKNRSTZnstvGHW";
/// Those of them that may be large: rows and what they are like, errors and notices.
const LARGE: &[u8] = b"DENT";
/// No other is larger, in bytes: what says so speaks another protocol.
const SMALL_BYTES_MAX: usize = 8 * 1024;

/// One message.
pub struct Message {
    /// What it is.
    pub tag: u8,
    /// What it holds.
    pub body: Body,
}

impl Message {
    /// The next message; what is told besides (notices, notifications) is passed over.
    pub async fn next(connection: &mut Connection) -> Result<Self, Failure> {
        loop {
            let head = connection.exactly(5).await?;
            let [tag, length @ ..] = head.as_ref() else { return Err(strange(&head)) };
            let length = <[u8; 4]>::try_from(length).map_or(0, u32::from_be_bytes);
            // The length counts itself.
            let rest = length.checked_sub(4).and_then(|rest| usize::try_from(rest).ok());
            let is_likely = |rest: &usize| TAGS.contains(tag) && (*rest <= SMALL_BYTES_MAX || LARGE.contains(tag));
            let Some(rest) = rest.filter(is_likely) else { return Err(strange(&head)) };
            let body = Body(connection.exactly(rest).await?);
            if !matches!(tag, b'N' | b'A') {
                return Ok(Self { tag: *tag, body });
            }
        }
    }
}

fn strange(head: &[u8]) -> Failure {
    invalid(format!("what came is no message of PostgreSQL: {}", quoted(head)))
}

/// What a message holds, taken from its front.
pub struct Body(Bytes);

impl Body {
    /// A body of these bytes.
    #[cfg(test)]
    pub fn of(bytes: &'static [u8]) -> Self {
        Self(Bytes::from_static(bytes))
    }

    /// So many bytes.
    pub fn take(&mut self, count: usize) -> Result<Bytes, Failure> {
        if count > self.0.len() {
            return Err(invalid("a message of the server ends before what it announces"));
        }
        Ok(self.0.split_to(count))
    }

    /// Everything that is left.
    pub fn rest(self) -> Bytes {
        self.0
    }

    fn number<const BYTES: usize>(&mut self) -> Result<[u8; BYTES], Failure> {
        let bytes = self.take(BYTES)?;
        <[u8; BYTES]>::try_from(bytes.as_ref()).map_err(|_| invalid("a number of the server is cut short"))
    }

    /// A byte.
    pub fn byte(&mut self) -> Result<u8, Failure> {
        self.number().map(u8::from_be_bytes)
    }

    /// A number of 16 bits.
    pub fn short(&mut self) -> Result<i16, Failure> {
        self.number().map(i16::from_be_bytes)
    }

    /// A number of 32 bits.
    pub fn long(&mut self) -> Result<i32, Failure> {
        self.number().map(i32::from_be_bytes)
    }

    /// A text that ends with a NUL.
    pub fn text(&mut self) -> Result<String, Failure> {
        let end = self.0.iter().position(|byte| *byte == 0);
        let end = end.ok_or_else(|| invalid("a text of the server has no end"))?;
        let text = self.take(end)?;
        self.take(1)?;
        Ok(String::from_utf8_lossy(&text).into_owned())
    }
}

/// The failure that an `ErrorResponse` tells, with its SQLSTATE.
pub fn refusal(mut body: Body, what: &str) -> Failure {
    let (mut message, mut state) = (String::new(), String::new());
    // What is cut short is told as far as it came.
    while let Ok(field @ 1..) = body.byte() {
        let Ok(text) = body.text() else { break };
        match field {
            b'M' => message = text,
            b'C' => state = text,
            _ => {}
        }
    }
    // Class 28 is "invalid authorization specification", 42501 "insufficient privilege".
    let is_about_us = state.starts_with("28") || state == "42501";
    let kind = if is_about_us { FailureKind::AuthRefused } else { FailureKind::AnswerRefused };
    Failure::new(kind, format!("the server refused {what}: {} (SQLSTATE {})", excerpt(&message), excerpt(&state)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn notices_are_passed_over_and_what_is_no_message_is_named() {
        let said = b"N\0\0\0\x06x\0Z\0\0\0\x05I";
        let message = Message::next(&mut Connection::saying(said, 1024)).await.unwrap();
        assert_eq!((message.tag, message.body.rest().as_ref()), (b'Z', b"I".as_slice()));
        for (said, kind) in [
            (b"HTTP/1.1 400".as_slice(), FailureKind::ProtocolInvalid),
            (b"SSH-2.0-x", FailureKind::ProtocolInvalid),
            (b"220 mail", FailureKind::ProtocolInvalid),
            (b"Z\0\0\0\x03", FailureKind::ProtocolInvalid),
            (b"D\xff\xff\xff\xff", FailureKind::BodyTooLarge),
            (b"Z\0\0\0\x05", FailureKind::ProtocolClosed),
        ] {
            let failure = Message::next(&mut Connection::saying(said, 1024)).await.err().unwrap();
            assert_eq!(failure.kind, kind, "{failure}");
        }
    }

    #[test]
    fn a_refusal_is_told_with_its_state() {
        for (body, told) in [
            (
                b"SFATAL\0C28P01\0Mpassword authentication failed\0\0".as_slice(),
                "auth.refused: the server refused the query: password authentication failed (SQLSTATE 28P01)",
            ),
            (
                b"SERROR\0C42P01\0Mno such relation\0\0",
                "answer.refused: the server refused the query: no such relation (SQLSTATE 42P01)",
            ),
            (b"C57P03\0Mcut", "answer.refused: the server refused the query:  (SQLSTATE 57P03)"),
        ] {
            assert_eq!(refusal(Body::of(body), "the query").to_string(), told);
        }
    }
}
