//! Against real, separate servers, and with the built binary: one module for each topic, and `servers` that starts them.

#![cfg(test)]

mod cloudwatch;
mod commands;
mod demo;
mod dns;
mod dns_flags;
#[cfg(feature = "grpc")]
mod grpc;
mod http;
mod http_hostile;
mod http_session;
mod icmp;
mod kill;
mod notification;
mod probing;
mod prometheus;
mod run;
mod servers;
mod sns;
mod tls;
mod webhook;
#[cfg(feature = "websocket")]
mod websocket;
