//! Floor 2: what several rooms need of the network.
//!
//! A connection is made by [`dial`]: a name becomes addresses ([`resolver`]), each is looked at before it is used
//! ([`addresses`]), the first that answers wins, and its [`stream`] knows from the [`kernel`] when bytes came ([`arrival`]). [`tls`] speaks TLS over it and names what is wrong with a certificate;
//! [`certificates`] says what a chain is about, and [`proven`] remembers those that were verified. A [`stopwatch`] tells how long each part took and ends it in time,
//! [`entities`] are those of XML, and [`excerpt`] keeps what a target sent short where it stands in a message.

pub mod addresses;
pub mod arrival;
pub mod aws;
pub mod certificates;
pub mod client;
pub mod dial;
pub mod entities;
pub mod excerpt;
pub mod kernel;
pub mod proven;
pub mod resolver;
pub mod stopwatch;
pub mod stream;
pub mod tls;
pub mod tls_failure;
