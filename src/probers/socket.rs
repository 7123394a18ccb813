//! A connection whose protocol is spoken by code of others: WebSocket and HTTP/2 take whatever bytes go through.

use std::net::SocketAddr;
use std::sync::Arc;

use serde_json::{Map, Value};
use tokio::io::{AsyncRead, AsyncWrite};

use super::place::Place;
use crate::domain::outcome::{Failure, Observation};
use crate::domain::time::{Timestamp, rfc3339};
use crate::net::certificates::Chain;
use crate::net::dial::dial;
use crate::net::resolver::Resolver;
use crate::net::stopwatch::Stopwatch;
use crate::net::tls::{Terms, handshake_on};

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
    let secured = handshake_on(terms, tcp, &place.host, watch).await?;
    let shown = Some((Arc::new(secured.chain), secured.version));
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
        let chain = self.shown.as_ref().map(|(chain, _)| chain);
        let line = |one: &crate::net::certificates::Certificate| {
            format!("{}, signed by {}, until {}", one.subject, one.issuer, rfc3339(one.not_after))
        };
        chain.map(|chain| chain.certificates().map(line).collect()).unwrap_or_default()
    }
}
