//! Kind `http`: requests over HTTP/1.1 and HTTP/2, as a browser without a memory would make them.
//!
//! The cast: `settings` are what was written, with `url`, `headers`, `content` (and `json`), `credentials` (and `oauth2`,
//! `sigv4`), `identity` and `pins` for its parts; they become a `request::Draft`, which is filled with captures and secrets
//! for each run. `prober` makes the exchanges, following `redirect`'s rules, each on its `way`: `exchange` makes one of them
//! over a `connection`, whose bytes `wire` watches for their times and a `Ration` counts, and `body` reads and unpacks what
//! came. `facts` is what assertions see of it, `told` what people do, `calls` what policies of AWS do.
//! `repeat` makes the same request several times, `getter` serves kinds that read several documents, and `sender` those
//! that make their requests themselves. `shared` is what the steps of one run have in common.

mod body;
mod calls;
mod connection;
mod content;
mod credentials;
mod exchange;
mod facts;
mod frames;
mod getter;
pub mod headers;
mod identity;
pub mod json;
mod oauth2;
mod pins;
mod prober;
mod redirect;
mod repeat;
mod request;
mod sender;
mod settings;
mod shared;
pub mod sigv4;
mod told;
pub mod url;
mod way;
mod wire;

#[cfg(test)]
mod tests;

pub use getter::Getter;
pub use sender::{Outgoing, Sender};
pub use settings::KIND;
