//! What came of a drill: a probe that was made to fail and then to pass, followed hop by hop on the way of every alert.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::incident::{Event, IncidentId};
use super::names::ChannelName;
use super::time::Timestamp;

/// What stands before everything that is said of a drill, so that nobody takes it for an alert.
pub const PREFIX: &str = "[DRILL] ";

/// The name of the probe that drills are about. It stands in no file.
pub const PROBE: &str = "drill";

/// A part of the way from a run to whoever is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[schemars(rename = "DrillPart")]
pub enum Part {
    /// The run was made, and came out as it should.
    Ran,
    /// The judge saw the change.
    Judged,
    /// The store has the run, the incident and the message, in one transaction.
    Committed,
    /// The channel's receiver has taken the message.
    Delivered,
    /// It was seen where it arrives.
    ReadBack,
}

impl fmt::Display for Part {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Ran => "ran",
            Self::Judged => "judged",
            Self::Committed => "committed",
            Self::Delivered => "delivered",
            Self::ReadBack => "read back",
        })
    }
}

/// How a hop came out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[schemars(rename = "DrillOutcome")]
pub enum Outcome {
    /// As it should.
    Well,
    /// Not; the drill ends here.
    Broken,
    /// There is nothing by which to know: the channel cannot be read back.
    Unknown,
}

/// One hop.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[schemars(rename = "DrillHop")]
pub struct Hop {
    /// Whether the incident was to open or to be resolved.
    pub event: Event,
    /// Which part of the way.
    pub part: Part,
    /// How long it took, in milliseconds.
    pub took_ms: f64,
    /// How it came out.
    pub outcome: Outcome,
    /// What there is to say of it; may be empty.
    pub said: String,
}

/// A drill of one channel.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[schemars(rename = "DrillReport")]
pub struct Report {
    /// The channel.
    pub channel: ChannelName,
    /// When it began.
    pub at: Timestamp,
    /// The incident, where one was opened.
    pub incident: Option<IncidentId>,
    /// What was done, in its order; one that is broken is the last.
    pub hops: Vec<Hop>,
}

impl Report {
    /// The hop at which the way ends, where it does.
    pub fn broken(&self) -> Option<&Hop> {
        self.hops.iter().find(|hop| hop.outcome == Outcome::Broken)
    }

    /// How long it took until the receiver had the beginning, in milliseconds.
    pub fn told_after_ms(&self) -> f64 {
        let until_told = self.hops.iter().filter(|hop| hop.event == Event::Opened && hop.part != Part::ReadBack);
        until_told.map(|hop| hop.took_ms).sum()
    }
}
