//! What goes wrong with a WebSocket, in words.

use std::io;

use tokio_tungstenite::tungstenite::Error;
use tokio_tungstenite::tungstenite::error::{CapacityError, ProtocolError, SubProtocolError};

use crate::domain::outcome::{Failure, FailureKind};
use crate::net::excerpt::excerpt;
use crate::net::tls_failure;
use crate::probers::ration::Exceeded;

/// What a handshake failed of.
pub fn of_handshake(error: Error) -> Failure {
    match error {
        Error::Http(answer) => {
            let status = answer.status();
            let failure =
                Failure::new(FailureKind::WebSocketRefused, format!("the handshake was answered with {status}"));
            failure.with("101 Switching Protocols", status.to_string())
        }
        Error::Protocol(ProtocolError::HandshakeIncomplete) => {
            Failure::new(FailureKind::ProtocolClosed, "the connection was closed in the WebSocket's handshake")
        }
        Error::Protocol(ProtocolError::SecWebSocketSubProtocolError(SubProtocolError::NoSubProtocol)) => {
            Failure::new(FailureKind::WebSocketRefused, "the server takes none of the subprotocols")
        }
        other => of(&other),
    }
}

/// What an open WebSocket failed of.
pub fn of(error: &Error) -> Failure {
    let (kind, message) = match error {
        Error::Io(error) => return of_io(error),
        Error::Capacity(CapacityError::MessageTooLong { max_size, .. }) => {
            (FailureKind::BodyTooLarge, format!("a message is larger than {max_size} bytes"))
        }
        Error::Capacity(CapacityError::TooManyHeaders) => {
            (FailureKind::ProtocolHeaderTooLarge, "the answer to the handshake has too many headers".to_owned())
        }
        Error::AttackAttempt => (
            FailureKind::ProtocolHeaderTooLarge,
            "the answer to the handshake is too large, or comes in too many pieces".to_owned(),
        ),
        Error::ConnectionClosed
        | Error::AlreadyClosed
        | Error::Protocol(ProtocolError::ResetWithoutClosingHandshake) => {
            (FailureKind::ProtocolClosed, "the connection was closed without a farewell".to_owned())
        }
        Error::Utf8(_) => (FailureKind::ProtocolInvalid, "a text message is not UTF-8".to_owned()),
        other => (FailureKind::ProtocolInvalid, format!("what came is not valid WebSocket: {other}")),
    };
    Failure::new(kind, message)
}

fn of_io(error: &io::Error) -> Failure {
    if let Some(failure) = tls_failure::of_stream(error) {
        return failure;
    }
    if Exceeded::is_cause_of(error) {
        return Failure::new(FailureKind::ProtocolInvalid, format!("what came is not valid WebSocket: {Exceeded}"));
    }
    let how = if error.kind() == io::ErrorKind::UnexpectedEof { "closed" } else { "reset" };
    Failure::new(FailureKind::ProtocolClosed, format!("the connection was {how} without a farewell"))
}

/// The server closed before what was waited for.
pub fn of_close((code, reason): &(u16, String)) -> Failure {
    let why = if reason.is_empty() { String::new() } else { format!(": {}", excerpt(reason)) };
    let meaning = meaning(*code).map(|words| format!(" ({words})")).unwrap_or_default();
    Failure::new(FailureKind::WebSocketClosed, format!("the server closed with {code}{meaning}{why}"))
}

/// What a close code means (IANA, "WebSocket Close Code Number Registry").
fn meaning(code: u16) -> Option<&'static str> {
    Some(match code {
        1000 => "normal closure",
        1001 => "going away",
        1002 => "protocol error",
        1003 => "unsupported data",
        1005 => "no code",
        1007 => "invalid data",
        1008 => "policy violation",
        1009 => "message too big",
        1011 => "internal error",
        1012 => "service restart",
        1013 => "try again later",
        1014 => "bad gateway",
        _ => return None,
    })
}
