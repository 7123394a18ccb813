//! The bytes of a connection, watched for when the request's last and the answer's first went by. Under TLS these are the
//! bytes of the plain text.

use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio_rustls::client::TlsStream;

use crate::domain::time::Monotonic;
use crate::ports::Clock;

/// What the bytes go through.
pub enum Socket {
    /// Plain TCP.
    Plain(TcpStream),
    /// TLS.
    Tls(Box<TlsStream<TcpStream>>),
}

/// What was seen of one exchange.
#[derive(Clone, Copy, Debug, Default)]
pub struct Marks {
    /// When the last byte before the answer was written.
    pub sent: Option<Monotonic>,
    /// When the first byte of the answer was read.
    pub first: Option<Monotonic>,
    /// A line of the answer's head ended without a carriage return. Some read that as a line and some do not, so two
    /// parties can see two answers.
    pub bare_line_feed: bool,
    head_is_over: bool,
    /// The beginning of the first line: an interim answer (RFC 9110, section 15.2) is followed by another head.
    first_line: [u8; 10],
    first_line_length: usize,
    line_length: usize,
    last: u8,
}

impl Marks {
    fn read(&mut self, bytes: &[u8], at: Monotonic) {
        if bytes.is_empty() {
            return;
        }
        self.first.get_or_insert(at);
        for byte in bytes {
            if self.head_is_over {
                return;
            }
            if let Some(place) = self.first_line.get_mut(self.first_line_length) {
                *place = *byte;
                self.first_line_length += 1;
            }
            match byte {
                b'\n' => {
                    self.bare_line_feed |= self.last != b'\r';
                    self.end_line();
                    self.line_length = 0;
                }
                b'\r' => {}
                _ => self.line_length += 1,
            }
            self.last = *byte;
        }
    }

    fn end_line(&mut self) {
        if self.line_length > 0 {
            return;
        }
        if self.first_line == *b"HTTP/1.1 1" {
            self.first_line_length = 0;
        } else {
            self.head_is_over = true;
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

    fn wrote(&self, bytes: usize) {
        let mut marks = self.log.lock();
        if bytes > 0 && marks.first.is_none() {
            marks.sent = Some(self.clock.monotonic());
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
        ready!(through!(self, poll_read(cx, buffer)))?;
        let now = self.clock.monotonic();
        self.log.lock().read(buffer.filled().get(before..).unwrap_or_default(), now);
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Wire {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let written = ready!(through!(self, poll_write(cx, bytes)))?;
        self.wrote(written);
        Poll::Ready(Ok(written))
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = ready!(through!(self, poll_write_vectored(cx, slices)))?;
        self.wrote(written);
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
    use std::time::Duration;

    use super::*;

    fn seen(chunks: &[&str]) -> Marks {
        let mut marks = Marks::default();
        for (index, chunk) in (1..).zip(chunks) {
            marks.read(chunk.as_bytes(), Monotonic(Duration::from_secs(index)));
        }
        marks
    }

    #[test]
    fn the_first_byte_is_marked_once() {
        assert_eq!(seen(&["", "HTTP/1.1 200 OK\r\n", "\r\n"]).first, Some(Monotonic(Duration::from_secs(2))));
    }

    #[test]
    fn line_feeds_count_in_the_head_only() {
        assert!(!seen(&["HTTP/1.1 200 OK\r", "\nA: b\r\n\r\nline\nline\n"]).bare_line_feed);
        assert!(seen(&["HTTP/1.1 200 OK\r\nA: b\nC: d\r\n\r\n"]).bare_line_feed);
        assert!(seen(&["HTTP/1.1 200 OK\n\nbody"]).bare_line_feed);
    }
}
