//! How many bytes a peer may send for one answer over HTTP, or one message of a WebSocket: whoever floods us with what is none
//! (settings, pings, interim answers, empty chunks) is cut off long before the deadline.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// What an answer may have beside its body: heads, and what belongs to the connection.
const BESIDE_BODY: u64 = 512 * 1024;

/// A body in many small pieces takes up to this many times its size.
const IN_PIECES: u64 = 4;

/// How many bytes may still come.
#[derive(Clone, Debug, Default)]
pub struct Ration(Arc<AtomicU64>);

impl Ration {
    /// Begins a new answer: until its head is there, no body is due.
    pub fn begin(&self) {
        self.begin_body(0);
    }

    /// Begins the body of an answer, which has at most so many bytes.
    pub fn begin_body(&self, bytes_max: u64) {
        self.0.store(bytes_max * IN_PIECES + BESIDE_BODY, Ordering::Relaxed);
    }
}

/// The kind of an error that is [`Exceeded`].
const QUOTA_KIND: io::ErrorKind = io::ErrorKind::QuotaExceeded;

/// More came than an answer can have.
#[derive(Debug, thiserror::Error)]
#[error("far more came than an answer may have")]
pub struct Exceeded;

impl Exceeded {
    /// Whether that is what reading failed of. Of an error h2 passes on the kind only; no socket has this one.
    pub fn is_cause_of(error: &io::Error) -> bool {
        error.kind() == QUOTA_KIND
    }
}

/// What is read through a ration.
pub struct Rationed<S> {
    stream: S,
    ration: Ration,
}

impl<S> Rationed<S> {
    /// Reads at most what the ration has; it has nothing before an answer was begun.
    pub fn new(stream: S, ration: Ration) -> Self {
        // What belongs to the beginning of a connection may come before anything was asked.
        ration.begin();
        Self { stream, ration }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Rationed<S> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        ready!(Pin::new(&mut self.stream).poll_read(cx, buffer))?;
        let came = (buffer.filled().len() - before) as u64;
        let left = self.ration.0.load(Ordering::Relaxed);
        self.ration.0.store(left.saturating_sub(came), Ordering::Relaxed);
        Poll::Ready(if came > left { Err(io::Error::new(QUOTA_KIND, Exceeded)) } else { Ok(()) })
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Rationed<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(cx, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
