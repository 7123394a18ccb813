//! Names to addresses.

use std::net::IpAddr;

use crate::domain::outcome::{Failure, FailureKind};

/// Looks names up.
#[derive(Clone, Debug)]
pub struct Resolver;

impl Resolver {
    /// The resolver of this machine.
    pub fn system() -> Self {
        Self
    }

    /// The addresses of a host; an address is itself.
    pub async fn addresses(&self, host: &str) -> Result<Vec<IpAddr>, Failure> {
        if let Ok(address) = host.parse() {
            return Ok(vec![address]);
        }
        let found = tokio::net::lookup_host((host, 0)).await;
        let found = found.map_err(|_| Failure::new(FailureKind::DnsNxdomain, format!("{host} does not exist")))?;
        Ok(found.map(|address| address.ip()).collect())
    }
}
