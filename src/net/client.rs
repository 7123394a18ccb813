//! The client for everything over HTTP that is not a probe: webhooks, and questions to our own daemon.

use std::time::Duration;

/// How long a connection may take.
const CONNECT_MAX: Duration = Duration::from_secs(2);

/// How long a call may take as a whole. The deliverer gives an attempt 15 s, so the client's own reason is heard first.
const CALL_MAX: Duration = Duration::from_secs(10);

/// How many idle connections are kept to one host.
const IDLE_MAX: usize = 4;

/// Making the client failed: its TLS found no roots.
#[derive(Debug, thiserror::Error)]
#[error("the HTTP client cannot be made: {0}")]
pub struct ClientError(#[from] reqwest::Error);

/// A client to be shared: making one costs 2 ms. It follows no redirect, since a message that was sent elsewhere was not
/// sent, and heeds no proxy of the environment, since what was tested must be what runs at night.
pub fn shared() -> Result<reqwest::Client, ClientError> {
    let client = reqwest::Client::builder()
        .connect_timeout(CONNECT_MAX)
        .timeout(CALL_MAX)
        .redirect(reqwest::redirect::Policy::none())
        .no_proxy()
        .pool_max_idle_per_host(IDLE_MAX)
        .user_agent(concat!("roundsman/", env!("CARGO_PKG_VERSION")));
    Ok(client.build()?)
}
