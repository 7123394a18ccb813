//! A connection to one place, and the driver that moves its bytes.

use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};

use bytes::Bytes;
use futures::future::{BoxFuture, FutureExt as _};
use futures::stream::{FuturesUnordered, StreamExt as _};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::client::conn::{http1, http2};
use hyper::rt::Executor;
use hyper_util::rt::TokioIo;

use super::wire::{Log, Socket, Wire};
use crate::domain::outcome::{Failure, FailureKind};
use crate::net::dial::dial;
use crate::net::resolver::Resolver;
use crate::net::stopwatch::{Part, Stopwatch};
use crate::net::tls::{Terms, handshake};
use crate::ports::Clock;
use crate::probers::peer::Peer;
use crate::probers::ration::{Ration, Rationed};

/// The head of an answer may be this large; over HTTP/1.1 it may also have no more than hyper's 100 headers.
const HEAD_BYTES_MAX: u32 = 64 * 1024;

/// What a server may send over HTTP/2 before somebody has read it.
const WINDOW_BYTES: u32 = 256 * 1024;

/// Which versions of HTTP are spoken.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Version {
    /// HTTP/2 where the server chooses it in the TLS handshake, else HTTP/1.1.
    #[default]
    Either,
    /// HTTP/1.1.
    Http1,
    /// HTTP/2, without TLS too.
    Http2,
}

impl Version {
    /// What is offered in the TLS handshake.
    pub fn protocols(self) -> &'static [&'static [u8]] {
        match self {
            Self::Either => &[b"h2", b"http/1.1"],
            Self::Http1 => &[b"http/1.1"],
            Self::Http2 => &[b"h2"],
        }
    }
}

/// Where a connection leads and on what terms; connections with the same key can stand for each other within a run.
#[derive(Clone, Debug, PartialEq)]
pub struct Key {
    /// A name or an address, without brackets.
    pub host: String,
    /// The port.
    pub port: u16,
    /// How TLS is spoken; none for plain HTTP.
    pub terms: Option<Terms>,
    /// What is spoken.
    pub version: Version,
    /// What makes addresses of the host.
    pub resolver: Resolver,
}

/// Takes requests.
pub enum Sender {
    /// Over HTTP/1.1.
    Http1(http1::SendRequest<Full<Bytes>>),
    /// Over HTTP/2.
    Http2(http2::SendRequest<Full<Bytes>>),
}

impl Sender {
    /// Waits until a request can be sent.
    pub async fn ready(&mut self) -> hyper::Result<()> {
        match self {
            Self::Http1(sender) => sender.ready().await,
            Self::Http2(sender) => sender.ready().await,
        }
    }

    /// Sends a request and waits for the head of its answer.
    pub async fn send(&mut self, request: http::Request<Full<Bytes>>) -> hyper::Result<http::Response<Incoming>> {
        match self {
            Self::Http1(sender) => sender.send_request(request).await,
            Self::Http2(sender) => sender.send_request(request).await,
        }
    }
}

/// An open connection. It is dropped, and so closed from our side, with the run.
pub struct Connection {
    /// Where it leads and on what terms.
    pub key: Arc<Key>,
    /// Takes requests.
    pub sender: Sender,
    /// Moves the bytes while somebody waits for them; there is no task of its own, so nothing outlives the step.
    pub driver: Driver,
    /// When they moved.
    pub log: Log,
    /// How many of them may still come.
    pub ration: Ration,
    /// Where it leads.
    pub peer: Peer,
}

impl Connection {
    /// Resolves, connects, and makes the TLS handshake where the key asks for it. Who is at the other end is in `peer` as
    /// far as that is known, also where this fails.
    pub async fn open(
        key: &Arc<Key>,
        clock: &Arc<dyn Clock>,
        watch: &mut Stopwatch<'_>,
        peer: &mut Peer,
    ) -> Result<Self, Failure> {
        let (tcp, remote) = dial(&key.resolver, &key.host, key.port, watch).await?;
        peer.remote = Some(remote);
        let (socket, is_http2) = match &key.terms {
            None => (Socket::Plain(tcp), key.version == Version::Http2),
            Some(terms) => {
                let secured = handshake(terms, tcp, &key.host, watch, &mut peer.shown).await?;
                let is_http2 = secured.get_ref().1.alpn_protocol() == Some(b"h2");
                if key.version == Version::Http2 && !is_http2 {
                    let message = "the server does not choose HTTP/2 in the TLS handshake";
                    return Err(Failure::new(FailureKind::ProtocolInvalid, message));
                }
                (Socket::Tls(Box::new(secured)), is_http2)
            }
        };
        let (log, ration) = (Log::default(), Ration::default());
        let io =
            TokioIo::new(Rationed::new(Wire::new(socket, is_http2, Arc::clone(clock), log.clone()), ration.clone()));
        let opening = async {
            let opened = if is_http2 { Box::pin(open_http2(io)).await } else { open_http1(io).await };
            opened.map_err(|error| Failure::new(FailureKind::ProtocolClosed, format!("HTTP could not begin: {error}")))
        };
        // The beginning of HTTP/2 is written here, and nobody may ever take it.
        let (sender, driver) = watch.bound(|| Part::FirstByte, pin!(opening)).await?;
        Ok(Self { key: Arc::clone(key), sender, driver, log, ration, peer: peer.clone() })
    }

    /// Whether a request can go over it, as far as is known without waiting: one that was left open may have been closed
    /// by the other side since, or never be meant for a second request, as with HTTP/1.0.
    pub fn is_open(&mut self) -> bool {
        let Self { sender, driver, .. } = self;
        let ready = async {
            driver.catch_up().await;
            driver.with(sender.ready()).await
        };
        !matches!(ready.now_or_never(), Some(Err(_)))
    }

    /// Whether it speaks HTTP/2.
    pub fn is_http2(&self) -> bool {
        matches!(self.sender, Sender::Http2(_))
    }
}

type Io = TokioIo<Rationed<Wire>>;

async fn open_http1(io: Io) -> hyper::Result<(Sender, Driver)> {
    let (sender, connection) = http1::Builder::new().max_buf_size(HEAD_BYTES_MAX as usize).handshake(io).await?;
    Ok((Sender::Http1(sender), Driver::Http1(Some(Box::new(connection)))))
}

async fn open_http2(io: Io) -> hyper::Result<(Sender, Driver)> {
    let inline = Inline::default();
    let (sender, connection) = http2::Builder::new(inline.clone())
        .max_header_list_size(HEAD_BYTES_MAX)
        .initial_stream_window_size(WINDOW_BYTES)
        .initial_connection_window_size(WINDOW_BYTES)
        .handshake(io)
        .await?;
    let tasks = FuturesUnordered::new();
    let end = End::default();
    let told = end.clone();
    tasks.push(Box::pin(async move {
        if let Err(error) = connection.await {
            *told.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(error);
        }
    }) as BoxFuture<'static, ()>);
    Ok((Sender::Http2(sender), Driver::Http2 { tasks, inline, end }))
}

/// What a connection over HTTP/2 failed of: who sends on it later is told only that it is closed.
#[derive(Clone, Default)]
pub struct End(Arc<Mutex<Option<hyper::Error>>>);

impl End {
    /// The reason, where `error` has none.
    pub fn behind(&self, error: hyper::Error) -> hyper::Error {
        let is_without_reason = error.is_closed() || error.is_canceled();
        let reason = is_without_reason.then(|| self.0.lock().unwrap_or_else(PoisonError::into_inner).take());
        reason.flatten().unwrap_or(error)
    }
}

/// Takes what hyper would have run beside us; the driver does it inline.
#[derive(Clone, Default)]
pub struct Inline(Arc<Mutex<Vec<BoxFuture<'static, ()>>>>);

impl Inline {
    fn take(&self) -> Vec<BoxFuture<'static, ()>> {
        std::mem::take(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl<F: Future<Output = ()> + Send + 'static> Executor<F> for Inline {
    fn execute(&self, task: F) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(Box::pin(task));
    }
}

/// Moves the bytes of a connection until it ends.
pub enum Driver {
    /// Over HTTP/1.1; none when it has ended.
    Http1(Option<Box<http1::Connection<Io, Full<Bytes>>>>),
    /// Over HTTP/2.
    Http2 {
        /// The connection, and what belongs to its streams.
        tasks: FuturesUnordered<BoxFuture<'static, ()>>,
        /// What is to become of them.
        inline: Inline,
        /// What it failed of.
        end: End,
    },
}

impl Driver {
    /// What the connection will have failed of. Over HTTP/1.1 whoever waits for the answer is told.
    pub fn end(&self) -> End {
        match self {
            Self::Http1(_) => End::default(),
            Self::Http2 { end, .. } => end.clone(),
        }
    }

    /// Moves the bytes while `work` waits for them, and no longer: once an answer is whole nobody asks the kernel for more.
    /// Large work is pinned first, since what is handed over by value has its room twice.
    pub async fn with<T>(&mut self, work: impl Future<Output = T>) -> T {
        let mut work = pin!(work);
        poll_fn(|cx| {
            if let Poll::Ready(done) = work.as_mut().poll(cx) {
                return Poll::Ready(done);
            }
            self.turn(cx);
            work.as_mut().poll(cx)
        })
        .await
    }

    /// Takes in what came while nobody waited.
    pub async fn catch_up(&mut self) {
        poll_fn(|cx| {
            self.turn(cx);
            Poll::Ready(())
        })
        .await;
    }

    fn turn(&mut self, cx: &mut Context<'_>) {
        match self {
            Self::Http1(connection) => {
                if connection.as_mut().is_some_and(|connection| Pin::new(connection).poll(cx).is_ready()) {
                    // What it ended with, whoever waits for the answer is told.
                    *connection = None;
                }
            }
            Self::Http2 { tasks, inline, .. } => loop {
                tasks.extend(inline.take());
                if !matches!(tasks.poll_next_unpin(cx), Poll::Ready(Some(()))) {
                    // A task that was polled may have left another one to do.
                    let more = inline.take();
                    if more.is_empty() {
                        return;
                    }
                    tasks.extend(more);
                }
            },
        }
    }
}
