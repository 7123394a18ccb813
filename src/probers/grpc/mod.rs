//! Kind `grpc`: what does the standard health service of a gRPC server say? (`grpc.health.v1.Health/Check`, as gRPC's
//! "Health Checking Protocol" has it.)
//!
//! The cast: `settings` are what was written; they become a `prober`, which connects and puts down what was exchanged;
//! `call` makes the one call over HTTP/2, within limits; `messages` are the service's; `status` has gRPC's words.

mod call;
mod messages;
mod prober;
mod settings;
mod status;

#[cfg(test)]
mod tests;

pub use settings::KIND;
