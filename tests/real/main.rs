//! Tests against real, separate servers: one binary, one module for each topic.

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
