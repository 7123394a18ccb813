//! Channels, routes and publishers: where messages and metrics go.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::hours::{check_timezone, hours};
use super::kinds::part;
use super::raw::RawRoute;
use super::resolve::identity;
use super::windows::{Known, plain};
use crate::domain::names::ChannelName;
use crate::domain::route::Route;
use crate::ports::{Building, ChannelKind, Notifier, PublisherFactory, PublisherKind};
use crate::settings::{Key, Node, Problems, Spanned, Value, suggest};

/// The channels; those with mistakes are left out.
pub fn channels(
    written: &BTreeMap<Spanned<ChannelName>, Node>,
    table: &'static [ChannelKind],
    building: &Building,
    problems: &mut Problems,
) -> BTreeMap<ChannelName, Arc<dyn Notifier>> {
    let mut made = BTreeMap::new();
    for (name, node) in written {
        let key = Key { text: name.value.to_string(), span: name.span.clone() };
        let Some(parted) = part("a channel", node, Some(&key), table, &["group"], problems) else { continue };
        for strange in parted.rest.entries().iter().filter(|entry| entry.key.text != "group") {
            problems.error(strange.key.span.clone(), format!("unknown key `{}`", strange.key.text)).help =
                Some("a channel has nothing beside its kind but `group`".to_owned());
        }
        if let Some(notifier) = (parted.kind.build)(&parted.settings, building, problems) {
            made.insert(name.value.clone(), notifier);
        }
    }
    made
}

/// A channel that something names must be declared.
pub fn check_channel(named: &Spanned<ChannelName>, channels: &BTreeSet<ChannelName>, problems: &mut Problems) {
    if !channels.contains(&named.value) {
        let known = channels.iter().map(ChannelName::as_str);
        problems.error(named.span.clone(), format!("there is no channel `{}`", named.value)).help =
            suggest(named.value.as_str(), known.collect::<Vec<_>>())
                .or_else(|| Some("declare it under `channels:`".to_owned()));
    }
}

/// The routes. A route that can never be reached is a warning.
pub fn routes(
    written: &[RawRoute],
    channels: &BTreeSet<ChannelName>,
    known: &Known<'_>,
    problems: &mut Problems,
) -> Vec<Route> {
    let mut made: Vec<Route> = Vec::new();
    for raw in written {
        let at = raw.to.first().map(|to| to.span.clone());
        for channel in raw.to.iter().chain(&raw.fallback) {
            check_channel(channel, channels, problems);
        }
        if raw.to.is_empty() {
            problems.error(raw.to.span.clone(), "a route names no channel").help =
                Some("write `to: [name]`".to_owned());
        }
        if let Some(fallback) =
            raw.fallback.as_ref().filter(|fallback| raw.to.iter().any(|to| to.value == fallback.value))
        {
            problems
                .error(fallback.span.clone(), format!("`{}` cannot take what it gave up on itself", fallback.value))
                .help = Some("name another channel, or remove `fallback`".to_owned());
        }
        known.check_schedules(&raw.schedules, problems);
        known.check_labels(&raw.labels, problems);
        let when = hours(raw.when.as_ref(), raw.timezone.as_ref(), problems);
        check_timezone("when", raw.timezone.as_ref(), raw.when.is_some(), problems);
        let route = Route {
            severities: raw.severity.iter().copied().collect(),
            labels: plain(&raw.labels),
            schedules: raw.schedules.iter().map(|schedule| schedule.value.clone()).collect(),
            when,
            to: raw.to.iter().map(|to| to.value.clone()).collect(),
            fallback: raw.fallback.as_ref().map(|fallback| fallback.value.clone()),
        };
        if let (Some(at), true) = (at, made.iter().any(|earlier: &Route| earlier.shadows(&route))) {
            problems.warning(at, "no message reaches this route").help =
                Some("an earlier route takes all that it could: put this one first".to_owned());
        }
        made.push(route);
    }
    made
}

/// The publishers by kind.
pub fn publishers(
    written: &BTreeMap<Spanned<String>, Node>,
    table: &'static [PublisherKind],
    building: &Building,
    problems: &mut Problems,
) -> BTreeMap<&'static str, Arc<dyn PublisherFactory>> {
    let mut made = BTreeMap::new();
    for (name, node) in written {
        let Some(kind) = table.iter().find(|kind| kind.name == name.value) else {
            let known = table.iter().map(|kind| kind.name);
            problems.error(name.span.clone(), format!("there is no publisher `{}`", name.value)).help =
                suggest(&name.value, known.collect::<Vec<_>>());
            continue;
        };
        // `prometheus:` with nothing behind it means its defaults.
        let empty = Node { span: node.span.clone(), value: Value::Map(Vec::new()) };
        let settings = if matches!(node.value, Value::Null) { &empty } else { node };
        if let Some(factory) = (kind.build)(settings, building, problems) {
            made.insert(kind.name, factory);
        }
    }
    made
}

/// The text of a destination, to see whether a reload changed it.
pub fn written(name: &str, what: &str, node: &Node) -> (String, String) {
    (format!("{what} {name}"), identity(node))
}
