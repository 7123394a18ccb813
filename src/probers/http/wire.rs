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
    /// The bytes are frames of HTTP/2, among which those of the answer cannot be told by looking: its first byte came with
    /// the read that completed its head.
    framed: bool,
    head_is_over: bool,
    line_length: usize,
    last: u8,
}

impl Marks {
    /// Whether an answer has begun.
    pub fn has_begun(&self) -> bool {
        if self.framed { self.head_is_over } else { self.first.is_some() }
    }

    fn read(&mut self, bytes: &[u8], at: Monotonic) {
        if bytes.is_empty() {
            return;
        }
        if self.framed {
            // What came before anything was asked is the beginning of a connection, not of an answer.
            if self.sent.is_some() && !self.head_is_over {
                self.first = Some(at);
            }
            return;
        }
        self.first.get_or_insert(at);
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

    /// Begins a new exchange, in frames of HTTP/2 or without.
    pub fn begin(&self, framed: bool) {
        *self.lock() = Marks { framed, ..Marks::default() };
    }

    /// Marks that the head of the answer is complete.
    pub fn head_is_over(&self) {
        self.lock().head_is_over = true;
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
    fn in_frames_the_read_that_completed_the_head_is_marked() {
        let at = |seconds| Monotonic(Duration::from_secs(seconds));
        let log = Log::default();
        log.begin(true);
        log.lock().read(b"settings", at(1));
        assert_eq!(log.marks().first, None, "nothing was asked yet");
        log.lock().sent = Some(at(2));
        log.lock().read(b"settings\n", at(3));
        assert!(!log.marks().has_begun());
        log.lock().read(b"headers\n\n", at(4));
        log.head_is_over();
        log.lock().read(b"data", at(5));
        let marks = log.marks();
        assert_eq!((marks.first, marks.has_begun(), marks.bare_line_feed), (Some(at(4)), true, false));
    }

    #[test]
    fn line_feeds_count_in_the_head_only() {
        assert!(!seen(&["HTTP/1.1 200 OK\r", "\nA: b\r\n\r\nline\nline\n"]).bare_line_feed);
        assert!(seen(&["HTTP/1.1 200 OK\r\nA: b\nC: d\r\n\r\n"]).bare_line_feed);
        assert!(seen(&["HTTP/1.1 200 OK\n\nbody"]).bare_line_feed);
    }
}
