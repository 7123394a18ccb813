//! The handshake and the messages, within limits: the target chooses what it sends, and how much.

use std::fmt::Write as _;
use std::pin::pin;
use std::time::Duration;

use bytes::Bytes;
use futures::future::{Either, select};
use futures::{SinkExt as _, StreamExt as _};
use http::header::SEC_WEBSOCKET_PROTOCOL;
use tokio_tungstenite::tungstenite::handshake::client::Request;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use tokio_tungstenite::tungstenite::protocol::{CloseFrame, Message, WebSocketConfig};
use tokio_tungstenite::{WebSocketStream, client_async_with_config};

use super::trouble;
use crate::domain::exchange::beginning;
use crate::domain::outcome::{Failure, FailureKind, Phases};
use crate::net::stopwatch::{Part, Stopwatch};
use crate::probers::ration::{Ration, Rationed};
use crate::probers::socket::Socket;

/// The most pings and pongs that are read before what is waited for.
const CONTROL_FRAMES_MAX: usize = 1_000;
/// How long the server has to answer our farewell. A server that would log a connection without one gets it; one that does
/// not answer holds nobody up.
const FAREWELL: Duration = Duration::from_millis(500);
/// The size of the reading buffer, in bytes: small, since every probe in flight has one.
const BUFFER_BYTES: usize = 16 * 1024;
/// The code of a close frame without one (RFC 6455, section 7.1.5).
const NO_CODE: u16 = 1005;

/// How far a talk goes.
pub struct Limits {
    /// How many messages are waited for.
    pub receive: u64,
    /// Whether the server is waited for to close.
    pub until_closed: bool,
    /// How many bytes a message may have.
    pub message_bytes_max: usize,
}

/// What was heard, also when the talk ended badly.
#[derive(Default)]
pub struct Talk {
    /// Whether the message was sent that was to be.
    pub is_sent: bool,
    /// The head of the answer to the handshake.
    pub head: String,
    /// The subprotocol that the server chose.
    pub subprotocol: Option<String>,
    /// The last message.
    pub message: Option<Bytes>,
    /// The code and the reason with which the server closed.
    pub closed: Option<(u16, String)>,
    /// How long it took until the farewell, which is no part of what was asked.
    pub phases: Option<Phases>,
}

impl Talk {
    /// As text, for people.
    pub fn told(&self) -> String {
        let mut text = self.head.clone();
        if let Some(message) = &self.message {
            let _ = write!(text, "\n{}", beginning(message));
        }
        if let Some((code, reason)) = &self.closed {
            let _ = write!(text, "\nclosed with {code} {reason}");
        }
        text
    }
}

/// Makes the handshake, sends, and reads what is waited for.
pub async fn talk(
    socket: Socket,
    request: Request,
    send: Option<String>,
    limits: &Limits,
    heard: &mut Talk,
    watch: &mut Stopwatch<'_>,
) -> Result<(), Failure> {
    let config = WebSocketConfig::default()
        .read_buffer_size(BUFFER_BYTES)
        .write_buffer_size(0)
        .max_message_size(Some(limits.message_bytes_max))
        .max_frame_size(Some(limits.message_bytes_max));
    let ration = Ration::default();
    let socket = Rationed::new(socket, ration.clone());
    let shake = async { client_async_with_config(request, socket, Some(config)).await.map_err(trouble::of_handshake) };
    let (mut stream, response) = watch.time(Part::FirstByte, shake).await.inspect_err(|failure| {
        heard.head = failure.actual.clone().unwrap_or_default();
    })?;
    heard.head = format!("HTTP/1.1 {}\n", response.status());
    for (name, value) in response.headers() {
        let _ = writeln!(heard.head, "{name}: {}", String::from_utf8_lossy(value.as_bytes()));
    }
    let chosen = response.headers().get(SEC_WEBSOCKET_PROTOCOL).and_then(|value| value.to_str().ok());
    heard.subprotocol = chosen.map(str::to_owned);

    let exchange = async {
        if let Some(text) = send {
            heard.is_sent = true;
            stream.send(Message::text(text)).await.map_err(|error| trouble::of(&error))?;
        }
        listen(&mut stream, limits, &ration, heard).await
    };
    watch.time(Part::Transfer, exchange).await?;
    heard.phases = Some(watch.phases());
    if heard.closed.is_none() {
        let clock = watch.clock();
        let farewell = pin!(part(&mut stream, heard));
        if let Either::Right(_) =
            select(farewell, clock.sleep_until(watch.deadline().min(clock.monotonic() + FAREWELL))).await
        {
            tracing::debug!("a server did not answer the farewell of a WebSocket");
        }
    }
    Ok(())
}

/// Reads until nothing more is waited for.
async fn listen(
    stream: &mut WebSocketStream<Rationed<Socket>>,
    limits: &Limits,
    ration: &Ration,
    heard: &mut Talk,
) -> Result<(), Failure> {
    let (mut messages, mut control_frames) = (0, 0);
    while messages < limits.receive || limits.until_closed {
        // Parts without end that have nothing in them are no message either.
        ration.begin_body(limits.message_bytes_max as u64);
        let Some(next) = stream.next().await else {
            return Err(Failure::new(FailureKind::ProtocolClosed, "the connection was closed without a farewell"));
        };
        match next.map_err(|error| trouble::of(&error))? {
            Message::Text(text) => {
                heard.message = Some(text.into());
                messages += 1;
            }
            Message::Binary(bytes) => {
                heard.message = Some(bytes);
                messages += 1;
            }
            Message::Close(frame) => {
                let closed = close_of(frame);
                let failure = trouble::of_close(&closed);
                heard.closed = Some(closed);
                return if limits.until_closed { Ok(()) } else { Err(failure) };
            }
            // Pings are answered by whoever reads.
            Message::Ping(_) | Message::Pong(_) | Message::Frame(_) => {
                control_frames += 1;
                if control_frames > CONTROL_FRAMES_MAX {
                    let message = format!("the server sent more than {CONTROL_FRAMES_MAX} pings in place of a message");
                    return Err(Failure::new(FailureKind::ProtocolInvalid, message));
                }
            }
        }
    }
    Ok(())
}

/// Says farewell and waits for the server's.
async fn part(stream: &mut WebSocketStream<Rationed<Socket>>, heard: &mut Talk) {
    let frame = CloseFrame { code: CloseCode::Normal, reason: "".into() };
    if stream.close(Some(frame)).await.is_err() {
        return;
    }
    while let Some(Ok(message)) = stream.next().await {
        if let Message::Close(frame) = message {
            heard.closed = Some(close_of(frame));
            return;
        }
    }
}

fn close_of(frame: Option<CloseFrame>) -> (u16, String) {
    frame.map_or((NO_CODE, String::new()), |frame| (frame.code.into(), frame.reason.as_str().to_owned()))
}
