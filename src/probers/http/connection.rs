//! A connection to one place, and the driver that moves its bytes.

use std::future::{Future, poll_fn};
use std::net::IpAddr;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::Poll;

use bytes::Bytes;
use http_body_util::Full;
use hyper::client::conn::http1::{self, SendRequest};
use hyper_util::rt::TokioIo;

use super::wire::{Log, Socket, Wire};
use crate::domain::outcome::{Failure, FailureKind};
use crate::net::certificates::Chain;
use crate::net::dial::dial;
use crate::net::resolver::Resolver;
use crate::net::stopwatch::Stopwatch;
use crate::net::tls::{Trust, handshake};
use crate::ports::Clock;

/// The head of an answer may be this large; it may also have no more than hyper's 100 headers.
const HEAD_BYTES_MAX: usize = 64 * 1024;

/// Where a connection leads; connections with the same key can stand for each other within a run.
#[derive(Clone, Debug, PartialEq)]
pub struct Key {
    /// A name or an address, without brackets.
    pub host: String,
    /// The port.
    pub port: u16,
    /// Whom to trust; none for plain HTTP.
    pub trust: Option<Trust>,
}

/// What TLS has shown.
pub struct Shown {
    /// The certificates.
    pub chain: Chain,
    /// `1.2` or `1.3`.
    pub version: &'static str,
}

/// An open connection. It is dropped, and so closed from our side, with the run.
pub struct Connection {
    /// Takes requests.
    pub sender: SendRequest<Full<Bytes>>,
    /// Moves the bytes while somebody waits for them; there is no task of its own, so nothing outlives the step.
    pub driver: Driver,
    /// When they moved.
    pub log: Log,
    /// The address.
    pub remote: IpAddr,
    /// What TLS has shown.
    pub shown: Option<Shown>,
}

impl Connection {
    /// Resolves, connects, and makes the TLS handshake where the key asks for it.
    pub async fn open(
        key: &Key,
        resolver: &Resolver,
        clock: &Arc<dyn Clock>,
        watch: &mut Stopwatch<'_>,
    ) -> Result<Self, Failure> {
        let (tcp, remote) = dial(resolver, &key.host, key.port, watch).await?;
        let (socket, shown) = match &key.trust {
            None => (Socket::Plain(tcp), None),
            Some(trust) => {
                let secured = handshake(tcp, &key.host, trust, watch).await?;
                let shown = Shown { chain: secured.chain, version: secured.version };
                (Socket::Tls(Box::new(secured.stream)), Some(shown))
            }
        };
        let log = Log::default();
        let wire = Wire::new(socket, Arc::clone(clock), log.clone());
        let (sender, driver) =
            http1::Builder::new()
                .max_buf_size(HEAD_BYTES_MAX)
                .handshake(TokioIo::new(wire))
                .await
                .map_err(|error| Failure::new(FailureKind::Internal, format!("no HTTP connection: {error}")))?;
        Ok(Self { sender, driver: Driver(Some(driver)), log, remote: remote.ip(), shown })
    }
}

/// Moves the bytes of a connection until it ends.
pub struct Driver(Option<http1::Connection<TokioIo<Wire>, Full<Bytes>>>);

impl Driver {
    /// Moves the bytes while `work` waits for them.
    pub async fn with<T>(&mut self, work: impl Future<Output = T>) -> T {
        let mut work = pin!(work);
        poll_fn(|cx| {
            let has_ended = self.0.as_mut().is_some_and(|driver| Pin::new(driver).poll(cx).is_ready());
            if has_ended {
                // What it ended with, whoever waits for the answer is told.
                self.0 = None;
            }
            match work.as_mut().poll(cx) {
                Poll::Ready(result) => Poll::Ready(result),
                Poll::Pending => Poll::Pending,
            }
        })
        .await
    }
}
