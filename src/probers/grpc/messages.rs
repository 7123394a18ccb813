//! The two messages of the health service (`grpc/health/v1/health.proto`), and the five bytes before each in gRPC.

use bytes::{BufMut as _, Bytes, BytesMut};
use prost::Message;

use crate::domain::outcome::{Failure, FailureKind};

/// The length of what stands before a message: whether it is compressed, and its length.
const PREFIX_BYTES: usize = 5;

/// What is asked.
#[derive(Clone, PartialEq, Message)]
pub struct HealthCheckRequest {
    /// The service; empty for the server as a whole.
    #[prost(string, tag = "1")]
    pub service: String,
}

/// What is answered.
#[derive(Clone, PartialEq, Message)]
pub struct HealthCheckResponse {
    /// One of [`SERVING`] by its number.
    #[prost(int32, tag = "1")]
    pub status: i32,
}

/// The words of `ServingStatus`, by number.
const SERVING: [&str; 4] = ["UNKNOWN", "SERVING", "NOT_SERVING", "SERVICE_UNKNOWN"];

impl HealthCheckResponse {
    /// The word of the status; the number where there is none.
    pub fn serving(&self) -> String {
        let word = usize::try_from(self.status).ok().and_then(|number| SERVING.get(number));
        word.map_or_else(|| self.status.to_string(), |word| (*word).to_owned())
    }
}

/// A message as it is sent.
pub fn framed(message: &impl Message) -> Bytes {
    let encoded = message.encode_to_vec();
    let mut bytes = BytesMut::with_capacity(PREFIX_BYTES + encoded.len());
    bytes.put_u8(0);
    bytes.put_u32(u32::try_from(encoded.len()).unwrap_or(u32::MAX));
    bytes.put_slice(&encoded);
    bytes.freeze()
}

/// The one message of an answer.
pub fn unframed(body: &[u8]) -> Result<HealthCheckResponse, Failure> {
    let invalid =
        |what: &str| Failure::new(FailureKind::ProtocolInvalid, format!("the answer is not valid gRPC: {what}"));
    let (prefix, message) = body.split_first_chunk::<PREFIX_BYTES>().ok_or_else(|| invalid("it has no message"))?;
    let [compressed, length @ ..] = *prefix;
    if compressed != 0 {
        return Err(invalid("it is compressed, which was not offered"));
    }
    if usize::try_from(u32::from_be_bytes(length)) != Ok(message.len()) {
        return Err(invalid("its length is not what it says"));
    }
    HealthCheckResponse::decode(message).map_err(|_| invalid("its message is not of the health service"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_is_as_the_protocol_has_it() {
        let request = HealthCheckRequest { service: "shop".to_owned() };
        assert_eq!(framed(&request), b"\0\0\0\0\x06\x0a\x04shop".as_slice());
        assert_eq!(framed(&HealthCheckRequest::default()), b"\0\0\0\0\0".as_slice());
    }

    #[test]
    fn answers_have_their_words() {
        for (body, word) in [
            (&b"\0\0\0\0\x02\x08\x01"[..], "SERVING"),
            (b"\0\0\0\0\x02\x08\x02", "NOT_SERVING"),
            (b"\0\0\0\0\0", "UNKNOWN"),
            (b"\0\0\0\0\x02\x08\x09", "9"),
        ] {
            assert_eq!(unframed(body).unwrap().serving(), word);
        }
    }

    #[test]
    fn what_is_no_answer_is_refused() {
        for (body, why) in [
            (&b""[..], "it has no message"),
            (b"\x01\0\0\0\x02\x08\x01", "compressed"),
            (b"\0\0\0\0\x03\x08\x01", "its length is not what it says"),
            (b"\0\xff\xff\xff\xff\x08\x01", "its length is not what it says"),
            (b"\0\0\0\0\x02\x0a\x7f", "not of the health service"),
        ] {
            let failure = unframed(body).unwrap_err();
            assert!(failure.message.contains(why), "{failure}");
        }
    }
}
