//! Against real, separate servers, and with the built binary: one module for each topic, and `servers` that starts them.

#![cfg(test)]

mod cloudwatch;
mod commands;
mod demo;
mod dns;
mod faults;
mod http;
mod http_session;
mod kill;
mod notification;
mod probing;
mod prometheus;
mod run;
mod servers;
mod sns;
mod tls;
mod webhook;
