//! What went to a target and what came back, for people who look for a cause. Nothing here decides anything.

use serde::{Deserialize, Serialize};

use super::outcome::Phases;

/// One request and its answer, or whatever a kind has in their place, as text that was cut to a size for reading.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Exchange {
    /// The address that was spoken to, with its port.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub remote: Option<String>,
    /// What was sent: head and body for HTTP, the command or the question for others.
    pub sent: String,
    /// What came; what came until then when the exchange was cut short.
    pub received: String,
    /// The certificates that the target showed, its own first: one line each.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub certificates: Vec<String>,
    /// A command for a shell that repeats it, where there is one (curl, dig, redis-cli).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub command: Option<String>,
    /// How long its parts took.
    pub phases: Phases,
}
