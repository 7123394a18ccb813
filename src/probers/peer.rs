//! Who is at the other end of a connection, known as far as the connection was made: what every kind tells of it, also
//! when the step fails.

use std::net::SocketAddr;

use crate::domain::outcome::{Failure, Observation};
use crate::domain::time::Timestamp;
use crate::net::certificates::Certificate;
use crate::net::tls::Shown;

/// The other end of a connection.
#[derive(Clone, Debug, Default)]
pub struct Peer {
    /// The address that was connected to, with its port.
    pub remote: Option<SocketAddr>,
    /// What it showed in the TLS handshake, also where that was refused.
    pub shown: Option<Shown>,
}

impl Peer {
    /// Adds it to what a step saw: `remote_ip`, and what TLS has shown.
    pub fn tell(&self, observation: &mut Observation, now: Timestamp) {
        if let Some(remote) = self.remote {
            observation.facts.insert_late("remote_ip", move || remote.ip().to_string().into());
        }
        if let Some(shown) = &self.shown {
            shown.tell(observation, now);
        }
    }

    /// A failure over this connection: whatever it is, when the certificates end that were shown is known.
    pub fn failed(&self, failure: Failure) -> Failure {
        let ends = self.shown.as_ref().map(|shown| shown.chain.expires());
        Failure { certificate_expires: failure.certificate_expires.or(ends), ..failure }
    }

    /// The address as an exchange has it.
    pub fn address(&self) -> Option<String> {
        self.remote.map(|remote| remote.to_string())
    }

    /// The certificates that it showed, its own first: one line each.
    pub fn certificates(&self) -> Vec<String> {
        self.shown.iter().flat_map(|shown| shown.chain.certificates()).map(Certificate::line).collect()
    }
}
