//! A connection whose protocol is spoken by code of others: WebSocket and HTTP/2 take whatever bytes go through.

use std::net::SocketAddr;
use std::sync::Arc;

use serde_json::{Map, Value};
use tokio::io::{AsyncRead, AsyncWrite};

use super::place::Place;
use crate::domain::outcome::{Failure, Observation};
use crate::domain::time::Timestamp;
use crate::net::certificates::{Certificate, Chain};
use crate::net::dial::dial;
use crate::net::resolver::Resolver;
use crate::net::stopwatch::Stopwatch;
use crate::net::tls::{Terms, handshake};

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
    shown: Option<(Arc<Chain>, &'static str)>,
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
    let shown = Some((secured.chain, secured.version));
    Ok((Box::new(secured.stream), Peer { remote, shown }))
}

impl Peer {
    /// An observation with these facts, those about the connection, and none about time.
    pub fn observation(&self, mut facts: Map<String, Value>, now: Timestamp) -> Observation {
        facts.insert("remote_ip".to_owned(), self.remote.ip().to_string().into());
        let mut certificate_expires = None;
        if let Some((chain, version)) = &self.shown {
            facts.insert("tls_version".to_owned(), (*version).into());
            facts.insert("cert".to_owned(), chain.facts(now));
            certificate_expires = Some(chain.expires());
        }
        Observation { facts, certificate_expires, ..Observation::default() }
    }

    /// The certificates that it showed, its own first: one line each.
    pub fn certificates(&self) -> Vec<String> {
        self.shown.iter().flat_map(|(chain, _)| chain.certificates()).map(Certificate::line).collect()
    }
}
