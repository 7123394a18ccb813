//! The names that several kinds have in common.

use crate::domain::expression::{Name, Shape};

/// How long the parts of making a connection took.
pub const CONNECTING: &[Name] = &[
    Name::known("total_ms", Shape::Number, "the whole step, in milliseconds"),
    Name::known("dns_ms", Shape::Number, "looking the name up, in milliseconds; absent for an address"),
    Name::known("connect_ms", Shape::Number, "the TCP handshake, in milliseconds"),
    Name::known("connect_error_ms", Shape::Number, "by how much `connect_ms` may be too long"),
    Name::known("remote_ip", Shape::Text, "the address that was connected to"),
];

/// How long the TLS handshake took.
pub const TLS_MS: Name = Name::known("tls_ms", Shape::Number, "the TLS handshake, in milliseconds");

/// How long the answer was waited for.
pub const FIRST_BYTE_MS: Name = Name::known(
    "first_byte_ms",
    Shape::Number,
    "from what was asked to the first byte of the answer, in milliseconds; absent where nothing was waited for",
);

/// How long the answer took.
pub const TRANSFER_MS: Name =
    Name::known("transfer_ms", Shape::Number, "from the answer's first byte to its last, in milliseconds");
