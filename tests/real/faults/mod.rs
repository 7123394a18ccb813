//! Targets that break the rules: each costs its own deadline and nothing else, and has a name. The table says what such a
//! peer does and what that is called; every row is run for its verdict, and again and again for what it leaves behind.
//!
//! What more is to be said of some stands with its kind: the sentences about bad certificates, and that no byte of a request
//! goes there, in `tls`; what is read of large answers of name servers in `dns_flags`; credentials across origins in `http`.
//! What a target says, shown to people, is in `shown`.

mod addresses;
#[cfg(feature = "grpc")]
mod grpc;
mod http;
mod http2;
mod leaks;
mod names;
mod packed;
mod row;
mod table;
mod tls;
mod verdicts;
#[cfg(feature = "websocket")]
mod websocket;
