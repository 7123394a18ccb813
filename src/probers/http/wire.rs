//! The bytes of a connection, watched for when the request's last and the answer's first went by. Under TLS these are the
//! bytes of the plain text, and the answer's first came when the kernel received the last of what had to be there to
//! read it.

use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio_rustls::client::TlsStream;

use super::frames::Outgoing;
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

/// An answer with its interim answers (RFC 9110, section 15.2) may have heads of so many bytes.
const HEADS_BYTES_MAX: usize = 256 * 1024;

/// More came than that.
#[derive(Debug, thiserror::Error)]
#[error("heads without end")]
pub struct HeadsTooLarge;

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
    /// The bytes are frames of HTTP/2, among which those of the answer cannot be told by looking: its first byte came with
    /// the read that completed its head.
    framed: bool,
    head_is_over: bool,
    /// How many bytes of heads came, interim answers among them.
    head_bytes: usize,
    /// The beginning of the first line: an interim answer (RFC 9110, section 15.2) is followed by another head.
    first_line: [u8; 10],
    first_line_length: usize,
    line_length: usize,
    last: u8,
}

impl Marks {
    /// Whether anything of a request was written.
    pub fn is_sent(&self) -> bool {
        self.sent.is_some()
    }

    /// Whether an answer has begun.
    pub fn has_begun(&self) -> bool {
        if self.framed { self.head_is_over } else { self.first.is_some() }
    }

    /// Marks the first byte, where what was read just now may hold it.
    fn came(&mut self, stamp: Option<Timestamp>, clock: &dyn Clock) {
        let awaited = if self.framed {
            // What came before anything was asked is the beginning of a connection, not of an answer.
            self.sent.is_some() && !self.head_is_over
        } else {
            self.first.is_none()
        };
        if awaited {
            // Where nothing was asked there is nothing to measure; that something came is known.
            let sent = self.sent.unwrap_or_else(|| Sent::nothing(clock));
            self.first = Some(sent.first_byte(stamp, self.nothing_at, clock));
        }
    }

    fn read(&mut self, bytes: &[u8]) {
        if self.framed {
            return;
        }
        for byte in bytes {
            if self.head_is_over {
                return;
            }
            self.head_bytes += 1;
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
        // What stands empty before the first line is passed over (RFC 9112, section 2.2).
        if self.first_line_length <= 2 {
            self.first_line_length = 0;
            return;
        }
        if [*b"HTTP/1.1 1", *b"HTTP/1.0 1"].contains(&self.first_line) {
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
    /// What went out, where that is frames of HTTP/2.
    frames: Option<Outgoing>,
    clock: Arc<dyn Clock>,
    log: Log,
}

impl Wire {
    /// Watches a socket, over which HTTP/2 is spoken from its first byte or never.
    pub fn new(socket: Socket, is_http2: bool, clock: Arc<dyn Clock>, log: Log) -> Self {
        Self { socket, frames: is_http2.then(Outgoing::default), clock, log }
    }

    /// Marks what was written of these slices: so many bytes.
    fn wrote<'b>(&mut self, slices: impl Iterator<Item = &'b [u8]>, mut bytes: usize, before: Instants) {
        let is_empty = bytes == 0;
        let mut ends = false;
        if let Some(frames) = &mut self.frames {
            for slice in slices {
                let taken = slice.get(..bytes).unwrap_or(slice);
                ends |= frames.take(taken);
                bytes -= taken.len();
            }
        }
        let mut marks = self.log.lock();
        let is_awaited = match self.frames {
            // Where the server's window is full the last byte goes out long after the first, and long after something that
            // is no answer has come.
            Some(_) => !marks.head_is_over && (ends || marks.sent.is_none()),
            None => marks.first.is_none(),
        };
        if is_awaited && !is_empty {
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
        if !bytes.is_empty() {
            marks.came(self.socket.stamp(), &*self.clock);
        }
        marks.read(bytes);
        // hyper goes through interim answers without a pause, so that no deadline would end who sends nothing else.
        let is_flood = marks.head_bytes > HEADS_BYTES_MAX;
        Poll::Ready(if is_flood { Err(io::Error::other(HeadsTooLarge)) } else { Ok(()) })
    }
}

impl AsyncWrite for Wire {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let before = Instants::read(&*self.clock);
        let written = ready!(through!(self, poll_write(cx, bytes)))?;
        self.wrote(std::iter::once(bytes), written, before);
        Poll::Ready(Ok(written))
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let before = Instants::read(&*self.clock);
        let written = ready!(through!(self, poll_write_vectored(cx, slices)))?;
        self.wrote(slices.iter().map(|slice| &**slice), written, before);
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
    use crate::clock::SystemClock;

    fn seen(chunks: &[&str]) -> Marks {
        let mut marks = Marks::default();
        for chunk in chunks {
            marks.read(chunk.as_bytes());
        }
        marks
    }

    #[test]
    fn in_frames_the_read_that_completed_the_head_is_marked() {
        let clock = SystemClock::start();
        let log = Log::default();
        let came = || {
            log.lock().came(None, &clock);
            log.marks().first
        };
        log.begin(true);
        assert_eq!(came(), None, "nothing was asked yet");
        log.lock().sent = Some(Sent::nothing(&clock));
        let of_settings = came();
        assert!(of_settings.is_some() && !log.marks().has_begun());
        let of_head = came();
        log.head_is_over();
        assert_ne!(of_settings, of_head);
        assert_eq!(came(), of_head, "what comes after the head is no first byte");
        log.lock().read(b"data\n");
        assert!(log.marks().has_begun() && !log.marks().bare_line_feed);
    }

    #[test]
    fn line_feeds_count_in_the_head_only() {
        assert!(!seen(&["HTTP/1.1 200 OK\r", "\nA: b\r\n\r\nline\nline\n"]).bare_line_feed);
        assert!(seen(&["HTTP/1.1 200 OK\r\nA: b\nC: d\r\n\r\n"]).bare_line_feed);
        assert!(seen(&["HTTP/1.1 200 OK\n\nbody"]).bare_line_feed);
    }
}
