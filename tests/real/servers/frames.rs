//! Frames of HTTP/2, made by hand.

/// Frame types (RFC 9113, section 6).
pub const DATA: u8 = 0;
/// The beginning of a head.
pub const HEADERS: u8 = 1;
/// The end of a stream by one side.
pub const RST_STREAM: u8 = 3;
/// Settings.
pub const SETTINGS: u8 = 4;
/// The announcement of an answer that nobody asked for.
pub const PUSH_PROMISE: u8 = 5;
/// A ping.
pub const PING: u8 = 6;
/// The end of a connection.
pub const GOAWAY: u8 = 7;
/// More headers.
pub const CONTINUATION: u8 = 9;
/// The last frame of a stream.
pub const END_STREAM: u8 = 1;
/// The last frame of a head.
pub const END_HEADERS: u8 = 4;
/// `:status: 200`, as HPACK's table has it.
pub const OK: u8 = 0x88;

/// A frame.
pub fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    [&length[1..], &[kind, flags], &stream.to_be_bytes(), payload].concat()
}
