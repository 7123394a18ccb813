//! The body of an answer: read as it comes, unpacked as its Content-Encoding says, and cut off at its limit. The limit is
//! that of the unpacked body, and nothing is unpacked beyond it, so that a bomb costs no more than any other body.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use async_compression::tokio::bufread::{BrotliDecoder, DeflateDecoder, GzipDecoder, ZlibDecoder, ZstdDecoder};
use async_compression::zstd::DParameter;
use bytes::{Buf as _, Bytes, BytesMut};
use futures::future::BoxFuture;
use http::HeaderMap;
use http::header::CONTENT_ENCODING;
use hyper::body::{Body as _, Incoming};
use tokio::io::{AsyncBufRead, AsyncBufReadExt as _, AsyncRead, AsyncReadExt as _, BufReader, ReadBuf};

use super::connection::Driver;
use crate::net::excerpt::excerpt;

/// What is asked for, and what can be unpacked.
pub const ENCODINGS: &str = "gzip, br, zstd, deflate";

/// More packings around each other than this are not undone.
const LAYERS_MAX: usize = 3;

/// What packing may add to a body that does not get smaller by it.
const PACKING_BYTES_MAX: u64 = 64 * 1024;

/// Unpacked bytes on their way from one layer to the next.
const BUFFER_BYTES: usize = 16 * 1024;

/// The window of zstd may be this large, as a power of two: 8 MiB (RFC 9659, section 3).
const ZSTD_WINDOW_LOG_MAX: u32 = 23;

/// Why a body was not read.
#[derive(Debug)]
pub enum BodyError {
    /// It is larger than its limit.
    TooLarge,
    /// The connection broke.
    Broken(hyper::Error),
    /// It cannot be unpacked.
    Packed(String),
}

/// What has come of a body.
#[derive(Default)]
pub struct Arrived {
    /// The bytes, unpacked.
    pub bytes: BytesMut,
    /// How many there were on the wire.
    pub wire_bytes: u64,
}

/// Reads a body to its end.
pub async fn read(
    driver: &mut Driver,
    head: &HeaderMap,
    body: Incoming,
    bytes_max: u64,
    arrived: &mut Arrived,
) -> Result<(), BodyError> {
    let codings = codings(head).map_err(BodyError::Packed)?;
    let packing = if codings.is_empty() { 0 } else { PACKING_BYTES_MAX };
    // What announces itself as too large is not read at all.
    if body.size_hint().lower() > bytes_max + packing {
        return Err(BodyError::TooLarge);
    }
    let mut raw = Raw { incoming: body, chunk: Bytes::new(), bytes: 0, bytes_max: bytes_max + packing };
    // The answer to a HEAD, and a body that is empty, were not packed, whatever their head says.
    let result = match driver.with(raw.fill_buf()).await {
        Ok([]) => Ok(()),
        Ok(_) if codings.is_empty() => read_to_end(driver, &mut raw, bytes_max, &mut arrived.bytes).await,
        Ok(_) => unpack(driver, &mut raw, &codings, bytes_max, &mut arrived.bytes).await,
        Err(error) => Err(error),
    };
    arrived.wire_bytes = raw.bytes;
    result.map_err(|error| error_of(error, &codings))
}

/// Takes off the outermost packing, and with it those within, whose readers borrow from it: when they are done each has to
/// have come to the end of what it read.
fn unpack<'a>(
    driver: &'a mut Driver,
    packed: &'a mut (dyn AsyncBufRead + Send + Unpin),
    codings: &'a [Coding],
    bytes_max: u64,
    into: &'a mut BytesMut,
) -> BoxFuture<'a, io::Result<()>> {
    Box::pin(async move {
        let Some((coding, within)) = codings.split_last() else {
            return read_to_end(driver, packed, bytes_max, into).await;
        };
        let is_zlib = *coding == Coding::Deflate && looks_like_zlib(driver.with(packed.fill_buf()).await?);
        let unpacked = coding.unpacked(&mut *packed, is_zlib);
        // Between the layers there is no more than the last one could need.
        let unpacked = unpacked.take(if within.is_empty() { u64::MAX } else { bytes_max + PACKING_BYTES_MAX });
        let mut unpacked = BufReader::with_capacity(BUFFER_BYTES, unpacked);
        unpack(&mut *driver, &mut unpacked, within, bytes_max, into).await?;
        drop(unpacked);
        // An answer is whole when its connection says so, whatever the packing thinks.
        let rest = driver.with(packed.fill_buf()).await?;
        if rest.is_empty() { Ok(()) } else { Err(io::Error::other("more follows its end")) }
    })
}

async fn read_to_end(
    driver: &mut Driver,
    reader: &mut (dyn AsyncBufRead + Send + Unpin),
    bytes_max: u64,
    into: &mut BytesMut,
) -> io::Result<()> {
    loop {
        let chunk = driver.with(reader.fill_buf()).await?;
        let length = chunk.len();
        if length == 0 {
            return Ok(());
        }
        if (into.len() + length) as u64 > bytes_max {
            return Err(io::Error::other(TooLarge));
        }
        into.extend_from_slice(chunk);
        reader.consume(length);
    }
}

fn error_of(error: io::Error, codings: &[Coding]) -> BodyError {
    if error.get_ref().and_then(|inner| inner.downcast_ref::<TooLarge>()).is_some() {
        return BodyError::TooLarge;
    }
    match error.downcast::<hyper::Error>() {
        Ok(broken) => BodyError::Broken(broken),
        Err(error) => {
            let words = codings.iter().map(|coding| coding.as_str()).collect::<Vec<_>>().join(" within ");
            let why = match error.kind() {
                io::ErrorKind::UnexpectedEof => "it ends too early".to_owned(),
                _ => error.to_string().to_lowercase(),
            };
            BodyError::Packed(format!("the body cannot be unpacked as {words}: {why}"))
        }
    }
}

#[derive(Debug, thiserror::Error)]
#[error("too large")]
struct TooLarge;

/// A packing (RFC 9110, section 8.4.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Coding {
    Gzip,
    Brotli,
    Zstd,
    Deflate,
}

impl Coding {
    fn of(name: &str) -> Option<Self> {
        match name {
            "gzip" | "x-gzip" => Some(Self::Gzip),
            "br" => Some(Self::Brotli),
            "zstd" => Some(Self::Zstd),
            "deflate" => Some(Self::Deflate),
            _ => None,
        }
    }

    fn as_str(self) -> &'static str {
        match self {
            Self::Gzip => "gzip",
            Self::Brotli => "br",
            Self::Zstd => "zstd",
            Self::Deflate => "deflate",
        }
    }

    fn unpacked<'a, R: AsyncBufRead + Send + Unpin + 'a>(
        self,
        reader: R,
        is_zlib: bool,
    ) -> Box<dyn AsyncRead + Send + Unpin + 'a> {
        match self {
            Self::Gzip => {
                // A file of several members is one text (RFC 1952, section 2.2).
                let mut decoder = GzipDecoder::new(reader);
                decoder.multiple_members(true);
                Box::new(decoder)
            }
            Self::Brotli => Box::new(BrotliDecoder::new(reader)),
            Self::Zstd => {
                let window = DParameter::window_log_max(ZSTD_WINDOW_LOG_MAX);
                let mut decoder = ZstdDecoder::with_params(reader, &[window]);
                decoder.multiple_members(true);
                Box::new(decoder)
            }
            Self::Deflate if is_zlib => Box::new(ZlibDecoder::new(reader)),
            Self::Deflate => Box::new(DeflateDecoder::new(reader)),
        }
    }
}

/// `deflate` means zlib (RFC 9110, section 8.4.1.2), and some servers leave out its header. It begins with the method,
/// which is 8, and a window of at most 32 KiB (RFC 1950, section 2.2).
fn looks_like_zlib(beginning: &[u8]) -> bool {
    beginning.first().is_some_and(|first| first & 0x8f == 0x08)
}

/// The packings of a body, in the order in which they were made.
fn codings(head: &HeaderMap) -> Result<Vec<Coding>, String> {
    let mut codings = Vec::new();
    for value in head.get_all(CONTENT_ENCODING) {
        let value = String::from_utf8_lossy(value.as_bytes()).to_ascii_lowercase();
        for name in value.split(',').map(str::trim).filter(|name| !matches!(*name, "" | "identity")) {
            let unknown = || format!("the body is packed as `{}`, which is not known here", excerpt(name));
            codings.push(Coding::of(name).ok_or_else(unknown)?);
            if codings.len() > LAYERS_MAX {
                return Err(format!("the body is packed more than {LAYERS_MAX} times"));
            }
        }
    }
    Ok(codings)
}

/// The bytes of a body as they come.
struct Raw {
    incoming: Incoming,
    chunk: Bytes,
    bytes: u64,
    bytes_max: u64,
}

impl AsyncBufRead for Raw {
    fn poll_fill_buf(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<&[u8]>> {
        let raw = self.get_mut();
        while raw.chunk.is_empty() {
            match ready!(Pin::new(&mut raw.incoming).poll_frame(cx)) {
                None => break,
                Some(Err(error)) => return Poll::Ready(Err(io::Error::other(error))),
                // Trailers say nothing that is asserted.
                Some(Ok(frame)) => raw.chunk = frame.into_data().unwrap_or_default(),
            }
            raw.bytes += raw.chunk.len() as u64;
            if raw.bytes > raw.bytes_max {
                return Poll::Ready(Err(io::Error::other(TooLarge)));
            }
        }
        Poll::Ready(Ok(&raw.chunk))
    }

    fn consume(self: Pin<&mut Self>, count: usize) {
        self.get_mut().chunk.advance(count);
    }
}

impl AsyncRead for Raw {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let chunk = ready!(self.as_mut().poll_fill_buf(cx))?;
        let count = chunk.len().min(buffer.remaining());
        buffer.put_slice(chunk.get(..count).unwrap_or_default());
        self.consume(count);
        Poll::Ready(Ok(()))
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn of(values: &[&'static str]) -> Result<Vec<Coding>, String> {
        let mut head = HeaderMap::new();
        for value in values {
            head.append(CONTENT_ENCODING, HeaderValue::from_static(value));
        }
        codings(&head)
    }

    #[test]
    fn packings_are_read_in_their_order() {
        assert_eq!(of(&[]), Ok(vec![]));
        assert_eq!(of(&["identity", ""]), Ok(vec![]));
        assert_eq!(of(&["GZIP, br", "x-gzip"]), Ok(vec![Coding::Gzip, Coding::Brotli, Coding::Gzip]));
        assert_eq!(of(&["deflate,zstd"]), Ok(vec![Coding::Deflate, Coding::Zstd]));
        assert_eq!(of(&["utf-8"]).unwrap_err(), "the body is packed as `utf-8`, which is not known here");
        assert_eq!(of(&["gzip, gzip, gzip, gzip"]).unwrap_err(), "the body is packed more than 3 times");
        let asked: Vec<_> = ENCODINGS.split(", ").map(Coding::of).collect();
        assert!(!asked.contains(&None), "what is asked for can be unpacked");
    }
}
