//! One request and its answer, over one connection.

use std::error::Error as _;
use std::io;

use bytes::{Bytes, BytesMut};
use http::header::{CONTENT_LENGTH, TRANSFER_ENCODING};
use http::response::Parts;
use http_body_util::{BodyExt as _, Full};
use hyper::body::{Body as _, Incoming};

use super::connection::{Connection, Driver};
use super::wire::Marks;
use crate::domain::outcome::{Failure, FailureKind};
use crate::net::stopwatch::{Part, Stopwatch};
use crate::net::tls_failure;
use crate::ports::Clock;

/// An answer, whole.
pub struct Answer {
    /// Status and headers.
    pub head: Parts,
    /// The body.
    pub body: Bytes,
}

/// Sends a request and reads the answer to its end. A part of an answer is a failure.
pub async fn exchange(
    connection: &mut Connection,
    request: http::Request<Full<Bytes>>,
    body_bytes_max: u64,
    clock: &dyn Clock,
    watch: &mut Stopwatch<'_>,
) -> Result<Answer, Failure> {
    let Connection { sender, driver, log, .. } = connection;
    let part = || if log.marks().first.is_some() { Part::Transfer } else { Part::FirstByte };
    let work = async {
        let told = |error: hyper::Error| failure_of(&error, log.marks());
        let ready = driver.with(sender.ready()).await;
        // What came while nothing was asked (a farewell, e.g. a 408) is no answer to this request.
        log.begin();
        ready.map_err(told)?;
        let response = driver.with(sender.send_request(request)).await.map_err(told)?;
        if log.marks().bare_line_feed {
            return Err(invalid("a line of its head ends without a carriage return"));
        }
        let (head, body) = response.into_parts();
        // RFC 9112, section 6.3: two lengths are an attempt to smuggle.
        if head.headers.contains_key(TRANSFER_ENCODING) && head.headers.contains_key(CONTENT_LENGTH) {
            return Err(invalid("it has both a Content-Length and a Transfer-Encoding"));
        }
        let body = read(driver, body, body_bytes_max).await.map_err(|error| match error {
            BodyError::TooLarge => too_large(body_bytes_max),
            BodyError::Broken(error) => told(error),
        })?;
        Ok(Answer { head, body })
    };
    let answer = watch.bound(part, work).await?;
    let ended = clock.monotonic();
    if let Some(first) = log.marks().first {
        watch.measured(Part::FirstByte, first.took, first.error);
        watch.add(Part::Transfer, ended.since(first.at));
    }
    Ok(answer)
}

enum BodyError {
    TooLarge,
    Broken(hyper::Error),
}

async fn read(driver: &mut Driver, mut body: Incoming, bytes_max: u64) -> Result<Bytes, BodyError> {
    // What announces itself as too large is not read at all.
    if body.size_hint().lower() > bytes_max {
        return Err(BodyError::TooLarge);
    }
    let mut all = BytesMut::new();
    while let Some(frame) = driver.with(body.frame()).await {
        let frame = frame.map_err(BodyError::Broken)?;
        // Trailers say nothing that is asserted.
        let Ok(data) = frame.into_data() else { continue };
        if (all.len() + data.len()) as u64 > bytes_max {
            return Err(BodyError::TooLarge);
        }
        all.extend_from_slice(&data);
    }
    Ok(all.freeze())
}

fn too_large(bytes_max: u64) -> Failure {
    let limit = match (bytes_max % (1024 * 1024), bytes_max % 1024) {
        (0, _) => format!("{} MiB", bytes_max / 1024 / 1024),
        (_, 0) => format!("{} KiB", bytes_max / 1024),
        _ => format!("{bytes_max} bytes"),
    };
    Failure::new(FailureKind::BodyTooLarge, format!("the body is larger than {limit}"))
}

fn invalid(why: impl std::fmt::Display) -> Failure {
    Failure::new(FailureKind::ProtocolInvalid, format!("the answer is not valid HTTP/1.1: {why}"))
}

fn failure_of(error: &hyper::Error, marks: Marks) -> Failure {
    let closed = |how: &str| {
        let when = if marks.first.is_some() { "before the answer was whole" } else { "without an answer" };
        Failure::new(FailureKind::ProtocolClosed, format!("the connection was {how} {when}"))
    };
    if error.is_parse_too_large() {
        return Failure::new(FailureKind::ProtocolHeaderTooLarge, "the head of the answer is too large");
    }
    if error.is_incomplete_message() || error.is_canceled() || error.is_closed() {
        return closed("closed");
    }
    let mut source = error.source();
    while let Some(cause) = source {
        if let Some(cause) = cause.downcast_ref::<io::Error>() {
            if let Some(failure) = tls_failure::of_stream(cause) {
                return failure;
            }
            return match cause.kind() {
                io::ErrorKind::ConnectionReset | io::ErrorKind::ConnectionAborted | io::ErrorKind::BrokenPipe => {
                    closed("reset")
                }
                io::ErrorKind::UnexpectedEof => closed("closed"),
                _ => invalid(cause),
            };
        }
        source = cause.source();
    }
    invalid(error)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_are_told_in_their_own_units() {
        for (limit, told) in [(1_048_576, "1 MiB"), (2_048, "2 KiB"), (1_000, "1000 bytes")] {
            assert_eq!(too_large(limit).message, format!("the body is larger than {told}"));
        }
    }
}
