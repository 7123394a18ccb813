//! What goes for a severity as written: within what time somebody is to take an incident on, who is told where nobody does,
//! and for which hours messages wait.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::hours::{check_timezone, hours};
use super::raw::RawSeverity;
use crate::domain::incident::Severity;
use crate::domain::names::ChannelName;
use crate::domain::time::Length;
use crate::engine::plan::SeverityPlan;
use crate::settings::{Node, Problems, Spanned, suggest};

/// Nobody reads a message in less.
const ACKNOWLEDGE_MIN: Duration = Duration::from_secs(60);

/// Whoever has not answered by then will not.
const ACKNOWLEDGE_MAX: Duration = Duration::from_secs(86_400);

/// Sooner nobody has slept over it.
const POST_MORTEM_MIN: Duration = Duration::from_secs(60);

/// Later nobody remembers it.
const POST_MORTEM_MAX: Duration = Duration::from_secs(7 * 86_400);

/// The rules by severity.
pub fn severities(
    written: &BTreeMap<Spanned<String>, RawSeverity>,
    node: Option<&Node>,
    channels: &BTreeSet<ChannelName>,
    problems: &mut Problems,
) -> BTreeMap<Severity, SeverityPlan> {
    let mut made = BTreeMap::new();
    for (name, raw) in written {
        let severity: Severity = match name.value.parse() {
            Ok(severity) => severity,
            Err(error) => {
                problems.error(name.span.clone(), error);
                continue;
            }
        };
        let node = node.and_then(|severities| severities.get(name.value.as_str()));
        made.insert(severity, rules(raw, node, channels, problems));
    }
    made
}

fn rules(
    raw: &RawSeverity,
    node: Option<&Node>,
    channels: &BTreeSet<ChannelName>,
    problems: &mut Problems,
) -> SeverityPlan {
    // What is there and wrong was reported.
    let is_missing = |key: &str| node.is_none_or(|node| node.get(key).is_none());
    if let Some(within) = &raw.acknowledge {
        if !(ACKNOWLEDGE_MIN..=ACKNOWLEDGE_MAX).contains(&within.value.0.0) {
            let (least, most) = (Length(ACKNOWLEDGE_MIN), Length(ACKNOWLEDGE_MAX));
            problems.error(
                within.span.clone(),
                format!("people have {least} to {most} to acknowledge, not {}", within.value.0),
            );
        }
        if raw.escalate.is_empty() && is_missing("escalate") {
            problems.error(within.span.clone(), "nobody is told where nobody acknowledges").help =
                Some("write `escalate: [channel]` beside it".to_owned());
        }
    }
    if let Some(first) = raw.escalate.first().filter(|_| raw.acknowledge.is_none() && is_missing("acknowledge")) {
        problems.error(first.span.clone(), "after what time these are told is not said").help =
            Some("write `acknowledge: 15m` beside it".to_owned());
    }
    for channel in raw.escalate.iter().filter(|channel| !channels.contains(&channel.value)) {
        let known: Vec<_> = channels.iter().map(ChannelName::as_str).collect();
        problems.error(channel.span.clone(), format!("there is no channel `{}`", channel.value)).help =
            suggest(channel.value.as_str(), known).or_else(|| Some("declare it under `channels:`".to_owned()));
    }
    let hold = hours(raw.hold.as_ref(), raw.timezone.as_ref(), problems);
    check_timezone("hold", raw.timezone.as_ref(), raw.hold.is_some() || !is_missing("hold"), problems);
    let post_mortem = raw.post_mortem.as_ref();
    if let Some(after) = post_mortem.filter(|after| !(POST_MORTEM_MIN..=POST_MORTEM_MAX).contains(&after.value.0.0)) {
        let (least, most) = (Length(POST_MORTEM_MIN), Length(POST_MORTEM_MAX));
        problems.error(
            after.span.clone(),
            format!("a post-mortem is written {least} to {most} after the end, not {}", after.value.0),
        );
    }
    SeverityPlan {
        post_mortem: post_mortem.map(|after| after.value.0.0),
        acknowledge: raw.acknowledge.as_ref().map(|within| within.value.0.0),
        escalate: raw.escalate.iter().map(|channel| channel.value.clone()).collect(),
        hold,
    }
}
