//! Floor 3: one file, one channel. A new one is a file here and a row in [`CHANNELS`].
//!
//! [`message`] says what happened in words for people, for every channel that sends text.

pub mod message;
pub mod sns;

use crate::ports::ChannelKind;

/// Every kind of channel.
pub static CHANNELS: &[ChannelKind] = &[sns::CHANNEL];
