//! Packs bodies.

use async_compression::tokio::write::{BrotliEncoder, DeflateEncoder, GzipEncoder, ZlibEncoder, ZstdEncoder};
use tokio::io::AsyncWriteExt as _;

macro_rules! packed_by {
    ($encoder:ident, $bytes:expr) => {{
        let mut encoder = $encoder::new(Vec::new());
        encoder.write_all($bytes).await.unwrap();
        encoder.shutdown().await.unwrap();
        encoder.into_inner()
    }};
}

/// Packed as a Content-Encoding says; `raw deflate` is what some call `deflate`, against its definition.
pub async fn packed(encoding: &str, bytes: &[u8]) -> Vec<u8> {
    match encoding {
        "gzip" => packed_by!(GzipEncoder, bytes),
        "br" => packed_by!(BrotliEncoder, bytes),
        "zstd" => packed_by!(ZstdEncoder, bytes),
        "deflate" => packed_by!(ZlibEncoder, bytes),
        "raw deflate" => packed_by!(DeflateEncoder, bytes),
        other => panic!("{other} is no packing"),
    }
}

/// An answer whose body is packed so, as it says.
pub fn answer(encoding: &str, body: &[u8]) -> Vec<u8> {
    let head = format!("HTTP/1.1 200 OK\r\nContent-Encoding: {encoding}\r\nContent-Length: {}\r\n\r\n", body.len());
    [head.as_bytes(), body].concat()
}
