//! Against real, separate servers: one module for each topic, and `servers` that starts them.

#[cfg(test)]
mod dns;
#[cfg(test)]
mod probing;
#[cfg(test)]
mod servers;
