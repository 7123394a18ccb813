//! The table of hostile targets: every row.

#[cfg(feature = "grpc")]
use super::grpc;
use super::row::Row;
#[cfg(feature = "websocket")]
use super::websocket;
use super::{addresses, http, http2, names, packed, tls};

/// Every row.
pub async fn rows() -> Vec<Row> {
    let mut rows =
        vec![http::rows(), packed::rows().await, http2::rows(), tls::rows(), names::rows(), addresses::rows()];
    #[cfg(feature = "websocket")]
    rows.push(websocket::rows());
    #[cfg(feature = "grpc")]
    rows.push(grpc::rows());
    rows.into_iter().flatten().collect()
}
