//! Against real, separate servers, and with the built binary: one module for each topic, and `servers` that starts them.

#![cfg(test)]

mod cloudwatch;
mod commands;
mod demo;
mod disturbed;
mod dns;
mod faults;
mod http;
mod http_session;
mod journal;
mod kill;
mod notification;
#[cfg(feature = "postgres")]
mod postgres;
mod probing;
mod prometheus;
mod redis;
mod run;
mod servers;
mod sns;
mod tcp;
mod timing;
mod tls;
mod webhook;
