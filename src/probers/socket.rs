//! A connection whose protocol is spoken by code of others: WebSocket and HTTP/2 take whatever bytes go through.

use tokio::io::{AsyncRead, AsyncWrite};

use super::peer::Peer;
use super::place::Place;
use crate::domain::outcome::Failure;
use crate::net::dial::dial;
use crate::net::resolver::Resolver;
use crate::net::stopwatch::Stopwatch;
use crate::net::tls::{Terms, handshake};

/// What bytes go through in both directions.
pub trait Duplex: AsyncRead + AsyncWrite + Unpin + Send {}

impl<T: AsyncRead + AsyncWrite + Unpin + Send> Duplex for T {}

/// Plain TCP, or TLS over it. Dropped, it is closed from our side.
pub type Socket = Box<dyn Duplex>;

/// Connects, and makes the TLS handshake where there are terms for it. Who is at the other end is in `peer` as far as that
/// is known, also where this fails.
pub async fn open(
    resolver: &Resolver,
    place: &Place,
    terms: Option<&Terms>,
    watch: &mut Stopwatch<'_>,
    peer: &mut Peer,
) -> Result<Socket, Failure> {
    let (tcp, remote) = dial(resolver, &place.host, place.port, watch).await?;
    peer.remote = Some(remote);
    let Some(terms) = terms else { return Ok(Box::new(tcp)) };
    Ok(Box::new(handshake(terms, tcp, &place.host, watch, &mut peer.shown).await?))
}
