//! Kind `http`: requests over HTTP/1.1, as a browser without a memory would make them.
//!
//! The cast: `settings` are what was written, with `url`, `headers`, `credentials` and `json` for its parts; they become a
//! `request::Draft`, which is filled with captures and secrets for each run. `prober` makes the exchanges, following
//! `redirect`'s rules; `exchange` makes one of them over a `connection`, whose bytes `wire` watches for their times.
//! `repeat` makes the same request several times, and `getter` serves kinds that read several documents. `shared` is what
//! the steps of one run have in common.

mod connection;
mod credentials;
mod exchange;
mod getter;
mod headers;
mod json;
mod prober;
mod redirect;
mod repeat;
mod request;
mod settings;
mod shared;
mod url;
mod wire;

#[cfg(test)]
mod tests;

pub use getter::Getter;
pub use settings::KIND;
