//! Floor 3: what probes speak. One kind, one file (or one folder), one row here.
//!
//! A prober performs one step and reports facts; it never judges and never retries. It is built from its settings without
//! any I/O, every mistake at its place, and lives as long as its plan. What the steps of one run share (connections,
//! cookies) is in the run's [`crate::ports::Session`].

mod aws;
mod backup;
mod cloudwatch;
mod command;
mod connection;
mod dns;
#[cfg(feature = "grpc")]
mod grpc;
mod heartbeat;
mod http;
mod icmp;
mod length;
mod logs;
mod names;
mod number;
mod page;
mod peer;
mod place;
#[cfg(feature = "postgres")]
mod postgres;
mod ration;
mod redis;
mod securing;
#[cfg(any(feature = "grpc", feature = "websocket"))]
mod socket;
mod starttls;
mod tcp;
mod tls;
#[cfg(feature = "websocket")]
mod websocket;

#[cfg(test)]
mod testing;

use crate::ports::Kind;

/// Every kind of probe.
pub static KINDS: &[Kind] = &[
    aws::KIND,
    backup::KIND,
    cloudwatch::KIND,
    command::KIND,
    dns::KIND,
    #[cfg(feature = "grpc")]
    grpc::KIND,
    heartbeat::KIND,
    http::KIND,
    icmp::KIND,
    logs::KIND,
    page::KIND,
    #[cfg(feature = "postgres")]
    postgres::KIND,
    redis::KIND,
    tcp::KIND,
    tls::KIND,
    #[cfg(feature = "websocket")]
    websocket::KIND,
];
