//! Against real, separate servers, and with the built binary: one module for each topic, and `servers` that starts them.

#![cfg(test)]

mod access;
mod as_code;
mod aws;
mod backup;
mod browser;
mod bulk;
mod canary;
mod certified;
mod channels;
mod cloudwatch;
mod command;
mod commands;
mod cut_off;
mod demo;
mod disturbed;
mod dns;
mod dns_flags;
mod drill;
mod drilling;
mod email;
mod explaining;
mod faults;
#[cfg(feature = "grpc")]
mod generated;
mod grpc;
mod heartbeat;
mod hourly;
mod http;
mod http_access;
mod http_body;
mod http_session;
mod http_told;
mod http_two;
mod icmp;
mod journal;
mod kill;
mod live;
mod messages;
mod metrics;
mod notification;
mod objectives;
mod operating;
mod oracle;
mod packing;
mod page;
mod payloads;
mod permitted;
#[cfg(feature = "postgres")]
mod postgres;
mod probing;
mod programs;
mod prometheus;
mod redis;
mod run;
mod said;
mod secrets;
mod servers;
mod settings;
mod shown;
mod sns;
mod standing;
mod steering;
mod stopped;
mod storage;
mod storm;
mod tcp;
mod telling;
mod timing;
mod tls;
#[cfg(all(feature = "grpc", feature = "postgres", feature = "websocket"))]
mod unseen;
mod watching;
mod webhook;
#[cfg(feature = "websocket")]
mod websocket;
