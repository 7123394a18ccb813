//! A connection whose protocol is spoken by code of others: WebSocket and HTTP/2 take whatever bytes go through.

use std::net::SocketAddr;

use serde_json::{Map, Value};
use tokio::io::{AsyncRead, AsyncWrite};

use super::place::Place;
use crate::domain::outcome::{Failure, Observation};
use crate::domain::time::Timestamp;
use crate::net::certificates::Certificate;
use crate::net::dial::dial;
use crate::net::resolver::Resolver;
use crate::net::stopwatch::Stopwatch;
use crate::net::tls::{Shown, Terms, handshake};

/// What bytes go through in both directions.
pub trait Duplex: AsyncRead + AsyncWrite + Unpin + Send {}

impl<T: AsyncRead + AsyncWrite + Unpin + Send> Duplex for T {}

/// Plain TCP, or TLS over it. Dropped, it is closed from our side.
pub type Socket = Box<dyn Duplex>;

/// Who is at the other end.
#[derive(Clone)]
pub struct Peer {
    /// The address that was connected to.
    pub remote: SocketAddr,
    shown: Option<Shown>,
}

/// Connects, and makes the TLS handshake where there are terms for it.
pub async fn open(
    resolver: &Resolver,
    place: &Place,
    terms: Option<&Terms>,
    watch: &mut Stopwatch<'_>,
) -> Result<(Socket, Peer), Failure> {
    let (tcp, remote) = dial(resolver, &place.host, place.port, watch).await?;
    let Some(terms) = terms else { return Ok((Box::new(tcp), Peer { remote, shown: None })) };
    let secured = handshake(terms, tcp, &place.host, watch, &mut None).await?;
    Ok((Box::new(secured.stream), Peer { remote, shown: Some(secured.shown) }))
}

impl Peer {
    /// An observation with these facts, those about the connection, and none about time.
    pub fn observation(&self, mut facts: Map<String, Value>, now: Timestamp) -> Observation {
        facts.insert("remote_ip".to_owned(), self.remote.ip().to_string().into());
        let mut observation = Observation { facts, ..Observation::default() };
        if let Some(shown) = &self.shown {
            shown.tell(&mut observation, now);
        }
        observation
    }

    /// The certificates that it showed, its own first: one line each.
    pub fn certificates(&self) -> Vec<String> {
        self.shown.iter().flat_map(|shown| shown.chain.certificates()).map(Certificate::line).collect()
    }
}
