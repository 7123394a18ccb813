//! Floor 3: one file, one channel. A new one is a file here and a row in [`CHANNELS`].
//!
//! [`message`] says what happened in words for people, for every channel that sends text; [`post`] is how all that speak
//! HTTP send it; [`mac`] is how a text is signed. [`ping`] is no channel: it tells somebody elsewhere that Roundsman lives.

pub mod email;
pub mod mac;
pub mod message;
pub mod pagerduty;
pub mod ping;
pub mod post;
pub mod slack;
pub mod sns;
pub mod webhook;

use crate::ports::ChannelKind;

/// Every kind of channel.
pub static CHANNELS: &[ChannelKind] =
    &[email::CHANNEL, pagerduty::CHANNEL, slack::CHANNEL, sns::CHANNEL, webhook::CHANNEL];
