//! One call over HTTP/2, on a connection of its own that is driven by whoever waits: nothing outlives the step. The server
//! chooses how many frames it sends, so header lists, windows, the body and all of it together have limits.

use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};

use bytes::{Bytes, BytesMut};
use h2::RecvStream;
use h2::client::{Builder, Connection};
use http::header::CONTENT_TYPE;
use http::{Request, Response, StatusCode};

use super::messages::unframed;
use super::status::Status;
use crate::domain::outcome::{Failure, FailureKind};
use crate::net::excerpt::excerpt;
use crate::net::stopwatch::{Part, Stopwatch};
use crate::net::tls_failure;
use crate::probers::ration::{Exceeded, Ration, Rationed};
use crate::probers::socket::Socket;

/// The largest header list that is read, in bytes.
const HEADERS_BYTES_MAX: u32 = 16 * 1024;
/// The largest answer that is read, in bytes; a health service needs seven. No more is let on its way.
const BODY_BYTES_MAX: u32 = 64 * 1024;

/// What came of a call.
pub struct Answer {
    /// How the call went.
    pub status: Status,
    /// What the service says, when the call went well.
    pub serving: Option<String>,
}

/// Makes the call.
pub async fn call(
    socket: Socket,
    request: Request<()>,
    body: Bytes,
    watch: &mut Stopwatch<'_>,
) -> Result<Answer, Failure> {
    let (mut driver, ration) = (Driver(None), Ration::default());
    let head = async {
        let connected = Builder::new()
            .enable_push(false)
            .initial_window_size(BODY_BYTES_MAX)
            .initial_connection_window_size(BODY_BYTES_MAX)
            .max_header_list_size(HEADERS_BYTES_MAX)
            .handshake(Rationed::new(socket, ration.clone()))
            .await;
        let (sender, connection) = connected.map_err(|error| failure_of(&error))?;
        driver.0 = Some(connection);
        let mut sender = driver.with(sender.ready()).await.map_err(|error| failure_of(&error))?;
        let (answer, mut stream) = sender.send_request(request, false).map_err(|error| failure_of(&error))?;
        stream.send_data(body, true).map_err(|error| failure_of(&error))?;
        driver.with(answer).await.map_err(|error| failure_of(&error))
    };
    let response = watch.time(Part::FirstByte, head).await?;
    ration.begin_body(BODY_BYTES_MAX.into());
    watch.time(Part::Transfer, read(response, &mut driver)).await
}

/// Reads the answer and the status behind it.
async fn read(response: Response<RecvStream>, driver: &mut Driver) -> Result<Answer, Failure> {
    let (head, mut body) = response.into_parts();
    if head.status != StatusCode::OK {
        return Err(invalid(&format!("it is HTTP {}", head.status)));
    }
    let content_type = head.headers.get(CONTENT_TYPE).map(|value| String::from_utf8_lossy(value.as_bytes()));
    let content_type = content_type.unwrap_or_default();
    if !content_type.starts_with("application/grpc") {
        return Err(invalid(&format!("its Content-Type is `{}`", excerpt(&content_type))));
    }
    // A call that went wrong at once has its status in the place of an answer.
    if let Some(status) = Status::read(&head.headers)? {
        return Ok(Answer { status, serving: None });
    }
    let mut message = BytesMut::new();
    while let Some(data) = driver.with(body.data()).await {
        let data = data.map_err(|error| failure_of(&error))?;
        message.extend_from_slice(&data);
        if message.len() > BODY_BYTES_MAX as usize {
            let told = format!("the answer is larger than {} KiB", BODY_BYTES_MAX / 1024);
            return Err(Failure::new(FailureKind::BodyTooLarge, told));
        }
        body.flow_control().release_capacity(data.len()).map_err(|error| failure_of(&error))?;
    }
    let trailers = driver.with(body.trailers()).await.map_err(|error| failure_of(&error))?;
    let status = Status::read(&trailers.unwrap_or_default())?;
    let status = status.ok_or_else(|| invalid("it ends without a grpc-status"))?;
    let serving = if status.is_ok() { Some(unframed(&message)?.serving()) } else { None };
    Ok(Answer { status, serving })
}

/// Moves the bytes of a connection while somebody waits for them.
struct Driver(Option<Connection<Rationed<Socket>, Bytes>>);

impl Driver {
    async fn with<T>(&mut self, work: impl Future<Output = T>) -> T {
        let mut work = pin!(work);
        poll_fn(|cx| {
            let has_ended = self.0.as_mut().is_some_and(|connection| Pin::new(connection).poll(cx).is_ready());
            if has_ended {
                // What it ended with, whoever waits for the answer is told.
                self.0 = None;
            }
            work.as_mut().poll(cx)
        })
        .await
    }
}

fn invalid(what: &str) -> Failure {
    Failure::new(FailureKind::ProtocolInvalid, format!("the answer is not valid gRPC: {what}"))
}

fn failure_of(error: &h2::Error) -> Failure {
    if let Some(io) = error.get_io() {
        if Exceeded::is_cause_of(io) {
            return invalid(&Exceeded.to_string());
        }
        return tls_failure::of_stream(io).unwrap_or_else(|| {
            Failure::new(FailureKind::ProtocolClosed, "the connection was closed without an answer")
        });
    }
    let reason = error.reason().map_or_else(|| error.to_string(), |reason| reason.description().to_owned());
    if error.is_remote() {
        let what = if error.is_reset() { "reset the call" } else { "ended the connection" };
        return Failure::new(FailureKind::ProtocolClosed, format!("the server {what}: {reason}"));
    }
    Failure::new(FailureKind::ProtocolInvalid, format!("what came is not valid HTTP/2: {reason}"))
}
