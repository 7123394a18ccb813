//! One request and its answer, over one connection.

use std::error::Error as _;
use std::io;
use std::pin::pin;
use std::sync::Arc;

use bytes::Bytes;
use http::HeaderMap;
use http::header::{CONTENT_LENGTH, TRANSFER_ENCODING};
use http::response::Parts;
use http_body_util::Full;

use super::body::{Arrived, BodyError, read};
use super::connection::Connection;
use super::wire::{HeadsTooLarge, Marks};
use crate::domain::outcome::{Failure, FailureKind};
use crate::net::stopwatch::{Part, Stopwatch};
use crate::net::tls_failure;
use crate::ports::Clock;
use crate::probers::ration::Exceeded;

/// An answer, whole.
pub struct Answer {
    /// Status and headers.
    pub head: Arc<Parts>,
    /// The body, unpacked.
    pub body: Bytes,
    /// How many bytes the body had on the wire.
    pub wire_bytes: u64,
}

/// What has come of an answer, whole or not.
#[derive(Default)]
pub struct Seen {
    /// Status and headers.
    pub head: Option<Arc<Parts>>,
    /// The body.
    pub body: Arrived,
}

/// Sends a request and reads the answer to its end. A part of an answer is a failure; what came of it is in `seen`.
pub async fn exchange(
    connection: &mut Connection,
    request: http::Request<Full<Bytes>>,
    body_bytes_max: u64,
    clock: &dyn Clock,
    watch: &mut Stopwatch<'_>,
    seen: &mut Seen,
) -> Result<Answer, Failure> {
    let is_http2 = connection.is_http2();
    let Connection { sender, driver, log, ration, .. } = connection;
    let end = driver.end();
    let part = || if log.marks().has_begun() { Part::Transfer } else { Part::FirstByte };
    let work = async {
        let told = |error: hyper::Error| failure_of(&end.behind(error), log.marks(), is_http2);
        driver.catch_up().await;
        let ready = driver.with(sender.ready()).await;
        // What came while nothing was asked (a farewell, e.g. a 408) is no answer to this request.
        log.begin(is_http2);
        ration.begin();
        ready.map_err(told)?;
        let response = driver.with(pin!(sender.send(request))).await.map_err(told)?;
        log.head_is_over();
        ration.begin_body(body_bytes_max);
        if log.marks().bare_line_feed {
            return Err(invalid("a line of its head ends without a carriage return", is_http2));
        }
        let (head, body) = response.into_parts();
        let head = Arc::new(head);
        seen.head = Some(Arc::clone(&head));
        // RFC 9112, section 6.3: two lengths are an attempt to smuggle.
        if head.headers.contains_key(TRANSFER_ENCODING) && head.headers.contains_key(CONTENT_LENGTH) {
            return Err(invalid("it has both a Content-Length and a Transfer-Encoding", is_http2));
        }
        if !is_chunked_at_most(&head.headers) {
            return Err(invalid(
                "its Transfer-Encoding is more than `chunked`, which is all that was asked for",
                is_http2,
            ));
        }
        let body = read(driver, &head.headers, body, body_bytes_max, &mut seen.body).await;
        body.map_err(|error| match error {
            BodyError::TooLarge => too_large(body_bytes_max),
            BodyError::Broken(error) => told(error),
            BodyError::Packed(why) => Failure::new(FailureKind::BodyDecode, why),
        })?;
        Ok(head)
    };
    let result = watch.bound(part, pin!(work)).await;
    let ended = clock.monotonic();
    // Before its answer an HTTP/2 server says much that is none.
    let marks = log.marks();
    if let Some(first) = marks.first.filter(|_| marks.has_begun()) {
        watch.measured(Part::FirstByte, first.took, first.error);
        watch.add(Part::Transfer, ended.since(first.at));
    }
    let head = result?;
    let body = std::mem::take(&mut seen.body.bytes).freeze();
    Ok(Answer { head, body, wire_bytes: seen.body.wire_bytes })
}

/// Whether an answer is sent in chunks or as it is: RFC 9112, section 7.4, allows no other coding that was not asked for, and
/// behind one that nobody knows it is not known where the body ends. `identity` is what RFC 2616 called neither.
fn is_chunked_at_most(headers: &HeaderMap) -> bool {
    let codings =
        headers.get_all(TRANSFER_ENCODING).into_iter().flat_map(|value| value.as_bytes().split(|b| *b == b','));
    let mut codings = codings.map(<[u8]>::trim_ascii).filter(|coding| !coding.is_empty());
    let is_known =
        |coding: &[u8]| [&b"chunked"[..], b"identity"].iter().any(|known| coding.eq_ignore_ascii_case(known));
    codings.next().is_none_or(is_known) && codings.next().is_none()
}

fn too_large(bytes_max: u64) -> Failure {
    let limit = match (bytes_max % (1024 * 1024), bytes_max % 1024) {
        (0, _) => format!("{} MiB", bytes_max / 1024 / 1024),
        (_, 0) => format!("{} KiB", bytes_max / 1024),
        _ => format!("{bytes_max} bytes"),
    };
    Failure::new(FailureKind::BodyTooLarge, format!("the body is larger than {limit}"))
}

fn invalid(why: impl std::fmt::Display, is_http2: bool) -> Failure {
    let version = if is_http2 { "HTTP/2" } else { "HTTP/1.1" };
    Failure::new(FailureKind::ProtocolInvalid, format!("the answer is not valid {version}: {why}"))
}

fn head_too_large() -> Failure {
    Failure::new(FailureKind::ProtocolHeaderTooLarge, "the head of the answer is too large")
}

fn closed(how: &str, marks: Marks) -> Failure {
    let when = if marks.has_begun() { "before the answer was whole" } else { "without an answer" };
    Failure::new(FailureKind::ProtocolClosed, format!("the connection was {how} {when}"))
}

fn failure_of(error: &hyper::Error, marks: Marks, is_http2: bool) -> Failure {
    if error.is_parse_too_large() {
        return head_too_large();
    }
    let mut source = error.source();
    while let Some(cause) = source {
        if let Some(cause) = cause.downcast_ref::<io::Error>() {
            return of_io(cause, marks, is_http2);
        }
        if let Some(cause) = cause.downcast_ref::<h2::Error>() {
            return of_http2(cause, marks);
        }
        source = cause.source();
    }
    if error.is_incomplete_message() || error.is_canceled() || error.is_closed() {
        return closed("closed", marks);
    }
    invalid(error, is_http2)
}

fn of_io(error: &io::Error, marks: Marks, is_http2: bool) -> Failure {
    if let Some(failure) = tls_failure::of_stream(error) {
        return failure;
    }
    if Exceeded::is_cause_of(error) {
        return invalid(Exceeded, is_http2);
    }
    if error.get_ref().and_then(|inner| inner.downcast_ref::<HeadsTooLarge>()).is_some() {
        return head_too_large();
    }
    match error.kind() {
        io::ErrorKind::ConnectionReset | io::ErrorKind::ConnectionAborted | io::ErrorKind::BrokenPipe => {
            closed("reset", marks)
        }
        io::ErrorKind::UnexpectedEof => closed("closed", marks),
        _ => invalid(error, is_http2),
    }
}

fn of_http2(error: &h2::Error, marks: Marks) -> Failure {
    if let Some(error) = error.get_io() {
        return of_io(error, marks, true);
    }
    let Some(reason) = error.reason() else { return invalid(error, true) };
    if error.is_remote() {
        let what = if error.is_go_away() { "connection" } else { "request" };
        let message = format!("the server ended the {what}: {} ({reason:?})", reason.description());
        return Failure::new(FailureKind::ProtocolClosed, message);
    }
    // What h2 says of a head that goes on and on.
    if reason == h2::Reason::ENHANCE_YOUR_CALM && !marks.has_begun() { head_too_large() } else { invalid(error, true) }
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
