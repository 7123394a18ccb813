//! Peers that break the rules of WebSocket.

use roundsman::domain::outcome::FailureKind as Is;

use super::row::Row;
use crate::servers::hostile::Move::{Endless, Hang, ReadHead, Send, Upgrade};

/// Every row.
pub fn rows() -> Vec<Row> {
    let rows = handshakes().into_iter().chain(frames());
    rows.map(|row| row.probed_by("websocket", "{ url: \"ws://PEER/\", receive: 1 }")).collect()
}

fn handshakes() -> Vec<Row> {
    let upgrade = "HTTP/1.1 101 Switching Protocols\r\n";
    let endless = vec![ReadHead, Send(upgrade.into()), Endless(b"a: b\r\n".repeat(500))];
    vec![
        Row::sends("takes no WebSocket", "HTTP/1.1 403 No\r\nContent-Length: 2\r\n\r\nno", Is::WebSocketRefused),
        Row::sends(
            "does not prove that it read the handshake",
            format!("{upgrade}Upgrade: websocket\r\nConnection: Upgrade\r\n\r\n"),
            Is::ProtocolInvalid,
        ),
        Row::sends("speaks SSH in the handshake", "SSH-2.0-OpenSSH_9.2\r\n\r\n", Is::ProtocolInvalid),
        Row::sends("closes in the WebSocket's handshake", "", Is::ProtocolClosed),
        Row::new("sends headers of the handshake without end", endless, Is::ProtocolHeaderTooLarge),
        Row::new("never answers the handshake", vec![Hang], Is::TimeoutFirstByte).within(300),
    ]
}

fn frames() -> Vec<Row> {
    let once = |peer, frames: &[u8], failure| Row::new(peer, vec![Upgrade, Send(frames.to_vec()), Hang], failure);
    let part = [vec![0x02, 126, 0xff, 0xff], vec![0; 65_535]].concat();
    let next = [vec![0x00, 126, 0xff, 0xff], vec![0; 65_535]].concat();
    vec![
        once("announces a message of 1 GiB", &[0x81, 127, 0, 0, 0, 0, 0x40, 0, 0, 0], Is::BodyTooLarge),
        once(
            "announces a message of 2^63 bytes",
            &[0x82, 127, 0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff],
            Is::BodyTooLarge,
        ),
        Row::new(
            "sends parts of a message without end",
            vec![Upgrade, Send(part.clone()), Endless(next)],
            Is::BodyTooLarge,
        ),
        once("falls silent in a message", &part, Is::TimeoutTransfer).within(300),
        Row::new("sends pings without end", vec![Upgrade, Endless([0x89, 0].repeat(100))], Is::ProtocolInvalid)
            .saying("more than 1000 pings"),
        Row::new("sends pongs without end", vec![Upgrade, Endless([0x8a, 0].repeat(100))], Is::ProtocolInvalid),
        Row::new(
            "sends empty parts without end",
            vec![Upgrade, Send(vec![0x02, 0]), Endless([0x00, 0].repeat(1_000))],
            Is::ProtocolInvalid,
        )
        .at_length(),
        once("sends a masked frame", &[0x81, 0x81, 1, 2, 3, 4, 5], Is::ProtocolInvalid),
        once("sets reserved bits", &[0xf1, 1, b'a'], Is::ProtocolInvalid),
        once("sends an unknown opcode", &[0x83, 0], Is::ProtocolInvalid),
        once("sends text that is none", &[0x81, 2, 0xff, 0xfe], Is::ProtocolInvalid),
        once("sends a part of nothing", &[0x80, 0], Is::ProtocolInvalid),
        once("never sends a message", &[], Is::TimeoutTransfer).within(300),
    ]
}
