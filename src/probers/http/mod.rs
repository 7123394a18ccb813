//! Kind `http`: requests over HTTP/1.1, as a browser without a memory would make them.
//!
//! The cast: `settings` are what was written, with `url`, `headers`, `credentials` and `json` for its parts; they become a
//! `request::Draft`, which is filled with captures and secrets for each run. `prober` makes the exchanges, following
//! `redirect`'s rules; `exchange` makes one of them over a `connection`, whose bytes `wire` watches for their times.
//! `shared` is what the steps of one run have in common.

mod connection;
mod credentials;
mod exchange;
pub mod headers;
mod json;
mod prober;
mod redirect;
mod request;
mod settings;
mod shared;
pub mod url;
mod wire;

#[cfg(test)]
mod tests;

pub use settings::KIND;
