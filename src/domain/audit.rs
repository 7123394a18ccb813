//! What somebody changed, as it is put down: who, from where, what, and how it was before.

use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::names::ChannelName;
use super::time::Timestamp;

/// How many records are kept at most.
pub const AUDITS_MAX: usize = 10_000;

/// The longest text of what was before and after, in characters.
pub const TEXT_MAX: usize = 300;

macro_rules! deeds {
    ($($(#[$doc:meta])* $deed:ident = $word:literal;)*) => {
        /// What is done.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
        pub enum Deed { $($(#[$doc])* #[serde(rename = $word)] $deed,)* }

        impl Deed {
            /// In a word or two.
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$deed => $word,)* }
            }
        }
    };
}

deeds! {
    /// An incident is taken on.
    Acknowledge = "acknowledge";
    /// Something is said of an incident.
    Note = "note";
    /// A silence begins.
    Silence = "silence";
    /// A silence ends.
    EndSilence = "end silence";
    /// Messages are tried again.
    Redrive = "redrive";
    /// A channel is drilled.
    Drill = "drill";
    /// Something is not probed for a while.
    Pause = "pause";
    /// A pause is over.
    Resume = "resume";
    /// Something is run off its slots.
    Trigger = "trigger";
    /// The files are read again.
    Reload = "reload";
}

/// By what somebody is known.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Who {
    /// The operate token, whoever has it.
    Token,
    /// The proxy that names them.
    User(Arc<str>),
    /// The signature of a channel's receiver.
    Channel(ChannelName),
}

impl fmt::Display for Who {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Token => f.write_str("the operate token"),
            Self::User(user) => write!(f, "the user {user}"),
            Self::Channel(channel) => write!(f, "the channel {channel}"),
        }
    }
}

/// Who does something.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Author {
    /// By what they are known.
    pub who: Who,
    /// How they are called in what they do; absent where that says nothing of it.
    pub by: Option<String>,
    /// From which address, where that is known.
    pub from: Option<IpAddr>,
}

/// Something that somebody changed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct AuditRecord {
    /// Its id, which is ours; later ones sort later.
    pub id: Arc<str>,
    /// When.
    pub at: Timestamp,
    /// Who.
    pub author: Author,
    /// What.
    pub deed: Deed,
    /// To what: an incident, a silence, a message, a channel, a probe.
    pub of: String,
    /// How it was, in short; empty where there was nothing.
    pub before: String,
    /// How it is now, in short.
    pub after: String,
}

impl AuditRecord {
    /// A record, whose texts are cut.
    pub fn new(id: &str, at: Timestamp, author: Author, deed: Deed, of: String, texts: [String; 2]) -> Self {
        let [before, after] = texts.map(|text| match text.char_indices().nth(TEXT_MAX) {
            Some((end, _)) => format!("{}…", &text[..end]),
            None => text,
        });
        Self { id: Arc::from(id), at, author, deed, of, before, after }
    }
}
