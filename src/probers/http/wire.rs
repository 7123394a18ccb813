//! The bytes of a connection, watched for when the request's last and the answer's first went by. Under TLS these are the
//! bytes of the plain text, and the answer's first came when the kernel received the last of what had to be there to
//! read it.

use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio_rustls::client::TlsStream;

use crate::domain::time::{Monotonic, Timestamp};
use crate::net::arrival::{FirstByte, Instants, Sent};
use crate::net::stream::Stream;
use crate::ports::Clock;

/// What the bytes go through.
pub enum Socket {
    /// Plain TCP.
    Plain(Stream),
    /// TLS.
    Tls(Box<TlsStream<Stream>>),
}

impl Socket {
    /// When the kernel received what was read last.
    fn stamp(&self) -> Option<Timestamp> {
        match self {
            Self::Plain(stream) => stream.stamp(),
            Self::Tls(tls) => tls.get_ref().0.stamp(),
        }
    }
}

/// What was seen of one exchange.
#[derive(Clone, Copy, Debug, Default)]
pub struct Marks {
    sent: Option<Sent>,
    /// When the first byte of the answer came.
    pub first: Option<FirstByte>,
    /// When we last looked for a byte and there was none.
    nothing_at: Option<Monotonic>,
    /// A line of the answer's head ended without a carriage return. Some read that as a line and some do not, so two
    /// parties can see two answers.
    pub bare_line_feed: bool,
    head_is_over: bool,
    line_length: usize,
    last: u8,
}

impl Marks {
    /// Whether anything of a request was written.
    pub fn is_sent(&self) -> bool {
        self.sent.is_some()
    }

    /// Marks the first byte. Where nothing was asked there is nothing to measure; that something came is known.
    fn came(&mut self, stamp: Option<Timestamp>, clock: &dyn Clock) {
        let sent = self.sent.unwrap_or_else(|| Sent::nothing(clock));
        self.first = Some(sent.first_byte(stamp, self.nothing_at, clock));
    }

    fn read(&mut self, bytes: &[u8]) {
        for byte in bytes {
            if self.head_is_over {
                return;
            }
            match byte {
                b'\n' => {
                    self.bare_line_feed |= self.last != b'\r';
                    self.head_is_over = self.line_length == 0;
                    self.line_length = 0;
                }
                b'\r' => {}
                _ => self.line_length += 1,
            }
            self.last = *byte;
        }
    }
}

/// The marks of a connection's present exchange, shared by the wire and whoever reads them.
#[derive(Clone, Default)]
pub struct Log(Arc<Mutex<Marks>>);

impl Log {
    fn lock(&self) -> MutexGuard<'_, Marks> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What was seen until now.
    pub fn marks(&self) -> Marks {
        *self.lock()
    }

    /// Begins a new exchange.
    pub fn begin(&self) {
        *self.lock() = Marks::default();
    }
}

/// A socket that keeps a log.
pub struct Wire {
    socket: Socket,
    clock: Arc<dyn Clock>,
    log: Log,
}

impl Wire {
    /// Watches a socket.
    pub fn new(socket: Socket, clock: Arc<dyn Clock>, log: Log) -> Self {
        Self { socket, clock, log }
    }

    fn wrote(&self, bytes: usize, before: Instants) {
        let mut marks = self.log.lock();
        if bytes > 0 && marks.first.is_none() {
            marks.sent = Some(Sent::now(before, &*self.clock));
        }
    }
}

macro_rules! through {
    ($self:ident, $method:ident ( $($argument:expr),* )) => {
        match &mut $self.socket {
            Socket::Plain(tcp) => Pin::new(tcp).$method($($argument),*),
            Socket::Tls(tls) => Pin::new(tls.as_mut()).$method($($argument),*),
        }
    };
}

impl AsyncRead for Wire {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let Poll::Ready(result) = through!(self, poll_read(cx, buffer)) else {
            self.log.lock().nothing_at = Some(self.clock.monotonic());
            return Poll::Pending;
        };
        result?;
        let bytes = buffer.filled().get(before..).unwrap_or_default();
        let mut marks = self.log.lock();
        if marks.first.is_none() && !bytes.is_empty() {
            marks.came(self.socket.stamp(), &*self.clock);
        }
        marks.read(bytes);
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Wire {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let before = Instants::read(&*self.clock);
        let written = ready!(through!(self, poll_write(cx, bytes)))?;
        self.wrote(written, before);
        Poll::Ready(Ok(written))
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let before = Instants::read(&*self.clock);
        let written = ready!(through!(self, poll_write_vectored(cx, slices)))?;
        self.wrote(written, before);
        Poll::Ready(Ok(written))
    }

    fn is_write_vectored(&self) -> bool {
        match &self.socket {
            Socket::Plain(tcp) => tcp.is_write_vectored(),
            Socket::Tls(tls) => tls.is_write_vectored(),
        }
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        through!(self, poll_flush(cx))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        through!(self, poll_shutdown(cx))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen(chunks: &[&str]) -> Marks {
        let mut marks = Marks::default();
        for chunk in chunks {
            marks.read(chunk.as_bytes());
        }
        marks
    }

    #[test]
    fn line_feeds_count_in_the_head_only() {
        assert!(!seen(&["HTTP/1.1 200 OK\r", "\nA: b\r\n\r\nline\nline\n"]).bare_line_feed);
        assert!(seen(&["HTTP/1.1 200 OK\r\nA: b\nC: d\r\n\r\n"]).bare_line_feed);
        assert!(seen(&["HTTP/1.1 200 OK\n\nbody"]).bare_line_feed);
    }
}
