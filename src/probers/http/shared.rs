//! What the steps of one run have in common: cookies, and connections that are still open. With the run it is gone.

use std::sync::{Mutex, MutexGuard, PoisonError};

use cookie_store::CookieStore;
use http::HeaderMap;
use http::header::SET_COOKIE;
use url::Url;

use super::connection::{Connection, Key};

/// So many connections are left open; whoever is sent from host to host by a target needs no more of them.
const IDLE_MAX: usize = 8;

/// Cookies and connections of a run.
#[derive(Default)]
pub struct Shared(Mutex<Parts>);

#[derive(Default)]
struct Parts {
    jar: CookieStore,
    idle: Vec<Connection>,
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Parts> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A connection to that place which an earlier exchange left open.
    pub fn take(&self, key: &Key) -> Option<Connection> {
        let mut parts = self.lock();
        let at = parts.idle.iter().position(|connection| *connection.key == *key)?;
        Some(parts.idle.swap_remove(at))
    }

    /// Leaves a connection open for the next exchange.
    pub fn keep(&self, connection: Connection) {
        let mut parts = self.lock();
        if parts.idle.len() >= IDLE_MAX {
            parts.idle.remove(0);
        }
        parts.idle.push(connection);
    }

    /// The header `Cookie` for a URL; empty when there is none.
    pub fn cookies(&self, url: &Url) -> String {
        let parts = self.lock();
        let cookies = parts.jar.get_request_values(url).map(|(name, value)| format!("{name}={value}"));
        cookies.collect::<Vec<_>>().join("; ")
    }

    /// Puts the cookies of an answer in the jar; what is no cookie, or not for this host, is left out, as browsers do.
    pub fn remember(&self, url: &Url, headers: &HeaderMap) {
        let mut parts = self.lock();
        for cookie in headers.get_all(SET_COOKIE).iter().filter_map(|cookie| cookie.to_str().ok()) {
            let _ = parts.jar.parse(cookie, url);
        }
    }
}
