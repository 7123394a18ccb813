//! A TCP connection that knows when its bytes came.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, Interest, ReadBuf};
use tokio::net::TcpStream;

use super::kernel::{self, StampRoom};
use crate::domain::time::Timestamp;

/// A TCP connection whose reads carry the kernel's time stamps.
#[derive(Debug)]
pub struct Stream {
    tcp: TcpStream,
    room: StampRoom,
    stamp: Option<Timestamp>,
    /// How much is asked for next: room must be wiped before the kernel may write to it, and most answers need little.
    asks: usize,
    writes: Writes,
}

/// What was written so far.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Writes {
    None,
    /// One write, as most requests are: it leaves at once, since nothing is under way before it.
    One,
    /// More than one, and the kernel was told to hold none of them back.
    More,
}

/// How much is asked for at first; more as long as all of it comes.
const ASKS_MIN: usize = 2 * 1024;

impl Stream {
    /// Takes over a connection that was made just now, and says how long its handshake took, where the kernel knows.
    pub fn new(tcp: TcpStream) -> (Self, Option<Duration>) {
        let handshake = kernel::handshake(&tcp);
        kernel::stamp(&tcp);
        (Self { tcp, room: StampRoom::default(), stamp: None, asks: ASKS_MIN, writes: Writes::None }, handshake)
    }

    /// Is told before each write. The kernel would hold a second one back until the first is acknowledged, which would be
    /// measured as the target's time.
    fn writes(&mut self) -> io::Result<()> {
        self.writes = match self.writes {
            Writes::None => Writes::One,
            Writes::One => {
                self.tcp.set_nodelay(true)?;
                Writes::More
            }
            Writes::More => Writes::More,
        };
        Ok(())
    }

    /// When the kernel received what the last read gave, by the wall clock.
    pub fn stamp(&self) -> Option<Timestamp> {
        self.stamp
    }
}

impl AsyncRead for Stream {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let Self { tcp, room, stamp, asks, writes: _ } = self.get_mut();
        loop {
            ready!(tcp.poll_read_ready(cx))?;
            let free = buffer.initialize_unfilled_to(buffer.remaining().min(*asks));
            let (room_for, mut short) = (free.len(), None);
            let read = tcp.try_io(Interest::READABLE, || match kernel::receive(tcp, free, room) {
                // Less than there is room for is all there was (epoll(7), question 9): the next read waits for the next
                // event instead of asking the kernel for nothing.
                Ok(received) if (1..room_for).contains(&received.0) => {
                    short = Some(received);
                    Err(io::ErrorKind::WouldBlock.into())
                }
                read => read,
            });
            match short.map_or(read, Ok) {
                Ok((count, at)) => {
                    *stamp = at;
                    if count == *asks {
                        *asks = asks.saturating_mul(4);
                    }
                    buffer.advance(count);
                    return Poll::Ready(Ok(()));
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Poll::Ready(Err(error)),
            }
        }
    }
}

impl AsyncWrite for Stream {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.writes()?;
        Pin::new(&mut self.tcp).poll_write(cx, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.writes()?;
        Pin::new(&mut self.tcp).poll_write_vectored(cx, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.tcp.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.tcp).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.tcp).poll_shutdown(cx)
    }
}
