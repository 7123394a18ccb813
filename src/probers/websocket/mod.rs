//! Kind `websocket`: does the server make a WebSocket of a connection, and does it answer over it?
//!
//! The cast: `settings` are what was written; they become a `prober`, which connects and puts down what was exchanged;
//! `talk` makes the handshake and reads messages, within limits; `trouble` has the words for what goes wrong.

mod prober;
mod settings;
mod talk;
mod trouble;

#[cfg(test)]
mod tests;

pub use settings::KIND;
