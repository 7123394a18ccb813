//! Peers that break HTTP/2 where gRPC is spoken.

use roundsman::domain::outcome::FailureKind as Is;

use super::http2::{answering, endings, floods_beside, shut};
use super::row::Row;
use crate::servers::frames::{CONTINUATION, DATA, END_HEADERS, HEADERS, OK, frame};
use crate::servers::hostile::Move::{Endless, Send};

/// Every row.
pub fn rows() -> Vec<Row> {
    let mut rows = endings();
    rows.extend(floods_beside());
    rows.push(shut());
    rows.push(Row::new(
        "continues its head without end",
        answering([Send(frame(HEADERS, 0, 1, &[OK])), Endless(frame(CONTINUATION, 0, 1, &[]).repeat(100))]),
        Is::ProtocolInvalid,
    ));
    rows.push(Row::new(
        "sends more than the window",
        answering([Send(frame(HEADERS, END_HEADERS, 1, &[OK])), Endless(frame(DATA, 0, 1, &[0; 16_384]))]),
        Is::ProtocolInvalid,
    ));
    rows.into_iter().map(|row| row.probed_by("grpc", "url: \"grpc://PEER\"")).collect()
}
