//! Floor 2: what several rooms need of the network.

pub mod aws;
pub mod redaction;
