//! Against real, separate servers: one module for each topic, and `servers` that starts them.

#[cfg(test)]
mod http;
#[cfg(test)]
mod http_hostile;
#[cfg(test)]
mod http_session;
#[cfg(test)]
mod probing;
#[cfg(test)]
mod servers;
#[cfg(test)]
mod tls;
