//! What happened to an incident, in words for people. Much of it was said by a target, so nothing of it may do more than be
//! read: no control characters, no line breaks of its own, and an end.

use std::fmt::Write as _;

use crate::domain::incident::{Event, Incident};
use crate::domain::outcome::Failure;
use crate::domain::text::harmless;
use crate::domain::time::{between, clock, words};
use crate::ports::Notification;

/// The longest subject, in characters: SNS takes fewer than 100.
pub const SUBJECT_MAX: usize = 99;

/// How many failures are told; the rest is counted.
const FAILURES_MAX: usize = 10;

/// The longest piece that somebody else wrote, in characters.
const PIECE_MAX: usize = 1_000;

/// The longest text, in bytes; SNS takes 256 KiB with the attributes.
pub const TEXT_BYTES_MAX: usize = 64 * 1024;

/// One line of ASCII, for the subject of a mail.
pub fn subject(notification: &Notification) -> String {
    let whole =
        format!("{} {}: {}", notification.incident.severity, notification.event.as_str(), notification.summary());
    let plain: String = whole.chars().map(ascii).collect();
    if plain.chars().count() <= SUBJECT_MAX {
        return plain;
    }
    let mut short: String = plain.chars().take(SUBJECT_MAX - 3).collect();
    short.push_str("...");
    short
}

fn ascii(c: char) -> char {
    match c {
        ' '..='~' => c,
        '‘' | '’' => '\'',
        '“' | '”' => '"',
        '–' | '—' => '-',
        c if c.is_whitespace() => ' ',
        _ => '?',
    }
}

/// The whole story: what happened, what was expected and what came, since when, and where to look.
pub fn text(notification: &Notification) -> String {
    let incident = &notification.incident;
    let mut text = piece(&notification.summary());
    text.push_str("\n\n");
    let (failures, heading) = match notification.event {
        Event::Opened | Event::Reminder | Event::Escalated | Event::Acknowledged => {
            (&incident.latest_failures, "What failed:")
        }
        Event::Resolved => (&incident.first_failures, "What had failed:"),
    };
    if !failures.is_empty() {
        put(&mut text, heading);
        failures.iter().take(FAILURES_MAX).for_each(|failure| tell(&mut text, failure));
        if let Some(more @ 1..) = failures.len().checked_sub(FAILURES_MAX) {
            put(&mut text, &format!("- and {more} more"));
        }
        text.push('\n');
    }
    if !incident.changes.is_empty() {
        put(&mut text, "What changed shortly before:");
        incident.changes.iter().for_each(|change| put(&mut text, &format!("- {}", piece(change))));
        text.push('\n');
    }
    for (name, value) in facts(notification, incident) {
        put(&mut text, &format!("{name:<10} {}", piece(&value)));
    }
    if text.len() > TEXT_BYTES_MAX {
        text.truncate(text.floor_char_boundary(TEXT_BYTES_MAX - '…'.len_utf8()));
        text.push('…');
    }
    text
}

fn tell(text: &mut String, failure: &Failure) {
    put(text, &format!("- {}", piece(&failure.to_string())));
    if let Some(expected) = &failure.expected {
        put(text, &format!("  expected: {}", piece(expected)));
    }
    if let Some(actual) = &failure.actual {
        put(text, &format!("  came:     {}", piece(actual)));
    }
}

fn facts(notification: &Notification, incident: &Incident) -> Vec<(&'static str, String)> {
    let schedules: Vec<_> = incident.schedules.iter().map(ToString::to_string).collect();
    let labels: Vec<_> = incident.labels.iter().map(|(name, value)| format!("{name}={value}")).collect();
    let since = match incident.resolved_at {
        Some(end) => format!("{} to {}", clock(incident.since), clock(end)),
        None => {
            format!("{} ({} ago)", clock(incident.since), words(between(incident.since, notification.at)))
        }
    };
    let late = "the incident was over before this message could be delivered";
    let all = [
        ("severity", Some(incident.severity.to_string())),
        ("site", Some(notification.site.clone())),
        ("probe", Some(incident.probe.to_string())),
        ("schedules", Some(schedules.join(", "))),
        ("since", Some(since)),
        ("taken on", incident.acknowledged.as_ref().map(|taken| format!("{} by {taken}", clock(taken.at)))),
        ("late", notification.late.then(|| late.to_owned())),
        ("labels", Some(labels.join(", "))),
        ("runbook", incident.runbook.clone()),
        ("page", notification.url.clone()),
        ("incident", Some(incident.id.to_string())),
    ];
    all.into_iter().filter_map(|(name, value)| Some((name, value.filter(|value| !value.is_empty())?))).collect()
}

/// What somebody else wrote, on one line and of bounded length.
pub fn piece(written: &str) -> String {
    let mut short: String = written.chars().take(PIECE_MAX).collect();
    if short.len() < written.len() {
        short.push('…');
    }
    harmless(&short).into_owned()
}

fn put(text: &mut String, line: &str) {
    // Writing to a String cannot fail.
    let _ = writeln!(text, "{line}");
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::domain::expression::Explanation;
    use crate::domain::incident::Severity;
    use crate::domain::names::ScheduleName;
    use crate::domain::outcome::FailureKind;
    use crate::engine::testing::{at, incident};

    /// The demo's incident, as it opened.
    pub(crate) fn opened() -> Notification {
        let explanation: Explanation = serde_json::from_value(serde_json::json!({
            "expression": "json.services.database == \"ok\"",
            "parts": [{ "expression": "json.services.database", "value": "\"degraded\"" }],
            "reason": null,
        }))
        .unwrap();
        let failures = vec![
            Failure::of_assertion(explanation),
            Failure::new(FailureKind::TimeoutFirstByte, "nothing came within 800 ms").with("≤ 500 ms", "800 ms"),
        ];
        let schedule = ScheduleName::parse("reachability").unwrap();
        let incident = Incident {
            opened_at: at("2026-11-24T10:01:01Z"),
            firing: [(schedule.clone(), Severity::P1)].into(),
            schedules: vec![schedule],
            first_failures: failures.clone(),
            latest_failures: failures,
            labels: [("team".to_owned(), "shop".to_owned())].into(),
            runbook: Some("https://wiki.example/api-health".to_owned()),
            ..incident("01K0000000000000000000000A", "api-health", at("2026-11-24T10:00:01Z"))
        };
        Notification {
            event: Event::Opened,
            incident,
            transition: 1,
            at: at("2026-11-24T10:01:01Z"),
            site: "shop".to_owned(),
            url: Some("https://rounds.example/incidents/01K0000000000000000000000A".to_owned()),
            late: false,
            plain: false,
        }
    }

    /// … and as it was resolved.
    pub(crate) fn resolved() -> Notification {
        let mut notification = opened();
        notification.event = Event::Resolved;
        notification.transition = 2;
        notification.at = at("2026-11-24T10:04:31Z");
        notification.incident.resolved_at = Some(notification.at);
        notification
    }

    #[test]
    fn people_read_what_happened() {
        insta::assert_snapshot!("opened", format!("{}\n---\n{}", subject(&opened()), text(&opened())));
        let late = Notification { late: true, ..resolved() };
        insta::assert_snapshot!("resolved", format!("{}\n---\n{}", subject(&late), text(&late)));
    }

    #[test]
    fn what_changed_shortly_before_stands_with_what_failed() {
        let mut notification = opened();
        notification.incident.changes = vec!["api-health saw version 1.0.0 become 1.1.0\n at 09:58".to_owned()];
        let text = text(&notification);
        let told = "What changed shortly before:\n- api-health saw version 1.0.0 become 1.1.0";
        assert!(text.contains(told), "{text}");
        assert!(!text.contains("1.1.0\n at"), "a line of its own is none of the target's");
    }

    #[test]
    fn hostile_text_is_only_read() {
        let mut notification = opened();
        let hostile = "a\r\nSubject: b\u{1b}[2J\u{202e}\n\n\u{0}<!channel> ünï 💥".to_owned() + &"x".repeat(100_000);
        notification.incident.latest_failures =
            vec![Failure::new(FailureKind::Expect, hostile.clone()).with(hostile.clone(), hostile); 500];
        let subject = subject(&notification);
        assert!(subject.bytes().all(|b| (b' '..=b'~').contains(&b)) && subject.len() <= SUBJECT_MAX, "{subject}");
        let text = text(&notification);
        assert!(text.chars().all(|c| c == '\n' || !c.is_control()), "{text}");
        assert!(!text.contains('\u{202e}'));
        assert!(text.len() <= TEXT_BYTES_MAX);
        assert!(text.contains("- and 490 more"));
        assert!(!text.lines().any(|line| line.starts_with("Subject:")), "a target cannot begin a line of its own");
    }
}
