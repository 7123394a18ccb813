//! Peers that break HTTP/2.

use roundsman::domain::outcome::FailureKind as Is;

use super::row::Row;
use crate::servers::frames::{
    CONTINUATION, DATA, END_HEADERS, END_STREAM, GOAWAY, HEADERS, OK, PING, PUSH_PROMISE, RST_STREAM, SETTINGS, frame,
};
use crate::servers::hostile::Move::{self, Endless, Hang, ReadCall, ReadHead, Send};

/// Every row.
pub fn rows() -> Vec<Row> {
    let of = |row: Row| row.probed_by("http", "{ url: \"http://PEER/\", http_version: \"2\" }");
    let mut rows: Vec<_> = [wrong(), floods()].into_iter().flatten().map(of).collect();
    let post = "{ url: \"http://PEER/\", http_version: \"2\", method: POST, body: text }";
    rows.push(shut().probed_by("http", post));
    rows
}

/// Sends settings, waits for the call, then does that.
pub fn answering(moves: impl IntoIterator<Item = Move>) -> Vec<Move> {
    [Send(frame(SETTINGS, 0, 0, &[])), ReadCall].into_iter().chain(moves).collect()
}

/// Never lets anything be sent to it.
pub fn shut() -> Row {
    let settings = frame(SETTINGS, 0, 0, &[0, 4, 0, 0, 0, 0]);
    Row::new("opens no window", vec![Send(settings), Hang], Is::TimeoutFirstByte).within(300)
}

/// What belongs to no answer, without end.
pub fn floods_beside() -> Vec<Row> {
    [
        ("sends settings without end", frame(SETTINGS, 0, 0, &[]).repeat(100)),
        ("sends pings without end", frame(PING, 0, 0, &[0; 8]).repeat(100)),
    ]
    .map(|(peer, frames)| Row::new(peer, answering([Endless(frames)]), Is::ProtocolInvalid).at_length())
    .map(|row| row.saying("far more came than an answer may have"))
    .into()
}

/// What ends the call or the connection, or is none of the protocol, whatever is spoken over it.
pub fn endings() -> Vec<Row> {
    let reset = frame(RST_STREAM, 0, 1, &[0, 0, 0, 8]).repeat(100);
    let once = |bytes: Vec<u8>| answering([Send(bytes), Hang]);
    vec![
        Row::new(
            "speaks HTTP/1.1 where HTTP/2 is spoken",
            vec![ReadHead, Send(b"HTTP/1.1 400 Bad\r\n\r\n".to_vec()), Hang],
            Is::ProtocolInvalid,
        ),
        Row::new(
            "speaks SMTP where HTTP/2 is spoken",
            vec![Send(b"220 mail.example ESMTP\r\n".to_vec()), Hang],
            Is::ProtocolInvalid,
        ),
        Row::new("never begins HTTP/2", vec![Hang], Is::TimeoutFirstByte).within(300),
        Row::new("closes where HTTP/2 begins", vec![], Is::ProtocolClosed),
        Row::new("resets a call", once(frame(RST_STREAM, 0, 1, &7_u32.to_be_bytes())), Is::ProtocolClosed),
        Row::new("says farewell", once(frame(GOAWAY, 0, 0, &[0, 0, 0, 0, 0, 0, 0, 11])), Is::ProtocolClosed),
        Row::new("pushes", once(frame(PUSH_PROMISE, END_HEADERS, 1, &[0, 0, 0, 2, OK])), Is::ProtocolInvalid),
        Row::new("resets calls without end", answering([Endless(reset)]), Is::ProtocolClosed).at_length(),
    ]
}

fn wrong() -> Vec<Row> {
    let head = frame(HEADERS, END_HEADERS, 1, &[OK]);
    let announced = frame(HEADERS, END_HEADERS, 1, &[OK, 0x0f, 0x0d, 1, b'9']);
    let mut rows = endings();
    rows.extend(
        [
            ("ends without an answer", frame(SETTINGS, 1, 0, &[]), Is::ProtocolClosed, "without an answer"),
            (
                "ends in the body",
                [head, frame(DATA, 0, 1, b"abc")].concat(),
                Is::ProtocolClosed,
                "before the answer was whole",
            ),
            (
                "sends a body shorter than announced",
                [announced, frame(DATA, END_STREAM, 1, b"abc")].concat(),
                Is::ProtocolInvalid,
                "not valid HTTP/2",
            ),
            (
                "sends a frame that is too large",
                frame(DATA, 0, 1, &b"x".repeat(20_000)),
                Is::ProtocolInvalid,
                "not valid HTTP/2",
            ),
            (
                "sends a head that is none",
                frame(HEADERS, END_HEADERS, 1, &[0xff; 9]),
                Is::ProtocolInvalid,
                "not valid HTTP/2",
            ),
        ]
        .map(|(peer, answer, failure, says)| Row::new(peer, answering([Send(answer)]), failure).saying(says)),
    );
    rows
}

fn floods() -> Vec<Row> {
    // A header as HPACK has it, of 8,000 bytes.
    let header = [&[0x00, 0x01, b'x', 0x7f, 0xc1, 0x3d][..], &[b'y'; 8_000]].concat();
    let answered = || Send(frame(HEADERS, END_HEADERS, 1, &[OK]));
    let mut rows = floods_beside();
    rows.extend([
        Row::new(
            "continues its head without end",
            answering([Send(frame(HEADERS, 0, 1, &[OK])), Endless(frame(CONTINUATION, 0, 1, &header))]),
            Is::ProtocolHeaderTooLarge,
        ),
        Row::new(
            "sends empty data without end",
            answering([answered(), Endless(frame(DATA, 0, 1, &[]).repeat(100))]),
            Is::ProtocolInvalid,
        )
        .at_length(),
        Row::new(
            "sends data without end, and no window",
            answering([answered(), Endless(frame(DATA, 0, 1, &[b'x'; 16_000]))]),
            Is::ProtocolInvalid,
        ),
    ]);
    rows
}
