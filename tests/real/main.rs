//! Against real, separate servers, and with the built binary: one module for each topic, and `servers` that starts them.

#![cfg(test)]

mod cloudwatch;
mod commands;
mod demo;
mod dns;
mod http;
mod http_access;
mod http_body;
mod http_hostile;
mod http_session;
mod http_told;
mod http_two;
mod kill;
mod notification;
mod probing;
mod prometheus;
mod run;
mod servers;
mod sns;
mod tls;
mod webhook;
