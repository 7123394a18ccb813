//! How messages are grouped as written: for all channels, and what a channel has otherwise.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::raw::{RawGroup, RawLength};
use crate::domain::grouping::Grouping;
use crate::domain::names::ChannelName;
use crate::domain::time::Length;
use crate::settings::{Node, Problems, Spanned, read, suggest};

/// A page that waits for longer comes too late.
const WAIT_MAX: Duration = Duration::from_secs(300);

/// How many incidents may be told of one by one within an interval.
const LIMIT_MAX: u32 = 1_000;

/// Shorter intervals tame no storm …
const INTERVAL_MIN: Duration = Duration::from_secs(1);

/// … and longer ones hide one.
const INTERVAL_MAX: Duration = Duration::from_secs(3_600);

/// How messages to each channel are grouped; channels are absent that have nothing of their own, where nothing is written for
/// all.
pub fn groupings(
    all: Option<&RawGroup>,
    channels: &BTreeMap<Spanned<ChannelName>, Node>,
    labels: &BTreeSet<&str>,
    problems: &mut Problems,
) -> BTreeMap<ChannelName, Grouping> {
    let default = all.map(|group| grouping(group, &Grouping::default(), labels, problems));
    let mut made = BTreeMap::new();
    for (name, node) in channels {
        let own = node.get("group").and_then(|node| read::<RawGroup>(node, problems));
        let base = default.clone().unwrap_or_default();
        let own = own.map(|group| grouping(&group, &base, labels, problems));
        made.extend(own.or_else(|| default.clone()).map(|grouping| (name.value.clone(), grouping)));
    }
    made
}

fn grouping(raw: &RawGroup, base: &Grouping, labels: &BTreeSet<&str>, problems: &mut Problems) -> Grouping {
    for label in raw.by.iter().flat_map(|by| by.iter()).filter(|label| !labels.contains(label.value.as_str())) {
        problems.warning(label.span.clone(), format!("no probe has the label `{}`", label.value)).help =
            suggest(&label.value, labels.iter().copied())
                .or_else(|| Some("messages of all probes that lack it go together".to_owned()));
    }
    let mut length = |of: Option<&Spanned<RawLength>>, what: &str, least: Duration, most: Duration| {
        let of = of?;
        if !(least..=most).contains(&of.value.0.0) {
            let range = match (least.is_zero(), Length(least), Length(most)) {
                (true, _, most) => format!("at most {most}"),
                (false, least, most) => format!("{least} to {most}"),
            };
            problems.error(of.span.clone(), format!("{what} {range}, not {}", of.value.0));
        }
        Some(of.value.0.0)
    };
    let wait = length(raw.wait.as_ref(), "a message waits for others for", Duration::ZERO, WAIT_MAX);
    let interval = length(raw.interval.as_ref(), "a storm is told every", INTERVAL_MIN, INTERVAL_MAX);
    if let Some(limit) = raw.limit.as_ref().filter(|limit| !(1..=LIMIT_MAX).contains(&limit.value)) {
        problems.error(limit.span.clone(), format!("`limit` takes 1 to {LIMIT_MAX} incidents"));
    }
    let by = |by: &crate::settings::OneOrMany<Spanned<String>>| by.iter().map(|label| label.value.clone()).collect();
    Grouping {
        by: raw.by.as_ref().map_or_else(|| base.by.clone(), by),
        wait: wait.unwrap_or(base.wait),
        limit: raw.limit.as_ref().map_or(base.limit, |limit| limit.value),
        interval: interval.unwrap_or(base.interval),
    }
}
