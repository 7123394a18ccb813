//! What a template may name.

use std::collections::BTreeMap;

use crate::domain::names::CaptureName;
use crate::domain::time::rfc3339;
use crate::notifiers::message::{Story, about, piece, subject, text};
use crate::ports::Notification;

/// The names, for whoever writes one wrong.
pub const NAMES: [&str; 22] = [
    "alert",
    "at",
    "changes",
    "count",
    "event",
    "failures",
    "incident",
    "key",
    "labels",
    "late",
    "probe",
    "resolved_at",
    "runbook",
    "schedules",
    "severity",
    "since",
    "site",
    "subject",
    "summary",
    "text",
    "title",
    "url",
];

/// What a notification says under each name; what does not apply is empty. In the least form what is long is left out.
pub fn values(notification: &Notification) -> BTreeMap<CaptureName, String> {
    let incident = &notification.incident;
    let story = Story::of(notification);
    let long = |text: String| if notification.plain { String::new() } else { text.trim_end().to_owned() };
    let labels: Vec<_> = incident.labels.iter().map(|(name, value)| format!("{name}={value}")).collect();
    let schedules: Vec<_> = incident.schedules.iter().map(ToString::to_string).collect();
    let event = notification.event.as_str();
    let all = [
        ("alert", notification.alert().to_owned()),
        ("at", rfc3339(notification.at)),
        ("changes", long(story.changes())),
        ("count", notification.several().map_or(1, |group| group.size).to_string()),
        ("event", event.to_owned()),
        ("failures", long(story.failures())),
        ("incident", incident.id.to_string()),
        ("key", notification.key()),
        ("labels", piece(&labels.join(", "))),
        ("late", notification.late.to_string()),
        ("probe", incident.probe.to_string()),
        ("resolved_at", incident.resolved_at.map(rfc3339).unwrap_or_default()),
        ("runbook", incident.runbook.as_deref().map(piece).unwrap_or_default()),
        ("schedules", schedules.join(", ")),
        ("severity", incident.severity.to_string()),
        ("since", rfc3339(incident.since)),
        ("site", piece(&notification.site)),
        ("subject", subject(notification)),
        ("text", if notification.plain { story.headline.clone() } else { text(notification).trim_end().to_owned() }),
        ("summary", story.headline),
        ("title", format!("{} {event}: {}", incident.severity, about(notification))),
        ("url", notification.url.as_deref().map(piece).unwrap_or_default()),
    ];
    all.into_iter().filter_map(|(name, value)| Some((CaptureName::parse(name).ok()?, value))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::notifiers::message::tests::{opened, resolved};

    #[test]
    fn every_name_has_its_value() {
        for notification in [opened(), resolved(), Notification { plain: true, ..opened() }] {
            let values = values(&notification);
            assert_eq!(values.keys().map(CaptureName::as_str).collect::<Vec<_>>(), NAMES);
        }
        let plain = values(&Notification { plain: true, ..opened() });
        let named = |name: &str| plain[&CaptureName::parse(name).unwrap()].clone();
        assert_eq!((named("text"), named("failures")), (named("summary"), String::new()));
    }
}
